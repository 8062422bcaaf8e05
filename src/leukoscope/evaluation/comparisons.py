"""A study's results: each arm over its replicates, and each arm against the baseline."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from leukoscope.evaluation.predictions import Scored, prepare_together, views_of
from leukoscope.evaluation.results import facts_of, score_rows, to_table
from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.stats.intervals import Interval
from leukoscope.stats.paired import TwoWay, paired_by_category, paired_difference
from leukoscope.stats.pigeonhole import pigeonhole_differences
from leukoscope.stats.replicated import replicated_intervals
from leukoscope.stats.scores import CATEGORY_METRICS, SCALAR_METRICS, scores
from leukoscope.stats.verdicts import holm

Counts = np.ndarray[Any, np.dtype[np.int64]]
PARTS = ("groups", "replicates", "interaction")
"""The parts of a difference's variance; a row ``<metric>_se_<part>`` holds its square root."""


def study_table(
    study: str,
    arms: Mapping[str, Mapping[int, pl.DataFrame]],
    baseline: str,
    primary: str | None,
) -> pl.DataFrame:
    """Score a study's arms over their replicates and compare each with the baseline arm.

    Parameters
    ----------
    study : str
        The study's name.
    arms : mapping of str to mapping of int to polars.DataFrame
        Arm → replicate → predictions of the same test cells; the replicates that all
        arms have finished are compared.
    baseline : str
        The arm the others are compared with.
    primary : str or None
        The primary metric: p values of its strict view are adjusted by Holm over the
        arms; all else is descriptive. None where all of it is.

    Returns
    -------
    polars.DataFrame
        A results table: each arm's mean over replicates, each replicate's values, each
        case's accuracy where cases are known, and the paired differences: with a t
        interval of two-way components, beside it that of the pigeonhole bootstrap, the
        parts of the variance, and the differences of each category. The merged view as
        in :func:`~leukoscope.evaluation.results.score_table`.

    Raises
    ------
    DataError
        If no replicate is shared, or predictions are not of the same labelled cells.
    """
    shared = sorted(set.intersection(*(set(replicates) for replicates in arms.values())))
    if not shared:
        raise DataError(
            f"No replicate was finished by all arms {', '.join(arms)}. Nothing was compared."
        )
    flat = prepare_together([arms[arm][r] for arm in arms for r in shared])
    rows: list[dict[str, Any]] = []
    for view in views_of(flat[0].names):
        seen = [one.view(view) for one in flat]
        stacks = {
            arm: np.stack([one.matrices for one in seen[i * len(shared) : (i + 1) * len(shared)]])
            for i, arm in enumerate(arms)
        }
        for arm, stack in stacks.items():
            rows += [row | {"arm": arm} for row in _arm_rows(seen[0], view, stack, shared)]
        planned = primary if view == "strict" else None
        rows += _difference_rows(seen[0], view, stacks, baseline, planned)
    return to_table([row | {"study": study} for row in rows])


def _arm_rows(
    seen: Scored, view: str, stack: Counts, replicates: Sequence[int]
) -> list[dict[str, Any]]:
    rows = score_rows(seen, view, replicated_intervals(stack))
    for replicate, matrix in zip(replicates, stack.sum(axis=1), strict=True):
        found = scores(matrix)
        rows += [
            facts_of(seen, view)
            | {"metric": metric, "replicate": replicate, "value": float(found[metric])}
            | {"method": "one run"}
            for metric in SCALAR_METRICS
        ]
    return rows + _case_rows(seen, view, stack)


def _case_rows(seen: Scored, view: str, stack: Counts) -> list[dict[str, Any]]:
    """Give each case's accuracy under a number for its name; joined cases count as one."""
    if seen.unit != "case":
        return []
    cells = stack[0].sum(axis=(1, 2))
    right = np.trace(stack, axis1=2, axis2=3).mean(axis=0)
    return [
        facts_of(seen, view)
        | {"metric": "accuracy", "case": f"case-{number:03d}", "value": float(hits / n)}
        | {"n_cells": int(n), "n_families": None, "n_cases": 1, "method": "mean over replicates"}
        for number, (hits, n) in enumerate(zip(right, cells, strict=True), start=1)
    ]


def _difference_rows(
    seen: Scored, view: str, stacks: Mapping[str, Counts], baseline: str, planned: str | None
) -> list[dict[str, Any]]:
    others = [arm for arm in stacks if arm != baseline]
    pairs = {arm: (stacks[baseline], stacks[arm]) for arm in others}
    rows: list[dict[str, Any]] = []
    for metric in SCALAR_METRICS:
        found = {arm: paired_difference(*pair, metric) for arm, pair in pairs.items()}
        adjusted = [np.nan] * len(others)
        if metric == planned:
            adjusted = holm([one.p_value for one in found.values()]).tolist()
        for (arm, one), p_adjusted in zip(found.items(), adjusted, strict=True):
            row = facts_of(seen, view) | {"arm": arm, "baseline": baseline}
            rows.append(row | {"metric": metric, "p_adjusted": p_adjusted} | _numbers(one))
            rows += [row | part for part in _parts(metric, one)]
    for arm, pair in pairs.items():
        row = facts_of(seen, view) | {"arm": arm, "baseline": baseline}
        beside = pigeonhole_differences(*pair, rng=stream(0, "pigeonhole", view, baseline, arm))
        for metric, interval in beside.items():
            rows.append(row | {"metric": metric} | _resampled(interval))
        for metric in CATEGORY_METRICS:
            by_category = paired_by_category(*pair, metric)
            for name, one in zip(seen.names, by_category, strict=True):
                rows.append(row | {"metric": metric, "category": name} | _numbers(one))
    return rows


def _resampled(found: Interval) -> dict[str, Any]:
    """Give the bootstrap's interval; draws that are all the same show no width of 0."""
    low, high, method = found.low, found.high, found.method
    if low == high:
        low = high = np.nan
        method = f"{method}; undefined: all draws are the same"
    return {"value": found.value, "low": low, "high": high, "method": method}


def _numbers(found: TwoWay) -> dict[str, Any]:
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "p_value": found.p_value,
        "method": found.method,
    }


def _parts(metric: str, found: TwoWay) -> list[dict[str, Any]]:
    variances = (found.variance_groups, found.variance_replicates, found.variance_interaction)
    return [
        {"metric": f"{metric}_se_{part}", "value": float(np.sqrt(variance))}
        | {"method": f"two-way jackknife, part of the {part}"}
        for part, variance in zip(PARTS, variances, strict=True)
    ]
