"""Texture of a cell's parts, at a scale set by the cell: how coarse the grain, how sharp."""

import functools
import itertools

import cv2
import numpy as np
import numpy.typing as npt

from leukoscope.morphology.colour import Plane, lightness, luminance
from leukoscope.morphology.definitions import DIAMETER_PX, N_RADII
from leukoscope.morphology.masks import Mask, Pixels, at_scale, diameter_of

DARKEST = 0.01
"""Luminance below which nothing is told apart: there one level of 8 bits is over 5 % of it."""
_LAPLACIAN = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def darkness_of(image: Pixels) -> Plane:
    """Compute the optical density of lightness: -log10 of luminance Y, 0 white to 2 black.

    Stains add up in it, and a stronger lamp takes the same amount from every pixel. White is
    that of sRGB, not the blank field, which an isolated cell no longer has.

    Parameters
    ----------
    image : ndarray, uint8, shape (h, w, 3)

    Returns
    -------
    ndarray, float32, shape (h, w)
    """
    return np.asarray(-np.log10(np.maximum(luminance(image), DARKEST)), np.float32)


def granularity(darkness: Plane, mask: Mask, diameter_px: float) -> tuple[float, ...]:
    """Compute the granularity spectrum of one part of a cell.

    Parameters
    ----------
    darkness : ndarray, float32, shape (h, w)
        Optical density. What lies outside *mask* is not looked at.
    mask : ndarray, bool, shape (h, w)
        The part: nucleus, cytoplasm or cell.
    diameter_px : float
        Diameter of the whole cell in pixels, above 0; brought to 64 by one resampling.

    Returns
    -------
    tuple of float
        For radius 1, 2, ... of 64ths of the cell's diameter: the mean optical density that an
        opening takes away beyond the radius before, at least 0. A constant added to the
        darkness (a stronger lamp) changes nothing, a factor (a stronger stain) is a factor.
        NaN if the part has no pixels, or none at that scale.

    Notes
    -----
    The pattern spectrum of Maragos (1989), IEEE Trans. PAMI 11:701-716, per pixel. What an
    opening by a larger disc keeps is kept by a smaller one too: the greatest of them is an
    opening itself, and was needed since small discs of pixels do not nest exactly.
    """
    values, inside = at_scale(darkness, mask, DIAMETER_PX / diameter_px)
    if not inside.any():
        return (float("nan"),) * N_RADII
    kept, means = opened(values, inside, N_RADII), []
    for radius in range(N_RADII, 0, -1):
        kept = np.maximum(kept, opened(values, inside, radius))
        means.append(float(kept[inside].mean(dtype=np.float64)))
    means.append(float(values[inside].mean(dtype=np.float64)))
    return tuple(more - less for more, less in itertools.pairwise(reversed(means)))


def opened(values: Plane, mask: Mask, radius_px: int) -> Plane:
    """Open a plane within a mask by a disc: erosion and dilation see nothing outside.

    Parameters
    ----------
    values : ndarray, float32, shape (h, w)
    mask : ndarray, bool, shape (h, w)
    radius_px : int
        The disc holds the pixels whose centres are at most so far from its own.

    Returns
    -------
    ndarray, float32, shape (h, w)
        At most *values*, and unchanged if opened again; 0 outside the mask.
    """
    disc, infinity = _disc(radius_px), np.float32(np.inf)
    eroded = cv2.erode(
        np.where(mask, values, infinity), disc, borderType=cv2.BORDER_CONSTANT, borderValue=np.inf
    )
    dilated = cv2.dilate(
        np.where(mask, eroded, -infinity), disc, borderType=cv2.BORDER_CONSTANT, borderValue=-np.inf
    )
    return np.where(mask, dilated, np.float32(0))


def focus(image: Pixels, cell: Mask) -> float:
    """Compute how sharp a cell is: mean squared Laplacian of L* over the variance of L*.

    Parameters
    ----------
    image : ndarray, uint8, shape (h, w, 3)
    cell : ndarray, bool, shape (h, w)
        What lies outside is not looked at. The cell is brought to a diameter of 64 px first, so
        that a picture with more pixels is not called blurred.

    Returns
    -------
    float
        0 for the smoothest, about 20 for pure noise; a change of lightness by a factor and a
        constant (as a stronger lamp makes) changes nothing. 0 if the cell has one lightness
        throughout; NaN if no pixel has all four neighbours in the cell.
        After Subbarao et al. (1993), Optical Engineering 32:2824 (energy of the Laplacian), and
        Pertuz et al. (2013), Pattern Recognition 46:1415.
    """
    values, inside = at_scale(lightness(luminance(image)), cell, DIAMETER_PX / diameter_of(cell))
    inner = cv2.erode(
        inside.astype(np.uint8), _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    if not inner.any():
        return float("nan")
    curved = np.asarray(cv2.filter2D(values, cv2.CV_32F, _LAPLACIAN))[inner > 0]
    variance = float(np.var(values[inside], dtype=np.float64))
    # Rounding alone spreads one lightness by less than this.
    return float(np.mean(curved**2, dtype=np.float64)) / variance if variance > 1e-8 else 0.0


@functools.cache
def _disc(radius_px: int) -> npt.NDArray[np.uint8]:
    offset = np.arange(-radius_px, radius_px + 1)
    return (offset[:, None] ** 2 + offset**2 <= radius_px**2).astype(np.uint8)
