"""Which cells a generator is fitted to, which stop it, which judge it; what is unfit is refused."""

from typing import NamedTuple

import numpy as np
import polars as pl

from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError
from leukoscope.intake.splits import hold_out
from leukoscope.intake.stratified import training_draw
from leukoscope.records.dataset import Dataset, read_split
from leukoscope.records.lineage import is_copy, is_generated
from leukoscope.records.runs import is_seen
from leukoscope.synthesis.features import JudgeFeatures
from leukoscope.synthesis.recipe import FEW, FEWEST, GeneratorRecipe

PARTS = ("fit", "stop", "judge")
_FEWEST_STOPPING = 8


class Member(NamedTuple):
    """Name one generator of a run and what it draws."""

    name: str
    """``shared``, or the one category it draws."""
    categories: tuple[str, ...]
    """In the dataset's order."""


def parted(dataset: Dataset, recipe: GeneratorRecipe) -> pl.DataFrame:
    """Part cells into those that fit, stop and judge a generator.

    Parameters
    ----------
    dataset : Dataset
        With a split of the recipe's name.
    recipe : GeneratorRecipe
        Its split, draw and shares.

    Returns
    -------
    polars.DataFrame
        Rows of the manifest with a column ``part``: of the training split those that a training of
        this seed draws too, and of the validation split, whose families stay together. Test
        and calibration cells are not among them.

    Raises
    ------
    DataError
        If the dataset holds copies or generated cells, a category has too few cells, there are no
        cells to stop by, or pictures are smaller than those to be drawn.
    """
    _refuse_derived(dataset)
    divided = read_split(dataset, recipe.split, recipe.repeat, recipe.fold)
    train, validation = (
        divided.filter(pl.col("split") == side).drop("split") for side in ("train", "validation")
    )
    categories = train["category"].unique().sort().to_list()
    train = training_draw(train, recipe.train_cells, recipe.seed)
    _refuse_few(train, categories)
    held = _held_out(validation, recipe, categories)
    cells = pl.concat([train.with_columns(part=pl.lit("fit")), held])
    _check_sizes(cells, recipe.size_px)
    return cells


def foreseen(dataset: Dataset, recipe: GeneratorRecipe) -> tuple[pl.DataFrame, list[Member]]:
    """Give the cells and the members of a run before it starts.

    What is doubtful about the cells is not told here, but by the run itself. Raises as
    :func:`parted`.
    """
    with progress.noting(lambda _text: None):
        cells = parted(dataset, recipe)
        return cells, members_of(cells, recipe, dataset)


def refuse_seen_tests(dataset: Dataset, recipe: GeneratorRecipe, features: JudgeFeatures) -> None:
    """Refuse features whose network knows cells that are to be tested on.

    By its features the stopping cells choose among the stages of a fit: what it learnt from tests
    would reach the drawings. Raises DataError.
    """
    divided = read_split(dataset, recipe.split, recipe.repeat, recipe.fold)
    tested = divided.filter(pl.col("split").is_in(["calibration", "test"]))
    met = tested.filter(is_seen(tested, features.seen))
    if met.height:
        raise DataError(
            f"{met.height} of {tested.height} test and calibration cells were seen by "
            f"{features.name}, for example {met['cell_id'][0]}; its features would choose the "
            "generator. Nothing was started. Give weights that know none of these cells, or the "
            "split that model was trained with."
        )


def members_of(cells: pl.DataFrame, recipe: GeneratorRecipe, dataset: Dataset) -> list[Member]:
    """Say which generators a run fits: one that shares categories, one for each other."""
    fit = cells.filter(pl.col("part") == "fit")
    counts = dict(fit.group_by("category").len().iter_rows())
    present = tuple(name for name in dataset.card.categories if name in counts)
    enough = {"shared": 0, "one-each": np.inf, "auto": FEW}[recipe.members]
    together = tuple(name for name in present if counts[name] >= enough)
    if len(together) < 2:
        together = ()
    alone = [Member(name, (name,)) for name in present if name not in together]
    return ([Member("shared", together)] if together else []) + alone


