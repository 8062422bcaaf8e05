"""The verb ``preview``."""

from pathlib import Path

import polars as pl

from leukoscope.augmentation.preview import preview_table
from leukoscope.augmentation.recipe import load_augmentation
from leukoscope.foundation import files
from leukoscope.foundation.errors import UsageError
from leukoscope.foundation.streams import check_seed
from leukoscope.records.dataset import Dataset, read_dataset, read_split, splits_path
from leukoscope.reporting.sheet import SheetPage, sheet_page


def preview(dataset: Path, recipe: str, *, out: Path, seed: int = 0) -> Path:
    """Show what each step of an augmentation does to cells of a dataset, weak to strong.

    One cell of each category (of at most eight): as it was taken, after each step alone at
    the low end, the middle and the high end of its range, and after the whole chain. Where the
    dataset is split, the cells are training cells.

    Parameters
    ----------
    dataset : Path
        The dataset folder.
    recipe : str
        Name of an augmentation (see ``catalogue recipes``) or a YAML file.
    out : Path
        The page to write, ending in .html.
    seed : int
        Seed of the choice of cells and of the chain's draws.

    Returns
    -------
    Path
        The page: one HTML file that opens without network or script. It shows the dataset's
        cells by number, not by name.

    Raises
    ------
    UsageError
        If the recipe is unknown, *out* does not end so or something stands there, or the
        seed is below 0.
    RecipeError
        If the YAML file is no augmentation recipe.
    DataError
        If a picture or mask is gone or broken, or smaller than a blur of the recipe.
    """
    check_seed(seed)
    out = Path(out)
    _check_ending(out)
    files.refuse_unwritable(out)
    known, chain = read_dataset(dataset), load_augmentation(recipe)
    shown, part = _showable(known)
    page = SheetPage(
        dataset=known.card.name,
        source=known.card.source,
        licence=known.card.licence,
        citation=known.card.citation,
        part=part,
        recipe=chain.model_dump(mode="json"),
        recipe_id=chain.recipe_id,
        yaml=chain.to_yaml(),
        seed=seed,
        table=preview_table(known, shown, chain, seed=seed),
    )
    files.write_text(out, sheet_page(page))
    return out


def _check_ending(out: Path) -> None:
    if out.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"--out is {out}; it should end in .html. Nothing was written.")


def _showable(dataset: Dataset) -> tuple[pl.DataFrame, str]:
    """Keep to training cells where they are known: no other is ever augmented."""
    if not splits_path(dataset.folder, "splits").is_file():
        return dataset.manifest, "all cells of the dataset, which is not split"
    divided = read_split(dataset, "splits", 0, 0)
    return divided.filter(pl.col("split") == "train"), "the training cells"
