"""How far two sets of features overlap: precision, recall, density, coverage.

A set's manifold is the union of balls round its points, each as wide as the distance to that
point's k-th neighbour in the set. Precision and recall after Kynkäänniemi et al. 2019, density and
coverage after Naeem et al. 2020. All hang on how many points the sets have: only values of equal
numbers can be compared.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError
from leukoscope.stats.binomial import Interval, tail_of, wilson
from leukoscope.stats.kid import check_features

Numbers = NDArray[np.float64]

K = 5
"""Neighbours that make a ball, as Naeem et al. take them."""
METRICS = ("precision", "recall", "density", "coverage")
_ROWS = 512


class Overlap(NamedTuple):
    """Hold what each point contributes to the four scores, which are means of these."""

    depth: Numbers
    """Of each generated point, the smallest (distance to a real point / that point's radius):
    up to 1 within the real manifold, above outside. Shape (m,)."""
    balls: Numbers
    """Of each generated point, the real balls that hold it, divided by k. Shape (m,)."""
    is_recalled: NDArray[np.bool_]
    """Of each real point, whether it lies within the generated manifold. Shape (n,)."""
    is_covered: NDArray[np.bool_]
    """Of each real point, whether its ball holds a generated point. Shape (n,)."""


def overlap(real: ArrayLike, generated: ArrayLike, k: int = K) -> Overlap:
    """Measure how two sets overlap, point by point.

    Parameters
    ----------
    real, generated : (n, d) and (m, d) float
        Features, more than k rows each.
    k : int
        The neighbour whose distance is a ball's radius.

    Returns
    -------
    Overlap

    Raises
    ------
    DataError
        If the arrays are not such features, or k is below 1.
    """
    if k < 1:
        raise DataError(f"A ball reaches to a neighbour from 1 on; seen k = {k}.")
    known, drawn = check_features(real, generated, fewest=k + 1)
    known_radii, drawn_radii = _radii(known, k), _radii(drawn, k)
    depth = np.full(len(drawn), np.inf)
    balls, recalled, covered = np.zeros(len(drawn)), [], []
    for rows in _blocks(len(known)):
        distance = _distances(known[rows], drawn)
        radius = known_radii[rows, None]
        within = distance <= radius
        # A ball of no width holds its own point only.
        share = distance / np.where(radius > 0, radius, np.finfo(np.float64).tiny)
        depth = np.minimum(depth, np.where(within, np.minimum(share, 1.0), share).min(axis=0))
        balls += within.sum(axis=0)
        covered.append(within.any(axis=1))
        recalled.append((distance <= drawn_radii).any(axis=1))
    return Overlap(depth, balls / k, np.concatenate(recalled), np.concatenate(covered))


def scores(found: Overlap) -> dict[str, float]:
    """Average what the points contribute: precision, recall, density, coverage."""
    return {name: float(values.mean()) for name, values in _contributions(found).items()}


def score_intervals(
    real: ArrayLike,
    generated: ArrayLike,
    rng: np.random.Generator,
    *,
    k: int = K,
    n_halves: int = 60,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Give each score with an interval over both sets of images.

    Parameters
    ----------
    real, generated : (n, d) and (m, d) float
        Features, more than 2 k + 1 rows each.
    rng : numpy.random.Generator
        Draws the halves.
    k : int
        The neighbour whose distance is a ball's radius.
    n_halves : int
        How often both sets are halved.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    dict of str to Interval
        The value ± as many spreads over halves as *level* asks of a normal law, half of either
        set drawn without replacement (half sampling: McCarthy 1969); a bootstrap with
        replacement would put copies into the balls, and one that leaves the balls as they are
        covers too seldom. A share's bounds are no narrower than Wilson's, so that they stay open
        at 0 and 1. In trials on normal points, 93 to 99 % of such 95 % intervals held the
        expected score; of density from 30 real points 87 %.

    Raises
    ------
    DataError
        If the arrays are not such features.
    UsageError
        If *level* is not between 0 and 1.
    """
    from scipy.special import ndtri

    known, drawn = check_features(real, generated, fewest=2 * k + 2)
    found = overlap(known, drawn, k)
    values = scores(found)
    far = -float(ndtri(tail_of(level)))
    spreads = far * _half_scores(known, drawn, rng, k, n_halves).std(axis=0, ddof=1)
    n_images = {name: len(part) for name, part in _contributions(found).items()}
    return {
        name: _interval(name, values[name], spread, n_images[name], level)
        for name, spread in zip(METRICS, spreads.tolist(), strict=True)
    }


def _interval(name: str, value: float, half: float, n: int, level: float) -> Interval:
    low, high = max(value - half, 0.0), value + half
    if name == "density":
        return Interval(value, low, high, "± spread over random halves of both sets")
    least, most = wilson(value * n, n, level)
    method = "± spread over random halves of both sets, no narrower than Wilson's"
    return Interval(value, min(low, least), max(min(high, 1.0), most), method)


def _half_scores(
    real: Numbers, generated: Numbers, rng: np.random.Generator, k: int, n_halves: int
) -> Numbers:
    """Compute the four scores of halves of both sets, shape (n_halves, 4)."""
    among_real, among_generated = _distances(real, real), _distances(generated, generated)
    between = _distances(real, generated)
    np.fill_diagonal(among_real, -1)
    np.fill_diagonal(among_generated, -1)
    found = np.empty((n_halves, len(METRICS)))
    for number in range(n_halves):
        one = rng.permutation(len(real))[: len(real) // 2]
        other = rng.permutation(len(generated))[: len(generated) // 2]
        radii = np.partition(among_real[np.ix_(one, one)], k, axis=1)[:, k]
        reach = np.partition(among_generated[np.ix_(other, other)], k, axis=1)[:, k]
        distance = between[np.ix_(one, other)]
        within = distance <= radii[:, None]
        recalled = (distance <= reach).any(axis=1).mean()
        balls = within.sum(axis=0).mean() / k
        found[number] = within.any(axis=0).mean(), recalled, balls, within.any(axis=1).mean()
    return found


def _contributions(found: Overlap) -> dict[str, Numbers]:
    parts = (found.depth <= 1, found.is_recalled, found.balls, found.is_covered)
    return {name: part.astype(np.float64) for name, part in zip(METRICS, parts, strict=True)}


def _radii(points: Numbers, k: int) -> Numbers:
    """Measure the distance of each point to its k-th neighbour."""
    parts = []
    for rows in _blocks(len(points)):
        distance = _distances(points[rows], points)
        own = np.arange(len(distance))
        # Below all others, so that a point is never its own neighbour, even beside a copy.
        distance[own, own + rows.start] = -1
        parts.append(np.partition(distance, k, axis=1)[:, k])
    return np.concatenate(parts)


def _distances(a: Numbers, b: Numbers) -> Numbers:
    squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squared, 0)))


def _blocks(n: int) -> list[slice]:
    return [slice(start, min(start + _ROWS, n)) for start in range(0, n, _ROWS)]
