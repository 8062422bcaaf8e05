"""Where a study keeps its units, and what each left behind."""

from pathlib import Path

import polars as pl

from leukoscope.records import shapes, tables
from leukoscope.records.runs import history_of
from leukoscope.records.shapes import EQUAL_EPOCHS
from leukoscope.replication.recipe import StudyRecipe, Unit


def unit_folder(study: Path, unit: Unit) -> Path:
    """Name the run folder of one unit; over folds each stands within its replicate's."""
    units = "units" + (EQUAL_EPOCHS if unit.equal_epochs else "")
    return study / units / unit.arm / place_name(unit.replicate, unit.fold)


def place_name(replicate: int, fold: int | None) -> str:
    """Name a replicate, and a fold within it, as folders do."""
    return f"{replicate:02d}" + ("" if fold is None else f"/{fold:02d}")


def run_id_of(recipe: StudyRecipe, unit: Unit) -> str:
    """Name a unit as its predictions do."""
    analysis = recipe.name + (EQUAL_EPOCHS if unit.equal_epochs else "")
    return f"{analysis}/{unit.arm}/{place_name(unit.replicate, unit.fold)}"


def read_predictions(study: Path, unit: Unit) -> pl.DataFrame:
    """Read what a unit called the test cells. Raises SchemaError if it left no table of it."""
    return tables.read_table(unit_folder(study, unit) / "predictions.parquet", shapes.PREDICTIONS)


def has_history(study: Path, unit: Unit) -> bool:
    """Tell whether a unit was trained by updates: a classical model is fitted in one go."""
    return (unit_folder(study, unit) / "history.csv").is_file()


def read_history(study: Path, unit: Unit) -> pl.DataFrame:
    """Read how a unit's training went: a row each time validation was scored."""
    return history_of(unit_folder(study, unit))
