"""Count the lobes of a nucleus from the discs that it is drawn with, without any pixel.

A neck is as wide as the largest disc that passes it. The middles of such discs
run along the edges of the Voronoi diagram of the outline's corners, the points
where two of the drawn discs meet: over the chord between two corners, from one
disc or circle round three corners to the next (Amenta and Kolluri 2001, "The
medial axis of a union of balls"). Every width is found in closed form.

Points are complex numbers, which can be turned and measured without axes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.complex128]
Lengths = NDArray[np.float64]
Numbers = NDArray[np.intp]
Chords = dict[tuple[int, int], int]

BRIDGE_SHARE = 1 / 3
"""A bridge is at most this share of the width of the smaller lobe beside it."""

_SAME = 1e-9
"""Discs that differ by no more than this share of the radius are one: a ring's first and last."""


class _Discs(NamedTuple):
    """Hold discs."""

    middles: Plane
    radii: Lengths


class _Corners(NamedTuple):
    """Hold the corners of a union of discs, its outline walked with the inside to the left."""

    places: Plane
    before: Numbers
    """Disc whose arc ends at each corner."""
    after: Numbers
    """Disc whose arc begins at each corner."""


def lobe_count(discs: NDArray[np.float64]) -> int:
    """Count the parts of a union of discs that hang together by narrow necks or not at all.

    From the widest neck down, two parts become one if the neck between them is
    wider than a third of the narrower part. What is less than a third as wide as
    the widest part is no lobe: it is a bead in a thread.

    Parameters
    ----------
    discs : ndarray, shape (n, 3)
        x, y and radius, in one unit, and in general position: no three circles
        meet in one point.

    Returns
    -------
    int
        1 or more.
    """
    drawn = _bare(_Discs(discs[:, 0] + 1j * discs[:, 1], discs[:, 2]))
    corners = _corners(drawn)
    triangles = _triangles(corners.places)
    every = _with_circles(drawn, triangles, corners)
    necks = _necks(_chords(corners, drawn), triangles, corners.places, every)
    lobes, pieces = _parts(necks, every, BRIDGE_SHARE), _parts(necks, every, 0.0)
    # Triangles outside hang together too, but with no disc.
    shown = {pieces[disc] for disc in {*corners.after.tolist(), *_alone(drawn)}}
    widths: dict[int, float] = {}
    for lobe, piece, width in zip(lobes, pieces, every.radii.tolist(), strict=True):
        if piece in shown:
            widths[lobe] = max(width, widths.get(lobe, 0.0))
    return sum(width >= BRIDGE_SHARE * max(widths.values()) for width in widths.values())


def _bare(discs: _Discs) -> _Discs:
    """Leave out discs that lie within another; of equal ones the first stays."""
    order = np.argsort(-discs.radii, kind="stable")
    middles, radii = discs.middles[order], discs.radii[order]
    covers = np.abs(middles[:, None] - middles) + radii <= radii[:, None] * (1 + _SAME)
    bare = ~np.triu(covers, 1).any(axis=0)
    return _Discs(middles[bare], radii[bare])


def _alone(discs: _Discs) -> list[int]:
    """List the discs that touch no other."""
    apart = np.abs(discs.middles[:, None] - discs.middles)
    touching = apart < discs.radii[:, None] + discs.radii
    return np.flatnonzero(touching.sum(axis=1) == 1).tolist()


def _corners(discs: _Discs) -> _Corners:
    """Find where the outline passes from one disc to the next."""
    apart = np.abs(discs.middles[:, None] - discs.middles)
    before, after = np.nonzero((apart < discs.radii[:, None] + discs.radii) & (apart > 0))
    apart = apart[before, after]
    along = (apart**2 + discs.radii[before] ** 2 - discs.radii[after] ** 2) / (2 * apart)
    across = np.sqrt(np.maximum(discs.radii[before] ** 2 - along**2, 0))
    heading = (discs.middles[after] - discs.middles[before]) / apart
    # Seen from the disc whose arc ends, the corner lies to the right of the way to the next.
    places = discs.middles[before] + (along - 1j * across) * heading
    depth = discs.radii - np.abs(places[:, None] - discs.middles)
    number = np.arange(len(places))
    depth[number, before] = depth[number, after] = 0
    bare = (depth <= 0).all(axis=1)
    return _Corners(places[bare], before[bare], after[bare])


