from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.augmentation.geometry_steps import (
    ElasticDistortion,
    Flip,
    LensDistortion,
    Rotation,
    Scaling,
    Shear,
    Shift,
    Transposition,
)
from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.foundation.errors import RecipeError

NUMBER = st.floats(0, 1, exclude_max=True)
LAST = 1 - 2**-53
STEPS = [
    Rotation(),
    Rotation(angle_range_deg=(-10, 10), step_deg=2.5),
    Flip(axis="horizontal"),
    Flip(axis="vertical"),
    Transposition(),
    Scaling(),
    Scaling(axes="apart"),
    Shift(),
    Shear(),
    LensDistortion(),
    ElasticDistortion(),
]


def drawn(step, *numbers):
    """Give the numbers of the one operation a step draws."""
    ((_, given_),) = step.drawn(numbers)
    return given_


@pytest.mark.parametrize("step", STEPS)
@given(numbers=st.lists(NUMBER, min_size=3, max_size=3), more=st.lists(NUMBER, max_size=2))
def test_a_step_draws_from_its_own_numbers_alone(step, numbers, more):
    """As many as it says: what follows them belongs to others and changes nothing."""
    own = numbers[: step.n_numbers]
    assert step.drawn(own) == step.drawn(own + more)
    assert len(step.drawn(own)) == 1
    sometimes = step.model_copy(update={"probability": 0.5})
    assert sometimes.count() == step.n_numbers + 1
    for number, n in ((0.0, 1), (0.49, 1), (0.5, 0), (LAST, 0)):
        assert len(sometimes.operations([*own, number, *more])) == n


@pytest.mark.parametrize(
    ("step", "limits"),
    [
        (Rotation(angle_range_deg=(-15, 40)), (-15, 40)),
        (Scaling(factor_range=(0.95, 1.05), axes="apart"), (0.95, 1.05)),
        (Shift(share_range=(-0.2, 0.1)), (-0.2, 0.1)),
        (Shear(angle_range_deg=(-5, 8)), (-5, 8)),
        (LensDistortion(strength_range=(-0.1, 0.3)), (-0.1, 0.3)),
    ],
)
@given(number=NUMBER)
def test_what_is_drawn_fills_its_range_evenly(step, limits, number):
    """The lowest number gives the low end, the highest nearly the high one, a half the middle."""
    low, high = limits
    for given_, share in ((number, number), (0.0, 0.0), (0.5, 0.5), (LAST, 1.0)):
        for value in drawn(step, given_, given_):
            assert value == pytest.approx(low + share * (high - low))
            assert low <= value <= high


def test_a_range_of_one_value_gives_it():
    """Both ends alike: nothing is left to chance."""
    assert drawn(Rotation(angle_range_deg=(10, 10)), 0.7) == (10.0,)
    assert drawn(Scaling(factor_range=(1, 1)), 0.7, 0.1) == (1.0, 1.0)


@given(NUMBER, NUMBER)
def test_one_factor_or_two(one, other):
    """Together both axes are scaled alike; apart each by its own number, as shifts and shears."""
    across, down = drawn(Scaling(), one, other)
    assert across == down
    apart = Scaling(axes="apart")
    assert drawn(apart, one, other) == (across, drawn(Scaling(), other, one)[0])
    assert drawn(apart, one, other) == drawn(apart, other, one)[::-1]
    for step in (Shift(), Shear()):
        assert drawn(step, one, other) == drawn(step, other, one)[::-1]


@pytest.mark.parametrize(
    ("bounds", "step", "expected"),
    [
        ((0, 360), 90, [0, 90, 180, 270]),
        ((0, 360), 45, [45 * i for i in range(8)]),
        ((0, 360), 15, [15 * i for i in range(24)]),
        ((0, 360), 7, [7 * i for i in range(52)]),
        ((0, 90), 30, [0, 30, 60, 90]),
        ((-10, 10), 8, [-10, -2, 6]),
        ((-180, 180), 120, [-180, -60, 60]),
        ((0, 1), 0.1, [i / 10 for i in range(11)]),
        ((-90, 270), 180, [-90, 90]),
    ],
)
def test_stepped_angles_are_each_step_and_evenly(bounds, step, expected):
    """From the lower end to the upper; the upper end of a full turn would be the lower twice."""
    rotation = Rotation(angle_range_deg=bounds, step_deg=step)
    n = 20 * len(expected)
    counts = Counter(round(drawn(rotation, (i + 0.5) / n)[0], 9) for i in range(n))
    assert sorted(counts) == pytest.approx(expected)
    assert set(counts.values()) == {20}


