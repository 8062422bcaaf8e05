"""Learning curves: a panel an arm, thin lines the replicates, a strong one their mean."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import polars as pl

from leukoscope.records import shapes, tables
from leukoscope.reporting import axes, wording
from leukoscope.reporting.contents import Key, Scores, StudyPage, arm_order

CURVE: dict[str, pl.DataType] = {
    "arm": pl.String(),
    "quantity": pl.String(),
    "replicate": pl.Int32(),
    "update": pl.Int32(),
    "value": pl.Float64(),
}
"""The columns of a curve table; ``replicate`` null is the mean, where all have a value."""

QUANTITIES = {"validation_macro_f": "Validation macro-F, percent", "train_loss": "Training loss"}
"""What is drawn, by its column in the curves."""

CONVERGENCES = {
    "validation_macro_f": "convergence_validation_accuracy",
    "train_loss": "convergence_train_loss",
}
"""Which convergence is marked on which panel (N22-S6): the rule reads accuracy, not macro-F."""

WIDTH_PX, HEIGHT_PX = 300, 178
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 38, 290, 26, 146
_MOST_POINTS = 150
_MOST_TICKS = 5


@dataclass(frozen=True)
class Panel:
    """Place one arm's curves, in pixels of a sheet of WIDTH_PX × HEIGHT_PX."""

    title: str
    text: str
    lines: tuple[str, ...]
    mean: str
    baseline: str
    marks: tuple[str, ...]
    """Where on the axis each replicate converges."""


@dataclass(frozen=True)
class CurveFigure:
    """Place one quantity for all arms, on axes that all panels share."""

    name: str
    title: str
    panels: tuple[Panel, ...]
    x_ticks: tuple[tuple[str, str], ...]
    y_ticks: tuple[tuple[str, str], ...]


class Convergence(NamedTuple):
    """Show at which update an arm's runs converged, by N22-S6."""

    arm: str
    found: tuple[tuple[str, str, str], ...]
    """For accuracy and loss: the median, the range, and of how many runs."""


def curve_table(page: StudyPage) -> pl.DataFrame:
    """List the numbers that the learning curves draw.

    Returns
    -------
    polars.DataFrame
        The columns of :data:`CURVE`: each replicate's curve, then the mean of each arm at
        the updates where all its replicates have a finite value. Macro-F is a fraction.
    """
    if page.curves is None:
        return pl.DataFrame(schema=CURVE)
    rows = tables.check(page.curves, shapes.CURVES).filter(pl.col("study") == page.name)
    found: list[tuple[str, str, int | None, int, float]] = []
    for arm in arm_order(page):
        own = rows.filter(pl.col("arm") == arm)
        for name in QUANTITIES:
            each = own.select("replicate", "update", name).rows()
            found += [(arm, name, r, u, value) for r, u, value in each if math.isfinite(value)]
            found += [(arm, name, None, u, value) for u, value in _means(each)]
    return pl.DataFrame(found, schema=CURVE, orient="row")


def convergence_table(page: StudyPage, scores: Scores) -> pl.DataFrame:
    """List at which update each run converged: ``arm``, ``metric``, ``replicate``, ``update``.

    An update is null where the rule could not be applied.
    """
    rows = [
        (arm, metric, key.replicate, score.value)
        for arm in arm_order(page)
        for metric in CONVERGENCES.values()
        for key, score in sorted(
            ((key, score) for key, score in scores.items() if _is(key, arm, metric)),
            key=lambda pair: pair[0].replicate or 0,
        )
    ]
    schema = {"arm": pl.String(), "metric": pl.String(), "replicate": pl.Int32()}
    return pl.DataFrame(rows, schema=schema | {"update": pl.Float64()}, orient="row")


def curve_figures(page: StudyPage, table: pl.DataFrame, found: pl.DataFrame) -> list[CurveFigure]:
    """Place a curve table and the convergences on paper; no figure for an empty table."""
    return [
        _figure(page, name, table.filter(pl.col("quantity") == name), found)
        for name in QUANTITIES
        if not table.filter(pl.col("quantity") == name).is_empty()
    ]


def convergences(page: StudyPage, found: pl.DataFrame) -> list[Convergence]:
    """Sum the convergences of each arm up; empty where the results hold none."""
    if found.is_empty():
        return []
    return [
        Convergence(arm, tuple(_spread(found, arm, metric) for metric in CONVERGENCES.values()))
        for arm in arm_order(page)
        if not found.filter(pl.col("arm") == arm).is_empty()
    ]


