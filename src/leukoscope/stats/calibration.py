"""Whether probabilities mean what they say: reliability by bins, and the calibration error."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import UsageError
from leukoscope.stats.arrays import cell_flags, cell_shares, numbered
from leukoscope.stats.binomial import tail_of, wilson
from leukoscope.stats.design import exact_in_groups
from leukoscope.stats.intervals import NO_SPREAD, jackknife_logit

_CHUNK_DRAWS = 2**20
"""Random numbers held at once: 8 MB."""


class Reliability(NamedTuple):
    """Hold how often calls of like confidence were right, bin by bin, the least confident first.

    All (b,): ``confidence``, its mean in the bin; ``right``, the share of right calls; ``low``
    and ``high``, bounds of that share, NaN where none can be given; ``n_cells``.
    """

    confidence: NDArray[np.float64]
    right: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n_cells: NDArray[np.int64]


def reliability(
    confidence: ArrayLike,
    right: ArrayLike,
    groups: ArrayLike,
    n_bins: int = 10,
    level: float = 0.95,
) -> Reliability:
    """Set how often calls were right against how confident they were, in bins of equal count.

    Parameters
    ----------
    confidence : (n,) numbers
        In [0, 1]: the probability of the call.
    right : (n,) bool
        Whether the call was right.
    groups : (n,) integers
        Codes of at least 0: cases, or families.
    n_bins : int
        How many bins, at least 1. Equal confidences are never parted, so that many ties make
        for fewer and unequal bins.
    level : float
        Confidence of the bounds, between 0 and 1.

    Returns
    -------
    Reliability
        Bounds by the groups with cells in the bin: Wilson where each has one; else
        :func:`~leukoscope.stats.intervals.jackknife_logit`; where all or no calls are
        right, or the groups do not differ,
        :func:`~leukoscope.stats.design.exact_in_groups` at an intraclass correlation of .05;
        NaN where a bin has one group of several cells. They speak of one bin at a time.

    Raises
    ------
    DataError
        If the arrays do not fit, or a confidence is NaN or outside [0, 1].
    UsageError
        If *n_bins* is less than 1 or *level* is not between 0 and 1.
    """
    tail_of(level)
    shares = cell_shares(confidence, "confidences")
    is_right = cell_flags(right, "Whether a call is right", shares.size)
    codes, _ = numbered(groups, shares.size)
    bins, n_cells = _bins(shares, n_bins)
    order = np.argsort(bins, kind="stable")
    members = np.split(order, np.cumsum(n_cells)[:-1]) if n_cells.size else []
    bounds = np.array([_bounds(is_right[cells], codes[cells], level) for cells in members])
    low, high = bounds.reshape(-1, 2).T
    return Reliability(
        np.bincount(bins, shares) / n_cells,
        np.bincount(bins, is_right) / n_cells,
        low,
        high,
        n_cells,
    )


def calibration_error(confidence: ArrayLike, right: ArrayLike, n_bins: int = 10) -> float:
    """Compute the expected calibration error over bins of equal count.

    Parameters
    ----------
    confidence, right, n_bins
        As for :func:`reliability`.

    Returns
    -------
    float
        The mean over cells of the distance, in the cell's bin, between mean confidence
        and share of right calls (Guo et al. 2017; bins of equal count: Nixon et al. 2019), in
        [0, 1]; NaN without cells. It is above 0 by chance alone: read it beside
        :func:`calibration_error_if_calibrated`.

    Raises
    ------
    DataError, UsageError
        As :func:`reliability`.
    """
    shares = cell_shares(confidence, "confidences")
    is_right = cell_flags(right, "Whether a call is right", shares.size)
    bins, _ = _bins(shares, n_bins)
    if not shares.size:
        return np.nan
    return float(np.abs(np.bincount(bins, shares - is_right)).sum() / shares.size)


def calibration_error_if_calibrated(
    confidence: ArrayLike, rng: np.random.Generator, n_bins: int = 10, n_draws: int = 1000
) -> float:
    """Compute the calibration error that a calibrated model would show by chance.

    Parameters
    ----------
    confidence : (n,) numbers
        In [0, 1]: the probability of the call.
    rng : numpy.random.Generator
        Gives the draws.
    n_bins : int
        As for :func:`calibration_error`, at least 1.
    n_draws : int
        How often to draw, at least 1.

    Returns
    -------
    float
        The mean of :func:`calibration_error` where each call is right with the probability
        stated, independently (the resampling of Bröcker and Smith 2007). Calls of one case
        that err together show more. NaN without cells.

    Raises
    ------
    DataError
        If a confidence is NaN or outside [0, 1].
    UsageError
        If *n_bins* or *n_draws* is less than 1.
    """
    shares = cell_shares(confidence, "confidences")
    if n_draws < 1:
        raise UsageError(f"A simulation takes at least 1 draw; seen {n_draws}. Nothing was drawn.")
    bins, n_cells = _bins(shares, n_bins)
    if not shares.size:
        return np.nan
    shares = shares[np.argsort(bins, kind="stable")]
    starts = np.cumsum(n_cells) - n_cells
    expected, total = np.add.reduceat(shares, starts), 0.0
    per_chunk = max(_CHUNK_DRAWS // shares.size, 1)
    for start in range(0, n_draws, per_chunk):
        drawn = rng.random((min(per_chunk, n_draws - start), shares.size)) < shares
        total += np.abs(np.add.reduceat(drawn, starts, axis=1, dtype=np.int64) - expected).sum()
    return float(total / n_draws / shares.size)


def _bins(shares: NDArray[np.float64], n_bins: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find each cell's bin, (n,), by the middle rank of its confidence, and cells a bin, (b,)."""
    if n_bins < 1:
        raise UsageError(f"Cells are put into at least 1 bin; seen {n_bins}. Nothing was computed.")
    _, which, counts = np.unique(shares, return_inverse=True, return_counts=True)
    doubled_middle = 2 * np.cumsum(counts) - counts
    # A middle rank is below n, so that its bin is below n_bins; whole numbers do not round.
    place = doubled_middle * n_bins // (2 * max(shares.size, 1))
    _, used = np.unique(place, return_inverse=True)
    bins = used[which].astype(np.int64)
    return bins, np.bincount(bins)


def _bounds(
    right: NDArray[np.bool_], codes: NDArray[np.int64], level: float
) -> tuple[float, float]:
    """Bound the share of right calls of the cells of one bin."""
    groups, n_groups = numbered(codes, codes.size)
    hits, cells = int(right.sum()), right.size
    if n_groups == cells:
        return wilson(hits, cells, level)
    if n_groups < 2:
        return np.nan, np.nan
    left = (hits - np.bincount(groups, right)) / (cells - np.bincount(groups))
    # All right and all wrong are among those without spread.
    if np.ptp(left) <= NO_SPREAD:
        exact = exact_in_groups(hits, np.bincount(groups), level)
        return exact.low, exact.high
    found = jackknife_logit(hits / cells, left, level)
    return found.low, found.high
