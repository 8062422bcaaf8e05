"""From a study's finished units to its tables."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from leukoscope.evaluation.comparisons import study_table
from leukoscope.evaluation.convergence import convergence_table
from leukoscope.evaluation.missed import missed_table
from leukoscope.evaluation.results import confusion_table
from leukoscope.foundation import progress
from leukoscope.records import shapes, tables
from leukoscope.records.shapes import EQUAL_EPOCHS
from leukoscope.replication.folds import ONE_DIVISION, Folds, joined_predictions, mean_history
from leukoscope.replication.recipe import StudyRecipe, Unit
from leukoscope.replication.units import (
    has_history,
    read_history,
    read_predictions,
    run_id_of,
)

UnitOf = Callable[[str, int, int | None], Unit]


def write_results(recipe: StudyRecipe, out: Path, folds: Folds = ONE_DIVISION) -> None:
    """Compute all tables of a study from its units, as Parquet and, where no cell is named, as CSV.

    Over folds a replicate's predictions are those of its folds joined, and its curve their mean.

    Raises
    ------
    DataError
        If the units' predictions are not of the same labelled cells.
    """
    progress.tell("results", 0, 1)
    predictions = _predictions(recipe, out, folds, _usual)
    curves = [_curves(recipe, out, folds, recipe.name, _usual)]
    results = [study_table(recipe.name, predictions, recipe.baseline, recipe.metric)]
    if recipe.equal_epochs:
        name = recipe.name + EQUAL_EPOCHS
        again = _predictions(recipe, out, folds, recipe.in_equal_epochs)
        results.append(study_table(name, again, recipe.baseline, None))
        curves.append(_curves(recipe, out, folds, name, recipe.in_equal_epochs))
    histories = pl.concat(curves)
    if not histories.is_empty():
        results.append(convergence_table(histories))
    replicates = {arm: list(runs.values()) for arm, runs in predictions.items()}
    missed = missed_table(replicates)
    tables.write_both(out, "curves", histories, shapes.CURVES)
    # It names cells by their files, and a file may be called after a person: no CSV to pass on.
    tables.write_table(out / "missed.parquet", missed, shapes.MISSED)
    tables.write_both(out, "results", pl.concat(results), shapes.RESULTS)
    tables.write_both(out, "confusion", confusion_table(replicates), shapes.CONFUSION)
    progress.tell("results", 1, 1)


def _usual(arm: str, replicate: int, fold: int | None) -> Unit:
    return Unit(arm, replicate, fold=fold)


def _predictions(
    recipe: StudyRecipe, out: Path, folds: Folds, unit_of: UnitOf
) -> dict[str, dict[int, pl.DataFrame]]:
    def of_replicate(arm: str, replicate: int) -> pl.DataFrame:
        units = [unit_of(arm, replicate, fold) for fold in folds]
        parts = [read_predictions(out, unit) for unit in units]
        if folds == ONE_DIVISION:
            return parts[0]
        return joined_predictions(parts, run_id_of(recipe, units[0]._replace(fold=None)))

    return {
        arm: {replicate: of_replicate(arm, replicate) for replicate in range(recipe.replicates)}
        for arm in recipe.arms
    }


def _curves(
    recipe: StudyRecipe, out: Path, folds: Folds, name: str, unit_of: UnitOf
) -> pl.DataFrame:
    """Gather the histories of the arms that are trained by updates; an empty table without any."""
    parts = []
    for arm in recipe.arms:
        for replicate in range(recipe.replicates):
            units = [unit_of(arm, replicate, fold) for fold in folds]
            if not has_history(out, units[0]):
                continue
            found = [read_history(out, unit) for unit in units]
            curve = found[0] if folds == ONE_DIVISION else mean_history(found)
            number = pl.lit(replicate, dtype=pl.Int32)
            named = {"study": pl.lit(name), "arm": pl.lit(arm), "replicate": number}
            parts.append(curve.with_columns(**named))
    none = pl.DataFrame(schema=shapes.CURVES.columns)
    return tables.check(pl.concat(parts) if parts else none, shapes.CURVES)
