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

from leukoscope.morphology.field import Density
from leukoscope.morphology.masks import Mask, depth

Plane = npt.NDArray[np.float32]

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
_RISE = 0.45
"""Where the border lies between the densities of cytoplasm and nucleus."""
_RISE_DOUBT = 0.13
_GROWN_FROM_PX2 = 400
"""Area from which the border's pixels are counted in: one more all around a smaller nucleus would
add a fifth and close the gaps between its lobes."""
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
    has_rival: bool
    """Whether one of them has at least half of its size."""


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


def is_stained(density: Density, mask: Mask) -> bool:
    """Tell whether a mask covers something stained like a nucleus, and not erythrocytes."""
    red, green, blue = np.median(density[mask], axis=0)
    return bool(red + green - blue >= LEAST_STAIN and green - blue >= LEAST_GREEN_OVER_BLUE)


def find_nucleus(density: Density) -> Found | None:
    """Find the nucleus nearest the middle of a picture, all its lobes, roughly.

    Of many thresholds of the stain, the one is taken at which the border of what is found is
    sharpest. Where the cytoplasm is as dark as the nucleus, the whole cell may be found.

    Parameters
    ----------
    density : ndarray, float32, shape (h, w, 3)
        Optical density, somewhat smoothed.

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


def nucleus_within(density: Density, cell: Mask) -> Nucleus:
    """Outline the nucleus within a cell, by Otsu's threshold of the cell's own pixels.

    Parameters
    ----------
    density : ndarray, float32, shape (h, w, 3)
        Optical density, smoothed; only differences of channels count, so that the blank colour
        it was computed with does not matter.
    cell : ndarray, bool, shape (h, w)

    Returns
    -------
    Nucleus
        Its border pixels included: annotators draw around what is stained, and so would halve
        the picture's blur with a threshold half-way alone.
    """
    stain = density @ _OUTLINING
    within = stain[cell]
    threshold = _otsu(within)
    dark, light = np.median(within[within > threshold]), np.median(within[within <= threshold])

    def above(rise: float) -> Mask:
        return _tidy((stain > light + rise * (dark - light)) & cell) & cell

    low, high = above(_RISE - _RISE_DOUBT), above(_RISE + _RISE_DOUBT)
    overlap = 2 * int((low & high).sum()) / max(1, int(low.sum() + high.sum()))
    return Nucleus(above(_RISE), overlap)


def _otsu(values: Plane) -> float:
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
        bool((area[rivals] > 0.5 * whole).any()),
    )


def _sharpness(found: npt.NDArray[np.uint8], slope: Plane) -> float:
    outlines, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    border = np.concatenate(outlines)[:, 0]
    return float(slope[border[:, 1], border[:, 0]].mean())


def _tidy(mask: Mask) -> Mask:
    """Fill holes, drop specks and debris, and count the border's pixels in."""
    solid = mask.astype(np.uint8)
    outlines, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    solid = np.asarray(cv2.drawContours(solid, outlines, -1, 1, cv2.FILLED), np.uint8)
    solid = np.asarray(cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)
    n, label, box, _ = cv2.connectedComponentsWithStats(solid)
    if n < 2:
        return mask
    large = np.flatnonzero(box[1:, 4] > LOBE_SHARE * box[1:, 4].max()) + 1
    kept = np.isin(label, large).astype(np.uint8)
    grown = cv2.dilate(kept, _ROUND) if kept.sum() >= _GROWN_FROM_PX2 else kept
    return np.asarray(grown) > 0
