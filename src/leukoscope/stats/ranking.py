"""How well scores put positive cells before negative ones: curves, areas, operating points."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import UsageError
from leukoscope.stats.arrays import cell_numbers, cell_weights, numbered, scored_cells
from leukoscope.stats.binomial import tail_of
from leukoscope.stats.blocks import blocks
from leukoscope.stats.concordance import (
    Concordance,
    at_degrees,
    auroc_interval,
    auroc_of,
    auroc_without_each,
    concordance,
    jackknife_of,
    macro_auroc_interval,
    one_sided,
)
from leukoscope.stats.intervals import Interval

__all__ = [
    "Concordance",
    "Steps",
    "accuracy_over",
    "auroc",
    "auroc_interval",
    "auroc_of",
    "auroc_without_each",
    "average_precision",
    "average_precision_interval",
    "concordance",
    "macro_auroc_interval",
    "precision_recall",
    "roc",
    "steps",
    "threshold_for",
]


class Steps(NamedTuple):
    """Hold what is called positive as the threshold falls past each distinct score.

    ``thresholds`` (m,) float64, descending; ``hits`` and ``alarms`` (m,) float64: the weight
    of positive and of negative cells that score at least the threshold.
    """

    thresholds: NDArray[np.float64]
    hits: NDArray[np.float64]
    alarms: NDArray[np.float64]


def steps(scores: ArrayLike, positive: ArrayLike, weights: ArrayLike | None = None) -> Steps:
    """Count the cells called positive at each distinct score, the highest first.

    Parameters
    ----------
    scores : (n,) numbers
        The higher, the more likely positive; not NaN. Cells of one score are called together.
    positive : (n,) bool
        Whether a cell is of the category.
    weights : (n,) numbers, optional
        What each cell counts for; finite, at least 0. By default each counts once. A cell
        of weight 0 is as if it were not there.

    Returns
    -------
    Steps
        Without a row where no cell weighs anything.

    Raises
    ------
    DataError
        If the arrays do not fit, a score is NaN, or a weight is negative or not finite.
    """
    values, is_positive = scored_cells(scores, positive)
    weight = cell_weights(weights, values.size)
    order = np.argsort(-values, kind="stable")
    order = order[weight[order] > 0]
    values, is_positive, weight = values[order], is_positive[order], weight[order]
    last = np.append(values[1:] != values[:-1], True) if values.size else np.zeros(0, dtype=bool)
    hits = np.cumsum(np.where(is_positive, weight, 0.0))
    alarms = np.cumsum(np.where(is_positive, 0.0, weight))
    return Steps(values[last], hits[last], alarms[last])


def roc(counts: Steps) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read the receiver operating characteristic off the steps.

    Returns
    -------
    false_positive_rate, sensitivity : (m + 1,) float64
        From (0, 0) to (1, 1); the first is NaN without negative cells, the second
        without positive ones.
    """
    rates = (_share_of_last(np.append(0.0, part)) for part in (counts.alarms, counts.hits))
    false_positive_rate, sensitivity = rates
    return false_positive_rate, sensitivity


def precision_recall(counts: Steps) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read recall and precision off the steps.

    Returns
    -------
    recall, precision : (m,) float64
        Recall ascending; NaN without positive cells. Between two points precision does not
        run straight (Davis and Goadrich 2006): draw steps. No point is made up at a recall
        of 0, where nothing is called.
    """
    return _share_of_last(counts.hits), counts.hits / (counts.hits + counts.alarms)


def auroc(scores: ArrayLike, positive: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Compute the area under the receiver operating characteristic.

    Parameters
    ----------
    scores, positive, weights
        As for :func:`steps`.

    Returns
    -------
    float
        The share of pairs of a positive and a negative cell in which the positive one
        scores higher, ties counting one half (Hanley and McNeil 1982); a pair weighs the
        product of its cells' weights. NaN without positive or without negative cells.

    Raises
    ------
    DataError
        As :func:`steps`.
    """
    _, hits, alarms = steps(scores, positive, weights)
    pairs = hits[-1] * alarms[-1] if hits.size else 0.0
    if not pairs:
        return np.nan
    gained = np.diff(alarms, prepend=0.0)
    before = np.append(0.0, hits[:-1])
    return float(min((gained * (before + hits)).sum() / 2 / pairs, 1.0))


