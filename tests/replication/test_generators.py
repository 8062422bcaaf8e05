"""A study with generated cells: a generator a replicate, and arms that differ in nothing else."""

import json
import shutil

import polars as pl
import pytest
import yaml
from tests.replication.conftest import STUDY
from tests.training.folders import contents, state_of

import leukoscope
from leukoscope.foundation.errors import DataError, RecipeError, RunError, UsageError
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.records.generators import read_generator
from leukoscope.records.judged import MEMORISED, read_judged
from leukoscope.records.lineage import is_generated
from leukoscope.records.runs import read_model_card
from leukoscope.replication import generators
from leukoscope.replication.generators import generator_folder, needed, run_folder
from leukoscope.replication.recipe import Unit, load_study
from leukoscope.replication.units import unit_folder

pytestmark = pytest.mark.usefixtures("one_thread")

ARMS = """
  generated: {description: and half as many generated, generated: 0.5}
  more: {description: and as many generated, generated: 1}
  alone: {description: generated ones alone, generated: 1, originals: false}
"""
GENERATOR = """
generator:
  recipe: small
  name: tiny
  members: shared
  size_px: 16
  generator_width: 4
  critic_width: 4
  latent: 8
  batch_size: 8
  updates: 4
  validate_every: 2
"""
CELLS = """
name: two
seed: 5
n_cases: 20
cells_per_case: 8
mix: {segmented: 1, lymphocyte: 1}
size_px: 32
overlap: 0.0
case_spread: 0.3
direction: none
noise_levels: 1.0
"""


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Draw 160 cells of two categories and twenty cases; half of the held-out ones judge."""
    folder = tmp_path_factory.mktemp("few")
    (folder / "two.yaml").write_text(CELLS)
    dataset = leukoscope.ingest("phantom", str(folder / "two.yaml"), out=folder / "cells")
    leukoscope.split(dataset, validation_share=0.4)
    leukoscope.split(dataset, folds=3, repeats=2, name="folds")
    return dataset


def write_study(folder, *, folds=False):
    """Write the short study with generated arms."""
    # Over folds two arms will do: each is trained six times.
    arms = ARMS.strip("\n").splitlines()[1:2] if folds else ARMS.strip("\n").splitlines()
    text = STUDY.replace("replicates: 2", "\n".join([*arms, "replicates: 2"]) + GENERATOR)
    path = folder / "generated.yaml"
    path.write_text(text + ("folds: true\n" if folds else ""))
    return path


@pytest.fixture(scope="module")
def study_file(tmp_path_factory):
    """Write it for one division."""
    return write_study(tmp_path_factory.mktemp("generated"))


@pytest.fixture(scope="module")
def studied(few, study_file, tmp_path_factory, one_thread):
    """Do it once, undisturbed."""
    out = tmp_path_factory.mktemp("studied") / "study"
    leukoscope.study(str(study_file), data=few, out=out, device="cpu")
    return out


def unit(study, arm, replicate):
    """Name the folder of a unit."""
    return unit_folder(study, Unit(arm, replicate))


def done(study, arm, replicate):
    """Read what a unit says of itself."""
    return json.loads((unit(study, arm, replicate) / "done.json").read_text())


def test_a_generator_learns_from_the_cells_of_its_replicate_and_from_no_others(studied, few):
    """Those of the plain arm's draw; what stops and judges is validation; the test is unseen."""
    divided = read_split(read_dataset(few), "splits", 0, 0)
    side = {name: set(divided.filter(split=name)["content"]) for name in ("validation", "test")}
    fitted = []
    for replicate in range(2):
        card = read_generator(run_folder(studied, (replicate, None)))
        plain = read_model_card(unit(studied, "none", replicate) / "model").seen.contents
        assert set(card.fit.contents) == set(plain) - side["validation"]
        assert {*card.stop.contents, *card.judge.contents} == side["validation"]
        assert not {*card.fit.contents, *plain} & side["test"]
        fitted.append(set(card.fit.contents))
    assert fitted[0] != fitted[1]


