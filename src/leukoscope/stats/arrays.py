"""Scores, probabilities and groups of cells, checked before anything is computed from them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError

_ROUNDING = 1e-6
"""How far outside [0, 1] a stored probability may lie."""

_SUM_ROUNDING = 1e-3
"""How far from 1 the probabilities of a cell may add up: a table may hold few decimals."""


def cell_numbers(values: ArrayLike, what: str) -> NDArray[np.float64]:
    """Read one number a cell; infinite ones rank like others, undefined ones do not.

    Parameters
    ----------
    values : (n,) numbers
        A score, loss or confidence of each cell.
    what : str
        Its name in the plural, for the error.

    Returns
    -------
    (n,) float64

    Raises
    ------
    DataError
        If they are not numbers in one row, or one is NaN.
    """
    found = np.asarray(values)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iuf"):
        raise DataError(
            f"The {what} are one number a cell; seen an array of {found.dtype} with the shape "
            f"{found.shape}. Nothing was computed."
        )
    undefined = np.flatnonzero(np.isnan(found.astype(np.float64)))
    if undefined.size:
        raise DataError(
            f"{undefined.size} of {found.size} {what} are undefined (NaN), the first in row "
            f"{undefined[0]}. Nothing was computed. Leave those cells out of every table, or "
            "predict them again."
        )
    return found.astype(np.float64)


def cell_shares(values: ArrayLike, what: str) -> NDArray[np.float64]:
    """Read one number in [0, 1] a cell; what rounding put outside by 1e-6 is put back.

    Raises
    ------
    DataError
        As :func:`cell_numbers`, or if one lies outside [0, 1].
    """
    found = cell_numbers(values, what)
    outside = np.flatnonzero((found < -_ROUNDING) | (found > 1 + _ROUNDING))
    if outside.size:
        raise DataError(
            f"The {what} lie between 0 and 1; row {outside[0]} says {found[outside[0]]:.6g}, and "
            f"{outside.size} of {found.size} are outside. Nothing was computed."
        )
    return found.clip(0, 1)


def cell_flags(values: ArrayLike, what: str, n_cells: int) -> NDArray[np.bool_]:
    """Read one truth value a cell.

    Raises
    ------
    DataError
        If they are not *n_cells* truth values in one row. Codes are not taken for them:
        a category's code says something else.
    """
    found = np.asarray(values)
    if found.shape != (n_cells,) or (n_cells and found.dtype != np.bool_):
        raise DataError(
            f"{what} is True or False for each of {n_cells} cells; seen an array of "
            f"{found.dtype} with the shape {found.shape}. Nothing was computed."
        )
    return found.astype(np.bool_)


def cell_codes(values: ArrayLike, what: str, n_cells: int, n_codes: int) -> NDArray[np.int64]:
    """Read one code from 0 to *n_codes* − 1 a cell.

    Raises
    ------
    DataError
        If they are not *n_cells* such whole numbers in one row.
    """
    found = np.asarray(values)
    if found.shape != (n_cells,) or (n_cells and found.dtype.kind not in "iu"):
        raise DataError(
            f"A {what} is a whole number, one for each of {n_cells} cells; seen an array of "
            f"{found.dtype} with the shape {found.shape}. Nothing was computed. Join tables by "
            "cell_id first."
        )
    outside = np.flatnonzero((found < 0) | (found >= n_codes))
    if outside.size:
        raise DataError(
            f"A {what} lies between 0 and {n_codes - 1}; row {outside[0]} says "
            f"{found[outside[0]]}, and {outside.size} of {n_cells} rows are outside. Nothing was "
            "computed."
        )
    return found.astype(np.int64)


def cell_weights(weights: ArrayLike | None, n_cells: int) -> NDArray[np.float64]:
    """Read what each cell counts for, by default 1.

    Raises
    ------
    DataError
        If they are not *n_cells* finite numbers of at least 0.
    """
    found = np.ones(n_cells) if weights is None else np.asarray(weights, dtype=np.float64)
    if found.shape != (n_cells,) or not np.isfinite(found).all() or (found < 0).any():
        raise DataError(
            f"Weights are {n_cells} finite numbers of at least 0, one a cell; seen the shape "
            f"{found.shape}. Nothing was computed."
        )
    return found


def scored_cells(
    scores: ArrayLike, positive: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Read the score of each cell and whether it is positive. Raises DataError as the parts do."""
    found = cell_numbers(scores, "scores")
    return found, cell_flags(positive, "Whether a cell is positive", found.size)


def forecast_cells(
    probabilities: ArrayLike, truth: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read a probability for each category of each cell, and the true categories.

    Parameters
    ----------
    probabilities : (n, k) numbers
        In [0, 1], each row with the sum 1 to within 1e-3. Rows are not scaled to it.
    truth : (n,) integers
        Category codes from 0 to k − 1.

    Returns
    -------
    probabilities : (n, k) float64
    truth : (n,) int64

    Raises
    ------
    DataError
        If they are not of these shapes, a probability is NaN or outside [0, 1], a row adds
        up to something else, or a code is out of range.
    """
    found = np.asarray(probabilities)
    if found.ndim != 2 or found.shape[1] == 0 or found.dtype.kind not in "iuf":
        raise DataError(
            "Forecasts are probabilities, one row a cell and one column a category; seen an "
            f"array of {found.dtype} with the shape {found.shape}. Nothing was computed."
        )
    shares = found.astype(np.float64)
    sums = shares.sum(axis=1)
    # A comparison with NaN is false, so that what is missing is odd too.
    usual = ((shares >= -_ROUNDING) & (shares <= 1 + _ROUNDING)).all(axis=1)
    odd = np.flatnonzero(~(usual & (np.abs(sums - 1) <= _SUM_ROUNDING)))
    if odd.size:
        first = shares[odd[0]]
        raise DataError(
            f"The probabilities of row {odd[0]} are not of [0, 1] with the sum 1, and so are those "
            f"of {odd.size} of {sums.size} rows in all: they run from {first.min():.6g} to "
            f"{first.max():.6g} and add up to {first.sum():.6g} (nan: one is missing). Nothing "
            "was computed."
        )
    return shares.clip(0, 1), cell_codes(truth, "true category", *shares.shape)


def numbered(groups: ArrayLike, n_cells: int) -> tuple[NDArray[np.int64], int]:
    """Number the groups that have cells anew, from 0 without gaps, in the order of their codes.

    Parameters
    ----------
    groups : (n,) integers
        Group codes of at least 0; some may not occur.
    n_cells : int
        How many cells there are, n.

    Returns
    -------
    codes : (n,) int64
    n_groups : int

    Raises
    ------
    DataError
        If they are not *n_cells* such whole numbers in one row.
    """
    codes = cell_codes(groups, "group", n_cells, np.iinfo(np.int64).max)
    occurring, anew = np.unique(codes, return_inverse=True)
    return anew.astype(np.int64), occurring.size
