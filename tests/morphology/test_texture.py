import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import texture_reference

from leukoscope.foundation.streams import stream
from leukoscope.morphology.colour import lightness, luminance
from leukoscope.morphology.definitions import DIAMETER_PX, N_RADII
from leukoscope.morphology.masks import diameter_of
from leukoscope.morphology.texture import (
    darkness_of,
    focus,
    granularity,
    opened,
)

SMALL = st.tuples(st.integers(0, 99), st.integers(1, 14), st.integers(1, 14))
# The side of a square that needs no resampling: it has the area of a disc of 64 px.
SIDE_PX = 57


def drawn(seed, height, width, share=0.7):
    """Draw a plane and a mask of chance pixels, at least one."""
    rng = stream(seed, "test", "texture")
    mask = rng.random((height, width)) < share
    mask[height // 2, width // 2] = True
    return rng.random((height, width), np.float32), mask


def disc(radius, size):
    """Draw a mask: the pixels whose centres are at most a radius from the middle."""
    offset = np.arange(size) - (size - 1) / 2
    return offset[:, None] ** 2 + offset**2 <= radius**2


def grainy(seed, size=80, fine_px=0.0):
    """Draw a round cell on white: chance colours, blurred if wanted, always of one contrast."""
    noise = stream(seed, "test", "grain").standard_normal((size, size, 3), np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), fine_px) if fine_px else noise
    image = (130 + 30 * noise / noise.std()).clip(0, 255)
    cell = disc(0.4 * size, size)
    return np.where(cell[..., None], image, 255).astype(np.uint8), cell


# Opening within a mask


@given(SMALL, st.integers(1, 4))
def test_an_opening_equals_the_oracle(size, radius):
    """In masks with holes, at the border and in pieces, each pixel is the oracle's."""
    values, mask = drawn(*size)
    expected = texture_reference.opened(values.tolist(), mask.tolist(), radius)
    np.testing.assert_array_equal(opened(values, mask, radius), np.float32(expected))


@given(SMALL, st.integers(1, 4))
def test_an_opening_takes_away_and_only_once(size, radius):
    """It is nowhere above the plane, does nothing more when repeated, and keeps an order."""
    values, mask = drawn(*size)
    once = opened(values, mask, radius)
    assert (once[mask] <= values[mask]).all()
    np.testing.assert_array_equal(opened(once, mask, radius), once)
    above = opened(values + np.float32(0.1) * drawn(5, *size[1:])[0], mask, radius)
    assert (above[mask] >= once[mask]).all()


@given(SMALL, st.sampled_from([0, 1, -1e9, np.nan, np.inf, -np.inf]))
def test_what_is_outside_has_no_say(size, outside):
    """Anything may stand outside the mask: opening and spectrum are the same to the last bit."""
    values, mask = drawn(*size)
    other = np.where(mask, values, np.float32(outside))
    np.testing.assert_array_equal(opened(other, mask, 2), opened(values, mask, 2))
    np.testing.assert_array_equal(granularity(other, mask, 30.0), granularity(values, mask, 30.0))


# Granularity


@given(SMALL)
@settings(max_examples=30)
def test_a_spectrum_equals_the_oracle(size):
    """Without resampling it is what plain openings take away, radius by radius."""
    values, mask = drawn(*size)
    expected = texture_reference.spectrum(values.tolist(), mask.tolist(), N_RADII)
    np.testing.assert_allclose(granularity(values, mask, DIAMETER_PX), expected, atol=1e-6)


@pytest.mark.parametrize("diameter_px", [80.0, 101.3, 130.0])
def test_a_shrunk_spectrum_equals_the_oracle(diameter_px):
    """A large cell is averaged within its mask alone, and measured on the coarser grid."""
    values, mask = drawn(2, 26, 33, share=0.9)
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    size = (round(n * DIAMETER_PX / diameter_px) for n in mask[box].shape)
    coarse, inside = texture_reference.shrunk(values[box].tolist(), mask[box].tolist(), *size)
    expected = texture_reference.spectrum(coarse, inside, N_RADII)
    np.testing.assert_allclose(granularity(values, mask, diameter_px), expected, atol=1e-5)


