"""What a model's certainty is worth: whether it is right as often as it says, and what is left
wrong when the cells it is least sure of are left out.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from leukoscope.reporting import axes as ticks
from leukoscope.reporting import plot_layout as layout
from leukoscope.reporting import plotting, wording
from leukoscope.reporting.plot_layout import LINE_IN, SIDE_IN, Key
from leukoscope.reporting.plot_ranking import arm_keys, check_arms
from leukoscope.reporting.plot_selection import drawn_points, in_view
from leukoscope.reporting.plotting import INK, LINES, MUTED, SMALL_PT, WIDTH_IN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = dict[str | None, list[dict[str, Any]]]

_DOTS = (1.0, 1.8)
_LEFT_IN, _SQUARE_IN, _COUNTS_IN = 0.5, 3.5, 0.75
_BOUNDED_FROM = 0.05
"""From this coverage on the risk has room on its axis; of fewer cells it is mostly chance."""

_HOW_TO_READ = (
    "A mark is a bin of cells: how sure the model was of its calls on average, and how often they "
    "were right. Bar: the bin's interval.\n"
    "Below the dotted line it was right less often than it said: overconfident. Above it, more "
    "often."
)


def reliability_figure(points: pl.DataFrame, view: str = "strict") -> "Figure":
    """Draw how often a model is right where it is so sure, and how many cells that rests on.

    Parameters
    ----------
    points : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.POINTS`; its rows ``reliability``
        without a category: x the mean largest probability of a bin, y the share called
        right, low and high its interval, and its number of cells.
    view : str
        ``strict`` or ``merged``.

    Returns
    -------
    matplotlib.figure.Figure
        Both axes begin where the lowest bin needs it. Without points a figure that says so.

    Raises
    ------
    UsageError
        If the view is unknown.
    DataError
        If the table holds more arms than lines can be told apart.
    """
    rows = _rows(points, "reliability", view)
    title = in_view("Reliability of the stated probabilities", view)
    if not rows:
        return layout.said(title, _without_points(view))
    with plotting.style():
        return _reliability(rows, title)


def coverage_risk_figure(points: pl.DataFrame, view: str = "strict") -> "Figure":
    """Draw the share of errors among the cells kept, the least sure left out first.

    Parameters
    ----------
    points : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.POINTS`; its rows
        ``coverage_risk`` without a category: x the share of cells kept, y the share of
        them called wrong.
    view : str
        ``strict`` or ``merged``.

    Returns
    -------
    matplotlib.figure.Figure
        Beside the curve, the level where cells are left out at random. Without points a
        figure that says so.

    Raises
    ------
    UsageError, DataError
        As :func:`reliability_figure`.
    """
    rows = _rows(points, "coverage_risk", view)
    title = in_view("Errors among the cells kept, the least sure left out first", view)
    if not rows:
        return layout.said(title, _without_points(view))
    with plotting.style():
        return _coverage_risk(rows, title)


def _rows(points: pl.DataFrame, figure: str, view: str) -> Rows:
    table = drawn_points(points, figure, view).filter(pl.col("category").is_null())
    rows: Rows = {}
    for row in table.iter_rows(named=True):
        rows.setdefault(row["arm"], []).append(row)
    check_arms(list(rows))
    return rows


def _without_points(view: str) -> str:
    return (
        f"The table holds no points of this curve in the {view} view: predictions without "
        "probabilities have none."
    )


def _reliability(rows: Rows, title: str) -> "Figure":
    keys = [
        *(key._replace(dashes=(), marker=LINES[number].marker, width_pt=1.0)
          for number, key in enumerate(arm_keys(list(rows)))),
        Key("as often right as it says", INK, 1.0, _DOTS),
    ]  # fmt: skip
    height_in = 0.18 + _SQUARE_IN + 0.18 + LINE_IN + _COUNTS_IN + 0.52
    made = layout.sheet(title, _bins_in_words(rows), height_in)
    top_in = made.top_in + 0.18
    layout.write(made.figure, "Called right, %", SIDE_IN, made.top_in)
    axes = layout.axes_at(made.figure, _LEFT_IN, top_in, _SQUARE_IN, _SQUARE_IN)
    below_in = top_in + _SQUARE_IN + 0.18 + LINE_IN
    layout.write(made.figure, "Cells in a bin", SIDE_IN, below_in - LINE_IN - 0.06)
    counts = layout.axes_at(made.figure, _LEFT_IN, below_in, _SQUARE_IN, _COUNTS_IN)
    low = _first_percent(rows)
    places = ticks.ticks(low, 100, most=6)
    room = 0.02 * (100 - low)
    for each in (axes, counts):
        each.set(xlim=(low - room, 100 + room))
        layout.ruled(each)
    axes.set(ylim=(low - room, 100 + room))
    axes.set_xticks(places, [""] * len(places))
    axes.set_yticks(places, [f"{at:g}" for at in places])
    counts.set_xticks(places, [f"{at:g}" for at in places])
    (line,) = axes.plot([low, 100], [low, 100], color=INK, linewidth=1.0)
    line.set_dashes(list(_DOTS))
    for number, bins in enumerate(rows.values()):
        _draw_bins(axes, counts, bins, number)
    _scale_counts(counts, rows)
    layout.write(made.figure, "Mean largest probability in the bin, %", _LEFT_IN,
                 below_in + _COUNTS_IN + 0.24)  # fmt: skip
    right_in = _LEFT_IN + _SQUARE_IN + 0.3
    for number, key in enumerate(keys):
        layout.key_row(made.figure, [key], top_in + LINE_IN * 1.2 * number, left_in=right_in)
    _explain(made.figure, right_in, top_in + LINE_IN * (1.2 * len(keys) + 0.8))
    return made.figure


def _draw_bins(axes: "Axes", counts: "Axes", bins: Sequence[dict[str, Any]], number: int) -> None:
    look = LINES[number]
    for each in bins:
        x, y = 100 * each["x"], 100 * each["y"]
        if each["low"] is not None and each["high"] is not None:
            bounds = [100 * each["low"], 100 * each["high"]]
            axes.plot([x, x], bounds, color=look.colour, linewidth=1.0, alpha=0.8)
        if each["n_cells"] is not None:
            counts.plot([x, x], [0, each["n_cells"]], color=look.colour, linewidth=2.4)
        axes.plot([x], [y], color=look.colour, marker=look.marker, markersize=5, zorder=3)


def _scale_counts(counts: "Axes", rows: Rows) -> None:
    most = max((each["n_cells"] or 0 for bins in rows.values() for each in bins), default=0)
    _, high = ticks.rounded_range([0, max(most, 1)], most=3)
    counts.set(ylim=(0, high))
    counts.set_yticks([0, high], ["0", wording.count(high)])


def _first_percent(rows: Rows) -> float:
    values = [
        100 * each[name]
        for bins in rows.values()
        for each in bins
        for name in ("x", "y", "low")
        if each[name] is not None
    ]
    low, _ = ticks.rounded_range([min(values), 100.0], most=6)
    return max(low, 0.0)


def _explain(figure: "Figure", left_in: float, top_in: float) -> None:
    widest = 72 * (WIDTH_IN - SIDE_IN - left_in)
    for text in _HOW_TO_READ.split("\n"):
        for line in layout.wrapped(text, widest, SMALL_PT, most=12):
            layout.write(figure, line, left_in, top_in, colour=MUTED)
            top_in += LINE_IN
        top_in += LINE_IN / 2


def _bins_in_words(rows: Rows) -> str:
    texts = []
    for arm, bins in rows.items():
        each = [
            f"{wording.percent(one['x'])} % sure, {wording.percent(one['y'])} % right"
            for one in bins
        ]
        name = f"{wording.name_of(arm)}: " if arm else ""
        texts.append(f"{name}{'; '.join(each)}.")
    return " ".join(texts)


def _coverage_risk(rows: Rows, title: str) -> "Figure":
    keys = arm_keys(list(rows)) or [Key("the least sure left out first", LINES[0].colour)]
    if any(_level(line) is not None for line in rows.values()):
        keys = [*keys, Key("left out at random", INK, 1.0, _DOTS)]
    key_in = layout.key_height(keys)
    high = _highest_risk(rows)
    beyond = any(100 * each["y"] > high for line in rows.values() for each in line)
    notes = [_BEYOND] if beyond else []
    made = layout.sheet(title, _risk_in_words(rows), key_in + 0.2 + 2.6 + 0.5, notes=notes)
    layout.key_row(made.figure, keys, made.top_in)
    top_in = made.top_in + key_in + 0.2
    layout.write(made.figure, "Risk: called wrong among the cells kept, %", SIDE_IN, top_in - 0.2)
    width_in = WIDTH_IN - SIDE_IN - _LEFT_IN - 0.75
    axes = layout.axes_at(made.figure, _LEFT_IN, top_in, width_in, 2.6)
    for number, line in enumerate(rows.values()):
        layout.lined(axes, [100 * each["x"] for each in line], [100 * each["y"] for each in line],
                     number, steps="default")  # fmt: skip
        level = _level(line)
        if level is not None:
            (flat,) = axes.plot([0, 100], [level, level], color=INK, linewidth=1.0, zorder=2.5)
            flat.set_dashes(list(_DOTS))
    _label_ends(axes, rows, high)
    axes.set(xlim=(0, 100), ylim=(0, high))
    axes.set_xticks([0, 20, 40, 60, 80, 100])
    places = ticks.ticks(0, high, most=6)
    axes.set_yticks(places, [f"{at:g}" for at in places])
    layout.ruled(axes)
    layout.write(made.figure, "Coverage: cells kept, %", _LEFT_IN, top_in + 2.6 + 0.24)
    return made.figure


_BEYOND = (
    f"Where fewer than {100 * _BOUNDED_FROM:.0f} % of the cells are kept, the line may leave the "
    "figure; the points stand in the table beside it."
)


def _label_ends(axes: "Axes", rows: Rows, high: float) -> None:
    """Write at the right edge what is wrong of all cells, apart enough to be read."""
    levels = [level for level in map(_level, rows.values()) if level is not None]
    places = layout.spread(levels, 0.065 * high, (0.04 * high, high))
    for level, place in zip(levels, places, strict=True):
        axes.text(101.5, place, f"all: {level:.1f} %", va="center", color=MUTED)


def _level(line: Sequence[dict[str, Any]]) -> float | None:
    """Give the risk in percent where every cell is kept; None where that point lacks."""
    whole = [100 * each["y"] for each in line if math.isclose(each["x"], 1.0)]
    return whole[-1] if whole else None


def _highest_risk(rows: Rows) -> float:
    values = [
        100 * each["y"] for line in rows.values() for each in line if each["x"] >= _BOUNDED_FROM
    ]
    _, high = ticks.rounded_range([0.0, max([*values, 1.0])], most=6)
    return min(high, 100.0)


def _risk_in_words(rows: Rows) -> str:
    texts = []
    for arm, line in rows.items():
        name = f"{wording.name_of(arm)}: " if arm else ""
        for share in (0.5, 0.8, 0.9, 1.0):
            kept = [each for each in line if each["x"] <= share + 1e-9]
            if kept:
                last = kept[-1]
                texts.append(
                    f"{name}{wording.percent(last['x'])} % kept, "
                    f"{wording.percent(last['y'])} % of them wrong."
                )
    return " ".join(dict.fromkeys(texts))
