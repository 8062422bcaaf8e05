"""Generated sets for the judge: folders of pictures, and rows of a generator with its card."""

import numpy as np
import polars as pl
from PIL import Image

import leukoscope
from leukoscope.intake.decode import content_of
from leukoscope.intake.store import open_store
from leukoscope.records.dataset import DatasetCard, read_dataset, read_split, write_dataset
from leukoscope.records.generators import GeneratorCard, write_card
from leukoscope.records.runs import SeenCells

DRAWN = """
name: judged
seed: 5
n_cases: 40
cells_per_case: 8
mix: {segmented: 1, lymphocyte: 1}
size_px: 32
overlap: 0.0
case_spread: 0.3
direction: none
noise_levels: 1.0
"""


def drawn_cells(folder):
    """Draw 320 cells of two categories and forty cases, and split them."""
    (folder / "judged.yaml").write_text(DRAWN)
    dataset = leukoscope.ingest("phantom", str(folder / "judged.yaml"), out=folder / "cells")
    leukoscope.split(dataset, validation_share=0.25)
    return dataset


def cells_of(folder, split):
    """Give category and pixels of the cells of a split."""
    dataset = read_dataset(folder)
    # By their pixels' hash: any few of them are of all categories.
    part = read_split(dataset, "splits", 0, 0).filter(pl.col("split") == split).sort("content")
    store = open_store(dataset, part, 32)
    pixels = store.take(store.rows(part["content"].to_list()))
    return list(zip(part["category"].to_list(), pixels, strict=True))


def copies_of(cells, seed):
    """Turn cells by right angles and add noise."""
    rng = np.random.default_rng(seed)
    return [
        (
            category,
            np.clip(np.rot90(one, rng.integers(4)) + rng.normal(0, 6, one.shape), 0, 255)
            .round()
            .astype(np.uint8),
        )
        for category, one in cells
    ]


def ingested(cells, folder):
    """Write cells as pictures of another tool and ingest them."""
    for number, (category, pixels) in enumerate(cells):
        place = folder / "pictures" / category
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(pixels)).save(place / f"{number:04d}.png")
    return leukoscope.ingest("folder", str(folder / "pictures"), out=folder / "set")


def sampled(cells, folder, *, fit, stop, judge):
    """Write cells as a generator's, with a card that names what it saw."""
    identity = "generator:" + "ab" * 8
    rows = []
    (folder / "images").mkdir(parents=True)
    for number, (category, pixels) in enumerate(cells):
        name = f"images/{category}-{number:06d}.png"
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / name)
        rows.append(
            {"cell_id": f"generated/{category}/{number:06d}", "path": name}
            | {"content": content_of(np.ascontiguousarray(pixels)), "category": category}
            | {"original_label": category, "family": identity, "source": "generator"}
            | {"width_px": pixels.shape[1], "height_px": pixels.shape[0], "origin": identity}
            | {"recipe_id": "0" * 16, "draw": "{}", "copy": number + 1}
        )
    names = tuple(sorted({category for category, _ in cells}))
    card = DatasetCard(name="drawn", source="generator", categories=names, image_root=".")
    write_dataset(folder, card, pl.DataFrame(rows))
    known = GeneratorCard(
        generator_id=identity,
        name="small",
        recipe_id="0" * 16,
        categories=names,
        size_px=cells[0][1].shape[0],
        files={},
        fit=SeenCells(contents=tuple(fit)),
        stop=SeenCells(contents=tuple(stop)),
        judge=SeenCells(contents=tuple(judge)),
        dataset_digest="0",
        dataset_name="judged",
    )
    write_card(folder, known)
    return folder
