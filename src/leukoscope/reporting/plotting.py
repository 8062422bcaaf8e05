"""Figures as bytes: their colours and letters, SVG for files and pages, PNG, numbers beside them.

A figure is drawn in the colours named here and nothing else. Each of them is one role, so that
a page can exchange it for its own: ink on paper in light becomes ink on paper in the dark.
Letters are drawn as outlines, so that a figure looks the same wherever it is opened; what it
shows is said in words in its title and description, and the numbers stand in a CSV beside it.
"""

import contextlib
import html
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from leukoscope.foundation import files
from leukoscope.foundation.errors import UsageError
from leukoscope.records import shapes, tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER, INK, MUTED, RULE, SOFT = "#ffffff", "#1c1f23", "#565d66", "#d3d6da", "#f3f4f2"
ACCENT, WARN, GREEN, PURPLE = "#0b559f", "#9a3a00", "#0f8f6b", "#b565a0"
RIGHT, WRONG = "#0b559e", "#cd5f0f"
"""What shades a right call and a wrong one; lighter or deeper by its share."""

_VARIABLES = {
    PAPER: f"var(--paper, {PAPER})",
    INK: f"var(--ink, {INK})",
    MUTED: f"var(--muted, {MUTED})",
    RULE: f"var(--rule, {RULE})",
    SOFT: f"var(--soft, {SOFT})",
    ACCENT: f"var(--accent, {ACCENT})",
    WARN: f"var(--warn, {WARN})",
    RIGHT: "rgb(var(--right, 11 85 158))",
    WRONG: "rgb(var(--wrong, 205 95 15))",
}
"""Colours a page exchanges. Green and purple stand out from light and dark paper alike."""

WIDTH_IN = 7.0
"""How wide every figure is; letters are SMALL_PT or more at that width."""

SMALL_PT, TITLE_PT = 8.0, 10.0

PNG_DPI = 200


class Line(NamedTuple):
    """Tell one line from the others by more than its colour."""

    colour: str
    dashes: tuple[float, ...]
    """Lengths of ink and gap in line widths; empty is a whole line."""
    marker: str


LINES = (
    Line(ACCENT, (), "o"),
    Line(WARN, (5.0, 1.6), "s"),
    Line(GREEN, (1.2, 1.2), "^"),
    Line(PURPLE, (6.0, 1.5, 1.2, 1.5), "D"),
    Line(INK, (9.0, 2.5), "v"),
)
"""The lines of one panel, in their order."""

_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": SMALL_PT,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.labelsize": SMALL_PT,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": SMALL_PT,
    "ytick.labelsize": SMALL_PT,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "figure.facecolor": PAPER,
    "image.composite_image": False,
    "path.simplify_threshold": 0.2,
    "svg.fonttype": "path",
    "svg.hashsalt": "leukoscope",
}
_NOTHING = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_LONG = re.compile(r"-?\d+\.\d{3,}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw within this block as the house does, whatever a person's own settings are."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def svg_of(figure: "Figure") -> str:
    """Write a figure as an SVG file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Its label, if it has one, is the title in the first line and a description after it.

    Returns
    -------
    str
        The same for the same figure: no date, no maker, nothing from outside.
    """
    width_pt, height_pt, body = _drawn(figure)
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<svg {spaces} role="img" width="{width_pt:g}pt" height="{height_pt:g}pt" '
        f'viewBox="0 0 {width_pt:g} {height_pt:g}">\n'
        f"{_said(figure, '')}{_with_ids(body, '')}</svg>\n"
    )


