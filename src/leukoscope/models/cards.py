"""Cards of starting weights: a page beside a file, or a model folder; read, never run."""

import ast
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.models.model_files import WEIGHTS_FILE, read_bound_card
from leukoscope.records.runs import (
    ModelCard,
    NetworkRecipe,
    Preprocessing,
    SeenCells,
    Setting,
    WeightsOrigin,
    model_folder_of,
    replicates_of,
)

_LICENCE_NAMES = (
    r"(?i)\bCC[ -]BY(?:[ -]NC)?(?:[ -]SA|[ -]ND)?(?:[ -]\d\.\d)?\b|\bCC0[ -]1\.0"
    r"|\b[AL]?GPL-\d(?:\.\d)?(?:-only|-or-later)?"
    r"|\bApache-2\.0|\bMIT\b|\bBSD-[23]-Clause"
)
_LICENCE_LABEL = r"(?i)[\W_]*licen[cs]es?\b"
_NAMED_LICENCE = _LICENCE_LABEL + r"[\W_]*`([\w.-]+)`"
_RESTRICTED_IN_WORDS = r"(?i)non-?commercial|no-?derivatives?"
_INTERPOLATIONS = r"(?i)\b(nearest|bilinear|bicubic|lanczos)\b"
_LARGEST_PAGE = 1_000_000


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
    trained_as: NetworkRecipe | None = None
    """The network of the model folder they come from; nothing for a file, which holds a
    network as timm builds it."""
    categories: tuple[str, ...] | None = None
    """What the outputs of that model mean, in order; nothing for a file."""


def weights_folder() -> Path:
    """Name the folder of fetched weights, within the user's data directory (XDG)."""
    stated = Path(os.environ.get("XDG_DATA_HOME", ""))
    data = stated if stated.is_absolute() else Path("~/.local/share").expanduser()
    return data / "leukoscope" / "weights"


def read_card(weights: Path | str) -> WeightsCard:
    """Read the card of a weights file or a model folder.

    Parameters
    ----------
    weights : Path or str
        A ``.safetensors`` file with a card of the same name beside it (``.md``
        naming the ``timm.create_model(...)`` call, sha256, licence, mean and std);
        or a model or run folder of this tool; or the timm name, with its tag, of
        weights that ``leukoscope fetch weights`` brought.

    Returns
    -------
    WeightsCard
        The file's digest was compared with the card's.

    Raises
    ------
    UsageError
        If there is no such file; of a name that timm knows, with the line that fetches it.
    DataError
        If the card is missing or says too little, or the file is not the one it describes.
    """
    weights = Path(weights)
    if weights.is_dir():
        return _from_folder(model_folder_of(weights))
    if not weights.is_file():
        return _from_markdown(_fetched(weights))
    if weights.suffix != ".safetensors":
        raise UsageError(
            f"{weights.name} is not a .safetensors file; other kinds can run code when they are "
            "opened and are not taken. Nothing was started."
        )
    return _from_markdown(weights)


def refuse_other_categories(card: WeightsCard, categories: Sequence[str]) -> None:
    """Refuse to keep the head of weights whose outputs mean something else.

    Raises
    ------
    DataError
        If the weights are a file, whose outputs nobody names, or a model of other categories.
    """
    if card.categories is None:
        raise DataError(
            f"The card of the weights {card.origin.name} does not say what their outputs mean, so "
            "their head cannot be kept (keep_head). Nothing was started. Leave keep_head: false."
        )
    if card.categories != tuple(categories):
        raise DataError(
            f"The head of the weights {card.origin.name} cannot be kept (keep_head): its outputs "
            f"are {', '.join(card.categories)}, and here they are {', '.join(categories)}. "
            "Nothing was started. Leave keep_head: false."
        )


def _fetched(name: Path) -> Path:
    """Find fetched weights by their timm name. Raises UsageError if they are not there."""
    path = weights_folder() / f"{name}.safetensors"
    bare = len(name.parts) == 1 and name.suffix not in (".safetensors", ".md")
    if bare and path.is_file():
        return path
    if bare and (whole := _published_name(str(name))):
        raise UsageError(
            f"The weights {whole} are not in {weights_folder()}. Nothing was started. Fetch them "
            f"with this line, and give --weights {whole}:\nleukoscope fetch weights {whole}"
        )
    raise UsageError(
        f"There are no weights at {name}. Nothing was started. Give --weights the path of a "
        ".safetensors file with its card, of a model folder, or the name of weights that were "
        "fetched; or leave it out to start at random."
    )


def _published_name(name: str) -> str | None:
    """Give the name with its tag of what timm publishes under a name, if it does."""
    from leukoscope.models.torchvision_cure import make_importable

    make_importable()
    import timm

    try:
        published = timm.get_pretrained_cfg(name)
    except RuntimeError:
        # A network it knows, with a tag it does not.
        return None
    if published is None or not published.has_weights or not published.tag:
        return None
    return f"{published.architecture}.{published.tag}"


