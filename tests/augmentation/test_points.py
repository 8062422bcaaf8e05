import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.augmentation.chains import CHAIN, ORIENTING, SHIFT, SIZE, STRAIGHT_CHAIN, phantom
from tests.reference import warp_reference

from leukoscope.augmentation.apply import apply_to_mask
from leukoscope.augmentation.draw import Draw
from leukoscope.augmentation.points import map_box, map_points, size_of
from leukoscope.augmentation.resampling import move_and_warp
from leukoscope.morphology.masks import box_of

FIELD = ("elastic", (0.02, 0.15, 12.0))


def bounds(mask):
    rows, columns = box_of(mask)
    return columns.start, rows.start, columns.stop, rows.stop


def is_fold_free(chain):
    """Tell whether the fields of a chain together are weak enough to have one way back."""
    return sum(given_[0] / given_[1] for name, given_ in chain if name == "elastic") <= 0.1


ONE_WAY_CHAIN = CHAIN.filter(is_fold_free)


# Points


@settings(max_examples=200)
@given(ONE_WAY_CHAIN, SIZE)
def test_points_come_back_to_the_pixels_that_show_them(chain, size):
    """Forwards after backwards is nothing, to a thousandth of a pixel, for every pixel."""
    drawn = Draw(chain)
    x, y = warp_reference.places(chain, *size, is_crossed=size_of(drawn, *size) != size)
    seen = map_points(drawn, np.column_stack([x.ravel(), y.ravel()]), *size)
    rows, columns = np.indices(x.shape)
    np.testing.assert_allclose(seen, np.column_stack([columns.ravel(), rows.ravel()]), atol=1e-3)


@given(st.lists(st.one_of(ORIENTING, SHIFT), max_size=5).map(tuple), SIZE)
def test_exact_chains_bring_points_where_they_bring_pixels(chain, size):
    """Right angles of pictures that are not square included: a marked pixel is found there."""
    drawn = Draw(chain, "constant")
    row, column = size[0] // 2, size[1] // 3
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[row, column] = 255
    moved = move_and_warp(drawn, pixels)
    assert moved.shape[:2] == size_of(drawn, *size)
    seen = map_points(drawn, [(column, row)], *size)
    found = np.argwhere(moved[..., 0])[:, ::-1]
    if len(found):
        np.testing.assert_allclose(seen, found, atol=1e-9)
    else:
        assert (seen < 0).any() or (seen >= moved.shape[1::-1]).any()


@given(st.floats(-0.32, 1))
def test_a_lens_brings_places_back_to_the_corners(strength):
    """What the corner shows, at 1 + k times its distance, is mapped onto the corner."""
    shown = np.array([[-1.0, -1], [1, -1], [-1, 1], [1, 1]]) * 15 * (1 + strength) + 15
    seen = map_points(Draw((("lens", (strength,)),)), shown, 31, 31)
    np.testing.assert_allclose(seen, [[0, 0], [30, 0], [0, 30], [30, 30]], atol=1e-9)


@given(STRAIGHT_CHAIN, st.floats(0, 1))
def test_straight_maps_keep_lines_straight(chain, share):
    """A point between two others stays where it was between them."""
    ends = np.array([[3.0, 4.0], [21.0, 9.0]])
    between = (1 - share) * ends[0] + share * ends[1]
    first, last, seen = map_points(Draw(chain), [*ends, between], 24, 31)
    np.testing.assert_allclose(seen, (1 - share) * first + share * last, atol=1e-8)


def test_no_point_and_no_geometry_are_no_work():
    """An empty list gives an empty array; without geometry points stay, and the list is its own."""
    assert map_points(Draw((FIELD,)), np.empty((0, 2)), 9, 9).shape == (0, 2)
    points = np.array([[1.5, 2.0]])
    seen = map_points(Draw((("brightness", (1.2,)),)), points, 9, 9)
    np.testing.assert_array_equal(seen, points)
    assert not np.shares_memory(seen, points)


# Boxes


@settings(max_examples=150)
@given(ONE_WAY_CHAIN, st.integers(0, 23))
def test_a_mapped_box_holds_the_mapped_cell(chain, number):
    """Whatever of a drawn cell is left in the picture lies in the box mapped with it."""
    cell = phantom(number, 48)
    drawn = Draw(chain)
    followed = apply_to_mask(drawn, cell.cell_mask.astype(np.uint8))
    box = map_box(drawn, cell.box_px, *cell.cell_mask.shape)
    if not followed.any():
        return
    left, top, right, bottom = bounds(followed > 0)
    assert box is not None
    assert box[0] <= left
    assert box[1] <= top
    assert box[2] >= right
    assert box[3] >= bottom


@given(st.lists(st.one_of(ORIENTING, SHIFT), max_size=5).map(tuple), st.integers(0, 23))
def test_exact_moves_give_the_very_bounds(chain, number):
    """Turned by right angles, mirrored and shifted, the box is that of its own moved pixels."""
    box = phantom(number, 48).box_px
    filled = np.zeros((48, 60), np.uint8)
    filled[box[1] : box[3], box[0] : box[2]] = 1
    followed = apply_to_mask(Draw(chain), filled)
    expected = bounds(followed > 0) if followed.any() else None
    assert map_box(Draw(chain), box, 48, 60) == expected


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (24, 31)])
def test_a_box_without_geometry_stays(size):
    """Whole pictures too, down to a single pixel; what reaches outside is cut."""
    height, width = size
    whole = (0, 0, width, height)
    assert map_box(Draw(), whole, *size) == whole
    assert map_box(Draw(), (-5, -5, width + 9, height + 9), *size) == whole


def test_a_box_that_has_left_the_picture_is_none():
    """Shifted out by its last pixel there is nothing to tell; one pixel less leaves one."""
    box = (2, 3, 6, 8)
    assert map_box(Draw((("shift", (-6 / 20, 0.0)),)), box, 20, 20) is None
    assert map_box(Draw((("shift", (-5 / 20, 0.0)),)), box, 20, 20) == (0, 3, 1, 8)
    assert map_box(Draw((("shift", (0.0, -8 / 20)),)), box, 20, 20) is None
    assert map_box(Draw((("shift", (0.9, 0.9)),)), box, 20, 20) is None


def test_boxes_by_hand():
    """Twice as large about the centre; turned by 45° √2 times as broad; a list as in a manifest."""
    twice = Draw((("scaling", (2.0, 2.0)),))
    assert map_box(twice, [8, 8, 12, 12], 20, 20) == (6, 6, 14, 14)
    turned = Draw((("rotation_deg", (45.0,)),))
    left, top, right, bottom = map_box(turned, (40, 40, 60, 60), 100, 100)
    assert (left, top) == (35, 35)
    assert (right, bottom) == (65, 65)
    quarter = Draw((("rotation_deg", (90.0,)),))
    assert map_box(quarter, (10, 0, 14, 3), 6, 14) == (0, 0, 3, 4)
