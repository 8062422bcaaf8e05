"""What was drawn for a picture, in words and units."""

import json
from collections.abc import Sequence
from typing import Any

from leukoscope.reporting import wording

AS_TAKEN = "as taken"
"""What is said where nothing was done."""

OTHERWISE = "drawn otherwise"
"""What is said of a draw that cannot be read."""

_FILLS = {"black": "black", "white": "white", "mean": "its mean colour"}
_BORDERS = {"black": "black", "white": "white", "reflect": "mirrored"}

WORDS = {
    "rotation_deg": "turned by {0:°}",
    "flip_horizontal": "mirrored left to right",
    "flip_vertical": "mirrored top to bottom",
    "transposition": "mirrored at the diagonal",
    "scaling": "scaled to {0:%} across and {1:%} down",
    "shift": "shifted by {0:%} to the {1} and {2:%} {3}",
    "shear_deg": "sheared by {0:°} across and {1:°} down",
    "lens": "lens {0:+%}",
    "elastic": "elastic by {0:%} on a grid of {1:%}",
    "brightness": "brightness {0:%}",
    "contrast": "contrast {0:%}",
    "gamma": "gamma {0:3}",
    "hue_deg": "hue turned by {0:°}",
    "saturation": "saturation {0:%}",
    "white_balance": "red {0:%}, green {1:%} and blue {2:%}",
    "stain": "haematoxylin {0:%}, eosin {1:%}, the rest {2:%}, absorbance {3:+}, {4:+}, {5:+}",
    "jpeg": "JPEG quality {0:2}",
    "gaussian_blur_px": "blurred by {0:2} px",
    "defocus_blur_px": "out of focus by {0:2} px",
    "motion_blur_px": "blurred along {1:°} by {0:2} px",
    "gaussian_noise_levels": "noise of {0:2} levels of 255",
    "poisson_noise_photons": "noise of {0:2} photons",
    "salt_and_pepper": "salt and pepper on {0:%} of the pixels",
    **{f"erasing_{name}": f"{{2:%}} × {{3:%}} covered in {fill}" for name, fill in _FILLS.items()},
    **{f"added_border_{name}": f"{border} border of {{0:%}}" for name, border in _BORDERS.items()},
    **{f"background_{name}": f"background covered in {fill}" for name, fill in _FILLS.items()},
}
"""Name of an operation → what is said of it, with its numbers."""


class _Number(float):
    """Write itself by unit: ``°``, ``%``, ``+%``, ``+`` (signed, thousandths), else by digits."""

    def __format__(self, unit: str) -> str:
        match unit:
            case "°":
                return f"{_short(self)}°"
            case "%":
                return f"{_short(100 * self)} %"
            case "+%":
                return f"{_signed(100 * self)} %"
            case "+":
                return _signed(round(float(self), 3))
            case _:
                return _short(self, int(unit or 2))


def drawn_in_words(draw: str | None) -> str:
    """Say in words what was drawn for a picture.

    Parameters
    ----------
    draw : str or None
        As it stands in a manifest: JSON with ``operations``, each a name and numbers, and
        ``lengths_at_px``; older ones have ``moves``.

    Returns
    -------
    str
        Such as ``turned by 137°, blurred by 1.4 px``; ``as taken`` where nothing was done. A
        name that is not known stands as it is, with its numbers.
    """
    try:
        value = json.loads(draw or "{}")
        operations = value.get("operations", value.get("moves", []))
        of_px = value.get("lengths_at_px")
        told = [_told(str(name), given, of_px) for name, *given in operations]
    except (ValueError, TypeError, AttributeError, IndexError):
        return OTHERWISE
    return ", ".join(told) or AS_TAKEN


def _told(name: str, given: Sequence[Any], of_px: int | None) -> str:
    numbers = [_Number(number) for number in given]
    if name == "scaling" and len(set(numbers)) == 1:
        told = f"scaled to {numbers[0]:%}"
    elif name == "shift":
        told = _shifted(*numbers)
    elif name in WORDS:
        told = WORDS[name].format(*numbers)
    else:
        told = " ".join([wording.name_of(name), *(f"{number:3}" for number in numbers)])
    is_scaled = name.endswith("_px") and of_px is not None
    return f"{told} of {of_px}" if is_scaled else told


def _shifted(right: float, down: float) -> str:
    across, along = ("left" if right < 0 else "right"), ("up" if down < 0 else "down")
    return WORDS["shift"].format(_Number(abs(right)), across, _Number(abs(down)), along)


def _short(number: float, digits: int = 2) -> str:
    """Write a number with so many digits that count, those before the point always."""
    number = float(number)
    few = f"{number:.0f}" if abs(number) >= 10 ** (digits - 1) else f"{number:.{digits}g}"
    text = f"{float(few):.9f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text.replace("-", wording.MINUS)


def _signed(number: float) -> str:
    text = _short(number)
    return text if text == "0" or text.startswith(wording.MINUS) else f"+{text}"
