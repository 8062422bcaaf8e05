import csv
from math import log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.stats.reached import (
    ENOUGH_RANGE,
    alike,
    cells_spoken_of,
    coverage_reached,
    sentence_in,
    settings,
)
from leukoscope.stats.scores import (
    AGREEMENT_METRICS,
    CATEGORY_METRICS,
    SCALAR_METRICS,
    margins,
    scores,
)

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results" / "coverage"
KEPT = ROOT / "src" / "leukoscope" / "stats" / "reached.csv"
METRICS = (*SCALAR_METRICS, *AGREEMENT_METRICS, *CATEGORY_METRICS)

needs_results = pytest.mark.skipif(
    not RESULTS.exists(), reason="the source archive holds no results"
)


def rows_of(path):
    """Read a table as a list of dictionaries."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def slow_sentence(metric, n_groups, n_cells):
    """Find the sentence again, row by row of the packaged table."""
    at = {}
    for row in rows_of(KEPT):
        if row["metric"] == metric:
            at.setdefault((int(row["n_cases"]), row["category"]), []).append(
                (float(row["mean_cells"]), float(row["coverage_defined"]))
            )
    cells_at = {place: sum(cells for cells, _ in found) / 3 for place, found in at.items()}
    candidates = [place for place in at if place[0] <= max(n_groups, 10)]
    if metric in CATEGORY_METRICS:
        close = [
            place for place in candidates if cells_at[place] / 3 <= n_cells <= 3 * cells_at[place]
        ]
        nearest = min(candidates, key=lambda place: abs(log(n_cells / cells_at[place])))
        candidates = close or [nearest]
    most = max(n_cases for n_cases, _ in candidates)
    chosen = [place for place in candidates if place[0] == most]
    shares = [100 * share for place in chosen for _, share in at[place]]
    if min(shares) >= 93 and max(shares) <= 98:
        return ""
    cells = [cells_at[place] for place in chosen]
    return shares, most, cells, 3 * n_cells < min(cells_at.values())


@needs_results
def test_the_package_keeps_what_was_simulated():
    """The package's table is that of results/coverage, row for row: 29 scores, 9 settings."""
    kept, simulated = rows_of(KEPT), rows_of(RESULTS / "by_category.csv")
    assert kept == [{name: row[name] for name in kept[0]} for row in simulated]
    assert len(kept) == 9 * (5 + 4 * 6)
    assert {row["metric"] for row in kept} == set(METRICS)


@needs_results
def test_the_same_sets_are_behind_both_tables():
    """Where both tables speak of one score, they say the same."""
    twice = 0
    default = {
        (row["metric"], row["n_cases"], row["icc"]): row
        for row in rows_of(RESULTS / "coverage.csv")
        if row["method"] == "default"
    }
    for row in rows_of(RESULTS / "by_category.csv"):
        name = "_".join(part for part in (row["metric"], row["category"]) if part)
        other = default.get((name, row["n_cases"], row["icc"]))
        if other:
            twice += 1
            shared = (other.keys() & row.keys()) - {"metric"}
            assert {"coverage", "undefined", "mean_width", "true"} < shared
            assert {each: row[each] for each in shared} == {each: other[each] for each in shared}
    assert twice == 36


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n_groups", [2, 9, 10, 19, 20, 50, 51, 400])
@pytest.mark.parametrize("n_cells", [1, 4, 16, 45, 90, 500, 1750, 9000, 60_000])
def test_the_sentence_says_what_the_table_says(metric, n_groups, n_cells):
    """Range over categories and correlations, cases and cells: all found again row by row."""
    said, meant = (
        coverage_reached(metric, n_groups, n_cells),
        slow_sentence(metric, n_groups, n_cells),
    )
    if not meant:
        assert said == ""
        return
    shares, n_cases, cells, fewer_cells = meant
    numbers = [f"{round(each):,}" for each in (min(shares), max(shares), min(cells), max(cells))]
    low, high, least, most = numbers
    share = low if low == high else f"{low} to {high}"
    of = least if least == most else f"{least} to {most}"
    start = f"such intervals covered {share} % of the time in simulation ({n_cases} cases, {of} "
    assert said.startswith(start)
    assert ("fewer cases" in said) == (n_groups < 10)
    assert ("cells were not simulated" in said) == fewer_cells


