"""The files of a model folder: bound to each other by their digests, and to their network."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError
from leukoscope.records.runs import ModelCard, read_model_card

WEIGHTS_FILE, CARD_FILE, TREES_FILE = "model.safetensors", "model.json", "model.txt"
"""All arrays; what they are; of boosted trees their text."""
DIGESTS_FILE = "model.sha256"
"""Holds the digest of each of the others, as ``sha256sum -c`` reads it."""
_LONGEST_DIGESTS = 1000
_TEMPERATURES = (1e-9, 1e9)
"""No fit gives others, and with them no probability could be had in float32."""


def write_digests(folder: Path, names: Iterable[str]) -> None:
    """Write down the digests of files of a model folder, in the order of their names.

    Raises
    ------
    RunError
        If the disk refuses.
    """
    lines = [f"{files.digest_of(folder / name)}  {name}\n" for name in sorted(names)]
    files.write_text(folder / DIGESTS_FILE, "".join(lines))


def read_bound_card(folder: Path) -> ModelCard:
    """Read the card of a model folder whose files are those that were written together.

    Parameters
    ----------
    folder : Path
        A model folder. One of an earlier version keeps no digests, and is taken as it is.

    Returns
    -------
    ModelCard

    Raises
    ------
    DataError
        If a file is missing, is not the one that was written with the others, or the card says
        what no card can say.
    """
    _refuse_changed(folder)
    card = read_model_card(folder)
    _refuse_impossible(card, folder / CARD_FILE)
    return card


def _refuse_changed(folder: Path) -> None:
    stated = _stated_digests(folder / DIGESTS_FILE)
    for name, digest in stated.items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path} is missing. Nothing was started.")
        if (seen := files.digest_of(path)) != digest:
            raise DataError(
                f"{path} is not the file that was written with the others of its folder: sha256 "
                f"{seen[:12]}… against {digest[:12]}… in {DIGESTS_FILE}. Nothing was started. Take "
                "the whole folder anew from where it came, or train the model again."
            )


def _stated_digests(path: Path) -> dict[str, str]:
    """Read what a model folder says of its files; nothing where it is an earlier version's."""
    if not path.is_file():
        return {}
    text = path.read_bytes()[: _LONGEST_DIGESTS + 1].decode("utf-8", errors="replace")
    lines = [line.partition("  ") for line in text.removesuffix("\n").split("\n")]
    found = {name: digest for digest, _, name in lines}
    known = {WEIGHTS_FILE, CARD_FILE}
    if not known <= set(found) <= known | {TREES_FILE} or len(text) > _LONGEST_DIGESTS:
        raise DataError(
            f"{path} does not state the digests of {WEIGHTS_FILE} and {CARD_FILE}: it was cut or "
            "changed. Nothing was started. Take the whole folder anew from where it came."
        )
    return found


def _refuse_impossible(card: ModelCard, path: Path) -> None:
    twice = [name for name in card.categories if card.categories.count(name) > 1]
    low, high = _TEMPERATURES
    odd = ""
    if twice or not card.categories:
        odd = f"it names the category {twice[0]} twice" if twice else "it names no category"
    elif not low <= card.temperature <= high:
        odd = f"its temperature is {card.temperature:g}, and none lies outside {low:g} to {high:g}"
    if odd:
        raise DataError(
            f"{path} is no card of a model: {odd}. Nothing was started. Take the folder anew from "
            "where it came, or train the model again."
        )


def refuse_mismatch(own: Mapping[str, Tensor], stored: Mapping[str, Tensor], path: Path) -> None:
    """Refuse stored tensors that are not those of a network, and name them.

    Parameters
    ----------
    own : mapping of str to torch.Tensor
        The state of the network that a card describes.
    stored : mapping of str to torch.Tensor
        What its file holds.
    path : Path
        The file, for the error.

    Raises
    ------
    DataError
        If a tensor is missing, unknown, of another shape or kind: of each how many, and the
        first by name.
    """
    shared = sorted(set(own) & set(stored))
    found = {
        "missing": sorted(set(own) - set(stored)),
        "unknown": sorted(set(stored) - set(own)),
        "of another shape": [
            f"{name} is {tuple(stored[name].shape)}, not {tuple(own[name].shape)}"
            for name in shared
            if own[name].shape != stored[name].shape
        ],
        "of another kind": [
            f"{name} is {stored[name].dtype}, not {own[name].dtype}"
            for name in shared
            if own[name].is_floating_point() != stored[name].is_floating_point()
        ],
    }
    said = [f"{what} {len(names)} ({_some(names)})" for what, names in found.items() if names]
    if said:
        raise DataError(f"{path} does not fit its card: {'; '.join(said)}. Nothing was started.")


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
