"""Decoded pixels at the working size, in one memory-mapped file keyed by content.

A picture is decoded once for each size. How the file grows and survives: :mod:`intake.rows`.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.intake.decode import Pixels, decode_known, resize
from leukoscope.intake.rows import RowFile, open_rows
from leukoscope.records.dataset import Dataset, open_pictures
from leukoscope.records.lineage import is_copy


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
    wanted = manifest.unique("content", maintain_order=True)
    cells = wanted.select("path", "content", in_own_folder=is_copy()).rows()

    # Opened when the first picture is missing: with all stored, the collection may be gone.
    opened = cache(lambda: open_pictures(dataset))

    def decoded(places: Sequence[int]) -> Pixels:
        read = opened()

        def pixels_of(place: int) -> Pixels:
            path, content, in_own_folder = cells[place]
            data = read(path, in_own_folder)
            return resize(decode_known(data, name=path, content=content), size_px)

        with ThreadPoolExecutor() as pool:
            return np.stack(list(pool.map(pixels_of, places)))

    shape = (size_px, size_px, 3)
    folder = dataset.folder / "pixels" / f"{size_px}px"
    stored = RowFile(folder, "pixels.u8", "pixel store", "decoding", shape, np.uint8)
    return PixelStore(*open_rows(stored, wanted["content"].to_list(), decoded))
