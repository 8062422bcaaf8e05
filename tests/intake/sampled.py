"""Generated cells as files, by hand: what a generator saw is chosen, and so is what it draws."""

import json

import numpy as np
import polars as pl

from leukoscope.foundation.streams import stream
from leukoscope.intake.decode import content_of, encode_png
from leukoscope.intake.stratified import training_draw
from leukoscope.records import shapes
from leukoscope.records.dataset import (
    DatasetCard,
    manifest_digest,
    read_dataset,
    read_split,
    write_dataset,
)
from leukoscope.records.generators import GeneratorCard, write_card
from leukoscope.records.groups import groups_of
from leukoscope.records.judged import MEMORISED, OUTSIDE, write_judged
from leukoscope.records.lineage import is_copy
from leukoscope.records.runs import SeenCells, seen_of


def card_for(
    dataset,
    *,
    name="gan",
    digits="0123456789abcdef",
    split="splits",
    repeat=0,
    fold=0,
    train_cells=None,
    seed=0,
    **changes,
):
    """Write the card of a generator that was fitted in a division of a dataset."""
    known = read_dataset(dataset)
    divided = read_split(known, split, repeat, fold).filter(~is_copy())
    fit = training_draw(divided.filter(split="train"), train_cells, seed)
    validation = divided.filter(split="validation")
    groups = pl.Series(groups_of(validation))
    values = {
        "generator_id": f"generator:{digits}",
        "name": name,
        "recipe_id": "f" * 16,
        "categories": known.card.categories,
        "size_px": 16,
        "files": {"generators/shared/generator.safetensors": "0" * 64},
        "fit": seen_of(fit),
        "stop": seen_of(validation.filter(groups % 2 == 0)),
        "judge": seen_of(validation.filter(groups % 2 == 1)),
        "dataset_digest": manifest_digest(known.manifest),
        "dataset_name": known.card.name,
        "licence": known.card.licence,
    }
    return GeneratorCard(**(values | changes))


def sampled(out, card, *, n=4, seed=0, is_carded=True):
    """Write *n* drawn pictures of each category of a generator as a dataset."""
    rows, short = [], card.generator_id[10:18]
    for code, category in enumerate(card.categories):
        for number in range(n):
            path = f"images/{category}-{number:06d}.png"
            pixels = picture(card, code, number, seed)
            (out / "images").mkdir(parents=True, exist_ok=True)
            (out / path).write_bytes(encode_png(pixels))
            rows.append(
                {
                    "cell_id": f"generated-{short}-{seed}/{category}/{number:06d}",
                    "path": path,
                    "content": content_of(pixels),
                    "category": category,
                    "original_label": category,
                    "family": card.generator_id,
                    "source": "generator",
                    "width_px": card.size_px,
                    "height_px": card.size_px,
                    "origin": card.generator_id,
                    "recipe_id": card.recipe_id,
                    "draw": json.dumps({"seed": seed, "number": number}),
                    "copy": number + 1,
                }
            )
    about = DatasetCard(
        name="drawn", source="generator", categories=card.categories, image_root="."
    )
    write_dataset(out, about, pl.DataFrame(rows, schema=shapes.MANIFEST.columns))
    if is_carded:
        write_card(out, card)
    return out


def picture(card, code, number, seed):
    """Draw a disc whose colour tells the category, under noise."""
    rng = stream(seed, "sampled", card.generator_id, code, number)
    y, x = np.mgrid[: card.size_px, : card.size_px] - card.size_px / 2
    disc = (np.hypot(x, y) < card.size_px / 3)[..., None]
    inside = np.array([200 - 40 * code, 60 + 30 * code, 150])
    noise = rng.integers(-20, 21, (card.size_px, card.size_px, 3))
    return (np.where(disc, inside, 230) + noise).clip(0, 255).astype(np.uint8)


def finding(check, cell_id, other=None):
    """Write one row of what a judgement found."""
    severity = "error" if check == MEMORISED else "info"
    return {
        "check": check,
        "cell_id": cell_id,
        "severity": severity,
        "detail": "by hand",
        "other_cell_id": other,
        "score": 0.5,
    }


def judged(folder, *, memorised=(), outside=()):
    """Leave a judgement's findings in the folder of a generated dataset."""
    rows = [finding(MEMORISED, name, "x") for name in memorised]
    rows += [finding(OUTSIDE, name) for name in outside]
    write_judged(read_dataset(folder), pl.DataFrame(rows, schema=shapes.FINDINGS.columns))
    return folder


def made(dataset, out, *, n=4, **fitted):
    """Sample and judge a generator that was fitted as it should be: nothing is flagged."""
    return judged(sampled(out, card_for(dataset, **fitted), n=n))


def names_of(folder, category=None):
    """List the cells of a dataset in their order, of one category or of all."""
    rows = read_dataset(folder).manifest.sort("copy", "category")
    rows = rows.filter(category=category) if category else rows
    return rows["cell_id"].to_list()


NOTHING = SeenCells()
