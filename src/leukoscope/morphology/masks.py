"""Masks of a cell: how two of them lie in one picture, how well two agree, what they cut out."""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Levels = npt.NDArray[np.uint8]
Pixels = npt.NDArray[np.uint8]

CYTOPLASM, NUCLEUS = 128, 255
"""Grey levels of a mask picture; 0 is outside the cell."""


class Masks(NamedTuple):
    """Hold the two masks of one cell, each bool, shape (h, w)."""

    nucleus: Mask
    """Pixels of the nucleus, all its parts."""
    cell: Mask
    """Pixels of the whole leukocyte, its nucleus included."""


def levels_of(masks: Masks) -> Levels:
    """Lay both masks into one grey picture: 0 outside, 128 cytoplasm, 255 nucleus.

    Returns
    -------
    ndarray, uint8, shape (h, w)
    """
    return np.where(masks.nucleus, NUCLEUS, np.where(masks.cell, CYTOPLASM, 0)).astype(np.uint8)


def masks_of(levels: Levels) -> Masks:
    """Read both masks from a grey picture, each level taken for the nearest of 0, 128 and 255.

    Parameters
    ----------
    levels : ndarray, uint8, shape (h, w)
        Stray levels occur in published masks, where borders were smoothed.
    """
    return Masks(levels >= (CYTOPLASM + NUCLEUS + 1) // 2, levels >= CYTOPLASM // 2)


def dice(one: Mask, other: Mask) -> float:
    """Compute twice the shared area over the sum of both areas, 0 to 1; two empty masks agree.

    Source: Dice, L. R. (1945), Ecology 26:297-302.
    """
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def depth(mask: Mask) -> npt.NDArray[np.float32]:
    """Measure how far each pixel of a mask is from the nearest pixel outside it; 0 outside.

    Parameters
    ----------
    mask : ndarray, bool, shape (h, w)
        What lies beyond the picture does not count as outside.

    Returns
    -------
    ndarray, float32, shape (h, w)
        In pixels, centre to centre.
    """
    rough = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Its last bits depend on where the array lies in memory; squares of distances are whole.
    return np.sqrt(np.rint(np.square(rough, dtype=np.float64))).astype(np.float32)


def without_background(image: Pixels, cell: Mask, fill_rgb: tuple[int, int, int]) -> Pixels:
    """Replace every pixel outside the cell by one colour; those inside stay as they are.

    Parameters
    ----------
    image : ndarray, uint8, shape (h, w, 3)
    cell : ndarray, bool, shape (h, w)
    fill_rgb : tuple of int
        Red, green and blue, 0 to 255.

    Returns
    -------
    ndarray, uint8, shape (h, w, 3)
        A new picture.
    """
    return np.where(cell[..., None], image, np.array(fill_rgb, np.uint8))
