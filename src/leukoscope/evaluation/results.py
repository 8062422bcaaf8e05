"""From counts to the results table: every score and every difference with its interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from leukoscope.evaluation.predictions import Scored, prepare, prepare_together, views_of
from leukoscope.records import shapes, tables
from leukoscope.stats.design import ASSUMED_ICC, design_effect, widen
from leukoscope.stats.intervals import Interval, grouped_intervals
from leukoscope.stats.reached import cells_spoken_of, coverage_reached
from leukoscope.stats.scores import SCALAR_METRICS, margins

ASSUMED_CELLS_PER_CASE = 50
AS_IF_CASES = (
    f"as if {ASSUMED_CELLS_PER_CASE} cells a person at an intraclass correlation of {ASSUMED_ICC}"
)
"""How far an interval over families would reach if its cells came from persons."""

_SMALLEST_P = 1e-300


def score_table(predictions: pl.DataFrame) -> pl.DataFrame:
    """Score one run's predictions, strict and, where that says more, with neutrophils merged.

    Parameters
    ----------
    predictions : polars.DataFrame
        A labelled predictions table.

    Returns
    -------
    polars.DataFrame
        A results table. Where no case is known, each interval of accuracy, balanced
        accuracy, macro-F and recall has a second row as wide as it would be with 50
        cells a person at an intraclass correlation of .05. The merged view is left out where
        merging changes nothing, or leaves one category.

    Raises
    ------
    DataError
        If cells are unlabelled, named twice, or of categories no answer covers.
    """
    scored = prepare(predictions)
    rows: list[dict[str, Any]] = []
    for view in views_of(scored.names):
        seen = scored.view(view)
        intervals = grouped_intervals(seen.matrices, assumed_icc=icc_of(seen.unit))
        rows += _with_coverage(score_rows(seen, view, intervals), seen)
        if seen.unit == "family":
            rows += _as_if_cases(seen, view, intervals)
    return to_table(rows)


def confusion_table(
    arms: Mapping[str, Sequence[pl.DataFrame]] | Mapping[None, Sequence[pl.DataFrame]],
) -> pl.DataFrame:
    """Count calls by true category, averaged over an arm's replicates, in each view.

    Parameters
    ----------
    arms : mapping
        Arm name (null outside a study) → predictions of its replicates.

    Returns
    -------
    polars.DataFrame
        A confusion table. The merged view is left out where merging changes nothing, or
        leaves one category of those of all arms.
    """
    rows = []
    counted = {arm: prepare_together(replicates) for arm, replicates in arms.items()}
    views = views_of([name for together in counted.values() for name in together[0].names])
    for arm, together in counted.items():
        for view in views:
            seen = [one.view(view) for one in together]
            mean = np.mean([one.matrices.sum(axis=0) for one in seen], axis=0)
            for truth, counts in zip(seen[0].names, mean, strict=True):
                for called, count in zip(seen[0].names, counts, strict=True):
                    share = count / counts.sum() if counts.sum() else None
                    rows.append((arm, view, truth, called, float(count), share))
    columns = ("arm", "view", "category", "predicted", "n_cells", "share")
    schema = {name: shapes.CONFUSION.columns[name] for name in columns}
    return tables.check(pl.DataFrame(rows, schema=schema, orient="row"), shapes.CONFUSION)


def to_table(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Make a results table from rows, what is undefined as null."""
    clean = [
        {name: None if isinstance(v, float) and np.isnan(v) else v for name, v in row.items()}
        for row in rows
    ]
    # A p value is never 0: one that small has run out of the numbers there are.
    floored = pl.col("p_value", "p_adjusted").clip(lower_bound=_SMALLEST_P)
    found = pl.DataFrame(clean, schema=shapes.RESULTS.columns).with_columns(floored)
    return tables.check(found, shapes.RESULTS)


def score_rows(
    seen: Scored, view: str, intervals: Mapping[str, Interval | list[Interval]]
) -> list[dict[str, Any]]:
    """Make a row of each score with its interval, and of each category's number of cells."""
    rows = []
    for metric, found in intervals.items():
        if isinstance(found, Interval):
            rows.append(facts_of(seen, view) | {"metric": metric} | _numbers(found))
            continue
        for name, one in zip(seen.names, found, strict=True):
            rows.append(facts_of(seen, view) | {"metric": metric, "category": name} | _numbers(one))
    support = seen.matrices.sum(axis=(0, 2)).tolist()
    for name, count in zip(seen.names, support, strict=True):
        rows.append(
            facts_of(seen, view)
            | {"metric": "support", "category": name, "value": float(count), "method": "count"}
        )
    return rows


def _with_coverage(rows: list[dict[str, Any]], seen: Scored) -> list[dict[str, Any]]:
    """Say how often such an interval held in simulation, where that is too seldom or too often."""
    if seen.unit != "case":
        return rows
    spoken_of = cells_spoken_of(margins(seen.matrices.sum(axis=0)))
    for row in rows:
        if "low" in row and not np.isnan(row["low"]):
            cells = spoken_of[row["metric"]]
            category = row.get("category")
            n_cells = float(cells[seen.names.index(category)] if category else cells)
            reached = coverage_reached(row["metric"], len(seen.matrices), n_cells)
            row["method"] = "; ".join(part for part in (row["method"], reached) if part)
    return rows


def _as_if_cases(
    seen: Scored, view: str, intervals: Mapping[str, Interval | list[Interval]]
) -> list[dict[str, Any]]:
    """Widen each interval to what other people would ask, a category's by its cells a person."""
    rows = []
    for metric in SCALAR_METRICS:
        found = intervals[metric]
        if isinstance(found, Interval) and not np.isnan(found.low):
            rows.append({"metric": metric} | _numbers(widen(found, assumed_effect(1.0))))
    shares = seen.matrices.sum(axis=(0, 2)) / seen.n_cells
    for name, share, found in zip(seen.names, shares, _list(intervals["recall"]), strict=True):
        if not np.isnan(found.low):
            wide = _numbers(widen(found, assumed_effect(float(share))))
            rows.append({"metric": "recall", "category": name} | wide)
    return [facts_of(seen, view) | row | {"unit": AS_IF_CASES} for row in rows]


def icc_of(unit: str) -> float:
    """Give the intraclass correlation assumed where groups show no spread.

    Cells of a case are somewhat alike; those of a family are one picture over again.
    """
    return ASSUMED_ICC if unit == "case" else 1.0


def assumed_effect(share: float) -> float:
    """Compute the design effect assumed where cases are unknown.

    Parameters
    ----------
    share : float
        Share of the cells that a score speaks of, in (0, 1]: a category's recall speaks
        of its own cells, of which a person lends fewer.

    Returns
    -------
    float
        That of 50 cells a person times the share, at least one, at an intraclass
        correlation of .05.
    """
    return design_effect(ASSUMED_ICC, max(ASSUMED_CELLS_PER_CASE * share, 1.0))


def _list(found: Interval | list[Interval]) -> list[Interval]:
    assert isinstance(found, list)
    return found


def _numbers(found: Interval) -> dict[str, Any]:
    return {
        "value": float(found.value),
        "low": float(found.low),
        "high": float(found.high),
        "method": found.method,
    }


def facts_of(seen: Scored, view: str) -> dict[str, Any]:
    """Say of a row which view it is of and how much it rests on."""
    return {
        "view": view,
        "n_cells": seen.n_cells,
        "n_families": seen.n_families,
        "n_cases": seen.n_cases,
        "unit": seen.unit,
    }
