"""Laws of the empty field and of absorption."""

import functools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.reference import isolation_reference as reference

from leukoscope.foundation.streams import stream
from leukoscope.intake.phantom import PhantomRecipe, cells
from leukoscope.morphology.field import (
    absorbance,
    blank_colour,
    erythrocyte_diameter,
    removed_blank,
    thing_before_one_colour,
    with_black_filled,
)
from leukoscope.morphology.masks import without_background

COLOURS = st.tuples(*[st.integers(0, 255)] * 3)
SMALL = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))
DARKEST = 4.0


@given(SMALL)
def test_where_pixels_lie_says_nothing_of_the_field(image):
    """Pixels in another order have the same blank colour, within 1 to 255."""
    blank = blank_colour(image)
    other = stream(1, "order").permutation(image.reshape(-1, 3))[None]
    np.testing.assert_array_equal(blank_colour(other), blank)
    assert blank.shape == (3,)
    assert ((blank >= 1) & (blank <= 255)).all()


@pytest.mark.parametrize("share", [0.12, 0.5, 1.0])
def test_the_field_is_found_where_little_of_it_is_seen(share):
    """A tenth of the picture is enough for the colour of the lamp."""
    rng = stream(2, "field", str(share))
    image = rng.integers(40, 150, (60, 60, 3)).astype(np.uint8)
    empty = rng.random((60, 60)) < share
    noise = rng.normal(0, 2, (int(empty.sum()), 3))
    image[empty] = np.clip(np.rint(noise + np.array((238, 222, 190))), 0, 255)
    # The brightest tenth in green is a little brighter in green than the field is in the mean.
    assert blank_colour(image) == pytest.approx((238, 222, 190), abs=5)


@given(SMALL, COLOURS.map(lambda colour: tuple(max(level, 1) for level in colour)))
def test_density_is_a_logarithm_pixel_by_pixel(image, blank):
    """Plain arithmetic gives the same; the blank colour itself has none."""
    seen = absorbance(image, np.array(blank, np.float32))
    assert seen.dtype == np.float32
    expected = [
        [
            [reference.density(v, b, darkest=DARKEST) for v, b in zip(p, blank, strict=True)]
            for p in r
        ]
        for r in image.tolist()
    ]
    np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=1e-5)


def test_twice_the_dye_has_twice_the_density():
    """Beer and Lambert: densities add up, whatever the lamp."""
    blank = np.array([250, 236, 222], np.float32)
    once = np.array([0.3, 0.5, 0.2])
    image = np.rint(blank * np.exp(-np.outer([0, 1, 2], once)))[None].astype(np.uint8)
    seen = absorbance(image, blank)[0]
    np.testing.assert_allclose(seen, np.outer([0, 1, 2], once), atol=0.01)


def test_smoothing_changes_no_even_picture():
    """A blur of one colour is that colour; of a speck it is less."""
    blank = np.array([250, 236, 222], np.float32)
    image = np.full((20, 20, 3), (200, 150, 180), np.uint8)
    even = absorbance(image, blank)
    np.testing.assert_allclose(absorbance(image, blank, blur_px=1.5), even, atol=1e-5)
    image[10, 10] = 20
    assert absorbance(image, blank, blur_px=1.5).max() < absorbance(image, blank).max()


# Backgrounds that were removed


@functools.cache
def phantoms():
    return list(cells(PhantomRecipe(name="field", seed=6, n_cases=2, cells_per_case=4)))


@given(COLOURS)
def test_a_removed_background_is_seen_whatever_its_colour(fill):
    """The cell is found exactly: holes of the fill's colour are filled; its border may lose some.

    Only the fill's very colour on the cell's border cannot be told from the fill.
    """
    cell = phantoms()[0].cell_mask
    image = without_background(phantoms()[0].image, cell, fill)
    seen = thing_before_one_colour(image)
    alike = cell & (image == np.array(fill)).all(axis=2)
    assert seen is not None
    assert not (seen & ~cell).any()
    assert not (cell & ~seen & ~alike).any()


@given(arrays(bool, (7, 7)).filter(np.any))
def test_holes_are_the_cells(mask):
    """What cannot be reached from outside belongs to the cell; two things are not one cell."""
    image = np.full((9, 9, 3), 200, np.uint8)
    image[1:-1, 1:-1][mask] = (120, 60, 160)
    seen = thing_before_one_colour(image)
    n_things, _ = cv2.connectedComponents(np.pad(mask, 1).astype(np.uint8), connectivity=8)
    assert (seen is None) == (n_things != 2)
    if seen is not None:
        pixels = reference.pixels_of(np.pad(mask, 1).tolist())
        assert reference.pixels_of(seen.tolist()) == reference.filled(pixels, 9, 9)


