import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.intake.pictures import drawn
from tests.reference import light_reference as reference

from leukoscope.augmentation.light import LIGHT, Absorption, Linear, Power, light, stages_of

NEUTRAL = {
    **dict.fromkeys(("brightness", "contrast", "saturation", "gamma"), (1.0,)),
    "white_balance": (1.0, 1.0, 1.0),
    "hue_deg": (0.0,),
    "stain": (1.0, 1.0, 1.0, 0.0, 0.0, 0.0),
}
FACTOR = st.floats(0.3, 1.8)
GIVEN = {
    **{name: st.tuples(FACTOR) for name in ("brightness", "contrast", "saturation")},
    # Smaller powers make much of the last digits of a level near 0.
    "gamma": st.tuples(st.floats(0.6, 1.8)),
    "white_balance": st.tuples(FACTOR, FACTOR, FACTOR),
    "hue_deg": st.tuples(st.floats(-180, 180)),
    "stain": st.tuples(*[st.floats(0.5, 1.5)] * 3, *[st.floats(-0.2, 0.2)] * 3),
}
# What is neutral is left out, which keeps levels below 0 that its kind would cut: tried by itself.
OPERATION = (
    st.sampled_from(sorted(LIGHT))
    .flatmap(lambda name: st.tuples(st.just(name), GIVEN[name]))
    .filter(lambda operation: operation[1] != NEUTRAL[operation[0]])
)
PICTURE = st.builds(drawn, st.integers(0, 99), st.integers(1, 12), st.integers(1, 12))
KIND = {"gamma": Power, "stain": Absorption}


def exactly(stage, levels):
    """Do one merged stage in float64."""
    match stage:
        case Linear():
            return levels @ stage.matrix[:, :3].T + stage.matrix[:, 3]
        case Power():
            return 255 * (np.maximum(levels, 0) / 255) ** stage.power
        case Absorption():
            dark = np.log(256 / (np.maximum(levels, 0) + 1))
            return 256 * np.exp(-(dark @ stage.matrix[:, :3].T + stage.matrix[:, 3])) - 1


def levels_after(operation, colour):
    """Do one operation of light to a colour, uncut and unrounded."""
    levels = np.array(colour, float)
    for stage in stages_of([operation], colour):
        levels = exactly(stage, levels)
    return levels


def test_every_operation_is_tried_here():
    """A new operation of light has no way round these laws."""
    assert set(NEUTRAL) == set(GIVEN) == LIGHT


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_the_strength_of_doing_nothing_gives_the_very_picture(name):
    """Alone and among others, neutral operations leave no trace, not even a copy."""
    pixels = drawn(0)
    assert light([(name, NEUTRAL[name])], pixels) is pixels
    assert light(list(NEUTRAL.items()), pixels) is pixels
    among = [(name, NEUTRAL[name]), ("brightness", (1.3,)), (name, NEUTRAL[name])]
    np.testing.assert_array_equal(light(among, pixels), light(among[1:2], pixels))


@given(PICTURE, st.lists(OPERATION, min_size=1, max_size=6))
def test_a_run_is_within_one_level_of_its_operations_one_by_one(pixels, operations):
    """Whatever is merged, tabled or written over, the picture is that of float64, cut once."""
    before = pixels.copy()
    seen = light(operations, pixels)
    expected = reference.one_by_one(operations, pixels).clip(0, 255)
    assert seen.dtype == np.uint8
    assert seen.shape == pixels.shape
    assert np.abs(seen - expected).max() <= 1
    np.testing.assert_array_equal(pixels, before)


@given(PICTURE, st.lists(OPERATION, min_size=1, max_size=6))
def test_merged_stages_are_their_operations_one_by_one(pixels, operations):
    """In float64 they agree to rounding; neighbours of one kind are a single stage."""
    stages = stages_of(operations, pixels.mean(axis=(0, 1)))
    levels = pixels.astype(float)
    for stage in stages:
        levels = exactly(stage, levels)
    np.testing.assert_allclose(
        levels, reference.one_by_one(operations, pixels), rtol=1e-4, atol=1e-2
    )
    kinds = [KIND.get(name, Linear) for name, _ in operations]
    merged = [kind for i, kind in enumerate(kinds) if i == 0 or kinds[i - 1] is not kind]
    assert [type(stage) for stage in stages] == merged


LINEAR = st.sampled_from(["brightness", "contrast", "saturation", "white_balance", "hue_deg"])


