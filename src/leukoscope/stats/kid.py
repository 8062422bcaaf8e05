"""Kernel distance between two sets of features, unbiased whatever their sizes.

The squared maximum mean discrepancy under a polynomial kernel of degree 3 (Gretton et al. 2012,
"A kernel two-sample test"; Bińkowski et al. 2018, "Demystifying MMD GANs"). It may be below 0:
that of two draws of one population scatters round 0.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError
from leukoscope.stats.binomial import tail_of

Numbers = NDArray[np.float64]

MOST_IN_SUBSET = 1000
"""Cells of a subset at most, as Bińkowski et al. take them: beyond, the mean gains little."""
_ROWS = 512


class Kid(NamedTuple):
    """Hold a kernel distance over subsets."""

    value: float
    """Mean over subsets."""
    spread: float
    """Standard deviation over subsets."""
    low: float
    """Lower bound."""
    high: float
    """Upper bound."""
    n_subset: int
    """Cells of each side in a subset."""


def kid(a: ArrayLike, b: ArrayLike) -> float:
    """Compute the kernel distance of two sets of features from all of their pairs.

    Parameters
    ----------
    a, b : (n, d) and (m, d) float
        Features, at least two rows each.

    Returns
    -------
    float
        Mean k(a, a') + mean k(b, b') − 2 mean k(a, b) over pairs of different rows, with
        k(x, y) = (x · y / d + 1)³. Unbiased; 0 is expected of one population.

    Raises
    ------
    DataError
        If the arrays are not such features.
    """
    first, second = check_features(a, b, fewest=2)
    return float(_distances(first, second, np.ones((1, len(first))), np.ones((1, len(second))))[0])


def kid_over_subsets(
    a: ArrayLike,
    b: ArrayLike,
    rng: np.random.Generator,
    *,
    n_subsets: int = 100,
    level: float = 0.95,
) -> Kid:
    """Compute the kernel distance as the mean over random subsets, with its spread.

    Parameters
    ----------
    a, b : (n, d) and (m, d) float
        Features, at least four rows each.
    rng : numpy.random.Generator
        Draws the subsets, without replacement.
    n_subsets : int
        How many.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    Kid
        A subset holds half of the smaller set, at most 1000 rows, of either set. Were it larger,
        subsets would be near copies of each other, and their spread would say little. The spread
        over halves of a sample estimates the standard error of a mean over the sample (half
        sampling: McCarthy 1969), and is too wide rather than too narrow for this distance
        near 0, for the larger of two sets, and where 1000 is less than half. So the bounds are
        the mean ± that many spreads as *level* asks of a normal law; in trials on normal
        points, 95 % bounds held the true distance in 91 to 100 %.

    Raises
    ------
    DataError
        If the arrays are not such features.
    UsageError
        If *level* is not between 0 and 1.
    """
    from scipy.special import ndtri

    first, second = check_features(a, b, fewest=4)
    tail = tail_of(level)
    n_subset = min(len(first) // 2, len(second) // 2, MOST_IN_SUBSET)
    values = _distances(
        first,
        second,
        _subsets(rng, len(first), n_subset, n_subsets),
        _subsets(rng, len(second), n_subset, n_subsets),
    )
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    half = -float(ndtri(tail)) * spread
    return Kid(mean, spread, mean - half, mean + half, n_subset)


def check_features(a: ArrayLike, b: ArrayLike, *, fewest: int) -> tuple[Numbers, Numbers]:
    """Take two sets of features as float64.

    Raises
    ------
    DataError
        If they are no tables of finite numbers of one width, or hold fewer rows than *fewest*.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    shapes = (first.shape, second.shape)
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise DataError(f"Two tables of features of one width are expected; seen {shapes}.")
    if min(len(first), len(second)) < fewest or not first.shape[1]:
        raise DataError(f"At least {fewest} rows of features are expected of each; seen {shapes}.")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise DataError("Features should be finite numbers; some are not. Nothing was computed.")
    return first, second


def _subsets(rng: np.random.Generator, n: int, size: int, n_subsets: int) -> Numbers:
    """Draw subsets: shape (n_subsets, n), 1 for a member."""
    chosen = np.argsort(rng.random((n_subsets, n)), axis=1)[:, :size]
    members = np.zeros((n_subsets, n))
    np.put_along_axis(members, chosen, 1.0, axis=1)
    return members


def _distances(a: Numbers, b: Numbers, in_a: Numbers, in_b: Numbers) -> Numbers:
    """Compute the distance for each row of members, each pair's kernel only once."""
    n, m = in_a.sum(axis=1), in_b.sum(axis=1)
    within_a = (_kernel_sums(a, a, in_a, in_a) - in_a @ _own(a)) / (n * (n - 1))
    within_b = (_kernel_sums(b, b, in_b, in_b) - in_b @ _own(b)) / (m * (m - 1))
    return np.asarray(within_a + within_b - 2 * _kernel_sums(a, b, in_a, in_b) / (n * m))


def _kernel_sums(a: Numbers, b: Numbers, in_a: Numbers, in_b: Numbers) -> Numbers:
    """Sum the kernel over the pairs of each subset, some rows at a time to spare memory."""
    total = np.zeros(len(in_a))
    for start in range(0, len(a), _ROWS):
        rows = slice(start, start + _ROWS)
        total += ((in_a[:, rows] @ _kernel(a[rows] @ b.T, a.shape[1])) * in_b).sum(axis=1)
    return total


def _own(a: Numbers) -> Numbers:
    return _kernel(np.einsum("nd,nd->n", a, a), a.shape[1])


def _kernel(products: Numbers, width: int) -> Numbers:
    return np.asarray((products / width + 1) ** 3)
