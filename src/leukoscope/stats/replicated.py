"""The score of one arm over replicates, for new cases and new training runs."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.stats.intervals import Interval, tail_of
from leukoscope.stats.jackknife import filled, group_margins, leave_one_out, total_of
from leukoscope.stats.paired import TwoWay, combined_variance, variance_parts
from leukoscope.stats.scores import scores_of_margins


def replicated_intervals(
    matrices: ArrayLike, level: float = 0.95
) -> dict[str, Interval | list[Interval]]:
    """Compute for every metric the mean over replicates, with an interval.

    Parameters
    ----------
    matrices : (r, g, k, k) integers
        A confusion matrix for each replicate and group; rows = truth. All replicates
        are tested on the same cells.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    dict of str to Interval, or to a list of k of them
        As :func:`~leukoscope.stats.intervals.grouped_intervals`. The variance has a
        part of the groups and a part of the replicates, as in
        :func:`~leukoscope.stats.paired.paired_difference`, on the logit scale. Bounds
        are NaN, with the reason, for one replicate, or where a score is undefined or
        exactly 0 or 1 in a replicate or without one of the groups.
    """
    tail = tail_of(level)
    arms = [filled(group_margins(one)) for one in np.asarray(matrices)]
    whole = [scores_of_margins(total_of(arm)) for arm in arms]
    without = [leave_one_out(arm) for arm in arms]
    found: dict[str, Interval | list[Interval]] = {}
    for metric in without[0]:
        values = np.stack([one[metric] for one in whole])
        left = np.stack([one[metric] for one in without])
        if values.ndim == 1:
            found[metric] = _interval(values, left, tail)
        else:
            found[metric] = [
                _interval(values[:, c], left[:, :, c], tail) for c in range(values.shape[1])
            ]
    return found


def _interval(values: NDArray[np.float64], left: NDArray[np.float64], tail: float) -> Interval:
    """Combine scores, shape (r,), and scores without each group, shape (r, g)."""
    from scipy.special import expit, logit, stdtrit

    # A group without cells of a category says nothing of its score: leaving it out changes nothing.
    value = float(values.mean())
    reason = _reason(values, left)
    if reason:
        return Interval(value, np.nan, np.nan, f"undefined: {reason}")
    moved = (left.shape[1] - 1) * (logit(values)[:, None] - logit(left))
    groups, replicates, interaction = variance_parts(logit(values), moved)
    blank = TwoWay(
        value, np.nan, np.nan, np.nan, np.nan, groups, replicates, left.shape[1], len(values), ""
    )
    variance, degrees, how = combined_variance(blank, interaction)
    half = float(stdtrit(degrees, 1 - tail)) * np.sqrt(variance)
    low, high = (float(expit(logit(value) + side * half)) for side in (-1, 1))
    method = f"two-way jackknife t (logit), {left.shape[1]} groups × {len(values)} replicates"
    return Interval(value, low, high, f"{method}, {how}")


def _reason(values: NDArray[np.float64], left: NDArray[np.float64]) -> str:
    if len(values) < 2:
        return "fewer than 2 replicates"
    if left.shape[1] < 2:
        return "fewer than 2 groups"
    if np.isnan(values).any() or np.isnan(left).any():
        return "a category has no cells in a replicate or without one of the groups"
    if ((left <= 0) | (left >= 1)).any() or ((values <= 0) | (values >= 1)).any():
        return "the score is exactly 0 or 1 in a replicate or without one of the groups"
    if np.ptp(values) == 0 and np.ptp(left) == 0:
        return "no spread between groups or replicates"
    return ""
