"""A permutation test of two fixed models: their calls of whole groups are swapped at random."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import UsageError, unknown_name
from leukoscope.stats.fixed import CONDITIONAL, NO_SCORE, fixed_margins
from leukoscope.stats.scores import (
    AGREEMENT_METRICS,
    SCALAR_METRICS,
    Margins,
    scores_of_margins,
)

_MOST_BITS = 14
"""Ways of swapping that are gone through one by one, in bits: 16,384. More are drawn."""

_CHUNK_NUMBERS = 2**20
"""Numbers held at once, some megabytes."""

_TIE = 1e-12
"""Differences nearer together than this are apart by rounding alone, and count as ties."""

_Ways: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]


class _Both(NamedTuple):
    """Hold what no swap changes: true cells, (k,), and both models' counts added up, (2k,)."""

    truth: NDArray[np.number]
    counts: NDArray[np.number]


def sign_flip(
    baseline: ArrayLike,
    other: ArrayLike,
    metric: str,
    rng: np.random.Generator,
    n_flips: int = 9999,
) -> tuple[float, str]:
    """Test two fixed models by swapping their calls of whole groups (Fisher 1935).

    Parameters
    ----------
    baseline, other : (g, k, k) integers
        A confusion matrix for each group, a case or a family; rows = truth. Groups in
        the same order, with the same true cells.
    metric : str
        ``accuracy``, ``balanced_accuracy``, ``macro_f``, ``mcc`` or ``kappa``.
    rng : numpy.random.Generator
        Used only where the ways of swapping are too many to be enumerated.
    n_flips : int
        How many ways are then drawn, at least 1.

    Returns
    -------
    p_value : float
        Two-sided: the share of the ways of swapping that make the difference of the
        scores of the pooled cells at least as large, in either direction, as the one
        seen. Exact where 2^(groups that differ) is at most 16,384, and where more groups
        differ in few ways; else (1 + count)/(1 + n_flips) (Phipson and Smyth 2010). 1
        where no group differs, NaN where the difference is undefined.
    method : str
        How it was got, or why there is none.

    Raises
    ------
    DataError
        If the shapes differ, the matrices are not counts, or the true cells of a group
        are not the same for both models.
    UsageError
        If the metric is unknown or *n_flips* below 1.

    Notes
    -----
    *What is tested.* That in every group the two models' calls could as well have been
    each other's. For that the level is exact with any number of groups; for equal
    scores without that it holds as groups grow many. Conditional on the two trained
    models. With m groups that differ no p is below 2/2^m: five cases can never show a
    difference at .05.

    *How.* The scores need no more than the right calls and the calls of each category,
    of which a group's swap carries the difference d_g from one model to the other. With
    s the sum of both models, which no swap changes, the models become (s ± Σ e_g d_g)/2
    with signs e_g. Groups whose d_g are the same or opposite are of one kind: the signs of
    n of them add up to a binomial number, and are enumerated or drawn as one. So 100,000
    families of one cell cost what their few kinds cost, and for accuracy their test is
    McNemar's exact one. Where a swap leaves a score undefined, as mcc of calls of one
    category is, it counts as at least as large.
    """
    if metric not in {*SCALAR_METRICS, *AGREEMENT_METRICS}:
        names = (*SCALAR_METRICS, *AGREEMENT_METRICS)
        raise unknown_name("metric of a comparison of two models", metric, names)
    if n_flips < 1:
        raise UsageError(f"A sign-flip test draws at least 1 flip; seen {n_flips}.")
    pair = fixed_margins(baseline, other)
    if metric == "accuracy":
        # Of one category nothing but the right calls can differ, so more groups are alike.
        pair = _pooled(pair[0]), _pooled(pair[1])
    old, new = (_counts(model) for model in pair)
    both, moved = _Both(pair[0].truth.sum(axis=0), (old + new).sum(axis=0)), new - old
    seen = _differences(both, moved.sum(axis=0, keepdims=True), metric)[0]
    if np.isnan(seen):
        return np.nan, f"undefined: {NO_SCORE}"
    kinds, sizes = _kinds(moved)
    if not sizes.size:
        return 1.0, f"sign-flip permutation test: no group differs; {CONDITIONAL}"
    differ = f"{sizes.sum()} of {len(moved)} groups differ; {CONDITIONAL}"
    if np.log2(sizes + 1.0).sum() <= _MOST_BITS:
        count = _count(both, kinds, _enumerated(sizes), metric, abs(seen))
        return min(count, 1.0), f"sign-flip permutation test, exact, {differ}"
    count = _count(both, kinds, _drawn(sizes, rng, n_flips), metric, abs(seen))
    return (1 + count) / (
        1 + n_flips
    ), f"sign-flip permutation test, {n_flips} random flips, {differ}"


