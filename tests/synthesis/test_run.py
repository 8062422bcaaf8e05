import json
import shutil

import polars as pl
import pytest
from PIL import Image
from safetensors.torch import load
from tests.synthesis.tiny import recipe_of
from tests.training.folders import state_of

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError, RunError, UsageError
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.records.generators import read_generator
from leukoscope.records.runs import is_seen
from leukoscope.synthesis.cells import parted
from leukoscope.synthesis.features import open_judge_features
from leukoscope.synthesis.run import begun_recipe, member_folder, synthesise_run

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = {"members": "shared", "updates": 1, "validate_every": 1}


@pytest.fixture
def own(phantoms, tmp_path):
    """Copy the drawn cells, to be changed."""
    return shutil.copytree(phantoms, tmp_path / "cells")


@pytest.fixture
def begin(features, tmp_path):
    """Fit generators on a dataset into a folder called run."""

    def synthesise(dataset, recipe, **options):
        options = {"features": features, "out": tmp_path / "run", "device": "cpu"} | options
        return synthesise_run(read_dataset(dataset), recipe, **options)

    return synthesise


def refusal(begin, dataset, kind, said, out, **settings):
    """Expect a refusal that leaves nothing at *out*, nor marks the split as used."""
    before = state_of(dataset)
    with pytest.raises(kind, match=said):
        begin(dataset, recipe_of(**SHORT | settings))
    assert not out.exists()
    assert not list(out.parent.glob(f".{out.name}*"))
    assert state_of(dataset) == before


# What a run leaves behind


def test_a_finished_run_holds_what_was_agreed(finished_run):
    """Files by name; nothing beside them."""
    names = {p.relative_to(finished_run).as_posix() for p in finished_run.rglob("*") if p.is_file()}
    own = {
        f"generators/shared/{name}"
        for name in ("history.csv", "samples.png", "generator.safetensors", "ended.json")
    }
    assert names == own | {
        *("recipe.yaml", "environment.json", "dataset.json", "cells.parquet", "cells.csv"),
        *("generator.json", "done.json"),
    }


def test_the_run_lists_the_cells_it_saw(finished_run, phantoms):
    """Each with its part; card and table agree, and no test cell is known to either."""
    dataset = read_dataset(phantoms)
    cells = tables.read_table(finished_run / "cells.parquet", shapes.FITTED)
    expected = parted(dataset, recipe_of())
    assert (
        cells.select("cell_id", "part")
        .sort("cell_id")
        .equals(expected.select("cell_id", "part").sort("cell_id"))
    )
    card = read_generator(finished_run)
    for part in ("fit", "stop", "judge"):
        own, others = (
            expected.filter(test) for test in (pl.col("part") == part, pl.col("part") != part)
        )
        seen = getattr(card, part)
        assert set(seen.contents) == set(own["content"])
        assert not set(seen.contents) & set(others["content"])
    test = read_split(dataset, "splits", 0, 0).filter(split="test")
    for part in (card.fit, card.stop, card.judge):
        assert not is_seen(test, part).any()


def test_the_card_says_who_the_generator_is(finished_run, phantoms):
    """Digests of its files, its recipe, its dataset; the id follows from them."""
    card = read_generator(finished_run)
    ((name, digest),) = card.files.items()
    assert name == "generators/shared/generator.safetensors"
    assert digest == files.digest_of(finished_run / name)
    assert card.recipe_id == begun_recipe(finished_run).recipe_id
    assert card.categories == read_dataset(phantoms).card.categories
    done = files.read_json(finished_run / "done.json")
    assert done["members"]["shared"]["sha256"] == digest
    history = pl.read_csv(finished_run / "generators/shared/history.csv")
    assert history["update"].to_list() == [2, 4]
    best = history.filter("is_best")[-1]
    assert done["members"]["shared"]["best"]["update"] == best["update"].item()


def test_the_weights_are_a_generators_alone(finished_run):
    """No critic, no optimiser; what draws is its mean."""
    weights = load((finished_run / "generators/shared/generator.safetensors").read_bytes())
    assert "first.weight" in weights
    assert not any(name.startswith(("critic", "generator", "optimiser")) for name in weights)


