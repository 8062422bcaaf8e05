"""The page of a scored sheet: whether readers tell drawn cells from real ones."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from leukoscope.evaluation.blinded import ALL_READERS
from leukoscope.records import shapes, tables
from leukoscope.reporting import grids, wording
from leukoscope.reporting.documents import document
from leukoscope.reporting.evaluated import Number
from leukoscope.reporting.grids import Grid, Row, Shown

CHANCE = 0.5
"""The share that guessing gets right."""

ALPHA = 0.05
"""Below this p value a reader is said to tell real from drawn cells."""

_COLUMNS = {
    "told_right": "Right, real or drawn, %",
    "drawn_found": "Drawn ones found, %",
    "real_found": "Real ones found, %",
    "named_right": "Category as filed, %",
    "named_right_real": "of real ones, %",
    "named_right_drawn": "of drawn ones, %",
}


def blind_scores_page(results: pl.DataFrame, about: Mapping[str, Any]) -> str:
    """Write the page of a scored sheet.

    Parameters
    ----------
    results : polars.DataFrame
        As :func:`leukoscope.evaluation.blinded.blind_scores` gives it.
    about : mapping
        ``dataset``, ``generated``, ``n`` and ``size_px`` of the sheet.

    Returns
    -------
    str
        A whole HTML document without pictures: it names readers by initials and no cell.

    Raises
    ------
    SchemaError
        If the table breaks its shape.
    """
    rows = tables.check(results, shapes.RESULTS)
    readers = _readers(rows)
    return document(
        "blind_scores.html",
        {
            "about": about,
            "answers": [(reader, answer(rows, reader)) for reader in readers],
            "facts": _facts(rows, about, readers),
            "tables": {"readers": _by_reader(rows), "categories": _by_category(rows)},
            "limits": _LIMITS,
        },
    )


def answer(results: pl.DataFrame, reader: str) -> str:
    """Say in a sentence whether a reader told drawn cells from real ones."""
    number = _number(results, reader, "told_right")
    if number is None or number.bounds is None:
        return "answered nothing."
    value, low, high = number.bounds
    shares = f"{wording.percent(value)} % right ({wording.percent(low)} to {wording.percent(high)})"
    seen = number.p_value is not None and number.p_value < ALPHA
    if seen and value > CHANCE:
        return f"told real from drawn cells better than by guessing: {shares}."
    if seen and value < CHANCE:
        return (
            f"was wrong more often than by guessing: {shares}. Whoever takes drawn cells for real "
            "ones so regularly sees a difference between them."
        )
    return (
        f"did not tell real from drawn cells better than by guessing: {shares}. With this "
        f"many pictures a true share of up to {wording.percent(high)} % cannot be ruled out."
    )


def _by_reader(rows: pl.DataFrame) -> Grid | None:
    shown = []
    for reader in _readers(rows):
        number = _number(rows, reader, "told_right")
        told = wording.p_value(None if number is None else number.p_value)
        cells = (
            *(_cell(rows, reader, metric) for metric in _COLUMNS),
            Shown(told),
            Shown(_blank(rows, reader)),
        )
        shown.append(Row(reader, cells))
    caption = (
        "What each reader saw. Guessing is right half the time; p is of the test against that. "
        "Pictures left blank count in no share."
    )
    heads = ["Reader", *_COLUMNS.values(), "p", "Left blank"]
    return grids.grid("table-readers", caption, heads, [("", shown)])


def _by_category(rows: pl.DataFrame) -> Grid | None:
    own = rows.filter((pl.col("metric") == "told_right") & pl.col("category").is_not_null())
    groups = []
    for reader in sorted(own["arm"].unique()):
        names = own.filter(arm=reader)["category"].to_list()
        groups.append((reader, [_category_row(rows, reader, name) for name in names]))
    caption = "Right answers, real or drawn, by the category that a picture is filed under."
    heads = ["Category", "Right, %", "Answered"]
    return grids.grid("table-categories", caption, heads, groups)


def _category_row(rows: pl.DataFrame, reader: str, category: str) -> Row:
    number = _number(rows, reader, "told_right", category)
    answered = 0 if number is None or number.n_cells is None else number.n_cells
    shown = grids.estimate(number, wording.percent)._replace(note="")
    return Row(category, (shown, Shown(wording.count(answered))))


def _cell(rows: pl.DataFrame, reader: str, metric: str) -> Shown:
    return grids.estimate(_number(rows, reader, metric), wording.percent)._replace(note="")


def _blank(rows: pl.DataFrame, reader: str) -> str:
    number = _number(rows, reader, "blank")
    return wording.count(0 if number is None else number.value)


def _number(
    rows: pl.DataFrame, reader: str, metric: str, category: str | None = None
) -> Number | None:
    found = rows.filter(
        (pl.col("arm") == reader)
        & (pl.col("metric") == metric)
        & pl.col("category").eq_missing(category)
    ).to_dicts()
    return Number(**{name: found[0][name] for name in Number._fields}) if found else None


def _readers(rows: pl.DataFrame) -> list[str]:
    return sorted(set(rows["arm"].drop_nulls().unique()) - {ALL_READERS})


def _facts(
    rows: pl.DataFrame, about: Mapping[str, Any], readers: list[str]
) -> list[tuple[str, str]]:
    pooled = _number(rows, ALL_READERS, "told_right")
    together = (
        [] if pooled is None else [("All readers, right", wording.percent(pooled.value) + " %")]
    )
    return [
        ("Pictures", f"{wording.count(about['n'])}, half of them drawn"),
        ("Shown at", f"{about['size_px']} px"),
        ("Readers", wording.count(len(readers))),
        *together,
    ]


_LIMITS = (
    (
        "That a reader cannot tell drawn cells from real ones does not make them good training "
        "material: whether they help is asked by a study."
    ),
    (
        "Pictures stand at the size of the generated cells. What is lost at that size no reader "
        "can see, in real cells no more than in drawn ones."
    ),
    (
        "Pictures count as independent; the intervals speak of this reader and of other pictures "
        "of these two collections."
    ),
    (
        "Category as filed: for a real cell the label it has, for a drawn one the category it was "
        "asked for."
    ),
)
