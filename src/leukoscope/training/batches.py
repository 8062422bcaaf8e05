"""A batch of training cells: what the network is given, and what its answers cost."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from leukoscope.augmentation.batch import apply_on_device
from leukoscope.fitting.losses import (
    Loss,
    category_counts,
    category_weights,
    logit_offsets,
    summed_loss,
)
from leukoscope.models.prediction import to_tensor
from leukoscope.training.cells import (
    Cells,
    bag_weights,
    batch_draws,
    batch_pixels,
    holds_features,
)
from leukoscope.training.recipe import TrainingRecipe

Numbers = npt.NDArray[np.int64]


def network_input(
    train: Cells, places: Numbers, visits: Numbers, recipe: TrainingRecipe, device: torch.device
) -> Tensor:
    """Read a batch, augment it and make it the network's input; a GPU augments it itself.

    Returns
    -------
    torch.Tensor of float32, shape (batch_size, 3, size_px, size_px)
        See :func:`prediction.to_tensor`. Either way the same, but for a level here and there; see
        :func:`batch.apply_on_device`. Features come as they are stored.
    """
    if holds_features(train):
        return torch.from_numpy(train.store.take(train.rows[places])).to(device)
    if device.type != "cuda":
        pixels = batch_pixels(train, places, visits, recipe)
        return _sized(to_tensor(pixels, recipe.preprocessing, device), recipe)
    stored = torch.from_numpy(train.store.take(train.rows[places])).to(device)
    augmented = apply_on_device(batch_draws(train, places, visits, recipe), stored)
    return _sized(to_tensor(augmented, recipe.preprocessing, device), recipe)


def cells_loss(logits: Tensor, train: Cells, places: Numbers, recipe: TrainingRecipe) -> Tensor:
    """Add up the losses of some training cells, by the recipe's loss.

    Parameters
    ----------
    logits : torch.Tensor of float32, shape (n, k) or (n, m, k)
        Of one network, or of m networks of which each learns by itself.
    train : Cells
        All training cells: how rare a category is follows from them.
    places : numpy.ndarray of int64, shape (n,)
        Which of them the logits are of.
    recipe : TrainingRecipe
        Names the loss.
    """
    device = logits.device
    counts = category_counts(train.codes, logits.shape[-1])
    loss = Loss(
        _on(category_weights(recipe.class_weights, counts), device),
        _on(logit_offsets(recipe.logit_adjustment, counts), device),
        recipe.focal_gamma,
        recipe.label_smoothing,
    )
    bags = bag_weights(train, places, logits.shape[1], recipe.seed) if recipe.bagging else None
    target = torch.from_numpy(train.codes[places]).to(device)
    return summed_loss(loss, logits, target, _on(bags, device))


def _sized(pictures: Tensor, recipe: TrainingRecipe) -> Tensor:
    # The triangle that Pillow's resizer weighs with too; a stage only ever makes pictures smaller.
    side = recipe.preprocessing.size_px
    if pictures.shape[-1] <= side:
        return pictures
    sized = functional.interpolate(pictures, (side, side), mode="bilinear", antialias=True)
    return sized.contiguous(memory_format=torch.channels_last)


def _on(numbers: npt.NDArray[Any] | None, device: torch.device) -> Tensor | None:
    return None if numbers is None else torch.as_tensor(numbers, dtype=torch.float32).to(device)
