"""How like real cells generated ones are: distances, manifolds, variety, calls; rows of results.

What hangs on the mix of categories or on how many cells there are is measured at one mix and one
number for generated and for real cells, or the two could not be compared.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from leukoscope.foundation.streams import stream
from leukoscope.records.runs import is_seen
from leukoscope.stats.binomial import Interval, clopper_pearson
from leukoscope.stats.frechet import frechet_distance, warning_of
from leukoscope.stats.kid import kid_over_subsets
from leukoscope.stats.manifolds import METRICS, K, score_intervals
from leukoscope.stats.similarity import (
    pairwise_interval,
    random_pairs,
    structural_similarity_of,
)
from leukoscope.synthesis.features import Features, JudgeFeatures
from leukoscope.synthesis.pools import FEWEST, Pool, Pools

GENERATED, REAL, NOISE = "generated", "real", "noise"
_PAIRS = 60
_N_NOISE = 256
_SMALLEST_SSIM_PX = 11
Rows = list[dict[str, Any]]
Places = npt.NDArray[np.int64]


class _Side(NamedTuple):
    """Hold the features of cells that are judged, and their categories."""

    arm: str
    features: Features
    categories: npt.NDArray[np.str_]


def likeness_rows(
    pools: Pools,
    features: JudgeFeatures,
    drawn: Features,
    known: Features,
    *,
    seed: int,
    noise: bool,
) -> Rows:
    """Measure how like held-out cells generated ones are, and beside it how like real ones are.

    Parameters
    ----------
    pools : Pools
        The cells.
    features : JudgeFeatures
        The network they are compared by.
    drawn, known : numpy.ndarray of float32, shape (n, d)
        Features of generated and of held-out cells.
    seed : int
        All draws follow from it.
    noise : bool
        Whether pictures of noise are measured too.

    Returns
    -------
    list of dict
        Rows of results, over all categories and by category.
    """
    fit = pools.fit
    places = _like(fit.categories, pools.generated.categories, seed)
    sides = [_Side(GENERATED, drawn, pools.generated.categories)]
    if len(places):
        real = features.of(fit.pixels[places])
        sides.append(_Side(REAL, real, fit.categories[places]))
    names = _shared(pools)
    rows: Rows = []
    for category in (None, *names):
        rows += _distances(category, sides, known, pools.held_out, names, seed)
    if noise:
        size, rng = pools.size_px, stream(seed, "judge", "noise")
        pictures = rng.integers(0, 256, (_N_NOISE, size, size, 3), dtype=np.uint8)
        side = _Side(NOISE, features.of(pictures), np.full(_N_NOISE, ""))
        rows += _against(None, side, known, _N_NOISE, seed)
    for arm, pool in ((GENERATED, pools.generated), (REAL, pools.held_out)):
        rows += _variety(arm, pool, names, seed)
    return rows + _calls(pools, features)


def row_of(
    arm: str,
    metric: str,
    category: str | None,
    found: Interval,
    n_cells: int,
    p_value: float | None = None,
) -> dict[str, Any]:
    """Write one number as a row of results; what is not finite is left empty."""
    numbers = {"value": found.value, "low": found.low, "high": found.high}
    return {
        "arm": arm,
        "metric": metric,
        "view": "strict",
        "category": category,
        **{name: value if np.isfinite(value) else None for name, value in numbers.items()},
        "p_value": p_value,
        "n_cells": n_cells,
        "unit": "picture",
        "method": found.method,
    }


def _distances(
    category: str | None,
    sides: Sequence[_Side],
    known: Features,
    held_out: Pool,
    names: Sequence[str],
    seed: int,
) -> Rows:
    """Measure one category, or all in the mix that the held-out cells have."""
    judging = np.flatnonzero(np.isin(held_out.categories, names if category is None else category))
    chosen = {
        side.arm: np.flatnonzero(side.categories == category)
        if category is not None
        else _in_mix(side.categories, held_out.categories[judging], seed)
        for side in sides
    }
    fewest = min(len(judging), *(len(places) for places in chosen.values()))
    if fewest < FEWEST or len(sides) < 2:
        return [
            row_of(side.arm, metric, category, _too_few(fewest), len(chosen[side.arm]))
            for side in sides
            for metric in ("kid", *METRICS)
        ]
    rows: Rows = []
    for side in sides:
        picked = side._replace(features=side.features[chosen[side.arm]])
        rows += _against(category, picked, known[judging], fewest_of(chosen), seed)
    rows = [row for row in rows if (row["arm"], row["metric"]) != (REAL, "kid")]
    groups = held_out.cells["group"].to_numpy()[judging]
    return [*rows, _floor(category, known[judging], groups, seed)]


def fewest_of(chosen: dict[str, Places]) -> int:
    """Count the cells that every side has."""
    return min(len(places) for places in chosen.values())


def _against(category: str | None, side: _Side, known: Features, n: int, seed: int) -> Rows:
    """Measure one side against held-out cells; what hangs on the number of cells, with *n*."""
    arm, n_own = side.arm, len(side.features)
    names = ("judge", arm, category or "")
    kid = kid_over_subsets(side.features, known, stream(seed, "kid", *names))
    rows = [row_of(arm, "kid", category, _kid_interval(kid, ""), n_own)]
    order = stream(seed, "thinned", *names).permutation(n_own)[:n]
    thinned = side.features[order]
    mix = "; in the held-out cells' mix of categories" if category is None else ""
    place = "; fitted cells in the place of generated ones" if arm == REAL else ""
    said = f"; {n} against {len(known)} held-out, k = {K}{mix}{place}"
    found = score_intervals(known, thinned, stream(seed, "manifolds", *names))
    for metric, one in found.items():
        told = Interval(one.value, one.low, one.high, one.method + said)
        rows.append(row_of(arm, metric, category, told, n))
    if category is None:
        value = frechet_distance(thinned, known)
        warned = warning_of(n, len(known), known.shape[1]) + place
        rows.append(row_of(arm, "fid", None, Interval(value, np.nan, np.nan, warned), n))
    return rows


def _floor(
    category: str | None, known: Features, groups: npt.NDArray[np.int64], seed: int
) -> dict[str, Any]:
    """Measure held-out cells against held-out ones, half against half, groups kept whole."""
    _, member_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = stream(seed, "judge", "halves", category or "").permutation(len(sizes))
    before = np.empty(len(sizes), dtype=np.int64)
    before[order] = sizes[order].cumsum() - sizes[order] / 2
    first = (before < len(groups) / 2)[member_of]
    if min(first.sum(), (~first).sum()) < 4:
        lacking = Interval(np.nan, np.nan, np.nan, "not computed: held-out cells are one group")
        return row_of(REAL, "kid", category, lacking, len(known))
    kid = kid_over_subsets(
        known[first], known[~first], stream(seed, "kid", "judge", REAL, category or "")
    )
    found = _kid_interval(kid, "; held-out half against half, cases and families whole")
    return row_of(REAL, "kid", category, found, len(known))


def _kid_interval(kid: Any, said: str) -> Interval:
    method = (
        f"mean over subsets of {kid.n_subset} cells a side, sd {kid.spread:.3g} over subsets; "
        f"cubic kernel, unbiased{said}"
    )
    return Interval(kid.value, kid.low, kid.high, method)


def _variety(arm: str, pool: Pool, names: Sequence[str], seed: int) -> Rows:
    """Average the similarity of random pairs within each category, and over all of these."""
    if pool.pixels.shape[1] < _SMALLEST_SSIM_PX:
        reason = f"not computed: windows take {_SMALLEST_SSIM_PX} px"
        lacking = Interval(np.nan, np.nan, np.nan, reason)
        return [row_of(arm, "ssim", None, lacking, len(pool.pixels))]
    rows: Rows = []
    pairs_of, values_of = [], []
    for category in names:
        own = np.flatnonzero(pool.categories == category)
        if len(own) < FEWEST:
            rows.append(row_of(arm, "ssim", category, _too_few(len(own)), len(own)))
            continue
        rng = stream(seed, "judge", "pairs", arm, category)
        pairs = own[random_pairs(len(own), rng, _PAIRS)]
        values = structural_similarity_of(pool.pixels, pairs)
        rows.append(row_of(arm, "ssim", category, pairwise_interval(values, pairs), len(own)))
        pairs_of.append(pairs)
        values_of.append(values)
    if values_of:
        found = pairwise_interval(np.concatenate(values_of), np.concatenate(pairs_of))
        told = Interval(
            found.value, found.low, found.high, f"{found.method}; as many within each category"
        )
        rows.insert(0, row_of(arm, "ssim", None, told, len(pool.pixels)))
    return rows


def _calls(pools: Pools, features: JudgeFeatures) -> Rows:
    """Count how many cells a classifier calls as asked, where one of their categories calls."""
    known = set(features.card.categories) if features.card else set[str]()
    if features.classifier is None or not known.issuperset(pools.generated.categories):
        return []
    rows: Rows = []
    for arm, pool in ((GENERATED, pools.generated), (REAL, pools.held_out)):
        cells, pixels, said = pool.cells, pool.pixels, f"exact binomial; by {features.name}"
        if arm == REAL:
            new = ~is_seen(cells, features.seen)
            if new.any():
                cells, pixels = cells.filter(new), pixels[new.to_numpy()]
            else:
                said += "; all of these cells trained or chose it"
        named = cells["category"].to_numpy().astype(str)
        right = np.array(features.calls(pixels)) == named
        for category in (None, *dict.fromkeys(named.tolist())):
            own = right if category is None else right[named == category]
            low, high = clopper_pearson(float(own.sum()), len(own))
            found = Interval(float(own.mean()), low, high, said)
            rows.append(row_of(arm, "called_as_asked", category, found, len(own)))
    return rows


def _shared(pools: Pools) -> list[str]:
    """Name the categories that generated and held-out cells both have."""
    drawn = set(pools.generated.categories.tolist())
    return sorted(drawn & set(pools.held_out.categories.tolist()))


def _like(fitted: npt.NDArray[np.str_], drawn: npt.NDArray[np.str_], seed: int) -> Places:
    """Draw as many fitted cells of each category as were generated, or all there are."""
    rng = stream(seed, "judge", "fitted in the place of generated")
    parts = [
        rng.permutation(np.flatnonzero(fitted == name))[: int((drawn == name).sum())]
        for name in np.unique(drawn)
    ]
    return np.concatenate(parts)


def _in_mix(categories: npt.NDArray[np.str_], wanted: npt.NDArray[np.str_], seed: int) -> Places:
    """Draw the most cells there are in a mix of categories; all, where that would be too few."""
    names, counts = np.unique(wanted, return_counts=True)
    shares = counts / counts.sum()
    owned = [np.flatnonzero(categories == name) for name in names]
    total = min(len(own) / share for own, share in zip(owned, shares, strict=True))
    if total < FEWEST:
        return np.concatenate(owned)
    rng = stream(seed, "judge", "mix")
    parts = [
        rng.permutation(own)[: max(1, round(total * share))]
        for own, share in zip(owned, shares, strict=True)
    ]
    return np.concatenate(parts)


def _too_few(n: int) -> Interval:
    told = f"not computed: {n} cells on one side, at least {FEWEST} are needed"
    return Interval(np.nan, np.nan, np.nan, told)
