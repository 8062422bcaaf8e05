"""The one resampling of a chain: pixels moved where that is enough, else interpolated once."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from leukoscope.augmentation.draw import Draw
from leukoscope.augmentation.maps import (
    IDENTITY,
    Affine,
    Map,
    from_corner,
    is_exact,
    linear_part,
    map_of,
    reach_px,
)
from leukoscope.augmentation.positions import Plane, cubic_positions, positions
from leukoscope.morphology.field import blank_colour

Pixels = npt.NDArray[np.uint8]
Colour = tuple[float, float, float]

_BORDERS = {
    "reflect": cv2.BORDER_REFLECT_101,
    "edge": cv2.BORDER_REPLICATE,
    "constant": cv2.BORDER_CONSTANT,
    "background": cv2.BORDER_CONSTANT,
}
_INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
}
_OWN_BLUR_PX = 0.5
"""Standard deviation, in its own pixels, of the blur a picture is taken to have."""
_LEAST_VARIANCE = 1 / (2 * math.log(512))
"""Variances below this leave a neighbour less than half a grey level of 255: nothing to do."""
_LARGEST_RADIUS_PX = 127
"""A chain that shrinks a hundredfold and more is not smoothed any further."""
_SAMPLED_PX = 32
_FAR = 64
"""Distances from the centre, in shorter sides, at which OpenCV is not asked to mirror: it would go
to and fro step by step, or never end."""
_FAR_BICUBIC = 1
"""The same where sixteen pixels are weighed; there OpenCV 5.0 goes wrong one side outside."""


def move_and_warp(drawn: Draw, pixels: Pixels) -> Pixels:
    """Do the geometry of a draw to a picture: one move of pixels or one interpolation.

    Parameters
    ----------
    drawn : Draw
        The drawn parameters; operations of light, focus and occlusion are passed over.
    pixels : numpy.ndarray of uint8, shape (height, width, 3)
        The picture; left as it is.

    Returns
    -------
    numpy.ndarray of uint8
        Of the same size; a right angle exchanges height and width of a picture that is not
        square. The picture itself if nothing moves.
    """
    height, width = pixels.shape[:2]
    route = map_of(drawn, height, width)
    if not route.fields and not route.stages:
        return pixels
    fill = fill_of(drawn, pixels)
    affine = route.affine()
    if affine is not None and is_exact(affine):
        return move(affine, pixels, drawn.border, fill)
    return _warp(route, smoothed(route, pixels), drawn, fill)


def fill_of(drawn: Draw, pixels: Pixels) -> Colour:
    """Give the colour of places left free; black where the border's rule takes no colour."""
    if drawn.border != "background":
        red, green, blue = drawn.border_rgb
        return float(red), float(green), float(blue)
    step = max(1, min(pixels.shape[:2]) // _SAMPLED_PX)
    red, green, blue = np.rint(blank_colour(pixels[::step, ::step])).tolist()
    return red, green, blue


def move(affine: Affine, pixels: Pixels, border: str, fill: Colour) -> Pixels:
    """Bring a picture into one of its 8 orientations and shift it, by moving pixels alone.

    Parameters
    ----------
    affine : tuple of 6 float
        From the result to the picture, about their centres; see :func:`maps.is_exact`.
    pixels : numpy.ndarray of uint8, shape (height, width, 3)
        The picture.
    border : str
        What fills places left free.
    fill : tuple of float
        The colour, where the border's rule is a colour.
    """
    across, b, right, c, down, below = (int(number) for number in affine)
    if across == 0:
        # The result's x is the picture's y: exchange the axes first.
        pixels = np.asarray(cv2.transpose(pixels), np.uint8)
        across, down, right, below = c, b, below, right
    # What is left runs along each axis by itself: place p is the picture's ±p + shift.
    if across < 0 or down < 0:
        axes = -1 if across == down else 1 if across < 0 else 0
        pixels = np.asarray(cv2.flip(pixels, axes), np.uint8)
    if right or below:
        pixels = _shifted(pixels, below * down, right * across, border, fill)
    return np.ascontiguousarray(pixels)


def smoothed(route: Map, pixels: Pixels) -> Pixels:
    """Blur a picture as far as its map shrinks it, so that no fine pattern turns into a coarse one.

    A picture is taken to carry a blur of half a pixel; what is blurred here makes it half a
    pixel of the result. A lens' own, local shrinking is not counted.
    """
    kernel = smoothing_kernel(linear_part(route))
    if kernel is None:
        return pixels
    return np.asarray(cv2.filter2D(pixels, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.uint8)


def smoothing_kernel(linear: tuple[float, float, float, float]) -> npt.NDArray[np.float32] | None:
    """Compute the Gaussian that a linear map from result to picture asks for, or None.

    Parameters
    ----------
    linear : tuple of 4 float
        (a, b, c, d): x comes from a x + b y, and y from c x + d y.

    Returns
    -------
    numpy.ndarray of float32, shape (n, n), or None
        Sum 1, n odd; None if every neighbour would get less than half a grey level.
    """
    a, b, c, d = linear
    xx, xy, yy = a * a + b * b, a * c + b * d, c * c + d * d
    middle, apart = (xx + yy) / 2, math.hypot((xx - yy) / 2, xy)
    if _OWN_BLUR_PX**2 * (middle + apart - 1) < _LEAST_VARIANCE:
        return None
    wide, narrow = (
        max(_OWN_BLUR_PX**2 * (value - 1), 1e-6) for value in (middle + apart, middle - apart)
    )
    # Cosine and sine of twice the angle from x to the direction in which most is smoothed.
    cosine, sine = ((xx - yy) / (2 * apart), xy / apart) if apart else (1.0, 0.0)
    along_x = ((1 + cosine) / wide + (1 - cosine) / narrow) / 4
    along_y = ((1 - cosine) / wide + (1 + cosine) / narrow) / 4
    mixed = sine * (1 / wide - 1 / narrow) / 2
    radius = min(max(1, int(math.sqrt(wide / _LEAST_VARIANCE))), _LARGEST_RADIUS_PX)
    place = np.arange(-radius, radius + 1)
    exponent = np.add.outer(along_y * place**2, along_x * place**2)
    exponent += np.multiply.outer(mixed * place, place)
    kernel = np.exp(-exponent)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _warp(route: Map, pixels: Pixels, drawn: Draw, fill: Colour) -> Pixels:
    height, width = pixels.shape[:2]
    is_bilinear = drawn.interpolation == "bilinear"
    # OpenCV samples four channels faster than three, to the same levels, where it is bilinear.
    if is_bilinear:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA), np.uint8)
    if drawn.border == "reflect" and 1 in (height, width):
        # OpenCV 5.0 never ends mirroring at a single pixel; two equal ones are the same picture.
        pixels = pixels.repeat(1 + (height == 1), axis=0).repeat(1 + (width == 1), axis=1)
    affine = route.affine()
    most = _FAR_BICUBIC if (drawn.interpolation, drawn.border) == ("bicubic", "reflect") else _FAR
    reach = reach_px(route, height, width)
    is_far = reach > most * min(height, width)
    margin = _margin_px(drawn, reach, height, width)
    # Half-way between two pixels the nearest one hangs on the last rounding: none but the usual.
    is_usual = is_far or drawn.interpolation == "nearest"
    places = None if is_usual else cubic_positions(route, height, width, margin)
    flags, border = _INTERPOLATIONS[drawn.interpolation], _BORDERS[drawn.border]
    if places is not None and any(margin):
        down, across = margin
        pixels = np.asarray(
            cv2.copyMakeBorder(pixels, down, down, across, across, border), np.uint8
        )
    if places is None and (affine is None or is_far):
        places = _places(route, height, width, drawn.border, is_far=is_far)
    if places is not None:
        warped = cv2.remap(pixels, *places, flags, borderMode=border, borderValue=fill)
    else:
        warped = _straight(affine or IDENTITY, (height, width), pixels, drawn, fill)
    return np.asarray(cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB) if is_bilinear else warped, np.uint8)


