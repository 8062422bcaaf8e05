"""The test cells that every replicate of an arm calls wrong."""

from collections.abc import Mapping, Sequence

import polars as pl

from leukoscope.evaluation.predictions import in_order, read_truth
from leukoscope.records import shapes, tables


def missed_table(arms: Mapping[str, Sequence[pl.DataFrame]]) -> pl.DataFrame:
    """List the cells that all replicates of an arm call wrong, and what they call them.

    Such errors are not luck of a training: the cell is hard, its label may be wrong, or
    the arm has learnt something false.

    Parameters
    ----------
    arms : mapping of str to sequence of polars.DataFrame
        Arm → predictions of its replicates, of the same labelled cells.

    Returns
    -------
    polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.MISSED`, neutrophils told apart.
        Of calls equally frequent, the first by name is given.

    Raises
    ------
    DataError
        If cells are unlabelled, named twice, or of categories no answer covers.
    """
    parts = [_missed(arm, replicates) for arm, replicates in arms.items()]
    return tables.check(pl.concat(parts), shapes.MISSED)


def _missed(arm: str, replicates: Sequence[pl.DataFrame]) -> pl.DataFrame:
    calls = pl.concat([_calls(one) for one in replicates])
    often = (
        calls.group_by("cell_id", "category", "predicted")
        .agg(n_called=pl.len())
        .sort("cell_id", "n_called", "predicted", descending=[False, True, False])
    )
    return (
        often.filter(~(pl.col("predicted") == pl.col("category")).any().over("cell_id"))
        .unique("cell_id", keep="first", maintain_order=True)
        .with_columns(
            arm=pl.lit(arm),
            n_called=pl.col("n_called").cast(pl.Int32),
            n_replicates=pl.lit(len(replicates), dtype=pl.Int32),
        )
    )


def _calls(predictions: pl.DataFrame) -> pl.DataFrame:
    table = in_order(predictions)
    return table.select("cell_id", "predicted", category=pl.Series(read_truth(table)))
