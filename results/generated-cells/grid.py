"""Lay out the first eight drawn cells of each category that a study's replicate used.

``python results/generated-cells/grid.py STUDY REPLICATE GRID.png``
"""

import sys
from pathlib import Path

import numpy as np

from leukoscope.intake.decode import decode, encode_png
from leukoscope.records.dataset import read_dataset
from leukoscope.records.lineage import is_generated
from leukoscope.synthesis.looks import grid_of

COLUMNS, LARGER = 8, 3


def main(study: Path, replicate: int, out: Path) -> None:
    """Write the grid: a row a category, flagged cells left out."""
    dataset = read_dataset(study / "generators" / f"{replicate:02d}" / "combined")
    drawn = dataset.manifest.filter(is_generated()).sort("copy")
    paths = [
        dataset.folder / path
        for category in dataset.card.categories
        for path in drawn.filter(category=category)["path"].head(COLUMNS)
    ]
    pixels = [decode(path.read_bytes(), name=path.name).pixels for path in paths]
    grid = grid_of(np.stack(pixels), COLUMNS)
    out.write_bytes(encode_png(grid.repeat(LARGER, axis=0).repeat(LARGER, axis=1)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
