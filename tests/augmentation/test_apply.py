import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.augmentation.kinds import KINDS, NOTHING, STRONG, step_of
from tests.intake.pictures import drawn
from tests.reference import light_reference

from leukoscope.augmentation.apply import apply, apply_to_mask, runs
from leukoscope.augmentation.draw import Draw, draw
from leukoscope.augmentation.light import LIGHT
from leukoscope.augmentation.maps import GEOMETRY
from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.foundation.errors import DataError, UsageError

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
MASK = np.zeros((40, 56), np.uint8)
MASK[8:30, 10:40] = 255
MASK[12:20, 16:26] = 7


@cache
def parts_of(kind):
    """Give some draws of a kind at full strength."""
    return [one.operations for one in draws_of(kind, STRONG[kind], 6)]


def draws_of(kind, settings, n=20):
    recipe = AugmentationRecipe(steps=(step_of(kind, settings),))
    return [draw(recipe, 1, f"cell{i}", 0) for i in range(n)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_step_keeps_what_a_picture_is(kind):
    """8-bit RGB of the same size comes back, the same each time; the picture given is untouched."""
    pixels, mask = PIXELS.copy(), MASK.copy()
    for one in draws_of(kind, STRONG[kind]):
        seen = apply(one, pixels, mask)
        assert seen.dtype == np.uint8
        assert seen.flags["C_CONTIGUOUS"]
        assert sorted(seen.shape) == sorted(PIXELS.shape)
        assert (seen.shape == PIXELS.shape) or kind == "transposition"
        np.testing.assert_array_equal(apply(one, pixels, mask), seen)
        again = Draw.from_json(one.to_json())
        np.testing.assert_array_equal(apply(again, pixels, mask), seen)
        assert (seen.shape != PIXELS.shape or (seen != PIXELS).any()) == bool(one.operations)
    np.testing.assert_array_equal(pixels, PIXELS)
    np.testing.assert_array_equal(mask, MASK)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_step_at_the_strength_of_nothing_changes_no_bit(kind):
    """Where a strength of nothing exists it is nothing; else a probability of 0 is."""
    for one in draws_of(kind, NOTHING[kind], 5):
        np.testing.assert_array_equal(apply(one, PIXELS, MASK), PIXELS)


@pytest.mark.parametrize("border", ["reflect", "edge", "constant", "background"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_nothing_drawn_is_the_very_picture(border, interpolation):
    """Not even a copy is made, whatever the rules of resampling are."""
    pixels = drawn(0)
    assert apply(Draw((), border, (0, 0, 0), interpolation, 128), pixels) is pixels


@given(st.data())
def test_the_geometry_comes_first_and_the_rest_in_its_order(data):
    """A chain is its geometry, and then everything else one after the other."""
    kinds = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
    parts = [data.draw(st.sampled_from(parts_of(kind))) for kind in kinds]
    operations = tuple(itertools.chain.from_iterable(parts))
    first = tuple(each for each in operations if each[0] in GEOMETRY)
    rest = tuple(each for each in operations if each[0] not in GEOMETRY)
    whole = Draw(operations)
    seen = apply(whole, PIXELS, MASK)
    expected = apply(Draw(first), PIXELS)
    moved = apply_to_mask(whole, MASK)
    for run in runs(Draw(rest)):
        expected = apply(Draw(tuple(run)), expected, moved)
    np.testing.assert_array_equal(seen, expected)


@given(
    st.lists(st.sampled_from(["brightness", "gamma", "jpeg", "rotation_deg", "salt_and_pepper"]))
)
def test_runs_are_the_operations_again_with_neighbours_of_light_together(names):
    """None is lost, doubled or out of order; two runs of light never touch."""
    chain = Draw(tuple((name, (float(i),)) for i, name in enumerate(names)))
    seen = list(runs(chain))
    rest = [each for each in chain.operations if each[0] not in GEOMETRY]
    assert list(itertools.chain.from_iterable(seen)) == rest
    lit = [run[0][0] in LIGHT for run in seen]
    assert not any(one and other for one, other in itertools.pairwise(lit))
    assert all(len(run) == 1 or all(name in LIGHT for name, _ in run) for run in seen)


def test_neighbours_of_light_are_rounded_once():
    """Darkened to a tenth and back, levels are within 1; rounded each time they would not be."""
    chain = Draw(
        (("brightness", (0.1,)), ("gamma", (0.9,)), ("gamma", (1 / 0.9,)), ("brightness", (10.0,)))
    )
    seen = apply(chain, PIXELS)
    assert np.abs(seen.astype(int) - PIXELS).max() <= 1
    expected = light_reference.one_by_one(chain.operations, PIXELS)
    assert np.abs(seen - expected).max() <= 1
    one_by_one = PIXELS
    for operation in chain.operations:
        one_by_one = apply(Draw((operation,)), one_by_one)
    assert np.abs(one_by_one.astype(int) - PIXELS).max() > 3


# Masks


@pytest.mark.parametrize(
    "operations",
    [
        (("scaling", (0.4, 0.5)),),
        (("rotation_deg", (33.0,)), ("scaling", (0.5, 0.5))),
        (("lens", (-0.3,)),),
        (("elastic", (0.03, 0.3, 5.0)),),
        (("shift", (0.3, -0.2)),),
        (("transposition", ()),),
    ],
)
def test_a_mask_keeps_its_levels_and_lies_on_its_picture(operations):
    """Shrunk, turned or bent it holds 0 and its own levels alone, where the picture shows them."""
    chain = Draw(operations, border="constant")
    moved = apply_to_mask(chain, MASK)
    assert moved.dtype == np.uint8
    assert set(np.unique(moved)) == {0, 7, 255}
    seen = apply(chain, np.dstack([MASK] * 3))[..., 0]
    assert moved.shape == seen.shape
    apart = np.abs(moved.astype(int) - seen) > 128
    # A bent or smoothed edge may differ by half of a pixel; nothing is displaced.
    assert apart.mean() < 0.02
    np.testing.assert_array_equal(apply_to_mask(Draw(), MASK), MASK)


@pytest.mark.parametrize("border", ["reflect", "edge", "constant", "background"])
def test_places_the_picture_leaves_free_are_outside_every_cell(border):
    """Whatever fills the picture, its mask is 0 there."""
    full = np.full((40, 40), 255, np.uint8)
    moved = apply_to_mask(Draw((("scaling", (0.5, 0.5)),), border), full)
    assert set(np.unique(moved)) == {0, 255}
    assert abs((moved > 0).mean() - 0.25) < 0.03


def test_the_background_is_replaced_where_the_moved_mask_says():
    """Turned by a right angle, the cell keeps its pixels and all else is white."""
    chain = Draw((("background_white", ()), ("rotation_deg", (90.0,))))
    seen = apply(chain, PIXELS, MASK)
    turned, mask = np.rot90(PIXELS), np.rot90(MASK)
    np.testing.assert_array_equal(seen[mask > 0], turned[mask > 0])
    assert (seen[mask == 0] == 255).all()


def test_without_a_mask_the_background_is_not_replaced():
    """The refusal says what to run first, and where there never is a mask."""
    with pytest.raises(UsageError, match=r"background_replacement needs .* Run isolate first"):
        apply(Draw((("background_mean", ()),)), PIXELS)


# Bad input


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        (PIXELS / 255, "float64 .* levels from 0 to 1"),
        ((PIXELS / 255).astype(np.float32), "float32 .* levels from 0 to 1"),
        (PIXELS.astype(np.uint16) * 257, "uint16 .* of 16 bits"),
        (PIXELS.astype(np.int64), "int64 cannot be augmented; it should be uint8"),
        (PIXELS > 128, "bool cannot be augmented"),
        (PIXELS[..., 0], "40 × 56 cannot .* grey picture"),
        (PIXELS[..., :1], "40 × 56 × 1 cannot .* grey picture"),
        (np.dstack([PIXELS, MASK]), "40 × 56 × 4 cannot .* transparency"),
        (PIXELS[None], "1 × 40 × 56 × 3 cannot .* height × width × 3"),
        (PIXELS[:0], "0 × 56 × 3 cannot"),
    ],
)
@pytest.mark.parametrize("operations", [(), (("gaussian_noise_levels", (9.0, 1.0)),)])
def test_a_picture_that_is_not_8_bit_rgb_is_refused(pixels, told, operations):
    """Also where nothing is to be done to it; nothing is taken for levels that are none."""
    before = pixels.copy()
    with pytest.raises(DataError, match=told):
        apply(Draw(operations), pixels)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize(
    "mask", [MASK.T, MASK[:-1], MASK[..., None], MASK > 0, np.zeros((0, 0), np.uint8)]
)
def test_a_mask_that_does_not_lie_on_its_picture_is_refused(mask):
    """Both shapes are told."""
    with pytest.raises(DataError, match=r"mask of .* does not lie on a picture of shape 40 × 56"):
        apply(Draw((("background_mean", ()),)), PIXELS, mask)


def test_a_picture_smaller_than_a_blur_is_refused_and_told_of_lengths_at_px():
    """The same blur, stated at the size it was meant for, fits."""
    small = drawn(0, 6, 6)
    with pytest.raises(DataError, match=r"33 × 33 px does not fit .* 6 × 6 px.*lengths_at_px"):
        apply(Draw((("gaussian_blur_px", (4.0,)),)), small)
    assert apply(Draw((("gaussian_blur_px", (4.0,)),), lengths_at_px=128), small).shape == (6, 6, 3)


@pytest.mark.parametrize("name", ["solarise", "erasing_red", "gaussian_blur"])
def test_an_operation_of_another_version_is_refused_by_its_name(name):
    """A manifest written later is not half followed."""
    with pytest.raises(DataError, match=f"'{name}', which this version does not know"):
        apply(Draw(((name, (1.0,)),)), PIXELS)
