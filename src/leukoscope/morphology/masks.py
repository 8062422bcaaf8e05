"""Masks of a cell: how two of them lie in one picture, how well two agree, what they cut out."""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Levels = npt.NDArray[np.uint8]
Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]

CYTOPLASM, NUCLEUS = 128, 255
"""Grey levels of a mask picture; 0 is outside the cell."""
# Pixels that a mask covers by half or more after a resampling are its own.
_COVERED = 0.5


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


def diameter_of(mask: Mask) -> float:
    """Compute the diameter in pixels of a disc of the mask's area; at least that of one pixel."""
    return 2 * float(np.sqrt(max(1, int(np.count_nonzero(mask))) / np.pi))


def box_of(mask: Mask) -> tuple[slice, slice]:
    """Give the rows and columns that a mask with at least one pixel spans."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def bounds_px(mask: Mask) -> tuple[int, int, int, int]:
    """Give left, top, right and bottom of a mask in pixels, the last two just outside."""
    rows, columns = box_of(mask)
    return columns.start, rows.start, columns.stop, rows.stop


def at_scale(values: Plane, mask: Mask, scale: float) -> tuple[Plane, Mask]:
    """Resample the masked pixels once, each result the mean of those it covers in the mask.

    The grid starts at the mask's own bounds, so that moving a cell within its picture changes
    nothing. Values are 0 where the mask does not reach.
    """
    if not mask.any():
        return np.zeros((1, 1), np.float32), np.zeros((1, 1), np.bool_)
    box = box_of(mask)
    share = mask[box].astype(np.float32)
    # Weighted about their mean, so that rounding does not grow with a constant in the values.
    middle = np.float32(values[mask].mean(dtype=np.float64))
    weighted = np.where(mask[box], values[box] - middle, np.float32(0))
    size = tuple(max(1, round(n * scale)) for n in share.shape[::-1])
    # Shrinking averages over what a pixel covers; enlarging interpolates between pixels.
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    share, weighted = (
        np.asarray(cv2.resize(plane, size, interpolation=how), np.float32)
        for plane in (share, weighted)
    )
    inside = share >= _COVERED
    return np.where(inside, weighted / np.maximum(share, _COVERED) + middle, np.float32(0)), inside


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
