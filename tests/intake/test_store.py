import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.intake.pictures import cells, dataset_of, drawn, encoded, lay_out

from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, RunError
from leukoscope.intake.decode import content_of, decode, resize
from leukoscope.intake.store import open_store
from leukoscope.records.dataset import Dataset, read_dataset

SIZE = 8
OPEN = """
import sys, time
from pathlib import Path
from leukoscope.foundation import progress
from leukoscope.intake.store import open_store
from leukoscope.records.dataset import read_dataset
known = read_dataset(Path(sys.argv[1]))
"""


def expected_of(known, contents):
    """Decode and resize the slow way: from the file of each cell, one by one."""
    path_of = dict(known.manifest.select("content", "path").rows())
    pictures = [(known.image_root / path_of[content]).read_bytes() for content in contents]
    return np.stack([resize(decode(data, name="x").pixels, SIZE) for data in pictures])


def check_right(known, store, contents):
    np.testing.assert_array_equal(store.take(store.rows(contents)), expected_of(known, contents))


@pytest.fixture
def known(tmp_path):
    return dataset_of(tmp_path, cells(40, 11, 9))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Make a dataset that takes the store two chunks."""
    return dataset_of(tmp_path_factory.mktemp("large"), cells(700))


def copy_of(known, folder):
    """Copy a dataset without its store; the pictures stay where they are."""
    shutil.copytree(known.folder, folder, ignore=shutil.ignore_patterns("pixels"))
    return read_dataset(folder)


def start(script, *arguments):
    command = [sys.executable, "-c", OPEN + script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_every_row_is_the_decoded_and_resized_picture(known):
    """Read in any order and repeatedly, each content gives its own pixels."""
    store = open_store(known, known.manifest, SIZE)
    contents = known.manifest["content"].to_list()
    check_right(known, store, contents)
    check_right(known, store, contents[::-3] + contents[:2])
    assert store.pixels.dtype == np.uint8
    assert store.pixels.shape == (40, SIZE, SIZE, 3)


def test_what_is_taken_is_a_copy_and_what_is_stored_is_read_only(known):
    """Changing a batch in place changes no stored pixel."""
    store = open_store(known, known.manifest, SIZE)
    store.take(np.array([0, 1]))[:] = 0
    check_right(known, store, known.manifest["content"].to_list())
    with pytest.raises(ValueError, match="read-only"):
        store.pixels[0] = 0


def test_a_store_grows_and_sizes_are_apart(known):
    """Cells opened later are added to those stored; another size has its own file."""
    one, other = known.manifest[:15], known.manifest[10:]
    told = []
    with progress.listening(lambda *news: told.append(news)):
        open_store(known, one, SIZE)
        store = open_store(known, other, SIZE)
        open_store(known, known.manifest, SIZE)
    assert told == [("decoding", 15, 15), ("decoding", 25, 25)]
    check_right(known, store, known.manifest["content"].to_list())
    bigger = open_store(known, known.manifest[:2], 16)
    assert bigger.pixels.shape == (2, 16, 16, 3)


def test_a_picture_is_decoded_once(tmp_path):
    """Neither a copy's file nor, later, any file is needed again: they may be gone."""
    pictures = cells(10) | {"monocyte/copy.png": drawn(0), "monocyte/copy2.png": drawn(1)}
    known = dataset_of(tmp_path, pictures)
    expected = expected_of(known, known.manifest["content"].to_list())
    for name in ("monocyte/copy.png", "monocyte/copy2.png"):
        (known.image_root / name).unlink()
    assert len(open_store(known, known.manifest, SIZE).pixels) == 10
    shutil.rmtree(known.image_root)
    store = open_store(known, known.manifest, SIZE)
    contents = known.manifest["content"].to_list()
    np.testing.assert_array_equal(store.take(store.rows(contents)), expected)


def test_a_zip_gives_the_same_store(tmp_path):
    """Pixels read from a packed collection are those of the unpacked one."""
    known = dataset_of(tmp_path, cells(12))
    archive = shutil.make_archive(str(tmp_path / "z"), "zip", known.image_root)
    card = known.card.model_copy(update={"image_root": archive})
    packed = Dataset(copy_of(known, tmp_path / "e").folder, card, known.manifest)
    store = open_store(packed, known.manifest, SIZE)
    check_right(known, store, known.manifest["content"].to_list())


