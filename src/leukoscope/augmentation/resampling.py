"""The one resampling of a chain: pixels moved where that is enough, else interpolated once."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from leukoscope.augmentation.draw import Draw
from leukoscope.augmentation.maps import Affine, Map, is_exact, linear_part, map_of
from leukoscope.augmentation.positions import positions
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
_SAMPLED_PX = 32


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
        pixels = pixels.transpose(1, 0, 2)
        across, down, right, below = c, b, below, right
    # What is left runs along each axis by itself: place p is the picture's ±p + shift.
    moved = _shifted(pixels[::down, ::across], below * down, right * across, border, fill)
    return np.ascontiguousarray(moved)


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
    values, axes = np.linalg.eigh(np.array([[xx, xy], [xy, yy]]))
    variances = np.maximum(_OWN_BLUR_PX**2 * (values - 1), 1e-6)
    radius = max(1, int(math.sqrt(variances.max() / _LEAST_VARIANCE)))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    along = np.tensordot(axes.T, np.stack([x, y]), 1)
    kernel = np.exp(-(along**2 / (2 * variances[:, None, None])).sum(axis=0))
    return np.asarray(kernel / kernel.sum(), np.float32)


def _warp(route: Map, pixels: Pixels, drawn: Draw, fill: Colour) -> Pixels:
    height, width = pixels.shape[:2]
    border, flags = _BORDERS[drawn.border], _INTERPOLATIONS[drawn.interpolation]
    affine = route.affine()
    if affine is None:
        x, y = positions(route, height, width)
        warped = cv2.remap(pixels, x, y, flags, borderMode=border, borderValue=fill)
    else:
        a, b, s, c, d, t = affine
        x0, y0 = (width - 1) / 2, (height - 1) / 2
        transform = np.array([[a, b, s + x0 - a * x0 - b * y0], [c, d, t + y0 - c * x0 - d * y0]])
        warped = cv2.warpAffine(
            pixels,
            transform,
            (width, height),
            flags=flags | cv2.WARP_INVERSE_MAP,
            borderMode=border,
            borderValue=fill,
        )
    return np.asarray(warped, np.uint8)


def _shifted(pixels: Pixels, down: int, right: int, border: str, fill: Colour) -> Pixels:
    """Take row i + down and column j + right for row i and column j."""
    if not down and not right:
        return pixels
    height, width = pixels.shape[:2]
    rows, columns = np.arange(height) + down, np.arange(width) + right
    taken = pixels[_inside(rows, height, border)[:, None], _inside(columns, width, border)]
    if _BORDERS[border] == cv2.BORDER_CONSTANT:
        taken[(rows < 0) | (rows >= height)] = fill
        taken[:, (columns < 0) | (columns >= width)] = fill
    return taken


def _inside(places: npt.NDArray[np.int64], size: int, border: str) -> npt.NDArray[np.int64]:
    if border != "reflect" or size == 1:
        return np.clip(places, 0, size - 1)
    within = np.abs(places) % (2 * (size - 1))
    return np.asarray(np.minimum(within, 2 * (size - 1) - within))
