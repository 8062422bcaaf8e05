"""The cells a model calls wrong, the surest first."""

import polars as pl

from leukoscope.evaluation.predictions import in_order, read_truth
from leukoscope.records import shapes, tables

MOST_SHOWN = 20
"""Errors a page shows pictures of."""


def error_table(predictions: pl.DataFrame) -> pl.DataFrame:
    """List the cells called wrong, with the probabilities of the call and of the truth.

    Parameters
    ----------
    predictions : polars.DataFrame
        A labelled predictions table of one run.

    Returns
    -------
    polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.ERRORS`, neutrophils told apart;
        without probabilities those columns are null.

    Raises
    ------
    DataError
        As :func:`~leukoscope.evaluation.predictions.prepare`.
    """
    table = in_order(predictions)
    table = table.with_columns(category=pl.Series(read_truth(table), dtype=pl.String))
    wrong = table.filter(pl.col("category") != pl.col("predicted"))
    stated = [name for name in table.columns if name.startswith("p_")]
    shown = wrong.select(
        "cell_id",
        "category",
        "predicted",
        p_predicted=_probability("predicted", stated),
        p_category=_probability("category", stated),
    )
    return tables.check(shown, shapes.ERRORS)


def shown_errors(errors: pl.DataFrame) -> pl.DataFrame:
    """Choose the errors a page has room for: the surest of each kind first, then the next."""
    surest = errors.sort("p_predicted", "cell_id", descending=[True, False], nulls_last=True)
    turn = pl.col("cell_id").cum_count().over("category", "predicted")
    order = surest.with_columns(turn=turn).sort("turn", maintain_order=True)
    return order.head(MOST_SHOWN).drop("turn").sort("category", "predicted", "cell_id")


def _probability(of: str, stated: list[str]) -> pl.Expr:
    """Pick, row by row, the probability of the category that a column names."""
    return pl.coalesce(
        pl.lit(None, dtype=pl.Float64),
        *(pl.when(pl.col(of) == name.removeprefix("p_")).then(pl.col(name)) for name in stated),
    )
