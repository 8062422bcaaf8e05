"""A study tested on a collection of its own, and what of the training may not be in it."""

import json
import shutil

import polars as pl
import pytest
from tests.training.folders import change_table, state_of

import leukoscope
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset
from leukoscope.replication import units
from leukoscope.replication.recipe import Unit

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    """Draw cells of other people, which nobody split."""
    out = tmp_path_factory.mktemp("clinic") / "cells"
    text = """
name: clinic
seed: 77
n_cases: 6
cells_per_case: 8
mix: {segmented: 1, band: 1, eosinophil: 1, lymphocyte: 1}
size_px: 40
overlap: 0.0
case_spread: 0.3
direction: none
noise_levels: 1.0
"""
    recipe = out.parent / "clinic.yaml"
    recipe.write_text(text)
    leukoscope.ingest("phantom", str(recipe), out=out)
    known = read_dataset(out).manifest
    renamed = pl.format("clinic-{}", "case").alias("case")
    change_table(out / "manifest.parquet", shapes.MANIFEST, renamed)
    assert known.height == 48
    return out


@pytest.fixture(scope="module")
def tested(cells, clinic, study_file, tmp_path_factory, one_thread):
    """Do the study with that test."""
    out = tmp_path_factory.mktemp("tested") / "study"
    leukoscope.study(str(study_file), data=cells, test=clinic, out=out, device="cpu")
    return out


def test_all_arms_are_tested_on_the_other_collection_and_only_there(tested, clinic):
    """Every cell of it, under its own case; none of the split's test."""
    names = set(read_dataset(clinic).manifest["cell_id"])
    for arm in ("none", "turned"):
        path = units.unit_folder(tested, Unit(arm, 1)) / "predictions.parquet"
        table = tables.read_table(path, shapes.PREDICTIONS)
        assert set(table["cell_id"]) == names
        assert table["case"].n_unique() == 6
        assert set(table["role"]) == {"new"}
    results = tables.read_table(tested / "results.parquet", shapes.RESULTS)
    assert set(results["n_cases"].drop_nulls()) <= {1, 6}


def test_the_report_names_the_collection(tested):
    """Whoever reads the answer sees on whose cells it stands."""
    assert "clinic" in (tested / "report.html").read_text()


def test_without_it_or_with_another_the_study_is_another(
    tested, cells, study_file, tmp_path, clinic
):
    """The folder is left untouched."""
    before = state_of(tested)
    with pytest.raises(UsageError, match="test collection"):
        leukoscope.study(str(study_file), data=cells, out=tested, device="cpu")
    other = shutil.copytree(clinic, tmp_path / "other")
    change_table(
        other / "manifest.parquet", shapes.MANIFEST, pl.format("x{}", "case").alias("case")
    )
    with pytest.raises(UsageError, match="test collection"):
        leukoscope.study(str(study_file), data=cells, test=other, out=tested, device="cpu")
    assert state_of(tested) == before


@pytest.mark.parametrize("shared", ["content", "case", "family"])
def test_a_collection_that_shares_a_picture_a_family_or_a_person_is_refused(
    shared, cells, clinic, study_file, tmp_path
):
    """One is enough, it is named, and nothing is begun."""
    other = shutil.copytree(clinic, tmp_path / "other")
    train = pl.read_parquet(cells / "splits.parquet").filter(split="train")
    known = read_dataset(cells).manifest.join(train, on="cell_id", how="semi")
    first = pl.col("cell_id") == read_dataset(other).manifest["cell_id"][5]
    planted = pl.when(first).then(pl.lit(known[shared][0])).otherwise(pl.col(shared)).alias(shared)
    change_table(other / "manifest.parquet", shapes.MANIFEST, planted)
    with pytest.raises(DataError, match="belong to cells, families or cases"):
        leukoscope.study(
            str(study_file), data=cells, test=other, out=tmp_path / "study", device="cpu"
        )
    assert not (tmp_path / "study").exists()


def test_no_name_of_a_person_is_in_what_may_be_passed_on(tested):
    """Pages, numbers and CSV tables of the study are searched for the clinic's cases."""
    passed_on = [
        path for end in ("csv", "html", "json", "yaml") for path in tested.glob(f"*.{end}")
    ]
    assert len(passed_on) >= 8
    for path in passed_on:
        assert "clinic-case" not in path.read_text(), path.name


def test_categories_the_model_cannot_answer_are_refused(cells, clinic, study_file, tmp_path):
    """The collection is named, and nothing is begun."""
    other = shutil.copytree(clinic, tmp_path / "other")
    card = json.loads((other / "dataset.json").read_text())
    card["categories"] = [*card["categories"], "blast"]
    (other / "dataset.json").write_text(json.dumps(card))
    first = pl.col("cell_id") == read_dataset(other).manifest["cell_id"][0]
    strange = pl.when(first).then(pl.lit("blast")).otherwise(pl.col("category")).alias("category")
    change_table(other / "manifest.parquet", shapes.MANIFEST, strange)
    with pytest.raises(DataError, match=r"test collection .* does not fit"):
        leukoscope.study(
            str(study_file), data=cells, test=other, out=tmp_path / "study", device="cpu"
        )
    assert not (tmp_path / "study").exists()
