import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.models.backbones import seeded
from leukoscope.synthesis.differentiable import changed_alike

KINDS = ("colour", "translation", "cutout")


def pictures(n=6, side=16, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, side, side, generator=generator, dtype=dtype) * 2 - 1


def changed(given_pictures, *kinds, seed=0):
    with seeded(seed, "test"):
        return changed_alike(given_pictures, kinds)


def numbers(n, count, seed=0):
    """Give the numbers that a change of this seed draws first: shape (n, count)."""
    with seeded(seed, "test"):
        return torch.rand(n, count, 1, 1, 1)[:, :, 0, 0, 0]


def mirrored(picture, down, right):
    """Move a picture, shape (3, side, side), pixel by pixel, as if it went on in a mirror."""
    side, moved = picture.shape[-1], torch.empty_like(picture)

    def within(place):
        if place < 0:
            return -place
        return place if place < side else 2 * (side - 1) - place

    for row in range(side):
        for column in range(side):
            moved[:, row, column] = picture[:, within(row + down), within(column + right)]
    return moved


@pytest.mark.parametrize("side", [16, 32, 64])
def test_a_shift_only_moves_pixels_as_in_a_mirror(side):
    """Each picture equals, bit for bit, one moved pixel by pixel, by at most an eighth."""
    cells = pictures(8, side)
    found, most = changed(cells, "translation"), side // 8
    shifts = (torch.floor(numbers(2, 8) * (2 * most + 1)) - most).int().tolist()
    for one, moved, down, right in zip(cells, found, *shifts, strict=True):
        assert max(abs(down), abs(right)) <= most
        assert torch.equal(moved, mirrored(one, down, right))


def test_every_shift_comes_equally_often_and_none_is_larger():
    """A slope tells where each of 5,000 pictures went: 5 × 5 places at 16 px, each 200 times."""
    side = 16
    places = torch.arange(side).float()
    slope = torch.stack([places[:, None].expand(side, side), places.expand(side, side)])
    cells = torch.cat([slope, slope[:1]])[None].expand(5000, 3, side, side)
    middle = changed(cells, "translation")[:, :2, 8, 8] - 8
    assert set(middle.flatten().int().tolist()) == {-2, -1, 0, 1, 2}
    counts = np.histogram2d(*middle.numpy().T, bins=5)[0]
    # Chi-squared of 24 degrees is below 51 in 999 draws of 1,000.
    assert ((counts - 200) ** 2 / 200).sum() < 51


def test_middle_numbers_leave_a_picture_as_it_is():
    """Colours at brightness, saturation and contrast in the middle; a shift of nothing. Over many
    draws the mean change of brightness is none."""
    found = changed(pictures(4000, 4, seed=1), "colour")
    drawn = numbers(3, 4000)
    near = (drawn - 0.5).abs().amax(dim=0) < 0.02
    assert near.sum() > 0
    difference = (found - pictures(4000, 4, seed=1)).abs().amax(dim=(1, 2, 3))
    assert difference[near].max() < 0.08
    assert difference[~near].mean() > 0.3
    shift = (found - pictures(4000, 4, seed=1)).mean(dim=(1, 2, 3))
    assert abs(shift.mean()) < 4 * 0.29 / 4000**0.5
    assert shift.abs().max() <= 0.5 + 1e-5


def test_colours_are_changed_as_the_paper_does():
    """Number by number: brightness, then saturation about the grey, then contrast about the
    mean."""
    cells = pictures(5, 8, dtype=torch.float64)
    found = changed(cells, "colour")
    for one, seen, brightness, saturation, contrast in zip(
        cells.numpy(), found.numpy(), *numbers(3, 5).double().numpy(), strict=True
    ):
        expected = one + brightness - 0.5
        grey = expected.mean(axis=0, keepdims=True)
        expected = grey + (expected - grey) * 2 * saturation
        expected = expected.mean() + (expected - expected.mean()) * (0.5 + contrast)
        np.testing.assert_allclose(seen, expected, atol=1e-6)


@pytest.mark.parametrize("side", [16, 32])
def test_a_hole_is_a_grey_square_of_half_the_side(side):
    """At most a quarter is grey, less where it reaches over the border; the rest is untouched."""
    cells = pictures(200, side) + 3
    found = changed(cells, "cutout")
    hole = (found == 0).all(dim=1)
    assert torch.equal(found, torch.where(hole[:, None], torch.zeros(()), cells))
    for each in hole:
        rows, columns = each.any(dim=1), each.any(dim=0)
        assert torch.equal(each, rows[:, None] & columns)
        for line in (rows, columns):
            held = line.nonzero().flatten()
            assert len(held) <= side // 2
            assert len(held) == held[-1] - held[0] + 1
    sizes = hole.sum(dim=(1, 2)).float()
    assert sizes.max() == (side // 2) ** 2
    assert sizes.min() >= (side // 4) ** 2


@pytest.mark.parametrize("kinds", [(kind,) for kind in KINDS] + [KINDS])
def test_gradients_pass(kinds):
    """Those of finite differences, towards every number of a picture."""
    cells = pictures(2, 8, dtype=torch.float64).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda each: changed(each, *kinds), (cells,))


@pytest.mark.parametrize("kinds", [(kind,) for kind in KINDS] + [KINDS, ()])
def test_shape_and_range_are_kept(kinds):
    """Colours reach a little beyond -1 to 1; nothing else does."""
    cells = pictures(8)
    found = changed(cells, *kinds)
    assert found.shape == cells.shape
    assert found.dtype == cells.dtype
    assert found.abs().max() <= (6 if "colour" in kinds else 1)
    assert torch.equal(found, cells) == (not kinds)


@given(place=st.integers(0, 7), seed=st.integers(0, 50))
def test_a_picture_is_changed_alone(place, seed):
    """What becomes of one does not depend on the others of its batch."""
    cells = pictures(8, 8)
    other = pictures(8, 8, seed=7)
    other[place] = cells[place]
    one, two = changed(cells, *KINDS, seed=seed), changed(other, *KINDS, seed=seed)
    assert torch.equal(one[place], two[place])


def test_real_and_drawn_pictures_see_one_distribution():
    """The same cells in both halves of a batch: means and spreads of 4,000 changes agree within
    four standard errors."""
    cells = pictures(1, 8).expand(4000, 3, 8, 8)
    halves = changed(torch.cat([cells, cells]), *KINDS).flatten(2).mean(dim=2).chunk(2)
    assert not torch.equal(*halves)
    (a, b), n = halves, 4000
    error = ((a.var(dim=0) + b.var(dim=0)) / n).sqrt()
    assert ((a.mean(dim=0) - b.mean(dim=0)).abs() < 4 * error).all()
    squares = [(half - half.mean(dim=0)).square() for half in halves]
    error = ((squares[0].var(dim=0) + squares[1].var(dim=0)) / n).sqrt()
    assert ((squares[0].mean(dim=0) - squares[1].mean(dim=0)).abs() < 4 * error).all()


@pytest.mark.parametrize("kind", ["translation", "cutout"])
def test_places_do_not_depend_on_the_number_format(kind):
    """A generator that draws in bfloat16 is moved and cut where a cell in float32 is."""
    cells = pictures(64, 64).bfloat16()
    assert torch.equal(changed(cells, kind).float(), changed(cells.float(), kind))


def test_torchs_own_state_gives_the_numbers():
    """Equal states, equal changes; other states, others."""
    cells = pictures()
    assert torch.equal(changed(cells, *KINDS), changed(cells, *KINDS))
    assert not torch.equal(changed(cells, *KINDS), changed(cells, *KINDS, seed=1))
