"""What a study would take, and what it could see, before anything of it is run."""

import math
from pathlib import Path

import polars as pl

from leukoscope.evaluation.comparisons import PARTS
from leukoscope.foundation.errors import DataError
from leukoscope.models.probes import WITHOUT_NETWORK
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset
from leukoscope.records.groups import groups_of, unit_of
from leukoscope.records.runs import NetworkRecipe, is_finished, read_done
from leukoscope.replication.folds import ONE_DIVISION, Folds, called_cells
from leukoscope.replication.generators import generator_rows
from leukoscope.replication.recipe import StudyRecipe, Unit
from leukoscope.replication.study import facts_of, refuse_other_study, settled
from leukoscope.replication.units import unit_folder
from leukoscope.stats.design import ASSUMED_ICC
from leukoscope.stats.power import Parts, assumed_parts, scaled_parts, smallest_difference
from leukoscope.synthesis.features import JudgeFeatures
from leukoscope.training.frozen import is_new_each_visit
from leukoscope.training.pace import Pace, measure_pace
from leukoscope.training.probe import ProbeRecipe
from leukoscope.training.recipe import TrainingRecipe
from leukoscope.training.settings import AnyTraining, frozen_in
from leukoscope.training.sides import of_people

POWER = 0.8
DISCORDANCE, REPLICATE_SD, COMMON_SHARE = 0.17, 0.02, 0.4
"""What is assumed without a pilot, about the largest seen in studies of rotation on real cells
(``results/first-walk/assumptions.csv``): on how many test cells of two arms one is right and the
other wrong, the spread over replicates of their difference in accuracy, and the correlation of a
cell's difference between replicates."""

_BYTES_A_WEIGHT, _BYTES_A_PREDICTION, _BYTES_A_UNIT = 4, 150, 300_000
_CHECKPOINT_WEIGHTS = 4  # the weights, their best stage, and two moments of the optimiser

_TIMED = (
    *NetworkRecipe.model_fields,
    *("preprocessing", "batch_size", "optimiser", "frozen_groups", "bagging"),
    *("average_decay", "clip_norm", "precision"),
)
"""What the time of an update depends on, beside the augmentation."""

SMALLEST = "smallest difference it could see"
Row = tuple[str, float | None, str, str]
PLAN = {"quantity": pl.String(), "value": pl.Float64(), "unit": pl.String(), "basis": pl.String()}
"""The columns of a plan: what, how much, in which unit, and how that was got."""


def plan_study(
    recipe: StudyRecipe,
    dataset: Dataset,
    *,
    out: Path,
    device: str,
    test: Dataset | None = None,
    pilot: Path | None = None,
    features: JudgeFeatures | None = None,
) -> pl.DataFrame:
    """Say how many trainings a study needs, their time and room, and what it could see.

    Parameters
    ----------
    recipe : StudyRecipe
        What would be compared.
    dataset : Dataset
        With the split the recipe names.
    out : Path
        The study folder; units finished in it are counted, and their time is taken.
    device : str
        ``auto``, ``cpu`` …; without finished units, a few updates are timed on it.
    test : Dataset, optional
        A separate test collection.
    pilot : Path, optional
        A finished study whose variance is taken; its effect is not looked at.
    features : JudgeFeatures, optional
        What the study's generators would be judged by.

    Returns
    -------
    polars.DataFrame
        The columns of :data:`PLAN`. Nothing is written.

    Raises
    ------
    UsageError
        If *out* holds another study.
    DataError
        If a side of the split has no cells, the pool is too small, or the pilot is no
        finished study with the same metric and unit of inference.
    """
    recipe, folds, divided = settled(recipe, dataset, {}, test)
    refuse_other_study(recipe, facts_of(recipe, dataset, folds, test, features), out)
    counts = {str(side): part.height for (side,), part in divided.group_by("split")}
    rows = [*_work(recipe, out, dataset, folds, counts, device)]
    if recipe.generator is not None:
        rows += generator_rows(recipe, folds, out, dataset, device)
    rows += _sight(recipe, _tested(recipe, dataset, folds, divided, test), pilot)
    return pl.DataFrame(rows, schema=PLAN, orient="row")


