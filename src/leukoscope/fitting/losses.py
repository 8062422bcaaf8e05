"""What a training makes small: losses as sums over cells, and what rare categories count.

Sums, not means: the parts of a batch then add up to the batch, and what a cell contributes does
not depend on which others come with it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

ClassWeights = Literal["none", "inverse-frequency", "effective-number"]
_BETA = 0.999


@dataclass(frozen=True)
class Loss:
    """Hold what the loss of a training depends on besides logits and categories."""

    weights: Tensor | None = None
    """What a cell of each category counts, float32, shape (k,); nothing: all count 1."""
    offsets: Tensor | None = None
    """Added to the logits, float32, shape (k,); nothing: 0."""
    gamma: float = 0.0
    """Exponent of the focal loss; 0 is cross-entropy."""
    smoothing: float = 0.0
    """Share of each label spread evenly over all categories."""


def summed_loss(
    loss: Loss, logits: Tensor, target: Tensor, bag_weights: Tensor | None = None
) -> Tensor:
    """Add up the losses of some cells.

    Parameters
    ----------
    loss : Loss
        Which loss.
    logits : torch.Tensor of float32, shape (n, k) or (n, m, k)
        Of one network, or of m networks of which each answers for itself.
    target : torch.Tensor of int64, shape (n,)
        Codes of the categories.
    bag_weights : torch.Tensor of float32, shape (n, m), optional
        How often each cell is in the bag of each network; once unless given.

    Returns
    -------
    torch.Tensor
        The sum over cells of the mean over networks; divided by the cells of a batch it is
        the batch's mean. Categories that do not come up in *target* change nothing.
    """
    several = logits if logits.ndim == 3 else logits.unsqueeze(1)
    n_networks = several.shape[1]
    codes = target.unsqueeze(1).expand(-1, n_networks)
    adjusted = several if loss.offsets is None else several + loss.offsets
    # (n, k, m): the categories stand second for torch.
    each = functional.cross_entropy(
        adjusted.transpose(1, 2), codes, reduction="none", label_smoothing=loss.smoothing
    )
    if loss.gamma:
        # 1 - p as such, not by way of p, which is 1 in float32 long before this is 0; and not 0,
        # where a power below 1 has no slope.
        wrong = (-torch.expm1(-each)).clamp_min(torch.finfo(each.dtype).tiny)
        each = each * torch.pow(wrong, loss.gamma)
    if loss.weights is not None:
        each = each * loss.weights[codes]
    if bag_weights is not None:
        each = each * bag_weights
    return each.sum() / n_networks


def category_counts(codes: npt.NDArray[np.int64], n_categories: int) -> npt.NDArray[np.int64]:
    """Count the training cells of each category, shape (n_categories,)."""
    return np.bincount(codes, minlength=n_categories).astype(np.int64)


def category_weights(
    kind: ClassWeights, counts: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64] | None:
    """Compute what a cell of each category counts.

    Parameters
    ----------
    kind : {"none", "inverse-frequency", "effective-number"}
        ``inverse-frequency``: n / (k n_c), for n cells in k categories and n_c in this one
        (SR-S7). ``effective-number``: one over (1 - b^n_c) / (1 - b) with b = .999 (Cui et al.
        2019), which tells small counts apart and large ones hardly.
    counts : numpy.ndarray of int64, shape (k,)
        Training cells of each category.

    Returns
    -------
    numpy.ndarray of float64, shape (k,), or None
        1 on the mean over training cells, so that the rate means what it does without; 0 for a
        category without training cells, which is never asked for. None where all count alike.
    """
    if kind == "none":
        return None
    is_there = counts > 0
    effective = counts if kind == "inverse-frequency" else (1 - _BETA**counts) / (1 - _BETA)
    weights = np.where(is_there, 1 / np.where(is_there, effective, 1), 0.0)
    return np.asarray(weights * (counts.sum() / (weights * counts).sum()))


def logit_offsets(tau: float, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64] | None:
    """Compute what is added to each logit in training (Menon et al. 2021).

    Parameters
    ----------
    tau : float
        1 in the paper; 0 adds nothing.
    counts : numpy.ndarray of int64, shape (k,)
        Training cells of each category.

    Returns
    -------
    numpy.ndarray of float64, shape (k,), or None
        *tau* times the logarithm of each share; 0 for a category without training cells, whose
        logit training then only lowers. None where *tau* is 0.
    """
    if not tau:
        return None
    share = counts / counts.sum()
    return np.asarray(tau * np.log(np.where(counts > 0, share, 1.0)))
