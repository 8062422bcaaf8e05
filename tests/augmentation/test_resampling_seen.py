"""What resampling does, as it is seen in a picture: directions, sizes, borders, masks."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.augmentation.chains import CHAIN, FILL, draw_of, phantom, turned

from leukoscope.augmentation.apply import apply_to_mask
from leukoscope.augmentation.draw import Draw
from leukoscope.augmentation.resampling import fill_of, move_and_warp
from leukoscope.morphology.field import blank_colour

LEVELS = 128
"""Of 255, between what is in a mask and what is not."""


# Directions and sizes, seen in the picture


def disc(x, y, radius=3, size=61):
    row, column = np.mgrid[:size, :size] - (size - 1) / 2
    inside = (column - x) ** 2 + (row - y) ** 2 <= radius**2
    return np.repeat(inside[..., None] * np.uint8(255), 3, axis=2)


def on_black(pixels, *operations):
    return move_and_warp(Draw(operations, "constant"), pixels)


def middle_of(pixels):
    """Find the middle of what is bright, from the centre, x to the right and y down."""
    weight = pixels[..., 0].astype(float)
    row, column = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    where = [(weight * place).sum() / weight.sum() for place in (column, row)]
    return where[0] - (pixels.shape[1] - 1) / 2, where[1] - (pixels.shape[0] - 1) / 2


@pytest.mark.parametrize("angle", [15.0, 30.0, 89.0, 133.0, -50.0])
def test_a_positive_angle_turns_to_the_left(angle):
    """A mark right of the centre moves up, as angles are counted in mathematics."""
    x, y = middle_of(on_black(disc(20, 0), ("rotation_deg", (angle,))))
    assert (x, -y) == pytest.approx(
        (20 * np.cos(np.radians(angle)), 20 * np.sin(np.radians(angle))), abs=0.1
    )


def test_marks_move_as_each_operation_says():
    """Scaling away from the centre; shifts right and down; shear across, then down; a lens."""
    for operation, at, to in (
        (("scaling", (1.2, 1.2)), (10, -15), (12, -18)),
        (("scaling", (0.5, 1.5)), (10, -10), (5, -15)),
        (("shift", (0.1, -0.2)), (5, 5), (11, -7)),
        (("shear_deg", (45.0, 0.0)), (0, 10), (10, 10)),
        (("shear_deg", (0.0, 45.0)), (10, 0), (10, 10)),
        (("shear_deg", (45.0, 45.0)), (0, 10), (10, 20)),
        (("lens", (0.5,)), (0, 22.5 * 1.140625), (0, 22.5)),
    ):
        seen = on_black(disc(*at, radius=2.5), operation)
        np.testing.assert_allclose(middle_of(seen), to, atol=0.35)


@pytest.mark.parametrize("factor", [0.6, 0.8, 1.2, 1.7])
def test_a_scaled_cell_is_that_much_larger(factor):
    """The area of a disc grows by the square of the factor, or by the factor along one axis."""
    pixels = disc(0, 0, radius=15)
    before = (pixels > LEVELS).sum()
    both = on_black(pixels, ("scaling", (factor, factor)))
    assert (both > LEVELS).sum() / before == pytest.approx(factor**2, rel=0.02)
    one = on_black(pixels, ("scaling", (factor, 1.0)))
    assert (one > LEVELS).sum() / before == pytest.approx(factor, rel=0.02)


def test_the_order_of_a_chain_counts():
    """Shifted and then turned is not turned and then shifted."""
    shift, turn = ("shift", (0.2, 0.0)), ("rotation_deg", (90.0,))
    first = middle_of(turned(disc(0, 0), shift, turn))
    second = middle_of(turned(disc(0, 0), turn, shift))
    np.testing.assert_allclose(first, (0, -12), atol=1e-9)
    np.testing.assert_allclose(second, (12, 0), atol=1e-9)


# Borders


def test_borders_fill_as_they_are_named():
    """The colour asked for, the edge's, the picture mirrored, or the empty field's colour."""
    pixels = phantom(4).image
    turn = ("rotation_deg", (45.0,))
    assert (turned(pixels, turn, border="constant")[0, 0] == FILL).all()
    blank = np.rint(blank_colour(pixels[::2, ::2]))
    np.testing.assert_array_equal(turned(pixels, turn, border="background")[0, 0], blank)
    slope = np.repeat((np.arange(21, dtype=np.uint8) * 10)[None, :, None], 21, axis=0).repeat(3, 2)
    away = ("shift", (5 / 21, 0.0))
    row = [turned(slope, away, border=border)[0, :6, 0].tolist() for border in ("reflect", "edge")]
    assert row == [[50, 40, 30, 20, 10, 0], [0, 0, 0, 0, 0, 0]]


def test_the_colour_of_free_places_is_the_recipes_or_the_fields():
    """Only a constant and a background colour are colours; neither is taken from elsewhere."""
    pixels = phantom(5, 128).image
    assert fill_of(draw_of(border="constant"), pixels) == FILL
    assert fill_of(draw_of(border="edge"), pixels) == (0, 0, 0)
    seen = fill_of(draw_of(border="background"), pixels)
    assert np.abs(np.array(seen) - blank_colour(pixels)).max() <= 3


# Masks


@settings(max_examples=100)
@given(CHAIN, st.integers(0, 23))
def test_a_mask_goes_where_its_picture_goes(chain, number):
    """A picture made of a mask, warped: wherever it is still black or white, the mask agrees."""
    mask = phantom(number, 48).cell_mask * np.uint8(255)
    drawn_ = Draw(chain, "constant")
    picture = move_and_warp(drawn_, np.repeat(mask[..., None], 3, axis=2))[..., 0]
    followed = apply_to_mask(drawn_, mask)
    assert followed.shape == picture.shape
    for level in (0, 255):
        assert (followed[picture == level] == level).all()
    assert set(np.unique(followed)) <= {0, 255}


ANGLES = (7.0, 33.0, 45.0, 71.5, 160.0, 305.0)


@pytest.mark.parametrize("number", range(0, 24, 4))
def test_a_turn_keeps_the_area_of_drawn_nuclei(number):
    """Within 2 %, whatever the angle."""
    assert_area_kept(phantom(number, 96).nucleus_mask * np.uint8(255))


def test_a_turn_keeps_the_area_of_real_nuclei(shared):
    """Within 2 %, for every fifth of the 400 nuclei, where a turn leaves it in its picture."""
    n_seen = 0
    for file in sorted((shared / "data/segmentation-wbc").glob("dataset-*/masks/*.png"))[::5]:
        levels = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        nucleus = (levels == 255) * np.uint8(255)
        row, column = np.nonzero(nucleus)
        height, width = nucleus.shape
        far = np.hypot(row - (height - 1) / 2, column - (width - 1) / 2).max(initial=0)
        if 0 < far < (min(height, width) - 1) / 2:
            assert_area_kept(nucleus)
            n_seen += 1
    assert n_seen > 40


def assert_area_kept(mask):
    before = np.count_nonzero(mask)
    for angle in ANGLES:
        drawn_ = Draw((("rotation_deg", (angle,)),), "constant")
        assert np.count_nonzero(apply_to_mask(drawn_, mask)) == pytest.approx(before, rel=0.02)
        picture = move_and_warp(drawn_, np.repeat(mask[..., None], 3, axis=2))[..., 0]
        assert (picture >= LEVELS).sum() == pytest.approx(before, rel=0.02)
