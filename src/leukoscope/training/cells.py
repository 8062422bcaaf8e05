"""Which cells a run learns from, in which order, seen how often."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.draw import draw
from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.intake.store import PixelStore
from leukoscope.records.lineage import is_copy
from leukoscope.training.recipe import TrainingRecipe


@dataclass(frozen=True)
class Cells:
    """Hold the cells of one side: names, codes of their categories, rows in the pixel store."""

    cell_ids: Sequence[str]
    codes: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    store: PixelStore
    copies: npt.NDArray[np.int64]
    """0 where the cell stands for itself, 1, 2, … where for one of its augmented copies."""


def gather(
    part: pl.DataFrame, categories: Sequence[str], store: PixelStore, *, copies: int = 0
) -> Cells:
    """Look up codes and rows of some cells of a manifest; each is named once more for a copy."""
    code_of = {name: code for code, name in enumerate(categories)}
    codes = np.array([code_of[name] for name in part["category"]], dtype=np.int64)
    times = 1 + copies
    return Cells(
        part["cell_id"].to_list() * times,
        np.tile(codes, times),
        np.tile(store.rows(part["content"].to_list()), times),
        store,
        np.repeat(np.arange(times), part.height),
    )


def training_draw(train: pl.DataFrame, n_cells: int | None, seed: int) -> pl.DataFrame:
    """Draw training cells: whole families, each category at its share, nested in *n_cells*.

    Parameters
    ----------
    train : polars.DataFrame
        The training part of a manifest.
    n_cells : int or None
        How many to draw; all if null. With derived cells in the pool only their
        originals count, and a drawn original brings its derived cells along.
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
            " Nothing was started. Ask for fewer."
        )
    order = _stratified_order(originals, seed)
    before = order["len"].cum_sum() - order["len"]
    families = order.filter(before < n_cells)["family"]
    return train.filter(pl.col("family").is_in(families.to_list()))


def _stratified_order(originals: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Order families so that every beginning of the order holds each category at its share."""
    parts = []
    for (category,), part in sorted(originals.group_by("category")):
        sizes = part.group_by("family").len().sort("family")
        shuffled = sizes[stream(seed, "training draw", str(category)).permutation(sizes.height)]
        middle = shuffled["len"].cum_sum() - shuffled["len"] / 2
        parts.append(shuffled.with_columns(place=middle / part.height, category=pl.lit(category)))
    return pl.concat(parts).unique("family", keep="first").sort("place", "category")


def batch_places(
    update: int, batch_size: int, n_cells: int, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Say which cells an update sees and how often each was seen before.

    The order is a chain of fresh permutations of all cells; a batch may reach from
    one into the next. It follows from the arguments alone, so a resumed run needs
    no memory of it.

    Returns
    -------
    places : numpy.ndarray of int64, shape (batch_size,)
        Indices of cells.
    visits : numpy.ndarray of int64, shape (batch_size,)
        The visit number of each: 0 in the first round, 1 in the second …
    """
    position = np.arange(update * batch_size, (update + 1) * batch_size)
    visits, within = position // n_cells, position % n_cells
    places = np.empty(batch_size, dtype=np.int64)
    for visit in np.unique(visits).tolist():
        chosen = visits == visit
        places[chosen] = stream(seed, "order", visit).permutation(n_cells)[within[chosen]]
    return places, visits


def batch_pixels(
    cells: Cells,
    places: npt.NDArray[np.int64],
    visits: npt.NDArray[np.int64],
    recipe: TrainingRecipe,
) -> npt.NDArray[np.uint8]:
    """Read the pixels of a batch and augment them.

    Returns
    -------
    numpy.ndarray of uint8, shape (batch_size, size_px, size_px, 3)
        With an augmentation of no steps: the stored pixels, bit for bit.
    """
    pixels = cells.store.take(cells.rows[places])
    if not recipe.augmentation.steps:
        return pixels
    copies = visits if recipe.augmentation_use == "online" else cells.copies[places]
    for i, (place, copy) in enumerate(zip(places.tolist(), copies.tolist(), strict=True)):
        if recipe.copies and copy == 0:
            continue
        drawn = draw(recipe.augmentation, recipe.seed, cells.cell_ids[place], copy)
        pixels[i] = apply(drawn, pixels[i])
    return pixels
