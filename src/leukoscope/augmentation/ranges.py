"""Ranges of drawn parameters: low to high, within what the method can do."""

import math
from numbers import Real
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

Range = tuple[float, float]


def _paired(value: object) -> object:
    """Refuse what is not two numbers, in words of the recipe and not of its reader's types."""
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_number, value)):
        return value
    raise ValueError("a range is two numbers, [low, high]; one value is written twice")


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (Real, str)):
        return False
    try:
        # YAML takes 1e3, without a point, for a word.
        float(value)
    except ValueError:
        return False
    return True


def _ordered(value: Range) -> Range:
    low, high = value
    if low > high:
        raise ValueError(f"a range goes from low to high, not from {low:g} to {high:g}")
    return value


def _within(least: float, most: float, what: str, hint: str) -> AfterValidator:
    def check(value: Range) -> Range:
        low, high = value
        if not least <= low <= high <= most:
            raise ValueError(
                f"{what} are from {least:,.7g} to {most:,.7g}, not from {low:g} to {high:g}; {hint}"
            )
        return value

    return AfterValidator(check)


Ordered = Annotated[Range, BeforeValidator(_paired), AfterValidator(_ordered)]
Scale = Annotated[
    Ordered, _within(0.1, 10.0, "factors of size", "1 keeps it, and ±20 % is [0.8, 1.2]")
]
"""Factors of size; 1 keeps it."""
Angle = Annotated[Ordered, _within(-360.0, 360.0, "angles", "a full turn is [0, 360]")]
"""Angles of a rotation, degrees."""
Factor = Annotated[
    Ordered, _within(0.0, 10.0, "factors", "1 changes nothing, and ±10 % is [0.9, 1.1]")
]
"""Factors of light or colour; 1 keeps it, 0 takes it away."""
Gain = Annotated[
    Ordered, _within(0.1, 10.0, "factors and powers", "1 changes nothing, and ±10 % is [0.9, 1.1]")
]
"""Factors that cannot be 0: they are drawn evenly in their logarithm."""
Shift = Annotated[Ordered, _within(-1.0, 1.0, "shifts", "they are shares of a side: 10 % is 0.1")]
"""Shares of a side, with a sign."""
Share = Annotated[Ordered, _within(0.0, 1.0, "shares", "20 % is 0.2")]
"""Shares of a whole, from 0 to 1."""
Half = Annotated[Ordered, _within(0.0, 0.49, "shares taken from both ends", "10 % is 0.1")]
"""Shares of a side that may be taken from both ends of it."""
Slant = Annotated[Ordered, _within(-60.0, 60.0, "angles of a shear", "they are degrees")]
"""Angles of a shear, degrees."""
Turn = Annotated[Ordered, _within(-180.0, 180.0, "angles of hue", "they are degrees")]
"""Angles about the axis of greys, degrees."""
Lens = Annotated[
    Ordered, _within(-0.32, 1.0, "strengths of a lens", "±20 % in the corners is [-0.2, 0.2]")
]
"""Lens distortion: from -1/3 on the picture would fold over in its corners."""
Length = Annotated[Ordered, _within(0.0, 100.0, "lengths of a blur", "they are pixels")]
"""Lengths, pixels."""
Displacement = Annotated[
    Ordered, _within(0.0, 0.2, "displacements", "they are shares of the shorter side: 2 % is 0.02")
]
"""Shares of the shorter side by which an elastic distortion moves."""
Absorbance = Annotated[
    Ordered, _within(-1.0, 1.0, "absorbances to add", "0 adds nothing, 0.01 is faint")
]
"""Absorbance that is added, natural logarithm."""
Quality = Annotated[Ordered, _within(1.0, 100.0, "qualities of JPEG", "100 is the best")]
"""Quality of JPEG as its encoders count it."""
Photons = Annotated[
    Ordered, _within(1.0, 1e6, "photons at full brightness", "the fewer the noisier")
]
"""Photons that one pixel of full brightness counts."""


def check_levels(value: Range) -> Range:
    """Refuse a noise that would round away: the sign of another scale, 0 to 1 for 0 to 255."""
    low, high = value
    if low < 0 or high > 128:
        raise ValueError(f"levels of noise are from 0 to 128 of 255, not from {low:g} to {high:g}")
    small = high if 0 < high <= 1 else low
    # Up to one level there is next to no noise, and shares of the full range look just so.
    if 0 < high <= 1 or 0 < low < 0.5:
        raise ValueError(
            f"a noise of {small:g} grey levels of 255 rounds away to next to nothing; if {small:g} "
            f"of the full range was meant, write {255 * small:g}"
        )
    return value


Levels = Annotated[Ordered, AfterValidator(check_levels)]
"""Grey levels of 255."""


def between(limits: Range, number: float) -> float:
    """Bring a number from [0, 1) into a range, evenly."""
    low, high = limits
    return low + number * (high - low)


def between_log(limits: Range, number: float) -> float:
    """Bring a number from [0, 1) into a range of factors, evenly in their logarithm."""
    low, high = limits
    return math.exp(between((math.log(low), math.log(high)), number))
