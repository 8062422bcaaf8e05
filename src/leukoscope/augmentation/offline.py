"""Augmentation written to disk: a new dataset whose training cells have derived copies."""

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from leukoscope import __version__
from leukoscope.augmentation.copies import write_copies
from leukoscope.augmentation.plan import Amount, check_amount, plan_copies, refuse_empty
from leukoscope.augmentation.recipe import AugmentationRecipe, needs_masks
from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.resumable import Plan, build_resumable
from leukoscope.intake.stratified import training_draw
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import (
    Dataset,
    DatasetCard,
    rebased_masks,
    refuse_generated,
    write_dataset,
)
from leukoscope.records.lineage import is_copy

_DECISIVE = ("cell_id", "content", "mask_path", "n_copies")
"""What the files of copies depend on, beside recipe and seed."""


def augment_offline(
    dataset: Dataset,
    divided: pl.DataFrame,
    recipe: AugmentationRecipe,
    *,
    out: Path,
    amount: Amount,
    seed: int,
    workers: int | None = None,
) -> Path:
    """Write a dataset with derived copies of its training cells, each with its lineage.

    Stopped at any moment, even killed, it goes on when called again, and ends the same.

    Parameters
    ----------
    dataset : Dataset
        The originals; they stay where they are.
    divided : polars.DataFrame
        Its manifest with a column ``split``; only ``train`` is augmented.
    recipe : AugmentationRecipe
        What to do.
    out : Path
        The dataset folder to make.
    amount : Amount
        How many training cells there are to be. Where not all originals are taken, the others
        are left out of the new manifest: they are of the same cases as the training cells, and
        must not come back as cells to test on.
    seed : int
        Seed of the draws, and of which cells are taken and copied first.
    workers : int, optional
        Threads; as many as there are processors if None. The bytes are the same.

    Returns
    -------
    Path
        *out*, with its split.

    Raises
    ------
    UsageError
        If the amount contradicts itself or the originals, the recipe does nothing, something
        stands at *out*, or another augmentation was begun for it.
    DataError
        If the dataset holds copies or generated cells already, cells or masks that are needed
        are missing, or a picture is not what it was.
    RunError
        If the disk refuses, or another process is at work on *out*.
    """
    out = Path(out)
    check_amount(amount)
    files.refuse_existing(out)
    _refuse_copies(dataset)
    left_out = _left_out(divided, amount, seed)
    divided, manifest = _without(divided, left_out), _without(dataset.manifest, left_out)
    planned = _planned(divided, amount, seed)
    _check_recipe(recipe, planned)
    card = _card(dataset, recipe, {"seed": seed} | amount.in_words())

    def build(folder: Path) -> None:
        copies = write_copies(dataset, planned, recipe, folder=folder, seed=seed, workers=workers)
        derived = pl.concat([pl.DataFrame(schema=shapes.MANIFEST.columns), *copies])
        _sweep(folder, derived)
        originals = rebased_masks(manifest, dataset.folder, out)
        write_dataset(folder, card, pl.concat([originals, derived]))
        _write_split(folder, divided, derived)

    build_resumable(out, _plan(planned, recipe, seed), build)
    _note(planned, left_out, amount.originals)
    return out


def _refuse_copies(dataset: Dataset) -> None:
    refuse_generated(
        dataset,
        "Augment the dataset of real cells, then combine; a training augments generated cells too.",
    )
    if not dataset.manifest.filter(is_copy()).is_empty():
        raise DataError(
            "This dataset holds copies of cells already. Augment the dataset it was made from, "
            "with all steps in one recipe: the picture is then resampled once. Nothing was written."
        )


def _left_out(divided: pl.DataFrame, amount: Amount, seed: int) -> pl.DataFrame:
    """Name the training cells that are not taken."""
    train = divided.filter(pl.col("split") == "train")
    if train.is_empty():
        raise DataError("The split has no training cells to copy. Nothing was written. Split anew.")
    drawn = training_draw(train, amount.originals, seed)
    return _without(train.select("cell_id"), drawn)


