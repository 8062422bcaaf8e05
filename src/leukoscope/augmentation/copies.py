"""Copies of cells as files: each is made from its parent and a draw, and from nothing else."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from leukoscope.augmentation.apply import Mask, Pixels, apply, apply_to_mask
from leukoscope.augmentation.draw import Draw, draw
from leukoscope.augmentation.points import map_box
from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, DecodeError
from leukoscope.foundation.resumable import put
from leukoscope.intake.decode import content_of, decode, decode_known, decode_levels, encode_png
from leukoscope.morphology.masks import bounds_px
from leukoscope.records import shapes
from leukoscope.records.dataset import Dataset, open_pictures

Row = dict[str, Any]
"""One row of a manifest, by column."""
_TASKS, _COPIES = 256, 16
"""Tasks of which the rows are held at once, and copies of one cell that a task makes."""


class Parent(NamedTuple):
    """Hold what copies of a cell are made from."""

    pixels: Pixels
    """uint8, shape (height, width, 3)."""
    mask: Mask | None
    """uint8, shape (height, width), 0 outside the cell; None if the cell has no mask."""


class _Task(NamedTuple):
    row: Row
    copies: range


def write_copies(
    dataset: Dataset,
    planned: pl.DataFrame,
    recipe: AugmentationRecipe,
    *,
    folder: Path,
    seed: int,
    workers: int | None,
) -> Iterator[pl.DataFrame]:
    """Write pictures, and masks where the parents have some, into ``images/`` and ``masks/``.

    A picture that stands there already and is whole is left as it is.

    Parameters
    ----------
    dataset : Dataset
        Whose cells are copied.
    planned : polars.DataFrame
        Rows of its manifest with a column ``n_copies``.
    recipe : AugmentationRecipe
        What to do.
    folder : Path
        The dataset folder that is to own the copies.
    seed : int
        Seed of the draws.
    workers : int or None
        Threads; as many as there are processors if None. Their number changes nothing else.

    Yields
    ------
    polars.DataFrame
        Rows of the new manifest, some thousand at a time.

    Raises
    ------
    DataError
        If a picture or mask is gone, broken, or not what it was.
    """
    for name in ("images", "masks") if planned["mask_path"].count() else ("images",):
        (folder / name).mkdir(exist_ok=True)
    make = _maker(open_parents(dataset), recipe, folder, seed)
    tasks, n_copies, done = _tasks(planned), int(planned["n_copies"].sum()), 0
    # More threads than cores wait for each other: this is arithmetic, hardly any reading.
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        try:
            while some := list(islice(tasks, _TASKS)):
                rows = list(chain.from_iterable(pool.map(make, some)))
                yield pl.DataFrame(rows, schema=shapes.MANIFEST.columns)
                done += len(rows)
                progress.tell("augmenting", done, n_copies)
        finally:
            pool.shutdown(cancel_futures=True)


def open_parents(dataset: Dataset) -> Callable[[Row], Parent]:
    """Open the cells of a dataset for making copies of them.

    Returns
    -------
    callable
        ``parent(row)`` reads picture and mask of a row of the manifest that is no copy, and makes
        sure that the picture is the one that was taken in; several threads may call it at once.

    Raises
    ------
    DataError
        If the pictures are gone; by ``parent`` if one is, or its mask, or is not what it was.
    """
    read, read_own = open_pictures(dataset), files.open_collection(dataset.folder)

    def parent(row: Row) -> Parent:
        name, path = row["path"], row["mask_path"]
        pixels = decode_known(read(name, False), name=name, content=row["content"])
        if path is None:
            return Parent(pixels, None)
        try:
            mask = decode_levels(
                read_own(path), name=f"{path} of {dataset.folder}", shape=pixels.shape[:2]
            )
        except DataError as error:
            raise DataError(
                f"Cell {row['cell_id']}: mask {error} Nothing was made from it. Mend the mask."
            ) from None
        return Parent(pixels, mask)

    return parent


def _tasks(planned: pl.DataFrame) -> Iterator[_Task]:
    """Cut the work into parts of a few copies of one cell, so that it is decoded once for them."""
    for row in planned.iter_rows(named=True):
        n_copies = row.pop("n_copies")
        for first in range(1, n_copies + 1, _COPIES):
            yield _Task(row, range(first, min(first + _COPIES, n_copies + 1)))


def _maker(
    parent_of: Callable[[Row], Parent], recipe: AugmentationRecipe, folder: Path, seed: int
) -> Callable[[_Task], list[Row]]:
    recipe_id = recipe.recipe_id

    def make(task: _Task) -> list[Row]:
        parent = parent_of(task.row)
        return [_copy(task.row, parent, copy) for copy in task.copies]

    def _copy(row: Row, parent: Parent, copy: int) -> Row:
        drawn = draw(recipe, seed, row["cell_id"], copy)
        pixels = apply(drawn, parent.pixels, parent.mask)
        content = content_of(pixels)
        name = f"{_short(row['cell_id'])}-{copy}-{content}.png"
        moved = None if parent.mask is None else apply_to_mask(drawn, parent.mask)
        has_mask = moved is not None and bool(moved.any())
        # The mask first: a picture that stands there has its mask.
        if moved is not None and has_mask:
            put(folder / "masks" / name, encode_png(moved))
        if not _stands(folder / "images" / name, content):
            put(folder / "images" / name, encode_png(pixels))
        return row | {
            "cell_id": f"{row['cell_id']}+{recipe.name}-{copy}",
            "path": f"images/{name}",
            "content": content,
            "height_px": pixels.shape[0],
            "width_px": pixels.shape[1],
            "mask_path": f"masks/{name}" if has_mask else None,
            "box_px": _box_of(drawn, row, parent, moved),
            "exif_orientation": 1,
            "origin": row["cell_id"],
            "recipe_id": recipe_id,
            "draw": drawn.to_json(),
            "copy": copy,
        }

    return make


def _box_of(drawn: Draw, row: Row, parent: Parent, moved: Mask | None) -> Sequence[int] | None:
    """Let a box follow: one that is its mask's bounds stays so, any other is the moved outline's.

    A box in a field photograph is one of another picture, which no draw moves: it is left out.
    """
    box = row["box_px"]
    if box is None or row["field"] is not None:
        return None
    if moved is not None and _bounds(parent.mask) == list(box):
        return _bounds(moved)
    height, width = parent.pixels.shape[:2]
    return map_box(drawn, box, height, width)


def _bounds(mask: Mask | None) -> list[int] | None:
    if mask is None or not mask.any():
        return None
    return list(bounds_px(mask > 0))


def _stands(path: Path, content: str) -> bool:
    """Tell whether a picture was written before a stop, and whole."""
    try:
        return content_of(decode(path.read_bytes(), name=path.name).pixels) == content
    except (FileNotFoundError, DecodeError):
        return False


def _short(cell_id: str) -> str:
    """Name a cell by 16 digits that any disk takes."""
    return hashlib.blake2b(cell_id.encode(), digest_size=8).hexdigest()
