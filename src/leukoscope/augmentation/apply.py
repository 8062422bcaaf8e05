"""From a draw to pixels: the geometry once, then everything else in its order."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import numpy.typing as npt

from leukoscope.augmentation import occlusion, sensor
from leukoscope.augmentation.draw import Draw
from leukoscope.augmentation.light import LIGHT, light
from leukoscope.augmentation.maps import GEOMETRY
from leukoscope.augmentation.resampling import move_and_warp
from leukoscope.augmentation.step import Operation
from leukoscope.foundation.errors import DataError, UsageError

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.uint8]


def apply(drawn: Draw, pixels: Pixels, mask: Mask | None = None) -> Pixels:
    """Do to a picture what was drawn for it.

    Parameters
    ----------
    drawn : Draw
        The drawn parameters.
    pixels : numpy.ndarray of uint8, shape (height, width, 3)
        The picture; left as it is.
    mask : numpy.ndarray of uint8, shape (height, width), optional
        0 outside the cell; needed where the background is to be replaced.

    Returns
    -------
    numpy.ndarray of uint8
        Of the same size; a right angle exchanges height and width of a picture
        that is not square. The picture itself where nothing is done.

    Raises
    ------
    DataError
        If the picture is not 8-bit RGB, or smaller than a blur.
    UsageError
        If the background is to be replaced and there is no mask.
    """
    check_pixels(pixels)
    done = move_and_warp(drawn, pixels)
    for run in runs(drawn):
        if run[0][0] in LIGHT:
            done = light(run, done)
        elif run[0][0].startswith("background_"):
            done = _replace_background(run[0], done, mask, drawn)
        else:
            done = _one(run[0], done, _scale(drawn, pixels))
    return done


def apply_to_mask(drawn: Draw, mask: Mask) -> Mask:
    """Let a mask follow the geometry of its picture; its levels are kept, none between is made.

    Parameters
    ----------
    mask : numpy.ndarray of uint8, shape (height, width)
        Places the picture leaves free become 0.

    Returns
    -------
    numpy.ndarray of uint8
        Of the size that :func:`apply` gives the picture.
    """
    alone = replace(drawn, border="constant", border_rgb=(0, 0, 0), interpolation="nearest")
    return np.ascontiguousarray(move_and_warp(alone, np.dstack([mask] * 3))[..., 0])


def runs(drawn: Draw) -> Iterator[Sequence[Operation]]:
    """Give what follows the geometry: neighbours of light together, the others one by one."""
    rest = (operation for operation in drawn.operations if operation[0] not in GEOMETRY)
    for is_light, group in groupby(rest, lambda operation: operation[0] in LIGHT):
        neighbours = list(group)
        yield from [neighbours] if is_light else ([operation] for operation in neighbours)


def check_pixels(pixels: Pixels) -> None:
    """Refuse what is not the house's layout. Raises DataError."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise DataError(
            f"A picture of {pixels.dtype} and shape {pixels.shape} cannot be augmented; it should "
            "be uint8 RGB, height × width × 3, levels 0 to 255. Nothing was changed. Grey pictures "
            "and levels from 0 to 1 are brought to that layout first."
        )


def _one(operation: Operation, pixels: Pixels, scale: float) -> Pixels:
    name, given = operation
    family, _, fill = name.rpartition("_")
    match name:
        case "gaussian_blur_px" | "defocus_blur_px":
            return sensor.blur(name, given[0] * scale, 0.0, pixels)
        case "motion_blur_px":
            return sensor.blur(name, given[0] * scale, given[1], pixels)
        case "gaussian_noise_levels":
            return sensor.gaussian_noise(given[0], int(given[1]), pixels)
        case "poisson_noise_photons":
            return sensor.poisson_noise(given[0], int(given[1]), pixels)
        case "salt_and_pepper":
            return sensor.salt_and_pepper(given[0], int(given[1]), pixels)
        case "jpeg":
            return sensor.jpeg(int(given[0]), pixels)
        case _ if family == "erasing":
            left, top, width, height = given
            return occlusion.erasing(fill, (left, top, width, height), pixels)
        case _ if family == "added_border":
            return occlusion.added_border(fill, given[0], pixels)
        case _:
            raise ValueError(f"no operation is called {name!r}")


def _replace_background(
    operation: Operation, pixels: Pixels, mask: Mask | None, drawn: Draw
) -> Pixels:
    if mask is None:
        raise UsageError(
            "background_replacement needs the cell's mask, and this picture has none. Nothing was "
            "changed. Run isolate first and augment its dataset with --out; training online "
            "has no masks."
        )
    return occlusion.background(operation[0].rpartition("_")[2], apply_to_mask(drawn, mask), pixels)


def _scale(drawn: Draw, pixels: Pixels) -> float:
    """Tell how many of this picture's pixels are one of those the draw's lengths count."""
    return 1.0 if drawn.lengths_at_px is None else min(pixels.shape[:2]) / drawn.lengths_at_px
