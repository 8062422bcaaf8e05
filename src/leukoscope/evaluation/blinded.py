"""What readers saw on a blinded sheet: whether they tell real from drawn, and name cells."""

import re
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

import polars as pl

from leukoscope.foundation.errors import DataError
from leukoscope.records import shapes, tables
from leukoscope.stats.binomial import clopper_pearson
from leukoscope.stats.blind import chance_p

ALL_READERS = "all readers"
"""What stands as the reader of several readers' answers together."""

KINDS = ("real", "drawn")

_INITIALS = re.compile(r"[^\W\d_]{1,4}")
_METHOD = "exact (Clopper-Pearson), pictures independent"
_TEST = f"{_METHOD}; p: exact given the calls, against a key that chance has mixed (Fisher)"
_POOLED = "undefined: readers saw the same pictures, so that no interval is given of them together"


def letters_of(categories: Sequence[str]) -> dict[str, str]:
    """Give the letter that stands for each category on a sheet: A, B, C …."""
    return dict(zip(ascii_uppercase, categories, strict=False))


def read_answers(
    answers: pl.DataFrame, key: pl.DataFrame, categories: Sequence[str]
) -> pl.DataFrame:
    """Check what readers wrote, and bring it to one row a reader and picture.

    Parameters
    ----------
    answers : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.SHEET_ANSWERS`; initials and words in
        capitals or not. Initials may be left out where one reader alone answered. A category may
        be named by its letter.
    key : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.SHEET_KEY`.
    categories : sequence of str
        Those that may be named, in the sheet's order.

    Returns
    -------
    polars.DataFrame
        Columns reader, number, made, category, said (null where blank) and named (likewise):
        every picture for every reader.

    Raises
    ------
    DataError
        If a number is not on the sheet, a picture was answered twice by one reader, a word is
        neither real nor drawn, a category is unknown, or a reader goes by more than initials.
    """
    given = tables.check(answers, shapes.SHEET_ANSWERS).to_dicts()
    rows = [_spoken(row, categories) for row in given]
    readers = sorted({row["reader"] for row in rows if row["reader"]})
    _refuse_nobody(readers, rows)
    for row in rows:
        row["reader"] = row["reader"] or (readers[0] if len(readers) == 1 else None)
    spoken = [row for row in rows if row["reader"]]
    _refuse_strangers(spoken, key)
    _refuse_twice(spoken)
    said = {(row["reader"], row["number"]): row for row in spoken}
    found = [
        (reader, *row.values(), *_answered(said.get((reader, row["number"]))))
        for reader in readers
        for row in key.sort("number").select("number", "made", "category").to_dicts()
    ]
    return pl.DataFrame(found, schema=_READ, orient="row")


def blind_scores(read: pl.DataFrame) -> pl.DataFrame:
    """Score what was read.

    Parameters
    ----------
    read : polars.DataFrame
        As :func:`read_answers` gives it.

    Returns
    -------
    polars.DataFrame
        A results table, ``arm`` the reader's initials: ``told_right`` (share of right answers
        real or drawn, in all and by category, with the test against guessing),
        ``drawn_found`` and ``real_found`` (share called so of those that are), ``named_right``,
        ``named_right_real`` and ``named_right_drawn`` (the category as it is filed or was asked
        for), ``blank`` and ``unnamed`` (counts). Blank answers count in none of the shares.
    """
    rows: list[dict[str, Any]] = []
    for (reader,), own in sorted(read.group_by("reader")):
        rows += _of_reader(str(reader), own)
    readers = read["reader"].n_unique()
    if readers > 1:
        told = read.filter(pl.col("said").is_not_null())
        right = int((told["said"] == told["made"]).sum())
        value = right / told.height if told.height else None
        rows.append(_row(ALL_READERS, "told_right", value, told.height, _POOLED))
    return tables.check(pl.DataFrame(rows, schema=_SCORED), shapes.RESULTS)


_READ: dict[str, pl.DataType] = {"reader": pl.String(), "number": pl.Int32()} | {
    name: pl.String() for name in ("made", "category", "said", "named")
}
_SCORED: dict[str, pl.DataType] = {
    name: shapes.RESULTS.columns[name]
    for name in (
        *("arm", "metric", "view", "category", "value", "low", "high", "p_value"),
        *("n_cells", "unit", "method"),
    )
}


def _spoken(row: dict[str, Any], categories: Sequence[str]) -> dict[str, Any]:
    number = row["number"]
    return {
        "number": number,
        "reader": _initials(_plain(row["reader"]), number),
        "said": _kind(_plain(row["real_or_drawn"]), number),
        "named": _named(_plain(row["category"]), number, categories),
    }


