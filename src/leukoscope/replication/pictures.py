"""Small pictures for a study's page: what the arms saw, and the cells all replicates miss."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.draw import draw
from leukoscope.intake.decode import encode_png
from leukoscope.intake.store import PixelStore, open_store
from leukoscope.intake.stratified import training_draw
from leukoscope.intake.thumbnails import thumbnails
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset
from leukoscope.records.lineage import is_copy
from leukoscope.replication.folds import Folds
from leukoscope.replication.generators import generated_pictures
from leukoscope.replication.recipe import StudyRecipe, Unit
from leukoscope.training.probe import ProbeRecipe
from leukoscope.training.settings import AnyTraining

_CELLS_SEEN = 6
_TIMES_SEEN = 4
_MISSED = 24


def write_pictures(
    recipe: StudyRecipe,
    dataset: Dataset,
    folds: Folds,
    divided: pl.DataFrame,
    tested: Dataset,
    out: Path,
) -> None:
    """Write ``pictures.parquet``: cells of the first replicate's draw as each arm saw them, errors
    that all replicates of an arm make, from as many kinds of error as there are, and cells of its
    first generator, where it has any.

    Raises
    ------
    DataError
        If a picture is gone.
    """
    missed = tables.read_table(out / "missed.parquet", shapes.MISSED)
    rows = [*_seen(recipe, dataset, folds, divided), *_missed(recipe, tested, missed)]
    if recipe.generator is not None:
        rows += generated_pictures(recipe, folds, out)
    table = pl.DataFrame(rows, schema=shapes.PICTURES.columns)
    tables.write_table(out / "pictures.parquet", table, shapes.PICTURES)


def _seen(
    recipe: StudyRecipe, dataset: Dataset, folds: Folds, divided: pl.DataFrame
) -> Iterator[dict[str, Any]]:
    # The smallest draw is part of all others: every arm was trained on these cells.
    smallest = min(recipe.arms, key=lambda arm: recipe.arms[arm].times_originals)
    first = recipe.training_of(Unit(smallest, 0, fold=folds[0]))
    pool = divided.filter(pl.col("split") == "train")
    drawn = training_draw(pool, first.train_cells, first.seed)
    cells = drawn.filter(~is_copy()).unique("category", keep="first", maintain_order=True)
    cells = cells.sort("category").head(_CELLS_SEEN)
    for arm, stated in recipe.arms.items():
        if not stated.originals:
            continue
        training = recipe.training_of(Unit(arm, 0, fold=folds[0]))
        store = open_store(dataset, cells, training.preprocessing.size_px)
        rounds = _rounds(training, round(drawn.height * (1 + stated.generated)))
        for cell in cells.iter_rows(named=True):
            yield from (row | {"arm": arm} for row in _times(training, cell, store, rounds))


def _rounds(training: AnyTraining, n_cells: int) -> int:
    """Count how often a training comes by its cells; a classical model is fitted on them once."""
    if isinstance(training, ProbeRecipe):
        return 1
    return math.ceil(training.updates * training.batch_size / n_cells)


def _times(
    training: AnyTraining, cell: dict[str, Any], store: PixelStore, rounds: int
) -> Iterator[dict[str, Any]]:
    """Show a cell as a training met it: its visits online, itself and its copies otherwise."""
    row = {"kind": "seen", "cell_id": cell["cell_id"], "category": cell["category"]}
    pixels = store.take(store.rows([cell["content"]]))[0]
    if not training.augmentation.steps:
        yield row | {"copy": 0, "png": encode_png(pixels)}
        return
    shown = {"online": rounds, "in-place": 1, "copies": 1 + training.copies}
    for copy in range(min(shown[training.augmentation_use], _TIMES_SEEN)):
        if training.copies and copy == 0:
            yield row | {"copy": 0, "png": encode_png(pixels)}
            continue
        drawn = draw(training.augmentation, training.seed, cell["cell_id"], copy)
        png = encode_png(np.asarray(apply(drawn, pixels)))
        yield row | {"copy": copy, "draw": drawn.to_json(), "png": png}


def _missed(recipe: StudyRecipe, tested: Dataset, missed: pl.DataFrame) -> Iterator[dict[str, Any]]:
    # One of each kind of error, then a second of each, and so on.
    turn = pl.col("cell_id").cum_count().over("arm", "category", "predicted")
    shown = missed.with_columns(turn=turn).sort("arm", "turn", "category", "predicted")
    shown = shown.group_by("arm", maintain_order=True).head(_MISSED)
    pictures = thumbnails(tested, shown["cell_id"], recipe.training.preprocessing.size_px)
    columns = ("arm", "cell_id", "category", "predicted")
    for row in shown.select(columns).iter_rows(named=True):
        yield row | {"kind": "missed", "png": pictures[row["cell_id"]]}
