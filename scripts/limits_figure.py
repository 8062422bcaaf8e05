"""The figure of scripts/limits: shares of calls kept, methods against categories."""

import re
from typing import TYPE_CHECKING

import numpy as np
from limits_cells import ANEW, CARRIED
from limits_methods import METHODS
from limits_tables import ALL

from leukoscope.records.categories import NOZAKA6
from leukoscope.reporting.plotting import INK, MUTED, PAPER, SMALL_PT, style, svg_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUPS = (*NOZAKA6, ALL)
PER_GROUP = max(len(one.strengths) for one in METHODS.values())
STEP = PER_GROUP + 0.5
"""Breadth of a category's columns and the gap after them."""
BOUNDS = (0.0, 0.5, 0.7, 0.8, 0.9, 1.0)
COLOURS = ("#7a2e00", "#cd5f0f", "#f2b482", "#f6e3d0", "#2b79b9")
NAMES = ("below 50 %", "50 to 70 %", "70 to 80 %", "80 to 90 %", "90 % and more")
Box = tuple[float, float, float, float]
FIELDS: dict[str, Box] = {ANEW: (0.04, 0.07, 0.96, 0.5), CARRIED: (0.04, 0.53, 0.96, 0.93)}
DOTS: dict[str, Box] = {ANEW: (0.42, 0.23, 0.58, 0.35), CARRIED: (0.42, 0.67, 0.58, 0.79)}
"""Boxes within the unit square of one strength: left, top, right, bottom."""
DARK = 0.7
"""Share below which a field is dark, so that its dot is light."""

_NUMBER = r"(-?[\d.]+)"
_BOX = re.compile(
    rf"M {_NUMBER} {_NUMBER} L {_NUMBER} \2 L \3 {_NUMBER} L \1 \4 (?:L \1 \2 )?z".replace(
        " ", r"\s"
    )
)
_LONG = re.compile(r"-?\d+\.\d{3,}")


def svg_of_kept(kept: list[dict]) -> str:
    """Draw the figure and write it short: boxes by sides, places to a hundredth of a point."""
    svg = _LONG.sub(lambda number: f"{float(number[0]):.2f}", svg_of(figure_of(kept)))
    return _BOX.sub(r"M\1 \2H\3V\4H\1z", svg)


def figure_of(kept: list[dict]) -> "Figure":
    """Draw a field for each strength, split in two, and a dot where the rule is broken."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(9.6, 8.6))
        figure.set_label(
            "Share of cells that keep their call under each method\n"
            "Rows are methods with their strengths from mild to severe, columns categories; each "
            "field is one strength: its upper half for cells outlined anew, its lower half for "
            "their own outlines carried along. Blue: 90 % and more of the calls are kept. A dot: "
            "the rule of the recommendations is broken. The numbers stand in kept.csv."
        )
        axes = figure.subplots()
        for outline in (ANEW, CARRIED):
            draw_half(axes, [row for row in kept if row["outline"] == outline], outline)
        draw_scales(axes, kept)
        draw_key(figure)
        figure.subplots_adjust(left=0.3, right=0.995, top=0.95, bottom=0.065)
    return figure


def draw_half(axes: "Axes", rows: list[dict], outline: str) -> None:
    for colour in COLOURS:
        some = [row for row in rows if colour_of(row["share_kept"]) == colour]
        draw_boxes(axes, some, FIELDS[outline], colour)
    broken = [row for row in rows if row["within_rule"] == 0]
    for is_dark, colour in ((True, PAPER), (False, INK)):
        some = [row for row in broken if (row["share_kept"] < DARK) == is_dark]
        draw_boxes(axes, some, DOTS[outline], colour)


def draw_boxes(axes: "Axes", rows: list[dict], box: Box, colour: str) -> None:
    """Draw a box in each row's place, all as one path: a thousand paths make a large file."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    left, top, right, bottom = box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    if rows:
        boxes = [Path(np.add(corners, place_of(row)), closed=True) for row in rows]
        axes.add_patch(PathPatch(Path.make_compound_path(*boxes), color=colour, lw=0))


def place_of(row: dict) -> tuple[float, int]:
    """Give the upper left corner of a row's field."""
    column = list(map(float, METHODS[row["method"]].strengths)).index(row["strength"])
    return GROUPS.index(row["category"]) * STEP + column, list(METHODS).index(row["method"])


def colour_of(share: float) -> str:
    return COLOURS[min(int(np.searchsorted(BOUNDS, share, side="right")) - 1, len(COLOURS) - 1)]


def draw_scales(axes: "Axes", kept: list[dict]) -> None:
    counts = {(row["category"], row["outline"]): row["n"] for row in kept}
    axes.set_xlim(0, len(GROUPS) * STEP)
    axes.set_ylim(len(METHODS), 0)
    centres = [place * STEP + PER_GROUP / 2 for place in range(len(GROUPS))]
    shown = [f"{name}\n{counts[name, ANEW]}, {counts[name, CARRIED]} cells" for name in GROUPS]
    axes.set_xticks(centres, shown)
    axes.xaxis.tick_top()
    axes.set_yticks(np.arange(len(METHODS)) + 0.5, [label_of(name) for name in METHODS])
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[["left", "bottom"]].set_visible(False)


def label_of(name: str) -> str:
    one = METHODS[name]
    if not one.unit:
        return name
    return f"{name}  {', '.join(f'{value:g}' for value in one.strengths)} {one.unit}"


def draw_key(figure: "Figure") -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    fields = [Patch(color=colour, label=name) for colour, name in zip(COLOURS, NAMES, strict=True)]
    dot = Line2D([], [], color=INK, marker="s", lw=0, markersize=2.5, label="rule broken")
    figure.legend(
        handles=[*fields[::-1], dot],
        loc="lower center",
        ncols=6,
        frameon=False,
        fontsize=SMALL_PT,
        labelcolor=MUTED,
        title="Calls kept; upper half: outlined anew, lower half: own outline carried along",
        title_fontsize=SMALL_PT,
    )