def _places(
    route: Map, height: int, width: int, border: str, *, is_far: bool
) -> tuple[Plane, Plane]:
    if not is_far:
        return positions(route, height, width)
    with np.errstate(over="ignore", invalid="ignore"):
        x, y = positions(route, height, width)
    return _near(x, width, border), _near(y, height, border)


def _margin_px(drawn: Draw, reach_px: float, height: int, width: int) -> tuple[int, int]:
    """Tell how far out, in rows and in columns, to mirror a picture before it is sampled.

    OpenCV takes several times as long for a pixel outside as for one inside. A picture mirrored
    once to its whole size is mirrored further by the same rule.
    """
    if (drawn.border, drawn.interpolation) != ("reflect", "bilinear") or 1 in (height, width):
        return 0, 0
    rows, columns = (
        math.ceil(max(0.0, min(size - 1.0, reach_px - (size - 1) / 2 + 1)))
        for size in (height, width)
    )
    return rows, columns


def _straight(
    affine: Affine, size: tuple[int, int], pixels: Pixels, drawn: Draw, fill: Colour
) -> Pixels:
    height, width = size
    transform = np.array(from_corner(affine, height, width)).reshape(2, 3)
    warped = cv2.warpAffine(
        pixels,
        transform,
        (width, height),
        flags=_INTERPOLATIONS[drawn.interpolation] | cv2.WARP_INVERSE_MAP,
        borderMode=_BORDERS[drawn.border],
        borderValue=fill,
    )
    return np.asarray(warped, np.uint8)


def _near(places: Plane, size: int, border: str) -> Plane:
    """Exchange places far outside for nearer ones where the border shows the same."""
    places = np.nan_to_num(places)
    if border != "reflect":
        # Where four pixels are weighed, a place looks two pixels to either side.
        return np.clip(places, -3, size + 2)
    period = 2 * max(size - 1, 1)
    within = np.abs(places) % np.float32(period)
    return np.asarray(np.minimum(within, period - within), np.float32)


def _shifted(pixels: Pixels, down: int, right: int, border: str, fill: Colour) -> Pixels:
    """Take row i + down and column j + right for row i and column j."""
    height, width = pixels.shape[:2]
    around = max(-down, 0), max(down, 0), max(-right, 0), max(right, 0)
    wider = cv2.copyMakeBorder(pixels, *around, _BORDERS[border], value=fill)
    return np.asarray(wider[around[1] :, around[3] :][:height, :width], np.uint8)