def inline_svg(figure: "Figure", name: str) -> str:
    """Write a figure as an SVG element that stands in a page.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        As in :func:`svg_of`.
    name : str
        Letters, digits and hyphens; what every id begins with, so that several figures of one
        page do not borrow each other's parts.

    Returns
    -------
    str
        As wide as the place it is put in. Ink, paper, rules and the page's own accents are
        its variables (``--ink``, ``--paper`` …), with a value for a page that has none.

    Raises
    ------
    UsageError
        If *name* cannot be an id.
    """
    _refuse_name(name)
    width_pt, height_pt, body = _drawn(figure)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, variable)
    named = f'aria-labelledby="{name}-title {name}-text"'
    return (
        f'<svg class="plot" role="img" {named} width="100%" '
        f'viewBox="0 0 {width_pt:g} {height_pt:g}">\n'
        f"{_said(figure, name)}{_with_ids(body, name + '-').replace('xlink:href', 'href')}</svg>\n"
    )


def png_of(figure: "Figure") -> bytes:
    """Write a figure as a PNG of PNG_DPI pixels an inch; the same bytes for the same figure."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return buffer.getvalue()


def write_figure(folder: Path, name: str, figure: "Figure", table: pl.DataFrame) -> None:
    """Write NAME.svg, NAME.png and NAME.csv, each in one step.

    Parameters
    ----------
    folder : Path
        Made if missing.
    name : str
        Letters, digits and hyphens.
    figure : matplotlib.figure.Figure
        What to write.
    table : polars.DataFrame
        The numbers the figure draws.

    Raises
    ------
    UsageError
        If *name* cannot be a file's name.
    SchemaError
        If the table has the columns of a shape and breaks it; then nothing is written.
    RunError
        If the disk refuses.
    """
    _refuse_name(name)
    svg, png = svg_of(figure), png_of(figure)
    tables.write_table(folder / f"{name}.csv", table, shape_of(table))
    files.write_text(folder / f"{name}.svg", svg)
    files.write_bytes(folder / f"{name}.png", png)


def shape_of(table: pl.DataFrame) -> shapes.Shape:
    """Find the shape whose columns a table has, or make one of the table's own columns."""
    known = (one for one in vars(shapes).values() if isinstance(one, shapes.Shape))
    for shape in known:
        if set(shape.required) <= set(table.columns) <= set(shape.columns):
            return shape
    columns = {name: _type_of(dtype) for name, dtype in table.schema.items()}
    return shapes.Shape("figure's table", {}, columns, tuple(columns), ordered=False)


def _type_of(dtype: pl.DataType) -> pl.DataType:
    if dtype.is_integer():
        return pl.Int64()
    return shapes.REAL if dtype.is_float() else shapes.TEXT


def _refuse_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"A figure cannot be called {name!r}; its name begins with a letter and holds letters, "
            "digits, hyphens and underscores alone. Nothing was written."
        )


def _drawn(figure: "Figure") -> tuple[float, float, str]:
    """Draw a figure and keep what lies inside the SVG element, with its size in points."""
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", metadata=_NOTHING)
    text = re.sub(r"<!--.*?-->", "", buffer.getvalue(), flags=re.DOTALL)
    text = re.sub(r"<(metadata|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    begin = text.index(">", text.index("<svg")) + 1
    body = re.sub(r"\s+", " ", text[begin : text.rindex("</svg>")]).replace("> <", ">\n<")
    # A hundredth of a point is finer than any screen or press; the rest only makes files large.
    body = re.sub(r' d="[^"]*"', lambda path: _LONG.sub(_shortened, path[0]), body)
    width_in, height_in = figure.get_size_inches()
    return 72 * width_in, 72 * height_in, f'<g stroke-linejoin="round">{body.strip()}</g>\n'


def _shortened(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _with_ids(body: str, prefix: str) -> str:
    """Begin each id with *prefix*, and leave out those that nothing refers to."""
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))

    def named(found: re.Match[str]) -> str:
        return f' id="{prefix}{found[1]}"' if found[1] in used else ""

    body = re.sub(r' id="([^"]*)"', named, body)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", body)


def _said(figure: "Figure", name: str) -> str:
    title, _, text = str(figure.get_label()).partition("\n")
    ids = (f' id="{name}-title"', f' id="{name}-text"') if name else ("", "")
    return (
        f"<title{ids[0]}>{html.escape(title)}</title>\n<desc{ids[1]}>{html.escape(text)}</desc>\n"
    )
