import signal
import subprocess
import sys

import numpy as np
import pytest

from leukoscope.foundation.errors import DataError
from leukoscope.intake.rows import RowFile, open_rows, read_index


def row_file(folder, shape=(3,)):
    """Say where rows of float32 lie."""
    return RowFile(folder / "rows", "rows.f32", "test store", "making", shape, np.float32)


def made_of(keys, asked=None):
    """Make each row out of its key, and keep the list of places asked for."""

    def make(places):
        if asked is not None:
            asked.extend(places)
        return np.array([[float(keys[place])] * 3 for place in places], np.float32)

    return make


def test_each_key_gives_its_own_row_and_is_made_once(tmp_path):
    """In any order, repeated, over several chunks, and none of them again later."""
    keys = [str(i) for i in (5, 3, 5, 9, 3)] + [str(i) for i in range(20, 1100)]
    asked = []
    rows, index = open_rows(row_file(tmp_path), keys, made_of(keys, asked))
    assert asked == [0, 1, 3, *range(5, len(keys))]
    assert [float(rows[index[key]][0]) for key in keys] == [float(key) for key in keys]
    more = [*keys[::-1], "7"]
    rows, index = open_rows(row_file(tmp_path), more, made_of(more, again := []))
    assert again == [len(more) - 1]
    assert [float(rows[index[key]][2]) for key in more] == [float(key) for key in more]


def test_rows_of_another_type_or_shape_are_refused(tmp_path):
    """Nothing is written of them: the index does not know their keys."""
    stored = row_file(tmp_path)
    for odd in (np.zeros((1, 3)), np.zeros((1, 4), np.float32)):
        with pytest.raises(DataError, match="row of the test store"):
            open_rows(stored, ["1"], lambda _places, odd=odd: odd)
    assert read_index(stored) == {}


def test_no_keys_give_no_rows(tmp_path):
    """Nor a file."""
    rows, index = open_rows(row_file(tmp_path), [], made_of([]))
    assert rows.shape == (0, 3)
    assert index == {}
    assert not row_file(tmp_path).folder.exists()


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
from leukoscope.intake.rows import RowFile, open_rows
stored = RowFile(Path(sys.argv[1]) / "rows", "rows.f32", "test store", "making", (3,), np.float32)
def make(places):
    if places[0] >= 512:
        with stored.path.open("ab") as file:
            file.write(b"half a row"); file.flush()
        print("now", flush=True); time.sleep(60)
    return np.array([[float(place)] * 3 for place in places], np.float32)
open_rows(stored, [str(i) for i in range(700)], make)
"""


def test_a_killed_writer_leaves_whole_rows(tmp_path):
    """What it finished is kept, what it began is written over."""
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == "now\n"
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert len(read_index(row_file(tmp_path))) == 512
    keys = [str(i) for i in range(700)]
    rows, index = open_rows(row_file(tmp_path), keys, made_of(keys, asked := []))
    assert asked == list(range(512, 700))
    assert [float(rows[index[key]][1]) for key in keys] == [float(key) for key in keys]