def _chords(corners: _Corners, discs: _Discs) -> Chords:
    """Name the disc of each arc of the outline by the corners where it begins and ends."""
    begins = np.angle(corners.places - discs.middles[corners.after])
    ends = np.angle(corners.places - discs.middles[corners.before])
    turns = (ends - begins[:, None]) % (2 * np.pi)
    turns[corners.after[:, None] != corners.before] = np.inf
    lasts = turns.argmin(axis=1) if len(turns) else corners.after
    return dict(zip(enumerate(lasts.tolist()), corners.after.tolist(), strict=True))


def _triangles(places: Plane) -> Numbers:
    """Divide corners into Delaunay's triangles, shape (n, 3), each anticlockwise."""
    from scipy.spatial import Delaunay

    if len(places) < 3:
        return np.empty((0, 3), np.intp)
    triangles = Delaunay(np.column_stack([places.real, places.imag])).simplices.astype(np.intp)
    a, b, c = places[triangles.T]
    anticlockwise = ((b - a).conj() * (c - a)).imag > 0
    return np.asarray(np.where(anticlockwise[:, None], triangles, triangles[:, ::-1]))


def _with_circles(discs: _Discs, triangles: Numbers, corners: _Corners) -> _Discs:
    """Append the circles round the triangles to the drawn discs."""
    a, b, c = corners.places[triangles.T]
    u, v = b - a, c - a
    with np.errstate(divide="ignore", invalid="ignore"):
        middles = a + (v * np.abs(u) ** 2 - u * np.abs(v) ** 2) / (2j * (u.conj() * v).imag)
    # Corners of one disc, often close together, have that disc round them.
    for own in (corners.before, corners.after):
        disc = own[triangles[:, 0]]
        beside = (corners.before[triangles] == disc[:, None]) | (
            corners.after[triangles] == disc[:, None]
        )
        middles = np.where(beside.all(axis=1), discs.middles[disc], middles)
    return _Discs(np.append(discs.middles, middles), np.append(discs.radii, np.abs(middles - a)))


def _necks(
    chords: Chords, triangles: Numbers, places: Plane, discs: _Discs
) -> list[tuple[float, int, int]]:
    """List the necks between neighbouring discs, the widest first: half width and both discs."""
    n_drawn = len(discs.radii) - len(triangles)
    left = {
        edge: n_drawn + number
        for number, (a, b, c) in enumerate(triangles.tolist())
        for edge in ((a, b), (b, c), (c, a))
    }
    found = []
    for a, b in {(min(edge), max(edge)) for edge in (*left, *chords)}:
        # Beyond a chord lies the disc of its arc, whatever triangle is drawn there.
        sides = chords.get((b, a), left.get((a, b))), chords.get((a, b), left.get((b, a)))
        if None not in sides:
            found.append((a, b, *sides))
    first, last, one, other = np.array(found, np.intp).reshape(-1, 4).T
    middle = (places[first] + places[last]) / 2
    to_one, to_other = discs.middles[one] - middle, discs.middles[other] - middle
    between = (to_one.conj() * to_other).real < 0
    half_chord = np.abs(places[first] - places[last]) / 2
    half_width = np.where(between, half_chord, np.minimum(discs.radii[one], discs.radii[other]))
    return sorted(zip(half_width.tolist(), one.tolist(), other.tolist(), strict=True), reverse=True)


def _parts(necks: list[tuple[float, int, int]], discs: _Discs, share: float) -> list[int]:
    """Join discs from the widest neck down where it is above a share of the narrower part.

    Returns
    -------
    list of int
        One of the discs of its part, for each disc.
    """
    part, widths = list(range(len(discs.radii))), discs.radii.tolist()
    for half_width, *sides in necks:
        one, other = (_root(part, side) for side in sides)
        if one != other and half_width > share * min(widths[one], widths[other]):
            part[other] = one
            widths[one] = max(widths[one], widths[other])
    return [_root(part, disc) for disc in range(len(part))]


def _root(part: list[int], number: int) -> int:
    while part[number] != number:
        part[number] = part[part[number]]
        number = part[number]
    return number