@given(PICTURE, st.lists(LINEAR.flatmap(lambda n: st.tuples(st.just(n), GIVEN[n])), max_size=6))
def test_linear_operations_merge_exactly_and_contrast_keeps_the_mean_grey(pixels, operations):
    """One matrix is the whole chain to 12 digits, and the mean it turns about is the picture's."""
    mean = pixels.mean(axis=(0, 1))
    stages = stages_of([*operations, ("contrast", (0.5,))], mean)
    assert len(stages) == 1
    before = reference.one_by_one(operations, pixels)
    seen = exactly(stages[0], pixels.astype(float))
    grey = (before @ reference.LUMA).mean()
    np.testing.assert_allclose(seen, grey + 0.5 * (before - grey), rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("angle", [-180.0, -77.0, -10.0, 3.0, 120.0, 180.0])
def test_hue_keeps_luma_and_greys(angle):
    """The weighted sum of a colour stays to 12 digits, a grey picture to the last bit."""
    colours = np.random.default_rng(0).uniform(0, 255, (50, 3))
    for colour in colours:
        turned = levels_after(("hue_deg", (angle,)), colour)
        assert turned @ reference.LUMA == pytest.approx(colour @ reference.LUMA, abs=1e-10)
        back = levels_after(("hue_deg", (-angle,)), turned)
        np.testing.assert_allclose(back, colour, atol=1e-9)
    greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    np.testing.assert_array_equal(light([("hue_deg", (angle,))], greys), greys)


def test_a_positive_angle_turns_red_to_yellow_and_yellow_to_green():
    """Hue is counted as everywhere, from red over yellow, green and blue."""
    for colour in ([180, 90, 90], [160, 160, 60], [90, 170, 90], [90, 90, 180], [170, 80, 170]):
        turned = levels_after(("hue_deg", (10.0,)), colour)
        before, after = (colorsys.rgb_to_hsv(*(np.array(c) / 255))[0] for c in (colour, turned))
        assert 2 < 360 * ((after - before) % 1) < 25


@given(PICTURE)
def test_no_saturation_is_grey_and_no_contrast_one_grey(pixels):
    """All channels become luma; all pixels become the mean luma."""
    seen = light([("saturation", (0.0,))], pixels)
    assert (seen == seen[..., :1]).all()
    luma = pixels @ reference.LUMA
    assert np.abs(seen[..., 0] - luma).max() <= 1
    flat = light([("contrast", (0.0,))], pixels)
    assert (flat == flat[0, 0]).all()
    assert abs(float(flat[0, 0, 0]) - luma.mean()) <= 0.501


@pytest.mark.parametrize("stain", range(3))
def test_a_factor_of_stain_acts_on_that_stain_alone(stain):
    """Unmixed again, one amount is multiplied or shifted and the other two are as they were."""
    amounts = np.random.default_rng(stain).uniform(0.05, 0.6, (40, 3))
    for numbers, expected in (
        ((*np.where(np.arange(3) == stain, 0.4, 1.0), 0, 0, 0), amounts[:, stain] * 0.4),
        ((1, 1, 1, *np.where(np.arange(3) == stain, 0.2, 0.0)), amounts[:, stain] + 0.2),
    ):
        (stage,) = stages_of([("stain", tuple(map(float, numbers)))], (0, 0, 0))
        seen = reference.amounts_of(exactly(stage, reference.seen_through(amounts)))
        wanted = amounts.copy()
        wanted[:, stain] = expected
        np.testing.assert_allclose(seen, wanted, atol=1e-9)


def test_a_pure_stain_fades_to_white_and_doubles_its_absorbance():
    """Without haematoxylin a haematoxylin blue is the blank; twice of it is the square."""
    blue = np.full((3, 3, 3), reference.seen_through(np.array([0.7, 0, 0])).round(), np.uint8)
    gone = light([("stain", (0.0, 1.0, 1.0, 0.0, 0.0, 0.0))], blue)
    assert np.abs(gone.astype(int) - 255).max() <= 2
    twice = light([("stain", (2.0, 1.0, 1.0, 0.0, 0.0, 0.0))], blue)
    assert np.abs(twice - ((blue + 1.0) ** 2 / 256 - 1)).max() <= 2


@pytest.mark.parametrize("power", [0.1, 0.5, 0.8, 1.25, 2.2, 10.0])
def test_gamma_keeps_both_ends_and_the_order_of_levels(power):
    """0 and 255 stay, and what was brighter is not darker afterwards."""
    every = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    seen = light([("gamma", (power,))], every)[0, :, 0].astype(int)
    assert (seen[0], seen[-1]) == (0, 255)
    assert (np.diff(seen) >= 0).all()
    assert np.abs(seen - 255 * (np.arange(256) / 255) ** power).max() <= 0.51


@pytest.mark.parametrize(
    "then",
    [
        [("gamma", (10.0,))],
        [("gamma", (10.0,)), ("hue_deg", (20.0,))],
        [("stain", (10.0, 10.0, 10.0, -1.0, -1.0, -1.0)), ("saturation", (10.0,))],
        [("contrast", (10.0,))] * 3,
    ],
)
def test_levels_beyond_all_bounds_are_cut_and_do_not_come_round_again(then):
    """White made brighter without measure stays white, where whole numbers would turn black."""
    white = np.full((4, 4, 3), 255, np.uint8)
    assert (light([("brightness", (10.0,)), *then], white) == 255).all()


@given(st.lists(OPERATION, min_size=1, max_size=3))
def test_any_layout_of_memory_gives_the_same_picture(operations):
    """Views, mirrored or with gaps, and pictures that may not be written are taken as they are."""
    whole = drawn(3, 14, 18)
    views = (whole[:, ::-1], whole.transpose(1, 0, 2), whole[::2, ::3], whole[2:5, 4:5])
    for view in views:
        plain = np.ascontiguousarray(view)
        view.setflags(write=False)
        np.testing.assert_array_equal(light(operations, view), light(operations, plain))