@pytest.mark.parametrize("radius", range(1, N_RADII + 1))
def test_granules_of_one_size_stand_at_their_radius(radius):
    """Discs that just hold the opening before theirs go at their own radius, all of them."""
    darkness = np.full((SIDE_PX, SIDE_PX), 0.2, np.float32)
    granule = disc(radius - 1, 2 * radius - 1)
    for top in range(4, 44, 16):
        for left in range(4, 44, 16):
            darkness[top : top + 2 * radius - 1, left : left + 2 * radius - 1][granule] += 0.5
    seen = granularity(darkness, np.ones_like(darkness, bool), DIAMETER_PX)
    expected = np.zeros(N_RADII)
    expected[radius - 1] = 9 * granule.sum() * 0.5 / SIDE_PX**2
    np.testing.assert_allclose(seen, expected, atol=1e-6)


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.6, 3.5])
@pytest.mark.parametrize("radius", [2, 3, 4])
def test_round_granules_stand_near_their_radius_at_any_size(radius, scale):
    """Smooth discs half a step below a radius weigh there, however many pixels the cell has."""
    fine, size = 8, round(SIDE_PX * scale)
    canvas = np.zeros((SIDE_PX * fine, SIDE_PX * fine), np.float32)
    for top in range(8, 50, 14):
        for left in range(8, 50, 14):
            cv2.circle(canvas, (left * fine, top * fine), round((radius - 0.5) * fine), 1, -1)
    darkness = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    spectrum = granularity(darkness, np.ones_like(darkness, bool), DIAMETER_PX * scale)
    centre = np.dot(spectrum, range(1, N_RADII + 1)) / np.sum(spectrum)
    assert centre == pytest.approx(radius, abs=0.75)
    assert np.argmax(spectrum) + 1 in {radius, radius - 1} if scale < 1 else {radius}


def test_larger_granules_weigh_at_larger_radii():
    """The spectrum's centre moves with the grain of one and the same noise."""
    centres = []
    for fine_px in (0.5, 1.0, 2.0, 3.0):
        image, cell = grainy(3, fine_px=fine_px)
        spectrum = granularity(darkness_of(image), cell, diameter_of(cell))
        assert min(spectrum) >= 0
        centres.append(np.dot(spectrum, range(1, N_RADII + 1)) / np.sum(spectrum))
    assert centres == sorted(centres)
    assert centres[-1] - centres[0] > 1


@given(st.floats(0.1, 3), st.floats(-1, 1))
def test_a_lamp_changes_nothing_and_a_stain_is_a_factor(factor, constant):
    """A constant added to darkness leaves the spectrum; a factor of it is one of the spectrum."""
    values, mask = drawn(4, 30, 30)
    seen = granularity(np.float32(factor) * values + np.float32(constant), mask, 45.0)
    np.testing.assert_allclose(seen, factor * np.array(granularity(values, mask, 45.0)), atol=2e-6)


def test_nothing_to_measure():
    """An even part has no grain; one without pixels, or too few at that scale, has no spectrum."""
    mask = disc(9, 20)
    even = granularity(np.full(mask.shape, 0.3, np.float32), mask, 20.0)
    np.testing.assert_allclose(even, 0, atol=1e-6)
    plane = np.ones(mask.shape, np.float32)
    assert np.isnan(granularity(plane, np.zeros_like(mask), 20.0)).all()
    two_far_apart = np.zeros_like(mask)
    two_far_apart[0, 0] = two_far_apart[19, 19] = True
    assert np.isnan(granularity(plane, two_far_apart, 2000.0)).all()


# Focus


def test_focus_equals_the_oracle():
    """Without resampling it is the plain Laplacian over the plain variance, holes left out."""
    image, _ = grainy(6, SIDE_PX + 4)
    cell = np.zeros(image.shape[:2], bool)
    cell[2:-2, 2:-2] = True
    cell[20:23, 30:34] = False
    plane = lightness(luminance(image))[2:-2, 2:-2]
    expected = texture_reference.focus(plane.tolist(), cell[2:-2, 2:-2].tolist())
    assert focus(image, cell) == pytest.approx(expected, rel=1e-4)


