"""Whether drawn cells are copies of those a generator learnt from: a gate and a test.

A drawn cell is compared with the cells that were fitted and with held-out cells of the same
collection, by the distance of their pixels over the eight poses of a square, and over those of
the pictures turned by 45 degrees where they are given. Two things would mislead. A larger pool
has a nearer neighbour, so the ratio of both distances is not 1 for an honest cell: held-out
cells, each against both pools without its own group, tell what it is. And a blurred picture lies
near to everything: the ratio does not mind, the bare distance would.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.foundation.errors import DataError
from leukoscope.stats.poses import N_SQUARE, turned

Numbers = NDArray[np.float64]
Codes = NDArray[np.int64]

LARGEST_RATIO = 0.7
"""A ratio above this share of an honest cell's is never called a copy, however alike honest cells
are. Of 1,639 test cells of the PBC collection one lies below it: a true near copy."""
_FEWEST_FOR_QUANTILE = 200
"""Honest ratios below which their 1 % quantile is but the smallest of them."""
_LEAST_DISTANCE = 0.5
"""Levels: nearer than rounding tells apart, so that the logarithm of 0 is never asked."""
_ALARMS = 0.05
_ROWS = 256


class Nearest(NamedTuple):
    """Hold the nearest cells of a pool, each cell's in a row, nearest first."""

    distance: Numbers
    """Root mean square of level differences, shape (n, k)."""
    place: Codes
    """Row in the pool, shape (n, k)."""
    pose: Codes
    """How the pool's cell is turned to lie nearest, shape (n, k): 0 to 15, see *poses*."""


class Gate(NamedTuple):
    """Hold what honest cells are like, and from where on a cell is called a copy."""

    expected: float
    """Median ratio of honest cells: what pools of these sizes make of it."""
    spread: float
    """Standard deviation of the logarithm of honest ratios, from their lower half."""
    threshold: float
    """Cells with a smaller ratio, as a share of *expected*, are called copies."""
    n_flagged: int
    """Honest cells below the threshold."""
    n_honest: int
    """Honest cells that were tried, without near copies."""
    n_near_copies: int
    """Held-out cells left out before: see :func:`are_near_copies`."""


class PermutationTest(NamedTuple):
    """Hold the permutation test over all drawn cells."""

    closeness: float
    """Geometric mean of (distance to fitted / to held-out), as a share of what permutations of
    the two pools give: 1 is expected of an honest generator, below 1 is nearer to fitted ones."""
    p_value: float
    """Share of permutations with as small a mean, the observed one counted in."""
    n_permutations: int
    """How many were drawn."""


def nearest_over_poses(
    queries: ArrayLike,
    pool: ArrayLike,
    k: int = 1,
    *,
    oblique_pool: ArrayLike | None = None,
    apart: ArrayLike | None = None,
) -> Nearest:
    """Find the nearest cells of a pool over its eight poses, or over sixteen.

    Parameters
    ----------
    queries, pool : (n, s, s, c) and (m, s, s, c) uint8
        Pictures of one size. Each picture's mean colour is taken off first: a cast of colour
        or light makes no new cell.
    k : int
        How many neighbours; at most m are given.
    oblique_pool : (m, s, s, c) uint8, optional
        The pool's pictures turned by 45 degrees, before they were made small: their eight
        poses are tried too. See :func:`leukoscope.stats.poses.oblique`.
    apart : (n, m) bool, optional
        Pairs that are no neighbours, as a cell and itself.

    Returns
    -------
    Nearest
        Infinite distances where too few pairs are allowed.

    Raises
    ------
    DataError
        If the pictures are not square and of one size, or there are none.
    """
    pools = [pool] if oblique_pool is None else [pool, oblique_pool]
    asked, forms = _centred(queries), [_centred(one) for one in pools]
    for known in forms:
        if asked.shape[1:] != known.shape[1:] or len(known) != len(forms[0]):
            seen = f"{asked.shape}, {known.shape}"
            raise DataError(f"Pictures should be of one size, pools of one length; seen {seen}.")
    k = min(k, len(forms[0]))
    found = [
        _nearest_of(asked[rows], forms, k, None if apart is None else np.asarray(apart)[rows])
        for rows in _blocks(len(asked))
    ]
    return Nearest(*(np.concatenate(part) for part in zip(*found, strict=True)))


