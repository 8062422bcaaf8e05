"""Learning curves: each line is its column, means over replicates where all have a value."""

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from tests.reporting import plot_examples as ex

from leukoscope.foundation.errors import DataError, SchemaError
from leukoscope.reporting import plotting
from leukoscope.reporting.plot_learning import LOSSES, SCORES, drawn_history, learning_figure

HISTORY = ex.history()


def strong(axes: Axes, number: int) -> np.ndarray:
    """Find the points of the strong line of a column."""
    colour = plotting.LINES[number].colour
    found = [
        np.asarray(each.get_xydata())
        for each in axes.lines
        if each.get_color() == colour
        and each.get_linewidth() > 1
        and each.get_linestyle() != "None"
    ]
    return found[0]


def test_lines_are_columns_of_the_history() -> None:
    """Losses as they are, scores in percent, over the updates."""
    for axes, columns, factor in zip(
        learning_figure(HISTORY).axes, (LOSSES, SCORES), (1, 100), strict=True
    ):
        for number, name in enumerate(columns):
            expected = np.column_stack([HISTORY["update"], factor * HISTORY[name].to_numpy()])
            assert strong(axes, number) == pytest.approx(expected)


def test_lines_are_named_at_their_ends() -> None:
    """Every line has its name beside it, in the order of their last values."""
    for axes, columns in zip(learning_figure(HISTORY).axes, (LOSSES, SCORES), strict=True):
        places = {text.get_text(): text.get_position()[1] for text in axes.texts}
        assert set(places) == set(columns.values())
        last = {label: HISTORY[name][-1] for name, label in columns.items()}
        assert sorted(places, key=places.__getitem__) == sorted(last, key=last.__getitem__)


def test_replicates_are_thin_and_their_mean_is_strong() -> None:
    """The strong line is the mean over the replicates at each update."""
    curves = ex.curves(3)
    axes = learning_figure(curves).axes[0]
    mean = curves.group_by("update").agg(pl.col("train_loss").mean()).sort("update")
    assert strong(axes, 0) == pytest.approx(mean.to_numpy())
    thin = [each for each in axes.lines if each.get_linewidth() < 1]
    assert len(thin) == 3 * len(LOSSES)


def test_a_mean_is_drawn_only_where_all_have_a_value() -> None:
    """A replicate that stopped, or whose loss was not finite, ends the mean there."""
    curves = ex.curves(2)
    stopped = curves.filter((pl.col("replicate") == 0) | (pl.col("update") <= 600))
    gone = (pl.col("replicate") == 1) & (pl.col("update") == 100)
    stopped = stopped.with_columns(
        train_loss=pl.when(gone).then(float("inf")).otherwise(pl.col("train_loss"))
    )
    drawn = strong(learning_figure(stopped).axes[0], 0)
    assert drawn[:, 0].tolist() == [at for at in range(50, 601, 50) if at != 100]


def test_a_loss_that_is_never_finite_says_so() -> None:
    """The panel stays, with a word in it."""
    nothing = HISTORY.with_columns(
        pl.lit(float("nan")).alias(name) for name in ("train_loss", "validation_loss")
    )
    texts = [text.get_text() for text, _ in ex.texts_of(learning_figure(nothing))]
    assert "no finite value" in texts


def test_one_validation_is_a_mark() -> None:
    """A single point makes a figure with marks, not an empty one."""
    axes = learning_figure(HISTORY.head(1)).axes[0]
    marks = [each for each in axes.lines if each.get_marker() == "o"]
    assert any(each.get_xydata()[0, 0] == 50 for each in marks)


def test_broken_histories_are_refused() -> None:
    """A missing column, an update named twice, several arms or studies."""
    with pytest.raises(SchemaError, match="lacks validation_loss"):
        drawn_history(HISTORY.drop("validation_loss"))
    with pytest.raises(SchemaError, match="update 50"):
        drawn_history(pl.concat([HISTORY, HISTORY.head(1)]))
    curves = ex.curves(2)
    both = pl.concat([curves, curves.with_columns(arm=pl.lit("plain"))])
    with pytest.raises(DataError, match="s plain; s rotated"):
        drawn_history(both)
    assert drawn_history(both, "plain").equals(drawn_history(curves))
