"""Repeated cross-validation: a replicate is a repeat of the split, each cell called once in it."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.replication.conftest import STUDY
from tests.training.folders import change_table, state_of

import leukoscope
from leukoscope.evaluation.comparisons import study_table
from leukoscope.foundation.errors import DataError, RecipeError, RunError, UsageError
from leukoscope.models.folders import load_model
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.records.runs import read_model_card, replicates_of
from leukoscope.replication.folds import (
    fitting_the_folds,
    folds_of,
    joined_predictions,
    mean_history,
)
from leukoscope.replication.recipe import Unit, load_study
from leukoscope.replication.units import run_id_of, unit_folder

pytestmark = pytest.mark.usefixtures("one_thread")
ARMS, FOLDS = ("none", "turned"), (0, 1, 2)


@pytest.fixture(scope="module")
def folded(cells, tmp_path_factory):
    """Copy the cells with a second split: three folds, twice."""
    own = shutil.copytree(cells, tmp_path_factory.mktemp("folded") / "cells")
    leukoscope.split(own, folds=3, repeats=2, name="folds")
    return own


@pytest.fixture(scope="module")
def folds_file(tmp_path_factory):
    """Write the short study once over folds."""
    path = tmp_path_factory.mktemp("folds") / "folds.yaml"
    path.write_text(STUDY.replace("replicates: 2", "replicates: 2\nfolds: true"))
    return path


@pytest.fixture(scope="module")
def studied(folded, folds_file, tmp_path_factory, one_thread):
    """Do it once, undisturbed."""
    out = tmp_path_factory.mktemp("over-folds") / "study"
    leukoscope.study(str(folds_file), data=folded, out=out, split="folds", device="cpu")
    return out


def unit(study, arm, replicate, fold):
    """Name the folder of a unit."""
    return unit_folder(study, Unit(arm, replicate, fold=fold))


def test_each_cell_is_called_once_a_replicate_by_a_run_that_never_saw_it(studied, folded):
    """The tests of a replicate's folds are the dataset; each run saw none of its own test."""
    everything = sorted(read_dataset(folded).manifest["cell_id"])
    content = dict(read_dataset(folded).manifest.select("cell_id", "content").iter_rows())
    for replicate in range(2):
        called = []
        for fold in FOLDS:
            run = unit(studied, "turned", replicate, fold)
            own = tables.read_table(run / "predictions.parquet", shapes.PREDICTIONS)["cell_id"]
            seen = set(read_model_card(run / "model").seen.contents)
            assert not seen & {content[cell] for cell in own}
            called += own.to_list()
        assert sorted(called) == everything


def test_the_results_are_those_of_the_joined_predictions(studied):
    """The study's own comparison of tables put together by hand, a replicate from its folds."""
    predictions = {}
    for arm in ARMS:
        for replicate in range(2):
            parts = [
                pl.read_parquet(unit(studied, arm, replicate, fold) / "predictions.parquet")
                for fold in FOLDS
            ]
            whole = pl.concat(parts).with_columns(run_id=pl.lit("x")).sort("cell_id")
            predictions.setdefault(arm, {})[replicate] = whole
    kept = tables.read_table(studied / "results.parquet", shapes.RESULTS)
    mine = study_table("short", predictions, "none", "accuracy")
    assert_frame_equal(kept.head(mine.height), mine)
    assert kept.filter(metric="accuracy", arm="none")["n_cells"].max() == 120


def test_the_whole_training_side_is_trained_on_and_replicates_differ_by_seed_and_division(
    studied, folded
):
    """No cap: folds differ in their cells. Arms of a fold share start and cells."""
    known = read_dataset(folded)
    starts = {}
    for replicate in range(2):
        for fold in FOLDS:
            divided = read_split(known, "folds", replicate, fold)
            pool = divided.filter(split="train").height
            facts = [
                json.loads((unit(studied, arm, replicate, fold) / "done.json").read_text())
                for arm in ARMS
            ]
            assert [each["n_train"] for each in facts] == [pool, pool]
            (start,) = {each["starting_weights_digest"] for each in facts}
            starts[replicate, fold] = start
    # The seed is the replicate's: its folds start alike, another replicate elsewhere.
    assert len({starts[0, fold] for fold in FOLDS}) == 1
    assert starts[0, 0] != starts[1, 0]


