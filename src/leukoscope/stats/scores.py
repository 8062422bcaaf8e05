"""Confusion matrices and the scores read from them.

Rows are the truth, columns the calls. What a table cannot tell is NaN, never 0.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError

SCALAR_METRICS = ("accuracy", "balanced_accuracy", "macro_f")
"""The metrics of :func:`scores` that are one number a matrix, in [0, 1]."""

AGREEMENT_METRICS = ("mcc", "kappa")
"""The metrics of :func:`scores` that are one number a matrix, in [−1, 1]; 0 is chance."""

CATEGORY_METRICS = ("recall", "specificity", "precision", "f")
"""The metrics of :func:`scores` that are one number a category."""


class Margins(NamedTuple):
    """Hold all that the scores need of confusion matrices: three counts a category.

    Each is of shape (..., k): cells called rightly, true cells (row sums), calls
    (column sums).
    """

    correct: NDArray[np.number]
    truth: NDArray[np.number]
    calls: NDArray[np.number]


def confusion_matrix(
    truth: ArrayLike,
    predicted: ArrayLike,
    n_categories: int,
    weights: ArrayLike | None = None,
) -> NDArray[np.int64] | NDArray[np.float64]:
    """Count the cells of each true category under each call.

    Parameters
    ----------
    truth, predicted : (n,) integers
        Category codes from 0 to *n_categories* − 1, cell by cell.
    n_categories : int
        How many categories there are, k, whether or not all occur.
    weights : (n,) numbers, optional
        What each cell counts for; finite, at least 0. By default each counts once.

    Returns
    -------
    (k, k) int64
        Rows are the truth, columns the calls. With *weights*, float64.

    Raises
    ------
    DataError
        If a code is out of range or not an integer, or the lengths differ.
    """
    pair = _pair_codes(truth, predicted, n_categories)
    if weights is None:
        flat = np.bincount(pair, minlength=n_categories**2)
    else:
        flat = np.bincount(pair, _weights(weights, pair.size), minlength=n_categories**2)
    return flat.reshape(n_categories, n_categories)


def grouped_confusion(
    truth: ArrayLike,
    predicted: ArrayLike,
    groups: ArrayLike,
    n_categories: int,
    *,
    n_groups: int | None = None,
) -> NDArray[np.int64]:
    """Count a confusion matrix for each group of cells, a case or a family.

    Parameters
    ----------
    truth, predicted : (n,) integers
        Category codes from 0 to *n_categories* − 1, cell by cell.
    groups : (n,) integers
        Group codes from 0 to g − 1.
    n_categories : int
        How many categories there are, k.
    n_groups : int, optional
        How many groups there are, g. By default one more than the largest code, and
        then every code must occur.

    Returns
    -------
    (g, k, k) int64
        Their sum over groups is :func:`confusion_matrix` of all cells.

    Raises
    ------
    DataError
        If a code is out of range, missing, or not an integer, or the lengths differ.
    """
    pair = _pair_codes(truth, predicted, n_categories)
    group = _group_codes(groups, pair.size, n_groups)
    total = int(group.max(initial=-1)) + 1 if n_groups is None else n_groups
    size = n_categories**2
    flat = np.bincount(group * size + pair, minlength=total * size)
    return flat.reshape(total, n_categories, n_categories)


def merge(matrix: ArrayLike, labels: ArrayLike) -> NDArray[np.number]:
    """Add up the rows and columns of categories that are to be read as one.

    Parameters
    ----------
    matrix : (..., k, k) numbers
        Confusion matrices.
    labels : (k,) integers
        The new code of each old category; every code from 0 to m − 1 is used.

    Returns
    -------
    (..., m, m) array
        Merged matrices with the sum of the old ones; int64, or float64 of fractions.

    Raises
    ------
    DataError
        If *labels* does not fit the matrix or leaves a code out.
    """
    counts = _square(matrix)
    codes = _codes(labels, "new category")
    k = counts.shape[-1]
    if codes.size != k or codes.min() < 0 or set(codes.tolist()) != set(range(codes.max() + 1)):
        raise DataError(
            f"Merging {k} categories needs {k} new codes that use every number from 0 on; "
            f"seen {codes.tolist()}. Nothing was merged."
        )
    member = np.zeros((k, int(codes.max()) + 1), dtype=counts.dtype)
    member[np.arange(k), codes] = 1
    merged: NDArray[np.number] = member.T @ counts @ member
    return merged


def margins(matrix: ArrayLike) -> Margins:
    """Read right calls, true cells and calls off confusion matrices.

    Parameters
    ----------
    matrix : (..., k, k) numbers
        Confusion matrices, at least 0.

    Returns
    -------
    Margins
        Three arrays of shape (..., k); int64, or float64 of fractions.

    Raises
    ------
    DataError
        If the matrices are not square, or hold negative or non-finite numbers.
    """
    counts = _square(matrix)
    correct = np.diagonal(counts, axis1=-2, axis2=-1).copy()
    return Margins(correct, counts.sum(axis=-1), counts.sum(axis=-2))


def scores(matrix: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Compute the scores of confusion matrices.

    Parameters
    ----------
    matrix : (..., k, k) numbers
        Confusion matrices, rows = truth, columns = calls, at least 0.

    Returns
    -------
    dict of str to float64 array
        Of shape (...): ``accuracy``; ``balanced_accuracy``, the mean recall of the
        categories that have true cells; ``macro_f``, the mean F of the same
        categories; ``mcc``, the correlation of truth and calls; ``kappa``, Cohen's,
        unweighted. Of shape (..., k): ``recall``, right calls of true cells;
        ``specificity``, cells of other categories not called so, of all of these;
        ``precision``, right calls of all calls; ``f``, 2 TP / (2 TP + FP + FN);
        ``support``, true cells. Mcc and kappa lie in [−1, 1], all others but support
        in [0, 1]. NaN: anything of an empty matrix, recall without true cells,
        specificity without cells of other categories, precision without calls, F
        with neither; mcc where all cells or all calls are of one category; kappa
        where all cells and all calls are of one.

    Raises
    ------
    DataError
        If the matrices are not square, or hold negative or non-finite numbers.

    Notes
    -----
    A category that is called but has no true cells has an F of 0 which does not
    enter ``macro_f``; the false calls count against the categories they were taken
    from.

    With n cells of which c are called rightly, t true cells and p calls of each
    category, mcc is (c n − Σ t p) / √((n² − Σ t²)(n² − Σ p²)) (Gorodkin 2004, the
    correlation of two indicator matrices; for two categories that of Matthews 1975),
    and kappa is (c n − Σ t p) / (n² − Σ t p) (Cohen 1960).
    """
    return scores_of_margins(margins(matrix))


