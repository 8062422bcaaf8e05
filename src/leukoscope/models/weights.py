"""Starting weights from a file with its card, or from a model folder; every mismatch named."""

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.records.runs import (
    Preprocessing,
    SeenCells,
    Setting,
    WeightsOrigin,
    model_folder_of,
    read_model_card,
)

_LICENCE_NAMES = (
    r"(?i)\bCC[ -]BY(?:[ -]NC)?(?:[ -]SA|[ -]ND)?(?:[ -]\d\.\d)?\b|\bCC0[ -]1\.0"
    r"|\b[AL]?GPL-\d(?:\.\d)?(?:-only|-or-later)?"
    r"|\bApache-2\.0|\bMIT\b|\bBSD-[23]-Clause"
)
_LICENCE_LABEL = r"(?i)[\W_]*licen[cs]es?\b"
_RESTRICTED_IN_WORDS = r"(?i)non-?commercial|no-?derivatives?"


@dataclass(frozen=True)
class WeightsCard:
    """Hold what a card says of a weights file: how to build the network and to feed it."""

    path: Path
    origin: WeightsOrigin
    model: str
    build_arguments: dict[str, Setting]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    seen: SeenCells = field(default_factory=SeenCells)
    """What the model they come from was trained or chosen on."""


def read_card(weights: Path) -> WeightsCard:
    """Read the card of a weights file or a model folder.

    Parameters
    ----------
    weights : Path
        A ``.safetensors`` file with a card of the same name beside it (``.md``
        naming the ``timm.create_model(...)`` call, sha256, licence, mean and std),
        or a model or run folder of this tool.

    Returns
    -------
    WeightsCard
        The file's digest was compared with the card's.

    Raises
    ------
    UsageError
        If there is no such file.
    DataError
        If the card is missing or says too little, or the file is not the one it describes.
    """
    weights = Path(weights)
    if weights.is_dir():
        return _from_folder(model_folder_of(weights))
    if not weights.is_file():
        raise UsageError(
            f"There are no weights at {weights}. Nothing was started. Give --weights the path of a "
            ".safetensors file with its card, or of a model folder; or leave it out to start at "
            "random."
        )
    if weights.suffix != ".safetensors":
        raise UsageError(
            f"{weights.name} is not a .safetensors file; other kinds can run code when they are "
            "opened and are not taken. Nothing was started."
        )
    return _from_markdown(weights)


def load_weights(network: nn.Module, card: WeightsCard, model: str) -> None:
    """Load starting weights into a network, its classifier left at random.

    Parameters
    ----------
    network : torch.nn.Module
        A timm network.
    card : WeightsCard
        The weights.
    model : str
        The network's name, for the error.

    Raises
    ------
    DataError
        If a tensor is missing, too many, or of another shape; all are named.
    """
    tensors = read_tensors(card.path)
    own = network.state_dict()
    head = _head_names(network, own)
    kept = {name: value for name, value in tensors.items() if name not in head}
    missing = sorted(set(own) - set(kept) - head)
    strange = sorted(set(kept) - set(own))
    shapes = [
        f"{name} is {tuple(kept[name].shape)}, not {tuple(own[name].shape)}"
        for name in sorted(set(own) & set(kept))
        if own[name].shape != kept[name].shape
    ]
    if missing or strange or shapes:
        raise DataError(
            f"The weights {card.origin.name} do not fit {model}: "
            + "; ".join(
                f"{what} {len(names)} ({', '.join(names[:3])}{' …' if len(names) > 3 else ''})"
                for what, names in (
                    ("missing", missing),
                    ("unknown", strange),
                    ("of another shape", shapes),
                )
                if names
            )
            + f". Its card says it belongs to {card.model}. Nothing was started."
        )
    network.load_state_dict(kept | {name: own[name] for name in head if name in own}, strict=True)


