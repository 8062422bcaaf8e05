"""Round numbers along an axis: where its ticks stand, and how far it reaches."""

import math
from collections.abc import Sequence

_STEPS = (1, 2, 5)
_NO_WIDTH = 1e-9


def ticks(low: float, high: float, *, most: int) -> list[float]:
    """List the round numbers in a range.

    Parameters
    ----------
    low, high : float
        The range, low < high.
    most : int
        How many there may be, at least 2.

    Returns
    -------
    list of float
        Multiples of the smallest step 1, 2 or 5 × a power of ten that gives at most *most*.
    """
    step = _step(high - low, most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def rounded_range(values: Sequence[float], *, most: int) -> tuple[float, float]:
    """Widen the range of some values to round numbers.

    Parameters
    ----------
    values : sequence of float
        At least one, all finite.
    most : int
        How many ticks the range may have.

    Returns
    -------
    tuple of float
        Low and high, low < high, both of them ticks.
    """
    low, high = min(values), max(values)
    size = max(abs(low), abs(high))
    if high - low <= _NO_WIDTH * max(size, 1.0):
        half = size / 2 if size > _NO_WIDTH else 0.5
        low, high = low - half, high + half
    step = _step(high - low, most - 1)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def _step(wide: float, most: int) -> float:
    power = 10.0 ** math.floor(math.log10(wide / most))
    return next(
        step * power for step in (*_STEPS, 10) if wide / (step * power) <= most * (1 + 1e-9)
    )
