"""From listed pictures to a dataset folder: decode all, name families, report what is odd."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError
from leukoscope.intake.decode import content_of, decode, encode_png
from leukoscope.intake.phantom import PhantomCell, PhantomRecipe, cells
from leukoscope.intake.sources import Listed, Listing
from leukoscope.records import categories, tables
from leukoscope.records.dataset import DatasetCard, write_dataset

_SHOWN_FAULTS = 10


def ingest_listing(
    listing: Listing, *, source: str, root: Path, out: Path, um_per_px: float | None = None
) -> Path:
    """Decode every listed picture once and write the dataset folder; the pictures stay in place.

    Parameters
    ----------
    listing : Listing
        What a reader found.
    source : str
        The reader's name.
    root : Path
        Folder or zip the paths are relative to.
    out : Path
        The dataset folder to make.
    um_per_px : float, optional
        Scale of all pictures.

    Returns
    -------
    Path
        *out*.

    Raises
    ------
    DataError
        If any picture cannot be taken: all of them are named, nothing is written.
    """
    files.refuse_existing(out)
    rows = _decode_all(listing.pictures, files.open_collection(root), source, um_per_px)
    merges = {p.original_label: p.category for p in listing.pictures}
    card = DatasetCard(
        name=root.resolve().stem,
        source=source,
        categories=categories.ordered([p.category for p in listing.pictures]),
        image_root=str(root.resolve()),
        licence=listing.licence,
        citation=listing.citation,
        merges={label: name for label, name in sorted(merges.items()) if label != name},
        left_out=dict(listing.left_out),
    )
    return files.build_folder(out, lambda folder: write_folder(folder, card, rows))


def ingest_phantom(recipe: PhantomRecipe, *, out: Path) -> Path:
    """Draw phantom cells into a dataset folder that owns its pictures and masks.

    Parameters
    ----------
    recipe : PhantomRecipe
        What to draw.
    out : Path
        The dataset folder to make.

    Returns
    -------
    Path
        *out*.
    """
    files.refuse_existing(out)

    def build(folder: Path) -> None:
        rows = [_phantom_row(folder, cell) for cell in cells(recipe)]
        card = DatasetCard(
            name=recipe.name,
            source="phantom",
            categories=categories.ordered([row["category"] for row in rows]),
            image_root="images",
            licence="CC0-1.0",
            recipe=recipe.model_dump(mode="json"),
        )
        write_folder(folder, card, rows)

    return files.build_folder(out, build)


def write_folder(folder: Path, card: DatasetCard, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write card, manifest and findings of a new dataset from its rows."""
    columns = {name: dtype for name, dtype in tables.MANIFEST.columns.items() if name != "family"}
    manifest = pl.DataFrame(list(rows), schema=columns)
    # Equal pixels are one family: the content's own hash names it.
    manifest = manifest.with_columns(family=pl.col("content").str.head(16))
    written = write_dataset(folder, card, manifest).manifest
    tables.write_table(folder / "findings.parquet", repeated_contents(written), tables.FINDINGS)


def repeated_contents(manifest: pl.DataFrame) -> pl.DataFrame:
    """Report every picture that repeats an earlier one, and whether their categories differ.

    Parameters
    ----------
    manifest : polars.DataFrame
        A dataset's manifest.

    Returns
    -------
    polars.DataFrame
        Findings: ``content-repeated`` (warning) or ``content-two-categories`` (error).
    """
    first = manifest.select(
        "cell_id",
        "category",
        other_cell_id=pl.col("cell_id").first().over("content"),
        other_category=pl.col("category").first().over("content"),
    ).filter(pl.col("cell_id") != pl.col("other_cell_id"))
    differs = pl.col("category") != pl.col("other_category")
    return first.select(
        check=pl.when(differs)
        .then(pl.lit("content-two-categories"))
        .otherwise(pl.lit("content-repeated")),
        cell_id="cell_id",
        severity=pl.when(differs).then(pl.lit("error")).otherwise(pl.lit("warning")),
        detail=pl.format("same pixels; filed as {} and {}", "category", "other_category"),
        other_cell_id="other_cell_id",
        score=pl.lit(1.0),
    )


def _decode_all(
    pictures: Sequence[Listed], read: Callable[[str], bytes], source: str, um_per_px: float | None
) -> list[dict[str, Any]]:
    def row(picture: Listed) -> dict[str, Any] | DataError:
        try:
            pixels, orientation = decode(read(picture.path), name=picture.path)
        except DataError as error:
            return error
        return {
            "cell_id": f"{source}:{picture.path}",
            "path": picture.path,
            "content": content_of(pixels),
            "category": picture.category,
            "original_label": picture.original_label,
            "case": picture.case,
            "source": source,
            "width_px": pixels.shape[1],
            "height_px": pixels.shape[0],
            "um_per_px": um_per_px,
            "exif_orientation": orientation,
        }

    with ThreadPoolExecutor() as pool:
        found = list(pool.map(row, pictures))
    faults = [item for item in found if isinstance(item, DataError)]
    if faults:
        raise _faulty(faults, len(found))
    return [item for item in found if not isinstance(item, DataError)]


def _faulty(faults: Sequence[DataError], n_pictures: int) -> DataError:
    shown = "\n  ".join(str(fault) for fault in faults[:_SHOWN_FAULTS])
    more = len(faults) - _SHOWN_FAULTS
    return DataError(
        f"{len(faults)} of {n_pictures} pictures cannot be taken:\n  {shown}"
        + (f"\n  … and {more} more" if more > 0 else "")
        + "\nNothing was written. Mend these files or move them out of the collection."
    )


def _phantom_row(folder: Path, cell: PhantomCell) -> dict[str, Any]:
    name = f"{cell.category}/{cell.case}-{cell.index:04d}.png"
    picture, mask = folder / "images" / name, folder / "masks" / name
    picture.parent.mkdir(parents=True, exist_ok=True)
    mask.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(encode_png(cell.image))
    # 0 outside, 128 cytoplasm, 255 nucleus: one picture holds both masks.
    mask.write_bytes(encode_png(_mask_levels(cell)))
    height, width = cell.image.shape[:2]
    return {
        "cell_id": f"phantom:{name}",
        "path": name,
        "content": content_of(cell.image),
        "category": cell.category,
        "original_label": cell.category,
        "case": cell.case,
        "source": "phantom",
        "width_px": width,
        "height_px": height,
        "box_px": list(cell.box_px),
        "mask_path": f"masks/{name}",
        "exif_orientation": 1,
    }


def _mask_levels(cell: PhantomCell) -> npt.NDArray[np.uint8]:
    return np.where(cell.nucleus_mask, 255, np.where(cell.cell_mask, 128, 0)).astype(np.uint8)
