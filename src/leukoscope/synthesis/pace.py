"""How long a fit will take on this machine: some of its updates and a look, timed on noise."""

import math
import time
from statistics import median
from typing import NamedTuple

import numpy as np

from leukoscope.fitting.machine import choose_device, choose_precision, keep_memory
from leukoscope.foundation.streams import stream
from leukoscope.intake.store import PixelStore
from leukoscope.synthesis.features import JudgeFeatures
from leukoscope.synthesis.looks import Stopping, look_at
from leukoscope.synthesis.loop import Fit, Pool, begin, one_update
from leukoscope.synthesis.recipe import GeneratorRecipe

_TIMED, _LONG_S = 20, 20.0
_STOPPING = 64


class Pace(NamedTuple):
    """Hold what the parts of a fit take, in seconds."""

    update_s: float
    look_s: float
    """A grid of drawings, and their distance to the stopping cells; 0 where it was not timed."""

    def of(self, recipe: GeneratorRecipe) -> float:
        """Give the seconds of one generator's fit, the search for its rates among them."""
        per_trial = self.look_s + recipe.trial_updates * self.update_s
        looks = math.ceil(recipe.updates / recipe.validate_every)
        fit = recipe.updates * self.update_s + looks * self.look_s
        return recipe.rate_trials * per_trial + fit


def generator_pace(
    recipe: GeneratorRecipe,
    n_categories: int,
    device: str,
    *,
    features: JudgeFeatures | None = None,
    n_stopping: int = _STOPPING,
) -> Pace:
    """Time up to 20 updates of a fit and a look at what it draws; nothing is written.

    Parameters
    ----------
    recipe : GeneratorRecipe
        The fit.
    n_categories : int
        What its generator draws.
    device : str
        ``auto``, ``cpu`` …
    features : JudgeFeatures, optional
        What describes drawings at each look; without them looks are not timed.
    n_stopping : int
        Cells that drawings are held against at a look; as many are drawn, or more.

    Returns
    -------
    Pace
        Seconds of one update, the median without the first two, and of one look.

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
    if features is None:
        return Pace(median(seconds[2:]), 0.0)
    return Pace(median(seconds[2:]), _look_time(state, recipe, n_categories, features, n_stopping))


def in_words(seconds: float) -> str:
    """Say a time as a person does."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _look_time(
    state: Fit, recipe: GeneratorRecipe, n_categories: int, features: JudgeFeatures, n: int
) -> float:
    shape, codes = (n, recipe.size_px, recipe.size_px, 3), np.arange(n) % n_categories
    pixels = stream(0, "pace", "look").integers(0, 256, shape, dtype=np.uint8)
    stopping = Stopping(pixels, codes, features.of(pixels))
    generator = state.networks.generator
    device = next(generator.parameters()).device
    start = time.perf_counter()
    look_at(
        generator,
        stopping,
        recipe,
        features,
        member="pace",
        n_categories=n_categories,
        device=device,
    )
    return time.perf_counter() - start


def _noise(recipe: GeneratorRecipe, n_categories: int) -> Pool:
    n, side = max(recipe.batch_size, n_categories), recipe.size_px
    pixels = stream(0, "pace").integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    names = [str(number) for number in range(n)]
    store = PixelStore(pixels, dict(zip(names, range(n), strict=True)))
    return Pool("noise", n_categories, names, np.arange(n) % n_categories, np.arange(n), store)
