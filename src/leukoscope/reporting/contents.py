"""What goes into the page of a study, and how its tables are asked for a number."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from leukoscope.foundation.errors import DataError, unknown_name
from leukoscope.records import shapes, tables
from leukoscope.records.categories import ordered
from leukoscope.records.shapes import EQUAL_EPOCHS
from leukoscope.reporting.wording import METRICS

VIEWS = ("strict", "merged")
"""Every score is shown with neutrophils told apart, and merged where that makes a difference."""

UNITS = ("case", "family")
"""What an interval may take as independent of each other."""

COMPOSITION = ("split", "category", "n_cells", "n_families", "n_cases")
"""The columns of the table that says what the dataset is made of."""

PIGEONHOLE = "pigeonhole"
"""How the method of a second interval of the same difference begins."""

CASE = re.compile(r"case-\d+")
"""What the pseudonym of a case looks like; no other name of a person or slide is shown."""


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
        In the shape of :data:`leukoscope.records.shapes.RESULTS`.
    confusion : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.CONFUSION`; a pair of true
        category and call that it lacks was never seen.
    composition : polars.DataFrame
        The columns of :data:`COMPOSITION`; a null count is unknown.
    provenance : sequence of (str, str)
        A label and a text each.
    notes : sequence of str
        Further limits, a sentence each.
    curves : polars.DataFrame or None
        In the shape of :data:`leukoscope.records.shapes.CURVES`; None in older studies.
    missed : polars.DataFrame or None
        In the shape of :data:`leukoscope.records.shapes.MISSED`; None in older studies.
    pictures : polars.DataFrame or None
        In the shape of :data:`leukoscope.records.shapes.PICTURES`; None leaves pictures
        out on purpose, an empty table says that there are none.
    n_folds : int or None
        In how many folds each replicate was trained; None where it was one division.
    generators : polars.DataFrame or None
        In the shape of :data:`leukoscope.records.shapes.GENERATORS`; None where no arm has
        generated cells.
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
    curves: pl.DataFrame | None = None
    missed: pl.DataFrame | None = None
    pictures: pl.DataFrame | None = None
    n_folds: int | None = None
    generators: pl.DataFrame | None = None

    def __post_init__(self) -> None:
        """Refuse a page whose parts do not fit each other, by DataError or UsageError."""
        if self.view not in VIEWS:
            raise unknown_name("view", self.view, VIEWS)
        if self.unit not in UNITS:
            raise unknown_name("unit of inference", self.unit, UNITS)
        if self.baseline not in self.arms:
            raise unknown_name("arm", self.baseline, self.arms)
        for name in ("results", "confusion", "curves", "missed", "pictures"):
            table = getattr(self, name)
            if table is not None:
                _refuse_strange_arms(name, table, self.arms)
        _refuse_open_names(self.results)
        if own_results(self).is_empty() and not self.results.is_empty():
            raise DataError(
                f"The results hold no row of the study {self.name!r}, only of "
                f"{', '.join(map(str, self.results['study'].unique().sort()))}. No page was made."
            )
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
        In the shape of :data:`leukoscope.records.shapes.RESULTS`. Rows of single cases, of
        assumed prevalences, of assumed units and of the pigeonhole bootstrap are passed over.

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
    return _index(_numbers(results).filter(~_is_pigeonhole()))


def index_pigeonhole(results: pl.DataFrame) -> dict[Key, Score]:
    """Index the second intervals of a results table, as :func:`index_scores` does the first."""
    return _index(_numbers(results).filter(_is_pigeonhole()))


def own_results(page: StudyPage) -> pl.DataFrame:
    """List the results of the study itself, without those of a second analysis beside it."""
    if "study" not in page.results.columns:
        return page.results
    return page.results.filter((pl.col("study") == page.name).fill_null(value=True))


def scores_of(page: StudyPage) -> dict[Key, Score]:
    """Index the results of the study itself; see :func:`index_scores`."""
    return index_scores(own_results(page))


def equal_epochs_scores(page: StudyPage) -> dict[Key, Score]:
    """Index the results of the second analysis; empty where the study did not ask for it."""
    if "study" not in page.results.columns:
        return {}
    return index_scores(page.results.filter(pl.col("study") == page.name + EQUAL_EPOCHS))


def arm_order(page: StudyPage) -> list[str]:
    """List the arms, the baseline first, the others in their given order."""
    return [page.baseline, *(name for name in page.arms if name != page.baseline)]


def views_of(scores: Scores) -> list[str]:
    """List the views that have scores; the merged one lacks where there is nothing to merge."""
    found = {key.view for key in scores}
    return [view for view in VIEWS if view in found]


def categories_of(scores: Scores, view: str) -> tuple[str, ...]:
    """List the categories that have a recall in a view, in the order of :func:`in_order`."""
    return in_order(
        [
            key.category
            for key in scores
            if key.metric == "recall" and key.view == view and key.category is not None
        ]
    )


def in_order(categories: Sequence[str]) -> tuple[str, ...]:
    """Order categories as the house does, but merged neutrophils where neutrophils stand: first."""
    return tuple(sorted(ordered(categories), key=lambda name: name != "neutrophil"))


def replicates_of(scores: Scores, arm: str) -> list[int]:
    """List the replicates of which an arm has a score, in ascending order."""
    found = {
        key.replicate
        for key in scores
        if key.arm == arm and key.baseline is None and key.metric in METRICS
    }
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


def _refuse_open_names(results: pl.DataFrame) -> None:
    """Refuse cases that go by another name than a pseudonym: the page may leave the house."""
    cases = results["case"].drop_nulls().unique().to_list() if "case" in results.columns else []
    odd = [case for case in cases if not CASE.fullmatch(case)]
    if odd:
        raise DataError(
            f"The results name {len(odd)} of {len(cases)} cases otherwise than by a pseudonym like "
            "case-001. No page was made, for it would tell who they are."
        )


def _numbers(results: pl.DataFrame) -> pl.DataFrame:
    rows = tables.check(results, shapes.RESULTS)
    rows = rows.filter(pl.col("case").is_null(), pl.col("prevalence").is_null())
    return rows.filter(pl.col("unit").is_null() | pl.col("unit").is_in(UNITS))


def _is_pigeonhole() -> pl.Expr:
    return pl.col("method").str.to_lowercase().str.starts_with(PIGEONHOLE)


def _index(rows: pl.DataFrame) -> dict[Key, Score]:
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


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
