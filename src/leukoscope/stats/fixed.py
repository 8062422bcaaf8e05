"""Two fixed models on the same cells, paired over groups: cases, or families of images.

Everything here is conditional on the two trained models. What another training run would
give is asked in :mod:`leukoscope.stats.paired`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError, UsageError, unknown_name
from leukoscope.stats.binomial import tail_of
from leukoscope.stats.intervals import NO_SPREAD, Interval
from leukoscope.stats.jackknife import (
    cells_behind,
    filled,
    group_margins,
    leave_one_out,
    total_of,
)
from leukoscope.stats.scores import (
    AGREEMENT_METRICS,
    CATEGORY_METRICS,
    SCALAR_METRICS,
    Margins,
    scores_of_margins,
)

CONDITIONAL = "conditional on the two trained models"
"""What every answer about two fixed models is."""

NO_SCORE = "the score of a model has no cells to speak of, or calls of one category only"
"""Why two models cannot be compared in a score."""

NO_DIFFERENCE = "no group shows a difference, and nothing tells how far others would"
"""Why models alike in every group have no bounds: a few groups can be alike by luck."""

_LOST = "without one of the groups a score is undefined"
_LOST_CATEGORY = "without one of the groups nothing can be said: a category is seen in it only"


@dataclass(frozen=True)
class FixedDifference:
    """Hold the difference of two fixed models, other minus baseline, and its interval.

    Attributes
    ----------
    value : float
        The difference of the scores of the pooled cells; NaN where undefined.
    low, high : float
        Confidence bounds; NaN where no interval can be given.
    p_value : float
        Two-sided, against a difference of 0; 1 where no group shows a difference, NaN where
        no interval can be given for another reason.
    standard_error : float
        The jackknife's; NaN without an interval.
    degrees : float
        Degrees of freedom of the t interval; NaN where there is none.
    n_groups : int
        Groups that the score speaks of.
    method : str
        How the bounds were got, or why there are none.
    bound : float
        The largest difference two such scores can have.
    """

    value: float
    low: float
    high: float
    p_value: float
    standard_error: float
    degrees: float
    n_groups: int
    method: str
    bound: float = 1.0


def difference_interval(
    value: float, without: ArrayLike, level: float = 0.95, bound: float = 1.0
) -> FixedDifference:
    """Compute the delete-one-group jackknife t interval of a paired difference.

    Parameters
    ----------
    value : float
        The difference of any score over all groups, in [−*bound*, *bound*].
    without : (g,) float
        The same without each group in turn.
    level : float
        Confidence, between 0 and 1.
    bound : float
        The largest difference there can be, to which the bounds are clipped; may be ∞.

    Returns
    -------
    FixedDifference
        value ± t se on the plain scale, with se² = (g − 1)/g Σ (d − mean d)² over the
        differences d without each group, and Student's t with g − 1 degrees (Tukey
        1958). The bounds are NaN, with the reason in the method, where the value or
        one without a group is undefined, of fewer than two groups, and where every
        group shows the same difference. Where that is 0, p is 1: there is no sign of a
        difference, but two cases may be alike by luck, and bounds of 0 would deny it.

    Raises
    ------
    DataError
        If a difference lies outside ±*bound* or *without* is not one row of numbers.
    UsageError
        If *level* is not between 0 and 1, or *bound* not above 0.
    """
    tail = tail_of(level)
    left = np.asarray(without, dtype=np.float64)
    if not bound > 0:
        raise UsageError(f"The bound of a difference is above 0; seen {bound}.")
    sizes = np.abs(np.append(left, value))
    # A difference of sums may pass its bound by rounding.
    if left.ndim != 1 or (sizes > bound + NO_SPREAD).any() or np.isinf(sizes).any():
        raise DataError(
            f"A jackknife interval needs differences of at most {bound:g}, one a group; "
            f"seen {value} and an array of the shape {left.shape}. Nothing was computed."
        )
    return _interval(float(value), left, tail, bound, _LOST)


def fixed_difference(
    baseline: ArrayLike, other: ArrayLike, metric: str, level: float = 0.95
) -> FixedDifference:
    """Compare the scores of two fixed models on the same cells, groups paired.

    Parameters
    ----------
    baseline, other : (g, k, k) integers
        A confusion matrix for each group, a case or a family; rows = truth. Groups in
        the same order, with the same true cells.
    metric : str
        ``accuracy``, ``balanced_accuracy``, ``macro_f``, ``mcc`` or ``kappa``.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    FixedDifference
        The difference of the scores of the pooled cells, other minus baseline, for the
        population the groups were drawn from, by :func:`difference_interval`; of mcc
        and kappa the bound is 2. Groups without cells are as if they were not there.
        For the means over categories the bounds are NaN where a category has true
        cells in one group only.

    Raises
    ------
    DataError
        If the shapes differ, the matrices are not counts, or the true cells of a group
        are not the same for both models.
    UsageError
        If the metric is unknown or *level* is not between 0 and 1.

    Notes
    -----
    For new cases and these two networks: how another training run would turn out is not
    in the interval, however narrow it is.
    """
    if metric not in {*SCALAR_METRICS, *AGREEMENT_METRICS}:
        names = (*SCALAR_METRICS, *AGREEMENT_METRICS)
        raise unknown_name("metric of a comparison of two models", metric, names)
    tail = tail_of(level)
    value, without = _differences(fixed_margins(baseline, other), metric)
    bound = 2.0 if metric in AGREEMENT_METRICS else 1.0
    lost = _LOST_CATEGORY if metric in {"balanced_accuracy", "macro_f"} else _LOST
    return _interval(float(value), without, tail, bound, lost)


def fixed_by_category(
    baseline: ArrayLike, other: ArrayLike, metric: str, level: float = 0.95
) -> list[FixedDifference]:
    """Compare two fixed models category by category, as :func:`fixed_difference` as a whole.

    Parameters
    ----------
    baseline, other : (g, k, k) integers
        As for :func:`fixed_difference`.
    metric : str
        ``recall``, ``specificity``, ``precision`` or ``f``.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    list of k FixedDifference
        A group counts for a category, and lends degrees, if the score of either model
        speaks of cells of it: true cells of the category for recall, of the others for
        specificity, calls for precision, true cells or calls for F.

    Raises
    ------
    DataError, UsageError
        As :func:`fixed_difference`.
    """
    if metric not in CATEGORY_METRICS:
        raise unknown_name("metric of a comparison by category", metric, CATEGORY_METRICS)
    tail = tail_of(level)
    pair = fixed_margins(baseline, other)
    values, without = _differences(pair, metric)
    used = np.logical_or(*(cells_behind(model, metric) > 0 for model in pair))
    return [
        _interval(float(value), without[used[:, c], c], tail, 1.0, _LOST)
        for c, value in enumerate(values)
    ]


def non_inferiority(
    difference: FixedDifference, margin: float, level: float = 0.95
) -> tuple[float, float]:
    """Test whether the other model is worse than the baseline by less than a margin.

    Parameters
    ----------
    difference : FixedDifference
        Other minus baseline, of a score that is better when higher.
    margin : float
        m, the largest loss that would not matter, named before the comparison; above
        0 and below the difference's bound.
    level : float
        Confidence of the one-sided bound, between 0 and 1.

    Returns
    -------
    low, p_value : float
        The one-sided lower bound, value − t se, clipped to the difference's bound, and
        the p value of the hypothesis that the true difference is −m or less. low > −m
        exactly where p < 1 − *level*. Both NaN where the difference has no interval,
        for the reason in its method.

    Raises
    ------
    UsageError
        If the margin or *level* is out of range.
    """
    from scipy.special import stdtr, stdtrit

    tail_of(level)
    bound, degrees, error = difference.bound, difference.degrees, difference.standard_error
    if not 0 < margin < bound:
        raise UsageError(
            f"A margin of non-inferiority lies between 0 and the largest difference there can "
            f"be, {bound:g}; seen {margin}."
        )
    if np.isnan(difference.low):
        return np.nan, np.nan
    low = difference.value - float(stdtrit(degrees, level)) * error
    return max(low, -bound), float(stdtr(degrees, -(difference.value + margin) / error))


def error_ratio(baseline: ArrayLike, other: ArrayLike, level: float = 0.95) -> Interval:
    """Compute how many errors the other model makes for each of the baseline's.

    Parameters
    ----------
    baseline, other : (g, k, k) integers
        As for :func:`fixed_difference`.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    Interval
        Errors of the other model by those of the baseline: .8 is a fifth fewer. The
        bounds are those of a delete-one-group jackknife t on the log scale. NaN, with
        the reason in the method: the value where the baseline makes no errors; the
        bounds where either model makes none, or none outside one group, of fewer than
        two groups, and where the ratio is the same without any group.

    Raises
    ------
    DataError, UsageError
        As :func:`fixed_difference`.
    """
    tail = tail_of(level)
    pair = fixed_margins(baseline, other)
    errors = np.array([(model.truth - model.correct).sum(axis=-1) for model in pair])
    total = errors.sum(axis=1)
    value = float(total[1] / total[0]) if total[0] else np.nan
    reason = _no_ratio(errors)
    if reason:
        return Interval(value, np.nan, np.nan, f"undefined: {reason}")
    rest = np.log(total[:, None] - errors)
    return _on_log_scale(value, rest[1] - rest[0], tail)


def fixed_margins(baseline: ArrayLike, other: ArrayLike) -> tuple[Margins, Margins]:
    """Read the margins of two models off (g, k, k) counts, groups without cells left out.

    Raises
    ------
    DataError
        If the shapes differ, the matrices are not counts, or the true cells of a group
        are not the same for both models.
    """
    before, after = group_margins(baseline), group_margins(other)
    if before.truth.shape != after.truth.shape:
        raise DataError(
            "Two models are compared on as many groups and categories; "
            f"seen {before.truth.shape} and {after.truth.shape}. Nothing was compared."
        )
    unlike = np.flatnonzero((before.truth != after.truth).any(axis=1))
    if unlike.size:
        raise DataError(
            f"The true cells of {unlike.size} groups, the first {unlike[0]}, differ between the "
            "models: these were not tested on the same cells. Nothing was compared. "
            "Join predictions by cell_id."
        )
    return filled(before), filled(after)


def _differences(
    pair: tuple[Margins, Margins], metric: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the difference, () or (k,), and that without each group, (g,) or (g, k)."""
    old, new = (scores_of_margins(total_of(model))[metric] for model in pair)
    before, after = (leave_one_out(model)[metric] for model in pair)
    return new - old, after - before


