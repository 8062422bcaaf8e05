"""Differential counts case by case, by the model and by a reference, and how far they agree."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.evaluation.predictions import in_order, prepare, read_truth, views_of
from leukoscope.evaluation.results import facts_of
from leukoscope.foundation.errors import DataError
from leukoscope.records import categories, groups, shapes, tables
from leukoscope.stats.differential import bland_altman, counting_limits, deming, least_squares
from leukoscope.stats.intervals import Interval


class _Counts(NamedTuple):
    """Hold two tallies (case, category, n_cells) of the same cases, and how they may be read."""

    called: pl.DataFrame
    reference: pl.DataFrame
    names: tuple[str, ...]
    views: tuple[str, ...]


def differential_table(
    predictions: pl.DataFrame, reference: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Count each case's cells by category, as the model calls them and by a reference.

    Parameters
    ----------
    predictions : polars.DataFrame
        A predictions table of one run. Labels are needed unless a reference is given.
    reference : polars.DataFrame, optional
        A count made apart from these cells, in the shape of
        :data:`leukoscope.records.shapes.REFERENCE`, with the cases of the predictions and no
        others. By default the true labels of the same cells. Finer categories are read as the
        model's. One that counts neutrophils without telling bands, as ICSH advises, is compared
        in the merged view alone.

    Returns
    -------
    polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.DIFFERENTIAL`, each case under
        its pseudonym of :func:`case_key`. ``low`` and ``high`` are 95 % limits of
        :func:`~leukoscope.stats.differential.counting_limits`: of counting, not of
        misclassification. Empty where a cell's case is not known. Cases that share a
        family stay two here, for a count belongs to a person or slide.

    Raises
    ------
    DataError
        If cells are unlabelled, named twice, or of categories no answer covers; if the
        reference has other cases, other categories, a negative count, or a case without
        cells, or no cases are known to join it by.
    SchemaError
        If the reference is not in its shape.
    """
    if reference is not None:
        predictions = _label_by_calls(predictions)
    table = in_order(predictions)
    if groups.unit_of(table) != "case":
        if reference is not None:
            raise DataError(
                "A reference count is joined to predictions by case, and the case of "
                f"{table['case'].null_count()} of {table.height} cells is not known. Nothing "
                "was compared. Add a column case to the predictions."
            )
        return tables.check(pl.DataFrame(schema=shapes.DIFFERENTIAL.columns), shapes.DIFFERENTIAL)
    counts = _counts(table, reference)
    key = case_key(table)
    parts = [_of_view(counts, view, key) for view in counts.views]
    return tables.check(pl.concat(parts), shapes.DIFFERENTIAL)


def case_key(predictions: pl.DataFrame) -> pl.DataFrame:
    """Tell which pseudonym each case has, so that a laboratory can look up its own.

    Parameters
    ----------
    predictions : polars.DataFrame
        A predictions table.

    Returns
    -------
    polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.CASES`: ``case-001`` and so on in
        the order of names. Empty where a cell's case is not known. It stays in the house.
    """
    known = groups.unit_of(predictions) == "case"
    cases = sorted(predictions["case"].unique()) if known else []
    pseudonyms = [f"case-{number:03d}" for number in range(1, len(cases) + 1)]
    schema = shapes.CASES.columns
    return tables.check(
        pl.DataFrame({"case": cases, "pseudonym": pseudonyms}, schema), shapes.CASES
    )


