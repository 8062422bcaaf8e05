"""The verb ``measure``."""

from pathlib import Path

from leukoscope.foundation import files
from leukoscope.intake.measured import measure_dataset
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset


def measure(dataset: Path, *, out: Path) -> Path:
    """Measure the cells of a dataset: areas, shape, lobes, granules, colour and focus.

    A cell that came with a mask is measured on it (a grey picture: 0 outside, 128 cytoplasm,
    255 nucleus); in any other the leukocyte is looked for.
    Lengths are in pixels and, where the scale of the picture is known, in micrometres.

    Parameters
    ----------
    dataset : Path
        The dataset folder; all its cells are measured.
    out : Path
        The measures table to write, ending in .parquet or .csv, in a folder that is there.

    Returns
    -------
    Path
        The measures table: a row a cell, empty where no leukocyte was found. Where a mask was
        found, now or by isolate, ``confidence`` and ``flags`` tell how sure it is.

    Raises
    ------
    UsageError
        If *out* does not end so, something stands there, or its folder is missing.
    DataError
        If a picture or mask is gone or broken, or a mask does not fit its picture or shows no
        cytoplasm.
    RunError
        If *out* cannot be written.
    """
    known = read_dataset(dataset)
    out = Path(out)
    tables.check_ending(out)
    files.refuse_unwritable(out)
    tables.write_table(out, measure_dataset(known), shapes.MEASURES)
    return out
