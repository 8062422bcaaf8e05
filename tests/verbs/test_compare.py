import json
import shutil

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.evaluation.forecasting import forecasts

import leukoscope
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.records import shapes, tables

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def models(tmp_path):
    """Write the predictions of three tools for the same cells."""
    paths = []
    for name, sharpness in (("first", 1.0), ("second", 2.5), ("third", 1.1)):
        table = forecasts(2, purpose=name, sharpness=sharpness, n_cells=300, n_cases=20)
        table.drop("run_id", "family", "role").write_csv(tmp_path / f"{name}.csv")
        paths.append(tmp_path / f"{name}.csv")
    return paths


def test_each_other_model_is_held_against_the_first(models, tmp_path):
    """By their files' names; the better one is found; the tables are kept as they were."""
    out = tmp_path / "comparison"
    found = leukoscope.compare(*models, margin=0.02, out=out)
    assert found.baseline == "first"
    differences = found.results.filter(pl.col("baseline").is_not_null())
    assert set(differences["arm"]) == {"second", "third"}
    planned = differences.filter(metric="macro_f", view="strict", arm="second")
    planned = planned.filter(pl.col("method").str.starts_with("paired jackknife"))
    assert planned["low"].item() > 0
    for name in ("results", "confusion", "points", "guards"):
        shape = getattr(shapes, name.upper())
        again = tables.read_table(out / f"{name}.csv", shape)
        assert_frame_equal(again, getattr(found, name), check_exact=False)
    assert json.loads((out / "comparison.json").read_text())["margin"] == 0.02
    assert (out / "report.html").is_file()
    assert (out / "report.json").is_file()


def test_one_network_under_two_names_is_refused(finished, tmp_path):
    """Two runs with the same weights are one arm, whatever their folders are called."""
    twin = shutil.copytree(finished, tmp_path / "twin")
    with pytest.raises(DataError, match="same weights"):
        leukoscope.compare(finished, twin)


@pytest.mark.parametrize("margin", [0, 1, -0.01, float("nan")])
def test_a_margin_is_a_share_named_before(models, margin):
    """Between 0 and 1."""
    with pytest.raises(UsageError, match="margin"):
        leukoscope.compare(*models, margin=margin)


def test_two_sources_of_one_name_are_told_apart_or_refused(models, tmp_path):
    """By their folders; the same file twice is no comparison; one alone neither."""
    (tmp_path / "other").mkdir()
    twin = shutil.copy(models[1], tmp_path / "other" / "first.csv")
    found = leukoscope.compare(models[0], twin)
    assert set(found.results["arm"]) == {f"{tmp_path.name}/first", "other/first"}
    with pytest.raises(UsageError, match="same one twice"):
        leukoscope.compare(models[0], models[0])
    with pytest.raises(UsageError, match="at least one"):
        leukoscope.compare(models[0])


def test_nothing_is_overwritten(models, tmp_path):
    """What stands at --out is left as it is, and said before anything is computed."""
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(UsageError, match="left untouched"):
        leukoscope.compare(*models, out=tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"
