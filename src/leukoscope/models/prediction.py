"""From stored pixels to probabilities: the only place where a picture becomes an answer.

Pictures become a network's input, the network's logits are averaged over the views of each
picture, divided by the temperature, and turned into probabilities. Logits and not probabilities
are averaged over views: then dividing before or after the mean is the same, so that a temperature
fitted on the averaged logits is the one that is used, as the five networks of one picture are
averaged too.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from leukoscope.records.runs import ModelCard, Preprocessing

Pixels = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]
_BATCH = 128


def to_tensor(
    pixels: Pixels | Tensor, preprocessing: Preprocessing, device: torch.device
) -> Tensor:
    """Turn a batch of pictures into a network's input.

    Parameters
    ----------
    pixels : numpy.ndarray or torch.Tensor of uint8, shape (n, size_px, size_px, 3)
        RGB.
    preprocessing : Preprocessing
        Mean and standard deviation.
    device : torch.device
        Where the tensor is wanted.

    Returns
    -------
    torch.Tensor of float32, shape (n, 3, size_px, size_px)
        ``(pixels / 255 - mean) / std``, stored channels-last.
    """
    return normalised(torch.as_tensor(pixels, device=device).permute(0, 3, 1, 2), preprocessing)


def normalised(levels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Turn levels from 0 to 255, shape (n, 3, …), into a network's input, float32."""
    scale = torch.tensor(preprocessing.std, device=levels.device).view(3, 1, 1) * 255
    shift = torch.tensor(preprocessing.mean, device=levels.device).view(3, 1, 1) * 255
    return (levels.float() - shift) / scale


def oriented(pictures: Tensor) -> Tensor:
    """Put the eight orientations of square pictures one after another.

    Parameters
    ----------
    pictures : torch.Tensor, shape (n, 3, size, size)

    Returns
    -------
    torch.Tensor, shape (8 n, 3, size, size)
        All pictures as they are, mirrored, and so on: pixels are moved, none is changed.
    """
    turned = [pictures, pictures.transpose(2, 3)]
    turned += [each.flip(3) for each in turned]
    return torch.cat([*turned, *(each.flip(2) for each in turned)])


def logits_of(
    network: nn.Module, pictures: Tensor, measures: Tensor | None = None, *, test_views: int = 1
) -> Tensor:
    """Ask a network in evaluation mode, and average its logits over the views of each picture.

    Parameters
    ----------
    network : torch.nn.Module
        Answers logits (n, k).
    pictures : torch.Tensor of float32, shape (n, 3, size, size)
        Its input.
    measures : torch.Tensor of float32, shape (n, m), optional
        Measures of each cell, for a network that takes them: the same in each view.
    test_views : int
        1, or 8 for all orientations.

    Returns
    -------
    torch.Tensor, shape (n, k)
    """
    if test_views == 1:
        return _ask(network, pictures, measures)
    beside = None if measures is None else measures.repeat(test_views, 1)
    logits = _ask(network, oriented(pictures), beside)
    return logits.reshape(test_views, -1, logits.shape[1]).mean(dim=0)


def _ask(network: nn.Module, pictures: Tensor, measures: Tensor | None) -> Tensor:
    if measures is None:
        return cast("Tensor", network(pictures))
    with_measures: Callable[[Tensor, Tensor], Any] = network.forward_with  # type: ignore[assignment]
    return cast("Tensor", with_measures(pictures, measures))


def predict_logits(
    network: nn.Module,
    read: Callable[[slice], Pixels | Features],
    n_cells: int,
    preprocessing: Preprocessing,
    device: torch.device,
    *,
    test_views: int = 1,
    measures: Features | None = None,
) -> Numbers:
    """Run a network over cells, in evaluation mode and float32.

    Parameters
    ----------
    network : torch.nn.Module
        Already on *device*; its mode is put back afterwards.
    read : callable
        Gives the pixels of a slice of the cells, or their float32 features, which go to the
        network as they are.
    n_cells : int
        How many there are.
    preprocessing : Preprocessing
        How pixels become its input.
    device : torch.device
        Where to compute.
    test_views : int
        1, or 8 for the mean over the eight orientations of each picture.
    measures : numpy.ndarray of float32, shape (n_cells, m), optional
        Measures of each cell, for a network that takes them.

    Returns
    -------
    numpy.ndarray of float64, shape (n_cells, n_categories)
        Logits; the same for a cell in whatever batch it comes, up to rounding.
    """
    was_training = network.training
    network.eval()
    parts = []
    step = max(1, _BATCH // test_views)
    with torch.inference_mode():
        for start in range(0, n_cells, step):
            part = slice(start, min(start + step, n_cells))
            pictures = _input(read(part), preprocessing, device)
            beside = None if measures is None else torch.as_tensor(measures[part], device=device)
            logits = logits_of(network, pictures, beside, test_views=test_views)
            parts.append(logits.double().cpu().numpy())
    network.train(was_training)
    return np.concatenate(parts)


def _input(pixels: Pixels | Features, preprocessing: Preprocessing, device: torch.device) -> Tensor:
    if pixels.dtype == np.float32:
        return torch.as_tensor(pixels, device=device)
    return to_tensor(cast("Pixels", pixels), preprocessing, device)


def predict_probabilities(
    network: nn.Module,
    card: ModelCard,
    read: Callable[[slice], Pixels],
    n_cells: int,
    device: torch.device,
    *,
    measures: Features | None = None,
) -> Numbers:
    """Answer for cells as the model's card says: views, temperature and all.

    Parameters
    ----------
    network : torch.nn.Module
        Already on *device*.
    card : ModelCard
        Its preprocessing, test views and temperature.
    read, n_cells, device, measures
        As :func:`predict_logits` takes them.

    Returns
    -------
    numpy.ndarray of float64, shape (n_cells, n_categories)
        Probabilities, one row a cell; the largest is that of the largest logit.
    """
    logits = predict_logits(
        network,
        read,
        n_cells,
        card.preprocessing,
        device,
        test_views=card.test_views,
        measures=measures,
    )
    return probabilities(logits, card.temperature)


def probabilities(logits: Numbers, temperature: float = 1.0) -> Numbers:
    """Turn logits, shape (n, k), into probabilities that sum to one a row (softmax)."""
    # Shifted before they are divided: the largest stays exactly 0 at any temperature.
    shifted = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
