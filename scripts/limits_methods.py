"""What scripts/limits does to a cell: every method of the package at three or four strengths.

A strength stands for the end of a range, and where a range has two ends a cell takes one of them,
every second cell of a category the other. What a method leaves to chance (directions, fields of
noise, places) is drawn once for a cell and kept while the strength grows.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from leukoscope.augmentation.draw import Draw
from leukoscope.augmentation.step import Operation, seed_of
from leukoscope.foundation.streams import stream

SEED = 13
Chance = np.random.Generator
Made = tuple[Operation, ...]


class Method(NamedTuple):
    """Say how strongly a method is done, and how."""

    unit: str
    strengths: tuple[float, ...]
    """From mild to severe."""
    make: Callable[[float, int, Chance], Made]
    """From a strength, one of its two ends (-1 or 1) and chance to what is done."""


def _named(name: str, *given: float) -> Made:
    return ((name, given),)


def _signs(chance: Chance, count: int) -> list[int]:
    return (2 * chance.integers(0, 2, count) - 1).tolist()


def _scaled(across: float, down: float) -> Made:
    return _named("scaling", across, down)


def _shifted(share: float, side: int, chance: Chance) -> Made:
    return _named("shift", side * share, _signs(chance, 1)[0] * share)


def _balanced(percent: float, side: int, chance: Chance) -> Made:
    """Strengthen one or two of red, green and blue and weaken the rest: all alike is brightness."""
    chosen = chance.integers(3)
    signs = [side if place == chosen else -side for place in range(3)]
    return _named("white_balance", *((1 + percent / 100) ** sign for sign in signs))


def _stained(percent: float, _side: int, chance: Chance) -> Made:
    """Move three factors by the strength and three shifts by a fifth of it, as the step's own."""
    signs = _signs(chance, 6)
    factors = (1 + sign * percent / 100 for sign in signs[:3])
    shifts = (sign * percent / 500 for sign in signs[3:])
    return _named("stain", *factors, *shifts)


def _noise(name: str) -> Callable[[float, int, Chance], Made]:
    return lambda amount, _side, chance: _named(name, amount, seed_of(chance.random()))


def _light(name: str) -> Callable[[float, int, Chance], Made]:
    return lambda percent, side, _chance: _named(name, 1 + side * percent / 100)


def _erased(share: float, _side: int, chance: Chance) -> Made:
    left, top = (chance.random(2) * (1 - share)).tolist()
    return _named("erasing_black", left, top, share, share)


FLOOR = ("right angle", "flip")
"""Methods that only move pixels: what they seem to do is the noise of outlining and measuring."""
SCALINGS = ("scaling, smaller", "scaling, larger", "scaling, apart")

BICUBIC = "rotation, bicubic"
"""The one method that is not interpolated bilinearly: what interpolation itself does."""

METHODS: dict[str, Method] = {
    "right angle": Method("°", (90,), lambda v, s, _: _named("rotation_deg", s * v)),
    "flip": Method("", (1,), lambda _v, s, _c: _named(f"flip_{('horizontal', 'vertical')[s > 0]}")),
    "rotation": Method("°", (45,), lambda v, s, _: _named("rotation_deg", s * v)),
    BICUBIC: Method("°", (45,), lambda v, s, _: _named("rotation_deg", s * v)),
    "scaling, smaller": Method(
        "%", (5, 20, 40), lambda v, _s, _c: _scaled(1 - v / 100, 1 - v / 100)
    ),
    "scaling, larger": Method(
        "%", (5, 20, 40), lambda v, _s, _c: _scaled(1 + v / 100, 1 + v / 100)
    ),
    "scaling, apart": Method(
        "%", (5, 20, 40), lambda v, s, _: _scaled(1 + s * v / 100, 1 - s * v / 100)
    ),
    "shift": Method("of the side", (0.1, 0.2, 0.3), _shifted),
    "shear": Method("°", (10, 20, 40), lambda v, s, _: _named("shear_deg", s * v, 0.0)),
    "lens, barrel": Method("%", (20, 40), lambda v, _s, _c: _named("lens", v / 100)),
    "lens, pincushion": Method("%", (20, 30), lambda v, _s, _c: _named("lens", -v / 100)),
    "elastic": Method(
        "of the side",
        (0.01, 0.02, 0.03),
        lambda v, _s, chance: _named("elastic", v, 0.15, seed_of(chance.random())),
    ),
    "brightness": Method("%", (10, 30, 50), _light("brightness")),
    "contrast": Method("%", (10, 30, 70), _light("contrast")),
    "gamma": Method("or its inverse", (1.25, 1.6, 2), lambda v, s, _: _named("gamma", v**s)),
    "hue": Method("°", (10, 20, 30), lambda v, s, _: _named("hue_deg", s * v)),
    "saturation": Method("%", (20, 50, 100), _light("saturation")),
    "white balance": Method("%", (10, 20, 40), _balanced),
    "stain jitter": Method("%", (5, 15, 30), _stained),
    "JPEG": Method("quality", (60, 30, 10), lambda v, _s, _c: _named("jpeg", v)),
    "Gaussian blur": Method(
        "px (SD)", (0.5, 1, 2, 4), lambda v, _s, _c: _named("gaussian_blur_px", v)
    ),
    "defocus blur": Method(
        "px (radius)", (1, 2, 4), lambda v, _s, _c: _named("defocus_blur_px", v)
    ),
    "motion blur": Method(
        "px (length)",
        (3, 7, 15),
        lambda v, _s, chance: _named("motion_blur_px", v, 180 * chance.random()),
    ),
    "Gaussian noise": Method(
        "levels (SD)", (2.55, 5.1, 12.75, 25.5), _noise("gaussian_noise_levels")
    ),
    "Poisson noise": Method("photons", (2000, 500, 100), _noise("poisson_noise_photons")),
    "salt and pepper": Method("of pixels", (0.005, 0.02, 0.1), _noise("salt_and_pepper")),
    "erasing": Method("of the side", (0.1, 0.2, 0.4), _erased),
    "added border": Method(
        "of the side", (0.05, 0.1, 0.2), lambda v, _s, _c: _named("added_border_black", v)
    ),
}
"""What is done, each method from mild to severe."""


class Setting(NamedTuple):
    """Name one thing that is done to cells."""

    method: str
    strength: float | None
    """Null for a cell as it is."""


SETTINGS = tuple(
    Setting(name, float(strength)) for name, one in METHODS.items() for strength in one.strengths
)
FOR_GRANULES = tuple(setting for setting in SETTINGS if setting.method in SCALINGS)


def drawn_for(setting: Setting, cell_id: str, side: int) -> Draw:
    """Draw what a setting does to one cell."""
    assert setting.strength is not None
    chance = stream(SEED, "limits", setting.method, cell_id)
    made = METHODS[setting.method].make(setting.strength, side, chance)
    operations = tuple((name, tuple(map(float, given))) for name, given in made)
    return Draw(operations, interpolation="bicubic" if setting.method == BICUBIC else "bilinear")