def _from_folder(folder: Path) -> WeightsCard:
    if replicates_of(folder):
        raise DataError(
            f"{folder} holds several runs. Nothing was started. Name the one to start from."
        )
    card = read_bound_card(folder)
    if card.classifier is not None:
        raise DataError(
            f"The model in {folder} is a {card.classifier.kind} model on features, not a network "
            "that could go on learning. Nothing was started. Give the weights it was made from."
        )
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise DataError(f"{path} is missing. Nothing was started.")
    name = folder.parent.name if folder.name == "model" else folder.name
    before = card.weights
    origin = WeightsOrigin(
        name=name,
        sha256=files.digest_of(path),
        licence=before.licence if before else "own",
    )
    preprocessing: Preprocessing = card.preprocessing
    return WeightsCard(
        path,
        origin,
        card.model,
        dict(card.build_arguments),
        preprocessing.mean,
        preprocessing.std,
        card.seen,
        trained_as=_network_of(card),
        categories=card.categories,
    )


def _network_of(card: ModelCard) -> NetworkRecipe:
    return NetworkRecipe(**{name: getattr(card, name) for name in NetworkRecipe.model_fields})


def _from_markdown(weights: Path) -> WeightsCard:
    page = weights.with_suffix(".md")
    if not page.is_file():
        raise DataError(
            f"{weights.name} has no card {page.name} beside it. Build arguments, colour statistics "
            "and licence matter; nothing was started. Put its card there."
        )
    text = _page_text(page)
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
    origin = WeightsOrigin(
        name=weights.stem,
        sha256=digest[1],
        licence=_licence(text),
        interpolation=_interpolation(text, page),
    )
    return WeightsCard(weights, origin, name, arguments, _three(mean, page), _three(std, page))


def _page_text(page: Path) -> str:
    if page.stat().st_size > _LARGEST_PAGE:
        raise DataError(f"The card {page.name} is larger than 1 MB: no card is. Nothing was read.")
    return page.read_text(encoding="utf-8", errors="replace")


def _interpolation(text: str, page: Path) -> str | None:
    """Find how pictures were resized, and refuse another order of colours than the house's."""
    line = next((line for line in text.splitlines() if re.match(r"\W*Input\b", line)), "")
    if re.search(r"\bBGR\b", line):
        raise DataError(
            f"The card {page.name} says that its network takes blue first (BGR); here red comes "
            "first. Nothing was started. Turn the channels of its first convolution, mean and std "
            "round, and say RGB."
        )
    found = re.search(_INTERPOLATIONS, line)
    return found[1].lower() if found else None


def _parse_call(inside: str, page: Path) -> tuple[str, dict[str, Setting]]:
    try:
        call = ast.parse(f"f({inside})", mode="eval").body
        assert isinstance(call, ast.Call)
        (name,) = (ast.literal_eval(word) for word in call.args)
        arguments = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
        if None in arguments:
            raise ValueError("arguments without a name")
        plain = all(isinstance(value, Setting) for value in arguments.values())
        if not plain or not isinstance(name, str):
            raise ValueError("more than names and numbers")
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise DataError(
            f"The card {page.name} holds a call that cannot be read: {inside[:200]}"
        ) from None
    # The tag after the dot says which weights, not which network.
    return name.partition(".")[0], {str(word): value for word, value in arguments.items()}


def _three(match: re.Match[str], page: Path) -> tuple[float, float, float]:
    try:
        return float(match[1]), float(match[2]), float(match[3])
    except ValueError:
        raise DataError(
            f"The card {page.name} holds numbers that cannot be read: {match[0]}."
        ) from None


def _licence(text: str) -> str:
    """Find the strictest licence that the card's licence lines name, as a lower-case SPDX id."""
    lines = _licence_lines(text)
    found = [
        (re.sub(" ", "-", name).lower(), bool(re.match(_LICENCE_LABEL, line)))
        for line in lines
        for name in re.findall(_LICENCE_NAMES, line)
    ]
    if not found:
        return _licence_by_its_own_name(lines)
    # The first of the largest: of licences equally strict, the one after a label.
    name, _ = max(found, key=lambda one: (*_strictness(one[0]), one[1]))
    in_words = any(re.search(_RESTRICTED_IN_WORDS, line) for line in lines)
    return "unknown" if in_words and not _strictness(name)[0] else name


def _licence_by_its_own_name(lines: list[str]) -> str:
    """Take a licence without an SPDX name as it stands, where it does so in backticks."""
    names = {match[1].lower() for line in lines if (match := re.match(_NAMED_LICENCE, line))}
    # A card cannot say that its weights were trained here.
    return names.pop() if len(names) == 1 and "own" not in names else "unknown"


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
