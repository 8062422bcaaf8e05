"""How often the intervals covered the true score in simulation, where that is worth saying."""

import csv
from functools import cache
from importlib import resources
from math import isfinite, log
from typing import NamedTuple

from leukoscope.foundation.errors import unknown_name
from leukoscope.stats.scores import AGREEMENT_METRICS, CATEGORY_METRICS, SCALAR_METRICS

_FEW_GROUPS = 20
"""From so many cases on, all but rare categories covered as often as they should."""

_NAMES = {"accuracy": "accuracy", "macro_f": "macro-F", "recall": "recall"}


class Setting(NamedTuple):
    """Hold what one simulated setting reached, over the intraclass correlations tried.

    ``metric`` is that of the simulation; ``n_cells`` the cells it spoke of, mean over the sets;
    ``low`` and ``high`` the least and the greatest coverage, in [0, 1].
    """

    metric: str
    n_cases: int
    n_cells: float
    low: float
    high: float


def coverage_reached(metric: str, n_groups: int, n_cells: float) -> str:
    """Say how often such an interval covered the true score in simulation.

    Parameters
    ----------
    metric : str
        One of :func:`~leukoscope.stats.scores.scores`. Accuracy, macro-F and recall were
        simulated; for the other means over categories and for agreement the sentence speaks
        of macro-F, for the other scores of a category of recall, and names it.
    n_groups : int
        Cases in all. Families of one cell were not simulated.
    n_cells : float
        Cells that the score speaks of: all cells, or the true cells of the category.

    Returns
    -------
    str
        Such as "covered 97–99 % of the time in simulation of 10 cases with some 16 such
        cells", from the setting nearest in cases and cells; 95 % is wanted. Empty where
        there are 20 cases or more and the category is not rare, and where there are fewer
        than two cases or no cells, for which no interval is given.

    Raises
    ------
    UsageError
        If *metric* is none of these.

    Notes
    -----
    ``results/coverage`` says what was drawn, at intraclass correlations of 0, .05 and .2,
    2,000 sets each. Real cells may differ, and so may what their intervals cover.
    """
    simulated = _simulated_for(metric)
    if n_groups < 2 or not (n_cells > 0 and isfinite(n_cells)):
        return ""
    tried = [each for each in settings() if each.metric.startswith(simulated)]
    near = _nearest(tried, n_groups, n_cells)
    if n_groups >= _FEW_GROUPS and near.metric != "recall_basophil":
        return ""
    of = "" if simulated == metric else f"{_NAMES[simulated]} "
    such = "such cells" if simulated == "recall" else "cells"
    return (
        f"{of}covered {_range(near.low, near.high)} of the time in simulation of "
        f"{near.n_cases} cases with some {near.n_cells:,.0f} {such}"
        f"{_beyond(tried, n_groups, n_cells)}"
    )


@cache
def settings() -> tuple[Setting, ...]:
    """Read what the default method reached: the table kept beside this module."""
    text = (resources.files("leukoscope.stats") / "reached.csv").read_text(encoding="utf-8")
    by_setting: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for row in csv.DictReader(text.splitlines()):
        reached = float(row["mean_cells"]), float(row["coverage"])
        by_setting.setdefault((row["metric"], int(row["n_cases"])), []).append(reached)
    found = []
    for (metric, n_cases), reached_by_icc in by_setting.items():
        cells, shares = zip(*reached_by_icc, strict=True)
        found.append(Setting(metric, n_cases, sum(cells) / len(cells), min(shares), max(shares)))
    return tuple(found)


def _simulated_for(metric: str) -> str:
    if metric in _NAMES:
        return metric
    if metric in CATEGORY_METRICS:
        return "recall"
    if metric in (*SCALAR_METRICS, *AGREEMENT_METRICS):
        return "macro_f"
    raise unknown_name("metric", metric, (*SCALAR_METRICS, *AGREEMENT_METRICS, *CATEGORY_METRICS))


def _nearest(tried: list[Setting], n_groups: int, n_cells: float) -> Setting:
    """Find the setting nearest in cases and in cells, on the log scale."""
    return min(
        tried,
        key=lambda each: log(n_groups / each.n_cases) ** 2 + log(n_cells / each.n_cells) ** 2,
    )


def _beyond(tried: list[Setting], n_groups: int, n_cells: float) -> str:
    least_cases = min(each.n_cases for each in tried)
    least_cells = min(each.n_cells for each in tried)
    # A setting half as large again is still near.
    fewer = 1.5 * n_groups < least_cases or 1.5 * n_cells < least_cells
    return "; fewer were not simulated" if fewer else ""


def _range(low: float, high: float) -> str:
    least, most = round(100 * low), round(100 * high)
    return f"{least} %" if least == most else f"{least}–{most} %"
