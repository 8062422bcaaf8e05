"""Scores with each group left out in turn: the raw material of every interval here."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError
from leukoscope.stats.scores import (
    AGREEMENT_METRICS,
    CATEGORY_METRICS,
    SCALAR_METRICS,
    Margins,
    cells_of_others,
    margins,
    scores_of_margins,
)

_ROUNDING = 1e-9
"""Degrees of freedom nearer together than this differ by rounding alone."""

_CHUNK_COUNTS = 1 << 20
"""Counts of matrices worked on at once: 8 MB."""

_CHUNK_GROUPS = 8192
"""Groups worked on at once: some megabytes of margins at 13 categories."""


def leave_one_out(groups: Margins) -> dict[str, NDArray[np.float64]]:
    """Compute the scores of all cells but those of one group, for each group.

    Parameters
    ----------
    groups : Margins of (g, k) integers
        Right calls, true cells and calls of each group.

    Returns
    -------
    dict of str to float64 array
        The metrics of :func:`~leukoscope.stats.scores.scores`, but support: (g,) or
        (g, k). ``balanced_accuracy`` and ``macro_f`` are NaN where a category
        loses all its true cells with the group: the mean over the categories that
        are left would answer another question. ``mcc`` and ``kappa`` are NaN where
        they are undefined for what is left.
    """
    n_groups, k = groups.truth.shape
    total = total_of(groups)
    left = {name: np.empty(n_groups) for name in (*SCALAR_METRICS, *AGREEMENT_METRICS)}
    left |= {name: np.empty((n_groups, k)) for name in CATEGORY_METRICS}
    for start in range(0, n_groups, _CHUNK_GROUPS):
        chunk = slice(start, start + _CHUNK_GROUPS)
        part = Margins(*(counts[chunk] for counts in groups))
        for name, values in _without_each(total, part).items():
            left[name][chunk] = values
    return left


def total_of(groups: Margins) -> Margins:
    """Add up the margins of groups (g, k) to those of all cells (k,)."""
    return Margins(*(counts.sum(axis=0) for counts in groups))


def group_margins(matrices: ArrayLike) -> Margins:
    """Read the margins of every group off (g, k, k) counts.

    Raises
    ------
    DataError
        If *matrices* are not whole counts of that shape.
    """
    counts = np.asarray(matrices)
    if counts.ndim != 3 or counts.dtype.kind not in "iu":
        raise DataError(
            "Grouped confusion matrices are whole counts of the shape (groups, categories, "
            f"categories); seen {counts.dtype} of the shape {counts.shape}. Nothing was scored."
        )
    return margins(counts)


def filled(groups: Margins) -> Margins:
    """Leave out the groups that have no cells: they would count as groups and tell nothing."""
    used = groups.truth.sum(axis=-1) > 0
    return groups if used.all() else Margins(*(counts[used] for counts in groups))


def cells_behind(arm: Margins, metric: str) -> NDArray[np.number]:
    """Count the cells of each group that a score speaks of, (g,) or (g, k)."""
    if metric in {*SCALAR_METRICS, *AGREEMENT_METRICS}:
        cells: NDArray[np.number] = arm.truth.sum(axis=-1)
        return cells
    if metric == "specificity":
        return cells_of_others(arm)
    by_category = {"recall": arm.truth, "precision": arm.calls, "f": arm.truth + arm.calls}
    return by_category[metric]


def jackknife_variance(left: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute (g − 1)/g Σ (x − mean x)² of scores without each group, (g, ...) to (...)."""
    n_groups = len(left)
    variance: NDArray[np.float64] = ((left - left.mean(axis=0)) ** 2).sum(axis=0)
    return variance * (n_groups - 1) / n_groups


def satterthwaite(variances: ArrayLike, n_groups: ArrayLike, most: float) -> float:
    """Compute the degrees of freedom of a sum whose parts come from different groups.

    Parameters
    ----------
    variances : (p,) float
        Variance of each part, at least 0.
    n_groups : (p,) integers
        Groups that each part is known from, at least 1.
    most : float
        Degrees that are never exceeded: one less than groups in all.

    Returns
    -------
    float
        (Σ v)² / Σ (v² / (n − 1)), at most *most* (Satterthwaite 1946); *most* itself, not
        a rounding less, where every part is known from so many groups, and where there
        is no variance. A part of one group has no degree, and leaves none if it varies.
    """
    parts, degrees = np.asarray(variances, dtype=np.float64), np.asarray(n_groups) - 1
    varying = parts > 0
    if not varying.any():
        return most
    if (degrees[varying] < 1).any():
        return 0.0
    found = parts.sum() ** 2 / (parts[varying] ** 2 / degrees[varying]).sum()
    return most if found > most - _ROUNDING else float(found)


def spread_of_rates(
    counts: NDArray[np.integer], rates: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Compute how the rates at which categories are called vary over groups.

    Parameters
    ----------
    counts : (g, k, k) integers
        A confusion matrix for each group; rows = truth.
    rates : (k, k) float
        Of all groups, each row divided by its sum.

    Returns
    -------
    spread : (k, k, k) float64
        For each true category the k × k sums of products, about their means, of its rates
        without each group in turn. Multiplied by (g − 1)/g it is their jackknife covariance.
    holding : (k,) int64
        How many groups have true cells of each category.
    """
    n_groups, k = len(counts), len(rates)
    pooled = counts.sum(axis=0, dtype=np.int64)
    spread, sums, holding = np.zeros((k, k, k)), np.zeros((k, k)), np.zeros(k, dtype=np.int64)
    n_chunk = max(_CHUNK_COUNTS // pooled.size, 1)
    for start in range(0, n_groups, n_chunk):
        rest = pooled - counts[start : start + n_chunk].astype(np.int64, copy=False)
        cells = rest.sum(axis=-1, keepdims=True)
        change = np.zeros(rest.shape)
        np.divide(rest, cells, out=change, where=cells > 0)
        change = np.where(cells > 0, change - rates, 0.0).transpose(1, 2, 0)
        spread += change @ change.transpose(0, 2, 1)
        sums += change.sum(axis=-1)
        holding += (cells[..., 0] < pooled.sum(axis=-1)).sum(axis=0)
    return spread - sums[:, :, None] * sums[:, None] / max(n_groups, 1), holding


def _without_each(total: Margins, groups: Margins) -> dict[str, NDArray[np.float64]]:
    rest = Margins(*(whole - part for whole, part in zip(total, groups, strict=True)))
    values = scores_of_margins(rest)
    values.pop("support")
    lost = ((total.truth > 0) & (rest.truth == 0)).any(axis=-1)
    for name in ("balanced_accuracy", "macro_f"):
        values[name][lost] = np.nan
    return values
