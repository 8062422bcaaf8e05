"""How long a fit will take on this machine: some of its updates, timed on noise."""

import time
from statistics import median

import numpy as np

from leukoscope.fitting.machine import choose_device, choose_precision, keep_memory
from leukoscope.foundation.streams import stream
from leukoscope.intake.store import PixelStore
from leukoscope.synthesis.loop import Pool, begin, one_update
from leukoscope.synthesis.recipe import GeneratorRecipe

_TIMED, _LONG_S = 20, 20.0


def generator_pace(recipe: GeneratorRecipe, n_categories: int, device: str) -> float:
    """Time up to 20 updates of a fit; nothing is written.

    Parameters
    ----------
    recipe : GeneratorRecipe
        The fit.
    n_categories : int
        What its generator draws.
    device : str
        ``auto``, ``cpu`` …

    Returns
    -------
    float
        Seconds of one update, the median without the first two.

    Raises
    ------
    UsageError
        If there is no such device.
    """
    chosen = choose_device(device)
    keep_memory()
    pool = _noise(recipe, n_categories)
    state = begin(pool, recipe, chosen)
    seconds: list[float] = []
    while len(seconds) < _TIMED and (len(seconds) < 3 or sum(seconds) < _LONG_S):
        start = time.perf_counter()
        one_update(state, pool, recipe, chosen, choose_precision(chosen))
        seconds.append(time.perf_counter() - start)
    return median(seconds[2:])


def in_words(seconds: float) -> str:
    """Say a time as a person does."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _noise(recipe: GeneratorRecipe, n_categories: int) -> Pool:
    n, side = max(recipe.batch_size, n_categories), recipe.size_px
    pixels = stream(0, "pace").integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    names = [str(number) for number in range(n)]
    store = PixelStore(pixels, dict(zip(names, range(n), strict=True)))
    return Pool("noise", n_categories, names, np.arange(n) % n_categories, np.arange(n), store)