def agreement_rows(
    predictions: pl.DataFrame, table: pl.DataFrame, *, counted_apart: bool
) -> list[dict[str, Any]]:
    """Say how far the shares of cases by model and reference agree, category by category.

    Parameters
    ----------
    predictions : polars.DataFrame
        The predictions the table was counted from.
    table : polars.DataFrame
        Of :func:`differential_table`.
    counted_apart : bool
        Whether the reference is a count of other cells, with chance of its own.

    Returns
    -------
    list of dict
        Rows of a results table for each view and category: ``slope`` and ``intercept`` of
        the model's share on the reference's. Of a count made apart by Deming regression, the
        ratio of error variances taken as that of counting so many cells. Of the labels of
        the same cells by least squares: the chance of which cells were counted is in both,
        and all that is left is the model's (half of it laid on the labels, Deming's slope
        would hide what the model undercalls); ``bias``, the mean share by the model less that
        by the reference, and the limits of agreement ``limit_low`` and ``limit_high``. All in
        shares, not percent. What is undefined is NaN with the reason in the method, as of
        fewer than 3 cases. None where
        the table is empty.
    """
    if table.is_empty():
        return []
    seen = prepare(predictions.with_columns(category=pl.col("predicted")))
    rows: list[dict[str, Any]] = []
    for view in table["view"].unique().sort(descending=True):
        of_view = table.filter(pl.col("view") == view)
        for name in categories.ordered(of_view["category"].to_list()):
            of_category = of_view.filter(pl.col("category") == name)
            found = _agreement(of_category, counted_apart=counted_apart)
            rows += [
                facts_of(seen, view)
                | {"metric": metric, "category": name, "method": one.method}
                | {"value": one.value, "low": one.low, "high": one.high}
                for metric, one in found.items()
            ]
    return rows


def _agreement(cases: pl.DataFrame, *, counted_apart: bool) -> dict[str, Interval]:
    reference, share = cases["reference_share"].to_numpy(), cases["share"].to_numpy()
    # A share of n cells varies as 1/n by counting alone, whichever method counts.
    variances = [(1 / cases[name].to_numpy()).mean() for name in ("n_cells", "n_reference_cells")]
    ratio = float(variances[0] / variances[1])
    line = deming(reference, share, ratio) if counted_apart else least_squares(reference, share)
    limits = bland_altman(reference, share)
    return {
        "slope": line.slope,
        "intercept": line.intercept,
        "bias": limits.bias,
        "limit_low": limits.low,
        "limit_high": limits.high,
    }


def _label_by_calls(predictions: pl.DataFrame) -> pl.DataFrame:
    """Fill in missing labels, which a count made apart makes needless."""
    return predictions.with_columns(category=pl.coalesce("category", "predicted"))


def _counts(table: pl.DataFrame, reference: pl.DataFrame | None) -> _Counts:
    truth = read_truth(table)
    called = _tally(table["case"], table["predicted"].to_list())
    if reference is None:
        counted, coarse = _tally(table["case"], truth), False
    else:
        counted, coarse = _read_reference(reference, table, truth)
        _refuse_other_cases(called["case"].to_list(), counted["case"].to_list())
    names = categories.ordered([*called["category"], *counted["category"]])
    return _Counts(called, counted, names, ("merged",) if coarse else views_of(names))


def _tally(case: pl.Series, labels: Sequence[str]) -> pl.DataFrame:
    cells = pl.DataFrame({"case": case, "category": labels})
    return cells.group_by("case", "category").agg(n_cells=pl.len())


def _read_reference(
    reference: pl.DataFrame, table: pl.DataFrame, truth: Sequence[str]
) -> tuple[pl.DataFrame, bool]:
    """Check a reference count, read it in the model's words, and say if they are merged ones."""
    counts = tables.check(reference, shapes.REFERENCE)
    known = _words(table, truth)
    wide = [*known, *categories.merged(known)]
    labels = counts["category"].to_list()
    odd = [
        name
        for name in dict.fromkeys(labels)
        if name not in wide and categories.PARENTS.get(name) not in wide
    ]
    if odd:
        raise DataError(
            f"The reference count names {', '.join(map(repr, odd))}, which no category of the "
            f"predictions covers: they know {', '.join(known)}. Nothing was compared. Name the "
            "categories as the predictions do."
        )
    _refuse_no_counts(counts)
    _refuse_untold(table, truth, categories.read_as(labels, wide))
    read = categories.read_as(labels, wide)
    return counts.with_columns(category=pl.Series(read)), not set(read) <= set(known)


