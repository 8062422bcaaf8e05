"""How near generated cells lie to training cells, beside what honest held-out cells show."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from leukoscope.reporting import axes as ticks
from leukoscope.reporting import plot_layout as layout
from leukoscope.reporting import plotting, wording
from leukoscope.reporting.judgement_tables import JudgementPage
from leukoscope.reporting.plot_layout import LINE_IN, SIDE_IN
from leukoscope.reporting.plotting import ACCENT, INK, MUTED, SMALL_PT, WARN, WIDTH_IN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HONEST = "real, held out"
"""What the row of honest held-out cells is called."""

DRAWN: dict[str, pl.DataType] = {
    "row": pl.String(),
    "place": pl.Int32(),
    "ratio": pl.Float64(),
    "flagged": pl.String(),
}
"""The columns of the table of distances: a row a dot, by its place from the left in its row."""

MOST_DOTS = 300
"""Of a row with more cells this many are drawn: the flagged ones, and every so-many-th other."""

FARTHEST = 2.0
"""Larger ratios are drawn at this one, at the edge."""

TITLE = "How near the nearest training cell lies"
_NAME_IN, _ROW_IN, _COUNT_IN = 1.35, 0.36, 0.95
_GOLDEN = (math.sqrt(5) - 1) / 2


def drawn_distances(page: JudgementPage) -> pl.DataFrame:
    """List the dots of the figure, without the names of cells.

    Returns
    -------
    polars.DataFrame
        The columns of :data:`DRAWN`: generated cells by category, then the real cells that
        were held out, each row by its ratio. A row of many cells is thinned evenly; flagged
        cells are all kept.
    """
    found: list[tuple[str, int, float, str]] = []
    for category in page.about["categories"]:
        own = page.neighbours.filter(category=category)
        dots = zip(own["ratio"].to_list(), own["memorised"].to_list(), strict=True)
        found += [(str(category), *dot) for dot in _thinned(list(dots))]
    limit = float(page.about["threshold"])
    honest = [(value, value < limit) for value in page.about.get("honest_ratios") or []]
    found += [(HONEST, *dot) for dot in _thinned(honest)]
    return pl.DataFrame(found, schema=DRAWN, orient="row")


def distances_figure(page: JudgementPage) -> "Figure":
    """Draw each generated cell at its ratio, the threshold, and what honest cells show.

    Returns
    -------
    matplotlib.figure.Figure
        A row a category and one of held-out real cells; left of the dashed line a cell is
        flagged. Without a ratio a figure that says so.
    """
    table = drawn_distances(page)
    if table.is_empty():
        return layout.said(TITLE, "No distance is known.")
    with plotting.style():
        return _figure(page, table)


def _thinned(dots: Sequence[tuple[float | None, Any]]) -> list[tuple[int, float, str]]:
    known = sorted((value, bool(flag)) for value, flag in dots if value is not None)
    known = [dot for dot in known if math.isfinite(dot[0])]
    others = [dot for dot in known if not dot[1]]
    step = max(1.0, len(others) / MOST_DOTS)
    places = {int(step * number) for number in range(math.ceil(len(others) / step))}
    kept = [dot for place, dot in enumerate(others) if place in places]
    kept += [dot for dot in known if dot[1]]
    ranked = enumerate(sorted(kept), start=1)
    return [(place, value, "yes" if flag else "no") for place, (value, flag) in ranked]


def _figure(page: JudgementPage, table: pl.DataFrame) -> "Figure":
    names = table["row"].unique(maintain_order=True).to_list()
    limit = float(page.about["threshold"])
    notes = ["Honest cells lie about 1. Cells left of the dashed line are flagged as copies."]
    if table["ratio"].max() > FARTHEST:  # type: ignore[operator]
        notes.append(f"Ratios above {FARTHEST:g} are drawn at {FARTHEST:g}.")
    height_in = LINE_IN + 0.1 + _ROW_IN * len(names) + 0.5
    made = layout.sheet(TITLE, _in_words(page, table), height_in, notes=notes)
    wide_in = WIDTH_IN - 2 * SIDE_IN - _NAME_IN - _COUNT_IN
    top_in = made.top_in + LINE_IN + 0.1
    axes = layout.axes_at(made.figure, SIDE_IN + _NAME_IN, top_in, wide_in, _ROW_IN * len(names))
    right_in = WIDTH_IN - SIDE_IN
    layout.write(made.figure, "flagged", right_in, made.top_in, colour=MUTED, align="right")
    for place, name in enumerate(names):
        own = table.filter(row=name)
        _draw_row(axes, own, place)
        at_in = top_in + _ROW_IN * (place + 0.5) - 0.07
        layout.write(made.figure, _fitted(name), SIDE_IN, at_in)
        layout.write(made.figure, _flagged(page, name), right_in, at_in, align="right")
    _scale(axes, table, limit, len(names))
    below_in = top_in + _ROW_IN * len(names) + 0.24
    text = "Distance to the nearest training cell against that to the nearest held-out cell"
    layout.write(made.figure, text, SIDE_IN + _NAME_IN, below_in)
    return made.figure


def _draw_row(axes: "Axes", own: pl.DataFrame, place: int) -> None:
    honest = own["row"][0] == HONEST
    for flag, colour, marker in (("no", MUTED if honest else ACCENT, "o"), ("yes", WARN, "D")):
        values = own.filter(flagged=flag)
        # Dots of one row stand apart by a rule that knows no chance.
        heights = [place + 0.6 * ((_GOLDEN * at) % 1 - 0.5) for at in values["place"]]
        axes.plot(
            [min(value, FARTHEST) for value in values["ratio"]],
            heights,
            linestyle="none",
            marker=marker,
            markersize=2.6 if flag == "no" else 3.6,
            color=colour,
            alpha=0.6 if flag == "no" else 1.0,
            markeredgewidth=0,
            clip_on=False,
        )


def _scale(axes: "Axes", table: pl.DataFrame, limit: float, n_rows: int) -> None:
    highest = min(max(1.0, limit, float(table["ratio"].max())), FARTHEST)  # type: ignore[arg-type]
    _, high = ticks.rounded_range([0.0, highest], most=6)
    places = ticks.ticks(0, high, most=6)
    axes.set(xlim=(-0.02 * high, 1.02 * high), ylim=(n_rows - 0.5, -0.5))
    axes.set_xticks(places, [f"{at:g}" for at in places])
    axes.set_yticks([])
    layout.ruled(axes)
    axes.spines["left"].set_visible(False)
    axes.axvline(limit, color=INK, linewidth=1.2, dashes=(5.0, 2.5))
    axes.axvline(1.0, color=MUTED, linewidth=0.8)
    axes.annotate(
        f"flagged below {limit:.3g}", (limit, -0.5), (0, 4), textcoords="offset points",
        ha="center", va="bottom", fontsize=SMALL_PT, color=INK,
    )  # fmt: skip


def _flagged(page: JudgementPage, name: str) -> str:
    if name == HONEST:
        ratios = page.about.get("honest_ratios") or []
        n_flagged = sum(value < float(page.about["threshold"]) for value in ratios)
        return f"{wording.count(n_flagged)} of {wording.count(len(ratios))}"
    own = page.neighbours.filter(category=name)
    return f"{wording.count(int(own['memorised'].sum()))} of {wording.count(own.height)}"


def _in_words(page: JudgementPage, table: pl.DataFrame) -> str:
    texts = [f"{TITLE}, against the nearest held-out cell; honest cells lie about 1."]
    for name in table["row"].unique(maintain_order=True):
        ratios = table.filter(row=name)["ratio"]
        low, high = (float(end) for end in (ratios[0], ratios[-1]))
        texts.append(f"{name}: {low:.2f} to {high:.2f}, flagged {_flagged(page, str(name))}.")
    return " ".join(texts)


def _fitted(name: str) -> str:
    return layout.cut(name, 72 * (_NAME_IN - 0.1), SMALL_PT)
