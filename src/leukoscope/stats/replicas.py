"""The tests the papers used, as they used them: to repeat their numbers, not to decide by.

Each takes cells, or rounds of training, for independent. Cells of one case are not, and
rounds that share training cells are not; so each says more than the data do. Two models are
compared by :func:`~leukoscope.stats.fixed.fixed_difference` and
:func:`~leukoscope.stats.sign_flip.sign_flip`, over cases.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.stats.binomial import tail_of
from leukoscope.stats.intervals import NO_SPREAD


def mcnemar_exact(only_baseline: int, only_other: int) -> float:
    """Compute the exact two-sided p value of McNemar's test: a sign test of discordant cells.

    Parameters
    ----------
    only_baseline, only_other : int
        Cells that one model alone calls rightly; at least 0.

    Returns
    -------
    float
        Twice the smaller binomial tail at one half, at most 1; 1 without such cells.

    Raises
    ------
    DataError
        If the counts are not such counts.

    Notes
    -----
    Wrong where cells come from cases: it counts each as if it were a case, and finds
    differences that other cases would not show. Right where every cell is from another
    person. It tests accuracy, which under an uneven mix says little: a boundary shifted
    towards the common category is a difference too.
    """
    from scipy.special import bdtr

    _check_discordant(only_baseline, only_other)
    n_discordant = only_baseline + only_other
    tail = float(bdtr(min(only_baseline, only_other), n_discordant, 0.5))
    return min(1.0, 2 * tail)


def mcnemar_chi_squared(
    only_baseline: int, only_other: int, *, corrected: bool = True
) -> tuple[float, float]:
    """Compute McNemar's χ² with one degree of freedom (McNemar 1947), and its p value.

    Parameters
    ----------
    only_baseline, only_other : int
        Cells that one model alone calls rightly; at least 0.
    corrected : bool
        Whether to take 1 off the absolute difference of the counts (Edwards 1948).

    Returns
    -------
    statistic, p_value : float
        0 and 1 where the counts are equal.

    Raises
    ------
    DataError
        If the counts are not such counts.

    Notes
    -----
    Wrong where :func:`mcnemar_exact` is, and besides for few discordant cells (below
    25 or so), where χ² is a poor picture of the binomial.
    """
    from scipy.special import chdtrc

    _check_discordant(only_baseline, only_other)
    apart = abs(only_baseline - only_other)
    if apart == 0:
        return 0.0, 1.0
    statistic = (apart - 1 if corrected else apart) ** 2 / (only_baseline + only_other)
    return statistic, float(chdtrc(1, statistic))


def wald(share: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Compute the textbook interval of a proportion, share ± z √(share (1 − share)/n).

    Parameters
    ----------
    share : float
        In [0, 1].
    n : int
        Trials, at least 1.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    low, high : float
        Not clipped: they may lie below 0 or above 1.

    Raises
    ------
    DataError
        If the share or the number of trials is not such a number.
    UsageError
        If *level* is not between 0 and 1.

    Notes
    -----
    Wrong where cells come from cases, as it takes them for independent; and, even where
    they are, near 0 and 1 and for small n, where it covers too rarely and has no width
    at all for a share of 0 or 1 (Brown, Cai and DasGupta 2001).
    :func:`~leukoscope.stats.binomial.wilson` mends the second fault, and
    :func:`~leukoscope.stats.intervals.grouped_intervals` the first. Two such intervals
    that overlap do not show that two models are alike, least of all on the same cells.
    """
    from scipy.special import ndtri

    tail = tail_of(level)
    if not (0 <= share <= 1 and 1 <= n < np.inf):
        raise DataError(
            f"A proportion lies in [0, 1] and has at least 1 trial; seen {share} of {n}. "
            "Nothing was computed."
        )
    half = float(ndtri(1 - tail)) * float(np.sqrt(share * (1 - share) / n))
    return share - half, share + half