def _head_names(network: nn.Module, own: dict[str, Tensor]) -> set[str]:
    classifier = getattr(network, "default_cfg", {}).get("classifier", "fc")
    # A few networks of timm are encoders and name none.
    prefixes = (classifier,) if isinstance(classifier, str) else tuple(classifier or ())
    return {name for name in own if name.startswith(tuple(f"{prefix}." for prefix in prefixes))}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file, half precision widened. Raises DataError if it is broken."""
    try:
        return {name: _widened(value) for name, value in load_file(path).items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as safetensors: {error}.") from None


def _widened(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _from_folder(folder: Path) -> WeightsCard:
    card = read_model_card(folder)
    path = folder / "model.safetensors"
    licence = card.weights.licence if card.weights else "own"
    name = folder.parent.name if folder.name == "model" else folder.name
    origin = WeightsOrigin(name=name, sha256=files.digest_of(path), licence=licence)
    preprocessing: Preprocessing = card.preprocessing
    return WeightsCard(
        path,
        origin,
        card.model,
        dict(card.build_arguments),
        preprocessing.mean,
        preprocessing.std,
        card.seen,
    )


def _from_markdown(weights: Path) -> WeightsCard:
    page = weights.with_suffix(".md")
    if not page.is_file():
        raise DataError(
            f"{weights.name} has no card {page.name} beside it. Build arguments, colour statistics "
            "and licence matter; nothing was started. Put its card there."
        )
    text = page.read_text(encoding="utf-8", errors="replace")
    call = re.search(r"timm\.create_model\(([^)]*)\)", text)
    numbers = r"\(?\s*([\d.]+)\s*,\s*([\d.]+)\s*,\s*([\d.]+)\s*\)?"
    mean, std = (re.search(rf"\b{word}\s*{numbers}", text) for word in ("mean", "std"))
    digest = re.search(r"sha256\W+([0-9a-f]{64})", text)
    said = {"timm.create_model(...)": call, "mean": mean, "std": std, "sha256": digest}
    if not (call and mean and std and digest):
        lacking = ", ".join(name for name, found in said.items() if not found)
        raise DataError(f"The card {page.name} does not state {lacking}. Nothing was started.")
    if (seen := files.digest_of(weights)) != digest[1]:
        raise DataError(
            f"{weights.name} is not the file its card describes: sha256 {seen[:12]}… against "
            f"{digest[1][:12]}…. Nothing was started. Fetch or unpack it again."
        )
    name, arguments = _parse_call(call[1], page)
    origin = WeightsOrigin(name=weights.stem, sha256=digest[1], licence=_licence(text))
    return WeightsCard(weights, origin, name, arguments, _three(mean), _three(std))


def _parse_call(inside: str, page: Path) -> tuple[str, dict[str, Setting]]:
    try:
        call = ast.parse(f"f({inside})", mode="eval").body
        assert isinstance(call, ast.Call)
        (name,) = (ast.literal_eval(word) for word in call.args)
        arguments = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
        if None in arguments:
            raise ValueError("arguments without a name")
    except (SyntaxError, ValueError):
        raise DataError(
            f"The card {page.name} holds a call that cannot be read: {inside}"
        ) from None
    return str(name), {str(word): value for word, value in arguments.items()}


def _three(match: re.Match[str]) -> tuple[float, float, float]:
    return float(match[1]), float(match[2]), float(match[3])


def _licence(text: str) -> str:
    """Find the strictest licence that the card's licence lines name, as a lower-case SPDX id."""
    lines = _licence_lines(text)
    found = [
        (re.sub(" ", "-", name).lower(), bool(re.match(_LICENCE_LABEL, line)))
        for line in lines
        for name in re.findall(_LICENCE_NAMES, line)
    ]
    if not found:
        return "unknown"
    # The first of the largest: of licences equally strict, the one after a label.
    name, _ = max(found, key=lambda one: (*_strictness(one[0]), one[1]))
    in_words = any(re.search(_RESTRICTED_IN_WORDS, line) for line in lines)
    return "unknown" if in_words and not _strictness(name)[0] else name


def _licence_lines(text: str) -> list[str]:
    """List the lines that speak of a licence; a heading takes the line below it along."""
    lines = [line for line in text.splitlines() if line.strip()]
    return [
        f"{line} {below}" if re.fullmatch(_LICENCE_LABEL + r"[\W_]*", line) else line
        for line, below in zip(lines, [*lines[1:], ""], strict=True)
        if re.search("licen[cs]e", line, re.IGNORECASE)
    ]


def _strictness(name: str) -> tuple[int, bool]:
    """Rank a licence: how many restrictions of use it has, then whether it is share-alike."""
    words = re.split("[-]", name)
    return sum(word in ("nc", "nd") for word in words), "sa" in words or "gpl" in name