def test_the_samples_are_a_grid(finished_run):
    """A row a category, eight columns of 16 px."""
    with Image.open(finished_run / "generators/shared/samples.png") as grid:
        assert grid.size == (128, 48)


def test_a_generator_a_category_sees_that_category_alone(phantoms, begin):
    """Three members, each in its folder; together they have one card."""
    run = begin(phantoms, recipe_of(**SHORT | {"members": "one-each"}))
    names = sorted(path.name for path in (run / "generators").iterdir())
    assert names == ["eosinophil", "lymphocyte", "segmented"]
    card = read_generator(run)
    assert len(card.files) == 3
    assert set(card.fit.contents) == set(
        read_split(read_dataset(phantoms), "splits", 0, 0).filter(split="train")["content"]
    )


# Only training cells are opened


def test_no_test_or_calibration_cell_is_opened(own, begin, finished_run):
    """Their pictures are broken: the fit does not notice, and its generator is the same to the
    byte; the same done to one training, one stopping cell is an error."""
    import leukoscope

    dataset = read_dataset(own)
    divided = read_split(dataset, "splits", 0, 0)
    root = own / dataset.card.image_root
    for path in divided.filter(~pl.col("split").is_in(["train", "validation"]))["path"]:
        (root / path).write_bytes(b"no picture")
    run = begin(own, recipe_of(members="shared"))
    name = "generators/shared/generator.safetensors"
    assert (run / name).read_bytes() == (finished_run / name).read_bytes()
    shutil.rmtree(own / "pixels")
    cells = parted(dataset, recipe_of())
    for part in ("fit", "stop"):
        broken = root / cells.filter(part=part)["path"][0]
        before = broken.read_bytes()
        broken.write_bytes(b"no picture")
        with pytest.raises(DataError):
            begin(own, recipe_of(**SHORT), out=run.parent / part)
        assert not (run.parent / part / "done.json").exists()
        broken.write_bytes(before)
    leukoscope.split(own, name="four", validation_share=0.25, calibration_share=0.1)
    calibration = read_split(dataset, "four", 0, 0).filter(split="calibration")
    found = parted(dataset, recipe_of(split="four"))
    assert calibration.height
    assert not set(found["cell_id"]) & set(calibration["cell_id"])


# One recipe, one result


def test_a_run_twice_is_equal_in_bytes_and_has_one_name(phantoms, begin, tmp_path):
    """Weights, history, grid; another seed has another id."""
    runs = [
        begin(phantoms, recipe_of(**SHORT | {"seed": seed}), out=tmp_path / str(number))
        for number, seed in enumerate((0, 0, 1))
    ]
    for name in ("history.csv", "samples.png", "generator.safetensors", "ended.json"):
        one, same = (member_folder(run, "shared") / name for run in runs[:2])
        assert one.read_bytes() == same.read_bytes()
    ids = [read_generator(run).generator_id for run in runs]
    assert ids[0] == ids[1] != ids[2]


def test_a_finished_run_is_left_as_it_is(finished_run, phantoms, begin):
    """Time and bytes of every file."""
    before = state_of(finished_run)
    assert begin(phantoms, recipe_of(members="shared"), out=finished_run) == finished_run
    assert state_of(finished_run) == before


# What is refused


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"seed": 1}, "seed, the cells"),
        ({"updates": 5}, "updates"),
        ({"stop_share": 0.4}, "stop_share, the cells"),
        ({"train_cells": 80}, "train_cells, the cells"),
    ],
)
def test_another_run_is_not_overwritten(finished_run, phantoms, begin, settings, named):
    """What differs is named; the run stays to the byte."""
    before = state_of(finished_run)
    with pytest.raises(UsageError, match=f"holds another run: {named} differ"):
        begin(phantoms, recipe_of(**{"members": "shared"} | settings), out=finished_run)
    assert state_of(finished_run) == before


def test_other_features_are_another_run(finished_run, phantoms, begin):
    """They choose among the stages: the same recipe under others would end otherwise."""
    others = open_judge_features(None, size_px=32)
    with pytest.raises(UsageError, match="the features that choose among its stages differ"):
        begin(phantoms, recipe_of(members="shared"), out=finished_run, features=others)


