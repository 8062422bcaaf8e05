"""From stored pixels to probabilities: the only place where a picture becomes a tensor."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from leukoscope.records.runs import Preprocessing

Pixels = npt.NDArray[np.uint8]
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
    whole = torch.as_tensor(pixels, device=device).permute(0, 3, 1, 2)
    scale = torch.tensor(preprocessing.std, device=device).view(3, 1, 1) * 255
    shift = torch.tensor(preprocessing.mean, device=device).view(3, 1, 1) * 255
    return (whole.float() - shift) / scale


def predict_logits(
    network: nn.Module,
    read: Callable[[slice], Pixels],
    n_cells: int,
    preprocessing: Preprocessing,
    device: torch.device,
) -> npt.NDArray[np.float64]:
    """Run a network over cells, in evaluation mode and float32.

    Parameters
    ----------
    network : torch.nn.Module
        Already on *device*; its mode is put back afterwards.
    read : callable
        Gives the pixels of a slice of the cells.
    n_cells : int
        How many there are.
    preprocessing : Preprocessing
        How pixels become its input.
    device : torch.device
        Where to compute.

    Returns
    -------
    numpy.ndarray of float64, shape (n_cells, n_categories)
        Logits; the same for a cell in whatever batch it comes, up to rounding.
    """
    was_training = network.training
    network.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, n_cells, _BATCH):
            pixels = read(slice(start, min(start + _BATCH, n_cells)))
            parts.append(network(to_tensor(pixels, preprocessing, device)).double().cpu().numpy())
    network.train(was_training)
    return np.concatenate(parts)


def probabilities(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn logits, shape (n, k), into probabilities that sum to one a row (softmax)."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
