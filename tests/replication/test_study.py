import json
import shutil
import signal

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.cli.command import Process
from tests.training.folders import change_table, contents, state_of

import leukoscope
from leukoscope.evaluation.comparisons import study_table
from leukoscope.evaluation.convergence import convergence_table
from leukoscope.foundation.errors import DataError, RunError, UsageError
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.records.runs import read_model_card
from leukoscope.replication import units
from leukoscope.replication.recipe import Unit
from leukoscope.training import run

pytestmark = pytest.mark.usefixtures("one_thread")
ARMS = ("none", "turned")


def unit_folder(study, arm, replicate):
    """Name the folder of a unit of the first analysis."""
    return units.unit_folder(study, Unit(arm, replicate))


@pytest.fixture(scope="module")
def studied(cells, study_file, tmp_path_factory, one_thread):
    """Do the study once, undisturbed."""
    out = tmp_path_factory.mktemp("studied") / "study"
    leukoscope.study(str(study_file), data=cells, out=out, device="cpu")
    return out


def done(study, arm, replicate):
    """Read what a unit says of itself."""
    return json.loads((unit_folder(study, arm, replicate) / "done.json").read_text())


def seen_cells(study, arm, replicate):
    """Give the contents a unit was trained and chosen on."""
    return read_model_card(unit_folder(study, arm, replicate) / "model").seen.contents


def test_arms_share_start_cells_and_updates_and_replicates_share_neither(studied):
    """Within a replicate only the augmentation differs; between replicates start and cells do."""
    starts = []
    for replicate in range(2):
        facts = [done(studied, arm, replicate) for arm in ARMS]
        assert facts[0]["starting_weights_digest"] == facts[1]["starting_weights_digest"]
        assert facts[0]["updates"] == facts[1]["updates"] == 4
        assert seen_cells(studied, "none", replicate) == seen_cells(studied, "turned", replicate)
        starts.append(facts[0]["starting_weights_digest"])
    assert starts[0] != starts[1]
    assert seen_cells(studied, "none", 0) != seen_cells(studied, "none", 1)


def test_no_replicate_draws_the_whole_pool(studied, cells):
    """Four fifths at most, else the replicates would share their cells; the recipe says so."""
    divided = read_split(read_dataset(cells), "splits", 0, 0)
    pool = divided.filter(pl.col("split") == "train").height
    for replicate in range(2):
        assert done(studied, "none", replicate)["n_train"] == int(0.8 * pool)
    assert f"train_cells: {int(0.8 * pool)}" in (studied / "study.yaml").read_text()


def test_the_tables_follow_from_the_units(studied):
    """Results recomputed from the predictions; the CSV tells the same as the Parquet."""
    predictions = {
        arm: {
            r: tables.read_table(
                unit_folder(studied, arm, r) / "predictions.parquet", shapes.PREDICTIONS
            )
            for r in range(2)
        }
        for arm in ARMS
    }
    kept = tables.read_table(studied / "results.parquet", shapes.RESULTS)
    curves = tables.read_table(studied / "curves.parquet", shapes.CURVES)
    mine = [study_table("short", predictions, "none", "accuracy"), convergence_table(curves)]
    assert_frame_equal(kept, pl.concat(mine))
    assert_frame_equal(kept, tables.read_table(studied / "results.csv", shapes.RESULTS))
    confusion = tables.read_table(studied / "confusion.parquet", shapes.CONFUSION)
    assert_frame_equal(confusion, tables.read_table(studied / "confusion.csv", shapes.CONFUSION))


