"""The one number that logits are divided by so that probabilities mean what they say."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from leukoscope.foundation.errors import DataError

FEWEST_CELLS = 20
"""Fewer calibration cells say too little about how sure a model should be."""

_LOG_RANGE = (-5.0, 5.0)
"""Where the logarithm of a temperature is looked for, beside the spread of the logits."""

_AT_THE_END = 1e-3
"""So near to an end of that range, the best temperature lies beyond it."""


def fit_temperature(logits: ArrayLike, codes: ArrayLike) -> float:
    """Find the temperature at which a model's probabilities are most likely to be right.

    Parameters
    ----------
    logits : (n, k) numbers
        What a model answered of each calibration cell.
    codes : (n,) integers
        The true category of each, from 0 to k - 1.

    Returns
    -------
    float
        Above 0. Logits divided by it have the least mean negative log-likelihood; those of
        another scale have a temperature larger by as much. 1 where no temperature is best: all
        calls are right with room to spare, so that surer is always likelier; all logits of each
        cell are equal; or they tell nothing, so that less sure is always likelier.

    Raises
    ------
    DataError
        If there are fewer than 20 cells or fewer than two true categories among them, or an
        array is not of that kind.

    Notes
    -----
    Source: Guo, Pleiss, Sun and Weinberger 2017, On calibration of modern neural networks. In
    1 / T the loss is convex, so that the one minimum found on log T is the only one.
    """
    told, truth = _checked(logits, codes)
    told = told - told.mean(axis=1, keepdims=True)
    spread = float(np.sqrt(np.mean(told**2)))
    of_truth = np.take_along_axis(told, truth[:, None], axis=1)
    if not spread or (of_truth == told.max(axis=1, keepdims=True)).all():
        return 1.0

    def loss(log_temperature: float) -> float:
        divided = told / (spread * np.exp(log_temperature))
        right = of_truth[:, 0] / (spread * np.exp(log_temperature))
        return float(np.mean(logsumexp(divided, axis=1) - right))

    found = minimize_scalar(loss, bounds=_LOG_RANGE, method="bounded", options={"xatol": 1e-9})
    if abs(found.x) > max(_LOG_RANGE) - _AT_THE_END:
        return 1.0
    return spread * float(np.exp(found.x))


def _checked(logits: ArrayLike, codes: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    told, truth = np.asarray(logits, dtype=np.float64), np.asarray(codes)
    if told.ndim != 2 or truth.shape != told.shape[:1] or not np.isfinite(told).all():
        raise DataError(
            "A temperature is fitted on finite logits of shape (n, k) and n codes; seen "
            f"{told.shape} and {truth.shape}. Nothing was fitted."
        )
    if truth.dtype.kind not in "iu" or (
        truth.size and not 0 <= truth.min() <= truth.max() < told.shape[1]
    ):
        raise DataError(
            f"Codes are whole numbers from 0 to {told.shape[1] - 1}. Nothing was fitted."
        )
    n_true = len(np.unique(truth))
    if len(truth) < FEWEST_CELLS or n_true < 2:
        raise DataError(
            f"A temperature needs {FEWEST_CELLS} calibration cells of two categories or more; "
            f"there are {len(truth)} of {n_true}. Nothing was fitted. Give calibration a larger "
            "share of the split, or leave calibrate: false."
        )
    return told, truth.astype(np.int64)
