"""The verb ``score_sheet``."""

from pathlib import Path
from typing import Any

import polars as pl

from leukoscope.evaluation.blinded import blind_scores, read_answers
from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.records import shapes, tables
from leukoscope.reporting.blind_scores import blind_scores_page

_SHOWN = ("metric", "category", "value", "low", "high", "p_value", "n_cells")


def score_sheet(sheet: Path, *answers: Path, out: Path | None = None) -> pl.DataFrame:
    """Score what readers answered on a blinded sheet of real and drawn cells.

    Parameters
    ----------
    sheet : Path
        The folder that ``sheet`` wrote.
    answers : Path
        Filled-in copies of its ``answers.csv``, one or several: number, reader (initials
        alone), real_or_drawn, category. What is left blank is counted, not scored.
    out : Path, optional
        A folder to make, with a report and the table of results.

    Returns
    -------
    polars.DataFrame
        For each reader the share of right answers with its exact interval and a test against
        guessing, in all and by category; the shares of drawn and of real cells found; how often
        the category was named as filed; and how many pictures were left blank.

    Raises
    ------
    UsageError
        If no answers are given, or something stands at *out*.
    DataError
        If a number is not on the sheet, a picture is answered twice, a word is neither real nor
        drawn, a category is unknown, a reader goes by more than initials, or the key is gone
        or changed.
    """
    if not answers:
        raise UsageError("Give at least one filled-in answers.csv beside the sheet's folder.")
    if out is not None:
        files.refuse_existing(out)
        files.refuse_table_name(out)
    about, key = _sheet_of(Path(sheet))
    given = [tables.read_table(path, shapes.SHEET_ANSWERS) for path in answers]
    read = pl.concat([read_answers(table, key, about["categories"]) for table in given])
    _refuse_shared_readers(read)
    results = blind_scores(read)
    if out is not None:
        files.build_folder(out, lambda folder: _write(folder, results, about))
    return results.select(pl.col("arm").alias("reader"), *_SHOWN)


def _sheet_of(folder: Path) -> tuple[dict[str, Any], pl.DataFrame]:
    """Read what is known of a sheet, and its key."""
    path = folder / "key" / "key.parquet"
    if not (folder / "sheet.json").is_file() or not path.is_file():
        raise DataError(
            f"{folder} is no blinded sheet: it lacks sheet.json or key/key.parquet. Nothing was "
            "scored. Name the folder that `leukoscope sheet` wrote."
        )
    about = files.read_json(folder / "sheet.json")
    if files.digest_of(path) != about["key_sha256"]:
        raise DataError(
            f"{path} is not the key this sheet was made with. Nothing was scored. Put the sheet's "
            "own key back."
        )
    return about, tables.read_table(path, shapes.SHEET_KEY)


def _refuse_shared_readers(read: pl.DataFrame) -> None:
    twice = read.filter(pl.struct("reader", "number").is_duplicated())
    if twice.height:
        raise DataError(
            f"Reader {twice['reader'][0]} answers in several files. Nothing was scored. Give each "
            "reader's answers once, and each reader initials of their own."
        )


def _write(folder: Path, results: pl.DataFrame, about: dict[str, Any]) -> None:
    tables.write_both(folder, "results", results, shapes.RESULTS)
    files.write_text(folder / "report.html", blind_scores_page(results, about))
