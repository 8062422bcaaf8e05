"""Which cells a run trains on, is chosen by, is calibrated on and is tested on; leaks refused."""

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import polars as pl

from leukoscope.foundation.errors import DataError
from leukoscope.intake.stratified import training_draw
from leukoscope.models.cards import WeightsCard
from leukoscope.records.categories import read_as
from leukoscope.records.dataset import Dataset
from leukoscope.records.generators import GeneratorCard
from leukoscope.records.leaks import generator_ids, seen_by
from leukoscope.records.lineage import is_copy, is_generated
from leukoscope.records.runs import SeenCells, is_seen, joined_seen, seen_of
from leukoscope.training.generated import refuse_more_seen, taken_of
from leukoscope.training.recipe import FitRecipe

_USED = ("cell_id", "path", "content", "category", "case", "family", "origin", "copy")
_NONE: Mapping[str, GeneratorCard] = MappingProxyType({})


def test_cells(test: Dataset, divided: pl.DataFrame, categories: Sequence[str]) -> pl.DataFrame:
    """Take the original cells of a separate collection as test cells.

    Parameters
    ----------
    test : Dataset
        The collection.
    divided : polars.DataFrame
        The manifest that is trained on, with its sides.
    categories : sequence of str
        What the model will answer.

    Returns
    -------
    polars.DataFrame
        Rows of its manifest with ``split`` test.

    Raises
    ------
    DataError
        If it holds a cell, family or case of the training pool, no cell, or a category
        that no answer covers.
    """
    cells = test.manifest.filter(~is_copy())
    cells = cells.with_columns(split=pl.lit("test")).select(divided.columns)
    try:
        read_as(cells["category"].to_list(), categories)
    except DataError as error:
        raise DataError(f"The test collection {test.folder} does not fit: {error}") from None
    pool = divided.filter(pl.col("split").is_in(["train", "validation", "calibration"]))
    met = cells.filter(is_seen(cells, seen_of(pool)))
    if met.height or cells.is_empty():
        raise DataError(
            f"{met.height} of {cells.height} cells of the test collection {test.folder} belong to "
            "cells, families or cases of training and validation"
            + (f", for example {met['cell_id'][0]}" if met.height else "")
            + ". Nothing was started. Leave them out; cases that only happen to share a name need "
            "other names."
        )
    return cells


def sides_for(
    divided: pl.DataFrame,
    recipe: FitRecipe,
    weights: WeightsCard | None,
    generators: Mapping[str, GeneratorCard] = _NONE,
) -> dict[str, pl.DataFrame]:
    """Take what a run trains on, is chosen by and is tested on, and refuse what would leak.

    Parameters
    ----------
    divided : polars.DataFrame
        A manifest with a column ``split``.
    recipe : FitRecipe
        How many cells are drawn, and how many generated ones beside them.
    weights : WeightsCard or None
        What the run starts from.
    generators : mapping of str to GeneratorCard
        The cards of the generators whose cells stand in the training split, by their ids.

    Raises
    ------
    DataError
        If a side is empty, training holds one category only, the test holds what the run, the
        model behind its weights or a generator has seen, there are too few generated cells, or
        their generator learnt from cells that this run does not draw.
    """
    sides = {
        name: divided.filter(pl.col("split") == name).select(_USED)
        for name in ("train", "validation", "test", *_calibration(recipe))
    }
    needed = ("train", "validation", *_calibration(recipe))
    empty = [name for name in needed if sides[name].is_empty()]
    if empty:
        raise DataError(
            f"The split {recipe.split!r} has no cells in {', '.join(empty)}. Nothing was started. "
            "Make a split that has some: `leukoscope split` with --"
            + ", --".join(f"{name}-share" for name in empty if name != "train")
            + ("." if empty != ["train"] else "smaller shares.")
        )
    sides["train"] = _training_cells(sides["train"], recipe, generators)
    if sides["train"]["category"].n_unique() < 2:
        raise DataError(
            f"All {sides['train'].height} training cells are filed as "
            f"{sides['train']['category'][0]}; telling apart takes at least two categories. "
            "Nothing was started."
        )
    _refuse_leak(sides, weights, generators)
    return sides


