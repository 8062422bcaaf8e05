"""Learning curves draw their table, and the table is the histories."""

import math
import statistics
from dataclasses import replace

import polars as pl
import pytest
from tests.reporting.reading import read, rows, table
from tests.reporting.rotation import ARMS, UPDATES, rotation

from leukoscope.reporting import curves
from leukoscope.reporting.contents import StudyPage, scores_of
from leukoscope.reporting.study_page import study_page

PAGE: StudyPage = rotation(n_replicates=3)
TABLE = curves.curve_table(PAGE)
FOUND = curves.convergence_table(PAGE, scores_of(PAGE))
FIGURES = curves.curve_figures(PAGE, TABLE, FOUND)
HTML = study_page(PAGE)


def history(page: StudyPage = PAGE) -> list[dict]:
    """List the histories of the study itself."""
    assert page.curves is not None
    return [row for row in page.curves.to_dicts() if row["study"] == page.name]


def with_curves(changed: pl.DataFrame) -> StudyPage:
    """Put other histories into the page."""
    return replace(PAGE, curves=changed)


def test_single_curves_are_the_histories() -> None:
    """Each point of a replicate is a row of the curves, and no other study's is among them."""
    given = {
        (row["arm"], name, row["replicate"], row["update"], row[name])
        for row in history()
        for name in curves.QUANTITIES
    }
    assert set(TABLE.drop_nulls("replicate").rows()) == given


def test_means_are_those_of_a_slow_oracle() -> None:
    """At each update the strong line is the plain mean over replicates."""
    means = TABLE.filter(pl.col("replicate").is_null())
    assert means.height == len(ARMS) * 2 * UPDATES // 10
    for row in means.to_dicts():
        each = [
            one[row["quantity"]]
            for one in history()
            if one["arm"] == row["arm"] and one["update"] == row["update"]
        ]
        assert row["value"] == pytest.approx(statistics.fmean(each), rel=1e-12)


def test_an_update_that_one_replicate_lacks_has_no_mean() -> None:
    """A mean over fewer runs would jump where one ends."""
    assert PAGE.curves is not None
    gone = (pl.col("arm") == "originals") & (pl.col("replicate") == 1) & (pl.col("update") > 150)
    found = curves.curve_table(with_curves(PAGE.curves.filter(~gone)))
    means = found.filter(pl.col("replicate").is_null(), pl.col("arm") == "originals")
    assert means["update"].max() == 150
    other = found.filter(pl.col("replicate").is_null(), pl.col("arm") == "rotated-100")
    assert other["update"].max() == UPDATES


def test_what_is_not_finite_is_left_out() -> None:
    """A run that went astray has no point there, and the axis stays finite."""
    assert PAGE.curves is not None
    astray = (pl.col("arm") == "rotated-100") & (pl.col("update") >= 180)
    lost = pl.when(astray).then(math.inf).otherwise(pl.col("train_loss")).alias("train_loss")
    page = with_curves(PAGE.curves.with_columns(lost))
    found = curves.curve_table(page)
    assert found["value"].is_finite().all()
    drawn = curves.curve_figures(page, found, FOUND)[1].panels[1]
    assert len(drawn.mean.split()) == 17


@pytest.mark.parametrize("number", [0, 1])
def test_lines_read_back_as_values(number: int) -> None:
    """Every point lies where both axes say, for each replicate, the mean and the baseline."""
    drawn = FIGURES[number]
    factor = 100 if drawn.name == "validation_macro_f" else 1

    def unplaced(line: str) -> list[tuple[float, float]]:
        points = [tuple(map(float, point.split(","))) for point in line.split()]
        return [(along(drawn.x_ticks, x), along(drawn.y_ticks, y)) for x, y in points]

    def expected(arm: str, replicate: int | None) -> list[tuple[float, float]]:
        same = pl.col("replicate").eq_missing(pl.lit(replicate))
        chosen = TABLE.filter(pl.col("arm") == arm, pl.col("quantity") == drawn.name, same)
        return [(update, factor * value) for update, value in chosen[:, 3:].rows()]

    wide = 2 if factor == 100 else 0.02
    for arm, panel in zip(ARMS, drawn.panels, strict=True):
        lines = [(panel.mean, arm, None), *((line, arm, n) for n, line in enumerate(panel.lines))]
        lines += [(panel.baseline, "originals", None)] if arm != "originals" else []
        assert bool(panel.baseline) == (arm != "originals")
        for line, of, replicate in lines:
            for (x, y), (update, value) in zip(
                unplaced(line), expected(of, replicate), strict=True
            ):
                assert x == pytest.approx(update, abs=0.1)
                assert y == pytest.approx(value, abs=wide)


def along(ticks: tuple[tuple[str, str], ...], place: float) -> float:
    """Read a place back by the first and the last tick of its axis."""
    (first, low), (last, high) = ((float(at), float(text)) for at, text in (ticks[0], ticks[-1]))
    return low + (place - first) * (high - low) / (last - first)