def test_real_fields_are_not_taken_for_removed_ones():
    """No phantom picture has one, nor has a fill with one other pixel in the frame, nor a fill."""
    for cell in phantoms():
        assert thing_before_one_colour(cell.image) is None
    image = without_background(phantoms()[0].image, phantoms()[0].cell_mask, (255, 255, 255))
    image[0, 5, 1] -= 1
    assert thing_before_one_colour(image) is None
    assert thing_before_one_colour(np.full((20, 20, 3), 77, np.uint8)) is None


# Black that reaches in


@given(arrays(bool, st.tuples(st.integers(3, 14), st.integers(3, 14))))
def test_black_from_the_frame_is_filled_with_two_pixels_around_it(black):
    """Steps in plain Python reach the same pixels; black that lies within stays."""
    height, width = black.shape
    image = stream(3, "black").integers(40, 200, (height, width, 3)).astype(np.uint8)
    image[black] = (12, 0, 7)
    reached = reference.reaching_in(reference.pixels_of(black.tolist()), height, width)
    wide = reference.near(reached, height, width, steps=2)
    filled, blank = with_black_filled(image)
    if not reached or len(wide) == height * width:
        assert filled is image
        np.testing.assert_array_equal(blank, blank_colour(image))
        return
    outside = np.zeros_like(black)
    outside[tuple(zip(*wide, strict=True))] = True
    np.testing.assert_array_equal(filled[~outside], image[~outside])
    assert (filled[outside] == np.round(blank)).all()
    removed = outside.mean() > 0.4
    expected = removed_blank() if removed else blank_colour(image[~outside][None])
    np.testing.assert_array_equal(blank, expected)


def test_a_picture_without_black_at_its_frame_is_left_as_it_is():
    """Phantoms are, and one with a black spot in its middle."""
    for cell in phantoms():
        assert with_black_filled(cell.image)[0] is cell.image
    image = phantoms()[0].image.copy()
    image[30:40, 30:40] = 0
    assert with_black_filled(image)[0] is image


def test_black_corners_do_not_change_the_field():
    """A round field has the colour of the whole one, however much is black outside it."""
    for cell in phantoms():
        side = len(cell.image)
        y, x = np.mgrid[:side, :side] - (side - 1) / 2
        image = without_background(cell.image, np.hypot(y, x) < side / 2, (0, 0, 0))
        filled, blank = with_black_filled(image)
        assert blank == pytest.approx(blank_colour(cell.image), abs=3)
        assert filled.max(axis=2).min() > 12


# Erythrocytes


def planted(diameter, places, *, side=160):
    """Plant discs of a haemoglobin's density; the density and an empty cell's mask."""
    y, x = np.mgrid[:side, :side]
    density = stream(4, "erythrocytes").normal(0, 0.01, (side, side, 3)).astype(np.float32)
    for row, column in places:
        density[np.hypot(y - row, x - column) <= diameter / 2] += (0.1, 0.4, 0.45)
    return density


CORNERS = ((40, 40), (40, 120), (120, 40), (120, 120))


@pytest.mark.parametrize("diameter", [14, 22, 31, 44])
def test_the_diameter_of_erythrocytes_is_that_planted(diameter):
    """From outlines through the middles of pixels: seen up to a pixel less."""
    density, cell = planted(diameter, CORNERS), np.zeros((160, 160), bool)
    assert diameter - 1.2 < erythrocyte_diameter(density, cell) < diameter + 0.5


def test_only_whole_round_things_beside_the_cell_are_erythrocytes():
    """A fourth cut by the frame, one in the cell, a speck and a bar change nothing."""
    empty = np.zeros((160, 160), bool)
    expected = erythrocyte_diameter(planted(30, CORNERS[:3]), empty)
    density, cell = planted(30, (*CORNERS, (80, 158))), empty.copy()
    cell[100:140, 100:140] = True
    density[cell] = 0.9
    density[75:79, 20:120] += 0.45
    density[150:152, 80:82] += 0.45
    assert erythrocyte_diameter(density, cell) == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_fewer_than_three_erythrocytes_are_no_scale(number):
    """Nothing is said of them."""
    assert erythrocyte_diameter(planted(30, CORNERS[:number]), np.zeros((160, 160), bool)) is None
