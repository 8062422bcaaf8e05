"""Bland–Altman panels: each case where its counts put it, lines where the results say."""

import numpy as np
import polars as pl
import pytest
from tests.reporting import plot_examples as ex

from leukoscope.foundation.errors import DataError
from leukoscope.reporting import plotting
from leukoscope.reporting.plot_agreement import AGREEMENT, bland_altman_figure, drawn_agreement

COUNTS = ex.differential(ex.NOZAKA6)
LINES = ex.agreement(COUNTS)


def test_cases_lie_where_their_counts_put_them() -> None:
    """Across the mean of both shares, up the model's less the reference's, in percent."""
    figure = bland_altman_figure(COUNTS, LINES, "strict")
    assert len(figure.axes) == 6
    for name, axes in zip(ex.NOZAKA6, figure.axes, strict=True):
        cases = COUNTS.filter(pl.col("category") == name).sort("case")
        model = (cases["n_called"] / cases["n_cells"]).to_numpy()
        reference = (cases["n_reference"] / cases["n_reference_cells"]).to_numpy()
        (dots,) = [each for each in axes.lines if each.get_marker() == "o"]
        expected = 100 * np.column_stack([(model + reference) / 2, model - reference])
        assert np.asarray(dots.get_xydata()) == pytest.approx(expected)


def test_bias_and_limits_are_those_of_the_results() -> None:
    """A whole line at the bias, dashed ones at the limits, bands as wide as their intervals."""
    figure = bland_altman_figure(COUNTS, LINES, "strict")
    for name, axes in zip(ex.NOZAKA6, figure.axes, strict=True):
        own = {row["metric"]: row for row in LINES.filter(category=name).to_dicts()}
        flat = [each for each in axes.lines if each.get_marker() != "o"][1:]
        assert [each.get_ydata()[0] for each in flat] == pytest.approx(
            [100 * own[metric]["value"] for metric in ("bias", "limit_low", "limit_high")]
        )
        assert [each.get_color() for each in flat] == [plotting.ACCENT, *[plotting.WARN] * 2]
        bands = [(each.get_y(), each.get_y() + each.get_height()) for each in axes.patches]
        expected = [
            (100 * own[metric]["low"], 100 * own[metric]["high"])
            for metric in ("bias", "limit_low", "limit_high")
        ]
        assert np.array(bands) == pytest.approx(np.array(expected))
        low, high = axes.get_ylim()
        assert low == -high
        assert high >= max(abs(each) for pair in expected for each in pair)


def test_the_table_holds_cases_and_lines() -> None:
    """A row a case and category; the lines repeat in each row of their category."""
    table = drawn_agreement(COUNTS, LINES, "strict")
    assert table.schema == pl.Schema(AGREEMENT)
    assert table.height == COUNTS.height
    for name in ex.NOZAKA6:
        own = table.filter(pl.col("category") == name)
        assert own["bias"].n_unique() == 1
        assert own["bias"][0] == pytest.approx(own["difference"].mean())


def test_too_few_cases_have_no_bias() -> None:
    """Without lines in the results the cases stand alone and the panel says so."""
    figure = bland_altman_figure(COUNTS, LINES.head(0), "strict")
    texts = [text.get_text() for text, _ in ex.texts_of(figure)]
    assert texts.count("bias undefined") == 6
    assert all(len(axes.lines) == 2 for axes in figure.axes)


def test_identical_counts_have_an_axis() -> None:
    """Where no case differs, the panel still has room above and below zero."""
    same = COUNTS.with_columns(share=pl.col("reference_share"), n_called=pl.col("n_reference"))
    for axes in bland_altman_figure(same, ex.agreement(same), "strict").axes:
        low, high = axes.get_ylim()
        assert low <= -1
        assert high >= 1


def test_a_line_given_twice_is_refused() -> None:
    """Of two methods for one limit none is chosen silently."""
    twice = pl.concat([LINES, LINES.with_columns(method=pl.lit("another"))])
    with pytest.raises(DataError, match="another and by t"):
        drawn_agreement(COUNTS, twice, "strict")
