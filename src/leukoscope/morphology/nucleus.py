"""Nuclei by their stain: a first find in the whole picture, the exact mask within a cell.

Basic dyes make chromatin absorb red and green, but little blue; haemoglobin and eosin absorb
blue as they do green. Green minus blue density therefore tells a nucleus from erythrocytes and
granules, whatever the lamp's colour; red is added where a first guess has to be found.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from skimage import filters

from leukoscope.morphology.field import Absorbance, absorbance
from leukoscope.morphology.masks import (
    Mask,
    Pixels,
    Plane,
    at_scale,
    box_of,
    depth,
    diameter_of,
    dice,
)

LEAST_STAIN, LEAST_GREEN_OVER_BLUE = 0.6, 0.33
"""Median density of a nucleus is at least this: red + green - blue, and green - blue. Between the
erythrocytes (at most .55 and .28) and the palest nuclei (.75 and .40) of the sets in
``results/isolate``."""
LOBE_SHARE = 0.05
"""A piece below this share of the largest is debris or a granule."""

_FINDING = np.array([1, 1, -1], np.float32)
_OUTLINING = np.array([0, 1, -1], np.float32)
_N_THRESHOLDS = 16
_CENTRAL_SHARE = 0.3
"""How far off the middle a nucleus may well be, as a share of the picture's shorter side."""
_AREA_EXPONENT = 0.3
"""How much a large find is preferred to one with a sharper border: one lobe is sharper than all."""
_FOUND_SHARE_RANGE = (0.004, 0.7)
_APART = 4.0
"""Distance of centres, in half diameters, from which a piece is another cell's nucleus."""
_RISE = 0.32
"""Where the border lies between the stains of cytoplasm and nucleus."""
_RISE_DOUBT = 0.13
_RIVAL_SHARE = 0.4
_EVEN = 1e-3
"""Spread of a stain below which it is one value."""
_WORKING_PX = 120.0
"""Diameter that a cell is brought to before its nucleus is outlined; the next two go with it."""
_WORKING_BLUR_PX = 1.2
_SPECK = np.ones((5, 5), np.uint8)
_HALF = 0.5
_ANY_BLANK = np.full(3, 255, np.float32)
_ROUND = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


class Nucleus(NamedTuple):
    """Hold the nucleus of a cell."""

    mask: Mask
    """Its pixels, shape (h, w)."""
    stability: float
    """Dice of two masks made with a lower and a higher threshold, 0 to 1."""


class Found(NamedTuple):
    """Hold a nucleus found in a picture, roughly, and those beside it; masks of shape (h, w)."""

    mask: Mask
    """All its lobes."""
    rivals: Mask
    """Other nuclei: stained alike, and cut by the frame or far off."""
    alike: Mask
    """All else that is stained alike, rivals included."""


class _Pieces(NamedTuple):
    """Hold the connected pieces of a mask; piece 0 is what is outside all."""

    label: npt.NDArray[np.int32]
    box: npt.NDArray[np.int32]
    """Left, top, width, height, area of each."""
    centre: npt.NDArray[np.float64]
    stain: npt.NDArray[np.float64]
    """Mean stain of each."""
    at_frame: npt.NDArray[np.bool_]
    """Which of them the picture's frame cuts."""


def is_stained(density: Absorbance, mask: Mask) -> bool:
    """Tell whether a mask covers something stained like a nucleus, and not erythrocytes."""
    red, green, blue = np.median(density[mask], axis=0)
    return bool(red + green - blue >= LEAST_STAIN and green - blue >= LEAST_GREEN_OVER_BLUE)