def ratios(to_fit: ArrayLike, to_held_out: ArrayLike) -> Numbers:
    """Divide distances to the nearest fitted cell by those to the nearest held-out one."""
    near, far = np.asarray(to_fit, np.float64), np.asarray(to_held_out, np.float64)
    return np.asarray(np.maximum(near, _LEAST_DISTANCE) / np.maximum(far, _LEAST_DISTANCE))


def expected_by(honest: ArrayLike, strata: ArrayLike, *, fewest: int = 30) -> dict[object, float]:
    """Take the median ratio of honest cells of each stratum, of all where it has too few.

    Parameters
    ----------
    honest : (n,) float
        Of held-out cells.
    strata : (n,) of any kind
        Their categories: the mix of two pools may differ, and then so do their ratios.
    fewest : int
        A stratum with fewer cells takes the median of all.

    Returns
    -------
    dict
        Stratum → ratio; None → of all.
    """
    known, named = np.asarray(honest, dtype=np.float64), np.asarray(strata)
    found: dict[object, float] = {None: float(np.median(known))}
    for one in np.unique(named):
        own = known[named == one]
        found[one.item()] = float(np.median(own)) if len(own) >= fewest else found[None]
    return found


def are_near_copies(honest: ArrayLike) -> NDArray[np.bool_]:
    """Tell which held-out cells, by their ratios (n,), are near copies of fitted ones.

    Returns
    -------
    (n,) bool
        True below :data:`LARGEST_RATIO` of the median ratio, where the spread of the others does
        not explain it: under half a cell as far below is expected of a normal distribution with
        their lower quartile (Chauvenet's rule). Ratios that vary as widely by themselves are no
        leak.
    """
    from scipy.special import ndtri

    logs = np.log(np.asarray(honest, dtype=np.float64))
    middle = float(np.median(logs))
    spread = float((middle - np.quantile(logs, 0.25)) / -ndtri(0.25))
    limit = min(float(np.log(LARGEST_RATIO)), float(ndtri(0.5 / len(logs))) * spread)
    return np.asarray(logs - middle < limit)


def gate_of(honest: ArrayLike, n_drawn: int) -> Gate:
    """Set from which ratio on a drawn cell is called a copy.

    Parameters
    ----------
    honest : (n,) float
        Ratios of held-out cells, each against both pools but for its own group.
    n_drawn : int
        Drawn cells that will be looked at.

    Returns
    -------
    Gate
        Of honest ratios without near copies (:func:`are_near_copies`), with the smallest of three
        thresholds: what one of *n_drawn* honest cells undercuts in a
        twentieth of all sets, if the logarithms of honest ratios are normal with the spread of
        their lower half; the 1 % quantile of honest ratios, where there are 200 of them; and
        :data:`LARGEST_RATIO`.

    Raises
    ------
    DataError
        If there are fewer than eight finite ratios.
    """
    from scipy.special import ndtri

    logs = np.log(np.asarray(honest, dtype=np.float64))
    logs = logs[np.isfinite(logs)]
    if len(logs) < 8:
        raise DataError(f"The gate needs ratios of at least 8 honest cells; seen {len(logs)}.")
    near = are_near_copies(np.exp(logs))
    logs = logs[~near]
    middle = float(np.median(logs))
    # The upper half holds cells with a near copy among the held-out ones; copies lie below.
    spread = float((middle - np.quantile(logs, 0.1)) / -ndtri(0.1))
    beyond = float(ndtri(_ALARMS / max(n_drawn, 1))) * spread
    enough = len(logs) >= _FEWEST_FOR_QUANTILE
    lowest = float(np.quantile(logs, 0.01)) - middle if enough else 0.0
    threshold = float(np.exp(min(beyond, lowest, np.log(LARGEST_RATIO))))
    n_flagged = int((np.exp(logs - middle) < threshold).sum())
    return Gate(float(np.exp(middle)), spread, threshold, n_flagged, len(logs), int(near.sum()))