def test_a_curve_is_the_mean_of_its_folds(studied):
    """Update by update, by an obvious loop."""
    curves = tables.read_table(studied / "curves.parquet", shapes.CURVES)
    own = curves.filter(arm="turned", replicate=1)
    histories = [pl.read_csv(unit(studied, "turned", 1, fold) / "history.csv") for fold in FOLDS]
    for row in own.iter_rows(named=True):
        at = [history.filter(update=row["update"])["train_loss"][0] for history in histories]
        assert row["train_loss"] == pytest.approx(np.mean(at))
    assert own["update"].to_list() == histories[0]["update"].to_list()


def test_the_composition_counts_each_cell_once_in_the_test(studied, folded):
    """All folds together; the page says so, and that intervals may be too narrow."""
    table = tables.read_table(studied / "composition.parquet", shapes.COMPOSITION)
    assert table.filter(split="test")["n_cells"].sum() == read_dataset(folded).manifest.height
    page = (studied / "report.html").read_text()
    assert "each cell once" in page
    assert "no unbiased variance of cross-validation exists" in page
    assert "are the same in every arm and replicate" not in page


def test_a_finished_study_is_only_reported_and_a_lost_unit_alone_is_done_again(
    studied, folded, folds_file, tmp_path
):
    """What is finished is derived from the folders; the tables come out the same."""
    out = shutil.copytree(studied, tmp_path / "study")
    words = {"data": folded, "out": out, "split": "folds", "device": "cpu"}
    lost = unit(out, "turned", 1, 2)
    shutil.rmtree(lost)
    before = state_of(out / "units")
    leukoscope.study(str(folds_file), **words)
    after = state_of(out / "units")
    assert {name: after[name] for name in before} == before
    assert {name.split("/")[0:3][0] for name in set(after) - set(before)} == {"turned"}
    assert all(name.startswith("turned/01/02/") for name in set(after) - set(before))
    for name in ("results.parquet", "curves.parquet", "confusion.parquet", "report.html"):
        assert (out / name).read_bytes() == (studied / name).read_bytes(), name


def test_an_arm_or_a_replicate_answers_as_an_ensemble_that_has_seen_all_of_it(studied, folded):
    """The arm's six runs in order; what any of them saw, the ensemble saw."""
    arm = studied / "units" / "none"
    wanted = [arm / f"{replicate:02d}" / f"{fold:02d}" for replicate in range(2) for fold in FOLDS]
    assert replicates_of(arm) == wanted
    assert replicates_of(arm / "01") == wanted[3:]
    network, card = load_model(arm)
    assert len(network.members) == 6
    assert set(card.seen.contents) == set(read_dataset(folded).manifest["content"])


def test_arms_that_started_apart_in_one_fold_are_not_compared(
    studied, folded, folds_file, tmp_path
):
    """A unit brought in from elsewhere is noticed by its start."""
    out = shutil.copytree(studied, tmp_path / "study")
    path = unit(out, "turned", 1, 2) / "done.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"starting_weights_digest": "0"}))
    with pytest.raises(RunError, match="replicate 1, fold 2, the arms none, turned did not start"):
        leukoscope.study(str(folds_file), data=folded, out=out, split="folds", device="cpu")


def test_a_plan_counts_the_folds(studied, folded, folds_file, tmp_path):
    """Two arms, two replicates, three folds; every cell is a test cell; nothing is written."""
    words = {"data": folded, "split": "folds", "device": "cpu", "dry_run": True}
    table = leukoscope.study(str(folds_file), out=tmp_path / "s", **words)
    seen = dict(table.select("quantity", "value").iter_rows())
    assert (seen["units"], seen["folds"], seen["test cells"]) == (12, 3, 120)
    assert not (tmp_path / "s").exists()
    again = leukoscope.study(str(folds_file), out=studied, **words)
    assert dict(again.select("quantity", "value").iter_rows())["updates"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "folds", "replicates": 3}, "2 repeats of 3 folds"),
        ({}, "1 repeats of 1 folds"),
        ({"split": "folds", "test": True}, "Leave --test out"),
        ({"split": "nowhere"}, "nowhere"),
    ],
)
def test_a_split_without_these_folds_is_refused_before_anything(
    folded, folds_file, tmp_path, options, said
):
    """Fewer repeats than replicates, a hold-out, a separate test, no such split."""
    options = {name: folded if value is True else value for name, value in options.items()}
    for dry_run in (True, False):
        with pytest.raises(UsageError, match=said):
            leukoscope.study(
                *(str(folds_file),), data=folded, out=tmp_path / "s", dry_run=dry_run, **options
            )
    assert not (tmp_path / "s").exists()


