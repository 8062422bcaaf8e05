"""Occlusion: what covers parts of a picture."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

_COLOURS: dict[str, Colour] = {"black": (0, 0, 0), "white": (255, 255, 255)}


def erasing(
    fill: str, left: float, top: float, width: float, height: float, pixels: Pixels
) -> Pixels:
    """Cover a rectangle.

    Parameters
    ----------
    fill : {"black", "white", "mean"}
        What covers it; ``mean`` is the picture's mean colour.
    left, top, width, height : float
        Where it lies, shares of the picture; see :func:`box_px`.
    pixels : numpy.ndarray of uint8, shape (height, width, 3)
        The picture; left as it is.
    """
    x, y, x_end, y_end = box_px((left, top, width, height), *pixels.shape[:2])
    covered = pixels.copy()
    covered[y:y_end, x:x_end] = _COLOURS.get(fill) or _mean(pixels)
    return covered


def added_border(fill: str, share: float, pixels: Pixels) -> Pixels:
    """Cover a picture's edge with a border.

    Parameters
    ----------
    fill : {"black", "white", "reflect"}
        What covers it; ``reflect`` mirrors what lies within, its outermost pixels repeated.
    share : float
        Breadth, share of the shorter side; see :func:`breadth_px`.
    pixels : numpy.ndarray of uint8, shape (height, width, 3)
        The picture; left as it is.
    """
    height, width = pixels.shape[:2]
    breadth = breadth_px(share, height, width)
    if breadth == 0:
        return pixels
    inner = pixels[breadth : height - breadth, breadth : width - breadth]
    rule = cv2.BORDER_REFLECT if fill == "reflect" else cv2.BORDER_CONSTANT
    colour = _COLOURS.get(fill, (0, 0, 0))
    return np.asarray(cv2.copyMakeBorder(inner, *(breadth,) * 4, rule, value=colour), np.uint8)


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
    covered[outside] = _COLOURS.get(fill) or _mean(pixels, outside)
    return covered


def box_px(box: Sequence[float], height: int, width: int) -> tuple[int, int, int, int]:
    """Round a box in shares of a picture to whole pixels: left, top, and the ends of both.

    Its sides are rounded first, then its place, so that it lies whole within the picture.
    """
    left, top, across, down = box
    across_px, down_px = round(across * width), round(down * height)
    x = min(round(left * width), width - across_px)
    y = min(round(top * height), height - down_px)
    return x, y, x + across_px, y + down_px


def breadth_px(share: float, height: int, width: int) -> int:
    """Round a border's share of the shorter side to whole pixels; some of the middle is left."""
    shorter = min(height, width)
    return min(round(share * shorter), (shorter - 1) // 2)


def _mean(pixels: Pixels, where: npt.NDArray[np.bool_] | None = None) -> Colour:
    mask = None if where is None else where.astype(np.uint8)
    red, green, blue, _ = cv2.mean(pixels, mask)
    return round(red), round(green), round(blue)
