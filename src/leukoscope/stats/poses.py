"""The sixteen poses that pictures are compared over: right angles, mirrors, and 45 degrees."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)

N_SQUARE = 8
"""The poses of a square, which move pixels alone."""
N_POSES = 2 * N_SQUARE
"""Those, and the same of the picture turned by 45 degrees."""
_ROWS = 256


def turned(pixels: NDArray[Number], pose: int) -> NDArray[Number]:
    """Turn pictures, shape (n, s, s, c), into one of sixteen poses.

    By pose % 4 quarter turns, of the mirrored one where pose % 8 is 4 or more; from 8 on of the
    picture turned by 45 degrees, see :func:`oblique`.
    """
    straight = oblique(pixels) if pose >= N_SQUARE else pixels
    flipped = straight[:, :, ::-1] if pose % N_SQUARE >= N_SQUARE // 2 else straight
    return np.rot90(flipped, pose % 4, (1, 2))


def oblique(pixels: NDArray[Number]) -> NDArray[Number]:
    """Turn pictures, shape (n, s, s, c), by 45 degrees about their middle, against the clock.

    Bilinear, mirrored about the middle of the outermost pixels; whole numbers are rounded. Turn
    before pictures are made small: what lies beyond the border then matters less.
    """
    n, side = pixels.shape[:2]
    places, weights = _oblique_places(side)
    flat = pixels.reshape(n, side * side, -1)
    made = np.empty(flat.shape, dtype=pixels.dtype)
    for rows in (slice(at, at + _ROWS) for at in range(0, n, _ROWS)):
        own = flat[rows].astype(np.float32)
        parts = (own[:, at] * w[:, None] for at, w in zip(places, weights, strict=True))
        levels = sum(parts, np.zeros(1, dtype=np.float32))
        made[rows] = np.rint(levels) if np.issubdtype(pixels.dtype, np.integer) else levels
    return made.reshape(pixels.shape)


def _oblique_places(side: int) -> tuple[list[Codes], list[NDArray[np.float32]]]:
    """Give the four pixels that each pixel is weighed from, and their weights."""
    middle = (side - 1) / 2
    down, across = (axis - middle for axis in np.mgrid[:side, :side].astype(np.float64))
    sources = [(down + across) * np.sqrt(0.5), (across - down) * np.sqrt(0.5)]
    # Rounded, so that a source on the grid is not split by what a library makes of a root.
    sources = [np.round(axis.ravel() + middle, 9) for axis in sources]
    lower = [np.floor(axis) for axis in sources]
    places, weights = [], []
    for step_down in (0, 1):
        for step_across in (0, 1):
            corner = [lower[0] + step_down, lower[1] + step_across]
            shares = [1 - np.abs(axis - at) for axis, at in zip(sources, corner, strict=True)]
            rows, columns = (_mirrored(at.astype(np.int64), side) for at in corner)
            places.append(rows * side + columns)
            weights.append((shares[0] * shares[1]).astype(np.float32))
    return places, weights


def _mirrored(place: Codes, side: int) -> Codes:
    """Bring places beyond a border back inside, mirrored about the outermost pixel."""
    if side == 1:
        return np.zeros_like(place)
    period = 2 * (side - 1)
    return np.asarray((side - 1) - np.abs(place % period - (side - 1)), dtype=np.int64)
