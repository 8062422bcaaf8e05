"""Trainings that are killed, interrupted, crowded out or starved of disk, in real processes."""

import os
import signal
import subprocess
import time

import pytest
from tests.cli.command import ONE_THREAD, PROGRAM, Process
from tests.training.folders import contents, state_of


@pytest.fixture
def words(cells, recipe_file, tmp_path):
    """Give the command of the training whose undisturbed result is known."""
    return ["train", cells, "--recipe", recipe_file, "--out", tmp_path / "run", "--device", "cpu"]


def wait_for(path, process_is_running):
    """Wait until a file stands."""
    while not path.exists():
        assert process_is_running(), f"the process ended before {path.name} was written"
        time.sleep(0.005)


# Which write each process in turn does not live to see, counted from its start, and what it was.
# A run first names itself beside its split and writes three records; then come a history and a
# checkpoint at every validation; the history again, the model and its digest, the predictions, that
# it is done.
KILLS = (
    *((5, None), (7, "checkpoint.safetensors"), (4, "checkpoint.safetensors")),
    *((3, "history.csv"), (4, "checkpoint.safetensors"), (3, "history.csv")),
    *((2, "model.safetensors"), (3, "model.json"), (4, "model.sha256")),
    *((5, "predictions.parquet"), (6, "done.json")),
)


def test_killed_at_its_writes_a_run_ends_as_if_undisturbed(words, tmp_path, finished):
    """Eleven processes, each killed between writing a file and putting it in its place."""
    run = tmp_path / "run"
    for write, name in KILLS:
        ended = Process(words, tmp_path, killed_at_write=write).wait()
        assert ended.code == -signal.SIGKILL
        left = [path.name for path in run.rglob(".*.part")]
        assert [part.rsplit(".", 2)[0] for part in left] == ([f".{name}"] if name else [])
        assert not (run / "done.json").exists()
    assert Process(words, tmp_path).wait().code == 0
    assert contents(run) == contents(finished)
    assert not list(run.rglob(".*.part"))


def test_killed_at_any_time_a_run_ends_as_if_undisturbed(words, tmp_path, finished):
    """Five kills, later and later after the work began."""
    run, codes = tmp_path / "run", []
    for delay_s in (0.0, 0.1, 0.2, 0.3, 0.4):
        process = Process(words, tmp_path)
        wait_for(run / "lock", process.is_running)
        time.sleep(delay_s)
        if process.is_running():
            process.signal(signal.SIGKILL)
        codes.append(process.wait().code)
        if codes[-1] == 0:
            break
    assert codes[0] == -signal.SIGKILL
    assert Process(words, tmp_path).wait().code == 0
    assert contents(run) == contents(finished)


def test_interrupted_by_a_person_the_program_says_so_and_goes_on_later(words, tmp_path):
    """Ctrl-C: code 130, one sentence, no traceback; then it ends as if undisturbed."""
    longer = [*map(str, words), "--updates", "80"]
    program = subprocess.Popen(
        [PROGRAM, *longer],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | ONE_THREAD,
    )
    wait_for(tmp_path / "run" / "history.csv", lambda: program.poll() is None)
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=60)
    assert program.returncode == 130
    assert out == ""
    assert err == (
        "leukoscope: stopped. What is finished is kept; give the same command to go on.\n"
    )
    assert not (tmp_path / "run" / "done.json").exists()
    assert Process(longer, tmp_path).wait().code == 0
    (tmp_path / "undisturbed").mkdir()
    undisturbed = [str(w).replace("/run", "/undisturbed/run") for w in longer]
    assert Process(undisturbed, tmp_path).wait().code == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "undisturbed" / "run")


def test_a_second_process_on_a_run_is_refused(words, tmp_path):
    """While one works, the other ends at once with a sentence; the first is not disturbed."""
    longer = [*words, "--updates", "80"]
    first = Process(longer, tmp_path)
    wait_for(tmp_path / "run" / "history.csv", first.is_running)
    # Held, so that it cannot end before the other has begun.
    first.signal(signal.SIGSTOP)
    (tmp_path / "second").mkdir()
    second = Process(longer, tmp_path / "second").wait()
    first.signal(signal.SIGCONT)
    assert second.code == 4
    assert second.err.startswith("leukoscope: Another process is at work in")
    assert second.err.count("\n") == 1
    assert first.wait().code == 0
    assert (tmp_path / "run" / "done.json").exists()


def test_a_full_disk_keeps_the_checkpoint_before(words, tmp_path, finished):
    """Code 4, one sentence; with room again the run ends as if undisturbed."""
    # The eighth write is the second history: one checkpoint stands.
    assert Process(words, tmp_path, killed_at_write=8).wait().code == -signal.SIGKILL
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    before = checkpoint.read_bytes()
    full = Process(words, tmp_path, file_limit=1_000_000).wait()
    assert full.code == 4
    assert full.err.startswith("leukoscope: ")
    assert "checkpoint.safetensors could not be written" in full.err
    assert full.err.count("\n") == 1
    assert checkpoint.read_bytes() == before
    assert not list(tmp_path.rglob("run/**/*.part"))
    assert Process(words, tmp_path).wait().code == 0
    assert contents(tmp_path / "run") == contents(finished)


def test_a_full_disk_at_the_start_leaves_no_run(words, tmp_path):
    """Not even its records fit: nothing is left behind, and the sentence says so."""
    ended = Process(words, tmp_path, file_limit=600).wait()
    assert ended.code == 4
    assert ended.err.startswith("leukoscope: ")
    assert "could not be written" in ended.err
    assert not (tmp_path / "run").exists()


def test_an_unfinished_run_under_other_options_is_refused_untouched(words, tmp_path):
    """Killed on the way, and called again with another seed."""
    assert Process(words, tmp_path, killed_at_write=8).wait().code == -signal.SIGKILL
    before = state_of(tmp_path / "run")
    other = Process([*words, "--seed", "5"], tmp_path).wait()
    assert other.code == 2
    assert "holds another run: seed differ" in other.err
    assert state_of(tmp_path / "run") == before


def test_a_broken_checkpoint_is_said_to_be_one(words, tmp_path, finished):
    """The sentence says what to remove; without it the run starts afresh and ends the same."""
    assert Process(words, tmp_path, killed_at_write=8).wait().code == -signal.SIGKILL
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    broken = Process(words, tmp_path).wait()
    assert broken.code == 3
    assert "checkpoint.safetensors cannot be read" in broken.err
    assert "Remove it" in broken.err
    checkpoint.unlink()
    assert Process(words, tmp_path).wait().code == 0
    assert contents(tmp_path / "run") == contents(finished)
