"""Ranges of drawn parameters: low to high, within what the method can do."""

import math
from typing import Annotated

from pydantic import AfterValidator

Range = tuple[float, float]


def _ordered(value: Range) -> Range:
    low, high = value
    if low > high:
        raise ValueError(f"a range goes from low to high, not from {low:g} to {high:g}")
    return value


def _within(least: float, most: float) -> AfterValidator:
    def check(value: Range) -> Range:
        low, high = value
        if not least <= low <= high <= most:
            raise ValueError(
                f"both ends should be from {least:g} to {most:g}, not {low:g}, {high:g}"
            )
        return value

    return AfterValidator(check)


Ordered = Annotated[Range, AfterValidator(_ordered)]
Scale = Annotated[Range, AfterValidator(_ordered), _within(0.1, 10.0)]
"""Factors of size; 1 keeps it."""
Factor = Annotated[Range, AfterValidator(_ordered), _within(0.0, 10.0)]
"""Factors of light or colour; 1 keeps it, 0 takes it away."""
Gain = Annotated[Range, AfterValidator(_ordered), _within(0.1, 10.0)]
"""Factors that cannot be 0: they are drawn evenly in their logarithm."""
Shift = Annotated[Range, AfterValidator(_ordered), _within(-1.0, 1.0)]
"""Shares of a side, with a sign."""
Share = Annotated[Range, AfterValidator(_ordered), _within(0.0, 1.0)]
"""Shares of a whole, from 0 to 1."""
Half = Annotated[Range, AfterValidator(_ordered), _within(0.0, 0.49)]
"""Shares of a side that may be taken from both ends of it."""
Slant = Annotated[Range, AfterValidator(_ordered), _within(-60.0, 60.0)]
"""Angles of a shear, degrees."""
Turn = Annotated[Range, AfterValidator(_ordered), _within(-180.0, 180.0)]
"""Angles about the axis of greys, degrees."""
Lens = Annotated[Range, AfterValidator(_ordered), _within(-0.32, 1.0)]
"""Lens distortion: from -1/3 on the picture would fold over in its corners."""
Length = Annotated[Range, AfterValidator(_ordered), _within(0.0, 100.0)]
"""Lengths, pixels."""
Displacement = Annotated[Range, AfterValidator(_ordered), _within(0.0, 0.2)]
"""Shares of the shorter side by which an elastic distortion moves."""
Quality = Annotated[Range, AfterValidator(_ordered), _within(1.0, 100.0)]
"""Quality of JPEG as its encoders count it."""
Photons = Annotated[Range, AfterValidator(_ordered), _within(1.0, 1e6)]
"""Photons that one pixel of full brightness counts."""


def check_levels(value: Range) -> Range:
    """Refuse a noise that would round away: the sign of another scale, 0 to 1 for 0 to 255."""
    low, high = _ordered(value)
    if low < 0 or high > 128:
        raise ValueError(f"levels of noise are from 0 to 128 of 255, not {low:g} to {high:g}")
    if 0 < high < 0.5:
        raise ValueError(
            f"{high:g} grey levels of 255 round away to nothing; if {high:g} of the full range "
            f"was meant, write {255 * high:g}"
        )
    return value


Levels = Annotated[Range, AfterValidator(check_levels)]
"""Grey levels of 255."""


def between(limits: Range, number: float) -> float:
    """Bring a number from [0, 1) into a range, evenly."""
    low, high = limits
    return low + number * (high - low)


def between_log(limits: Range, number: float) -> float:
    """Bring a number from [0, 1) into a range of factors, evenly in their logarithm."""
    low, high = limits
    return math.exp(between((math.log(low), math.log(high)), number))
