import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.augmentation.chains import CHAIN, NEUTRAL, ORIENTING, SIZE, STRAIGHT, STRAIGHT_CHAIN
from tests.reference import warp_reference

from leukoscope.augmentation.draw import Draw
from leukoscope.augmentation.maps import (
    IDENTITY,
    Map,
    compose,
    inverse,
    is_exact,
    linear_part,
    map_of,
    reach_px,
)
from leukoscope.augmentation.positions import positions

# The eight orientations, named by how they are reached from upright.
ORIENTATIONS = [
    (*(("flip_horizontal", ()),) * flipped, ("rotation_deg", (90.0 * k,)))
    for flipped in (0, 1)
    for k in range(4)
]


def affine_of(*operations, height=40, width=60):
    return map_of(Draw(operations), height, width).affine()


# The group of the eight orientations


def test_the_eight_orientations_are_a_group():
    """They are eight, closed, with their inverses; one of order 1, five of 2, two of 4."""
    group = [affine_of(*chain) for chain in ORIENTATIONS]
    assert len(set(group)) == 8
    for one, other in itertools.product(group, repeat=2):
        assert compose(one, other) in group
    assert sorted(map(order_of, group)) == [1, 2, 2, 2, 2, 2, 4, 4]
    for each in group:
        assert is_exact(each)
        assert inverse(each) in group
        assert compose(each, inverse(each)) == IDENTITY


def order_of(affine):
    power, n = affine, 1
    while power != IDENTITY:
        power, n = compose(power, affine), n + 1
    return n


@given(st.lists(ORIENTING, max_size=8))
def test_any_chain_of_right_angles_and_mirrors_is_one_of_the_eight(chain):
    """However long, it ends at one of them, without any rounding."""
    assert affine_of(*chain) in [affine_of(*each) for each in ORIENTATIONS]


def test_a_transposition_is_a_quarter_turn_and_a_mirror():
    """Rows become columns: turned to the left and then mirrored top to bottom."""
    turned = affine_of(("rotation_deg", (90.0,)), ("flip_vertical", ()))
    assert affine_of(("transposition", ())) == turned
    assert turned != affine_of(("flip_vertical", ()), ("rotation_deg", (90.0,)))


# Ways back


