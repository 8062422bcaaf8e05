"""The blinded sheet: numbered pictures to be called real or drawn, on a screen or on paper."""

from collections.abc import Sequence
from dataclasses import dataclass

from leukoscope.evaluation.blinded import letters_of
from leukoscope.reporting import wording
from leukoscope.reporting.documents import document
from leukoscope.reporting.pictures import picture

MOST_BOXES = 8
"""Of more categories than these each picture has a line to write on instead of a box for each."""


@dataclass(frozen=True)
class BlindSheet:
    """Hold all that a blinded sheet shows.

    Attributes
    ----------
    dataset, generated : str
        Whose cells are among them.
    categories : sequence of str
        Those that may be named.
    pictures : sequence of bytes
        PNG of each, in the order of their numbers.
    licence, citation : str or None
        Of the real cells, if known.
    """

    dataset: str
    generated: str
    categories: Sequence[str]
    pictures: Sequence[bytes]
    licence: str | None = None
    citation: str | None = None


def blind_sheet(page: BlindSheet) -> str:
    """Write a blinded sheet.

    Parameters
    ----------
    page : BlindSheet
        All that it shows.

    Returns
    -------
    str
        A whole HTML document that refers to no other file: pictures of equal size with their
        numbers, boxes for real, drawn and category. Nothing in it tells which is which.

    Raises
    ------
    DataError
        If a picture is no PNG.
    """
    letters = letters_of(page.categories)
    shown = [
        (number, picture(png, f"picture {number}"))
        for number, png in enumerate(page.pictures, start=1)
    ]
    return document(
        "blind.html",
        {
            "page": page,
            "letters": list(letters.items()),
            "boxes": list(letters) if len(page.categories) <= MOST_BOXES else [],
            "shown": shown,
            "half": wording.count(len(shown) // 2),
            "all": wording.count(len(shown)),
        },
    )
