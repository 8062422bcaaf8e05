"""How a training went: losses and validation scores over its updates."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from leukoscope.foundation.errors import DataError, SchemaError
from leukoscope.records import shapes
from leukoscope.reporting import axes as ticks
from leukoscope.reporting import plot_layout as layout
from leukoscope.reporting import plotting, wording
from leukoscope.reporting.plot_layout import SIDE_IN, spread
from leukoscope.reporting.plotting import LINES, MUTED, WIDTH_IN, Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOSSES = {"train_loss": "training", "validation_loss": "validation"}
SCORES = {
    "validation_accuracy": "accuracy",
    "validation_balanced_accuracy": "balanced accuracy",
    "validation_macro_f": "macro-F",
}
"""What is drawn, by its column, and how its line is labelled."""

_LEFT_IN, _LABEL_IN, _HIGH_IN, _GAP_IN = 0.5, 1.5, 1.9, 0.52
_MOST_MARKED = 25


class _Part(NamedTuple):
    """Say what one of the two panels shows."""

    title: str
    columns: dict[str, str]
    factor: float


_PARTS = (_Part("Loss", LOSSES, 1.0), _Part("Validation scores, %", SCORES, 100.0))


def drawn_history(history: pl.DataFrame, arm: str | None = None) -> pl.DataFrame:
    """Choose the columns and rows of a training's history that its figure draws.

    Parameters
    ----------
    history : polars.DataFrame
        A run's ``history.csv``, or a table in the shape of
        :data:`leukoscope.records.shapes.CURVES`.
    arm : str, optional
        Which arm; may be left out where the table holds one.

    Returns
    -------
    polars.DataFrame
        ``replicate``, ``update`` and the columns of :data:`LOSSES` and :data:`SCORES`,
        sorted; ``replicate`` is 0 throughout for a single run.

    Raises
    ------
    SchemaError
        If a column is missing or an update occurs twice in a run.
    DataError
        If the table holds several arms and none was chosen.
    """
    wanted = ("update", *LOSSES, *SCORES)
    missing = [name for name in wanted if name not in history.columns]
    if missing:
        raise SchemaError(
            f"The history lacks {', '.join(missing)}; a run's history.csv has them. "
            "Nothing was drawn."
        )
    table = _of_one_arm(history, arm)
    replicate = pl.col("replicate") if "replicate" in table.columns else pl.lit(0)
    table = table.select(replicate.cast(pl.Int32).alias("replicate"), *wanted)
    types = dict.fromkeys((*LOSSES, *SCORES), shapes.REAL) | {"update": shapes.WHOLE}
    table = table.cast(types)  # type: ignore[arg-type]
    twice = table.filter(table.select("replicate", "update").is_duplicated())
    if twice.height:
        raise SchemaError(
            f"The history names the update {twice['update'][0]} of one run more than once. "
            "Nothing was drawn."
        )
    return table.sort("replicate", "update")


def learning_figure(history: pl.DataFrame, arm: str | None = None) -> "Figure":
    """Draw losses and validation scores over the updates of a training.

    Parameters
    ----------
    history, arm
        As in :func:`drawn_history`.

    Returns
    -------
    matplotlib.figure.Figure
        Of several replicates each is a thin line, and their mean, where all have a value, a
        strong one. Values that are not finite are left out. An empty history makes a
        figure that says so.

    Raises
    ------
    SchemaError, DataError
        As :func:`drawn_history`.
    """
    table = drawn_history(history, arm)
    title = "Learning curves" if arm is None else f"Learning curves: {wording.name_of(arm)}"
    if table.is_empty():
        return layout.said(title, "The history is empty: validation was never scored.")
    with plotting.style():
        return _figure(table, title)


def _of_one_arm(history: pl.DataFrame, arm: str | None) -> pl.DataFrame:
    named = [name for name in ("study", "arm") if name in history.columns]
    if arm is not None and "arm" in named:
        history = history.filter(pl.col("arm") == arm)
    several = history.select(named).unique().sort(named) if named else history.head(0)
    if several.height > 1:
        rows = "; ".join(" ".join(map(str, row)) for row in several.rows())
        raise DataError(
            f"The history is of {rows}, and a figure shows one arm of one study. Nothing was "
            "drawn. Say which arm, or keep the rows of one study."
        )
    return history


def _figure(table: pl.DataFrame, title: str) -> "Figure":
    n_runs = table["replicate"].n_unique()
    notes = [f"Strong: mean of {n_runs} replicates; thin: each of them."] if n_runs > 1 else []
    height_in = len(_PARTS) * (_HIGH_IN + _GAP_IN) + 0.25
    made = layout.sheet(title, _in_words(table), height_in, notes=notes)
    left_in = SIDE_IN + _LEFT_IN
    width_in = WIDTH_IN - left_in - _LABEL_IN - SIDE_IN
    for number, part in enumerate(_PARTS):
        top_in = made.top_in + number * (_HIGH_IN + _GAP_IN)
        layout.write(made.figure, part.title, SIDE_IN, top_in, weight="bold")
        axes = layout.axes_at(made.figure, left_in, top_in + 0.22, width_in, _HIGH_IN)
        _draw(axes, table, part)
    layout.write(made.figure, "Updates", left_in, made.bottom_in - 0.2)
    return made.figure


def _draw(axes: "Axes", table: pl.DataFrame, part: _Part) -> None:
    several = table["replicate"].n_unique() > 1
    ends = []
    for number, (column, label) in enumerate(part.columns.items()):
        runs = [
            _finite(rows, column, part.factor)
            for rows in table.partition_by("replicate", maintain_order=True)
        ]
        for run in runs if several else []:
            axes.plot(*zip(*run, strict=True), color=LINES[number].colour, lw=0.7, alpha=0.5)
        strong = _means(runs)
        if strong:
            _draw_strong(axes, strong, number)
            ends.append((strong[-1][1], label, number, len(strong) <= _MOST_MARKED))
    _scale(axes, table, part)
    low, high = axes.get_ylim()
    places = spread([value for value, *_ in ends], 0.085 * (high - low), (low, high))
    for place, (_, label, number, marked) in zip(places, ends, strict=True):
        _label_end(
            axes, place, label, LINES[number] if marked else LINES[number]._replace(marker="")
        )


def _draw_strong(axes: "Axes", points: Sequence[tuple[int, float]], number: int) -> None:
    look = LINES[number]
    x, y = zip(*points, strict=True)
    layout.lined(axes, x, y, number, steps="default")
    if len(points) <= _MOST_MARKED:
        axes.plot(x, y, color=look.colour, marker=look.marker, ms=3.5, ls="", clip_on=False)


def _label_end(axes: "Axes", y: float, label: str, look: Line) -> None:
    """Write what a line is at its right end, after a piece of it."""
    place = axes.get_yaxis_transform()
    (line,) = axes.plot([1.015, 1.075], [y, y], color=look.colour, transform=place, clip_on=False)
    line.set_dashes(list(look.dashes))
    axes.plot([1.045], [y], color=look.colour, marker=look.marker, markersize=3.5,
              transform=place, clip_on=False)  # fmt: skip
    axes.text(1.085, y, label, transform=place, va="center_baseline")


def _scale(axes: "Axes", table: pl.DataFrame, part: _Part) -> None:
    last = float(max(table["update"].max(), 1))  # type: ignore[type-var, arg-type]
    values = [value for column in part.columns for _, value in _finite(table, column, part.factor)]
    low, high = ticks.rounded_range(values or [0.0, part.factor], most=6)
    low = max(low, 0.0) if values and min(values) >= 0 else low
    high = min(high, 100.0) if part.factor > 1 else high
    axes.set(xlim=(0, last), ylim=(low, high))
    places = ticks.ticks(low, high, most=6)
    axes.set_yticks(places, [f"{at:g}".replace("-", wording.MINUS) for at in places])
    across = ticks.ticks(0, last, most=6)
    axes.set_xticks(across, [wording.count(at) for at in across])
    layout.ruled(axes)
    if not values:
        axes.text(0.5, 0.5, "no finite value", transform=axes.transAxes, color=MUTED, ha="center")


def _finite(rows: pl.DataFrame, column: str, factor: float) -> list[tuple[int, float]]:
    return [
        (update, factor * value)
        for update, value in rows.select("update", column).iter_rows()
        if value is not None and math.isfinite(value)
    ]


def _means(runs: Sequence[Sequence[tuple[int, float]]]) -> list[tuple[int, float]]:
    """Average over runs at the updates where all of them have a value."""
    at: dict[int, list[float]] = {}
    for run in runs:
        for update, value in run:
            at.setdefault(update, []).append(value)
    return [(u, math.fsum(vs) / len(vs)) for u, vs in sorted(at.items()) if len(vs) == len(runs)]


def _in_words(table: pl.DataFrame) -> str:
    texts = []
    for part in _PARTS:
        for column, label in part.columns.items():
            parts = table.partition_by("replicate", maintain_order=True)
            points = _means([_finite(rows, column, part.factor) for rows in parts])
            if points:
                (first, begin), (last, end) = points[0], points[-1]
                texts.append(
                    f"{part.title}, {label}: {begin:.3g} at update {first}, {end:.3g} at {last}."
                )
    return " ".join(texts)
