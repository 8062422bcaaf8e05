"""Where things stand in a figure, in inches from its upper left corner.

Words are measured before they are placed: what has no room is broken over lines, and cut only
where that is not enough.
"""

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from leukoscope.reporting import plotting, wording
from leukoscope.reporting.plotting import INK, LINES, MUTED, RULE, SMALL_PT, TITLE_PT, WIDTH_IN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE_IN = 0.08
"""Room left and right of everything."""

LINE_IN = 0.16
"""Height of a line of small letters."""

_TITLE_IN = 0.34
_WIDEST_PANEL_IN = 2.6
_UNKNOWN_SIGN = "\N{WHITE SQUARE}"


class Sheet(NamedTuple):
    """Hold an empty figure and where its content may begin and end."""

    figure: "Figure"
    top_in: float
    bottom_in: float


class Key(NamedTuple):
    """Explain one kind of line: its name, colour, width, dashes and marker."""

    text: str
    colour: str
    width_pt: float = 1.6
    dashes: tuple[float, ...] = ()
    marker: str = ""
    alpha: float = 1.0


class Grid(NamedTuple):
    """Say how panels of one figure stand; inches."""

    columns: int
    width_in: float
    height_in: float
    left_in: float
    """Room left of each panel's axes, within its column."""
    top_in: float
    """Room above each panel's axes, within its row."""
    row_in: float
    """Height of a row."""


def sheet(title: str, text: str, height_in: float, *, notes: Sequence[str] = ()) -> Sheet:
    """Begin a figure with a title above its content and notes below it.

    Parameters
    ----------
    title : str
        Short, and what the figure is of.
    text : str
        What it shows, in words, for those who cannot see it.
    height_in : float
        Height of the content.
    notes : sequence of str
        Sentences in small letters at the foot, each beginning a line.

    Returns
    -------
    Sheet
        Content goes between its top and bottom, inches from the upper edge.
    """
    from matplotlib.figure import Figure

    widest = 72 * (WIDTH_IN - 2 * SIDE_IN)
    above = wrapped(title, widest, TITLE_PT, most=2, bold=True)
    below = [line for note in notes for line in wrapped(note, widest, SMALL_PT, most=6)]
    top_in = _TITLE_IN + 0.19 * (len(above) - 1)
    bottom_in = top_in + height_in
    figure = Figure(figsize=(WIDTH_IN, bottom_in + LINE_IN * len(below) + 0.08))
    figure.set_label("\n".join(" ".join(_whole(each).split()) for each in (title, text)))
    for number, line in enumerate(above):
        write(figure, line, SIDE_IN, 0.07 + 0.19 * number, size_pt=TITLE_PT, weight="bold")
    for number, line in enumerate(below):
        write(figure, line, SIDE_IN, bottom_in + LINE_IN * number, colour=MUTED)
    return Sheet(figure, top_in, bottom_in)


def said(title: str, reason: str) -> "Figure":
    """Draw a figure that says why there is none."""
    with plotting.style():
        made = sheet(title, reason, LINE_IN)
        for number, line in enumerate(wrapped(reason, 72 * (WIDTH_IN - 0.2), SMALL_PT, most=3)):
            write(made.figure, line, SIDE_IN, made.top_in + LINE_IN * number, colour=MUTED)
    return made.figure


def write(
    figure: "Figure",
    text: str,
    left_in: float,
    top_in: float,
    *,
    colour: str = INK,
    size_pt: float = SMALL_PT,
    weight: str = "normal",
    align: str = "left",
) -> None:
    """Write a line of text whose upper edge and *align* edge are given."""
    width_in, height_in = figure.get_size_inches()
    figure.text(
        left_in / width_in,
        1 - top_in / height_in,
        text,
        color=colour,
        fontsize=size_pt,
        fontweight=weight,
        ha=align,
        va="top",
    )


def axes_at(
    figure: "Figure", left_in: float, top_in: float, width_in: float, height_in: float
) -> "Axes":
    """Place axes by their upper left corner and size."""
    wide, high = figure.get_size_inches()
    return figure.add_axes(
        (left_in / wide, 1 - (top_in + height_in) / high, width_in / wide, height_in / high)
    )


