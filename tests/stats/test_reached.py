import csv
from pathlib import Path

import pytest

from leukoscope.foundation.errors import UsageError
from leukoscope.stats.reached import coverage_reached, settings

RESULTS = Path(__file__).resolve().parents[2] / "results" / "coverage" / "coverage.csv"
KEPT = Path(__file__).resolve().parents[2] / "src" / "leukoscope" / "stats" / "reached.csv"


def rows_of(path):
    """Read a table as a list of dictionaries."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.skipif(not RESULTS.exists(), reason="the source archive holds no results")
def test_the_package_keeps_what_was_simulated():
    """The package's table is the default's rows of results/coverage, setting for setting."""
    default = [row for row in rows_of(RESULTS) if row["method"] == "default"]
    kept = rows_of(KEPT)
    assert kept == [{name: row[name] for name in kept[0]} for row in default]
    assert len(kept) == 36


def test_the_sentence_says_what_the_table_says():
    """At each few-case or rare setting: range over the correlations, cases and cells."""
    for metric, n_cases, n_cells, low, high in settings():
        shares = [
            float(row["coverage"])
            for row in rows_of(KEPT)
            if (row["metric"], row["n_cases"]) == (metric, str(n_cases))
        ]
        assert (len(shares), low, high) == (3, min(shares), max(shares))
        said = coverage_reached(metric.split("_b")[0], n_cases, n_cells)
        if n_cases >= 20 and metric != "recall_basophil":
            assert said == ""
        else:
            assert said.startswith(f"covered {100 * low:.0f}")
            assert f"{100 * high:.0f} % of the time in simulation of {n_cases} cases" in said
            assert f"some {n_cells:,.0f} " in said
            assert "fewer" not in said


@pytest.mark.parametrize(
    ("n_groups", "n_cells", "cases", "cells"),
    [(8, 13, 10, 16), (12, 60, 10, 96), (30, 40, 20, 31), (70, 90, 51, 80), (16, 25, 20, 31)],
)
def test_the_nearest_setting_speaks(n_groups, n_cells, cases, cells):
    """Between the settings the nearest in cases and cells is taken."""
    said = coverage_reached("recall", n_groups, n_cells)
    assert f"simulation of {cases} cases with some {cells} such cells" in said


@pytest.mark.parametrize(
    ("metric", "n_groups", "n_cells"),
    [
        ("accuracy", 20, 300),
        ("macro_f", 51, 9796),
        ("recall", 51, 5541),
        ("recall", 500, 4000),
        ("recall", 1, 30),
        ("recall", 12, 0),
        ("recall", 12, float("nan")),
    ],
)
def test_nothing_is_said_where_nothing_needs_saying(metric, n_groups, n_cells):
    """Many cases and cells, and scores that have no interval, get no sentence."""
    assert coverage_reached(metric, n_groups, n_cells) == ""


@pytest.mark.parametrize(("n_groups", "n_cells"), [(4, 16), (40, 3)])
def test_it_says_when_fewer_were_not_simulated(n_groups, n_cells):
    """Below the least setting the sentence says that it is the nearest and not the same."""
    assert coverage_reached("recall", n_groups, n_cells).endswith("; fewer were not simulated")


@pytest.mark.parametrize(
    ("metric", "named"),
    [
        ("precision", "recall covered "),
        ("f", "recall covered "),
        ("specificity", "recall covered "),
        ("kappa", "macro-F covered "),
        ("mcc", "macro-F covered "),
        ("balanced_accuracy", "macro-F covered "),
        ("recall", "covered "),
        ("macro_f", "covered "),
    ],
)
def test_another_metric_is_named(metric, named):
    """Where the score itself was not simulated, the sentence names the one that was."""
    assert coverage_reached(metric, 10, 16).startswith(named)


def test_an_unknown_metric_is_refused():
    """A misspelled metric gets no empty sentence."""
    with pytest.raises(UsageError, match="recal"):
        coverage_reached("recal", 10, 16)


@pytest.mark.skipif(not RESULTS.exists(), reason="the source archive holds no results")
def test_the_default_covers_and_the_bootstrap_of_cells_fails():
    """From .93 to .97 up to two Monte-Carlo errors; cells taken as independent cover far less."""
    found = {
        (row["metric"], row["n_cases"], row["icc"], row["method"]): (
            float(row["coverage"]),
            2 * float(row["mc_error"]),
        )
        for row in rows_of(RESULTS)
    }
    for metric in ("accuracy", "macro_f"):
        for n_cases in ("20", "51"):
            for icc in ("0", "0.05", "0.2"):
                share, errors = found[metric, n_cases, icc, "default"]
                assert 0.93 - errors <= share <= 0.97 + errors
                if icc != "0":
                    assert found[metric, n_cases, icc, "iid"][0] < 0.75
