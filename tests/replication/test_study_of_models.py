"""A study whose arms are networks and classical models, from random weights and from given ones."""

import json

import polars as pl
import pytest
import yaml
from tests.replication.conftest import STUDY
from tests.replication.weighed import write_weights
from tests.training.folders import state_of

import leukoscope
from leukoscope.foundation.errors import DataError, RunError, UsageError
from leukoscope.records import shapes, tables
from leukoscope.replication.recipe import StudyRecipe, Unit
from leukoscope.replication.units import unit_folder

pytestmark = pytest.mark.usefixtures("one_thread")

ARMS = """
network: {description: a network}
other: {description: another rate, training: {learning_rate: 0.01}}
lenet: {description: a paper's network, training: {model: lenet, batch_size: 4}}
pixels:
  description: logistic regression on pixels
  training: {model: pixels, preprocessing: {size_px: 8}, classifier: {kind: logistic}}
frozen:
  description: the nearest cells by the features of a frozen network
  training: {classifier: {kind: knn, neighbours: 3}}
  weights: test_resnet
head:
  description: the head of a frozen network
  training: {frozen_groups: all-but-head}
  weights: test_resnet
"""
CLASSICAL = """
network:
  description: logistic regression
  training: &pixels {model: pixels, preprocessing: {size_px: 8}, classifier: {kind: logistic}}
pixels:
  description: nearest neighbours
  training: {<<: *pixels, classifier: {kind: knn, neighbours: 3}}
"""


def written(folder, arms, **changes):
    """Write the short study with other arms."""
    value = yaml.safe_load(STUDY) | {"arms": yaml.safe_load(arms), "baseline": "network"} | changes
    path = folder / "models.yaml"
    path.write_text(yaml.safe_dump(value))
    return path


@pytest.fixture(scope="module")
def options(cells, tmp_path_factory, one_thread):
    """Give the study's file, its data and the folder of its weights."""
    folder = tmp_path_factory.mktemp("models")
    write_weights(folder / "weights")
    file = written(folder, ARMS, replicates=1)
    return {"study": str(file), "data": cells, "weights": folder / "weights", "device": "cpu"}


@pytest.fixture(scope="module")
def studied(options, tmp_path_factory):
    """Do it once."""
    out = tmp_path_factory.mktemp("studied") / "study"
    leukoscope.study(**options, out=out)
    return out


def test_every_kind_of_arm_is_trained_scored_and_told(studied):
    """Networks and classical models alike; the page says what each arm has of its own."""
    results = tables.read_table(studied / "results.parquet", shapes.RESULTS)
    scored = results.filter(pl.col("metric") == "accuracy", pl.col("baseline").is_null())
    assert set(scored["arm"]) == set(yaml.safe_load(ARMS))
    page = (studied / "report.html").read_text()
    for words in ("Arm lenet", "kind knn, neighbours 3", "starting weights: test_resnet.a"):
        assert words in page
    assert "updates in every arm but the classical ones" in page


def test_only_arms_that_do_updates_have_curves(studied):
    """A classical model is fitted in one go: no row, no panel, no convergence."""
    curves = tables.read_table(studied / "curves.parquet", shapes.CURVES)
    assert set(curves["arm"]) == {"network", "other", "lenet", "head"}
    told = json.loads((studied / "report.json").read_text())["convergence"]
    assert set(told) == set(curves["arm"])


def test_the_study_tells_where_each_arm_started(studied):
    """Its own record names the weights by digest; arms of one network started alike."""
    stored = StudyRecipe.from_yaml(studied / "study.yaml")
    origins = {name: arm.origin.name for name, arm in stored.arms.items() if arm.origin}
    assert origins == {"frozen": "test_resnet.a", "head": "test_resnet.a"}

    def start(arm):
        done = json.loads((unit_folder(studied, Unit(arm, 0)) / "done.json").read_text())
        return done["starting_weights_digest"]

    assert start("network") == start("other") != start("head")


