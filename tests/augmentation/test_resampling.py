import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.augmentation.chains import (
    BORDERS,
    CHAIN,
    FILL,
    INTERPOLATIONS,
    NEUTRAL,
    ORIENTING,
    PICTURE,
    SHIFT,
    draw_of,
    phantom,
    turned,
)
from tests.intake.pictures import drawn
from tests.reference import warp_reference

from leukoscope.augmentation.maps import is_exact, map_of
from leukoscope.augmentation.resampling import (
    move_and_warp,
    smoothed,
)
from leukoscope.intake.decode import decode

ROUNDING = 0.505
"""Half a grey level, and what single precision adds."""


def slowly(pixels, drawn_):
    """Sample what the one blur leaves, place by place, in double precision."""
    route = map_of(drawn_, *pixels.shape[:2])
    rules = {"border": drawn_.border, "interpolation": drawn_.interpolation}
    source = smoothed(route, pixels)
    return warp_reference.warped(drawn_.operations, source, fill=drawn_.border_rgb, **rules)


# Pixels that only move


@given(
    PICTURE, st.lists(st.one_of(ORIENTING, SHIFT), min_size=1, max_size=6), st.sampled_from(BORDERS)
)
def test_exact_chains_take_whole_pixels(pixels, chain, border):
    """In any chain of flips, right angles and shifts a pixel is one of the picture's, or free."""
    seen = turned(pixels, *chain, border=border)
    is_crossed = sum(crosses(each) for each in chain) % 2 == 1
    expected = warp_reference.moved(chain, pixels, border=border, fill=FILL, is_crossed=is_crossed)
    np.testing.assert_array_equal(seen, expected)
    assert seen.flags["C_CONTIGUOUS"]
    assert seen.dtype == np.uint8


def crosses(operation):
    name, given_ = operation
    return name == "transposition" or (name == "rotation_deg" and given_[0] % 180 != 0)


@given(PICTURE, st.lists(ORIENTING, max_size=6))
def test_flips_right_angles_and_transpositions_permute_pixels(pixels, chain):
    """No pixel is lost, repeated or changed; done one by one they come to the same."""
    seen = turned(pixels, *chain)
    one_by_one = pixels
    for each in chain:
        one_by_one = turned(one_by_one, each)
    np.testing.assert_array_equal(seen, one_by_one)
    colours = [sorted(map(tuple, each.reshape(-1, 3).tolist())) for each in (seen, pixels)]
    assert colours[0] == colours[1]


@given(st.integers(-40, 40), st.integers(-25, 25))
def test_a_shift_moves_what_stays_in_the_picture(right_px, down_px):
    """What is still seen is the same pixels, that many columns further right and rows down."""
    pixels = drawn(3, 25, 40)
    operation = ("shift", (right_px / 40, down_px / 25))
    seen = turned(pixels, operation, border="constant")
    rows, columns = max(0, 25 - abs(down_px)), max(0, 40 - abs(right_px))
    after = seen[max(down_px, 0) :, max(right_px, 0) :][:rows, :columns]
    before = pixels[max(-down_px, 0) :, max(-right_px, 0) :][:rows, :columns]
    np.testing.assert_array_equal(after, before)
    assert (seen == FILL).all(axis=2).sum() >= 25 * 40 - rows * columns


def test_directions_by_hand():
    """A quarter turn takes the top right corner to the top left; flips are named by their axis."""
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 2] = 9
    assert turned(pixels, ("rotation_deg", (90.0,)))[0, 0, 0] == 9
    assert turned(pixels, ("rotation_deg", (-90.0,)))[2, 1, 0] == 9
    assert turned(pixels, ("flip_horizontal", ()))[0, 0, 0] == 9
    assert turned(pixels, ("flip_vertical", ()))[1, 2, 0] == 9
    assert turned(pixels, ("transposition", ()))[2, 0, 0] == 9
    assert turned(pixels, ("shift", (-1 / 3, 1 / 2)))[1, 1, 0] == 9


def test_numpy_and_exact_moves_agree():
    """A quarter turn is rot90, a transposition swaps the axes."""
    pixels = drawn(0, 6, 9)
    np.testing.assert_array_equal(turned(pixels, ("rotation_deg", (90.0,))), np.rot90(pixels))
    np.testing.assert_array_equal(turned(pixels, ("rotation_deg", (180.0,))), np.rot90(pixels, 2))
    np.testing.assert_array_equal(turned(pixels, ("transposition", ())), pixels.swapaxes(0, 1))
    np.testing.assert_array_equal(turned(pixels, ("flip_horizontal", ())), pixels[:, ::-1])
    np.testing.assert_array_equal(turned(pixels, ("flip_vertical", ())), pixels[::-1])


