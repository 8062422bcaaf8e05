"""A study's generators: one fitted, sampled, judged and combined in every replicate and fold."""

import math
from pathlib import Path
from typing import Any

import polars as pl

from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, RunError
from leukoscope.intake.combined import combine
from leukoscope.intake.stratified import training_draw
from leukoscope.intake.thumbnails import thumbnails
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset, read_dataset
from leukoscope.records.generators import read_generator
from leukoscope.records.judged import MEMORISED, read_judged, write_judged
from leukoscope.records.judgements import write_judgement_tables
from leukoscope.records.lineage import is_copy, is_generated
from leukoscope.records.runs import is_finished
from leukoscope.replication.folds import Folds, sides_of
from leukoscope.replication.recipe import StudyRecipe, Unit
from leukoscope.replication.units import place_name
from leukoscope.synthesis.cells import foreseen, parted
from leukoscope.synthesis.features import JudgeFeatures
from leukoscope.synthesis.judge import judge_generated
from leukoscope.synthesis.pace import generator_pace
from leukoscope.synthesis.pools import FEWEST
from leukoscope.synthesis.run import synthesise_run
from leukoscope.synthesis.sampling import sample_run
from leukoscope.training.settings import AnyTraining

RESERVE = (1.25, 2.5, 5.0)
"""Cells are sampled so many times over, the next where too many of the last were flagged."""

Place = tuple[int, int | None]
_USED, _JUDGED = "used.json", "judgement.json"
_SHOWN = 4


def generator_folder(study: Path, place: Place) -> Path:
    """Name where a study keeps the generator of a replicate, and of a fold within it."""
    return study / "generators" / place_name(*place)


def run_folder(study: Path, place: Place) -> Path:
    """Name the run of a replicate's generator: by its place, for its card is called after it."""
    return generator_folder(study, place) / f"run-{place_name(*place).replace('/', '-')}"


def without_generated(training: AnyTraining) -> AnyTraining:
    """Take the generated cells out of a training: what can be checked before there are any."""
    return training.model_copy(update={"generated": 0.0, "originals": True})


def check_generator(recipe: StudyRecipe, dataset: Dataset, folds: Folds) -> None:
    """Refuse what a generator of the first replicate, or its judge, would refuse after hours.

    Raises
    ------
    DataError
        If a category has too few cells to be fitted to, validation has too few to stop and judge,
        or the dataset holds copies or generated cells already.
    """
    # What is doubtful about one fold's cells mostly is of the next one's: it is told once.
    said: dict[str, None] = {}
    for fold in folds:
        with progress.noting(said.setdefault):
            cells = parted(dataset, recipe.generator_of(0, fold))
        n_judging = cells.filter(part="judge").height
        if n_judging < FEWEST:
            raise DataError(
                f"Only {n_judging} validation cells would judge what a generator draws, at least "
                f"{FEWEST} are needed. Nothing was started. Split with a larger "
                "--validation-share, or into fewer folds."
            )
    for sentence in said:
        progress.note(sentence)


def needed(recipe: StudyRecipe, divided: pl.DataFrame, place: Place) -> dict[str, int]:
    """Count the generated cells of each category that the hungriest arm of a replicate takes.

    Parameters
    ----------
    recipe : StudyRecipe
        The study, its number of training cells settled.
    divided : polars.DataFrame
        The cells of the replicate and fold with their side.
    place : (int, int or None)
        The replicate and the fold.

    Returns
    -------
    dict of str to int
        By category of the drawn cells.
    """
    train = divided.filter((pl.col("split") == "train") & ~is_copy())
    most: dict[str, int] = {}
    for name, arm in recipe.arms.items():
        training = recipe.training_of(Unit(name, place[0], fold=place[1]))
        drawn = training_draw(train, training.train_cells, training.seed)
        for category, n in drawn.group_by("category").len().iter_rows():
            most[category] = max(most.get(category, 0), math.ceil(arm.generated * n))
    return dict(sorted(most.items()))


