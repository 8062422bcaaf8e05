"""Where points and boxes of a picture lie in its augmented copy."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from leukoscope.augmentation.draw import Draw
from leukoscope.augmentation.maps import (
    LEAST_FACTOR,
    Elastic,
    Lens,
    inverse,
    is_exact,
    map_of,
)
from leukoscope.augmentation.positions import displacement_at

Points = npt.NDArray[np.float64]
"""Shape (n, 2): x to the right and y downwards."""
Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, the last two just outside."""

_CLOSE_PX = 1e-6
_MOST_TURNS = 200


def map_points(drawn: Draw, points_xy: npt.ArrayLike, height: int, width: int) -> Points:
    """Find where points of a picture are seen after the geometry of a draw.

    Parameters
    ----------
    drawn : Draw
        The drawn parameters.
    points_xy : array_like, shape (n, 2)
        Columns and rows in the picture, pixels, from 0 at the centre of the first pixel; they may
        lie between pixels, or outside.
    height, width : int
        The picture's, pixels.

    Returns
    -------
    numpy.ndarray of float64, shape (n, 2)
        Columns and rows in what :func:`apply` makes of the picture; outside of it where a point
        is no longer seen. Where an elastic field folds the picture, one of several places.
    """
    route = map_of(drawn, height, width)
    points = np.asarray(points_xy, np.float64).reshape(-1, 2)
    points = points - ((width - 1) / 2, (height - 1) / 2)
    for stage in reversed(route.stages):
        if isinstance(stage, Lens):
            points = points * _undone(stage, points)
        else:
            a, b, s, c, d, t = inverse(stage)
            points = points @ ((a, c), (b, d)) + (s, t)
    height, width = size_of(drawn, height, width)
    points += ((width - 1) / 2, (height - 1) / 2)
    return _before_fields(route.fields, points, height, width) if route.fields else points


def map_box(drawn: Draw, box_px: Sequence[int], height: int, width: int) -> Box | None:
    """Find the bounds of a box's outline after the geometry of a draw.

    Parameters
    ----------
    drawn : Draw
        The drawn parameters.
    box_px : sequence of 4 int
        Left, top, right, bottom in the picture, the last two just outside, as in a manifest.
    height, width : int
        The picture's, pixels.

    Returns
    -------
    tuple of 4 int, or None
        The same in what :func:`apply` makes of the picture, cut at its edges; None if nothing of
        the box is left in it. Turned, it is wider than what it held.
    """
    outline = map_points(drawn, _outline(box_px), height, width)
    height, width = size_of(drawn, height, width)
    # What is known to a millionth of a pixel must not reach into the next one.
    left, top = np.floor(outline.min(axis=0) + 0.5 + _CLOSE_PX).clip(0).astype(int).tolist()
    last = np.ceil(outline.max(axis=0) + 0.5 - _CLOSE_PX).clip(None, (width, height))
    right, bottom = last.astype(int).tolist()
    return (left, top, right, bottom) if left < right and top < bottom else None


def size_of(drawn: Draw, height: int, width: int) -> tuple[int, int]:
    """Give height and width of what :func:`apply` makes of a picture of this size."""
    affine = map_of(drawn, height, width).affine()
    is_crossed = affine is not None and is_exact(affine) and affine[0] == 0
    return (width, height) if is_crossed else (height, width)


def _undone(lens: Lens, points: Points) -> Points:
    """Find what a lens divides the radius of each point by, as a factor, shape (n, 1).

    The cubic r (1 + k r²) = shown is solved by the triple angle of a sine, of an imaginary angle
    where k is above 0.
    """
    shown = np.hypot(*points.T)[:, None] / lens.radius_px
    steep = math.sqrt(3 * abs(lens.strength))
    if lens.strength > 0:
        radius = 2 / steep * np.sinh(np.arcsinh(1.5 * steep * shown) / 3)
    else:
        radius = 2 / steep * np.sin(np.arcsin(np.minimum(1.5 * steep * shown, 1)) / 3)
    factor = np.divide(radius, shown, out=np.ones_like(shown), where=shown > 0)
    # Beyond the height of the curve a pincushion multiplies by what it did there.
    is_beyond = (lens.strength < 0) & (1.5 * steep * shown > 1)
    return np.where(is_beyond, 1 / LEAST_FACTOR, factor)


def _before_fields(fields: tuple[Elastic, ...], points: Points, height: int, width: int) -> Points:
    """Find what elastic fields brought to points: place + displacement(place) = point."""
    places = points
    for _ in range(_MOST_TURNS):
        x, y = places.T
        moves = [displacement_at(field, x, y, height, width) for field in fields]
        nearer = points - np.sum(moves, axis=0).T
        is_found = np.abs(nearer - places).max(initial=0) < _CLOSE_PX
        places = nearer
        if is_found:
            break
    return places


def _outline(box_px: Sequence[int]) -> Points:
    """Walk around a box in steps of up to a pixel, along the outer edges of its pixels."""
    left, top, right, bottom = (edge - 0.5 for edge in box_px)
    x = np.linspace(left, right, math.ceil(right - left) + 1)
    y = np.linspace(top, bottom, math.ceil(bottom - top) + 1)
    across = [np.column_stack([x, np.full_like(x, edge)]) for edge in (top, bottom)]
    down = [np.column_stack([np.full_like(y, edge), y]) for edge in (left, right)]
    return np.concatenate(across + down)
