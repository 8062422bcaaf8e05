"""Isolate and measure among the other verbs: what a person does with cells that stand alone."""

import polars as pl
import pytest

import leukoscope
from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError, LeukoscopeError, RunError, UsageError
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.records.lineage import is_copy

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def alone(cells, tmp_path_factory):
    """Isolate the drawn cells."""
    return leukoscope.isolate(cells, out=tmp_path_factory.mktemp("isolated") / "alone")


@pytest.fixture(scope="module")
def trained(alone, recipe_file, tmp_path_factory, one_thread):
    """Train on them."""
    out = tmp_path_factory.mktemp("trained") / "run"
    return leukoscope.train(alone, recipe=recipe_file, out=out, device="cpu")


def sides_of(folder, key):
    divided = read_split(read_dataset(folder), "splits", 0, 0)
    return dict(divided.select(key, "split").rows())


def test_both_sets_are_divided_alike(cells, alone):
    """Each cell alone stands on the side of the cell it was taken from, and no side is empty."""
    before, after = sides_of(cells, "cell_id"), sides_of(alone, "origin")
    assert after == {cell: before[cell] for cell in after}
    assert set(after.values()) == {"train", "validation", "test"}


def test_isolated_cells_are_trained_and_tested_on(alone, trained):
    """The run predicts exactly the test cells that were found, and its table can be scored."""
    table = tables.read_table(trained / "predictions.parquet", shapes.PREDICTIONS)
    sides = sides_of(alone, "cell_id")
    assert set(table["cell_id"]) == {cell for cell, side in sides.items() if side == "test"}
    found = leukoscope.evaluate(trained, dataset=alone)
    counted = found.results.filter(pl.col("metric") == "accuracy", pl.col("view") == "strict")
    assert counted["n_cells"][0] == table.height


def test_a_model_of_cells_alone_has_seen_their_originals(cells, alone, trained, tmp_path):
    """A case or family is one person or picture in both sets: what was trained on is not new."""
    out = leukoscope.predict(trained, cells, out=tmp_path / "p.parquet", device="cpu")
    roles = dict(tables.read_table(out, shapes.PREDICTIONS).select("cell_id", "role").rows())
    sides = sides_of(alone, "origin")
    assert {roles[cell] for cell, side in sides.items() if side != "test"} == {"seen"}
    assert {roles[cell] for cell, side in sides.items() if side == "test"} == {"new"}
    with pytest.raises(DataError, match="trained or chosen on"):
        leukoscope.evaluate(out)


def test_isolated_cells_are_augmented_and_trained_on(alone, recipe_file, tmp_path):
    """Copies of training cells only; the test stays that of the set without copies."""
    more = leukoscope.augment(alone, "flips", out=tmp_path / "more", factor=2)
    divided = read_split(read_dataset(more), "splits", 0, 0)
    sides = sides_of(alone, "cell_id")
    assert set(divided.filter(is_copy())["origin"]) == {c for c, s in sides.items() if s == "train"}
    run = leukoscope.train(more, recipe=recipe_file, out=tmp_path / "run", device="cpu")
    table = tables.read_table(run / "predictions.parquet", shapes.PREDICTIONS)
    assert set(table["cell_id"]) == {cell for cell, side in sides.items() if side == "test"}
    with pytest.raises(DataError, match="augment after"):
        leukoscope.isolate(more, out=tmp_path / "again")


def test_measures_say_on_which_masks_they_stand(cells, alone, tmp_path):
    """Drawn cells on the masks they were drawn with, cells alone on those that cut them out."""
    for dataset, name in ((cells, "m.csv"), (alone, "m.parquet")):
        out = leukoscope.measure(dataset, out=tmp_path / name)
        table = tables.read_table(out, shapes.MEASURES)
        assert table["cell_id"].to_list() == read_dataset(dataset).manifest["cell_id"].to_list()
        assert set(table["mask"]) == {"given"}
        assert table["cell_area_px2"].null_count() == 0


def test_a_place_that_takes_no_table_is_refused_before_the_work(cells, tmp_path):
    """No cell is measured first, and nothing is made; what stood there stays."""
    (tmp_path / "m.csv").mkdir()
    (tmp_path / "file").write_text("mine")
    worked = []
    with progress.listening(lambda *told: worked.append(told)), progress.noting(worked.append):
        with pytest.raises(UsageError, match="is a folder; it was left untouched"):
            leukoscope.measure(cells, out=tmp_path / "m.csv")
        with pytest.raises(LeukoscopeError, match="file"):
            leukoscope.measure(cells, out=tmp_path / "file" / "m.csv")
        # No permission is asked here: the administrator has them all.
        with pytest.raises(RunError, match="could not be written"):
            leukoscope.measure(cells, out=tmp_path / f"{'m' * 250}.csv")
    assert worked == []
    assert {path.name for path in tmp_path.rglob("*")} == {"m.csv", "file"}
