"""Several readers of the same cells: their majority, and how far they agree beyond chance."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError
from leukoscope.stats.intervals import Interval, jackknife_agreement
from leukoscope.stats.jackknife import group_margins, leave_one_out, total_of
from leukoscope.stats.scores import grouped_confusion, scores_of_margins

Codes = NDArray[np.int64]

NOT_READ = -1
"""The code of a cell that a reader did not read, and of a cell without a majority."""


def majority(labels: ArrayLike) -> Codes:
    """Find the category that more than half of a cell's readers call it.

    Parameters
    ----------
    labels : (n, r) integers
        A row a cell, a column a reader: category codes from 0 on, −1 where the reader did
        not read the cell.

    Returns
    -------
    (n,) int64
        −1 where no category has more than half of those who read the cell, as where two
        of two readers differ, and where none did. The order of readers says nothing.

    Raises
    ------
    DataError
        If *labels* are not such codes.
    """
    read = np.sort(_labels(labels, lowest=NOT_READ), axis=1)
    n, r = read.shape
    if r == 0:
        return np.full(n, NOT_READ, dtype=np.int64)
    readers = (read != NOT_READ).sum(axis=1)
    # Sorted, what more than half say stands in the middle of those who read.
    middle = np.minimum(r - readers + readers // 2, r - 1)
    candidate = read[np.arange(n), middle]
    votes = (read == candidate[:, None]).sum(axis=1)
    return np.where(2 * votes > readers, candidate, NOT_READ)


def cohen_kappa_interval(
    first: ArrayLike, second: ArrayLike, groups: ArrayLike, n_categories: int, level: float = 0.95
) -> Interval:
    """Compute the agreement of two readers beyond chance, with its interval (Cohen 1960).

    Parameters
    ----------
    first, second : (n,) integers
        What each reader calls each cell: codes from 0 to *n_categories* − 1. A cell that
        one of them did not read is left out before.
    groups : (n,) integers
        Which cells belong together, to a case or a family: those of equal numbers.
    n_categories : int
        How many categories there are.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    Interval
        (share alike − share alike by chance) / (1 − share alike by chance), the chance from
        what each reader calls how often; in [−1, 1]. Bounds by
        :func:`~leukoscope.stats.intervals.jackknife_agreement` over groups, for these two
        readers and other cases. NaN, with the reason, where both call every cell alike by
        one name; the bounds for one group and for a kappa of exactly 1.

    Raises
    ------
    DataError
        If codes are out of range or lengths differ.
    UsageError
        If *level* is not between 0 and 1.
    """
    matrices = grouped_confusion(first, second, _numbered(groups), n_categories)
    counts = group_margins(matrices)
    value = float(scores_of_margins(total_of(counts))["kappa"])
    return jackknife_agreement(value, leave_one_out(counts)["kappa"], level)


def fleiss_kappa(labels: ArrayLike, n_categories: int) -> float:
    """Compute the agreement of several readers beyond chance (Fleiss 1971).

    Parameters
    ----------
    labels : (n, r) integers
        A row a cell, r ≥ 2 calls of it, without gaps: codes from 0 to *n_categories* − 1.
        Which reader stands in which column says nothing.
    n_categories : int
        How many categories there are.

    Returns
    -------
    float
        (share of pairs of readers alike − share alike by chance) / (1 − share alike by
        chance), the chance from what all readers together call how often; in
        [−1/(r − 1), 1]. NaN of no cells, and where all calls are of one category.

    Raises
    ------
    DataError
        If *labels* are not such codes.
    """
    calls = _calls(labels, n_categories)
    return float(_fleiss(_alike(calls).sum(), calls.sum(axis=0), _n_readers(labels)))


def fleiss_kappa_interval(
    labels: ArrayLike, groups: ArrayLike, n_categories: int, level: float = 0.95
) -> Interval:
    """Compute :func:`fleiss_kappa` with its interval, cells within groups.

    Parameters
    ----------
    labels : (n, r) integers
        As for :func:`fleiss_kappa`.
    groups : (n,) integers
        Which cells belong together, to a case or a family: those of equal numbers.
    n_categories : int
        How many categories there are.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    Interval
        Bounds by :func:`~leukoscope.stats.intervals.jackknife_agreement` over groups, for
        these readers and other cases; NaN with the reason as for
        :func:`cohen_kappa_interval`.

    Raises
    ------
    DataError
        If *labels* are not such codes or *groups* not one a cell.
    UsageError
        If *level* is not between 0 and 1.
    """
    calls, r = _calls(labels, n_categories), _n_readers(labels)
    codes = _numbered(groups)
    if codes.shape != calls.shape[:1]:
        raise DataError(
            f"groups has {codes.size} rows where labels has {len(calls)}. Nothing was computed. "
            "Join tables by cell_id before scoring."
        )
    n_groups = int(codes.max(initial=-1)) + 1
    alike = np.zeros(n_groups, dtype=np.int64)
    of_group = np.zeros((n_groups, n_categories), dtype=np.int64)
    np.add.at(alike, codes, _alike(calls))
    np.add.at(of_group, codes, calls)
    left = _fleiss(alike.sum() - alike, of_group.sum(axis=0) - of_group, r)
    value = float(_fleiss(alike.sum(), of_group.sum(axis=0), r))
    return jackknife_agreement(value, left, level)


def _fleiss(alike: Codes | np.int64, calls: Codes, r: int) -> NDArray[np.float64]:
    """Compute kappa from ordered pairs alike (...) and calls of each category (..., k)."""
    total = calls.sum(axis=-1)
    # In whole numbers, so that readers who never differ come to exactly 1.
    by_chance = (r - 1) * (calls * (total[..., None] - calls)).sum(axis=-1)
    better = by_chance - total * ((r - 1) * total - alike)
    kappa = np.full(np.shape(total), np.nan)
    np.divide(better, by_chance, out=kappa, where=by_chance > 0)
    return kappa


def _alike(calls: Codes) -> Codes:
    """Count the ordered pairs of readers who call a cell alike, (n,)."""
    pairs: Codes = (calls * (calls - 1)).sum(axis=1)
    return pairs


def _calls(labels: ArrayLike, n_categories: int) -> Codes:
    """Count how many readers call each cell each category, (n, k)."""
    codes = _labels(labels, lowest=0)
    n, r = codes.shape
    if r < 2 or codes.max(initial=-1) >= n_categories:
        raise DataError(
            f"Agreement needs at least 2 readers and codes from 0 to {n_categories - 1}; seen "
            f"{r} readers and codes up to {codes.max(initial=-1)}. Nothing was computed."
        )
    places = np.arange(n)[:, None] * n_categories + codes
    flat = np.bincount(places.ravel(), minlength=n * n_categories)
    return flat.reshape(n, n_categories)


def _n_readers(labels: ArrayLike) -> int:
    return int(np.asarray(labels).shape[1])


def _labels(labels: ArrayLike, *, lowest: int) -> Codes:
    codes = np.asarray(labels)
    if codes.ndim != 2 or (codes.size and codes.dtype.kind not in "iu"):
        raise DataError(
            "Readers' labels are integer codes, a row a cell and a column a reader; seen "
            f"{codes.dtype} of the shape {codes.shape}. Nothing was computed."
        )
    whole = codes.astype(np.int64)
    odd = np.flatnonzero((whole < lowest).any(axis=1))
    if odd.size:
        gap = " Leave out the cells that not every reader read." if lowest == 0 else ""
        raise DataError(
            f"Readers' codes are at least {lowest}; row {odd[0]} says {whole[odd[0]].min()}, and "
            f"{odd.size} of {len(whole)} rows are lower. Nothing was computed.{gap}"
        )
    return whole


def _numbered(groups: ArrayLike) -> Codes:
    codes = np.asarray(groups)
    if codes.ndim != 1 or (codes.size and codes.dtype.kind not in "iu"):
        raise DataError(
            f"A group is an integer code, one a cell; seen {codes.dtype} of the shape "
            f"{codes.shape}. Nothing was computed."
        )
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)
