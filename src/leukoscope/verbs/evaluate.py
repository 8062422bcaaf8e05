"""The verb ``evaluate``."""

from pathlib import Path
from typing import Any

import polars as pl

from leukoscope.evaluation.errors import shown_errors
from leukoscope.evaluation.evaluation import (
    SENSITIVITY,
    Evaluation,
    Mix,
    evaluation_of,
    write_evaluation,
)
from leukoscope.evaluation.labels import labelled_from, reader_rows, with_readers
from leukoscope.evaluation.supports import refuse_other_supports
from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.intake.thumbnails import thumbnails
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset, read_dataset
from leukoscope.records.mixes import read_counts
from leukoscope.records.runs import history_of, predictions_of, replicates_of
from leukoscope.reporting.evaluation_folder import write_pages

_PICTURE_PX = 96
UNPREDICTED = "cells of the dataset's test that have no prediction"
UNDECIDED = "cells without a majority of their readers, the hardest ones"


def evaluate(
    source: Path,
    *,
    dataset: Path | None = None,
    split: str | None = None,
    prevalence: str | None = None,
    sensitivity: float = SENSITIVITY,
    reference: Path | None = None,
    readers: Path | None = None,
    supports: str | None = None,
    pictures: bool = True,
    out: Path | None = None,
) -> Evaluation:
    """Score a run or a predictions table, each score with its interval.

    Strict and with neutrophils merged; over cases where every case is known, else over
    families. What is odd about the predictions is said before their scores.

    Parameters
    ----------
    source : Path
        A finished run (its test predictions are scored), or a predictions table of any
        tool, .parquet or .csv, with columns cell_id, predicted and perhaps category,
        case, family and ``p_<category>``.
    dataset : Path, optional
        The dataset folder of these cells: labels, cases and families are joined from it
        by cell_id, and cells of its training and validation are refused.
    split : str, optional
        Name of that dataset's split; its first one unless given.
    prevalence : str, optional
        A mix of categories at which precision, F and what else depends on it are given
        too: nozaka-2022, or a .yaml file of category and number, or a .csv file with columns
        category and n_cells.
    sensitivity : float
        The sensitivity that each category's operating point reaches.
    reference : Path, optional
        Each case's count by another method: a table of case, category, n_cells. By default
        differential counts are held against the true labels of the same cells.
    readers : Path, optional
        A table of cell_id, reader, category: the truth becomes the readers' majority.
    supports : str, optional
        How many cells of each category there should be, a file as for a mix; other counts
        are refused.
    pictures : bool
        Whether the report shows cells, where a dataset is given; without, it may leave
        the house.
    out : Path, optional
        A folder to make, with a report, its tables and its figures.

    Returns
    -------
    Evaluation
        Its ``results``: scores of calls and of probabilities, each with its interval.
        Its ``confusion``, ``points`` of the curves, ``differential`` counts, ``guards``
        (what was checked) and ``errors``.

    Raises
    ------
    UsageError
        If something stands at *out*, it is named like a table, or a name or number
        is unknown.
    DataError
        If the run is unfinished or is a whole arm's folder, cells are unlabelled, of other
        images or seen in training, or a table breaks its shape.
    """
    _refuse_out(out)
    if not 0 < sensitivity <= 1:
        raise UsageError(
            f"--sensitivity is {sensitivity}; it lies above 0 and up to 1. Nothing was scored."
        )
    if split is not None and dataset is None:
        raise UsageError("--split names a split of --dataset, and none is given.")
    known = read_dataset(dataset) if dataset is not None else None
    left_out: dict[str, int] = {}
    refuse_arm(source)
    table = tables.read_table(predictions_of(source), shapes.PREDICTIONS)
    if known is not None:
        table, left_out[UNPREDICTED] = labelled_from(table, known, split)
    table, readings, left_out[UNDECIDED] = _read_again(table, readers)
    if supports is not None:
        refuse_other_supports(table, read_counts(supports))
    found = evaluation_of(
        table,
        # A file's place on this machine says nothing of the mix.
        mix=Mix(Path(prevalence).stem, read_counts(prevalence)) if prevalence is not None else None,
        sensitivity=sensitivity,
        reference=tables.read_table(reference, shapes.REFERENCE) if reference is not None else None,
        readings=readings,
        left_out=left_out,
    )
    if out is not None:
        shown = known if pictures else None
        asked = {
            "source": Path(source).resolve().stem,
            "dataset": known.card.name if known else None,
            "split": split,
            "prevalence": prevalence and Path(prevalence).stem,
            "sensitivity": sensitivity,
            "reference": reference and Path(reference).stem,
            "readers": readers and Path(readers).stem,
            "supports": supports and Path(supports).stem,
        }
        files.build_folder(out, lambda folder: _write(folder, Path(source), found, asked, shown))
    return found


def refuse_arm(source: Path) -> None:
    """Refuse the folder of a study's arm, whose replicates predicted each for itself.

    Raises
    ------
    DataError
        With the two ways on.
    """
    if runs := replicates_of(source):
        raise DataError(
            f"{source} holds {len(runs)} runs, the replicates of an arm, each with predictions of "
            "its own. Nothing was scored. Name one of them; or let them answer together by "
            f"`leukoscope predict {source} DATASET --out predictions.parquet`, and score that."
        )


def _read_again(
    table: pl.DataFrame, readers: Path | None
) -> tuple[pl.DataFrame, list[dict[str, Any]], int]:
    """Take the majority of readers for the truth, if there are any, and say how they agree."""
    if readers is None:
        return table, [], 0
    spoken = tables.read_table(readers, shapes.READERS)
    labelled, left_out = with_readers(table, spoken)
    return labelled, reader_rows(table, spoken), left_out


def _refuse_out(out: Path | None) -> None:
    if out is None:
        return
    files.refuse_existing(out)
    files.refuse_table_name(out)


def _write(
    folder: Path, source: Path, found: Evaluation, asked: dict[str, Any], known: Dataset | None
) -> None:
    write_evaluation(folder, found)
    name = asked["source"]
    files.write_json(folder / "evaluation.json", asked)
    if (source / "history.csv").is_file():
        facts = {"study": pl.lit(name), "arm": pl.lit(name), "replicate": pl.lit(0, pl.Int32)}
        history = history_of(source).with_columns(**facts)
        tables.write_both(folder, "curves", history, shapes.CURVES)
    if known is not None:
        shown = shown_errors(found.errors)
        cells = thumbnails(known, shown["cell_id"], _PICTURE_PX)
        png = pl.Series([cells[cell] for cell in shown["cell_id"]], dtype=pl.Binary)
        table = shown.select("cell_id", "category", "predicted", kind=pl.lit("missed"), png=png)
        table = table.with_columns(arm=pl.lit(name))
        tables.write_table(folder / "pictures.parquet", table, shapes.PICTURES)
    write_pages(folder)
