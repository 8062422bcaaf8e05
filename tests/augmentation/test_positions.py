import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.augmentation.chains import CHAIN, SIZE, STRAIGHT
from tests.reference import warp_reference

from leukoscope.augmentation.draw import Draw
from leukoscope.augmentation.maps import Elastic, Lens, map_of, reach_px
from leukoscope.augmentation.positions import (
    cubic_positions,
    displacement,
    displacement_at,
    positions,
)


def places_of(*operations, height=33, width=33):
    return positions(map_of(Draw(operations), height, width), height, width)


@settings(max_examples=200)
@given(CHAIN, SIZE)
def test_places_agree_with_operations_undone_one_by_one(chain, size):
    """Composed and in single precision, every place is where double precision finds it."""
    route = map_of(Draw(chain), *size)
    seen = positions(route, *size)
    expected = warp_reference.places(chain, *size)
    assert {each.dtype for each in seen} == {np.dtype(np.float32)}
    assert {each.shape for each in seen} == {size}
    np.testing.assert_allclose(seen, expected, rtol=0, atol=1e-4 + 2e-6 * reach_px(route, *size))


LENS, SHEAR, SCALING, TURN, SHIFT = (
    ("lens", (0.2,)),
    ("shear_deg", (20.0, -7.0)),
    ("scaling", (0.7, 1.3)),
    ("rotation_deg", (33.0,)),
    ("shift", (0.2, -0.1)),
)


@pytest.mark.parametrize(
    "chain",
    [
        (LENS, SHEAR),
        (SHIFT, LENS, SCALING, TURN),
        (TURN, LENS, SHEAR, SHIFT),
        (LENS, SHIFT, LENS, SHEAR, LENS),
        (SHEAR, LENS, ("lens", (-0.3,)), SHIFT),
        (LENS, ("elastic", (0.02, 0.15, 4.0)), SHEAR, SHIFT),
    ],
)
def test_places_of_lenses_among_others_agree_too(chain):
    """Lenses before and after what turns, slants and shifts their axis: each term counts."""
    seen = positions(map_of(Draw(chain), 40, 31), 40, 31)
    np.testing.assert_allclose(seen, warp_reference.places(chain, 40, 31), rtol=0, atol=2e-4)


STRAIGHT_PARTS = st.lists(STRAIGHT, max_size=2)


@settings(max_examples=200)
@given(
    st.tuples(STRAIGHT_PARTS, st.floats(-0.32, 0.5), STRAIGHT_PARTS),
    st.one_of(SIZE, st.sampled_from([(224, 224), (128, 224), (300, 90)])),
    st.tuples(st.integers(0, 200), st.integers(0, 200)),
)
def test_a_polynomial_follows_the_stages_one_by_one(parts, size, margin):
    """Less than 1e-3 px away, at 224 px too; else it is left to them: a lens alone or folded."""
    before, strength, after = parts
    chain = (*before, ("lens", (strength,)), *after)
    route = map_of(Draw(chain), *size)
    found = cubic_positions(route, *size, margin)
    x, y = warp_reference.places(chain, *size)
    if found is None:
        is_alone = [type(stage) for stage in route.stages] == [Lens]
        far_x, far_y = warp_reference.places(after, *size)
        far_px = np.hypot(far_x - (size[1] - 1) / 2, far_y - (size[0] - 1) / 2).max()
        corner_px = math.hypot(size[0] - 1, size[1] - 1) / 2 or 1.0
        least = 1 + strength * (far_px / corner_px) ** 2
        assert strength == 0 or is_alone or least < 2 / 3 + 1e-9
    else:
        assert {each.dtype for each in found} == {np.dtype(np.float32)}
        expected = x + margin[1], y + margin[0]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_what_is_given_can_be_written_to():
    """Nothing kept for the next picture is handed out: places overwritten are found again."""
    chain = (("elastic", (0.02, 0.15, 3.0)), ("rotation_deg", (5.0,)), ("lens", (0.1,)))
    for operations in (chain, chain[:1], chain[1:], chain[1:2], ()):
        first = places_of(*operations)
        kept = [each.copy() for each in first]
        for each in first:
            each[:] = -1
        np.testing.assert_array_equal(places_of(*operations), kept)


# Lens


