"""What to conclude from the interval of a difference, and from several at once."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError, UsageError

Verdict = Literal["helps", "harms", "no difference larger than m", "undecided"]

LARGEST_P = 0.05
"""Of several planned comparisons, one helps or harms only up to this adjusted p value."""


def verdict(low: float, high: float, margin: float) -> Verdict:
    """Conclude from an interval of a difference (the higher the better) and a margin.

    Parameters
    ----------
    low, high : float
        Confidence bounds of other minus baseline.
    margin : float
        m, the smallest difference that matters, named before the comparison; above 0.

    Returns
    -------
    str
        ``"no difference larger than m"`` if −m < low and high < m, even where the
        interval excludes 0: a difference shown to be smaller than what was named to
        matter is no help. Else ``"helps"`` if low > 0, ``"harms"`` if high < 0, and
        ``"undecided"`` otherwise or where a bound is NaN.

    Raises
    ------
    UsageError
        If the margin is not above 0 or the bounds are the wrong way round.
    """
    if not 0 < margin < np.inf or low > high:
        raise UsageError(
            "A verdict needs a margin above 0 and low ≤ high; "
            f"seen a margin of {margin} and the bounds {low} and {high}."
        )
    if np.isnan(low) or np.isnan(high):
        return "undecided"
    if -margin < low and high < margin:
        return "no difference larger than m"
    if low > 0:
        return "helps"
    return "harms" if high < 0 else "undecided"


def outlasts_adjusting(p_adjusted: float | None, n_comparisons: int) -> bool:
    """Tell whether a help or harm still stands once several comparisons are allowed for.

    Parameters
    ----------
    p_adjusted : float or None
        Its p value, adjusted for their number; None or NaN where there is none.
    n_comparisons : int
        How many were planned; one alone has nothing to outlast.

    Returns
    -------
    bool
        The intervals are not adjusted, so that of several a p value of at most
        :data:`LARGEST_P` is asked for too.
    """
    return n_comparisons < 2 or (p_adjusted is not None and p_adjusted <= LARGEST_P)


def planned_verdict(
    bounds: tuple[float, float] | None, margin: float, p_adjusted: float | None, n_comparisons: int
) -> Verdict:
    """Conclude from one of several planned differences.

    Parameters
    ----------
    bounds : tuple of float or None
        Low and high of the difference; None where there is no interval.
    margin : float
        m, named before; above 0.
    p_adjusted, n_comparisons
        As for :func:`outlasts_adjusting`.

    Returns
    -------
    str
        What :func:`verdict` says of the bounds; a help or harm that does not outlast the
        adjusting, and anything without an interval, is undecided.

    Raises
    ------
    UsageError
        As :func:`verdict`.
    """
    found = verdict(*bounds, margin) if bounds else "undecided"
    lost = found in ("helps", "harms") and not outlasts_adjusting(p_adjusted, n_comparisons)
    return "undecided" if lost else found


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p values for their number by Holm's step-down method (Holm 1979).

    Parameters
    ----------
    p_values : (n,) float
        In [0, 1]; NaN for a comparison that could not be tested.

    Returns
    -------
    (n,) float64
        Adjusted values in the order given. NaN stays NaN and does not count: what
        was not tested cannot be rejected wrongly.

    Raises
    ------
    DataError
        If a p value lies outside [0, 1].
    """
    values = np.asarray(p_values, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(values))
    if values.ndim != 1 or (values[tested] < 0).any() or (values[tested] > 1).any():
        raise DataError(f"p values lie between 0 and 1, in one row; seen {values.tolist()}.")
    adjusted = np.full(values.shape, np.nan)
    order = tested[np.argsort(values[tested], kind="stable")]
    steps = values[order] * np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