def test_folds_that_test_a_cell_twice_or_never_are_refused(folded, folds_file, tmp_path):
    """A split from elsewhere: one group moved into the test of a second fold."""
    own = shutil.copytree(folded, tmp_path / "cells")
    divided = read_split(read_dataset(own), "folds", 1, 0)
    case = divided.filter(split="train")["case"][0]
    moved = divided.filter(case=case)["cell_id"].to_list()
    there = pl.col("cell_id").is_in(moved) & (pl.col("repeat") == 1) & (pl.col("fold") == 0)
    change = pl.when(there).then(pl.lit("test")).otherwise(pl.col("split")).alias("split")
    change_table(own / "splits-folds.parquet", shapes.SPLITS, change)
    study = load_study(str(folds_file))
    training = study.training.model_copy(update={"split": "folds"})
    study = study.model_copy(update={"training": training})
    with pytest.raises(DataError, match=f"test {len(moved)} cells not once"):
        folds_of(study, read_dataset(own), None)


def test_a_fold_stated_beside_folds_is_refused(folds_file, tmp_path):
    """The study takes them all."""
    path = tmp_path / "odd.yaml"
    path.write_text(folds_file.read_text() + "  fold: 1\n")
    with pytest.raises(RecipeError, match="takes every fold"):
        load_study(str(path))


@pytest.mark.parametrize(
    ("wanted", "times", "fitted"),
    [(None, 1, None), (40, 1, 40), (90, 1, 60), (None, 2, 30), (25, 2, 25), (40, 2, 30)],
)
def test_the_largest_arm_fits_into_the_smallest_fold(folds_file, wanted, times, fitted):
    """Sixty cells in the smallest training side; the whole side is a draw of no number."""
    study = load_study(str(folds_file))
    arm = study.arms["turned"].model_copy(update={"times_originals": float(times)})
    training = study.training.model_copy(update={"train_cells": wanted})
    study = study.model_copy(update={"training": training, "arms": study.arms | {"turned": arm}})
    assert fitting_the_folds(study, 60).training.train_cells == fitted


def test_joined_predictions_hold_each_cell_once_and_one_unit():
    """A cell called in two folds is refused; cases forgotten in one fold are forgotten in all."""
    part = pl.DataFrame(
        {"run_id": ["a"] * 2, "cell_id": ["1", "2"], "category": ["x", "y"]}
        | {"predicted": ["x", "x"], "case": ["p", "q"], "family": ["f", "g"]}
    )
    other = part.with_columns(cell_id=pl.col("cell_id") + "0")
    whole = joined_predictions([part, other], "s/a/00")
    assert whole["cell_id"].to_list() == ["1", "10", "2", "20"]
    assert whole["run_id"].unique().to_list() == ["s/a/00"]
    assert whole["case"].null_count() == 0
    unknown = other.with_columns(case=pl.lit(None, dtype=pl.String))
    assert joined_predictions([part, unknown], "s/a/00")["case"].null_count() == 4
    with pytest.raises(DataError, match="2 cells of s/a/00 were called in two folds"):
        joined_predictions([part, part], "s/a/00")


def test_the_mean_of_one_history_is_that_history():
    """Whatever the order of its rows."""
    history = pl.DataFrame({"update": [2, 4], "rounds": [0.5, 1.0], "train_loss": [1.0, 0.5]})
    assert_frame_equal(mean_history([history.reverse(), history]), history)


def test_names_of_units_tell_replicate_and_fold(folds_file):
    """Units differ in their names and folders; the first of all arms comes first."""
    study = load_study(str(folds_file))
    units = study.units(FOLDS)
    assert len({run_id_of(study, each) for each in units}) == len(units) == 12
    assert [(each.arm, each.replicate, each.fold) for each in units[:3]] == [
        ("none", 0, 0),
        ("turned", 0, 0),
        ("none", 0, 1),
    ]
