"""The stain and light of a case: from densities of four dyes to an RGB picture.

A stained smear absorbs: a dye of density *d* lets exp(-d a) of the light
through (Beer-Lambert). Cells are therefore drawn as planes of dye density, and
a case is one set of absorbances, one lamp and one focus for all its cells.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from leukoscope.intake.phantom_shapes import Plane, unit

DYES = ("violet", "blue", "eosin", "haemoglobin")
"""Order of the density planes: chromatin's violet, basophil blue, eosin's red, erythrocytes."""

_ABSORBANCE = np.array(
    [[1.26, 1.72, 0.62], [0.62, 0.56, 0.10], [0.20, 0.62, 0.54], [0.30, 0.48, 0.42]]
)
"""Absorbance (natural logarithm) of each dye at density 1 for red, green and blue."""

_LAMP = np.array([250.0, 236.0, 222.0])
"""Grey levels of an empty place: red, green, blue."""


@dataclass(frozen=True)
class CaseLook:
    """Hold how one case is stained, lit and focused."""

    absorbance: NDArray[np.float32]
    """Absorbance of each dye at density 1, shape (4, 3): dye, colour channel."""

    lamp: NDArray[np.float32]
    """Grey levels of an empty place, shape (3,)."""

    focus_um: float
    """Standard deviation of the blur."""


def draw_look(rng: np.random.Generator, spread: float) -> CaseLook:
    """Draw the look of a case.

    Parameters
    ----------
    rng : numpy.random.Generator
    spread : float
        0 gives every case the same look; 1 is the ordinary difference between slides.

    Returns
    -------
    CaseLook
    """
    strength = np.exp(spread * 0.16 * rng.standard_normal((4, 1)))
    hue = np.exp(spread * 0.07 * rng.standard_normal((4, 3)))
    brightness = -abs(spread * 0.05 * rng.standard_normal())
    tint = spread * np.array([0.012, 0.03, 0.05]) * rng.standard_normal(3)
    lamp = np.clip(_LAMP * np.exp(brightness + tint), 90, 253)
    focus_um = 0.2 * math.exp(spread * 0.25 * rng.standard_normal())
    absorbance = (_ABSORBANCE * strength * hue).astype(np.float32)
    return CaseLook(absorbance, lamp.astype(np.float32), focus_um)


def develop(
    densities: NDArray[np.float32],
    look: CaseLook,
    *,
    um_per_px: float,
    slope: float,
    slope_deg: float,
) -> NDArray[np.float32]:
    """Turn dye densities into grey levels, before noise.

    Parameters
    ----------
    densities : ndarray, float32, shape (h, w, 4)
        One plane a dye, in the order of :data:`DYES`.
    look : CaseLook
    um_per_px : float
    slope : float
        Relative change of the light from the centre to the rim; 0 is even light.
    slope_deg : float
        Direction in which the light grows.

    Returns
    -------
    ndarray, float32, shape (h, w, 3)
        RGB, unrounded.
    """
    light = np.exp(-(densities @ look.absorbance)) * look.lamp
    if slope:
        light *= light_slope(densities.shape[0], slope, slope_deg)[..., None]
    sigma = look.focus_um / um_per_px
    return np.asarray(cv2.GaussianBlur(light, (0, 0), sigma), np.float32)


def light_slope(side_px: int, slope: float, slope_deg: float) -> Plane:
    """Draw light that grows evenly in one direction and is 1 at the brighter rim."""
    across = np.linspace(-1, 1, side_px, dtype=np.float32)
    right, up = slope * unit(slope_deg)
    light = 1 + right * across[None, :] - up * across[:, None]
    return np.asarray(light / (1 + slope), np.float32)
