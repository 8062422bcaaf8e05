"""The leukocyte of a trimmed picture: its nucleus, its border, and how sure both are."""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from leukoscope.morphology import field, nucleus
from leukoscope.morphology.masks import Mask, Masks, Pixels, box_of, diameter_of
from leukoscope.morphology.outline import Outlined, outline
from leukoscope.morphology.touching import part_cells

FLAGS: dict[str, str] = {
    "blank": "the picture holds nothing but one colour",
    "grey": "the picture has no colour, so that the stain cannot be told",
    "inverted": "the field is darker than what lies on it",
    "no leukocyte": "nothing near the middle of the picture is stained like a nucleus",
    "too small": "the picture or the cell has too few pixels to be outlined",
    "too close": "the cell fills the picture, so that its border cannot be seen",
    "small as an erythrocyte": "what is stained is no larger than the erythrocytes beside it",
    "several leukocytes": "another cell with a nucleus stands beside the one outlined",
    "cut by the border": "the cell goes on outside the picture",
    "little of the picture": "the cell takes up little of the picture: perhaps a platelet",
    "unsure": "the outline changes much when its thresholds change little",
}
"""What can be odd about a picture, in words. The first seven mean that nothing was outlined."""

SURE = 0.8
"""Confidence from which a mask is not called unsure."""

_SMALLEST_PICTURE_PX = 16
_SMALLEST_CELL_PX = 100
"""Fewest pixels of a cell: a disc of 11 px."""
_LEAST_CONTRAST, _LEAST_COLOUR = 0.02, 0.03
"""Standard deviation of the optical density of green, and of red from green or green from blue."""
_FINDING_SIDE_PX = 144
_FINDING_BLUR_PX = 1.2
_HALF = 0.5
_LEAST_BESIDE_ERYTHROCYTES = 0.95
_LEAST_SHARE = 0.022
_MOST_OF_FRAME = 0.5


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


class _Traced(NamedTuple):
    """Hold masks that were found, before they are judged."""

    masks: Masks
    confidence: float
    has_rival: bool


def isolate_cell(image: Pixels) -> Isolation:
    """Outline the central leukocyte of a picture, and its nucleus.

    Parameters
    ----------
    image : ndarray, uint8, shape (h, w, 3)
        RGB, of any size; the scale is taken from the cell itself. A background that was removed
        before (one colour all around) is taken as it is.

    Returns
    -------
    Isolation
        The confidence is the smaller Dice of nucleus and of cell between masks made with lower
        and with higher thresholds.
    """
    removed = field.cell_of_removed_background(image) if image.size else None
    filled, blank = (image, field.removed_blank())
    if removed is None and image.size:
        filled, blank = field.with_black_filled(image)
    reason = _unfit(filled, blank, is_removed=removed is not None)
    traced = reason or _trace(filled, blank, removed)
    blank_rgb = (round(float(blank[0])), round(float(blank[1])), round(float(blank[2])))
    if isinstance(traced, str):
        return Isolation(None, 0.0, (traced,), blank_rgb)
    return Isolation(traced.masks, traced.confidence, _flags(traced), blank_rgb)


def _trace(image: Pixels, blank: npt.NDArray[np.float32], removed: Mask | None) -> _Traced | str:
    """Outline cell and nucleus, or name the flag that says why there are none."""
    if removed is not None:
        outlined, found = Outlined(removed, 1.0), None
    else:
        small, zoom = _reduced(image)
        density = field.absorbance(small, blank, blur_px=_FINDING_BLUR_PX)
        found = nucleus.find_nucleus(density)
        if found is None:
            return "no leukocyte"
        outlined = outline(image, *(_at_size(m, image.shape) for m in (found.mask, found.rivals)))
    cell = _one_piece(outlined.cell)
    if cell.sum() < _SMALLEST_CELL_PX:
        return "too small"
    within = nucleus.nucleus_within(image, cell)
    parts = part_cells(image, cell, within.mask) if found else [cell]
    middle = min(parts, key=_off_middle)
    if middle is not cell:
        cell = _one_piece(middle)
        within = nucleus.nucleus_within(image, cell)
    if not within.mask.any() or not _is_stained(image, blank, within.mask):
        return "no leukocyte"
    has_rival = len(parts) > 1
    if found is not None:
        reason = _too_much_or_little(cell, density, zoom)
        if reason:
            return reason
        has_rival = has_rival or nucleus.has_another(found, _at_size(cell, density.shape))
    stability = min(outlined.stability, within.stability)
    return _Traced(Masks(within.mask, cell), stability, has_rival)


