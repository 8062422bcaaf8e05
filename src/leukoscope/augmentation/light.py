"""Light and stain: runs of operations become one pass over the levels and one rounding."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import cv2
import numpy as np
import numpy.typing as npt

from leukoscope.augmentation.step import Operation

Pixels = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]
Given = Sequence[float]

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in a grey (ITU-R BT.601)."""

STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
"""Absorbance in red, green and blue of haematoxylin, eosin and a third component
(Ruifrok and Johnston 2001)."""

# Luma and two differences of colour (YIQ): hue is an angle in the plane of the latter.
_YIQ = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
FULL = 255.0
BRIGHTEST = 4096.0
"""Times 255 that a level may reach on the way; where it became infinite, the next mixing of
channels would make it no number."""

_UNCHANGED = np.eye(3, 4)
_NEUTRAL = {"hue_deg": (0.0,), "stain": (1.0,) * 3 + (0.0,) * 3, "white_balance": (1.0,) * 3}
"""The strength of doing nothing, where it is not a single factor of 1."""
_MIXING = frozenset({"hue_deg", "saturation", "stain"})
"""Operations by which a channel's level hangs on another's."""


@dataclass(frozen=True)
class Linear:
    """Multiply a colour (red, green, blue, 1), levels 0 to 255, by a matrix of shape (3, 4)."""

    matrix: Matrix


@dataclass(frozen=True)
class Power:
    """Raise levels, as shares of 255, to a power."""

    power: float


@dataclass(frozen=True)
class Absorption:
    """Multiply absorbances (red, green, blue, 1) by a matrix of shape (3, 4).

    The absorbance of a level is the natural logarithm of 256 / (level + 1): black has one too.
    """

    matrix: Matrix


Stage = Linear | Power | Absorption


def light(operations: Sequence[Operation], pixels: Pixels) -> Pixels:
    """Do a run of operations of light to a picture.

    Levels are cut to 0 to 255 and rounded once, at the end; before powers or absorbances those
    below 0 are cut to 0.

    Parameters
    ----------
    operations : sequence of Operation
        Names from LIGHT.
    pixels : numpy.ndarray of uint8, shape (height, width, 3)
        The picture; left as it is.

    Returns
    -------
    numpy.ndarray of uint8, shape (height, width, 3)
        The picture itself if every strength is that of doing nothing.
    """
    names = {name for name, _ in operations}
    mean_rgb = cv2.mean(pixels)[:3] if "contrast" in names else (0.0, 0.0, 0.0)
    stages = stages_of(operations, mean_rgb)
    if not stages:
        return pixels
    if len(stages) == 1 and isinstance(stages[0], Linear):
        # Rounds and cuts by itself.
        return np.asarray(cv2.transform(pixels, stages[0].matrix), np.uint8)
    if names.isdisjoint(_MIXING):
        # What each channel becomes hangs on its own level alone: a table of all 256 says it.
        table = _rounded(_through(stages, _every_level(3)))
        alike = table if "white_balance" in names else np.ascontiguousarray(table[..., :1])
        return np.asarray(cv2.LUT(pixels, alike), np.uint8)
    return _rounded(_through(stages[1:], _begun(stages[0], pixels)))


def stages_of(operations: Sequence[Operation], mean_rgb: Sequence[float]) -> tuple[Stage, ...]:
    """Merge a run of operations into as few stages as there can be.

    Parameters
    ----------
    operations : sequence of Operation
        Names from LIGHT.
    mean_rgb : sequence of 3 float
        Mean colour of the picture, 0 to 255. Contrast turns about its grey, carried through
        what comes before; through a power or an absorbance the mean colour is carried, not the
        mean of all colours. It is needed for contrast alone.

    Returns
    -------
    tuple of Stage
        Without operations at the strength of doing nothing.
    """
    doing = (each for each in operations if each[1] != _NEUTRAL.get(each[0], (1.0,)))
    mean = np.array([*mean_rgb, 1.0])
    stages: list[Stage] = []
    for kind, run in groupby(doing, _kind_of):
        if stages:
            mean[:3] = _through(stages[-1:], mean[None, None, :3].astype(np.float32))
        stages.append(_merged(kind, run, mean))
    return tuple(stages)


def _kind_of(operation: Operation) -> type[Stage]:
    return _KINDS.get(operation[0], Linear)


def _merged(kind: type[Stage], run: Iterable[Operation], mean: Matrix) -> Stage:
    if kind is Power:
        return Power(math.prod(given[0] for _, given in run))
    # What is done to colours is done to the columns of the matrix that leads to them.
    matrix = _UNCHANGED
    for name, given in run:
        matrix = _DONE[name](given, matrix, mean)
    return Absorption(matrix) if kind is Absorption else Linear(matrix)


def _brightness(given: Given, colours: Matrix, _mean: Matrix) -> Matrix:
    return colours * given[0]