def _answered(row: dict[str, Any] | None) -> tuple[str | None, str | None]:
    return (None, None) if row is None else (row["said"], row["named"])


def _plain(text: str | None) -> str | None:
    return (text or "").strip() or None


def _initials(text: str | None, number: int) -> str | None:
    if text is None:
        return None
    bare = text.replace(".", "").replace(" ", "")
    if not _INITIALS.fullmatch(bare):
        raise DataError(
            f"The reader of picture {number} goes by {text!r}; initials of one to four letters are "
            "expected, for no one is named in full. Nothing was scored."
        )
    return bare.upper()


def _kind(text: str | None, number: int) -> str | None:
    if text is None or text.lower() in KINDS:
        return text and text.lower()
    raise DataError(
        f"Picture {number} is called {text!r} in the column real_or_drawn; real, drawn or nothing "
        "is expected. Nothing was scored."
    )


def _named(text: str | None, number: int, categories: Sequence[str]) -> str | None:
    if text is None:
        return None
    known = {name.lower(): name for name in categories}
    letters = {letter.lower(): name for letter, name in letters_of(categories).items()}
    found = known.get(text.lower()) or letters.get(text.lower())
    if found is None:
        raise DataError(
            f"Picture {number} is named {text!r}; the categories of the sheet are "
            f"{', '.join(categories)}, or their letters. Nothing was scored."
        )
    return found


def _refuse_nobody(readers: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    nameless = [row["number"] for row in rows if not row["reader"] and any(_answered(row))]
    if not readers:
        raise DataError(
            "The answers name no reader. Nothing was scored. Write initials into the column reader."
        )
    if nameless and len(readers) > 1:
        raise DataError(
            f"The answer to picture {nameless[0]} names no reader, and there are {len(readers)} "
            "of them. Nothing was scored. Write initials into the column reader."
        )


def _refuse_strangers(rows: Sequence[dict[str, Any]], key: pl.DataFrame) -> None:
    unknown = sorted({row["number"] for row in rows} - set(key["number"]))
    if unknown:
        raise DataError(
            f"The answers name picture {unknown[0]}; the sheet has 1 to {key.height}. Nothing was "
            "scored. Are these the answers to another sheet?"
        )


def _refuse_twice(rows: Sequence[dict[str, Any]]) -> None:
    seen: set[tuple[str, int]] = set()
    for row in rows:
        each = (row["reader"], row["number"])
        if each in seen:
            raise DataError(
                f"Reader {each[0]} answers picture {each[1]} twice. Nothing was scored. Leave one "
                "answer to each picture."
            )
        seen.add(each)


def _of_reader(reader: str, own: pl.DataFrame) -> list[dict[str, Any]]:
    told, named = (own.filter(pl.col(name).is_not_null()) for name in ("said", "named"))
    rows = [_told(reader, told)]
    for category in sorted(own["category"].unique()):
        rows.append(_told(reader, told.filter(category=category)) | {"category": category})
    for kind in KINDS:
        part = told.filter(made=kind)
        rows.append(_share(reader, f"{kind}_found", part["said"] == kind))
    rows.append(_share(reader, "named_right", named["named"] == named["category"]))
    for kind in KINDS:
        part = named.filter(made=kind)
        rows.append(_share(reader, f"named_right_{kind}", part["named"] == part["category"]))
    for metric, column in (("blank", "said"), ("unnamed", "named")):
        blank = float(own[column].null_count())
        rows.append(_row(reader, metric, blank, own.height, "count of pictures left blank"))
    return rows


def _told(reader: str, told: pl.DataFrame) -> dict[str, Any]:
    """Score real or drawn, with the test against guessing."""
    row = _share(reader, "told_right", told["said"] == told["made"])
    if told.is_empty():
        return row
    p_value = chance_p((told["made"] == "drawn").to_numpy(), (told["said"] == "drawn").to_numpy())
    return row | {"p_value": p_value, "method": _TEST}


def _share(reader: str, metric: str, right: pl.Series) -> dict[str, Any]:
    n_right, n = int(right.sum()), right.len()
    if n == 0:
        return _row(reader, metric, None, 0, "undefined: nothing was answered")
    low, high = clopper_pearson(n_right, n)
    return _row(reader, metric, n_right / n, n, _METHOD) | {"low": low, "high": high}


def _row(reader: str, metric: str, value: float | None, n: int, method: str) -> dict[str, Any]:
    empty = dict.fromkeys(("category", "low", "high", "p_value"))
    return empty | {
        "arm": reader,
        "metric": metric,
        "view": "strict",
        "value": value,
        "n_cells": n,
        "unit": "picture",
        "method": method,
    }