# Others at work, and sudden ends


def test_two_processes_at_once_give_one_right_store(large, tmp_path):
    """Each asks for its own cells, some the same: every content is stored once and rightly."""
    known = copy_of(large, tmp_path / "d")
    script = "open_store(known, known.manifest[int(sys.argv[2]):int(sys.argv[3])], 8)"
    workers = [start(script, known.folder, *span) for span in ((0, 500), (200, 700), (0, 700))]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    for worker in workers:
        worker.stdout.close()
    index = (known.folder / "pixels" / "8px" / "index.txt").read_text().split()
    assert sorted(index) == sorted(known.manifest["content"])
    assert (known.folder / "pixels" / "8px" / "pixels.u8").stat().st_size == 700 * 8 * 8 * 3
    check_right(large, open_store(known, known.manifest, SIZE), index)


def test_threads_of_one_process_share_a_store(large, tmp_path):
    """Opened at once in several threads, it is written once."""
    known = copy_of(large, tmp_path / "d")
    threads = [
        threading.Thread(target=open_store, args=(known, known.manifest[i * 50 :], SIZE))
        for i in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = open_store(known, known.manifest, SIZE)
    assert len(store.pixels) == 700
    check_right(large, store, known.manifest["content"].to_list())


def test_a_writer_killed_between_chunks_is_carried_on(large, tmp_path):
    """What it had stored is kept and not decoded again; the rest follows."""
    known = copy_of(large, tmp_path / "d")
    script = (
        "def stop(stage, done, total):\n    print(done, flush=True); time.sleep(60)\n"
        "with progress.listening(stop): open_store(known, known.manifest, 8)"
    )
    writer = start(script, known.folder)
    assert writer.stdout.readline() == "512\n"
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    told = []
    with progress.listening(lambda *news: told.append(news)):
        store = open_store(known, known.manifest, SIZE)
    assert told == [("decoding", 188, 188)]
    check_right(large, store, known.manifest["content"].to_list())


@pytest.mark.parametrize("n_bytes", [1, 100, 8 * 8 * 3, 5000])
def test_rows_without_an_index_are_written_again(known, n_bytes):
    """What a killed writer left behind the indexed rows, whole or half, does no harm."""
    open_store(known, known.manifest[:7], SIZE)
    with (known.folder / "pixels" / "8px" / "pixels.u8").open("ab") as file:
        file.write(b"\xaa" * n_bytes)
    store = open_store(known, known.manifest, SIZE)
    check_right(known, store, known.manifest["content"].to_list())


def test_a_reader_is_not_disturbed_by_growth(known):
    """A store opened before others added to it goes on giving its own rows."""
    early = open_store(known, known.manifest[:10], SIZE)
    open_store(known, known.manifest, SIZE)
    check_right(known, early, known.manifest["content"][:10].to_list())


def test_a_full_disk_is_told_and_what_was_stored_is_kept(large, tmp_path):
    """Where the file cannot grow, the first chunk stays readable and the work can go on later."""
    known = copy_of(large, tmp_path / "d")
    script = (
        "import resource, signal; from leukoscope.foundation.errors import RunError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000))\n"
        "try: open_store(known, known.manifest, 8)\n"
        "except RunError as error: print(error)"
    )
    told, _ = start(script, known.folder).communicate()
    assert "8px could not grow: File too large. What it held is untouched." in told
    store = open_store(known, known.manifest[:512], SIZE)
    assert len(store.pixels) == 512
    store = open_store(known, known.manifest, SIZE)
    check_right(large, store, known.manifest["content"].to_list())


def test_a_store_larger_than_memory_stays_on_the_disk(known):
    """Reading random rows of a 400 MB store takes less than 60 MB of the process's own memory."""
    status = Path("/proc/self/status")
    if not status.exists() or "RssAnon" not in status.read_text():
        pytest.skip("this system does not say how much memory is the process's own")

    def own_megabytes():
        line = next(each for each in status.read_text().splitlines() if "RssAnon" in each)
        return int(line.split()[1]) / 1024

    n, size = 33_000, 64
    folder = known.folder / "pixels" / "64px"
    folder.mkdir(parents=True)
    with (folder / "pixels.u8").open("wb") as file:
        os.ftruncate(file.fileno(), n * size * size * 3)
        file.seek(20_000 * size * size * 3)
        file.write(b"\x07" * (size * size * 3))
    contents = [f"{i:032x}" for i in range(n)]
    (folder / "index.txt").write_text("\n".join(contents) + "\n")
    manifest = pl.DataFrame({"cell_id": contents, "content": contents, "path": "x", "origin": None})
    before = own_megabytes()
    store = open_store(known, manifest, size)
    rows = store.rows(contents)
    rng = np.random.default_rng(0)
    for _ in range(150):
        store.take(rng.choice(rows, 64))
    assert own_megabytes() - before < 60
    assert store.pixels.nbytes > 400e6
    assert (store.take(rows[20_000:20_001]) == 7).all()
    assert (store.take(rows[19_999:20_002:2]) == 0).all()


# Pictures that are not what they were


def test_a_picture_changed_after_ingest_is_told(known):
    """Other pixels under the old name are refused by name; the same pixels in new bytes are not."""
    path = known.image_root / known.manifest["path"][3]
    pixels = decode(path.read_bytes(), name="x").pixels
    path.write_bytes(encoded(pixels, "PNG", compress_level=0))
    open_store(known, known.manifest[:5], SIZE)
    lay_out(known.image_root, {known.manifest["path"][8]: drawn(99)})
    with pytest.raises(DataError, match=rf"{known.manifest['path'][8]} is no longer the picture"):
        open_store(known, known.manifest, SIZE)
    check_right(
        known, open_store(known, known.manifest[:5], SIZE), known.manifest["content"][:5].to_list()
    )


def test_missing_pictures_and_a_moved_collection_are_told(known, tmp_path):
    """One picture gone, or all of them: which, where they should be, and what to do."""
    name = known.manifest["path"][2]
    (known.image_root / name).rename(tmp_path / "aside.png")
    with pytest.raises(DataError, match=rf"{name} of .*pictures cannot be read.*Put the picture"):
        open_store(known, known.manifest, SIZE)
    known.image_root.rename(tmp_path / "moved")
    with pytest.raises(DataError, match=r"should lie in .*pictures, which is not there"):
        open_store(known, known.manifest, SIZE)


def test_a_broken_picture_is_told(known):
    """A file that was cut short after ingest is named with its fault."""
    name = known.manifest["path"][2]
    (known.image_root / name).write_bytes(b"")
    with pytest.raises(DataError, match=rf"{name} is empty"):
        open_store(known, known.manifest, SIZE)


@pytest.mark.parametrize("lost", ["half", "all"])
def test_an_index_longer_than_its_file_is_told(known, lost):
    """A store that lost rows is not read with others in their place: what to remove is named."""
    open_store(known, known.manifest[:20], SIZE)
    path = known.folder / "pixels" / "8px" / "pixels.u8"
    if lost == "half":
        os.truncate(path, 10 * SIZE * SIZE * 3)
    else:
        path.unlink()
    for part in (known.manifest[:20], known.manifest):
        with pytest.raises(DataError, match=r"shorter than its index.*remove the folder .*8px"):
            open_store(known, part, SIZE)
    shutil.rmtree(path.parent)
    check_right(known, open_store(known, known.manifest, SIZE), list(known.manifest["content"]))


def test_a_store_that_cannot_be_made_is_told(known):
    """Where the dataset's folder takes no store, the sentence says so."""
    files.write_text(known.folder / "pixels", "a file in the way")
    with pytest.raises(RunError, match="could not be written"):
        open_store(known, known.manifest, SIZE)


def test_contents_are_those_of_the_pictures(known):
    """The key of each row is the hash of the decoded picture, before any resizing."""
    path, content = known.manifest.select("path", "content").row(0)
    pixels = decode((known.image_root / path).read_bytes(), name="x").pixels
    assert content_of(pixels) == content
