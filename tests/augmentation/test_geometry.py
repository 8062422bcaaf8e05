import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.intake.pictures import drawn
from tests.reference import geometry_reference

from leukoscope.augmentation.draw import Draw
from leukoscope.augmentation.apply import apply, is_exact, matrix_of, move, warp

BORDERS = ("reflect", "edge", "constant")
EXACT = st.sampled_from(
    [("rotation_deg", 90.0 * k) for k in range(-5, 6)]
    + [("flip_horizontal", 1.0), ("flip_vertical", 1.0)]
)
TURN = st.floats(-720, 720).map(lambda angle: ("rotation_deg", angle))
PICTURE = st.builds(drawn, st.integers(0, 99), st.integers(1, 12), st.integers(1, 12))
# The eight orientations, named by how they are reached from upright.
ORIENTATIONS = [
    (*(("flip_horizontal", 1.0),) * flipped, ("rotation_deg", 90.0 * k))
    for flipped in (0, 1)
    for k in range(4)
]


def turned(pixels, *moves, border="reflect"):
    return apply(Draw(tuple(moves), border), pixels)


# Exact moves


@given(PICTURE, st.lists(EXACT, max_size=6))
def test_chains_of_right_angles_and_flips_equal_those_of_numpy(pixels, moves):
    """In any chain, on pictures that are not square too, pixels go where numpy puts them."""
    seen = turned(pixels, *moves)
    np.testing.assert_array_equal(seen, geometry_reference.exactly(moves, pixels))
    assert seen.flags["C_CONTIGUOUS"]
    assert sorted(seen.ravel()) == sorted(pixels.ravel())


def test_the_eight_orientations_are_closed_and_all_different():
    """Any two after one another are a third, the same that numpy finds; there are eight."""
    pixels = drawn(0, 5, 7)
    images = {
        apply(Draw(o), pixels).tobytes() + bytes(apply(Draw(o), pixels).shape): o
        for o in ORIENTATIONS
    }
    assert len(images) == 8
    for one, other in itertools.product(ORIENTATIONS, repeat=2):
        matrix = matrix_of(Draw(other)) @ matrix_of(Draw(one))
        np.testing.assert_array_equal(matrix, matrix_of(Draw(one + other)))
        seen = move(matrix, pixels)
        np.testing.assert_array_equal(seen, apply(Draw(other), apply(Draw(one), pixels)))
        assert seen.tobytes() + bytes(seen.shape) in images


@given(PICTURE)
def test_four_quarter_turns_and_two_flips_are_nothing(pixels):
    """They change no bit, done one after the other or as one chain."""
    quarter = ("rotation_deg", 90.0)
    for moves in ([quarter] * 4, [("flip_horizontal", 1.0)] * 2, [("flip_vertical", 1.0)] * 2):
        step_by_step = pixels
        for each in moves:
            step_by_step = turned(step_by_step, each)
        np.testing.assert_array_equal(step_by_step, pixels)
        np.testing.assert_array_equal(turned(pixels, *moves), pixels)
    half = ("rotation_deg", 180.0)
    both = turned(pixels, ("flip_horizontal", 1.0), ("flip_vertical", 1.0))
    np.testing.assert_array_equal(both, turned(pixels, half))


def test_directions_by_hand():
    """A quarter turn takes the top right corner to the top left; flips are named by their axis."""
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 2] = 9
    assert turned(pixels, ("rotation_deg", 90.0))[0, 0, 0] == 9
    assert turned(pixels, ("flip_horizontal", 1.0))[0, 0, 0] == 9
    assert turned(pixels, ("flip_vertical", 1.0))[1, 2, 0] == 9
    assert turned(pixels, ("rotation_deg", -90.0))[2, 1, 0] == 9


@given(PICTURE, st.sampled_from(BORDERS))
def test_the_identity_changes_no_bit_and_shares_no_memory_to_write(pixels, border):
    """Nothing drawn is nothing done; the picture given is left as it was in any case."""
    before = pixels.copy()
    np.testing.assert_array_equal(turned(pixels, border=border), pixels)
    for moves in ORIENTATIONS:
        apply(Draw(moves, border), pixels)
    turned(pixels, ("rotation_deg", 33.0), border=border)
    np.testing.assert_array_equal(pixels, before)


