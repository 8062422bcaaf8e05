"""The verb ``evaluate``."""

from pathlib import Path

from leukoscope.evaluation.results import Evaluation, evaluation_of, write_evaluation
from leukoscope.foundation import files
from leukoscope.foundation.errors import UsageError
from leukoscope.records import tables
from leukoscope.records.runs import predictions_of


def evaluate(source: Path, *, out: Path | None = None) -> Evaluation:
    """Score a run or a predictions table, each score with its interval.

    Strict and with neutrophils merged; over cases where every case is known, else over
    families.

    Parameters
    ----------
    source : Path
        A finished run (its test predictions are scored), or a predictions table of any
        tool, .parquet or .csv, with columns cell_id, category, predicted and perhaps
        case, family and ``p_<category>``.
    out : Path, optional
        A folder to make, with results and confusion as .parquet and .csv.

    Returns
    -------
    Evaluation
        Its ``results``: accuracy, balanced accuracy, macro-F; recall, precision, F and
        support of each category. Its ``confusion``: calls by true category.

    Raises
    ------
    UsageError
        If something stands at *out*, or it is named like a table.
    DataError
        If the run is unfinished, cells are unlabelled, or the table breaks its shape.
    """
    if out is not None:
        files.refuse_existing(out)
        if Path(out).suffix.lower() in {".csv", ".parquet"}:
            raise UsageError(
                f"--out is {out}, but several tables are written: give a folder name. "
                "Nothing was written."
            )
    found = evaluation_of(tables.read_table(predictions_of(source), tables.PREDICTIONS))
    if out is not None:
        files.build_folder(out, lambda folder: write_evaluation(folder, found))
    return found
