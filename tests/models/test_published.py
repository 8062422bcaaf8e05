"""The papers' own networks, and that every network here learns at its smallest size."""

import pytest
import torch
from tests.models.carded import network_of
from torch import nn

from leukoscope.foundation.errors import RecipeError, UsageError
from leukoscope.models.backbones import check_size
from leukoscope.models.published import PUBLISHED, Grey, Shortcut, saquib_rodriguez

pytestmark = pytest.mark.usefixtures("one_thread")


def n_parameters(network):
    return sum(value.numel() for value in network.parameters())


def test_the_network_of_saquib_and_rodriguez_has_their_count():
    """16,421,185 parameters in 25 layers at 256 px with one output, as their notebook prints."""
    with torch.device("meta"):
        network = saquib_rodriguez(1, 256)
    assert n_parameters(network) == 16_421_185
    assert len(network) == 25


def test_its_dropouts_and_widths_are_theirs():
    """.6, then .8, .8, .7; dense layers of 512, 256, 128, 64; convolutions of 32 to 256."""
    network, _ = network_of("saquib_rodriguez", size_px=72)
    assert [part.p for part in network if isinstance(part, nn.Dropout)] == [0.6, 0.8, 0.8, 0.7]
    dense = [part.out_features for part in network if isinstance(part, nn.Linear)]
    assert dense == [512, 256, 128, 64, 4]
    assert [part.out_channels for part in network if isinstance(part, nn.Conv2d)] == [
        *(32, 64, 128, 256)
    ]
    assert [part.kernel_size for part in network if isinstance(part, nn.MaxPool2d)] == [2, 3, 3]


def test_lenet_has_the_known_count():
    """61,706 with one colour at 32 px and ten outputs: LeNet-5 with its maps joined whole."""
    network, _ = network_of("lenet", 10, 32, build_arguments={"grey": True})
    assert n_parameters(network) == 61_706


def test_a_grey_lenet_sees_only_the_luma():
    """Pictures of one luma get one answer; without it they do not."""
    pictures = torch.rand(2, 3, 20, 20)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    # Red rises by what keeps the luma where blue falls.
    other = pictures + torch.tensor([0.114, 0.0, -0.299]).view(1, 3, 1, 1)
    assert torch.allclose((pictures * luma).sum(1), (other * luma).sum(1), atol=1e-6)
    grey, _ = network_of("lenet", size_px=20, build_arguments={"grey": True})
    colour, _ = network_of("lenet", size_px=20)
    assert torch.allclose(grey(pictures), grey(other), atol=1e-5)
    assert not torch.allclose(colour(pictures), colour(other), atol=1e-5)
    assert not list(Grey().parameters())


def test_a_shortcut_is_the_convolution_plus_the_projected_input():
    """Without the convolution only the projection is left; the size stays."""
    block = Shortcut(3, 5)
    maps = torch.randn(2, 3, 7, 9)
    nn.init.zeros_(block.convolution.weight)
    nn.init.zeros_(block.convolution.bias)
    expected = nn.functional.selu(block.projection(maps))
    assert block(maps).shape == (2, 5, 7, 9)
    assert torch.allclose(block(maps), expected)


@pytest.mark.parametrize("model", PUBLISHED)
def test_the_smallest_size_works_and_one_pixel_less_is_refused(model):
    """And every size above it that a person may try."""
    smallest = PUBLISHED[model][1]
    for size_px in (smallest, smallest + 1, smallest + 7):
        network, _ = network_of(model, size_px=size_px)
        check_size(network, model, size_px)
    with pytest.raises(UsageError, match=f"The smallest are {smallest} px"):
        network_of(model, size_px=smallest - 1)


def tried(model, size_px):
    """Build and ask a paper's network, whatever its table says of the size."""
    network = PUBLISHED[model][0](4, size_px)
    network.eval()(torch.zeros(2, 3, size_px, size_px))


@pytest.mark.parametrize("model", PUBLISHED)
def test_the_smallest_size_is_the_smallest(model):
    """With one pixel less no map is left: the number is no mere caution."""
    smallest = PUBLISHED[model][1]
    tried(model, smallest)
    # torch warns of a dense layer without inputs.
    with pytest.raises((RuntimeError, UserWarning), match=r"too small|zero-element|greater than"):
        tried(model, smallest - 1)


@pytest.mark.parametrize(
    "arguments", [{"colour": True}, {"grey": "yes"}, {"grey": 2}, {"grey": None}]
)
def test_arguments_a_papers_network_does_not_know_are_refused(arguments):
    """With what it knows."""
    with pytest.raises(RecipeError, match="it knows grey: true or false"):
        network_of("lenet", build_arguments=arguments)
    with pytest.raises(RecipeError, match="it knows none"):
        network_of("mooney", build_arguments=arguments)


# Every model learns


CHANGED = {
    "dense head": {"size_px": 32, "head": "dense"},
    "convolution head": {"size_px": 64, "head": "convolution"},
    "small stem": {"size_px": 12, "stem": "small"},
    "group normalisation": {"size_px": 32, "norm": "group"},
    "regions": {"size_px": 32, "regions": "quadrants-and-rim"},
    "a transformer": {"model": "test_vit", "size_px": 32, "build_arguments": {"img_size": 32}},
    "a papers regions": {"model": "lenet", "size_px": 32, "regions": "quadrants-and-rim"},
    "all at once": {
        "size_px": 64,
        "head": "convolution",
        "stem": "small",
        "norm": "group",
        "regions": "quadrants-and-rim",
    },
}
EVERY = {name: {"model": name, "size_px": entry[1]} for name, entry in PUBLISHED.items()} | CHANGED


@pytest.mark.parametrize("name", EVERY)
def test_every_model_trains_two_steps_and_predicts_at_its_smallest_size(name):
    """Every parameter gets a gradient and moves; the answer is finite, one row a picture."""
    torch.manual_seed(0)
    changes = EVERY[name]
    network, _ = network_of(**changes)
    pictures = torch.randn(6, 3, changes["size_px"], changes["size_px"])
    categories = torch.arange(6) % 4
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):
        logits = network(pictures)
        each = logits.flatten(0, -2)
        loss = nn.functional.cross_entropy(each, categories.repeat_interleave(len(each) // 6))
        optimiser.zero_grad()
        loss.backward()
        assert all(value.grad is not None for value in network.parameters())
        optimiser.step()
    moved = [n for n, value in network.named_parameters() if not torch.equal(value, before[n])]
    assert len(moved) > 0.9 * len(before)
    network.eval()
    with torch.no_grad():
        answer = network(pictures)
    assert answer.shape == (6, 4)
    assert torch.isfinite(answer).all()


@pytest.mark.parametrize("name", ["saquib_rodriguez", "saquib_rodriguez_skip"])
def test_self_normalising_networks_start_as_lecun_says(name):
    """Every layer's weights have the variance 1 / inputs, its biases are 0: the signal stays."""
    network, _ = network_of(name, size_px=72)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for layer in layers:
        n_inputs = layer.weight[0].numel()
        bound = (3 / n_inputs) ** 0.5
        assert layer.weight.abs().max() <= bound
        error = 4 * (0.8 / layer.weight.numel()) ** 0.5
        assert float(layer.weight.detach().var()) * n_inputs == pytest.approx(1, abs=error + 0.01)
        assert not layer.bias.any()
    with torch.no_grad():
        signal = network[:-1].eval()(torch.randn(64, 3, 72, 72))
    assert 0.3 < float(signal.std()) < 3
