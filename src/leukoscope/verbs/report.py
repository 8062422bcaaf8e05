"""The verb ``report``."""

from pathlib import Path

from leukoscope.foundation import files
from leukoscope.reporting.study_folder import page_of
from leukoscope.reporting.study_page import study_page


def report(study: Path) -> Path:
    """Write the report of a finished study again from its tables.

    Parameters
    ----------
    study : Path
        The study folder.

    Returns
    -------
    Path
        ``report.html`` in it: one file that opens without network or script.

    Raises
    ------
    DataError
        If the study is not finished.
    """
    path = Path(study) / "report.html"
    files.write_text(path, study_page(page_of(Path(study))))
    return path