def _interval(
    value: float, left: NDArray[np.float64], tail: float, bound: float, lost: str
) -> FixedDifference:
    from scipy.special import stdtr, stdtrit

    n_groups = left.size
    reason = _no_interval(value, left, lost)
    if reason:
        unknown = (np.nan,) * 5
        return FixedDifference(value, *unknown, n_groups, f"undefined: {reason}", bound)
    if np.ptp(left) <= NO_SPREAD:
        method = f"undefined: {NO_DIFFERENCE}"
        none = np.nan
        return FixedDifference(0.0, none, none, 1.0, none, none, n_groups, method, bound)
    error, degrees = _standard_error(left), float(n_groups - 1)
    half = float(stdtrit(degrees, 1 - tail)) * error
    low, high = max(value - half, -bound), min(value + half, bound)
    p_value = 2 * float(stdtr(degrees, -abs(value) / error))
    method = f"paired jackknife t, {n_groups} groups; {CONDITIONAL}"
    return FixedDifference(value, low, high, p_value, error, degrees, n_groups, method, bound)


def _no_interval(value: float, left: NDArray[np.float64], lost: str) -> str:
    if np.isnan(value):
        return NO_SCORE
    if left.size < 2:
        return "fewer than 2 groups"
    if np.isnan(left).any():
        return lost
    if np.ptp(left) <= NO_SPREAD < abs(value):
        return "the difference is the same in every group"
    return ""


