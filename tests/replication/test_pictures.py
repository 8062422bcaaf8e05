"""The pictures of a study's page are what its arms saw, and cells that all replicates miss."""

import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

import leukoscope
from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.draw import draw
from leukoscope.intake.store import open_store
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset
from leukoscope.records.runs import read_model_card
from leukoscope.replication import units
from leukoscope.replication.recipe import StudyRecipe, Unit

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def studied(cells, study_file, tmp_path_factory, one_thread):
    """Do the short study."""
    out = tmp_path_factory.mktemp("pictured") / "study"
    leukoscope.study(str(study_file), data=cells, out=out, device="cpu")
    return out


@pytest.fixture
def pictures(studied):
    """Read its pictures."""
    return tables.read_table(studied / "pictures.parquet", shapes.PICTURES)


def pixels_of(row):
    """Decode a row's picture."""
    return np.asarray(Image.open(io.BytesIO(row["png"])))


def stored(cells, cell_id):
    """Read a cell's pixels from the store."""
    known = read_dataset(cells)
    one = known.manifest.filter(cell_id=cell_id)
    store = open_store(known, one, 32)
    return store.take(store.rows(one["content"].to_list()))[0]


def test_seen_pictures_are_those_the_training_met(studied, cells, pictures):
    """The same seed, cell and visit; each is of a cell the first replicate was trained on."""
    recipe = StudyRecipe.from_yaml(studied / "study.yaml")
    contents = read_model_card(units.unit_folder(studied, Unit("none", 0)) / "model").seen.contents
    manifest = read_dataset(cells).manifest
    seen = pictures.filter(kind="seen")
    assert set(
        manifest.filter(pl.col("cell_id").is_in(seen["cell_id"].to_list()))["content"]
    ) <= set(contents)
    for row in seen.iter_rows(named=True):
        training = recipe.training_of(Unit(row["arm"], 0))
        drawn = draw(training.augmentation, training.seed, row["cell_id"], row["copy"])
        assert np.array_equal(pixels_of(row), apply(drawn, stored(cells, row["cell_id"])))
        assert row["draw"] in (None, drawn.to_json())
    assert set(seen["category"]) == set(manifest["category"])
    # Four updates of eight cells do not come round: each cell was met once at most.
    assert dict(seen.group_by("arm").len().rows()) == {"none": 4, "turned": 4}


def test_missed_pictures_are_of_missed_cells(studied, cells, pictures):
    """Of the table's cells, with its calls, and their own pixels."""
    missed = tables.read_table(studied / "missed.parquet", shapes.MISSED)
    rows = pictures.filter(kind="missed")
    keys = ["arm", "cell_id", "category", "predicted"]
    assert set(rows.select(keys).rows()) <= set(missed.select(keys).rows())
    assert rows.height == min(24, missed.filter(arm="none").height) + min(
        24, missed.filter(arm="turned").height
    )
    for row in rows.iter_rows(named=True):
        assert np.array_equal(pixels_of(row), stored(cells, row["cell_id"]))


def test_the_page_shows_them_only_if_it_may(studied):
    """With pictures there are cells in the page, without there is none; both are whole pages."""
    shown = leukoscope.report(studied).read_text()
    assert "data:image/png;base64," in shown
    hidden = leukoscope.report(studied, pictures=False).read_text()
    assert "data:image" not in hidden
    assert hidden.startswith("<!DOCTYPE html>")
    numbers = (studied / "report.json").read_bytes()
    leukoscope.report(studied)
    assert (studied / "report.json").read_bytes() == numbers