def paired_t(baseline: ArrayLike, other: ArrayLike) -> tuple[float, float, float]:
    """Compute the paired t test (Student 1908) of other minus baseline, two-sided.

    Parameters
    ----------
    baseline, other : (m,) float
        Scores in pairs: of the same category, case, or round of training.

    Returns
    -------
    t, degrees, p_value : float
        m − 1 degrees. All differences 0: t is 0 and p is 1. The same other
        difference in every pair, or fewer than two pairs: t and p are NaN.

    Raises
    ------
    DataError
        If the rows differ in length or hold what is not finite.

    Notes
    -----
    It is as right as its pairs are independent draws of what the answer is meant for.
    Over categories it is wrong: six categories are no sample of categories, and a
    verdict over them says nothing of new cases. Over cross-validation folds or
    resamplings it is wrong: they share training cells, so their spread is too small
    (see :func:`nadeau_bengio`). Over cases it weighs a case of 5 cells as one of 500.
    """
    before, after = _row(baseline, "baseline"), _row(other, "other")
    if before.size != after.size:
        raise DataError(
            f"A paired test needs pairs; seen {before.size} scores of the baseline and "
            f"{after.size} of the other. Nothing was tested."
        )
    return _one_sample_t(after - before, 1.0)


def nadeau_bengio(differences: ArrayLike, n_train: int, n_test: int) -> tuple[float, float, float]:
    """Compute the corrected resampled t test (Nadeau and Bengio 2003), two-sided.

    Parameters
    ----------
    differences : (r,) float
        The difference of two ways of training in each of r random splits of one set.
    n_train, n_test : int
        Cells (where cells are split), or cases (where cases are), in the training part
        and in the test part of every split; at least 1.

    Returns
    -------
    t, degrees, p_value : float
        t = mean / √((1/r + n_test/n_train) s²), with r − 1 degrees. Degenerate
        differences are handled as in :func:`paired_t`.

    Raises
    ------
    DataError
        If *differences* is not one row of finite numbers.
    UsageError
        If a size is below 1.

    Notes
    -----
    The splits overlap, so their spread alone would shrink towards 0 with their
    number; n_test/n_train stands in for the correlation that this makes. It is a guess,
    good where the trained models change little with their training cells. Wrong where
    the splits part cells of one case, which no factor mends; and it speaks of ways of
    training on sets like this one, not of two trained models.
    """
    if not (1 <= n_train < np.inf and 1 <= n_test < np.inf):
        raise UsageError(
            "The corrected resampled t test needs at least 1 training and 1 test cell; "
            f"seen {n_train} and {n_test}."
        )
    values = _row(differences, "differences")
    return _one_sample_t(values, 1 + values.size * n_test / n_train)


def _one_sample_t(values: NDArray[np.float64], inflation: float) -> tuple[float, float, float]:
    """Test a mean against 0, the squared standard error multiplied by *inflation*."""
    from scipy.special import stdtr

    degrees = float(values.size - 1)
    if values.size < 2:
        return np.nan, degrees, np.nan
    if np.ptp(values) <= NO_SPREAD:
        alike = np.abs(values).max() <= NO_SPREAD
        return (0.0, degrees, 1.0) if alike else (np.nan, degrees, np.nan)
    error = np.sqrt(values.var(ddof=1) / values.size * inflation)
    t = float(values.mean() / error)
    return t, degrees, 2 * float(stdtr(degrees, -abs(t)))


def _row(values: ArrayLike, name: str) -> NDArray[np.float64]:
    row = np.asarray(values, dtype=np.float64)
    if row.ndim != 1 or not np.isfinite(row).all():
        raise DataError(
            f"{name} is one row of finite numbers; seen {row.tolist()}. Nothing was tested."
        )
    return row


def _check_discordant(only_baseline: int, only_other: int) -> None:
    counts = (only_baseline, only_other)
    if not all(0 <= count < np.inf and count == int(count) for count in counts):
        raise DataError(
            "McNemar's test needs two whole counts of at least 0, the cells that one model "
            f"alone calls rightly; seen {only_baseline} and {only_other}. Nothing was tested."
        )
