"""What is printed of an evaluation and of a comparison: tables for the eye, and notes."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import polars as pl
from rich.table import Table

from leukoscope.evaluation.evaluation import Evaluation
from leukoscope.evaluation.fixed_models import Comparison
from leukoscope.evaluation.prevalence import REPRIORED, REWEIGHTED
from leukoscope.evaluation.results import AS_IF_CASES
from leukoscope.reporting.comparison_answer import answers, common, lead
from leukoscope.reporting.evaluated import (
    ComparisonPage,
    Name,
    Numbers,
    ask,
    models_of,
    numbers_of,
)
from leukoscope.stats.reached import sentence_in

UNITS = ("case", "family")
_ORDER = ("accuracy", "balanced_accuracy", "macro_f", "mcc", "kappa")
_LEADING = ("accuracy", "balanced_accuracy", "macro_f")
_DIFFERENCES = (*_ORDER, "error_ratio", "auroc", "brier", "log_loss")
_EACH = ("recall", "specificity", "precision", "f")
_FORECAST = (
    *("auroc", "brier", "brier_constant", "log_loss", "log_loss_constant"),
    *("calibration_error", "calibration_error_by_chance", "area_under_risk"),
)
_ASSUMED = "person, assumed"
_SPOKEN = {
    "macro_f": "macro-F",
    "f": "F",
    "mcc": "MCC",
    "kappa": "Cohen's kappa",
    "auroc": "AUROC, mean",
    "brier": "Brier score",
    "brier_constant": "Brier score of a constant forecast",
    "log_loss_constant": "log loss of a constant forecast",
    "area_under_risk": "area under the risk curve",
}
Shown = Table | str


def score_tables(found: Evaluation) -> Iterator[Shown]:
    """Lay out one model's evaluation: what was odd first, then scores, then calls."""
    yield from findings_of(found)
    own = found.results.filter(pl.col("prevalence").is_null())
    for view, title in _views(own):
        part = own.filter(pl.col("view") == view)
        yield _overall(part, title)
        yield _by_category(part, f"{title}: each category")
        yield from _probabilities(part, f"{title}: probabilities")
        calls = found.confusion.filter(pl.col("view") == view)
        yield _confusion(calls, f"{title}: what was called what")
    yield from _at_mixes(found.results)
    yield _footnote(own)


def page_of(found: Comparison) -> ComparisonPage:
    """Make of a comparison what its page is made of, so that both say the same."""
    return ComparisonPage(
        **{field.name: getattr(found, field.name) for field in fields(ComparisonPage)}
    )


def comparison_tables(found: Comparison) -> Iterator[Shown]:
    """Lay out a comparison of models: the answers first, as on its page, then the numbers."""
    yield from findings_of(found)
    page = page_of(found)
    numbers = numbers_of(page.results)
    yield lead(page, numbers)
    for answer in answers(page, numbers):
        yield f"{answer.name}: {answer.word.upper()}; {answer.text}"
    for view, title in _views(found.results):
        yield _models(page, numbers, view, f"{title}: each model")
        yield _differences(page, numbers, view, f"{title}: less {found.baseline}")
    yield from common(page, numbers)
    yield _footnote(found.results)


def _views(results: pl.DataFrame) -> list[tuple[str, str]]:
    titles = {"strict": "Neutrophils told apart", "merged": "Neutrophils merged"}
    return [(view, titles[view]) for view in results["view"].unique(maintain_order=True)]


def findings_of(found: Evaluation | Comparison) -> Iterator[str]:
    """Say what a check found, a line each, naming the model where there are several."""
    for row in found.guards.filter(pl.col("severity") != "info").iter_rows(named=True):
        whose = f"{row['arm']}: " if row["arm"] else ""
        yield f"{row['severity'].upper()}: {whose}{row['detail']}"