def find_nucleus(density: Absorbance) -> Found | None:
    """Find the nucleus nearest the middle of a picture, all its lobes, roughly.

    Of many thresholds of the stain, the one is taken at which the border of what is found is
    sharpest. Where the cytoplasm is as dark as the nucleus, the whole cell may be found.

    Parameters
    ----------
    density : ndarray, float32, shape (h, w, 3)
        Absorbance index, somewhat smoothed.

    Returns
    -------
    Found or None
        None if no threshold gives anything of a nucleus's size.
    """
    stain = density @ _FINDING
    slope = np.hypot(cv2.Sobel(stain, cv2.CV_32F, 1, 0), cv2.Sobel(stain, cv2.CV_32F, 0, 1))
    best, best_score = None, 0.0
    least = max(float(np.median(stain)), 0.6 * _otsu(stain))
    for threshold in np.linspace(least, float(np.percentile(stain, 99.5)), _N_THRESHOLDS + 1)[:-1]:
        pieces = _pieces(stain, threshold)
        chosen = _central_pieces(pieces)
        found = np.isin(pieces.label, chosen).astype(np.uint8)
        share = float(found.mean())
        if not chosen or not _FOUND_SHARE_RANGE[0] <= share <= _FOUND_SHARE_RANGE[1]:
            continue
        score = _sharpness(found, slope) * share**_AREA_EXPONENT
        if score > best_score:
            best, best_score = (pieces, chosen), score
    return _found(*best) if best else None


def has_another(found: Found, cell: Mask) -> bool:
    """Tell whether something outside a cell may be another's nucleus, by stain and size."""
    outside = (found.alike & ~cell).astype(np.uint8)
    _, _, box, _ = cv2.connectedComponentsWithStats(outside)
    return bool((box[1:, 4] > _RIVAL_SHARE * found.mask.sum()).any())


def nucleus_within(image: Pixels, cell: Mask) -> Nucleus:
    """Outline the nucleus within a cell, by Otsu's threshold of the cell's own pixels.

    Parameters
    ----------
    image : ndarray, uint8, shape (h, w, 3)
        What lies outside the cell is not looked at, nor does the lamp's colour matter.
    cell : ndarray, bool, shape (h, w)
        At least one pixel; brought to a diameter of 120 px, so that the picture's own number of
        pixels does not matter.

    Returns
    -------
    Nucleus
        Empty if the cell has one colour throughout. Its border lies on the outer side of the
        blurred one, where annotators draw it.
    """
    stain = absorbance(image, _ANY_BLANK) @ _OUTLINING
    values, inside = at_scale(np.asarray(stain, np.float32), cell, _WORKING_PX / diameter_of(cell))
    values = _blurred_within(values, inside)
    within = values[inside]
    threshold = _otsu(within)
    if not (within > threshold).any():
        return Nucleus(np.zeros_like(cell), 0.0)
    dark, light = np.median(within[within > threshold]), np.median(within[within <= threshold])

    def above(rise: float) -> Mask:
        return _tidy((values > light + rise * (dark - light)) & inside) & inside

    low, high = above(_RISE - _RISE_DOUBT), above(_RISE + _RISE_DOUBT)
    return Nucleus(_put_back(above(_RISE), cell), dice(low, high))


def _blurred_within(values: Plane, inside: Mask) -> Plane:
    """Smooth a plane within a mask; nothing bleeds in from outside."""
    share, total = (
        np.asarray(cv2.GaussianBlur(plane, (0, 0), _WORKING_BLUR_PX), np.float32)
        for plane in (inside.astype(np.float32), np.where(inside, values, np.float32(0)))
    )
    return np.where(inside, total / np.maximum(share, 1e-6), np.float32(0))


def _put_back(nucleus: Mask, cell: Mask) -> Mask:
    box = box_of(cell)
    size = cell[box].shape[::-1]
    how = cv2.INTER_AREA if nucleus.shape[1] > size[0] else cv2.INTER_LINEAR
    mask = np.zeros_like(cell)
    mask[box] = cv2.resize(nucleus.astype(np.float32), size, interpolation=how) > _HALF
    return mask & cell


def _otsu(values: Plane) -> float:
    # A histogram of next to one value has no bins.
    if np.ptp(values) < _EVEN:
        return float(values.max())
    return float(filters.threshold_otsu(values))  # type: ignore[no-untyped-call]