def _work(
    recipe: StudyRecipe,
    out: Path,
    dataset: Dataset,
    folds: Folds,
    counts: dict[str, int],
    device: str,
) -> list[Row]:
    units = recipe.units(folds)
    done = [unit for unit in units if is_finished(unit_folder(out, unit))]
    left = [unit for unit in units if unit not in done]
    paces = paces_of(recipe, len(dataset.card.categories), device)
    seconds = [_seconds(recipe, unit, paces[unit.arm], counts) for unit in left]
    basis = "some updates timed on this machine now, alone; other work beside it takes longer"
    if any(isinstance(recipe.training_of(unit), ProbeRecipe) for unit in left):
        basis += "; without the fitting of classical models"
    if done:
        known = sum(_seconds(recipe, unit, paces[unit.arm], counts) for unit in done)
        took = sum(read_done(unit_folder(out, unit))["seconds_since_last_start"] for unit in done)
        seconds = [one * took / known if known else one for one in seconds]
        basis = f"the time {len(done)} finished units took since they were last started"
    models = sum(paces[unit.arm].n_weights for unit in units) * _BYTES_A_WEIGHT
    tables_ = len(units) * (_BYTES_A_UNIT + counts["test"] * _BYTES_A_PREDICTION)
    most = max(pace.n_weights for pace in paces.values())
    working = _CHECKPOINT_WEIGHTS * most * _BYTES_A_WEIGHT
    sizes = {recipe.training_of(Unit(arm, 0)).preprocessing.size_px for arm in recipe.arms}
    pixels = sum(counts.values()) * 3 * sum(size_px**2 for size_px in sizes)
    return [
        ("arms", len(recipe.arms), "arms", ", ".join(recipe.arms)),
        ("replicates", recipe.replicates, "replicates", "as stated"),
        *_fold_rows(folds),
        ("units", len(units), "trainings", f"{len(done)} of them finished in {out}"),
        ("updates", _updates(recipe, left), "updates", "of the units that are left"),
        ("time", sum(seconds) / 3600, "hours", basis),
        *_pace_rows(recipe, paces),
        (
            "disk",
            (models + tables_ + working + pixels) / 1e9,
            "GB",
            "a model a unit, predictions, one checkpoint, the pixels at each size",
        ),
    ]


def _updates(recipe: StudyRecipe, units: list[Unit]) -> int:
    trainings = [recipe.training_of(unit) for unit in units]
    return sum(each.updates for each in trainings if isinstance(each, TrainingRecipe))


def _seconds(recipe: StudyRecipe, unit: Unit, pace: Pace, counts: dict[str, int]) -> float:
    training = recipe.training_of(unit)
    special = recipe.arms[unit.arm]
    drawn = (training.train_cells or counts["train"]) * (1 + training.copies)
    drawn = round(drawn * (special.originals + special.generated))
    if isinstance(training, ProbeRecipe):
        return (drawn + counts["test"]) * pace.predict_s
    if _is_computed_once(training):
        return (drawn + counts["validation"] + counts["test"]) * pace.predict_s
    validations = math.ceil(training.updates / training.validate_every)
    predicted = validations * counts["validation"] + counts["test"]
    return training.updates * pace.update_s + predicted * pace.predict_s


