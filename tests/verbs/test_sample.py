import json

import pytest
from tests.cli.command import Process
from tests.synthesis.tiny import drawn_cells, recipe_of
from tests.training.folders import state_of

import leukoscope
from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError
from leukoscope.records.dataset import read_dataset
from leukoscope.synthesis.features import open_judge_features
from leukoscope.synthesis.run import synthesise_run
from leukoscope.synthesis.sampling import replayed_cell

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return drawn_cells(tmp_path_factory.mktemp("phantoms"))


@pytest.fixture(scope="module")
def run(dataset, one_thread, tmp_path_factory):
    """Fit a shared generator for one update."""
    return synthesise_run(
        read_dataset(dataset),
        recipe_of(members="shared", updates=1, validate_every=1),
        features=open_judge_features(None, size_px=16),
        out=tmp_path_factory.mktemp("run") / "run",
        device="cpu",
    )


def bytes_of(folder):
    """Give the bytes of every file."""
    return {name: content for name, (_, content) in state_of(folder).items()}


def test_the_command_is_the_verb(run, tmp_path):
    """The same folder to the byte, and its path on stdout."""
    leukoscope.sample(run, n=5, out=tmp_path / "verb", seed=2)
    words = ["sample", run, "--n", 5, "--out", tmp_path / "command", "--seed", 2]
    ended = Process(words, tmp_path).wait()
    assert (ended.code, ended.out.strip()) == (0, str(tmp_path / "command"))
    assert bytes_of(tmp_path / "command") == bytes_of(tmp_path / "verb")


def test_stopped_and_given_again_it_ends_the_same(run, tmp_path):
    """A listener raises half way: the folder is not there until it is whole, and then equal."""

    class StoppedError(Exception):
        """Stands for a kill."""

    def stop(stage, done, total):
        if stage == "drawing" and done >= 4:
            raise StoppedError

    out = tmp_path / "out"
    with progress.listening(stop), pytest.raises(StoppedError):
        leukoscope.sample(run, n=6, out=out)
    assert not out.exists()
    leukoscope.sample(run, n=6, out=out)
    leukoscope.sample(run, n=6, out=tmp_path / "whole")
    assert bytes_of(out) == bytes_of(tmp_path / "whole")
    assert not list(tmp_path.glob(".*"))


def test_progress_is_told_to_its_end(run, tmp_path):
    told = []
    with progress.listening(lambda *step: told.append(step)):
        leukoscope.sample(run, n=4, out=tmp_path / "out")
    assert [step for step in told if step[0] == "drawing"] == [
        ("drawing", 2, 4),
        ("drawing", 3, 4),
        ("drawing", 4, 4),
    ]


def test_a_sample_has_no_split_and_stands_in_no_test(run, dataset, tmp_path):
    """Evaluation and a new split refuse it by law: its rows are copies."""
    drawn = leukoscope.sample(run, n=9, out=tmp_path / "out")
    with pytest.raises(DataError):
        leukoscope.split(drawn)
    assert not (drawn / "splits.parquet").exists()


def test_a_full_disk_is_said_and_room_makes_the_same_set(run, tmp_path):
    """A file may hold 2,000 bytes: code 4, one sentence, no dataset."""
    words = ["sample", run, "--n", 5, "--out", tmp_path / "out"]
    full = Process(words, tmp_path, file_limit=2000).wait()
    assert full.code == 4
    assert "could not be written" in full.err
    assert not (tmp_path / "out").exists()
    assert Process(words, tmp_path).wait().code == 0
    leukoscope.sample(run, n=5, out=tmp_path / "verb")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "verb")


def test_a_row_holds_all_that_is_needed_to_draw_it_again(run, tmp_path):
    """As a person would, from the CSV or the manifest: id, category, origin, draw."""
    drawn = leukoscope.sample(run, n=3, out=tmp_path / "out", seed=8)
    row = read_dataset(drawn).manifest.row(2, named=True)
    assert json.loads(row["draw"]) == {"seed": 8, "number": 0}
    kept = {name: row[name] for name in ("cell_id", "category", "origin", "draw")}
    assert replayed_cell(run, kept).shape == (16, 16, 3)
