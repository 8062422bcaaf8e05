"""The sheet of errors: the given pictures, each with its truth, its call and both probabilities."""

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure
from tests.reporting import plot_examples as ex

from leukoscope.foundation.errors import DataError, DecodeError
from leukoscope.intake.decode import decode
from leukoscope.reporting import plotting
from leukoscope.reporting.plot_errors import MOST_CELLS, drawn_errors, errors_figure

PICTURES, ERRORS = ex.errors(ex.NOZAKA6, 40)
FEW = ex.errors(ex.NOZAKA6, 5)


def words(figure: Figure) -> list[str]:
    """List all that is written, in the order drawn."""
    return [text.get_text() for text, _ in ex.texts_of(figure)]


def test_every_picture_stands_over_its_words() -> None:
    """Pixels, true category, call and both probabilities are those of one cell, row by row."""
    pictures, errors = FEW
    table = drawn_errors(pictures, errors)
    figure = errors_figure(pictures, errors)
    assert len(figure.axes) == table.height == 5
    rows = errors.to_dicts()
    png = dict(pictures.select("cell_id", "png").rows())
    texts = iter(words(figure)[words(figure).index("✓") :])
    for axes, shown in zip(figure.axes, table.to_dicts(), strict=True):
        (row,) = [
            row
            for row in rows
            if all(row[name] == shown[name] for name in shown if name != "number")
        ]
        drawn = np.asarray(axes.images[0].get_array())
        assert np.array_equal(drawn, decode(png[row["cell_id"]], name="x").pixels)
        for sign, name in (("✓", "category"), ("✗", "predicted")):
            assert [next(texts), next(texts)] == [sign, row[name]]
            assert next(texts) in {f"{100 * row['p_' + name]:.0f} %", "<1 %", ">99 %"}


def test_the_surest_of_each_kind_come_first() -> None:
    """No kind of error is shown twice before all are shown once, and the surest is chosen."""
    table = drawn_errors(PICTURES, ERRORS)
    assert table.height == MOST_CELLS
    kinds = ("category", "predicted")
    times = table.group_by(kinds).len()
    unshown = ERRORS.join(times, on=kinds, how="anti").height
    assert times["len"].max() == 1 or unshown == 0
    surest = ERRORS.group_by(kinds).agg(pl.col("p_predicted").max())
    found = table.group_by(kinds).agg(pl.col("p_predicted").max())
    joined = found.join(surest, on=kinds)
    assert joined["p_predicted"].to_list() == joined["p_predicted_right"].to_list()


def test_no_cell_is_named() -> None:
    """Neither the figure nor its table holds a cell_id, which may be a person's name."""
    figure = errors_figure(PICTURES, ERRORS)
    assert "cell-0" not in plotting.svg_of(figure)
    assert "cell_id" not in drawn_errors(PICTURES, ERRORS).columns


def test_labels_alone_have_no_probabilities() -> None:
    """Without probabilities the names stand alone."""
    pictures, errors = FEW
    bare = errors.with_columns(
        pl.lit(None, dtype=pl.Float64).alias(name) for name in ("p_predicted", "p_category")
    )
    assert not any(text.endswith(" %") for text in words(errors_figure(pictures, bare)))


@pytest.mark.parametrize(
    ("p", "text"), [(0.0, "0 %"), (0.004, "<1 %"), (0.5, "50 %"), (0.996, ">99 %"), (1.0, "100 %")]
)
def test_only_an_exact_0_or_1_is_written_so(p: float, text: str) -> None:
    """A small probability is not rounded away."""
    pictures, errors = FEW
    figure = errors_figure(pictures, errors.with_columns(p_category=pl.lit(p)))
    assert words(figure).count(text) >= 5


def test_cells_without_a_picture_are_counted_and_not_shown() -> None:
    """The title says how many errors there are, whatever is shown."""
    figure = errors_figure(PICTURES.head(3), ERRORS)
    assert "3 of 40" in str(figure.get_label())
    assert len(figure.axes) == 3


def test_wide_and_high_pictures_keep_their_form() -> None:
    """A picture is as much wider than high as its pixels."""
    pictures, errors = (each.head(2) for each in FEW)
    shapes = [(40, 80), (80, 40)]
    given = pictures.with_columns(png=pl.Series([ex.png(n, size) for n, size in enumerate(shapes)]))
    figure = errors_figure(given, errors)
    wide, high = figure.get_size_inches()
    found = {
        axes.images[0].get_array().shape[:2]: axes.get_position().height * high
        / (axes.get_position().width * wide)
        for axes in figure.axes
    }  # fmt: skip
    assert found == pytest.approx({(40, 80): 0.5, (80, 40): 2.0})


def test_what_is_no_picture_is_refused() -> None:
    """Broken bytes are an error that says so, not an empty place; so are pictures of two arms."""
    pictures, errors = FEW
    with pytest.raises(DecodeError, match="picture of error 1"):
        errors_figure(pictures.with_columns(png=pl.lit(b"no picture")), errors)
    two = pl.concat([pictures, pictures.with_columns(arm=pl.lit("other"))])
    with pytest.raises(DataError, match="arms other, run"):
        errors_figure(two, errors)
    assert len(errors_figure(two, errors, "run").axes) == 5