def test_a_training_run_or_a_strangers_folder_is_left_untouched(phantoms, begin, tmp_path):
    """Each is told for what it is."""
    training = tmp_path / "training"
    training.mkdir()
    (training / "recipe.yaml").write_text("model: resnet18\nlearning_rate: 0.1\n")
    (training / "environment.json").write_text("{}")
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "notes.txt").write_text("mine")
    for out, said in ((training, "is no generator's"), (strange, "already exists")):
        before = state_of(out)
        with pytest.raises(UsageError, match=said):
            begin(phantoms, recipe_of(**SHORT), out=out)
        assert state_of(out) == before


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"train_cells": 40}, "at least 16 of each category"),
        ({"size_px": 32}, "smaller than the 32 px"),
        ({"stop_share": 0.02}, "validation cells would stop the fit"),
        ({"split": "none"}, "none"),
        ({"train_cells": 999}, "999 were asked for"),
    ],
)
def test_a_refusal_leaves_nothing_behind(phantoms, begin, tmp_path, settings, said):
    """Neither a run nor a mark that the split is used."""
    refusal(begin, phantoms, (DataError, UsageError), said, tmp_path / "run", **settings)


def test_a_device_that_is_not_there_leaves_nothing_behind(phantoms, begin, tmp_path):
    with pytest.raises(UsageError, match="no device 'cuda:77'"):
        begin(phantoms, recipe_of(**SHORT), device="cuda:77")
    assert not (tmp_path / "run").exists()


# An unfinished run


def stopped(run, folder):
    """Copy a finished run as it was before its end was written."""
    left = shutil.copytree(run, folder)
    (left / "done.json").unlink()
    return left


def test_a_foreign_weights_file_in_an_unfinished_run_is_not_taken(
    finished_run, phantoms, begin, tmp_path
):
    """Put there beside the true ending, or without one: the member is fitted again, to the same
    bytes as undisturbed."""
    name = "generators/shared/generator.safetensors"
    whole = (finished_run / name).read_bytes()
    for number, has_ending in enumerate((True, False)):
        left = stopped(finished_run, tmp_path / str(number))
        (left / name).write_bytes(whole[:-4] + b"\0\0\0\1")
        if not has_ending:
            (left / "generators/shared/ended.json").unlink()
        begin(phantoms, recipe_of(members="shared"), out=left)
        assert (left / name).read_bytes() == whole
        assert read_generator(left).generator_id == read_generator(finished_run).generator_id


def test_a_run_whose_end_was_not_written_needs_no_fit(finished_run, phantoms, begin, tmp_path):
    """Weights and ending are there: no update is done, done.json is written."""
    from leukoscope.foundation import progress

    left, told = stopped(finished_run, tmp_path / "left"), []
    with progress.listening(lambda stage, *_: told.append(stage)):
        begin(phantoms, recipe_of(members="shared"), out=left)
    assert not any(stage.startswith("fitting") for stage in told)
    one, other = (files.read_json(run / "done.json")["members"] for run in (left, finished_run))
    assert one == other


def test_what_a_killed_process_was_writing_is_swept_away(finished_run, phantoms, begin, tmp_path):
    left = stopped(finished_run, tmp_path / "left")
    folder = left / "generators/shared"
    (folder / "ended.json").unlink()
    (folder / ".history.csv.abc.part").write_text("torn")
    begin(phantoms, recipe_of(members="shared"), out=left)
    assert not list(left.rglob("*.part"))


def test_a_second_process_on_a_run_is_refused(finished_run, phantoms, begin, tmp_path):
    """While the lock is held."""
    left = stopped(finished_run, tmp_path / "left")
    before = state_of(left / "generators")
    with files.locked(left / "lock"), pytest.raises(RunError, match="Another process"):
        begin(phantoms, recipe_of(members="shared"), out=left)
    assert state_of(left / "generators") == before


def test_dataset_facts_say_what_was_used(finished_run, phantoms):
    """Numbers of cells a part, the members, the features in words."""
    facts = json.loads((finished_run / "dataset.json").read_text())
    assert sum(facts["n_cells"].values()) == 160
    assert facts["members"] == {"shared": list(read_dataset(phantoms).card.categories)}
    assert facts["features"]["name"].startswith("a network at random")
    used = json.loads((phantoms / "splits.used.json").read_text())
    assert str(finished_run.resolve()) in used
