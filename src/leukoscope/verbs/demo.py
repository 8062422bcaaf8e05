"""The verb ``demo``."""

from pathlib import Path

from leukoscope.foundation.errors import UsageError
from leukoscope.verbs.ingest import ingest
from leukoscope.verbs.split import split
from leukoscope.verbs.study import study


def demo(*, out: Path) -> Path:
    """Draw phantom cells and answer on them whether rotation helps.

    The main job in small, without any picture of a real cell: ingest, split, study,
    report. The cells are drawn so that the answer is known: rotation helps, because the
    cells of a case all point one way. A few minutes on two cores; given again it only
    goes on.

    Parameters
    ----------
    out : Path
        The folder to make: ``cells`` (a dataset) and ``study`` in it.

    Returns
    -------
    Path
        The report, one HTML file.

    Raises
    ------
    UsageError
        If something else stands at *out*.
    """
    out = Path(out)
    _refuse_foreign(out)
    cells = out / "cells"
    if not (cells / "dataset.json").is_file():
        ingest("phantom", "rotation-helps", out=cells)
    if not (cells / "splits.parquet").is_file():
        # Few cases: a larger test says more of other cases than a larger training part.
        split(cells, test_share=0.3)
    study("demo", data=cells, out=out / "study")
    return out / "study" / "report.html"


def _refuse_foreign(out: Path) -> None:
    """Take a new, empty or begun folder; what a killed demo left in it has a hidden name."""
    if out.is_dir():
        names = sorted(path.name for path in out.iterdir())
        foreign = [n for n in names if n not in {"cells", "study"} and not n.startswith(".")]
    else:
        foreign = [out.name] if out.exists() or out.is_symlink() else []
    if foreign:
        raise UsageError(
            f"{out} holds something else than a demo ({foreign[0]}); it was left untouched. "
            "Give --out a new name."
        )
