"""The verb ``ingest``."""

import math
from pathlib import Path

from leukoscope.foundation.errors import UsageError, unknown_name
from leukoscope.intake import ingest as intake
from leukoscope.intake.phantom import load_setting
from leukoscope.intake.sources import list_folder, list_pbc, with_cases


def ingest(
    source: str,
    path: str,
    *,
    out: Path,
    categories: str | None = None,
    case_from: str | None = None,
    um_per_px: float | None = None,
) -> Path:
    """Take labelled pictures in and write a dataset folder.

    Parameters
    ----------
    source : str
        ``folder`` (a folder a category, or a zip of it), ``pbc`` (folder or zip; the
        category is the file's prefix) or ``phantom`` (drawn cells).
    path : str
        The folder or zip; for phantom, the name of a setting or a YAML file.
    out : Path
        The dataset folder to make.
    categories : str, optional
        Named map from labels to categories: pbc13, pbc8 or nozaka6. Labels it lacks are
        left out and counted. For pbc the default is pbc13.
    case_from : str, optional
        Where the case (person or slide) is read from: a CSV file with columns path and
        case, or a regular expression searched in the relative path, whose group is it.
    um_per_px : float, optional
        Scale of the pictures in micrometres a pixel.

    Returns
    -------
    Path
        The dataset folder: manifest, card and findings. Pictures stay where they are. What
        was found (repeated pictures, labels left out, files passed over) is noted.

    Raises
    ------
    UsageError
        If the source, map or setting is unknown, or something stands at *out*.
    DataError
        If a picture cannot be taken (all are named), a file may be a picture of a kind that
        is not taken, or fewer than two categories are left.
    """
    if source == "phantom":
        if (categories, case_from, um_per_px) != (None, None, None):
            raise UsageError("phantom takes no further options: its setting says it all.")
        return intake.ingest_phantom(load_setting(str(path)), out=out)
    readers = {"folder": list_folder, "pbc": list_pbc}
    if source not in readers:
        raise unknown_name("source", source, [*readers, "phantom"])
    if um_per_px is not None and not 0 < um_per_px < math.inf:
        raise UsageError(
            f"--um-per-px is {um_per_px}; it should be a number above 0. Nothing was written."
        )
    listing = readers[source](Path(path), categories)
    if case_from is not None:
        listing = with_cases(listing, str(case_from))
    return intake.ingest_listing(
        listing, source=source, root=Path(path), out=out, um_per_px=um_per_px
    )
