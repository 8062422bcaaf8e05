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
from leukoscope.replication.recipe import StudyRecipe, Unit
from leukoscope.replication.units import has_history, read_history, read_predictions


def write_results(recipe: StudyRecipe, out: Path) -> None:
    """Compute all tables of a study from its units, as Parquet and, where no cell is named, as CSV.

    Raises
    ------
    DataError
        If the units' predictions are not of the same labelled cells.
    """
    progress.tell("results", 0, 1)
    predictions = _predictions(recipe, out, Unit)
    curves = [_curves(recipe, out, recipe.name, Unit)]
    results = [study_table(recipe.name, predictions, recipe.baseline, recipe.metric)]
    if recipe.equal_epochs:
        name = recipe.name + EQUAL_EPOCHS
        again = _predictions(recipe, out, recipe.in_equal_epochs)
        results.append(study_table(name, again, recipe.baseline, None))
        curves.append(_curves(recipe, out, name, recipe.in_equal_epochs))
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


def _predictions(
    recipe: StudyRecipe, out: Path, unit_of: Callable[[str, int], Unit]
) -> dict[str, dict[int, pl.DataFrame]]:
    return {
        arm: {
            replicate: read_predictions(out, unit_of(arm, replicate))
            for replicate in range(recipe.replicates)
        }
        for arm in recipe.arms
    }


def _curves(
    recipe: StudyRecipe, out: Path, name: str, unit_of: Callable[[str, int], Unit]
) -> pl.DataFrame:
    """Gather the histories of the arms that are trained by updates; an empty table without any."""
    parts = [
        read_history(out, unit_of(arm, replicate)).with_columns(
            study=pl.lit(name), arm=pl.lit(arm), replicate=pl.lit(replicate, dtype=pl.Int32)
        )
        for arm in recipe.arms
        for replicate in range(recipe.replicates)
        if has_history(out, unit_of(arm, replicate))
    ]
    none = pl.DataFrame(schema=shapes.CURVES.columns)
    return tables.check(pl.concat(parts) if parts else none, shapes.CURVES)
