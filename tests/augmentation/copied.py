"""Small datasets with masks, augmented."""

import numpy as np
import polars as pl
from tests.intake.pictures import cells, dataset_of, drawn, lay_out

from leukoscope.augmentation.geometry_steps import Flip, Rotation
from leukoscope.augmentation.offline import augment_offline
from leukoscope.augmentation.plan import Amount
from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.intake.decode import (
    encode_png,
)
from leukoscope.intake.splits import hold_out
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset, read_split, write_dataset
from leukoscope.records.lineage import is_copy

RECIPE = AugmentationRecipe(
    name="turn", steps=(Rotation(), Flip(axis="horizontal")), border="constant"
)
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


def bounds_of(mask):
    """Give left, top, right and bottom, the last two just outside."""
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def split_of(known):
    table = hold_out(known.manifest, shares=SHARES, repeats=1, seed=0)
    tables.write_table(known.folder / "splits.parquet", table, shapes.SPLITS)
    return read_split(known, "splits", 0, 0)


def mask_for(number, height_px=9, width_px=11):
    """Draw a mask without any symmetry, of the three levels."""
    levels = np.zeros((height_px, width_px), np.uint8)
    levels[1 + number % 3 : 7, 2:8] = 128
    levels[3:6, 3 + number % 2 : 6] = 255
    return levels


def masked_cells(folder):
    """Make a dataset with a copy in it, masks, boxes and a scale."""
    pictures = cells(24, 9, 11) | {"band/again.png": drawn(1, 9, 11)}
    made = dataset_of(folder, pictures)
    names = [f"masks/{i}.png" for i in range(made.manifest.height)]
    lay_out(made.folder, {name: encode_png(mask_for(i)) for i, name in enumerate(names)})
    dressed = made.manifest.with_columns(
        mask_path=pl.Series(names),
        box_px=pl.lit([1, 2, 3, 4], dtype=shapes.BOX),
        um_per_px=pl.lit(0.2),
        stain=pl.lit("may-grünwald"),
        exif_orientation=pl.lit(6),
    )
    return write_dataset(made.folder, made.card, dressed)


def augmented(known, out, factor=None, recipe=RECIPE, seed=0, workers=None, **amount):
    augment_offline(
        known,
        split_of(known),
        recipe,
        out=out,
        amount=Amount(factor=factor, **amount),
        seed=seed,
        workers=workers,
    )
    return read_dataset(out)


def derived_of(made):
    return made.manifest.filter(is_copy())


def names_below(folder):
    return sorted(path.name for path in folder.iterdir())


def listing(folder):
    """Read every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def train_of(made):
    return read_split(made, "splits", 0, 0).filter(pl.col("split") == "train")
