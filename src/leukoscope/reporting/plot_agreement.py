"""Differential counts of cases by the model and by a reference: how far they agree."""

import math
from typing import TYPE_CHECKING, Any

import polars as pl

from leukoscope.foundation.errors import DataError
from leukoscope.records import shapes, tables
from leukoscope.reporting import axes as ticks
from leukoscope.reporting import plot_layout as layout
from leukoscope.reporting import plotting, wording
from leukoscope.reporting.plot_layout import LINE_IN, Key
from leukoscope.reporting.plot_selection import (
    categories_drawn,
    check_view,
    in_category_order,
    in_view,
    of_one_arm,
)
from leukoscope.reporting.plotting import ACCENT, INK, SMALL_PT, WARN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES_DRAWN = ("bias", "limit_low", "limit_high")
"""The metrics of a results table that are drawn as lines across the cases."""

AGREEMENT: dict[str, pl.DataType] = {
    **{name: pl.String() for name in ("category", "case")},
    **{name: pl.Int32() for name in ("n_cells", "n_reference_cells")},
    **{name: pl.Float64() for name in ("share", "reference_share", "mean_share", "difference")},
    **{
        name + end: pl.Float64() for name in LINES_DRAWN for end in ("", "_interval_low",
                                                                    "_interval_high")
    },
}  # fmt: skip
"""The columns of an agreement table: a row for each case and category, in fractions; the bias and
the limits of agreement, with their intervals, stand in each row of their category."""

_DASHES = (5.0, 2.0)
_BAND_ALPHA = 0.16


def drawn_agreement(
    differential: pl.DataFrame, results: pl.DataFrame, view: str, arm: str | None = None
) -> pl.DataFrame:
    """Lay out the numbers that the figure of agreement draws.

    Parameters
    ----------
    differential : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.DIFFERENTIAL`.
    results : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.RESULTS`; its metrics ``bias``,
        ``limit_low`` and ``limit_high``, in fractions.
    view : str
        ``strict`` or ``merged``.
    arm : str, optional
        Which arm; may be left out where the table holds one.

    Returns
    -------
    polars.DataFrame
        The columns of :data:`AGREEMENT`, by category in the house's order and case. Lines
        that the results lack are null.

    Raises
    ------
    UsageError
        If the view is unknown.
    DataError
        If a table holds several arms and none was chosen, or the results give a line twice.
    """
    check_view(view)
    cases = tables.check(differential, shapes.DIFFERENTIAL).filter(pl.col("view") == view)
    cases = of_one_arm(cases, arm, "differential").with_columns(
        mean_share=(pl.col("share") + pl.col("reference_share")) / 2,
        difference=pl.col("share") - pl.col("reference_share"),
    )
    lines = tables.check(results, shapes.RESULTS).filter(
        pl.col("view") == view,
        pl.col("metric").is_in(LINES_DRAWN),
        pl.col("category").is_not_null(),
        *(pl.col(name).is_null() for name in ("baseline", "replicate", "case", "prevalence")),
    )
    lines = of_one_arm(lines, arm, "results")
    _refuse_twice(lines)
    for name in LINES_DRAWN:
        own = lines.filter(pl.col("metric") == name).select(
            "category",
            pl.col("value").alias(name),
            pl.col("low").alias(f"{name}_interval_low"),
            pl.col("high").alias(f"{name}_interval_high"),
        )
        cases = cases.join(own, on="category", how="left")
    table = in_category_order(cases, "category", "case").select(list(AGREEMENT))
    return table.cast(pl.Schema(AGREEMENT))


def bland_altman_figure(
    differential: pl.DataFrame, results: pl.DataFrame, view: str, arm: str | None = None
) -> "Figure":
    """Draw, case by case, the model's share of each category less the reference's.

    Parameters
    ----------
    differential, results, view, arm
        As in :func:`drawn_agreement`.

    Returns
    -------
    matplotlib.figure.Figure
        After Bland and Altman (1986): a panel for each category, each case at the mean of
        both shares, the bias and the limits of agreement with their intervals as bands.
        Each panel has its own scale. Without cases a figure that says so.

    Raises
    ------
    UsageError, DataError
        As :func:`drawn_agreement`.
    """
    table = drawn_agreement(differential, results, view, arm)
    title = in_view("Differential count, model less reference, by case", view)
    if table.is_empty():
        return layout.said(
            title, "No differential counts by case are known: the cells' cases are not."
        )
    with plotting.style():
        return _figure(table, title)


def _refuse_twice(lines: pl.DataFrame) -> None:
    twice = lines.filter(lines.select("metric", "category").is_duplicated())
    if twice.height:
        raise DataError(
            f"The results give the {twice['metric'][0]} of {twice['category'][0]} more than once, "
            f"by {' and by '.join(twice['method'].unique().sort())}. Nothing was drawn. Keep one."
        )


