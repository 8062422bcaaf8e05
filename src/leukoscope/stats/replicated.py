"""The score of one arm over replicates, for new cases and new training runs."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.stats.binomial import tail_of
from leukoscope.stats.design import exact_in_groups
from leukoscope.stats.intervals import NO_SPREAD, Interval
from leukoscope.stats.jackknife import (
    cells_behind,
    filled,
    group_margins,
    leave_one_out,
    total_of,
)
from leukoscope.stats.paired import NO_VARIANCE, TwoWay, combined_variance, variance_parts
from leukoscope.stats.scores import CATEGORY_METRICS, SCALAR_METRICS, scores_of_margins


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
        As :func:`~leukoscope.stats.intervals.grouped_intervals`, without mcc and kappa,
        and a group counts for a category's score under the same condition: if it has
        true cells of the category for recall, of others for specificity, calls in any
        replicate for precision, true cells or calls for F. The variance has a part of
        the groups and a part of the replicates, as in
        :func:`~leukoscope.stats.paired.paired_difference`, on the logit scale. Where
        the score is exactly 0 or 1 in a replicate, or in one without one of the groups,
        the same is done on the plain scale, the bounds clipped to [0, 1]. A proportion
        without any spread gets
        :func:`~leukoscope.stats.design.exact_in_groups` of the cells of one
        replicate. The method says which. Bounds are NaN, with the reason, for one
        replicate or group, and where a score is undefined in a replicate or without
        one of the groups; F, macro-F and balanced accuracy also without any spread.
    """
    tail_of(level)
    arms = [filled(group_margins(one)) for one in np.asarray(matrices)]
    whole = [scores_of_margins(total_of(arm)) for arm in arms]
    without = [leave_one_out(arm) for arm in arms]
    found: dict[str, Interval | list[Interval]] = {}
    for metric in (*SCALAR_METRICS, *CATEGORY_METRICS):
        values = np.stack([one[metric] for one in whole])
        left = np.stack([one[metric] for one in without])
        cells = np.stack([cells_behind(arm, metric) for arm in arms])
        if values.ndim == 1:
            found[metric] = _interval(metric, values, left, cells, level)
        else:
            found[metric] = [
                _interval(metric, values[:, c], left[:, :, c], cells[:, :, c], level)
                for c in range(values.shape[1])
            ]
    return found


def _interval(
    metric: str,
    values: NDArray[np.float64],
    left: NDArray[np.float64],
    cells: NDArray[np.number],
    level: float,
) -> Interval:
    """Combine scores, (r,), and scores without each group, (r, g), with its cells, (r, g)."""
    from scipy.special import expit, logit, stdtrit

    # A group without such cells says nothing of the score: it is no group and no degree.
    left = left[:, (cells > 0).any(axis=0)]
    value = float(values.mean())
    reason = _reason(values, left)
    if reason:
        return Interval(value, np.nan, np.nan, f"undefined: {reason}")
    if max(np.ptp(values), np.ptp(left)) <= NO_SPREAD:
        return _without_spread(metric, value, cells, level)
    plain = bool(((left <= 0) | (left >= 1)).any() or ((values <= 0) | (values >= 1)).any())
    at, each, rest = (value, values, left) if plain else map(logit, (value, values, left))
    variance, degrees, how = _variance(each, (left.shape[1] - 1) * (each[:, None] - rest))
    if variance <= NO_VARIANCE:
        return _without_spread(metric, value, cells, level)
    half = float(stdtrit(degrees, 1 - tail_of(level))) * np.sqrt(variance)
    back = (lambda bound: np.clip(bound, 0, 1)) if plain else expit
    scale = "plain scale, clipped to 0-1" if plain else "logit"
    method = f"two-way jackknife t ({scale}), {left.shape[1]} groups × {len(values)} replicates"
    return Interval(value, float(back(at - half)), float(back(at + half)), f"{method}, {how}")


def _variance(
    values: NDArray[np.float64], influence: NDArray[np.float64]
) -> tuple[float, float, str]:
    groups, replicates, interaction = variance_parts(values, influence)
    n_replicates, n_groups = influence.shape
    unknown = (np.nan,) * 5
    blank = TwoWay(*unknown, groups, replicates, n_groups, n_replicates, "")
    return combined_variance(blank, interaction)


def _without_spread(metric: str, value: float, cells: NDArray[np.number], level: float) -> Interval:
    if metric not in {"accuracy", "recall", "specificity", "precision"}:
        reason = "undefined: no spread between groups or replicates"
        return Interval(value, np.nan, np.nan, reason)
    sizes = cells.mean(axis=0)
    exact = exact_in_groups(value * float(sizes.sum()), sizes, level)
    return replace(exact, value=value, method=f"{exact.method}; cells of one replicate")


def _reason(values: NDArray[np.float64], left: NDArray[np.float64]) -> str:
    if len(values) < 2:
        return "fewer than 2 replicates"
    if np.isnan(values).any():
        return "a category has no cells in a replicate"
    if left.shape[1] < 2:
        return "fewer than 2 groups"
    if np.isnan(left).any():
        return "a category has no cells in a replicate without one of the groups"
    return ""
