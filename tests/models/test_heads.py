import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.models.carded import network_of
from torch import nn

from leukoscope.models.heads import (
    INNER_DISC,
    QuadrantsAndRim,
    convolution_head,
    dense_head,
    quadrants_and_rim,
    with_head,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_dense_head_is_the_papers():
    """1024 and 512 with rectifiers, dropout of .3, on all maps laid flat."""
    head = dense_head(8 * 3 * 3, 2)
    assert [part.out_features for part in head if isinstance(part, nn.Linear)] == [1024, 512, 2]
    assert [part.p for part in head if isinstance(part, nn.Dropout)] == [0.3]
    assert head(torch.randn(2, 8, 3, 3)).shape == (2, 2)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (3, 5), (8, 8)])
def test_the_convolution_head_is_the_papers(height, width):
    """Convolution, normalisation, pooling, dropout, dense, in this order."""
    head = convolution_head(12, height, width, 3)
    kinds = [type(part).__name__ for part in head]
    assert kinds == [
        *("Conv2d", "BatchNorm2d", "ReLU"),
        *("MaxPool2d", "Dropout", "Flatten", "Linear"),
    ]
    assert head(torch.randn(2, 12, height, width)).shape == (2, 3)


def test_maps_too_small_to_pool_are_refused():
    """By their size."""
    with pytest.raises(ValueError, match="1 x 4"):
        convolution_head(12, 1, 4, 3)


def test_a_body_is_measured_without_changing_it():
    """Its statistics of batch normalisation stay, and it is in training mode after."""
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = {name: value.clone() for name, value in body.state_dict().items()}
    headed = with_head(body, "dense", 9, 2)
    assert headed.training
    assert body.training
    assert all(torch.equal(value, before[name]) for name, value in body.state_dict().items())
    assert headed(torch.randn(2, 3, 9, 9)).shape == (2, 2)


# Regions


@given(st.integers(2, 40))
def test_quadrants_tile_the_picture(size):
    """Every pixel is in one quarter; of an odd side the middle line is in both."""
    pictures = torch.arange(3.0 * size * size).view(1, 3, size, size)
    quarters = quadrants_and_rim(pictures)[:4]
    half = (size + 1) // 2
    assert all(quarter.shape == (1, 3, half, half) for quarter in quarters)
    top, bottom = torch.cat(quarters[:2], 3), torch.cat(quarters[2:], 3)
    # An odd side has its middle line twice: one is dropped before they are laid together.
    odd = size % 2
    columns = [at for at in range(2 * half) if not (odd and at == half)]
    assert torch.equal(torch.cat([top, bottom[:, :, odd:]], 2)[..., columns], pictures)


@given(st.integers(2, 40))
def test_the_rim_is_what_lies_outside_the_inner_disc(size):
    """Pixel by pixel: untouched outside .7 of the half side, zero within."""
    rim = quadrants_and_rim(torch.ones(1, 3, size, size))[4]
    for row in range(size):
        for column in range(size):
            y, x = (2 * (at + 0.5) / size - 1 for at in (row, column))
            if abs(x * x + y * y - INNER_DISC**2) > 1e-6:
                assert float(rim[0, 0, row, column]) == float(x * x + y * y > INNER_DISC**2)
    assert torch.equal(rim, rim.flip(2))
    assert torch.equal(rim, rim.transpose(2, 3))


@pytest.mark.parametrize("size", [32, 33])
def test_a_member_learns_nothing_from_what_lies_outside_its_region(size):
    """The gradient of its logits by the picture is zero there."""
    network, _ = network_of("lenet", size_px=size, regions="quadrants-and-rim")
    inside = quadrants_and_rim(torch.ones(1, 3, size, size))[4] > 0
    half = (size + 1) // 2
    near, far = slice(0, half), slice(size - half, size)
    for member in range(5):
        pictures = torch.randn(1, 3, size, size, requires_grad=True)
        network(pictures)[:, member].square().sum().backward()
        reached = pictures.grad != 0
        if member < 4:
            allowed = torch.zeros_like(reached)
            allowed[:, :, (near, far)[member // 2], (near, far)[member % 2]] = True
        else:
            allowed = inside
        assert reached.any()
        assert not (reached & ~allowed).any()


def test_each_member_learns_by_itself():
    """The loss of one moves no other; in evaluation the answer is the mean of all."""
    network, _ = network_of(regions="quadrants-and-rim")
    pictures = torch.randn(3, 3, 32, 32)
    logits = network(pictures)
    assert logits.shape == (3, 5, 4)
    logits[:, 2].sum().backward()
    for at, member in enumerate(network.members):
        moved = [bool(value.grad.any()) for value in member.parameters()]
        assert any(moved) is (at == 2)
    network.eval()
    answers = [
        one(part) for one, part in zip(network.members, quadrants_and_rim(pictures), strict=True)
    ]
    assert torch.allclose(network(pictures), torch.stack(answers).mean(0))


def test_five_members_are_needed():
    """One a region."""
    with pytest.raises(ValueError, match="zip"):
        QuadrantsAndRim([nn.Flatten()] * 4)(torch.zeros(1, 3, 4, 4))
