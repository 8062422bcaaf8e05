"""The life of a study folder: its units are run folders, its tables follow from them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, RunError, UsageError
from leukoscope.models.cards import WeightsCard
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset, manifest_digest, read_split
from leukoscope.records.lineage import is_copy
from leukoscope.records.recipes import write_recipe
from leukoscope.records.runs import read_done
from leukoscope.replication.arms import start_of
from leukoscope.replication.pictures import write_pictures
from leukoscope.replication.recipe import StudyRecipe, Unit
from leukoscope.replication.starts import check_networks
from leukoscope.replication.tabulation import write_results
from leukoscope.replication.units import run_id_of, unit_folder
from leukoscope.training.run import train_run
from leukoscope.training.sides import sides_for, split_digest, test_cells

_POOL_SHARE = 0.8
"""At most this share of the training pool is drawn: replicates must differ in their cells."""


def run_study(
    recipe: StudyRecipe,
    dataset: Dataset,
    *,
    weights: Mapping[str, WeightsCard],
    out: Path,
    device: str,
    test: Dataset | None = None,
) -> Path:
    """Train what is not trained yet, then write the study's tables.

    Parameters
    ----------
    recipe : StudyRecipe
        What to compare.
    dataset : Dataset
        With the split the recipe names.
    weights : mapping of str to WeightsCard
        Starting weights of those arms that have any; see :func:`starts.with_starts`.
    out : Path
        The study folder; what is finished in it is kept.
    device : str
        ``auto``, ``cpu`` …
    test : Dataset, optional
        A separate collection that all arms are tested on, instead of the split's test.

    Returns
    -------
    Path
        *out*, with ``results.parquet``, ``confusion.parquet``, ``curves.parquet``,
        ``missed.parquet``, ``composition.parquet`` and ``pictures.parquet``.

    Raises
    ------
    UsageError
        If *out* holds another study.
    DataError
        If the split is missing, parts a group or has no test cells, or the test collection
        holds cells of the training pool.
    RunError
        If a run fails, or arms of one network did not start from equal weights in a replicate.
    """
    divided = sides_of(recipe, dataset, test)
    recipe = fitting_the_pool(recipe, divided)
    check_units(recipe, divided, weights)
    check_networks(recipe, len(dataset.card.categories), weights)
    _begin(recipe, dataset, divided, test, out)
    todo = recipe.units()
    for done, unit in enumerate(todo):
        progress.tell("units", done, len(todo))
        # A finished unit is left as it is, once it is known to be this very one.
        train_run(
            dataset,
            recipe.training_of(unit),
            weights=weights.get(unit.arm),
            out=unit_folder(out, unit),
            device=device,
            run_id=run_id_of(recipe, unit),
            test=test,
        )
    progress.tell("units", len(todo), len(todo))
    _check_starts(recipe, out)
    write_results(recipe, out)
    _write_composition(divided, out)
    write_pictures(recipe, dataset, divided, test or dataset, out)
    return out


def check_units(
    recipe: StudyRecipe, divided: pl.DataFrame, weights: Mapping[str, WeightsCard]
) -> None:
    """Refuse before anything is written what the first unit of an arm would refuse.

    Raises
    ------
    DataError
        If a side is empty, or the test holds what a run or the model behind the weights saw.
    """
    for arm in recipe.arms:
        sides_for(divided, recipe.training_of(Unit(arm, 0)), weights.get(arm))


def sides_of(recipe: StudyRecipe, dataset: Dataset, test: Dataset | None) -> pl.DataFrame:
    """Read the study's cells with their side; the test's from a collection of its own, if given.

    Raises
    ------
    DataError
        If the split is missing, parts a group or has no test cells, or the test collection
        holds cells of the training pool.
    """
    training = recipe.training
    divided = read_split(dataset, training.split, training.repeat, training.fold)
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


def fitting_the_pool(recipe: StudyRecipe, divided: pl.DataFrame) -> StudyRecipe:
    """Keep each replicate's draw below the whole pool, and say so in the stored recipe.

    Raises
    ------
    DataError
        If the pool is too small to draw several trainings from.
    """
    train = divided.filter((pl.col("split") == "train") & ~is_copy())
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


def _begin(
    recipe: StudyRecipe, dataset: Dataset, divided: pl.DataFrame, test: Dataset | None, out: Path
) -> None:
    refuse_other_study(recipe, dataset, divided, test, out)
    if (out / "study.yaml").is_file():
        return

    def build(folder: Path) -> None:
        files.write_json(folder / "dataset.json", _facts(recipe, dataset, divided, test))
        write_recipe(folder / "study.yaml", recipe)

    files.build_folder(out, build)


def _facts(
    recipe: StudyRecipe, dataset: Dataset, divided: pl.DataFrame, test: Dataset | None
) -> dict[str, Any]:
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
    if test is None:
        return facts
    card = test.card
    about = {"name": card.name, "source": card.source, "licence": card.licence}
    about |= {"citation": card.citation, "manifest_digest": manifest_digest(test.manifest)}
    return facts | {"test": about}


def refuse_other_study(
    recipe: StudyRecipe, dataset: Dataset, divided: pl.DataFrame, test: Dataset | None, out: Path
) -> None:
    """Refuse a folder that holds another study than this; one that holds none is no other.

    Raises
    ------
    UsageError
        If its recipe, dataset, split or test collection is another.
    """
    if not (out / "study.yaml").is_file():
        return
    facts = _facts(recipe, dataset, divided, test)
    stored = StudyRecipe.from_yaml(out / "study.yaml")
    what = "another recipe" if stored != recipe else "another dataset, split or test collection"
    # The recipes themselves were compared: an id changes with the version that wrote it.
    before = files.read_json(out / "dataset.json") | {"recipe_id": recipe.recipe_id}
    if stored != recipe or before != facts:
        raise UsageError(
            f"{out} holds a study with {what}; it was left untouched. "
            "Give --out a new name, or the options it was started with."
        )


def _by_side(divided: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    return [(str(side), part) for (side,), part in divided.group_by("split")]


def _write_composition(divided: pl.DataFrame, out: Path) -> None:
    """Count cells, families and cases; where no case of a side is known, none is counted."""
    n_cases = pl.when(pl.col("case").count() > 0).then(pl.col("case").drop_nulls().n_unique())
    table = divided.group_by("split", "category").agg(
        n_cells=pl.len(), n_families=pl.col("family").n_unique(), n_cases=n_cases
    )
    tables.write_both(out, "composition", table, shapes.COMPOSITION)


def _check_starts(recipe: StudyRecipe, out: Path) -> None:
    """Refuse a study whose arms of one network did not start alike within a replicate."""
    starts: dict[tuple[int, str], dict[Unit, str]] = {}
    for unit in recipe.units():
        digest = read_done(unit_folder(out, unit)).get("starting_weights_digest")
        if digest is not None:
            alike = (unit.replicate, start_of(recipe.training_of(unit)))
            starts.setdefault(alike, {})[unit] = digest
    for (replicate, _), found in starts.items():
        if len(set(found.values())) > 1:
            names = ", ".join(dict.fromkeys(unit.arm for unit in found))
            raise RunError(
                f"In replicate {replicate} the arms {names} did not start from equal "
                "weights, so they cannot be compared. The units were left as they are; their "
                "environment.json tells on which machine each was made."
            )