def scores_of_margins(counts: Margins) -> dict[str, NDArray[np.float64]]:
    """Compute what :func:`scores` computes, from right calls, true cells and calls alone."""
    correct, truth, calls = counts
    occurs = truth > 0
    recall = _ratio(correct, truth)
    f = _ratio(2 * correct, truth + calls)
    others = cells_of_others(counts)
    mcc, kappa = _agreement(counts)
    return {
        "accuracy": _ratio(correct.sum(axis=-1), truth.sum(axis=-1)),
        "balanced_accuracy": _mean_where(recall, occurs),
        "macro_f": _mean_where(f, occurs),
        "mcc": mcc,
        "kappa": kappa,
        "recall": recall,
        "specificity": _ratio(left_to_others(counts), others),
        "precision": _ratio(correct, calls),
        "f": f,
        "support": truth.astype(np.float64),
    }


def cells_of_others(counts: Margins) -> NDArray[np.number]:
    """Count the true cells of all other categories, (..., k): the trials of specificity."""
    others: NDArray[np.number] = counts.truth.sum(axis=-1, keepdims=True) - counts.truth
    return others


def left_to_others(counts: Margins) -> NDArray[np.number]:
    """Count the cells of other categories not called so, (..., k): its successes."""
    # Of weighted counts the difference may fall below 0 by rounding.
    left: NDArray[np.number] = np.maximum(
        cells_of_others(counts) - (counts.calls - counts.correct), 0
    )
    return left


