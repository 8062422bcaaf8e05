"""The life of a study folder: its units are run folders, its tables follow from them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, RunError, UsageError
from leukoscope.models.cards import WeightsCard
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset, manifest_digest
from leukoscope.records.lineage import is_copy
from leukoscope.records.recipes import write_recipe
from leukoscope.records.runs import read_done
from leukoscope.replication.arms import start_of
from leukoscope.replication.folds import (
    ONE_DIVISION,
    Folds,
    called_cells,
    fitting_the_folds,
    folds_of,
    n_originals,
    places_of,
    sides_of,
)
from leukoscope.replication.generators import (
    check_generator,
    with_generated,
    without_generated,
    write_generators,
)
from leukoscope.replication.pictures import write_pictures
from leukoscope.replication.recipe import StudyRecipe, Unit
from leukoscope.replication.starts import check_networks
from leukoscope.replication.tabulation import write_results
from leukoscope.replication.units import run_id_of, unit_folder
from leukoscope.synthesis.features import JudgeFeatures
from leukoscope.training.run import train_run
from leukoscope.training.sides import sides_for, split_digest

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
    features: JudgeFeatures | None = None,
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
    features : JudgeFeatures, optional
        What the study's generators are stopped and judged by; needed where it has any.

    Returns
    -------
    Path
        *out*, with ``results.parquet``, ``confusion.parquet``, ``curves.parquet``,
        ``missed.parquet``, ``composition.parquet``, ``pictures.parquet`` and, where arms have
        generated cells, ``generators.parquet``.

    Raises
    ------
    UsageError
        If *out* holds another study, or its folds are not those of the split.
    DataError
        If the split is missing, parts a group or has no test cells, or the test collection
        holds cells of the training pool.
    RunError
        If a run fails, arms of one network did not start from equal weights in a replicate, or
        too many of a generator's cells are flagged.
    """
    recipe, folds, divided = settled(recipe, dataset, weights, test)
    facts = facts_of(recipe, dataset, folds, test, features)
    refuse_other_study(recipe, facts, out)
    _begin(recipe, facts, out)
    _train_units(recipe, dataset, folds, weights, out, device, test, features)
    _check_starts(recipe, folds, out)
    write_results(recipe, out, folds)
    _write_composition(recipe, dataset, folds, divided, out)
    if recipe.generator is not None:
        write_generators(recipe, folds, out)
    write_pictures(recipe, dataset, folds, divided, test or dataset, out)
    return out


def settled(
    recipe: StudyRecipe,
    dataset: Dataset,
    weights: Mapping[str, WeightsCard],
    test: Dataset | None,
) -> tuple[StudyRecipe, Folds, pl.DataFrame]:
    """Settle a study on a dataset, and refuse before anything is written what a unit would.

    Returns
    -------
    recipe : StudyRecipe
        With the number of cells of a draw that its pool can give.
    folds : tuple
        See :func:`leukoscope.replication.folds.folds_of`.
    divided : polars.DataFrame
        The cells with their side, in the first division.

    Raises
    ------
    UsageError
        If the folds are not those of the split.
    DataError
        If a side is empty, the pool is too small, a generator could not be fitted to it, or the
        test holds what a run or the model behind the weights saw.
    """
    folds = folds_of(recipe, dataset, test)
    divided = sides_of(recipe, dataset, test)
    places = list(places_of(recipe, folds))
    if recipe.folds:
        pools = [n_originals(sides_of(recipe, dataset, test, place)) for place in places]
        recipe = fitting_the_folds(recipe, min(pools))
    else:
        recipe = fitting_the_pool(recipe, divided)
    if recipe.generator is not None:
        check_generator(recipe, dataset, folds)
    for place in places:
        _check_units(recipe, sides_of(recipe, dataset, test, place), place, weights)
    check_networks(recipe, len(dataset.card.categories), weights)
    return recipe, folds, divided


def _check_units(
    recipe: StudyRecipe,
    divided: pl.DataFrame,
    place: tuple[int, int | None],
    weights: Mapping[str, WeightsCard],
) -> None:
    """Refuse what the units of a division would; once for arms with equal cells and weights."""
    known = set()
    for arm in recipe.arms:
        training = recipe.training_of(Unit(arm, place[0], fold=place[1]))
        card = weights.get(arm)
        alike = (training.train_cells, training.calibrate, card and card.origin.sha256)
        if alike not in known:
            # Generated cells come later; until then an arm of these alone has its originals.
            sides_for(divided, without_generated(training), card)
        known.add(alike)


