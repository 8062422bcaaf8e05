"""A part of the training cells: each category at its share, the smaller within the larger."""

import polars as pl

from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.records.lineage import is_copy, is_generated


def training_draw(train: pl.DataFrame, n_cells: int | None, seed: int) -> pl.DataFrame:
    """Draw training cells: whole families, each category at its share, nested in *n_cells*.

    Parameters
    ----------
    train : polars.DataFrame
        The training part of a manifest.
    n_cells : int or None
        How many to draw; all if null. With derived cells in the pool only their
        originals count, and a drawn original brings its derived cells along. Generated cells
        are nobody's: all of them stay.
    seed : int
        The same seed gives draws of which the smaller is part of the larger.

    Returns
    -------
    polars.DataFrame
        The drawn rows, in the manifest's order: exactly *n_cells* originals where
        families hold one cell, else up to the end of the family that fills it.

    Raises
    ------
    DataError
        If there are fewer cells than asked for.
    """
    originals = train.filter(~is_copy())
    if n_cells is None or n_cells == originals.height:
        return train
    if n_cells > originals.height:
        raise DataError(
            f"The training split holds {originals.height} original cells, {n_cells} were asked for."
            " Nothing was begun. Ask for fewer."
        )
    order = _stratified_order(originals, seed)
    before = order["len"].cum_sum() - order["len"]
    families = order.filter(before < n_cells)["family"]
    return train.filter(pl.col("family").is_in(families.to_list()) | is_generated())


def _stratified_order(originals: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Order families so that every beginning of the order holds each category at its share."""
    parts = []
    for (category,), part in sorted(originals.group_by("category")):
        sizes = part.group_by("family").len().sort("family")
        shuffled = sizes[stream(seed, "training draw", str(category)).permutation(sizes.height)]
        middle = shuffled["len"].cum_sum() - shuffled["len"] / 2
        parts.append(shuffled.with_columns(place=middle / part.height, category=pl.lit(category)))
    return pl.concat(parts).unique("family", keep="first").sort("place", "category")
