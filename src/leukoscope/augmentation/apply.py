"""From a draw to pixels: the geometry once, then everything else in its order."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from leukoscope.augmentation import sensor
from leukoscope.augmentation.draw import Draw, at_size
from leukoscope.augmentation.light import LIGHT, light
from leukoscope.augmentation.maps import GEOMETRY, is_exact, map_of
from leukoscope.augmentation.occlusion import added_border, background, erasing
from leukoscope.augmentation.positions import positions
from leukoscope.augmentation.resampling import move, move_and_warp
from leukoscope.augmentation.step import Operation
from leukoscope.foundation.errors import DataError, UsageError

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.uint8]

_DONE: dict[str, Callable[..., Pixels]] = {
    "gaussian_noise_levels": sensor.gaussian_noise,
    "poisson_noise_photons": sensor.poisson_noise,
    "salt_and_pepper": sensor.salt_and_pepper,
    "jpeg": sensor.jpeg,
    **{f"erasing_{fill}": partial(erasing, fill) for fill in ("black", "white", "mean")},
    **{
        f"added_border_{fill}": partial(added_border, fill)
        for fill in ("black", "white", "reflect")
    },
}
"""What is done one by one and takes its drawn numbers as they are, the picture last."""


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
        If the picture is not 8-bit RGB or smaller than a blur, if the mask does not lie on it, or
        if this version does not know an operation.
    UsageError
        If the background is to be replaced and there is no mask.
    """
    check_pixels(pixels, mask)
    moves = any(name in GEOMETRY for name, _ in drawn.operations)
    done = move_and_warp(drawn, pixels) if moves else pixels
    for run in runs(at_size(drawn, min(pixels.shape[:2]))):
        if run[0][0] in LIGHT:
            done = light(run, done)
        elif run[0][0].startswith("background_"):
            done = _replace_background(run[0], done, mask, drawn)
        else:
            done = _one(run[0], done)
    return done


def apply_to_mask(drawn: Draw, mask: Mask) -> Mask:
    """Let a mask follow the geometry of its picture; its levels are kept, none between is made.

    Parameters
    ----------
    drawn : Draw
        The drawn parameters; its rules of border and interpolation are the picture's alone.
    mask : numpy.ndarray of uint8, shape (height, width)
        Places the picture leaves free become 0.

    Returns
    -------
    numpy.ndarray of uint8
        Of the size that :func:`apply` gives the picture.
    """
    height, width = mask.shape
    route = map_of(drawn, height, width)
    affine = route.affine()
    if affine is not None and is_exact(affine):
        return move(affine, np.dstack([mask] * 3), "constant", (0.0, 0.0, 0.0))[..., 0].copy()
    x, y = positions(route, height, width)
    # A picture that shrinks is smoothed first; a mask is not, or its edge would be a level between.
    followed = cv2.remap(mask, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(followed, np.uint8)


def runs(drawn: Draw) -> Iterator[Sequence[Operation]]:
    """Give what follows the geometry: neighbours of light together, the others one by one."""
    lit: list[Operation] = []
    for operation in drawn.operations:
        if operation[0] in LIGHT:
            lit.append(operation)
        elif operation[0] not in GEOMETRY:
            if lit:
                yield lit
                lit = []
            yield [operation]
    if lit:
        yield lit


def check_pixels(pixels: Pixels, mask: Mask | None = None) -> None:
    """Refuse what is not the house's layout. Raises DataError."""
    if pixels.dtype != np.uint8:
        raise DataError(
            f"A picture of {pixels.dtype} cannot be augmented; it should be uint8, whole levels "
            "from 0 to 255. Nothing was changed. Bring levels from 0 to 1, or of 16 bits, to that "
            "scale first: noise and light are counted in it."
        )
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise DataError(
            f"A picture of shape {_told(pixels.shape)} cannot be augmented; it should be height × "
            "width × 3. Nothing was changed. First repeat the one channel of a grey picture "
            "for all three colours, and leave out transparency."
        )
    if mask is not None and (mask.dtype != np.uint8 or mask.shape != pixels.shape[:2]):
        raise DataError(
            f"A mask of {mask.dtype} and shape {_told(mask.shape)} does not lie on a picture of "
            f"shape {_told(pixels.shape)}; it should be uint8, height × width. Nothing was "
            "changed. Make the masks anew from these pictures."
        )


def _told(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def _one(operation: Operation, pixels: Pixels) -> Pixels:
    name, given = operation
    if name in sensor.BLURS:
        angle_deg = given[1] if len(given) > 1 else 0.0
        return sensor.blur(name, given[0], angle_deg, pixels)
    if name not in _DONE:
        raise DataError(
            f"This draw holds an operation called {name!r}, which this version does not know. "
            "Nothing was changed. Repeat it with the version that drew it."
        )
    return _DONE[name](*given, pixels)


def _replace_background(
    operation: Operation, pixels: Pixels, mask: Mask | None, drawn: Draw
) -> Pixels:
    if mask is None:
        raise UsageError(
            "background_replacement needs the cell's mask, and this picture has none. Nothing was "
            "changed. Run isolate first and augment its dataset; in training there are no masks."
        )
    return background(operation[0].rpartition("_")[2], apply_to_mask(drawn, mask), pixels)