def _refuse_derived(dataset: Dataset) -> None:
    drawn = dataset.manifest.filter(is_generated())
    if drawn.height:
        raise DataError(
            f"{dataset.folder} holds {drawn.height} cells that a generator drew, for example "
            f"{drawn['cell_id'][0]}: a generator fitted to drawings learns the mistakes of "
            "another. Nothing was started. Give the dataset of real cells."
        )
    copies = dataset.manifest.filter(is_copy())
    if copies.height:
        raise DataError(
            f"{dataset.folder} holds {copies.height} augmented copies. Nothing was started. Give "
            "the dataset they were made from, and let the recipe's `augmentation` turn its cells."
        )


def _refuse_few(train: pl.DataFrame, categories: list[str]) -> None:
    drawn = dict(train.group_by("category").len().iter_rows())
    counts = {name: drawn.get(name, 0) for name in categories}
    few = [f"{name} ({n})" for name, n in counts.items() if n < FEWEST]
    if few or train.is_empty():
        raise DataError(
            f"Too few training cells for a generator: {', '.join(few) or 'none at all'}; at least "
            f"{FEWEST} of each category are needed, for a network learns fewer by heart. Nothing "
            "was started. Take in more cells, or leave the category out of the dataset."
        )
    little = [f"{name} ({n})" for name, n in counts.items() if n < FEW]
    if little:
        progress.note(
            f"Fewer than {FEW} training cells: {', '.join(little)}. A generator may learn them by "
            "heart; what `leukoscope judge` says of copies matters here."
        )


def _held_out(
    validation: pl.DataFrame, recipe: GeneratorRecipe, categories: list[str]
) -> pl.DataFrame:
    """Part the validation split by groups; what stops has not to judge."""
    counts = dict(validation.group_by("category").len().iter_rows())
    lacking = [name for name in categories if counts.get(name, 0) < 2]
    if lacking:
        raise DataError(
            f"The split {recipe.split!r} has no two validation cells of {', '.join(lacking)}, so "
            "none could stop the fit and another judge it. Nothing was started. Split anew with a "
            "larger --validation-share."
        )
    validation = validation.filter(pl.col("category").is_in(categories))
    shares = {"validation": recipe.stop_share, "test": 1 - recipe.stop_share}
    sides = hold_out(validation, shares=shares, repeats=1, seed=recipe.seed)
    named = sides.select(
        "cell_id", part=pl.col("split").replace({"validation": "stop", "test": "judge"})
    )
    held = validation.join(named, on="cell_id", maintain_order="left")
    stopping = held.filter(pl.col("part") == "stop")
    fewest = min(stopping.group_by("category").len()["len"])
    if stopping.height < _FEWEST_STOPPING or fewest < 2:
        raise DataError(
            f"{stopping.height} validation cells would stop the fit, {fewest} of one category; at "
            f"least {_FEWEST_STOPPING} and 2 of each are needed to tell its stages apart. Nothing "
            "was started. Split anew with a larger --validation-share."
        )
    n_judging = held.height - stopping.height
    if n_judging < FEWEST:
        progress.note(
            f"Only {n_judging} validation cells are left to judge the drawings; `leukoscope judge` "
            f"asks for {FEWEST}, and what is not judged cannot be combined. A larger "
            "--validation-share of the split mends it."
        )
    return held


def _check_sizes(cells: pl.DataFrame, size_px: int) -> None:
    """Refuse pictures smaller than what is drawn, and tell of sizes that are mixed."""
    sides = cells.select(pl.min_horizontal("width_px", "height_px")).to_series()
    small = cells.filter(sides < size_px)
    if small.height:
        raise DataError(
            f"{small.height} pictures are smaller than the {size_px} px to be drawn, for example "
            f"{small['cell_id'][0]} of {small['width_px'][0]} x {small['height_px'][0]} px: what "
            "they lack would be invented. Nothing was started. Give a smaller --size-px."
        )
    if sides.n_unique() > 1:
        progress.note(
            f"Pictures have sides of {min(sides)} to {max(sides)} px; each is brought to "
            f"{size_px} px, so cells of one kind may be drawn at several scales."
        )
