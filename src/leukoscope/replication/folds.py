"""Repeated cross-validation: a replicate is a repeat of the split, trained once a fold."""

from collections.abc import Iterator, Sequence

import polars as pl

from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset, read_split, splits_path
from leukoscope.records.lineage import is_copy
from leukoscope.replication.recipe import StudyRecipe
from leukoscope.training.sides import test_cells

Folds = tuple[int | None, ...]
"""The folds that each replicate is trained in; a study of one division has the one fold None."""
ONE_DIVISION: Folds = (None,)


def folds_of(recipe: StudyRecipe, dataset: Dataset, test: Dataset | None) -> Folds:
    """List the folds that each replicate of a study is trained in.

    Parameters
    ----------
    recipe : StudyRecipe
        The study.
    dataset : Dataset
        With the split the recipe names.
    test : Dataset, optional
        A separate test collection.

    Returns
    -------
    tuple of int, or of None alone
        The numbers of the folds; None alone where the study takes one division.

    Raises
    ------
    UsageError
        If the split has fewer repeats than the study replicates, or no folds, or a separate
        test collection is given too: its cells would be called once a fold.
    DataError
        If the folds of a repeat do not test every cell once.
    """
    if not recipe.folds:
        return ONE_DIVISION
    if test is not None:
        raise UsageError(
            f"The study {recipe.name} tests on each fold in turn (folds: true), and --test gives "
            "it cells of another collection. Nothing was started. Leave --test out, or set folds: "
            "false."
        )
    name = recipe.training.split
    path = splits_path(dataset.folder, name)
    if not path.is_file():
        # Says which splits there are.
        read_split(dataset, name, 0, 0)
    table = tables.read_table(path, shapes.SPLITS)
    folds = sorted(table["fold"].unique().to_list())
    repeats = table["repeat"].n_unique()
    if len(folds) < 2 or repeats < recipe.replicates:
        raise UsageError(
            f"The split {name!r} holds {repeats} repeats of {len(folds)} folds, and the study "
            f"{recipe.name} takes {recipe.replicates} repeats of several, one a replicate. Nothing "
            f"was started. Make such a split with `leukoscope split {dataset.folder} --folds 5 "
            f"--repeats {recipe.replicates} --name folds` and give --split folds, or fewer "
            "--replicates."
        )
    taken = table.filter(pl.col("repeat") < recipe.replicates)
    _refuse_uneven(taken, name)
    return tuple(folds)


def _refuse_uneven(table: pl.DataFrame, name: str) -> None:
    """Refuse folds that leave a cell of their repeat untested, or test one twice."""
    times = table.group_by("repeat", "cell_id").agg(n=(pl.col("split") == "test").sum())
    originals = table.filter(pl.col("split") != "train").select("repeat", "cell_id").unique()
    odd = times.join(originals, on=["repeat", "cell_id"], how="semi").filter(pl.col("n") != 1)
    if odd.height:
        worst = odd.sort("repeat", "cell_id").row(0, named=True)
        raise DataError(
            f"The folds of the split {name!r} test {odd.height} cells not once, for example "
            f"{worst['cell_id']} {worst['n']} times in repeat {worst['repeat']}. Nothing was "
            "started. Make a new split with `leukoscope split --folds`."
        )


def places_of(recipe: StudyRecipe, folds: Folds) -> Iterator[tuple[int, int | None]]:
    """List the divisions a study is trained in: one if it has no folds, else replicate and fold."""
    if folds == ONE_DIVISION:
        yield 0, None
        return
    for replicate in range(recipe.replicates):
        for fold in folds:
            yield replicate, fold


