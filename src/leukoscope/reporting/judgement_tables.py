"""What the page of a judgement is made from, and its tables cell by cell as they are shown."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from leukoscope.foundation.errors import DataError
from leukoscope.records import shapes, tables
from leukoscope.reporting import grids, wording
from leukoscope.reporting.evaluated import Number
from leukoscope.reporting.grids import Grid, Row, Shown

GENERATED, REAL, NOISE = "generated", "real", "noise"
"""The arms of a judgement: the set judged, real cells against real ones, and pure noise."""

REQUIRED = ("dataset", "generated", "features", "size_px", "categories", "cells", "threshold")
"""What must be told about a judgement beside its tables."""


@dataclass(frozen=True)
class JudgementPage:
    """Hold all that the page of a judgement shows; the page adds no number of its own.

    Attributes
    ----------
    results : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.RESULTS`; its arms are
        ``generated``, ``real`` and ``noise``.
    neighbours : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.NEIGHBOURS`: a row a generated cell.
    about : mapping
        What was compared: at least :data:`REQUIRED`, in plain values.
    pictures : mapping of str to bytes
        Cell → PNG at the generated size. Generated cells are shown where they are here, and
        real ones too; training cells stand as they are, not in the pose of their pair.
    """

    results: pl.DataFrame
    neighbours: pl.DataFrame
    about: Mapping[str, Any]
    pictures: Mapping[str, bytes]

    def __post_init__(self) -> None:
        """Refuse tables that break their shape (SchemaError) or facts that lack (DataError)."""
        tables.check(self.results, shapes.RESULTS)
        tables.check(self.neighbours, shapes.NEIGHBOURS)
        missing = [name for name in REQUIRED if self.about.get(name) is None]
        if missing:
            raise DataError(
                f"Of this judgement nobody told {', '.join(missing)}. No page was made."
            )


class Metric(NamedTuple):
    """Say how a metric is called and written, and what it tells a reader."""

    name: str
    write: Callable[[float], str]
    tells: str


def _decimals(number: int) -> Callable[[float], str]:
    def write(value: float) -> str:
        text = f"{value:.{number}f}"
        return text.replace("-", wording.MINUS) if float(text) else text.lstrip("-")

    return write


METRICS: dict[str, Metric] = {
    "kid": Metric("Distance of features (KID)", _decimals(4), "0 where none can be told"),
    "precision": Metric("Precision, %", wording.percent, "generated cells where real ones lie"),
    "recall": Metric("Recall, %", wording.percent, "real cells where generated ones lie"),
    "density": Metric("Density", _decimals(2), "1 where as dense as real ones"),
    "coverage": Metric("Coverage, %", wording.percent, "real cells with a generated one near"),
    "ssim": Metric("Alike in pairs (SSIM)", _decimals(3), "higher means less variety"),
    "fid": Metric("FID", _decimals(1), "biased with few pictures"),
    "called_as_asked": Metric("Called as asked, %", wording.percent, "by the network's own head"),
}
"""The metrics of the table of likeness, in its order."""

_OF_COPIES = ("memorised", "memorisation")


def number_of(
    page: JudgementPage, arm: str, metric: str, category: str | None = None
) -> Number | None:
    """Look up a number of the results, or None.

    Raises
    ------
    DataError
        If it is given twice.
    """
    rows = page.results.filter(
        pl.col("arm").eq_missing(arm)
        & (pl.col("metric") == metric)
        & pl.col("category").eq_missing(category)
    )
    if rows.height > 1:
        raise DataError(
            f"The results give {metric} of {arm} ({category or 'all categories'}) "
            f"{rows.height} times. No page was made. Leave one row for each number."
        )
    found = tables.check(rows, shapes.RESULTS).to_dicts()
    return _number(found[0]) if found else None


def likeness(page: JudgementPage) -> Grid | None:
    """List each distance beside its real-against-real reference."""
    arms = _arms(page)
    rows = [
        Row(
            METRICS[metric].name if metric in METRICS else wording.metric_name(metric),
            tuple(_shown(page, arm, metric) for arm in arms),
            METRICS[metric].tells if metric in METRICS else "",
        )
        for metric in _metrics(page, None)
    ]
    caption = (
        "How near the generated cells come to held-out real ones. Beside each number stands what "
        "real cells reach against real ones: the best that can be asked for."
    )
    return grids.grid("table-likeness", caption, ["", *_heads(arms)], [("", rows)])


def by_category(page: JudgementPage) -> Grid | None:
    """List the distances of each category, where they were measured."""
    arms = [arm for arm in _arms(page) if arm != NOISE]
    groups = []
    for metric in dict.fromkeys(name for one in _categories(page) for name in _metrics(page, one)):
        title = METRICS[metric].name if metric in METRICS else wording.metric_name(metric)
        rows = [
            Row(category, tuple(_shown(page, arm, metric, category) for arm in arms))
            for category in _categories(page)
        ]
        groups.append((title, rows))
    return grids.grid(
        "table-categories",
        "The same, category by category: of few cells each number is uncertain.",
        ["Category", *_heads(arms)],
        groups,
    )


def copies(page: JudgementPage) -> Grid | None:
    """Count the flagged cells of each category."""
    rows = []
    for category in [*_categories(page), None]:
        own = page.neighbours
        own = own if category is None else own.filter(category=category)
        if own.height:
            rows.append(_copies_row(category, own))
    caption = (
        "How many generated cells are flagged as copies of a training cell, the middle one of "
        "the ratios drawn above, and how many lie where real cells lie."
    )
    heads = ["Category", "Cells", "Flagged", "Median ratio", "Where real ones lie, %"]
    return grids.grid("table-copies", caption, heads, [("", rows)])


def cells(page: JudgementPage) -> Grid | None:
    """Count the cells that were compared."""
    counted = ("n_fit", "n_held_out", "n_generated")
    known = list(page.about["cells"])
    rows = [
        Row(str(one["category"]), tuple(_count(one[name]) for name in counted)) for one in known
    ]
    sums = tuple(_count(sum(one[name] for one in known)) for name in counted)
    rows += [Row("all", sums, primary=True)] if len(rows) > 1 else []
    caption = (
        "The cells compared. Held-out cells belong to the validation split: the generator was "
        "neither fitted to them nor chosen by them."
    )
    heads = ["Category", "Training cells", "Held-out cells", "Generated cells"]
    return grids.grid("table-cells", caption, heads, [("", rows)])


def methods(page: JudgementPage) -> list[tuple[str, str]]:
    """List how each number of all categories together was got."""
    found = []
    for metric in (*_metrics(page, None), *_OF_COPIES):
        number = number_of(page, GENERATED, metric)
        if number is not None:
            named = {"memorised": "Share flagged", "memorisation": "Test of memorisation"}
            title = METRICS[metric].name.removesuffix(", %") if metric in METRICS else metric
            found.append((named.get(metric, title), wording.sentence_case(number.method)))
    return found


def flagged(page: JudgementPage) -> int:
    """Count the generated cells that are flagged as copies."""
    return int(page.neighbours["memorised"].sum())


def median_ratio(neighbours: pl.DataFrame) -> float | None:
    """Give the median ratio of the cells of which one is known, or None."""
    known = [value for value in neighbours["ratio"].to_list() if _known(value) is not None]
    return None if not known else float(pl.Series(known).median())  # type: ignore[arg-type]


def _copies_row(category: str | None, own: pl.DataFrame) -> Row:
    ratio = median_ratio(own)
    inside = own["in_manifold"].drop_nulls()
    share = wording.UNDEFINED if inside.is_empty() else wording.percent(float(inside.mean() or 0.0))  # type: ignore[arg-type]
    shown = (
        _count(own.height),
        _count(int(own["memorised"].sum())),
        grids.plain(wording.UNDEFINED if ratio is None else f"{ratio:.2f}"),
        grids.plain(share),
    )
    is_sum = category is None
    return Row("all" if is_sum else str(category), shown, primary=is_sum)


def _arms(page: JudgementPage) -> list[str]:
    there = set(page.results["arm"].drop_nulls().unique())
    return [arm for arm in (GENERATED, REAL, NOISE) if arm in there or arm != NOISE]


def _heads(arms: Sequence[str]) -> list[str]:
    named = {GENERATED: "Generated", REAL: "Real against real", NOISE: "Noise"}
    return [named[arm] for arm in arms]


def _categories(page: JudgementPage) -> list[str]:
    return [str(category) for category in page.about["categories"]]


def _metrics(page: JudgementPage, category: str | None) -> list[str]:
    """List the metrics of likeness that were measured: the known ones first."""
    rows = page.results.filter(pl.col("category").eq_missing(category))
    found = set(rows["metric"].unique()) - set(_OF_COPIES)
    return [*(name for name in METRICS if name in found), *sorted(found - set(METRICS))]


def _shown(page: JudgementPage, arm: str, metric: str, category: str | None = None) -> Shown:
    number = number_of(page, arm, metric, category)
    if number is None:
        return grids.plain("–")
    write = METRICS[metric].write if metric in METRICS else grids.coefficient
    shown = grids.estimate(number, write)
    return shown._replace(note=number.method) if metric == "fid" else shown


def _number(row: Mapping[str, Any]) -> Number:
    return Number(**{name: _known(row[name]) for name in Number._fields})


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _count(number: float) -> Shown:
    return grids.plain(wording.count(number))