# Ways back


@pytest.mark.parametrize("operation", [(), *NEUTRAL])
@pytest.mark.parametrize("border", [*BORDERS, "background"])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_no_strength_changes_no_bit(operation, border, interpolation):
    """At the strength of doing nothing every operation gives the picture back."""
    pixels = phantom(1).image
    operations = (operation,) if operation else ()
    seen = turned(pixels, *operations, border=border, interpolation=interpolation)
    np.testing.assert_array_equal(seen, pixels)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("n_steps", [2, 3, 6, 8, 24, 72])
def test_a_full_turn_in_steps_is_nothing(n_steps, interpolation):
    """24 turns of 15° in one chain, or any such, return the picture bit for bit."""
    pixels = drawn(0, 20, 31)
    steps = [("rotation_deg", (360 / n_steps,))] * n_steps
    np.testing.assert_array_equal(turned(pixels, *steps, interpolation=interpolation), pixels)
    quarter = turned(pixels, ("rotation_deg", (37.5,)), ("rotation_deg", (52.5,)))
    np.testing.assert_array_equal(quarter, np.rot90(pixels))


@given(st.floats(-720, 720), st.floats(0.1, 10))
def test_there_and_back_changes_no_bit(angle, factor):
    """Turned and turned back, enlarged and shrunk again in one chain: the picture itself."""
    pixels = drawn(0, 20, 31)
    to, fro = ("rotation_deg", (angle,)), ("rotation_deg", (-angle,))
    np.testing.assert_array_equal(turned(pixels, to, fro), pixels)
    larger, smaller = ("scaling", (factor, factor)), ("scaling", (1 / factor, 1 / factor))
    np.testing.assert_array_equal(turned(pixels, to, larger, smaller, fro), pixels)


def test_a_chain_is_resampled_once():
    """Turned to and fro one by one a picture blurs; two turns in a chain are one turn."""
    pixels = phantom(2).image
    to, fro = ("rotation_deg", (20.0,)), ("rotation_deg", (-20.0,))
    one_by_one = turned(turned(pixels, to), fro)
    assert np.abs(one_by_one[16:-16, 16:-16].astype(int) - pixels[16:-16, 16:-16]).mean() > 1
    np.testing.assert_array_equal(turned(pixels, to, to), turned(pixels, ("rotation_deg", (40.0,))))


# The one interpolation


@settings(max_examples=150)
@given(PICTURE, CHAIN, st.sampled_from(BORDERS), st.sampled_from(INTERPOLATIONS))
def test_any_chain_agrees_with_a_slow_one(pixels, chain, border, interpolation):
    """Every pixel of the smallest pictures, far borders too, is the double's to half a level."""
    drawn_ = draw_of(*chain, border=border, interpolation=interpolation)
    affine = map_of(drawn_, *pixels.shape[:2]).affine()
    assume(affine is None or not is_exact(affine))
    assert_close(move_and_warp(drawn_, pixels), slowly(pixels, drawn_), pixels, drawn_)


def assert_close(seen, expected, pixels, drawn_):
    assert seen.dtype == np.uint8
    assert seen.shape == pixels.shape
    assert seen.flags["C_CONTIGUOUS"]
    x, y = warp_reference.places(drawn_.operations, *pixels.shape[:2])
    clear = np.ones(x.shape, bool)
    if drawn_.interpolation == "nearest":
        # Halfway between two pixels, rounding decides for either.
        clear = (np.abs(x - np.floor(x) - 0.5) > 2e-3) & (np.abs(y - np.floor(y) - 0.5) > 2e-3)
    assert np.abs(seen - expected)[clear].max(initial=0) <= ROUNDING


