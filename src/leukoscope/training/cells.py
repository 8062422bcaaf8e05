"""Which cells a run learns from, in which order, seen how often."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.augmentation.batch import apply_batch
from leukoscope.augmentation.draw import Draw, draw
from leukoscope.foundation.streams import stream
from leukoscope.intake.store import PixelStore
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


def batch_draws(
    cells: Cells,
    places: npt.NDArray[np.int64],
    visits: npt.NDArray[np.int64],
    recipe: TrainingRecipe,
) -> list[Draw]:
    """Draw what is done to each cell of a batch; see :func:`batch_places`.

    Returns
    -------
    list of Draw
        Online a cell's copy is its visit number, otherwise the one it stands for. Without
        operations where a cell stays as it is.
    """
    copies = visits if recipe.augmentation_use == "online" else cells.copies[places]
    return [
        Draw()
        if recipe.copies and copy == 0
        else draw(recipe.augmentation, recipe.seed, cells.cell_ids[place], copy)
        for place, copy in zip(places.tolist(), copies.tolist(), strict=True)
    ]


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
    draws = batch_draws(cells, places, visits, recipe)
    return apply_batch(draws, cells.store.take(cells.rows[places]))
