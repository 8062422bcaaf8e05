import errno
import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError, RunError, UsageError

LIMITED = """
import resource, signal, sys
from pathlib import Path
from leukoscope.foundation import files
from leukoscope.foundation.errors import RunError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
"""


def start(script, *arguments):
    """Start Python on a script and wait until it says that it is where it should be."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process):
    """End a process as a power cut would, and take it off the table."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


# One file


def test_what_is_written_is_read(tmp_path):
    """Bytes, text and JSON come back as they went; folders on the way are made."""
    files.write_bytes(tmp_path / "a" / "b" / "x", b"\x00\xff")
    assert (tmp_path / "a" / "b" / "x").read_bytes() == b"\x00\xff"
    files.write_text(tmp_path / "t", "ä\r\n")
    assert (tmp_path / "t").read_bytes() == "ä\r\n".encode()
    value = {"b": [1, 0.1, None], "a": "ü"}
    files.write_json(tmp_path / "j", value)
    assert files.read_json(tmp_path / "j") == value
    assert list(files.read_json(tmp_path / "j")) == ["b", "a"]
    assert files.digest_of(tmp_path / "t") == hashlib.sha256("ä\r\n".encode()).hexdigest()


def test_what_json_cannot_say_is_not_written(tmp_path):
    """A NaN is refused, and the old file stands."""
    files.write_json(tmp_path / "j", 1)
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "j", float("nan"))
    assert files.read_json(tmp_path / "j") == 1


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"{'a': 1}"])
def test_what_is_no_json_is_refused(tmp_path, text):
    """A missing file and one that is no JSON are data errors that name it."""
    path = tmp_path / "j"
    with pytest.raises(DataError, match="j is missing"):
        files.read_json(path)
    path.write_bytes(text)
    with pytest.raises(DataError, match=r"j cannot be read as JSON"):
        files.read_json(path)


def test_a_written_file_is_as_readable_as_any(tmp_path):
    """The mode follows the user's mask, not the private mode of a temporary file."""
    files.write_text(tmp_path / "written", "x")
    (tmp_path / "plain").write_text("x")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("written", "plain")}
    assert len(modes) == 1


def half_written(path):
    with files.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt


def test_an_interrupted_write_leaves_the_old_file_whole(tmp_path):
    """After an exception the old file stands, and nothing else does."""
    path = tmp_path / "x"
    with pytest.raises(KeyboardInterrupt):
        half_written(path)
    assert names_in(tmp_path) == []
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        half_written(path)
    assert names_in(tmp_path) == ["x"]
    assert path.read_text() == "old"


def test_a_writer_killed_half_way_leaves_the_old_file_whole(tmp_path):
    """After kill -9 the old file stands, and what is left over bears another, hidden name."""
    path = tmp_path / "x.parquet"
    path.write_text("old")
    script = (
        "import sys, time; from pathlib import Path; from leukoscope.foundation import files\n"
        "with files.atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); print('ready', flush=True); time.sleep(60)"
    )
    kill(start(script, path))
    assert path.read_text() == "old"
    left = [name for name in names_in(tmp_path) if name != "x.parquet"]
    assert len(left) == 1
    assert left[0].startswith(".")
    assert left[0].endswith(".part")
    assert list(tmp_path.glob("*.parquet")) == [path]
    files.write_text(path, "new")
    assert path.read_text() == "new"


def test_a_file_is_whole_whenever_its_writer_dies(tmp_path):
    """Killed at any moment of writing again and again, it leaves one whole version."""
    path = tmp_path / "x"
    script = (
        "import sys, itertools; from pathlib import Path; from leukoscope.foundation import files\n"
        "for i in itertools.count():\n"
        "    files.write_bytes(Path(sys.argv[1]), bytes([i % 251]) * 3_000_000)\n"
        "    if i == 0: print('ready', flush=True)"
    )
    chance = random.Random(1)
    for _ in range(4):
        process = start(script, path)
        time.sleep(chance.uniform(0, 0.05))
        kill(process)
        data = path.read_bytes()
        assert len(data) == 3_000_000
        assert len(set(data)) == 1


