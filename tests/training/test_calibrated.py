"""The temperature that a run fits on the calibration side of its split."""

import shutil

import numpy as np
import polars as pl
import pytest

from leukoscope.foundation.errors import DataError
from leukoscope.models.folders import load_model
from leukoscope.models.predictions import prediction_table
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset, read_split, splits_path
from leukoscope.records.runs import is_seen, read_model_card
from leukoscope.stats.temperature import fit_temperature
from leukoscope.training.probe import ProbeRecipe
from leukoscope.training.run import train_run
from leukoscope.training.sides import seen_sides, sides_for, test_cells
from leukoscope.verbs.split import split

pytestmark = pytest.mark.usefixtures("one_thread")
test_cells.__test__ = False


@pytest.fixture
def known(cells, tmp_path):
    """Copy the drawn cells and divide them with a calibration side."""
    folder = shutil.copytree(cells, tmp_path / "cells")
    split(folder, name="four", validation_share=0.2, calibration_share=0.3, test_share=0.2)
    return read_dataset(folder)


def recipe_of(**values):
    """State a quick training that is calibrated."""
    return ProbeRecipe.from_mapping({"calibrate": True, "split": "four"} | values, where="a test")


def temperature_by_hand(known, run, left_out=()):
    """Fit it on the model's own logarithms of probabilities, categories that it knows alone."""
    network, card = load_model(run)
    divided = read_split(known, "four", 0, 0)
    cells = divided.filter((pl.col("split") == "calibration") & ~pl.col("category").is_in(left_out))
    plain = card.model_copy(update={"temperature": 1.0})
    device = next(network.classifier.buffers()).device
    table = prediction_table(known, cells, network, plain, run_id="", device=device)
    names = [name for name in card.categories if name not in left_out]
    logits = np.log(table.select(f"p_{name}" for name in names).to_numpy())
    return fit_temperature(logits, [names.index(name) for name in table["category"]])


def test_a_split_may_have_a_calibration_side(known):
    """Four sides of whole cases, and the shares that were asked for."""
    divided = read_split(known, "four", 0, 0)
    assert set(divided["split"]) == {"train", "validation", "calibration", "test"}
    assert divided.group_by("case").agg(pl.col("split").n_unique())["split"].max() == 1


def test_the_temperature_is_fitted_on_the_calibration_cells_alone(known, tmp_path):
    """It is the one found by hand; the calibration cells count as seen."""
    run = train_run(known, recipe_of(), weights=None, out=tmp_path / "run", device="cpu")
    card = read_model_card(run / "model")
    assert card.temperature == pytest.approx(temperature_by_hand(known, run), rel=1e-6)
    assert card.temperature != 1
    calibration = read_split(known, "four", 0, 0).filter(pl.col("split") == "calibration")
    assert is_seen(calibration, card.seen).all()


def test_a_category_that_training_lacked_does_not_spoil_it(known, tmp_path):
    """Its logit, far below all others, says nothing of how sure the model should be."""
    path = splits_path(known.folder, "four")
    table = tables.read_table(path, shapes.SPLITS).join(
        known.manifest.select("cell_id", "category"), on="cell_id"
    )
    is_lost = (pl.col("split") == "train") & (pl.col("category") == "band")
    kept = table.filter(~is_lost).drop("category")
    tables.write_table(path, kept, shapes.SPLITS)
    run = train_run(known, recipe_of(), weights=None, out=tmp_path / "run", device="cpu")
    card = read_model_card(run / "model")
    by_hand = temperature_by_hand(known, run, left_out=("band",))
    assert card.temperature == pytest.approx(by_hand, rel=1e-6)


def test_a_split_without_that_side_is_refused(known):
    """With the option that makes one."""
    divided = read_split(known, "splits", 0, 0)
    with pytest.raises(DataError, match=r"no cells in calibration.*--calibration-share"):
        sides_for(divided, recipe_of(split="splits"), None)


def test_people_of_calibration_are_no_test_collection(known):
    """Neither by case nor by family: the model's sureness was chosen on them."""
    divided = read_split(known, "four", 0, 0)
    calibration = divided.filter(pl.col("split") == "calibration")["cell_id"]
    rows = known.manifest.filter(pl.col("cell_id").is_in(calibration.to_list()))
    others = rows.with_columns(content=pl.lit("another picture ") + pl.col("content"))
    for same, other in (("case", "family"), ("family", "case")):
        apart = others.with_columns(pl.lit("elsewhere ").add(pl.col(other)).alias(other))
        collection = known.__class__(known.folder, known.card, apart)
        assert apart[same].equals(rows[same])
        with pytest.raises(DataError, match=f"{apart.height} of {apart.height} cells"):
            test_cells(collection, divided, known.card.categories)


def test_what_a_run_saw_is_all_but_its_test(known):
    """Training, validation and calibration."""
    sides = sides_for(read_split(known, "four", 0, 0), recipe_of(), None)
    seen = set(seen_sides(sides)["cell_id"])
    assert seen == set(read_split(known, "four", 0, 0)["cell_id"]) - set(sides["test"]["cell_id"])
