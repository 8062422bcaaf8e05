"""The confusion matrix as a figure: how many cells of each category were called what."""

import math
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from leukoscope.records import shapes, tables
from leukoscope.reporting import plot_layout as layout
from leukoscope.reporting import plotting, wording
from leukoscope.reporting.contents import in_order
from leukoscope.reporting.plot_layout import LINE_IN, SIDE_IN, cut, width_pt, wrapped
from leukoscope.reporting.plot_selection import check_view, in_view, of_one_arm
from leukoscope.reporting.plotting import INK, MUTED, PAPER, RIGHT, SMALL_PT, SOFT, WIDTH_IN, WRONG

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDEST_CELL_IN = 1.1
_ROW_IN, _PLAIN_ROW_IN = 0.40, 0.22
_LONGEST_NAME_PT = 106.0
_SHOWN = (("cells", "share"), ("share",), ())
_NOTES = (
    "There is no room for numbers here; they stand in the table beside the figure.",
    "In each field: share of the true category's cells, in %. The counts stand in the table.",
    "In each field: how many cells were called so; below, their share of the row in %.",
)
DEEPEST = {RIGHT: 0.55, WRONG: 0.65}
"""How much of its colour the deepest shade has; letters are to be read on it."""


class _Matrix(NamedTuple):
    """Hold counts and shares by true category and call."""

    names: tuple[str, ...]
    cells: dict[tuple[str, str], float]
    shares: dict[tuple[str, str], float]
    decimals: int


class _Plan(NamedTuple):
    """Say where the matrix stands: inches from the upper left corner of the content."""

    left_in: float
    head_in: float
    cell_in: float
    row_in: float
    heads: tuple[tuple[str, ...], ...]
    turned: bool
    shown: tuple[str, ...]
    """What stands in a field: ``cells``, ``share``, both or nothing."""


def drawn_confusion(confusion: pl.DataFrame, view: str, arm: str | None = None) -> pl.DataFrame:
    """Choose the rows of a confusion table that one figure draws.

    Parameters
    ----------
    confusion : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.CONFUSION`.
    view : str
        ``strict`` or ``merged``.
    arm : str, optional
        Which arm; may be left out where the table holds one.

    Returns
    -------
    polars.DataFrame
        Of that shape, in the house's order of categories; empty where the view has no rows.

    Raises
    ------
    UsageError
        If the view is unknown.
    DataError
        If the table holds several arms and none was chosen.
    """
    check_view(view)
    table = tables.check(confusion, shapes.CONFUSION).filter(pl.col("view") == view)
    table = of_one_arm(table, arm, "confusion")
    names = in_order([*table["category"], *table["predicted"]])
    place = {name: number for number, name in enumerate(names)}
    return table.sort(
        pl.col(name).replace_strict(place, return_dtype=pl.Int32)
        for name in ("category", "predicted")
    )


def confusion_figure(confusion: pl.DataFrame, view: str, arm: str | None = None) -> "Figure":
    """Draw how many cells of each true category were called what, and their share of the row.

    Parameters
    ----------
    confusion, view, arm
        As in :func:`drawn_confusion`.

    Returns
    -------
    matplotlib.figure.Figure
        Rows are the truth, columns the calls. Right calls are shaded blue and wrong ones
        orange, deeper with the square root of the share. Of so many categories that
        numbers would not fit, the shades alone, which the figure says.

    Raises
    ------
    UsageError, DataError
        As :func:`drawn_confusion`.
    """
    table = drawn_confusion(confusion, view, arm)
    title = in_view("Confusion matrix", view)
    title = title if arm is None else f"{title}: {wording.name_of(arm)}"
    if table.is_empty():
        return layout.said(title, f"The table holds no cells in the {view} view.")
    with plotting.style():
        found = _matrix(table)
        return _figure(found, _plan(found), title)


def _matrix(table: pl.DataFrame) -> _Matrix:
    rows = table.select("category", "predicted", "n_cells", "share").rows()
    cells = {(truth, call): n_cells for truth, call, n_cells, _ in rows}
    shares = {
        (truth, call): share
        for truth, call, _, share in rows
        if share is not None and math.isfinite(share)
    }
    # Sums of means are whole but for their last bits.
    whole = all(round(n_cells, 6).is_integer() for n_cells in cells.values())
    names = in_order([name for pair in cells for name in pair])
    return _Matrix(names, cells, shares, 0 if whole else 1)


