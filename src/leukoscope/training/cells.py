"""Which cells a run learns from, in which order, seen how often."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, factorial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.augmentation.batch import apply_batch
from leukoscope.augmentation.draw import Draw, draw
from leukoscope.fitting.orders import balanced_places, batch_places
from leukoscope.foundation.streams import uniform
from leukoscope.intake.store import PixelStore
from leukoscope.records.lineage import is_generated
from leukoscope.training.recipe import TrainingRecipe

# Chances that a Poisson number of mean 1 is at most 0, 1, … : beyond 12, one in ten milliards.
_POISSON = np.cumsum([exp(-1) / factorial(times) for times in range(13)])


class Store(Protocol):
    """Give pixels, or features of a frozen part of the network, by row."""

    def take(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Copy some rows into memory: uint8 pixels, or float32 features of augmented cells."""
        ...


@dataclass(frozen=True)
class Cells:
    """Hold the cells of one side: names, codes of their categories, rows in their store."""

    cell_ids: Sequence[str]
    codes: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    store: Store
    copies: npt.NDArray[np.int64]
    """0 where the cell stands for itself, 1, 2, … where for one of its augmented copies."""
    families: Sequence[str] = ()
    """Which cells must stay together; without names each cell is a family of its own."""


def holds_features(cells: Cells) -> bool:
    """Tell whether a store gives float32 features, which are augmented already, and no pixels."""
    return cells.store.take(cells.rows[:1]).dtype == np.float32


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
        _families(part) * times if "family" in part.columns else (),
    )


def _families(part: pl.DataFrame) -> list[str]:
    """Name what a bag takes or leaves whole: families, and each generated cell by itself.

    All drawings of a generator are of one family; a bag that left it out would hold none.
    """
    if "origin" not in part.columns:
        return part["family"].to_list()
    own = pl.when(is_generated()).then("cell_id").otherwise("family")
    return part.select(own.alias("family"))["family"].to_list()


def order_of(
    cells: Cells, update: int, recipe: TrainingRecipe
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Say which cells an update sees and how often each was seen before, by the recipe's sampling.

    Returns
    -------
    places, visits : numpy.ndarray of int64, shape (batch_size,)
        As :mod:`leukoscope.fitting.orders` gives them.
    """
    if recipe.sampling == "balanced":
        return balanced_places(update, recipe.batch_size, cells.codes, recipe.seed)
    return batch_places(update, recipe.batch_size, len(cells.cell_ids), recipe.seed)


def bag_weights(
    cells: Cells, places: npt.NDArray[np.int64], n_networks: int, seed: int
) -> npt.NDArray[np.float32]:
    """Say how often some cells are in the bootstrap bag of each of several networks.

    A bag holds each family k times, k drawn from a Poisson distribution of mean 1: for many
    families this is drawing as many with replacement as there are, and it needs no memory. Whole
    families, because the cells of one hardly differ: a bag that held half of them would lack none.

    Parameters
    ----------
    cells : Cells
        The training cells.
    places : numpy.ndarray of int64, shape (n,)
        Which of them.
    n_networks : int
        Number of networks.
    seed : int
        The bags follow from it, the network's number and the family's name.

    Returns
    -------
    numpy.ndarray of float32, shape (n, n_networks)
        Whole numbers, 1 on the mean.
    """
    names = cells.families or cells.cell_ids
    drawn = [
        [uniform(1, seed, "bag", number, names[place])[0] for number in range(n_networks)]
        for place in places.tolist()
    ]
    return np.searchsorted(_POISSON, drawn, side="right").astype(np.float32)


def batch_draws(
    cells: Cells,
    places: npt.NDArray[np.int64],
    visits: npt.NDArray[np.int64],
    recipe: TrainingRecipe,
) -> list[Draw]:
    """Draw what is done to each cell of a batch; see :mod:`leukoscope.fitting.orders`.

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
