import numpy as np
import pytest
import torch
from torch import nn

from leukoscope.fitting.optimisers import make_optimiser, set_rate
from leukoscope.foundation.streams import stream


# Nesterov's momentum counts a decay of the first update 1.9 times.
@pytest.mark.parametrize(("name", "times"), [("adamw", 1.0), ("sgd", 1.9)])
def test_weight_decay_spares_biases_and_normalisation(name, times):
    """Matrices shrink without a gradient; vectors stay as they are."""
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    optimiser = make_optimiser(name, network.parameters(), rate=0.1, weight_decay=0.5)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    for old, new in zip(before, network.parameters(), strict=True):
        expected = old * (1 - times * 0.1 * 0.5) if old.ndim > 1 else old
        torch.testing.assert_close(new.detach(), expected)


def test_frozen_parameters_are_not_trained():
    """What asks for no gradient is in no group."""
    network = nn.Linear(3, 4)
    network.bias.requires_grad_(False)
    optimiser = make_optimiser("sgd", network.parameters(), rate=0.1, weight_decay=0)
    held = [p for group in optimiser.param_groups for p in group["params"]]
    assert [p is network.weight for p in held] == [True]


def adam_by_hand(weights, gradients, *, rate, decay, with_largest):
    """Do Adam's updates as Kingma and Ba 2015 and Reddi et al. 2018 write them, decay as L2."""
    mean, square, largest = np.zeros(3), np.zeros(3), np.zeros(3)
    for step, gradient in enumerate(gradients, start=1):
        whole = gradient + decay * weights
        mean = 0.9 * mean + 0.1 * whole
        square = 0.999 * square + 0.001 * whole**2
        largest = np.maximum(largest, square) if with_largest else square
        length = np.sqrt(largest / (1 - 0.999**step)) + 1e-8
        weights = weights - rate * mean / (1 - 0.9**step) / length
    return weights


def rmsprop_by_hand(weights, gradients, *, rate, decay):
    """Do RMSprop's updates as Hinton's lecture gives them, decay as L2."""
    square = np.zeros(3)
    for gradient in gradients:
        whole = gradient + decay * weights
        square = 0.9 * square + 0.1 * whole**2
        weights = weights - rate * whole / (np.sqrt(square) + 1e-8)
    return weights


@pytest.mark.parametrize("name", ["adam", "amsgrad", "rmsprop"])
def test_updates_are_those_of_the_papers(name):
    """Twenty gradients, large ones first, so that the largest moment matters; weights decay."""
    gradients = stream(2, "gradients").normal(0, 1, (20, 3)) * np.linspace(5, 0.1, 20)[:, None]
    parameter = nn.Parameter(torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64))
    optimiser = make_optimiser(name, [parameter], rate=0.05, weight_decay=0.1)
    start = parameter.detach().numpy()[0].copy()
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient)[None]
        optimiser.step()
    if name == "rmsprop":
        expected = rmsprop_by_hand(start, gradients, rate=0.05, decay=0.1)
    else:
        by_largest = name == "amsgrad"
        expected = adam_by_hand(start, gradients, rate=0.05, decay=0.1, with_largest=by_largest)
    np.testing.assert_allclose(parameter.detach().numpy()[0], expected, rtol=1e-9)


def test_a_share_of_the_rate_is_a_share_of_the_step():
    """Equal gradients move a parameter at half the rate half as far; the head's group is first."""
    below, head, bias = (nn.Parameter(torch.ones(shape)) for shape in ((2, 2), (2, 2), (2,)))
    optimiser = make_optimiser(
        *("sgd", [below, head, bias]), rate=9, weight_decay=0, factors={below: 0.5}
    )
    set_rate(optimiser, 0.1)
    for parameter in (below, head, bias):
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    moved = [float((1 - parameter.detach()).flatten()[0]) for parameter in (below, head, bias)]
    assert moved == pytest.approx([moved[1] / 2, moved[1], moved[1]])
    assert [group["lr"] for group in optimiser.param_groups] == [0.1, 0.1, 0.05, 0.05]
