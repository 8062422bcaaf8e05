"""Learning curves read by rule instead of by eye."""

import numpy as np
from numpy.typing import ArrayLike

from leukoscope.foundation.errors import UsageError


def converged_at(values: ArrayLike, *, window: int = 10, tolerance: float = 0.01) -> int | None:
    """Find where a curve first comes within a tolerance of its final level.

    Parameters
    ----------
    values : (n,) float
        A loss or a score at n successive places.
    window : int
        How many values the trailing mean takes in, at least 1.
    tolerance : float
        The distance allowed, as a fraction of the final level; at least 0.

    Returns
    -------
    int or None
        The index of the first place whose smoothed value s_i satisfies
        |s_i − s_last| ≤ tolerance · |s_last|. None for fewer than 2 values or where
        one is not finite: the rule cannot be applied.

    Raises
    ------
    UsageError
        If *window* is below 1 or *tolerance* below 0.

    Notes
    -----
    s_i is the mean of the value at i and up to *window* − 1 before it; near the start
    there are fewer. Convergence is what the rule names, not rest: a curve that crosses
    its final level and comes back has its first crossing found, and one that still
    falls at its end has some place near its end found.

    With fewer than two windows of values the window is half their number (at least
    1). Otherwise the final level would be a mean that reaches back to the start of the
    curve, no level that was ever reached, and the rule would be met too soon.
    """
    if window < 1 or not 0 <= tolerance < np.inf:
        raise UsageError(
            "Convergence needs a window of at least 1 value and a tolerance of at least 0; "
            f"seen {window} and {tolerance}."
        )
    curve = np.asarray(values, dtype=np.float64)
    if curve.size < 2 or not np.isfinite(curve).all():
        return None
    width = min(window, curve.size // 2)
    smoothed = np.array([curve[max(i + 1 - width, 0) : i + 1].mean() for i in range(curve.size)])
    near = np.abs(smoothed - smoothed[-1]) <= tolerance * abs(smoothed[-1])
    return int(near.argmax())
