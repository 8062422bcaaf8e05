"""What the pages of an evaluation and of a comparison show, and how a number is asked for."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeVar

import polars as pl

from leukoscope.evaluation.fixed_models import NON_INFERIORITY, REPLICA, Comparison
from leukoscope.evaluation.prevalence import REPRIORED
from leukoscope.evaluation.probabilities import BORDER
from leukoscope.evaluation.results import AS_IF_CASES
from leukoscope.foundation.errors import DataError, UsageError, unknown_name
from leukoscope.records import shapes, tables
from leukoscope.records.categories import merged
from leukoscope.reporting.contents import CASE, UNITS, VIEWS, in_order
from leukoscope.reporting.wording import METRICS

Kind = Literal["own", "as if", "repriored", "flip", "not worse", "replica"]
"""By what way a number was got: the planned one, for assumed persons, of re-priored
probabilities, by permutation, one-sided against the margin, or as papers did."""

FLIP = "sign-flip"
"""How the method of a permutation test begins."""

EACH = ("recall", "specificity", "precision", "f")
"""The scores of one category."""


@dataclass(frozen=True)
class EvaluationPage:
    """Hold all that the page of an evaluation shows; the page adds no number of its own.

    Attributes
    ----------
    name : str
        What was evaluated, a run or a table, by its name.
    results : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.RESULTS`.
    confusion, points, differential, guards, errors : polars.DataFrame
        In the shapes of their names; points are empty without probabilities, the
        differential counts where no case is known.
    curves : polars.DataFrame or None
        In the shape of :data:`leukoscope.records.shapes.CURVES`; None of a table.
    pictures : polars.DataFrame or None
        In the shape of :data:`leukoscope.records.shapes.PICTURES`; None leaves cells out.
    """

    name: str
    results: pl.DataFrame
    confusion: pl.DataFrame
    points: pl.DataFrame
    differential: pl.DataFrame
    guards: pl.DataFrame
    errors: pl.DataFrame
    curves: pl.DataFrame | None = None
    pictures: pl.DataFrame | None = None

    def __post_init__(self) -> None:
        """Refuse tables that break their shape (SchemaError) or name cases (DataError)."""
        _check_shapes(self)


@dataclass(frozen=True)
class ComparisonPage(Comparison):
    """Hold a comparison of trained models whose parts were seen to fit, for its page."""

    def __post_init__(self) -> None:
        """Refuse what does not fit together, by SchemaError, DataError or UsageError."""
        if self.metric not in METRICS:
            raise unknown_name("primary metric", self.metric, METRICS)
        if not 0 < self.margin < 1:
            raise UsageError(f"A margin is a share between 0 and 1; seen {self.margin}.")
        _check_shapes(self)
        if self.baseline not in models_of(self):
            raise unknown_name("baseline", self.baseline, models_of(self))


Page = TypeVar("Page", EvaluationPage, ComparisonPage)


class Name(NamedTuple):
    """Name one number: of what, of whom, compared with whom, at which mix, by which way."""

    metric: str
    view: str = "strict"
    category: str | None = None
    arm: str | None = None
    baseline: str | None = None
    prevalence: str | None = None
    kind: Kind = "own"


class Number(NamedTuple):
    """Hold one row of the results; None where undefined or unknown."""

    value: float | None
    low: float | None
    high: float | None
    p_value: float | None
    p_adjusted: float | None
    n_cells: int | None
    n_families: int | None
    n_cases: int | None
    unit: str | None
    method: str

    @property
    def bounds(self) -> tuple[float, float, float] | None:
        """Give value, low and high, or None where one of them is undefined."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return self.value, self.low, self.high


Numbers = Mapping[Name, Sequence[Number]]


def numbers_of(results: pl.DataFrame) -> Numbers:
    """Index a results table, so that the order of its rows has no say.

    Parameters
    ----------
    results : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.RESULTS`.

    Returns
    -------
    mapping of Name to list of Number
        Several only where one name covers several, as kappa of each pair of readers;
        sorted by method. NaN and null are both None.
    """
    found: dict[Name, list[Number]] = {}
    for row in tables.check(results, shapes.RESULTS).iter_rows(named=True):
        named = {name: row[name] for name in Name._fields if name != "kind"}
        number = Number(**{name: _known(row[name]) for name in Number._fields})
        found.setdefault(Name(**named, kind=_kind_of(number)), []).append(number)
    for several in found.values():
        several.sort(key=lambda one: (one.value is None, one.method))
    return found


def ask(numbers: Numbers, name: Name) -> Number | None:
    """Look up the number of this name, or None.

    Raises
    ------
    DataError
        If it is given twice.
    """
    several = numbers.get(name, ())
    # What is undefined may be so for several tests at once, and then says it of each.
    defined = [one for one in several if one.value is not None]
    if len(defined) > 1:
        raise DataError(
            f"The results give {name.metric} ({name.view}) of {name.category or 'all cells'} "
            f"twice, by {defined[0].method!r} and {defined[1].method!r}. No page was made. Leave "
            "one row for each number."
        )
    return several[0] if several else None


def views_in(numbers: Numbers) -> tuple[str, ...]:
    """List the views that have an accuracy; the merged one lacks where nothing is to merge."""
    found = {name.view for name in numbers if name.metric == "accuracy"}
    return tuple(view for view in VIEWS if view in found)


def categories_in(numbers: Numbers, metric: str) -> tuple[tuple[str, str], ...]:
    """List category and view of a metric: all strict ones, then those only merging makes."""
    return told_of(
        *(
            [name.category for name in numbers if name.category and _is_of(name, metric, view)]
            for view in VIEWS
        )
    )


def told_of(strict: Sequence[str], pooled: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """List category and view: all strict ones in order, then those that only merging makes.

    Parameters
    ----------
    strict, pooled : sequence of str
        The categories of the strict and of the merged view, in any order, even repeated.
        Where there are no strict ones, all merged ones are told of.
    """
    names, others = in_order(strict), in_order(pooled)
    made = {whole for name, whole in zip(names, merged(names), strict=True) if name != whole}
    new = [name for name in others if name in made or not names]
    return tuple((name, "strict") for name in names) + tuple((name, "merged") for name in new)


def mix_in(numbers: Numbers) -> str | None:
    """Name the stated mix of categories; None where none was stated.

    Raises
    ------
    DataError
        If the results are at several mixes.
    """
    found = sorted({name.prevalence for name in numbers if name.prevalence is not None})
    if len(found) > 1:
        raise DataError(
            f"The results are at the mixes {', '.join(found)}; a page shows one. No page was made."
        )
    return found[0] if found else None


def models_of(page: ComparisonPage) -> list[str]:
    """List the models compared, the baseline first, the others by name."""
    names = sorted(page.results["arm"].drop_nulls().unique())
    return sorted(names, key=lambda name: name != page.baseline)


def scored_cells(numbers: Numbers, arm: str | None = None) -> Number:
    """Give the number that says how much was scored.

    Raises
    ------
    DataError
        If the results hold no accuracy over cases or families.
    """
    found = ask(numbers, Name("accuracy", arm=arm))
    if found is None or found.unit not in UNITS or found.n_cells is None:
        raise DataError(
            "The results hold no accuracy over cases or families, so that nobody knows how much "
            "was scored. No page was made."
        )
    return found


def in_stable_order(page: Page) -> Page:
    """Sort the rows of every table by its key, so that their order has no say."""
    ordered: dict[str, Any] = {
        name: tables.check(table, _SHAPES[name]).sort(_SHAPES[name].key, nulls_last=False)
        for name, table in _tables_of(page).items()
    }
    return replace(page, **ordered)


def _tables_of(page: EvaluationPage | ComparisonPage) -> dict[str, pl.DataFrame]:
    found = {name: getattr(page, name, None) for name in _SHAPES}
    return {name: table for name, table in found.items() if table is not None}


def _check_shapes(page: EvaluationPage | ComparisonPage) -> None:
    for name, table in _tables_of(page).items():
        tables.check(table, _SHAPES[name])
        _refuse_open_names(name, table)


def _refuse_open_names(what: str, table: pl.DataFrame) -> None:
    """Refuse cases that go by another name than a pseudonym: the page may leave the house."""
    cases = table["case"].drop_nulls().unique().to_list() if "case" in table.columns else []
    odd = [case for case in cases if not CASE.fullmatch(case)]
    if odd:
        raise DataError(
            f"The {what} table names {len(odd)} of {len(cases)} cases otherwise than by a "
            "pseudonym like case-001. No page was made, for it would tell who they are."
        )


def _is_of(name: Name, metric: str, view: str) -> bool:
    return name.category != BORDER and (name.metric, name.view) == (metric, view)


def _kind_of(number: Number) -> Kind:
    return next((kind for kind, holds in _KINDS if holds(number)), "own")


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


_KINDS: tuple[tuple[Kind, Callable[[Number], bool]], ...] = (
    ("as if", lambda one: one.unit == AS_IF_CASES),
    ("replica", lambda one: one.method.startswith(REPLICA)),
    ("not worse", lambda one: one.method.startswith(NON_INFERIORITY)),
    ("flip", lambda one: one.method.startswith(FLIP)),
    ("repriored", lambda one: one.method.endswith(REPRIORED)),
)
_SHAPES = {
    "results": shapes.RESULTS,
    "confusion": shapes.CONFUSION,
    "points": shapes.POINTS,
    "differential": shapes.DIFFERENTIAL,
    "guards": shapes.GUARDS,
    "errors": shapes.ERRORS,
    "curves": shapes.CURVES,
    "pictures": shapes.PICTURES,
}