def average_precision(
    scores: ArrayLike, positive: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Compute the average precision: the mean of the precision at every positive cell.

    Parameters
    ----------
    scores, positive, weights
        As for :func:`steps`.

    Returns
    -------
    float
        Σ precision × gain in recall over the steps, in (0, 1]. It depends on the share of
        positive cells, which scores without meaning reach on average. NaN without positive
        cells.

    Raises
    ------
    DataError
        As :func:`steps`.

    Notes
    -----
    The curve is summed step by step: the trapezoid rule interpolates between points that
    no threshold reaches, and flatters (Davis and Goadrich 2006; Boyd et al. 2013).
    """
    counts = steps(scores, positive, weights)
    return _average_precision(counts.hits, counts.alarms)


def accuracy_over(
    scores: ArrayLike,
    positive: ArrayLike,
    thresholds: ArrayLike,
    weights: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Compute the accuracy of calling positive what scores at least a threshold.

    Parameters
    ----------
    scores, positive, weights
        As for :func:`steps`.
    thresholds : (m,) numbers
        In any order; not NaN.

    Returns
    -------
    (m,) float64
        In [0, 1]; NaN without cells.

    Raises
    ------
    DataError
        As :func:`steps`, and if a threshold is NaN.
    """
    counts = steps(scores, positive, weights)
    asked = cell_numbers(thresholds, "thresholds")
    if not counts.hits.size:
        return np.full(asked.shape, np.nan)
    passed = np.searchsorted(-counts.thresholds, -asked, side="right")
    hits, alarms = (np.append(0.0, part)[passed] for part in counts[1:])
    negatives = counts.alarms[-1]
    right: NDArray[np.float64] = (hits + negatives - alarms) / (counts.hits[-1] + negatives)
    return right


def threshold_for(scores: ArrayLike, positive: ArrayLike, sensitivity: float) -> float:
    """Find the largest threshold at which a stated share of the positive cells is called.

    Parameters
    ----------
    scores, positive
        As for :func:`steps`.
    sensitivity : float
        Above 0, at most 1.

    Returns
    -------
    float
        One of the scores of positive cells; calling positive what scores at least that
        much reaches *sensitivity* on these cells. On new cells it may not: choose it on
        other cells than those it is judged by. NaN without positive cells.

    Raises
    ------
    DataError
        As :func:`steps`.
    UsageError
        If *sensitivity* is not such a share.
    """
    if not 0 < sensitivity <= 1:
        raise UsageError(
            f"A sensitivity to reach lies above 0 and is at most 1, as 0.95 is; seen {sensitivity}."
        )
    counts = steps(scores, positive)
    reached = np.flatnonzero(_share_of_last(counts.hits) >= sensitivity)
    return float(counts.thresholds[reached[0]]) if reached.size else np.nan


def average_precision_interval(
    scores: ArrayLike, positive: ArrayLike, groups: ArrayLike, level: float = 0.95
) -> Interval:
    """Compute the average precision with its interval, cells within groups.

    The estimand is the average precision of the pooled cells at the share of positive cells
    among them, for the population the groups were drawn from.

    Parameters
    ----------
    scores : (n,) numbers
        The higher, the more likely positive; not NaN.
    positive : (n,) bool
        Whether a cell is of the category.
    groups : (n,) integers
        Codes of at least 0: cases, or families. Those without cells do not count.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    Interval
        :func:`~leukoscope.stats.intervals.jackknife_logit` over groups, over 200 blocks of
        them where there are more, with the degrees of
        :func:`~leukoscope.stats.concordance.at_degrees`. NaN, with the reason: no positive or
        no negative cell, fewer than two groups, all positive cells in one group, or an average
        precision of exactly 1.

    Raises
    ------
    DataError
        If the arrays do not fit or a score is NaN.
    UsageError
        If *level* is not between 0 and 1.
    """
    tail_of(level)
    values, is_positive = scored_cells(scores, positive)
    codes, n_groups = numbered(groups, values.size)
    reason = one_sided(is_positive)
    if reason:
        value = 1.0 if reason == "no negative cells" else np.nan
        return Interval(value, np.nan, np.nan, f"undefined: {reason}")
    in_blocks, n_blocks = blocks(codes, n_groups)
    left = _average_precision_without_each(values, is_positive, in_blocks, n_blocks)
    found = jackknife_of(average_precision(values, is_positive), left, n_groups, level)
    return at_degrees(found, in_blocks, is_positive, level)


def _average_precision_without_each(
    scores: NDArray[np.float64],
    positive: NDArray[np.bool_],
    codes: NDArray[np.int64],
    n_groups: int,
) -> NDArray[np.float64]:
    """Compute the average precision without each group's cells, (g,); NaN without positives."""
    # Precision counts at the scores of positive cells only.
    thresholds = np.unique(scores[positive])[::-1]
    hits = _at_least(scores[positive], thresholds)
    alarms = _at_least(scores[~positive], thresholds)
    left = np.empty(n_groups)
    order = np.argsort(codes, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(codes, minlength=n_groups))[:-1])
    for group, cells in enumerate(members):
        own, flags = scores[cells], positive[cells]
        left[group] = _average_precision(
            hits - _at_least(own[flags], thresholds), alarms - _at_least(own[~flags], thresholds)
        )
    return left


def _at_least(scores: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count the scores that are at least each threshold, (m,)."""
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    return (scores.size - below).astype(np.float64)


def _average_precision(hits: NDArray[np.float64], alarms: NDArray[np.float64]) -> float:
    if not hits.size or not hits[-1]:
        return np.nan
    gained = np.diff(hits, prepend=0.0)
    used = gained > 0
    precision = hits[used] / (hits[used] + alarms[used])
    return float(min((gained[used] * precision).sum() / hits[-1], 1.0))


def _share_of_last(cumulated: NDArray[np.float64]) -> NDArray[np.float64]:
    if not cumulated.size or not cumulated[-1]:
        return np.full(cumulated.shape, np.nan)
    shares: NDArray[np.float64] = cumulated / cumulated[-1]
    return shares
