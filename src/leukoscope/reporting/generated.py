"""How a study's generators were judged, and what they drew, as its page shows it."""

from typing import NamedTuple

import polars as pl

from leukoscope.records import shapes, tables
from leukoscope.reporting import wording
from leukoscope.reporting.contents import StudyPage, in_order
from leukoscope.reporting.pictures import Picture, picture

MOST_ROWS = 20
"""How many generators the page tells apart; the table beside it holds all."""


class GeneratorRow(NamedTuple):
    """Show one generator: its replicate, the cells it was fitted to, what became of its own."""

    name: str
    fitted: str
    sampled: str
    flagged: str
    scores: tuple[tuple[str, str], ...]
    memorisation: str


def generator_rows(page: StudyPage) -> list[GeneratorRow]:
    """List the generators by replicate and fold: kid, precision, recall beside those of real cells.

    Raises
    ------
    SchemaError
        If the table is not in its shape.
    """
    if page.generators is None:
        return []
    table = tables.check(page.generators, shapes.GENERATORS).head(MOST_ROWS)
    return [
        GeneratorRow(
            _name(row["replicate"], row["fold"]),
            wording.count(row["n_fit"]),
            wording.count(row["n_sampled"]),
            wording.count(row["n_flagged"]),
            tuple(
                (_number(row[name], digits), _number(row[f"{name}_real"], digits))
                for name, digits in (("kid", 3), ("precision", 2), ("recall", 2))
            ),
            wording.p_value(row["memorisation_p"]),
        )
        for row in table.iter_rows(named=True)
    ]


def drawings(page: StudyPage) -> list[tuple[str, tuple[Picture, ...]]]:
    """Lay out cells of the first generator, by category; empty where no picture is shown."""
    if page.pictures is None:
        return []
    rows = tables.check(page.pictures, shapes.PICTURES).filter(pl.col("kind") == "generated")
    found: dict[str, list[Picture]] = {name: [] for name in in_order(rows["category"].to_list())}
    for row in rows.sort("category", "copy", "cell_id").iter_rows(named=True):
        found[row["category"]].append(picture(row["png"], f"generated {row['category']} cell"))
    return [(name, tuple(pictures)) for name, pictures in found.items()]


def _name(replicate: int, fold: int | None) -> str:
    return f"{replicate}" if fold is None else f"{replicate}, fold {fold}"


def _number(value: float | None, digits: int) -> str:
    return "not measured" if value is None else f"{value:.{digits}f}"
