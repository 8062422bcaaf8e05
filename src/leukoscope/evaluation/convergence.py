"""When the trainings of a study settled, by a rule instead of by eye."""

from typing import Any

import polars as pl

from leukoscope.evaluation.results import to_table
from leukoscope.records import shapes, tables
from leukoscope.stats.curves import converged_at

CURVES_JUDGED = ("train_loss", "validation_accuracy")
"""The curves that Nozaka et al. (2022, figure 3) judge; theirs was a look, ours is a rule."""


def convergence_table(curves: pl.DataFrame) -> pl.DataFrame:
    """Say for each run at which update its curves had converged.

    Parameters
    ----------
    curves : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.CURVES`.

    Returns
    -------
    polars.DataFrame
        A results table with metrics ``convergence_<curve>``: the update of the first
        validation from which :func:`leukoscope.stats.curves.converged_at` finds it.
    """
    rows: list[dict[str, Any]] = []
    for (study, arm, replicate), part in curves.group_by(
        "study", "arm", "replicate", maintain_order=True
    ):
        for curve in CURVES_JUDGED:
            at = converged_at(part[curve].to_numpy())
            value = None if at is None else float(part["update"][at])
            rows.append(
                {"study": study, "arm": arm, "replicate": replicate, "view": "strict"}
                | {"metric": f"convergence_{curve}", "value": value}
                | {"method": "first validation within 1 % of the final smoothed value"}
            )
    return to_table(rows) if rows else tables.check(pl.DataFrame(), shapes.RESULTS)
