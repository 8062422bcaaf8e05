import pytest
import torch
from tests.models.carded import network_of
from torch import nn

from leukoscope.foundation.errors import RecipeError
from leukoscope.models.bodies import (
    classifiers_of,
    frozen_count,
    layer_groups,
    names_under,
    split_network,
)

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {
    "test_resnet": {"size_px": 32},
    "resnet18": {"size_px": 32},
    "mobilenetv2_100": {"size_px": 32, "build_arguments": {"drop_rate": 0.3}},
    "test_vit": {"size_px": 32, "build_arguments": {"drop_rate": 0.3}},
    "test_byobnet": {"size_px": 32, "build_arguments": {"drop_rate": 0.3}},
    "test_convnext": {"size_px": 32},
    "lenet": {"size_px": 20},
    "saquib_rodriguez": {"size_px": 72},
    "saquib_rodriguez_skip": {"size_px": 18},
    "mooney": {"size_px": 12},
    "nh4cl": {"size_px": 16},
    "grey lenet": {"model": "lenet", "size_px": 20, "build_arguments": {"grey": True}},
    "small stem": {"model": "resnet18", "size_px": 16, "stem": "small", "norm": "group"},
    "dense": {"model": "test_resnet", "size_px": 32, "head": "dense"},
    "convolution": {"model": "mobilenetv2_100", "size_px": 64, "head": "convolution"},
    "regions": {"model": "test_resnet", "size_px": 32, "regions": "quadrants-and-rim"},
    "regions of a paper": {"model": "lenet", "size_px": 33, "regions": "quadrants-and-rim"},
    "regions, dense": {
        "model": "test_resnet",
        "size_px": 64,
        "head": "dense",
        "regions": "quadrants-and-rim",
    },
}
LARGE = ["resnet50", "vgg16", "inception_v3", "inception_resnet_v2", "vit_small_patch14_dinov2"]


def built(name):
    """Build one of the networks above."""
    return network_of(**({"model": name} | SMALL[name]))[0]


@pytest.fixture(params=SMALL)
def network(request):
    """Give each of them."""
    return built(request.param)


def of_size(name, n=2):
    """Draw pictures of the size that the network of a name was built for."""
    size = SMALL[name]["size_px"]
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1))


# Groups


def assert_groups(network):
    """Hold the laws of groups: a partition whose last part is the classifier."""
    groups = layer_groups(network)
    names = [name for group in groups for name in group]
    assert sorted(names) == sorted(name for name, _ in network.named_parameters())
    assert len(set(names)) == len(names)
    assert set(groups[-1]) == names_under(classifiers_of(network), names)
    assert groups[-1]
    assert len(groups) >= 3


def test_groups_part_the_parameters_and_end_with_the_head(network):
    """Each parameter is in one group."""
    assert_groups(network)


@pytest.mark.parametrize("name", LARGE)
def test_groups_of_large_networks_do_too(name):
    """Built without memory for their weights."""
    with torch.device("meta"):
        assert_groups(network_of(name, size_px=299)[0])


@pytest.mark.parametrize("name", ["test_resnet", "resnet18", "mobilenetv2_100", "test_vit"])
def test_groups_follow_the_way_of_a_picture(name):
    """The first convolution is in the first group, and a block's parameters stay together."""
    network = built(name)
    groups = layer_groups(network)
    assert f"{network.default_cfg['first_conv']}.weight" in groups[0]
    order = [name for name, _ in network.named_parameters()]
    firsts = [min(order.index(name) for name in group) for group in groups]
    assert firsts == sorted(firsts)


def test_groups_of_a_papers_network_are_its_layers():
    """Those without parameters too, so that a paper's count of layers is one of groups."""
    network = built("saquib_rodriguez")
    groups = layer_groups(network)
    assert len(groups) == len(network) == 25
    for at, group in enumerate(groups):
        assert group == [f"{at}.{name}" for name, _ in network[at].named_parameters()]


def test_freezing_the_first_19_layers_leaves_the_six_the_paper_tunes():
    """Two dense layers with their activations, a dropout between, and the last dense layer."""
    network = built("saquib_rodriguez")
    free = [name for group in layer_groups(network)[19:] for name in group]
    assert free == [f"{at}.{kind}" for at in (19, 22, 24) for kind in ("weight", "bias")]
    kinds = [type(layer).__name__ for layer in network[19:]]
    assert kinds == ["Linear", "SELU", "Dropout", "Linear", "SELU", "Linear"]
    assert [network[at].out_features for at in (19, 22, 24)] == [128, 64, 4]


