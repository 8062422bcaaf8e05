"""The contact sheet: what the augmentation did to a few cells, arm by arm."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from leukoscope.records import shapes, tables
from leukoscope.reporting.contents import StudyPage, arm_order, in_order
from leukoscope.reporting.draws import drawn_in_words
from leukoscope.reporting.pictures import Picture, picture

CONTACT: dict[str, pl.DataType] = {
    "arm": pl.String(),
    "cell": pl.Int32(),
    "category": pl.String(),
    "copy": pl.Int32(),
    "drawn": pl.String(),
}
"""The columns of a contact table: *cell* is a number on this page, *drawn* what was done."""

MOST_CELLS = 4
"""How many cells are shown."""

MOST_TIMES = 4
"""How often one cell is shown in one arm."""


@dataclass(frozen=True)
class ContactSheet:
    """Show, for each arm, the chosen cells as it saw them; a cell it never saw is empty."""

    cells: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[Picture, ...], ...]], ...]
    across: int
    """How many pictures stand beside each other in the fullest row."""


def contact_table(page: StudyPage) -> pl.DataFrame:
    """List what is shown of whom, in the order of arms, cells and copies.

    Returns
    -------
    polars.DataFrame
        The columns of :data:`CONTACT`: at most MOST_CELLS cells, those that most arms saw
        first, and at most MOST_TIMES pictures of one in an arm.
    """
    rows = [
        (row["arm"], row["cell"], row["category"], row["copy"], drawn_in_words(row["draw"]))
        for row in _chosen(page)
    ]
    return pl.DataFrame(rows, schema=CONTACT, orient="row")


def contact_sheet(page: StudyPage) -> ContactSheet | None:
    """Lay the contact sheet out; None where no picture shows what training saw."""
    chosen = _chosen(page)
    if not chosen:
        return None
    cells = dict(sorted({(row["cell"], row["category"]) for row in chosen}))
    rows = []
    for arm in arm_order(page):
        own = [row for row in chosen if row["arm"] == arm]
        if own:
            shown = (tuple(_picture(row) for row in own if row["cell"] == cell) for cell in cells)
            rows.append((arm, tuple(shown)))
    widest = [max(len(row[place]) for _, row in rows) for place in range(len(cells))]
    return ContactSheet(tuple(cells.values()), tuple(rows), sum(widest))


def _chosen(page: StudyPage) -> list[dict[str, Any]]:
    """Choose cells and copies; *cell* becomes a number, for a cell_id may hold a name."""
    if page.pictures is None:
        return []
    rows = tables.check(page.pictures, shapes.PICTURES).filter(pl.col("kind") == "seen")
    place = {arm: number for number, arm in enumerate(arm_order(page))}
    order = {name: number for number, name in enumerate(in_order(rows["category"].to_list()))}
    seen = sorted(
        rows.iter_rows(named=True),
        key=lambda row: (place[row["arm"]], row["cell_id"], _copy(row)),
    )
    number_of = _numbered(seen, order)
    kept: Counter[tuple[str, str]] = Counter()
    chosen = []
    for row in seen:
        kept[row["arm"], row["cell_id"]] += 1
        if row["cell_id"] in number_of and kept[row["arm"], row["cell_id"]] <= MOST_TIMES:
            chosen.append(row | {"cell": number_of[row["cell_id"]]})
    return sorted(chosen, key=lambda row: (place[row["arm"]], row["cell"], _copy(row)))


def _numbered(seen: Sequence[dict[str, Any]], order: dict[str, int]) -> dict[str, int]:
    """Number the cells that most arms saw, one of each category before a second of any."""
    arms = Counter(cell for _, cell in {(row["arm"], row["cell_id"]) for row in seen})
    category = {row["cell_id"]: row["category"] for row in seen}
    rank: Counter[str] = Counter()
    ranked = []
    for cell in sorted(arms, key=lambda cell: (-arms[cell], order[category[cell]], cell)):
        ranked.append((-arms[cell], rank[category[cell]], order[category[cell]], cell))
        rank[category[cell]] += 1
    first = sorted(ranked)[:MOST_CELLS]
    in_place = sorted(first, key=lambda each: (each[2], each[3]))
    return {cell: number for number, (*_, cell) in enumerate(in_place, start=1)}


def _copy(row: dict[str, Any]) -> int:
    return -1 if row["copy"] is None else int(row["copy"])


def _picture(row: dict[str, Any]) -> Picture:
    drawn = drawn_in_words(row["draw"])
    alt = f"{row['category']} cell {row['cell']}, {drawn}"
    return picture(row["png"], alt, drawn.removeprefix("turned by "))
