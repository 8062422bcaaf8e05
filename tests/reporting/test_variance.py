"""Both parts of the uncertainty and both intervals stand beside each other as the results say."""

from dataclasses import replace

import polars as pl
import pytest
from tests.reporting.reading import read, rows, table
from tests.reporting.rotation import EFFECTS, rotation

from leukoscope.reporting import variance
from leukoscope.reporting.contents import StudyPage, index_scores, scores_of
from leukoscope.reporting.study_page import study_page

PAGE: StudyPage = rotation(n_replicates=2)
TABLE = variance.variance_table(PAGE, scores_of(PAGE))
PIGEONHOLE = pl.col("method").str.starts_with("pigeonhole")
PART_NAMES = ("se_groups", "se_replicates", "se_interaction")
PARTS = pl.col("metric").str.contains("_se_")


def given(arm: str, view: str, metric: str, *, second: bool = False) -> dict:
    """Find the one row of the results."""
    named = {
        "arm": arm,
        "view": view,
        "metric": metric,
        "study": PAGE.name,
        "baseline": "originals",
    }
    rows_ = PAGE.results.filter(PIGEONHOLE if second else ~PIGEONHOLE, **named)
    (row,) = rows_.filter(
        pl.col("category").is_null(), pl.col("baseline") == "originals"
    ).to_dicts()
    return row


def test_the_table_is_the_results() -> None:
    """An arm and view a row, each number from its own row of the results."""
    assert TABLE.select("arm", "view").rows() == [
        (arm, view) for arm in EFFECTS for view in ("strict", "merged")
    ]
    for row in TABLE.to_dicts():
        arm, view = row["arm"], row["view"]
        first, second = given(arm, view, "macro_f"), given(arm, view, "macro_f", second=True)
        assert [row[name] for name in ("value", "low", "high")] == [
            first[name] for name in ("value", "low", "high")
        ]
        assert (row["pigeonhole_low"], row["pigeonhole_high"]) == (second["low"], second["high"])
        for name in PART_NAMES:
            assert row[name] == given(arm, view, f"macro_f_{name}")["value"]


def test_the_page_shows_the_table() -> None:
    """Errors with two decimals, both intervals with their signs."""
    shown = rows(table(read(study_page(PAGE)), "table-variance").all("tbody")[0])
    for text, row in zip(shown, TABLE.to_dicts(), strict=True):
        assert text[3:6] == [f"{100 * row[name]:.2f}" for name in PART_NAMES]
        for cell, name in ((text[6], "low"), (text[7], "pigeonhole_low")):
            first = float(cell.split()[0].replace("−", "-"))
            assert first == pytest.approx(100 * row[name], abs=0.051)


def test_what_is_not_there_is_named() -> None:
    """A missing part is unknown, a missing second interval none; without both no table."""
    page = replace(PAGE, results=PAGE.results.filter(~PIGEONHOLE))
    shown = rows(table(read(study_page(page)), "table-variance").all("tbody")[0])
    assert {row[7] for row in shown} == {"none"}
    page = replace(PAGE, results=PAGE.results.filter(~PARTS))
    shown = rows(table(read(study_page(page)), "table-variance").all("tbody")[0])
    assert {cell for row in shown for cell in row[3:6]} == {"unknown"}
    older = replace(PAGE, results=PAGE.results.filter(~PARTS & ~PIGEONHOLE))
    assert "Where the uncertainty comes from" not in study_page(older)


def test_the_second_interval_is_no_second_answer() -> None:
    """The verdict is read from the first; the pigeonhole rows are passed over."""
    own = PAGE.results.filter(pl.col("study") == PAGE.name)
    assert own.filter(PIGEONHOLE).height == 4 * 2 * 3
    assert index_scores(own.filter(~PIGEONHOLE)) == index_scores(own)
