"""Differential counts: how sure a count is, and how two methods of counting agree over cases."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.stats.binomial import tail_of
from leukoscope.stats.intervals import Interval

Numbers = NDArray[np.float64]

COUNTING = "exact counting limits (Clopper-Pearson); they do not cover misclassification"
"""The method of :func:`counting_limits`, and what its bounds leave out."""

MIN_CASES = 3
"""Agreement over fewer cases than these is not judged."""

_EXACT_REFERENCE = 1e12
"""A ratio of error variances at which Deming's line is the ordinary one, to twelve digits."""

_NO_SPREAD = 1e-12
"""A part of a sum of squares, or a difference between numbers of size 1, that is rounding."""

_ON_ONE_LINE = 1e-9
"""Leave-one-out lines nearer together than this, relative to the line, differ by rounding."""


class Fit(NamedTuple):
    """Hold the line *other* = intercept + slope × *reference*."""

    slope: Interval
    intercept: Interval


class Limits(NamedTuple):
    """Hold the mean difference *other* − *reference* and the limits of agreement around it.

    Each is a number with its own interval: ``low.value`` is the lower limit of agreement,
    ``low.low`` and ``low.high`` say how well these cases tell it.
    """

    bias: Interval
    low: Interval
    high: Interval


def counting_limits(counts: ArrayLike, level: float = 0.95) -> tuple[Numbers, Numbers, Numbers]:
    """Compute the share of each category in differential counts, with exact limits.

    5 of 100 cells are 5 %, with limits of 1.6 and 11.3 %, as in the tables of Rümke (1960):
    another 100 cells of the same blood would often show 3 or 8. The limits cover this
    chance of counting and nothing else; calls that are wrong shift a share and are not seen.

    Parameters
    ----------
    counts : (..., k) whole numbers
        Cells of each category in each count, at least 0.
    level : float
        Confidence, between 0 and 1, of each share for itself.

    Returns
    -------
    shares, low, high : (..., k) float64
        Clopper and Pearson's (1934) interval of each category against all others, within
        [0, 1]; NaN where a count has no cell.

    Raises
    ------
    DataError
        If *counts* are not whole numbers of at least 0.
    UsageError
        If *level* is not between 0 and 1.
    """
    from scipy.special import betaincinv

    tail = tail_of(level)
    hits = _whole(counts)
    cells = np.broadcast_to(hits.sum(axis=-1, keepdims=True), hits.shape)
    others = cells - hits
    # A count of 0 has no lower beta quantile; the 1 put in its place is not used.
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 1), others + 1, tail), 0.0)
    high = np.where(others > 0, betaincinv(hits + 1, np.maximum(others, 1), 1 - tail), 1.0)
    counted = cells > 0
    shares = np.divide(hits, cells, out=np.full(hits.shape, np.nan), where=counted)
    return shares, np.where(counted, low, np.nan), np.where(counted, high, np.nan)


def deming(reference: ArrayLike, other: ArrayLike, ratio: float = 1.0, level: float = 0.95) -> Fit:
    """Fit a line through cases where both methods err (Deming 1943).

    An ordinary regression takes the reference for exact and finds too small a slope. Here
    the sum of Σ (error of other)² / ratio + Σ (error of reference)² is least.

    Parameters
    ----------
    reference, other : (m,) float
        What the two methods say of each case.
    ratio : float
        Error variance of *other* divided by that of *reference*, above 0. Of 1 the line is
        that of total least squares.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    Fit
        Value ± t se by the jackknife over cases of Linnet (1990),
        se² = (m − 1)/m Σ (b − mean b)² over the values b without each case, and Student's t
        with m − 2 degrees. Values are NaN, with the reason in the method, of fewer than 3
        cases, where the reference does not vary, and where both vary but not together.
        Bounds alone are NaN where the line is undefined without one of the cases, and where
        the cases lie exactly on it.

    Raises
    ------
    DataError
        If the two are not rows of finite numbers of one length.
    UsageError
        If *ratio* is not above 0 or *level* not between 0 and 1.

    Notes
    -----
    One error variance is taken for all cases, while that of a counted share grows with the
    share. Of 3,000 drawn sets of 10, 20 or 51 cases, 200 cells counted twice, the bounds of
    the slope held 1 in .94 to .95 where the share was near 55 %, and in .91 to .93 near 5 %.
    """
    tail = tail_of(level)
    x, y = _pairs(reference, other)
    if not 0 < ratio < np.inf:
        raise UsageError(f"A ratio of error variances is above 0; seen {ratio}.")
    how = f"Deming regression, ratio of error variances {ratio:.4g}"
    return _fit(x, y, ratio, tail, f"{how}, jackknife t, {x.size} cases")