def _without(table: pl.DataFrame, cells: pl.DataFrame) -> pl.DataFrame:
    return table.join(cells, on="cell_id", how="anti", maintain_order="left")


def _planned(divided: pl.DataFrame, amount: Amount, seed: int) -> pl.DataFrame:
    train = divided.filter(pl.col("split") == "train").drop("split")
    if amount.per_category is not None or amount.balance:
        refuse_empty(divided["category"].unique(), train)
    return plan_copies(train, amount, seed)


def _check_recipe(recipe: AugmentationRecipe, planned: pl.DataFrame) -> None:
    """Refuse copies that would be their cells, and a background without a mask."""
    copied = planned.filter(pl.col("n_copies") > 0)
    if copied.is_empty():
        return
    if not recipe.steps:
        raise UsageError(
            f"The recipe {recipe.name!r} has no steps: its copies would be the cells themselves. "
            "Nothing was written. Take another recipe, or --factor 1 for the originals alone."
        )
    unmasked = copied.filter(pl.col("mask_path").is_null())
    if unmasked.height and needs_masks(recipe):
        raise DataError(
            f"The recipe {recipe.name!r} replaces the background outside a cell's mask, and "
            f"{unmasked.height} of {copied.height} training cells have none, for example "
            f"{unmasked['cell_id'][0]}. Nothing was written. Run `leukoscope isolate` first and "
            "augment its dataset, or take that step out of the recipe."
        )


def _card(dataset: Dataset, recipe: AugmentationRecipe, settled: dict[str, Any]) -> DatasetCard:
    return dataset.card.model_copy(
        update={
            "name": f"{dataset.card.name}+{recipe.name}",
            "image_root": str(dataset.image_root),
            "recipe": {"augmentation": recipe.model_dump(mode="json")} | settled,
        }
    )


def _plan(planned: pl.DataFrame, recipe: AugmentationRecipe, seed: int) -> Plan:
    """Say what all pictures follow from, so that no other work goes on with them."""
    cells = planned.select(_DECISIVE).write_csv()
    return {
        "version": __version__,
        "recipe": recipe.name,
        "recipe_id": recipe.recipe_id,
        "seed": seed,
        "training_cells": planned.height + int(planned["n_copies"].sum()),
        "digest": hashlib.sha256(cells.encode()).hexdigest()[:16],
    }


def _sweep(folder: Path, derived: pl.DataFrame) -> None:
    """Remove what stood there before a stop and is no longer what is made of these cells."""
    for name, column in (("images", "path"), ("masks", "mask_path")):
        paths = derived[column].drop_nulls()
        # Counted first: all names of a large dataset need hardly ever be held.
        if sum(1 for _ in (folder / name).glob("*")) > paths.n_unique():
            meant = {PurePosixPath(path).name for path in paths}
            for each in (folder / name).glob("*"):
                if each.name not in meant:
                    each.unlink()


def _write_split(folder: Path, divided: pl.DataFrame, derived: pl.DataFrame) -> None:
    sides = [divided.select("cell_id", "split"), derived.select("cell_id", split=pl.lit("train"))]
    first = {"repeat": pl.lit(0, dtype=pl.Int32), "fold": pl.lit(0, dtype=pl.Int32)}
    tables.write_table(
        folder / "splits.parquet", pl.concat(sides).with_columns(**first), shapes.SPLITS
    )


def _note(planned: pl.DataFrame, left_out: pl.DataFrame, originals: int | None) -> None:
    """Tell how many training cells there are now, and of which kinds."""
    n_copies = int(planned["n_copies"].sum())
    told = f"{planned.height + n_copies} training cells: {planned.height} originals, "
    told += f"{n_copies} copies"
    if left_out.height:
        told += f"; {left_out.height} more originals were left out"
    if originals is not None and originals < planned.height:
        told += f"; {originals} were asked for, and the last family was taken whole"
    progress.note(f"{told}.")
