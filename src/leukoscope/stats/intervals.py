"""Intervals for scores whose cells lie within groups: cases, or families of images.

A bound that cannot be had is NaN, and the interval's method says why.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError
from leukoscope.stats.binomial import Interval, tail_of, wilson
from leukoscope.stats.design import ASSUMED_ICC, exact_in_groups
from leukoscope.stats.jackknife import (
    filled,
    group_margins,
    jackknife_variance,
    leave_one_out,
    satterthwaite,
    total_of,
)
from leukoscope.stats.scores import (
    AGREEMENT_METRICS,
    Margins,
    cells_of_others,
    left_to_others,
    scores_of_margins,
)

__all__ = [
    "NEVER_CALLED",
    "NO_SPREAD",
    "WILSON",
    "Interval",
    "grouped_intervals",
    "jackknife_agreement",
    "jackknife_logit",
    "without_right_calls",
]

NO_SPREAD = 1e-12
"""Leave-one-out scores nearer together than this differ by rounding alone."""

WILSON = "Wilson score, every case or family is one cell"
"""The method of a proportion where no two cells belong together."""

NEVER_CALLED = Interval(np.nan, np.nan, np.nan, "undefined: never called")
"""The precision of a category that no cell is called."""

_IN_WORDS_OF_AGREEMENT = {
    "the logit scale": "the logit scale of (x + 1)/2",
    "clipped to [0, 1]": "clipped to [-1, 1]",
    "exactly 0": "exactly -1",
    "no cells to score": "no cells, or cells or calls of one category only",
}


def jackknife_logit(
    value: float, leave_one_out: ArrayLike, level: float = 0.95, *, degrees: float | None = None
) -> Interval:
    """Compute the delete-one-group jackknife t interval of a score, on the logit scale.

    Parameters
    ----------
    value : float
        The score of all groups, in [0, 1].
    leave_one_out : (g,) float
        The score without each group in turn.
    level : float
        Confidence, between 0 and 1.
    degrees : float, optional
        Degrees of freedom of t, by default and at most g − 1. The method says so where
        they are fewer; see :func:`~leukoscope.stats.jackknife.satterthwaite`.

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
    tail, known = tail_of(level), len(left) - 1.0
    reason = _degenerate(value, left)
    if reason:
        return Interval(float(value), np.nan, np.nan, f"undefined: {reason}")
    used = known if degrees is None else min(degrees, known)
    half_width = partial(_half_width, tail=tail, degrees=used)
    logits = left.min() > 0 and left.max() < 1
    found = (_on_logit_scale if logits else _on_plain_scale)(value, left, half_width)
    if used == known:
        return found
    few = f"; t of {used:.3g} degrees: not every group holds every category"
    return replace(found, method=found.method + few)


def jackknife_agreement(
    value: float, leave_one_out: ArrayLike, level: float = 0.95, *, degrees: float | None = None
) -> Interval:
    """Compute the same for a score in [−1, 1], mcc or kappa, on the logit of (x + 1)/2.

    Parameters
    ----------
    value : float
        The score of all groups, in [−1, 1].
    leave_one_out : (g,) float
        The score without each group in turn.
    level : float
        Confidence, between 0 and 1.
    degrees : float, optional
        As for :func:`jackknife_logit`.

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
    half = jackknife_logit((value + 1) / 2, (left + 1) / 2, level, degrees=degrees)
    method = half.method
    for of_share, of_score in _IN_WORDS_OF_AGREEMENT.items():
        method = method.replace(of_share, of_score)
    return Interval(float(value), 2 * half.low - 1, 2 * half.high - 1, method)


def without_right_calls(found: Interval) -> Interval:
    """Take the bounds off an agreement of calls that are all wrong.

    How wrong calls fall tells no more of how far the agreement may rise than that no call
    was right; a jackknife would claim a width that comes of the margins alone. The value
    stays, the method says why, and an interval without bounds is given back as it is.
    """
    if np.isnan(found.low):
        return found
    reason = "undefined: every call is wrong, so that nothing shows how right calls vary"
    return Interval(found.value, np.nan, np.nan, reason)


def grouped_intervals(
    matrices: ArrayLike, level: float = 0.95, *, assumed_icc: float = ASSUMED_ICC
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
    assumed_icc : float
        Intraclass correlation of the cells of a group, in [0, 1], taken where the groups
        show no spread to tell it. At 1, for families of copies, a group of any size is
        one cell.

    Returns
    -------
    dict of str to Interval, or to a list of k of them
        The metrics of :func:`~leukoscope.stats.scores.scores` except support, which
        is a count. Accuracy, recall, specificity and precision: Wilson where every
        group is one cell; else :func:`jackknife_logit`; where they are exactly 0 or
        1, or the groups do not differ,
        :func:`~leukoscope.stats.design.exact_in_groups`, which the method says. F,
        macro-F and balanced accuracy: :func:`jackknife_logit`, the means over
        categories with the degrees of Satterthwaite (1946), each category's part of
        the mean known from the groups that have true cells of it, which the method
        says where it tells. Mcc and kappa: :func:`jackknife_agreement`. Where fewer
        than two groups count, or a score is undefined without one of them, the bounds
        are NaN with the reason; so are those of mcc and kappa where no call is right.

    Raises
    ------
    DataError
        If *matrices* are not counts of that shape.
    UsageError
        If *level* is not between 0 and 1, or *assumed_icc* lies outside [0, 1].

    Notes
    -----
    Simulated at 51 cases of 140 cells, a third category of 10 cells in each of 3 cases
    only, intraclass correlation .2: balanced accuracy is covered .95 of the time,
    at 50 degrees .84.
    """
    tail_of(level)
    groups = filled(group_margins(matrices))
    left = leave_one_out(groups)
    proportions = _proportions(
        groups, left, partial(exact_in_groups, assumed_icc=assumed_icc), level
    )
    return proportions | _composites(groups, left, level)