@given(st.floats(-0.32, 1), st.integers(3, 40), st.integers(3, 40))
def test_a_lens_keeps_the_centre_and_moves_the_corners_by_its_strength(strength, height, width):
    """Corners show what was at 1 + k times their distance, whatever the shape of the picture."""
    x, y = places_of(("lens", (strength,)), height=height, width=width)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    for row in (0, -1):
        for column in (0, -1):
            corner = np.array([column % width, row % height])
            expected = centre + (1 + strength) * (corner - centre)
            np.testing.assert_allclose([x[row, column], y[row, column]], expected, atol=1e-4)
    if height % 2 and width % 2:
        middle = x[height // 2, width // 2], y[height // 2, width // 2]
        np.testing.assert_array_equal(middle, centre.astype(np.float32))


@given(st.floats(-0.32, 1))
def test_a_lens_moves_the_middle_of_a_square_edge_by_half_its_strength(strength):
    """There r² is a half."""
    x, y = places_of(("lens", (strength,)))
    np.testing.assert_allclose(x[16, 32] - 16, 16 * (1 + strength / 2), atol=1e-4)
    np.testing.assert_allclose(y[0, 16] - 16, -16 * (1 + strength / 2), atol=1e-4)


@pytest.mark.parametrize("strength", [-0.32, -0.2, -0.05, 0.3])
@pytest.mark.parametrize("factor", [0.1, 0.5, 0.8, 1.0])
def test_a_lens_never_shows_the_picture_inside_out(strength, factor):
    """However far a chain shrinks its picture, what lies further out shows what lay further out."""
    x, y = places_of(("lens", (strength,)), ("scaling", (factor, factor)))
    diagonal = np.hypot(x - 16, y - 16).diagonal()[16:]
    assert (np.diff(diagonal) > 0).all()


# Elastic fields

SPACINGS = [0.05, 0.15, 0.166, 0.2, 0.5]


@pytest.mark.parametrize("spacing", SPACINGS)
def test_displacements_have_the_stated_spread(spacing):
    """Over many fields: mean 0, the standard deviation as written, right and down alike."""
    fields = [displacement(Elastic(1.5, 48 * spacing, seed), 48, 48) for seed in range(400)]
    values = np.array(fields, np.float64)
    # Places of one field move together: about (315/151)² squares of the grid count as one.
    n = 400 / spacing**2 / 4.4
    for axis in (0, 1):
        one = values[:, axis]
        assert abs(one.mean()) < 4 * 1.5 / math.sqrt(n)
        assert math.sqrt((one**2).mean()) == pytest.approx(1.5, rel=4 / math.sqrt(n))
    assert abs((values[:, 0] * values[:, 1]).mean()) < 4 * 1.5**2 / math.sqrt(n)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 3), (20, 20), (20, 30), (9, 27)])
def test_a_field_is_the_same_at_every_size_of_the_picture(spacing, height, width):
    """Five times as large, every fifth pixel is moved by five times as many pixels."""
    shorter = min(height, width)
    small = displacement(Elastic(0.02 * shorter, spacing * shorter, 7), height, width)
    large = displacement(Elastic(0.1 * shorter, spacing * 5 * shorter, 7), 5 * height, 5 * width)
    for one, other in zip(small, large, strict=True):
        np.testing.assert_allclose(other[2::5, 2::5], 5 * one, rtol=0, atol=2e-5 * shorter)


def test_a_seed_names_a_field():
    """The same seed gives the same bytes, another one something else altogether."""
    one, again, other = (displacement(Elastic(1.0, 6.0, seed), 40, 40) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    for seen, else_ in zip(one, other, strict=True):
        assert abs(np.corrcoef(seen.ravel(), else_.ravel())[0, 1]) < 0.6
        assert np.abs(seen - else_).max() > 0.5


def test_fields_of_one_chain_are_added():
    """Two distortions move each place by the sum of what they move it by alone."""
    one, two = ("elastic", (0.02, 0.15, 1.0)), ("elastic", (0.01, 0.3, 2.0))
    rest = np.array(places_of())
    alone = [np.array(places_of(each)) - rest for each in (one, two)]
    np.testing.assert_allclose(np.array(places_of(one, two)) - rest, sum(alone), atol=1e-5)


def test_fields_as_strong_as_allowed_hardly_fold():
    """At a fifth of the spacing fewer than one pixel in a thousand is seen inside out."""
    folded = []
    for seed in range(60):
        x, y = displacement(Elastic(0.03 * 64, 0.15 * 64, seed), 64, 64)
        (x_down, x_right), (y_down, y_right) = np.gradient(x), np.gradient(y)
        folded.append((1 + x_right) * (1 + y_down) - x_down * y_right <= 0)
    assert np.mean(folded) < 1e-3


@given(SIZE, st.sampled_from(SPACINGS), st.integers(0, 2**53 - 1))
def test_a_field_at_single_places_is_that_of_the_pixels(size, spacing, seed):
    """Asked for at the centres of pixels, and held at its edge outside."""
    field = Elastic(1.0, spacing * min(size), seed)
    y, x = np.mgrid[: size[0], : size[1]].reshape(2, -1).astype(float)
    whole = np.reshape(displacement(field, *size), (2, -1))
    np.testing.assert_allclose(displacement_at(field, x, y, *size), whole, atol=1e-5)
    outside = displacement_at(field, np.array([-9.0]), np.array([-9.0]), *size)
    corner = displacement_at(field, np.array([-0.5]), np.array([-0.5]), *size)
    np.testing.assert_array_equal(outside, corner)
