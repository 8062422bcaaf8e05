import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import texture_reference

from leukoscope.foundation.streams import stream
from leukoscope.morphology.colour import colour_measures, lab, lightness, luminance
from leukoscope.morphology.masks import Masks

COLOUR = st.tuples(*[st.integers(0, 255)] * 3)


def drawn(seed=0, height=9, width=12):
    """Draw a picture of chance colours, and a nucleus in a cell of chance pixels."""
    rng = stream(seed, "test", "colour")
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    cell = rng.random((height, width)) < 0.7
    return image, Masks(cell & (rng.random((height, width)) < 0.4), cell)


# Colours


@given(COLOUR)
def test_lab_equals_the_oracle(colour):
    """Any colour has the L*a*b* that the plain formula gives."""
    seen = lab(np.array(colour, np.uint8))
    np.testing.assert_allclose(seen, texture_reference.lab(colour), atol=1e-9)


@pytest.mark.parametrize(
    ("colour", "known"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
    ],
)
def test_lab_of_the_primaries(colour, known):
    """Black, white and the primaries of sRGB have their well-known L*a*b*."""
    np.testing.assert_allclose(lab(np.array(colour, np.uint8)), known, atol=0.03)


def test_grey_has_no_colour():
    """All 256 greys have a* = b* = 0, and grow lighter level by level."""
    greys = lab(np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1))
    np.testing.assert_allclose(greys[:, 1:], 0, atol=1e-10)
    assert (np.diff(greys[:, 0]) > 0).all()


def test_luminance_equals_the_oracle():
    """Luminance is 0 to 1 and the oracle's, and L* of it is that of the colour."""
    image, _ = drawn()
    light = luminance(image)
    expected = [[texture_reference.luminance(pixel) for pixel in row] for row in image]
    np.testing.assert_allclose(light, expected, atol=1e-6)
    np.testing.assert_allclose(lightness(light), lab(image)[..., 0], atol=1e-3)
    assert luminance(np.zeros((1, 1, 3), np.uint8)) == 0
    assert luminance(np.full((1, 1, 3), 255, np.uint8)) == pytest.approx(1, abs=1e-6)


# Parts


def test_mean_and_spread_equal_the_oracle():
    """Each part's mean and standard deviation are those of its pixels taken one by one."""
    image, masks = drawn()
    seen = colour_measures(image, masks)
    parts = {"nucleus": masks.nucleus, "cytoplasm": masks.cell & ~masks.nucleus}
    means = {}
    for part, mask in parts.items():
        values = list(zip(*(texture_reference.lab(pixel) for pixel in image[mask]), strict=True))
        for name, axis in zip(("lightness", "red_green", "yellow_blue"), values, strict=True):
            assert seen[f"{part}_{name}_mean"] == pytest.approx(statistics.fmean(axis))
            assert seen[f"{part}_{name}_spread"] == pytest.approx(statistics.pstdev(axis))
        means[part] = [statistics.fmean(axis) for axis in values]
    assert seen["colour_contrast"] == pytest.approx(math.dist(*means.values()))


@given(st.integers(0, 20), COLOUR)
def test_the_background_has_no_say(seed, fill):
    """Whatever stands outside the cell, its colours are the same to the last bit."""
    image, masks = drawn(seed)
    other = image.copy()
    other[~masks.cell] = fill
    assert colour_measures(other, masks) == colour_measures(image, masks)


def test_where_a_pixel_stands_has_no_say():
    """Colours shuffled within each part change nothing; exchanged between parts they do."""
    image, masks = drawn()
    shuffled = image.copy()
    for mask in (masks.nucleus, masks.cell & ~masks.nucleus):
        shuffled[mask] = stream(1, "test", "shuffle").permutation(image[mask])
    seen = colour_measures(image, masks)
    assert colour_measures(shuffled, masks) == pytest.approx(seen)
    assert colour_measures(image[::-1], masks) != pytest.approx(seen)


def test_even_parts_have_no_spread():
    """Two parts of one colour each have spread 0, and the contrast of the two colours."""
    _, masks = drawn()
    image = np.where(masks.nucleus[..., None], np.uint8([90, 40, 140]), np.uint8([200, 180, 210]))
    seen = colour_measures(image, masks)
    assert all(v == pytest.approx(0, abs=1e-9) for k, v in seen.items() if k.endswith("spread"))
    expected = math.dist(
        texture_reference.lab((90, 40, 140)), texture_reference.lab((200, 180, 210))
    )
    assert seen["colour_contrast"] == pytest.approx(expected)


def test_a_cell_without_cytoplasm_has_no_colour_of_it():
    """Without cytoplasm its measures and the contrast are unknown, those of the nucleus known."""
    image, masks = drawn()
    seen = colour_measures(image, Masks(masks.cell, masks.cell))
    unknown = {name for name, value in seen.items() if math.isnan(value)}
    assert unknown == {name for name in seen if not name.startswith("nucleus")}