def test_arms_differ_in_their_generated_cells_and_in_nothing_else(studied):
    """Equal starts, updates and drawn cells; the generated ones are counted by the drawn ones."""
    for replicate in range(2):
        plain = done(studied, "none", replicate)
        made = {arm: done(studied, arm, replicate) for arm in ("generated", "more", "alone")}
        n_drawn = plain["n_train"]
        assert "n_generated" not in plain
        assert abs(made["generated"]["n_generated"] - 0.5 * n_drawn) <= 1
        assert made["more"]["n_generated"] == made["alone"]["n_generated"] == n_drawn
        assert made["more"]["n_train"] == 2 * n_drawn
        assert made["alone"]["n_train"] == n_drawn
        for each in made.values():
            assert each["starting_weights_digest"] == plain["starting_weights_digest"]
            assert each["updates"] == plain["updates"] == 4
        for name in ("n_validation", "n_test"):
            assert {each[name] for each in (plain, *made.values())} == {plain[name]}


def test_flagged_cells_reach_no_arm(studied):
    """What the combined dataset holds is the sample without what its judgement flagged."""
    for replicate in range(2):
        folder = generator_folder(studied, (replicate, None))
        sample = read_dataset(folder / json.loads((folder / "used.json").read_text())["sample"])
        flagged = set(read_judged(sample).filter(check=MEMORISED)["cell_id"])
        held = set(read_dataset(folder / "combined").manifest.filter(is_generated())["cell_id"])
        assert held == set(sample.manifest["cell_id"]) - flagged


def test_the_table_of_generators_is_that_of_their_judgements(studied):
    """A row a replicate, with what the sample's findings and the judgement's results say."""
    table = tables.read_table(studied / "generators.parquet", shapes.GENERATORS)
    assert table["replicate"].to_list() == [0, 1]
    for row in table.iter_rows(named=True):
        place = (row["replicate"], None)
        folder = generator_folder(studied, place)
        name = json.loads((folder / "used.json").read_text())["sample"]
        results = pl.read_parquet(folder / name.replace("sample", "judgement") / "results.parquet")
        own = results.filter(pl.col("category").is_null())
        for metric in ("kid", "precision", "recall"):
            for arm, column in (("generated", metric), ("real", f"{metric}_real")):
                (value,) = own.filter(metric=metric, arm=arm)["value"]
                assert row[column] == pytest.approx(value)
        assert row["n_fit"] == done(studied, "none", row["replicate"])["n_train"]
        assert row["n_sampled"] == read_dataset(folder / name).manifest.height
    assert (studied / "generators.csv").is_file()


def test_the_page_shows_the_generators_and_what_they_drew(studied):
    """A section of its own; its pictures only where pictures are shown."""
    page = (studied / "report.html").read_text()
    assert "How the generators were judged" in page
    assert "The first cells of each category that the first generator drew" in page
    assert "1 generated cells for each drawn one, and no cell as it was taken" in page
    pictures = tables.read_table(studied / "pictures.parquet", shapes.PICTURES)
    counts = dict(pictures.filter(kind="generated").group_by("category").len().iter_rows())
    assert counts == {"segmented": 4, "lymphocyte": 4}
    assert "alone" not in set(pictures.filter(kind="seen")["arm"])
    hidden = leukoscope.report(studied, pictures=False).read_text()
    assert "How the generators were judged" in hidden
    assert "data:image" not in hidden
    leukoscope.report(studied)


def test_a_finished_study_is_only_reported(studied, few, study_file):
    """Neither unit nor generator is touched, and the same report comes out."""
    before = state_of(studied / "units") | state_of(studied / "generators")
    report = (studied / "report.html").read_bytes()
    leukoscope.study(str(study_file), data=few, out=studied, device="cpu")
    assert state_of(studied / "units") | state_of(studied / "generators") == before
    assert (studied / "report.html").read_bytes() == report


