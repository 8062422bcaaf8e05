"""What a model's probabilities tell apart: ROC, precision over recall, accuracy over threshold.

A panel for each category, the others thin behind it: so many lines could not be told apart by
colour. Where several models are shown, a panel holds a line for each and nothing behind.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from leukoscope.foundation.errors import DataError
from leukoscope.reporting import axes as ticks
from leukoscope.reporting import plot_layout as layout
from leukoscope.reporting import plotting, wording
from leukoscope.reporting.plot_layout import Key
from leukoscope.reporting.plot_selection import categories_drawn, drawn_points, in_view
from leukoscope.reporting.plotting import INK, LINES, MUTED, SMALL_PT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = list[tuple[float, float]]

PAIR = "band against segmented"
"""What the border between two categories is called where a category's name stands."""

_DOTS = (1.0, 1.8)
_BEHIND_PT = 0.7


class _Kind(NamedTuple):
    """Say how one kind of curve is drawn."""

    figure: str
    title: str
    x_label: str
    y_label: str
    steps: str
    chance: Callable[[Points], Points]
    """Where a model without skill would lie, from a category's points; empty if unknown."""
    chance_text: str
    flat: float
    notes: tuple[str, ...]


def roc_figure(points: pl.DataFrame, view: str = "strict") -> "Figure":
    """Draw sensitivity over 1 − specificity, each category against the rest.

    Parameters
    ----------
    points : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.POINTS`; its rows ``roc``.
    view : str
        ``strict`` or ``merged``.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each category; the diagonal is a model without skill. Without points
        a figure that says so.

    Raises
    ------
    UsageError
        If the view is unknown.
    DataError
        If the table holds more arms than lines can be told apart.
    """
    return _figure(points, view, _ROC)


def precision_recall_figure(points: pl.DataFrame, view: str = "strict") -> "Figure":
    """Draw precision over recall, each category against the rest.

    Parameters
    ----------
    points : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.POINTS`; its rows
        ``precision_recall``.
    view : str
        ``strict`` or ``merged``.

    Returns
    -------
    matplotlib.figure.Figure
        As :func:`roc_figure`. Lines go in steps, for precision may not be interpolated
        (Davis and Goadrich 2006). A model without skill has the category's share of the
        cells as its precision: that of calling every cell so.

    Raises
    ------
    UsageError, DataError
        As :func:`roc_figure`.
    """
    return _figure(points, view, _PRECISION)


def threshold_figure(points: pl.DataFrame, view: str = "strict") -> "Figure":
    """Draw the accuracy of calling a category where its probability reaches a threshold.

    Parameters
    ----------
    points : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.POINTS`; its rows ``threshold``.
    view : str
        ``strict`` or ``merged``.

    Returns
    -------
    matplotlib.figure.Figure
        As :func:`roc_figure`. A model without skill gives all cells the more frequent of
        the two answers.

    Raises
    ------
    UsageError, DataError
        As :func:`roc_figure`.
    """
    return _figure(points, view, _THRESHOLD)


def check_arms(arms: list[str | None]) -> None:
    """Refuse more arms than lines can be told apart. Raises DataError."""
    if len(arms) > len(LINES):
        raise DataError(
            f"The points are of {len(arms)} arms, and one panel tells {len(LINES)} lines apart. "
            "Nothing was drawn. Leave out some of the arms."
        )


def arm_keys(arms: list[str | None]) -> list[Key]:
    """Explain the line of each arm; empty where there is one without a name."""
    if arms == [None]:
        return []
    return [
        Key(wording.shortened(wording.name_of(arm or "unnamed"), 40), look.colour, 1.6, look.dashes)
        for arm, look in zip(arms, LINES, strict=False)
    ]


def _figure(points: pl.DataFrame, view: str, kind: _Kind) -> "Figure":
    table = drawn_points(points, kind.figure, view)
    names = categories_drawn(table)
    arms = table["arm"].unique().sort().to_list()
    title = in_view(kind.title, view)
    if not names:
        return layout.said(
            title, f"The table holds no points of this curve in the {view} view: predictions "
            "without probabilities have none."
        )  # fmt: skip
    check_arms(arms)
    curves = {
        (arm, name): rows.select(pl.col("x", "y")).rows()
        for (arm, name), rows in table.partition_by("arm", "category", as_dict=True).items()
    }
    with plotting.style():
        return _panels(curves, names, arms, kind, title)


def _panels(
    curves: dict[tuple[str | None, str], Points],
    names: tuple[str, ...],
    arms: list[str | None],
    kind: _Kind,
    title: str,
) -> "Figure":
    titles = [
        layout.wrapped(name, layout.columns_pt(len(names)), SMALL_PT, most=2, bold=True)
        for name in names
    ]
    grid = layout.grid_of(
        len(names), left_in=0.36, bottom_in=0.2, titles=max(map(len, titles)), flat=kind.flat
    )
    keys = _keys(arms, names, curves, kind)
    key_in, label_in = layout.key_height(keys), 0.18
    height_in = key_in + label_in + layout.grid_height(grid, len(names)) + 0.28
    made = layout.sheet(title, _in_words(curves, names, kind), height_in, notes=kind.notes)
    layout.key_row(made.figure, keys, made.top_in)
    layout.write(made.figure, kind.y_label, layout.SIDE_IN, made.top_in + key_in)
    low = _lowest(curves, kind)
    for number, (name, lines) in enumerate(zip(names, titles, strict=True)):
        axes = layout.panel(made, grid, number, lines, above_in=key_in + label_in - 0.04)
        _draw(axes, curves, name, arms, kind)
        outer = number + grid.columns >= len(names)
        _scale(axes, low, named_x=outer, named_y=number % grid.columns == 0)
    centre_in = layout.SIDE_IN + grid.left_in
    layout.write(made.figure, kind.x_label, centre_in, made.bottom_in - 0.26)
    return made.figure


