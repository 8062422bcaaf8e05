"""The leukocyte of a trimmed picture: its nucleus, its border, and how sure both are."""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from leukoscope.morphology import field, nucleus
from leukoscope.morphology.masks import Mask, Masks, Pixels, box_of, diameter_of
from leukoscope.morphology.outline import outline
from leukoscope.morphology.touching import part_cells

Colour = npt.NDArray[np.float32]

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
_LEAST_CONTRAST, _LEAST_COLOUR = 0.15, 0.12
"""Range of the absorbance index of green, and of red from green or green from blue, smoothed."""
_FINDING_SIDE_PX = 144
_FINDING_BLUR_PX = 1.2
_HALF = 0.5
_EMPTY, _EMPTY_OF_FIELD, _NUCLEUS_OF_CELL, _CELL_OF_FIELD = 0.06, 0.3, 0.22, 0.45
"""Absorbance of the empty field; least share of it in a field; least share of nucleus in a cell,
greatest of a cell in a field."""
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
        RGB, of any size; the scale is taken from the cell itself. A cell whose background was
        removed before (one colour all around) is taken as it stands.

    Returns
    -------
    Isolation
        The confidence is the smaller Dice of nucleus and of cell between masks made with lower
        and with higher thresholds.
    """
    if min(image.shape[:2]) < _SMALLEST_PICTURE_PX:
        return Isolation(None, 0.0, ("too small",), (0, 0, 0))
    thing = field.thing_before_one_colour(image)
    if thing is None:
        filled, blank = field.with_black_filled(image)
        traced = _examine(filled, blank)
    else:
        traced, blank = _cut_out(image, thing)
    blank_rgb = (round(float(blank[0])), round(float(blank[1])), round(float(blank[2])))
    if isinstance(traced, str):
        return Isolation(None, 0.0, (traced,), blank_rgb)
    return Isolation(traced.masks, traced.confidence, _flags(traced), blank_rgb)


def _cut_out(image: Pixels, thing: Mask) -> tuple[_Traced | str, Colour]:
    """Examine a thing cut out of its background: a cell alone, or a round field with cells."""
    within = nucleus.nucleus_within(image, thing)
    if _may_be_field(image, thing, within.mask):
        blank = field.blank_colour(image[thing][None])
        traced = _examine(field.filled_outside(image, thing, blank), blank)
        if isinstance(traced, str) or traced.masks.cell.sum() < _CELL_OF_FIELD * thing.sum():
            return traced, blank
    grey = field.removed_blank()
    reason = _unfit(field.absorbance(field.filled_outside(image, thing, grey), grey))
    if not reason and thing.sum() < _SMALLEST_CELL_PX:
        reason = "too small"
    if not reason and not (within.mask.any() and _is_stained(image, grey, within.mask)):
        reason = "no leukocyte"
    alone = _Traced(Masks(within.mask, thing), within.stability, has_rival=False)
    return reason or alone, image[0, 0].astype(np.float32)


def _may_be_field(image: Pixels, thing: Mask, stained: Mask) -> bool:
    """Tell whether there is little nucleus, or much that is as bright as its brightest."""
    colours = image[thing][None]
    empty = np.abs(field.absorbance(colours, field.blank_colour(colours))).max(axis=2) < _EMPTY
    share = stained.sum() / thing.sum()
    little, much = share < _NUCLEUS_OF_CELL, empty.mean() > _EMPTY_OF_FIELD
    return bool(little or (much and share < _HALF))


def _examine(image: Pixels, blank: Colour) -> _Traced | str:
    """Outline cell and nucleus, or name the flag that says why there are none."""
    small, zoom = _reduced(image)
    density = field.absorbance(small, blank, blur_px=_FINDING_BLUR_PX)
    reason = _unfit(density) or "inverted" * _is_inverted(image)
    if reason:
        return reason
    found = nucleus.find_nucleus(density)
    if found is None:
        return "no leukocyte"
    outlined = outline(image, *(_at_size(m, image.shape) for m in (found.mask, found.rivals)))
    whole = _one_piece(outlined.cell)
    if whole.sum() < _SMALLEST_CELL_PX:
        return "too small"
    within = nucleus.nucleus_within(image, whole)
    parts = part_cells(image, whole, within.mask)
    cell = min(parts, key=_off_middle)
    if cell is not whole:
        cell = _one_piece(cell)
        within = nucleus.nucleus_within(image, cell)
    if not within.mask.any() or not _is_stained(image, blank, within.mask):
        return "no leukocyte"
    has_rival = len(parts) > 1 or nucleus.has_another(found, _at_size(cell, small.shape))
    traced = _Traced(Masks(within.mask, cell), min(outlined.stability, within.stability), has_rival)
    return _too_much_or_little(cell, density, zoom) or traced


def _too_much_or_little(cell: Mask, density: field.Absorbance, zoom: float) -> str:
    """Name what is wrong with the size of a cell in its picture, or nothing."""
    if _on_frame(cell).mean() > _MOST_OF_FRAME:
        return "too close"
    erythrocyte = field.erythrocyte_diameter(density, _at_size(cell, density.shape))
    if erythrocyte and zoom * diameter_of(cell) < _LEAST_BESIDE_ERYTHROCYTES * erythrocyte:
        return "small as an erythrocyte"
    return ""


def _is_stained(image: Pixels, blank: Colour, mask: Mask) -> bool:
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


def _unfit(density: field.Absorbance) -> str:
    """Name what makes a picture unfit, or nothing."""
    if np.ptp(density[..., 1]) < _LEAST_CONTRAST:
        return "blank"
    if np.ptp(np.diff(density, axis=2), axis=(0, 1)).max() < _LEAST_COLOUR:
        return "grey"
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