def n_neighbours_needed(n_fit: int, n_held_out: int) -> int:
    """Count the neighbours among which both pools nearly always have one, however permuted."""
    share = min(n_fit, n_held_out) / (n_fit + n_held_out)
    return int(min(n_fit + n_held_out, 512, np.ceil(7 / share)))


def merged(first: Nearest, second: Nearest, n_first: int) -> Nearest:
    """Join the neighbours among two pools to those among both, the second's rows behind.

    Parameters
    ----------
    first, second : Nearest
        Of the same cells.
    n_first : int
        Cells of the first pool.

    Returns
    -------
    Nearest
        As many neighbours as the wider of both has, all that are surely the nearest.
    """
    parts = (
        np.concatenate([first.distance, second.distance], axis=1),
        np.concatenate([first.place, second.place + n_first], axis=1),
        np.concatenate([first.pose, second.pose], axis=1),
    )
    n_kept = max(first.place.shape[1], second.place.shape[1])
    order = np.argsort(parts[0], axis=1, kind="stable")[:, :n_kept]
    return Nearest(*(np.take_along_axis(part, order, axis=1) for part in parts))


def memorisation_test(
    nearest: Nearest,
    is_fit: ArrayLike,
    groups: ArrayLike,
    rng: np.random.Generator,
    *,
    strata: ArrayLike | None = None,
    n_permutations: int = 999,
) -> PermutationTest:
    """Test whether drawn cells lie nearer to fitted cells than to held-out ones.

    Parameters
    ----------
    nearest : Nearest
        Of the drawn cells, among fitted and held-out cells together; enough of them,
        see :func:`n_neighbours_needed`.
    is_fit : (m,) bool
        Of that pool, which were fitted.
    groups : (m,) int
        Cells that stay together, as those of a case or family: whole groups are permuted,
        because cells of one group are alike.
    rng : numpy.random.Generator
        Draws the permutations.
    strata : (m,) int, optional
        Groups are permuted within each, so that the mix of categories of both pools stays. A
        group that spans several makes all one.
    n_permutations : int
        How many.

    Returns
    -------
    PermutationTest
        The statistic is the mean logarithm of the ratio of both distances. Under the hypothesis
        that it is all one to the drawn cells which groups were fitted, labels may be permuted:
        the p value is exact whatever the pools' sizes, and however many drawn cells share
        a neighbour. A few copies among many honest cells move it little where most of the
        pool was fitted: they are the gate's to find. (Meehan et al. 2020 compare bare distances
        by ranks, cell by cell; that finds blurred pictures too, and takes drawn cells for
        independent.)

    Raises
    ------
    DataError
        If a pool is empty.
    """
    fitted, members = np.asarray(is_fit, dtype=bool), np.asarray(groups)
    if fitted.all() or not fitted.any():
        raise DataError("The test needs fitted and held-out cells; one of them is empty.")
    distance = np.maximum(nearest.distance, _LEAST_DISTANCE)
    observed = _mean_log_ratio(distance, fitted[nearest.place])
    drawn = np.array(
        [
            _mean_log_ratio(distance, labels[nearest.place])
            for labels in _permuted(fitted, members, strata, rng, n_permutations)
        ]
    )
    p_value = (1 + (drawn <= observed + 1e-12).sum()) / (1 + n_permutations)
    return PermutationTest(float(np.exp(observed - drawn.mean())), float(p_value), n_permutations)


