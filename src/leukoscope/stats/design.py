"""What cells that lie together are worth: design effects, and exact intervals that know of them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.stats.binomial import Interval, clopper_pearson, tail_of

ASSUMED_ICC = 0.05
"""Intraclass correlation of the cells of a group, where the groups show no spread to tell it."""


def exact_method(assumed_icc: float = ASSUMED_ICC) -> str:
    """Name the method of :func:`exact_in_groups` at an assumed intraclass correlation."""
    return f"exact (Clopper-Pearson) on n/deff cells, {assuming(assumed_icc)}"


def assuming(icc: float) -> str:
    """Say that an intraclass correlation was assumed, and which."""
    shown = f"{icc:g}".replace("0.", ".")
    return f"assuming an intraclass correlation of {shown}"


EXACT = exact_method()
"""The method of a proportion of exactly 0 or 1, and of one without spread between the groups."""


def exact_in_groups(
    successes: float, sizes: ArrayLike, level: float = 0.95, *, assumed_icc: float = ASSUMED_ICC
) -> Interval:
    """Compute an exact interval of a proportion whose groups show no spread.

    Without spread the groups cannot tell how alike their cells are, but cells of one
    case are not independent for that: an intraclass correlation is assumed.

    Parameters
    ----------
    successes : float
        Count of cells, at least 0 and at most all of them.
    sizes : (g,) numbers
        Cells of each group behind the proportion, at least 0.
    level : float
        Confidence, between 0 and 1.
    assumed_icc : float
        Intraclass correlation, in [0, 1]. At 1 the cells of a group are copies of each
        other, and groups of one size count as one cell each.

    Returns
    -------
    Interval
        :func:`~leukoscope.stats.binomial.clopper_pearson` of both counts scaled to
        :func:`effective_cells`, which the method says with the correlation.

    Raises
    ------
    DataError
        If the counts are not such counts.
    UsageError
        If *level* or *assumed_icc* is out of its range.
    """
    trials, effective = float(np.sum(sizes)), effective_cells(sizes, assumed_icc)
    if not trials:
        return Interval(np.nan, np.nan, np.nan, exact_method(assumed_icc))
    low, high = clopper_pearson(successes / trials * effective, effective, level)
    return Interval(successes / trials, low, high, exact_method(assumed_icc))


def effective_cells(sizes: ArrayLike, icc: float = ASSUMED_ICC) -> float:
    """Compute how many independent cells tell a share as well as cells within groups.

    Parameters
    ----------
    sizes : (g,) numbers
        Cells of each group, at least 0.
    icc : float
        Intraclass correlation of the cells of a group, in [0, 1].

    Returns
    -------
    float
        Σm divided by the :func:`design_effect` at Σm²/Σm cells a group (Kish 1965), the
        size of the group of a cell rather than of a group: 991 cells of one case and 9 of
        nine are nearly all of one. Of no cells, 0.

    Raises
    ------
    DataError
        If *sizes* are not one row of such numbers.
    UsageError
        If *icc* is out of its range.
    """
    cells: NDArray[np.float64] = np.asarray(sizes, dtype=np.float64)
    if cells.ndim != 1 or not np.isfinite(cells).all() or (cells < 0).any():
        raise DataError(
            f"Cells of groups are finite counts of at least 0, one a group; seen {cells.tolist()}. "
            "Nothing was computed."
        )
    total = float(cells.sum())
    if not total:
        return 0.0
    # A mean of calls over replicates may come to less than one in a group.
    return total / design_effect(icc, max(float((cells**2).sum()) / total, 1.0))


def with_unseen_kinds(
    rates: NDArray[np.float64],
    truth: NDArray[np.number],
    level: float = 0.95,
    assumed_icc: float = ASSUMED_ICC,
) -> NDArray[np.float64]:
    """Give each kind of call that was not seen the exact upper limit of its rate.

    Parameters
    ----------
    rates : (k, k) float
        How often each true category is called what; each row sums to 1, or to 0 without cells.
    truth : (g, k) numbers
        True cells of each group and category.
    level : float
        Confidence, between 0 and 1.
    assumed_icc : float
        Intraclass correlation of the cells of a group, in [0, 1].

    Returns
    -------
    (u, k, k) float64
        One kind a matrix, for each rate of 0 of a category with cells: 1 − tail^(1/n), n its
        :func:`effective_cells`, the upper limit of Clopper and Pearson (1934), is taken from
        the right calls as far as they reach; for right calls never seen, from all others.

    Raises
    ------
    UsageError
        If *level* or *assumed_icc* is out of its range.
    """
    cells = np.array([effective_cells(sizes, assumed_icc) for sizes in truth.T])
    kinds = np.argwhere((rates == 0) & (cells[:, None] > 0))
    moved = np.repeat(rates[None], len(kinds), axis=0)
    for matrix, (t, called) in zip(moved, kinds, strict=True):
        limit = 1 - tail_of(level) ** (1 / cells[t])
        if called == t:
            matrix[t] *= 1 - limit
        else:
            limit = min(limit, matrix[t, t])
            matrix[t, t] -= limit
        matrix[t, called] += limit
    return moved


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


def _stretched(value: float, bound: float, effect: float) -> float:
    from scipy.special import expit, logit

    if bound in {0.0, 1.0}:
        return bound
    centre = logit(value)
    return float(expit(centre + (logit(bound) - centre) * np.sqrt(effect)))
