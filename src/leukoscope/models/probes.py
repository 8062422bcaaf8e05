"""Probes: a classical model on the features of a frozen network, on pixels or on measures."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from leukoscope.foundation.errors import DataError, RecipeError
from leukoscope.models.backbones import build
from leukoscope.models.bodies import split_network
from leukoscope.models.classical import Classifier, Neighbours, OneAgainstOne, part_of
from leukoscope.models.classical_arrays import stored_classifier, text_of
from leukoscope.models.measured import Measured, Standardised
from leukoscope.models.model_files import TREES_FILE, WEIGHTS_FILE, refuse_mismatch
from leukoscope.models.trees import MAX_TEXT_MB
from leukoscope.models.weights import read_tensors
from leukoscope.records.runs import ModelCard, NetworkRecipe

PIXELS, MEASURES = "pixels", "measures"
WITHOUT_NETWORK = (PIXELS, MEASURES)
"""What may stand in the place of a network's name: the features are the pixels themselves, or the
measures of the cell alone."""


class Pixels(nn.Module):
    """Lay the pixels of a picture out as one row."""

    def forward(self, pictures: Tensor) -> Tensor:
        """Turn (n, 3, h, w) into (n, h · w · 3): row by row, colours together."""
        return pictures.permute(0, 2, 3, 1).flatten(1)


class Probe(nn.Module):
    """Answer from features by a classical model.

    The body is frozen: it stays in evaluation mode whatever mode the probe is brought to.
    ``measure_names`` are the measures it takes, in order: a card's ``measures``.
    """

    def __init__(
        self,
        body: nn.Module | None,
        standardised: Standardised | None,
        measured: Measured | None,
        classifier: Classifier,
        measure_names: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.measure_names = measure_names
        self.body = body
        self.standardised = standardised
        self.measured = measured
        self.classifier = classifier
        self.eval()

    def train(self, mode: bool = True) -> "Probe":
        """Bring all but what is frozen to a mode: nothing, for a probe is fitted at once."""
        super().train(mode)
        if self.body is not None:
            self.body.eval()
        return self

    def forward(self, pictures: Tensor) -> Tensor:
        """Turn pictures (n, 3, size, size) into logits, float64 (n, k).

        Raises DataError if the model takes measures too.
        """
        if self.measured is not None:
            raise DataError(
                "The model takes measures of each cell beside its picture; none were given. "
                "Nothing was predicted. Predict a dataset, whose cells can be measured."
            )
        return self.answer(self.features(pictures))

    def forward_with(self, pictures: Tensor, measures: Tensor) -> Tensor:
        """Turn pictures and measures (n, m), NaN where empty, into logits, float64 (n, k)."""
        return self.answer(self.features(pictures), measures)

    def features(self, pictures: Tensor) -> Tensor | None:
        """Turn pictures into features (n, d), not standardised yet; None for measures alone."""
        if self.body is None:
            return None
        made: Tensor = self.body(pictures)
        return made.flatten(1)

    def answer(self, features: Tensor | None, measures: Tensor | None = None) -> Tensor:
        """Turn features (n, d), and measures where the model takes them, into logits (n, k)."""
        logits: Tensor = self.classifier(
            joined(self.standardised, features, self.measured, measures)
        )
        return logits


def joined(
    standardised: Standardised | None,
    features: Tensor | None,
    measured: Measured | None,
    measures: Tensor | None,
) -> Tensor:
    """Put standardised features and measures side by side: float32 (n, d + m + flags)."""
    parts: list[Tensor] = []
    if standardised is not None and features is not None:
        parts.append(standardised(features))
    if measured is not None and measures is not None:
        parts.append(measured(measures))
    return torch.cat(parts, dim=1)


def body_of(network: NetworkRecipe, built: nn.Module | None) -> nn.Module | None:
    """Take the part of a network that makes features.

    Parameters
    ----------
    network : NetworkRecipe
        Its recipe; ``pixels`` and ``measures`` are no networks.
    built : torch.nn.Module or None
        The network itself; None for those two.

    Returns
    -------
    torch.nn.Module or None
        Everything before the last layer, sharing the network's parts; None for measures alone.

    Raises
    ------
    RecipeError
        If the network cannot be cut before its last layer.
    """
    if network.model in WITHOUT_NETWORK or built is None:
        return Pixels() if network.model == PIXELS else None
    parts = split_network(built, "all-but-head")
    if parts is None:
        raise RecipeError(
            f"{network.model} has no one layer at its end before which its features could be "
            "taken. Nothing was started. Take another model, with regions: whole."
        )
    return parts[0]


def n_kept_cells(network: nn.Module) -> int:
    """Count the training cells whose features a model holds: support vectors and neighbours.

    Of several models in one, those of all; a cell that two of them hold counts twice.
    """
    several = (
        part_of(part, "support" if isinstance(part, OneAgainstOne) else "known")
        for part in network.modules()
        if isinstance(part, OneAgainstOne | Neighbours)
    )
    return sum(map(len, several))


def files_of(network: nn.Module) -> dict[str, bytes]:
    """Give what a model folder keeps beside arrays and card: name → bytes; nothing but for trees.

    To be written before ``model.json``, as the arrays are.
    """
    text = text_of(getattr(network, "classifier", network))
    return {} if text is None else {TREES_FILE: text.encode()}


def load_probe(folder: Path, card: ModelCard) -> Probe:
    """Read a probe from its model folder.

    Parameters
    ----------
    folder : Path
        Holds ``model.safetensors``, and ``model.txt`` for boosted trees.
    card : ModelCard
        Its card, with a classifier.

    Returns
    -------
    Probe
        In evaluation mode, on the CPU.

    Raises
    ------
    DataError
        If a file is missing or broken, or they do not belong together.
    """
    assert card.classifier is not None
    path = folder / WEIGHTS_FILE
    tensors = read_tensors(path)
    body = _stored_body(card, tensors, path)
    try:
        standardised = _stored_scaling(_under("standardised.", tensors))
        _refuse_other_width(body, standardised, card)
        measured = _stored_measured(_under("measured.", tensors), len(card.measures))
    except (KeyError, RuntimeError, ValueError) as error:
        lacks = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        reason = lacks.splitlines()[0]
        raise DataError(f"{path} does not fit its card: {reason}. Nothing was predicted.") from None
    n_features = _width(standardised) if standardised else 0
    if measured is not None:
        n_features += _width(measured.standardised)
    classifier = stored_classifier(
        card.classifier,
        _under("classifier.", tensors),
        n_features,
        len(card.categories),
        text=_text_beside(folder),
    )
    return Probe(body, standardised, measured, classifier, card.measures)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _stored_body(card: ModelCard, tensors: Mapping[str, Tensor], path: Path) -> nn.Module | None:
    size_px = card.preprocessing.size_px
    built = None
    if card.model not in WITHOUT_NETWORK:
        built = build(card, max(2, len(card.categories)), size_px, seed=0)
    body = body_of(card, built)
    if body is not None:
        stored = {name: value for name, value in tensors.items() if name.startswith("body.")}
        refuse_mismatch(body.state_dict(prefix="body."), stored, path)
        body.load_state_dict(_under("body.", stored), strict=True)
    return body


def _stored_scaling(tensors: dict[str, Tensor]) -> Standardised | None:
    if not tensors:
        return None
    shift, scale = tensors["shift"], tensors["scale"]
    kinds = {shift.dtype, scale.dtype}
    if kinds != {torch.float64} or shift.ndim != 1 or shift.shape != scale.shape:
        raise ValueError("shift and scale should be float64 and of one length")
    return Standardised(tensors)


def _refuse_other_width(
    body: nn.Module | None, standardised: Standardised | None, card: ModelCard
) -> None:
    size = card.preprocessing.size_px
    made = 0
    if body is not None:
        body.eval()
        with torch.inference_mode():
            made = body(torch.zeros(1, 3, size, size)).numel()
    known = _width(standardised) if standardised else 0
    if made != known:
        raise ValueError(f"{card.model} makes {made} features at {size} px, and it knows {known}")


def _stored_measured(tensors: dict[str, Tensor], n_measures: int) -> Measured | None:
    if not n_measures:
        return None
    median, flagged = tensors["median"], tensors["flagged"]
    standardised = _stored_scaling(_under("standardised.", tensors))
    if (
        standardised is None
        or (median.dtype, flagged.dtype) != (torch.float64, torch.bool)
        or tuple(median.shape) != (n_measures,)
        or tuple(flagged.shape) != (n_measures,)
        or _width(standardised) != n_measures + int(flagged.sum())
    ):
        raise ValueError(f"its arrays are not those of {n_measures} measures")
    return Measured(median, flagged, standardised)


def _width(standardised: Standardised) -> int:
    return len(standardised.state_dict()["shift"])


def _text_beside(folder: Path) -> str | None:
    path = folder / TREES_FILE
    if not path.is_file():
        return None
    if (n_bytes := path.stat().st_size) > MAX_TEXT_MB * 1_000_000:
        raise DataError(
            f"{path} is larger than {MAX_TEXT_MB} MB ({n_bytes / 1e6:.0f} MB); it was not read."
        )
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not the text of trees. Nothing was predicted.") from None