def _contrast(given: Given, colours: Matrix, mean: Matrix) -> Matrix:
    spread = colours * given[0]
    spread[:, 3] += (1 - given[0]) * LUMA.dot(colours.dot(mean))
    return spread


def _saturation(given: Given, colours: Matrix, _mean: Matrix) -> Matrix:
    return np.asarray(colours * given[0] + (1 - given[0]) * LUMA.dot(colours))


def _white_balance(given: Given, colours: Matrix, _mean: Matrix) -> Matrix:
    return np.asarray(colours * np.array(given)[:, None])


def _hue(given: Given, colours: Matrix, _mean: Matrix) -> Matrix:
    angle = math.radians(given[0])
    turn = np.array([1.0, math.cos(angle), math.sin(angle)]).dot(_turning()).reshape(3, 3)
    return np.asarray(turn.dot(colours))


def _stain(given: Given, absorbances: Matrix, _mean: Matrix) -> Matrix:
    changed = np.tensordot(given[:3], _unmixing(), 1) @ absorbances
    changed[:, 3] += given[3:] @ STAINS
    return changed


_DONE: dict[str, Callable[[Given, Matrix, Matrix], Matrix]] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "hue_deg": _hue,
    "saturation": _saturation,
    "white_balance": _white_balance,
    "stain": _stain,
}
_KINDS: dict[str, type[Stage]] = {"gamma": Power, "stain": Absorption}
LIGHT = frozenset({"gamma", *_DONE})
"""Names of the operations that change levels pixel by pixel."""


@cache
def _turning() -> Matrix:
    """Take a colour apart into its grey, the rest, and the rest after a quarter turn.

    Three matrices of shape (3, 3), laid out as rows of 9. As hue is counted, red turns to yellow,
    yellow to green.
    """
    quarter = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    grey = np.tile(LUMA, (3, 1))
    across = np.linalg.inv(_YIQ) @ quarter @ _YIQ
    return np.stack([grey, np.eye(3) - grey, across]).reshape(3, 9)


@cache
def _unmixing() -> Matrix:
    """Take an absorbance apart into what each component adds to it, shape (3, 3, 3)."""
    return np.asarray(STAINS[:, :, None] * np.linalg.inv(STAINS).T[:, None, :])


def _every_level(n_channels: int) -> Levels:
    return np.repeat(np.arange(256, dtype=np.float32), n_channels).reshape(1, 256, n_channels)


def _begun(stage: Stage, pixels: Pixels) -> Levels:
    """Do the first stage; where it is a function of single levels, by a table of them."""
    if isinstance(stage, Linear):
        return _through([stage], pixels.astype(np.float32, order="C"))
    if isinstance(stage, Power):
        table = _raised(_every_level(1), stage.power)
        return np.asarray(cv2.LUT(pixels, table), np.float32)
    table = _logarithms(_every_level(1))
    return _absorbed(np.asarray(cv2.LUT(pixels, table), np.float32), stage.matrix)


# What follows writes over the levels it is given: fresh memory costs more than the arithmetic.


def _through(stages: Sequence[Stage], levels: Levels) -> Levels:
    for stage in stages:
        match stage:
            case Linear():
                cv2.transform(levels, stage.matrix, dst=levels)
            case Power():
                _raised(levels, stage.power)
            case Absorption():
                _absorbed(_logarithms(levels), stage.matrix)
    return levels


def _raised(levels: Levels, power: float) -> Levels:
    cv2.threshold(levels, 0, 0, cv2.THRESH_TOZERO, dst=levels)
    levels *= np.float32(1 / FULL)
    cv2.pow(levels, power, dst=levels)
    cv2.threshold(levels, BRIGHTEST, 0, cv2.THRESH_TRUNC, dst=levels)
    levels *= np.float32(FULL)
    return levels


def _logarithms(levels: Levels) -> Levels:
    cv2.threshold(levels, 0, 0, cv2.THRESH_TOZERO, dst=levels)
    levels += 1
    cv2.log(levels, dst=levels)
    return levels


def _absorbed(levels: Levels, matrix: Matrix) -> Levels:
    # They come as logarithms: an absorbance is log 256 less that. Both signs and log 256 go into
    # the matrix.
    onward = matrix.copy()
    onward[:, 3] = math.log(FULL + 1) * (1 - matrix[:, :3].sum(axis=1)) - matrix[:, 3]
    cv2.transform(levels, onward, dst=levels)
    cv2.threshold(levels, math.log(FULL * BRIGHTEST), 0, cv2.THRESH_TRUNC, dst=levels)
    cv2.exp(levels, dst=levels)
    levels -= 1
    return levels


def _rounded(levels: Levels) -> Pixels:
    np.clip(levels, 0, FULL, out=levels)
    return np.asarray(cv2.convertScaleAbs(levels), np.uint8)
