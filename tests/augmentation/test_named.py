from collections import Counter
from importlib import resources

import numpy as np
import pytest
import yaml
from scipy import stats

from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.draw import Draw, draw
from leukoscope.augmentation.recipe import (
    AugmentationRecipe,
    load_augmentation,
    named_augmentations,
)
from leukoscope.foundation.streams import stream
from leukoscope.intake.store import PixelStore
from leukoscope.training.cells import Cells, batch_pixels
from leukoscope.training.recipe import TrainingRecipe

N = 3000
PIXELS = stream(1, "noise").integers(0, 256, (48, 48, 3), dtype=np.uint8)
ASKED = {
    *("nozaka-2022-rotation", "nozaka-2022-scaling-5", "nozaka-2022-scaling-20"),
    *("nozaka-2022-distortion-20", "nozaka-2020", "saquib-flip-rotate", "saquib-blur"),
    *("saquib-noise", "saquib-shifts", "saquib-brightness", "saquib-masking", "saquib-borders"),
    *("gaur-rotate-45", "gaur-flip-rotate", "yin-rotate-flip", "trivial-augment", "none"),
}


def operations(name, n=N):
    """Give what a named recipe draws for many cells."""
    recipe = load_augmentation(name)
    return [draw(recipe, 1, f"cell{i}", 0).operations for i in range(n)]


def values(name, place=0):
    """Give the numbers of a recipe of one step, where it is done."""
    return np.array([chain[0][1][place] for chain in operations(name) if chain])


def text_of(name):
    """Read a named recipe's file."""
    return (resources.files("leukoscope.augmentation") / "named" / f"{name}.yaml").read_text()


def test_every_recipe_that_was_asked_for_is_there():
    """All of the papers' and the rivals', in the order of their names."""
    names = named_augmentations()
    assert names == sorted(names)
    assert set(names) >= ASKED


@pytest.mark.parametrize("name", named_augmentations())
def test_a_named_recipe_is_read_drawn_and_done(name):
    """It bears the name of its file and keeps what a picture is."""
    recipe = load_augmentation(name)
    assert recipe.name == name
    assert AugmentationRecipe.from_mapping(yaml.safe_load(recipe.to_yaml()), where=name) == recipe
    for i in range(30):
        drawn = draw(recipe, 1, f"cell{i}", 0)
        assert Draw.from_json(drawn.to_json()) == drawn
        seen = apply(drawn, PIXELS)
        assert seen.dtype == np.uint8
        assert seen.shape == PIXELS.shape


@pytest.mark.parametrize("name", sorted(ASKED - {"none"}))
def test_a_recipe_of_a_paper_says_in_its_file_where_it_comes_from(name):
    """The first line names the paper's id or the method's authors."""
    first = text_of(name).splitlines()[0]
    assert first.startswith("# ")
    assert any(
        mark in first for mark in ("N22-S", "N20-S", "SR-S", "G-S", "YX-S", "TrivialAugment")
    )


def test_the_arms_of_the_study_are_the_named_recipes():
    """What the study trains with is what a person gets by the same name, to the last setting."""
    folder = resources.files("leukoscope.replication") / "studies"
    arms = yaml.safe_load((folder / "augmentations.yaml").read_text())["arms"]
    given = [arm["augmentation"] for arm in arms.values() if "augmentation" in arm]
    assert len(given) == len(arms) - 1
    for each in given:
        assert AugmentationRecipe.model_validate(each) == load_augmentation(each["name"])