def paces_of(recipe: StudyRecipe, n_categories: int, device: str) -> dict[str, Pace]:
    """Time what the arms do, once for all arms that train the same network alike.

    Parameters
    ----------
    recipe : StudyRecipe
        The study.
    n_categories : int
        Outputs of the networks.
    device : str
        ``auto``, ``cpu`` …

    Returns
    -------
    dict of str to Pace
        By arm. A classical model has the pace of the network before it, and none of its own.

    Raises
    ------
    UsageError
        If there is no such device, or a network cannot take pictures of its size.
    """
    timed: dict[str, TrainingRecipe | None] = {}
    for arm in recipe.arms:
        training = _timed_as(recipe.training_of(Unit(arm, 0)), recipe.training)
        alike = _alike(training)
        # Of arms that differ in their augmentation alone, one that has any stands for all.
        if not timed.get(alike) or (training and training.augmentation.steps):
            timed[alike] = training
    paces = {
        alike: measure_pace(training, n_categories, device) if training else Pace(0.0, 0.0, 0)
        for alike, training in timed.items()
    }
    return {
        arm: paces[_alike(_timed_as(recipe.training_of(Unit(arm, 0)), recipe.training))]
        for arm in recipe.arms
    }


def _timed_as(training: AnyTraining, shared: TrainingRecipe) -> TrainingRecipe | None:
    """Give a training that tells the pace of its network; nothing where there is none."""
    if isinstance(training, TrainingRecipe):
        return training
    if training.model in WITHOUT_NETWORK:
        return None
    own = {name: getattr(training, name) for name in NetworkRecipe.model_fields}
    return TrainingRecipe(**own, preprocessing=training.preprocessing, batch_size=shared.batch_size)


def _alike(training: TrainingRecipe | None) -> str:
    if training is None:
        return "none"
    stages = (training.stages, training.updates) if training.stages else ()
    return repr([*(getattr(training, name) for name in _TIMED), stages])


def _is_computed_once(training: TrainingRecipe) -> bool:
    """Tell whether a head alone is trained, on answers of the frozen rest that are kept."""
    return not is_new_each_visit(training) and set(frozen_in(training)) == {"all-but-head"}


def _pace_rows(recipe: StudyRecipe, paces: dict[str, Pace]) -> list[Row]:
    """Tell arms apart by their pace, where it differs: what equal time needs."""
    if len(set(paces.values())) == 1:
        return []
    return [
        (f"time of an update, {arm}", 1000 * pace.update_s, "ms", "timed now, alone")
        for arm, pace in paces.items()
        if isinstance(recipe.training_of(Unit(arm, 0)), TrainingRecipe)
    ]


def _fold_rows(folds: Folds) -> list[Row]:
    if folds == ONE_DIVISION:
        return []
    return [("folds", len(folds), "folds", "of the split; each is a training of its own")]


def _tested(
    recipe: StudyRecipe,
    dataset: Dataset,
    folds: Folds,
    divided: pl.DataFrame,
    test: Dataset | None,
) -> pl.DataFrame:
    """Take the test cells as the study will score them: of cases only where all cases are known."""
    if folds != ONE_DIVISION:
        return called_cells(recipe, dataset, folds)
    called = divided.filter(pl.col("split") == "test")
    return called if test else of_people(called, divided.filter(pl.col("split") != "test"))


def _sight(recipe: StudyRecipe, test: pl.DataFrame, pilot: Path | None) -> list[Row]:
    n_groups = int(groups_of(test).max()) + 1
    kind = unit_of(test)
    size = {"n_groups": n_groups, "n_replicates": recipe.replicates}
    if pilot is None:
        icc = ASSUMED_ICC if kind == "case" else 0.0
        parts = assumed_parts(
            **size,
            discordance=DISCORDANCE,
            replicate_sd=REPLICATE_SD,
            cells_per_group=test.height / n_groups,
            icc=icc,
            common_share=COMMON_SHARE,
        )
        basis, behind = _assumptions(recipe, kind, icc)
    else:
        known = pilot_variance(pilot, recipe.metric, kind)
        parts = scaled_parts(known, **size)
        basis, behind = _from_pilot(recipe, pilot, known)
    n_comparisons = len(recipe.arms) - 1
    found = smallest_difference(parts, power=POWER, n_comparisons=n_comparisons)
    many = f", adjusted for {n_comparisons} comparisons" if n_comparisons > 1 else ""
    basis = f"power {POWER:g}, level .05{many}; {basis}"
    if not found < 1:
        basis = "none: fewer than 2 groups or replicates, or too much noise for any"
    return [
        ("test cells", test.height, "cells", f"{n_groups} groups; the unit is the {kind}"),
        ("margin", 100 * recipe.margin, "points", f"of {recipe.metric}, named in the recipe"),
        (SMALLEST, 100 * found if found < 1 else None, "points", basis),
        *behind,
    ]


