"""What a verb returned, for the eye or for a script."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from leukoscope.cli.judged import errors_of, judgement_tables
from leukoscope.cli.tables import comparison_tables, findings_of, page_of, score_tables
from leukoscope.evaluation.evaluation import Evaluation
from leukoscope.evaluation.fixed_models import Comparison
from leukoscope.evaluation.results import AS_IF_CASES
from leukoscope.records.judgements import Judgement
from leukoscope.reporting.comparison_answer import verdict_of
from leukoscope.reporting.evaluated import models_of, numbers_of


class _Console(Console):
    """Leave it to the caller what a reader gone early means; rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def show(result: Any, *, as_json: bool) -> None:
    """Print a path or a text as it is; scores, comparisons and plans as tables or JSON."""
    if isinstance(result, Path):
        print(json.dumps({"path": str(result)}) if as_json else result)
    elif isinstance(result, str):
        text = json.dumps({"text": result}, ensure_ascii=False) + "\n" if as_json else result
        print(text, end="")
    elif isinstance(result, pl.DataFrame):
        _show_table(result, as_json=as_json)
    elif as_json:
        # The numbers are for a script; what is wrong with them is for the person who runs it.
        told = errors_of if isinstance(result, Judgement) else findings_of
        for finding in told(result):
            print(finding, file=sys.stderr)
        print(json.dumps(_as_json(result), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        console = _console()
        for part in _tables(result):
            console.print(part, style="dim" if isinstance(part, str) else None)


def _tables(result: Evaluation | Comparison | Judgement) -> Iterator[Table | str]:
    if isinstance(result, Judgement):
        return judgement_tables(result)
    return score_tables(result) if isinstance(result, Evaluation) else comparison_tables(result)


def has_findings(result: Any) -> bool:
    """Tell whether a check of what was scored found an error, which is worth an exit code."""
    if isinstance(result, Judgement):
        return result.has_errors
    if not isinstance(result, Evaluation | Comparison):
        return False
    return bool((result.guards["severity"] == "error").any())


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
    if value is None or value == "":
        return "none"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value.is_integer() or abs(value) >= 1000 else f"{value:.3g}"


def _console() -> Console:
    # A pipe has no width: wide enough that no number is cut. A category may be called "[b]".
    return _Console(width=None if sys.stdout.isatty() else 120, markup=False, emoji=False)


def _as_json(result: Evaluation | Comparison | Judgement) -> dict[str, Any]:
    """Nest results as {metric: …}: category, models, view, mix or assumption follow its name."""
    found: dict[str, Any] = {}
    for row in result.results.iter_rows(named=True):
        parts = [row["metric"], row["category"], row["arm"]]
        parts.append(f"less {row['baseline']}" if row["baseline"] else None)
        parts.append(row["view"] if row["view"] != "strict" else None)
        parts.append(f"at {row['prevalence']}" if row["prevalence"] else None)
        parts.append("as-if-cases" if row["unit"] == AS_IF_CASES else None)
        name = "/".join(part for part in parts if part)
        # A second way to the same number is told apart by its method.
        name = name if name not in found else f"{name}/{row['method']}"
        found[name] = {
            "value": row["value"],
            "low": row["low"],
            "high": row["high"],
            "n": row["n_cells"],
            "unit": row["unit"],
            "method": row["method"],
        }
        if row["baseline"]:
            found[name] |= {key: row[key] for key in ("p_value", "p_adjusted")}
    if isinstance(result, Comparison):
        page = page_of(result)
        for arm in models_of(page)[1:]:
            planned = found[f"{page.metric}/{arm}/less {page.baseline}"]
            planned["verdict"] = verdict_of(page, numbers_of(page.results), arm)
    return found
