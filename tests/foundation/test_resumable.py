import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, RunError, UsageError
from leukoscope.foundation.resumable import build_resumable, put, unfinished

PLAN = {"recipe": "turn", "seed": 3, "factor": 2.0, "case": None}

KILLED = """
import os, signal, sys
from pathlib import Path
from leukoscope.foundation.resumable import build_resumable, put

written = 0
def listen(event, _):
    global written
    if event == "os.rename":
        written += 1
        if written == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(listen)

def build(folder):
    (folder / "in").mkdir(exist_ok=True)
    for i in range(5):
        put(folder / "in" / f"{i}.txt", b"%d" % i)

build_resumable(Path(sys.argv[1]), {"plan": 1}, build)
"""


def five(folder):
    (folder / "in").mkdir(exist_ok=True)
    for i in range(5):
        put(folder / "in" / f"{i}.txt", b"%d" % i)


def listing(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def stop_after(n):
    """Build as five does, and fail after so many files."""

    def build(folder):
        (folder / "in").mkdir(exist_ok=True)
        for i in range(n):
            put(folder / "in" / f"{i}.txt", b"%d" % i)
        raise DataError("Stopped.")

    return build


def test_an_undisturbed_folder_is_what_was_built_and_nothing_beside_it(tmp_path):
    """No work folder, no plan, no lock is left."""
    assert build_resumable(tmp_path / "deep" / "out", PLAN, five) == tmp_path / "deep" / "out"
    assert listing(tmp_path) == {f"deep/out/in/{i}.txt": b"%d" % i for i in range(5)}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


@pytest.mark.parametrize("write", [1, 2, 4, 6, 7])
def test_a_killed_build_goes_on_and_ends_the_same(tmp_path, write):
    """Killed before its plan, its first, third or last file, or the folder, comes to stand."""
    out = tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", KILLED, out, str(write)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    assert unfinished(out).is_dir()
    build_resumable(out, {"plan": 1}, five)
    assert listing(tmp_path) == {f"out/in/{i}.txt": b"%d" % i for i in range(5)}


def test_whole_files_are_there_when_it_goes_on_and_torn_ones_are_not(tmp_path):
    """What stands under its name is whole; what was being written is swept."""
    out, seen, noted = tmp_path / "out", [], []
    with pytest.raises(DataError):
        build_resumable(out, PLAN, stop_after(3))
    (unfinished(out) / "whole" / "in" / ".3.txt.part").write_bytes(b"half")

    def build(folder):
        seen.extend(sorted(path.name for path in folder.rglob("*.*")))
        five(folder)

    with progress.noting(noted.append):
        build_resumable(out, PLAN, build)
    assert seen == ["0.txt", "1.txt", "2.txt"]
    assert noted == [f"Going on with what a stopped command left in {unfinished(out)}."]


def test_what_was_made_is_kept_and_told_when_an_error_comes(tmp_path):
    """And a beginning without a file leaves nothing behind."""
    noted = []
    with progress.noting(noted.append), pytest.raises(DataError, match="Stopped"):
        build_resumable(tmp_path / "none", PLAN, stop_after(0))
    assert list(tmp_path.iterdir()) == []
    assert noted == []
    with progress.noting(noted.append), pytest.raises(DataError, match="Stopped"):
        build_resumable(tmp_path / "some", PLAN, stop_after(2))
    kept = tmp_path / ".some.unfinished"
    assert list(tmp_path.iterdir()) == [kept]
    assert noted == [f"What was made so far is kept in {kept}; the same command goes on."]


@pytest.mark.parametrize("name", PLAN)
def test_another_plan_is_refused_with_what_differs(tmp_path, name):
    """What the other made stays to the last byte, and its own plan goes on after."""
    out = tmp_path / "out"
    with pytest.raises(DataError):
        build_resumable(out, PLAN, stop_after(2))
    before = listing(tmp_path)
    with pytest.raises(UsageError, match=rf"\({name} {PLAN[name]} there, 7 here\).*untouched"):
        build_resumable(out, PLAN | {name: 7}, five)
    assert listing(tmp_path) == before
    build_resumable(out, PLAN, five)


def test_files_without_a_plan_are_not_taken_for_a_beginning(tmp_path):
    """Somebody's folder may be called so."""
    out = tmp_path / "out"
    unfinished(out).mkdir()
    (unfinished(out) / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match=r"no beginning of it.*left untouched"):
        build_resumable(out, PLAN, five)
    assert (unfinished(out) / "thesis.tex").read_text() == "mine"
    (unfinished(out) / "plan.json").write_text("[1]")
    with pytest.raises(UsageError, match="no beginning of it"):
        build_resumable(out, PLAN, five)
    (unfinished(out) / "plan.json").write_text("{")
    with pytest.raises(DataError, match=r"plan\.json cannot be read"):
        build_resumable(out, PLAN, five)
    assert (unfinished(out) / "thesis.tex").read_text() == "mine"


def test_a_plan_of_which_nothing_was_made_holds_nobody_up(tmp_path):
    """Another takes its place."""
    out = tmp_path / "out"
    unfinished(out).mkdir()
    (unfinished(out) / "plan.json").write_text('{"recipe": "flip"}')
    build_resumable(out, PLAN, five)
    assert listing(tmp_path).keys() == {f"out/in/{i}.txt" for i in range(5)}


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_stands_there_is_left_untouched(tmp_path, kind):
    """Before anything is made; an empty folder may be filled."""
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        build_resumable(out, PLAN, five)
    before = listing(tmp_path)
    with pytest.raises(UsageError, match="left untouched"):
        build_resumable(out, PLAN, five)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("path", [".", "..", "deep/..", "/"])
def test_a_place_without_a_name_is_refused(tmp_path, monkeypatch, path):
    """The folder a person stands in is not replaced under their feet."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="names no folder to make"):
        build_resumable(path, PLAN, five)
    assert list(tmp_path.iterdir()) == []


def test_what_comes_to_stand_there_meanwhile_is_left_untouched(tmp_path):
    """What was made is kept beside it."""
    out = tmp_path / "out"

    def build(folder):
        five(folder)
        out.mkdir()
        (out / "mine").write_text("old")

    with pytest.raises(RunError, match="could not be written"):
        build_resumable(out, PLAN, build)
    assert (out / "mine").read_text() == "old"
    assert len(listing(unfinished(out) / "whole")) == 5


def test_a_second_process_is_kept_out(tmp_path):
    """Told at once, while the first goes on undisturbed."""
    out = tmp_path / "out"

    def build(folder):
        with pytest.raises(RunError, match=r"Another process is at work in .*out\.unfinished"):
            build_resumable(out, PLAN, five)
        five(folder)

    build_resumable(out, PLAN, build)
    assert len(listing(out)) == 5


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    """As a run that failed."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="could not be written"):
        build_resumable(tmp_path / "file" / "out", PLAN, five)
    assert listing(tmp_path) == {"file": b"mine"}


def test_a_plan_survives_its_file(tmp_path):
    """Numbers, words and nothing come back as they were."""
    with pytest.raises(DataError):
        build_resumable(tmp_path / "out", PLAN, stop_after(1))
    assert json.loads((unfinished(tmp_path / "out") / "plan.json").read_text()) == PLAN


def test_a_file_is_put_whole_over_an_old_one(tmp_path):
    """And nothing is left beside it."""
    path = tmp_path / "a.txt"
    for text in (b"one", b"two"):
        put(path, text)
        assert path.read_bytes() == text
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_the_lock_of_a_killed_process_holds_nobody_up(tmp_path):
    """The system frees it; only the file stays."""
    out = Path(tmp_path / "out")
    unfinished(out).mkdir()
    (unfinished(out) / "lock").touch()
    build_resumable(out, PLAN, five)
    assert listing(tmp_path).keys() == {f"out/in/{i}.txt" for i in range(5)}
    with files.locked(unfinished(out) / "lock", wait=False):
        pass