def _pieces(stain: Plane, threshold: float) -> _Pieces:
    above = cv2.morphologyEx((stain > threshold).astype(np.uint8), cv2.MORPH_OPEN, _ROUND)
    n, *found = cv2.connectedComponentsWithStats(above)
    label, box = np.asarray(found[0], np.int32), np.asarray(found[1], np.int32)
    total = np.bincount(label.ravel(), weights=stain.ravel(), minlength=n)
    height, width = stain.shape
    right, bottom = box[:, 0] + box[:, 2], box[:, 1] + box[:, 3]
    cut = (box[:, 0] == 0) | (box[:, 1] == 0) | (right == width) | (bottom == height)
    return _Pieces(label, box, np.asarray(found[2], np.float64), total / box[:, 4], cut)


def _central_pieces(pieces: _Pieces) -> list[int]:
    """Choose the largest piece near the middle, and those near it that may be its lobes."""
    height, width = pieces.label.shape
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    off = np.hypot(*(pieces.centre - middle).T) / (_CENTRAL_SHARE * min(height, width))
    rank = pieces.box[:, 4] * np.exp(-(off**2))
    rank[0] = 0
    first = int(rank.argmax())
    if first == 0:
        return []
    chosen = [first]
    while len(chosen) < len(rank) - 1:
        nearest = _nearest_lobe(pieces, chosen)
        if nearest is None:
            break
        chosen.append(nearest)
    return chosen


def _nearest_lobe(pieces: _Pieces, chosen: list[int]) -> int | None:
    main = np.isin(pieces.label, chosen)
    reach = 0.45 * np.sqrt(main.sum() / np.pi) + 1
    area, first = pieces.box[:, 4], chosen[0]
    # Erythrocytes and neighbours differ in stain, or are cut by the frame.
    may = (area > 0.06 * area[first]) & (area < 1.3 * area[first])
    may &= (pieces.stain > 0.8 * pieces.stain[first]) & (pieces.at_frame <= pieces.at_frame[first])
    may[[0, *chosen]] = False
    if not may.any():
        return None
    away = depth(~main)
    gaps = {piece: float(away[pieces.label == piece].min()) for piece in np.flatnonzero(may)}
    near = [piece for piece, gap in gaps.items() if gap < reach]
    return int(min(near, key=gaps.__getitem__)) if near else None


def _found(pieces: _Pieces, chosen: list[int]) -> Found:
    area, first = pieces.box[:, 4], chosen[0]
    whole = area[chosen].sum()
    alike = pieces.stain > 0.75 * pieces.stain[first]
    alike[[0, *chosen]] = False
    apart = np.hypot(*(pieces.centre - pieces.centre[chosen].mean(axis=0)).T)
    # A piece nearby that the frame does not cut may be a lobe that lies off the others.
    strange = pieces.at_frame | (apart > _APART * np.sqrt(whole / np.pi))
    rivals = np.flatnonzero(alike & strange & (area > LOBE_SHARE * whole))
    return Found(
        np.isin(pieces.label, chosen),
        np.isin(pieces.label, rivals),
        np.isin(pieces.label, np.flatnonzero(alike)),
    )


def _sharpness(found: npt.NDArray[np.uint8], slope: Plane) -> float:
    outlines, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    border = np.concatenate(outlines)[:, 0]
    return float(slope[border[:, 1], border[:, 0]].mean())


def _tidy(mask: Mask) -> Mask:
    """Fill holes; drop specks and debris."""
    solid = mask.astype(np.uint8)
    outlines, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    solid = np.asarray(cv2.drawContours(solid, outlines, -1, 1, cv2.FILLED), np.uint8)
    solid = np.asarray(cv2.morphologyEx(solid, cv2.MORPH_OPEN, _SPECK), np.uint8)
    n, label, box, _ = cv2.connectedComponentsWithStats(solid)
    if n < 2:
        return mask
    large = np.flatnonzero(box[1:, 4] > LOBE_SHARE * box[1:, 4].max()) + 1
    return np.isin(label, large)
