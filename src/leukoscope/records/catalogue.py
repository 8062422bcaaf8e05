"""What comes with the package by name: YAML files in folders of its rooms, and what they say."""

import re
from importlib import resources
from typing import Any

from leukoscope.records.recipes import read_yaml

_ENDING = ".yaml"
_SENTENCE_END = r"(?<=\.)\s+(?=[A-Z])"


def shipped_names(room: str, folder: str) -> list[str]:
    """List the YAML files of a folder of a room, without ending, in the order of names."""
    found = (resources.files(room) / folder).iterdir()
    return sorted(file.name.removesuffix(_ENDING) for file in found if file.name.endswith(_ENDING))


def read_shipped(room: str, folder: str, name: str) -> Any:
    """Read one of the YAML files of a folder of a room into plain values."""
    with resources.as_file(resources.files(room) / folder / f"{name}{_ENDING}") as path:
        return read_yaml(path)


def shipped(room: str, folder: str) -> dict[str, str]:
    """Read the YAML files of a folder of a room.

    Parameters
    ----------
    room : str
        Such as ``"leukoscope.augmentation"``.
    folder : str
        Its folder.

    Returns
    -------
    dict of str to str
        The text of each by its name without ending, in the order of names.
    """
    place = resources.files(room) / folder
    return {
        name: (place / f"{name}{_ENDING}").read_text(encoding="utf-8")
        for name in shipped_names(room, folder)
    }


def first_sentence(text: str) -> str:
    """Give the first sentence of the comment that a YAML text begins with; empty without one."""
    comment = re.match(r"(#[^\n]*\n)*", text)
    words = " ".join(re.sub(r"^#", "", comment[0], flags=re.MULTILINE).split()) if comment else ""
    return re.split(_SENTENCE_END, words, maxsplit=1)[0]
