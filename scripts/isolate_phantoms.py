"""Outlines drawn cells, whose masks and lobes are known: the job `phantoms` of isolate-real.

The recipe stands here and in no packaged setting, so that a change of those changes no figure.
A cell is drawn from its numbers alone and is the same at every size, but for its pixels.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from leukoscope.intake.phantom import PhantomCell, PhantomRecipe, draw_cell
from leukoscope.morphology.isolation import Isolation, isolate_cell
from leukoscope.morphology.lobes import lobe_measures
from leukoscope.morphology.masks import Mask, dice
from leukoscope.records.categories import NOZAKA6

SIZES_PX = (72, 128, 224)
N_CASES, CELLS_PER_CASE = 10, 24


class Judged(NamedTuple):
    """Hold what was found of one drawn cell, beside the truth."""

    category: str
    found: bool
    flagged: bool
    dice: tuple[float, float]
    """Of nucleus and whole cell; 0 where none was found."""
    area_ratio: tuple[float, float]
    """Found over true area of both; NaN where none was found."""
    excess_given: float
    """Lobes counted on the true nucleus, less those that were drawn."""
    excess_found: float
    """The same on the nucleus that was found; NaN where none was."""


def recipe_of(size_px: int) -> PhantomRecipe:
    return PhantomRecipe(
        name="outlines",
        seed=12,
        n_cases=N_CASES,
        cells_per_case=CELLS_PER_CASE,
        mix=dict.fromkeys(NOZAKA6, 1.0),
        size_px=size_px,
        overlap=0.3,
        case_spread=1.0,
        direction="any",
        noise_levels=2.5,
    )


def judged(cell: PhantomCell) -> Judged:
    """Outline a cell and compare masks and lobes with those that were drawn."""
    found: Isolation = isolate_cell(cell.image)
    overlaps, ratios, excess = (0.0, 0.0), (np.nan, np.nan), np.nan
    if found.masks is not None:
        nucleus, whole = found.masks
        overlaps = dice(nucleus, cell.nucleus_mask), dice(whole, cell.cell_mask)
        ratios = nucleus.sum() / cell.nucleus_mask.sum(), whole.sum() / cell.cell_mask.sum()
        excess = excess_lobes(nucleus, cell)
    return Judged(
        category=cell.category,
        found=found.masks is not None,
        flagged=bool(found.flags),
        dice=overlaps,
        area_ratio=ratios,
        excess_given=excess_lobes(cell.nucleus_mask, cell),
        excess_found=excess,
    )


def excess_lobes(nucleus: Mask, cell: PhantomCell) -> float:
    return lobe_measures(nucleus)["lobe_count"] - cell.lobes


def summary(some: Sequence[Judged]) -> dict[str, object]:
    """Average over cells: shares and Dice over all of them, ratios of areas over those found."""
    ratios = np.array([one.area_ratio for one in some if one.found])
    nucleus, whole = ratios.mean(axis=0).tolist() if len(ratios) else (None, None)
    given = np.array([one.excess_given for one in some])
    found = np.array([one.excess_found for one in some])
    overlap = np.mean([one.dice for one in some], axis=0).tolist()
    return {
        "n": len(some),
        "n_found": sum(one.found for one in some),
        "dice_nucleus": overlap[0],
        "dice_whole": overlap[1],
        "area_ratio_nucleus": nucleus,
        "area_ratio_whole": whole,
        "lobes_exact_given": float((given == 0).mean()),
        "lobes_exact_found": float((found == 0).mean()),
        "lobes_too_high_found": float((found > 0).mean()),
        "n_flagged": sum(one.flagged for one in some),
    }


def phantom_rows(every: int) -> Iterator[dict[str, object]]:
    """Outline each so many-th cell at each size: a row for each category and one for all.

    A cell in which nothing was found has a Dice of 0, and its count of lobes is neither exact nor
    too high; it is flagged too, for a flag says why.
    """
    numbers = [(i, j) for i in range(N_CASES) for j in range(CELLS_PER_CASE)][::every]
    for size_px in SIZES_PX:
        recipe = recipe_of(size_px)
        cells = [judged(draw_cell(recipe, case, index)) for case, index in numbers]
        for category in (*NOZAKA6, "all"):
            some = [one for one in cells if category in (one.category, "all")]
            if some:
                yield {"size_px": size_px, "category": category} | summary(some)
