"""The forest plot of a study: the table it draws, and where on the paper each number falls.

Places along the axis are percent of the figure's width and everything else is in
pixels, so that the figure fits any width without its text growing or shrinking.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from leukoscope.reporting import wording
from leukoscope.reporting.contents import (
    VIEWS,
    Key,
    Scores,
    StudyPage,
    arm_order,
    replicates_of,
    scores_of,
)
from leukoscope.reporting.verdicts import assumed_bounds, verdict_of

FOREST: dict[str, pl.DataType] = {
    **{name: pl.String() for name in ("arm", "baseline", "metric", "view")},
    "replicate": pl.Int32(),
    **{name: pl.Float64() for name in ("value", "low", "high", "margin")},
    **{name: pl.Float64() for name in ("assumed_low", "assumed_high")},
    **{name: pl.String() for name in ("verdict", "method")},
}
"""The columns of a forest table; differences and margin are fractions.

``assumed_low`` and ``assumed_high`` bound what the interval would be for other people,
on :data:`leukoscope.evaluation.results.AS_IF_CASES`; null where cases are known.
"""

ROW_PX = 58
"""Height of one comparison in the figure."""

TOP_PX = 8
"""Room above the first comparison."""

_STEPS_POINTS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
_MOST_TICKS = 6
_LONGEST_LABEL = 18


@dataclass(frozen=True)
class ForestRow:
    """Place one comparison: *y_px* of its interval, the rest in percent of the width."""

    label: str
    text: str
    y_px: int
    merged: bool
    value: str
    low: str | None
    high: str | None
    dots: tuple[str, ...]


@dataclass(frozen=True)
class ForestPlot:
    """Place all that the figure shows; see :class:`ForestRow` for the units."""

    rows: tuple[ForestRow, ...]
    ticks: tuple[tuple[str, str], ...]
    band: tuple[str, str]
    """Where the margin begins, and its width."""
    zero: str
    axis_px: int
    height_px: int


def forest_table(page: StudyPage) -> pl.DataFrame:
    """List the numbers that the forest plot draws.

    Parameters
    ----------
    page : StudyPage
        The study.

    Returns
    -------
    polars.DataFrame
        The columns of :data:`FOREST`. For each arm but the baseline and each view, the
        difference of the primary metric (``replicate`` null) with its bounds, then the
        difference in each replicate that both arms have finished. Only the primary
        view has a verdict.

    Raises
    ------
    DataError
        If the results are not in their shape or give a number twice.
    """
    scores = scores_of(page)
    views = (page.view, *(view for view in VIEWS if view != page.view))
    rows = [
        row
        for arm in arm_order(page)[1:]
        for view in views
        for row in (*_summary(page, scores, arm, view), *_replicates(page, scores, arm, view))
    ]
    return pl.DataFrame(rows, schema=FOREST)


def forest_plot(table: pl.DataFrame) -> ForestPlot | None:
    """Place a forest table on the paper, or return None where it holds no difference."""
    drawn = table.filter(pl.col("value").is_not_null())
    summaries = [row for row in drawn.iter_rows(named=True) if row["replicate"] is None]
    if not summaries:
        return None
    margin = float(summaries[0]["margin"])
    low, high = _domain(drawn, margin)

    def place(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.2f}%"

    rows = tuple(
        ForestRow(
            label=_label(row["arm"], row["view"]),
            text=_text(row),
            y_px=TOP_PX + ROW_PX * number + 30,
            merged=row["view"] == "merged",
            value=place(row["value"]),
            low=None if row["low"] is None else place(row["low"]),
            high=None if row["high"] is None else place(row["high"]),
            dots=tuple(place(value) for value in _dots(drawn, row)),
        )
        for number, row in enumerate(summaries)
    )
    axis_px = TOP_PX + ROW_PX * len(rows)
    return ForestPlot(
        rows=rows,
        ticks=tuple((place(at / 100), _tick(at)) for at in _ticks(100 * low, 100 * high)),
        band=(place(-margin), f"{200 * margin / (high - low):.2f}%"),
        zero=place(0.0),
        axis_px=axis_px,
        height_px=axis_px + 46,
    )


def _summary(page: StudyPage, scores: Scores, arm: str, view: str) -> list[dict[str, Any]]:
    score = scores.get(Key(arm, page.metric, view, baseline=page.baseline))
    if score is None:
        return []
    found = verdict_of(page, score) if view == page.view else None
    bounds = {"value": score.value, "low": score.low, "high": score.high}
    low, high = assumed_bounds(page, score) or (None, None)
    bounds |= {"assumed_low": low, "assumed_high": high}
    return [_row(page, arm, view) | bounds | {"verdict": found, "method": score.method}]


def _replicates(page: StudyPage, scores: Scores, arm: str, view: str) -> list[dict[str, Any]]:
    rows = []
    for number in replicates_of(scores, arm):
        ours = scores.get(Key(arm, page.metric, view, replicate=number))
        theirs = scores.get(Key(page.baseline, page.metric, view, replicate=number))
        if ours and theirs and ours.value is not None and theirs.value is not None:
            difference = {"replicate": number, "value": ours.value - theirs.value}
            rows.append(_row(page, arm, view) | difference | {"method": "one replicate"})
    return rows


def _row(page: StudyPage, arm: str, view: str) -> dict[str, Any]:
    named = {"arm": arm, "baseline": page.baseline, "metric": page.metric, "view": view}
    return dict.fromkeys(FOREST) | named | {"margin": page.margin}


def _dots(table: pl.DataFrame, row: dict[str, Any]) -> list[float]:
    same = (pl.col("arm") == row["arm"]) & (pl.col("view") == row["view"])
    return table.filter(same, pl.col("replicate").is_not_null())["value"].to_list()


def _domain(table: pl.DataFrame, margin: float) -> tuple[float, float]:
    shown = [margin, -margin]
    for name in ("value", "low", "high"):
        shown += table[name].drop_nulls().to_list()
    room = 0.07 * (max(shown) - min(shown))
    return min(shown) - room, max(shown) + room


def _ticks(low_points: float, high_points: float) -> Sequence[float]:
    wide = high_points - low_points
    step = next((step for step in _STEPS_POINTS if wide / step <= _MOST_TICKS), 50.0)
    first, last = math.ceil(low_points / step), math.floor(high_points / step)
    return [number * step for number in range(first, last + 1)]


def _tick(at_points: float) -> str:
    return f"{at_points:+g}".replace("-", wording.MINUS) if at_points else "0"


def _label(arm: str, view: str) -> str:
    short = wording.shortened(wording.name_of(arm), _LONGEST_LABEL)
    return f"{wording.sentence_case(short)}, {view}"


def _text(row: dict[str, Any]) -> str:
    value = wording.signed(row["value"])
    if row["low"] is None or row["high"] is None:
        return f"{value} (no interval)"
    return f"{value} ({wording.signed_span(row['low'], row['high'])})"