def _permuted(
    fitted: NDArray[np.bool_],
    groups: NDArray[np.generic],
    strata: ArrayLike | None,
    rng: np.random.Generator,
    n_permutations: int,
) -> Iterator[NDArray[np.bool_]]:
    """Permute which groups were fitted, within strata where no group spans several."""
    _, first, member_of = np.unique(groups, return_index=True, return_inverse=True)
    label = fitted[first]
    level = np.zeros(len(first), dtype=np.int64)
    if strata is not None:
        codes = np.unique(np.asarray(strata), return_inverse=True)[1]
        if (codes == codes[first][member_of]).all():
            level = codes[first]
    for _ in range(n_permutations):
        permuted = label.copy()
        for one in np.unique(level):
            places = np.flatnonzero(level == one)
            permuted[places] = rng.permutation(label[places])
        yield permuted[member_of]


def _mean_log_ratio(distance: Numbers, fitted: NDArray[np.bool_]) -> float:
    """Average log(nearest fitted / nearest held-out); a pool not met counts as the last met."""
    near = np.log(_first(distance, fitted)) - np.log(_first(distance, ~fitted))
    return float(near.mean())


def _first(distance: Numbers, wanted: NDArray[np.bool_]) -> Numbers:
    place = np.where(wanted.any(axis=1), wanted.argmax(axis=1), distance.shape[1] - 1)
    return np.asarray(np.take_along_axis(distance, place[:, None], axis=1)[:, 0])


def _nearest_of(
    asked: NDArray[np.float32],
    forms: list[NDArray[np.float32]],
    k: int,
    apart: NDArray[np.bool_] | None,
) -> tuple[Numbers, Codes, Codes]:
    squared = np.full((len(asked), len(forms[0])), np.inf, dtype=np.float32)
    pose_of = np.zeros(squared.shape, dtype=np.int8)
    flat = asked.reshape(len(asked), -1)
    for turn in range(N_SQUARE * len(forms)):
        known = forms[turn // N_SQUARE]
        # The query's own norm changes no order.
        norms = np.square(known.reshape(len(known), -1)).sum(axis=1)
        other = norms - 2 * (flat @ turned(known, turn % N_SQUARE).reshape(len(known), -1).T)
        better = other < squared
        np.copyto(squared, other, where=better)
        np.copyto(pose_of, np.int8(turn), where=better)
    if apart is not None:
        squared[apart] = np.inf
    place: Codes = np.argpartition(squared, k - 1, axis=1)[:, :k].astype(np.int64)
    pose: Codes = np.take_along_axis(pose_of, place, axis=1).astype(np.int64)
    distance = _exact(asked, forms, place, pose)
    if apart is not None:
        distance[np.take_along_axis(apart, place, axis=1)] = np.inf
    # Ties by place: the answer must not hang on the order a library finds them in.
    order = np.lexsort((place, distance), axis=1)
    return (
        np.take_along_axis(distance, order, axis=1),
        np.take_along_axis(place, order, axis=1),
        np.take_along_axis(pose, order, axis=1),
    )


def _exact(
    asked: NDArray[np.float32], forms: list[NDArray[np.float32]], place: Codes, pose: Codes
) -> Numbers:
    """Measure the chosen pairs again, pixel by pixel: products lose what near copies differ by."""
    distance = np.empty(place.shape)
    for one in range(N_SQUARE * len(forms)):
        known = forms[one // N_SQUARE]
        row, column = np.nonzero(pose == one)
        for part in np.array_split(np.arange(len(row)), len(row) // 4096 + 1):
            other = turned(known[place[row[part], column[part]]], one % N_SQUARE)
            gap = np.asarray(asked[row[part]] - other, dtype=np.float64)
            distance[row[part], column[part]] = np.sqrt(np.square(gap).mean(axis=(1, 2, 3)))
    return distance


def _centred(pixels: ArrayLike) -> NDArray[np.float32]:
    known = np.asarray(pixels)
    if known.ndim != 4 or known.shape[1] != known.shape[2] or not known.size:
        raise DataError(f"Square pictures (n, s, s, c) are expected; seen {known.shape}.")
    levels = known.astype(np.float32)
    return np.asarray(levels - levels.mean(axis=(1, 2), keepdims=True))


def _blocks(n: int) -> list[slice]:
    return [slice(start, start + _ROWS) for start in range(0, n, _ROWS)]
