"""What comes with the package is found, and its first sentence read as a person would."""

import pytest

from leukoscope.records.catalogue import first_sentence, shipped


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("# One. Two.\nname: x\n", "One."),
        ("# One goes\n#   over lines. Two.\nname: x\n", "One goes over lines."),
        ("# Of Nozaka et al. (2022). Ours: half.\n", "Of Nozaka et al. (2022)."),
        ("# Strength .1 to 4.5 of it\nname: x\n", "Strength .1 to 4.5 of it"),
        ("#\n# Late.\n", "Late."),
        ("name: x\n# No comment of the whole. It comes late.\n", ""),
        ("", ""),
    ],
)
def test_the_first_sentence_is_told(text: str, sentence: str) -> None:
    """A full stop ends it only before a capital; a later comment is not the file's."""
    assert first_sentence(text) == sentence


def test_files_are_given_whole_and_in_order() -> None:
    """By name without ending."""
    found = shipped("leukoscope.replication", "studies")
    assert list(found) == sorted(found)
    assert "demo" in found
    assert found["demo"].startswith("name: demo\n")
