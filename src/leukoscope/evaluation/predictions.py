"""Predictions made ready for scoring: labels read as the model's, cells grouped, views named."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.foundation.errors import DataError
from leukoscope.records import categories, groups
from leukoscope.stats.scores import grouped_confusion, merge

VIEWS = ("strict", "merged")


@dataclass(frozen=True)
class Scored:
    """Hold predictions as counts: a confusion matrix for each group of cells."""

    names: tuple[str, ...]
    """The categories, in order."""
    matrices: npt.NDArray[np.int64]
    """Shape (n_groups, k, k); rows are the truth."""
    unit: str
    """``case`` or ``family``."""
    n_cells: int
    n_families: int
    n_cases: int | None
    """Null where no case is known."""

    def view(self, view: str) -> "Scored":
        """Merge neutrophils, or leave everything as it is."""
        if view == "strict":
            return self
        merged = categories.merged(self.names)
        names = tuple(dict.fromkeys(merged))
        codes = np.array([names.index(name) for name in merged])
        matrices = np.asarray(merge(self.matrices, codes), dtype=np.int64)
        return Scored(names, matrices, self.unit, self.n_cells, self.n_families, self.n_cases)


def prepare(predictions: pl.DataFrame) -> Scored:
    """Count labelled predictions by group.

    Parameters
    ----------
    predictions : polars.DataFrame
        A predictions table of one run; labels alone are enough. Without families
        each cell is its own.

    Returns
    -------
    Scored
        Finer true labels are read as the model's categories where its answers allow.

    Raises
    ------
    DataError
        If a cell has no true category, or one that no answer of the model covers; if it
        is called by a word the model has no probability for; if it stands in the table
        twice.
    """
    table = in_order(predictions)
    known = _answers(table)
    _refuse_unknown_calls(table, known)
    truth = categories.read_as(table["category"].to_list(), known)
    names = categories.ordered([*truth, *table["predicted"]])
    code_of = {name: code for code, name in enumerate(names)}
    codes = groups.groups_of(table)
    matrices = grouped_confusion(
        np.array([code_of[name] for name in truth]),
        np.array([code_of[name] for name in table["predicted"]]),
        codes,
        len(names),
    )
    unit = groups.unit_of(table)
    n_cases = table["case"].n_unique() if unit == "case" else None
    return Scored(
        names,
        np.asarray(matrices, dtype=np.int64),
        unit,
        table.height,
        table["family"].n_unique(),
        n_cases,
    )


def prepare_together(arms: Sequence[pl.DataFrame]) -> list[Scored]:
    """Count several predictions of the same cells so that categories and groups agree.

    Raises
    ------
    DataError
        If they are not of the same cells, with the same labels, cases and families.
    """
    tables = [in_order(one) for one in arms]
    first = tables[0].select("cell_id", "category", "case", "family")
    for other in tables[1:]:
        if not first.equals(other.select(first.columns)):
            raise DataError(
                "Predictions to be compared are not of the same cells with the same labels: "
                f"{first.height} cells against {other.height}. Nothing was compared."
            )
    scored = [prepare(one) for one in tables]
    names = categories.ordered([name for one in scored for name in one.names])
    return [_widened(one, names) for one in scored]


def in_order(predictions: pl.DataFrame) -> pl.DataFrame:
    """Sort predictions by cell and fill missing families. Raises DataError if unlabelled."""
    if predictions.is_empty():
        raise DataError("The predictions hold no cell. Nothing was scored.")
    unlabelled = predictions["category"].null_count()
    if unlabelled:
        raise DataError(
            f"{unlabelled} of {predictions.height} predictions have no true category. "
            "Nothing was scored. Add a column category, or leave those cells out."
        )
    if predictions["cell_id"].is_duplicated().any():
        raise DataError(
            "The predictions name a cell more than once: they are of several runs. Nothing was "
            "scored. Give the predictions of one run at a time."
        )
    _refuse_seen(predictions)
    return predictions.with_columns(family=pl.col("family").fill_null(pl.col("cell_id"))).sort(
        "cell_id"
    )


def _refuse_seen(predictions: pl.DataFrame) -> None:
    seen = predictions.filter(pl.col("role") == "seen")
    if seen.height:
        raise DataError(
            f"{seen.height} of {predictions.height} predictions are of cells, cases or families "
            f"the model was trained or chosen on, for example {seen['cell_id'][0]}. Nothing was "
            "scored: such a score says nothing of new cells. Evaluate the run (its test split), or "
            "predict a dataset of other cells."
        )


def _refuse_unknown_calls(table: pl.DataFrame, known: Sequence[str]) -> None:
    odd = table.filter(~pl.col("predicted").is_in(list(known)))
    if odd.height:
        raise DataError(
            f"Cell {odd['cell_id'][0]} is called {odd['predicted'][0]!r}, which has no column p_…: "
            f"the model answers {', '.join(known)}. Nothing was scored. Correct the table."
        )


def _answers(table: pl.DataFrame) -> list[str]:
    stated = [name.removeprefix("p_") for name in table.columns if name.startswith("p_")]
    return stated or [*table["predicted"].unique(), *table["category"].unique()]


def _widened(one: Scored, names: tuple[str, ...]) -> Scored:
    places = np.array([names.index(name) for name in one.names])
    wide = np.zeros((len(one.matrices), len(names), len(names)), dtype=np.int64)
    wide[:, places[:, None], places[None, :]] = one.matrices
    return Scored(names, wide, one.unit, one.n_cells, one.n_families, one.n_cases)
