"""The verb ``report``."""

from pathlib import Path

from leukoscope.foundation import files
from leukoscope.reporting.evaluation_folder import is_evaluated, write_pages
from leukoscope.reporting.study_folder import page_of
from leukoscope.reporting.study_page import study_json, study_page


def report(folder: Path, *, pictures: bool = True) -> Path:
    """Write the report of a study, evaluation or comparison again from its tables.

    Parameters
    ----------
    folder : Path
        The folder of a finished study, or what evaluate or compare wrote.
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
        If the study is not finished, or the folder holds nothing to report.
    """
    folder = Path(folder)
    if is_evaluated(folder):
        write_pages(folder, pictures=pictures)
        return folder / "report.html"
    page = page_of(folder, pictures=pictures)
    files.write_text(folder / "report.json", study_json(page))
    files.write_text(folder / "report.html", study_page(page))
    return folder / "report.html"
