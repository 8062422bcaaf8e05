"""The judge: whether generated cells are like held-out real ones, and whether they are copies."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.foundation import progress
from leukoscope.foundation.streams import stream
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset
from leukoscope.records.judged import MEMORISED, OUTSIDE
from leukoscope.records.judgements import Judgement
from leukoscope.stats.binomial import Interval, clopper_pearson
from leukoscope.stats.manifolds import K, overlap
from leukoscope.stats.memorisation import (
    Gate,
    Nearest,
    are_near_copies,
    expected_by,
    gate_of,
    memorisation_test,
    merged,
    n_neighbours_needed,
    nearest_over_poses,
    ratios,
)
from leukoscope.stats.poses import oblique
from leukoscope.synthesis.features import JudgeFeatures
from leukoscope.synthesis.likeness import Rows, likeness_rows, row_of
from leukoscope.synthesis.pools import Pixels, Pool, Pools, pools_of, shrunk

COMPARED_PX = 16
"""Side at which pixels are compared. Smaller is surer here: at 16 px copies shifted by two
pixels of 64, or with noise of 40 levels, lie far below honest cells, at 64 px they do not; features
of a trained network lose a copy under noise of 10 levels."""


def judge_generated(
    dataset: Dataset,
    generated: Dataset,
    *,
    features: JudgeFeatures,
    seed: int = 0,
    noise: bool = False,
) -> Judgement:
    """Judge generated cells by held-out real ones and by those their generator was fitted to.

    Parameters
    ----------
    dataset : Dataset
        The real cells.
    generated : Dataset
        The generated ones; see :func:`leukoscope.synthesis.pools.pools_of`.
    features : JudgeFeatures
        The network they are compared by.
    seed : int
        Subsets, pairs and permutations follow from it.
    noise : bool
        Judge pictures of noise too: what a generator that learnt nothing would reach.

    Returns
    -------
    Judgement
        Tables only; nothing is written but decoded pixels.

    Raises
    ------
    DataError
        If cells or cards are missing, or fewer than 16 held-out cells would judge.
    """
    pools = pools_of(dataset, generated)
    progress.note(
        f"{pools.generated.cells.height} generated cells at {pools.size_px} px, against "
        f"{pools.fit.cells.height} fitted and {pools.held_out.cells.height} held-out ones."
    )
    drawn, known = (features.of(pool.pixels) for pool in (pools.generated, pools.held_out))
    depth = overlap(known, drawn).depth if len(drawn) > K else np.full(len(drawn), np.inf)
    neighbours, honest, rows = _copies(pools, seed)
    neighbours = neighbours.with_columns(in_manifold=pl.Series(depth <= 1))
    rows += likeness_rows(pools, features, drawn, known, seed=seed, noise=noise)
    types = {name: kind for name, kind in shapes.RESULTS.columns.items() if name in rows[0]}
    return Judgement(
        tables.check(pl.DataFrame(rows, schema=types), shapes.RESULTS),
        tables.check(neighbours, shapes.NEIGHBOURS),
        _findings(neighbours, depth, honest.gate),
        _about(dataset, generated, pools, features, honest) | {"seed": seed},
    )


class _Small(NamedTuple):
    """Hold real pictures at the size they are compared at."""

    straight: Pixels
    oblique: Pixels
    """Turned by 45 degrees at the generated size, then made small."""


class _Honest(NamedTuple):
    """Hold what held-out cells show, each against both pools without its own group."""

    ratios: npt.NDArray[np.float64]
    """As shares of what is expected of them, without near copies of fitted cells."""
    expected: dict[object, float]
    """The ratio to be expected of each category; None: of all."""
    gate: Gate


def _copies(pools: Pools, seed: int) -> tuple[pl.DataFrame, _Honest, Rows]:
    """Look for copies: each cell's neighbours, what honest cells show, and rows of results."""
    drawn = shrunk(pools.generated.pixels, COMPARED_PX)
    fit, held = (_small(pool) for pool in (pools.fit, pools.held_out))
    honest = _honest(pools, fit, held)
    n_near = n_neighbours_needed(len(fit.straight), len(held.straight))
    to_fit, to_held = (_nearest(drawn, pool, n_near) for pool in (fit, held))
    ratio = ratios(to_fit.distance[:, 0], to_held.distance[:, 0])
    categories = pools.generated.categories.tolist()
    usual = honest.expected
    ratio /= np.array([usual.get(category, usual[None]) for category in categories])
    flagged = ratio < honest.gate.threshold
    neighbours = pl.DataFrame(
        {
            "cell_id": pools.generated.cells["cell_id"],
            "category": pools.generated.cells["category"],
            "nearest_fit": pools.fit.cells["cell_id"].gather(to_fit.place[:, 0]),
            "distance_fit": to_fit.distance[:, 0],
            "nearest_held_out": pools.held_out.cells["cell_id"].gather(to_held.place[:, 0]),
            "distance_held_out": to_held.distance[:, 0],
            "ratio": ratio,
            "pose": to_fit.pose[:, 0],
            "memorised": flagged,
        }
    )
    rows = _flag_rows(pools, flagged, honest.gate)
    return neighbours, honest, [*rows, _test_row(pools, to_fit, to_held, seed)]


