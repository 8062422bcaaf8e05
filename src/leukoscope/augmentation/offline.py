"""Augmentation written to disk: a new dataset whose training cells have derived copies."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl

from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.draw import draw
from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.intake.decode import content_of, decode_known, encode_png
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset, open_pictures, write_dataset
from leukoscope.records.lineage import is_copy

_CHUNK = 256
_MAX_FACTOR = 100


def augment_offline(
    dataset: Dataset,
    divided: pl.DataFrame,
    recipe: AugmentationRecipe,
    *,
    out: Path,
    factor: float,
    seed: int,
) -> Path:
    """Write a dataset with derived copies of its training cells, each with its lineage.

    Parameters
    ----------
    dataset : Dataset
        The originals; they stay where they are.
    divided : polars.DataFrame
        Its manifest with a column ``split``; only ``train`` is augmented.
    recipe : AugmentationRecipe
        What to do.
    out : Path
        The dataset folder to make.
    factor : float
        Size of the training part afterwards, in times the originals; 1 to 100.
    seed : int
        Seed of the draws.

    Returns
    -------
    Path
        *out*, with its split.

    Raises
    ------
    UsageError
        If the factor is not from 1 to 100 or the recipe does nothing.
    DataError
        If the dataset holds copies already.
    """
    out = Path(out)
    _check(divided, recipe, factor)
    plan = _plan(divided.filter(pl.col("split") == "train"), factor, seed)

    def build(folder: Path) -> None:
        derived = pl.DataFrame(
            list(_derive(dataset, plan, recipe, folder, seed)), schema=shapes.MANIFEST.columns
        )
        originals = _rebased(dataset.manifest, dataset.folder, out)
        manifest = pl.concat([originals, derived])
        card = dataset.card.model_copy(
            update={
                "name": f"{dataset.card.name}+{recipe.name}",
                "image_root": str(dataset.image_root),
                "recipe": {"augmentation": recipe.model_dump(mode="json"), "seed": seed},
            }
        )
        write_dataset(folder, card, manifest)
        splits = pl.concat(
            [divided.select("cell_id", "split"), derived.select("cell_id", split=pl.lit("train"))]
        ).with_columns(repeat=pl.lit(0, dtype=pl.Int32), fold=pl.lit(0, dtype=pl.Int32))
        tables.write_table(folder / "splits.parquet", splits, shapes.SPLITS)

    return files.build_folder(out, build)


def _check(divided: pl.DataFrame, recipe: AugmentationRecipe, factor: float) -> None:
    if not 1 <= factor <= _MAX_FACTOR:
        raise UsageError(
            f"--factor is {factor:g}; it should be at least 1, which keeps the originals alone, "
            f"and at most {_MAX_FACTOR}. Nothing was written."
        )
    if not recipe.steps:
        raise UsageError(f"The recipe {recipe.name!r} has no steps: there is nothing to write.")
    if not divided.filter(is_copy()).is_empty():
        raise DataError(
            "This dataset holds copies of cells already. Augment the dataset it was made from, "
            "with all steps in one recipe: the picture is then resampled once. Nothing was written."
        )


def _plan(train: pl.DataFrame, factor: float, seed: int) -> list[tuple[dict[str, Any], int]]:
    """Say which training cell is copied under which copy number; the count is exact."""
    n_copies = round((factor - 1) * train.height)
    rows = train.drop("split").to_dicts()
    order = stream(seed, "offline").permutation(len(rows)).tolist()
    return [(rows[order[i % len(rows)]], i // len(rows) + 1) for i in range(n_copies)]


def _derive(
    dataset: Dataset,
    plan: list[tuple[dict[str, Any], int]],
    recipe: AugmentationRecipe,
    folder: Path,
    seed: int,
) -> Iterator[dict[str, Any]]:
    read = open_pictures(dataset)
    (folder / "images").mkdir()
    make = _maker(read, recipe, folder, seed)
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(plan), _CHUNK):
            yield from pool.map(make, plan[start : start + _CHUNK])
            progress.tell("augmenting", min(start + _CHUNK, len(plan)), len(plan))


def _maker(
    read: Callable[[str, bool], bytes], recipe: AugmentationRecipe, folder: Path, seed: int
) -> Callable[[tuple[dict[str, Any], int]], dict[str, Any]]:
    def make(planned: tuple[dict[str, Any], int]) -> dict[str, Any]:
        parent, copy = planned
        drawn = draw(recipe, seed, parent["cell_id"], copy)
        name, known = parent["path"], parent["content"]
        pixels = apply(drawn, decode_known(read(name, False), name=name, content=known))
        content = content_of(pixels)
        path = f"images/{known[:16]}-{copy}-{content[:8]}.png"
        (folder / path).write_bytes(encode_png(pixels))
        return parent | {
            "cell_id": f"{parent['cell_id']}+{recipe.name}-{copy}",
            "path": path,
            "content": content,
            "height_px": pixels.shape[0],
            "width_px": pixels.shape[1],
            "box_px": None,
            "mask_path": None,
            "exif_orientation": 1,
            "origin": parent["cell_id"],
            "recipe_id": recipe.recipe_id,
            "draw": drawn.to_json(),
            "copy": copy,
        }

    return make


def _rebased(manifest: pl.DataFrame, old: Path, new: Path) -> pl.DataFrame:
    """Let the originals' mask paths, relative to the old dataset folder, be found from the new."""
    prefix = os.path.relpath(old.resolve(), new.resolve())
    return manifest.with_columns(mask_path=pl.format("{}/{}", pl.lit(prefix), "mask_path"))