def _models(page: ComparisonPage, numbers: Numbers, view: str, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("model", *(_spoken(metric) for metric in _LEADING)):
        table.add_column(name)
    for arm in models_of(page):
        found = [ask(numbers, Name(metric, view, arm=arm)) for metric in _LEADING]
        table.add_row(arm, *(_short(one._asdict()) if one else "" for one in found))
    return table


def _differences(page: ComparisonPage, numbers: Numbers, view: str, title: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    heads = ("model", "score", "difference", "95 % interval", "p", "p adjusted", "p, sign flip")
    for head in heads:
        table.add_column(head)
    for arm in models_of(page)[1:]:
        for metric in _DIFFERENCES:
            name = Name(metric, view, arm=arm, baseline=page.baseline)
            number, flipped = ask(numbers, name), ask(numbers, name._replace(kind="flip"))
            if number is None:
                continue
            by_flipping = flipped.p_value if flipped else None
            p_values = (number.p_value, number.p_adjusted, by_flipping)
            signed = _share if metric == "error_ratio" else _signed
            table.add_row(
                *(arm, _spoken(metric), signed(number.value), _range(number._asdict())),
                *(_p(value) for value in p_values),
            )
    return table


def _probabilities(part: pl.DataFrame, title: str) -> Iterator[Table]:
    rows = part.filter(pl.col("category").is_null(), pl.col("metric").is_in(_FORECAST)).to_dicts()
    if not rows:
        return
    table = Table(title=title, title_justify="left")
    for name in ("score", "value", "95 % interval", "method"):
        table.add_column(name)
    for row in sorted(rows, key=lambda row: _FORECAST.index(row["metric"])):
        table.add_row(_spoken(row["metric"]), _share(row["value"]), _range(row), row["method"])
    yield table


def _at_mixes(results: pl.DataFrame) -> Iterator[Table]:
    depends = ["accuracy", "macro_f", "precision", "f"]
    stated = results.filter(pl.col("view") == "strict", pl.col("metric").is_in(depends))
    for how in (REWEIGHTED, REPRIORED):
        ways = stated.filter(pl.col("method").str.ends_with(how))
        for (mix,), part in ways.group_by("prevalence", maintain_order=True):
            table = Table(title=f"At the mix {mix}: {how}", title_justify="left", min_width=60)
            for name in ("score", "category", "value", "95 % interval"):
                table.add_column(name)
            for row in part.iter_rows(named=True):
                who = row["category"] or "all"
                table.add_row(_spoken(row["metric"]), who, _share(row["value"]), _range(row))
            yield table


def _overall(part: pl.DataFrame, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("score", "value", "95 % interval", "unit", "method"):
        table.add_column(name)
    rows = part.filter(pl.col("category").is_null(), pl.col("metric").is_in(_ORDER)).to_dicts()
    for row in sorted(rows, key=lambda row: _ORDER.index(row["metric"])):
        name = _spoken(row["metric"])
        unit = _ASSUMED if row["unit"] == AS_IF_CASES else row["unit"]
        table.add_row(name, _share(row["value"]), _range(row), unit, row["method"])
    return table


def _by_category(part: pl.DataFrame, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("category", "cells", "recall", "specificity", "precision", "F"):
        table.add_column(name)
    own = part.filter(pl.col("unit").is_in(UNITS), pl.col("category").is_not_null())
    cells = {(row["category"], row["metric"]): row for row in own.iter_rows(named=True)}
    for category in dict.fromkeys(name for name, metric in cells if metric == "support"):
        scores = [cells[category, metric] for metric in _EACH]
        support = int(cells[category, "support"]["value"])
        texts = [_short(row) for row in scores]
        table.add_row(category, str(support), *texts)
    table.caption, table.caption_justify = _reached(cells), "left"
    return table


def _reached(cells: dict[tuple[str, str], dict[str, Any]]) -> str | None:
    """Say of which intervals simulation says that they cover less, or more, than they should."""
    told: dict[tuple[str, str], list[str]] = {}
    for (category, metric), row in cells.items():
        if said := sentence_in(row["method"]):
            told.setdefault((_spoken(metric), said), []).append(category)
    lines = [f"{metric} of {', '.join(names)}: {said}." for (metric, said), names in told.items()]
    return "\n".join(lines) or None


def _confusion(calls: pl.DataFrame, title: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = "Rows: true category. Columns: what the model called it. Numbers of cells."
    called = calls["predicted"].unique(maintain_order=True).to_list()
    for name in ("true category", *called):
        table.add_column(name, justify="left" if name == "true category" else "right")
    for (truth,), row in calls.group_by("category", maintain_order=True):
        table.add_row(str(truth), *(f"{count:g}" for count in row["n_cells"]))
    return table


def _footnote(results: pl.DataFrame) -> str:
    row = results.row(0, named=True)
    n = f"{row['n_cells']} cells, {row['n_families']} families"
    if row["n_cases"] == 1:
        return f"{n}, 1 case: nothing here speaks of other people."
    if row["n_cases"] is not None:
        return f"{n}, {row['n_cases']} cases; intervals speak of other cases."
    return (
        f"{n}, no case known: intervals speak of other cells of this collection only; those marked "
        f"'{_ASSUMED}' of other persons, {AS_IF_CASES}."
    )


def _short(row: dict[str, Any]) -> str:
    """Write value and interval so that four of them stand in a line."""
    if row["low"] is None:
        return _share(row["value"])
    bounds = " to ".join(f"{row[bound]:.3f}".removeprefix("0") for bound in ("low", "high"))
    return f"{_share(row['value'])} ({bounds})"


def _spoken(metric: str) -> str:
    return _SPOKEN.get(metric, metric.replace("_", " "))


def _signed(value: float | None) -> str:
    return "undefined" if value is None else f"{value:+.3f}"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _range(row: dict[str, Any]) -> str:
    if row["low"] is None:
        return "no interval"
    if row["high"] is None:
        return f"above {row['low']:.3f}"
    return f"{row['low']:.3f} to {row['high']:.3f}"
