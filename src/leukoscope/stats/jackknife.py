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


def _without_each(total: Margins, groups: Margins) -> dict[str, NDArray[np.float64]]:
    rest = Margins(*(whole - part for whole, part in zip(total, groups, strict=True)))
    values = scores_of_margins(rest)
    values.pop("support")
    lost = ((total.truth > 0) & (rest.truth == 0)).any(axis=-1)
    for name in ("balanced_accuracy", "macro_f"):
        values[name][lost] = np.nan
    return values
