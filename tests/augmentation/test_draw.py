import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.intake.pictures import drawn

from leukoscope.augmentation.draw import Draw, draw
from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.recipe import (
    AugmentationRecipe,
    Flip,
    Rotation,
    load_augmentation,
    named_augmentations,
)
from leukoscope.foundation.errors import RecipeError, UsageError

CHAIN = AugmentationRecipe(
    name="chain", steps=(Rotation(), Flip(axis="horizontal"), Flip(axis="vertical"))
)
N = 4000


def draws_of(recipe, n=N):
    return [draw(recipe, 1, f"cell{i}", 0) for i in range(n)]


def test_a_draw_is_pinned():
    """A change of these parameters would make stored draws and old runs irreproducible."""
    seen = draw(CHAIN, 7, "pbc:BA/BA_1.jpg", 0)
    moves = '[["rotation_deg",42.11543272962609],["flip_horizontal",1.0]]'
    assert seen.to_json() == f'{{"moves":{moves},"border":"reflect"}}'


def test_a_draw_follows_from_seed_cell_and_copy_alone():
    """Order, other draws and another process change nothing; each of the three changes it."""
    alone = draw(CHAIN, 3, "b", 1)
    for cell in "abc":
        for copy in (2, 0):
            draw(CHAIN, 3, cell, copy)
    assert draw(CHAIN, 3, "b", 1) == alone
    others = [draw(CHAIN, 4, "b", 1), draw(CHAIN, 3, "c", 1), draw(CHAIN, 3, "b", 2)]
    assert len({alone, *others}) == 4
    script = (
        "from leukoscope.augmentation.draw import draw\n"
        "from leukoscope.augmentation.recipe import load_augmentation as load\n"
        "print(draw(load('rotation-flips'), 3, 'b', 1).to_json())"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == draw(load_augmentation("rotation-flips"), 3, "b", 1).to_json()


def test_a_later_step_does_not_change_an_earlier_one():
    """Adding a step to a chain, or changing how often it is done, leaves the others' draws."""
    shorter = AugmentationRecipe(steps=CHAIN.steps[:2])
    rarer = AugmentationRecipe(steps=(*CHAIN.steps[:2], Flip(axis="vertical", probability=0)))
    for i in range(50):
        whole = draw(CHAIN, 1, f"c{i}", 0)
        early = tuple(each for each in whole.moves if each[0] != "flip_vertical")
        assert draw(shorter, 1, f"c{i}", 0).moves == early
        assert draw(rarer, 1, f"c{i}", 0).moves == early


def test_without_steps_nothing_is_ever_drawn():
    """The recipe of no steps, and one of probability 0, draw the identity for every cell."""
    never = AugmentationRecipe(steps=CHAIN.steps, probability=0)
    pixels = drawn(0)
    for recipe in (AugmentationRecipe(), load_augmentation("none"), never):
        for seen in draws_of(recipe, 200):
            assert seen == Draw()
            np.testing.assert_array_equal(apply(seen, pixels), pixels)


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.5, 1.0])
def test_flips_are_as_frequent_as_stated(probability):
    """Both axes are flipped with their probability, independently of each other."""
    recipe = AugmentationRecipe(
        steps=tuple(Flip(axis=axis, probability=probability) for axis in ("horizontal", "vertical"))
    )
    counts = Counter(tuple(name for name, _ in seen.moves) for seen in draws_of(recipe))
    both = ("flip_horizontal", "flip_vertical")
    p, q = probability, 1 - probability
    expected = {both: p * p, both[:1]: p * q, both[1:]: q * p, (): q * q}
    if probability in (0, 1):
        assert counts == Counter({both if p else (): N})
        return
    seen = [counts[each] for each in expected]
    assert stats.chisquare(seen, [share * N for share in expected.values()]).pvalue > 0.001


@pytest.mark.parametrize("bounds", [(0.0, 360.0), (-15.0, 15.0), (10.0, 10.0)])
def test_angles_are_even_over_their_range(bounds):
    """Angles fill the range and do not leave it; a range of one angle gives that angle."""
    recipe = AugmentationRecipe(steps=(Rotation(angle_range_deg=bounds),))
    angles = [seen.moves[0][1] for seen in draws_of(recipe)]
    low, high = bounds
    assert min(angles) >= low
    assert max(angles) <= high
    if high > low:
        assert stats.kstest(angles, stats.uniform(low, high - low).cdf).pvalue > 0.001