@given(NUMBER, NUMBER, st.floats(0, 0.02))
def test_an_elastic_field_is_named_by_a_whole_seed(one, other, most):
    """Its strength is drawn; its seed is a whole number that a float and JSON hold exactly."""
    step = ElasticDistortion(displacement_range=(0, most))
    displacement, spacing, seed = drawn(step, one, other)
    assert 0 <= displacement <= most
    assert spacing == 0.15
    assert seed == int(seed)
    assert 0 <= seed < 2**53


def test_mirrors_are_named_by_their_axis():
    """Horizontal exchanges left and right; nothing else is drawn."""
    assert Flip(axis="horizontal").drawn(()) == (("flip_horizontal", ()),)
    assert Flip(axis="vertical").drawn(()) == (("flip_vertical", ()),)
    assert Transposition().drawn(()) == (("transposition", ()),)
    assert Flip(axis="vertical").probability == Transposition().probability == 0.5


BAD = [
    ({"kind": "rotation", "angle_range_deg": [10, 0]}, "from low to high, not from 10 to 0"),
    ({"kind": "rotation", "angle_range_deg": [0, 10], "step_deg": 20}, "leaves one angle in 0 to"),
    ({"kind": "rotation", "step_deg": 360}, "step_deg 360 leaves one angle in 0 to 360"),
    ({"kind": "rotation", "angle_range_deg": [5, 5], "step_deg": 1}, "widen the range or shorten"),
    ({"kind": "rotation", "angle_range_deg": [0, 720]}, "from -360 to 360"),
    ({"kind": "rotation", "step_deg": 0}, "greater than 0"),
    ({"kind": "rotation", "step_deg": -45}, "greater than 0"),
    ({"kind": "rotation", "angle_range_deg": [0, float("inf")]}, "finite number"),
    ({"kind": "rotation", "angle_range_deg": [float("nan"), 0]}, "finite number"),
    ({"kind": "rotation", "angle_range": [0, 90]}, "Did you mean angle_range_deg"),
    ({"kind": "flip"}, "axis"),
    ({"kind": "flip", "axis": "diagonal"}, "'horizontal' or 'vertical'"),
    ({"kind": "flip", "axis": "vertical", "probability": 1.5}, "less than or equal to 1"),
    ({"kind": "transposition", "probability": -0.1}, "greater than or equal to 0"),
    ({"kind": "scaling", "factor_range": [1.2, 0.8]}, "from low to high"),
    ({"kind": "scaling", "factor_range": [-1, 1]}, "from 0.1 to 10"),
    ({"kind": "scaling", "factor_range": [0, 1]}, "from 0.1 to 10"),
    ({"kind": "scaling", "axes": "across"}, "'together' or 'apart'"),
    ({"kind": "shift", "share_range": [-2, 0]}, "from -1 to 1"),
    ({"kind": "shear", "angle_range_deg": [-80, 80]}, "from -60 to 60"),
    ({"kind": "lens_distortion", "strength_range": [-1 / 3, 0]}, "from -0.32 to 1"),
    ({"kind": "lens_distortion", "strength_range": [-20, 20]}, "from -0.32 to 1"),
    ({"kind": "lens_distortion", "strength_range": [0.2, -0.2]}, "from low to high"),
    (
        {"kind": "elastic_distortion", "displacement_range": [0, 0.05]},
        "up to 0.05 fold the picture over where the grid's spacing is 0.15; .* a fifth of it, 0.03",
    ),
    ({"kind": "elastic_distortion", "spacing": 0.05}, "fold the picture over"),
    ({"kind": "elastic_distortion", "displacement_range": [-0.01, 0.01]}, "from 0 to 0.2"),
    ({"kind": "elastic_distortion", "spacing": 0}, "greater than or equal to 0.02"),
]


@pytest.mark.parametrize(("step", "told"), BAD)
def test_a_step_that_cannot_be_is_refused(step, told):
    """Each planted fault is told with its place, what was seen and what may stand there."""
    with pytest.raises(RecipeError, match=rf"(?s)^mine: steps\.0.*{told}"):
        AugmentationRecipe.from_mapping({"steps": [step]}, where="mine")


@pytest.mark.parametrize("step", STEPS)
def test_steps_survive_their_text(step):
    """Written as YAML and read again a recipe is the same."""
    recipe = AugmentationRecipe(name="mine", steps=(step,))
    assert AugmentationRecipe.from_mapping(recipe.model_dump(mode="json"), where="x") == recipe


@pytest.mark.parametrize("step_deg", [0.1, 3.6, 7.2, 15, 45, 90])
def test_a_full_turn_is_cut_into_whole_steps(step_deg):
    """As many angles as steps fit, none of them twice: 360 is 0 again."""
    turn = Rotation(step_deg=step_deg)
    n = round(360 / step_deg)
    angles = [turn.drawn([(i + 0.5) / n])[0][1][0] for i in range(n)]
    assert angles == pytest.approx([i * step_deg for i in range(n)], abs=1e-9)
