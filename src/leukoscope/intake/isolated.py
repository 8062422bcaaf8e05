"""Cells without their background: a dataset in which every leukocyte that is found stands alone."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import polars as pl

from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, UsageError, unknown_name
from leukoscope.intake.decode import content_of, decode_known, encode_png
from leukoscope.intake.ingest import repeated_contents
from leukoscope.morphology.isolation import FLAGS, Isolation, isolate_cell
from leukoscope.morphology.masks import bounds_px, levels_of, without_background
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import (
    Dataset,
    DatasetCard,
    open_pictures,
    refuse_generated,
    write_dataset,
)
from leukoscope.records.lineage import ISOLATED, is_copy
from leukoscope.records.recipes import Recipe

Fill = Literal["blank", "white", "black"]
VERSION = 1
"""Version of the method: counted up whenever other masks come out of the same picture."""
_COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0)}
_CHUNK = 256
_OUTCOME = {
    "cell_id": shapes.TEXT,
    "path": shapes.TEXT,
    "content": shapes.TEXT,
    "mask_path": shapes.TEXT,
    "box_px": shapes.BOX,
    "draw": shapes.TEXT,
    "confidence": shapes.REAL,
    "flags": pl.List(pl.String),
}
"""What came of one cell; null in path, and in what follows from the masks, if none was found."""


class IsolationRecipe(Recipe):
    """Say how cells are taken from their background."""

    fill: Fill = "blank"
    """What stands in place of the background: the empty field's own colour, white or black."""
    version: int = VERSION
    """Version of the method that outlines the cells."""


def isolate_dataset(dataset: Dataset, *, out: Path, fill: str) -> Path:
    """Write a dataset of the same cells without their background, divided as the original is.

    Parameters
    ----------
    dataset : Dataset
        The originals; they stay where they are, and masks they came with are not used.
    out : Path
        The dataset folder to make.
    fill : str
        ``blank``, ``white`` or ``black``.

    Returns
    -------
    Path
        *out*, which owns its pictures and masks. A cell in which no leukocyte was found is
        left out of pictures and splits; it stands in the findings, as flagged cells do: there
        ``detail`` names and explains each flag, and ``score`` is the confidence, 0 to 1.
        In the manifest ``origin`` is the original's cell_id, and ``draw`` holds, as JSON, the
        colours ``fill_rgb`` and ``blank_rgb``, the ``confidence`` and the ``flags`` of the cell.

    Raises
    ------
    UsageError
        If the fill is unknown, or something stands at *out*.
    DataError
        If the dataset holds copies or generated cells, a picture is gone, or no leukocyte was
        found in any.
    """
    out = Path(out)
    if fill not in get_args(Fill):
        raise UsageError(f"{unknown_name('fill', fill, get_args(Fill))} Nothing was written.")
    recipe = IsolationRecipe.model_validate({"fill": fill})
    _refuse_copies(dataset)
    splits = _splits_of(dataset)
    outcomes = pl.DataFrame(schema=_OUTCOME)

    def build(folder: Path) -> None:
        nonlocal outcomes
        outcomes = pl.concat([outcomes, *_isolate_all(dataset, folder, recipe)])
        found = outcomes.filter(pl.col("path").is_not_null())
        if found.is_empty():
            raise _none_found(dataset, outcomes)
        manifest = _isolated_rows(dataset.manifest, found, recipe)
        manifest = write_dataset(folder, _card(dataset, recipe), manifest).manifest
        for name, table in splits.items():
            tables.write_table(folder / name, _carried(table, found), shapes.SPLITS)
        findings = pl.concat([_findings(outcomes), repeated_contents(manifest)])
        tables.write_both(folder, "findings", findings, shapes.FINDINGS)

    files.build_folder(out, build)
    _note(outcomes, out)
    _note_emptied(dataset.manifest, outcomes)
    return out


def _refuse_copies(dataset: Dataset) -> None:
    refuse_generated(
        dataset, "Isolate the dataset of real cells, and fit a generator to its isolated cells."
    )
    copies = dataset.manifest.filter(is_copy())
    if copies.height:
        raise DataError(
            f"{dataset.folder} holds {copies.height} copies of cells, for example "
            f"{copies['cell_id'][0]}. Nothing was written. Isolate the dataset they were made "
            "from, and augment after."
        )