def _proportions(
    groups: Margins,
    left: dict[str, NDArray[np.float64]],
    exact: Callable[..., Interval],
    level: float,
) -> dict[str, Interval | list[Interval]]:
    correct, truth, calls = groups
    right, cells = correct.sum(axis=-1), truth.sum(axis=-1)
    alone = bool((cells == 1).all())
    by_category = {
        "recall": (correct, truth),
        "specificity": (left_to_others(groups), cells_of_others(groups)),
        "precision": (correct, calls),
    }
    proportion = partial(_proportion, exact=exact, level=level, alone=alone)
    found = {
        name: [
            proportion(hits[:, c], trials[:, c], left[name][:, c]) for c in range(truth.shape[-1])
        ]
        for name, (hits, trials) in by_category.items()
    }
    if cells.sum():
        for c in np.flatnonzero(calls.sum(axis=0) == 0):
            found["precision"][c] = NEVER_CALLED
    return {"accuracy": proportion(right, cells, left["accuracy"]), **found}


def _proportion(
    successes: NDArray[np.number],
    trials: NDArray[np.number],
    left: NDArray[np.float64],
    *,
    exact: Callable[..., Interval],
    level: float,
    alone: bool,
) -> Interval:
    used = trials > 0
    hits, cells = int(successes.sum()), int(trials.sum())
    value = hits / cells if cells else np.nan
    if cells and alone:
        return Interval(value, *wilson(hits, cells, level), WILSON)
    without_spread = hits in {0, cells} or (used.any() and np.ptp(left[used]) <= NO_SPREAD)
    if used.sum() >= 2 and without_spread:
        return exact(hits, trials, level)
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
    means = {
        name: jackknife_logit(
            float(values[name]), left[name], level, degrees=_degrees(groups, left[part])
        )
        for name, part in (("balanced_accuracy", "recall"), ("macro_f", "f"))
    }
    agreement = {
        name: jackknife_agreement(float(values[name]), left[name], level)
        for name in AGREEMENT_METRICS
    }
    if values["accuracy"] == 0:
        agreement = {name: without_right_calls(found) for name, found in agreement.items()}
    return {**means, **agreement, "f": by_category}


def _degrees(groups: Margins, left: NDArray[np.float64]) -> float:
    """Count the degrees of a mean over categories from its parts without each group, (g, k)."""
    if len(left) < 2:
        return 0.0
    holding = (groups.truth > 0).sum(axis=0)
    # A part known from one group is undefined without it, and so is the mean.
    parts = jackknife_variance(left[:, holding > 1])
    return satterthwaite(parts, holding[holding > 1], len(left) - 1.0)


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


def _on_logit_scale(
    value: float, left: NDArray[np.float64], half_width: Callable[[NDArray[np.float64]], float]
) -> Interval:
    half = half_width(np.log(left) - np.log1p(-left))
    centre = _logit(value)
    method = f"jackknife t on the logit scale, {left.size} groups"
    return Interval(float(value), _expit(centre - half), _expit(centre + half), method)


def _on_plain_scale(
    value: float, left: NDArray[np.float64], half_width: Callable[[NDArray[np.float64]], float]
) -> Interval:
    half = half_width(left)
    low, high = max(value - half, 0.0), min(value + half, 1.0)
    method = (
        f"jackknife t on the plain scale, clipped to [0, 1], {left.size} groups: "
        "without one group the score is exactly 0 or 1"
    )
    return Interval(float(value), float(low), float(high), method)


def _half_width(left: NDArray[np.float64], tail: float, degrees: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 1 - tail) * np.sqrt(jackknife_variance(left)))


def _logit(share: float) -> float:
    return float(np.log(share) - np.log1p(-share))


def _expit(logit: float) -> float:
    from scipy.special import expit

    return float(expit(logit))