def least_squares(reference: ArrayLike, other: ArrayLike, level: float = 0.95) -> Fit:
    """Fit a line through cases whose reference is exact: all error is the other method's.

    Parameters
    ----------
    reference, other : (m,) float
        What the two methods say of each case, such as labels and calls of the same cells.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    Fit
        The ordinary regression line, to which :func:`deming` tends as its ratio grows;
        bounds and what is undefined as there.

    Raises
    ------
    DataError, UsageError
        As :func:`deming`.
    """
    tail = tail_of(level)
    x, y = _pairs(reference, other)
    method = f"least squares, the reference taken for exact, jackknife t, {x.size} cases"
    return _fit(x, y, _EXACT_REFERENCE, tail, method)


def _fit(x: Numbers, y: Numbers, ratio: float, tail: float, method: str) -> Fit:
    value, left, reason = _lines(x, y, ratio)
    if reason:
        nothing = _undefined(np.nan, reason)
        return Fit(nothing, nothing)
    sizes = (abs(value[0]), np.abs(y).max() + abs(value[0]) * np.abs(x).max())
    return Fit(
        *(
            _by_jackknife(one, rest, size, tail, method)
            for one, rest, size in zip(value, left, sizes, strict=True)
        )
    )


def bland_altman(reference: ArrayLike, other: ArrayLike, level: float = 0.95) -> Limits:
    """Compute between which limits two methods differ in 95 % of cases (Bland and Altman 1986).

    Parameters
    ----------
    reference, other : (m,) float
        What the two methods say of each case.
    level : float
        Confidence of the intervals, between 0 and 1; the limits are those of 95 % whatever
        it is.

    Returns
    -------
    Limits
        The mean of other − reference and, with s the standard deviation of these
        differences, the mean ± 1.96 s. Intervals are by Student's t with m − 1 degrees: of
        the bias with se² = s²/m, of the limits with se² = s² (1/m + 1.96² / (2 (m − 1))),
        the variance of Bland and Altman (1999, section 2.1), of which the 3 s²/m of 1986 is
        the round number for many cases. Of fewer than 3 cases there are no limits and no
        intervals, and where all differences are equal no intervals; the method says so.

    Raises
    ------
    DataError
        If the two are not rows of finite numbers of one length.
    UsageError
        If *level* is not between 0 and 1.

    Notes
    -----
    The limits take the differences for normal and of one spread at every size. Those of a
    share near 0 are neither: there read them beside the plot. Of 3,000 drawn sets of normal
    differences the intervals of the limits held the true ones in .93 with 10 cases, .94 with
    20 and .95 with 51; that of the bias in .94 to .95.
    """
    from scipy.special import ndtri, stdtrit

    tail = tail_of(level)
    x, y = _pairs(reference, other)
    m, difference = x.size, y - x
    bias = float(difference.mean()) if m else np.nan
    if m < MIN_CASES:
        no_limit = _undefined(np.nan, _TOO_FEW)
        return Limits(_undefined(bias, _TOO_FEW), no_limit, no_limit)
    s, reach = float(difference.std(ddof=1)), float(ndtri(0.975))
    if np.ptp(difference) <= _NO_SPREAD * max(np.abs(x).max(), np.abs(y).max()):
        same = _undefined(bias, "the difference is the same in every case")
        return Limits(same, same, same)
    quantile = float(stdtrit(m - 1, 1 - tail))
    of_bias = quantile * s / np.sqrt(m)
    of_limit = quantile * s * np.sqrt(1 / m + reach**2 / (2 * (m - 1)))
    method = f"t, {m} cases"
    beyond = f"bias {{}} 1.96 sd (Bland-Altman), t with the variance of 1999, {m} cases"
    return Limits(
        _around(bias, of_bias, f"mean difference, {method}"),
        _around(bias - reach * s, of_limit, beyond.format("-")),
        _around(bias + reach * s, of_limit, beyond.format("+")),
    )


_TOO_FEW = f"fewer than {MIN_CASES} cases"


def _undefined(value: float, reason: str) -> Interval:
    return Interval(float(value), np.nan, np.nan, f"undefined: {reason}")