def _splits_of(dataset: Dataset) -> dict[str, pl.DataFrame]:
    """Read all splits of a dataset by the names of their files."""
    found = {}
    for path in sorted(dataset.folder.glob("splits*.parquet")):
        found[path.name] = tables.read_table(path, shapes.SPLITS)
        unknown = found[path.name].join(dataset.manifest, on="cell_id", how="anti")
        if unknown.height:
            raise DataError(
                f"{path} names {unknown.height} cells the manifest lacks, for example "
                f"{unknown['cell_id'][0]}. Nothing was written. It belongs to another dataset; "
                "move it away or make a new split."
            )
    return found


def _isolate_all(dataset: Dataset, folder: Path, recipe: IsolationRecipe) -> Iterator[pl.DataFrame]:
    """Write picture and mask of every cell that is found; give what came of each, by chunks."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    isolate = _isolater(open_pictures(dataset), folder, recipe)
    cells = dataset.manifest.with_row_index("number").select("number", "cell_id", "path", "content")
    # More threads than cores wait for each other: this is arithmetic, hardly any reading.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, cells.height, _CHUNK):
            part = list(pool.map(isolate, cells.slice(start, _CHUNK).rows()))
            yield pl.DataFrame(part, schema=_OUTCOME)
            progress.tell("isolating", start + len(part), cells.height)


def _isolater(
    read: Callable[[str, bool], bytes], folder: Path, recipe: IsolationRecipe
) -> Callable[[tuple[int, str, str, str]], dict[str, Any]]:
    def isolate(cell: tuple[int, str, str, str]) -> dict[str, Any]:
        number, cell_id, path, content = cell
        image = decode_known(read(path, False), name=path, content=content)
        found = isolate_cell(image)
        outcome = {
            "cell_id": cell_id,
            "confidence": found.confidence,
            "flags": list(found.flags),
        }
        if found.masks is None:
            return outcome
        fill_rgb = _COLOURS.get(recipe.fill, found.blank_rgb)
        alone = without_background(image, found.masks.cell, fill_rgb)
        name = _file_name(number, path)
        (folder / "images" / name).write_bytes(encode_png(alone))
        (folder / "masks" / name).write_bytes(encode_png(levels_of(found.masks)))
        return outcome | {
            "path": f"images/{name}",
            "content": content_of(alone),
            "mask_path": f"masks/{name}",
            "box_px": list(bounds_px(found.masks.cell)),
            "draw": _draw(found, fill_rgb),
        }

    return isolate


def _file_name(number: int, path: str) -> str:
    """Name a file after the cell's own; its number keeps apart what is called alike."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", PurePosixPath(path).stem)
    return f"{number:06d}-{plain[:60]}.png"


def _draw(found: Isolation, fill_rgb: tuple[int, int, int]) -> str:
    """Write down, as JSON, what of this cell the recipe does not say.

    ``fill_rgb`` what stands in place of the background and ``blank_rgb`` the empty field as
    estimated in this picture, red, green and blue, 0 to 255; ``confidence``, 0 to 1; ``flags``,
    names in :data:`leukoscope.morphology.isolation.FLAGS`.
    """
    return json.dumps(
        {
            "fill_rgb": [int(level) for level in fill_rgb],
            "blank_rgb": [int(level) for level in found.blank_rgb],
            "confidence": float(found.confidence),
            "flags": list(found.flags),
        }
    )


def doubt_of(draw: str | None) -> dict[str, Any]:
    """Read from an isolated cell's ``draw`` how sure its masks are.

    Returns
    -------
    dict
        ``confidence``, 0 to 1, and ``flags``, a list of names; each None where the draw does not
        tell it, as that of a cell which another program took from its background.
    """
    try:
        told = json.loads(draw or "{}")
    except ValueError:
        told = {}
    told = told if isinstance(told, dict) else {}
    confidence, flags = told.get("confidence"), told.get("flags")
    if not (isinstance(confidence, int | float) and 0 <= confidence <= 1):
        confidence = None
    return {
        "confidence": confidence if confidence is None else float(confidence),
        "flags": [str(flag) for flag in flags] if isinstance(flags, list) else None,
    }


