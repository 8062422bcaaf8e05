"""What goes into the page of a study, and how its tables are asked for a number."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from leukoscope.foundation.errors import DataError, unknown_name
from leukoscope.records import tables

VIEWS = ("strict", "merged")
"""Every score is shown with neutrophils told apart, and merged where that makes a difference."""

UNITS = ("case", "family")
"""What an interval may take as independent of each other."""

COMPOSITION = ("split", "category", "n_cells", "n_families", "n_cases")
"""The columns of the table that says what the dataset is made of."""


@dataclass(frozen=True)
class StudyPage:
    """Hold all that the page of a study shows; the page adds no number of its own.

    Attributes
    ----------
    name : str
        The study, for example ``"rotation"``.
    question : str
        What it asks, as a sentence.
    metric, view : str
        The primary metric, and ``"strict"`` or ``"merged"``.
    margin : float
        The smallest difference of the metric that matters, a fraction above 0, named
        before the study ran.
    baseline : str
        The arm the others are compared with.
    arms : mapping of str to str
        What each arm is, in words, by its name.
    n_replicates : int
        How many replicates are finished.
    unit : str
        ``"case"`` or ``"family"``.
    results : polars.DataFrame
        In the shape of :data:`leukoscope.records.tables.RESULTS`.
    confusion : polars.DataFrame
        In the shape of :data:`leukoscope.records.tables.CONFUSION`; a pair of true
        category and call that it lacks was never seen.
    composition : polars.DataFrame
        The columns of :data:`COMPOSITION`; a null count is unknown.
    provenance : sequence of (str, str)
        A label and a text each.
    notes : sequence of str
        Further limits, a sentence each.
    """

    name: str
    question: str
    metric: str
    view: str
    margin: float
    baseline: str
    arms: Mapping[str, str]
    n_replicates: int
    unit: str
    results: pl.DataFrame
    confusion: pl.DataFrame
    composition: pl.DataFrame
    provenance: Sequence[tuple[str, str]]
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse a page whose parts do not fit each other, by DataError or UsageError."""
        if self.view not in VIEWS:
            raise unknown_name("view", self.view, VIEWS)
        if self.unit not in UNITS:
            raise unknown_name("unit of inference", self.unit, UNITS)
        if self.baseline not in self.arms:
            raise unknown_name("arm", self.baseline, self.arms)
        for name, table in (("results", self.results), ("confusion", self.confusion)):
            _refuse_strange_arms(name, table, self.arms)
        missing = [name for name in COMPOSITION if name not in self.composition.columns]
        if missing:
            raise DataError(f"The composition lacks {', '.join(missing)}. No page was made.")


class Score(NamedTuple):
    """Hold one row of the results: fractions, or None where undefined or unknown."""

    value: float | None
    low: float | None
    high: float | None
    p_value: float | None
    p_adjusted: float | None
    n_cells: int | None
    n_families: int | None
    n_cases: int | None
    method: str

    @property
    def bounds(self) -> tuple[float, float, float] | None:
        """Give value, low and high, or None where one of them is undefined."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return self.value, self.low, self.high


class Key(NamedTuple):
    """Name one number of a study: of an arm, or of an arm less the baseline."""

    arm: str
    metric: str
    view: str
    category: str | None = None
    baseline: str | None = None
    replicate: int | None = None


Scores = Mapping[Key, Score]


def index_scores(results: pl.DataFrame) -> dict[Key, Score]:
    """Index a results table, so that the order of its rows has no say.

    Parameters
    ----------
    results : polars.DataFrame
        In the shape of :data:`leukoscope.records.tables.RESULTS`. Rows of single cases, of
        assumed prevalences and of assumed units are passed over.

    Returns
    -------
    dict of Key to Score
        NaN and null are both None.

    Raises
    ------
    SchemaError
        If the table breaks its shape.
    DataError
        If one number is given twice, by two methods or for two studies.
    """
    rows = tables.check(results, tables.RESULTS)
    rows = rows.filter(pl.col("case").is_null(), pl.col("prevalence").is_null())
    rows = rows.filter(pl.col("unit").is_null() | pl.col("unit").is_in(UNITS))
    found: dict[Key, Score] = {}
    for row in rows.iter_rows(named=True):
        key = Key(**{name: row[name] for name in Key._fields})
        if key in found:
            raise DataError(
                f"The results give {key.metric} ({key.view}) of arm {key.arm!r} twice, by "
                f"{found[key].method!r} and {row['method']!r}. No page was made. "
                "Leave one row for each number of one study."
            )
        found[key] = Score(**{name: _known(row[name]) for name in Score._fields})
    return found


def arm_order(page: StudyPage) -> list[str]:
    """List the arms, the baseline first, the others in their given order."""
    return [page.baseline, *(name for name in page.arms if name != page.baseline)]


def views_of(scores: Scores) -> list[str]:
    """List the views that have scores; the merged one lacks where there is nothing to merge."""
    found = {key.view for key in scores}
    return [view for view in VIEWS if view in found]


def replicates_of(scores: Scores, arm: str) -> list[int]:
    """List the replicates of which an arm has a score, in ascending order."""
    found = {key.replicate for key in scores if key.arm == arm and key.baseline is None}
    return sorted(number for number in found if number is not None)


def _refuse_strange_arms(name: str, table: pl.DataFrame, arms: Mapping[str, str]) -> None:
    seen = {
        value
        for column in ("arm", "baseline")
        if column in table.columns
        for value in table[column].drop_nulls().unique()
    }
    strange = sorted(seen - set(arms))
    if strange:
        raise DataError(
            f"The {name} speak of the arms {', '.join(strange)}; the study has "
            f"{', '.join(arms)}. No page was made."
        )


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