def _figure(table: pl.DataFrame, title: str) -> "Figure":
    names = categories_drawn(table)
    found = {name: table.filter(pl.col("category") == name) for name in names}
    titles = [
        layout.wrapped(name, layout.columns_pt(len(names)), SMALL_PT, most=2, bold=True)
        for name in names
    ]
    high = max(map(len, titles)) + 1
    grid = layout.grid_of(len(names), left_in=0.42, bottom_in=0.24, titles=high, flat=0.85)
    keys = [
        Key("bias, with its interval", ACCENT, 1.6),
        Key("limits of agreement, with their intervals", WARN, 1.3, _DASHES),
        Key("a case", ACCENT, 0.0, (), "o"),
    ]
    key_in = layout.key_height(keys)
    height_in = key_in + LINE_IN + layout.grid_height(grid, len(names)) + 0.28
    notes = ["Under each name: bias (limits of agreement). Each panel has its own scale."]
    made = layout.sheet(title, _in_words(found), height_in, notes=notes)
    layout.key_row(made.figure, keys, made.top_in)
    label = "Model less reference, percentage points"
    layout.write(made.figure, label, layout.SIDE_IN, made.top_in + key_in)
    for number, (name, lines) in enumerate(zip(names, titles, strict=True)):
        axes = layout.panel(
            made, grid, number, lines, above_in=key_in + LINE_IN - 0.02, below=_text(found[name])
        )
        _draw(axes, found[name])
    label = "Mean of model and reference, % of a case's cells"
    layout.write(made.figure, label, layout.SIDE_IN + grid.left_in, made.bottom_in - 0.26)
    return made.figure


def _draw(axes: "Axes", cases: pl.DataFrame) -> None:
    x = [100 * value for value in cases["mean_share"]]
    y = [100 * value for value in cases["difference"]]
    axes.axhline(0, color=INK, linewidth=0.8, zorder=1.5)
    first = cases.row(0, named=True)
    for name, colour, width_pt in (
        ("bias", ACCENT, 1.6),
        ("limit_low", WARN, 1.3),
        ("limit_high", WARN, 1.3),
    ):
        value, low, high = _line(first, name)
        if value is not None:
            line = axes.axhline(value, color=colour, linewidth=width_pt, zorder=2.5)
            line.set_dashes([] if name == "bias" else list(_DASHES))
        if low is not None and high is not None:
            axes.axhspan(low, high, color=colour, alpha=_BAND_ALPHA, linewidth=0, zorder=1)
    axes.plot(x, y, color=ACCENT, marker="o", markersize=3.2, alpha=0.55, linestyle="", mew=0)
    lines = [number for name in LINES_DRAWN for number in _line(first, name) if number is not None]
    _scale(axes, x, [*y, *lines])


def _scale(axes: "Axes", x: list[float], y: list[float]) -> None:
    reach = 1.08 * max([*map(abs, y), 1.0])
    left, right = min(x), max(x)
    room = max(0.06 * (right - left), 0.5)
    axes.set(xlim=(left - room, right + room), ylim=(-reach, reach))
    for places, put in (
        (ticks.ticks(left - room, right + room, most=5), axes.set_xticks),
        (ticks.ticks(-reach, reach, most=7), axes.set_yticks),
    ):
        shown = [at for at in places if put == axes.set_yticks or at >= 0]
        put(shown, [f"{at:g}".replace("-", wording.MINUS) for at in shown])
    layout.ruled(axes)


def _line(row: dict[str, Any], name: str) -> tuple[float | None, float | None, float | None]:
    """Give a line and its interval in percentage points; None where undefined."""
    value, low, high = (
        None if number is None or not math.isfinite(number) else 100 * number
        for number in (row[name], row[f"{name}_interval_low"], row[f"{name}_interval_high"])
    )
    return value, low, high


def _text(cases: pl.DataFrame) -> str:
    first = cases.row(0, named=True)
    bias, low, high = (_line(first, name)[0] for name in LINES_DRAWN)
    if bias is None:
        return "bias undefined"
    if low is None or high is None:
        return wording.signed(bias / 100)
    return f"{wording.signed(bias / 100)} ({wording.signed_span(low / 100, high / 100)})"


def _in_words(found: dict[str, pl.DataFrame]) -> str:
    texts = (
        f"{name}: {wording.counted(cases.height, 'case', 'cases')}, bias and limits of agreement "
        f"in percentage points {_text(cases)}."
        for name, cases in found.items()
    )
    return " ".join(texts)