def test_two_writers_never_mix(tmp_path):
    """While two processes write one file, every reader sees one writer's whole text."""
    path = tmp_path / "x"
    script = (
        "import sys; from pathlib import Path; from leukoscope.foundation import files\n"
        "files.write_text(Path(sys.argv[1]), sys.argv[2] * 500_000); print('ready', flush=True)\n"
        "while True: files.write_text(Path(sys.argv[1]), sys.argv[2] * 500_000)"
    )
    writers = [start(script, path, letter) for letter in "ab"]
    seen = [path.read_text() for _ in range(60)]
    for writer in writers:
        kill(writer)
    assert {len(text) for text in seen} == {500_000}
    assert all(len(set(text)) == 1 for text in seen)


# Refusals of the disk


def test_a_file_beyond_the_limit_leaves_the_old_one_whole(tmp_path):
    """Where the system stops a file from growing, a sentence says so and nothing is lost."""
    path = tmp_path / "x"
    path.write_text("old")
    script = LIMITED + (
        "try:\n    files.write_bytes(Path(sys.argv[1]), bytes(1_000_000))\n"
        "except RunError as error:\n    print(error)"
    )
    command = [sys.executable, "-c", script, str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{path} could not be written: {os.strerror(errno.EFBIG)}." in found.stdout
    assert "untouched" in found.stdout
    assert names_in(tmp_path) == ["x"]
    assert path.read_text() == "old"


def test_a_folder_beyond_the_limit_does_not_appear(tmp_path):
    """A folder whose filling is stopped by the system is not there, not even in part."""
    script = LIMITED + (
        "def build(folder):\n    (folder / 'a').write_text('a')\n"
        "    (folder / 'b').write_bytes(bytes(1_000_000))\n"
        "try:\n    files.build_folder(Path(sys.argv[1]), build)\n"
        "except RunError as error:\n    print(error)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "out")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "out could not be written" in found.stdout
    assert names_in(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_no_space_left_is_told_with_what_to_do(tmp_path):
    """A true ENOSPC becomes a sentence; the old file stands."""
    path = tmp_path / "x"
    path.write_text("old")
    told = rf"x could not be written: {os.strerror(errno.ENOSPC)}.*untouched.*Free space"
    with pytest.raises(RunError, match=told), files.atomic_path(path):
        Path("/dev/full").write_bytes(b"x")
    assert names_in(tmp_path) == ["x"]
    assert path.read_text() == "old"


def test_a_full_disk_leaves_the_old_file_whole(tmp_path):
    """On a file system of one megabyte, in a name space of its own, an old file survives."""
    script = """
from pathlib import Path
from leukoscope.foundation import files
from leukoscope.foundation.errors import RunError
path = Path("x")
files.write_bytes(path, bytes(600_000))
for size in (600_000, 1_200_000):
    try:
        files.write_bytes(path, b"1" * size)
    except RunError as error:
        print(error)
    assert path.read_bytes() == bytes(600_000) and list(Path().iterdir()) == [path]
files.write_bytes(path, b"1" * 300_000)
print(len(path.read_bytes()))
"""
    mount = 'mount -t tmpfs -o size=1m full "$1" && cd "$1"'
    spaced = ["unshare", "-rm", "sh", "-c"]
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            [*spaced, mount, "sh", tmp_path], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("this system lets nobody mount a file system in a name space of his own")
    command = [*spaced, f'{mount} && exec "$2" -c "$3"', "sh", tmp_path, sys.executable, script]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    first, second, size = found.stdout.splitlines()
    assert first.startswith(f"x could not be written: {os.strerror(errno.ENOSPC)}.")
    assert second == first
    assert size == "300000"


@pytest.mark.parametrize("place", ["file/x", "file/folder/x", "folder", "a" * 300])
def test_a_place_that_cannot_be_written_is_told(tmp_path, place):
    """Below a file, over a folder, or under too long a name nothing is written, and told so."""
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    with pytest.raises(RunError, match="could not be written"):
        files.write_text(tmp_path / place, "new")
    assert names_in(tmp_path) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "old"


def test_other_errors_keep_their_names(tmp_path):
    """A mistake inside the block is not passed off as a full disk."""
    with pytest.raises(FileNotFoundError), files.atomic_path(tmp_path / "x"):
        (tmp_path / "gone").read_text()


# Folders


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    """It is there when it is built; if building fails, nothing is."""
    out = tmp_path / "new" / "out"

    def build(folder):
        assert not out.exists()
        (folder / "a").write_text("a")

    def fail(folder):
        build(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.build_folder(out, fail)
    assert names_in(out.parent) == []
    assert files.build_folder(out, build) == out
    assert names_in(out.parent) == ["out"]
    assert names_in(out) == ["a"]
    mask = os.umask(0o022)
    os.umask(mask)
    assert stat.S_IMODE(out.stat().st_mode) == 0o777 & ~mask


def test_a_builder_killed_half_way_leaves_no_folder(tmp_path):
    """After kill -9 nothing stands under the name, and building again succeeds."""
    out = tmp_path / "out"
    script = (
        "import sys, time; from pathlib import Path; from leukoscope.foundation import files\n"
        "def build(folder):\n"
        "    (folder / 'a').write_text('half'); print('ready', flush=True); time.sleep(60)\n"
        "files.build_folder(Path(sys.argv[1]), build)"
    )
    kill(start(script, out))
    assert not out.exists()
    files.build_folder(out, lambda folder: (folder / "a").write_text("whole"))
    assert (out / "a").read_text() == "whole"


def test_an_empty_folder_may_be_filled(tmp_path):
    """A folder made beforehand is taken if it is empty."""
    files.build_folder(tmp_path, lambda folder: (folder / "a").write_text("a"))
    assert names_in(tmp_path) == ["a"]


@pytest.mark.parametrize("kind", ["folder", "file", "link", "dead link"])
def test_what_stands_there_is_left_untouched(tmp_path, kind):
    """A folder with something in it, a file or any link is refused before anything is built."""
    out = tmp_path / "out"
    match kind:
        case "folder":
            out.mkdir()
            (out / "mine").write_text("old")
        case "file":
            out.write_text("old")
        case "link":
            (tmp_path / "empty").mkdir()
            out.symlink_to(tmp_path / "empty")
        case _:
            out.symlink_to(tmp_path / "gone")
    before = names_in(tmp_path)
    with pytest.raises(UsageError, match=r"out .*untouched.*new name"):
        files.build_folder(out, lambda _: pytest.fail("it was built"))
    assert names_in(tmp_path) == before
    if kind == "folder":
        assert (out / "mine").read_text() == "old"


def test_what_comes_to_stand_there_meanwhile_is_left_untouched(tmp_path):
    """Of two that build the same folder, the second to end is told and changes nothing."""
    out = tmp_path / "out"

    def build(folder):
        (folder / "a").write_text("late")
        out.mkdir()
        (out / "a").write_text("first")

    with pytest.raises(RunError, match="untouched"):
        files.build_folder(out, build)
    assert names_in(tmp_path) == ["out"]
    assert (out / "a").read_text() == "first"


# Locks


HOLDER = (
    "import sys, time; from pathlib import Path; from leukoscope.foundation import files\n"
    "with files.locked(Path(sys.argv[1])):\n"
    "    print('ready', flush=True); time.sleep(float(sys.argv[2]))\n"
    "    Path(sys.argv[1]).with_suffix('.seen').write_text('held to the end')"
)


def test_a_lock_keeps_a_second_process_out_until_the_first_is_killed(tmp_path):
    """A held lock is refused without waiting, and free at once after kill -9."""
    holder = start(HOLDER, tmp_path / "lock", 60)
    with (
        pytest.raises(RunError, match="Another process is at work"),
        files.locked(tmp_path / "lock", wait=False),
    ):
        pytest.fail("two held the lock")
    kill(holder)
    with files.locked(tmp_path / "lock", wait=False):
        pass


def test_waiting_for_a_lock_outlasts_its_holder(tmp_path):
    """Who waits gets the lock after the holder's last act, not before."""
    holder = start(HOLDER, tmp_path / "lock", 0.3)
    with files.locked(tmp_path / "lock"):
        assert (tmp_path / "lock.seen").read_text() == "held to the end"
    holder.communicate()


def test_a_lock_is_freed_by_an_error(tmp_path):
    """An exception inside the block frees the lock."""
    with pytest.raises(KeyboardInterrupt), files.locked(tmp_path / "new" / "lock"):
        raise KeyboardInterrupt
    with files.locked(tmp_path / "new" / "lock", wait=False):
        pass


# Folders and zips read alike


def test_a_folder_and_its_zip_read_alike(tmp_path):
    """The same names give the same bytes, and a missing one the same kind of error."""
    folder = tmp_path / "folder"
    (folder / "a b").mkdir(parents=True)
    (folder / "a b" / "ü.png").write_bytes(b"picture")
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", folder))
    for root in (folder, archive):
        read = files.open_collection(root)
        assert read("a b/ü.png") == b"picture"
        with pytest.raises(DataError, match=r"gone\.png of .* cannot be read"):
            read("gone.png")


def test_what_is_no_zip_is_refused(tmp_path):
    """Text under the name of a zip is refused with that name."""
    (tmp_path / "x.zip").write_text("text")
    with pytest.raises(DataError, match=r"x\.zip is neither a folder nor a whole zip"):
        files.open_collection(tmp_path / "x.zip")


def test_a_broken_zip_is_refused_wherever_it_is_broken(tmp_path):
    """A zip with one byte changed is read rightly or refused, and never anything else."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ä", json.dumps(list(range(40))))
    whole = path.read_bytes()
    refused = 0
    for place in range(len(whole)):
        for value in (0, 255, whole[place] ^ 9):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                assert json.loads(files.open_collection(path)("ä")) == list(range(40))
            except DataError:
                refused += 1
    assert refused > len(whole) / 4


def test_a_giant_is_not_read(tmp_path):
    """A file over 200 MB is refused by its size alone, from a folder and from a zip."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with (folder / "giant.png").open("wb") as file:
        file.truncate(files.MAX_FILE_MB * 1_000_000 + 1)
    (folder / "small.png").write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("giant.png", "w") as member:
            for _ in range(files.MAX_FILE_MB + 1):
                member.write(bytes(1_000_000))
        archive.writestr("small.png", b"x")
    for root in (folder, tmp_path / "z.zip"):
        read = files.open_collection(root)
        assert read("small.png") == b"x"
        with pytest.raises(DataError, match=r"giant\.png of .* is larger than 200 MB"):
            read("giant.png")


def test_paths_may_be_text(tmp_path, monkeypatch):
    """Names given as text work as paths do."""
    monkeypatch.chdir(tmp_path)
    files.refuse_existing("folder")
    assert files.build_folder("folder", lambda at: (at / "x").write_bytes(b"x")) == Path("folder")
    with pytest.raises(UsageError, match="untouched"):
        files.refuse_existing("folder")
    assert files.open_collection("folder")("x") == b"x"
    with files.locked("folder/lock", wait=False):
        assert Path("folder/lock").exists()


def test_space_is_asked_for_only_where_it_lacks(tmp_path):
    """Over a folder that stands there, freeing space would not help."""
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    with pytest.raises(RunError, match=r"untouched\. Choose another place"):
        files.write_text(tmp_path / "folder", "new")