def _pooled(model: Margins) -> Margins:
    return Margins(*(counts.sum(axis=-1, keepdims=True) for counts in model))


def _counts(model: Margins) -> NDArray[np.number]:
    """Lay right calls and calls side by side, (g, 2k): what a swap moves."""
    return np.concatenate([model.correct, model.calls], axis=1)


def _kinds(moved: NDArray[np.number]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find the different d_g but for their sign, (m, 2k), and how many groups have each, (m,)."""
    differ = moved[moved.any(axis=1)]
    first = np.take_along_axis(differ, (differ != 0).argmax(axis=1)[:, None], axis=1)
    kinds, sizes = np.unique(differ * np.sign(first), axis=0, return_counts=True)
    return kinds.astype(np.float64), sizes.astype(np.int64)


def _differences(both: _Both, shifts: NDArray[np.number], metric: str) -> NDArray[np.float64]:
    """Score models apart by *shifts*, (n, 2k): other minus baseline, (n,)."""
    k = both.truth.size
    truth = np.broadcast_to(both.truth, (len(shifts), k))
    scored = []
    for counts in ((both.counts + shifts) / 2, (both.counts - shifts) / 2):
        model = Margins(counts[:, :k], truth, counts[:, k:])
        scored.append(scores_of_margins(model)[metric])
    return scored[0] - scored[1]


def _count(
    both: _Both, kinds: NDArray[np.float64], ways: Iterable[_Ways], metric: str, seen: float
) -> float:
    """Add up the weights of the ways whose difference is at least as large or undefined."""
    count = 0.0
    for signs, weights in ways:
        differences = np.abs(_differences(both, signs @ kinds, metric))
        count += float(weights[~(differences < seen - _TIE)].sum())
    return count


def _enumerated(sizes: NDArray[np.int64]) -> Iterator[_Ways]:
    """Go through all sums of signs, (n, m), each weighted by its chance, (n,)."""
    from scipy.special import gammaln

    positive = np.indices(tuple((sizes + 1).tolist())).reshape(sizes.size, -1).T
    ways = gammaln(sizes + 1) - gammaln(positive + 1) - gammaln(sizes - positive + 1)
    weights = np.exp((ways - sizes * np.log(2)).sum(axis=1))
    yield 2.0 * positive - sizes, weights


def _drawn(sizes: NDArray[np.int64], rng: np.random.Generator, n_flips: int) -> Iterator[_Ways]:
    """Draw sums of signs, (n, m) a chunk, each of weight 1."""
    alone = sizes == 1
    rows = max(1, _CHUNK_NUMBERS // sizes.size)
    for start in range(0, n_flips, rows):
        n = min(rows, n_flips - start)
        signs = np.empty((n, sizes.size))
        signs[:, alone] = 2.0 * rng.integers(2, size=(n, alone.sum()), dtype=np.int8) - 1
        many = sizes[~alone]
        signs[:, ~alone] = 2.0 * rng.binomial(many, 0.5, size=(n, many.size)) - many
        yield signs, np.ones(n)
