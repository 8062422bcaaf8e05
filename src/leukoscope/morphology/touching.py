"""Cells that touch: parted at the neck between them, where each holds a nucleus."""

import cv2
import numpy as np
import numpy.typing as npt
from skimage import morphology, segmentation

from leukoscope.morphology.masks import Mask, depth

_WAISTED = 0.93
"""Share of its convex hull below which a shape may have a neck."""
_NECK = 0.25
"""How much narrower than the widest place a neck is, as a share of the latter."""
_NUCLEUS_SHARE = 0.25
"""A cell holds at least that share of all nucleus; below it is a bulge, not another cell."""


def part_cells(cells: Mask, nuclei: Mask) -> list[Mask]:
    """Part cells that touch, by a watershed of the distance to their border.

    Parameters
    ----------
    cells : ndarray, bool, shape (h, w)
        One piece, perhaps of several cells.
    nuclei : ndarray, bool, shape (h, w)
        Their nuclei; lobes of one nucleus lie within one cell.

    Returns
    -------
    list of ndarray
        The cells, each bool, shape (h, w): disjoint, together *cells*; one if there is no neck,
        or a nucleus on one side of it only.

    Notes
    -----
    Source: Vincent, L. & Soille, P. (1991), IEEE Trans. PAMI 13:583-598.
    """
    if not _is_waisted(cells):
        return [cells]
    distance = depth(cells)
    lowered = distance - _NECK * distance.max()
    # What is left of the hills after filling to where a lowered copy reaches are those with a neck.
    hills = morphology.reconstruction(lowered, distance)  # type: ignore[no-untyped-call]
    peaks, n_peaks = _numbered(morphology.local_maxima(hills))  # type: ignore[no-untyped-call]
    if n_peaks < 2:
        return [cells]
    basins = segmentation.watershed(-distance, peaks, mask=cells)  # type: ignore[no-untyped-call]
    held = np.bincount(basins[nuclei], minlength=n_peaks + 1)[1:]
    if (held < _NUCLEUS_SHARE * nuclei.sum()).any():
        return [cells]
    return [basins == number for number in range(1, n_peaks + 1)]


def _is_waisted(cells: Mask) -> bool:
    outlines, _ = cv2.findContours(cells.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    line = max(outlines, key=len)
    return cv2.contourArea(line) < _WAISTED * cv2.contourArea(cv2.convexHull(line))


def _numbered(peaks: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int32], int]:
    n, label = cv2.connectedComponents(peaks.astype(np.uint8), connectivity=8)
    return np.asarray(label, np.int32), n - 1
