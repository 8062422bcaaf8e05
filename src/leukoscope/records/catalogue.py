"""What comes with the package by name: YAML files in folders of its rooms, and what they say."""

import re
from importlib import resources

_ENDING = ".yaml"
_SENTENCE_END = r"(?<=\.)\s+(?=[A-Z])"


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
    found = (resources.files(room) / folder).iterdir()
    files = {file.name.removesuffix(_ENDING): file for file in found if file.name.endswith(_ENDING)}
    return {name: files[name].read_text(encoding="utf-8") for name in sorted(files)}


def first_sentence(text: str) -> str:
    """Give the first sentence of the comment that a YAML text begins with; empty without one."""
    comment = re.match(r"(#[^\n]*\n)*", text)
    words = " ".join(re.sub(r"^#", "", comment[0], flags=re.MULTILINE).split()) if comment else ""
    return re.split(_SENTENCE_END, words, maxsplit=1)[0]
