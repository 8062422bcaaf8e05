"""The verb ``evaluate``."""

from pathlib import Path

import polars as pl

from leukoscope.evaluation.results import score_table
from leukoscope.foundation import files
from leukoscope.records import tables
from leukoscope.records.runs import predictions_of


def evaluate(source: Path, *, out: Path | None = None) -> pl.DataFrame:
    """Score a run or a predictions table, each score with its interval.

    Strict and with neutrophils merged; over cases where every case is known, else over
    families.

    Parameters
    ----------
    source : Path
        A finished run (its test predictions are scored), or a predictions table of any
        tool, .parquet or .csv, with columns cell_id, category, predicted and perhaps
        case, family and p_<category>.
    out : Path, optional
        Where to write the results table, ending in .parquet or .csv.

    Returns
    -------
    polars.DataFrame
        The results table: accuracy, balanced accuracy, macro-F; recall, precision, F and
        support of each category.

    Raises
    ------
    UsageError
        If something stands at *out*.
    DataError
        If the run is unfinished, cells are unlabelled, or the table breaks its shape.
    """
    if out is not None:
        tables.check_ending(out)
        files.refuse_existing(out)
    table = score_table(tables.read_table(predictions_of(source), tables.PREDICTIONS))
    if out is not None:
        tables.write_table(out, table, tables.RESULTS)
    return table
