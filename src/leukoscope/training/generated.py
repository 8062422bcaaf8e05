"""Generated cells in a training: how many are taken, and whether their generator saw more."""

from collections.abc import Mapping

import polars as pl

from leukoscope.foundation.errors import DataError
from leukoscope.records.generators import GeneratorCard
from leukoscope.records.leaks import generator_ids
from leukoscope.records.lineage import is_copy, is_generated
from leukoscope.records.runs import SeenCells
from leukoscope.training.recipe import FitRecipe


def taken_of(drawn: pl.DataFrame, recipe: FitRecipe) -> pl.DataFrame:
    """Take the generated cells that a recipe asks for: of each category the first by number.

    Parameters
    ----------
    drawn : polars.DataFrame
        The training cells that were drawn, with all generated ones.
    recipe : FitRecipe
        ``generated``: how many for each drawn original of a category.

    Returns
    -------
    polars.DataFrame
        Rows of *drawn*, by number; a smaller share takes part of what a larger one takes.

    Raises
    ------
    DataError
        If a category has fewer than are needed, or nothing would be left to train on.
    """
    made = drawn.filter(is_generated()).sort("copy", "category", "cell_id", nulls_last=True)
    if recipe.generated is not None:
        needed = _needed(drawn, recipe.generated)
        _refuse_fewer(made, needed, recipe.generated)
        number = pl.int_range(pl.len()).over("category")
        wanted = pl.col("category").replace_strict(needed, default=0, return_dtype=pl.Int64)
        made = made.filter(number < wanted)
    if made.is_empty() and not recipe.originals:
        raise DataError(
            "The recipe trains on generated cells alone (originals: false), and the training split "
            "holds none. Nothing was started. Bring some in with `leukoscope combine`."
        )
    return made


def _needed(drawn: pl.DataFrame, share: float) -> dict[str, int]:
    counts = drawn.filter(~is_copy())["category"].value_counts().sort("category")
    return {str(name): round(share * n) for name, n in counts.rows()}


def _refuse_fewer(made: pl.DataFrame, needed: Mapping[str, int], share: float) -> None:
    there = dict(made["category"].value_counts().rows())
    few = [
        f"{name} ({n} needed, {there.get(name, 0)} there)"
        for name, n in needed.items()
        if there.get(name, 0) < n
    ]
    if few:
        raise DataError(
            f"The recipe asks for {share:g} generated cells for each original, and the training "
            f"split holds too few of {', '.join(few)}. Nothing was started. Draw more with "
            "`leukoscope sample` and combine them, or lower `generated`."
        )


def refuse_more_seen(
    real: pl.DataFrame,
    made: pl.DataFrame,
    recipe: FitRecipe,
    generators: Mapping[str, GeneratorCard],
) -> None:
    """Refuse a training whose generated cells come from more cells than it draws.

    Through them it would learn from cells that it says it has not, and beat a training without
    them by these alone.

    Raises
    ------
    DataError
        If a generator's card is missing, or it learnt from a cell that is not among *real*.
    """
    known = set(real["content"])
    for name in generator_ids(made):
        card = generators.get(name)
        fit = (card.fit if card else SeenCells()).contents
        missing = len(set(fit) - known)
        if card is not None and missing:
            raise DataError(
                f"The generator {card.name} learnt from {len(set(fit))} cells, of which {missing} "
                f"are not among the {real.filter(~is_copy()).height} training cells drawn here "
                f"({_draw_of(recipe)}): with its cells this run would have seen more than it "
                "says. Nothing was started. Fit a generator to the same draw (equal train_cells, "
                "seed and division), or train on its cells alone with originals: false."
            )


def _draw_of(recipe: FitRecipe) -> str:
    drawn = "all" if recipe.train_cells is None else f"{recipe.train_cells}, seed {recipe.seed}"
    return f"train_cells: {drawn}"
