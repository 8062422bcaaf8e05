"""The border of a leukocyte, found from its nucleus outwards.

Which colours are the cell's is learned in each picture anew: those frequent near the nucleus
and rare away from it. The border is then the closed line around the nucleus that encloses most
of the cell's colours and least of the others, prefers edges, and does not jump: a shortest path
in polar coordinates, found by dynamic programming. Nothing is trained.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from leukoscope.morphology.field import absorbance, blank_colour
from leukoscope.morphology.masks import Mask, Pixels, depth

Plane = npt.NDArray[np.float32]
Whole = npt.NDArray[np.intp]

_RADIUS_PX = 26.0
"""Half diameter that the nucleus's hull is brought to: the scale is the cell's own."""
_MOST_ZOOM = 1.6
_REACH = 3.4
"""How far out the border is sought, in half diameters of the nucleus's hull."""
_NEIGHBOURHOOD = 2.6
"""How far out colours are learned, in the same unit."""
_N_COLOURS = 14
_N_RAYS = 96
_N_ROUNDS = 3
_RIM, _RIM_SOFTNESS = 0.5, 0.12
"""First guess: cytoplasm reaches half a half diameter beyond the nucleus's hull."""
_BORDER_SOFTNESS = 0.06
_CERTAIN = 3.0
"""Most that one colour says for or against, as a logarithm of odds."""
_EMPTY_DENSITY, _EMPTY_ODDS = 0.06, -3.0
"""What is no darker than the empty field by that much is hardly the cell's."""
_REGION_WEIGHT, _EDGE_WEIGHT, _JUMP_WEIGHT = 10.0, 2.0, 0.15
_MOST_JUMP = 3
_EDGE_SPAN = 2
_DOUBT = 0.7
"""Shift of all odds, up and down, by which the border's stability is tried."""


class Outlined(NamedTuple):
    """Hold the outline of a cell."""

    cell: Mask
    """Its pixels, shape (h, w)."""
    stability: float
    """Dice of the cells found when all colours count somewhat less and more as its own, 0 to 1."""


class _Window(NamedTuple):
    """Hold the neighbourhood of a nucleus at the working scale."""

    lab: Plane
    """L*a*b*, smoothed, shape (h, w, 3)."""
    seed: Mask
    empty: Mask
    """What is as bright as the empty field."""
    others: Mask
    """What is nearer to another nucleus."""
    hull: Mask
    radius: float
    """Half diameter of the hull in pixels."""
    zoom: float
    corner: tuple[int, int]
    """Left and top in the picture."""


class _Rays(NamedTuple):
    """Hold a window along rays from a centre, each array of shape (rays, steps)."""

    evidence: Plane
    edge: Plane
    least: Whole
    """First step outside the nucleus on each ray, shape (rays,)."""


def outline(image: Pixels, seed: Mask, rivals: Mask) -> Outlined:
    """Outline the cell around a nucleus, apart from its neighbours.

    Parameters
    ----------
    image : ndarray, uint8, shape (h, w, 3)
    seed : ndarray, bool, shape (h, w)
        The nucleus, roughly; all of it is kept within the outline but small jags.
    rivals : ndarray, bool, shape (h, w)
        Other nuclei, perhaps none: what is nearer to them is theirs.

    Returns
    -------
    Outlined
    """
    window = _window(image, seed, rivals)
    groups = _colour_groups(window.lab)
    away = depth(~window.hull) / window.radius
    inside = _soft(_RIM - away, _RIM_SOFTNESS, window.seed)
    near = away < _NEIGHBOURHOOD
    centre = _centre(window.hull)
    for _ in range(_N_ROUNDS):
        evidence = _evidence(groups, inside, near, window)
        rays = _rays(window, evidence, centre)
        line = _points(centre, _border(rays, window.radius, 0.0))
        cell = _filled(line, window.seed.shape) | window.seed
        inside = _soft((depth(cell) - depth(~cell)) / window.radius, _BORDER_SOFTNESS, window.seed)
        centre = _centre(cell)
    narrow, wide = (_border(rays, window.radius, doubt) for doubt in (-_DOUBT, _DOUBT))
    in_picture = (line + 0.5) / window.zoom - 0.5 + window.corner
    return Outlined(_filled(in_picture, seed.shape), _overlap(narrow, wide))