def _around(value: float, half: float, method: str) -> Interval:
    return Interval(float(value), float(value - half), float(value + half), method)


def _by_jackknife(value: float, left: Numbers, size: float, tail: float, method: str) -> Interval:
    """Take the interval from the values without each case; *size* is what rounding goes by."""
    from scipy.special import stdtrit

    m = left.size
    if np.isnan(left).any():
        return _undefined(value, "without one of the cases no line is defined")
    if np.ptp(left) <= _ON_ONE_LINE * size:
        return _undefined(value, "the cases lie on one line and show no spread")
    error = np.sqrt((m - 1) / m * ((left - left.mean()) ** 2).sum())
    return _around(value, float(stdtrit(m - 2, 1 - tail) * error), method)


def _lines(
    x: Numbers, y: Numbers, ratio: float
) -> tuple[tuple[float, float], tuple[Numbers, Numbers], str]:
    """Fit slope and intercept to all cases and without each, or say why not."""
    m, none = x.size, np.empty(0)
    missing = (np.nan, np.nan), (none, none)
    if m < MIN_CASES:
        return *missing, _TOO_FEW
    if np.ptp(x) <= _NO_SPREAD * np.abs(x).max():
        return *missing, "the reference does not vary over the cases"
    # Counted from the first case, equal numbers differ by exactly 0, and not by rounding.
    dx, dy = ((one - one[0]) - (one - one[0]).mean() for one in (x, y))
    sums = np.array([dx @ dx, dy @ dy, dx @ dy])
    slope = float(_slopes(sums, ratio))
    if np.isnan(slope):
        return *missing, "the two do not vary together"
    rest = sums[:, None] - m / (m - 1) * np.stack([dx * dx, dy * dy, dx * dy])
    # What is left when the one case that varied is taken away is rounding.
    rest[:2][rest[:2] <= _NO_SPREAD * sums[:2, None]] = 0.0
    rest[2, (rest[:2] == 0).any(axis=0)] = 0.0
    slopes = _slopes(rest, ratio)
    means_x, means_y = (one.mean() - d / (m - 1) for one, d in ((x, dx), (y, dy)))
    intercept = float(y.mean() - slope * x.mean())
    return (slope, intercept), (slopes, means_y - slopes * means_x), ""


def _slopes(sums: Numbers, ratio: float) -> Numbers:
    """Compute slopes from sums of squares and products (3, ...); NaN where none is best."""
    xx, yy, xy = sums
    gap = yy - ratio * xx
    root = np.hypot(gap, 2 * np.sqrt(ratio) * xy)
    unrelated = np.abs(xy) <= _NO_SPREAD * np.sqrt(xx * yy)
    steep = gap > 0
    # Two forms of one root: each is taken where it does not subtract nearly equal numbers.
    top = np.where(steep, gap + root, 2 * ratio * xy)
    bottom = np.where(steep, 2 * xy, root - gap)
    known = ~(unrelated & (gap >= -_NO_SPREAD * (yy + ratio * xx)))
    slopes = np.full(np.shape(top), np.nan)
    np.divide(top, bottom, out=slopes, where=known)
    return slopes


def _whole(counts: ArrayLike) -> Numbers:
    values = np.asarray(counts)
    if values.ndim == 0 or values.shape[-1] == 0 or values.dtype.kind not in "iuf":
        raise DataError(
            "A differential count is a number of cells for each category; seen "
            f"{values.dtype} of the shape {values.shape}. Nothing was computed."
        )
    cells = values.astype(np.float64)
    odd = ~(np.isfinite(cells) & (cells >= 0) & (cells % 1 == 0))
    if odd.any():
        raise DataError(
            "A differential count holds whole numbers of cells, at least 0; seen "
            f"{cells[odd][0]}. Nothing was computed. Give counts, not percentages."
        )
    return cells


def _pairs(reference: ArrayLike, other: ArrayLike) -> tuple[Numbers, Numbers]:
    x, y = (np.asarray(one, dtype=np.float64) for one in (reference, other))
    if x.ndim != 1 or x.shape != y.shape or not np.isfinite(np.append(x, y)).all():
        raise DataError(
            "Two methods are compared by one finite number a case from each; seen the shapes "
            f"{x.shape} and {y.shape}, or a number that is not finite. Nothing was compared."
        )
    return x, y