def test_the_composition_counts_the_dataset(studied, cells):
    """Cells, families and cases of each category on each side."""
    table = tables.read_table(studied / "composition.parquet", shapes.COMPOSITION)
    assert table["n_cells"].sum() == read_dataset(cells).manifest.height
    assert table["n_cases"].max() <= 15
    assert (studied / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_a_finished_study_is_only_reported(studied, cells, study_file):
    """No unit is touched, and the same report comes out."""
    units = state_of(studied / "units")
    report = (studied / "report.html").read_bytes()
    leukoscope.study(str(study_file), data=cells, out=studied, device="cpu")
    assert state_of(studied / "units") == units
    assert (studied / "report.html").read_bytes() == report


def test_a_killed_study_does_the_rest_and_only_the_rest(cells, study_file, tmp_path, studied):
    """Killed in its second and its last unit; what was finished before keeps its times."""
    words = ["study", study_file, "--data", cells, "--out", tmp_path / "study", "--device", "cpu"]
    first_unit = unit_folder(tmp_path / "study", "none", 0)
    # The study's three records and its folder; a unit writes five times, then eight more.
    killed = Process(words, tmp_path, killed_at_write=25).wait()
    assert killed.code == -signal.SIGKILL
    assert (first_unit / "done.json").exists()
    assert not (tmp_path / "study" / "results.parquet").exists()
    before = state_of(first_unit)
    assert Process(words, tmp_path).wait().code == 0
    assert state_of(first_unit) == before
    for arm in ARMS:
        for replicate in range(2):
            mine = unit_folder(tmp_path / "study", arm, replicate)
            assert contents(mine) == contents(unit_folder(studied, arm, replicate))
    for name in ("results.parquet", "confusion.parquet", "study.yaml", "report.html"):
        assert (tmp_path / "study" / name).read_bytes() == (studied / name).read_bytes(), name


@pytest.mark.parametrize("options", [{"seed": 4}, {"replicates": 3}, {"updates": 5}])
def test_other_options_on_the_same_folder_are_refused(studied, cells, study_file, options):
    """Nothing is touched."""
    before = state_of(studied)
    with pytest.raises(UsageError, match="holds a study with another recipe"):
        leukoscope.study(str(study_file), data=cells, out=studied, device="cpu", **options)
    assert state_of(studied) == before


def test_another_dataset_on_the_same_folder_is_refused(studied, cells, study_file, tmp_path):
    """Cells with other cases are other data."""
    own = shutil.copytree(cells, tmp_path / "cells")
    change_table(own / "manifest.parquet", shapes.MANIFEST, pl.col("case") + "x")
    before = state_of(studied)
    with pytest.raises(UsageError, match="holds a study with another dataset"):
        leukoscope.study(str(study_file), data=own, out=studied, device="cpu")
    assert state_of(studied) == before


def test_a_folder_that_holds_anything_else_is_refused(cells, study_file, tmp_path):
    """Nothing is touched."""
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="already exists and is not empty"):
        leukoscope.study(str(study_file), data=cells, out=tmp_path, device="cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_split_without_test_is_refused_before_any_training(cells, study_file, tmp_path):
    """Nothing would be compared in the end."""
    own = shutil.copytree(cells, tmp_path / "cells")
    column = pl.col("split").replace({"test": "validation"})
    change_table(own / "splits.parquet", shapes.SPLITS, column)
    with pytest.raises(DataError, match="no test cells"):
        leukoscope.study(str(study_file), data=own, out=tmp_path / "study", device="cpu")
    assert not (tmp_path / "study").exists()


def test_arms_that_started_apart_are_not_compared(studied, cells, study_file, tmp_path):
    """A unit brought in from elsewhere is noticed by its start."""
    out = shutil.copytree(studied, tmp_path / "study")
    path = unit_folder(out, "turned", 1) / "done.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"starting_weights_digest": "0"}))
    with pytest.raises(RunError, match="replicate 1 the arms none, turned did not start"):
        leukoscope.study(str(study_file), data=cells, out=out, device="cpu")


def test_arms_that_share_one_network_object_are_not_compared(
    cells, study_file, tmp_path, monkeypatch
):
    """The planted fault of a published study: each arm goes on training the network of the last."""
    first, original = {}, run._starting_network

    def shared(dataset, recipe, weights):
        network = first.setdefault(recipe.seed, original(dataset, recipe, weights)[0])
        return network, run.weights_digest(network)

    monkeypatch.setattr(run, "_starting_network", shared)
    with pytest.raises(RunError, match="replicate 0 the arms none, turned did not start"):
        leukoscope.study(str(study_file), data=cells, out=tmp_path / "study", device="cpu")


def test_an_unfinished_study_has_no_report(studied, tmp_path):
    """The sentence says so."""
    out = shutil.copytree(studied, tmp_path / "study")
    (out / "results.parquet").unlink()
    with pytest.raises(DataError):
        leukoscope.report(out)


def test_units_of_another_split_are_not_paired(cells, study_file, studied, tmp_path):
    """A split changed between units is refused, though its file has the same name."""
    own = shutil.copytree(cells, tmp_path / "cells")
    out = shutil.copytree(studied, tmp_path / "study")
    divided = read_split(read_dataset(own), "splits", 0, 0)
    cell = divided.select("cell_id", "case", "split")
    one, other = (cell.filter(split=side)["case"][0] for side in ("train", "validation"))
    sides = {
        **dict.fromkeys(cell.filter(case=one)["cell_id"], "validation"),
        **dict.fromkeys(cell.filter(case=other)["cell_id"], "train"),
    }
    swapped = pl.col("cell_id").replace_strict(sides, default=None).fill_null(pl.col("split"))
    change_table(own / "splits.parquet", shapes.SPLITS, swapped.alias("split"))
    shutil.rmtree(unit_folder(out, "turned", 1))
    with pytest.raises(UsageError, match="left untouched"):
        leukoscope.study(str(study_file), data=own, out=out, device="cpu")
    assert not unit_folder(out, "turned", 1).exists()


def test_what_the_first_unit_would_refuse_leaves_no_folder(cells, study_file, tmp_path):
    """A split without validation: nothing stands in the way of the mended one."""
    own = shutil.copytree(cells, tmp_path / "cells")
    column = pl.col("split").replace({"validation": "train"})
    change_table(own / "splits.parquet", shapes.SPLITS, column)
    for dry_run in (True, False):
        with pytest.raises(DataError, match="no cells in validation"):
            leukoscope.study(
                str(study_file), data=own, out=tmp_path / "study", device="cpu", dry_run=dry_run
            )
    assert not (tmp_path / "study").exists()


def test_a_study_of_the_earlier_version_is_taken_up(studied, cells, study_file, tmp_path):
    """Its recipes lack the new keys and it lacks the new tables: only these are made."""
    out = shutil.copytree(studied, tmp_path / "study")
    for path in (out / "study.yaml", *out.glob("units/*/*/recipe.yaml")):
        lines = path.read_text().splitlines(keepends=True)
        new = ("copies:", "times_originals:", "equal_epochs:")
        path.write_text("".join(line for line in lines if not line.strip().startswith(new)))
    facts = json.loads((out / "dataset.json").read_text())
    (out / "dataset.json").write_text(json.dumps(facts | {"recipe_id": "before"}))
    for name in ("curves", "missed", "pictures"):
        (out / f"{name}.parquet").unlink()
    units_before = state_of(out / "units")
    leukoscope.study(str(study_file), data=cells, out=out, device="cpu")
    assert state_of(out / "units") == units_before
    for name in ("results.parquet", "curves.parquet", "missed.parquet", "report.json"):
        assert (out / name).read_bytes() == (studied / name).read_bytes(), name
