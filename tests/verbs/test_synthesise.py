import shutil

import pytest
from tests.cli.command import Process
from tests.synthesis.tiny import drawn_cells, recipe_file
from tests.training.folders import state_of

import leukoscope
from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.records.generators import read_generator
from leukoscope.synthesis.run import begun_recipe

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Give the folder of 200 drawn cells."""
    return drawn_cells(tmp_path_factory.mktemp("phantoms"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Write a recipe of four updates, so small that its time is found in a moment."""
    return recipe_file(tmp_path_factory.mktemp("recipe"), "hinge", members="shared")


@pytest.fixture(scope="module")
def run(dataset, recipe, one_thread, tmp_path_factory):
    """Fit once; and keep what was said."""
    out = tmp_path_factory.mktemp("run") / "run"
    notes = []
    with progress.noting(notes.append):
        leukoscope.synthesise(dataset, recipe=str(recipe), out=out, device="cpu")
    return out, notes


def test_its_time_is_told_before_it_starts(run):
    """How many generators, updates, seconds of each; at the end, which stage was kept."""
    _, notes = run
    (told,) = [note for note in notes if "if it is left alone" in note]
    assert told.startswith("1 generator, 4 updates of ")
    assert "some 0 seconds on this machine" in told or "seconds on this machine" in told
    assert any(note.startswith("shared: the generator of update ") for note in notes)
    assert notes.index(told) < len(notes) - 1


def test_the_search_for_rates_is_part_of_the_time_that_is_told(dataset, tmp_path):
    """Three trials of ten updates and four after them."""
    path = recipe_file(tmp_path, "wgan-gp", rate_trials=3, trial_updates=10, members="shared")
    notes = []

    class StoppedError(Exception):
        """Stands for a person who has read enough."""

    def read(note):
        notes.append(note)
        if "updates of" in note:
            raise StoppedError

    with progress.noting(read), pytest.raises(StoppedError):
        leukoscope.synthesise(dataset, recipe=str(path), out=tmp_path / "run", device="cpu")
    assert notes[-1].startswith("1 generator, 34 updates of ")
    assert not (tmp_path / "run").exists()


def test_options_reach_their_place(dataset, recipe, tmp_path):
    """Given as a person gives them; the recipe that was followed is in the run."""
    out = leukoscope.synthesise(
        str(dataset),
        out=str(tmp_path / "run"),
        recipe=str(recipe),
        updates=1,
        train_cells=90,
        seed=5,
        split="splits",
        repeat=0,
        fold=0,
        device="cpu",
    )
    followed = begun_recipe(out)
    assert (followed.updates, followed.train_cells, followed.seed) == (1, 90, 5)
    assert len(read_generator(out).fit.contents) == 90
    drawn = leukoscope.sample(out, n=3, out=tmp_path / "set")
    assert len(list((drawn / "images").iterdir())) == 3


def test_the_same_minutes_given_again_go_on(dataset, recipe, tmp_path):
    """What was chosen for the time stays, though time passes differently: the finished run is left
    as it is, an unfinished one ends the same."""
    asked = {"recipe": str(recipe), "out": tmp_path / "run", "device": "cpu"}
    first = leukoscope.synthesise(dataset, minutes=0.002, **asked)
    chosen = begun_recipe(first)
    weights = "generators/shared/generator.safetensors"
    whole = (first / weights).read_bytes()
    before = state_of(first)
    leukoscope.synthesise(dataset, minutes=0.002, **asked)
    assert state_of(first) == before
    for name in ("done.json", weights, "generators/shared/ended.json"):
        (first / name).unlink()
    leukoscope.synthesise(dataset, minutes=0.002, **asked)
    assert begun_recipe(first) == chosen
    assert (first / weights).read_bytes() == whole


def test_minutes_and_another_seed_are_another_run(run, dataset, recipe):
    """What the time chose is taken over from the folder; nothing else is."""
    out, _ = run
    before = state_of(out)
    with pytest.raises(UsageError, match="holds another run: seed, the cells differ"):
        leukoscope.synthesise(dataset, recipe=str(recipe), out=out, minutes=1, seed=7, device="cpu")
    assert state_of(out) == before


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"minutes": 0}, UsageError, "--minutes is 0"),
        ({"recipe": "smal"}, UsageError, "small"),
        ({"size_px": 32}, DataError, "smaller than the 32 px"),
        ({"train_cells": 20}, DataError, "at least 16 of each category"),
        ({"device": "cuda:77"}, UsageError, "no device 'cuda:77'"),
        ({"features": "nowhere.safetensors"}, Exception, "nowhere"),
    ],
)
def test_a_refusal_leaves_nothing_behind(dataset, recipe, tmp_path, options, kind, said):
    """Neither a folder nor a mark on the split."""
    before = state_of(dataset)
    asked = {"recipe": str(recipe), "out": tmp_path / "run", "device": "cpu"} | options
    with pytest.raises(kind, match=said):
        leukoscope.synthesise(dataset, **asked)
    assert state_of(dataset) == before
    assert not list(tmp_path.iterdir())


def test_a_training_run_at_out_is_left_untouched(dataset, recipe, tmp_path):
    """With and without minutes."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text("model: resnet18\n")
    (tmp_path / "run" / "environment.json").write_text("{}")
    before = state_of(tmp_path / "run")
    for minutes in (None, 1):
        with pytest.raises(UsageError, match="holds another run, which is no generator's"):
            leukoscope.synthesise(
                dataset, recipe=str(recipe), out=tmp_path / "run", minutes=minutes, device="cpu"
            )
    assert state_of(tmp_path / "run") == before


def test_the_command_is_the_verb(run, dataset, recipe, tmp_path):
    """Killed before a write and given again, as a person does: the same bytes as the verb's own;
    a category with too few cells ends with code 3 and one sentence."""
    out, _ = run
    words = ["synthesise", dataset, "--recipe", recipe, "--out", tmp_path / "run"]
    words += ["--device", "cpu"]
    assert Process(words, tmp_path, killed_at_write=8).wait().code == -9
    ended = Process(words, tmp_path).wait()
    assert ended.code == 0
    assert ended.out.strip() == str(tmp_path / "run")
    for name in ("generator.safetensors", "history.csv", "samples.png"):
        one, other = (each / "generators/shared" / name for each in (out, tmp_path / "run"))
        assert one.read_bytes() == other.read_bytes()
    few = Process([*words[:-4], "--out", tmp_path / "few", "--train-cells", "20"], tmp_path).wait()
    assert few.code == 3
    assert "Too few training cells for a generator" in few.err
    assert not (tmp_path / "few").exists()


def test_generated_cells_and_copies_are_no_cells_to_learn_from(run, dataset, recipe, tmp_path):
    """A sample alone, and the dataset with augmented copies."""
    out, _ = run
    drawn = leukoscope.sample(out, n=30, out=tmp_path / "drawn")
    own = shutil.copytree(dataset, tmp_path / "own")
    copies = leukoscope.augment(own, "flips", out=tmp_path / "copies", factor=2)
    for folder, said in ((drawn, "30 cells that a generator drew"), (copies, "augmented copies")):
        with pytest.raises(DataError, match=said):
            leukoscope.synthesise(folder, recipe=str(recipe), out=tmp_path / "no", device="cpu")
    assert not (tmp_path / "no").exists()