# Resampling


@pytest.mark.parametrize("n_steps", [2, 3, 6, 8, 24, 72])
def test_a_full_turn_in_steps_is_nothing(n_steps):
    """24 turns of 15° in one chain, or any such, return the picture bit for bit."""
    pixels = drawn(0, 20, 31)
    steps = [("rotation_deg", 360 / n_steps)] * n_steps
    np.testing.assert_array_equal(turned(pixels, *steps), pixels)
    quarter = turned(pixels, ("rotation_deg", 37.5), ("rotation_deg", 52.5))
    np.testing.assert_array_equal(quarter, np.rot90(pixels))


def test_a_chain_is_resampled_once():
    """Turning to and fro within a chain loses nothing; done one by one it blurs."""
    pixels = drawn(0, 31, 31)
    to, fro = ("rotation_deg", 20.0), ("rotation_deg", -20.0)
    np.testing.assert_array_equal(turned(pixels, to, fro), pixels)
    one_by_one = turned(turned(pixels, to), fro)
    assert np.abs(one_by_one[8:-8, 8:-8].astype(int) - pixels[8:-8, 8:-8]).mean() > 2
    once = turned(pixels, ("rotation_deg", 40.0))
    np.testing.assert_array_equal(turned(pixels, to, to), once)


@pytest.mark.parametrize("border", BORDERS)
@settings(max_examples=30)
@given(
    number=st.integers(0, 99),
    height=st.integers(1, 16),
    width=st.integers(1, 16),
    moves=st.lists(st.one_of(TURN, EXACT), min_size=1, max_size=3),
)
def test_a_warp_agrees_with_a_slow_one_to_one_level(border, number, height, width, moves):
    """Every pixel, corners included, is within one level of sampling in double precision."""
    pixels = drawn(number, height, width)
    seen = warp(matrix_of(Draw(tuple(moves))), pixels, border)
    expected = geometry_reference.warped(moves, pixels, border)
    assert seen.shape == pixels.shape
    assert np.abs(seen - expected).max() <= 1


def test_a_positive_angle_turns_to_the_left():
    """A mark right of the centre moves up, as angles are counted in mathematics."""
    pixels = np.zeros((41, 41, 3), np.uint8)
    pixels[18:23, 33:38] = 255
    for angle in (15.0, 30.0, 60.0, 89.0):
        y, x = np.argwhere(turned(pixels, ("rotation_deg", angle))[..., 0] > 128).mean(axis=0)
        seen = np.degrees(np.arctan2(20 - y, x - 20))
        assert seen == pytest.approx(angle, abs=2)


def test_borders_fill_as_they_are_named():
    """Black, the edge's colour, or the picture mirrored: seen in the corner of a turned slope."""
    pixels = np.full((21, 21, 3), 200, np.uint8)
    for border, corner in (("constant", 0), ("edge", 200), ("reflect", 200)):
        assert turned(pixels, ("rotation_deg", 45.0), border=border)[0, 0, 0] == corner
    slope = np.repeat((np.arange(21, dtype=np.uint8) * 10)[None, :, None], 21, axis=0).repeat(3, 2)
    mirrored = turned(slope, ("rotation_deg", 10.0), border="reflect")
    edged = turned(slope, ("rotation_deg", 10.0), border="edge")
    assert not np.array_equal(mirrored, edged)


@settings(max_examples=40)
@given(TURN)
def test_a_picture_of_one_colour_stays_so(turn):
    """Weights sum to one: turning a plain picture makes no seams."""
    pixels = np.full((9, 14, 3), 137, np.uint8)
    for border in ("reflect", "edge"):
        seen = turned(pixels, turn, border=border)
        assert (seen == 137).all()


def test_an_unknown_move_is_no_move():
    """A name that means nothing is not passed over."""
    with pytest.raises(ValueError, match="zoom"):
        matrix_of(Draw((("zoom", 2.0),)))
    assert is_exact(np.array([[0.0, -1.0], [1.0, 0.0]]))
    assert not is_exact(np.array([[0.8, -0.6], [0.6, 0.8]]))
