import pytest
import torch
from tests.models.carded import network_of
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from leukoscope.foundation.errors import RecipeError

pytestmark = pytest.mark.usefixtures("one_thread")

NORMALISED = ["test_resnet", "test_efficientnet", "test_byobnet", "mobilenetv2_100", "nh4cl"]


def sizes_of_maps(network, size_px):
    """List the sides of all maps a network makes on its way."""
    sides = []
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(lambda *call: sides.append(call[-1].shape[-1]))
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, size_px, size_px))
    return sides


@pytest.mark.parametrize("model", ["resnet18", "test_resnet", "mobilenetv2_100", "test_byobnet"])
def test_a_small_stem_keeps_the_resolution(model):
    """The first maps have the picture's size; without it half of that, or a quarter."""
    own, _ = network_of(model)
    small, _ = network_of(model, stem="small")
    before, after = sizes_of_maps(own, 32), sizes_of_maps(small, 32)
    assert after[0] == 32
    assert before[0] == 16
    assert len(before) == len(after)
    assert all(new >= old for new, old in zip(after, before, strict=True))


def test_a_small_stem_drops_the_pooling_of_a_resnet():
    """Its last maps are then eight times smaller than the picture, not thirty-two."""
    assert sizes_of_maps(network_of("resnet18", stem="small")[0], 32)[-1] == 4
    assert sizes_of_maps(network_of("resnet18")[0], 32)[-1] == 1


def test_a_first_convolution_of_3_by_3_keeps_its_weights():
    """Only its stride changes."""
    own, _ = network_of("mobilenetv2_100")
    small, _ = network_of("mobilenetv2_100", stem="small")
    assert torch.equal(own.conv_stem.weight, small.conv_stem.weight)
    assert small.conv_stem.stride == (1, 1)


@pytest.mark.parametrize("model", ["test_vit", "test_convnext", "vgg11"])
def test_a_network_without_a_strided_stem_is_refused(model):
    """Patches, and first convolutions that see every pixel already."""
    arguments = {"img_size": 32} if model == "test_vit" else {}
    with (
        pytest.raises(RecipeError, match=f"{model} has no strided first convolution"),
        torch.device("meta"),
    ):
        network_of(model, stem="small", build_arguments=arguments)


@pytest.mark.parametrize("model", NORMALISED)
def test_group_normalisation_leaves_no_batch_normalisation(model):
    """Each is replaced, with groups that divide its channels."""
    own, _ = network_of(model)
    changed, _ = network_of(model, norm="group")
    assert not [part for part in changed.modules() if isinstance(part, _BatchNorm)]
    widths = [part.num_features for part in own.modules() if isinstance(part, _BatchNorm)]
    groups = [part for part in changed.modules() if isinstance(part, nn.GroupNorm)]
    assert [part.num_channels for part in groups] == widths
    assert all(part.num_channels % part.num_groups == 0 for part in groups)
    assert all(1 <= part.num_groups <= 32 for part in groups)


@pytest.mark.parametrize("model", NORMALISED)
def test_a_picture_alone_gets_the_answer_it_gets_among_others(model):
    """In training mode: nothing is taken from the rest of the batch; batch normalisation does."""
    pictures = torch.randn(4, 3, 48, 48)
    arguments = {"drop_path_rate": 0.0} if model == "mobilenetv2_100" else {}
    for norm, alike in (("group", True), ("own", False)):
        network, _ = network_of(model, size_px=48, norm=norm, build_arguments=arguments)
        for part in network.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.0
        together = network(pictures)[:2]
        apart = network(pictures[:2])
        assert torch.allclose(together, apart, atol=1e-4) is alike


@pytest.mark.parametrize("model", NORMALISED)
def test_activations_carried_by_a_normalisation_stay(model):
    """As many as before."""
    counted = []
    for norm in ("own", "group"):
        network, _ = network_of(model, norm=norm)
        kinds = (nn.ReLU, nn.ReLU6, nn.SiLU)
        counted.append(sum(isinstance(part, kinds) for part in network.modules()))
    assert counted[0] == counted[1] > 0


def test_a_network_without_batch_normalisation_is_refused():
    """A transformer and LeNet have none."""
    for model in ("test_vit", "lenet"):
        with pytest.raises(RecipeError, match=f"{model} has no batch normalisation"):
            network_of(model, norm="group")