def _isolated_rows(
    manifest: pl.DataFrame, found: pl.DataFrame, recipe: IsolationRecipe
) -> pl.DataFrame:
    made = found.drop("confidence", "flags")
    kept = manifest.drop(name for name in made.columns if name != "cell_id")
    return kept.join(made, on="cell_id").with_columns(
        cell_id=pl.col("cell_id") + ISOLATED,
        origin=pl.col("cell_id"),
        recipe_id=pl.lit(recipe.recipe_id),
        exif_orientation=pl.lit(1),
    )


def _card(dataset: Dataset, recipe: IsolationRecipe) -> DatasetCard:
    # The categories stay, even one that lost all its cells: a model of these cells and a model of
    # the originals must answer alike to be compared, or trained one after the other.
    return dataset.card.model_copy(
        update={
            "name": f"{dataset.card.name}{ISOLATED}",
            "image_root": ".",
            "recipe": {"isolation": recipe.model_dump(mode="json")},
        }
    )


def _carried(splits: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    kept = splits.join(found, on="cell_id", how="semi")
    return kept.with_columns(pl.col("cell_id") + ISOLATED)


def _findings(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Report every cell that was left out, under its own name, and every flagged one."""
    rows = [
        _finding(row)
        for row in outcomes.iter_rows(named=True)
        if row["path"] is None or row["flags"]
    ]
    return tables.check(pl.DataFrame(rows, schema=shapes.FINDINGS.columns), shapes.FINDINGS)


def _finding(row: dict[str, Any]) -> dict[str, Any]:
    # The names come first, so that a table can be filtered by them.
    told = "; ".join(f"{flag}: {FLAGS[flag]}" for flag in row["flags"])
    is_left_out = row["path"] is None
    return {
        "check": "isolate",
        "cell_id": row["cell_id"] if is_left_out else row["cell_id"] + ISOLATED,
        "severity": "warning",
        "detail": f"{told}; left out, no leukocyte was found" if is_left_out else told,
        "score": row["confidence"],
    }


def _none_found(dataset: Dataset, outcomes: pl.DataFrame) -> DataError:
    return DataError(
        f"In none of the {outcomes.height} pictures of {dataset.folder} was a leukocyte found "
        f"({_tally(outcomes)}). Nothing was written. Each picture should show one stained "
        "leukocyte in its middle, in colour on a lighter field."
    )


def _note(outcomes: pl.DataFrame, out: Path) -> None:
    """Tell how many cells were found, were not, and are flagged."""
    is_found = pl.col("path").is_not_null()
    found, left_out = outcomes.filter(is_found), outcomes.filter(~is_found)
    flagged = found.filter(pl.col("flags").list.len() > 0)
    where = f"see {out / 'findings.csv'}"
    progress.note(f"{found.height} of {outcomes.height} cells were isolated.")
    if left_out.height:
        progress.note(
            f"Left out, no leukocyte found: {left_out.height} ({_tally(left_out)}); {where}."
        )
    if flagged.height:
        progress.note(f"Kept and flagged: {flagged.height} ({_tally(flagged)}); {where}.")


def _note_emptied(manifest: pl.DataFrame, outcomes: pl.DataFrame) -> None:
    """Tell which categories had cells and have none any more."""
    found = outcomes.filter(pl.col("path").is_not_null()).select("cell_id")
    left = manifest.join(found, on="cell_id", how="semi")["category"]
    emptied = sorted(set(manifest["category"]) - set(left))
    if emptied:
        progress.note(f"No cell is left of {', '.join(emptied)}; the dataset keeps the name.")


def _tally(outcomes: pl.DataFrame) -> str:
    """Count flags, the most frequent first; a cell may have several."""
    counts = Counter(flag for flags in outcomes["flags"] for flag in flags)
    return ", ".join(
        f"{flag} {n}" for flag, n in sorted(counts.items(), key=lambda c: (-c[1], c[0]))
    )
