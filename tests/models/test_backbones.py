import pytest
import torch

from leukoscope.foundation.errors import RecipeError, UsageError
from leukoscope.models.backbones import build, check_name, check_size, seeded
from leukoscope.training.run import weights_digest

pytestmark = pytest.mark.usefixtures("one_thread")


def digest(seed, **arguments):
    """Build the small network and hash its weights."""
    return weights_digest(build("test_resnet", arguments, 4, seed=seed))


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
        build("test_resnet", {"no_such_word": 3}, 4, seed=0)


def test_a_size_the_network_cannot_take_is_refused():
    """A transformer of fixed size says so; its mode stays as it was."""
    fixed = {"img_size": 48, "dynamic_img_size": False}
    network = build("test_vit", fixed, 4, seed=0)
    with pytest.raises(UsageError, match="test_vit cannot take pictures of 32 px"):
        check_size(network, "test_vit", 32)
    assert network.training
    check_size(build("test_resnet", {}, 4, seed=0), "test_resnet", 32)


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
        build("test_resnet", arguments, 4, seed=0)
