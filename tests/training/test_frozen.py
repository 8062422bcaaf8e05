import shutil

import numpy as np
import polars as pl
import pytest
import torch

from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.draw import draw
from leukoscope.foundation.errors import RecipeError
from leukoscope.intake.store import open_store
from leukoscope.models.backbones import build
from leukoscope.models.bodies import split_network
from leukoscope.models.features import features_of
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.training.cells import gather
from leukoscope.training.frozen import cacheable, frozen_cells
from leukoscope.training.loop import fit
from leukoscope.training.recipe import TrainingRecipe

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
TURNED = {"steps": [{"kind": "rotation"}]}
USES = {
    "plain": {},
    "copies": {"augmentation": TURNED, "augmentation_use": "copies", "copies": 2},
    "in place": {"augmentation": TURNED, "augmentation_use": "in-place"},
}


def recipe_of(**values):
    """State a training of a head on a small frozen network."""
    short = {"updates": 30, "batch_size": 16, "validate_every": 10, "warmup_updates": 2}
    base = {"model": "test_resnet", "preprocessing": {"size_px": 32}, "precision": "float32"}
    whole = base | short | {"frozen_groups": "all-but-head", "seed": 3} | values
    return TrainingRecipe.from_mapping(whole, where="a test")


@pytest.fixture
def known(cells, tmp_path):
    """Copy the drawn cells: features are kept in the dataset's folder."""
    return read_dataset(shutil.copytree(cells, tmp_path / "cells"))


def sides_of(known, recipe):
    """Gather training and validation cells as a run does."""
    divided = read_split(known, "splits", 0, 0)
    parts = {s: divided.filter(pl.col("split") == s) for s in ("train", "validation")}
    store = open_store(known, divided, recipe.preprocessing.size_px)
    categories = known.card.categories
    train = gather(parts["train"], categories, store, copies=recipe.copies)
    return train, gather(parts["validation"], categories, store)


@pytest.mark.parametrize("use", USES)
def test_each_cell_and_copy_has_the_features_of_its_picture(known, use):
    """Row by row: what the body makes of the picture as training would draw it."""
    recipe = recipe_of(**USES[use])
    train, _ = sides_of(known, recipe)
    body, _ = split_network(build(recipe, 4, 32, seed=0), "all-but-head")
    frozen = frozen_cells(known, train, recipe, body, device=CPU, augmented=True)
    assert frozen.cell_ids == train.cell_ids
    assert np.array_equal(frozen.copies, train.copies)
    assert np.array_equal(frozen.codes, train.codes)
    pixels = train.store.take(train.rows)
    if use != "plain":
        for place, (cell, copy) in enumerate(zip(train.cell_ids, train.copies, strict=True)):
            if use == "in place" or copy:
                pixels[place] = apply(draw(recipe.augmentation, 3, cell, int(copy)), pixels[place])
    expected = features_of(body, pixels, recipe.preprocessing, CPU)
    np.testing.assert_allclose(frozen.store.take(frozen.rows), expected, atol=1e-5)


def test_validation_is_not_augmented(known):
    """In place or not: it is chosen by pictures as they are."""
    recipe = recipe_of(**USES["in place"])
    _, validation = sides_of(known, recipe)
    body, _ = split_network(build(recipe, 4, 32, seed=0), "all-but-head")
    frozen = frozen_cells(known, validation, recipe, body, device=CPU, augmented=False)
    pixels = validation.store.take(validation.rows)
    expected = features_of(body, pixels, recipe.preprocessing, CPU)
    np.testing.assert_allclose(frozen.store.take(frozen.rows), expected, atol=1e-5)


LAW = {
    **{name: {"model": "test_resnet", **use} for name, use in USES.items()},
    "dropout": {"build_arguments": {"drop_rate": 0.3}},
    "maps and a head of several layers": {"model": "lenet", "frozen_groups": 3},
    "three losses apart": {"class_weights": "inverse-frequency", "average_decay": 0.9},
}


@pytest.mark.parametrize("values", LAW.values(), ids=LAW)
def test_training_on_features_is_training_with_the_frozen_part(known, tmp_path, values):
    """Weights, logits and history agree to 1e-3, whatever is done to the cells."""
    recipe = recipe_of(**values)
    train, validation = sides_of(known, recipe)
    slow = build(recipe, 4, 32, seed=3)
    quick = build(recipe, 4, 32, seed=3)
    body, head = cacheable(quick, recipe)
    found = []
    sides = (train, validation)
    kept = [
        frozen_cells(known, part, recipe, body, device=CPU, augmented=part is train)
        for part in sides
    ]
    for name, network, parts in (("slow", slow, sides), ("quick", head, kept)):
        (tmp_path / name).mkdir()
        run = tmp_path / name
        state = fit(network, *parts, recipe, run=run, device=CPU, precision="float32")
        network.load_state_dict(state.best)
        found.append(state.history)
    begun = build(recipe, 4, 32, seed=3).state_dict()
    moved = False
    for name, value in slow.state_dict().items():
        torch.testing.assert_close(quick.state_dict()[name], value, atol=1e-3, rtol=1e-3)
        moved = moved or not torch.allclose(begun[name].float(), value.float(), atol=3e-3)
    assert moved
    pixels = torch.rand(8, 3, 32, 32)
    with torch.inference_mode():
        a, b = slow.eval()(pixels), quick.eval()(pixels)
    torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)
    for one, other in zip(*found, strict=True):
        assert one.keys() == other.keys()
        for name in ("train_loss", "validation_loss", "learning_rate", "rounds"):
            assert one[name] == pytest.approx(other[name], abs=1e-3)


# Where it would not be the same


NOT_THE_SAME = {
    "nothing frozen": {"frozen_groups": 0},
    "each visit anew": {"augmentation": TURNED},
    "rates by layer": {"rate_decay": 0.5},
    "stages that freeze otherwise": {
        "stages": [{"updates": 10}, {"updates": 20, "frozen_groups": 0}]
    },
    "stages of another augmentation": {
        "augmentation_use": "in-place",
        "stages": [{"updates": 10, "augmentation": TURNED}, {"updates": 20}],
    },
    "a seam within a block": {"frozen_groups": 2},
}


@pytest.mark.parametrize("values", NOT_THE_SAME.values(), ids=NOT_THE_SAME)
def test_the_loop_runs_the_frozen_part_where_features_would_not_do(values):
    """Then there is nothing to keep."""
    recipe = recipe_of(**values)
    assert cacheable(build(recipe, 4, 32, seed=0), recipe) is None


def test_stages_that_agree_share_their_features():
    """Learning rates alone differ."""
    stages = [{"updates": 10, "learning_rate": 0.1}, {"updates": 20}]
    recipe = recipe_of(stages=stages)
    assert cacheable(build(recipe, 4, 32, seed=0), recipe) is not None


def test_features_of_cells_that_change_at_each_visit_are_refused(known):
    """The sentence says what to use instead."""
    recipe = recipe_of(augmentation=TURNED)
    train, _ = sides_of(known, recipe)
    body, _ = split_network(build(recipe, 4, 32, seed=0), "all-but-head")
    with pytest.raises(RecipeError, match="Use augmentation_use: copies or in-place"):
        frozen_cells(known, train, recipe, body, device=CPU, augmented=True)