def with_generated(
    recipe: StudyRecipe,
    dataset: Dataset,
    place: Place,
    *,
    features: JudgeFeatures | None,
    out: Path,
    device: str,
) -> Dataset:
    """Give the dataset that the arms of a replicate (and fold) are trained on: with new cells.

    A generator is fitted to the replicate's own draw, sampled, judged, and what is not flagged is
    combined with the dataset; each step is left out where it is finished.

    Parameters
    ----------
    recipe : StudyRecipe
        The study, its number of training cells settled.
    dataset : Dataset
        What all replicates share.
    place : (int, int or None)
        The replicate and the fold.
    features : JudgeFeatures
        What stops and judges.
    out : Path
        The study folder.
    device : str
        ``auto``, ``cpu`` …

    Returns
    -------
    Dataset
        Of ``generators/<replicate>/combined`` in it.

    Raises
    ------
    DataError
        If a category has too few cells, or validation too few to stop and judge.
    RunError
        If the fit fails, or too many cells are flagged.
    """
    folder = generator_folder(out, place)
    if (folder / _USED).is_file():
        return read_dataset(folder / "combined")
    assert features is not None
    stated = recipe.generator_of(*place)
    run = run_folder(out, place)
    synthesise_run(dataset, stated, features=features, out=run, device=device)
    need = needed(recipe, sides_of(recipe, dataset, None, place), place)
    found = _sampled(
        run, dataset, need, stated.seed, features=features, folder=folder, device=device
    )
    if not (folder / "combined" / "dataset.json").is_file():
        combine(dataset.folder, found, out=folder / "combined", split=stated.split)
    files.write_json(folder / _USED, {"sample": found.name, "needed": need})
    return read_dataset(folder / "combined")


def _sampled(
    run: Path,
    dataset: Dataset,
    need: dict[str, int],
    seed: int,
    *,
    features: JudgeFeatures,
    folder: Path,
    device: str,
) -> Path:
    """Sample with a reserve and judge, with a larger one where too many are flagged."""
    categories = read_generator(run).categories
    left: dict[str, int] = {}
    for turn, times in enumerate(RESERVE, start=1):
        sample, judgement = folder / f"sample-{turn}", folder / f"judgement-{turn}"
        n = math.ceil(max(need.values()) * times) * len(categories)
        if not (sample / "dataset.json").is_file():
            sample_run(run, n=n, out=sample, seed=seed, device=device)
        if not (judgement / _JUDGED).is_file():
            _judge(dataset, sample, judgement, features=features, seed=seed)
        left = usable(sample)
        if all(left.get(category, 0) >= wanted for category, wanted in need.items()):
            return sample
        progress.note(f"{sample} has too few cells that are not flagged: {_short(need, left)}.")
    n_flagged = n - sum(left.values())
    raise RunError(
        f"The generator in {run} gives too few cells of its own: of {n} sampled, {RESERVE[-1]:g} "
        f"times those needed, {n_flagged} are flagged as memorised ({_short(need, left)} are "
        "left). What is finished stands. State another generator in a new study, with fewer "
        "updates or more training cells, or less `generated`."
    )


def _judge(
    dataset: Dataset,
    sample: Path,
    judgement: Path,
    *,
    features: JudgeFeatures,
    seed: int,
) -> None:
    """Judge a sample: findings into its own folder, then the tables into the judgement's."""
    drawn = read_dataset(sample)
    found = judge_generated(dataset, drawn, features=features, seed=seed)
    write_judged(drawn, found.findings)
    judgement.mkdir(exist_ok=True)
    write_judgement_tables(judgement, found)


def _short(need: dict[str, int], left: dict[str, int]) -> str:
    lacking = [name for name, wanted in need.items() if left.get(name, 0) < wanted]
    return ", ".join(f"{name} {left.get(name, 0)} of {need[name]}" for name in lacking)


