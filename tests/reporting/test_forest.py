"""The forest plot draws its table, and the table is in the results."""

import math
import re
from dataclasses import replace

import polars as pl
import pytest
from tests.reporting.example import example, with_primary
from tests.reporting.reading import read

from leukoscope.reporting.answer import answer_sentence
from leukoscope.reporting.contents import StudyPage
from leukoscope.reporting.forest import FOREST, ForestPlot, forest_plot, forest_table
from leukoscope.reporting.study_page import study_page

PAGE: StudyPage = example()


def unplaced(plot: ForestPlot, place: str) -> float:
    """Read a place on the axis back into a fraction, by the axis' own first and last tick."""
    (first, left), *_, (last, right) = [
        (float(at.rstrip("%")), float(text.replace("−", "-")) / 100) for at, text in plot.ticks
    ]
    return left + (float(place.rstrip("%")) - first) * (right - left) / (last - first)


def test_summaries_are_rows_of_the_results() -> None:
    """Value and bounds of every comparison stand in the results as they are."""
    shown = forest_table(PAGE).filter(pl.col("replicate").is_null())
    given = PAGE.results.filter(pl.col("baseline").is_not_null(), pl.col("metric") == "macro_f")
    columns = ["arm", "baseline", "view", "value", "low", "high", "method"]
    assert shown.select(columns).sort("view").equals(given.select(columns).sort("view"))
    assert shown["verdict"].to_list() == ["helps", None]


def test_the_interval_for_other_people_stands_in_the_table() -> None:
    """Where no case is known: as wide as it says in the answer; else, and for dots, null."""
    names = ["assumed_low", "assumed_high"]
    assert forest_table(PAGE).select(pl.col(names).null_count()).row(0) == (18, 18)
    page = example(unit="family", n_replicates=5)
    table = forest_table(page)
    summaries = table.filter(pl.col("replicate").is_null())
    for row in summaries.to_dicts():
        half = math.sqrt(3.45) * (row["high"] - row["low"]) / 2
        assert row["assumed_low"] == pytest.approx(row["value"] - half)
        assert row["assumed_high"] == pytest.approx(row["value"] + half)
    assert table.drop_nulls("replicate").select(pl.col(names).null_count()).row(0) == (10, 10)
    low, high = (f"{100 * value:+.1f}" for value in summaries.select(names).row(0))
    assert f"it would be {low} to {high} points".replace("-", "−") in answer_sentence(page)


def test_the_figure_concludes_as_the_answer_does() -> None:
    """Of several arms, one whose adjusted p value is too large is undecided here too."""
    page = example(arms=dict.fromkeys(("none", "a", "b"), ""), n_replicates=2)
    page = with_primary(page, value=0.021, low=0.004, high=0.038, p_adjusted=0.06)
    assert forest_table(page)["verdict"].drop_nulls().to_list() == ["undecided"] * 2


def test_replicates_are_paired() -> None:
    """Each small dot is the difference of two runs of the same replicate."""
    dots = forest_table(PAGE).filter(pl.col("replicate").is_not_null())
    runs = PAGE.results.filter(pl.col("replicate").is_not_null(), pl.col("metric") == "macro_f")
    value = {(row["arm"], row["view"], row["replicate"]): row["value"] for row in runs.to_dicts()}
    assert dots.height == 2 * PAGE.n_replicates
    for row in dots.to_dicts():
        view, number = row["view"], row["replicate"]
        assert row["value"] == value[row["arm"], view, number] - value["none", view, number]


def test_a_replicate_of_one_arm_alone_has_no_dot() -> None:
    """A run whose partner is missing or undefined makes no difference."""
    first = (pl.col("replicate") == 0) & (pl.col("arm") == "none")
    second = (pl.col("replicate") == 1) & (pl.col("arm") == "none")
    results = PAGE.results.filter(~first.fill_null(value=False)).with_columns(
        pl.when(second.fill_null(value=False)).then(None).otherwise(pl.col("value")).alias("value")
    )
    dots = forest_table(replace(PAGE, results=results)).drop_nulls("replicate")
    assert sorted(set(dots["replicate"].to_list())) == list(range(2, PAGE.n_replicates))


def test_places_read_back_as_values() -> None:
    """Every mark lies where the axis says its value is."""
    table = forest_table(PAGE)
    plot = forest_plot(table)
    assert plot is not None
    summaries = table.filter(pl.col("replicate").is_null()).to_dicts()
    for drawn, row in zip(plot.rows, summaries, strict=True):
        for name in ("value", "low", "high"):
            assert unplaced(plot, getattr(drawn, name)) == pytest.approx(row[name], abs=1e-5)
        dots = table.filter(pl.col("view") == row["view"]).drop_nulls("replicate")["value"]
        assert [unplaced(plot, dot) for dot in drawn.dots] == pytest.approx(
            dots.to_list(), abs=1e-5
        )
    assert unplaced(plot, plot.zero) == pytest.approx(0, abs=1e-5)
    assert unplaced(plot, plot.band[0]) == pytest.approx(-PAGE.margin, abs=1e-5)
    end = sum(float(part.rstrip("%")) for part in plot.band)
    assert unplaced(plot, f"{end}%") == pytest.approx(PAGE.margin, abs=1e-5)


@pytest.mark.parametrize("reach", [0.0001, 0.01, 0.3, 1.0])
def test_the_axis_holds_everything(reach: float) -> None:
    """Nothing is drawn beside the paper and the ticks are few, whatever the size."""
    page = with_primary(PAGE, value=0.0, low=-reach, high=reach)
    plot = forest_plot(forest_table(replace(page, margin=reach / 2)))
    assert plot is not None
    assert 2 <= len(plot.ticks) <= 7
    places = [place for row in plot.rows for place in (row.value, row.low, row.high, *row.dots)]
    places += [at for at, _ in plot.ticks]
    assert all(0 <= float(place.rstrip("%")) <= 100 for place in places if place)


def test_every_number_in_the_figure_is_in_its_table() -> None:
    """The figure's texts hold the ticks and the table's values in points, nothing else."""
    (figure,) = read(study_page(PAGE)).all("svg", **{"class": "forest"})
    table = forest_table(PAGE)
    plot = forest_plot(table)
    assert plot is not None
    known = {text for _, text in plot.ticks}
    for name in ("value", "low", "high"):
        known |= {f"{100 * value:+.1f}".replace("-", "−") for value in table[name].drop_nulls()}
    shown = [
        number
        for text in figure.all("text")
        for number in re.findall(r"[+−]?\d[\d.]*", text.text())
    ]
    assert len(shown) == 6 + len(plot.ticks)
    assert set(shown) <= known
    assert len(figure.all("circle", **{"class": "dot"})) == 2 * PAGE.n_replicates


def test_without_an_interval_only_the_mark_is_drawn() -> None:
    """A difference without bounds has no line, and says so."""
    page = with_primary(PAGE, low=None, high=None)
    plot = forest_plot(forest_table(page))
    assert plot is not None
    assert plot.rows[0].low is None
    assert plot.rows[0].text.endswith("(no interval)")


def test_no_difference_no_figure() -> None:
    """Without a comparison the table is empty but has its columns, and no figure is drawn."""
    page = replace(PAGE, results=PAGE.results.filter(pl.col("baseline").is_null()))
    page = replace(page, results=page.results.filter(pl.col("arm") == "none"))
    table = forest_table(page)
    assert table.schema == FOREST
    assert table.height == 0
    assert forest_plot(table) is None
    assert "<svg" not in study_page(page)
