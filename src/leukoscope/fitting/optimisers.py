"""Optimisers and learning-rate schedules, by name."""

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn

Schedule = Literal["constant", "cosine", "plateau"]
Optimiser = Literal["adamw", "sgd"]


def make_optimiser(
    name: Optimiser, parameters: Iterable[nn.Parameter], *, rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Make an optimiser; weight decay spares biases and normalisation (vectors and scalars)."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    sets = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if name == "sgd":
        return torch.optim.SGD(sets, lr=rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(sets, lr=rate)


def rate_at(
    schedule: Schedule, update: int, *, rate: float, updates: int, warmup_updates: int
) -> float:
    """Compute the learning rate of an update.

    Parameters
    ----------
    schedule : {"constant", "cosine", "plateau"}
        ``plateau`` is constant here; :func:`plateau_factor` lowers it by validation.
    update : int
        0, 1, …, *updates* - 1.
    rate : float
        The highest rate.
    updates : int
        Number of all updates.
    warmup_updates : int
        The rate rises evenly over these.

    Returns
    -------
    float
        Above 0. Cosine after Loshchilov and Hutter 2017, without restarts, down to 0.
    """
    if update < warmup_updates:
        return rate * (update + 1) / (warmup_updates + 1)
    if schedule != "cosine":
        return rate
    share = (update - warmup_updates) / max(1, updates - warmup_updates)
    return rate * 0.5 * (1 + math.cos(math.pi * share))


def plateau_factor(scores: list[float], *, patience: int, factor: float = 0.3) -> float:
    """Compute how far validation scores so far have lowered the rate.

    Parameters
    ----------
    scores : list of float
        Validation scores in order, higher is better.
    patience : int
        After so many scores in a row without a new best, the rate is lowered once.
    factor : float
        By which it is multiplied each time.

    Returns
    -------
    float
        A function of the scores alone, so that a resumed run finds the same rate.
    """
    best, since, lowered = -math.inf, 0, 1.0
    for score in scores:
        if score > best:
            best, since = score, 0
            continue
        since += 1
        if since >= patience:
            since, lowered = 0, lowered * factor
    return lowered
