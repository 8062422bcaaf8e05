"""One model's predictions evaluated: every table of it, and the folder they are kept in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from leukoscope.evaluation.differential import agreement_rows, case_key, differential_table
from leukoscope.evaluation.errors import error_table
from leukoscope.evaluation.forecasts import Forecasts, forecasts_of
from leukoscope.evaluation.guards import guards_of
from leukoscope.evaluation.points import points_table
from leukoscope.evaluation.predictions import Scored, prepare, views_of
from leukoscope.evaluation.prevalence import prevalence_rows, repriored_rows
from leukoscope.evaluation.probabilities import probability_rows
from leukoscope.evaluation.results import confusion_table, facts_of, score_table, to_table
from leukoscope.records import shapes, tables

SENSITIVITY = 0.95
"""The sensitivity each category's operating point reaches unless another is stated."""

KEPT = {
    "results": shapes.RESULTS,
    "confusion": shapes.CONFUSION,
    "points": shapes.POINTS,
    "differential": shapes.DIFFERENTIAL,
    "guards": shapes.GUARDS,
}
"""The tables of an evaluation that may leave the house, by name: Parquet and CSV each."""


class Mix(NamedTuple):
    """Name a stated mix of categories and give its shares or counts."""

    name: str
    shares: Mapping[str, float]


@dataclass(frozen=True)
class Evaluation:
    """Hold the tables of one evaluation; each attribute is in the shape of its name."""

    results: pl.DataFrame
    """Every score with its interval."""
    confusion: pl.DataFrame
    """Calls by true category."""
    points: pl.DataFrame
    """The curves; empty without probabilities."""
    differential: pl.DataFrame
    """Each case's differential count; empty where cases are unknown."""
    guards: pl.DataFrame
    """What was checked before the scores were believed."""
    errors: pl.DataFrame
    """The cells called wrong; names cells, so it stays in the house."""
    cases: pl.DataFrame
    """Which pseudonym stands for which case; stays in the house."""

    def _repr_html_(self) -> str:
        return f"{self.results._repr_html_()}{self.confusion._repr_html_()}"


def evaluation_of(
    predictions: pl.DataFrame,
    *,
    mix: Mix | None = None,
    sensitivity: float = SENSITIVITY,
    reference: pl.DataFrame | None = None,
    readings: Sequence[dict[str, Any]] = (),
    left_out: Mapping[str, int] | None = None,
) -> Evaluation:
    """Evaluate one run's predictions.

    Parameters
    ----------
    predictions : polars.DataFrame
        A labelled predictions table.
    mix : Mix, optional
        A mix of categories at which what depends on it is given a second time.
    sensitivity : float
        Of each category's operating point, in (0, 1].
    reference : polars.DataFrame, optional
        Each case's count by another method: case, category, n_cells. By default the
        true labels of the same cells.
    readings : sequence of dict
        Rows of how several readers agree, where the truth is their majority.
    left_out : mapping of str to int, optional
        Why cells that belong to the test are not among the predictions, and how many.

    Returns
    -------
    Evaluation
        Its results: scores of calls and, where there are any, of probabilities; scores at
        the mix; agreement of differential counts, and the readings.

    Raises
    ------
    DataError
        If cells are unlabelled, named twice, or of categories no answer covers; if the
        mix or the reference does not fit them.
    """
    scored, spoken = prepare(predictions), forecasts_of(predictions)
    rows = _spoken(scored, spoken, mix, sensitivity)
    counts = differential_table(predictions, reference)
    rows += agreement_rows(predictions, counts, counted_apart=reference is not None)
    rows += readings
    said = {view: spoken.view(view) for view in views_of(scored.names)} if spoken else {}
    return Evaluation(
        results=tables.check(pl.concat([score_table(predictions), to_table(rows)]), shapes.RESULTS),
        confusion=confusion_table({None: [predictions]}),
        points=points_table(said),
        differential=counts,
        guards=with_left_out(guards_of(predictions), left_out or {}, predictions.height),
        errors=error_table(predictions),
        cases=case_key(predictions),
    )


def with_left_out(guards: pl.DataFrame, left_out: Mapping[str, int], n_cells: int) -> pl.DataFrame:
    """Add a warning for each reason why cells of the test were left out, and how many."""
    rows = [
        {"check": "left out", "severity": "warning", "category": why, "value": float(count)}
        | {"detail": f"{count} cells were left out, {n_cells} were scored: {why}."}
        for why, count in left_out.items()
        if count
    ]
    more = pl.DataFrame(rows, schema=shapes.GUARDS.columns)
    return tables.check(pl.concat([guards, more]), shapes.GUARDS)


def write_evaluation(folder: Path, found: Evaluation) -> None:
    """Write all tables into a folder: Parquet and CSV of what may leave, Parquet of the rest."""
    for name, shape in KEPT.items():
        tables.write_both(folder, name, getattr(found, name), shape)
    tables.write_table(folder / "errors.parquet", found.errors, shapes.ERRORS)
    if not found.cases.is_empty():
        tables.write_table(folder / "cases.parquet", found.cases, shapes.CASES)


def _spoken(
    scored: Scored, spoken: Forecasts | None, mix: Mix | None, sensitivity: float
) -> list[dict[str, Any]]:
    """Make the rows of probabilities and of the stated mix, in each view."""
    rows: list[dict[str, Any]] = []
    for view in views_of(scored.names):
        seen = scored.view(view)
        facts = facts_of(seen, view)
        said = spoken.view(view) if spoken else None
        if said:
            rows += probability_rows(said, facts, sensitivity)
        if mix:
            at = facts | {"prevalence": mix.name}
            rows += prevalence_rows(scored, view, mix.shares, at)
            rows += repriored_rows(spoken, view, mix.shares, at) if spoken else []
    return rows
