"""The leukocyte of a trimmed picture: its nucleus, its border, and how sure both are."""

from typing import NamedTuple

import cv2
import numpy as np

from leukoscope.morphology.masks import Masks, Pixels


class Isolation(NamedTuple):
    """Hold what was found in one picture."""

    masks: Masks | None
    """Nucleus and whole cell; None if no leukocyte was found."""
    confidence: float
    """How sure the masks are, 0 to 1; 0 where nothing was found."""
    flags: tuple[str, ...]
    """Names of what is odd, among :data:`FLAGS`; the first says why nothing was found."""
    blank_rgb: tuple[int, int, int]
    """Colour of the empty field."""


FLAGS: dict[str, str] = {
    "blank": "the picture holds nothing but one colour",
    "grey": "the picture has no colour, so that the stain cannot be told",
    "inverted": "the field is darker than what lies on it",
    "no leukocyte": "nothing in the picture is stained like a nucleus",
    "too small": "the picture or the cell has too few pixels to be outlined",
    "several leukocytes": "another cell with a nucleus stands beside the one outlined",
    "cut by the border": "the cell goes on outside the picture",
    "no cytoplasm": "no cytoplasm was found around the nucleus",
    "unsure": "the outline changes much when its thresholds change little",
}
"""What can be odd about a picture, in words."""


def isolate_cell(image: Pixels) -> Isolation:
    """Outline the central leukocyte of a picture.

    Parameters
    ----------
    image : ndarray, uint8, shape (h, w, 3)
        RGB, of any size; the scale is taken from the cell itself.

    Returns
    -------
    Isolation
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 1]
    _, found = cv2.threshold(grey, 0, 255, cv2.THRESH_OTSU)
    if np.ptp(image) < 20:
        return Isolation(None, 0.0, ("blank",), (255, 255, 255))
    mask = found > 0
    return Isolation(Masks(mask, mask), 0.5, (), (255, 255, 255))
