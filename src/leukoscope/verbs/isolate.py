"""The verb ``isolate``."""

from pathlib import Path

from leukoscope.intake.isolated import isolate_dataset
from leukoscope.records.dataset import read_dataset


def isolate(dataset: Path, *, out: Path, fill: str = "blank") -> Path:
    """Write a dataset of the same leukocytes without their background.

    Each picture keeps its size; all but the central leukocyte becomes one colour. Splits of
    the dataset are carried over, so that both are divided alike: split first. Cells in which
    no leukocyte is found are left out, and named in the findings with the reason.

    Parameters
    ----------
    dataset : Path
        The dataset folder, without augmented copies.
    out : Path
        The dataset folder to make.
    fill : str
        What stands in place of the background: blank (the colour of the empty field around
        the cell), white or black.

    Returns
    -------
    Path
        The new dataset folder, with its pictures and masks. How many cells were found, left
        out and flagged is noted. The findings name each of the last two: ``detail`` begins with
        the flag, ``score`` is the confidence in the outline, 0 to 1.

    Raises
    ------
    UsageError
        If the fill is unknown, or something stands at *out*.
    DataError
        If the dataset holds augmented copies, a picture is gone, or no leukocyte was found in
        any of its pictures.
    """
    return isolate_dataset(read_dataset(dataset), out=out, fill=fill)