PAPERS = (
    ("rotation_deg", (33.3,)),
    ("scaling", (1.13, 1.13)),
    ("lens", (0.17,)),
    ("flip_horizontal", ()),
)
"""What the papers do at once."""
HARD = (
    PAPERS,
    (("rotation_deg", (-101.0,)), ("scaling", (0.81, 0.81)), ("lens", (-0.2,))),
    (("scaling", (0.3, 0.45)), ("shear_deg", (20.0, -10.0)), ("rotation_deg", (12.0,))),
    (("elastic", (0.02, 0.15, 77.0)), ("rotation_deg", (200.0,)), ("shift", (0.1, -0.2))),
    (("lens", (0.9,)), ("shift", (0.3, 0.3)), ("lens", (-0.3,)), ("scaling", (0.6, 0.6))),
)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("chain", HARD)
def test_phantom_cells_agree_with_a_slow_warp(chain, border, interpolation):
    """Drawn cells, every pixel: half a grey level from double precision at most."""
    pixels = phantom(3).image
    drawn_ = draw_of(*chain, border=border, interpolation=interpolation)
    assert_close(move_and_warp(drawn_, pixels), slowly(pixels, drawn_), pixels, drawn_)


@pytest.mark.parametrize("chain", HARD)
def test_real_cells_agree_with_a_slow_warp(chain, shared):
    """Cells of PBC, of each category one: half a grey level from double precision at most."""
    files = [sorted(folder.glob("*.*"))[0] for folder in sorted((shared / "data/pbc").glob("*/"))]
    assert len(files) > 5
    for file in files[:: len(files) // 4]:
        pixels, _ = decode(file.read_bytes(), name=file.name)
        pixels = np.ascontiguousarray(pixels[100:260, 90:270])
        drawn_ = draw_of(*chain)
        assert_close(move_and_warp(drawn_, pixels), slowly(pixels, drawn_), pixels, drawn_)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("n_times", [2, 4, 8, 12])
def test_a_picture_shrunk_to_nothing_still_ends(n_times, border, interpolation):
    """A thousand pictures away, or where numbers overflow, borders are found without searching."""
    pixels = drawn(1, 20, 24)
    chain = (("lens", (1.0,)), *[("scaling", (0.1, 0.1))] * n_times)
    for operations in (chain, chain[1:]):
        seen = turned(pixels, *operations, border=border, interpolation=interpolation)
        assert seen.shape == pixels.shape
        if border == "constant":
            assert (seen[0, 0] == FILL).all()
        else:
            # Sixteen weights overshoot where they are not smoothed over.
            slack = 40 if interpolation == "bicubic" else 0
            assert int(seen.min()) >= int(pixels.min()) - slack
            assert int(seen.max()) <= int(pixels.max()) + slack


@settings(max_examples=30)
@given(CHAIN, st.permutations(range(3)), st.sampled_from(INTERPOLATIONS))
def test_channels_do_not_mix(chain, order, interpolation):
    """Exchanging red, green and blue before or after comes to the same bytes."""
    pixels = drawn(5, 23, 37)
    one = turned(pixels[..., order], *chain, interpolation=interpolation)
    other = turned(pixels, *chain, interpolation=interpolation)[..., order]
    np.testing.assert_array_equal(one, other)


@settings(max_examples=40)
@given(CHAIN, st.sampled_from(["reflect", "edge"]), st.sampled_from(INTERPOLATIONS))
def test_a_picture_of_one_colour_stays_so(chain, border, interpolation):
    """Weights sum to one: moving a plain picture makes no seams."""
    pixels = np.full((9, 14, 3), 137, np.uint8)
    seen = turned(pixels, *chain, border=border, interpolation=interpolation)
    assert (seen == 137).all()


@settings(max_examples=60)
@given(PICTURE, CHAIN, st.sampled_from([*BORDERS, "background"]), st.sampled_from(INTERPOLATIONS))
def test_the_picture_given_is_left_as_it_is(pixels, chain, border, interpolation):
    """Read-only, mirrored or cut out of a larger one, it gives the same and is not written to."""
    before = pixels.copy()
    drawn_ = draw_of(*chain, border=border, interpolation=interpolation)
    seen = move_and_warp(drawn_, pixels)
    np.testing.assert_array_equal(pixels, before)
    locked = pixels.copy()
    locked.setflags(write=False)
    np.testing.assert_array_equal(move_and_warp(drawn_, locked), seen)
    mirrored = np.ascontiguousarray(pixels[::-1, ::-1])[::-1, ::-1]
    np.testing.assert_array_equal(move_and_warp(drawn_, mirrored), seen)
    cut = np.pad(pixels, ((1, 2), (3, 1), (0, 0)))[1:-2, 3:-1]
    np.testing.assert_array_equal(move_and_warp(drawn_, cut), seen)
