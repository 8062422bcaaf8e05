import pytest
import torch
from tests.models.carded import network_of

from leukoscope.foundation.errors import RecipeError, UsageError
from leukoscope.models.backbones import check_name, check_size, seeded
from leukoscope.training.run import weights_digest

pytestmark = pytest.mark.usefixtures("one_thread")


def digest(seed, **arguments):
    """Build the small network and hash its weights."""
    return weights_digest(network_of(seed=seed, build_arguments=arguments)[0])


def test_weights_follow_from_the_seed_alone():
    """The same seed gives the same weights whatever torch drew before; another gives others."""
    torch.manual_seed(1)
    first = digest(5)
    torch.manual_seed(2)
    torch.rand(7)
    assert digest(5) == first
    assert digest(6) != first


def test_torchs_own_random_state_is_left_alone():
    """Building, and a seeded block that draws, return the state they found."""
    before = torch.random.get_rng_state()
    digest(5)
    with seeded(3, "anything"):
        torch.rand(100)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_seeded_block_that_fails_returns_the_state_too():
    """An error inside changes nothing."""
    before = torch.random.get_rng_state()
    with pytest.raises(TypeError), seeded(3, "anything"):
        torch.rand("not a size")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_seeded_blocks_differ_by_name():
    """The stream depends on the seed and on every name."""
    drawn = []
    for names in ((1, "a"), (1, "b"), (2, "a"), (1, "a", 0), (1, "a")):
        with seeded(*names):
            drawn.append(float(torch.rand(())))
    assert len(set(drawn)) == 4
    assert drawn[0] == drawn[-1]


def test_an_unknown_name_is_answered_with_near_ones():
    """A slip of the finger is recognised."""
    with pytest.raises(UsageError, match="resnet18"):
        check_name("resnet81")


def test_a_build_argument_the_network_does_not_know_is_refused():
    """The sentence names the network and the argument."""
    with pytest.raises(RecipeError, match=r"test_resnet cannot be built.*no_such_word"):
        network_of(build_arguments={"no_such_word": 3})


def test_a_size_the_network_cannot_take_is_refused():
    """A transformer of fixed size says so; its mode stays as it was."""
    fixed = {"img_size": 48, "dynamic_img_size": False}
    network, _ = network_of("test_vit", build_arguments=fixed)
    with pytest.raises(UsageError, match="test_vit cannot take pictures of 32 px"):
        check_size(network, "test_vit", 32)
    assert network.training
    check_size(network_of()[0], "test_resnet", 32)


@pytest.mark.parametrize(
    "arguments",
    [
        {"checkpoint_path": "model.safetensors"},
        {"pretrained": True},
        {"pretrained_cfg": "somewhere"},
        {"cache_dir": "here"},
        {"num_classes": 7},
        {"features_only": True},
        {"act_layer": "/some/where"},
    ],
)
def test_arguments_that_do_not_shape_a_network_are_refused(arguments):
    """Weights come by their card alone; a file named in a recipe is never opened."""
    with pytest.raises(RecipeError, match="only shape a network"):
        network_of(build_arguments=arguments)


# Counts of parameters


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("inception_resnet_v2", 55_843_464),
        ("inception_v3", 23_834_568),
        ("mobilenetv2_100", 3_504_872),
        ("resnet18", 11_689_512),
        ("resnet50", 25_557_032),
        ("vgg16", 138_357_544),
    ],
)
def test_the_papers_backbones_have_their_known_counts(model, expected):
    """With 1000 outputs, as their authors print them; built without memory for the weights."""
    with torch.device("meta"):
        network, _ = network_of(model, 1000, 224)
    assert sum(value.numel() for value in network.parameters()) == expected


# What can be combined


def test_heads_stems_norms_and_regions_are_part_of_what_is_drawn():
    """Each change gives other weights than the plain network, and the same again."""
    changes = [
        {},
        {"head": "dense"},
        {"head": "convolution"},
        {"norm": "group"},
        {"regions": "quadrants-and-rim"},
        {"model": "resnet18"},
        {"model": "resnet18", "stem": "small"},
    ]
    seen = [weights_digest(network_of(size_px=64, **one)[0]) for one in changes]
    again = [weights_digest(network_of(size_px=64, **one)[0]) for one in changes]
    assert seen == again
    assert len(set(seen)) == len(changes)


@pytest.mark.parametrize("changes", [{"stem": "small"}, {"head": "dense"}])
def test_a_papers_network_takes_no_other_stem_or_head(changes):
    """It is a paper's, whole."""
    with pytest.raises(RecipeError, match="lenet is a paper's network, stem and head included"):
        network_of("lenet", **changes)


def test_a_head_that_cannot_follow_is_refused():
    """A transformer makes no maps; and maps of one pixel cannot be pooled."""
    with pytest.raises(UsageError, match="it makes no maps that this head could follow"):
        network_of("test_vit", head="dense", build_arguments={"img_size": 32})
    with pytest.raises(UsageError, match="its last maps are 1 x 1, and the head pools by 2"):
        network_of("resnet18", head="convolution", size_px=32)


def test_regions_are_built_for_their_sizes():
    """Four for half the side, rounded up, and one for the whole picture."""
    network, _ = network_of("lenet", size_px=33, regions="quadrants-and-rim")
    inputs = [member[7].in_features for member in network.members]
    assert inputs == [16 * 1 * 1] * 4 + [16 * 5 * 5]
    with pytest.raises(UsageError, match="lenet cannot take pictures of 15 px"):
        network_of("lenet", size_px=30, regions="quadrants-and-rim")