def _standard_error(left: NDArray[np.float64]) -> float:
    n = left.size
    return float(np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum()))


def _no_ratio(errors: NDArray[np.number]) -> str:
    """Say why the errors of the two models in each group, (2, g), have no ratio or no bounds."""
    total = errors.sum(axis=1)
    if errors.shape[1] == 0:
        return "no cells to score"
    if total[0] == 0:
        return "the baseline makes no errors"
    if errors.shape[1] < 2:
        return "fewer than 2 groups"
    if total[1] == 0:
        return "the other model makes no errors, and 0 has no logarithm"
    if (errors.max(axis=1) == total).any():
        return "all errors of a model lie in one group"
    return ""


def _on_log_scale(value: float, left: NDArray[np.float64], tail: float) -> Interval:
    from scipy.special import stdtrit

    if np.ptp(left) <= NO_SPREAD:
        same = abs(value - 1) <= NO_SPREAD
        reason = NO_DIFFERENCE if same else "the ratio is the same without any group"
        return Interval(value, np.nan, np.nan, f"undefined: {reason}")
    half = float(stdtrit(left.size - 1, 1 - tail)) * _standard_error(left)
    # A bound beyond the largest number is one that excludes nothing.
    with np.errstate(over="ignore"):
        low, high = value * np.exp(-half), value * np.exp(half)
    method = f"paired jackknife t on the log scale, {left.size} groups; {CONDITIONAL}"
    return Interval(value, float(low), float(high), method)
