"""How good probabilities are as forecasts: losses, calibration, and what can be left to people."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError
from leukoscope.stats.arrays import cell_codes, cell_flags, cell_numbers, forecast_cells, numbered
from leukoscope.stats.binomial import tail_of
from leukoscope.stats.calibration import (
    Reliability,
    calibration_error,
    calibration_error_if_calibrated,
    reliability,
)
from leukoscope.stats.intervals import Interval
from leukoscope.stats.ranking import steps

__all__ = [
    "LEAST_PROBABILITY",
    "Reliability",
    "area_under_risk",
    "brier_losses",
    "calibration_error",
    "calibration_error_if_calibrated",
    "constant_forecast",
    "coverage_risk",
    "log_losses",
    "mean_interval",
    "mean_without_each",
    "reliability",
]

LEAST_PROBABILITY = 1e-15
"""What a probability of less is taken for by the log loss, which would be infinite at 0."""

_ROUNDING = 1e-13
"""Leave-one-out means nearer together than this share of the losses' range are the same."""


def brier_losses(probabilities: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    """Compute the Brier loss of each cell's forecast (Brier 1950), over all categories.

    Parameters
    ----------
    probabilities : (n, k) numbers
        In [0, 1], each row with the sum 1 to within 1e-3.
    truth : (n,) integers
        Category codes from 0 to k − 1.

    Returns
    -------
    (n,) float64
        Σ (p − [is the true category])² over the categories: from 0 to 2, and twice what
        is usual where there are two categories.

    Raises
    ------
    DataError
        If the arrays do not fit, or a row holds no probabilities.
    """
    shares, codes = forecast_cells(probabilities, truth)
    shares[np.arange(codes.size), codes] -= 1
    losses: NDArray[np.float64] = (shares**2).sum(axis=1)
    return losses


def log_losses(probabilities: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    """Compute the log loss of each cell's forecast (Good 1952).

    Parameters
    ----------
    probabilities, truth
        As for :func:`brier_losses`.

    Returns
    -------
    (n,) float64
        −ln of the true category's probability, natural logarithm, at least 0. A
        probability below 1e-15 is taken for 1e-15, which costs 34.5.

    Raises
    ------
    DataError
        As :func:`brier_losses`.
    """
    shares, codes = forecast_cells(probabilities, truth)
    # Subtracted from 0, so that a certain forecast costs 0 and not −0.
    return 0 - np.log(np.maximum(shares[np.arange(codes.size), codes], LEAST_PROBABILITY))


def constant_forecast(truth: ArrayLike, n_categories: int) -> NDArray[np.float64]:
    """Compute the forecast that says the same of every cell: each category's share.

    Parameters
    ----------
    truth : (n,) integers
        Category codes from 0 to *n_categories* − 1.
    n_categories : int
        How many categories there are, k.

    Returns
    -------
    (k,) float64
        With the sum 1. No other constant has less log loss on these cells, and that loss is
        their entropy. NaN without cells.

    Raises
    ------
    DataError
        If a code is out of range or not a whole number.
    """
    codes = cell_codes(truth, "true category", np.size(truth), n_categories)
    counts = np.bincount(codes, minlength=n_categories)
    return counts / codes.size if codes.size else np.full(n_categories, np.nan)


def mean_interval(
    losses: ArrayLike, groups: ArrayLike, level: float = 0.95, *, least: float = -np.inf
) -> Interval:
    """Compute the mean loss of the cells with its interval, cells within groups.

    The estimand is the mean of the pooled cells, for the population the groups were drawn
    from: a ratio of sums, for the groups differ in size.

    Parameters
    ----------
    losses : (n,) numbers
        Finite; of any sign, so that differences of two models' losses on the same cells
        will do.
    groups : (n,) integers
        Codes of at least 0: cases, or families. Those without cells do not count.
    level : float
        Confidence, between 0 and 1.
    least : float
        What no loss can be less than: 0 for those of this module, by default anything.

    Returns
    -------
    Interval
        mean ± t se on the plain scale by the delete-one-group jackknife, t with one degree
        less than groups (Tukey 1958), cut off at *least*, which the method says where it
        happened. Where every group is one cell it is the textbook t interval. NaN, with
        the reason: no cells, fewer than two groups, or groups that do not differ.

    Raises
    ------
    DataError
        If the arrays do not fit, or a loss is not finite or below *least*.
    UsageError
        If *level* is not between 0 and 1.
    """
    from scipy.special import stdtrit

    tail = tail_of(level)
    values = cell_numbers(losses, "losses")
    if values.size and not (np.isfinite(values).all() and values.min() >= least):
        raise DataError(
            f"Losses are finite and at least {least:g}; seen {values.min():.6g} to "
            f"{values.max():.6g}. Nothing was computed."
        )
    value, left = mean_without_each(values, groups)
    reason = _no_interval(values, left)
    if reason:
        return Interval(value, np.nan, np.nan, f"undefined: {reason}")
    error = np.sqrt((left.size - 1) / left.size * ((left - left.mean()) ** 2).sum())
    half = float(stdtrit(left.size - 1, 1 - tail) * error)
    method = f"jackknife t on the plain scale, {left.size} groups"
    if value - half < least:
        method += f", cut off at {least:g}"
    return Interval(value, max(value - half, least), value + half, method)


def mean_without_each(losses: ArrayLike, groups: ArrayLike) -> tuple[float, NDArray[np.float64]]:
    """Compute the mean over cells, and the mean without each group that has cells.

    Parameters
    ----------
    losses : (n,) numbers
        Of any sign.
    groups : (n,) integers
        Codes of at least 0.

    Returns
    -------
    value : float
        NaN without cells.
    without : (g,) float64
        In the order of the groups' codes; NaN where no other group is left.

    Raises
    ------
    DataError
        If the arrays do not fit or a loss is NaN.
    """
    values = cell_numbers(losses, "losses")
    codes, n_groups = numbered(groups, values.size)
    if not values.size:
        return np.nan, np.empty(0)
    # Sums of differences from one of them are exact where all losses are the same.
    apart = values - values[0]
    cells = np.bincount(codes)
    rest = apart.sum() - np.bincount(codes, apart)
    left = np.full(n_groups, np.nan)
    np.divide(rest, values.size - cells, out=left, where=cells < values.size)
    return float(values[0] + apart.mean()), values[0] + left


def coverage_risk(
    confidence: ArrayLike, right: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compute the share of wrong calls among those kept, as fewer and fewer are left to people.

    Parameters
    ----------
    confidence : (n,) numbers
        Any score that ranks the calls, the surest highest; not NaN.
    right : (n,) bool
        Whether the call was right.

    Returns
    -------
    coverage : (m,) float64
        Share of the cells kept at each distinct confidence, ascending to 1. Cells of one
        confidence are kept together.
    risk : (m,) float64
        Share of wrong calls among those kept (El-Yaniv and Wiener 2010); at a coverage of
        1, the error rate.
    threshold : (m,) float64
        The least confidence kept, descending.

    Raises
    ------
    DataError
        If the arrays do not fit or a confidence is NaN.
    """
    ranks = cell_numbers(confidence, "confidences")
    is_right = cell_flags(right, "Whether a call is right", ranks.size)
    threshold, kept_right, kept_wrong = steps(ranks, is_right)
    kept = kept_right + kept_wrong
    return kept / max(ranks.size, 1), kept_wrong / kept, threshold


def area_under_risk(confidence: ArrayLike, right: ArrayLike) -> float:
    """Compute the mean risk over all coverages.

    Parameters
    ----------
    confidence, right
        As for :func:`coverage_risk`.

    Returns
    -------
    float
        Σ risk × gain in coverage over the steps of :func:`coverage_risk`, in [0, 1] (Geifman,
        Uziel and El-Yaniv 2019). Confidence without meaning has about the error rate; the
        least possible is that of confidences that put every right call before every wrong
        one, and is above 0 where calls are wrong. NaN without cells.

    Raises
    ------
    DataError
        As :func:`coverage_risk`.
    """
    coverage, risk, _ = coverage_risk(confidence, right)
    if not coverage.size:
        return np.nan
    return float((np.diff(coverage, prepend=0.0) * risk).sum())


def _no_interval(values: NDArray[np.float64], left: NDArray[np.float64]) -> str:
    if not values.size:
        return "no cells to score"
    if left.size < 2:
        return "fewer than 2 groups"
    return "the groups do not differ" if np.ptp(left) <= _ROUNDING * np.ptp(values) else ""