def _draw(
    axes: "Axes",
    curves: dict[tuple[str | None, str], Points],
    name: str,
    arms: list[str | None],
    kind: _Kind,
) -> None:
    for other in _behind(name, curves):
        x, y = _percent(other)
        axes.plot(x, y, color=MUTED, alpha=0.6, lw=_BEHIND_PT, drawstyle=kind.steps)
    for number, arm in enumerate(arms):
        curve = curves.get((arm, name), [])
        chance = kind.chance(curve)
        if chance:
            (line,) = axes.plot(*_percent(chance), color=INK, linewidth=1.0, zorder=2.5)
            line.set_dashes(list(_DOTS))
        layout.lined(axes, *_percent(curve), number, steps=kind.steps)


def _scale(axes: "Axes", low: float, *, named_x: bool, named_y: bool) -> None:
    axes.set(xlim=(-2, 102), ylim=(low - 0.02 * (100 - low), 100 + 0.02 * (100 - low)))
    axes.set_xticks([0, 50, 100], ["0", "50", "100"] if named_x else ["", "", ""])
    places = ticks.ticks(low, 100, most=6)
    axes.set_yticks(places, [f"{at:g}" for at in places] if named_y else [""] * len(places))
    layout.ruled(axes)


def _lowest(curves: dict[tuple[str | None, str], Points], kind: _Kind) -> float:
    """Choose where all panels' y axes begin: accuracy alone may begin above 0."""
    if kind.figure != "threshold":
        return 0.0
    # At a threshold of 0 every cell is called: that point says nothing but the category's share.
    values = [100 * y for curve in curves.values() for x, y in curve if x > 0]
    values += [100 * y for curve in curves.values() for _, y in kind.chance(curve)]
    low, _ = ticks.rounded_range([*values, 100.0], most=6)
    return max(low, 0.0)


def _percent(curve: Points) -> tuple[list[float], list[float]]:
    return [100 * x for x, _ in curve], [100 * y for _, y in curve]


def _behind(name: str, curves: dict[tuple[str | None, str], Points]) -> list[Points]:
    """List the other categories' lines; of two categories one is the other turned over."""
    others = [curve for (_, other), curve in curves.items() if other not in {name, PAIR}]
    one_arm = len({arm for arm, _ in curves}) == 1
    return others if one_arm and name != PAIR and len(others) > 1 else []


def _keys(
    arms: list[str | None],
    names: tuple[str, ...],
    curves: dict[tuple[str | None, str], Points],
    kind: _Kind,
) -> list[Key]:
    keys = arm_keys(arms) or [Key("the category named above", LINES[0].colour)]
    if any(_behind(name, curves) for name in names):
        keys.append(Key("the other categories", MUTED, _BEHIND_PT))
    if any(kind.chance(curve) for curve in curves.values()):
        keys.append(Key(kind.chance_text, INK, 1.0, _DOTS))
    return keys


def _in_words(
    curves: dict[tuple[str | None, str], Points], names: tuple[str, ...], kind: _Kind
) -> str:
    drawn = ", ".join(names)
    return (
        f"{kind.y_label} over {kind.x_label[0].lower()}{kind.x_label[1:]}, a panel for each of "
        f"{drawn}: {len(curves)} {'line' if len(curves) == 1 else 'lines'} of "
        f"{wording.count(sum(map(len, curves.values())))} points in all. "
        "The numbers stand in the table beside the figure."
    )


def _diagonal(curve: Points) -> Points:
    return [(0.0, 0.0), (1.0, 1.0)] if curve else []


def _all_called(curve: Points) -> Points:
    """Read the share of the category off the point where every cell is called."""
    whole = [y for x, y in curve if math.isclose(x, 1.0)]
    return [(0.0, whole[-1]), (1.0, whole[-1])] if whole else []


def _one_answer(curve: Points) -> Points:
    """Read off the point at threshold 0, where every cell is called, how frequent it is."""
    whole = [max(y, 1 - y) for x, y in curve if x == 0]
    return [(0.0, whole[0]), (1.0, whole[0])] if whole else []


_ROC = _Kind(
    "roc",
    "ROC curves, each category against the rest",
    "1 − specificity: cells of other categories called so, %",
    "Sensitivity, %",
    "default",
    _diagonal,
    "no skill",
    1.0,
    (),
)
_PRECISION = _Kind(
    "precision_recall",
    "Precision over recall, each category against the rest",
    "Recall: cells of the category called so, %",
    "Precision, %",
    "steps-pre",
    _all_called,
    "no skill: the category's share of the cells",
    1.0,
    ("Precision depends on the mix of categories; this is the mix of the cells scored.",),
)
_THRESHOLD = _Kind(
    "threshold",
    "Accuracy over the threshold, each category against the rest",
    "Threshold: called so from this probability on, %",
    "Accuracy, %",
    "default",
    _one_answer,
    "no skill: one answer for all cells",
    0.8,
    ("At a threshold of 0 every cell is called so: there a line may leave its panel.",),
)