def _too_much_or_little(cell: Mask, density: field.Absorbance, zoom: float) -> str:
    """Name what is wrong with the size of a cell in its picture, or nothing."""
    if _on_frame(cell).mean() > _MOST_OF_FRAME:
        return "too close"
    erythrocyte = field.erythrocyte_diameter(density, _at_size(cell, density.shape))
    if erythrocyte and zoom * diameter_of(cell) < _LEAST_BESIDE_ERYTHROCYTES * erythrocyte:
        return "small as an erythrocyte"
    return ""


def _is_stained(image: Pixels, blank: npt.NDArray[np.float32], mask: Mask) -> bool:
    box = box_of(mask)
    return nucleus.is_stained(field.absorbance(image[box], blank), mask[box])


def _reduced(image: Pixels) -> tuple[Pixels, float]:
    """Reduce a large picture to where a nucleus can be found; give the zoom too."""
    height, width = image.shape[:2]
    # A picture like a thread keeps at least one pixel of its width.
    zoom = min(1.0, max(_FINDING_SIDE_PX / max(height, width), 1 / min(height, width)))
    if zoom == 1:
        return image, zoom
    small = cv2.resize(image, (0, 0), fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), zoom


def _at_size(mask: Mask, shape: tuple[int, ...]) -> Mask:
    if mask.shape == shape[:2]:
        return mask
    resized = cv2.resize(mask.astype(np.float32), (shape[1], shape[0]))
    return np.asarray(resized > _HALF)


def _unfit(image: Pixels, blank: npt.NDArray[np.float32], *, is_removed: bool) -> str:
    """Name what makes a picture unfit, or nothing."""
    if min(image.shape[:2]) < _SMALLEST_PICTURE_PX:
        return "too small"
    density = field.absorbance(image, blank)
    if density[..., 1].std() < _LEAST_CONTRAST:
        return "blank"
    if np.diff(density, axis=2).std(axis=(0, 1)).max() < _LEAST_COLOUR:
        return "grey"
    if not is_removed and _is_inverted(image):
        return "inverted"
    return ""


def _is_inverted(image: Pixels) -> bool:
    """Tell whether the frame is much darker than the middle, as in a negative."""
    height, width = image.shape[:2]
    light = image.astype(np.float32).sum(axis=2)
    middle = light[height // 3 : -(height // 3), width // 3 : -(width // 3)]
    frame = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]])
    return bool(np.median(frame) < 0.5 * np.percentile(middle, 80))


def _one_piece(mask: Mask) -> Mask:
    """Keep the largest piece of a mask, its holes filled."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return mask
    largest = max(outlines, key=cv2.contourArea)
    plane = np.zeros(mask.shape, np.uint8)
    return np.asarray(cv2.drawContours(plane, [largest], -1, 1, cv2.FILLED) > 0)


def _on_frame(mask: Mask) -> Mask:
    return np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])


def _off_middle(mask: Mask) -> float:
    """Measure how far a mask's centroid is from the middle of the picture."""
    y, x = np.nonzero(mask)
    height, width = mask.shape
    return float(np.hypot(y.mean() - (height - 1) / 2, x.mean() - (width - 1) / 2))


def _flags(traced: _Traced) -> tuple[str, ...]:
    cell, area = traced.masks.cell, int(traced.masks.cell.sum())
    odd = {
        "several leukocytes": traced.has_rival,
        "cut by the border": bool(_on_frame(cell).any()),
        "little of the picture": area < _LEAST_SHARE * cell.size,
        "unsure": traced.confidence < SURE,
    }
    return tuple(name for name, is_odd in odd.items() if is_odd)
