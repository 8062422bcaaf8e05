"""Forest plots: every mark is a row of the results, and nothing else is drawn."""

import itertools

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tests.reporting import plot_examples as ex

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.reporting import plotting
from leukoscope.reporting.plot_forest import difference_figure, forest_figure
from leukoscope.reporting.plot_metrics import BY_CATEGORY
from leukoscope.reporting.plot_results import drawn_differences, drawn_scores

RESULTS = ex.results(ex.NOZAKA6)
TWO = ex.differences(ex.NOZAKA6, ("rotated-online", "rotated-100"))


def marks(axes: Axes, colour: str = plotting.ACCENT) -> np.ndarray:
    """List value, low and high of each mark from above; NaN where a mark has no interval."""
    lines = [np.asarray(each.get_xydata()) for each in axes.lines if each.get_color() == colour]
    bars = {round(xy[0, 1], 3): xy[:, 0] for xy in lines if len(xy) == 2}
    dots = sorted((round(xy[0, 1], 3), xy[0, 0]) for xy in lines if len(xy) == 1)
    return np.array([(x, *bars.get(y, (np.nan, np.nan))) for y, x in dots])


def words(figure: Figure) -> str:
    """Join all that is written in a figure."""
    return " | ".join(text.get_text() for text, _ in ex.texts_of(figure))


def rows(table: pl.DataFrame, factor: float) -> np.ndarray:
    """List value and bounds of the rows that have a value."""
    known = table.filter(pl.col("value").is_not_null()).select("value", "low", "high")
    return factor * known.to_numpy().astype(float)


def test_scores_are_rows_of_the_results() -> None:
    """Overall scores in percent and as coefficients, then a column for each metric."""
    percent, coefficients, *columns = forest_figure(RESULTS).axes
    overall = RESULTS.filter(pl.col("category").is_null())
    in_percent = pl.col("metric").is_in(["accuracy", "balanced_accuracy", "macro_f"])
    assert marks(percent) == pytest.approx(rows(overall.filter(in_percent), 100))
    assert marks(coefficients) == pytest.approx(rows(overall.filter(~in_percent), 1))
    for metric, axes in zip(BY_CATEGORY, columns, strict=True):
        own = RESULTS.filter(pl.col("metric") == metric, pl.col("category").is_not_null())
        found = marks(axes)
        assert len(found) == own["value"].count()
        assert found == pytest.approx(rows(own, 100), nan_ok=True)


def test_every_axis_holds_its_marks() -> None:
    """No interval reaches over the ends of its axis."""
    for figure in (forest_figure(RESULTS), difference_figure(TWO, "recall", margin=0.3)):
        for axes in figure.axes:
            low, high = axes.get_xlim()
            numbers = marks(axes).ravel()
            numbers = numbers[~np.isnan(numbers)]
            assert low <= numbers.min() + 1e-9
            assert high >= numbers.max() - 1e-9


def test_what_is_undefined_says_so() -> None:
    """Without a value there is a word and no mark, without bounds a mark and the words for it."""
    text = words(forest_figure(RESULTS))
    assert "undefined" in text
    assert text.count("(no interval)") == 1


def test_the_interval_for_persons_is_thin_and_below() -> None:
    """Where no case is known the wider interval is drawn as a second line of the same row."""
    figure = forest_figure(ex.results(ex.NOZAKA6, unit="family"))
    wide = [
        np.asarray(each.get_xydata())[:, 0]
        for each in figure.axes[0].lines
        if each.get_color() == plotting.MUTED and len(each.get_xydata()) == 2
    ]
    narrow = [mark[1:] for mark in marks(figure.axes[0])]
    assert len(wide) == len(narrow) == 3
    assert all(w[0] < n[0] and n[1] < w[1] for w, n in zip(wide, narrow, strict=True))
    assert "as if the cells came from persons" in words(figure)
    assert "thin" not in words(forest_figure(RESULTS))


def test_scores_at_a_stated_mix_are_not_those_of_the_cells() -> None:
    """A prevalence is drawn by itself, and left out unless it is asked for."""
    half = RESULTS.filter(pl.col("metric") != "support").with_columns(
        pl.col("value", "low", "high") / 2, prevalence=pl.lit("nozaka")
    )
    both = pl.concat([RESULTS, half])
    assert drawn_scores(both).equals(drawn_scores(RESULTS))
    at_mix = forest_figure(both, prevalence="nozaka")
    whole = marks(forest_figure(RESULTS).axes[0])
    assert marks(at_mix.axes[0]) == pytest.approx(whole / 2)
    assert "at the stated mix nozaka" in words(at_mix)
    assert "400 cells" in words(at_mix)


