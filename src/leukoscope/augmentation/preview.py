"""What a recipe does to a few cells, as a table: each step alone, weak to strong, and the chain."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.copies import Parent, open_parents
from leukoscope.augmentation.draw import Draw, draw, drawn_by
from leukoscope.augmentation.geometry_steps import Rotation
from leukoscope.augmentation.policies import OneOf, Step
from leukoscope.augmentation.policies import Sequence as Chain
from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.augmentation.step import Operation
from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.intake.decode import Pixels, encode_png
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset
from leukoscope.records.lineage import is_copy

Operations = tuple[Operation, ...]

MOST_CELLS = 8
"""How many cells are shown, each of another category."""

MOST_PX = 160
"""Larger pictures are shown reduced to this on their longer side."""

N_CHAINS = 4
"""How often the whole chain is drawn."""

_ENDS = {"low": 0.0, "middle": 0.5, "high": math.nextafter(1.0, 0.0)}
"""The numbers at which a step is shown; 1 itself is never drawn."""

_OPPOSITE = {"low": "high", "middle": "middle", "high": "low"}

_EIGHTHS = (1 / 8, 4 / 8, 7 / 8)
"""Those at which a full turn is shown, for its ends are one picture."""

_TURN = 360.0

_APART = {
    "scaling": (1, -1),
    "white_balance": (1, 0, -1),
    "stain_jitter": (1, -1, 1, 1, -1, 1),
}
"""Parameters that hide each other when all are low or all are high: they go apart, or stay."""


@dataclass(frozen=True)
class Shown:
    """Hold one row of the sheet: a draw for each cell, or none where all are untouched."""

    section: int
    kind: str
    row: int
    draws: Sequence[Draw | None]
    strength: str | None = None
    chance: float | None = None


def preview_table(
    dataset: Dataset, manifest: pl.DataFrame, recipe: AugmentationRecipe, *, seed: int
) -> pl.DataFrame:
    """Show what a recipe does to one cell of each category.

    Parameters
    ----------
    dataset : Dataset
        Which holds the cells.
    manifest : polars.DataFrame
        Those of its rows that may be shown; copies are passed over.
    recipe : AugmentationRecipe
        The chain; each of its steps is shown, those of a sequence or a choice too.
    seed : int
        Seed of the choice of cells, and of the draws of the whole chain, which are those that
        ``augment`` makes of these cells with this seed.

    Returns
    -------
    polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.PREVIEW`.

    Raises
    ------
    DataError
        If there is no cell; if a picture or mask is gone, broken, or smaller than a blur.
    """
    chosen = chosen_cells(manifest, dataset.card.categories, seed)
    parent = open_parents(dataset)
    cells = [(row["category"], parent(row)) for row in chosen.to_dicts()]
    rows = [
        _picture_row(shown, number, category, cell, drawn)
        for shown in rows_of(recipe, seed, chosen["cell_id"].to_list())
        for number, ((category, cell), drawn) in enumerate(
            zip(cells, shown.draws, strict=True), start=1
        )
    ]
    return tables.check(pl.DataFrame(rows, schema=shapes.PREVIEW.columns), shapes.PREVIEW)


def chosen_cells(manifest: pl.DataFrame, categories: Sequence[str], seed: int) -> pl.DataFrame:
    """Choose one cell of each category, of MOST_CELLS of them where there are more.

    Returns
    -------
    polars.DataFrame
        Rows of *manifest* in the order of *categories*; whatever order they had.
    """
    own = manifest.filter(~is_copy()).sort("cell_id")
    found = [name for name in categories if name in set(own["category"])]
    if not found:
        raise DataError("There is no cell to show: the dataset holds copies alone, or nothing.")
    kept = stream(seed, "preview").permutation(len(found))[:MOST_CELLS]
    rows = []
    for name in (found[place] for place in sorted(kept.tolist())):
        part = own.filter(pl.col("category") == name)
        rows.append(part[int(stream(seed, "preview", name).integers(part.height))])
    return pl.concat(rows)


def rows_of(recipe: AugmentationRecipe, seed: int, cell_ids: Sequence[str]) -> Iterator[Shown]:
    """List what is shown: the cells untouched, each step alone by strength, the whole chain."""
    yield Shown(0, "untouched", 1, [None] * len(cell_ids))
    section = 0
    for step, chance in _single(recipe.steps, recipe.probability):
        section += 1
        for row, (strength, operations) in enumerate(strengths_of(step), start=1):
            alone = drawn_by(recipe, operations)
            yield Shown(section, step.kind, row, [alone] * len(cell_ids), strength, chance)
    for copy in range(1, N_CHAINS + 1) if recipe.steps else ():
        draws = [draw(recipe, seed, cell_id, copy) for cell_id in cell_ids]
        yield Shown(section + 1, "chain", copy, draws)


def strengths_of(step: Step) -> list[tuple[str | None, Operations]]:
    """Give what a step does at the low end, the middle and the high end of its ranges.

    A full turn is shown at three of its eighths, without a name; what is the same at all
    strengths is given once, without one.
    """
    if isinstance(step, Rotation) and step.angle_range_deg[1] - step.angle_range_deg[0] >= _TURN:
        turned = dict.fromkeys(step.drawn([eighth]) for eighth in _EIGHTHS)
        return [(None, operations) for operations in turned]
    named: dict[Operations, str] = {}
    # Where the middle is one of the ends, the end gives the name.
    for end in ("low", "high", "middle"):
        named.setdefault(step.drawn(_numbers(step, end)), end)
    if len(named) == 1:
        return [(None, operations) for operations in named]
    end_of = {end: operations for operations, end in named.items()}
    return [(end, end_of[end]) for end in _ENDS if end in end_of]


def _numbers(step: Step, end: str) -> list[float]:
    """Give a step the same number for all its parameters, but those that go apart."""
    ways = _APART.get(step.kind, (1,) * step.n_numbers)
    of_way = {1: _ENDS[end], 0: _ENDS["middle"], -1: _ENDS[_OPPOSITE[end]]}
    return [of_way[way] for way in ways]


def _single(steps: Sequence[Step], chance: float) -> Iterator[tuple[Step, float]]:
    """List the steps that are no policies, each with the share of pictures it is done to."""
    for step in steps:
        done = chance * step.probability
        if isinstance(step, OneOf):
            yield from _single(step.steps, done / len(step.steps))
        elif isinstance(step, Chain):
            yield from _single(step.steps, done)
        else:
            yield step, done


def _picture_row(
    shown: Shown, number: int, category: str, cell: Parent, drawn: Draw | None
) -> dict[str, Any]:
    height, width = cell.pixels.shape[:2]
    row = {"section": shown.section, "kind": shown.kind, "row": shown.row, "cell": number}
    row |= {"category": category, "width_px": width, "height_px": height}
    row |= {"strength": shown.strength, "chance": shown.chance}
    if drawn is None:
        return row | {"png": _small_png(cell.pixels)}
    row["draw"] = drawn.to_json()
    if cell.mask is None and _needs_mask(drawn):
        return row | {"lacks": "mask"}
    return row | {"png": _small_png(apply(drawn, cell.pixels, cell.mask))}


def _small_png(pixels: Pixels) -> bytes:
    """Encode a picture, reduced to MOST_PX on its longer side, its shape kept."""
    longer = max(pixels.shape[:2])
    if longer <= MOST_PX:
        return encode_png(pixels)
    height, width = (max(1, round(side * MOST_PX / longer)) for side in pixels.shape[:2])
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    return encode_png(np.array(image, dtype=np.uint8))


def _needs_mask(drawn: Draw) -> bool:
    return any(name.startswith("background_") for name, _ in drawn.operations)
