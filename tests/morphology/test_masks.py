"""Laws of masks: what they agree in, how they lie in one picture, what they cut out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.reference import isolation_reference as reference

from leukoscope.morphology.masks import (
    Masks,
    at_scale,
    box_of,
    depth,
    diameter_of,
    dice,
    levels_of,
    masks_of,
    without_background,
)

SIDES = st.tuples(st.integers(1, 8), st.integers(1, 8))
PAIRS = SIDES.flatmap(lambda side: st.tuples(arrays(bool, side), arrays(bool, side)))
COLOURS = st.tuples(*[st.integers(0, 255)] * 3)


@given(PAIRS)
def test_dice_is_that_of_the_sets(pair):
    """Counting pixels one by one gives the same, and the order of the two does not matter."""
    one, other = pair
    expected = reference.dice(reference.pixels_of(one), reference.pixels_of(other))
    assert dice(one, other) == dice(other, one) == expected
    assert dice(one, one) == 1
    assert dice(one, ~one) == 0


@given(PAIRS)
def test_levels_hold_both_masks(pair):
    """What was laid into one picture is read from it, the nucleus always within the cell."""
    nucleus, cell = pair[0], pair[0] | pair[1]
    levels = levels_of(Masks(nucleus, cell))
    assert levels.dtype == np.uint8
    assert set(np.unique(levels)) <= {0, 128, 255}
    back = masks_of(levels)
    np.testing.assert_array_equal(back.nucleus, nucleus)
    np.testing.assert_array_equal(back.cell, cell)


def test_a_stray_level_is_the_nearest_of_three():
    """All 256 levels are read as the oracle does."""
    levels = np.arange(256, dtype=np.uint8)[None]
    expected = [reference.nearest_level(level) for level in range(256)]
    np.testing.assert_array_equal(levels_of(masks_of(levels))[0], expected)


@given(PAIRS, COLOURS)
def test_a_background_is_replaced_outside_only(pair, fill):
    """The cell's pixels stay, all others have the colour; the picture itself is not changed."""
    cell = pair[0]
    image = np.arange(cell.size * 3, dtype=np.uint8).reshape(*cell.shape, 3)
    image.flags.writeable = False
    seen = without_background(image, cell, fill)
    np.testing.assert_array_equal(seen[cell], image[cell])
    assert (seen[~cell] == fill).all()
    assert seen.dtype == np.uint8
    assert seen.flags.writeable


@given(arrays(bool, SIDES).filter(lambda mask: not mask.all()))
def test_depth_is_the_distance_to_the_outside(mask):
    """Every pixel's distance to every other gives the same, and memory's layout none other."""
    expected = np.array(reference.depths(mask.tolist()))
    np.testing.assert_allclose(depth(mask), expected, rtol=1e-6)
    np.testing.assert_array_equal(depth(np.asfortranarray(mask)), depth(mask))


# Boxes and scales

FULL = arrays(bool, SIDES).filter(np.any)


@given(FULL)
def test_a_box_holds_the_mask_and_no_empty_edge(mask):
    """Rows and columns run from the first pixel to the last."""
    rows, columns = zip(*reference.pixels_of(mask.tolist()), strict=True)
    box = box_of(mask)
    assert (box[0].start, box[0].stop) == (min(rows), max(rows) + 1)
    assert (box[1].start, box[1].stop) == (min(columns), max(columns) + 1)


@given(FULL)
def test_a_disc_of_the_diameter_has_the_masks_area(mask):
    """Only the number of pixels counts; an empty mask has the diameter of one pixel."""
    assert np.pi * diameter_of(mask) ** 2 / 4 == pytest.approx(mask.sum())
    assert diameter_of(np.zeros_like(mask)) == pytest.approx(2 / np.sqrt(np.pi))


def numbered(mask):
    """Draw a value for each pixel, none like another."""
    return np.arange(mask.size, dtype=np.float32).reshape(mask.shape) ** 1.5


@given(FULL)
def test_at_its_own_scale_a_mask_is_cut_out(mask):
    """The box of the mask with its values, 0 elsewhere."""
    values, inside = at_scale(numbered(mask), mask, 1.0)
    np.testing.assert_array_equal(inside, mask[box_of(mask)])
    expected = np.where(mask, numbered(mask), 0)[box_of(mask)]
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-4)


@given(
    arrays(
        bool, st.tuples(st.integers(1, 4), st.integers(1, 4)).map(lambda s: (2 * s[0], 2 * s[1]))
    )
)
def test_halved_each_pixel_is_the_mean_of_the_masked_ones(mask):
    """Two by two in plain Python gives the same; what is outside does not bleed in."""
    mask[0, 0] = mask[-1, -1] = True
    values, inside = at_scale(numbered(mask), mask, 0.5)
    expected = reference.shrunk(numbered(mask).tolist(), mask.tolist())
    flat = [value for row in expected for value in row]
    np.testing.assert_array_equal(inside.ravel(), [value is not None for value in flat])
    np.testing.assert_allclose(values.ravel(), [value or 0 for value in flat], rtol=1e-4, atol=1e-3)


@given(FULL, st.integers(0, 5), st.integers(0, 5), st.sampled_from([0.4, 1.0, 1.7, 3.0]))
def test_neither_place_nor_surroundings_change_a_resampled_mask(mask, top, left, scale):
    """Moved into a larger picture of other values, it gives the same bytes."""
    expected = at_scale(numbered(mask), mask, scale)
    moved = np.pad(mask, ((top, 2), (left, 1)))
    values = np.full(moved.shape, 1e6, np.float32)
    values[moved] = numbered(mask)[mask]
    for seen, plane in zip(at_scale(values, moved, scale), expected, strict=True):
        np.testing.assert_array_equal(seen, plane)
