"""Cells called wrong, as pictures with the probabilities of the truth and of the call."""

import math
from typing import TYPE_CHECKING, Any

import polars as pl

from leukoscope.intake.decode import decode
from leukoscope.records import shapes, tables
from leukoscope.reporting import plot_layout as layout
from leukoscope.reporting import plotting, wording
from leukoscope.reporting.contents import in_order
from leukoscope.reporting.plot_layout import LINE_IN, SIDE_IN, cut, write
from leukoscope.reporting.plot_selection import of_one_arm
from leukoscope.reporting.plotting import ACCENT, INK, MUTED, SMALL_PT, WARN, WIDTH_IN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CELLS = 20
"""How many cells one figure shows."""

SHOWN: dict[str, pl.DataType] = {
    "number": pl.Int32(),
    **{name: pl.String() for name in ("category", "predicted")},
    **{name: pl.Float64() for name in ("p_category", "p_predicted")},
}
"""The columns of the table of errors shown: a number for each cell instead of its name."""

TITLE = "Cells called wrong"
_COLUMNS, _PICTURE_IN = 4, 1.2
_CARD_IN = _PICTURE_IN + 2 * LINE_IN + 0.2
_TRUE, _CALLED = "\N{CHECK MARK}", "\N{BALLOT X}"
_SIGN_IN, _SHARE_IN = 0.16, 0.42


def drawn_errors(
    pictures: pl.DataFrame, errors: pl.DataFrame, arm: str | None = None
) -> pl.DataFrame:
    """List the errors that the figure shows, without the names of cells.

    Parameters
    ----------
    pictures : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.PICTURES`; its rows ``missed``.
    errors : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.ERRORS`.
    arm : str, optional
        Whose pictures; may be left out where the table holds those of one arm.

    Returns
    -------
    polars.DataFrame
        The columns of :data:`SHOWN`: at most :data:`MOST_CELLS` of the cells that have a
        picture, the surest error of each kind before a second of any; in the order of
        categories and calls.

    Raises
    ------
    SchemaError
        If a table breaks its shape.
    DataError
        If the pictures are of several arms and none was chosen.
    """
    rows = [
        {name: row[name] for name in SHOWN if name != "number"} | {"number": number}
        for number, row in enumerate(_chosen(pictures, errors, arm), start=1)
    ]
    return pl.DataFrame(rows, schema=SHOWN)


def errors_figure(pictures: pl.DataFrame, errors: pl.DataFrame, arm: str | None = None) -> "Figure":
    """Draw cells called wrong with the true category, the call, and the probability of each.

    Parameters
    ----------
    pictures, errors, arm
        As in :func:`drawn_errors`.

    Returns
    -------
    matplotlib.figure.Figure
        A sheet of cells, as :func:`drawn_errors` lists them. Without errors, or without
        their pictures, a figure that says so.

    Raises
    ------
    SchemaError, DataError
        As :func:`drawn_errors`; DataError also if a picture cannot be read.
    """
    chosen = _chosen(pictures, errors, arm)
    if not chosen:
        n_errors = tables.check(errors, shapes.ERRORS).height
        reason = "No cell was called wrong."
        if n_errors:
            cells = wording.counted(n_errors, "cell was", "cells were")
            reason = f"{cells} called wrong; their pictures were not kept."
        return layout.said(TITLE, reason)
    with plotting.style():
        return _figure(chosen, errors.height)