def _training_cells(
    train: pl.DataFrame, recipe: FitRecipe, generators: Mapping[str, GeneratorCard]
) -> pl.DataFrame:
    """Draw originals with their copies, and take generated cells by number beside them."""
    drawn = training_draw(train, recipe.train_cells, recipe.seed)
    real, made = drawn.filter(~is_generated()), taken_of(drawn, recipe)
    if recipe.originals:
        refuse_more_seen(real, made, recipe, generators)
    return pl.concat([real if recipe.originals else real.clear(), made])


def _calibration(recipe: FitRecipe) -> tuple[str, ...]:
    return ("calibration",) if recipe.calibrate else ()


def seen_sides(sides: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Join the cells that a run learns from, is chosen by and is calibrated on."""
    return pl.concat([part for name, part in sides.items() if name != "test"])


def seen_in(
    sides: dict[str, pl.DataFrame],
    weights: WeightsCard | None,
    generators: Mapping[str, GeneratorCard],
) -> SeenCells:
    """Name all cells that a run's model has seen, itself or through what it learnt from."""
    made = [seen_by(generators[name]) for name in generator_ids(sides["train"])]
    before = joined_seen(*made, *([weights.seen] if weights else []))
    return seen_of(seen_sides(sides), before)


def _refuse_leak(
    sides: dict[str, pl.DataFrame],
    weights: WeightsCard | None,
    generators: Mapping[str, GeneratorCard],
) -> None:
    test = sides["test"]
    leaked = test.join(seen_sides(sides), on="content", how="semi")
    if leaked.height:
        raise DataError(
            f"{leaked.height} test pictures are also in training or validation, for example "
            f"{leaked['cell_id'][0]}. Nothing was started. Make a new split."
        )
    known = test.filter(is_seen(test, weights.seen)) if weights else test.clear()
    if weights and known.height:
        raise DataError(
            f"{known.height} of {test.height} test cells were seen by the model that the weights "
            f"{weights.origin.name} come from, for example {known['cell_id'][0]}. Nothing was "
            "started. Use the split that model was trained with, or other weights."
        )
    for name in generator_ids(sides["train"]):
        _refuse_drawn_from(test, generators.get(name), name)


def _refuse_drawn_from(test: pl.DataFrame, card: GeneratorCard | None, name: str) -> None:
    """Refuse test cells, of a collection of its own too, that a generator in training saw."""
    if card is None:
        raise DataError(
            f"Training holds cells that {name} drew, and nothing says which cells it saw. Nothing "
            "was started. Give the folder generators/ of the sampled dataset to this one."
        )
    known = test.filter(is_seen(test, seen_by(card)))
    if known.height:
        raise DataError(
            f"{known.height} of {test.height} test cells were seen by the generator {card.name} "
            f"whose cells stand in training, for example {known['cell_id'][0]}. Nothing was "
            "started. Use the split it was fitted in, or leave those cells out."
        )


def of_people(test: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """Forget cases where a training cell's is unknown: it may be one of the test's people.

    A generated cell is nobody's; whose cells it was drawn from stands on its generator's card.
    """
    if seen.filter(~is_generated())["case"].null_count():
        return test.with_columns(case=pl.lit(None, dtype=pl.String))
    return test


def people_in(
    manifest: pl.DataFrame,
    sides: dict[str, pl.DataFrame],
    generators: Mapping[str, GeneratorCard],
) -> pl.DataFrame:
    """Join the cells a run has seen with those of *manifest* its generators learnt from."""
    names = generator_ids(sides["train"])
    contents = {content for name in names for content in seen_by(generators[name]).contents}
    behind = manifest.filter(pl.col("content").is_in(list(contents))).select(_USED)
    return pl.concat([seen_sides(sides), behind])


def split_digest(sides: dict[str, pl.DataFrame]) -> str:
    """Hash which cells stand on which side."""
    digest = hashlib.sha256()
    for name, part in sorted(sides.items()):
        digest.update("\n".join((name, *part["cell_id"].sort(), "")).encode())
    return digest.hexdigest()
