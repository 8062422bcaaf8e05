"""From listed pictures to a dataset folder: decode all, name families, report what is odd."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl

from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError
from leukoscope.intake.decode import content_of, decode, encode_png
from leukoscope.intake.phantom import PhantomCell, PhantomRecipe, cells
from leukoscope.intake.sources import Listed, Listing
from leukoscope.morphology.masks import Masks, levels_of
from leukoscope.records import categories, shapes, tables
from leukoscope.records.dataset import DatasetCard, read_dataset, write_dataset
from leukoscope.records.generators import FOLDER

_SHOWN_FAULTS = 10
_SHOWN_FINDINGS = 3


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
        If any picture cannot be taken: all of them are named, nothing is written; or if they
        are a generated dataset's own.
    """
    files.refuse_existing(out)
    _refuse_drawn(root)
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
    files.build_folder(out, lambda folder: write_folder(folder, card, rows))
    _note_cells(out)
    _note_left_out(listing)
    return Path(out)


def _refuse_drawn(root: Path) -> None:
    """Refuse pictures of a dataset that holds generated cells: they would pass for cells."""
    for folder in (root.resolve(), *root.resolve().parents):
        if (folder / FOLDER).is_dir() and (folder / "dataset.json").is_file():
            raise DataError(
                f"{root} lies in the dataset {folder}, which holds generated cells; taken in as "
                "pictures they would pass for cells. Nothing was written. Use that dataset as it "
                "is: judge it, or combine it with the one its generator was fitted on."
            )


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
        n_cells = recipe.n_cases * recipe.cells_per_case
        rows = []
        for cell in cells(recipe):
            rows.append(_phantom_row(folder, cell, recipe.um_per_px))
            progress.tell("drawing", len(rows), n_cells)
        card = DatasetCard(
            name=recipe.name,
            source="phantom",
            categories=categories.ordered([row["category"] for row in rows]),
            image_root="images",
            licence="CC0-1.0",
            recipe=recipe.model_dump(mode="json"),
        )
        write_folder(folder, card, rows)

    files.build_folder(out, build)
    _note_cells(out)
    return Path(out)


def write_folder(folder: Path, card: DatasetCard, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write card, manifest and findings of a new dataset from its rows."""
    columns = {name: dtype for name, dtype in shapes.MANIFEST.columns.items() if name != "family"}
    manifest = pl.DataFrame(list(rows), schema=columns)
    # Equal pixels are one family: the content's own hash names it.
    manifest = manifest.with_columns(family=pl.col("content").str.head(16))
    written = write_dataset(folder, card, manifest).manifest
    for ending in ("parquet", "csv"):
        path = folder / f"findings.{ending}"
        tables.write_table(path, repeated_contents(written), shapes.FINDINGS)


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
        found = []
        for item in pool.map(row, pictures):
            found.append(item)
            progress.tell("reading", len(found), len(pictures))
    faults = [item for item in found if isinstance(item, DataError)]
    if faults:
        raise _faulty(faults, len(found))
    return [item for item in found if not isinstance(item, DataError)]


def _note_cells(out: Path) -> None:
    """Tell how many cells were taken in, and which of them repeat."""
    known = read_dataset(out)
    n_cases = known.manifest["case"].drop_nulls().n_unique()
    progress.note(
        f"{known.manifest.height} cells of {len(known.card.categories)} categories, "
        + (f"{n_cases} cases." if n_cases else "no case known.")
    )
    findings = tables.read_table(known.folder / "findings.parquet", shapes.FINDINGS)
    if findings.is_empty():
        return
    told = f"{_counted(findings.height, 'picture repeats', 'pictures repeat')} another"
    crossing = findings.filter(pl.col("check") == "content-two-categories")
    if crossing.height:
        pairs = [
            f"{one} and {other}"
            for one, other in crossing.select("cell_id", "other_cell_id")
            .head(_SHOWN_FINDINGS)
            .rows()
        ]
        told += (
            f"; {_counted(crossing.height, 'of them is', 'of them are')} filed under two "
            f"categories: {_first_of(pairs, crossing.height)}"
        )
    progress.note(f"{told}; see {known.folder / 'findings.csv'}.")


def _note_left_out(listing: Listing) -> None:
    """Tell what the collection holds that the dataset does not."""
    if listing.left_out:
        counts = ", ".join(f"{label} {n}" for label, n in listing.left_out.items())
        progress.note(f"The category map leaves out (label, pictures): {counts}.")
    n_files = len(listing.passed_over)
    if n_files:
        names = _first_of(listing.passed_over[:_SHOWN_FINDINGS], n_files)
        progress.note(
            f"{_counted(n_files, 'file is no picture and was', 'files are no pictures and were')} "
            f"passed over: {names}."
        )


def _counted(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"


def _first_of(names: Sequence[str], n_all: int) -> str:
    # A name may hold anything, even line breaks; a note is one line.
    shown = ", ".join(" ".join(name.split()) for name in names)
    return shown + (f" and {n_all - len(names)} more" if n_all > len(names) else "")


def _faulty(faults: Sequence[DataError], n_pictures: int) -> DataError:
    shown = "\n  ".join(str(fault) for fault in faults[:_SHOWN_FAULTS])
    more = len(faults) - _SHOWN_FAULTS
    return DataError(
        f"{len(faults)} of {n_pictures} pictures cannot be taken:\n  {shown}"
        + (f"\n  … and {more} more" if more > 0 else "")
        + "\nNothing was written. Mend these files or move them out of the collection."
    )


def _phantom_row(folder: Path, cell: PhantomCell, um_per_px: float) -> dict[str, Any]:
    name = f"{cell.category}/{cell.case}-{cell.index:04d}.png"
    picture, mask = folder / "images" / name, folder / "masks" / name
    picture.parent.mkdir(parents=True, exist_ok=True)
    mask.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(encode_png(cell.image))
    mask.write_bytes(encode_png(levels_of(Masks(cell.nucleus_mask, cell.cell_mask))))
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
        "um_per_px": um_per_px,
        "mask_path": f"masks/{name}",
        "exif_orientation": 1,
    }
