"""Generators that are killed at any moment or starved of disk, in real processes."""

import json

import pytest
from tests.synthesis.lives import live

from leukoscope.foundation.streams import stream
from leukoscope.synthesis.run import member_folder

pytestmark = pytest.mark.usefixtures("one_thread")
FILES = ("history.csv", "samples.png", "generator.safetensors", "ended.json")
PLAN = {"updates": 4, "validate_every": 2}


def contents(run):
    """Read all that a finished run leaves behind but the time it took and its name."""
    done = json.loads((run / "done.json").read_text())
    done.pop("seconds_since_last_start")
    card = json.loads((run / "generator.json").read_text())
    card.pop("name")
    # A lock a process left behind is taken away by the next one's end.
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    kept = names - {"done.json", "generator.json"}
    return {"done": done, "card": card} | {name: (run / name).read_bytes() for name in kept}


@pytest.mark.parametrize(
    ("kind", "members"),
    [("slope", "shared"), ("wgan-gp", "one-each"), ("infogan", "shared")],
)
def test_killed_at_random_a_run_ends_as_if_undisturbed(phantoms, tmp_path, kind, members):
    """After a random time, and at random writes: every file of the folder is equal in bytes, and
    nothing is left beside it."""
    chance = stream(1, "kills", kind)
    kills = [{"at_write": int(chance.integers(1, 5))} for _ in range(4)]
    kills += [
        {"ticks": int(chance.integers(1, 3)), "then_s": chance.uniform(0, 0.05)} for _ in range(2)
    ]
    lives = [*kills, {}, {"folder": "whole"}]
    ended = live(tmp_path / "killed", phantoms, lives, kind=kind, members=members, **PLAN)
    codes = [life["ended"] for life in ended]
    assert codes[:4] == ["killed"] * 4
    assert codes[-2:] == ["done"] * 2
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("searching", "numbers"),
    [(0, range(1, 8)), (0, range(8, 16)), (1, range(7, 14))],
    ids=["begun", "fitted", "rates"],
)
def test_killed_between_each_two_files_a_run_ends_as_if_undisturbed(
    phantoms, tmp_path, searching, numbers
):
    """A run for each of its writes, killed before it and gone on with: weights without their
    ending, an ending without its weights, a card without its end; in the search for rates too."""
    settings = {"members": "shared", "updates": 1, "trial_updates": 1, "rate_trials": searching}
    lives = [{"folder": "whole"}]
    for number in numbers:
        lives += [{"folder": f"at-{number}", "at_write": number}, {"folder": f"at-{number}"}]
    whole, *ended = live(tmp_path / "whole", phantoms, lives, kind="wgan-gp", **settings)
    assert whole["ended"] == "done"
    assert {life["ended"] for life in ended[1::2]} == {"done"}
    codes = [life["ended"] for life in ended[::2]]
    # All were killed up to the last write, and none after it.
    assert codes == sorted(codes, reverse=True)
    assert codes[0] == "killed"
    assert codes[-1] == ("done" if numbers.stop == 16 else "killed")
    for number in numbers:
        assert contents(tmp_path / f"at-{number}") == contents(tmp_path / "whole"), number


def test_a_full_disk_keeps_the_checkpoint_before_and_goes_on_after(phantoms, tmp_path):
    """A file may hold 20 kB, a checkpoint needs more: one error, the old one whole, nothing beside
    it; with room again the end is the same to the byte."""
    run, settings = tmp_path / "run", PLAN | {"members": "shared"}
    # Told of none, one and two done: one checkpoint stands.
    lives = [{"at_tick": 3}, {"file_limit": 20_000}]
    killed, full = live(run, phantoms, lives, kind="hinge", **settings)
    assert killed["ended"] == "killed"
    assert full["ended"].startswith("RunError: ")
    assert "checkpoint.safetensors could not be written: File too large" in full["ended"]
    folder = member_folder(run, "shared")
    assert {path.name for path in folder.iterdir()} <= {*FILES[:2], "checkpoint.safetensors"}
    lives = [{}, {"folder": "whole"}]
    assert [life["ended"] for life in live(run, phantoms, lives, kind="hinge", **settings)] == [
        "done"
    ] * 2
    assert contents(run) == contents(tmp_path / "whole")


def test_a_full_disk_is_no_trials_fault(phantoms, tmp_path):
    """In the search for rates the disk is full at the first checkpoint: the run stops with that
    word instead of passing trial after trial by; with room again all of them count."""
    run, settings = tmp_path / "run", {"members": "shared", "rate_trials": 2, "trial_updates": 1}
    settings |= {"updates": 1}
    full, _, _ = live(
        run,
        phantoms,
        [{"file_limit": 20_000}, {}, {"folder": "whole"}],
        kind="wgan-gp",
        **settings,
    )
    assert full["ended"].startswith("RunError: ")
    assert "could not be written" in full["ended"]
    assert contents(run) == contents(tmp_path / "whole")


def test_a_full_disk_at_the_start_leaves_no_run(phantoms, tmp_path):
    """Not even its records fit: nothing is left behind."""
    (full,) = live(tmp_path / "run", phantoms, [{"file_limit": 500}], kind="hinge")
    assert full["ended"].startswith("RunError: ")
    assert not (tmp_path / "run").exists()
    assert not list(tmp_path.glob(".*"))


def test_what_is_fitted_is_not_fitted_again(phantoms, tmp_path):
    """Of three generators the first was finished before the kill: the next process fits the
    others alone; a finished run is left as it is."""
    settings = {"members": "one-each", "updates": 2, "validate_every": 2}
    # Three ticks are a whole generator's; the next stands in its second update.
    lives = [{"at_tick": 5}, {}, {}, {"folder": "whole"}]
    killed, after, again, whole = live(
        tmp_path / "run", phantoms, lives, kind="wgan-gp", **settings
    )
    assert killed["ended"] == "killed"
    assert after["told"] < whole["told"]
    assert again == {"ended": "done", "told": 0}
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
