"""The cells on the page of a judgement: those generated, and the pairs that lie nearest."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.foundation.errors import DataError
from leukoscope.intake.decode import decode, encode_png
from leukoscope.reporting import wording
from leukoscope.reporting.judgement_tables import JudgementPage
from leukoscope.reporting.pictures import Picture, picture
from leukoscope.stats.poses import N_POSES, turned

Pixels = npt.NDArray[np.uint8]

MOST_PAIRS = 20
"""How many of the nearest pairs are shown."""

MOST_CELLS = 64
"""How many generated cells are shown at most, and as many held-out ones."""


class Pair(NamedTuple):
    """Show a generated cell beside its nearest training cell, where that may be shown."""

    number: int
    category: str
    told: str
    memorised: bool
    shown: tuple[Picture, ...]


class Wall(NamedTuple):
    """Show generated cells of one category."""

    category: str
    shown: tuple[Picture, ...]


def in_pose(pixels: Pixels, pose: int) -> Pixels:
    """Bring a square picture into one of its sixteen poses; the first eight move pixels alone.

    Parameters
    ----------
    pixels : numpy.ndarray of uint8, shape (size, size, 3)
        The picture.
    pose : int
        0 to 15, as :func:`leukoscope.stats.poses.turned` counts them.

    Returns
    -------
    numpy.ndarray of uint8, shape (size, size, 3)
        The picture in that pose; 0 leaves it as it is.

    Raises
    ------
    DataError
        If there is no such pose.
    """
    if not 0 <= pose < N_POSES:
        raise DataError(f"A picture has the poses 0 to 15; seen {pose}. No page was made.")
    return np.ascontiguousarray(turned(pixels[None], pose)[0], dtype=np.uint8)


def closest(neighbours: pl.DataFrame) -> list[dict[str, Any]]:
    """List the nearest pairs: the smallest ratios first, at most :data:`MOST_PAIRS`."""
    known = neighbours.filter(pl.col("ratio").is_not_null() & pl.col("ratio").is_finite())
    return known.sort("ratio", "cell_id").head(MOST_PAIRS).to_dicts()


def pairs(page: JudgementPage) -> list[Pair]:
    """Lay the nearest pairs out; those whose generated cell has no picture are left out."""
    found = []
    for number, row in enumerate(closest(page.neighbours), start=1):
        if row["cell_id"] in page.pictures:
            shown = _pair(number, row, page.pictures)
            flagged = bool(row["memorised"])
            told = f"ratio {row['ratio']:.2f}{', flagged' if flagged else ''}"
            found.append(Pair(number, row["category"], told, flagged, shown))
    return found


def walls(page: JudgementPage) -> list[Wall]:
    """Lay the generated cells out by category, in the order of their names.

    The nearest pairs are no random cells: they stand here only where they were drawn among
    the others, which the list ``shown`` of the facts tells; without it all stand here.
    """
    chosen = set(page.about.get("shown") or page.neighbours["cell_id"])
    rows = page.neighbours.filter(pl.col("cell_id").is_in(list(chosen & set(page.pictures))))
    found = []
    for category in page.about["categories"]:
        names = rows.filter(category=category).sort("cell_id")["cell_id"].to_list()
        shown = tuple(
            picture(page.pictures[name], f"generated {category} {number}")
            for number, name in enumerate(names, start=1)
        )
        found += [Wall(str(category), shown)] if shown else []
    return found


def held_out(page: JudgementPage) -> tuple[Picture, ...]:
    """Give real held-out cells, where they may be shown: without names, in a stable order.

    Those that lie nearest to one of the nearest pairs are no random cells and left out.
    """
    near = {row["nearest_held_out"] for row in closest(page.neighbours)}
    others = {*page.neighbours["cell_id"], *page.neighbours["nearest_fit"].drop_nulls(), *near}
    names = sorted(set(page.pictures) - others)[:MOST_CELLS]
    return tuple(
        picture(page.pictures[name], f"real cell {number}")
        for number, name in enumerate(names, start=1)
    )


def _pair(
    number: int, row: Mapping[str, Any], pictures: Mapping[str, bytes]
) -> tuple[Picture, ...]:
    own = pictures[row["cell_id"]]
    shown = (picture(own, f"generated {row['category']}, pair {number}", "generated"),)
    if row["nearest_fit"] not in pictures:
        return shown
    drawn = _pixels(own)
    real = in_pose(_pixels(pictures[row["nearest_fit"]]), int(row["pose"] or 0))
    if real.shape != drawn.shape:
        raise DataError(
            f"Of pair {number} the generated cell has {_size(drawn)}, its training cell "
            f"{_size(real)}; one size is expected. No page was made."
        )
    apart = np.abs(drawn.astype(np.int16) - real.astype(np.int16)).astype(np.uint8)
    words = f"pair {number}"
    return (
        *shown,
        picture(encode_png(real), f"nearest training cell, {words}", "training"),
        picture(encode_png(255 - apart), f"difference of {words}", "difference"),
    )


def _pixels(png: bytes) -> Pixels:
    return decode(png, name="A picture of the judgement").pixels


def _size(pixels: Pixels) -> str:
    return f"{wording.count(pixels.shape[1])} × {wording.count(pixels.shape[0])} px"
