"""Thin a split: so many cells of each category on each side, at random; the test stays apart.

``python results/generated-cells/even_split.py DATASET``
"""

import sys
from pathlib import Path

import polars as pl

from leukoscope.foundation.streams import stream
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset, read_split

PER_CATEGORY = {"train": 400, "validation": 80, "test": 190}


def main(folder: Path) -> None:
    """Write ``splits-even.parquet`` from the dataset's first split."""
    divided = read_split(read_dataset(folder), "splits", 0, 0)
    # A family that is parted by the thinning would be parted by its split too: whole ones only.
    alone = divided.filter(pl.len().over("family") == 1)
    parts = [
        part.sort("cell_id")[stream(0, "even", side, category).permutation(part.height)[:most]]
        for side, most in PER_CATEGORY.items()
        for (category,), part in sorted(alone.filter(pl.col("split") == side).group_by("category"))
    ]
    zero = pl.lit(0, dtype=pl.Int32)
    table = pl.concat(parts).select("cell_id", "split", repeat=zero, fold=zero)
    tables.write_table(folder / "splits-even.parquet", table, shapes.SPLITS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