def test_differences_are_rows_of_the_results() -> None:
    """One row an arm; neither the permutation test nor the replica makes a mark."""
    (axes,) = difference_figure(TWO, "macro_f", margin=0.02).axes
    table = TWO.filter(pl.col("metric") == "macro_f", pl.col("method") == "jackknife t")
    assert marks(axes) == pytest.approx(rows(table.sort("arm"), 100))
    assert drawn_differences(TWO, "macro_f").equals(table.sort("arm"))


def test_zero_and_the_margin_are_drawn() -> None:
    """A line stands at zero, and the band reaches one margin to both sides."""
    (axes,) = difference_figure(TWO, "macro_f", margin=0.013).axes
    zero = [each for each in axes.lines if each.get_color() == plotting.INK]
    assert [each.get_xdata()[0] for each in zero] == [0]
    (band,) = [each for each in axes.patches if each.get_alpha()]
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((-1.3, 1.3))
    assert "margin: ±1.3 points" in words(difference_figure(TWO, "macro_f", margin=0.013))
    (axes,) = difference_figure(TWO, "mcc", margin=0.013).axes
    (band,) = [each for each in axes.patches if each.get_alpha()]
    assert band.get_x() == pytest.approx(-0.013)
    (axes,) = difference_figure(TWO, "macro_f").axes
    assert not [each for each in axes.patches if each.get_alpha()]


def test_categories_stand_under_their_arm() -> None:
    """Of several arms each begins with its name, then its categories in the house's order."""
    figure = difference_figure(TWO, "recall")
    found = marks(figure.axes[0])
    expected = [
        rows(TWO.filter(metric="recall", arm=arm, category=name), 100)
        for arm in ("rotated-100", "rotated-online")
        for name in ex.NOZAKA6
    ]
    assert found == pytest.approx(np.concatenate(expected))
    labels = [text.get_text() for text, _ in ex.texts_of(figure)]
    places = [labels.index(name) for name in ("Rotated 100", "segmented", "Rotated online")]
    assert places == sorted(places)


def test_less_is_better_turns_the_words() -> None:
    """A higher Brier score is worse, so the words change sides."""
    sides = {
        metric: [text.get_text() for text, _ in ex.texts_of(difference_figure(TWO, metric))]
        for metric in ("macro_f", "brier")
    }
    assert "← worse than the baseline" in sides["macro_f"]
    assert "← better than the baseline" in sides["brier"]


def test_one_arm_is_named_in_the_title() -> None:
    """Who is compared with whom is said."""
    figure = difference_figure(TWO, "recall", arm="rotated-100")
    assert str(figure.get_label()).startswith(
        "Differences in recall, rotated 100 against plain, percentage points\n"
    )


def test_unclear_tables_are_refused() -> None:
    """Two baselines, two arms, two studies, an unknown metric, too many columns, a margin of 0."""
    other = TWO.with_columns(baseline=pl.lit("another"))
    with pytest.raises(DataError, match="one baseline"):
        difference_figure(pl.concat([TWO, other]), "recall")
    arms = pl.concat([RESULTS.with_columns(arm=pl.lit(arm)) for arm in "ab"])
    with pytest.raises(DataError, match="arms a, b"):
        forest_figure(arms)
    assert forest_figure(arms, arm="a").axes
    studies = pl.concat([RESULTS.with_columns(study=pl.lit(study)) for study in "ab"])
    with pytest.raises(DataError, match="studies a, b"):
        forest_figure(studies)
    with pytest.raises(UsageError, match="macro_f"):
        forest_figure(RESULTS, ["macro_g"])
    with pytest.raises(UsageError, match="error_ratio"):
        difference_figure(TWO, "error_ratio")
    with pytest.raises(UsageError, match="room for 4"):
        forest_figure(RESULTS, [*BY_CATEGORY, "auroc"])
    for margin in (0.0, -0.1, float("nan")):
        with pytest.raises(UsageError, match="margin"):
            difference_figure(TWO, "macro_f", margin=margin)


def test_order_of_methods_has_no_say() -> None:
    """Whichever of two methods comes first in the table, the same one leads."""
    rest = RESULTS.filter(pl.col("metric") == "accuracy")
    second = rest.with_columns(pl.col("low") - 0.1, method=pl.lit("Pigeonhole bootstrap"))
    third = rest.with_columns(pl.col("low") - 0.2, unit=pl.lit("as if 50 cells a person"))
    third = third.with_columns(method=pl.lit("a wider one"))
    for order in itertools.permutations([rest, second, third]):
        assert marks(forest_figure(pl.concat(order)).axes[0])[0] == pytest.approx(
            rows(rest, 100)[0]
        )
