"""Predictions made ready for scoring: labels read as the model's, cells grouped, views named."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.foundation.errors import DataError
from leukoscope.records import categories, groups
from leukoscope.records.lineage import GENERATED
from leukoscope.stats.scores import grouped_confusion, merge

_ROUNDING = 1e-6
"""How far outside [0, 1] a stored probability may lie."""

_SUM_ROUNDING = 1e-3
"""How far from 1 the probabilities of a cell may add up: a table may hold few decimals."""


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


def views_of(names: Sequence[str]) -> tuple[str, ...]:
    """Name the views of categories: merged only if merging renames one and leaves two or more."""
    merged = categories.merged(names)
    says_more = set(merged) != set(names) and len(set(merged)) > 1
    return ("strict", "merged") if says_more else ("strict",)


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
        Of labels alone, the answers are the words called; a true category that is
        never called is read as its parent where that is called, else it stays itself.

    Raises
    ------
    DataError
        If a cell has no true category, or one that no answer of the model covers; if it
        is called by a word the model has no probability for; if its probabilities are
        none; if it stands in the table twice.
    """
    table = in_order(predictions)
    truth = read_truth(table)
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


def read_truth(table: pl.DataFrame) -> list[str]:
    """Read the true labels as the model's categories. Raises DataError where none covers one."""
    known = answers_of(table)
    _refuse_unknown_calls(table, known)
    return categories.read_as(table["category"].to_list(), known)


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
        _refuse_other_cells(first, other.select(first.columns))
    scored = [prepare(one) for one in tables]
    names = categories.ordered([name for one in scored for name in one.names])
    return [_widened(one, names) for one in scored]


def in_order(predictions: pl.DataFrame) -> pl.DataFrame:
    """Sort predictions by cell and fill missing families.

    Raises
    ------
    DataError
        If a cell is unlabelled, named twice, was seen in training or drawn by a generator, or
        has probabilities that are missing, outside [0, 1], or do not add up to 1; if one word
        is spelt in two ways.
    """
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
    _refuse_drawn(predictions)
    _refuse_seen(predictions)
    _refuse_spellings(predictions)
    _refuse_odd_probabilities(predictions)
    return predictions.with_columns(family=pl.col("family").fill_null(pl.col("cell_id"))).sort(
        "cell_id"
    )


def _refuse_drawn(predictions: pl.DataFrame) -> None:
    """Refuse generated cells, which a table without origins knows by their family."""
    drawn = predictions.filter(pl.col("family").str.starts_with(GENERATED).fill_null(value=False))
    if drawn.height:
        raise DataError(
            f"{drawn.height} of {predictions.height} predictions are of generated cells, for "
            f"example {drawn['cell_id'][0]}. Nothing was scored: what a network drew is no cell, "
            "and its category was never seen. Leave those rows out."
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


def _refuse_spellings(predictions: pl.DataFrame) -> None:
    """Refuse words that differ only in case or spaces: no person means two categories by them."""
    stated = [name.removeprefix("p_") for name in predictions.columns if name.startswith("p_")]
    words = pl.concat([predictions["category"], predictions["predicted"]]).unique().to_list()
    spelt: dict[str, set[str]] = {}
    for word in (*words, *stated):
        spelt.setdefault(" ".join(word.split()).casefold(), set()).add(word)
    ways = next((sorted(found) for found in spelt.values() if len(found) > 1), None)
    if ways:
        raise DataError(
            f"One category is spelt in several ways: {', '.join(map(repr, ways))}. Nothing was "
            "scored, for each would count as a category of its own. Write it in one way in labels, "
            "calls and columns p_…."
        )


def _refuse_odd_probabilities(predictions: pl.DataFrame) -> None:
    stated = [name for name in predictions.columns if name.startswith("p_")]
    if not stated:
        return
    shares = predictions.select(stated).cast(pl.Float64).fill_null(np.nan).to_numpy()
    sums = shares.sum(axis=1)
    # A comparison with NaN is false, so that what is missing is odd too.
    usual = ((shares >= -_ROUNDING) & (shares <= 1 + _ROUNDING)).all(axis=1)
    odd = np.flatnonzero(~(usual & (np.abs(sums - 1) <= _SUM_ROUNDING)))
    if odd.size:
        first = int(odd[0])
        raise DataError(
            f"Probabilities lie in [0, 1] and add up to 1, within {_SUM_ROUNDING:g}. Those of cell "
            f"{predictions['cell_id'][first]} run from {shares[first].min():.6g} to "
            f"{shares[first].max():.6g} and add up to {sums[first]:.6g} (nan: one is missing); "
            f"{odd.size} of {predictions.height} cells are so. Nothing was scored. Write the "
            "columns p_… with four decimals or more, or leave them out to score the calls alone."
        )


def _refuse_other_cells(first: pl.DataFrame, other: pl.DataFrame) -> None:
    if first.equals(other):
        return
    # Both are sorted by cell_id: the first row that differs holds the first cell that does.
    pairs = zip_longest(first.iter_rows(named=True), other.iter_rows(named=True))
    one, two = next((one, two) for one, two in pairs if one != two)
    if one and two and one["cell_id"] == two["cell_id"]:
        name = next(name for name in one if one[name] != two[name])
        what = f"the {name} of cell {one['cell_id']} is {one[name]} in one, {two[name]} in another"
    else:
        lone = min(row["cell_id"] for row in (one, two) if row)
        what = f"cell {lone} is in one of them only"
    raise DataError(
        f"Predictions to be compared are not of the same cells with the same labels: {what} "
        f"({first.height} cells against {other.height}). Nothing was compared."
    )


def _refuse_unknown_calls(table: pl.DataFrame, known: Sequence[str]) -> None:
    odd = table.filter(~pl.col("predicted").is_in(list(known)))
    if odd.height:
        raise DataError(
            f"Cell {odd['cell_id'][0]} is called {odd['predicted'][0]!r}, which has no column p_…: "
            f"the model answers {', '.join(known)}. Nothing was scored. Correct the table."
        )


def answers_of(table: pl.DataFrame) -> list[str]:
    """Name what a model can answer: its probabilities' categories, else the words it calls.

    Of labels alone a true category that is never called is an answer too, unless its
    parent is called.
    """
    stated = [name.removeprefix("p_") for name in table.columns if name.startswith("p_")]
    if stated:
        return stated
    called = table["predicted"].unique().sort().to_list()
    truth = table["category"].unique().sort().to_list()
    return called + [
        name for name in truth if name not in called and categories.PARENTS.get(name) not in called
    ]


def _widened(one: Scored, names: tuple[str, ...]) -> Scored:
    places = np.array([names.index(name) for name in one.names])
    wide = np.zeros((len(one.matrices), len(names), len(names)), dtype=np.int64)
    wide[:, places[:, None], places[None, :]] = one.matrices
    return Scored(names, wide, one.unit, one.n_cells, one.n_families, one.n_cases)
