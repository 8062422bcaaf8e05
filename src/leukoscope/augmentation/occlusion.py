"""Occlusion: what covers parts of a picture."""

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

_COLOURS = {"black": 0, "white": 255}


def erasing(fill: str, box: tuple[float, float, float, float], pixels: Pixels) -> Pixels:
    """Cover a rectangle.

    Parameters
    ----------
    fill : {"black", "white", "mean"}
        What covers it; ``mean`` is the picture's mean colour.
    box : tuple of float
        Left, top, width and height, shares of the picture; rounded to whole pixels.
    pixels : numpy.ndarray of uint8, shape (height, width, 3)
        The picture; left as it is.
    """
    height, width = pixels.shape[:2]
    left, top, across, down = box
    x, y = round(left * width), round(top * height)
    covered = pixels.copy()
    area = covered[y : y + round(down * height), x : x + round(across * width)]
    area[:] = _colour(fill, pixels.reshape(-1, 3))
    return covered


def added_border(fill: str, share: float, pixels: Pixels) -> Pixels:
    """Cover a picture's edge with a border, a share of its shorter side broad."""
    height, width = pixels.shape[:2]
    breadth = round(share * min(height, width))
    if breadth == 0:
        return pixels
    inner = pixels[breadth : height - breadth, breadth : width - breadth]
    around = ((breadth, breadth), (breadth, breadth), (0, 0))
    if fill == "reflect":
        return np.pad(inner, around, mode="symmetric")
    return np.pad(inner, around, constant_values=_COLOURS[fill])


def background(fill: str, mask: npt.NDArray[np.uint8], pixels: Pixels) -> Pixels:
    """Cover everything outside a cell.

    Parameters
    ----------
    fill : {"black", "white", "mean"}
        What covers it; ``mean`` is the mean colour outside the cell.
    mask : numpy.ndarray of uint8, shape (height, width)
        0 outside the cell.
    pixels : numpy.ndarray of uint8, shape (height, width, 3)
        The picture; left as it is.
    """
    outside = mask == 0
    if not outside.any():
        return pixels
    covered = pixels.copy()
    covered[outside] = _colour(fill, pixels[outside])
    return covered


def _colour(fill: str, pixels: Pixels) -> npt.NDArray[np.float64] | int:
    return np.rint(pixels.mean(axis=0)) if fill == "mean" else _COLOURS[fill]