def validations(page: StudyPage) -> str:
    """Say at how many points validation was scored; empty without curves."""
    if page.curves is None:
        return ""
    rows = page.curves.filter(pl.col("study") == page.name)
    runs = sorted(
        rows.group_by("arm", "replicate").agg(pl.col("update").sort())["update"].to_list()
    )
    if not runs:
        return ""
    fewest, most = (key(runs, key=len) for key in (min, max))
    times = wording.counted(len(most), "point", "points")
    if len(fewest) != len(most):
        times = f"{len(fewest)} to {times}"
    steps = {b - a for updates in runs for a, b in pairwise(updates)}
    apart = f", {wording.count(min(steps))} updates apart" if len(steps) == 1 else ""
    return f"Validation was scored at {times} of a run{apart}; between them nothing is known."


def _means(rows: Sequence[tuple[int, int, float]]) -> list[tuple[int, float]]:
    """Average over replicates, in their order, where all of them have a value."""
    n_replicates = len({replicate for replicate, _, _ in rows})
    at: dict[int, list[float]] = {}
    for _, update, value in sorted(rows):
        if math.isfinite(value):
            at.setdefault(update, []).append(value)
    means = sorted(at.items())
    return [(u, math.fsum(vs) / len(vs)) for u, vs in means if len(vs) == n_replicates]


def _is(key: Key, arm: str, metric: str) -> bool:
    return key.arm == arm and key.metric == metric and key.replicate is not None


def _figure(page: StudyPage, name: str, table: pl.DataFrame, found: pl.DataFrame) -> CurveFigure:
    factor = 100.0 if name == "validation_macro_f" else 1.0
    low, high = axes.rounded_range((factor * table["value"]).to_list(), most=_MOST_TICKS)
    last = float(max(table["update"].to_list()))

    def x(update: float) -> str:
        return f"{LEFT_PX + (RIGHT_PX - LEFT_PX) * update / last:.1f}"

    def y(value: float) -> str:
        return f"{BOTTOM_PX - (BOTTOM_PX - TOP_PX) * (factor * value - low) / (high - low):.1f}"

    def line(arm: str, replicate: int | None) -> str:
        return " ".join(
            f"{x(u)},{y(value)}" for u, value in _thinned(_points(table, arm, replicate))
        )

    def panel(arm: str) -> Panel:
        numbers = table.filter(pl.col("arm") == arm)["replicate"].drop_nulls().unique().sort()
        own = found.filter(pl.col("arm") == arm, pl.col("metric") == CONVERGENCES[name])
        return Panel(
            title=wording.shortened(wording.sentence_case(wording.name_of(arm)), 34),
            text=_in_words(_points(table, arm, None), factor),
            lines=tuple(line(arm, number) for number in numbers),
            mean=line(arm, None),
            baseline="" if arm == page.baseline else line(page.baseline, None),
            marks=tuple(x(update) for update in own["update"].drop_nulls() if update <= last),
        )

    ticks = [(y(at / factor), f"{at:g}") for at in axes.ticks(low, high, most=_MOST_TICKS + 1)]
    return CurveFigure(
        name,
        QUANTITIES[name],
        tuple(panel(arm) for arm in arm_order(page) if arm in set(table["arm"])),
        tuple((x(at), wording.count(at)) for at in axes.ticks(0, last, most=4)),
        tuple(ticks),
    )


def _points(table: pl.DataFrame, arm: str, replicate: int | None) -> list[tuple[int, float]]:
    same = pl.col("replicate").is_null() if replicate is None else pl.col("replicate") == replicate
    return table.filter(pl.col("arm") == arm, same).sort("update").select("update", "value").rows()


def _thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Leave points out that no eye could tell apart, but neither the first nor the last."""
    if len(points) <= _MOST_POINTS:
        return points
    stride = math.ceil(len(points) / _MOST_POINTS)
    return [*points[:-1:stride], points[-1]]


def _in_words(points: list[tuple[int, float]], factor: float) -> str:
    if not points:
        return "no mean"
    (first, begin), (last, end) = points[0], points[-1]
    decimals = 1 if factor > 1 else 3
    return (
        f"mean {factor * begin:.{decimals}f} at update {first}, "
        f"{factor * end:.{decimals}f} at update {last}"
    )


def _spread(found: pl.DataFrame, arm: str, metric: str) -> tuple[str, str, str]:
    own = found.filter(pl.col("arm") == arm, pl.col("metric") == metric)
    known = sorted(own["update"].drop_nulls().to_list())
    of = f"{len(known)} of {own.height}"
    if not known:
        return wording.UNDEFINED, "", of
    span = f"{wording.count(known[0])} to {wording.count(known[-1])}"
    return wording.count(median(known)), span if known[0] < known[-1] else "", of
