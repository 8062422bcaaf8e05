"""Scores of groups drawn anew with replacement, many draws at once, and bounds read from them.

A draw is how often it takes each group, so that all draws are one product of matrices.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError
from leukoscope.stats.binomial import tail_of
from leukoscope.stats.concordance import Concordance
from leukoscope.stats.intervals import NO_SPREAD
from leukoscope.stats.jackknife import group_margins
from leukoscope.stats.scores import Margins, scores_of_margins


def times_taken(rng: np.random.Generator, n_draws: int, n: int) -> NDArray[np.float64]:
    """Count how often each of n is taken when n are drawn with replacement.

    Parameters
    ----------
    rng : numpy.random.Generator
        Gives n_draws · n whole numbers below n, draw by draw.
    n_draws, n : int
        Draws, and what is drawn from, at least 1.

    Returns
    -------
    (n_draws, n) float64
        Whole numbers; every row adds up to n.
    """
    picks = rng.integers(0, n, size=(n_draws, n)) + n * np.arange(n_draws)[:, None]
    return np.bincount(picks.ravel(), minlength=n_draws * n).reshape(n_draws, n).astype(np.float64)


def resampled_scores(matrices: ArrayLike, times: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Compute the scores of the pooled cells of every draw of groups.

    Parameters
    ----------
    matrices : (g, k, k) integers
        A confusion matrix for each group; rows = truth.
    times : (d, g) numbers
        How often each draw takes each group, at least 0; see :func:`times_taken`.

    Returns
    -------
    dict of str to float64 array
        The metrics of :func:`~leukoscope.stats.scores.scores`, but support: (d,) or
        (d, k). ``balanced_accuracy`` and ``macro_f`` are NaN where a draw has no true
        cells of a category that the groups have: the mean over the categories that are
        left would answer another question, as in
        :func:`~leukoscope.stats.jackknife.leave_one_out`.

    Raises
    ------
    DataError
        If *matrices* or *times* are not such counts.
    """
    groups = group_margins(matrices)
    taken = _weights(times, len(groups.truth))
    drawn = Margins(*(taken @ counts.astype(np.float64) for counts in groups))
    values = scores_of_margins(drawn)
    values.pop("support")
    lost = ((drawn.truth == 0) & (groups.truth > 0).any(axis=0)).any(axis=-1)
    for name in ("balanced_accuracy", "macro_f"):
        values[name][lost] = np.nan
    return values


def resampled_auroc(concordance: Concordance, times: ArrayLike) -> NDArray[np.float64]:
    """Compute the area under the ROC curve of the pooled cells of every draw of groups.

    Parameters
    ----------
    concordance : Concordance
        Pairs won between groups; see :func:`~leukoscope.stats.concordance.concordance`.
    times : (d, g) numbers
        How often each draw takes each group, at least 0.

    Returns
    -------
    (d,) float64
        In [0, 1]: with t the times, Σ tₐ t_b winsₐ_b / (Σ tₐ positivesₐ · Σ t_b negatives_b),
        for a group taken twice also meets itself twice. NaN where a draw has no positive or
        no negative cells.

    Raises
    ------
    DataError
        If *times* are not such numbers.
    """
    taken = _weights(times, len(concordance.positives))
    won = ((taken @ concordance.wins) * taken).sum(axis=-1)
    pairs = (taken @ concordance.positives) * (taken @ concordance.negatives)
    area = np.full(won.shape, np.nan)
    np.divide(won, pairs, out=area, where=pairs > 0)
    return area


def percentile_bounds(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Read the percentile bounds off the values of draws (Efron 1979).

    Over few groups they lie too near together: ``results/coverage`` shows by how much.

    Parameters
    ----------
    values : (d,) float
        One a draw. Draws whose value is undefined are left out.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    low, high : float
        Quantiles, by linear interpolation; NaN, NaN where no draw has a value.

    Raises
    ------
    UsageError
        If *level* is not between 0 and 1.
    """
    tail = tail_of(level)
    return _quantiles(_defined(values), tail, 1 - tail)


def bca_bounds(
    value: float, values: ArrayLike, without: ArrayLike, level: float = 0.95
) -> tuple[float, float]:
    """Read the bias-corrected and accelerated bounds off the values of draws (Efron 1987).

    Parameters
    ----------
    value : float
        The score of all groups.
    values : (d,) float
        One a draw. Draws whose value is undefined are left out.
    without : (g,) float
        The score without each group in turn, for the acceleration.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    low, high : float
        Quantiles, by linear interpolation, at Φ(z + (z + z_α) / (1 − a (z + z_α))), where
        Φ(z) is the share of draws below *value*, half of those at it included, and
        a = Σ u³ / (6 (Σ u²)^1.5) with u the mean of *without* less each of it. NaN, NaN
        where no draw has a value, all lie on one side of *value*, a left-out score is
        undefined or all are the same.

    Raises
    ------
    UsageError
        If *level* is not between 0 and 1.
    """
    from scipy.special import ndtr, ndtri

    tail, drawn = tail_of(level), _defined(values)
    below = ((drawn < value).sum() + (drawn <= value).sum()) / 2 / max(drawn.size, 1)
    acceleration = _acceleration(np.asarray(without, dtype=np.float64))
    if not 0 < below < 1 or np.isnan(acceleration):
        return np.nan, np.nan
    correction = ndtri(below)
    shifted = correction + ndtri([tail, 1 - tail])
    if (acceleration * shifted >= 1).any():
        return np.nan, np.nan
    low, high = ndtr(correction + shifted / (1 - acceleration * shifted))
    return _quantiles(drawn, float(low), float(high))


def _acceleration(without: NDArray[np.float64]) -> float:
    if without.size < 2 or np.isnan(without).any() or np.ptp(without) <= NO_SPREAD:
        return np.nan
    u = without.mean() - without
    return float((u**3).sum() / (6 * (u**2).sum() ** 1.5))


def _defined(values: ArrayLike) -> NDArray[np.float64]:
    drawn = np.asarray(values, dtype=np.float64)
    if drawn.ndim != 1:
        raise DataError(
            "Bounds are read off one value a draw, a row of numbers; seen an array of the "
            f"shape {drawn.shape}. Nothing was computed. Give one category at a time."
        )
    return drawn[~np.isnan(drawn)]


def _quantiles(drawn: NDArray[np.float64], low: float, high: float) -> tuple[float, float]:
    if drawn.size == 0:
        return np.nan, np.nan
    bounds = np.quantile(drawn, [low, high])
    return float(bounds[0]), float(bounds[1])


def _weights(times: ArrayLike, n_groups: int) -> NDArray[np.float64]:
    taken = np.asarray(times, dtype=np.float64)
    shaped = taken.ndim == 2 and taken.shape[1] == n_groups
    # min and max carry NaN through, so no mask as large as the draws is needed.
    if not shaped or (taken.size and not (taken.min() >= 0 and taken.max() < np.inf)):
        raise DataError(
            f"Draws of {n_groups} groups are rows of {n_groups} finite numbers of at least 0, "
            f"how often each group is taken; seen the shape {taken.shape}. Nothing was drawn."
        )
    return taken
