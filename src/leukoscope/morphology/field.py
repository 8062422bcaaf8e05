"""The empty field around a cell: its colour, what absorbs light in it, whether it was removed."""

import cv2
import numpy as np
import numpy.typing as npt
from skimage import filters

from leukoscope.morphology.masks import Mask, Pixels

Absorbance = npt.NDArray[np.float32]

_REMOVED_BLANK = 245.0
"""Levels taken for the empty field's where it was removed and cannot be seen."""
_BLACK_LEVEL, _LEAST_BLACK, _MOSTLY_BLACK = 12, 0.005, 0.4
"""Levels up to which a pixel is black; share of the picture from which black corners count, and
from which the background is taken for removed."""
_BRIGHTEST = 90
"""Percentile of green from which a pixel is taken for empty: where cells crowd, little is."""
_LEAST_SPREAD, _SMALL_SHARE, _FEWEST, _FEWEST_PX2, _ROUND, _LONG = 0.02, 0.25, 3, 30, 0.9, 1.5
"""What an erythrocyte is, for a scale: its absorbance apart from the field's, not much smaller than
the largest, three of them or more, pixels, solid, not long."""
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


def with_black_filled(image: Pixels) -> tuple[Pixels, npt.NDArray[np.float32]]:
    """Fill black that reaches in from the frame, as turning or cutting out leaves it.

    Returns
    -------
    image : ndarray, uint8, shape (h, w, 3)
        The picture itself if it has no such black.
    blank : ndarray, float32, shape (3,)
        Colour of the empty field: estimated, or a light grey where the background was removed.
    """
    black = _from_frame(image.max(axis=2) <= _BLACK_LEVEL)
    if black.mean() < _LEAST_BLACK or black.all():
        return image, blank_colour(image)
    # The pixels between black and field are neither.
    black = cv2.dilate(black.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=2) > 0
    if black.all():
        return image, blank_colour(image)
    blank = removed_blank() if black.mean() > _MOSTLY_BLACK else blank_colour(image[~black][None])
    return filled_outside(image, ~black, blank), blank


def removed_blank() -> npt.NDArray[np.float32]:
    """Give a colour for an empty field that was removed: light grey, shape (3,)."""
    return np.full(3, _REMOVED_BLANK, np.float32)


def absorbance(
    image: Pixels, blank: npt.NDArray[np.float32], *, blur_px: float = 0.0
) -> Absorbance:
    """Compute how much darker each channel is than the empty field, on a logarithmic scale.

    An index of absorbance: the levels of a picture are not linear in light, so that Beer and
    Lambert's law holds roughly only; for telling stains apart it does.

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


def erythrocyte_diameter(density: Absorbance, cell: Mask) -> float | None:
    """Measure the erythrocytes around a cell, as a scale.

    Parameters
    ----------
    density : ndarray, float32, shape (h, w, 3)
        Absorbance index of the picture.
    cell : ndarray, bool, shape (h, w)
        The leukocyte, left aside.

    Returns
    -------
    float or None
        Median diameter in pixels of the round things apart from the cell and the frame; None if
        there are fewer than three.
    """
    green = density[..., 1]
    if green[~cell].std() < _LEAST_SPREAD:
        return None
    threshold = filters.threshold_otsu(green[~cell])  # type: ignore[no-untyped-call]
    things = ((green > threshold) & ~cell).astype(np.uint8)
    outlines, _ = cv2.findContours(things, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    height, width = things.shape
    areas = [cv2.contourArea(line) for line in outlines if _is_whole_and_round(line, height, width)]
    large = [area for area in areas if area >= _SMALL_SHARE * max(areas)]
    return 2 * float(np.sqrt(np.median(large) / np.pi)) if len(large) >= _FEWEST else None


def _is_whole_and_round(line: cv2.typing.MatLike, height: int, width: int) -> bool:
    left, top, wide, tall = cv2.boundingRect(line)
    if left == 0 or top == 0 or left + wide == width or top + tall == height:
        return False
    hull = cv2.contourArea(cv2.convexHull(line))
    return (
        hull > _FEWEST_PX2
        and cv2.contourArea(line) > _ROUND * hull
        and _LONG * wide > tall > wide / _LONG
    )


def _from_frame(mask: Mask) -> Mask:
    """Keep the pieces of a mask that touch the frame."""
    _, label = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    label = np.asarray(label)
    frame = np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]])
    return np.isin(label, frame[frame > 0])


def thing_before_one_colour(image: Pixels) -> Mask | None:
    """Find what stands before one exact colour: a cell whose background was removed, or a field.

    Returns
    -------
    ndarray of bool, shape (h, w), or None
        Its holes filled; None if the frame has more than one colour, or there is more or less
        than one thing: then the picture is taken for an ordinary one, perhaps overexposed.
    """
    frame = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    if (frame != frame[0]).any():
        return None
    thing = (image != frame[0]).any(axis=2).astype(np.uint8)
    outlines, _ = cv2.findContours(thing, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if len(outlines) != 1:
        return None
    # Pixels of the fill's very colour within the cell are the cell's.
    return np.asarray(cv2.drawContours(thing, outlines, -1, 1, cv2.FILLED) > 0)


def filled_outside(image: Pixels, inside: Mask, colour: npt.NDArray[np.float32]) -> Pixels:
    """Replace what lies outside a mask by a colour, shape (3,)."""
    return np.where(inside[..., None], image, np.round(colour).astype(np.uint8))
