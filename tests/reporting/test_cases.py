"""The spread over cases: a dot a case, quartiles by a slow oracle, and never a name."""

import statistics
from dataclasses import replace

import polars as pl
import pytest
from tests.reporting.reading import read, rows, table
from tests.reporting.rotation import ARMS, N_CASES, rotation

from leukoscope.foundation.errors import DataError
from leukoscope.reporting import cases
from leukoscope.reporting.contents import StudyPage
from leukoscope.reporting.study_page import study_page

PAGE: StudyPage = rotation(unit="case", n_replicates=2)
TABLE = cases.case_table(PAGE)
HTML = study_page(PAGE)


def values(arm: str, view: str) -> list[float]:
    """List the accuracies of an arm's cases from the results."""
    named = {"arm": arm, "view": view, "metric": "accuracy", "study": PAGE.name}
    return PAGE.results.filter(pl.col("case").is_not_null(), **named)["value"].to_list()


def test_the_table_is_the_results() -> None:
    """Every case of every arm and view stands in it once."""
    given = PAGE.results.filter(pl.col("case").is_not_null()).select(list(cases.CASES))
    assert sorted(TABLE.rows()) == sorted(given.rows())
    assert TABLE.height == len(ARMS) * 2 * N_CASES


def test_quartiles_are_those_of_the_standard_library() -> None:
    """Lowest, quartiles and highest of each arm, in percent."""
    shown = rows(table(read(HTML), "table-cases").all("tbody")[0])
    assert len(shown) == 2 * len(ARMS)
    for place, (_, view, n_cases, *texts) in enumerate(shown):
        found = values(list(ARMS)[place % len(ARMS)], view)
        middle = statistics.quantiles(found, n=4, method="inclusive")
        expected = [min(found), *middle, max(found)]
        assert n_cases == str(N_CASES)
        assert [float(text) for text in texts] == pytest.approx(
            [100 * value for value in expected], abs=0.0501
        )


def test_dots_read_back_as_cases() -> None:
    """As many dots as cases, each where the axis says its accuracy is."""
    plot = cases.case_plot(PAGE, TABLE)
    assert plot is not None
    (first, low), (last, high) = (
        (float(at.rstrip("%")), float(text)) for at, text in (plot.ticks[0], plot.ticks[-1])
    )
    for arm, strip in zip(ARMS, plot.strips, strict=True):
        places = [float(dot.x.rstrip("%")) for dot in strip.dots]
        found = [low + (place - first) * (high - low) / (last - first) for place in places]
        expected = sorted(100 * value for value in values(arm, PAGE.view))
        assert found == pytest.approx(expected, abs=0.02)
        assert len(set(strip.dots)) == N_CASES
        assert all(abs(float(dot.y_px) - strip.y_px) <= 20 for dot in strip.dots)


def test_many_equal_cases_stay_in_their_strip() -> None:
    """All cases at one place are stacked no higher than the strip."""
    same = TABLE.with_columns(value=pl.lit(1.0))
    plot = cases.case_plot(PAGE, same)
    assert plot is not None
    strip = plot.strips[0]
    assert max(abs(float(dot.y_px) - strip.y_px) for dot in strip.dots) <= 15
    assert strip.box == ("98.00%", "0.00%")


def test_the_hardest_cases_are_hardest() -> None:
    """Five pseudonyms with the lowest mean over the arms, hardest first."""
    shown = rows(table(read(HTML), "table-hard").all("tbody")[0])
    strict = [row for row in TABLE.to_dicts() if row["view"] == "strict"]
    mean = {
        case: statistics.fmean(row["value"] for row in strict if row["case"] == case)
        for case in {row["case"] for row in strict}
    }
    assert [row[0] for row in shown] == sorted(mean, key=lambda case: mean[case])[:5]


@pytest.mark.parametrize("name", ["by name", "case-1 (by name)", "CASE-007", "case-x"])
def test_a_case_in_clear_is_refused(name: str) -> None:
    """Anything but a pseudonym stops the page, and the error does not repeat it."""
    changed = pl.when(pl.col("case") == "case-007").then(pl.lit(name)).otherwise(pl.col("case"))
    with pytest.raises(DataError, match="1 of 51 cases") as caught:
        replace(PAGE, results=PAGE.results.with_columns(changed.alias("case")))
    assert name not in str(caught.value)


def test_where_cases_are_unknown_there_is_no_section() -> None:
    """A study by families shows no spread over persons."""
    built = read(study_page(rotation(n_replicates=1)))
    assert "Spread over cases" not in built.words()
    assert not built.all("svg", **{"class": "cases"})
