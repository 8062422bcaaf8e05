"""Intervals for scores whose cells lie within groups: cases, or families of images.

A bound that cannot be had is NaN, and the interval's method says why.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.stats.binomial import clopper_pearson, tail_of, wilson
from leukoscope.stats.jackknife import filled, group_margins, leave_one_out, total_of
from leukoscope.stats.scores import (
    AGREEMENT_METRICS,
    Margins,
    cells_of_others,
    left_to_others,
    scores_of_margins,
)

NO_SPREAD = 1e-12
"""Leave-one-out scores nearer together than this differ by rounding alone."""

ASSUMED_ICC = 0.05
"""Intraclass correlation of the cells of a group, where the groups show no spread to tell it."""

EXACT = "exact (Clopper-Pearson) on n/deff cells, assuming an intraclass correlation of .05"
"""The method of a proportion of exactly 0 or 1, and of one without spread between the groups."""

WILSON = "Wilson score, every family is one cell"
"""The method of a proportion where no two cells belong together."""

_IN_WORDS_OF_AGREEMENT = {
    "the logit scale": "the logit scale of (x + 1)/2",
    "clipped to [0, 1]": "clipped to [-1, 1]",
    "exactly 0": "exactly -1",
    "no cells to score": "no cells, or cells or calls of one category only",
}


@dataclass(frozen=True)
class Interval:
    """Hold a score between its confidence bounds.

    Attributes
    ----------
    value : float
        The score; NaN where undefined.
    low, high : float
        The bounds; both NaN where no interval can be given.
    method : str
        How the bounds were got, or why there are none.
    """

    value: float
    low: float
    high: float
    method: str


def jackknife_logit(value: float, leave_one_out: ArrayLike, level: float = 0.95) -> Interval:
    """Compute the delete-one-group jackknife t interval of a score, on the logit scale.

    Parameters
    ----------
    value : float
        The score of all groups, in [0, 1].
    leave_one_out : (g,) float
        The score without each group in turn.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    Interval
        logit(value) ± t se, taken back to [0, 1]. Here
        se² = (g − 1)/g Σ (l − mean l)² over the leave-one-out logits l, and t is
        Student's with g − 1 degrees (Tukey 1958; Efron and Tibshirani 1993,
        chapter 11). Where a leave-one-out score is exactly 0 or 1 the same is done on
        the plain scale, clipped to [0, 1], and the method says so. The bounds are
        NaN, with the reason in the method, where the value is undefined or exactly
        0 or 1, where there are fewer than two groups, where a leave-one-out score
        is undefined, and where the groups do not differ.

    Raises
    ------
    DataError
        If a score lies outside [0, 1] or *leave_one_out* is not one row of numbers.
    UsageError
        If *level* is not between 0 and 1.
    """
    left = np.asarray(leave_one_out, dtype=np.float64)
    if left.ndim != 1 or (np.append(left, value) < 0).any() or (np.append(left, value) > 1).any():
        raise DataError(
            "A jackknife interval needs scores between 0 and 1 (of agreement (x + 1)/2), one a "
            f"group; seen {value} and an array of the shape {left.shape}. Nothing was computed."
        )
    tail = tail_of(level)
    reason = _degenerate(value, left)
    if reason:
        return Interval(float(value), np.nan, np.nan, f"undefined: {reason}")
    if left.min() > 0 and left.max() < 1:
        return _on_logit_scale(value, left, tail)
    return _on_plain_scale(value, left, tail)


def jackknife_agreement(value: float, leave_one_out: ArrayLike, level: float = 0.95) -> Interval:
    """Compute the same for a score in [−1, 1], mcc or kappa, on the logit of (x + 1)/2.

    Parameters
    ----------
    value : float
        The score of all groups, in [−1, 1].
    leave_one_out : (g,) float
        The score without each group in turn.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    Interval
        :func:`jackknife_logit` of (x + 1)/2, taken back to [−1, 1], the method in
        words of x.

    Raises
    ------
    DataError
        If a score lies outside [−1, 1] or *leave_one_out* is not one row of numbers.
    UsageError
        If *level* is not between 0 and 1.
    """
    left = np.asarray(leave_one_out, dtype=np.float64)
    half = jackknife_logit((value + 1) / 2, (left + 1) / 2, level)
    method = half.method
    for of_share, of_score in _IN_WORDS_OF_AGREEMENT.items():
        method = method.replace(of_share, of_score)
    return Interval(float(value), 2 * half.low - 1, 2 * half.high - 1, method)


def grouped_intervals(
    matrices: ArrayLike, level: float = 0.95
) -> dict[str, Interval | list[Interval]]:
    """Compute an interval for every metric, cells within groups.

    The estimand is the score of the pooled cells, for the population the groups were
    drawn from. Groups without cells are as if they were not there, and a group
    counts for a category's score only if it has cells that the score speaks of:
    true cells for recall, cells of other categories for specificity, calls for
    precision, true cells or calls for F.

    Parameters
    ----------
    matrices : (g, k, k) integers
        A confusion matrix for each group, a case or a family; rows = truth.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    dict of str to Interval, or to a list of k of them
        The metrics of :func:`~leukoscope.stats.scores.scores` except support, which
        is a count. Accuracy, recall, specificity and precision: Wilson where every
        group is one cell; else :func:`jackknife_logit`; where they are exactly 0 or
        1, or the groups do not differ, :func:`exact_in_groups`, which the method
        says. F, macro-F and balanced accuracy: :func:`jackknife_logit`. Mcc and
        kappa: :func:`jackknife_agreement`. Where fewer than two groups count, or a
        score is undefined without one of them, the bounds are NaN with the reason.

    Raises
    ------
    DataError
        If *matrices* are not counts of that shape.
    UsageError
        If *level* is not between 0 and 1.
    """
    tail_of(level)
    groups = filled(group_margins(matrices))
    left = leave_one_out(groups)
    return _proportions(groups, left, level) | _composites(groups, left, level)


def exact_in_groups(
    successes: float, trials: float, n_groups: int, level: float = 0.95
) -> Interval:
    """Compute an exact interval of a proportion whose groups show no spread.

    Without spread the groups cannot tell how alike their cells are, but cells of one
    case are not independent for that: the intraclass correlation is assumed to be .05.

    Parameters
    ----------
    successes, trials : float
        Counts of cells, 0 ≤ successes ≤ trials.
    n_groups : int
        Groups these cells lie in, at least 1.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    Interval
        :func:`~leukoscope.stats.binomial.clopper_pearson` of both counts divided by the
        :func:`design_effect` at the mean number of cells in a group.

    Raises
    ------
    DataError
        If the counts are not such counts.
    UsageError
        If *level* is not between 0 and 1.
    """
    # A mean of calls over replicates may come to less than one in a group.
    effect = design_effect(ASSUMED_ICC, max(trials / n_groups, 1.0))
    low, high = clopper_pearson(successes / effect, trials / effect, level)
    return Interval(successes / trials if trials else np.nan, low, high, EXACT)


def design_effect(icc: float, cells_per_case: float) -> float:
    """Compute how many times wider a variance is for cells that come m to a case (Kish 1965).

    Parameters
    ----------
    icc : float
        Intraclass correlation of the cells of a case, in [0, 1].
    cells_per_case : float
        m, at least 1.

    Returns
    -------
    float
        1 + (m − 1) icc, at least 1.

    Raises
    ------
    UsageError
        If a number is out of its range.
    """
    if not (0 <= icc <= 1 and 1 <= cells_per_case < np.inf):
        raise UsageError(
            "A design effect needs an intraclass correlation between 0 and 1 and at least "
            f"1 cell a case; seen {icc} and {cells_per_case}."
        )
    return 1 + (cells_per_case - 1) * icc


def widen(interval: Interval, design_effect: float) -> Interval:
    """Widen an interval for independent cells to what it would be at a design effect.

    Parameters
    ----------
    interval : Interval
        Of a score in [0, 1].
    design_effect : float
        At least 1; see :func:`design_effect`.

    Returns
    -------
    Interval
        The half widths on the logit scale are multiplied by √(design effect). A value
        of exactly 0 or 1 has no logit; its far bound's distance from certainty is
        raised to the power of the design effect, which for Clopper–Pearson is exactly
        the interval at 1/(design effect) of the cells. NaN bounds stay, with their
        reason.

    Raises
    ------
    UsageError
        If *design_effect* is less than 1.
    """
    if not 1 <= design_effect < np.inf:
        raise UsageError(f"A design effect is at least 1; seen {design_effect}.")
    value, low, high = interval.value, interval.low, interval.high
    if np.isnan(low) or np.isnan(high):
        return interval
    if value in {0.0, 1.0}:
        low, high = low**design_effect, 1 - (1 - high) ** design_effect
    else:
        low = _stretched(value, low, design_effect)
        high = _stretched(value, high, design_effect)
    method = f"{interval.method}; widened for a design effect of {design_effect:.4g}"
    return Interval(value, low, high, method)


def _proportions(
    groups: Margins, left: dict[str, NDArray[np.float64]], level: float
) -> dict[str, Interval | list[Interval]]:
    correct, truth, calls = groups
    right, cells = correct.sum(axis=-1), truth.sum(axis=-1)
    alone = bool((cells == 1).all())
    by_category = {
        "recall": (correct, truth),
        "specificity": (left_to_others(groups), cells_of_others(groups)),
        "precision": (correct, calls),
    }
    found: dict[str, Interval | list[Interval]] = {
        "accuracy": _proportion(right, cells, left["accuracy"], level, alone=alone)
    }
    for name, (hits, trials) in by_category.items():
        found[name] = [
            _proportion(hits[:, c], trials[:, c], left[name][:, c], level, alone=alone)
            for c in range(truth.shape[-1])
        ]
    return found


def _proportion(
    successes: NDArray[np.number],
    trials: NDArray[np.number],
    left: NDArray[np.float64],
    level: float,
    *,
    alone: bool,
) -> Interval:
    used = trials > 0
    hits, cells = int(successes.sum()), int(trials.sum())
    value = hits / cells if cells else np.nan
    if cells and alone:
        return Interval(value, *wilson(hits, cells, level), WILSON)
    without_spread = hits in {0, cells} or (used.any() and np.ptp(left[used]) <= NO_SPREAD)
    if used.sum() >= 2 and without_spread:
        return exact_in_groups(hits, cells, int(used.sum()), level)
    return jackknife_logit(value, left[used], level)


def _composites(
    groups: Margins, left: dict[str, NDArray[np.float64]], level: float
) -> dict[str, Interval | list[Interval]]:
    values = scores_of_margins(total_of(groups))
    used = groups.truth + groups.calls > 0
    by_category = [
        jackknife_logit(float(value), left["f"][used[:, c], c], level)
        for c, value in enumerate(values["f"])
    ]
    means: dict[str, Interval | list[Interval]] = {
        name: jackknife_logit(float(values[name]), left[name], level)
        for name in ("balanced_accuracy", "macro_f")
    }
    agreement: dict[str, Interval | list[Interval]] = {
        name: jackknife_agreement(float(values[name]), left[name], level)
        for name in AGREEMENT_METRICS
    }
    return means | agreement | {"f": by_category}


def _degenerate(value: float, left: NDArray[np.float64]) -> str:
    if np.isnan(value):
        return "no cells to score"
    if left.size < 2:
        return "fewer than 2 groups"
    if value in {0.0, 1.0}:
        return f"a score of exactly {value:.0f} shows no spread over groups"
    if np.isnan(left).any():
        return "without one of the groups nothing can be said: a category is seen in it only"
    if np.ptp(left) <= NO_SPREAD:
        return "the groups do not differ"
    return ""


def _on_logit_scale(value: float, left: NDArray[np.float64], tail: float) -> Interval:
    half = _half_width(np.log(left) - np.log1p(-left), tail)
    centre = _logit(value)
    method = f"jackknife t on the logit scale, {left.size} groups"
    return Interval(float(value), _expit(centre - half), _expit(centre + half), method)


def _on_plain_scale(value: float, left: NDArray[np.float64], tail: float) -> Interval:
    half = _half_width(left, tail)
    low, high = max(value - half, 0.0), min(value + half, 1.0)
    method = (
        f"jackknife t on the plain scale, clipped to [0, 1], {left.size} groups: "
        "without one group the score is exactly 0 or 1"
    )
    return Interval(float(value), float(low), float(high), method)


def _half_width(left: NDArray[np.float64], tail: float) -> float:
    from scipy.special import stdtrit

    n = left.size
    variance = (n - 1) / n * ((left - left.mean()) ** 2).sum()
    return float(stdtrit(n - 1, 1 - tail) * np.sqrt(variance))


def _stretched(value: float, bound: float, effect: float) -> float:
    if bound in {0.0, 1.0}:
        return bound
    centre = _logit(value)
    return _expit(centre + (_logit(bound) - centre) * float(np.sqrt(effect)))


def _logit(share: float) -> float:
    return float(np.log(share) - np.log1p(-share))


def _expit(logit: float) -> float:
    from scipy.special import expit

    return float(expit(logit))
