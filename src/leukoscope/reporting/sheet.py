"""The page of a preview: what each step of a recipe does to a few cells, weak to strong."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl
from PIL import Image

from leukoscope.records import shapes, tables
from leukoscope.reporting import wording
from leukoscope.reporting.documents import document
from leukoscope.reporting.draws import drawn_in_words
from leukoscope.reporting.pictures import Picture, picture

MOST_BYTES = 1_950_000
"""What MOST_PICTURES pictures may take in a page; fewer may take as much, more in proportion."""

MOST_PICTURES = 280
"""Those of eight cells: untouched, ten steps at three strengths, and the chain four times."""

QUALITIES = (96, 90, 80, 65, 50)
"""Qualities of WebP that are tried where pictures are too large without loss."""

LONGEST = 80
"""Longer words than these, in signs, stand in a list instead of below their picture."""

_TITLES = {"jpeg_compression": "JPEG compression"}
_ENDS = {"low": "low end", "middle": "middle", "high": "high end"}
_BORDERS = {
    "reflect": "mirrored",
    "edge": "the last pixels repeated",
    "background": "the colour of the picture’s own empty field",
}


@dataclass(frozen=True)
class SheetPage:
    """Hold all that the page of a preview shows.

    Attributes
    ----------
    dataset, source : str
        Name of the dataset, and the reader that took it in.
    licence, citation : str or None
        Of its pictures, if known.
    part : str
        Which of its cells were chosen from, in words.
    recipe : mapping
        The augmentation recipe as plain values.
    recipe_id, yaml : str
        Its id, and its text.
    seed : int
        Seed of the chosen cells and of the chain's draws.
    table : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.PREVIEW`.
    """

    dataset: str
    source: str
    licence: str | None
    citation: str | None
    part: str
    recipe: Mapping[str, Any]
    recipe_id: str
    yaml: str
    seed: int
    table: pl.DataFrame


class SheetRow(NamedTuple):
    """Show the same cells once more; a place is None where the cell lacks what it takes."""

    label: str
    end: str
    shown: tuple[Picture | None, ...]


class SheetSection(NamedTuple):
    """Show one step alone, the untouched cells, or the chain; *drawn* is too long for captions."""

    anchor: str
    title: str
    caption: str
    lacking: str
    rows: tuple[SheetRow, ...]
    drawn: tuple[tuple[str, int, str], ...] = ()


def sheet_page(page: SheetPage) -> str:
    """Write the page of a preview.

    Parameters
    ----------
    page : SheetPage
        All that it shows.

    Returns
    -------
    str
        A whole HTML document that refers to no other file. Cells go by a number, never by
        the name of a file.

    Raises
    ------
    DataError
        If a picture is no PNG.
    SchemaError
        If the table is not in its shape.
    """
    table = tables.check(page.table, shapes.PREVIEW)
    cells = table.filter(pl.col("section") == 0).select("cell", "category").rows()
    sections, quality = sheet_sections(table)
    return document(
        "preview.html",
        {
            "name": wording.name_of(page.recipe["name"]),
            "dataset": page.dataset,
            "cells": cells,
            "sections": sections,
            "warning": _lengths_warning(table),
            "provenance": _provenance(page, table, quality),
            "yaml": page.yaml,
        },
    )


def sheet_sections(table: pl.DataFrame) -> tuple[list[SheetSection], int | None]:
    """Lay a preview's table out.

    Returns
    -------
    tuple of list of SheetSection and int
        The sections in order, and the quality of WebP that pictures were brought to; None
        where all stand as they came, without loss.
    """
    data, quality = _as_data(table["png"].to_list())
    rows = table.with_columns(
        data=pl.Series(data, dtype=pl.String),
        told=pl.Series([drawn_in_words(draw) for draw in table["draw"]], dtype=pl.String),
    )
    sections = [_section(part) for part in rows.partition_by("section", maintain_order=True)]
    return sections, quality


def _section(part: pl.DataFrame) -> SheetSection:
    number, kind, chance = part.select("section", "kind", "chance").row(0)
    if kind == "chain":
        return _chain(part)
    rows = _rows(part, captions=False)
    if kind == "untouched":
        return SheetSection("untouched", "As taken", "The cells untouched.", "", rows)
    title = _TITLES.get(kind, wording.sentence_case(wording.name_of(kind)))
    text = f"This step alone. In the recipe it is done to {_share(chance)}."
    return SheetSection(f"step-{number}", f"{number}. {title}", text, _lacking(part), rows)


def _chain(part: pl.DataFrame) -> SheetSection:
    is_short = max(len(told) for told in part["told"]) <= LONGEST
    text = (
        "All steps together, each cell's copies as augment draws them with this seed; what was "
        f"drawn stands {'below each picture' if is_short else 'in the list below'}."
    )
    drawn = () if is_short else tuple(part.select("category", "cell", "row", "told").rows())
    rows = _rows(part, captions=is_short)
    return SheetSection("chain", "The whole chain", text, _lacking(part), rows, drawn)


def _rows(part: pl.DataFrame, *, captions: bool) -> tuple[SheetRow, ...]:
    rows = []
    for group in part.partition_by("row", maintain_order=True):
        cells = group.to_dicts()
        first = cells[0]
        shown = tuple(_picture(cell, cell["told"] if captions else "") for cell in cells)
        told = wording.sentence_case(first["told"])
        label = f"Copy {first['row']}" if first["kind"] == "chain" else told
        rows.append(SheetRow(label, _ENDS.get(first["strength"], ""), shown))
    return tuple(rows)


def _picture(cell: dict[str, Any], caption: str) -> Picture | None:
    if cell["png"] is None:
        return None
    alt = f"{cell['category']} cell {cell['cell']}, {cell['told']}"
    return picture(cell["png"], alt, caption)._replace(data=cell["data"])


def _as_data(pngs: Sequence[bytes | None]) -> tuple[list[str | None], int | None]:
    """Write pictures as data of a page: as they came, or compressed so far that it stays small."""
    most = MOST_BYTES * max(1.0, len(pngs) / MOST_PICTURES)
    found = [None if png is None else picture(png, "").data for png in pngs]
    used = None
    for quality in QUALITIES:
        if sum(len(data) for data in found if data is not None) <= most:
            break
        used = quality
        found = [None if png is None else _webp(png, quality) for png in pngs]
    return found, used


def _webp(png: bytes, quality: int) -> str:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        image.save(buffer, format="WEBP", quality=quality)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _lacking(part: pl.DataFrame) -> str:
    """Say what is missing where places are empty."""
    if part["lacks"].null_count() == part.height:
        return ""
    n = part.filter(pl.col("lacks").is_not_null())["cell"].n_unique()
    whose = (
        "these cells have"
        if n == part["cell"].n_unique()
        else f"{wording.in_words(n)} of these cells have"
    )
    return (
        f"This needs the outline of a cell, and {whose} no mask. Run isolate and preview the "
        "dataset it writes, which holds one for every cell."
    )


def _lengths_warning(table: pl.DataFrame) -> bool:
    """Tell whether lengths are in the pixels of these pictures, whatever size training takes."""
    draws = [json.loads(draw) for draw in table["draw"].drop_nulls().unique()]
    return any(
        name.endswith("_px") and draw["lengths_at_px"] is None
        for draw in draws
        for name, *_ in draw["operations"]
    )


def _share(chance: float | None) -> str:
    if chance is None or chance >= 1:
        return "every picture"
    text = f"{100 * chance:.0f}" if chance >= 0.1 else f"{100 * chance:.2g}"
    return f"{text} % of the pictures"


def _provenance(page: SheetPage, table: pl.DataFrame, quality: int | None) -> list[tuple[str, str]]:
    recipe = page.recipe
    border = _BORDERS.get(recipe["border"], f"the colour {tuple(recipe['border_rgb'])}")
    lengths = recipe["lengths_at_px"]
    return [
        ("Dataset", f"{page.dataset} (source {page.source})"),
        ("Licence of the pictures", page.licence or "not stated"),
        ("Cite", page.citation or "not stated"),
        ("Cells", f"one of each category, drawn from {page.part}"),
        ("Recipe", f"{recipe['name']}, {page.recipe_id}"),
        ("The chain is done to", _share(recipe["probability"])),
        ("Places left free", border),
        ("Interpolation", recipe["interpolation"]),
        (
            "Lengths in px",
            "of the picture at hand"
            if lengths is None
            else f"of a picture whose shorter side has {lengths}",
        ),
        ("Pictures", _sizes(table, quality)),
        ("Seed", str(page.seed)),
    ]


def _sizes(table: pl.DataFrame, quality: int | None) -> str:
    own = table.select("width_px", "height_px").unique().sort("width_px", "height_px").rows()
    ends = dict.fromkeys(f"{width} × {height}" for width, height in (own[0], own[-1]))
    text = f"each augmented at its own size, {' to '.join(ends)} px"
    if quality is None:
        return text
    return f"{text}; compressed for this page alone (WebP, quality {quality})"
