"""Scores with their intervals, and differences from a baseline, as forest plots."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from leukoscope.foundation.errors import UsageError
from leukoscope.reporting import axes as ticks
from leukoscope.reporting import plot_layout as layout
from leukoscope.reporting import plotting, wording
from leukoscope.reporting.plot_layout import LINE_IN, SIDE_IN, Key, cut, width_pt
from leukoscope.reporting.plot_metrics import (
    LESS_IS_BETTER,
    Estimate,
    difference_text,
    estimate,
    factor_of,
    name_of,
    score_text,
    second_text,
)
from leukoscope.reporting.plot_results import drawn_differences, drawn_scores
from leukoscope.reporting.plot_selection import categories_drawn, in_view
from leukoscope.reporting.plotting import ACCENT, INK, MUTED, PAPER, SMALL_PT, SOFT, WIDTH_IN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW_IN, _TALL_ROW_IN = 0.25, 0.37
_LONGEST_NAME_PT = 112.0
_LABEL_IN, _TEXT_IN = 1.9, 1.55
_MOST_COLUMNS = 4
_BAND_ALPHA = 0.14
_AXIS_IN = 0.45
"""Room below a block for the numbers on its axis, and for what follows."""


class _Block(NamedTuple):
    """Hold estimates that share an axis: for each its metric, its label and its text."""

    metrics: tuple[str, ...]
    labels: tuple[str, ...]
    estimates: tuple[Estimate, ...]
    texts: tuple[str, ...]

    @property
    def factor(self) -> float:
        """Give 100 where the axis is in percent."""
        return factor_of(self.metrics[0])


def forest_figure(
    results: pl.DataFrame,
    metrics: Sequence[str] | None = None,
    view: str = "strict",
    *,
    prevalence: str | None = None,
    arm: str | None = None,
) -> "Figure":
    """Draw scores with their intervals: of all categories together, then of each.

    Parameters
    ----------
    results, metrics, view, prevalence, arm
        As in :func:`drawn_scores`; at most four of the metrics by category.

    Returns
    -------
    matplotlib.figure.Figure
        A thin line below an interval is the same score by another method or for another
        unit, as of persons where no case is known. What is undefined says so. Without
        scores a figure that says so.

    Raises
    ------
    UsageError, DataError
        As :func:`drawn_scores`.
    """
    table = drawn_scores(results, metrics, view, prevalence=prevalence, arm=arm)
    title = in_view("Scores with their intervals", view)
    title += f": {wording.name_of(arm)}" if arm else ""
    title += f", at the stated mix {wording.name_of(prevalence)}" if prevalence else ""
    scored = table.filter(pl.col("metric") != "support")
    if scored.is_empty():
        return layout.said(title, f"The table holds none of these scores in the {view} view.")
    columns = scored.filter(pl.col("category").is_not_null())["metric"].unique().to_list()
    if len(columns) > _MOST_COLUMNS:
        raise UsageError(
            f"A figure has room for {_MOST_COLUMNS} metrics by category, not for "
            f"{len(columns)} ({', '.join(sorted(columns))}). Nothing was drawn. Name fewer."
        )
    with plotting.style():
        return _scores(table, title)


def difference_figure(
    results: pl.DataFrame,
    metric: str,
    *,
    margin: float | None = None,
    view: str = "strict",
    arm: str | None = None,
) -> "Figure":
    """Draw differences from a baseline with their intervals, around zero.

    Parameters
    ----------
    results, metric, view, arm
        As in :func:`drawn_differences`.
    margin : float, optional
        The smallest difference that matters, a fraction above 0; a band reaches so far
        to both sides of zero.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each arm and, where the metric has them, each category. Without
        differences a figure that says so.

    Raises
    ------
    UsageError, DataError
        As :func:`drawn_differences`; UsageError also if the margin is not above 0.
    """
    if margin is not None and not margin > 0:
        raise UsageError(f"A margin is above 0, and {margin:g} is not. Nothing was drawn.")
    table = drawn_differences(results, metric, view, arm=arm)
    title = in_view(f"Differences in {name_of(metric)}", view)
    if table.is_empty():
        return layout.said(title, f"The table holds no such comparison in the {view} view.")
    with plotting.style():
        return _differences(table, metric, margin, title)


def _scores(table: pl.DataFrame, title: str) -> "Figure":
    scored = table.filter(pl.col("metric") != "support")
    names = categories_drawn(scored)
    blocks = _overall(scored.filter(pl.col("category").is_null()))
    columns = _by_category(scored.filter(pl.col("category").is_not_null()), names)
    keys = _thin_key([*blocks, *columns], scored)
    key_in = layout.key_height(keys) + 0.06 if keys else 0.0
    below_in = LINE_IN + _TALL_ROW_IN * len(names) + 0.24 if columns else 0.0
    rows_in = sum(LINE_IN + _ROW_IN * len(block.labels) + _AXIS_IN for block in blocks)
    made = layout.sheet(title, _in_words([*blocks, *columns]), key_in + rows_in + below_in)
    layout.key_row(made.figure, keys, made.top_in)
    top_in = made.top_in + key_in
    for block in blocks:
        scale = "%" if block.factor > 1 else "coefficients"
        layout.write(made.figure, f"All categories together, {scale}", SIDE_IN, top_in - 0.02,
                     weight="bold")  # fmt: skip
        top_in += LINE_IN
        _draw_rows(made.figure, block, top_in, _rounded(block.estimates, block.factor))
        top_in += _ROW_IN * len(block.labels) + _AXIS_IN
    if columns:
        _draw_columns(made.figure, columns, names, _supports(table), top_in)
    return made.figure


def _overall(table: pl.DataFrame) -> list[_Block]:
    """Group the scores of all categories together by their scale: percent, or as they are."""
    found: dict[float, list[tuple[str, Estimate]]] = {}
    for metric in table["metric"].unique(maintain_order=True):
        one = estimate(metric, table.filter(pl.col("metric") == metric).to_dicts())
        found.setdefault(factor_of(metric), []).append((metric, one))
    return [
        _Block(
            tuple(metric for metric, _ in pairs),
            tuple(wording.sentence_case(name_of(metric)) for metric, _ in pairs),
            tuple(one for _, one in pairs),
            tuple(score_text(metric, one) for metric, one in pairs),
        )
        for pairs in found.values()
    ]


def _by_category(table: pl.DataFrame, names: Sequence[str]) -> list[_Block]:
    """Make a block of each metric; a category without a row is left blank."""
    blocks = []
    for metric in table["metric"].unique(maintain_order=True):
        found = {}
        for name in names:
            rows = table.filter(pl.col("metric") == metric, pl.col("category") == name).to_dicts()
            if rows:
                found[name] = estimate(metric, rows)
        texts = tuple(score_text(metric, one) for one in found.values())
        blocks.append(_Block((metric,) * len(found), tuple(found), tuple(found.values()), texts))
    return blocks


def _draw_columns(
    figure: "Figure",
    columns: Sequence[_Block],
    names: Sequence[str],
    supports: dict[str, str],
    top_in: float,
) -> None:
    """Draw a column for each metric and a row for each category, numbers above the lines."""
    labels = [cut(name, _LONGEST_NAME_PT, SMALL_PT) for name in names]
    left_in = SIDE_IN + max(map(_width_in, [*labels, *supports.values()])) + 0.12
    column_in = (WIDTH_IN - SIDE_IN - left_in) / max(len(columns), 2)
    rows_in = _TALL_ROW_IN * len(names)
    for place, (name, label) in enumerate(zip(names, labels, strict=True)):
        lines = [label, supports[name]] if name in supports else [label]
        first_in = top_in + LINE_IN + _TALL_ROW_IN * (place + 0.5) - 0.075 * len(lines)
        for number, line in enumerate(lines):
            colour = MUTED if number else INK
            layout.write(figure, line, SIDE_IN, first_in + 0.15 * number, colour=colour)
    for number, block in enumerate(columns):
        begin_in = left_in + column_in * number
        title = wording.sentence_case(name_of(block.metrics[0])) + ", %" * (block.factor > 1)
        title = cut(title, 72 * column_in - 4, SMALL_PT, bold=True)
        layout.write(figure, title, begin_in, top_in - 0.02, weight="bold")
        axes = layout.axes_at(figure, begin_in, top_in + LINE_IN, column_in - 0.14, rows_in)
        same = [one for each in columns if each.factor == block.factor for one in each.estimates]
        low, high = _rounded(same, block.factor, most=3)
        _frame(axes, len(names), (low, high), most=3)
        for name, one, text in zip(block.labels, block.estimates, block.texts, strict=True):
            row = names.index(name)
            behind = {"facecolor": PAPER if row % 2 else SOFT, "edgecolor": "none", "pad": 0.8}
            axes.text(low, row - 0.24, text, va="center_baseline", bbox=behind)
            _draw_estimate(axes, one, row + 0.14, apart=0.17)


def _differences(table: pl.DataFrame, metric: str, margin: float | None, title: str) -> "Figure":
    block = _difference_block(table, metric)
    arms = [wording.name_of(arm) for arm in table["arm"].unique()]
    baseline = wording.name_of(table["baseline"][0])
    against = f", {arms[0]} against {baseline}" if len(arms) == 1 else f" from {baseline}"
    keys = _thin_key([block], table)
    if margin is not None:
        keys.append(Key(f"margin: ±{_margin_text(margin, block)}", ACCENT, 8.0, alpha=_BAND_ALPHA))
    key_in = layout.key_height(keys) + 0.06 if keys else 0.0
    height_in = key_in + _ROW_IN * len(block.labels) + 0.28 + LINE_IN + 0.04
    title += against + (", percentage points" if block.factor > 1 else "")
    made = layout.sheet(title, _in_words([block]), height_in)
    layout.key_row(made.figure, keys, made.top_in)
    reach = 0.0 if margin is None else margin * block.factor
    top_in = made.top_in + key_in
    axes = _draw_rows(made.figure, block, top_in, _around_zero(block.estimates, reach))
    axes.axvline(0, color=INK, linewidth=1.0, zorder=1.5)
    if reach:
        axes.axvspan(-reach, reach, color=ACCENT, alpha=_BAND_ALPHA, linewidth=0, zorder=1)
    words = ["worse than the baseline", "better than the baseline"]
    left, right = reversed(words) if metric in LESS_IS_BETTER else words
    foot_in = top_in + _ROW_IN * len(block.labels) + 0.25
    layout.write(made.figure, f"← {left}", _LABEL_IN, foot_in, colour=MUTED)
    right_in = WIDTH_IN - SIDE_IN - _TEXT_IN - 0.12
    layout.write(made.figure, f"{right} →", right_in, foot_in, colour=MUTED, align="right")
    return made.figure


def _difference_block(table: pl.DataFrame, metric: str) -> _Block:
    """Make a row of each difference; several arms with categories each begin with their name."""
    arms = table["arm"].unique(maintain_order=True).to_list()
    grouped = len(arms) > 1 and table["category"].null_count() < table.height
    rows: list[tuple[str, Estimate, str]] = []
    for arm in arms:
        own = table.filter(pl.col("arm") == arm)
        name = wording.sentence_case(wording.name_of(arm))
        if grouped:
            rows.append((name, Estimate(None, None, None, ()), ""))
        for (category,), found in own.partition_by(
            "category", as_dict=True, maintain_order=True
        ).items():
            one = estimate(metric, found.to_dicts())
            overall = "all categories" if grouped else name
            rows.append((category or overall, one, difference_text(metric, one)))
    labels, estimates, texts = zip(*rows, strict=True)
    return _Block((metric,) * len(rows), labels, estimates, texts)


def _draw_rows(
    figure: "Figure", block: _Block, top_in: float, bounds_range: tuple[float, float]
) -> "Axes":
    """Draw a row for each estimate: its label on the left, its numbers on the right."""
    width_in = WIDTH_IN - SIDE_IN - _LABEL_IN - _TEXT_IN - 0.12
    rows_in = _ROW_IN * len(block.labels)
    axes = layout.axes_at(figure, _LABEL_IN, top_in, width_in, rows_in)
    _frame(axes, len(block.labels), bounds_range, most=6)
    for row, (label, one, text) in enumerate(
        zip(block.labels, block.estimates, block.texts, strict=True)
    ):
        first_in = top_in + _ROW_IN * (row + 0.5) - 0.045
        shown = cut(label, 72 * (_LABEL_IN - SIDE_IN) - 10, SMALL_PT)
        layout.write(figure, shown, SIDE_IN, first_in, weight="normal" if text else "bold")
        layout.write(figure, text, WIDTH_IN - SIDE_IN, first_in, align="right")
        _draw_estimate(axes, one, row)
    return axes


def _frame(axes: "Axes", n_rows: int, bounds_range: tuple[float, float], *, most: int) -> None:
    low, high = bounds_range
    axes.set(xlim=(low, high), ylim=(n_rows - 0.5, -0.5))
    places = ticks.ticks(low, high, most=most)
    axes.set_xticks(places, [f"{at:g}".replace("-", wording.MINUS) for at in places])
    if (places[0], places[-1]) == (low, high):
        # Numbers at the ends stay within, so that those of neighbours do not meet.
        axes.get_xticklabels()[0].set_horizontalalignment("left")
        axes.get_xticklabels()[-1].set_horizontalalignment("right")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=True, axis="x")
    axes.tick_params(length=0, pad=3)
    for row in range(0, n_rows, 2):
        axes.axhspan(row - 0.5, row + 0.5, color=SOFT, linewidth=0, zorder=0.5)


def _thin_key(blocks: Sequence[_Block], table: pl.DataFrame) -> list[Key]:
    thin = any(one.others for block in blocks for one in block.estimates)
    return [Key(second_text(table.to_dicts()), MUTED, 1.0)] if thin else []


def _draw_estimate(axes: "Axes", one: Estimate, row: float, *, apart: float = 0.24) -> None:
    if one.value is None:
        return
    for number, (value, low, high) in enumerate(one.others):
        below = row + apart * (1 + 0.4 * number)
        axes.plot([low, high], [below, below], color=MUTED, linewidth=1.0, clip_on=False)
        if abs(value - one.value) > 1e-9:
            axes.plot([value], [below], color=MUTED, marker="o", ms=3, mfc=PAPER, clip_on=False)
    if one.low is not None and one.high is not None:
        axes.plot([one.low, one.high], [row, row], color=ACCENT, linewidth=2.0, clip_on=False)
    axes.plot([one.value], [row], color=ACCENT, marker="o", markersize=5, clip_on=False)


def _rounded(estimates: Sequence[Estimate], factor: float, *, most: int = 6) -> tuple[float, float]:
    """Choose round ends of an axis that hold all estimates."""
    low, high = ticks.rounded_range(_numbers(estimates) or [0.0, factor], most=most)
    return low, min(high, factor)


def _around_zero(estimates: Sequence[Estimate], reach: float) -> tuple[float, float]:
    """Choose ends of an axis that hold all differences, zero and the margin."""
    shown = [*_numbers(estimates), 0.0, reach, -reach]
    low, high = min(shown), max(shown)
    room = 0.07 * (high - low) or 1.0
    return low - room, high + room


def _numbers(estimates: Sequence[Estimate]) -> list[float]:
    found = [number for one in estimates for each in one.others for number in each]
    found += [number for one in estimates for number in one[:3] if number is not None]
    return found


def _supports(table: pl.DataFrame) -> dict[str, str]:
    """Say how many cells each category has, where the table tells."""
    rows = table.filter(pl.col("metric") == "support", pl.col("value").is_not_null())
    return {
        name: wording.counted(int(value), "cell", "cells")
        for name, value in rows.select("category", "value").iter_rows()
    }


def _margin_text(margin: float, block: _Block) -> str:
    if block.factor > 1:
        return f"{wording.margin_points(margin)} points"
    return f"{margin:g}"


def _width_in(text: str) -> float:
    return width_pt(text, SMALL_PT) / 72


def _in_words(blocks: Sequence[_Block]) -> str:
    return " ".join(
        f"{label}{', ' + name_of(metric) if label.lower() != name_of(metric).lower() else ''}: "
        f"{text}{' %' if block.factor > 1 and one.value is not None else ''}."
        if text
        else f"{label}:"
        for block in blocks
        for metric, label, one, text in zip(
            block.metrics, block.labels, block.estimates, block.texts, strict=True
        )
    )
