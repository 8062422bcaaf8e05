"""From counts to the results table: every score and every difference with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leukoscope.evaluation.predictions import Scored, prepare, prepare_together, views_of
from leukoscope.records import tables
from leukoscope.stats.intervals import (
    ASSUMED_ICC,
    Interval,
    design_effect,
    grouped_intervals,
    widen,
)
from leukoscope.stats.scores import SCALAR_METRICS

ASSUMED_CELLS_PER_CASE = 50
AS_IF_CASES = (
    f"as if {ASSUMED_CELLS_PER_CASE} cells a person at an intraclass correlation of {ASSUMED_ICC}"
)
"""How far an interval over families would reach if its cells came from persons."""


@dataclass(frozen=True)
class Evaluation:
    """Hold the scores of one run's predictions and the calls they were counted from."""

    results: pl.DataFrame
    """A results table."""
    confusion: pl.DataFrame
    """A confusion table."""

    def _repr_html_(self) -> str:
        return f"{self.results._repr_html_()}{self.confusion._repr_html_()}"


def evaluation_of(predictions: pl.DataFrame) -> Evaluation:
    """Score one run's predictions and count its calls; see :func:`score_table`."""
    return Evaluation(score_table(predictions), confusion_table({None: [predictions]}))


def write_evaluation(folder: Path, found: Evaluation) -> None:
    """Write results and confusion into a folder, each as Parquet and as CSV."""
    for suffix in ("parquet", "csv"):
        tables.write_table(folder / f"results.{suffix}", found.results, tables.RESULTS)
        tables.write_table(folder / f"confusion.{suffix}", found.confusion, tables.CONFUSION)


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
        accuracy and macro-F has a second row as wide as it would be with 50 cells a
        person at an intraclass correlation of .05. The merged view is left out where
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
        intervals = grouped_intervals(seen.matrices)
        rows += score_rows(seen, view, intervals)
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
    schema = {name: tables.CONFUSION.columns[name] for name in columns}
    return tables.check(pl.DataFrame(rows, schema=schema, orient="row"), tables.CONFUSION)


def to_table(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Make a results table from rows, what is undefined as null."""
    clean = [
        {name: None if isinstance(v, float) and np.isnan(v) else v for name, v in row.items()}
        for row in rows
    ]
    return tables.check(pl.DataFrame(clean, schema=tables.RESULTS.columns), tables.RESULTS)


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


def _as_if_cases(
    seen: Scored, view: str, intervals: Mapping[str, Interval | list[Interval]]
) -> list[dict[str, Any]]:
    effect = design_effect(ASSUMED_ICC, ASSUMED_CELLS_PER_CASE)
    rows = []
    for metric in SCALAR_METRICS:
        found = intervals[metric]
        if isinstance(found, Interval) and not np.isnan(found.low):
            wide = _numbers(widen(found, effect))
            rows.append(facts_of(seen, view) | {"metric": metric} | wide | {"unit": AS_IF_CASES})
    return rows


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
