"""The verb ``combine``."""

from pathlib import Path

from leukoscope.intake import combined


def combine(
    dataset: Path,
    generated: Path,
    *,
    out: Path,
    n: int | None = None,
    select: str = "unflagged",
    picked: Path | None = None,
    picked_by: str | None = None,
    split: str = "splits",
) -> Path:
    """Write a dataset with generated cells in its training, once they were judged.

    Pictures that were flagged as memorised are never taken. Validation, calibration and test stay
    as they are. Which rule took which share stands on the card of the new dataset.

    Parameters
    ----------
    dataset : Path
        The dataset folder that the generator was fitted on, or one with copies of its cells.
    generated : Path
        The dataset folder of generated cells, as sample makes and judge judges it.
    out : Path
        The dataset folder to make.
    n : int, optional
        How many generated cells in all, evenly over categories, the first by number; all that
        the rule lets through unless given.
    select : str
        The rule: unflagged (all that were not flagged as memorised), or in-manifold (of these,
        those that lie among real cells).
    picked : Path, optional
        A CSV file whose column cell_id names the cells a person kept. It is recorded; scores of
        what is trained on hand-picked cells are not comparable with those of a rule.
    picked_by : str, optional
        The initials of that person.
    split : str
        Name of the split that the new dataset takes over. Of several divisions it takes those
        that hold out no cell the generator saw.

    Returns
    -------
    Path
        The new dataset folder.

    Raises
    ------
    UsageError
        If the rule is unknown, options contradict each other, something stands at *out*, or
        there is no such split.
    DataError
        If the generated cells were not judged, hold real cells, are of other categories or of a
        generator that saw cells this dataset lacks or holds out, or are in the dataset already;
        if too few are left; or if a picture is not what it was.
    RunError
        If the disk refuses, or another process is at work on *out*.
    """
    return combined.combine(
        Path(dataset),
        Path(generated),
        out=Path(out),
        n=n,
        select=select,
        picked=picked,
        picked_by=picked_by,
        split=split,
    )