def test_long_runs_are_thinned_at_both_ends_kept() -> None:
    """A thousand validations make no more points than an eye can tell, from first to last."""
    many = pl.DataFrame(
        [
            {"study": "rotation", "arm": "originals", "replicate": 0, "update": update}
            | dict.fromkeys(PAGE.curves.columns[4:], update / 2000)
            for update in range(1, 1001)
        ],
        schema=PAGE.curves.schema,
    )
    page = with_curves(many)
    drawn = curves.curve_figures(page, curves.curve_table(page), FOUND)[0].panels[0].lines[0]
    points = drawn.split()
    assert 100 <= len(points) <= 151
    assert [float(points[n].split(",")[0]) for n in (0, -1)] == [38.3, 290.0]


def test_convergences_are_the_results() -> None:
    """The table gives the median and range of the runs that converged, and says how many did."""
    shown = rows(table(read(HTML), "table-convergence").all("tbody")[0])
    for arm, row in zip(ARMS, shown, strict=True):
        texts = []
        for metric in ("convergence_validation_accuracy", "convergence_train_loss"):
            chosen = PAGE.results.filter(pl.col("arm") == arm, pl.col("metric") == metric)
            known = sorted(value for value in chosen["value"] if value is not None)
            middle = statistics.median(known)
            texts += [f"{middle:g} {known[0]:g} to {known[-1]:g}", f"{len(known)} of 3"]
        assert row[1:] == texts


def test_a_run_that_never_converged_has_no_mark() -> None:
    """Marks are as many as runs that converged, each at its update."""
    marks = {arm: panel.marks for arm, panel in zip(ARMS, FIGURES[0].panels, strict=True)}
    assert [len(marks[arm]) for arm in ARMS] == [3, 3, 3, 2, 3]
    assert [along(FIGURES[0].x_ticks, float(at)) for at in marks["originals"]] == pytest.approx(
        [60, 70, 80], abs=0.1
    )


def test_no_convergence_is_called_undefined() -> None:
    """Where the rule could not be applied to any run the table says so."""
    metric = pl.col("metric").str.starts_with("convergence")
    value = pl.when(metric).then(None).otherwise(pl.col("value")).alias("value")
    page = replace(PAGE, results=PAGE.results.with_columns(value))
    shown = rows(table(read(study_page(page)), "table-convergence").all("tbody")[0])
    assert shown[0][1:] == ["undefined", "0 of 3", "undefined", "0 of 3"]


def test_the_number_of_validations_is_told() -> None:
    """How often validation was scored, and how far apart where that is even."""
    assert curves.validations(PAGE).startswith(
        "Validation was scored at 20 points of a run, 10 updates apart;"
    )
    assert PAGE.curves is not None
    gone = (pl.col("arm") == "originals") & (pl.col("update") == 100)
    text = curves.validations(with_curves(PAGE.curves.filter(~gone)))
    assert text.startswith("Validation was scored at 19 to 20 points of a run;")


def test_without_curves_there_is_no_section() -> None:
    """An older study shows neither figure nor heading."""
    page = replace(PAGE, curves=None)
    metric = pl.col("metric").str.starts_with("convergence")
    built = read(study_page(replace(page, results=PAGE.results.filter(~metric))))
    assert "Learning curves" not in built.words()
    assert not built.all("svg", **{"class": "curve"})
    assert len(read(HTML).all("svg", **{"class": "curve"})) == 2 * len(ARMS)


def test_arms_without_updates_have_no_panel_and_no_convergence() -> None:
    """Classical models are fitted in one go; the others keep what they had."""
    assert PAGE.curves is not None
    gone = ("originals", "rotated-online")
    kept = [arm for arm in PAGE.arms if arm not in gone]
    page = with_curves(PAGE.curves.filter(pl.col("arm").is_in(kept)))
    own = FOUND.filter(pl.col("arm").is_in(kept))
    figures = curves.curve_figures(page, curves.curve_table(page), own)
    assert all(len(figure.panels) == len(kept) for figure in figures)
    assert [row.arm for row in curves.convergences(page, own)] == kept
    # Their baseline is one of those without: nothing is drawn of it, and nothing said.
    assert not any(panel.baseline for figure in figures for panel in figure.panels)
    assert "mean of the baseline" in HTML
    assert "mean of the baseline" not in study_page(page)


def test_a_study_without_curves_has_a_page_without_their_section() -> None:
    """An empty table, and results without convergence."""
    assert PAGE.curves is not None
    results = PAGE.results.filter(~pl.col("metric").str.starts_with("convergence"))
    page = replace(PAGE, curves=PAGE.curves.clear(), results=results)
    assert 'id="curves"' in HTML
    assert 'id="curves"' not in study_page(page)
