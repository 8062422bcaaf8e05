"""A map written out: for every pixel of the result, the place in the picture it is taken from."""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from leukoscope.augmentation.maps import (
    IDENTITY,
    LEAST_FACTOR,
    Affine,
    Elastic,
    Lens,
    Map,
    compose,
)

LEAST_MIXED = 1e-12
"""A mixed part of a lens' factor below this is rounding: turning and scaling have none."""
Stages = tuple[Affine | Lens, ...]
Plane = npt.NDArray[np.float32]
"""Shape (height, width)."""
Places = npt.NDArray[np.float64]
"""One coordinate of each of several places."""


def positions(route: Map, height: int, width: int) -> tuple[Plane, Plane]:
    """Compute where in the picture each pixel of the result lies.

    Parameters
    ----------
    route : Map
        The map.
    height, width : int
        Of the picture and of the result, pixels.

    Returns
    -------
    x, y : numpy.ndarray of float32, shape (height, width)
        Columns and rows, from 0 at the centre of the first pixel.
    """
    if route.fields:
        x, y = _through(route.stages, *_displaced(route.fields, height, width))
    else:
        x, y = _from_grid(route.stages, height, width)
    x += np.float32((width - 1) / 2)
    y += np.float32((height - 1) / 2)
    return x, y


def cubic_positions(
    route: Map, height: int, width: int, margin_px: tuple[int, int] = (0, 0)
) -> tuple[Plane, Plane] | None:
    """Compute the positions of one lens among affine maps as cubic polynomials of the places.

    Faster than :func:`positions`, and rounded elsewhere: a place may be another one by some
    3e-7 of the picture's size.

    Parameters
    ----------
    route : Map
        The map.
    height, width : int
        Of the picture and of the result, pixels.
    margin_px : tuple of 2 int
        Rows above the picture and columns left of it, by which places are counted further on.

    Returns
    -------
    x, y : numpy.ndarray of float32, shape (height, width), or None
        None for every other map, a lens alone among them, and for a lens that is kept from
        folding (:data:`maps.LEAST_FACTOR`).
    """
    parts = route.around_lens()
    if parts is None:
        return None
    x0, y0 = (width - 1) / 2, (height - 1) / 2
    (a, b, s, c, d, t), lens, (e, f, right, g, h, below) = parts
    # Places run from -1 to 1 here: their powers, and all products, then stay exact enough.
    a, b, c, d = a * x0, b * y0, c * x0, d * y0
    scaled = (a, b, s, c, d, t)
    if lens.strength < 0 and _is_folded(scaled, lens):
        return None
    factor = factor_terms(scaled, lens)
    terms = zip(
        _cubic((e * a + f * c, e * b + f * d, e * s + f * t), factor, right + x0 + margin_px[1]),
        _cubic((g * a + h * c, g * b + h * d, g * s + h * t), factor, below + y0 + margin_px[0]),
        strict=True,
    )
    matrix = np.array([across + down for across, down in terms])
    # In double precision, for the reason given in :func:`displacement`.
    both = _powers(height)[0].dot(matrix.dot(_powers(width)[1])).astype(np.float32)
    return both[:, :width], both[:, width:]


def displacement(field: Elastic, height: int, width: int) -> tuple[Plane, Plane]:
    """Compute an elastic field: cubic B-splines over normal random numbers on a grid.

    The field is the same, in shares of the picture, at every size of it.

    Returns
    -------
    x, y : numpy.ndarray of float32, shape (height, width)
        Pixels, of mean 0 and, over many fields, standard deviation *displacement_px*.
    """
    grid = _spline_grid(field, height, width)
    down = _spline_basis(height, field.spacing_px)
    across = _spline_basis(width, field.spacing_px)
    # In double precision: in which order a product is summed hangs on the number of threads, and
    # rounding to single takes that away.
    x, y = (down.astype(np.float64) @ grid @ across.T).astype(np.float32)
    return x, y


