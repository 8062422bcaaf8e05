"""Can a reader tell two kinds of pictures apart: a test that holds whatever way one guesses."""

from fractions import Fraction
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from leukoscope.foundation.errors import DataError


def chance_p(drawn: ArrayLike, called: ArrayLike) -> float:
    """Test a reader's calls against a key that chance has mixed (Fisher 1935, two-sided).

    Parameters
    ----------
    drawn : (n,) bool
        Which pictures are drawn.
    called : (n,) bool
        Which of them the reader calls drawn.

    Returns
    -------
    float
        Twice the smaller tail, at most 1, of how many drawn ones would be among those called
        so if the key were mixed anew: hypergeometric, so exact for whoever knows how many are
        drawn and calls as many, and for whoever calls all alike. Mostly wrong counts as well
        as mostly right: both tell the kinds apart. NaN of no pictures.

    Raises
    ------
    DataError
        If the lengths differ.
    """
    is_drawn, is_called = np.asarray(drawn, dtype=bool), np.asarray(called, dtype=bool)
    if is_drawn.shape != is_called.shape or is_drawn.ndim != 1:
        raise DataError(
            f"A key and calls of equal length are expected; seen {is_drawn.shape} and "
            f"{is_called.shape}. Nothing was computed."
        )
    n, n_drawn, n_called = len(is_drawn), int(is_drawn.sum()), int(is_called.sum())
    if n == 0:
        return float("nan")
    hits = int((is_drawn & is_called).sum())
    first, last = max(0, n_drawn + n_called - n), min(n_drawn, n_called)
    ways = [comb(n_drawn, k) * comb(n - n_drawn, n_called - k) for k in range(first, last + 1)]
    below, above = sum(ways[: hits - first + 1]), sum(ways[hits - first :])
    return float(min(Fraction(1), Fraction(2 * min(below, above), comb(n, n_called))))
