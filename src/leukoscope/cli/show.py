"""What a verb returned, for the eye or for a script."""

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from leukoscope.evaluation.results import AS_IF_CASES, Evaluation

_ORDER = ("accuracy", "balanced_accuracy", "macro_f", "recall", "precision", "f", "support")
_ASSUMED = "person, assumed"
_SPOKEN = {"macro_f": "macro-F", "balanced_accuracy": "balanced accuracy", "f": "F"}


class _Console(Console):
    """Leave it to the caller what a reader gone early means; rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def show(result: Any, *, as_json: bool) -> None:
    """Print a path as it is, scores and plans as tables or JSON."""
    if isinstance(result, Path):
        print(json.dumps({"path": str(result)}) if as_json else result)
    elif isinstance(result, pl.DataFrame):
        _show_table(result, as_json=as_json)
    elif as_json:
        json.dump(_as_json(result.results), sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        _show_scores(result)


def _show_table(table: pl.DataFrame, *, as_json: bool) -> None:
    if as_json:
        json.dump(table.to_dicts(), sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
        print()
        return
    shown = Table(*table.columns)
    for row in table.iter_rows():
        shown.add_row(*(_text(cell) for cell in row))
    _console().print(shown)


def _text(value: float | str | None) -> str:
    if not isinstance(value, float):
        return value or "none"
    return f"{value:.0f}" if value.is_integer() or abs(value) >= 1000 else f"{value:.3g}"


def _console() -> Console:
    # A pipe has no width: wide enough that no number is cut. A category may be called "[b]".
    return _Console(width=None if sys.stdout.isatty() else 120, markup=False, emoji=False)


def _as_json(results: pl.DataFrame) -> dict[str, Any]:
    """Nest results as {metric: …}, a view, category or assumption before the metric's name."""
    found = {}
    for row in results.iter_rows(named=True):
        parts = [row["metric"], row["category"]]
        parts.append(row["view"] if row["view"] != "strict" else None)
        parts.append("as-if-cases" if row["unit"] == AS_IF_CASES else None)
        name = "/".join(part for part in parts if part)
        found[name] = {
            "value": row["value"],
            "low": row["low"],
            "high": row["high"],
            "n": row["n_cells"],
            "unit": row["unit"],
            "method": row["method"],
        }
    return found


def _show_scores(found: Evaluation) -> None:
    results = found.results
    console = _console()
    for view in results["view"].unique(maintain_order=True).to_list():
        part = results.filter(pl.col("view") == view)
        title = "Neutrophils told apart" if view == "strict" else "Neutrophils merged"
        console.print(_overall(part, title))
        console.print(_by_category(part, f"{title}: each category"))
        calls = found.confusion.filter(pl.col("view") == view)
        console.print(_confusion(calls, f"{title}: what was called what"))
    console.print(_footnote(results), style="dim")


def _overall(part: pl.DataFrame, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("score", "value", "95 % interval", "unit", "method"):
        table.add_column(name)
    rows = part.filter(pl.col("category").is_null()).to_dicts()
    for row in sorted(rows, key=lambda row: _ORDER.index(row["metric"])):
        name = _SPOKEN.get(row["metric"], row["metric"])
        unit = _ASSUMED if row["unit"] == AS_IF_CASES else row["unit"]
        table.add_row(name, _share(row["value"]), _range(row), unit, row["method"])
    return table


def _by_category(part: pl.DataFrame, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("category", "cells", "recall", "precision", "F"):
        table.add_column(name)
    cells = {(r["category"], r["metric"]): r for r in part.to_dicts() if r["category"]}
    for category in dict.fromkeys(category for category, _ in cells):
        scores = [cells[category, metric] for metric in ("recall", "precision", "f")]
        support = int(cells[category, "support"]["value"])
        texts = [f"{_share(row['value'])} ({_range(row)})" for row in scores]
        table.add_row(category, str(support), *texts)
    return table


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
    if row["n_cases"] is not None:
        return f"{n}, {row['n_cases']} cases; intervals speak of other cases."
    return (
        f"{n}, no case known: intervals speak of other cells of this collection only; those marked "
        f"'{_ASSUMED}' of other persons, {AS_IF_CASES}."
    )


def _share(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _range(row: dict[str, Any]) -> str:
    return "no interval" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}"
