"""Pictures inside the page: PNG bytes become data, so that the page needs no other file."""

import base64
from typing import NamedTuple

from leukoscope.foundation.errors import DataError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Picture(NamedTuple):
    """Show one picture: its data, what it is in words, and a caption that may be empty."""

    data: str
    alt: str
    caption: str
    width_px: int
    height_px: int


def picture(png: bytes, alt: str, caption: str = "") -> Picture:
    """Make a picture from PNG bytes. Raises DataError if they are none."""
    if not png.startswith(_SIGNATURE) or len(png) < 24:
        raise DataError("A picture of the study is not a PNG. No page was made.")
    # The head of a PNG: signature, length and name of the first chunk, then width and height.
    width_px, height_px = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    data = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    return Picture(data, alt, caption, width_px, height_px)