@pytest.mark.parametrize("lost", ["used.json", "judgement-1", "run-01"])
def test_what_is_lost_of_a_generator_is_made_again_the_same(
    studied, few, study_file, tmp_path, lost
):
    """From any step on: the arms that follow are the same to the byte."""
    out = shutil.copytree(studied, tmp_path / "study")
    steps = ["run-01", "sample-1", "judgement-1", "combined", "used.json"]
    folder = generator_folder(out, (1, None))
    for name in steps[steps.index(lost) :]:
        path = folder / name
        path.unlink() if path.is_file() else shutil.rmtree(path)
    shutil.rmtree(unit(out, "alone", 1))
    leukoscope.study(str(study_file), data=few, out=out, device="cpu")
    assert contents(unit(out, "alone", 1)) == contents(unit(studied, "alone", 1))
    assert (out / "results.parquet").read_bytes() == (studied / "results.parquet").read_bytes()
    assert (out / "generators.csv").read_bytes() == (studied / "generators.csv").read_bytes()


def test_a_study_over_folds_fits_a_generator_in_each(few, tmp_path):
    """Six generators; no run has seen, itself or through a generator, a cell of its test."""
    path = write_study(tmp_path, folds=True)
    out = tmp_path / "study"
    leukoscope.study(str(path), data=few, out=out, split="folds", device="cpu")
    table = tables.read_table(out / "generators.parquet", shapes.GENERATORS)
    assert table.select("replicate", "fold").rows() == [(r, f) for r in range(2) for f in range(3)]
    known = read_dataset(few)
    for replicate in range(2):
        for fold in range(3):
            divided = read_split(known, "folds", replicate, fold)
            test = set(divided.filter(split="test")["content"])
            card = read_generator(run_folder(out, (replicate, fold)))
            assert set(card.fit.contents) == set(divided.filter(split="train")["content"])
            run = unit_folder(out, Unit("more", replicate, fold=fold))
            assert not test & set(read_model_card(run / "model").seen.contents)
            calls = pl.read_parquet(run / "predictions.parquet")
            assert calls.height == divided.filter(split="test").height
    assert "one fit a replicate and fold" in (out / "report.html").read_text()


def test_needs_are_counted_by_the_draw_of_each_arm(few, study_file):
    """Of a category as many as the hungriest arm's draw times its ratio."""
    study = load_study(str(study_file))
    training = study.training.model_copy(update={"train_cells": 30})
    arms = dict(study.arms)
    arms["generated"] = arms["generated"].model_copy(update={"times_originals": 2.0})
    arms["more"] = arms["more"].model_copy(update={"generated": 0.1})
    arms["alone"] = arms["alone"].model_copy(update={"generated": 0.1})
    study = study.model_copy(update={"training": training, "arms": arms})
    divided = read_split(read_dataset(few), "splits", 0, 0)
    found = needed(study, divided, (0, None))
    assert 30 <= sum(found.values()) <= 32
    assert set(found) == {"segmented", "lymphocyte"}


def test_more_is_sampled_where_cells_are_flagged_and_too_few_are_refused_with_numbers(
    studied, few, study_file, tmp_path, monkeypatch
):
    """Reserves that cannot do are passed by; the last one too leaves the numbers in the error."""
    out = shutil.copytree(studied, tmp_path / "study")
    folder = generator_folder(out, (1, None))
    for name in ("used.json", "combined", "sample-1", "judgement-1"):
        path = folder / name
        path.unlink() if path.is_file() else shutil.rmtree(path)
    monkeypatch.setattr(generators, "RESERVE", (0.25, 0.5))
    with pytest.raises(RunError, match=r"too few cells of its own.*segmented \d+ of \d+") as seen:
        leukoscope.study(str(study_file), data=few, out=out, device="cpu")
    assert "What is finished stands" in str(seen.value)
    for name in ("sample-1", "judgement-1", "sample-2", "judgement-2"):
        shutil.rmtree(folder / name)
    for arm in ("none", "turned", "generated", "more", "alone"):
        shutil.rmtree(unit(out, arm, 1))
    monkeypatch.setattr(generators, "RESERVE", (0.25, 5.0))
    leukoscope.study(str(study_file), data=few, out=out, device="cpu")
    used = json.loads((folder / "used.json").read_text())
    assert used["sample"] == "sample-2"
    left = generators.usable(folder / "sample-2")
    assert all(left[category] >= n for category, n in used["needed"].items())
    assert done(out, "more", 1)["n_generated"] == done(out, "none", 1)["n_train"]


