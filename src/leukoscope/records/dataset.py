"""The dataset folder: a manifest, what is known about it, its splits and findings, its pictures."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import polars as pl
from pydantic import Field

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError, UsageError, unknown_name
from leukoscope.records import groups, shapes, tables
from leukoscope.records.generators import generators_in
from leukoscope.records.leaks import check_generators
from leukoscope.records.lineage import is_copy, is_generated, is_rendering
from leukoscope.records.recipes import Recipe


class DatasetCard(Recipe):
    """Say what a dataset is and where its pictures lie."""

    name: str
    """A short name, shown in pages."""
    source: str
    """The reader that took it in: folder, pbc, phantom …"""
    categories: tuple[str, ...]
    """The categories, in the order every table and model of this dataset uses."""
    image_root: str
    """Folder or zip of the original pictures: absolute, or relative to the dataset folder."""
    licence: str | None = None
    """The licence of the pictures, if known."""
    citation: str | None = None
    """What to cite, if known."""
    merges: dict[str, str] = Field(default={})
    """Original label → category, where they differ."""
    left_out: dict[str, int] = Field(default={})
    """Original label → number of pictures its category map leaves out."""
    recipe: dict[str, object] = Field(default={})
    """The recipe that drew or augmented it, if one did."""


@dataclass(frozen=True)
class Dataset:
    """Hold a dataset folder in memory: its card and its manifest, not its pixels."""

    folder: Path
    card: DatasetCard
    manifest: pl.DataFrame

    def _repr_html_(self) -> str:
        return count_table(self.manifest)._repr_html_()

    @property
    def image_root(self) -> Path:
        """Find the folder or zip of the original pictures."""
        return (self.folder / self.card.image_root).resolve()


def write_dataset(folder: Path, card: DatasetCard, manifest: pl.DataFrame) -> Dataset:
    """Check a manifest against its card and write both.

    Raises
    ------
    SchemaError
        If the manifest breaks its shape.
    DataError
        If a category is not on the card, a derived cell left its parent's family, a generated
        one its generator's, a rendering stands beside the cell it shows, or a row has a copy's
        number and no origin.
    """
    manifest = tables.check(manifest, shapes.MANIFEST)
    _check_manifest(card, manifest)
    tables.write_table(folder / "manifest.parquet", manifest, shapes.MANIFEST)
    files.write_json(folder / "dataset.json", card.model_dump(mode="json"))
    return Dataset(folder, card, manifest)


def read_dataset(folder: Path) -> Dataset:
    """Read a dataset folder. Raises DataError if it is not one, or not whole."""
    folder = Path(folder)
    if not (folder / "dataset.json").is_file():
        raise DataError(
            f"{folder} is not a dataset folder: it holds no dataset.json. "
            "Make one with `leukoscope ingest SOURCE PATH --out DATASET`."
        )
    card = DatasetCard.from_json(folder / "dataset.json")
    manifest = tables.read_table(folder / "manifest.parquet", shapes.MANIFEST)
    _check_manifest(card, manifest)
    return Dataset(folder, card, manifest)


def open_pictures(dataset: Dataset) -> Callable[[str, bool], bytes]:
    """Open the pictures of a dataset for reading.

    Returns
    -------
    callable
        ``read(path, in_own_folder)`` gives one picture file's bytes. Copies lie in the
        dataset's own folder, all other cells under the image root (a folder or a zip).

    Raises
    ------
    DataError
        If the image root is gone; by ``read`` if one picture is gone or cannot be read.
    """
    root = dataset.image_root
    if not root.exists():
        raise DataError(
            f"The pictures of dataset {dataset.folder} should lie in {root}, which is not there. "
            "The dataset was left untouched. Move them back, or ingest them again."
        )
    read_original = files.open_collection(root)
    read_own = files.open_collection(dataset.folder)

    def read(path: str, in_own_folder: bool) -> bytes:
        try:
            return (read_own if in_own_folder else read_original)(path)
        except DataError as error:
            raise DataError(
                f"Picture {error} The dataset {dataset.folder} was left untouched. "
                "Put the picture back, or ingest the collection again."
            ) from None

    return read


def manifest_digest(manifest: pl.DataFrame) -> str:
    """Hash what a training depends on: names, pixels, categories and groups of all cells."""
    columns = ["cell_id", "content", "category", "case", "family"]
    text = manifest.sort("cell_id").select(columns).write_csv()
    return hashlib.sha256(text.encode()).hexdigest()


def count_table(manifest: pl.DataFrame) -> pl.DataFrame:
    """Count cells, families and cases per category."""
    return (
        manifest.group_by("category")
        .agg(
            pl.len().alias("n_cells"),
            pl.col("family").n_unique().alias("n_families"),
            pl.col("case").drop_nulls().n_unique().alias("n_cases"),
        )
        .sort("category")
    )


def rebased_masks(manifest: pl.DataFrame, old: Path, new: Path) -> pl.DataFrame:
    """Let mask paths, relative to the dataset folder *old*, be found from the folder *new*."""
    prefix = os.path.relpath(old.resolve(), new.resolve())
    return manifest.with_columns(mask_path=pl.format("{}/{}", pl.lit(prefix), "mask_path"))


def splits_path(folder: Path, name: str) -> Path:
    """Name the file of a split. Raises UsageError for a name that is no plain word."""
    if not name or PurePosixPath(name).name != name or name.startswith("."):
        raise UsageError(f"{name!r} cannot name a split; use letters, digits, - and _.")
    return folder / (f"{name}.parquet" if name == "splits" else f"splits-{name}.parquet")


def read_split(dataset: Dataset, name: str, repeat: int, fold: int) -> pl.DataFrame:
    """Read one division of a dataset, checked against its manifest.

    Parameters
    ----------
    dataset : Dataset
        The dataset.
    name : str
        The split's name; ``"splits"`` is the first one.
    repeat, fold : int
        Which of its divisions.

    Returns
    -------
    polars.DataFrame
        The manifest with a column ``split``; cells the split does not name are left out.

    Raises
    ------
    DataError
        If there is no such division, it names cells the manifest lacks, it parts a
        case or a family, a copy or generated cell is not in training, or a generator whose
        cells are saw cells that this division holds out.
    """
    table = _split_table(dataset, name)
    part = table.filter((pl.col("repeat") == repeat) & (pl.col("fold") == fold))
    if part.is_empty():
        held = table.select("repeat", "fold").unique().sort("repeat", "fold").rows()
        raise UsageError(
            f"{splits_path(dataset.folder, name)} holds {table['repeat'].n_unique()} repeats of "
            f"{table['fold'].n_unique()} folds, counted from 0; repeat {repeat}, fold {fold} is "
            f"not among them. The first it holds is repeat {held[0][0]}, fold {held[0][1]}."
        )
    divided = _divided(dataset, part)
    check_divided(divided)
    if not divided.filter(is_generated()).is_empty():
        check_generators(divided, generators_in(dataset.folder), dataset.folder)
    return divided


def divisions_of(dataset: Dataset, name: str) -> list[tuple[int, int]]:
    """List the divisions a split holds, as repeat and fold, in order.

    Raises
    ------
    DataError
        If the dataset has no split.
    UsageError
        If it has none of this name.
    """
    return _split_table(dataset, name).select("repeat", "fold").unique().sort(pl.all()).rows()


def _split_table(dataset: Dataset, name: str) -> pl.DataFrame:
    path = splits_path(dataset.folder, name)
    if not path.is_file():
        found = dataset.folder.glob("splits*.parquet")
        names = [file.stem.removeprefix("splits-") for file in found]
        if names:
            raise unknown_name("split of this dataset", name, names)
        raise DataError(
            f"{dataset.folder} has no split yet. Make one with `leukoscope split {dataset.folder}`."
        )
    table = tables.read_table(path, shapes.SPLITS)
    unknown = table.join(dataset.manifest, on="cell_id", how="anti")
    if unknown.height:
        raise DataError(
            f"{path} names {unknown['cell_id'].n_unique()} cells the manifest lacks, for example "
            f"{unknown['cell_id'][0]}. It belongs to another dataset; make a new split."
        )
    return table


def _divided(dataset: Dataset, part: pl.DataFrame) -> pl.DataFrame:
    return dataset.manifest.join(
        part.select("cell_id", "split"), on="cell_id", maintain_order="left"
    )


def mark_used(dataset: Dataset, split: str, out: Path) -> None:
    """Write down that a run uses a split, after which it is never overwritten."""
    path = splits_path(dataset.folder, split).with_suffix(".used.json")
    used = files.read_json(path) if path.is_file() else []
    files.write_json(path, sorted({*used, str(Path(out).resolve())}))


def check_divided(divided: pl.DataFrame) -> None:
    """Refuse a manifest with a ``split`` column that parts a group or tests on copies."""
    made = divided.filter(is_generated() & (pl.col("split") != "train"))
    if made.height:
        raise DataError(
            f"{made.height} generated cells stand outside training, for example "
            f"{made['cell_id'][0]} in {made['split'][0]}. Nothing was trained or scored: what a "
            "network drew is no cell to choose or test by. Leave them out of that side."
        )
    groups.check_apart(groups.groups_of(divided), divided["split"], divided["cell_id"].to_list())
    astray = divided.filter(is_copy() & (pl.col("split") != "train"))
    if astray.height:
        raise DataError(
            f"{astray.height} copies of cells stand outside training, for example "
            f"{astray['cell_id'][0]} in {astray['split'][0]}. Split first, augment after."
        )


def _check_manifest(card: DatasetCard, manifest: pl.DataFrame) -> None:
    strange = manifest.filter(~pl.col("category").is_in(list(card.categories)))
    if strange.height:
        raise DataError(
            f"Cell {strange['cell_id'][0]} is filed as {strange['category'][0]!r}, which is not "
            f"among the dataset's categories {', '.join(card.categories)}."
        )
    parents = manifest.select(origin="cell_id", parent_family="family", parent_category="category")
    # Copies and renderings alike; an origin may also stand in another dataset, or be a generator.
    derived = manifest.join(parents, on="origin", how="inner", maintain_order="left")
    astray = derived.filter(
        (pl.col("family") != pl.col("parent_family"))
        | (pl.col("category") != pl.col("parent_category"))
    )
    if astray.height:
        raise DataError(
            f"Derived cell {astray['cell_id'][0]} left the family or category of its origin "
            f"{astray['origin'][0]}."
        )
    _refuse_twice(derived.filter(is_rendering()))
    _refuse_orphans(manifest)
    _refuse_hidden(manifest)


def _refuse_twice(beside: pl.DataFrame) -> None:
    if beside.height:
        raise DataError(
            f"{beside.height} cells stand here twice, for example {beside['cell_id'][0]} beside "
            f"its original {beside['origin'][0]}; one row a cell is expected, or scores would "
            "count it twice. Keep originals and isolated cells in a dataset each."
        )


def _refuse_orphans(manifest: pl.DataFrame) -> None:
    orphans = manifest.filter(pl.col("copy").is_not_null() & pl.col("origin").is_null())
    if orphans.height:
        raise DataError(
            f"{orphans.height} cells have a copy's number and no origin, for example "
            f"{orphans['cell_id'][0]}, copy {orphans['copy'][0]}; it would pass for a cell of its "
            "own. Write what each was made from into the column origin, or empty its copy."
        )


def _refuse_hidden(manifest: pl.DataFrame) -> None:
    """Refuse generated cells under another family: tables without origins know them by it."""
    hidden = manifest.filter(is_generated() & (pl.col("family") != pl.col("origin")))
    if hidden.height:
        raise DataError(
            f"{hidden.height} generated cells are not in the family of their generator, for "
            f"example {hidden['cell_id'][0]} of {hidden['origin'][0]} in {hidden['family'][0]}; "
            "they would pass for cells. Make their family their origin."
        )


def refuse_generated(dataset: Dataset, advice: str) -> None:
    """Refuse a dataset that holds generated cells, for work that real cells alone may enter.

    Parameters
    ----------
    dataset : Dataset
        The dataset.
    advice : str
        What to do instead, a sentence.

    Raises
    ------
    DataError
        If a row's origin is a generator.
    """
    made = dataset.manifest.filter(is_generated())
    if made.height:
        raise DataError(
            f"{dataset.folder} holds {made.height} generated cells, for example "
            f"{made['cell_id'][0]}: a network drew them. Nothing was written. {advice}"
        )