def test_a_finished_one_is_only_reported_and_other_weights_are_another_study(
    studied, options, tmp_path
):
    """No unit is touched either way."""
    before = state_of(studied / "units")
    leukoscope.study(**options, out=studied)
    other = write_weights(tmp_path / "weights", seed=8).parent
    with pytest.raises(UsageError, match="another recipe"):
        leukoscope.study(**options | {"weights": other}, out=studied)
    assert state_of(studied / "units") == before


def test_arms_of_one_network_that_started_apart_are_not_compared(studied, options):
    """A start brought in from elsewhere is noticed, and the other networks are left out of it."""
    path = unit_folder(studied, Unit("other", 0)) / "done.json"
    kept = path.read_text()
    path.write_text(json.dumps(json.loads(kept) | {"starting_weights_digest": "0"}))
    with pytest.raises(RunError, match="replicate 0 the arms network, other did not start"):
        leukoscope.study(**options, out=studied)
    path.write_text(kept)
    leukoscope.study(**options, out=studied)


def test_a_study_without_networks_has_a_report_without_curves(cells, tmp_path):
    """No updates, no curves section; the answer stands."""
    file = written(tmp_path, CLASSICAL, replicates=2)
    report = leukoscope.study(str(file), data=cells, out=tmp_path / "study", device="cpu")
    assert 'id="curves"' not in report.read_text()
    assert tables.read_table(tmp_path / "study" / "curves.parquet", shapes.CURVES).is_empty()
    with pytest.raises(UsageError, match="--updates 9 would change nothing"):
        leukoscope.study(str(file), data=cells, out=tmp_path / "other", updates=9)


def test_a_plan_times_each_network_and_counts_updates_of_those_that_do_any(options, tmp_path):
    """Four arms of four updates; arms of the same kind of update share a time."""
    table = leukoscope.study(**options, out=tmp_path / "study", dry_run=True)
    seen = dict(table.select("quantity", "value").rows())
    assert (seen["units"], seen["updates"]) == (6, 16)
    assert seen["time of an update, network"] == seen["time of an update, other"] > 0
    assert seen["time of an update, lenet"] > 0
    assert "time of an update, pixels" not in seen
    assert not (tmp_path / "study").exists()


def test_weights_that_are_missing_stop_a_plan_too(options, tmp_path):
    """The names are said."""
    with pytest.raises(DataError, match="The arms frozen, head start from the weights"):
        leukoscope.study(**options | {"weights": None}, out=tmp_path / "study", dry_run=True)


def shrunk(folder, name):
    """Write a shipped study with sizes, batches and updates fit for a test."""
    value = yaml.safe_load(leukoscope.catalogue("studies", name))
    value["training"] |= {"batch_size": 2, "updates": 4, "validate_every": 2}
    for arm in value["arms"].values():
        own = arm.get("training", {})
        if own.get("model") == "resnet50":
            own["model"] = "test_resnet"
        if own.get("preprocessing", {}).get("size_px", 0) > 64:
            own["preprocessing"]["size_px"] //= 5
        if "batch_size" in own:
            own["batch_size"] //= 10
    path = folder / "shrunk.yaml"
    path.write_text(yaml.safe_dump(value))
    return str(path)


@pytest.mark.parametrize(
    ("name", "network", "options"),
    [
        ("size-batch", None, {"model": "test_resnet"}),
        ("pretraining-size", "test_resnet", {}),
        ("models", "mobilenetv2_100", {"model": "test_resnet", "size_px": 32}),
    ],
)
def test_the_shipped_studies_of_models_can_be_planned(cells, tmp_path, name, network, options):
    """On drawn cells, at a fraction of their sizes; each finds its weights and its networks."""
    if network:
        options = options | {"weights": write_weights(tmp_path, model=network)}
    study = shrunk(tmp_path, name)
    out = tmp_path / "study"
    table = leukoscope.study(study, data=cells, out=out, device="cpu", dry_run=True, **options)
    arms = yaml.safe_load(leukoscope.catalogue("studies", name))["arms"]
    assert table.filter(quantity="units")["value"].item() == 8 * len(arms)
