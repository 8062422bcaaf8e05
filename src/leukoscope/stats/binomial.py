"""The one interval type, and intervals of one proportion whose trials are independent."""

from dataclasses import dataclass

import numpy as np

from leukoscope.foundation.errors import DataError, UsageError


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


def wilson(successes: float, trials: float, level: float = 0.95) -> tuple[float, float]:
    """Compute Wilson's score interval of a proportion (Wilson 1927), trials independent.

    Parameters
    ----------
    successes, trials : float
        Counts, 0 ≤ successes ≤ trials.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    low, high : float
        Within [0, 1]; NaN, NaN of 0 trials.

    Raises
    ------
    DataError
        If the counts are not such counts.
    UsageError
        If *level* is not between 0 and 1.
    """
    from scipy.special import ndtri

    tail = tail_of(level)
    _check_counts(successes, trials)
    if trials == 0:
        return np.nan, np.nan
    square = float(ndtri(tail)) ** 2
    share = successes / trials
    centre = (successes + square / 2) / (trials + square)
    spread = trials * share * (1 - share) + square / 4
    half = float(np.sqrt(square * spread)) / (trials + square)
    low = 0.0 if successes == 0 else max(centre - half, 0.0)
    high = 1.0 if successes == trials else min(centre + half, 1.0)
    return low, high


def clopper_pearson(successes: float, trials: float, level: float = 0.95) -> tuple[float, float]:
    """Compute the exact interval of a proportion (Clopper and Pearson 1934), trials independent.

    Parameters
    ----------
    successes, trials : float
        Counts, 0 ≤ successes ≤ trials.
    level : float
        Confidence, between 0 and 1; the true coverage is never less.

    Returns
    -------
    low, high : float
        Within [0, 1]; NaN, NaN of 0 trials.

    Raises
    ------
    DataError
        If the counts are not such counts.
    UsageError
        If *level* is not between 0 and 1.
    """
    from scipy.special import betaincinv

    tail = tail_of(level)
    _check_counts(successes, trials)
    if trials == 0:
        return np.nan, np.nan
    failures = trials - successes
    low = betaincinv(successes, failures + 1, tail) if successes > 0 else 0.0
    high = betaincinv(successes + 1, failures, 1 - tail) if failures > 0 else 1.0
    return float(low), float(high)


def tail_of(level: float) -> float:
    """Return the probability left beyond each bound. Raises UsageError unless 0 < level < 1."""
    if not 0 < level < 1:
        raise UsageError(f"A confidence level lies between 0 and 1, as 0.95 does; seen {level}.")
    return (1 - level) / 2


def _check_counts(successes: float, trials: float) -> None:
    if not 0 <= successes <= trials < np.inf:
        raise DataError(
            f"A proportion needs 0 ≤ successes ≤ trials; seen {successes} of {trials}. "
            "Nothing was computed."
        )
