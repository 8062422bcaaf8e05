"""How often the intervals covered the true score in simulation, where that is worth saying."""

import csv
from functools import cache
from importlib import resources
from math import isfinite, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leukoscope.stats.scores import (
    AGREEMENT_METRICS,
    CATEGORY_METRICS,
    SCALAR_METRICS,
    Margins,
    cells_of_others,
)

ENOUGH_RANGE = (0.93, 0.98)
"""Coverage of which nothing is said; 95 % is wanted."""

_NEAR = 3.0
"""Categories whose cells are more or fewer by at most this factor are like the one asked of."""

_OPENING = "such intervals covered "

_SUCH = {
    "recall": "such cells",
    "specificity": "cells of other categories",
    "precision": "such calls",
    "f": "such cells and calls",
}


class Setting(NamedTuple):
    """Hold what the interval of one score reached in one simulated setting.

    ``category`` is empty for a score of all cells; ``n_cells`` the cells the score speaks of,
    mean over the sets; ``low`` and ``high`` the least and the greatest coverage over the
    intraclass correlations tried, in [0, 1], of the sets that had an interval.
    """

    metric: str
    category: str
    n_cases: int
    n_cells: float
    low: float
    high: float


def coverage_reached(metric: str, n_groups: int, n_cells: float) -> str:
    """Say how often such an interval covered the true score in simulation.

    Parameters
    ----------
    metric : str
        One of :func:`~leukoscope.stats.scores.scores`; of others nothing is said, for they
        were not simulated.
    n_groups : int
        Cases in all. Families were not simulated.
    n_cells : float
        Cells that the score speaks of, as :func:`cells_spoken_of` counts them: true cells of
        the category for recall, cells of the other categories for specificity, calls for
        precision, true cells plus calls for F, and all cells for a score of all.

    Returns
    -------
    str
        Such as "such intervals covered 60 to 97 % of the time in simulation (10 cases, 16 to
        41 such calls)": the range over intraclass correlations of 0, .05 and .2 and, of a
        category's score, over the simulated categories whose cells lie within a factor of 3
        of *n_cells*. Never a setting with more cases speaks: of those with at most
        *n_groups* it is the one with most cases that has such a category; where none has,
        the category nearest in cells. Below 10 cases the setting of 10 speaks, and the
        sentence says that fewer were not simulated; so it does of cells. Empty where that
        range lies within :data:`ENOUGH_RANGE`, and where there are fewer than two cases or
        no cells, for which no interval is given.

    Notes
    -----
    ``results/coverage`` says what was drawn, 2,000 sets a setting. Sets without an interval
    do not count here, for the sentence stands beside an interval. Real cells may differ, and
    so may what their intervals cover.
    """
    tried = [each for each in settings() if each.metric == metric]
    if not tried or n_groups < 2 or not (n_cells > 0 and isfinite(n_cells)):
        return ""
    near = alike(tried, n_groups, n_cells)
    low, high = min(each.low for each in near), max(each.high for each in near)
    if ENOUGH_RANGE[0] <= low and high <= ENOUGH_RANGE[1]:
        return ""
    cells = _range([each.n_cells for each in near])
    return (
        f"{_OPENING}{_range([100 * low, 100 * high])} % of the time in simulation "
        f"({near[0].n_cases} cases, {cells} {_SUCH.get(metric, 'cells')}"
        f"{_beyond(tried, n_groups, n_cells)})"
    )


def sentence_in(method: str) -> str:
    """Find the sentence of :func:`coverage_reached` at the end of an interval's method."""
    _, opening, rest = method.partition(_OPENING)
    return opening + rest


def cells_spoken_of(counts: Margins) -> dict[str, NDArray[np.number]]:
    """Count the cells that each score speaks of.

    Parameters
    ----------
    counts : Margins of (..., k) numbers
        Right calls, true cells and calls of the pooled cells.

    Returns
    -------
    dict of str to (...) or (..., k) array
        All cells for accuracy, balanced accuracy, macro-F, mcc and kappa. True cells for
        recall, cells of the other categories for specificity, calls for precision, true
        cells plus calls for F: what the score divides by.
    """
    cells = counts.truth.sum(axis=-1)
    return dict.fromkeys((*SCALAR_METRICS, *AGREEMENT_METRICS), cells) | {
        "recall": counts.truth,
        "specificity": cells_of_others(counts),
        "precision": counts.calls,
        "f": counts.truth + counts.calls,
    }


@cache
def settings() -> tuple[Setting, ...]:
    """Read what the default intervals reached: the table kept beside this module."""
    text = (resources.files("leukoscope.stats") / "reached.csv").read_text(encoding="utf-8")
    by_setting: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    for row in csv.DictReader(text.splitlines()):
        reached = float(row["mean_cells"]), float(row["coverage_defined"])
        place = row["metric"], row["category"], int(row["n_cases"])
        by_setting.setdefault(place, []).append(reached)
    found = []
    for place, reached_by_icc in by_setting.items():
        cells, shares = zip(*reached_by_icc, strict=True)
        found.append(Setting(*place, sum(cells) / len(cells), min(shares), max(shares)))
    return tuple(found)


def alike(tried: list[Setting], n_groups: int, n_cells: float) -> list[Setting]:
    """Choose the settings that speak for so many cases and cells, all of one number of cases."""
    fewest = min(each.n_cases for each in tried)
    allowed = [each for each in tried if each.n_cases <= max(n_groups, fewest)]
    if tried[0].metric in CATEGORY_METRICS:
        least = min(_apart(each, n_cells) for each in allowed)
        # Where no category is near, the nearest speaks, and no other beside it.
        allowed = [each for each in allowed if _apart(each, n_cells) <= max(least, log(_NEAR))]
    most = max(each.n_cases for each in allowed)
    return [each for each in allowed if each.n_cases == most]


def _apart(setting: Setting, n_cells: float) -> float:
    return abs(log(n_cells / setting.n_cells))


def _beyond(tried: list[Setting], n_groups: int, n_cells: float) -> str:
    lacking = []
    if n_groups < min(each.n_cases for each in tried):
        lacking.append("cases")
    if _NEAR * n_cells < min(each.n_cells for each in tried):
        lacking.append("cells")
    return f"; fewer {' and '.join(lacking)} were not simulated" if lacking else ""


def _range(numbers: list[float]) -> str:
    least, most = round(min(numbers)), round(max(numbers))
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
