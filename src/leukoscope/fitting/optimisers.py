"""Optimisers by name, with rates and weight decay of their own for each set of parameters."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import nn

Optimiser = Literal["adamw", "adam", "amsgrad", "sgd", "rmsprop"]


def make_optimiser(
    name: Optimiser,
    parameters: Iterable[nn.Parameter],
    *,
    rate: float,
    weight_decay: float,
    factors: Mapping[nn.Parameter, float] | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
) -> torch.optim.Optimizer:
    """Make an optimiser; weight decay spares biases and normalisation (vectors and scalars).

    Parameters
    ----------
    name : {"adamw", "adam", "amsgrad", "sgd", "rmsprop"}
        ``adamw`` decays weights apart from the gradient (Loshchilov and Hutter 2019), the others
        add the decay to it (L2). ``amsgrad`` is Adam after Reddi et al. 2018. ``sgd`` has
        Nesterov's momentum .9; ``rmsprop`` a memory of .9, as in Keras.
    parameters : iterable of torch.nn.Parameter
        Those that ask for no gradient are left out.
    rate : float
        The learning rate.
    weight_decay : float
        The decay.
    factors : mapping of torch.nn.Parameter to float, optional
        Share of the rate that a parameter learns at; 1 where none is given.
    betas : (float, float)
        Memories of Adam and its kin.

    Returns
    -------
    torch.optim.Optimizer
        Its groups fall in ``factor``; :func:`set_rate` keeps to it.
    """
    share = factors or {}
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    sets: list[dict[str, Any]] = []
    for factor in sorted({share.get(p, 1.0) for p in trained}, reverse=True):
        alike = [p for p in trained if share.get(p, 1.0) == factor]
        wide, narrow = [p for p in alike if p.ndim > 1], [p for p in alike if p.ndim <= 1]
        sets.append({"params": wide, "weight_decay": weight_decay, "factor": factor})
        sets.append({"params": narrow, "weight_decay": 0.0, "factor": factor})
    optimiser = _make(name, sets, rate, betas)
    set_rate(optimiser, rate)
    return optimiser


def _make(
    name: Optimiser, sets: list[dict[str, Any]], rate: float, betas: tuple[float, float]
) -> torch.optim.Optimizer:
    if name == "sgd":
        return torch.optim.SGD(sets, lr=rate, momentum=0.9, nesterov=True)
    if name == "rmsprop":
        return torch.optim.RMSprop(sets, lr=rate, alpha=0.9)
    if name == "adamw":
        return torch.optim.AdamW(sets, lr=rate, betas=betas)
    return torch.optim.Adam(sets, lr=rate, betas=betas, amsgrad=name == "amsgrad")


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next update, each group's at its share."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
