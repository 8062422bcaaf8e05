"""What scripts/limits measures: cells as they are, and the same cells changed.

One file of rows a cell, kept in --work: what is there is not made again.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import polars as pl
from limits_methods import FOR_GRANULES, SEED, SETTINGS, Setting, drawn_for

from leukoscope.augmentation.apply import apply, apply_to_mask
from leukoscope.foundation.files import atomic_path
from leukoscope.foundation.streams import stream
from leukoscope.intake.decode import decode, resize
from leukoscope.morphology.definitions import NAMES
from leukoscope.morphology.isolation import Isolation, isolate_cell
from leukoscope.morphology.masks import Masks, Pixels, levels_of, masks_of
from leukoscope.morphology.measures import measure_cell
from leukoscope.records.categories import MAPS, NOZAKA6

SIDE_PX = 128
SET_ASIDE = ("BA_786369", "MO_415531", "EO_225902")
"""Copies of other cells of PBC, and one of which the publisher gives two labels (its card)."""
UNTOUCHED, ANEW, CARRIED = "untouched", "anew", "carried"
SCHEMA = {
    **dict.fromkeys(("cell_id", "category", "method"), pl.String),
    "strength": pl.Float64,
    "outline": pl.String,
    "flags": pl.String,
    "found": pl.Boolean,
    "side": pl.Int64,
    **dict.fromkeys(NAMES, pl.Float64),
}


class Plan(NamedTuple):
    """Say how many cells of each category."""

    pool: int
    """Measured as they are; the trees learn from them."""
    carried: int
    """Changed and measured on their own outlines, which follow the geometry."""
    anew: int
    """Changed and outlined anew."""


def cells_of(shared: Path) -> dict[str, list[Path]]:
    """List the cells of each category in an order drawn at random."""
    listed = {}
    for prefix, category in MAPS["nozaka6"].items():
        paths = sorted((shared / "data" / "pbc" / prefix).glob("*.jpg"))
        paths = [path for path in paths if path.stem not in SET_ASIDE]
        order = stream(SEED, "limits", "cells", prefix).permutation(len(paths))
        listed[category] = [paths[i] for i in order]
    return {category: listed[category] for category in NOZAKA6}


def run(shared: Path, work: Path, plan: Plan, tell: Callable[[str], None]) -> None:
    """Measure all that is missing, one cell of each category after the other."""
    listed, used = cells_of(shared), dict.fromkeys(NOZAKA6, 0)
    for rank in range(plan.pool):
        for category, paths in listed.items():
            flags = measured(paths[rank], category, work, plan, used[category])
            used[category] += flags == ""
        if rank % 5 == 4:
            tell(f"{rank + 1} of {plan.pool} cells of each category")


def measured(path: Path, category: str, work: Path, plan: Plan, place: int) -> str:
    """Measure what is missing of one cell, as it is and changed; give its flags as it is.

    A cell without flags is the *place*-th of its category that may be changed.
    """
    base = {"cell_id": path.stem, "category": category, "side": 1 if place % 2 else -1}
    image = resize(decode(path.read_bytes(), name=path.name).pixels, SIDE_PX)
    found = cache(lambda: isolate_cell(image))

    def as_it_is(_settings: Sequence[Setting]) -> Iterator[dict]:
        yield base | {"method": UNTOUCHED, "outline": ANEW} | row_of(image, found())

    def carried(settings: Sequence[Setting]) -> Iterator[dict]:
        masks = found().masks
        assert masks is not None
        return carried_rows(image, masks, settings, base)

    def anew(settings: Sequence[Setting]) -> Iterator[dict]:
        return anew_rows(image, settings, base)

    own = work / "cells" / f"{path.stem}.parquet"
    flags = str(kept(own, [Setting(UNTOUCHED, None)], as_it_is)["flags"][0])
    if not flags and place < plan.carried:
        kept(own, SETTINGS, carried)
    if not flags and place < plan.anew:
        kept(work / "anew" / own.name, SETTINGS, anew)
    elif not flags and place < plan.carried and category == "segmented":
        kept(work / "scaled" / own.name, FOR_GRANULES, anew)
    return flags


def carried_rows(
    image: Pixels, masks: Masks, settings: Sequence[Setting], base: dict
) -> Iterator[dict]:
    """Measure a changed cell on its own outlines."""
    levels = levels_of(masks)
    for setting in settings:
        drawn = drawn_for(setting, base["cell_id"], base["side"])
        moved = masks_of(apply_to_mask(drawn, levels))
        found = Isolation(moved if moved.nucleus.any() else None, 1.0, (), (0, 0, 0))
        row = row_of(apply(drawn, image), found)
        yield base | setting._asdict() | {"outline": CARRIED} | row


def anew_rows(image: Pixels, settings: Sequence[Setting], base: dict) -> Iterator[dict]:
    """Measure a changed cell on outlines found in the changed picture."""
    for setting in settings:
        changed = apply(drawn_for(setting, base["cell_id"], base["side"]), image)
        row = row_of(changed, isolate_cell(changed))
        yield base | setting._asdict() | {"outline": ANEW} | row


def row_of(image: Pixels, found: Isolation) -> dict:
    row = {"flags": "; ".join(found.flags), "found": found.masks is not None}
    if found.masks is None:
        return row
    values = measure_cell(image, found.masks)
    return row | {name: values[name] for name in NAMES}


def kept(
    path: Path,
    settings: Sequence[Setting],
    make: Callable[[Sequence[Setting]], Iterator[dict]],
) -> pl.DataFrame:
    """Read the rows of one cell that are there; make those of other settings and keep them."""
    table = pl.read_parquet(path) if path.is_file() else pl.DataFrame(schema=SCHEMA)
    there = set(table.select("method", "strength").rows())
    missing = [setting for setting in settings if tuple(setting) not in there]
    if missing:
        table = pl.concat([table, pl.DataFrame(list(make(missing)), schema=SCHEMA)])
        with atomic_path(path) as unfinished:
            table.write_parquet(unfinished)
    return table


def everything(work: Path) -> pl.DataFrame:
    """Read all rows, each once; what could not be measured is null."""
    parts = [pl.read_parquet(path) for path in sorted(work.glob("*/*.parquet"))]
    keys = ["cell_id", "method", "strength", "outline"]
    table = pl.concat(parts).unique(keys, keep="first").sort(keys)
    return table.with_columns(pl.col(NAMES).fill_nan(None))