def grid_of(n_panels: int, *, left_in: float, bottom_in: float, titles: int, flat: float) -> Grid:
    """Choose how many panels stand beside each other, and how large they are.

    Parameters
    ----------
    n_panels : int
        At least 1.
    left_in, bottom_in : float
        Room each panel needs for the numbers on its axes.
    titles : int
        Lines of the longest panel title.
    flat : float
        Height of a panel as a fraction of its width.

    Returns
    -------
    Grid
        Two, three or four columns.
    """
    columns = 2 if n_panels <= 2 else 3 if n_panels <= 6 else 4
    width_in = min((WIDTH_IN - 2 * SIDE_IN - 0.1) / columns - left_in, _WIDEST_PANEL_IN)
    height_in = flat * width_in
    top_in = LINE_IN * titles + 0.08
    return Grid(columns, width_in, height_in, left_in, top_in, top_in + height_in + bottom_in)


def columns_pt(n_panels: int) -> float:
    """Give the width in points of the title of one of *n_panels* panels."""
    columns = 2 if n_panels <= 2 else 3 if n_panels <= 6 else 4
    return 72 * ((WIDTH_IN - 2 * SIDE_IN) / columns - 0.12)


def grid_height(grid: Grid, n_panels: int) -> float:
    """Give the height in inches of all rows."""
    return grid.row_in * math.ceil(n_panels / grid.columns)


def panel(
    made: Sheet,
    grid: Grid,
    number: int,
    lines: Sequence[str],
    *,
    above_in: float,
    below: str = "",
) -> "Axes":
    """Place panel *number* (from 0), its title in bold and a line in small letters *below* it.

    Rows begin *above_in* under the top of the content; the grid has room for the lines.
    """
    row, column = divmod(number, grid.columns)
    left_in = SIDE_IN + column * (grid.left_in + grid.width_in) + grid.left_in
    top_in = made.top_in + above_in + row * grid.row_in
    shown = [*lines, below] if below else list(lines)
    for place, line in enumerate(shown):
        first_in = top_in + grid.top_in - 0.05 - LINE_IN * (len(shown) - place)
        titled = place < len(lines)
        colour, weight = (INK, "bold") if titled else (MUTED, "normal")
        write(made.figure, line, left_in, first_in, colour=colour, weight=weight)
    return axes_at(made.figure, left_in, top_in + grid.top_in, grid.width_in, grid.height_in)


def key_row(
    figure: "Figure", entries: Sequence[Key], top_in: float, *, left_in: float = SIDE_IN
) -> None:
    """Explain lines beside each other; :func:`key_height` says how much room that takes."""
    from matplotlib.lines import Line2D

    wide, high = figure.get_size_inches()
    for entry, (place_in, row) in zip(entries, _key_places(entries), strict=True):
        begin_in = place_in - SIDE_IN + left_in
        middle = top_in + LINE_IN * (row + 0.45)
        line = Line2D(
            [(begin_in + at_in) / wide for at_in in (0, 0.16, 0.32)],
            [1 - middle / high] * 3,
            color=entry.colour,
            linewidth=entry.width_pt,
            alpha=entry.alpha,
            solid_capstyle="butt",
            marker=entry.marker,
            markersize=4,
            markevery=[1],
            transform=figure.transFigure,
        )
        line.set_dashes(list(entry.dashes))
        figure.add_artist(line)
        write(figure, entry.text, begin_in + 0.38, top_in + LINE_IN * row, colour=MUTED)


def key_height(entries: Sequence[Key]) -> float:
    """Give the height in inches of a key."""
    return LINE_IN * (1 + max((row for _, row in _key_places(entries)), default=-1)) + 0.04


def _key_places(entries: Sequence[Key]) -> list[tuple[float, int]]:
    places, left_in, row = [], SIDE_IN, 0
    for entry in entries:
        wide_in = 0.38 + width_pt(entry.text, SMALL_PT) / 72
        if left_in > SIDE_IN and left_in + wide_in > WIDTH_IN - SIDE_IN:
            left_in, row = SIDE_IN, row + 1
        places.append((left_in, row))
        left_in += wide_in + 0.22
    return places


