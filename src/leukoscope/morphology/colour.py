"""Colour of a cell's parts, in numbers that are spaced about as the eye spaces them."""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from leukoscope.morphology.masks import Masks, Pixels

Plane = npt.NDArray[np.float32]

_AXES = ("lightness", "red_green", "yellow_blue")
# IEC 61966-2-1: rows give X, Y and Z of linear red, green and blue. White is the sum of a row
# (D65), so that grey has exactly no colour.
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def colour_measures(image: Pixels, masks: Masks) -> dict[str, float]:
    """Measure mean and spread of L*, a* and b* in nucleus and cytoplasm, and their distance.

    Parameters
    ----------
    image : ndarray, uint8, shape (h, w, 3)
        RGB, read as sRGB.
    masks : Masks
        Of shape (h, w).

    Returns
    -------
    dict of str to float
        The names of :mod:`leukoscope.morphology.definitions`. The spread is the standard
        deviation over pixels. NaN for a part without pixels, and for the contrast then.
    """
    nucleus = _moments(image[masks.nucleus])
    cytoplasm = _moments(image[masks.cell & ~masks.nucleus])
    measures = {
        f"{part}_{axis}_{kind}": float(value)
        for part, moments in (("nucleus", nucleus), ("cytoplasm", cytoplasm))
        for kind, values in zip(("mean", "spread"), moments, strict=True)
        for axis, value in zip(_AXES, values, strict=True)
    }
    return measures | {"colour_contrast": float(np.linalg.norm(nucleus[0] - cytoplasm[0]))}


def lab(rgb: Pixels) -> npt.NDArray[np.float64]:
    """Compute CIE 1976 L*a*b* of sRGB colours, white D65.

    Parameters
    ----------
    rgb : ndarray, uint8, shape (..., 3)

    Returns
    -------
    ndarray, float64, shape (..., 3)
        L* 0 to 100; a* from green to red and b* from blue to yellow, 0 for grey.
        Sources: IEC 61966-2-1 (sRGB), CIE 15 (L*a*b*).
    """
    share = _linear()[rgb] @ (_TO_XYZ / _TO_XYZ.sum(axis=1, keepdims=True)).T
    x, y, z = np.moveaxis(_compressed(share), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def luminance(image: Pixels) -> Plane:
    """Compute the share of white's light in every pixel: Y of sRGB, 0 black to 1 white.

    Parameters
    ----------
    image : ndarray, uint8, shape (h, w, 3)

    Returns
    -------
    ndarray, float32, shape (h, w)
    """
    red, green, blue = (_weighted()[:, i][image[..., i]] for i in range(3))
    return np.asarray(red + green + blue, np.float32)


def lightness(light: Plane) -> Plane:
    """Compute CIE 1976 L*, 0 to 100, of luminances from 0 to 1."""
    return np.asarray(116 * _compressed(light) - 16, np.float32)


def _moments(rgb: Pixels) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Compute mean and standard deviation of L*, a* and b*; NaN of no pixels."""
    if not len(rgb):
        return np.full(3, np.nan), np.full(3, np.nan)
    values = lab(rgb)
    return values.mean(axis=0), values.std(axis=0)


def _compressed(share: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Apply the cube root of L*a*b*, a line near black."""
    return np.where(share > (6 / 29) ** 3, np.cbrt(share), share / (3 * (6 / 29) ** 2) + 4 / 29)


@functools.cache
def _linear() -> npt.NDArray[np.float64]:
    """Tabulate the light of the 256 levels of sRGB, 0 to 1."""
    level = np.arange(256) / 255
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


@functools.cache
def _weighted() -> npt.NDArray[np.float32]:
    """Tabulate what each level of red, green and blue adds to luminance, shape (256, 3)."""
    return np.asarray(_linear()[:, None] * _TO_XYZ[1], np.float32)
