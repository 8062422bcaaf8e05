import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.intake.pictures import drawn
from tests.reference import occlusion_reference as reference

from leukoscope.augmentation.occlusion import added_border, background, box_px, breadth_px, erasing
from leukoscope.augmentation.sensor_steps import Erasing

NUMBER = st.floats(0, 1, exclude_max=True)
LAST = np.nextafter(1.0, 0)
SIZE = st.integers(1, 24)


@given(SIZE, SIZE, NUMBER, st.tuples(NUMBER, NUMBER, NUMBER, NUMBER))
@example(25, 5, 0.7, (0, 0, LAST, LAST))
@example(75, 75, 0.1, (0, 0, LAST, LAST))
@example(7, 9, 1.0, (0, 0, LAST, LAST))
def test_a_rectangle_lies_whole_within_and_has_its_rounded_sides(height, width, least, numbers):
    """Whatever is drawn, also at the last place there is, where floats round both ends up."""
    step = Erasing(side_range=(least, 1))
    ((_, (left, top, across, down)),) = step.operations(numbers)
    x, y, x_end, y_end = box_px((left, top, across, down), height, width)
    assert (x_end - x, y_end - y) == (round(across * width), round(down * height))
    assert 0 <= x <= x_end <= width
    assert 0 <= y <= y_end <= height
    assert abs(x - left * width) <= 1
    assert abs(y - top * height) <= 1


@given(
    SIZE,
    SIZE,
    st.sampled_from(["black", "white", "mean"]),
    st.tuples(NUMBER, NUMBER, NUMBER, NUMBER),
)
def test_a_rectangle_is_covered_and_nothing_else(height, width, fill, numbers):
    """Pixel by pixel: its colour within, the picture outside, and the picture given untouched."""
    pixels = drawn(1, height, width)
    before = pixels.copy()
    ((name, box),) = Erasing(side_range=(0, 1), fill=fill).operations(numbers)
    x, y, x_end, y_end = box_px(box, height, width)
    seen = erasing(name.removeprefix("erasing_"), *box, pixels)
    expected = reference.rectangle(fill, x, y, x_end - x, y_end - y, pixels)
    np.testing.assert_array_equal(seen, expected)
    np.testing.assert_array_equal(pixels, before)


def test_squares_of_a_fifth_have_a_fifth_of_each_side_wherever_they_lie():
    """At 128 px: 26 by 26 pixels, from the first row and column to the last."""
    corners = set()
    for number in (0.0, 0.1, 0.5, 0.77, LAST):
        ((_, box),) = Erasing().operations((0.5, 0.5, number, number))
        x, y, x_end, y_end = box_px(box, 128, 128)
        assert (x_end - x, y_end - y) == (26, 26)
        corners |= {x, x_end, y, y_end}
    assert {0, 128} <= corners


@given(
    SIZE,
    SIZE,
    st.floats(0, 0.49),
    st.sampled_from(["black", "white", "reflect"]),
)
@example(4, 4, 0.49, "reflect")
@example(2, 9, 0.49, "black")
@example(48, 48, 0.49, "reflect")
def test_a_border_covers_the_edge_and_leaves_the_middle(height, width, share, fill):
    """Pixel by pixel, on the smallest pictures too: some of the middle is always left."""
    pixels = drawn(2, height, width)
    before = pixels.copy()
    breadth = breadth_px(share, height, width)
    assert 2 * breadth < min(height, width)
    assert abs(breadth - share * min(height, width)) <= 1
    seen = added_border(fill, share, pixels)
    np.testing.assert_array_equal(seen, reference.border(fill, breadth, pixels))
    np.testing.assert_array_equal(pixels, before)
    assert (seen is pixels) == (breadth == 0)


@given(SIZE, SIZE, st.sampled_from(["black", "white", "mean"]), st.integers(0, 99))
def test_the_background_is_covered_and_the_cell_kept(height, width, fill, seed):
    """Outside the mask there is one colour, the outside's own mean or the one named."""
    pixels = drawn(3, height, width)
    before = pixels.copy()
    mask = np.random.default_rng(seed).choice(np.array([0, 1, 255], np.uint8), (height, width))
    seen = background(fill, mask, pixels)
    np.testing.assert_array_equal(seen[mask > 0], pixels[mask > 0])
    if (mask == 0).any():
        mean = np.rint(pixels[mask == 0].astype(float).mean(axis=0))
        assert (seen[mask == 0] == (reference.COLOURS.get(fill) or mean)).all()
    np.testing.assert_array_equal(pixels, before)


def test_where_all_is_cell_the_background_is_nothing_to_replace():
    """The very picture comes back."""
    pixels = drawn(0)
    assert background("mean", np.ones((8, 8), np.uint8), pixels) is pixels


@pytest.mark.parametrize("fill", ["black", "white", "mean"])
def test_where_nothing_is_cell_all_is_covered(fill):
    """One colour everywhere."""
    seen = background(fill, np.zeros((8, 8), np.uint8), drawn(0))
    assert (seen == seen[0, 0]).all()
