"""The empty field around a cell: its colour, what absorbs light in it, whether it was removed."""

import cv2
import numpy as np
import numpy.typing as npt

from leukoscope.morphology.masks import Mask, Pixels

Density = npt.NDArray[np.float32]

_BRIGHTEST = 90
"""Percentile of green from which a pixel is taken for empty: where cells crowd, little is."""
_DARKEST_LEVEL = 4.0
"""Grey levels below this are noise; their logarithm would rule everything."""


def blank_colour(image: Pixels) -> npt.NDArray[np.float32]:
    """Estimate the colour of the empty field.

    It is the median of the tenth of all pixels that is brightest in green, where stains and
    haemoglobin both absorb.

    Parameters
    ----------
    image : ndarray, uint8, shape (h, w, 3)

    Returns
    -------
    ndarray, float32, shape (3,)
        Red, green and blue, 1 to 255.
    """
    green = image[..., 1]
    bright = image[green >= np.percentile(green, _BRIGHTEST)]
    return np.asarray(np.maximum(np.median(bright, axis=0), 1), np.float32)


def optical_density(
    image: Pixels, blank: npt.NDArray[np.float32], *, blur_px: float = 0.0
) -> Density:
    """Compute how much each colour channel is absorbed, by Beer-Lambert's law.

    Parameters
    ----------
    image : ndarray, uint8, shape (h, w, 3)
    blank : ndarray, float32, shape (3,)
        Colour of the empty field.
    blur_px : float
        Standard deviation of a Gaussian that the picture is smoothed with first; 0 is none.

    Returns
    -------
    ndarray, float32, shape (h, w, 3)
        Natural logarithm of blank over level; 0 where the field is empty.
    """
    light = image.astype(np.float32)
    if blur_px:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), blur_px), np.float32)
    return np.asarray(-np.log(np.maximum(light, _DARKEST_LEVEL) / blank), np.float32)


def cell_of_removed_background(image: Pixels) -> Mask | None:
    """Find the cell of a picture whose background was replaced by one colour before.

    Returns
    -------
    ndarray of bool, shape (h, w), or None
        None if the frame has more than one colour, or more than one thing stands before it: then
        the field is a real one, perhaps overexposed.
    """
    frame = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    if (frame != frame[0]).any():
        return None
    thing = (image != frame[0]).any(axis=2).astype(np.uint8)
    n_things, _ = cv2.connectedComponents(thing, connectivity=8)
    if n_things != 2:
        return None
    outlines, _ = cv2.findContours(thing, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    # Pixels of the fill's very colour within the cell are the cell's.
    return np.asarray(cv2.drawContours(thing, outlines, -1, 1, cv2.FILLED) > 0)