def _plan(found: _Matrix) -> _Plan:
    rows = ["True category", *(line for name in found.names for line in _row_lines(found, name))]
    left_in = SIDE_IN + max(width_pt(line, SMALL_PT, bold=True) for line in rows) / 72 + 0.06
    cell_in = min((WIDTH_IN - SIDE_IN - left_in) / len(found.names), _WIDEST_CELL_IN)
    across = [wrapped(name, 72 * cell_in - 4, SMALL_PT, most=2) for name in found.names]
    turned = any(line.endswith("…") for lines in across for line in lines)
    names = [cut(name, _LONGEST_NAME_PT, SMALL_PT) for name in found.names]
    high_in = (
        max(width_pt(name, SMALL_PT) for name in names) / 72
        if turned
        else LINE_IN * max(map(len, across))
    )
    heads = tuple((name,) for name in names) if turned else tuple(map(tuple, across))
    shown = next(each for each in _SHOWN if _widest(found, each) <= 72 * cell_in - 2)
    row_in = (_PLAIN_ROW_IN, _ROW_IN, _ROW_IN)[len(shown)]
    return _Plan(left_in, high_in + 0.28, cell_in, row_in, heads, turned, shown)


def _figure(found: _Matrix, plan: _Plan, title: str) -> "Figure":
    k = len(found.names)
    shades = "Blue: called right. Orange: called wrong. Deeper with the share (its square root)."
    notes = [_NOTES[len(plan.shown)], shades]
    height_in = plan.head_in + plan.row_in * k + 0.1
    made = layout.sheet(title, _in_words(found), height_in, notes=notes)
    top_in = made.top_in + plan.head_in
    size = (plan.cell_in * k, plan.row_in * k)
    axes = layout.axes_at(made.figure, plan.left_in, top_in, *size)
    axes.set(xlim=(0, k), ylim=(k, 0))
    axes.set_axis_off()
    for pair in _pairs(found):
        _draw_field(axes, found, plan, pair)
    _name_columns(axes, plan)
    layout.write(made.figure, "Called", plan.left_in, made.top_in, weight="bold")
    layout.write(made.figure, "True category", SIDE_IN, top_in - LINE_IN - 0.01, weight="bold")
    for place, name in enumerate(found.names):
        lines = _row_lines(found, name)[: 2 if plan.shown else 1]
        first_in = top_in + plan.row_in * (place + 0.5) - 0.15 * len(lines) / 2
        for number, line in enumerate(lines):
            below_in = first_in + 0.15 * number
            colour = MUTED if number else INK
            layout.write(made.figure, line, SIDE_IN, below_in, colour=colour)
    return made.figure


def _draw_field(axes: "Axes", found: _Matrix, plan: _Plan, pair: tuple[str, str]) -> None:
    from matplotlib.patches import Rectangle

    row, column = (found.names.index(name) for name in pair)
    share = found.shares.get(pair, 0.0) if found.cells.get(pair) else 0.0
    shade = RIGHT if row == column else WRONG
    for colour, alpha in ((SOFT, 1.0), (shade, DEEPEST[shade] * math.sqrt(share))):
        if alpha:
            axes.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, alpha=alpha, lw=0))
    axes.add_patch(Rectangle((column, row), 1, 1, facecolor="none", edgecolor=PAPER, lw=1))
    lines = _texts(found, pair, plan.shown)
    for number, line in enumerate(lines):
        y = row + 0.5 + 0.155 / plan.row_in * (number - (len(lines) - 1) / 2)
        colour = INK if found.cells.get(pair) else MUTED
        axes.text(column + 0.5, y, line, color=colour, ha="center", va="center_baseline")


def _name_columns(axes: "Axes", plan: _Plan) -> None:
    for place, lines in enumerate(plan.heads):
        axes.text(
            place + 0.5,
            -0.05 / plan.row_in,
            "\n".join(lines),
            rotation=90 if plan.turned else 0,
            ha="center",
            va="bottom",
        )


def _pairs(found: _Matrix) -> list[tuple[str, str]]:
    return [(truth, call) for truth in found.names for call in found.names]


def _texts(found: _Matrix, pair: tuple[str, str], shown: tuple[str, ...]) -> list[str]:
    """Write what stands in a field; a field without cells has no share."""
    n_cells = round(found.cells.get(pair, 0.0), 6)
    texts = {"cells": wording.mean_count(n_cells, found.decimals)}
    if n_cells and pair in found.shares:
        texts["share"] = wording.percent(found.shares[pair])
    return [texts[name] for name in shown if name in texts]


def _widest(found: _Matrix, shown: tuple[str, ...]) -> float:
    texts = [line for pair in _pairs(found) for line in _texts(found, pair, shown)]
    return max((width_pt(line, SMALL_PT) for line in texts), default=0.0)


def _row_lines(found: _Matrix, name: str) -> list[str]:
    total = round(math.fsum(n for (truth, _), n in found.cells.items() if truth == name), 6)
    cells = wording.mean_count(total, 0 if total.is_integer() else 1)
    return [cut(name, _LONGEST_NAME_PT, SMALL_PT), f"{cells} {'cell' if total == 1 else 'cells'}"]


def _in_words(found: _Matrix) -> str:
    rows = []
    for truth in found.names:
        name, cells = truth, _row_lines(found, truth)[1]
        calls = [
            f"{wording.percent(found.shares[truth, call])} % called {call}"
            for call in found.names
            if found.shares.get((truth, call))
        ]
        rows.append(f"{name}, {cells}: {', '.join(calls) or 'no calls'}.")
    return " ".join(rows)
