"""Measures of every cell of a dataset, on the masks it came with or on those found in it."""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError
from leukoscope.intake.decode import Pixels, decode_known, decode_levels
from leukoscope.intake.isolated import doubt_of
from leukoscope.morphology.isolation import isolate_cell
from leukoscope.morphology.masks import Levels, Masks, masks_of
from leukoscope.morphology.measures import measure_cell
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset, open_pictures
from leukoscope.records.lineage import ISOLATED, is_copy, is_rendering

_CHUNK = 256
_EXPECTED = "0 outside, 128 cytoplasm and 255 nucleus are expected"
_KEPT = ("cell_id", "category", "case", "family", "origin", "copy")
_USED = (*_KEPT, "path", "content", "mask_path", "draw", "um_per_px")


def measure_dataset(dataset: Dataset) -> pl.DataFrame:
    """Measure every cell of a dataset.

    Parameters
    ----------
    dataset : Dataset
        A cell with a ``mask_path`` is measured on that mask; the leukocyte of any other is
        looked for in its picture.

    Returns
    -------
    polars.DataFrame
        A measures table, one row a cell; ``origin`` and ``copy`` are the manifest's. Where no
        leukocyte was found, ``mask`` is ``none``, the measures are null and ``flags`` says why.
        ``confidence`` and ``flags`` of an isolated cell are those its mask was found with; they
        are null for other given masks.
        Measures in micrometres are null where the scale is not known.

    Raises
    ------
    DataError
        If a picture or mask is gone or broken, or a mask is empty, of another size than
        its picture, or shows a nucleus without cytoplasm and was not found by isolation.
    """
    measure = _measurer(open_pictures(dataset), dataset.folder)
    cells = dataset.manifest.select(
        *_USED,
        in_own_folder=is_copy(),
        is_rendering=is_rendering(),
        # A copy of a rendering has the rendering's mask, moved.
        is_isolated=is_rendering()
        | pl.col("origin").str.ends_with(ISOLATED).fill_null(value=False),
    )
    parts = [pl.DataFrame(schema=shapes.MEASURES.columns)]
    # More threads than cores wait for each other: this is arithmetic, hardly any reading.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, cells.height, _CHUNK):
            rows = list(pool.map(measure, cells.slice(start, _CHUNK).to_dicts()))
            parts.append(pl.DataFrame(rows, schema=shapes.MEASURES.columns))
            progress.tell("measuring", start + len(rows), cells.height)
    table = tables.check(pl.concat(parts), shapes.MEASURES)
    _note(table)
    return table


def _measurer(
    read: Callable[[str, bool], bytes], folder: Path
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    read_own = files.open_collection(folder)

    def measure(cell: dict[str, Any]) -> dict[str, Any]:
        path = cell["path"]
        data = read(path, cell["in_own_folder"])
        image = decode_known(data, name=path, content=cell["content"])
        row = {name: cell[name] for name in _KEPT}
        if cell["mask_path"] is not None:
            masks: Masks | None = _given_masks(read_own, cell, folder, image)
            row |= {"mask": "given"} | _doubt_of_given(cell)
        else:
            found = isolate_cell(image)
            masks = found.masks
            row["mask"] = "none" if masks is None else "found"
            row |= {"confidence": found.confidence, "flags": "; ".join(found.flags) or None}
        return row if masks is None else row | _measures(cell, image, masks)

    return measure


def _doubt_of_given(cell: dict[str, Any]) -> dict[str, Any]:
    """Give confidence and flags of a given mask: known of renderings alone."""
    doubt = doubt_of(cell["draw"] if cell["is_rendering"] else None)
    return doubt | {"flags": "; ".join(doubt["flags"] or ()) or None}


def _measures(cell: dict[str, Any], image: Pixels, masks: Masks) -> dict[str, float | None]:
    """Measure one cell, with null for what a table has not, and its name in an error."""
    try:
        found = measure_cell(image, masks, cell["um_per_px"])
    except DataError as error:
        raise DataError(f"Cell {cell['cell_id']}: {error}") from None
    return {name: None if math.isnan(value) else value for name, value in found.items()}


def _given_masks(
    read_own: Callable[[str], bytes], cell: dict[str, Any], folder: Path, image: Pixels
) -> Masks:
    """Read a mask picture and make sure that it is one of this picture's."""
    path, name = cell["mask_path"], f"{cell['mask_path']} of {folder}"
    try:
        masks = masks_of(_levels(read_own(path), name, image.shape[:2]))
        # Isolation may find no cytoplasm; from elsewhere it is a mask of the whole cell alone.
        if not cell["is_isolated"]:
            _refuse_all_nucleus(masks, name)
    except DataError as error:
        other = (
            "isolate the originals again"
            if cell["is_rendering"]
            else "ingest the pictures without masks, to have the leukocytes looked for"
        )
        raise DataError(
            f"Cell {cell['cell_id']}: mask {error} Nothing was written. Mend the mask, or {other}."
        ) from None
    return masks


def _levels(data: bytes, name: str, shape: tuple[int, int]) -> Levels:
    """Decode a mask and make sure that it holds a nucleus. Raises DataError."""
    levels = decode_levels(data, name=name, shape=shape)
    if not masks_of(levels).nucleus.any():
        raise DataError(
            f"{name} holds no nucleus: its levels are {levels.min()} to {levels.max()}, where "
            f"{_EXPECTED}."
        )
    return levels


def _refuse_all_nucleus(masks: Masks, name: str) -> None:
    if np.array_equal(masks.nucleus, masks.cell):
        raise DataError(
            f"{name} holds no cytoplasm, so that the whole cell would be measured as its nucleus; "
            f"{_EXPECTED}."
        )


def _note(table: pl.DataFrame) -> None:
    """Tell how many cells were measured on which masks."""
    n_by_mask = dict(table["mask"].value_counts().rows())
    given, found, none = (n_by_mask.get(name, 0) for name in ("given", "found", "none"))
    on_given = f", {given} on given masks" if given else ""
    progress.note(f"{given + found} of {table.height} cells were measured{on_given}.")
    if none:
        progress.note(f"In {none} no leukocyte was found: their measures are empty.")
