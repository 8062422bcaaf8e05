"""From the tables of a judgement to its folder: the page, the figures, and a file for scripts."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from leukoscope.foundation import files
from leukoscope.records import shapes, tables
from leukoscope.reporting import judgement_words as words
from leukoscope.reporting.judgement_page import judgement_figures, judgement_page
from leukoscope.reporting.judgement_tables import JudgementPage, flagged
from leukoscope.reporting.plotting import write_figure

_TOLD = ("category", "value", "low", "high", "p_value", "n_cells", "method")


def write_judgement(
    out: Path,
    *,
    results: pl.DataFrame,
    neighbours: pl.DataFrame,
    about: Mapping[str, Any],
    pictures: Mapping[str, bytes] | None = None,
) -> Path:
    """Write the report of a judgement.

    Parameters
    ----------
    out : Path
        The judgement's folder; ``report.html``, ``report.json`` and, in ``figures``, each figure
        as NAME.svg, NAME.png and NAME.csv are written into it.
    results, neighbours : polars.DataFrame
        In the shapes :data:`leukoscope.records.shapes.RESULTS` and
        :data:`leukoscope.records.shapes.NEIGHBOURS`.
    about : mapping
        What was compared, in plain values; see
        :data:`leukoscope.reporting.judgement_tables.REQUIRED`. What else is known is shown:
        ``generator``, ``generator_id``, ``pool`` (how both pools were made equal),
        ``honest_ratios`` and ``honest_flagged`` (of held-out cells), ``shown`` (which generated
        cells were drawn to be shown), ``seed``, ``licence``, ``citation``.
    pictures : mapping of str to bytes, optional
        Cell → PNG at the generated size. Real cells are shown where they are among them.

    Returns
    -------
    Path
        ``report.html``.

    Raises
    ------
    SchemaError
        If a table breaks its shape.
    DataError
        If a number is given twice, a required fact lacks, or a picture cannot be read.
    RunError
        If the disk refuses.
    """
    page = JudgementPage(
        tables.check(results, shapes.RESULTS).sort(shapes.RESULTS.key, nulls_last=False),
        tables.check(neighbours, shapes.NEIGHBOURS),
        about,
        dict(pictures or {}),
    )
    drawn = judgement_figures(page)
    html = judgement_page(page, drawn)
    for name, each in drawn.items():
        write_figure(Path(out) / "figures", name, each.figure, each.table)
    files.write_text(Path(out) / "report.json", judgement_json(page))
    files.write_text(Path(out) / "report.html", html)
    return Path(out) / "report.html"


def judgement_json(page: JudgementPage) -> str:
    """Write the verdict and its numbers for a script; no real cell is named."""
    numbers: dict[str, list[dict[str, Any]]] = {}
    for row in page.results.iter_rows(named=True):
        told = {name: _plain(row[name]) for name in _TOLD}
        numbers.setdefault(f"{row['metric']}/{row['arm']}", []).append(told)
    facts = {name: value for name, value in page.about.items() if name not in _LONG}
    report = {
        "verdict": {
            "lead": words.lead(page),
            "likeness": words.likeness_of(page),
            "copying": words.copying_of(page),
            "answers": {answer.question: answer.text for answer in words.answers(page)},
        },
        "n_generated": page.neighbours.height,
        "n_flagged": flagged(page),
        "about": facts,
        "results": numbers,
    }
    return json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"


_LONG = ("honest_ratios", "shown")


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and value - value != 0 else value
