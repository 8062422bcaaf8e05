"""Light and stain: runs of operations become one pass over the levels and one rounding."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from leukoscope.augmentation.step import Operation

Pixels = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

LIGHT = frozenset(
    {"brightness", "contrast", "gamma", "hue_deg", "saturation", "white_balance", "stain"}
)
"""Names of the operations that change levels pixel by pixel."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in a grey (ITU-R BT.601)."""

STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
"""Absorbance in red, green and blue of haematoxylin, eosin and a third component
(Ruifrok and Johnston 2001)."""

# Luma and two differences of colour (YIQ): hue is an angle in the plane of the latter.
_YIQ = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_FULL = 255.0


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
    """Multiply absorbances (red, green, blue, 1) by a matrix of shape (3, 4)."""

    matrix: Matrix


Stage = Linear | Power | Absorption


def light(operations: Sequence[Operation], pixels: Pixels) -> Pixels:
    """Do a run of operations of light to a picture.

    Levels are cut to 0 to 255 and rounded once, at the end; before a power or an absorbance
    those below 0 are cut to 0.

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
    stages = stages_of(operations, cv2.mean(pixels)[:3])
    if not stages:
        return pixels
    first = stages[0]
    if len(stages) == 1 and isinstance(first, Linear):
        # Rounds and cuts by itself.
        return np.asarray(cv2.transform(pixels, first.matrix), np.uint8)
    if isinstance(first, Power) and len(stages) == 1:
        return np.asarray(cv2.LUT(pixels, np.rint(_curve(first.power)).astype(np.uint8)))
    levels = pixels.astype(np.float32)
    for stage in stages:
        levels = _through(stage, levels)
    return np.asarray(cv2.addWeighted(levels, 1, levels, 0, 0, dtype=cv2.CV_8U), np.uint8)


def stages_of(operations: Sequence[Operation], mean_rgb: Sequence[float]) -> tuple[Stage, ...]:
    """Merge a run of operations into as few stages as there can be.

    Parameters
    ----------
    operations : sequence of Operation
        Names from LIGHT.
    mean_rgb : sequence of 3 float
        Mean colour of the picture, 0 to 255. Contrast turns about its grey, carried through
        what comes before; through a power the mean colour is carried, not the mean.

    Returns
    -------
    tuple of Stage
        Without operations at the strength of doing nothing.
    """
    stages: list[Stage] = []
    mean = np.asarray(mean_rgb, np.float64)
    for operation in operations:
        stage = _stage(operation, mean)
        if stage is None:
            continue
        mean = _through(stage, mean.astype(np.float32)[None, None])[0, 0].astype(np.float64)
        last = stages[-1] if stages else None
        if isinstance(stage, Linear) and isinstance(last, Linear):
            stages[-1] = Linear(_merged(stage.matrix, last.matrix))
        elif isinstance(stage, Power) and isinstance(last, Power):
            stages[-1] = Power(stage.power * last.power)
        elif isinstance(stage, Absorption) and isinstance(last, Absorption):
            stages[-1] = Absorption(_merged(stage.matrix, last.matrix))
        else:
            stages.append(stage)
    return tuple(stages)


def _stage(operation: Operation, mean: npt.NDArray[np.float64]) -> Stage | None:
    name, given = operation
    neutral = 0.0 if name == "hue_deg" else 1.0
    if name != "stain" and all(value == neutral for value in given):
        return None
    match name:
        case "gamma":
            return Power(given[0])
        case "stain":
            return _stain(given)
        case "brightness":
            return Linear(_affine(np.eye(3) * given[0]))
        case "contrast":
            return Linear(_affine(np.eye(3) * given[0], (1 - given[0]) * float(LUMA @ mean)))
        case "saturation":
            grey = np.tile(LUMA, (3, 1))
            return Linear(_affine(given[0] * np.eye(3) + (1 - given[0]) * grey))
        case "white_balance":
            return Linear(_affine(np.diag(given)))
        case "hue_deg":
            return Linear(_affine(_hue(given[0])))
        case _:
            raise ValueError(f"no operation of light is called {name!r}")


def _hue(angle_deg: float) -> Matrix:
    angle = math.radians(angle_deg)
    turn = np.eye(3)
    turn[1:, 1:] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    return np.asarray(np.linalg.inv(_YIQ) @ turn @ _YIQ)


def _stain(given: Sequence[float]) -> Absorption | None:
    factors, shifts = np.array(given[:3]), np.array(given[3:])
    if (factors == 1).all() and (shifts == 0).all():
        return None
    # Rows of STAINS are colours: absorbance = amounts @ STAINS.
    back = np.linalg.inv(STAINS)
    linear = (back * factors) @ STAINS
    return Absorption(_affine(linear.T, shifts @ STAINS))


def _affine(linear: Matrix, shift: float | Matrix = 0.0) -> Matrix:
    return np.column_stack([linear, np.broadcast_to(shift, 3)])


def _merged(last: Matrix, first: Matrix) -> Matrix:
    return np.asarray(last @ np.vstack([first, [0.0, 0.0, 0.0, 1.0]]))


def _curve(power: float) -> npt.NDArray[np.float64]:
    return np.asarray(_FULL * (np.arange(256) / _FULL) ** power)


def _through(stage: Stage, levels: Levels) -> Levels:
    match stage:
        case Linear():
            return np.asarray(cv2.transform(levels, stage.matrix), np.float32)
        case Power():
            share = np.maximum(levels, 0) / np.float32(_FULL)
            return np.asarray(cv2.pow(share, stage.power) * np.float32(_FULL), np.float32)
        case Absorption():
            # One level is added, so that black has an absorbance.
            dark = -np.log((np.maximum(levels, 0) + 1) / np.float32(_FULL + 1))
            left = cv2.exp(-cv2.transform(dark.astype(np.float32), stage.matrix))
            return np.asarray(left * np.float32(_FULL + 1) - 1, np.float32)