def test_other_features_are_another_study(studied, few, study_file, finished):
    """What stops and judges a generator is part of what was begun."""
    before = state_of(studied)
    with pytest.raises(UsageError, match="generators judged by"):
        leukoscope.study(str(study_file), data=few, out=studied, device="cpu", features=finished)
    assert state_of(studied) == before


def test_a_plan_counts_the_generators_and_their_time(few, study_file, studied, tmp_path):
    """Two fits take time; of a finished study none is left; nothing is written."""
    words = {"data": few, "device": "cpu", "dry_run": True}
    rows = leukoscope.study(str(study_file), out=tmp_path / "s", **words)
    seen = dict(rows.select("quantity", "value").iter_rows())
    assert seen["generators"] == 2
    assert seen["time of the generators"] > 0
    assert not (tmp_path / "s").exists()
    rows = leukoscope.study(str(study_file), out=studied, **words)
    assert dict(rows.select("quantity", "value").iter_rows())["time of the generators"] == 0


FAULTS = {
    "no generator": (lambda v: v.pop("generator"), "states no generator"),
    "nobody asks": (
        lambda v: [v["arms"].pop(arm) for arm in ("generated", "more", "alone")],
        "no arm asks for cells of the generator",
    ),
    "nothing to train on": (lambda v: v["arms"]["alone"].pop("generated"), "without originals"),
    "its own draw": (lambda v: v["generator"].update(train_cells=20), "train_cells"),
    "its own seed": (lambda v: v["generator"].update(seed=4), "seed of the generator"),
    "in training": (lambda v: v["training"].update(generated=1), "belong to the arms"),
    "in an arm's training": (
        lambda v: v["arms"]["more"].update(training={"originals": False}),
        "stands beside training in an arm",
    ),
    "misspelt": (lambda v: v["generator"].update(updtes=3), "updates"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_study_is_refused_by_name(study_file, tmp_path, fault):
    """Before anything is read or written."""
    change, said = FAULTS[fault]
    value = yaml.safe_load(study_file.read_text())
    change(value)
    path = tmp_path / "faulty.yaml"
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(RecipeError, match=said):
        load_study(str(path))


def test_an_unknown_generator_is_named(study_file, tmp_path):
    """By the name that the study gives, or a person."""
    value = yaml.safe_load(study_file.read_text()) | {"generator": "smal"}
    path = tmp_path / "unknown.yaml"
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(UsageError, match="Did you mean small"):
        load_study(str(path))


def test_options_that_no_generator_hears_are_refused(cells, few, study_file, tmp_path):
    """A generator or features for a study without any; a dataset that holds generated cells."""
    plain = tmp_path / "short.yaml"
    plain.write_text(STUDY)
    for options in ({"generator": "small"}, {"features": tmp_path}):
        with pytest.raises(UsageError, match=r"has none|would change nothing"):
            leukoscope.study(str(plain), data=few, out=tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_a_combined_dataset_and_too_few_cells_are_refused_before_anything(
    studied, few, study_file, tmp_path
):
    """The study fits its own generators, to at least 16 cells a category."""
    combined = generator_folder(studied, (0, None)) / "combined"
    with pytest.raises(DataError, match="generator drew"):
        leukoscope.study(str(study_file), data=combined, out=tmp_path / "s", device="cpu")
    with pytest.raises(DataError, match="Too few training cells for a generator"):
        leukoscope.study(
            str(study_file), data=few, out=tmp_path / "s", device="cpu", train_cells=20
        )
    assert not (tmp_path / "s").exists()