def _window(image: Pixels, seed: Mask, rivals: Mask) -> _Window:
    hull = _hull(seed)
    half = float(np.sqrt(hull.sum() / np.pi))
    zoom = min(_RADIUS_PX / half, _MOST_ZOOM)
    x, y = _centre(hull)
    reach = (_REACH + 0.5) * half
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    part = (slice(top, int(y + reach) + 2), slice(left, int(x + reach) + 2))
    way = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image[part], (0, 0), fx=zoom, fy=zoom, interpolation=way)
    density = absorbance(np.asarray(small, np.uint8), blank_colour(image), blur_px=1.0)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    small_seed, small_rivals = (
        np.asarray(cv2.resize(mask[part].astype(np.float32), small.shape[1::-1]) > 0.5)
        for mask in (seed, rivals)
    )
    small_hull = _hull(small_seed)
    return _Window(
        np.asarray(cv2.GaussianBlur(lab, (0, 0), 1.0), np.float32),
        small_seed,
        np.asarray(density.max(axis=2) < _EMPTY_DENSITY),
        _nearer(small_rivals, small_hull),
        small_hull,
        float(np.sqrt(small_hull.sum() / np.pi)),
        zoom,
        (left, top),
    )


def _colour_groups(lab: Plane) -> Whole:
    """Number the groups of similar colours (k-means), from the same start every time."""
    colours = lab.reshape(-1, 3)
    few = np.ascontiguousarray(colours[:: max(1, len(colours) // 3000)])
    ranks = few[:, 0].argsort(kind="stable").argsort(kind="stable")
    start = (ranks * _N_COLOURS // len(few)).astype(np.int32)[:, None]
    until = (cv2.TERM_CRITERIA_MAX_ITER + cv2.TERM_CRITERIA_EPS, 15, 0.2)
    how = cv2.KMEANS_USE_INITIAL_LABELS
    _, _, middles = cv2.kmeans(few, _N_COLOURS, start, until, 1, how)
    # |c - m|² without |c|², which is the same for every m.
    gap = (middles**2).sum(axis=1) - 2 * colours @ middles.T
    return np.asarray(gap.argmin(axis=1).reshape(lab.shape[:2]))


def _evidence(groups: Whole, inside: Plane, near: Mask, window: _Window) -> Plane:
    """Give each pixel the log-odds that its colour is the cell's rather than another's."""
    shares = []
    for weight in (inside[near], 1 - inside[near]):
        mass = np.bincount(groups[near], weights=weight, minlength=_N_COLOURS) + 0.5
        shares.append(mass / mass.sum())
    odds = np.clip(np.log(shares[0] / shares[1]), -_CERTAIN, _CERTAIN)
    evidence = odds[groups]
    evidence[window.empty] = np.minimum(evidence[window.empty], _EMPTY_ODDS)
    evidence[window.others] = -_CERTAIN
    return np.where(window.seed, _CERTAIN, evidence).astype(np.float32)


def _rays(window: _Window, evidence: Plane, centre: tuple[float, float]) -> _Rays:
    steps = np.arange(int(_REACH * window.radius), dtype=np.float32)
    angles = np.arange(_N_RAYS, dtype=np.float32) * (2 * np.pi / _N_RAYS)
    x = centre[0] + np.outer(np.cos(angles), steps).astype(np.float32)
    y = centre[1] + np.outer(np.sin(angles), steps).astype(np.float32)
    nothing = cv2.BORDER_CONSTANT
    along = cv2.remap(evidence, x, y, cv2.INTER_LINEAR, borderMode=nothing, borderValue=-1)
    colour = cv2.remap(window.lab, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seed = cv2.remap(window.seed.astype(np.uint8), x, y, cv2.INTER_NEAREST, borderMode=nothing) > 0
    least = np.where(seed.any(axis=1), len(steps) - 1 - seed[:, ::-1].argmax(axis=1), 0)
    edge = np.zeros_like(along)
    ahead, behind = colour[:, 2 * _EDGE_SPAN :], colour[:, : -2 * _EDGE_SPAN]
    edge[:, _EDGE_SPAN:-_EDGE_SPAN] = np.linalg.norm(ahead - behind, axis=2)
    edge = np.clip(edge / (np.percentile(edge, 90) + 1e-6), 0, 1.5)
    return _Rays(np.asarray(along, np.float32), edge.astype(np.float32), least)


def _border(rays: _Rays, radius: float, doubt: float) -> Whole:
    """Find the best closed line, as a step on each ray; *doubt* is added to all log-odds."""
    steps = np.arange(rays.edge.shape[1], dtype=np.float32)
    # A step further out stands for a broader piece of the ring.
    enclosed = np.cumsum((rays.evidence + doubt) * steps, axis=1) / radius**2
    cost = -_REGION_WEIGHT * enclosed - _EDGE_WEIGHT * rays.edge
    cost[steps < rays.least[:, None]] = np.inf
    return _shortest_closed_path(cost)


def _shortest_closed_path(cost: Plane) -> Whole:
    """Choose a column in each row: least cost in all, small jumps, end beside start.

    The rows are gone through one and a half times beyond the start: what is left of the free
    start is forgotten by then.
    """
    n_rows, n_columns = cost.shape
    half = n_rows // 2
    rows = np.concatenate([cost[half:], cost, cost[:half]])
    jumps = np.arange(-_MOST_JUMP, _MOST_JUMP + 1)
    toll = (_JUMP_WEIGHT * jumps**2).astype(np.float32)[:, None]
    # Row i of this view holds the totals that jump i comes from; beyond both ends lies infinity.
    totals = np.full(n_columns + 2 * _MOST_JUMP, np.inf, np.float32)
    sources = np.lib.stride_tricks.sliding_window_view(totals, n_columns)
    came = np.empty(rows.shape, np.intp)
    totals[_MOST_JUMP:-_MOST_JUMP] = rows[0]
    for i, row in enumerate(rows[1:], start=1):
        ways = sources + toll
        came[i] = ways.argmin(axis=0)
        totals[_MOST_JUMP:-_MOST_JUMP] = ways.min(axis=0) + row
    path = np.empty(len(rows), np.intp)
    path[-1] = totals.argmin() - _MOST_JUMP
    for i in range(len(rows) - 1, 0, -1):
        path[i - 1] = path[i] + jumps[came[i, path[i]]]
    return path[half : half + n_rows]


def _points(centre: tuple[float, float], steps: Whole) -> npt.NDArray[np.float64]:
    angles = np.arange(_N_RAYS) * (2 * np.pi / _N_RAYS)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.asarray(directions * steps[:, None] + centre, np.float64)


def _filled(line: npt.NDArray[np.float64], shape: tuple[int, ...]) -> Mask:
    sixteenths = np.round(line * 16).astype(np.int32)
    plane = np.zeros(shape, np.uint8)
    return np.asarray(cv2.fillPoly(plane, [sixteenths], 1, shift=4) > 0)


def _overlap(one: Whole, other: Whole) -> float:
    common = float((np.minimum(one, other) ** 2).sum())
    return 2 * common / max(1.0, float((one**2).sum() + (other**2).sum()))


def _soft(depth: Plane, softness: float, seed: Mask) -> Plane:
    inside = 1 / (1 + np.exp(np.clip(-depth / softness, -50, 50)))
    return np.where(seed, 1, inside).astype(np.float32)


def _nearer(rivals: Mask, hull: Mask) -> Mask:
    if not rivals.any():
        return rivals
    return np.asarray(depth(~rivals) < depth(~hull))


def _hull(mask: Mask) -> Mask:
    points = np.argwhere(mask)[:, ::-1].astype(np.int32)
    plane = np.zeros(mask.shape, np.uint8)
    return np.asarray(cv2.fillConvexPoly(plane, cv2.convexHull(points), 1) > 0)


def _centre(mask: Mask) -> tuple[float, float]:
    y, x = np.nonzero(mask)
    return float(x.mean()), float(y.mean())