def _chosen(pictures: pl.DataFrame, errors: pl.DataFrame, arm: str | None) -> list[dict[str, Any]]:
    """Choose errors by turns of their kinds, the surest first, and put them in order."""
    missed = tables.check(pictures, shapes.PICTURES).filter(pl.col("kind") == "missed")
    missed = of_one_arm(missed, arm, "pictures").sort("cell_id", "copy", nulls_last=False)
    png = dict(reversed(missed.select("cell_id", "png").rows()))
    rows = [
        row | {"png": png[row["cell_id"]]}
        for row in tables.check(errors, shapes.ERRORS).iter_rows(named=True)
        if row["cell_id"] in png
    ]
    rows.sort(key=lambda row: (-_known(row["p_predicted"]), row["cell_id"]))
    turns: dict[tuple[str, str], int] = {}
    for row in rows:
        kind = (row["category"], row["predicted"])
        row["turn"] = turns[kind] = turns.get(kind, 0) + 1
    kept = sorted(rows, key=lambda row: row["turn"])[:MOST_CELLS]
    names = in_order([name for row in kept for name in (row["category"], row["predicted"])])
    return sorted(
        kept,
        key=lambda row: (
            names.index(row["category"]),
            names.index(row["predicted"]),
            -_known(row["p_predicted"]),
            row["cell_id"],
        ),
    )


def _figure(chosen: list[dict[str, Any]], n_errors: int) -> "Figure":
    rows = math.ceil(len(chosen) / _COLUMNS)
    all_shown = len(chosen) == n_errors
    how_many = (
        wording.count(n_errors)
        if all_shown
        else f"{wording.count(len(chosen))} of {wording.count(n_errors)}"
    )
    marked = f"{_TRUE} true category, {_CALLED} call, each with the probability the model gave it."
    notes = [marked, *([] if all_shown else ["Of each kind of error the surest are shown first."])]
    made = layout.sheet(
        f"{TITLE}: {how_many}", _in_words(chosen), rows * _CARD_IN - 0.08, notes=notes
    )
    column_in = (WIDTH_IN - 2 * SIDE_IN) / _COLUMNS
    for number, row in enumerate(chosen):
        left_in = SIDE_IN + column_in * (number % _COLUMNS)
        top_in = made.top_in + _CARD_IN * (number // _COLUMNS)
        _draw_card(made.figure, row, number + 1, left_in, top_in, column_in - 0.18)
    return made.figure


def _draw_card(
    figure: "Figure",
    row: dict[str, Any],
    number: int,
    left_in: float,
    top_in: float,
    width_in: float,
) -> None:
    pixels = decode(row["png"], name=f"The picture of error {number}").pixels
    high, wide = pixels.shape[:2]
    shown_in = min(_PICTURE_IN, width_in * high / wide)
    axes = layout.axes_at(figure, left_in, top_in, shown_in * wide / high, shown_in)
    axes.imshow(pixels, interpolation="none", aspect="auto")
    axes.set_axis_off()
    lines = (
        (_TRUE, ACCENT, row["category"], row["p_category"]),
        (_CALLED, WARN, row["predicted"], row["p_predicted"]),
    )
    room_pt = 72 * (width_in - _SIGN_IN - _SHARE_IN)
    for place, (sign, colour, name, probability) in enumerate(lines):
        at_in = top_in + _PICTURE_IN + 0.03 + LINE_IN * place
        write(figure, sign, left_in, at_in, colour=colour)
        known = _known(probability) >= 0
        room = room_pt if known else room_pt + 72 * _SHARE_IN
        write(figure, cut(name, room, SMALL_PT), left_in + _SIGN_IN, at_in, colour=INK)
        if known:
            share = _percent(probability)
            write(figure, share, left_in + width_in, at_in, colour=MUTED, align="right")


def _known(probability: float | None) -> float:
    """Give a probability, or −1 where there is none."""
    return -1.0 if probability is None or math.isnan(probability) else probability


def _percent(probability: float) -> str:
    """Write a probability in whole percent; only an exact 0 or 1 is shown as such."""
    if 0 < probability < 0.005:
        return "<1 %"
    return ">99 %" if 0.995 <= probability < 1 else f"{100 * probability:.0f} %"


def _in_words(chosen: list[dict[str, Any]]) -> str:
    texts = []
    for number, row in enumerate(chosen, start=1):
        pair = [
            f"{row[name]} ({_percent(row[share])})" if _known(row[share]) >= 0 else row[name]
            for name, share in (("category", "p_category"), ("predicted", "p_predicted"))
        ]
        texts.append(f"{number}: {pair[0]} called {pair[1]}.")
    return " ".join(texts)