def displacement_at(
    field: Elastic, x: Places, y: Places, height: int, width: int
) -> tuple[Places, Places]:
    """Compute an elastic field at places of any kind; outside, it is that of the edge.

    Parameters
    ----------
    field : Elastic
        The field.
    x, y : numpy.ndarray of float64, shape (n,)
        Columns and rows of the result, from 0 at the centre of the first pixel.
    height, width : int
        Of the picture, pixels.

    Returns
    -------
    x, y : numpy.ndarray of float64, shape (n,)
        Pixels.
    """
    grid = _spline_grid(field, height, width)
    down = _spline_weights(np.clip(y + 0.5, 0, height) / field.spacing_px, grid.shape[1])
    across = _spline_weights(np.clip(x + 0.5, 0, width) / field.spacing_px, grid.shape[2])
    move_x, move_y = np.einsum("ni,cij,nj->cn", down, grid, across)
    return move_x, move_y


def _displaced(fields: tuple[Elastic, ...], height: int, width: int) -> tuple[Plane, Plane]:
    u, v = _offsets(height, width)
    x, y = displacement(fields[0], height, width)
    for field in fields[1:]:
        more_x, more_y = displacement(field, height, width)
        x, y = x + more_x, y + more_y
    return x + u, y + v[:, None]


def _from_grid(stages: Stages, height: int, width: int) -> tuple[Plane, Plane]:
    """Follow stages from the regular grid; the usual chain, one lens, without dense products."""
    before, rest = _leading(stages)
    if not rest:
        return _linear(before, height, width)
    lens = rest[0]
    assert isinstance(lens, Lens)
    after, rest = _leading(rest[1:])
    factor = _lens_factor(before, lens, height, width)
    # The lens multiplies both coordinates alike, so what follows it may be done before it.
    a, b, s, c, d, t = after
    x, y = _linear(compose((a, b, 0.0, c, d, 0.0), before), height, width)
    x *= factor
    y *= factor
    if s or t:
        x += np.float32(s)
        y += np.float32(t)
    return _through(rest, x, y)


def _leading(stages: Stages) -> tuple[Affine, Stages]:
    """Split off the affine map that stages begin with, if they do."""
    if not stages or isinstance(stages[0], Lens):
        return IDENTITY, stages
    return stages[0], stages[1:]


Terms = tuple[float, float, float, float, float, float]
"""Of a polynomial in u and v: what goes with 1, u, u², v, u v and v²."""
Rows = tuple[tuple[float, float, float, float], ...]


def factor_terms(before: Affine, lens: Lens) -> Terms:
    """Write out what a lens multiplies by, 1 + scale |before (u, v)|²."""
    scale = lens.strength / lens.radius_px**2
    a, b, s, c, d, t = before
    return (
        1 + scale * (s * s + t * t),
        2 * scale * (a * s + c * t),
        scale * (a * a + c * c),
        2 * scale * (b * s + d * t),
        2 * scale * (a * b + c * d),
        scale * (b * b + d * d),
    )


def _cubic(linear: tuple[float, float, float], factor: Terms, shift: float) -> Rows:
    """Multiply p u + q v + r by a factor, and shift: rows by powers of v, columns by those of u."""
    p, q, r = linear
    one, u, uu, v, uv, vv = factor
    return (
        (r * one + shift, r * u + p * one, r * uu + p * u, p * uu),
        (r * v + q * one, r * uv + p * v + q * u, p * uv + q * uu, 0.0),
        (r * vv + q * v, p * vv + q * uv, 0.0, 0.0),
        (q * vv, 0.0, 0.0, 0.0),
    )


def _is_folded(before: Affine, lens: Lens) -> bool:
    """Tell whether a lens reaches its least factor; it is farthest out in one of the corners."""
    a, b, s, c, d, t = before
    farthest = max(
        (i * a + j * b + s) ** 2 + (i * c + j * d + t) ** 2 for i in (-1, 1) for j in (-1, 1)
    )
    return 1 + lens.strength / lens.radius_px**2 * farthest < LEAST_FACTOR


