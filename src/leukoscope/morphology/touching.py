"""Things that touch: cells parted at the neck between them, erythrocytes cut off at theirs."""

import cv2
import numpy as np
import numpy.typing as npt
from skimage import morphology, segmentation

from leukoscope.morphology.masks import Mask, Pixels, depth

_WAISTED = 0.93
"""Share of its convex hull below which a shape may have a neck."""
_NECK = 0.15
"""How much narrower than the widest place a neck is, as a share of the latter."""
_NUCLEUS_SHARE = 0.25
"""A cell holds at least that share of all nucleus; below it is a bulge, not another cell."""
_OTHER_COLOUR = 10.0
"""Distance in L*a*b* from which a bulge is not this cell's cytoplasm."""


def part_cells(image: Pixels, cells: Mask, nuclei: Mask) -> list[Mask]:
    """Part cells that touch, by a watershed of the distance to their border.

    Parameters
    ----------
    image : ndarray, uint8, shape (h, w, 3)
    cells : ndarray, bool, shape (h, w)
        One piece, perhaps of several cells.
    nuclei : ndarray, bool, shape (h, w)
        Their nuclei; lobes of one nucleus lie within one cell.

    Returns
    -------
    list of ndarray
        The cells, each bool, shape (h, w), disjoint; *cells* alone if there is no neck. A piece
        beyond a neck that holds hardly any nucleus stays with its neighbour where it has the
        colour of its cytoplasm, and is left out where it has another, as an erythrocyte.

    Notes
    -----
    Source of the watershed: Vincent, L. & Soille, P. (1991), IEEE Trans. PAMI 13:583-598.
    """
    basins = _basins(cells)
    numbers = np.unique(basins[cells])
    held = {int(n): int((nuclei & (basins == n)).sum()) for n in numbers}
    own = [n for n, pixels in held.items() if pixels >= _NUCLEUS_SHARE * nuclei.sum()]
    if len(numbers) < 2 or not own:
        return [cells]
    parts = {n: basins == n for n in own}
    lab = np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    for bulge in (basins == n for n in held if n not in own):
        beside = max(own, key=lambda n: _shared_border(basins == n, bulge))
        if _unlike(lab, bulge & ~nuclei, parts[beside] & ~nuclei) < _OTHER_COLOUR:
            parts[beside] = parts[beside] | bulge
    return list(parts.values())


def _basins(cells: Mask) -> npt.NDArray[np.int32]:
    """Number the parts of a mask between its necks from 1; 0 is outside."""
    whole = cells.astype(np.int32)
    if not _is_waisted(cells):
        return whole
    distance = depth(cells)
    lowered = distance - _NECK * distance.max()
    # What is left of the hills after filling to where a lowered copy reaches are those with a neck.
    hills = morphology.reconstruction(lowered, distance)  # type: ignore[no-untyped-call]
    tops = morphology.local_maxima(hills) & cells  # type: ignore[no-untyped-call]
    _, peaks = cv2.connectedComponents(tops.astype(np.uint8), connectivity=8)
    found = segmentation.watershed(-distance, peaks, mask=cells)  # type: ignore[no-untyped-call]
    return np.asarray(found, np.int32)


def _is_waisted(cells: Mask) -> bool:
    outlines, _ = cv2.findContours(cells.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    line = max(outlines, key=len)
    return cv2.contourArea(line) < _WAISTED * cv2.contourArea(cv2.convexHull(line))


def _shared_border(one: Mask, other: Mask) -> int:
    near = cv2.dilate(one.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return int((near & other).sum())


def _unlike(lab: npt.NDArray[np.float32], one: Mask, other: Mask) -> float:
    """Measure how far the median colours of two masks are apart; 0 where one is empty."""
    if not one.any() or not other.any():
        return 0.0
    return float(np.linalg.norm(np.median(lab[one], axis=0) - np.median(lab[other], axis=0)))