@pytest.mark.parametrize("n_steps", [1, 2, 3, 5, 6, 7, 8, 9, 11, 24, 48, 72, 360])
def test_a_full_turn_in_steps_is_nothing(n_steps):
    """24 turns of 15° in one chain, or any such, are no map at all; a quarter of them is exact."""
    steps = [("rotation_deg", (360 / n_steps,))] * n_steps
    assert map_of(Draw(tuple(steps)), 40, 60) == Map((), ())
    if n_steps % 4 == 0:
        assert affine_of(*steps[: n_steps // 4]) == affine_of(("rotation_deg", (90.0,)))


@given(st.floats(-720, 720), st.floats(0.1, 10), st.floats(0.1, 10), st.integers(-30, 30))
def test_there_and_back_is_nothing(angle, across, down, right_px):
    """A turn, a scaling and a shift undone in the same chain, in their order, leave no map."""
    chain = (
        ("rotation_deg", (angle,)),
        ("scaling", (across, down)),
        ("shift", (right_px / 60, 0.0)),
        ("flip_vertical", ()),
        ("flip_vertical", ()),
        ("shift", (-right_px / 60, 0.0)),
        ("scaling", (1 / across, 1 / down)),
        ("rotation_deg", (-angle,)),
    )
    assert map_of(Draw(chain), 40, 60) == Map((), ())


@pytest.mark.parametrize("operation", NEUTRAL)
def test_no_strength_is_no_map(operation):
    """Every operation at the strength of doing nothing leaves no map, alone and repeated."""
    assert map_of(Draw((operation,)), 100, 100) == Map((), ())
    assert map_of(Draw(NEUTRAL), 100, 100) == Map((), ())


@given(STRAIGHT_CHAIN)
def test_a_map_and_its_inverse_are_nothing(chain):
    """Composed either way they give the identity back, to rounding."""
    affine = affine_of(*chain) or IDENTITY
    size = max(map(abs, affine)) * max(map(abs, inverse(affine)))
    for both in (compose(affine, inverse(affine)), compose(inverse(affine), affine)):
        np.testing.assert_allclose(both, IDENTITY, atol=1e-12 * max(1, size))


# What belongs to the map


@given(CHAIN)
def test_what_is_not_geometry_is_passed_over(chain):
    """Light, blur and noise between the moves change nothing of the map."""
    mixed = [
        (each, ("brightness", (1.2,)), ("gaussian_noise_levels", (3.0, 5.0))) for each in chain
    ]
    assert map_of(Draw(tuple(itertools.chain(*mixed))), 24, 31) == map_of(Draw(chain), 24, 31)


@given(STRAIGHT, STRAIGHT, STRAIGHT)
def test_operations_are_done_in_their_order(first, second, third):
    """The map of a chain is that of its beginning after that of its end, backwards."""
    whole = affine_of(first, second, third) or IDENTITY
    parts = compose(affine_of(first), compose(affine_of(second), affine_of(third)))
    np.testing.assert_allclose(whole, parts, rtol=1e-9, atol=1e-9)


@given(CHAIN)
def test_the_linear_part_leaves_out_shifts_lenses_and_fields(chain):
    """It is what a step to the right and a step down come to, measured operation by operation."""
    seen = np.reshape(linear_part(map_of(Draw(chain), 24, 31)), (2, 2))
    np.testing.assert_allclose(seen, warp_reference.linear_part(chain), atol=1e-9)


@given(CHAIN, SIZE)
def test_no_place_is_out_of_reach(chain, size):
    """The bound on how far a map looks holds for every pixel of the result."""
    route = map_of(Draw(chain), *size)
    x, y = positions(route, *size)
    far = np.hypot(x - (size[1] - 1) / 2, y - (size[0] - 1) / 2)
    assert far.max() <= reach_px(route, *size) * (1 + 1e-5)


def test_the_reach_is_no_idle_bound():
    """A turn looks as far as the corners, a scaling by half twice as far, a lens as it says."""
    corner = math.hypot(40, 60) / 2
    for operation, factor in (
        (("rotation_deg", (33.0,)), 1.0),
        (("scaling", (0.5, 0.5)), 2.0),
        (("scaling", (0.5, 1.0)), 2.0),
        (("lens", (0.2,)), 1.2),
    ):
        seen = reach_px(map_of(Draw((operation,)), 40, 60), 40, 60)
        assert seen == pytest.approx(factor * corner, rel=0.02)


def test_only_moves_of_whole_pixels_are_exact():
    """Planted: a half pixel, a shear, an enlargement and a skew turn are found out."""
    exact = [
        IDENTITY,
        (0.0, -1.0, 3.0, 1.0, 0.0, -2.0),
        (-1.0, 0.0, 0.0, 0.0, 1.0, 9.0),
    ]
    planted = [
        (1.0, 0.0, 0.5, 0.0, 1.0, 0.0),
        (1.0, 1.0, 0.0, 0.0, 1.0, 0.0),
        (2.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        (0.8, -0.6, 0.0, 0.6, 0.8, 0.0),
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    ]
    assert [is_exact(each) for each in exact + planted] == [True] * 3 + [False] * 5


def test_bent_maps_are_not_straight():
    """A lens or a field leaves no affine map; without geometry it is the identity."""
    assert affine_of() == IDENTITY
    assert affine_of(("lens", (0.1,))) is None
    assert affine_of(("rotation_deg", (5.0,)), ("lens", (0.1,))) is None
    assert affine_of(("elastic", (0.01, 0.15, 1.0))) is None