def spread(values: Sequence[float], apart: float, bounds_range: tuple[float, float]) -> list[float]:
    """Move places as little as is needed for each to be *apart* from the next.

    Parameters
    ----------
    values : sequence of float
        Where labels would like to stand.
    apart : float
        The least distance between two of them.
    bounds_range : (float, float)
        Between which they should stay, where there is room.

    Returns
    -------
    list of float
        In the order of *values*; equal values keep their order.
    """
    order = sorted(range(len(values)), key=lambda i: (values[i], i))
    low, high = bounds_range
    runs: list[list[float]] = []
    for i in order:
        runs.append([values[i], 1.0])
        while len(runs) > 1 and _too_near(runs[-2], runs[-1], apart):
            (first, n), (second, m) = runs[-2:]
            runs[-2:] = [[(first * n + second * m) / (n + m), n + m]]
    places = [
        centre + apart * (number - (n - 1) / 2) for centre, n in runs for number in range(int(n))
    ]
    places = _kept_above(places, apart, low)
    places = [-place for place in _kept_above([-place for place in places[::-1]], apart, -high)]
    return [place for _, place in sorted(zip(order, places[::-1], strict=True))]


def _kept_above(places: Sequence[float], apart: float, low: float) -> list[float]:
    """Push ascending places up until the first is at *low* and each is apart from the one below."""
    kept: list[float] = []
    for place in places:
        kept.append(max(place, kept[-1] + apart if kept else low))
    return kept


def _too_near(run: Sequence[float], other: Sequence[float], apart: float) -> bool:
    return other[0] - run[0] < apart * (run[1] + other[1]) / 2


def lined(axes: "Axes", x: Sequence[float], y: Sequence[float], number: int, *, steps: str) -> None:
    """Draw the line of a panel's arm *number*; a single point, which is no line, as a mark."""
    look = LINES[number]
    (line,) = axes.plot(x, y, color=look.colour, linewidth=1.6, drawstyle=steps, zorder=3)
    line.set_dashes(list(look.dashes))
    if len(x) == 1:
        line.set(marker=look.marker, markersize=5, clip_on=False)


def ruled(axes: "Axes") -> None:
    """Draw thin rules behind everything at the ticks of both axes."""
    axes.grid(visible=True, color=RULE, linewidth=0.6)
    axes.tick_params(length=0, pad=3)


def drawable(text: str) -> str:
    """Leave out control characters; a sign that the figures' letters lack becomes a square."""
    known = _signs()
    return "".join(sign if ord(sign) in known else _UNKNOWN_SIGN for sign in _whole(text))


def _whole(text: str) -> str:
    return wording.without_controls(text).replace("\n", " ").replace("\t", " ")


def cut(text: str, widest_pt: float, size_pt: float, *, bold: bool = False) -> str:
    """Shorten a text to a width in points, with an ellipsis where it ends."""
    text = drawable(text)
    if width_pt(text, size_pt, bold=bold) <= widest_pt:
        return text
    kept = len(text)
    while kept and width_pt(text[:kept].rstrip() + "…", size_pt, bold=bold) > widest_pt:
        kept -= 1
    return text[:kept].rstrip() + "…"


def wrapped(
    text: str, widest_pt: float, size_pt: float, *, most: int, bold: bool = False
) -> list[str]:
    """Break a text at its spaces over at most so many lines; what is left over is cut."""
    lines = [""]
    for word in drawable(text).split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if width_pt(longer, size_pt, bold=bold) <= widest_pt or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    kept = [*lines[: most - 1], " ".join(lines[most - 1 :])] if len(lines) > most else lines
    return [cut(line, widest_pt, size_pt, bold=bold) for line in kept]


@functools.lru_cache(maxsize=4096)
def width_pt(text: str, size_pt: float, *, bold: bool = False) -> float:
    """Measure a text in points of the figures' own letters."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    letters = FontProperties(
        family="DejaVu Sans", weight="bold" if bold else "normal", size=size_pt
    )
    return float(text_to_path.get_text_width_height_descent(text, letters, ismath=False)[0])


@functools.cache
def _signs() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap())