@given(
    st.sampled_from(METRICS),
    st.integers(2, 1000),
    st.floats(0.5, 1e6, allow_nan=False),
)
def test_no_setting_with_more_cases_speaks(metric, n_groups, n_cells):
    """Of 10 cases or more none that has more; of fewer, the least that was simulated."""
    tried = [each for each in settings() if each.metric == metric]
    near = alike(tried, n_groups, n_cells)
    assert near
    assert len({each.n_cases for each in near}) == 1
    assert near[0].n_cases <= max(n_groups, 10)


@given(st.sampled_from(METRICS), st.integers(2, 1000), st.floats(0.5, 1e6, allow_nan=False))
def test_it_is_silent_only_where_all_is_well(metric, n_groups, n_cells):
    """Nothing is said if, and only if, every setting that speaks lies within the range."""
    tried = [each for each in settings() if each.metric == metric]
    near = alike(tried, n_groups, n_cells)
    well = all(ENOUGH_RANGE[0] <= each.low and each.high <= ENOUGH_RANGE[1] for each in near)
    assert (coverage_reached(metric, n_groups, n_cells) == "") == well


def test_a_category_asked_of_speaks_for_itself():
    """At a simulated setting the category's own coverage lies within what is said."""
    for each in settings():
        tried = [other for other in settings() if other.metric == each.metric]
        assert each in alike(tried, each.n_cases, each.n_cells)


@pytest.mark.parametrize(
    ("n_groups", "n_cells", "ending"),
    [
        (4, 40, "such calls; fewer cases were not simulated)"),
        (10, 40, "such calls)"),
    ],
)
def test_it_says_when_fewer_were_not_simulated(n_groups, n_cells, ending):
    """Below 10 cases the sentence says that it speaks of more, and there only."""
    assert coverage_reached("precision", n_groups, n_cells).endswith(ending)


@pytest.mark.parametrize(
    ("metric", "n_groups", "n_cells"),
    [
        ("auroc", 10, 300),
        ("support", 10, 300),
        ("precision", 1, 30),
        ("precision", 10, 0),
        ("precision", 10, float("nan")),
    ],
)
def test_of_what_was_not_simulated_nothing_is_said(metric, n_groups, n_cells):
    """Other scores, one case and no cells get no sentence."""
    assert coverage_reached(metric, n_groups, n_cells) == ""


def test_the_sentence_is_found_at_the_end_of_a_method():
    """What was appended to a method is had again; a method without it holds none."""
    said = coverage_reached("precision", 4, 40)
    assert sentence_in(f"jackknife t on the logit scale, 4 groups; {said}") == said
    assert sentence_in("jackknife t on the logit scale, 4 groups") == ""


def test_cells_spoken_of_are_what_the_scores_divide_by():
    """Score times cells is a count of cells, the right ones or those rightly left."""
    matrix = np.random.default_rng(3).integers(0, 40, (6, 6))
    found, cells = scores(matrix), cells_spoken_of(margins(matrix))
    right = matrix.diagonal()
    assert set(cells) == set(METRICS)
    np.testing.assert_allclose(found["accuracy"] * cells["accuracy"], right.sum())
    np.testing.assert_allclose(found["recall"] * cells["recall"], right)
    np.testing.assert_allclose(found["precision"] * cells["precision"], right)
    np.testing.assert_allclose(found["f"] * cells["f"], 2 * right)
    without = matrix.sum() - matrix.sum(axis=0) - matrix.sum(axis=1) + right
    np.testing.assert_allclose(found["specificity"] * cells["specificity"], without)


@needs_results
def test_the_default_covers_and_the_bootstrap_of_cells_fails():
    """From .93 to .97 up to two Monte-Carlo errors; cells taken as independent cover far less."""
    found = {
        (row["metric"], row["n_cases"], row["icc"], row["method"]): (
            float(row["coverage"]),
            2 * float(row["mc_error"]),
        )
        for row in rows_of(RESULTS / "coverage.csv")
    }
    for metric in ("accuracy", "macro_f"):
        for n_cases in ("20", "51"):
            for icc in ("0", "0.05", "0.2"):
                share, errors = found[metric, n_cases, icc, "default"]
                assert 0.93 - errors <= share <= 0.97 + errors
                if icc != "0":
                    assert found[metric, n_cases, icc, "iid"][0] < 0.75
