"""Owen's pigeonhole bootstrap of a difference: groups and replicates drawn anew together."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import UsageError
from leukoscope.stats.binomial import tail_of
from leukoscope.stats.intervals import Interval
from leukoscope.stats.paired import paired_margins
from leukoscope.stats.resampled import times_taken
from leukoscope.stats.scores import SCALAR_METRICS, Margins, scores_of_margins

_CHUNK_WEIGHTS = 2**19
"""Group weights held at once: 4 MB."""


def pigeonhole_differences(
    baseline: ArrayLike,
    other: ArrayLike,
    *,
    rng: np.random.Generator,
    n_draws: int = 2000,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Compute pigeonhole bootstrap percentile intervals of the differences of two arms.

    Parameters
    ----------
    baseline, other : (r, g, k, k) integers
        As for :func:`~leukoscope.stats.paired.paired_difference`.
    rng : numpy.random.Generator
        Gives the draws: first the replicates of all draws, then the groups.
    n_draws : int
        How often to draw, at least 1.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    dict of str to Interval
        ``accuracy``, ``balanced_accuracy`` and ``macro_f``: the mean over replicates of
        the other arm's score minus the baseline's. Bounds are NaN, with the reason in
        the method, for fewer than two groups or replicates, and, for the means over
        categories, where the true cells of a category lie all in one group.

    Raises
    ------
    DataError
        As :func:`~leukoscope.stats.paired.paired_difference`.
    UsageError
        If *n_draws* is below 1 or *level* is not between 0 and 1.

    Notes
    -----
    A draw takes as many groups and as many replicates as there are, each with
    replacement, so that a cell weighs as often as its group times as often as its
    replicate was taken (Owen 2007, "The pigeonhole bootstrap"). Its value is the mean
    over the replicates taken of the difference of scores on the cells of the groups
    taken; groups and replicates are the same in both arms. Bounds are quantiles of the
    draws. A draw without true cells of a category has no mean over the same
    categories; it is left out for those metrics, and the method says how many were.

    The interval has no degrees of freedom. It tends to be too wide where the noise of
    cells dominates, for each resampling adds it anew, and too narrow where few
    replicates do, for their spread is that of a sample and not corrected for its size.
    """
    tail = tail_of(level)
    if n_draws < 1:
        raise UsageError(f"A bootstrap takes at least 1 draw; seen {n_draws}. Nothing was drawn.")
    counts = _stacked(paired_margins(baseline, other))
    n_groups, n_replicates = counts.correct.shape[:2]
    values = _differences(Margins(*(one.sum(axis=0) for one in counts)))
    method = f"pigeonhole bootstrap percentile (Owen 2007), {n_draws} draws"
    if min(n_groups, n_replicates) < 2:
        what = "groups" if n_groups < 2 else "replicates"
        return _unbounded(values, f"{method}; undefined: fewer than 2 {what}")
    method = f"{method}, {n_groups} groups × {n_replicates} replicates"
    drawn, lost = _drawn(counts, rng, n_draws)
    found = _unbounded(values, f"{method}; undefined: a category is seen in one group only")
    alone = bool(((counts.truth > 0).sum(axis=0) == 1).any())
    for metric, of_draws in drawn.items():
        if metric == "accuracy":
            found[metric] = _bounded(found[metric].value, of_draws, tail, method)
        elif not (alone or lost.all()):
            how = f"{method}; {lost.sum()} draws without a category left out" if lost.any() else ""
            found[metric] = _bounded(found[metric].value, of_draws[~lost], tail, how or method)
    return found


def _stacked(pairs: list[tuple[Margins, Margins]]) -> Margins:
    """Lay counts out as (g, r, 2, k), true cells as (g, k): they are the same everywhere."""
    correct, calls = (
        np.moveaxis(np.array([[getattr(arm, name) for arm in pair] for pair in pairs]), 2, 0)
        for name in ("correct", "calls")
    )
    return Margins(*(counts.astype(np.float64) for counts in (correct, pairs[0][0].truth, calls)))


def _drawn(
    counts: Margins, rng: np.random.Generator, n_draws: int
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.bool_]]:
    """Compute each draw's value, and whether it lost a category; all of shape (n_draws,)."""
    n_groups, n_replicates = counts.correct.shape[:2]
    shares = times_taken(rng, n_draws, n_replicates) / n_replicates
    values = {metric: np.empty(n_draws) for metric in SCALAR_METRICS}
    lost = np.empty(n_draws, dtype=np.bool_)
    per_chunk = max(_CHUNK_WEIGHTS // n_groups, 1)
    for start in range(0, n_draws, per_chunk):
        chunk = slice(start, start + per_chunk)
        weights = times_taken(rng, len(shares[chunk]), n_groups)
        seen = Margins(*(np.tensordot(weights, one, axes=1) for one in counts))
        lost[chunk] = ((seen.truth == 0) & (counts.truth > 0).any(axis=0)).any(axis=-1)
        for metric, of_replicates in _differences(seen).items():
            values[metric][chunk] = (of_replicates * shares[chunk]).sum(axis=-1)
    return values, lost


def _differences(totals: Margins) -> dict[str, NDArray[np.float64]]:
    """Subtract the arms' scores: counts (..., r, 2, k) and true cells (..., k) → (..., r)."""
    correct, truth, calls = totals
    truth = np.broadcast_to(truth[..., None, None, :], correct.shape)
    found = scores_of_margins(Margins(correct, truth, calls))
    return {metric: found[metric][..., 1] - found[metric][..., 0] for metric in SCALAR_METRICS}


def _unbounded(values: dict[str, NDArray[np.float64]], method: str) -> dict[str, Interval]:
    return {
        metric: Interval(float(of_replicates.mean()), np.nan, np.nan, method)
        for metric, of_replicates in values.items()
    }


def _bounded(value: float, draws: NDArray[np.float64], tail: float, method: str) -> Interval:
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(value, float(low), float(high), method)