def _small(pool: Pool) -> _Small:
    """Make a pool's pictures small, straight and turned by 45 degrees."""
    return _Small(shrunk(pool.pixels, COMPARED_PX), shrunk(oblique(pool.pixels), COMPARED_PX))


def _nearest(
    drawn: Pixels, pool: _Small, k: int = 1, apart: npt.NDArray[np.bool_] | None = None
) -> Nearest:
    return nearest_over_poses(drawn, pool.straight, k, oblique_pool=pool.oblique, apart=apart)


def _honest(pools: Pools, fit: _Small, held: _Small) -> _Honest:
    """Look at held-out cells as if they were generated."""
    groups = [pool.cells["group"].to_numpy() for pool in (pools.held_out, pools.fit)]
    one_group = len(np.unique(groups[0])) < 2
    own = np.eye(len(held.straight), dtype=bool) if one_group else groups[0][:, None] == groups[0]
    to_fit = _nearest(held.straight, fit, apart=groups[0][:, None] == groups[1])
    to_held = _nearest(held.straight, held, apart=own)
    found = ratios(to_fit.distance[:, 0], to_held.distance[:, 0])
    known = np.isfinite(found) & (found > 0)
    categories = pools.held_out.categories[known]
    expected = expected_by(found[known], categories)
    share = found[known] / np.array([expected[name] for name in categories.tolist()])
    gate = gate_of(share, len(pools.generated.cells))
    return _Honest(share[~are_near_copies(share)], expected, gate)


def _flag_rows(pools: Pools, flagged: npt.NDArray[np.bool_], gate: Gate) -> Rows:
    """Give the share flagged of generated cells, in all and by category, and of honest ones."""
    said = f"exact binomial; flagged below {gate.threshold:.3f} of an honest cell's ratio"
    rows = []
    for category in (None, *dict.fromkeys(pools.generated.categories.tolist())):
        own = flagged if category is None else flagged[pools.generated.categories == category]
        rows.append(_share_row("generated", category, int(own.sum()), len(own), said))
    honest = f"{said}; held-out cells, each without its own group"
    return [*rows, _share_row("real", None, gate.n_flagged, gate.n_honest, honest)]


def _share_row(
    arm: str, category: str | None, n_flagged: int, n_cells: int, said: str
) -> dict[str, Any]:
    found = Interval(n_flagged / n_cells, *clopper_pearson(n_flagged, n_cells), said)
    return row_of(arm, "memorised", category, found, n_cells)