def test_pure_noise_is_as_sharp_as_can_be_told():
    """White noise has twenty times its variance in its squared Laplacian."""
    noise = stream(7, "test", "noise").normal(128, 20, (SIDE_PX, SIDE_PX, 1)).clip(0, 255)
    image = np.repeat(noise.astype(np.uint8), 3, axis=2)
    assert focus(image, np.ones(image.shape[:2], bool)) == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize("size", [48, 80, 200])
def test_blur_lowers_focus(size):
    """Each further blur of one cell lowers it, whatever its size in pixels."""
    seen = [
        focus(*grainy(8, size, fine_px=sigma_px * size / 80))
        for sigma_px in (0.5, 0.8, 1.0, 1.5, 2.0, 3.0)
    ]
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] < seen[0] / 3


def test_a_stronger_lamp_is_no_sharper():
    """A tenth more or less light changes focus and spectrum no more than rounding does."""
    image, cell = grainy(9, fine_px=1.0)
    seen = [focus(image, cell), *granularity(darkness_of(image), cell, diameter_of(cell))]
    for gain in (0.9, 1.1):
        lit = relit(image, gain)
        again = [focus(lit, cell), *granularity(darkness_of(lit), cell, diameter_of(cell))]
        np.testing.assert_allclose(again, seen, rtol=0.03)


def relit(image, gain):
    """Multiply the light of a picture, not its levels."""
    levels = np.arange(256) / 255
    light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return np.abs(light - gain * light[image][..., None]).argmin(axis=-1).astype(np.uint8)


def test_focus_where_there_is_nothing_to_focus_on():
    """An even cell has focus 0; pixels that are no piece have none."""
    image = np.full((40, 40, 3), 90, np.uint8)
    assert focus(image, disc(15, 40)) == 0
    scattered = np.zeros((120, 120), bool)
    scattered[::2, ::2] = True
    assert np.isnan(focus(np.full((120, 120, 3), 90, np.uint8), scattered))
    assert np.isnan(focus(image, np.zeros((40, 40), bool)))


# Place, direction and size


@given(st.integers(0, 7), st.integers(0, 30), st.integers(0, 30))
@settings(max_examples=20)
def test_place_has_no_say_and_direction_none_beyond_rounding(turn, top, left):
    """A cell moved in its picture measures the same to the last bit; turned or flipped, nearly."""
    image, cell = grainy(10, 90)
    cell[:30] = False
    seen = [focus(image, cell), *granularity(darkness_of(image), cell, 50.0)]
    wide = ((top, 7), (left, 3))
    moved, moved_cell = np.pad(image, (*wide, (0, 0))), np.pad(cell, wide)
    again = [focus(moved, moved_cell), *granularity(darkness_of(moved), moved_cell, 50.0)]
    assert again == seen
    image, cell = np.rot90(image, turn), np.rot90(cell, turn)
    image, cell = (image[::-1], cell[::-1]) if turn > 3 else (image, cell)
    again = [focus(image, cell), *granularity(darkness_of(image), cell, 50.0)]
    np.testing.assert_allclose(again, seen, rtol=1e-4, atol=1e-6)


def test_more_pixels_of_the_same_cell_change_nothing():
    """Every pixel of a large cell made four: focus and spectrum are the same but for rounding."""
    image, cell = grainy(11, 120, fine_px=1.5)
    twice, twice_cell = (np.repeat(np.repeat(a, 2, 0), 2, 1) for a in (image, cell))
    assert focus(twice, twice_cell) == pytest.approx(focus(image, cell), rel=1e-3)
    np.testing.assert_allclose(
        granularity(darkness_of(twice), twice_cell, diameter_of(twice_cell)),
        granularity(darkness_of(image), cell, diameter_of(cell)),
        atol=1e-5,
    )


def test_darkness_is_the_density_of_the_light():
    """White has none, a tenth of the light one, black two; lamps add, up to the darkest."""
    levels = [[[255] * 3, [0] * 3, [89] * 3]]
    np.testing.assert_allclose(darkness_of(np.array(levels, np.uint8)), [[0, 2, 1]], atol=0.01)


def test_a_disc_has_its_own_diameter():
    """The diameter of a digital disc is twice its radius within half a percent."""
    assert diameter_of(disc(50, 110)) == pytest.approx(100, rel=0.005)
