"""Decoded pixels at the working size, in one memory-mapped file keyed by content.

A picture is decoded once for each size. Reading needs memory for the pictures
asked for, never for all. One writer at a time holds a lock that the system frees
when the process dies; readers see whole rows only, because the index that names a
row is replaced after the row is on the disk. What a killed writer left behind the
indexed rows is overwritten by the next one.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, RunError
from leukoscope.intake.decode import Pixels, decode_known, resize
from leukoscope.records.dataset import Dataset, open_pictures
from leukoscope.records.lineage import is_copy

_CHUNK = 512


@dataclass(frozen=True)
class PixelStore:
    """Give pixels by content from a memory-mapped file."""

    pixels: npt.NDArray[np.uint8]
    """uint8, shape (n_contents, size_px, size_px, 3), mapped read-only."""
    row_of: dict[str, int]
    """Content → row."""

    def rows(self, contents: Sequence[str]) -> npt.NDArray[np.int64]:
        """Look up the rows of contents, shape (n,)."""
        return np.array([self.row_of[content] for content in contents], dtype=np.int64)

    def take(self, rows: npt.NDArray[np.int64]) -> Pixels:
        """Copy some rows into memory: uint8, shape (n, size_px, size_px, 3)."""
        return np.asarray(self.pixels[rows])


def open_store(dataset: Dataset, manifest: pl.DataFrame, size_px: int) -> PixelStore:
    """Open the pixels of some cells at a size, decoding what is not stored yet.

    Parameters
    ----------
    dataset : Dataset
        Whose folder keeps the store, under ``pixels/``.
    manifest : polars.DataFrame
        The cells that will be read: cell_id, origin, path and content of each.
    size_px : int
        Working size.

    Returns
    -------
    PixelStore
        With a row for each content of *manifest*.

    Raises
    ------
    DataError
        If a picture is missing, broken, or no longer the one that was ingested.
    RunError
        If the disk is full.
    """
    folder = dataset.folder / "pixels" / f"{size_px}px"
    wanted = manifest.unique("content", maintain_order=True)
    missing = _missing(folder, wanted)
    if missing.height:
        with files.locked(folder / "lock"):
            # Another process may have stored them while this one waited.
            missing = _missing(folder, wanted)
            _append(dataset, folder, missing, size_px)
    index = _read_index(folder)
    shape = (len(index), size_px, size_px, 3)
    _refuse_short(folder / "pixels.u8", int(np.prod(shape)))
    mapped = np.memmap(folder / "pixels.u8", dtype=np.uint8, mode="r", shape=shape)
    return PixelStore(mapped, index)


def _missing(folder: Path, wanted: pl.DataFrame) -> pl.DataFrame:
    return wanted.filter(~pl.col("content").is_in(list(_read_index(folder))))


def _read_index(folder: Path) -> dict[str, int]:
    path = folder / "index.txt"
    if not path.exists():
        return {}
    return {content: row for row, content in enumerate(path.read_text().split())}


def _append(dataset: Dataset, folder: Path, missing: pl.DataFrame, size_px: int) -> None:
    index = list(_read_index(folder))
    read = open_pictures(dataset)

    def pixels_of(cell: tuple[str, str, bool]) -> Pixels:
        path, content, in_own_folder = cell
        data = read(path, in_own_folder)
        return resize(decode_known(data, name=path, content=content), size_px)

    todo = missing.select("path", "content", in_own_folder=is_copy()).rows()
    offset = len(index) * size_px**2 * 3
    with _open_at(folder / "pixels.u8", offset) as file, ThreadPoolExecutor() as pool:
        for start in range(0, len(todo), _CHUNK):
            chunk = todo[start : start + _CHUNK]
            rows = np.stack(list(pool.map(pixels_of, chunk)))
            _write_through(file, folder, rows)
            index += [content for _, content, _ in chunk]
            files.write_text(folder / "index.txt", "\n".join(index) + "\n")
            progress.tell("decoding", start + len(chunk), len(todo))


def _write_through(descriptor: int, folder: Path, rows: Pixels) -> None:
    data = memoryview(rows.tobytes())
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    except OSError as error:
        raise RunError(
            f"The pixel store {folder} could not grow: {error.strerror}. What it held is "
            "untouched. Free space, then give the same command again."
        ) from None


@contextlib.contextmanager
def _open_at(path: Path, offset: int) -> Iterator[int]:
    if offset:
        _refuse_short(path, offset)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        os.lseek(descriptor, offset, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _refuse_short(path: Path, n_bytes: int) -> None:
    if not path.exists() or path.stat().st_size < n_bytes:
        raise DataError(
            f"{path} is shorter than its index says. It only holds copies: remove the folder "
            f"{path.parent} and give the command again."
        )
