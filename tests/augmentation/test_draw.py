import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.augmentation.kinds import KINDS, STRONG, step_of

from leukoscope.augmentation.draw import Draw, draw
from leukoscope.augmentation.recipe import AugmentationRecipe, load_augmentation
from leukoscope.foundation.errors import SchemaError

EVERY = AugmentationRecipe(
    name="every",
    steps=tuple(step_of(kind, STRONG[kind]) for kind in KINDS),
    border="constant",
    border_rgb=(1, 2, 3),
    interpolation="bicubic",
    lengths_at_px=128,
)
CHAIN = load_augmentation("rotation-flips-scaling")
N = 4000


def draws_of(recipe, n=N):
    return [draw(recipe, 1, f"cell{i}", 0) for i in range(n)]


@pytest.mark.parametrize(
    ("name", "copy", "operations"),
    [
        (
            "rotation-flips-scaling",
            0,
            (
                '["rotation_deg",42.11543272962609],["flip_horizontal"],'
                '["scaling",1.1851997987539846,1.1851997987539846]'
            ),
        ),
        ("saquib-noise", 0, ""),
        ("saquib-noise", 4, '["gaussian_noise_levels",23.389545131736106,6757716631151408.0]'),
    ],
)
def test_a_draw_is_pinned(name, copy, operations):
    """A change of these parameters would make stored draws and old runs irreproducible."""
    seen = draw(load_augmentation(name), 7, "pbc:BA/BA_1.jpg", copy)
    assert seen.to_json() == (
        f'{{"operations":[{operations}],"border":"reflect","border_rgb":[0,0,0],'
        '"interpolation":"bilinear","lengths_at_px":null}'
    )


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
        "print(draw(load('trivial-augment'), 3, 'b', 1).to_json())"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    here = draw(load_augmentation("trivial-augment"), 3, "b", 1)
    assert found.stdout.strip() == here.to_json()


@pytest.mark.parametrize("kind", KINDS)
def test_a_later_step_does_not_change_an_earlier_one(kind):
    """Adding a step to a chain, or changing how often it is done, leaves the others' draws."""
    last = step_of(kind, STRONG[kind])
    longer = AugmentationRecipe(steps=(*CHAIN.steps, last))
    rarer = AugmentationRecipe(steps=(*CHAIN.steps, last.model_copy(update={"probability": 0.0})))
    for i in range(20):
        early = draw(CHAIN, 1, f"c{i}", 0).operations
        assert draw(longer, 1, f"c{i}", 0).operations[: len(early)] == early
        assert draw(rarer, 1, f"c{i}", 0).operations == early


def test_without_steps_nothing_is_ever_drawn():
    """The recipe of no steps, and one of probability 0, draw nothing for every cell."""
    never = AugmentationRecipe(steps=CHAIN.steps, probability=0)
    for recipe in (AugmentationRecipe(), load_augmentation("none"), never):
        assert set(draws_of(recipe, 200)) == {Draw()}


def test_a_third_of_the_pictures_is_a_third():
    """The chain's own probability decides for the whole chain at once."""
    steps = (step_of("hue", {}), step_of("gamma", {}))
    recipe = AugmentationRecipe(steps=steps, probability=1 / 3)
    lengths = [len(seen.operations) for seen in draws_of(recipe)]
    assert set(lengths) == {0, 2}
    assert stats.binomtest(lengths.count(2), N, 1 / 3).pvalue > 0.001


def test_a_draw_carries_the_rules_of_its_recipe():
    """Border, colour, interpolation and the size that lengths count."""
    seen = draw(EVERY, 1, "a", 0)
    assert (seen.border, seen.border_rgb) == ("constant", (1, 2, 3))
    assert (seen.interpolation, seen.lengths_at_px) == ("bicubic", 128)


@pytest.mark.parametrize("kind", KINDS)
def test_a_draw_of_every_kind_survives_its_text(kind):
    """Read back from a manifest it is the same draw, seeds and the last bit of angles included."""
    recipe = EVERY.model_copy(update={"steps": (step_of(kind, STRONG[kind]),)})
    for seen in draws_of(recipe, 30):
        again = Draw.from_json(seen.to_json())
        assert again == seen
        assert hash(again) == hash(seen)
    whole = draw(EVERY, 1, "a", 0)
    assert Draw.from_json(whole.to_json()) == whole


NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=6).map(tuple)


@given(
    st.lists(st.tuples(st.text(max_size=9), NUMBERS)).map(tuple),
    st.sampled_from(["reflect", "edge", "constant"]),
    st.tuples(*[st.integers(0, 255)] * 3),
    st.one_of(st.none(), st.integers(1, 10_000)),
)
def test_any_draw_survives_its_text(operations, border, border_rgb, lengths_at_px):
    """Whatever the names and numbers are."""
    one = Draw(operations, border, border_rgb, "nearest", lengths_at_px)
    assert Draw.from_json(one.to_json()) == one


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rotation 42",
        "[]",
        "3",
        "{}",
        '{"moves":[["rotation_deg",42.1]],"border":"reflect"}',
        '{"operations":[["jpeg",80.0]],"border_rgb":[0,0,0],"speed":3}',
        '{"operations":[[]],"border_rgb":[0,0,0]}',
    ],
)
def test_a_text_that_is_no_draw_is_refused_with_what_it_says(text):
    """Another version's draw, a changed one and none at all are told as such."""
    with pytest.raises(SchemaError, match=r"A draw cannot be read: .*version that drew it"):
        Draw.from_json(text)
