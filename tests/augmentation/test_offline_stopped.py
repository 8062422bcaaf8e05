"""Any number of workers, any stop: the same bytes."""

import os
import signal
import subprocess
import sys

import pytest
from tests.augmentation.copied import (
    augmented,
    listing,
    masked_cells,
    names_below,
    split_of,
)

from leukoscope.augmentation.recipe import load_augmentation
from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError, RunError, UsageError
from leukoscope.foundation.resumable import unfinished


@pytest.fixture
def known(tmp_path):
    return masked_cells(tmp_path)


def test_any_number_of_workers_writes_the_same_bytes(known, tmp_path):
    """Manifest, card, splits, pictures and masks."""
    made = [
        listing(
            augmented(known, tmp_path / "in" / "out", 3.0, workers=n).folder.rename(
                tmp_path / f"by-{n}"
            )
        )
        for n in (1, 4, None)
    ]
    assert len(made[0]) == 3 + 2 * 30
    assert made[0] == made[1] == made[2]


KILLED = """
import os, signal, sys
from leukoscope.cli.app import main

written = 0
def listen(event, _):
    global written
    if event == "os.rename":
        written += 1
        if written == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(listen)
main(sys.argv[2:])
"""


def test_killed_again_and_again_it_ends_as_if_undisturbed(known, tmp_path):
    """By a signal nobody can catch: at the plan, in the middle, at the manifest, at the end."""
    split_of(known)
    words = ["augment", known.folder, "rotation", "--to", "45", "--out"]
    undisturbed = tmp_path / "undisturbed" / "out"
    stopped = tmp_path / "stopped" / "out"
    for folder in (undisturbed.parent, stopped.parent):
        folder.mkdir()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def run(out, write):
        command = [sys.executable, "-c", KILLED, str(write), *map(str, words), str(out)]
        return subprocess.run(command, capture_output=True, check=False, env=environment)

    seen = []
    # 30 pictures and masks: once they stand, only the masks are put anew.
    for write in (1, 20, 50, 35, 32):
        assert run(stopped, write).returncode == -signal.SIGKILL
        assert not stopped.exists()
        seen.append(len(list((unfinished(stopped) / "whole").glob("images/*.png"))))
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] == 30
    assert run(stopped, 0).returncode == run(undisturbed, 0).returncode == 0
    assert listing(stopped.parent) == listing(undisturbed.parent)
    assert names_below(stopped.parent) == ["out"]


def half_made(known, tmp_path):
    """Stop a making by a picture that is gone; give the picture back and say where the rest is."""
    split_of(known)
    name = split_of(known).filter(split="train")["path"][9]
    data = (known.image_root / name).read_bytes()
    (known.image_root / name).unlink()
    with pytest.raises(DataError, match=rf"{name} of .* cannot be read"):
        augmented(known, tmp_path / "out", 3.0, workers=1)
    (known.image_root / name).write_bytes(data)
    return unfinished(tmp_path / "out") / "whole"


def test_whole_pictures_are_taken_over_and_torn_ones_made_again(known, tmp_path):
    """What stands and is right keeps its time; what is torn, changed or foreign does not stay."""
    whole = half_made(known, tmp_path)
    first, second, third, *rest = sorted((whole / "images").iterdir())
    assert rest
    first.write_bytes(first.read_bytes()[:40])
    second.write_bytes(third.read_bytes())
    (whole / "images" / "foreign.png").write_bytes(third.read_bytes())
    (whole / "masks" / "foreign.png").write_bytes(b"")
    (whole / "images" / ".torn.png.part").write_bytes(b"")
    before = {path.name: path.stat().st_mtime_ns for path in (third, *rest)}
    out = augmented(known, tmp_path / "out", 3.0).folder
    after = {name: (out / "images" / name).stat().st_mtime_ns for name in before}
    assert after == before
    stopped = listing(out)
    out.rename(tmp_path / "stopped")
    assert stopped == listing(augmented(known, tmp_path / "out", 3.0).folder)


def test_another_augmentation_does_not_go_on_with_it(known, tmp_path):
    """Other cells, seed or recipe: refused with what differs, and what was made stays."""
    whole = half_made(known, tmp_path)
    before = listing(whole)
    for changes, said in (
        ({"factor": 2.0}, "training_cells 45 there, 30 here"),
        ({"factor": 3.0, "seed": 1}, "seed 0 there, 1 here"),
        ({"factor": 3.0, "recipe": load_augmentation("flips")}, "recipe turn there, flips here"),
    ):
        with pytest.raises(UsageError, match=rf"{said}.*left untouched"):
            augmented(known, tmp_path / "out", **changes)
    assert listing(whole) == before
    assert not (tmp_path / "out").exists()


def test_two_at_once_are_kept_apart(known, tmp_path):
    """The second is told at once."""
    with (
        files.locked(unfinished(tmp_path / "out") / "lock"),
        pytest.raises(RunError, match="Another process is at work"),
    ):
        augmented(known, tmp_path / "out")
    augmented(known, tmp_path / "out")
