"""The life of a study folder: its units are run folders, its tables follow from them."""

from pathlib import Path

import polars as pl

from leukoscope.evaluation.results import (
    Evaluation,
    confusion_table,
    study_table,
    write_evaluation,
)
from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, RunError, UsageError
from leukoscope.models.weights import WeightsCard
from leukoscope.records import tables
from leukoscope.records.dataset import Dataset, manifest_digest, read_split
from leukoscope.records.recipes import write_recipe
from leukoscope.records.runs import read_done
from leukoscope.replication.recipe import StudyRecipe
from leukoscope.training.run import split_digest, train_run

_POOL_SHARE = 0.8
"""At most this share of the training pool is drawn: replicates must differ in their cells."""


def run_study(
    recipe: StudyRecipe, dataset: Dataset, *, weights: WeightsCard | None, out: Path, device: str
) -> Path:
    """Train what is not trained yet, then write the study's tables.

    Parameters
    ----------
    recipe : StudyRecipe
        What to compare.
    dataset : Dataset
        With the split the recipe names.
    weights : WeightsCard or None
        Starting weights of all arms.
    out : Path
        The study folder; what is finished in it is kept.
    device : str
        ``auto``, ``cpu`` …

    Returns
    -------
    Path
        *out*, with ``results.parquet``, ``confusion.parquet`` and ``composition.parquet``.

    Raises
    ------
    UsageError
        If *out* holds another study.
    DataError
        If the split is missing, parts a group or has no test cells.
    RunError
        If a run fails, or the arms of a replicate did not start from equal weights.
    """
    divided = read_split(
        dataset, recipe.training.split, recipe.training.repeat, recipe.training.fold
    )
    if divided.filter(pl.col("split") == "test").is_empty():
        raise DataError(
            f"The split {recipe.training.split!r} has no test cells: the study would have nothing "
            "to compare. Nothing was started. Make a new split with `leukoscope split`."
        )
    recipe = _fitting_the_pool(recipe, divided)
    _begin(recipe, dataset, divided, out)
    todo = [(r, arm) for r in range(recipe.replicates) for arm in recipe.arms]
    for done, (replicate, arm) in enumerate(todo):
        progress.tell("units", done, len(todo))
        # A finished unit is left as it is, once it is known to be this very one.
        train_run(
            dataset,
            recipe.unit(arm, replicate),
            weights=weights,
            out=unit_folder(out, arm, replicate),
            device=device,
            run_id=f"{recipe.name}/{arm}/{replicate:02d}",
        )
    progress.tell("units", len(todo), len(todo))
    _check_starts(recipe, out)
    write_results(recipe, out)
    return out


def unit_folder(study: Path, arm: str, replicate: int) -> Path:
    """Name the run folder of one unit."""
    return study / "units" / arm / f"{replicate:02d}"


def write_results(recipe: StudyRecipe, out: Path) -> None:
    """Compute the study's results and confusion tables from its finished units."""
    predictions = {
        arm: {
            replicate: tables.read_table(
                unit_folder(out, arm, replicate) / "predictions.parquet", tables.PREDICTIONS
            )
            for replicate in range(recipe.replicates)
        }
        for arm in recipe.arms
    }
    results = study_table(recipe.name, predictions, recipe.baseline, recipe.metric)
    counts = confusion_table({arm: list(runs.values()) for arm, runs in predictions.items()})
    write_evaluation(out, Evaluation(results, counts))


def _fitting_the_pool(recipe: StudyRecipe, divided: pl.DataFrame) -> StudyRecipe:
    """Keep each replicate's draw below the whole pool, and say so in the stored recipe."""
    train = divided.filter((pl.col("split") == "train") & pl.col("origin").is_null())
    most = max(arm.times_originals for arm in recipe.arms.values())
    largest = int(train.height * _POOL_SHARE / most)
    if largest < 2 * train["category"].n_unique():
        raise DataError(
            f"The training split holds {train.height} cells of {train['category'].n_unique()} "
            "categories: too few to draw several trainings from. Nothing was started."
        )
    wanted = recipe.training.train_cells or largest
    if wanted > largest:
        progress.note(
            f"Each training draws {largest} of the {train.height} training cells, not {wanted}"
            + (f" (the largest arm {most:g} times as many)" if most > 1 else "")
            + ": replicates must differ in their cells."
        )
    training = recipe.training.model_copy(update={"train_cells": min(wanted, largest)})
    return recipe.model_copy(update={"training": training})


def _begin(recipe: StudyRecipe, dataset: Dataset, divided: pl.DataFrame, out: Path) -> None:
    facts = {
        "name": dataset.card.name,
        "manifest_digest": manifest_digest(dataset.manifest),
        "source": dataset.card.source,
        "licence": dataset.card.licence,
        "citation": dataset.card.citation,
        "split": recipe.training.split,
        "split_digest": split_digest(dict(_by_side(divided))),
        "recipe_id": recipe.recipe_id,
    }
    if (out / "study.yaml").is_file():
        stored = StudyRecipe.from_yaml(out / "study.yaml")
        what = "another recipe" if stored != recipe else "another dataset or split"
        if stored != recipe or files.read_json(out / "dataset.json") != facts:
            raise UsageError(
                f"{out} holds a study with {what}; it was left untouched. "
                "Give --out a new name, or the options it was started with."
            )
        return

    def build(folder: Path) -> None:
        composition = _composition(divided)
        tables.write_table(folder / "composition.parquet", composition, tables.COMPOSITION)
        files.write_json(folder / "dataset.json", facts)
        write_recipe(folder / "study.yaml", recipe)

    files.build_folder(out, build)


def _by_side(divided: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    return [(str(side), part) for (side,), part in divided.group_by("split")]


def _composition(divided: pl.DataFrame) -> pl.DataFrame:
    return divided.group_by("split", "category").agg(
        n_cells=pl.len(),
        n_families=pl.col("family").n_unique(),
        n_cases=pl.col("case").drop_nulls().n_unique(),
    )


def _check_starts(recipe: StudyRecipe, out: Path) -> None:
    """Refuse a study whose arms did not start from equal weights within a replicate."""
    for replicate in range(recipe.replicates):
        starts = {
            arm: read_done(unit_folder(out, arm, replicate))["starting_weights_digest"]
            for arm in recipe.arms
        }
        if len(set(starts.values())) > 1:
            raise RunError(
                f"In replicate {replicate} the arms {', '.join(starts)} did not start from equal "
                "weights, so they cannot be compared. The units were left as they are; their "
                "environment.json tells on which machine each was made."
            )