def _test_row(pools: Pools, to_fit: Nearest, to_held: Nearest, seed: int) -> dict[str, Any]:
    """Test whether generated cells as a whole lie nearer to fitted than to held-out cells."""
    cells = pl.concat([pools.fit.cells, pools.held_out.cells])
    n_fit, n_held = pools.fit.cells.height, pools.held_out.cells.height
    found = memorisation_test(
        merged(to_fit, to_held, n_fit),
        np.arange(n_fit + n_held) < n_fit,
        cells["group"].to_numpy(),
        stream(seed, "judge", "memorisation"),
        strata=cells["category"].to_numpy().astype(str),
    )
    said = (
        "distance to fitted by distance to held-out cells, geometric mean as a share of "
        f"{found.n_permutations} permutations of whole groups between both pools; one-sided"
    )
    value = Interval(found.closeness, np.nan, np.nan, said)
    n_cells = len(pools.generated.cells)
    return row_of("generated", "memorisation", None, value, n_cells, found.p_value)


def _findings(neighbours: pl.DataFrame, depth: npt.NDArray[np.float64], gate: Gate) -> pl.DataFrame:
    """Name the cells that are called copies, and those that lie where no real cell does."""
    limit = f"below {gate.threshold:.3f} of what held-out cells show"
    copies = neighbours.filter("memorised").select(
        "cell_id",
        check=pl.lit(MEMORISED),
        severity=pl.lit("error"),
        detail=pl.lit(f"nearer to a fitted cell than to any held-out one, {limit}"),
        other_cell_id="nearest_fit",
        score="ratio",
    )
    finite = np.where(np.isfinite(depth), depth, np.nan)
    astray = neighbours.with_columns(score=pl.Series(finite).fill_nan(None))
    outside = astray.filter(~pl.col("in_manifold")).select(
        "cell_id",
        check=pl.lit(OUTSIDE),
        severity=pl.lit("info"),
        detail=pl.lit("no held-out cell's neighbourhood in features holds it"),
        other_cell_id=pl.lit(None, pl.String),
        score="score",
    )
    return tables.check(pl.concat([copies, outside]), shapes.FINDINGS)


def _about(
    dataset: Dataset, generated: Dataset, pools: Pools, features: JudgeFeatures, honest: _Honest
) -> dict[str, Any]:
    """Say what was compared with what."""
    names = [*dataset.card.categories, *generated.card.categories]
    found = {name: pools.generated.categories == name for name in dict.fromkeys(names)}
    categories = [name for name, own in found.items() if own.any()]
    gate = honest.gate
    return {
        "dataset": dataset.card.name,
        "generated": generated.card.name,
        "generator": ", ".join(card.name for card in pools.cards) or None,
        "generator_id": ", ".join(card.generator_id for card in pools.cards) or None,
        "features": features.name,
        "features_digest": features.digest,
        "size_px": pools.size_px,
        "compared_px": COMPARED_PX,
        "categories": categories,
        "cells": [_counts(pools, name) for name in categories],
        "threshold": gate.threshold,
        "expected_ratio": honest.expected[None],
        "honest_ratios": honest.ratios.round(4).tolist(),
        "honest_flagged": gate.n_flagged / gate.n_honest,
        "near_copies_across_split": gate.n_near_copies,
        "pool": _POOL.format(
            pools.fit.cells.height, pools.held_out.cells.height, honest.expected[None]
        ),
        "licence": dataset.card.licence,
        "citation": dataset.card.citation,
    }


_POOL = (
    "{} fitted and {} held-out cells, all of both: a larger pool has nearer neighbours, so that "
    "honest cells show a ratio of {:.3f}; ratios are given as shares of it, by category where "
    "30 held-out cells tell it"
)


def _counts(pools: Pools, category: str) -> dict[str, Any]:
    def of(pool: Pool) -> int:
        return int((pool.categories == category).sum())

    return {
        "category": category,
        "n_fit": of(pools.fit),
        "n_held_out": of(pools.held_out),
        "n_generated": of(pools.generated),
    }