def _agreement(counts: Margins) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # n² − Σ x² as Σ x (n − x), and so on: exactly 0 where one category holds everything, and
    # the scores exactly 1 where no cell is called wrong, of weighted counts too.
    correct, truth, calls = (part.astype(np.float64, copy=False) for part in counts)
    cells = truth.sum(axis=-1)
    calls_of_others = calls.sum(axis=-1, keepdims=True) - calls
    by_chance = (truth * calls_of_others).sum(axis=-1)
    better = by_chance - cells * (truth - correct).sum(axis=-1)
    spread = (truth * (cells[..., None] - truth)).sum(axis=-1)
    spread = spread * (calls * calls_of_others).sum(axis=-1)
    both = _ratio(better, np.sqrt(spread)), _ratio(better, by_chance)
    return np.clip(both[0], -1.0, 1.0), np.clip(both[1], -1.0, 1.0)


def _ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> NDArray[np.float64]:
    ratio = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=ratio, where=np.asarray(whole) > 0)
    return ratio


def _mean_where(values: NDArray[np.float64], used: NDArray[np.bool_]) -> NDArray[np.float64]:
    return _ratio(np.where(used, values, 0.0).sum(axis=-1), used.sum(axis=-1))


def _square(matrix: ArrayLike) -> NDArray[np.number]:
    counts = np.asarray(matrix)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2] or counts.shape[-1] == 0:
        raise DataError(
            "A confusion matrix has as many rows as columns, one a category; "
            f"seen the shape {counts.shape}. Nothing was scored."
        )
    if counts.dtype.kind not in "iuf":
        raise DataError(f"A confusion matrix holds numbers; seen {counts.dtype}.")
    # min and max carry NaN through, so no mask as large as the matrices is needed.
    if counts.size and not (counts.min() >= 0 and counts.max() < np.inf):
        raise DataError(
            "A confusion matrix holds finite counts of at least 0; seen a negative, "
            "infinite or undefined one. Nothing was scored."
        )
    # Counts kept in a few bits would overflow when added up.
    return counts.astype(np.float64 if counts.dtype.kind == "f" else np.int64, copy=False)


def _codes(values: ArrayLike, what: str) -> NDArray[np.int64]:
    codes = np.asarray(values)
    if codes.ndim != 1 or (codes.size and codes.dtype.kind not in "iu"):
        raise DataError(
            f"A {what} is an integer code, one a row; seen an array of {codes.dtype} "
            f"with the shape {codes.shape}. Nothing was counted."
        )
    return codes.astype(np.int64)


def _pair_codes(truth: ArrayLike, predicted: ArrayLike, n_categories: int) -> NDArray[np.int64]:
    rows, columns = _codes(truth, "true category"), _codes(predicted, "call")
    _same_length("predicted", columns.size, rows.size)
    _in_range(rows, n_categories, "true category")
    _in_range(columns, n_categories, "call")
    return rows * n_categories + columns


def _group_codes(groups: ArrayLike, n_cells: int, n_groups: int | None) -> NDArray[np.int64]:
    codes = _codes(groups, "group")
    _same_length("groups", codes.size, n_cells)
    if n_groups is not None:
        _in_range(codes, n_groups, "group")
    else:
        # Codes without gaps are fewer than the cells; more would ask for needless memory.
        _in_range(codes, max(n_cells, 1), "group")
        missing = np.flatnonzero(np.bincount(codes) == 0)
        if missing.size:
            raise DataError(
                f"Group codes run from 0 without gaps; {missing[0]} is missing. Nothing was "
                "counted. Number the groups anew, or say how many there are."
            )
    return codes


def _in_range(codes: NDArray[np.int64], n_codes: int, what: str) -> None:
    outside = np.flatnonzero((codes < 0) | (codes >= n_codes))
    if outside.size:
        raise DataError(
            f"A {what} lies between 0 and {n_codes - 1}; row {outside[0]} says "
            f"{codes[outside[0]]}, and {outside.size} of {codes.size} rows are outside. "
            "Nothing was counted."
        )


def _same_length(name: str, seen: int, expected: int) -> None:
    if seen != expected:
        raise DataError(
            f"{name} has {seen} rows where truth has {expected}. Nothing was counted. "
            "Join tables by cell_id before scoring."
        )


def _weights(weights: ArrayLike, n_cells: int) -> NDArray[np.float64]:
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (n_cells,) or not np.isfinite(values).all() or (values < 0).any():
        raise DataError(
            f"Weights are {n_cells} finite numbers of at least 0, one a cell; "
            f"seen the shape {values.shape}. Nothing was counted."
        )
    return values
