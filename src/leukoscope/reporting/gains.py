"""Which categories gain and which lose in each arm (N22-S19), as numbers and small bars."""

import math
from dataclasses import dataclass

import polars as pl

from leukoscope.records.categories import merged
from leukoscope.reporting import wording
from leukoscope.reporting.contents import Key, Scores, StudyPage, arm_order, categories_of
from leukoscope.stats.scores import CATEGORY_METRICS

GAIN: dict[str, pl.DataType] = {
    **{name: pl.String() for name in ("arm", "metric", "view", "category")},
    **{name: pl.Float64() for name in ("value", "low", "high", "p_value")},
    "method": pl.String(),
}
"""The columns of a gain table; value and bounds are fractions, arm less baseline."""

TITLES = {"f": "F", "recall": "Recall", "precision": "Precision"}
"""In which order the metrics of a category are shown, and their names."""


@dataclass(frozen=True)
class Bar:
    """Place one gain or loss, in percent of the width of its little paper."""

    kind: str
    start: str
    width: str
    low: str | None
    high: str | None


@dataclass(frozen=True)
class Gain:
    """Show one gain or loss in points, with its interval or the reason why there is none."""

    value: str
    interval: str
    reason: str
    bar: Bar | None


@dataclass(frozen=True)
class GainTable:
    """Show one metric: for each category a gain or loss an arm; *edge* is where the bars end."""

    metric: str
    title: str
    edge: str
    rows: tuple[tuple[str, bool, tuple[Gain, ...]], ...]


def gain_table(page: StudyPage, scores: Scores) -> pl.DataFrame:
    """List the paired differences of each category in each arm from the baseline.

    Returns
    -------
    polars.DataFrame
        The columns of :data:`GAIN`: by metric (F, recall, precision), category and arm; the
        merged view gives only the categories that merging makes.
    """
    rows = []
    for metric in TITLES:
        for category, view in shown_categories(scores):
            for arm in arm_order(page)[1:]:
                score = scores.get(Key(arm, metric, view, category, baseline=page.baseline))
                if score:
                    numbers = (score.value, score.low, score.high, score.p_value, score.method)
                    rows.append((arm, metric, view, category, *numbers))
    return pl.DataFrame(rows, schema=GAIN, orient="row")


def gain_tables(page: StudyPage, table: pl.DataFrame) -> list[GainTable]:
    """Lay a gain table out, a table a metric; no table for a metric without numbers."""
    return [_laid_out(page, name, table.filter(pl.col("metric") == name)) for name in _given(table)]


def shown_categories(scores: Scores) -> list[tuple[str, str]]:
    """List category and view: all strict ones, then those that only merging makes."""
    strict = categories_of(scores, "strict")
    pooled = {whole for name, whole in zip(strict, merged(strict), strict=True) if name != whole}
    rows = [(name, "strict") for name in strict]
    return rows + [(name, "merged") for name in categories_of(scores, "merged") if name in pooled]


def _given(table: pl.DataFrame) -> list[str]:
    known = set(table["metric"])
    return [name for name in TITLES if name in known and name in CATEGORY_METRICS]


def _laid_out(page: StudyPage, metric: str, table: pl.DataFrame) -> GainTable:
    rows = {(row["category"], row["view"], row["arm"]): row for row in table.iter_rows(named=True)}
    edge = _edge(table)
    order = list(dict.fromkeys(table.select("category", "view").rows()))
    laid_out = tuple(
        (
            category,
            view == "merged",
            tuple(_gain(rows.get((category, view, arm)), edge) for arm in arm_order(page)[1:]),
        )
        for category, view in order
    )
    return GainTable(metric, TITLES[metric], f"{100 * edge:.0f}", laid_out)


def _edge(table: pl.DataFrame) -> float:
    """Find how far the bars must reach: the largest value or bound, up to a whole point."""
    sizes = [
        abs(value)
        for name in ("value", "low", "high")
        for value in table[name].drop_nulls().to_list()
    ]
    return max(math.ceil(100 * max(sizes, default=0.0) - 1e-9), 1) / 100


def _gain(row: dict[str, object] | None, edge: float) -> Gain:
    if row is None:
        return Gain("not measured", "", "", None)
    value, low, high = (row[name] for name in ("value", "low", "high"))
    why = wording.reason(str(row["method"]))
    if not isinstance(value, float):
        return Gain(wording.UNDEFINED, "", why, None)
    has_bounds = isinstance(low, float) and isinstance(high, float)
    bar = Bar(
        "gain" if value > 0 else "loss",
        _place(min(value, 0.0), edge),
        f"{50 * abs(value) / edge:.1f}%",
        _place(low, edge) if isinstance(low, float) and has_bounds else None,
        _place(high, edge) if isinstance(high, float) and has_bounds else None,
    )
    if isinstance(low, float) and isinstance(high, float):
        return Gain(wording.signed(value), wording.signed_span(low, high), "", bar)
    return Gain(wording.signed(value), "", f"no interval: {why}", bar)


def _place(value: float, edge: float) -> str:
    return f"{50 + 50 * value / edge:.1f}%"
