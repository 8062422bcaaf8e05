"""Arrays of one shape in one memory-mapped file, each under a key; it only ever grows.

Reading needs memory for the rows asked for, never for all. One writer at a time holds a lock
that the system frees when the process dies; readers see whole rows only, because the index that
names a row is replaced after the row is on the disk. What a killed writer left behind the indexed
rows is overwritten by the next one.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, RunError

_CHUNK = 512
Index = dict[str, int]


@dataclass(frozen=True)
class RowFile:
    """Say where rows lie and of what kind they are."""

    folder: Path
    """Holds the file, its index and its lock."""
    name: str
    """Of the file, in the folder."""
    kind: str
    """What a person calls it: "pixel store"."""
    stage: str
    """What making a row is called: "decoding"."""
    shape: tuple[int, ...]
    """Of one row."""
    dtype: npt.DTypeLike

    @property
    def path(self) -> Path:
        """Name the file."""
        return self.folder / self.name

    @property
    def row_bytes(self) -> int:
        """Count the bytes of one row."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


def open_rows(
    rows: RowFile, keys: Sequence[str], make: Callable[[Sequence[int]], npt.NDArray[Any]]
) -> tuple[npt.NDArray[Any], Index]:
    """Open rows by key, making those that are not stored yet.

    Parameters
    ----------
    rows : RowFile
        Where they lie.
    keys : sequence of str
        What will be read; without white space; a key may stand several times.
    make : callable
        Makes the rows of some places in *keys*; called with up to 512 places at a time, in
        their order, under the lock.

    Returns
    -------
    numpy.ndarray, shape (n_stored, *shape)
        Mapped read-only.
    dict of str to int
        Key → row, for each of *keys* and all else that is stored.

    Raises
    ------
    DataError
        If the file is shorter than its index.
    RunError
        If the disk is full.
    """
    place_of = {key: place for place, key in reversed(list(enumerate(keys)))}
    index = read_index(rows)
    if not place_of.keys() <= index.keys():
        with files.locked(rows.folder / "lock"):
            # Another process may have stored them while this one waited.
            stored = read_index(rows)
            missing = sorted(place for key, place in place_of.items() if key not in stored)
            _append(rows, list(stored), missing, keys, make)
        index = read_index(rows)
    _refuse_short(rows, len(index))
    if not index:
        return np.zeros((0, *rows.shape), rows.dtype), index
    mapped = np.memmap(rows.path, dtype=rows.dtype, mode="r", shape=(len(index), *rows.shape))
    return mapped, index


def read_index(rows: RowFile) -> Index:
    """Read which keys are stored, each with its row."""
    path = rows.folder / "index.txt"
    if not path.exists():
        return {}
    return {key: row for row, key in enumerate(path.read_text().split())}


def _append(
    rows: RowFile,
    index: list[str],
    missing: Sequence[int],
    keys: Sequence[str],
    make: Callable[[Sequence[int]], npt.NDArray[Any]],
) -> None:
    if not missing:
        return
    with _open_at(rows, len(index)) as file:
        for start in range(0, len(missing), _CHUNK):
            chunk = missing[start : start + _CHUNK]
            _write_through(file, rows, make(chunk))
            index += [keys[place] for place in chunk]
            files.write_text(rows.folder / "index.txt", "\n".join(index) + "\n")
            progress.tell(rows.stage, start + len(chunk), len(missing))


def _write_through(descriptor: int, rows: RowFile, made: npt.NDArray[Any]) -> None:
    # Written as they come, another type or shape would be read as other numbers.
    if made.dtype != np.dtype(rows.dtype) or made.shape[1:] != rows.shape:
        raise DataError(
            f"A row of the {rows.kind} {rows.folder} came as {made.dtype} {made.shape[1:]}, not "
            f"{np.dtype(rows.dtype)} {rows.shape}. What it held is untouched."
        )
    data = memoryview(made.tobytes())
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    except OSError as error:
        raise RunError(
            f"The {rows.kind} {rows.folder} could not grow: {error.strerror}. What it held is "
            "untouched. Free space, then give the same command again."
        ) from None


@contextlib.contextmanager
def _open_at(rows: RowFile, n_stored: int) -> Iterator[int]:
    if n_stored:
        _refuse_short(rows, n_stored)
    with files.disk_errors(rows.path):
        descriptor = os.open(rows.path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        os.lseek(descriptor, n_stored * rows.row_bytes, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _refuse_short(rows: RowFile, n_stored: int) -> None:
    n_bytes = n_stored * rows.row_bytes
    if n_bytes and (not rows.path.exists() or rows.path.stat().st_size < n_bytes):
        raise DataError(
            f"{rows.path} is shorter than its index says. It only holds copies: remove the folder "
            f"{rows.folder} and give the command again."
        )
