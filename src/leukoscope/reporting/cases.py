"""How an arm's accuracy is spread over cases (N22-S20): a dot a case, never a name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from leukoscope.reporting import axes, wording
from leukoscope.reporting.contents import VIEWS, StudyPage, arm_order, own_results

CASES: dict[str, pl.DataType] = {
    **{name: pl.String() for name in ("arm", "view", "case")},
    "value": pl.Float64(),
    "n_cells": pl.Int32(),
}
"""The columns of a case table; ``value`` is accuracy, a mean over replicates, a fraction."""

QUARTILES = ("lowest", "lower quartile", "median", "upper quartile", "highest")

ROW_PX, TOP_PX = 60, 8
_MOST_HARD = 5
_BINS = 90
_HALF_PX = 14


class CaseRow(NamedTuple):
    """Show the spread of an arm in a view."""

    arm: str
    view: str
    n_cases: str
    quartiles: tuple[str, ...]


class HardRow(NamedTuple):
    """Show a case that is hard in all arms together, by its pseudonym."""

    case: str
    n_cells: str
    values: tuple[str, ...]


class Dot(NamedTuple):
    """Place a case: percent of the width, and pixels."""

    x: str
    y_px: str


@dataclass(frozen=True)
class CaseStrip:
    """Place the cases of one arm; *box* is where the middle half begins, and its width."""

    label: str
    text: str
    y_px: int
    dots: tuple[Dot, ...]
    box: tuple[str, str]
    median: str


@dataclass(frozen=True)
class CasePlot:
    """Place the cases of all arms on one axis of percent."""

    strips: tuple[CaseStrip, ...]
    ticks: tuple[tuple[str, str], ...]
    axis_px: int
    height_px: int


def case_table(page: StudyPage) -> pl.DataFrame:
    """List the accuracy of each case in each arm and view; empty where no case is known.

    Returns
    -------
    polars.DataFrame
        The columns of :data:`CASES`, in the order of arms, views and cases.
    """
    rows = own_results(page).filter(
        pl.col("case").is_not_null(),
        pl.col("metric") == "accuracy",
        *(pl.col(name).is_null() for name in ("baseline", "replicate", "category", "prevalence")),
        pl.col("value").is_finite(),
    )
    arms = {arm: place for place, arm in enumerate(arm_order(page))}
    views = {view: place for place, view in enumerate(VIEWS)}
    found = sorted(
        rows.select(list(CASES)).rows(), key=lambda row: (arms[row[0]], views[row[1]], row[2])
    )
    return pl.DataFrame(found, schema=CASES, orient="row")


def quartiles_of(table: pl.DataFrame, arm: str, view: str) -> list[float]:
    """Give the lowest, the quartiles and the highest of an arm's cases; empty without any."""
    values = table.filter(pl.col("arm") == arm, pl.col("view") == view)["value"].to_numpy()
    return np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).tolist() if values.size else []


def case_rows(page: StudyPage, table: pl.DataFrame) -> list[CaseRow]:
    """Show the quartiles of every arm and view."""
    rows = []
    for view in VIEWS:
        for arm in arm_order(page):
            found = quartiles_of(table, arm, view)
            if found:
                n_cases = table.filter(pl.col("arm") == arm, pl.col("view") == view).height
                shown = tuple(wording.percent(value) for value in found)
                rows.append(CaseRow(arm, view, wording.count(n_cases), shown))
    return rows


def hard_cases(page: StudyPage, table: pl.DataFrame) -> list[HardRow]:
    """Show the cases with the lowest accuracy on average over the arms, in the page's view."""
    own = table.filter(pl.col("view") == page.view)
    value = {(row["case"], row["arm"]): row["value"] for row in own.iter_rows(named=True)}
    cells = dict(own.select("case", "n_cells").rows())
    arms = arm_order(page)
    whole = [case for case in sorted(cells) if all((case, arm) in value for arm in arms)]
    hardest = sorted(whole, key=lambda case: (sum(value[case, arm] for arm in arms), case))
    return [
        HardRow(
            case,
            wording.count(cells[case]),
            tuple(wording.percent(value[case, arm]) for arm in arms),
        )
        for case in hardest[:_MOST_HARD]
    ]


def case_plot(page: StudyPage, table: pl.DataFrame) -> CasePlot | None:
    """Place a case table on paper, in the page's view; None where no case is known."""
    own = table.filter(pl.col("view") == page.view)
    if own.is_empty():
        return None
    low, _ = axes.rounded_range([*(100 * own["value"]).to_list(), 100.0], most=6)
    low = max(low, 0.0)

    def place(value: float) -> float:
        return 2 + 96 * (100 * value - low) / (100 - low)

    arms = [arm for arm in arm_order(page) if not own.filter(pl.col("arm") == arm).is_empty()]
    strips = tuple(
        _strip(own, arm, page.view, TOP_PX + ROW_PX * number + 37, place)
        for number, arm in enumerate(arms)
    )
    axis_px = TOP_PX + ROW_PX * len(strips)
    ticks = tuple((f"{place(at / 100):.2f}%", f"{at:g}") for at in axes.ticks(low, 100, most=7))
    return CasePlot(strips, ticks, axis_px, axis_px + 42)


def _strip(
    own: pl.DataFrame, arm: str, view: str, y_px: int, place: Callable[[float], float]
) -> CaseStrip:
    values = sorted(own.filter(pl.col("arm") == arm)["value"].to_list())
    _, lower, middle, upper, _ = quartiles_of(own, arm, view)
    cases = wording.counted(len(values), "case", "cases")
    return CaseStrip(
        label=wording.shortened(wording.sentence_case(wording.name_of(arm)), 24),
        text=f"median {wording.percent(middle)}, {cases}",
        y_px=y_px,
        dots=_dots(values, y_px, place),
        box=(f"{place(lower):.2f}%", f"{place(upper) - place(lower):.2f}%"),
        median=f"{place(middle):.2f}%",
    )


def _dots(values: Sequence[float], y_px: int, place: Callable[[float], float]) -> tuple[Dot, ...]:
    """Stack cases of about the same accuracy, from the middle of the strip outwards."""
    stacked: dict[int, int] = {}
    dots = []
    bins = [round(place(value) * _BINS / 100) for value in values]
    tallest = max(bins.count(each) for each in bins)
    apart_px = min(5.0, 2 * _HALF_PX / max(tallest - 1, 1))
    for value, each in zip(values, bins, strict=True):
        number = stacked[each] = stacked.get(each, 0) + 1
        side = 1 if number % 2 else -1
        dots.append(Dot(f"{place(value):.2f}%", f"{y_px + side * (number // 2) * apart_px:.1f}"))
    return tuple(dots)
