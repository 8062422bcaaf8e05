"""The points that the curves of an evaluation are drawn from."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.evaluation.forecasts import PAIR, Forecasts
from leukoscope.evaluation.probabilities import BINS, BORDER, border_of
from leukoscope.records import shapes, tables
from leukoscope.stats import forecasts as losses
from leukoscope.stats import ranking

MOST_POINTS = 401
"""Points kept along a curve; scores are computed from all."""

THRESHOLDS = np.round(np.arange(0, 1.0001, 0.05), 2)
"""Where accuracy over the threshold is drawn."""

Floats = npt.NDArray[np.float64]


def points_table(views: dict[str, Forecasts]) -> pl.DataFrame:
    """List the points of all curves of a model in each view.

    Parameters
    ----------
    views : dict of str to Forecasts
        View → what the model said of each cell.

    Returns
    -------
    polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.POINTS`: ``roc`` (x: 1 −
        specificity, y: sensitivity), ``precision_recall`` (x: recall, y: precision),
        ``threshold`` (x: threshold, y: accuracy of calling the category from there on),
        ``reliability`` (x: mean largest probability, y: share right) and
        ``coverage_risk`` (x: share of cells kept, y: error rate among them).
    """
    rows = [
        row | {"view": view}
        for view, seen in views.items()
        for row in [*_ranked(seen), *_top(seen)]
    ]
    table = pl.DataFrame(rows, schema=shapes.POINTS.columns)
    return tables.check(table, shapes.POINTS)


def _ranked(seen: Forecasts) -> Iterator[dict[str, Any]]:
    for c, name in enumerate(seen.names):
        yield from _of_category(name, seen.probabilities[:, c], seen.truth == c)
    border = border_of(seen)
    if border is not None:
        mask, score = border
        is_band = seen.truth[mask] == seen.names.index(PAIR[0])
        yield from _of_category(BORDER, score[mask], is_band)


def _of_category(
    name: str, score: Floats, positive: npt.NDArray[np.bool_]
) -> Iterator[dict[str, Any]]:
    if positive.all() or not positive.any():
        return
    steps = ranking.steps(score, positive)
    first = [np.nan]
    start = len(ranking.roc(steps)[0]) - len(steps.thresholds)
    thresholds = np.concatenate([first * start, steps.thresholds])
    yield from _curve("roc", name, *ranking.roc(steps), thresholds)
    recall, precision = ranking.precision_recall(steps)
    start = len(recall) - len(steps.thresholds)
    thresholds = np.concatenate([first * start, steps.thresholds])
    yield from _curve("precision_recall", name, recall, precision, thresholds)
    accuracy = ranking.accuracy_over(score, positive, THRESHOLDS)
    yield from _curve("threshold", name, THRESHOLDS, accuracy, THRESHOLDS)


def _top(seen: Forecasts) -> Iterator[dict[str, Any]]:
    confidence, right = seen.top
    kept, risk, threshold = losses.coverage_risk(confidence, right)
    yield from _curve("coverage_risk", None, kept, risk, threshold)
    bins = losses.reliability(confidence, right, seen.groups, BINS)
    for place, (x, y, low, high, n) in enumerate(zip(*bins, strict=True)):
        yield {"figure": "reliability", "place": place, "x": float(x), "y": float(y)} | {
            "low": _known(low),
            "high": _known(high),
            "n_cells": int(n),
        }


def _curve(
    figure: str, category: str | None, x: Floats, y: Floats, thresholds: Floats
) -> Iterator[dict[str, Any]]:
    drawn = np.flatnonzero(~(np.isnan(x) | np.isnan(y)))
    if len(drawn) > MOST_POINTS:
        drawn = drawn[np.unique(np.linspace(0, len(drawn) - 1, MOST_POINTS).round().astype(int))]
    for place, i in enumerate(drawn):
        yield {"figure": figure, "category": category, "place": place} | {
            "x": float(x[i]),
            "y": float(y[i]),
            "threshold": _known(thresholds[i]),
        }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