def _assumptions(recipe: StudyRecipe, kind: str, icc: float) -> tuple[str, list[Row]]:
    basis = "in accuracy, from the assumptions below"
    if recipe.metric != "accuracy":
        basis += "; means over categories need more, in results/study-level about 1.3 times"
    source = "about the largest seen, results/first-walk/assumptions.csv"
    return basis, [
        ("assumed discordance", DISCORDANCE, "share of cells", source),
        ("assumed spread of replicates", 100 * REPLICATE_SD, "points", source),
        ("assumed correlation between replicates", COMMON_SHARE, "share", source),
        ("assumed correlation in a group", icc, "share", f"the unit is the {kind}"),
    ]


def _from_pilot(recipe: StudyRecipe, pilot: Path, known: Parts) -> tuple[str, list[Row]]:
    parts = (known.variance_groups, known.variance_replicates, known.variance_interaction)
    seen = f"{pilot}, {known.n_groups} groups × {known.n_replicates} replicates"
    rows: list[Row] = [
        (f"pilot's standard error, {part}", 100 * math.sqrt(value), "points", seen)
        for part, value in zip(PARTS, parts, strict=True)
    ]
    return f"in {recipe.metric}, from the variance of the pilot, rescaled to this design", rows


def pilot_variance(pilot: Path, metric: str, unit: str) -> Parts:
    """Read the parts of the variance of a finished study; of several arms, the largest.

    Raises
    ------
    DataError
        If there is no finished study, it holds no such variance, or that of another unit
        of inference: how cells of a person hang together is not in a study of families.
    """
    if not (pilot / "results.parquet").is_file():
        raise DataError(
            f"The pilot {pilot} is no finished study: it holds no results.parquet. Nothing was "
            "planned. Finish it, or leave --pilot out."
        )
    results = tables.read_table(pilot / "results.parquet", shapes.RESULTS)
    names = [f"{metric}_se_{part}" for part in PARTS]
    rows = results.filter(pl.col("metric").is_in(names), pl.col("view") == "strict")
    # The first study of the table is the planned one; equal epochs come after it.
    rows = rows.filter(pl.col("study") == results["study"][0]).drop_nulls("value")
    wide = rows.pivot("metric", index=("arm", "unit", "n_families", "n_cases"), values="value")
    if set(names) - set(wide.columns) or wide.is_empty():
        raise DataError(
            f"The pilot {pilot} does not tell the variance of {metric}: it has fewer than 2 "
            "replicates, or was made by an earlier version (give its study command again: it "
            "only reports). Nothing was planned."
        )
    largest = wide.sort(pl.col(names[0]) ** 2 + pl.col(names[1]) ** 2).row(-1, named=True)
    if largest["unit"] != unit:
        raise DataError(
            f"The pilot {pilot} took the {largest['unit']} as its unit, this study would take the "
            f"{unit}: one's variance says nothing of the other's. Nothing was planned. Leave "
            "--pilot out, or give one of the same kind."
        )
    runs = results.filter(pl.col("replicate").is_not_null(), pl.col("method") == "one run")
    n_groups = largest["n_cases"] if largest["unit"] == "case" else largest["n_families"]
    groups, replicates, interaction = (largest[name] ** 2 for name in names)
    return Parts(groups, replicates, interaction, n_groups, runs["replicate"].n_unique())