def _words(table: pl.DataFrame, truth: Sequence[str]) -> tuple[str, ...]:
    """List the categories that the predictions can speak of."""
    stated = [name.removeprefix("p_") for name in table.columns if name.startswith("p_")]
    if stated:
        return tuple(stated)
    # Of labels alone, a category of the house that is never called stays itself.
    seen = {*table["predicted"], *truth}
    related = {categories.PARENTS.get(name) for name in seen}
    house = {*categories.PBC13.values(), *categories.PARENTS, *categories.PARENTS.values()}
    unseen = {name for name in house - related if categories.PARENTS.get(name) not in seen}
    return categories.ordered([*seen, *unseen])


def _refuse_untold(table: pl.DataFrame, truth: Sequence[str], told: Sequence[str]) -> None:
    """Refuse a count without a category of the cells: none seen is not the same as not told."""
    seen = categories.ordered([*truth, *table["predicted"]])
    covered = {*told, *(name for name in seen if categories.PARENTS.get(name) in told)}
    untold = [name for name in seen if name not in covered]
    if untold:
        raise DataError(
            f"The reference count names {', '.join(untold)} in no case. Nothing was compared. "
            "Where none was seen, write rows of 0 cells."
        )


def _refuse_no_counts(counts: pl.DataFrame) -> None:
    negative = counts.filter(pl.col("n_cells") < 0)
    if negative.height:
        row = negative.row(0, named=True)
        raise DataError(
            f"The reference count of case {row['case']} has {row['n_cells']} cells of "
            f"{row['category']}; a count is at least 0. Nothing was compared."
        )
    cells = counts.group_by("case").agg(pl.col("n_cells").sum()).sort("case")
    empty = cells.filter(pl.col("n_cells") == 0)["case"].to_list()
    if empty:
        raise DataError(
            f"The reference count has no cell of {_named(empty)}. Nothing was compared. Give "
            "their counts, or leave those cases out of both tables."
        )


def _refuse_other_cases(predicted: Sequence[str], counted: Sequence[str]) -> None:
    without_count = sorted(set(predicted) - set(counted))
    without_cells = sorted(set(counted) - set(predicted))
    parts = []
    if without_count:
        parts.append(f"{_named(without_count)} without a reference count")
    if without_cells:
        parts.append(f"{_named(without_cells)} without predictions")
    if parts:
        raise DataError(
            f"The predictions and the reference count are not of the same cases: "
            f"{' and '.join(parts)}. Nothing was compared. Name cases alike in both tables, or "
            "leave those out."
        )


def _named(cases: Sequence[str]) -> str:
    more = f" and {len(cases) - 10} more" if len(cases) > 10 else ""
    return f"{len(cases)} case{'s' * (len(cases) > 1)} ({', '.join(cases[:10])}{more})"


def _of_view(counts: _Counts, view: str, key: pl.DataFrame) -> pl.DataFrame:
    """Lay out every case and category of one view."""
    read = counts.names if view == "strict" else categories.merged(counts.names)
    names, cases = tuple(dict.fromkeys(read)), key["case"].to_list()
    places = {name: names.index(new) for name, new in zip(counts.names, read, strict=True)}
    called, reference = (
        _matrix(tally, cases, places, len(names)) for tally in (counts.called, counts.reference)
    )
    shares, low, high = counting_limits(called)
    cells, counted = (np.repeat(one.sum(axis=1), len(names)) for one in (called, reference))
    return pl.DataFrame(
        {
            "case": [name for name in key["pseudonym"] for _ in names],
            "view": [view] * called.size,
            "category": list(names) * len(cases),
            "n_cells": cells,
            "n_called": called.ravel(),
            "share": shares.ravel(),
            "low": low.ravel(),
            "high": high.ravel(),
            "n_reference_cells": counted,
            "n_reference": reference.ravel(),
            "reference_share": reference.ravel() / counted,
        }
    )


def _matrix(
    tally: pl.DataFrame, cases: Sequence[str], places: dict[str, int], n_categories: int
) -> npt.NDArray[np.int64]:
    rows = {case: row for row, case in enumerate(cases)}
    counts = np.zeros((len(cases), n_categories), dtype=np.int64)
    for case, name, n_cells in tally.select("case", "category", "n_cells").iter_rows():
        counts[rows[case], places[name]] += n_cells
    return counts
