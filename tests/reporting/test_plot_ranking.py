"""Curves of probabilities: each line is its points, and no skill lies where it must."""

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from tests.reporting import plot_examples as ex

from leukoscope.reporting import plotting
from leukoscope.reporting.plot_ranking import (
    PAIR,
    precision_recall_figure,
    roc_figure,
    threshold_figure,
)
from leukoscope.reporting.plot_selection import categories_drawn, drawn_points

DRAW = {
    "roc": roc_figure,
    "precision_recall": precision_recall_figure,
    "threshold": threshold_figure,
}


def line(axes: Axes, colour: str) -> np.ndarray:
    """Find the points of the one line of a colour."""
    (found,) = [each for each in axes.lines if each.get_color() == colour]
    return np.asarray(found.get_xydata())


@pytest.mark.parametrize("figure", DRAW)
def test_each_panel_draws_its_category(figure: str) -> None:
    """The strong line of the panels, in the house's order, is the category's points in percent."""
    points = ex.points(ex.NOZAKA6)
    drawn = DRAW[figure](points)
    table = drawn_points(points, figure)
    names = categories_drawn(table)
    assert names == (*ex.NOZAKA6, PAIR)
    assert len(drawn.axes) == len(names)
    for name, axes in zip(names, drawn.axes, strict=True):
        rows = table.filter(pl.col("category") == name)
        assert line(axes, plotting.ACCENT) == pytest.approx(100 * rows["x", "y"].to_numpy())


@pytest.mark.parametrize("figure", DRAW)
def test_the_other_categories_lie_behind(figure: str) -> None:
    """Thin lines are the others; the border of two is not one of them and has none."""
    drawn = DRAW[figure](ex.points(ex.NOZAKA6))
    behind = [sum(each.get_color() == plotting.MUTED for each in a.lines) for a in drawn.axes]
    assert behind == [5] * 6 + [0]
    of_two = DRAW[figure](ex.points(ex.CATEGORIES[2]))
    assert all(len(axes.lines) == 2 for axes in of_two.axes)


def test_no_skill_is_the_share_of_the_category() -> None:
    """Calling all cells has the category's share as precision; the better of two answers as
    accuracy; and in an ROC figure the diagonal.
    """
    points = ex.points(ex.NOZAKA6)
    truth, _ = ex.scored(ex.NOZAKA6)
    drawn = {name: draw(points).axes for name, draw in DRAW.items()}
    for code in range(6):
        share = 100 * float((truth == code).mean())
        best = max(share, 100 - share)
        for name, ends in (
            ("roc", [[0, 0], [100, 100]]),
            ("precision_recall", [[0, share], [100, share]]),
            ("threshold", [[0, best], [100, best]]),
        ):
            assert line(drawn[name][code], plotting.INK) == pytest.approx(np.array(ends))


def test_no_skill_is_left_out_where_it_cannot_be_told() -> None:
    """Without the point where all cells are called there is no line to read it from."""
    points = ex.points(ex.CATEGORIES[2]).filter(pl.col("x") < 0.9)
    figure = precision_recall_figure(points)
    assert all(each.get_color() != plotting.INK for axes in figure.axes for each in axes.lines)
    assert not any("no skill" in text.get_text() for text, _ in ex.texts_of(figure))


def test_precision_goes_in_steps() -> None:
    """Precision holds up to its recall: between two points it is that of the right one."""
    axes = precision_recall_figure(ex.points(ex.CATEGORIES[2])).axes[0]
    (found,) = [each for each in axes.lines if each.get_color() == plotting.ACCENT]
    assert found.get_drawstyle() == "steps-pre"


def test_arms_lie_in_one_panel_and_are_named() -> None:
    """Each arm has its own line in every panel, and its name stands in the key."""
    two = pl.concat([ex.points(ex.NOZAKA6, "plain-one", 0.7), ex.points(ex.NOZAKA6, "rotated")])
    drawn = roc_figure(two)
    table = drawn_points(two, "roc")
    words = {text.get_text() for text, _ in ex.texts_of(drawn)}
    assert {"plain one", "rotated", "no skill"} <= words
    for arm, look in zip(("plain-one", "rotated"), plotting.LINES, strict=False):
        rows = table.filter(pl.col("arm") == arm, pl.col("category") == "segmented")
        assert line(drawn.axes[0], look.colour) == pytest.approx(100 * rows["x", "y"].to_numpy())


def test_accuracy_keeps_within_its_panel_but_at_threshold_0() -> None:
    """The axis holds every point but those where all cells are called."""
    points = ex.points(ex.NOZAKA6)
    low, high = threshold_figure(points).axes[0].get_ylim()
    kept = drawn_points(points, "threshold").filter(pl.col("x") > 0)
    assert low <= 100 * kept["y"].min()
    assert high >= 100 * kept["y"].max()


def test_points_that_are_not_finite_are_not_drawn() -> None:
    """They are in neither the figure nor its table."""
    points = ex.points(ex.CATEGORIES[2]).with_columns(
        y=pl.when(pl.col("place") == 1).then(float("nan")).otherwise(pl.col("y"))
    )
    table = drawn_points(points, "roc")
    assert 1 not in table["place"]
    assert table["y"].is_finite().all()
