"""Laws of masks: what they agree in, how they lie in one picture, what they cut out."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.reference import isolation_reference as reference

from leukoscope.morphology.masks import Masks, depth, dice, levels_of, masks_of, without_background

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