def test_groups_of_five_networks_hold_the_same_layers_of_each():
    """Group k of all together is group k of one, five times."""
    of_one = layer_groups(built("regions").members[0])
    together = layer_groups(built("regions"))
    assert [len(group) for group in together] == [5 * len(group) for group in of_one]
    for group, five in zip(of_one, together, strict=True):
        assert sorted({name.split(".", 2)[2] for name in five}) == sorted(group)


def test_only_groups_below_the_head_can_be_frozen(network):
    """All but one; more is refused with what would work."""
    most = len(layer_groups(network)) - 1
    assert frozen_count(network, "all-but-head") == frozen_count(network, most) == most
    assert frozen_count(network, 0) == 0
    for odd in (most + 1, -1):
        with pytest.raises(RecipeError, match=f"Give 0 to {most}, or all-but-head"):
            frozen_count(network, odd)


# Cuts


WHOLE = [name for name in SMALL if "regions" not in name]


@pytest.mark.parametrize("name", WHOLE)
def test_body_and_head_are_the_network(name):
    """In evaluation, for every cut there is; the one above the head is always there."""
    network = built(name).eval()
    seen = of_size(name)
    expected = network(seen)
    n_cuts = 0
    for frozen in [*range(len(layer_groups(network))), "all-but-head"]:
        parts = split_network(network, frozen)
        if parts is not None:
            body, head = parts
            assert torch.allclose(head(body(seen)), expected, atol=1e-6), frozen
            n_cuts += 1
    assert parts is not None
    assert n_cuts >= 2


@pytest.mark.parametrize("name", WHOLE)
def test_body_and_head_share_the_networks_own_parameters(name):
    """Each is in one of the two, none is new, and what is frozen is in the body."""
    network = built(name)
    own = {id(value) for value in network.parameters()}
    groups = layer_groups(network)
    for frozen in range(1, len(groups)):
        parts = split_network(network, frozen)
        if parts is None:
            continue
        body, head = ({id(value) for value in part.parameters()} for part in parts)
        below = {id(network.get_parameter(name)) for group in groups[:frozen] for name in group}
        assert body == below
        assert head == own - below


@pytest.mark.parametrize("name", WHOLE)
def test_cutting_leaves_the_network_as_it_was(name):
    """Its modules, their names, its mode and its answer."""
    network = built(name).eval()
    before = [(name, id(part)) for name, part in network.named_modules()]
    expected = network(of_size(name))
    _, head = split_network(network, "all-but-head")
    assert [(name, id(part)) for name, part in network.named_modules()] == before
    assert torch.equal(network(of_size(name)), expected)
    for value in head.parameters():
        nn.init.ones_(value)
    assert not torch.allclose(network(of_size(name)), expected)


@pytest.mark.parametrize(
    ("name", "frozen", "share"),
    [
        ("mobilenetv2_100", "all-but-head", 0.3),
        ("test_vit", "all-but-head", 0.3),
        ("test_byobnet", "all-but-head", 0.3),
        ("saquib_rodriguez", 19, 0.8),
        ("saquib_rodriguez", 16, 0.8),
        ("saquib_rodriguez", 13, 0.6),
        ("mooney", 7, 0.25),
    ],
)
def test_dropout_at_the_seam_works_in_the_head(name, frozen, share):
    """While the head learns, that share of what the body gives is dropped; never in the body."""
    network = built(name)
    body, head = split_network(network, frozen)
    dropouts = [part.p for part in head.modules() if isinstance(part, nn.Dropout)]
    assert dropouts[0] == share
    features = body.eval()(of_size(name))
    assert torch.equal(features, body(of_size(name)))
    torch.manual_seed(0)
    head.train()
    assert not torch.equal(head(features), head(features))


@pytest.mark.parametrize("name", ["regions", "regions of a paper"])
def test_five_networks_in_one_are_not_cut(name):
    """Nor is a network of which nothing is frozen, nor a timm network within."""
    assert split_network(built(name), "all-but-head") is None
    assert split_network(built("lenet"), 0) is None
    assert split_network(built("test_resnet"), 2) is None