@lru_cache(maxsize=32)
def _powers(size: int) -> tuple[Places, Places]:
    """Raise places from -1 to 1 to powers 0 to 3, a column each; and as rows, for x and for y."""
    places = (np.arange(size) - (size - 1) / 2) / ((size - 1) / 2 or 1.0)
    powers = places[:, None] ** np.arange(4)
    return powers.astype(np.float64), np.kron(np.eye(2), powers.T).astype(np.float64)


def _lens_factor(before: Affine, lens: Lens, height: int, width: int) -> Plane:
    u, v = _offsets(height, width)
    one, u1, uu, v1, uv, vv = factor_terms(before, lens)
    along = np.float32(uu) * u * u + np.float32(u1) * u
    down = np.float32(vv) * v * v + np.float32(v1) * v
    factor = (down + np.float32(one))[:, None] + along
    if abs(uv) > LEAST_MIXED:
        factor += (np.float32(uv) * v)[:, None] * u
    return _not_folded(factor, lens)


def _not_folded(factor: Plane, lens: Lens) -> Plane:
    return np.maximum(factor, np.float32(LEAST_FACTOR)) if lens.strength < 0 else factor


def _linear(affine: Affine, height: int, width: int) -> tuple[Plane, Plane]:
    u, v = _offsets(height, width)
    a, b, s, c, d, t = (np.float32(number) for number in affine)
    return (b * v + s)[:, None] + a * u, (d * v + t)[:, None] + c * u


def _through(stages: Stages, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    for stage in stages:
        if isinstance(stage, Lens):
            factor = 1 + np.float32(stage.strength / stage.radius_px**2) * (x * x + y * y)
            factor = _not_folded(factor, stage)
            x, y = x * factor, y * factor
        else:
            a, b, s, c, d, t = (np.float32(number) for number in stage)
            x, y = a * x + b * y + s, c * x + d * y + t
    return x, y


@lru_cache(maxsize=32)
def _offsets(height: int, width: int) -> tuple[Plane, Plane]:
    u = np.arange(width, dtype=np.float32) - np.float32((width - 1) / 2)
    v = np.arange(height, dtype=np.float32) - np.float32((height - 1) / 2)
    return u, v


def _spline_grid(field: Elastic, height: int, width: int) -> npt.NDArray[np.float32]:
    """Draw the numbers of an elastic field, x and y, shape (2, n_points down, n_points across)."""
    shape = (2, _n_points(height, field.spacing_px), _n_points(width, field.spacing_px))
    rng = np.random.Generator(np.random.Philox(key=field.seed))
    grid = rng.standard_normal(shape, dtype=np.float32)
    # Of a cubic B-spline over independent numbers: mean variance 151/315 along each axis.
    grid *= np.float32(field.displacement_px * 315 / 151)
    return grid


@lru_cache(maxsize=32)
def _spline_basis(size: int, spacing_px: float) -> Plane:
    """Weigh each grid point for each pixel of one axis, shape (size, n_points)."""
    place = (np.arange(size, dtype=np.float64) + 0.5) / spacing_px
    return _spline_weights(place, _n_points(size, spacing_px)).astype(np.float32)


def _n_points(size: int, spacing_px: float) -> int:
    # Counted from the picture's edges, not from its outermost pixels: those of a coarser picture
    # lie further in, and would ask for fewer random numbers. The spacing is a share of the size:
    # rounding takes back what the two products lost.
    return math.ceil(round(size / spacing_px, 9)) + 3


def _spline_weights(place: Places, n_points: int) -> Places:
    """Weigh grid points for places in units of the spacing; the first point lies at -1."""
    far = np.abs(place[:, None] - (np.arange(n_points) - 1))
    near = 2 / 3 - far**2 * (1 - far / 2)
    outer = np.clip(2 - far, 0, None) ** 3 / 6
    return np.asarray(np.where(far < 1, near, outer))