@pytest.mark.parametrize(
    ("bounds", "step", "expected"),
    [
        ((0, 360), 90, [0, 90, 180, 270]),
        ((0, 360), 15, [15 * i for i in range(24)]),
        ((0, 360), 7, [7 * i for i in range(52)]),
        ((0, 90), 30, [0, 30, 60, 90]),
        ((-10, 10), 8, [-10, -2, 6]),
        ((-180, 180), 120, [-180, -60, 60]),
        ((0, 1), 0.1, [i / 10 for i in range(11)]),
        ((90, 450), 180, [90, 270]),
    ],
)
def test_stepped_angles_are_each_step_and_evenly(bounds, step, expected):
    """From the lower end to the upper; the upper end of a full turn would be the lower twice."""
    recipe = AugmentationRecipe(steps=(Rotation(angle_range_deg=bounds, step_deg=step),))
    counts = Counter(round(seen.moves[0][1], 9) for seen in draws_of(recipe))
    assert sorted(counts) == pytest.approx(expected)
    assert stats.chisquare(list(counts.values())).pvalue > 0.001


def test_a_third_of_the_pictures_is_a_third():
    """The chain's own probability decides for the whole chain at once."""
    recipe = AugmentationRecipe(
        steps=(Flip(axis="vertical", probability=1), Rotation()), probability=1 / 3
    )
    counts = Counter(len(seen.moves) for seen in draws_of(recipe))
    assert set(counts) == {0, 2}
    assert stats.binomtest(counts[2], N, 1 / 3).pvalue > 0.001


MOVES = st.tuples(
    st.sampled_from(["rotation_deg", "flip_horizontal", "flip_vertical"]),
    st.floats(allow_nan=False, allow_infinity=False),
)


@given(st.lists(MOVES).map(tuple), st.sampled_from(["reflect", "edge", "constant"]))
def test_a_draw_survives_its_text(moves, border):
    """Read back from a manifest it is the same draw, to the last bit of every angle."""
    one = Draw(moves, border)
    assert Draw.from_json(one.to_json()) == one


# Recipes


def test_named_recipes_do_what_their_names_say():
    """Every recipe of the package can be read, and draws the moves it is called after."""
    names = named_augmentations()
    assert names == sorted(names)
    assert {"none", "flips", "rotation", "right-angles", "rotation-flips"} <= set(names)
    for name in names:
        recipe = load_augmentation(name)
        assert recipe.name == name
        kinds = {kind for seen in draws_of(recipe, 60) for kind, _ in seen.moves}
        assert ("rotation_deg" in kinds) == ("rotation" in name or name == "right-angles")
        assert any("flip" in kind for kind in kinds) == ("flips" in name)
    assert {seen.moves[0][1] for seen in draws_of(load_augmentation("right-angles"), 60)} == {
        *(0, 90, 180, 270)
    }


def test_a_recipe_is_read_from_a_file_or_refused(tmp_path):
    """A file gives what it holds; an unknown name and a misspelt key name what is near."""
    path = tmp_path / "mine.yaml"
    path.write_text(CHAIN.to_yaml())
    assert load_augmentation(path) == CHAIN
    assert load_augmentation(str(path)).recipe_id == CHAIN.recipe_id
    with pytest.raises(UsageError, match=r"'rotate'.*rotation"):
        load_augmentation("rotate")
    path.write_text("steps:\n- {kind: rotation, angle_range: [0, 90]}\n")
    with pytest.raises(RecipeError, match=r"mine\.yaml: .*Did you mean angle_range_deg"):
        load_augmentation(path)
    with pytest.raises(RecipeError, match=r"gone\.yaml cannot be read"):
        load_augmentation(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"kind": "rotation", "angle_range_deg": [10, 0]}, "from low to high"),
        ({"kind": "rotation", "angle_range_deg": [0, 10], "step_deg": 20}, "leaves one angle"),
        ({"kind": "rotation", "step_deg": 0}, "greater than 0"),
        ({"kind": "flip", "axis": "diagonal"}, "'horizontal' or 'vertical'"),
        ({"kind": "flip", "axis": "vertical", "probability": 1.5}, "less than or equal to 1"),
        ({"kind": "zoom"}, "'rotation', 'flip'"),
    ],
)
def test_a_step_out_of_range_is_refused(step, told):
    """Each planted fault of a step is told with its place."""
    with pytest.raises(RecipeError, match=rf"^mine: steps\.0.*{told}"):
        AugmentationRecipe.from_mapping({"steps": [step]}, where="mine")
