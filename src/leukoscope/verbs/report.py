"""The verb ``report``."""

from pathlib import Path

from leukoscope.foundation import files
from leukoscope.reporting.study_folder import page_of
from leukoscope.reporting.study_page import study_json, study_page


def report(study: Path, *, pictures: bool = True) -> Path:
    """Write the report of a finished study again from its tables.

    Parameters
    ----------
    study : Path
        The study folder.
    pictures : bool
        Whether the page shows cells; without, it may leave the house.

    Returns
    -------
    Path
        ``report.html`` in it, one file that opens without network or script; the same
        numbers stand beside it in ``report.json`` and, table by table, as CSV.

    Raises
    ------
    DataError
        If the study is not finished.
    """
    folder = Path(study)
    page = page_of(folder, pictures=pictures)
    files.write_text(folder / "report.json", study_json(page))
    files.write_text(folder / "report.html", study_page(page))
    return folder / "report.html"