def _train_units(
    recipe: StudyRecipe,
    dataset: Dataset,
    folds: Folds,
    weights: Mapping[str, WeightsCard],
    out: Path,
    device: str,
    test: Dataset | None,
    features: JudgeFeatures | None,
) -> None:
    todo = recipe.units(folds)
    place, used = None, dataset
    for done, unit in enumerate(todo):
        progress.tell("units", done, len(todo))
        if recipe.generator is not None and place != (unit.replicate, unit.fold):
            place = (unit.replicate, unit.fold)
            used = with_generated(recipe, dataset, place, features=features, out=out, device=device)
        # A finished unit is left as it is, once it is known to be this very one.
        train_run(
            used,
            recipe.training_of(unit),
            weights=weights.get(unit.arm),
            out=unit_folder(out, unit),
            device=device,
            run_id=run_id_of(recipe, unit),
            test=test,
        )
    progress.tell("units", len(todo), len(todo))


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


def _begin(recipe: StudyRecipe, facts: dict[str, Any], out: Path) -> None:
    if (out / "study.yaml").is_file():
        return

    def build(folder: Path) -> None:
        files.write_json(folder / "dataset.json", facts)
        write_recipe(folder / "study.yaml", recipe)

    files.build_folder(out, build)


def facts_of(
    recipe: StudyRecipe,
    dataset: Dataset,
    folds: Folds,
    test: Dataset | None,
    features: JudgeFeatures | None,
) -> dict[str, Any]:
    """Say what a study was begun with, beside its recipe."""
    parts: dict[str, pl.DataFrame] = {}
    for replicate, fold in places_of(recipe, folds):
        divided = sides_of(recipe, dataset, test, (replicate, fold))
        name = "" if fold is None else f"{replicate}/{fold}/"
        parts |= {name + str(side): part for (side,), part in divided.group_by("split")}
    facts: dict[str, Any] = {
        "name": dataset.card.name,
        "manifest_digest": manifest_digest(dataset.manifest),
        "source": dataset.card.source,
        "licence": dataset.card.licence,
        "citation": dataset.card.citation,
        "split": recipe.training.split,
        "split_digest": split_digest(parts),
        "recipe_id": recipe.recipe_id,
    }
    if folds != ONE_DIVISION:
        facts["n_folds"] = len(folds)
    if recipe.generator is not None and features is not None:
        facts["features"] = {"name": features.name, "digest": features.digest}
    if test is None:
        return facts
    card = test.card
    about = {"name": card.name, "source": card.source, "licence": card.licence}
    about |= {"citation": card.citation, "manifest_digest": manifest_digest(test.manifest)}
    return facts | {"test": about}


def refuse_other_study(recipe: StudyRecipe, facts: dict[str, Any], out: Path) -> None:
    """Refuse a folder that holds another study than this; one that holds none is no other.

    Raises
    ------
    UsageError
        If its recipe, dataset, split, test collection or judge's features are others.
    """
    if not (out / "study.yaml").is_file():
        return
    stored = StudyRecipe.from_yaml(out / "study.yaml")
    # The recipes themselves were compared: an id changes with the version that wrote it.
    before = files.read_json(out / "dataset.json") | {"recipe_id": recipe.recipe_id}
    what = "another recipe" if stored != recipe else "another dataset, split or test collection"
    if stored == recipe and before.get("features") != facts.get("features"):
        what = f"generators judged by {before.get('features', {}).get('name', 'nothing')}"
    if stored != recipe or before != facts:
        raise UsageError(
            f"{out} holds a study with {what}; it was left untouched. "
            "Give --out a new name, or the options it was started with."
        )


def _write_composition(
    recipe: StudyRecipe, dataset: Dataset, folds: Folds, divided: pl.DataFrame, out: Path
) -> None:
    """Count cells, families and cases; where no case of a side is known, none is counted.

    Over folds the test is all folds of the first replicate together, the rest its first fold's.
    """
    if folds != ONE_DIVISION:
        rest = divided.filter(pl.col("split") != "test")
        divided = pl.concat([rest, called_cells(recipe, dataset, folds)])
    n_cases = pl.when(pl.col("case").count() > 0).then(pl.col("case").drop_nulls().n_unique())
    table = divided.group_by("split", "category").agg(
        n_cells=pl.len(), n_families=pl.col("family").n_unique(), n_cases=n_cases
    )
    tables.write_both(out, "composition", table, shapes.COMPOSITION)


def _check_starts(recipe: StudyRecipe, folds: Folds, out: Path) -> None:
    """Refuse a study whose arms of one network did not start alike within replicate and fold."""
    starts: dict[tuple[int, int | None, str], dict[Unit, str]] = {}
    for unit in recipe.units(folds):
        digest = read_done(unit_folder(out, unit)).get("starting_weights_digest")
        if digest is not None:
            alike = (unit.replicate, unit.fold, start_of(recipe.training_of(unit)))
            starts.setdefault(alike, {})[unit] = digest
    for (replicate, fold, _), found in starts.items():
        if len(set(found.values())) > 1:
            names = ", ".join(dict.fromkeys(unit.arm for unit in found))
            raise RunError(
                f"In replicate {replicate}{'' if fold is None else f', fold {fold},'} the arms "
                f"{names} did not start from equal "
                "weights, so they cannot be compared. The units were left as they are; their "
                "environment.json tells on which machine each was made."
            )
