"""What holds for every figure: its size, its letters, its table, and that order has no say."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from matplotlib.figure import Figure
from tests.reporting import plot_examples as ex

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.records import shapes, tables
from leukoscope.reporting import (
    plot_agreement,
    plot_calibration,
    plot_confusion,
    plot_errors,
    plot_forest,
    plot_learning,
    plot_ranking,
    plotting,
)

CATEGORIES = {**{str(k): names for k, names in ex.CATEGORIES.items()}, "long": ex.LONG}
WITHOUT_CATEGORIES = ("learning", "coverage_risk", "reliability")
CASES = [
    (name, kind)
    for name in ex.FIGURES
    for kind in CATEGORIES
    if kind == "6" or name not in WITHOUT_CATEGORIES
]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_letters_are_apart_large_enough_and_on_the_paper(name: str, kind: str) -> None:
    """At 2, 6, 13 and very long categories: 7 inches wide, 8 points or more, nothing covered."""
    figure = ex.example_figure(name, CATEGORIES[kind]).figure()
    assert figure.get_size_inches()[0] == 7
    assert ex.smallest(figure) >= 8
    assert ex.overlaps(figure) == []
    assert ex.beyond(figure) == []


def test_planted_overlaps_are_found() -> None:
    """Two texts on each other, one over the edge and a small one are each found."""
    figure = Figure(figsize=(7, 2))
    figure.text(0.2, 0.5, "covered")
    figure.text(0.22, 0.52, "covering", fontsize=6)
    figure.text(0.98, 0.1, "cut off")
    assert ex.overlaps(figure) == [("covered", "covering")]
    assert ex.beyond(figure) == ["cut off"]
    assert ex.smallest(figure) == 6


@pytest.mark.parametrize("name", ex.FIGURES)
def test_row_order_has_no_say(name: str) -> None:
    """The rows of every table in another order give the same bytes."""
    example = ex.example_figure(name, ex.CATEGORIES[6])
    assert ex.svg(name) == plotting.svg_of(example.figure_of_shuffled())


@pytest.mark.parametrize(
    "name", [name for name in ex.FIGURES if name not in {"agreement", "errors"}]
)
def test_the_csv_draws_the_same_figure(name: str, tmp_path: Path) -> None:
    """What stands in the CSV is all that is drawn: read back, it gives the same figure."""
    example = ex.example_figure(name, ex.CATEGORIES[6])
    plotting.write_figure(tmp_path, name, example.figure(), example.drawn)
    read = tables.read_table(tmp_path / f"{name}.csv", plotting.shape_of(example.drawn))
    assert read.equals(example.drawn)
    assert plotting.svg_of(example.draw(read)) == ex.svg(name)


EMPTY: dict[str, tuple[Callable[[], Figure], str]] = {
    "confusion": (
        lambda: plot_confusion.confusion_figure(ex.confusion(ex.CATEGORIES[2]), "merged"),
        "no cells in the merged view",
    ),
    "roc": (lambda: plot_ranking.roc_figure(ex.points(ex.CATEGORIES[2]), "merged"), "no points"),
    "threshold": (
        lambda: plot_ranking.threshold_figure(pl.DataFrame(schema=shapes.POINTS.columns)),
        "without probabilities",
    ),
    "reliability": (
        lambda: plot_calibration.reliability_figure(pl.DataFrame(schema=shapes.POINTS.columns)),
        "without probabilities",
    ),
    "coverage": (
        lambda: plot_calibration.coverage_risk_figure(pl.DataFrame(schema=shapes.POINTS.columns)),
        "without probabilities",
    ),
    "scores": (
        lambda: plot_forest.forest_figure(ex.results(ex.CATEGORIES[2]), ("brier",)),
        "none of these scores",
    ),
    "differences": (
        lambda: plot_forest.difference_figure(ex.results(ex.CATEGORIES[2]), "accuracy"),
        "no such comparison",
    ),
    "agreement": (
        lambda: plot_agreement.bland_altman_figure(
            pl.DataFrame(schema=shapes.DIFFERENTIAL.columns),
            pl.DataFrame(schema=shapes.RESULTS.columns),
            "strict",
        ),
        "No differential counts by case",
    ),
    "learning": (
        lambda: plot_learning.learning_figure(ex.history().head(0)),
        "never scored",
    ),
    "no errors": (
        lambda: plot_errors.errors_figure(*(each.head(0) for each in ex.errors(ex.NOZAKA6))),
        "No cell was called wrong",
    ),
    "no pictures": (
        lambda: plot_errors.errors_figure(
            ex.errors(ex.NOZAKA6)[0].head(0), ex.errors(ex.NOZAKA6)[1]
        ),
        "30 cells were called wrong",
    ),
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_table_makes_a_figure_that_says_why(name: str) -> None:
    """The figure holds the reason, has no axes, and still has a title for the page."""
    draw, reason = EMPTY[name]
    figure = draw()
    shown = " ".join(text.get_text() for text, _ in ex.texts_of(figure))
    assert reason in shown
    assert figure.axes == []
    assert "<title" in plotting.inline_svg(figure, "empty")


VIEWED: dict[str, Callable[[str], object]] = {
    "confusion": lambda view: plot_confusion.confusion_figure(ex.confusion(["a"]), view),
    "points": lambda view: plot_ranking.roc_figure(ex.points(("a", "b")), view),
    "scores": lambda view: plot_forest.forest_figure(ex.results(["a"]), view=view),
    "differences": lambda view: plot_forest.difference_figure(
        ex.differences(["a"]), "recall", view=view
    ),
    "agreement": lambda view: plot_agreement.drawn_agreement(
        ex.differential(["a", "b"]), ex.results(["a"]), view
    ),
}


@pytest.mark.parametrize("name", VIEWED)
def test_an_unknown_view_is_refused(name: str) -> None:
    """The error names the views there are."""
    with pytest.raises(UsageError, match=r"merged"):
        VIEWED[name]("mergde")


def test_several_arms_are_never_mixed() -> None:
    """A figure of one arm refuses a table of two unless told which, and then draws that one."""
    two = pl.concat(
        [
            ex.confusion(ex.NOZAKA6, largest).with_columns(arm=pl.lit(arm))
            for arm, largest in (("a", 400), ("b", 90))
        ]
    )
    with pytest.raises(DataError, match="arms a, b"):
        plot_confusion.confusion_figure(two, "strict")
    alone = plot_confusion.drawn_confusion(ex.confusion(ex.NOZAKA6, 90), "strict")
    chosen = plot_confusion.drawn_confusion(two, "strict", "b")
    assert chosen.drop("arm").equals(alone.drop("arm"))


def test_more_arms_than_lines_are_refused() -> None:
    """Lines that could not be told apart are not drawn."""
    one = ex.points(ex.CATEGORIES[2])
    many = pl.concat(
        [one.with_columns(arm=pl.lit(f"arm {n}")) for n in range(len(plotting.LINES) + 1)]
    )
    for draw in (plot_ranking.roc_figure, plot_calibration.reliability_figure):
        with pytest.raises(DataError, match="6 arms"):
            draw(many)
