"""The leukocyte of a trimmed picture: its nucleus, its border, and how sure both are."""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from leukoscope.morphology import field, nucleus
from leukoscope.morphology.masks import Mask, Masks, Pixels
from leukoscope.morphology.outline import Outlined, outline
from leukoscope.morphology.touching import part_cells

FLAGS: dict[str, str] = {
    "blank": "the picture holds nothing but one colour",
    "grey": "the picture has no colour, so that the stain cannot be told",
    "inverted": "the field is darker than what lies on it",
    "no leukocyte": "nothing near the middle of the picture is stained like a nucleus",
    "too small": "the picture or the cell has too few pixels to be outlined",
    "too close": "the cell fills the picture, so that its border cannot be seen",
    "several leukocytes": "another cell with a nucleus stands beside the one outlined",
    "cut by the border": "the cell goes on outside the picture",
    "no cytoplasm": "hardly any cytoplasm was found around the nucleus",
    "little of the picture": "the cell takes up little of the picture: perhaps a platelet",
    "unsure": "the outline changes much when its thresholds change little",
}
"""What can be odd about a picture, in words. The first six mean that nothing was outlined."""

SURE = 0.8
"""Confidence from which a mask is not called unsure."""

_SMALLEST_PICTURE_PX = 16
_SMALLEST_CELL_PX = 100
"""Fewest pixels of a cell: a disc of 11 px."""
_LEAST_CONTRAST, _LEAST_COLOUR = 0.02, 0.03
"""Standard deviation of the optical density of green, and of green minus blue."""
_FINDING_SIDE_PX = 144
_FINDING_BLUR_PX = 1.2
_OUTLINING_PX = 200
_LEAST_CYTOPLASM = 0.02
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
    blank = field.blank_colour(image)
    blank_rgb = (round(float(blank[0])), round(float(blank[1])), round(float(blank[2])))
    traced = _unfit(image, blank) or _trace(image, blank)
    if isinstance(traced, str):
        return Isolation(None, 0.0, (traced,), blank_rgb)
    return Isolation(traced.masks, traced.confidence, _flags(traced), blank_rgb)


def _trace(image: Pixels, blank: npt.NDArray[np.float32]) -> _Traced | str:
    """Outline cell and nucleus, or name the flag that says why there are none."""
    removed = field.cell_of_removed_background(image)
    found = _find(image, blank) if removed is None else None
    if removed is not None:
        outlined = Outlined(removed, 1.0)
    elif found is not None:
        outlined = outline(image, found.mask, found.rivals)
    else:
        return "no leukocyte"
    cells = _one_piece(outlined.cell)
    if cells.sum() < _SMALLEST_CELL_PX:
        return "too small"
    within, density = _nucleus(image, blank, cells)
    parts = part_cells(image, cells, within.mask)
    middle = min(parts, key=_off_middle)
    if middle is not cells:
        cells = _one_piece(middle)
        within, density = _nucleus(image, blank, cells)
    if not within.mask.any() or not nucleus.is_stained(density, within.mask):
        return "no leukocyte"
    if removed is None and _on_frame(cells).mean() > _MOST_OF_FRAME:
        return "too close"
    has_rival = len(parts) > 1 or (found is not None and found.has_rival)
    stability = min(outlined.stability, within.stability)
    return _Traced(Masks(within.mask, cells), stability, has_rival)


def _unfit(image: Pixels, blank: npt.NDArray[np.float32]) -> str:
    """Name what makes a picture unfit, or nothing."""
    if min(image.shape[:2]) < _SMALLEST_PICTURE_PX:
        return "too small"
    density = field.optical_density(image, blank)
    if density[..., 1].std() < _LEAST_CONTRAST:
        return "blank"
    if (density[..., 1] - density[..., 2]).std() < _LEAST_COLOUR:
        return "grey"
    if _is_inverted(image) and field.cell_of_removed_background(image) is None:
        return "inverted"
    return ""


def _is_inverted(image: Pixels) -> bool:
    """Tell whether the frame is much darker than the middle, as in a negative."""
    height, width = image.shape[:2]
    light = image.astype(np.float32).sum(axis=2)
    middle = light[height // 3 : -(height // 3), width // 3 : -(width // 3)]
    frame = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]])
    return bool(np.median(frame) < 0.5 * np.percentile(middle, 80))


def _find(image: Pixels, blank: npt.NDArray[np.float32]) -> nucleus.Found | None:
    height, width = image.shape[:2]
    zoom = min(1.0, _FINDING_SIDE_PX / max(height, width))
    small = image
    if zoom < 1:
        small = np.asarray(
            cv2.resize(image, (0, 0), fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA), np.uint8
        )
    found = nucleus.find_nucleus(field.optical_density(small, blank, blur_px=_FINDING_BLUR_PX))
    if found is None:
        return None
    mask, rivals = (
        np.asarray(cv2.resize(small.astype(np.float32), (width, height)) > 0.5)
        for small in (found.mask, found.rivals)
    )
    return nucleus.Found(mask, rivals, found.has_rival) if mask.any() else None


def _nucleus(
    image: Pixels, blank: npt.NDArray[np.float32], cell: Mask
) -> tuple[nucleus.Nucleus, field.Density]:
    """Outline the nucleus; a cell of more pixels than its border needs is reduced first."""
    height, width = cell.shape
    zoom = min(1.0, _OUTLINING_PX / (2 * np.sqrt(cell.sum() / np.pi)))
    small, small_cell = image, cell
    if zoom < 1:
        size = (round(width * zoom), round(height * zoom))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        small_cell = np.asarray(
            cv2.resize(cell.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
        )
    density = field.optical_density(small, blank, blur_px=_FINDING_BLUR_PX)
    within = nucleus.nucleus_within(density, small_cell)
    if zoom < 1:
        mask = cv2.resize(within.mask.astype(np.float32), (width, height)) > 0.5
        density = np.asarray(cv2.resize(density, (width, height)), np.float32)
        within = nucleus.Nucleus(np.asarray(mask) & cell, within.stability)
    return within, density


def _one_piece(mask: Mask) -> Mask:
    n, label, box, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return np.asarray(label == box[1:, 4].argmax() + 1) if n > 1 else mask


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
        "no cytoplasm": area - int(traced.masks.nucleus.sum()) < _LEAST_CYTOPLASM * area,
        "little of the picture": area < _LEAST_SHARE * cell.size,
        "unsure": traced.confidence < SURE,
    }
    return tuple(name for name, is_odd in odd.items() if is_odd)
