"""How long a training will take on this machine: a few of its updates, timed."""

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import numpy as np
import torch

from leukoscope.fitting.machine import choose_device, choose_precision, keep_memory
from leukoscope.foundation.streams import stream
from leukoscope.intake.store import PixelStore
from leukoscope.models.backbones import build
from leukoscope.models.prediction import predict_logits
from leukoscope.training.cells import Cells
from leukoscope.training.loop import Fit, begin, one_update
from leukoscope.training.recipe import TrainingRecipe
from leukoscope.training.stages import first_update, stretches

_WARM, _TIMED = 2, 5
_LONG_S = 20.0
"""After so long two are enough: what takes seconds is not led astray by a slow first."""


class Pace(NamedTuple):
    """Hold the seconds of one update, the mean over stages, and of one predicted cell, and the
    number of weights.
    """

    update_s: float
    predict_s: float
    n_weights: int


def measure_pace(recipe: TrainingRecipe, n_categories: int, device: str) -> Pace:
    """Time updates and predictions of a training on noise; nothing is written.

    Parameters
    ----------
    recipe : TrainingRecipe
        The training; its augmentation is part of what is timed.
    n_categories : int
        Outputs of the network.
    device : str
        ``auto``, ``cpu`` …

    Returns
    -------
    Pace
        Medians of a few, after the first slow ones.

    Raises
    ------
    UsageError
        If there is no such device, or no network of that name.
    """
    chosen = choose_device(device)
    keep_memory()
    network = build(recipe, n_categories, recipe.preprocessing.size_px, seed=recipe.seed)
    state = begin(network, recipe, chosen)
    cells = _noise(recipe, n_categories)
    update_s = _mean_update_s(state, cells, recipe, chosen)
    n_cells = len(cells.rows)
    batch_s = _median_s(
        lambda: predict_logits(
            network,
            lambda part: cells.store.take(cells.rows[part]),
            n_cells,
            recipe.preprocessing,
            chosen,
        )
    )
    n_weights = sum(value.numel() for value in network.state_dict().values())
    return Pace(update_s, batch_s / n_cells, n_weights)


def _mean_update_s(state: Fit, cells: Cells, recipe: TrainingRecipe, device: torch.device) -> float:
    seconds = 0.0
    for number, stage in enumerate(stretches(recipe)):
        begin_at = first_update(recipe, number)

        def work(begin_at: int = begin_at) -> None:
            # A stage may be shorter than the updates that are timed: each is its first.
            state.update = begin_at
            one_update(state, cells, recipe, device, choose_precision(device))

        seconds += _median_s(work) * stage.updates
    return seconds / recipe.updates


def _noise(recipe: TrainingRecipe, n_categories: int) -> Cells:
    n_cells, side = 2 * recipe.batch_size, recipe.preprocessing.size_px
    pixels = stream(0, "pace").integers(0, 256, (n_cells, side, side, 3), dtype=np.uint8)
    names = [str(number) for number in range(n_cells)]
    rows = np.arange(n_cells)
    # Each stands for a copy, so that what is made of copies is made here too.
    copies = np.ones(n_cells, dtype=np.int64)
    store = PixelStore(pixels, dict(zip(names, range(n_cells), strict=True)))
    return Cells(names, rows % n_categories, rows, store, copies)


def _median_s(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_WARM + _TIMED):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
        if len(seconds) > 1 and sum(seconds) > _LONG_S:
            break
    return median(seconds[min(_WARM, len(seconds) - 1) :])