@pytest.mark.parametrize("use", ["online", "in-place"])
def test_none_is_provably_none(use):
    """Applied it is the very picture; in training, the stored pixels bit for bit at any visit."""
    assert set(operations("none", 50)) == {()}
    assert apply(draw(load_augmentation("none"), 1, "a", 3), PIXELS) is PIXELS
    stored = stream(2, "noise").integers(0, 256, (6, 12, 12, 3), dtype=np.uint8)
    names = [f"cell{i}" for i in range(6)]
    store = PixelStore(stored, {name: i for i, name in enumerate(names)})
    cells = Cells(names, np.zeros(6, np.int64), np.arange(6), store, np.zeros(6, np.int64))
    never = AugmentationRecipe(steps=load_augmentation("trivial-augment").steps, probability=0)
    for augmentation in (load_augmentation("none"), never):
        recipe = TrainingRecipe(augmentation=augmentation, augmentation_use=use)
        for visit in (0, 5):
            seen = batch_pixels(cells, np.arange(6), np.full(6, visit), recipe)
            np.testing.assert_array_equal(seen, stored)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("nozaka-2022-rotation", 0, 360),
        ("nozaka-2022-scaling-5", 0.95, 1.05),
        ("nozaka-2022-scaling-20", 0.8, 1.2),
        ("nozaka-2022-distortion-20", -0.2, 0.2),
        ("saquib-blur", 1, 4),
        ("saquib-noise", 0.02 * 255, 0.1 * 255),
        ("saquib-shifts", -0.2, 0.2),
        ("saquib-brightness", 0.7, 1.3),
    ],
)
def test_strengths_are_the_papers_and_drawn_evenly(name, low, high):
    """Over the whole range that the paper prints, or that the file says is ours."""
    seen = values(name)
    assert stats.kstest(seen, stats.uniform(low, high - low).cdf).pvalue > 1e-4


@pytest.mark.parametrize(
    ("name", "share"),
    [
        *((f"nozaka-2022-{what}", 0.5) for what in ("scaling-5", "scaling-20", "distortion-20")),
        *((f"saquib-{what}", 1 / 3) for what in ("blur", "noise")),
        *((name, 1.0) for name in ("nozaka-2022-rotation", "saquib-borders", "gaur-rotate-45")),
    ],
)
def test_pictures_are_chosen_as_often_as_the_paper_says(name, share):
    """Half of them, each with probability 1/3, or all."""
    times = sum(bool(chain) for chain in operations(name))
    assert stats.binomtest(times, N, share).pvalue > 1e-4
    assert times == N or share < 1


@pytest.mark.parametrize(
    ("name", "pictures"),
    [("nozaka-2020", 8), ("gaur-rotate-45", 8), ("gaur-flip-rotate", 16), ("flips", 4)],
)
def test_recipes_of_few_outcomes_give_each_as_often(name, pictures):
    """All orientations they speak of, evenly."""
    counts = Counter(operations(name))
    assert len(counts) == pictures
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_masking_covers_one_or_two_squares_of_a_fifth():
    """Either as often; each a fifth of both sides, black, within the picture."""
    chains = operations("saquib-masking")
    counts = Counter(len(chain) for chain in chains)
    assert set(counts) == {1, 2}
    assert stats.binomtest(counts[2], N, 0.5).pvalue > 1e-4
    boxes = np.array([given for chain in chains for _, given in chain])
    assert (boxes[:, 2:] == 0.2).all()
    assert boxes[:, :2].min() >= 0
    assert boxes[:, :2].max() <= 0.8
    assert {name for chain in chains for name, _ in chain} == {"erasing_black"}


def test_borders_are_of_two_breadths_and_two_fills():
    """The four of them, evenly."""
    counts = Counter(operations("saquib-borders"))
    assert set(counts) == {
        ((f"added_border_{fill}", (breadth,)),)
        for fill in ("black", "reflect")
        for breadth in (0.05, 0.1)
    }
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_yin_turns_or_mirrors_and_never_both():
    """A rotation by up to 20 degrees for half of the pictures, flips for the others."""
    chains = operations("yin-rotate-flip")
    turned = [chain for chain in chains if "rotation_deg" in dict(chain)]
    assert stats.binomtest(len(turned), N, 0.5).pvalue > 1e-4
    assert all(len(chain) == 1 and 0 <= chain[0][1][0] <= 20 for chain in turned)
    others = Counter(chain for chain in chains if "rotation_deg" not in dict(chain))
    assert len(others) == 4
    assert stats.chisquare(list(others.values())).pvalue > 1e-4


def test_trivial_augment_does_one_thing_a_picture():
    """Each of its methods as often as any other, nothing among them."""
    counts = Counter(
        chain[0][0] if chain else "identity" for chain in operations("trivial-augment")
    )
    assert len(counts) == len(load_augmentation("trivial-augment").steps[0].steps)
    assert all(len(chain) <= 1 for chain in operations("trivial-augment", 200))
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4
