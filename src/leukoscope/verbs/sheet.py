"""The verb ``sheet``."""

from pathlib import Path

from leukoscope.foundation import files
from leukoscope.foundation.streams import check_seed
from leukoscope.intake.blinded import Blinded, blinded
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset, read_dataset
from leukoscope.reporting.blind_sheet import BlindSheet, blind_sheet

_NOTE = """\
Do not open key.parquet before every reader has answered: it tells which picture is real.
`leukoscope score-sheet` reads it when the answers are there. The sheet shows real cells: this
folder stays in the house.
"""


def sheet(dataset: Path, generated: Path, *, out: Path, n: int = 60, seed: int = 0) -> Path:
    """Print a blinded sheet of real and generated cells for experts to tell apart.

    Half of the pictures are real cells that the generator never saw (those its card keeps for
    judging; of a set without a card the validation split), half are generated ones, both drawn
    at random and alike in category, size and encoding. The sheet shows real cells: it stays in
    the house.

    Parameters
    ----------
    dataset : Path
        The dataset folder that the generator was fitted in.
    generated : Path
        The dataset folder of generated cells that ``sample`` wrote, or another tool's, ingested.
    out : Path
        The folder to make: ``sheet.html`` to print on A4 or to open, ``answers.csv`` to fill
        in, and ``key/`` with what tells which is which, not to be opened before.
    n : int
        How many pictures, an even number up to 400.
    seed : int
        Seed of choice and order.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UsageError
        If *n* is odd or out of range, the seed is below 0, or something stands at *out*.
    DataError
        If the dataset holds none of the cells that judge, or either kind is too few.
    """
    check_seed(seed)
    out = Path(out)
    files.refuse_existing(out)
    files.refuse_table_name(out)
    known, drawn = read_dataset(dataset), read_dataset(generated)
    made = blinded(known, drawn, n=n, seed=seed)
    return files.build_folder(out, lambda folder: _write(folder, made, known, drawn))


def _write(folder: Path, made: Blinded, known: Dataset, drawn: Dataset) -> None:
    page = BlindSheet(
        known.card.name,
        drawn.card.name,
        made.categories,
        made.pictures,
        known.card.licence,
        known.card.citation,
    )
    tables.write_table(folder / "key" / "key.parquet", made.key, shapes.SHEET_KEY)
    files.write_text(folder / "key" / "DO-NOT-OPEN.txt", _NOTE)
    blank = made.key.select("number")
    tables.write_table(folder / "answers.csv", blank, shapes.SHEET_ANSWERS)
    facts = {
        "dataset": page.dataset,
        "generated": page.generated,
        "n": len(made.pictures),
        "size_px": made.size_px,
        "categories": list(made.categories),
        "key_sha256": files.digest_of(folder / "key" / "key.parquet"),
    }
    files.write_json(folder / "sheet.json", facts)
    files.write_text(folder / "sheet.html", blind_sheet(page))