def usable(sample: Path) -> dict[str, int]:
    """Count a judged sample's cells that are not flagged as memorised, by category."""
    drawn = read_dataset(sample)
    flagged = read_judged(drawn).filter(check=MEMORISED)["cell_id"].to_list()
    cells = drawn.manifest.filter(~pl.col("cell_id").is_in(flagged))
    return dict(cells.group_by("category").len().sort("category").iter_rows())


def write_generators(recipe: StudyRecipe, folds: Folds, out: Path) -> None:
    """Write ``generators.parquet`` and ``.csv``: how each replicate's generator was judged."""
    rows = [_judged_row(out, place) for place in every_place(recipe, folds)]
    table = pl.DataFrame(rows, schema=shapes.GENERATORS.columns)
    tables.write_both(out, "generators", table, shapes.GENERATORS)


def every_place(recipe: StudyRecipe, folds: Folds) -> list[Place]:
    """List the replicates, and folds within them, that have a generator each."""
    return [(replicate, fold) for replicate in range(recipe.replicates) for fold in folds]


def _judged_row(out: Path, place: Place) -> dict[str, Any]:
    folder = generator_folder(out, place)
    used = files.read_json(folder / _USED)
    run, sample = run_folder(out, place), folder / used["sample"]
    judgement = folder / used["sample"].replace("sample", "judgement")
    results = tables.read_table(judgement / "results.parquet", shapes.RESULTS)
    over_all = results.filter(pl.col("category").is_null())
    value = {(row["arm"], row["metric"]): row for row in over_all.iter_rows(named=True)}

    def of(metric: str, arm: str = "generated", what: str = "value") -> float | None:
        row = value.get((arm, metric))
        return None if row is None else row[what]

    n_sampled = read_dataset(sample).manifest.height
    return {
        "replicate": place[0],
        "fold": place[1],
        "n_fit": tables.read_table(run / "cells.parquet", shapes.FITTED).filter(part="fit").height,
        "n_sampled": n_sampled,
        "n_flagged": n_sampled - sum(usable(sample).values()),
        **{name: of(name) for name in ("kid", "precision", "recall")},
        **{f"{name}_real": of(name, "real") for name in ("kid", "precision", "recall")},
        "memorisation_p": of("memorisation", what="p_value"),
    }


def generator_rows(
    recipe: StudyRecipe, folds: Folds, out: Path, dataset: Dataset, device: str
) -> list[tuple[str, float | None, str, str]]:
    """Say for a plan how many generators a study fits, and what their fits would take."""
    places = every_place(recipe, folds)
    done = [place for place in places if is_finished(run_folder(out, place))]
    stated = recipe.generator_of(*places[0])
    _, members = foreseen(dataset, stated)
    n_categories = max(len(member.categories) for member in members)
    seconds = len(members) * generator_pace(stated, n_categories, device).of(stated)
    basis = "some updates timed on this machine now; without looks, sampling and judging"
    return [
        ("generators", len(places), "fits", f"{len(done)} of them finished in {out}"),
        ("time of the generators", seconds * (len(places) - len(done)) / 3600, "hours", basis),
    ]


def generated_pictures(recipe: StudyRecipe, folds: Folds, out: Path) -> list[dict[str, Any]]:
    """Show the first generated cells of each category that the first replicate was trained on."""
    combined = read_dataset(generator_folder(out, (0, folds[0])) / "combined")
    order = pl.col("copy").cum_count().over("category")
    cells = combined.manifest.filter(is_generated()).sort("category", "copy")
    shown = cells.filter(order <= _SHOWN)
    assert recipe.generator is not None
    pictures = thumbnails(combined, shown["cell_id"], recipe.generator.size_px)
    arm = next(name for name, stated in recipe.arms.items() if stated.generated)
    return [
        {"kind": "generated", "arm": arm, "cell_id": row["cell_id"], "category": row["category"]}
        | {"copy": row["copy"], "png": pictures[row["cell_id"]]}
        for row in shown.iter_rows(named=True)
    ]
