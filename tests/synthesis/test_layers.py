"""The layers give what torch's plain ones give, gradients and gradients of gradients too."""

import pytest
import torch
from tests.synthesis.tiny import recipe_of
from torch import nn
from torch.nn.functional import conv2d, interpolate

from leukoscope.synthesis.layers import DoublingConvolution, is_piecewise_linear, slope_of
from leukoscope.synthesis.networks import build_networks

pytestmark = pytest.mark.usefixtures("one_thread")


def critic_of(dropout=0.0):
    """Build a small critic that is linear but for bends; its weights follow from the seed."""
    torch.manual_seed(3)
    recipe = recipe_of("wgan-gp", critic_dropout=dropout)
    return build_networks(recipe, 3, seed=1).critic


def through_one_graph(critic, pictures, categories):
    """Take the slope as autograd does: the slow oracle."""
    pictures = pictures.clone().requires_grad_()
    scores = critic(pictures, categories).sum()
    return torch.autograd.grad(scores, pictures, create_graph=True)[0]


def layer_by_layer(critic, pictures, categories):
    """Take the slope as the house does."""
    return slope_of(critic.body, lambda features: critic.scores(features, categories), pictures)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_slope_and_its_gradients_are_those_through_one_graph(dropout):
    """With regard to all weights, to the bit; with dropout of the same draw too."""
    critic, pictures = critic_of(dropout), torch.randn(8, 3, 16, 16)
    categories = torch.arange(8) % 3
    found = []
    for way in (layer_by_layer, through_one_graph):
        torch.manual_seed(5)
        slope = way(critic, pictures, categories)
        penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
        grads = torch.autograd.grad(penalty, list(critic.parameters()), allow_unused=True)
        # What does not move the slope has zeros for a gradient, or none at all.
        held = zip(critic.parameters(), grads, strict=True)
        found.append([slope, *(torch.zeros_like(p) if grad is None else grad for p, grad in held)])
    assert found[0][0].any()
    assert all(torch.equal(own, theirs) for own, theirs in zip(*found, strict=True))


def test_no_gradient_of_a_slope_goes_back_through_the_layers_before():
    """Biases do not move it: through one graph that is computed, as zeros; here it is not."""
    critic, pictures, categories = critic_of(), torch.randn(8, 3, 16, 16), torch.zeros(8).long()
    biases = [layer.bias for layer in critic.body if isinstance(layer, nn.Conv2d)]
    assert len(biases) >= 2
    found = [
        torch.autograd.grad(
            way(critic, pictures, categories).square().sum(), biases, allow_unused=True
        )
        for way in (layer_by_layer, through_one_graph)
    ]
    assert found[0] == (None,) * len(biases)
    assert any(grad is not None and not grad.any() for grad in found[1])


@pytest.mark.parametrize(("kind", "expected"), [("wgan-gp", True), ("slope", False)])
def test_only_critics_that_bend_and_no_more_are_piecewise_linear(kind, expected):
    """A channel of the batch's spread has a slope that changes."""
    critic = build_networks(recipe_of(kind), 1, seed=1).critic
    assert is_piecewise_linear(critic.body) is expected
    assert not is_piecewise_linear(nn.Sequential(nn.Conv2d(3, 3, 1), nn.Tanh()))


@pytest.mark.parametrize("side", [1, 2, 5])
@pytest.mark.parametrize("bias", [True, False])
def test_doubling_is_repeating_pixels_and_convolving(side, bias):
    """In float64, at the border too, with all gradients; the repetition is the slow oracle."""
    torch.manual_seed(side)
    layer = DoublingConvolution(3, 4, bias=bias).double()
    maps = torch.randn(2, 3, side, side, dtype=torch.float64)
    own, theirs = (maps.clone().requires_grad_() for _ in range(2))
    found = layer(own)
    doubled = interpolate(theirs, scale_factor=2, mode="nearest")
    expected = conv2d(doubled, layer.weight, layer.bias, padding=1)
    assert found.shape == (2, 4, 2 * side, 2 * side)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    weight = torch.randn_like(found)
    leaves = [theirs, *layer.parameters()]
    mine = torch.autograd.grad((found * weight).sum(), [own, *layer.parameters()])
    plain = torch.autograd.grad((expected * weight).sum(), leaves)
    for one, other in zip(mine, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_a_doubling_keeps_the_weights_of_a_plain_convolution():
    """Its start and its file are those of 3 x 3 weights."""
    layer = DoublingConvolution(5, 7, bias=True)
    assert isinstance(layer, nn.Conv2d)
    shapes = {name: tuple(value.shape) for name, value in layer.state_dict().items()}
    assert shapes == {"weight": (7, 5, 3, 3), "bias": (7,)}
