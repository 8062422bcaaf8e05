"""The errors that all replicates of an arm make: how many of which kind, and the cells."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from leukoscope.records import shapes, tables
from leukoscope.reporting import wording
from leukoscope.reporting.contents import StudyPage, arm_order, in_order
from leukoscope.reporting.pictures import Picture, picture

ERRORS: dict[str, pl.DataType] = {
    "arm": pl.String(),
    "category": pl.String(),
    "predicted": pl.String(),
    "n_cells": pl.Int32(),
    "n_unanimous": pl.Int32(),
}
"""The columns of an error table; ``n_unanimous`` counts the cells whose replicates all agree."""

MOST_KINDS = 20
"""How many kinds of error the page tells apart; the rarest beyond are added up."""

MOST_PICTURES = 24
"""How many cells an arm shows."""


class ErrorRow(NamedTuple):
    """Show one kind of error: how many cells in each arm, and how many in all of them."""

    category: str
    predicted: str
    counts: tuple[str, ...]
    everywhere: str


class ErrorCounts(NamedTuple):
    """Show the errors of all kinds, most frequent first, and their sums."""

    rows: tuple[ErrorRow, ...]
    totals: tuple[str, ...]
    everywhere: str


@dataclass(frozen=True)
class Wall:
    """Show cells that are always missed, by kind of error; *arm* is None for those of all arms."""

    arm: str | None
    shown: int
    of: int
    kinds: tuple[tuple[str, str, tuple[Picture, ...]], ...]


def error_table(page: StudyPage) -> pl.DataFrame:
    """Count the cells that every replicate of an arm calls wrong, by kind of error.

    Returns
    -------
    polars.DataFrame
        The columns of :data:`ERRORS`, in the order of arms and categories; a kind that an
        arm never makes has no row.
    """
    kinds: dict[tuple[str, str, str], list[bool]] = {}
    for row in _missed(page):
        kind = (row["arm"], row["category"], row["predicted"])
        kinds.setdefault(kind, []).append(row["n_called"] == row["n_replicates"])
    arms = {name: place for place, name in enumerate(arm_order(page))}
    order = _places([name for _, *pair in kinds for name in pair])
    rows = [
        (*kind, len(kinds[kind]), sum(kinds[kind]))
        for kind in sorted(
            kinds, key=lambda kind: (arms[kind[0]], *(order[name] for name in kind[1:]))
        )
    ]
    return pl.DataFrame(rows, schema=ERRORS, orient="row")


def error_counts(page: StudyPage, table: pl.DataFrame) -> ErrorCounts | None:
    """Lay an error table out with arms side by side; None where errors were not kept."""
    if page.missed is None:
        return None
    arms = arm_order(page)
    count = {(row[0], row[1], row[2]): row[3] for row in table.iter_rows()}
    everywhere = Counter(kind[1:] for kind in _everywhere(page))
    kinds = dict.fromkeys((category, predicted) for _, category, predicted in count)
    totals = {kind: sum(count.get((arm, *kind), 0) for arm in arms) for kind in kinds}
    ranked = sorted(kinds, key=lambda kind: -totals[kind])

    def row(category: str, predicted: str, added: list[tuple[str, str]]) -> ErrorRow:
        each = (sum(count.get((arm, *kind), 0) for kind in added) for arm in arms)
        shared = sum(everywhere[kind] for kind in added)
        return ErrorRow(category, predicted, tuple(map(wording.count, each)), wording.count(shared))

    rows = [row(*kind, [kind]) for kind in ranked[:MOST_KINDS]]
    rest = ranked[MOST_KINDS:]
    rows += [row("others", wording.counted(len(rest), "kind", "kinds"), rest)] if rest else []
    sums = (sum(n for (arm, *_), n in count.items() if arm == each) for each in arms)
    return ErrorCounts(
        tuple(rows), tuple(map(wording.count, sums)), wording.count(everywhere.total())
    )


def walls(page: StudyPage) -> list[Wall]:
    """Lay the pictures out: once the cells that all arms miss alike, then what else each misses."""
    if page.pictures is None:
        return []
    rows = tables.check(page.pictures, shapes.PICTURES).filter(pl.col("kind") == "missed")
    shared = {cell for cell, *_ in _everywhere(page)}
    own = {arm: list(rows.filter(pl.col("arm") == arm).iter_rows(named=True)) for arm in page.arms}
    once = {row["cell_id"]: row for arm in reversed(arm_order(page)) for row in own[arm]}
    found = [_wall(None, [row for cell, row in once.items() if cell in shared], len(shared))]
    missed = Counter(row["arm"] for row in _missed(page) if row["cell_id"] not in shared)
    for arm in arm_order(page):
        others = [row for row in own[arm] if row["cell_id"] not in shared]
        found.append(_wall(arm, others, max(missed[arm], len(others))))
    return [wall for wall in found if wall.shown]


def _wall(arm: str | None, rows: list[dict[str, Any]], n_cells: int) -> Wall:
    chosen = _by_turns(rows)
    return Wall(arm, len(chosen), n_cells, _by_kind(chosen))


def _missed(page: StudyPage) -> list[dict[str, Any]]:
    if page.missed is None:
        return []
    return tables.check(page.missed, shapes.MISSED).to_dicts()


def _everywhere(page: StudyPage) -> set[tuple[str, str, str]]:
    """Find the cells that every replicate of every arm misses, taking them for the same."""
    arms: dict[tuple[str, str, str], set[str]] = {}
    for row in _missed(page):
        kind = (row["cell_id"], row["category"], row["predicted"])
        arms.setdefault(kind, set()).add(row["arm"])
    return {kind for kind, found in arms.items() if len(found) == len(page.arms)}


def _by_turns(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose a cell of each kind of error before a second of any, up to MOST_PICTURES."""
    turn: Counter[tuple[str, str]] = Counter()
    order = _places(_names(rows))
    placed = []
    for row in sorted(rows, key=lambda row: str(row["cell_id"])):
        kind = (row["category"], row["predicted"] or "")
        turn[kind] += 1
        placed.append((turn[kind], order[kind[0]], order[kind[1]], str(row["cell_id"]), row))
    return [row for *_, row in sorted(placed, key=lambda each: each[:4])[:MOST_PICTURES]]


def _by_kind(rows: list[dict[str, Any]]) -> tuple[tuple[str, str, tuple[Picture, ...]], ...]:
    order = _places(_names(rows))
    kinds: dict[tuple[str, str], list[Picture]] = {}
    for row in sorted(rows, key=lambda row: str(row["cell_id"])):
        kind = (row["category"], row["predicted"] or "")
        called = f" called {kind[1]}" if kind[1] else ""
        kinds.setdefault(kind, []).append(picture(row["png"], f"{kind[0]} cell{called}"))
    ranked = sorted(kinds, key=lambda kind: (order[kind[0]], order[kind[1]]))
    return tuple((*kind, tuple(kinds[kind])) for kind in ranked)


def _names(rows: list[dict[str, Any]]) -> list[str]:
    return [name for row in rows for name in (row["category"], row["predicted"] or "")]


def _places(categories: list[str]) -> dict[str, int]:
    """Number categories in their order."""
    return {name: place for place, name in enumerate(in_order(categories))}
