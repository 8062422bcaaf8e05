import polars as pl
import pytest
from tests.records.tabling import manifest_of
from tests.records.test_dataset import CARD, GENERATOR

from leukoscope.foundation.errors import DataError
from leukoscope.records import shapes
from leukoscope.records.dataset import read_dataset, write_dataset
from leukoscope.records.judged import MEMORISED, read_judged, write_judged


def drawn(folder, n):
    """Write *n* generated cells."""
    rows = [{"origin": GENERATOR, "family": GENERATOR, "copy": i + 1} for i in range(n)]
    return write_dataset(folder, CARD, manifest_of(rows))


def test_findings_are_read_as_they_were_written(tmp_path):
    """With rows and without; as text beside."""
    known = drawn(tmp_path, 3)
    row = {
        "check": MEMORISED,
        "cell_id": "c001",
        "severity": "error",
        "detail": "near",
        "score": 0.1,
    }
    found = pl.DataFrame([row | {"other_cell_id": "x"}], schema=shapes.FINDINGS.columns)
    write_judged(known, found)
    assert read_judged(read_dataset(tmp_path))["cell_id"].to_list() == ["c001"]
    assert "c001" in (tmp_path / "findings.csv").read_text()
    write_judged(known, found.clear())
    assert read_judged(known).is_empty()


def test_findings_of_other_cells_are_refused(tmp_path):
    """None, half of them, and those of a set that grew since."""
    known = drawn(tmp_path, 3)
    with pytest.raises(DataError, match=r"was not judged.*leukoscope judge"):
        read_judged(known)
    write_judged(known, pl.DataFrame(schema=shapes.FINDINGS.columns))
    with pytest.raises(DataError, match=r"are of another manifest.*Judge it first"):
        read_judged(drawn(tmp_path, 4))
    (tmp_path / "judged.json").write_text("[]")
    with pytest.raises(DataError, match="are of another manifest"):
        read_judged(known)
    (tmp_path / "judged.json").unlink()
    with pytest.raises(DataError, match=r"no findings\.parquet with judged\.json"):
        read_judged(known)
