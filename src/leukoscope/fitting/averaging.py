"""A running mean of a network's weights, which often scores better than the last weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Average = dict[str, Tensor]
"""Name in the network's state → its mean so far."""


def start_average(network: nn.Module) -> Average:
    """Begin the mean at the weights as they are, batch normalisation's statistics included."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def decay_at(update: int, decay: float) -> float:
    """Compute which share of the mean so far an update keeps.

    Parameters
    ----------
    update : int
        1 for the first.
    decay : float
        The share in the long run.

    Returns
    -------
    float
        At most ``(1 + update) / (10 + update)``, so that the starting weights are soon left behind.
    """
    return min(decay, (1 + update) / (10 + update))


@torch.no_grad()
def update_average(average: Average, network: nn.Module, update: int, *, decay: float) -> None:
    """Let the mean, in place, follow the weights an update has left.

    What never changes, frozen weights for one, stays equal bit for bit; whole numbers are copied.
    """
    weight = 1 - decay_at(update, decay)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, weight)
        else:
            average[name].copy_(value)


@contextmanager
def averaged(network: nn.Module, average: Average) -> Iterator[None]:
    """Put the mean in the place of the weights inside the block; an empty one leaves them."""
    if not average:
        yield
        return
    own = {name: value.detach().clone() for name, value in network.state_dict().items()}
    network.load_state_dict(average)
    try:
        yield
    finally:
        network.load_state_dict(own)
