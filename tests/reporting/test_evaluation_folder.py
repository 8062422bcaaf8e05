"""From tables on disk to pages, figures and JSON; what a folder lacks or must not show."""

import io
import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from PIL import Image
from tests.reporting.reading import read
from tests.reporting.scored import comparison, evaluation, write_tables
from tests.reporting.test_comparison_page import row_of as difference_of
from tests.reporting.test_evaluation_page import row_of

from leukoscope.evaluation.results import AS_IF_CASES
from leukoscope.foundation.errors import DataError
from leukoscope.records import shapes, tables
from leukoscope.reporting.comparison_page import comparison_page
from leukoscope.reporting.evaluated_json import evaluation_json
from leukoscope.reporting.evaluation_folder import is_evaluated, write_pages
from leukoscope.reporting.evaluation_page import EvaluationPage, evaluation_page
from leukoscope.reporting.page_figures import comparison_figures


def test_the_json_is_the_results() -> None:
    """Each number stands under its view, metric and category, with what it rests on."""
    page = evaluation()
    found = json.loads(evaluation_json(page))
    accuracy, recall = row_of(page, "accuracy"), row_of(page, "recall", category="band")
    assert found["scores"]["strict"]["accuracy"] == {
        **{name: accuracy[name] for name in ("value", "low", "high", "unit", "method")},
        "n": 12,
        "n_cells": 360,
    }
    assert found["scores"]["strict"]["categories"]["band"]["recall"]["value"] == recall["value"]
    anew = found["at_mix"]["re_priored"]["strict"]["macro_f"]["value"]
    calls = found["at_mix"]["calls_as_they_are"]["strict"]["macro_f"]["value"]
    at = page.results.filter(metric="macro_f", prevalence="nozaka-2022", view="strict")
    assert {anew, calls} == set(at["value"])
    assert [row["check"] for row in found["guards"]] == sorted(page.guards["check"])
    bare = json.loads(evaluation_json(evaluation("bare")))
    wide = row_of(evaluation("bare"), "accuracy", unit=AS_IF_CASES)
    assert bare["as_if_persons"]["strict"]["accuracy"]["low"] == wide["low"]
    assert (bare["mix"], bare["at_mix"], bare["readers"]) == (None, None, None)


def test_a_folder_gets_its_report_and_figures(tmp_path: Path) -> None:
    """Page, JSON and each figure with its numbers, from the tables alone, twice the same bytes."""
    page = evaluation("bare")
    write_tables(tmp_path, page)
    (tmp_path / "evaluation.json").write_text('{"source": "run-7"}', encoding="utf-8")
    assert is_evaluated(tmp_path)
    write_pages(tmp_path)
    first = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    names = {path.name for path in first if path.parent.name == "figures"}
    assert names == {
        f"{name}.{end}" for name in ("scores", "confusion") for end in ("svg", "png", "csv")
    }
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == evaluation_page(page)
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["n_cells"] == 80
    drawn = tables.read_table(tmp_path / "figures" / "confusion.csv", shapes.CONFUSION)
    assert drawn["n_cells"].sum() == 80
    write_pages(tmp_path, pictures=False)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == first


def test_pictures_of_errors_are_shown_and_can_be_left_out(tmp_path: Path) -> None:
    """The gallery shows cells; without pictures neither page nor folder holds any."""
    page = with_pictures(evaluation("bare"))
    write_tables(tmp_path, page)
    (tmp_path / "evaluation.json").write_text('{"source": "run-7"}', encoding="utf-8")
    write_pages(tmp_path)
    html, gallery = tmp_path / "report.html", tmp_path / "figures" / "errors.csv"
    (section,) = read(html.read_text(encoding="utf-8")).all(
        "section", **{"aria-labelledby": "errors"}
    )
    assert len(section.all("image")) == page.pictures.height
    assert "cell_id" not in gallery.read_text(encoding="utf-8")
    write_pages(tmp_path, pictures=False)
    assert "data:image" not in html.read_text(encoding="utf-8")
    assert not list((tmp_path / "figures").glob("errors.*"))


def with_pictures(page: EvaluationPage) -> EvaluationPage:
    """Add a picture of each of three errors, one colour each."""
    wrong = page.errors.head(3).select("cell_id", "category", "predicted")
    png = []
    for shade in range(wrong.height):
        buffer = io.BytesIO()
        Image.new("RGB", (16, 16), (80 * shade, 90, 120)).save(buffer, "png")
        png.append(buffer.getvalue())
    pictures = wrong.with_columns(
        kind=pl.lit("missed"), arm=pl.lit("run-7"), png=pl.Series(png, dtype=pl.Binary)
    )
    return replace(page, pictures=tables.check(pictures, shapes.PICTURES))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    """Neither evaluation.json nor comparison.json: nothing is written."""
    assert not is_evaluated(tmp_path)
    with pytest.raises(DataError, match=r"neither evaluation\.json nor comparison\.json"):
        write_pages(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_comparison_gets_its_report(tmp_path: Path) -> None:
    """Page, JSON and figures from the tables alone."""
    page = comparison(2)
    write_tables(tmp_path, page)
    facts = {"baseline": "model-1", "metric": "macro_f", "margin": 0.02}
    (tmp_path / "comparison.json").write_text(json.dumps(facts), encoding="utf-8")
    assert is_evaluated(tmp_path)
    write_pages(tmp_path)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == comparison_page(page)
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    own = difference_of(page, "macro_f", "paired jackknife")
    assert found["models"]["model-2"]["differences"]["strict"]["macro_f"]["low"] == own["low"]
    names = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert names == set(comparison_figures(page))
