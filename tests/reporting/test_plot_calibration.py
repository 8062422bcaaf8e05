"""Reliability and coverage against risk: marks and lines lie where their points are."""

import numpy as np
import polars as pl
import pytest
from tests.reporting import plot_examples as ex

from leukoscope.reporting import plotting
from leukoscope.reporting.plot_calibration import coverage_risk_figure, reliability_figure
from leukoscope.reporting.plot_selection import drawn_points

POINTS = ex.points(ex.NOZAKA6)


def test_each_bin_has_a_mark_a_bar_and_a_count() -> None:
    """A mark at confidence and share right, a bar from low to high, a stem as high as its cells."""
    main, counts = reliability_figure(POINTS).axes
    bins = drawn_points(POINTS, "reliability")
    lines = [np.asarray(each.get_xydata()) for each in main.lines]
    marks = np.concatenate([xy for xy in lines if len(xy) == 1])
    assert marks == pytest.approx(100 * bins["x", "y"].to_numpy())
    bars = np.array([xy[:, 1] for xy in lines if len(xy) == 2 and xy[0, 0] == xy[1, 0]])
    assert bars == pytest.approx(100 * bins["low", "high"].to_numpy())
    stems = [np.asarray(each.get_xydata())[1] for each in counts.lines]
    expected = np.column_stack([100 * bins["x"].to_numpy(), bins["n_cells"].to_numpy()])
    assert np.array(stems) == pytest.approx(expected)


def test_the_axes_hold_every_bin_and_agree() -> None:
    """Both axes of the marks reach alike, below the lowest bound and up to 100 %."""
    for names in ex.CATEGORIES.values():
        points = ex.points(names)
        main, counts = reliability_figure(points).axes
        bins = drawn_points(points, "reliability")
        assert main.get_xlim() == main.get_ylim() == counts.get_xlim()
        low, high = main.get_xlim()
        assert low <= 100 * min(bins["low"].min(), bins["x"].min())
        assert high >= 100


def test_a_bin_without_an_interval_has_a_mark_alone() -> None:
    """Bounds that are unknown are not drawn."""
    points = POINTS.with_columns(low=None, high=None, n_cells=None)
    main, counts = reliability_figure(points).axes
    assert len(main.lines) == 1 + drawn_points(points, "reliability").height
    assert len(counts.lines) == 0


def test_reliability_of_a_category_is_not_taken_for_that_of_calls() -> None:
    """Rows with a category are another curve and stay out."""
    more = POINTS.filter(pl.col("figure") == "reliability").with_columns(category=pl.lit("band"))
    with_more = pl.concat([POINTS, more])
    assert plotting.svg_of(reliability_figure(with_more)) == plotting.svg_of(
        reliability_figure(POINTS)
    )


def test_risk_is_drawn_over_coverage_beside_that_of_chance() -> None:
    """The curve is its points; leaving cells out at random keeps the risk of all of them."""
    (axes,) = coverage_risk_figure(POINTS).axes
    rows = drawn_points(POINTS, "coverage_risk")
    curve, level = (np.asarray(each.get_xydata()) for each in axes.lines)
    assert curve == pytest.approx(100 * rows["x", "y"].to_numpy())
    whole = 100 * rows["y"][-1]
    assert level == pytest.approx(np.array([[0, whole], [100, whole]]))
    assert [text.get_text() for text in axes.texts] == [f"all: {whole:.1f} %"]


def test_a_model_without_errors_has_a_legible_figure() -> None:
    """One point at no risk is a mark, and its label lies on nothing."""
    one = POINTS.filter(pl.col("figure") == "coverage_risk").head(1)
    figure = coverage_risk_figure(one.with_columns(x=1.0, y=0.0))
    assert figure.axes[0].lines[0].get_marker() == "o"
    assert ex.overlaps(figure) == []


def test_a_line_that_leaves_the_figure_is_said() -> None:
    """The risk of the very few surest cells may lie beyond the axis, and then a note says so."""
    first = (pl.col("figure") == "coverage_risk") & (pl.col("place") < 5)
    wrong = POINTS.with_columns(y=pl.when(first).then(1.0).otherwise(pl.col("y")))
    notes = [
        " ".join(text.get_text() for text, _ in ex.texts_of(coverage_risk_figure(points)))
        for points in (POINTS, wrong)
    ]
    assert ["may leave the figure" in note for note in notes] == [False, True]


def test_without_a_point_for_all_cells_no_level_is_invented() -> None:
    """A curve that ends before coverage 1 has no level of chance."""
    points = POINTS.filter(pl.col("x") < 0.9)
    (axes,) = coverage_risk_figure(points).axes
    assert len(axes.lines) == 1
    assert len(axes.texts) == 0