def sides_of(
    recipe: StudyRecipe,
    dataset: Dataset,
    test: Dataset | None,
    place: tuple[int, int | None] = (0, None),
) -> pl.DataFrame:
    """Read the study's cells with their side; the test's from a collection of its own, if given.

    Parameters
    ----------
    recipe : StudyRecipe
        The study.
    dataset : Dataset
        With the split the recipe names.
    test : Dataset, optional
        A separate test collection.
    place : (int, int or None)
        Over folds: the replicate and the fold.

    Returns
    -------
    polars.DataFrame
        The manifest with ``split``.

    Raises
    ------
    DataError
        If the split is missing, parts a group or has no test cells, or the test collection
        holds cells of the training pool.
    """
    training = recipe.training
    repeat, fold = (place[0], place[1] or 0) if recipe.folds else (training.repeat, training.fold)
    divided = read_split(dataset, training.split, repeat, fold)
    if test is not None:
        apart = test_cells(test, divided, dataset.card.categories)
        divided = pl.concat([divided.filter(pl.col("split") != "test"), apart])
    if divided.filter(pl.col("split") == "test").is_empty():
        raise DataError(
            f"The split {training.split!r} has no test cells: the study would have nothing "
            "to compare. Nothing was started. Make a new split with `leukoscope split`, or give "
            "--test another dataset."
        )
    return divided


def fitting_the_folds(recipe: StudyRecipe, n_pool: int) -> StudyRecipe:
    """Keep the largest arm's draw within the smallest training side; without a draw, leave it.

    Parameters
    ----------
    recipe : StudyRecipe
        A study over folds.
    n_pool : int
        Original cells in the smallest training side.

    Returns
    -------
    StudyRecipe
        With the number of cells that all folds can give; null, the whole side, where no number is
        stated and no arm is larger than another.
    """
    wanted = recipe.training.train_cells
    most = max(arm.times_originals for arm in recipe.arms.values())
    if wanted is None and most == 1:
        return recipe
    largest = int(n_pool / most)
    if wanted is None or wanted > largest:
        progress.note(
            f"Each training draws {largest} of at least {n_pool} training cells of a fold"
            + (f" (the largest arm {most:g} times as many)" if most > 1 else "")
            + (f", not {wanted}." if wanted else ".")
        )
    training = recipe.training.model_copy(update={"train_cells": min(wanted or largest, largest)})
    return recipe.model_copy(update={"training": training})


def n_originals(divided: pl.DataFrame) -> int:
    """Count the cells of the training side that are no copies."""
    return divided.filter((pl.col("split") == "train") & ~is_copy()).height


def joined_predictions(parts: Sequence[pl.DataFrame], run_id: str) -> pl.DataFrame:
    """Join the predictions of the folds of a replicate: each cell once.

    Parameters
    ----------
    parts : sequence of polars.DataFrame
        Predictions tables, one a fold.
    run_id : str
        What the whole is called.

    Returns
    -------
    polars.DataFrame
        A predictions table. Where a fold had to forget the cases, for one of its training cells
        may be of the test's people, they are forgotten in all: the unit is one.

    Raises
    ------
    DataError
        If a cell was called in two folds.
    """
    whole = pl.concat(parts, how="diagonal").with_columns(run_id=pl.lit(run_id))
    twice = whole.filter(pl.col("cell_id").is_duplicated())
    if twice.height:
        raise DataError(
            f"{twice['cell_id'].n_unique()} cells of {run_id} were called in two folds, for "
            f"example {twice['cell_id'][0]}. Nothing was compared."
        )
    if whole["case"].null_count():
        whole = whole.with_columns(case=pl.lit(None, dtype=pl.String))
    return tables.check(whole, shapes.PREDICTIONS)


def mean_history(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Average the histories of the folds of a replicate, update by update."""
    (columns,) = {tuple(part.columns) for part in parts}
    others = [pl.col(name).mean() for name in columns if name != "update"]
    return pl.concat(parts).group_by("update").agg(others).sort("update").select(columns)


def called_cells(recipe: StudyRecipe, dataset: Dataset, folds: Folds) -> pl.DataFrame:
    """List the test cells of the first replicate's folds together: each cell once."""
    parts = [sides_of(recipe, dataset, None, (0, fold)) for fold in folds]
    return pl.concat([part.filter(pl.col("split") == "test") for part in parts])
