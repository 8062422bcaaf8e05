"""The verb judge: a folder with a page, findings in the set, and an exit code."""

import json

import polars as pl
import pytest
from tests.synthesis import judged

from leukoscope.foundation.errors import UsageError
from leukoscope.records import shapes, tables
from leukoscope.verbs.judge import judge


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return judged.drawn_cells(tmp_path_factory.mktemp("judged"))


def test_a_judgement_is_kept_beside_and_in_the_set(dataset, tmp_path, one_thread):
    """Tables, page and facts in the new folder; findings in the set, others' findings kept."""
    cells = judged.cells_of(dataset, "test")[:30]
    cells += judged.copies_of(judged.cells_of(dataset, "train")[:4], 0)
    drawn = judged.ingested(cells, tmp_path)
    before = tables.read_table(drawn / "findings.parquet", shapes.FINDINGS)
    odd = pl.DataFrame(
        {"check": ["blur"], "cell_id": ["x"], "severity": ["info"], "detail": ["soft"]}
    )
    tables.write_table(
        drawn / "findings.parquet",
        pl.concat([before, tables.check(odd, shapes.FINDINGS)]),
        shapes.FINDINGS,
    )
    found = judge(dataset, drawn, out=tmp_path / "judgement", size_px=32)
    assert found.has_errors
    folder = tmp_path / "judgement"
    assert (folder / "report.html").is_file()
    for name, shape in (("results", shapes.RESULTS), ("neighbours", shapes.NEIGHBOURS)):
        kept = tables.read_table(folder / f"{name}.parquet", shape)
        assert kept.equals(getattr(found, name))
        assert tables.read_table(folder / f"{name}.csv", shape).height == kept.height
    assert (
        json.loads((folder / "judgement.json").read_text())["features"] == found.about["features"]
    )
    after = tables.read_table(drawn / "findings.parquet", shapes.FINDINGS)
    assert after.filter(check="blur").height == 1
    assert after.filter(check="memorised").height == found.neighbours["memorised"].sum() == 4
    again = judge(dataset, drawn, out=tmp_path / "again", size_px=32)
    assert tables.read_table(drawn / "findings.parquet", shapes.FINDINGS).equals(after)
    assert again.results.equals(found.results)


def test_real_cells_are_shown_only_where_asked(dataset, tmp_path, one_thread):
    """A page without them may leave the house."""
    drawn = judged.ingested(judged.cells_of(dataset, "test")[:30], tmp_path)
    sizes = []
    for name, pictures in (("without", False), ("with", True)):
        judge(dataset, drawn, out=tmp_path / name, size_px=32, pictures=pictures)
        sizes.append((tmp_path / name / "report.html").read_text().count("data:image/png"))
    assert 30 <= sizes[0] < sizes[1]


def test_refuses_what_stands_and_what_is_no_seed(dataset, tmp_path):
    """Nothing is overwritten, and nothing is judged before that is known."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    with pytest.raises(UsageError, match="already exists"):
        judge(dataset, dataset, out=tmp_path / "full")
    with pytest.raises(UsageError, match="seed"):
        judge(dataset, dataset, out=tmp_path / "new", seed=-1)
