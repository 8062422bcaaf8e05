"""Features that generated and real cells are compared by: those of a stated network."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leukoscope.fitting.machine import choose_device
from leukoscope.foundation.errors import DataError, RecipeError, UsageError
from leukoscope.intake.decode import resize
from leukoscope.models.backbones import build, check_size, seeded
from leukoscope.models.bodies import split_network
from leukoscope.models.cards import read_card
from leukoscope.models.features import features_of, weights_digest
from leukoscope.models.folders import load_model
from leukoscope.models.prediction import predict_probabilities
from leukoscope.models.probes import Probe
from leukoscope.models.weights import load_weights
from leukoscope.records.recipes import canonical_json
from leukoscope.records.runs import (
    ModelCard,
    NetworkRecipe,
    Preprocessing,
    SeenCells,
    check_licence,
    model_folder_of,
    replicates_of,
)

Pixels = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]
_RANDOM_SEED = 0
_BATCH = 256


@dataclass(frozen=True)
class JudgeFeatures:
    """Turn cells into features, and into calls where a classifier stands behind them."""

    name: str
    """Which network, in words; a page prints it."""
    size_px: int
    """Side its pictures are brought to."""
    digest: str
    """Follows from the network's weights and preprocessing: equal digests, equal features."""
    body: nn.Module
    """The network below its last layer, in evaluation mode."""
    preprocessing: Preprocessing
    """How pixels become its input."""
    device: torch.device
    """Where it computes."""
    classifier: nn.Module | None = None
    """The whole network, where it calls categories from pixels alone."""
    card: ModelCard | None = None
    """Of that classifier: its categories, views and temperature."""
    seen: SeenCells = field(default_factory=SeenCells)
    """What it was trained or chosen on, where that is known."""

    def of(self, pixels: Pixels) -> Features:
        """Compute features.

        Parameters
        ----------
        pixels : numpy.ndarray of uint8, shape (n, s, s, 3)
            RGB; brought to ``size_px`` by the house's resizer where s is another.

        Returns
        -------
        numpy.ndarray of float32, shape (n, d)

        Raises
        ------
        DataError
            If there are no pictures, or a feature is not finite.
        """
        if not len(pixels):
            raise DataError("There are no pictures to compute features of.")
        parts = [
            features_of(self.body, self._sized(pixels[at]), self.preprocessing, self.device)
            for at in _batches(len(pixels))
        ]
        return np.concatenate([part.reshape(len(part), -1) for part in parts])

    def calls(self, pixels: Pixels) -> list[str]:
        """Call the category of each picture. Raises UsageError if there is no classifier."""
        if self.classifier is None or self.card is None:
            raise UsageError(f"{self.name} calls no categories; give a run as features.")
        probabilities = predict_probabilities(
            self.classifier,
            self.card,
            lambda part: self._sized(pixels[part]),
            len(pixels),
            self.device,
        )
        return [self.card.categories[place] for place in probabilities.argmax(axis=1)]

    def _sized(self, pixels: Pixels) -> Pixels:
        if pixels.shape[1:3] == (self.size_px, self.size_px):
            return pixels
        return np.stack([resize(one, self.size_px) for one in pixels])


def open_judge_features(
    source: Path | str | None,
    *,
    size_px: int = 64,
    device: str = "cpu",
    accept_licence: str | None = None,
) -> JudgeFeatures:
    """Open the network whose features cells are compared by.

    Parameters
    ----------
    source : Path, str or None
        A weights file with its card, or the name of fetched weights; a finished run or a model
        folder, whose network is taken up to its last layer; None for a network at random, which
        sees colour and coarse texture only.
    size_px : int
        Side its pictures are brought to; a run brings its own.
    device : str
        A name torch knows: cpu, cuda, cuda:1 or mps.
    accept_licence : str, optional
        The licence of the weights, accepted by name, where it restricts their use.

    Returns
    -------
    JudgeFeatures

    Raises
    ------
    UsageError
        If there is nothing of that name, or it cannot take pictures of that size.
    DataError
        If a file is broken, a run unfinished, or the folder holds several runs.
    RecipeError
        If the network has no one last layer.
    LicenceError
        If the weights' licence restricts their use and was not accepted.
    """
    place = choose_device(device)
    if source is None:
        return _random(size_px, place)
    if Path(source).is_dir():
        return _of_model(Path(source), place, accept_licence)
    return _of_weights(source, size_px, place, accept_licence)


def _random(size_px: int, device: torch.device) -> JudgeFeatures:
    with seeded(_RANDOM_SEED, "judge features"):
        body = nn.Sequential(
            *(nn.Conv2d(3, 32, 5, stride=2, padding=2), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(64, 128, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(2), nn.Flatten()),
        )
        for layer in body:
            if isinstance(layer, nn.Conv2d):
                # Keeps what the layers pass on at one scale: torch's own start fades it.
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    name = f"a network at random (seed {_RANDOM_SEED}), {size_px} px"
    return _opened(name, body, Preprocessing(size_px=size_px), device, seen=SeenCells())


def _of_weights(
    source: Path | str, size_px: int, device: torch.device, accepted: str | None
) -> JudgeFeatures:
    card = read_card(source)
    check_licence(card.origin, accepted)
    recipe = NetworkRecipe(model=card.model, build_arguments=card.build_arguments)
    # The head stays at random and is cut off; of two outputs it is the smallest.
    network = build(recipe, 2, size_px, seed=0)
    check_size(network, card.model, size_px)
    load_weights(network, card, recipe)
    preprocessing = Preprocessing(size_px=size_px, mean=card.mean, std=card.std)
    name = f"{card.origin.name}, {size_px} px"
    return _opened(name, _cut(network, card.model), preprocessing, device, seen=card.seen)


def _of_model(folder: Path, device: torch.device, accepted: str | None) -> JudgeFeatures:
    if replicates_of(folder):
        raise DataError(
            f"{folder} holds several runs. Nothing was judged. Name the one whose features to use."
        )
    network, card = load_model(model_folder_of(folder))
    if card.weights is not None:
        check_licence(card.weights, accepted)
    body = network.body if isinstance(network, Probe) else _cut(network, card.model)
    if body is None:
        raise RecipeError(
            f"{folder} answers from measures of cells, not from pixels: it has no features of "
            "pictures. Nothing was judged. Name another run, or weights."
        )
    name = f"the network of the run {folder.resolve().name}, {card.preprocessing.size_px} px"
    # A model that takes measures too cannot call a picture alone.
    calling = None if card.measures else network.to(device)
    return _opened(
        name, body, card.preprocessing, device, seen=card.seen, classifier=calling, card=card
    )


def _cut(network: nn.Module, model: str) -> nn.Module:
    parts = split_network(network, "all-but-head")
    if parts is None:
        raise RecipeError(
            f"{model} has no one layer at its end before which its features could be taken. "
            "Nothing was judged. Take another network, with regions: whole."
        )
    return parts[0]


def _opened(
    name: str,
    body: nn.Module,
    preprocessing: Preprocessing,
    device: torch.device,
    *,
    seen: SeenCells,
    classifier: nn.Module | None = None,
    card: ModelCard | None = None,
) -> JudgeFeatures:
    body.to(device).eval()
    text = "\n".join((canonical_json(preprocessing), repr(body), weights_digest(body)))
    return JudgeFeatures(
        name,
        preprocessing.size_px,
        hashlib.sha256(text.encode()).hexdigest(),
        body,
        preprocessing,
        device,
        classifier,
        card,
        seen,
    )


def _batches(n: int) -> list[slice]:
    return [slice(start, min(start + _BATCH, n)) for start in range(0, n, _BATCH)]
