"""Scores at another mix of categories than the test set's own.

Precision, F and whatever counts cells of several categories depend on how common each is;
how the cells of one category are called does not. Recall and balanced accuracy are therefore
the same at every mix, and not repeated here.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError
from leukoscope.stats.binomial import tail_of
from leukoscope.stats.intervals import Interval, jackknife_agreement, jackknife_logit
from leukoscope.stats.jackknife import group_margins
from leukoscope.stats.scores import AGREEMENT_METRICS, margins, merge, scores_of_margins

_WHOLE = ("accuracy", "macro_f", *AGREEMENT_METRICS)
_BY_CATEGORY = ("specificity", "precision", "f")

_Scores = dict[str, NDArray[np.float64]]

_CHUNK_COUNTS = 1 << 20
"""Counts of left-out matrices worked on at once: 8 MB, whatever the number of groups."""

_ROUNDING = 1e-10
"""A reweighted score nearer than this to −1, 0 or 1 is taken for it: else the rounding of the
weights would be read as a logit."""

_SUM_ROUNDING = 1e-3
"""Probabilities of single precision, or written to a few digits, add up to 1 within this."""


def reweighted(matrices: ArrayLike, mix: ArrayLike) -> NDArray[np.float64]:
    """Weight the cells of each true category so that all together have a stated mix.

    Parameters
    ----------
    matrices : (..., k, k) numbers
        Confusion matrices of a test set, one a group or one of all; rows = truth.
    mix : (k,) numbers
        How common each category is to be, as shares or counts, at least 0.

    Returns
    -------
    (..., k, k) float64
        Row i of every matrix times one weight, such that the true cells of the sum of
        all matrices come in the proportions of *mix* and stay as many. At the test
        set's own counts nothing changes.

    Raises
    ------
    DataError
        If *mix* is not such shares, if it names a category the test set has no cell of,
        or gives none to one it has, or if the matrices are not counts.

    Notes
    -----
    The model's calls of a category's cells are assumed to be the same wherever that
    category is rarer or more common (prior shift; Saerens, Latinne and Decaestecker
    2002); another laboratory's cells may differ in more than their mix.
    """
    counts = np.asarray(matrices)
    truth = margins(counts).truth
    pooled = truth.reshape(-1, truth.shape[-1]).sum(axis=0)
    shares = _shares(mix, pooled)
    scaled = np.zeros(pooled.shape)
    np.divide(shares * pooled.sum(), pooled * shares.sum(), out=scaled, where=pooled > 0)
    return np.asarray(counts * scaled[:, None], dtype=np.float64)


def prevalence_intervals(
    matrices: ArrayLike,
    mix: ArrayLike,
    level: float = 0.95,
    *,
    labels: ArrayLike | None = None,
) -> dict[str, Interval | list[Interval]]:
    """Compute every score that depends on the mix at a stated one, cells within groups.

    The estimand is the score of the pooled cells reweighted to the mix, for the
    population the groups were drawn from, the mix taken as known.

    Parameters
    ----------
    matrices : (g, k, k) integers
        A confusion matrix for each group, a case or a family; rows = truth.
    mix : (k,) numbers
        As for :func:`reweighted`.
    level : float
        Confidence, between 0 and 1.
    labels : (k,) integers, optional
        Categories to be read as one, as for :func:`~leukoscope.stats.scores.merge`,
        merged after weighting: a mix stated for the finer categories then holds
        within the merged ones too (where it moves recall as well, a little).

    Returns
    -------
    dict of str to Interval, or to a list of them, one a category
        ``accuracy``, ``macro_f``, ``mcc`` and ``kappa``; by category ``specificity``,
        ``precision`` and ``f``. Intervals are
        :func:`~leukoscope.stats.intervals.jackknife_logit`, of mcc and kappa
        :func:`~leukoscope.stats.intervals.jackknife_agreement`; what is left without a
        group is weighted to the mix anew. Every group with cells counts, as each has
        a part in the rates that a score is made of. Bounds are NaN, with the reason,
        as there; a score of exactly 0 or 1 has no exact method at a stated mix,
        since its cells count differently.

    Raises
    ------
    DataError
        As :func:`reweighted`, or if *matrices* are not whole counts of that shape, or
        *labels* do not fit them.
    UsageError
        If *level* is not between 0 and 1.
    """
    tail_of(level)
    counts = np.asarray(matrices)
    used = np.flatnonzero(group_margins(counts).truth.sum(axis=-1) > 0)
    pooled = counts.sum(axis=0, dtype=np.int64)
    shares = _shares(mix, pooled.sum(axis=-1))
    score = partial(_scores_at, shares=shares, labels=labels)
    values, left = score(pooled), _without_each(counts, used, score)
    found: dict[str, Interval | list[Interval]] = {}
    for name in _WHOLE:
        found[name] = _interval(name, float(values[name]), left[name], level)
    for name in _BY_CATEGORY:
        found[name] = [
            _interval(name, float(value), left[name][:, c], level)
            for c, value in enumerate(values[name])
        ]
    return found


def repriored(
    probabilities: ArrayLike, assumed: ArrayLike, stated: ArrayLike
) -> NDArray[np.float64]:
    """Turn a model's probabilities to what they would be at another mix of categories.

    Parameters
    ----------
    probabilities : (n, k) float
        Of each cell and category, in [0, 1]; rows sum to 1.
    assumed : (k,) numbers
        The mix the probabilities rest on, as shares or counts: that of the training
        cells, as the loss weighted them.
    stated : (k,) numbers
        The mix wanted, as shares or counts; of 0, the category is ruled out.

    Returns
    -------
    (n, k) float64
        Proportional to p · stated / assumed in each row, which sums to 1 (Saerens,
        Latinne and Decaestecker 2002, the case of known priors).

    Raises
    ------
    DataError
        If a mix is not shares or wants a category that the other gives none, if the
        probabilities are not such, or if all that a row holds possible is ruled out.
    """
    old = _probabilities(probabilities)
    before, after = _mix(assumed, old.shape[1]), _mix(stated, old.shape[1])
    unknown = np.flatnonzero((before == 0) & (after > 0))
    if unknown.size:
        raise DataError(
            f"The stated mix holds category {unknown[0]}, which the assumed one gives no share: "
            "probabilities cannot be turned to it. Nothing was changed. State the mix the model "
            "was trained at."
        )
    ratio = np.zeros(before.shape)
    np.divide(after / after.sum(), before / before.sum(), out=ratio, where=before > 0)
    new = old * ratio
    total = new.sum(axis=1, keepdims=True)
    lost = np.flatnonzero(~(total[:, 0] > 0))
    if lost.size:
        raise DataError(
            f"Row {lost[0]} holds only categories possible that the stated mix rules out, and so "
            f"do {lost.size} of {total.size} rows. Nothing was changed."
        )
    return np.asarray(new / total, dtype=np.float64)


def _scores_at(
    matrices: NDArray[np.int64], shares: NDArray[np.float64], labels: ArrayLike | None
) -> _Scores:
    """Score matrices, (..., k, k), each weighted to the shares; NaN where one cannot be."""
    truth = matrices.sum(axis=-1)
    weights = np.zeros(truth.shape)
    np.divide(shares, truth, out=weights, where=truth > 0)
    weighted: NDArray[np.number] = matrices * weights[..., None]
    if labels is not None:
        weighted = merge(weighted, labels)
    found = scores_of_margins(margins(weighted))
    lost = ((shares > 0) & (truth == 0)).any(axis=-1)
    return {name: _settled(found[name], lost) for name in (*_WHOLE, *_BY_CATEGORY)}


def _settled(values: NDArray[np.float64], lost: NDArray[np.bool_]) -> NDArray[np.float64]:
    whole = np.rint(values)
    values = np.where(np.abs(values - whole) < _ROUNDING, whole, values)
    values[lost] = np.nan
    return values


def _without_each(
    counts: NDArray[np.integer],
    used: NDArray[np.intp],
    score: Callable[[NDArray[np.int64]], _Scores],
) -> _Scores:
    pooled = counts.sum(axis=0, dtype=np.int64)
    parts: list[_Scores] = []
    n_chunk = max(_CHUNK_COUNTS // pooled.size, 1)
    for start in range(0, used.size, n_chunk):
        chunk = counts[used[start : start + n_chunk]]
        parts.append(score(pooled - chunk.astype(np.int64, copy=False)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _interval(name: str, value: float, left: NDArray[np.float64], level: float) -> Interval:
    jackknife = jackknife_agreement if name in AGREEMENT_METRICS else jackknife_logit
    found = jackknife(value, left, level)
    if not np.isnan(found.low):
        return replace(found, method=f"{found.method}, each weighted to the stated mix")
    if value in {-1.0, 0.0, 1.0}:
        none = f"{found.method}, and there is no exact method at a stated mix"
        return replace(found, method=none)
    return found


def _shares(mix: ArrayLike, pooled: NDArray[np.number]) -> NDArray[np.float64]:
    shares = _mix(mix, pooled.size)
    missing = np.flatnonzero((shares > 0) & (pooled == 0))
    if missing.size:
        raise DataError(
            f"The mix holds category {missing[0]}, of which the test set has no cell, so how it "
            "is called is not known. Nothing was reweighted. Give it no share, or merge it."
        )
    unwanted = np.flatnonzero((shares == 0) & (pooled > 0))
    if unwanted.size:
        raise DataError(
            f"The test set has {pooled[unwanted[0]]:g} cells of category {unwanted[0]}, to which "
            "the mix gives no share. Nothing was reweighted. Give it one, or merge it."
        )
    return shares


def _mix(mix: ArrayLike, k: int) -> NDArray[np.float64]:
    shares = np.asarray(mix, dtype=np.float64)
    right = shares.shape == (k,) and np.isfinite(shares).all() and (shares >= 0).all()
    if not right or shares.sum() == 0:
        raise DataError(
            f"A mix is {k} shares or counts, one a category, finite, at least 0 and not all 0; "
            f"seen {shares.tolist()}. Nothing was computed."
        )
    return shares


def _probabilities(probabilities: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2:
        raise DataError(
            "Probabilities have a row a cell and a column a category; "
            f"seen the shape {values.shape}. Nothing was changed."
        )
    wrong = ~(values >= 0).all(axis=1) | ~(np.abs(values.sum(axis=1) - 1) <= _SUM_ROUNDING)
    rows = np.flatnonzero(wrong)
    if rows.size:
        raise DataError(
            "The probabilities of a cell are at least 0 and sum to 1; row "
            f"{rows[0]} says {values[rows[0]].tolist()}, and {rows.size} of {wrong.size} rows are "
            "wrong. Nothing was changed."
        )
    return values
