"""From the tables of an evaluation or a comparison to its pages: files are seen, never objects."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError
from leukoscope.records import shapes, tables
from leukoscope.reporting.comparison_page import comparison_page
from leukoscope.reporting.evaluated import ComparisonPage, EvaluationPage
from leukoscope.reporting.evaluated_json import comparison_json, evaluation_json
from leukoscope.reporting.evaluation_page import evaluation_page
from leukoscope.reporting.page_figures import Figures, comparison_figures, evaluation_figures
from leukoscope.reporting.plotting import write_figure

EVALUATION, COMPARISON = "evaluation.json", "comparison.json"
"""The files that tell an evaluation and a comparison from other folders."""


def is_evaluated(folder: Path) -> bool:
    """Tell whether a folder holds an evaluation or a comparison."""
    return any((Path(folder) / name).is_file() for name in (EVALUATION, COMPARISON))


def write_pages(folder: Path, *, pictures: bool = True) -> None:
    """Write the report of an evaluation or a comparison from its tables alone.

    Parameters
    ----------
    folder : Path
        What ``evaluate`` or ``compare`` wrote. ``report.html``, ``report.json`` and, in
        ``figures``, each figure as NAME.svg, NAME.png and NAME.csv are written into it.
    pictures : bool
        Whether cells are shown; if not, they are not even read, and a gallery of an
        earlier report is taken away.

    Raises
    ------
    DataError
        If the folder holds neither, a table names a case otherwise than by a pseudonym,
        or a number stands in the results twice.
    SchemaError
        If a table is missing or breaks its shape.
    RunError
        If the disk refuses.
    """
    folder = Path(folder)
    if (folder / EVALUATION).is_file():
        page = evaluation_of_folder(folder, pictures=pictures)
        drawn = evaluation_figures(page)
        _write(folder, evaluation_page(page, drawn), evaluation_json(page), drawn)
    elif (folder / COMPARISON).is_file():
        compared = comparison_of_folder(folder)
        drawn = comparison_figures(compared)
        _write(folder, comparison_page(compared, drawn), comparison_json(compared), drawn)
    else:
        raise DataError(
            f"{folder} holds neither {EVALUATION} nor {COMPARISON}. Nothing was written. Name a "
            "folder that evaluate or compare wrote."
        )


def evaluation_of_folder(folder: Path, *, pictures: bool = True) -> EvaluationPage:
    """Read what the page of an evaluation shows; see :func:`write_pages`."""
    facts = files.read_json(folder / EVALUATION)
    return EvaluationPage(
        name=facts["source"],
        **_read(folder, _COMMON | _OF_ONE),
        curves=_if_there(folder / "curves.parquet", shapes.CURVES),
        pictures=_if_there(folder / "pictures.parquet", shapes.PICTURES) if pictures else None,
    )


def comparison_of_folder(folder: Path) -> ComparisonPage:
    """Read what the page of a comparison shows; see :func:`write_pages`."""
    facts = files.read_json(folder / COMPARISON)
    named = {name: facts[name] for name in ("baseline", "metric", "margin")}
    content: dict[str, Any] = named | _read(folder, _COMMON)
    return ComparisonPage(**content)


_COMMON = {
    "results": shapes.RESULTS,
    "confusion": shapes.CONFUSION,
    "points": shapes.POINTS,
    "guards": shapes.GUARDS,
}
_OF_ONE = {"differential": shapes.DIFFERENTIAL, "errors": shapes.ERRORS}


def _read(folder: Path, shapes: Mapping[str, shapes.Shape]) -> dict[str, pl.DataFrame]:
    return {
        name: tables.read_table(folder / f"{name}.parquet", shape) for name, shape in shapes.items()
    }


def _if_there(path: Path, shape: shapes.Shape) -> pl.DataFrame | None:
    return tables.read_table(path, shape) if path.is_file() else None


def _write(folder: Path, html: str, json: str, figures: Figures) -> None:
    for name, drawn in figures.items():
        write_figure(folder / "figures", name, drawn.figure, drawn.table)
    if "errors" not in figures:
        for path in sorted((folder / "figures").glob("errors.*")):
            path.unlink()
    files.write_text(folder / "report.json", json)
    files.write_text(folder / "report.html", html)
