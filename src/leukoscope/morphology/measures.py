"""All measures of one cell, in the order of their definitions."""

import numpy as np

from leukoscope.foundation.errors import DataError
from leukoscope.morphology.colour import colour_measures
from leukoscope.morphology.definitions import AREAS, NAMES, TWINS
from leukoscope.morphology.lobes import lobe_measures
from leukoscope.morphology.masks import Masks, Pixels, diameter_of
from leukoscope.morphology.shape import shape_measures
from leukoscope.morphology.texture import darkness_of, focus, granularity


def measure_cell(image: Pixels, masks: Masks, um_per_px: float | None = None) -> dict[str, float]:
    """Measure one cell. What lies outside its mask changes nothing.

    Parameters
    ----------
    image : ndarray, uint8, shape (h, w, 3)
        RGB; the background may be there or not.
    masks : Masks
        Nucleus and whole cell, of shape (h, w).
    um_per_px : float, optional
        Width of a pixel in micrometres, above 0.

    Returns
    -------
    dict of str to float
        Every name of :data:`leukoscope.morphology.definitions.COLUMNS`, in that order: the
        measures, then the twins in micrometres of lengths and areas. NaN for what cannot be
        measured: the twins without *um_per_px*, a part without pixels, a bridge where there is
        one lobe.

    Raises
    ------
    DataError
        If the masks have another size than the picture, the nucleus is empty or reaches out of
        the cell, or *um_per_px* is not a number above 0.
    """
    _check(image, masks, um_per_px)
    measured = (
        shape_measures(masks)
        | lobe_measures(masks.nucleus)
        | _granularities(image, masks)
        | colour_measures(image, masks)
        | {"focus": focus(image, masks.cell)}
    )
    ordered = {name: float(measured[name]) for name in NAMES}
    return ordered | _in_micrometres(ordered, um_per_px)


def _granularities(image: Pixels, masks: Masks) -> dict[str, float]:
    darkness, diameter_px = darkness_of(image), diameter_of(masks.cell)
    parts = {"nucleus": masks.nucleus, "cytoplasm": masks.cell & ~masks.nucleus}
    return {
        f"{part}_granularity_{radius}": value
        for part, mask in parts.items()
        for radius, value in enumerate(granularity(darkness, mask, diameter_px), start=1)
    }


def _in_micrometres(measured: dict[str, float], um_per_px: float | None) -> dict[str, float]:
    scale = float("nan") if um_per_px is None else um_per_px
    return {
        twin: measured[name] * (scale**2 if name in AREAS else scale)
        for name, twin in TWINS.items()
    }


def _check(image: Pixels, masks: Masks, um_per_px: float | None) -> None:
    """Refuse masks that are not those of one cell in this picture, and a scale that is none."""
    for part, mask in zip(("nucleus", "cell"), masks, strict=True):
        if mask.shape != image.shape[:2]:
            raise DataError(
                f"The mask of the {part} is {mask.shape[1]} × {mask.shape[0]} px, its picture "
                f"{image.shape[1]} × {image.shape[0]} px; they should be of one size. Nothing "
                "was measured."
            )
    if not masks.nucleus.any():
        raise DataError(
            "The mask of the nucleus is empty; a leukocyte has one. Nothing was measured."
        )
    n_outside = np.count_nonzero(masks.nucleus & ~masks.cell)
    if n_outside:
        raise DataError(
            f"{n_outside} pixels of the nucleus lie outside the mask of the cell, which should "
            "hold the nucleus too. Nothing was measured."
        )
    if um_per_px is not None and not 0 < um_per_px < np.inf:
        raise DataError(
            f"A pixel is said to be {um_per_px} µm wide; it should be a number above 0, or left "
            "out. Nothing was measured."
        )
