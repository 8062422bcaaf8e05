"""Arms of more cells: copies, more originals, and the same number of rounds over them."""

import pytest
import yaml
from tests.replication.conftest import STUDY

from leukoscope.foundation.errors import DataError, RecipeError
from leukoscope.intake.stratified import training_draw
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.replication.recipe import StudyRecipe, Unit, load_study
from leukoscope.replication.study import fitting_the_pool

ROTATION = load_study("rotation")


def recipe(**changes):
    """Read the short study with changes to its mapping."""
    return StudyRecipe.from_mapping(yaml.safe_load(STUDY) | changes, where="the study")


def test_the_rotation_study_has_the_papers_arms_and_their_fair_rival():
    """Nozaka et al. (2022) from 1,064 originals; +200 % has a rival of as many more originals."""
    sizes = {}
    for arm in ROTATION.arms:
        training = ROTATION.training_of(Unit(arm, 0))
        sizes[arm] = (training.train_cells, training.train_cells * (1 + training.copies))
    assert sizes == {
        "originals": (1064, 1064),
        "rotated-100": (1064, 2128),
        "rotated-200": (1064, 3192),
        "rotated-online": (1064, 1064),
        "more-originals": (3192, 3192),
    }
    assert (ROTATION.replicates, ROTATION.baseline) == (8, "originals")


def test_all_arms_do_the_same_updates_and_score_validation_at_the_same():
    """Within a replicate only cells and augmentation differ."""
    for replicate in range(2):
        units = [ROTATION.training_of(Unit(arm, replicate)) for arm in ROTATION.arms]
        own = {"augmentation", "augmentation_use", "copies", "train_cells"}
        shared = [unit.model_dump(exclude=own) for unit in units]
        assert all(one == shared[0] for one in shared)


def test_draws_are_nested(cells):
    """The originals are part of more originals, in every replicate."""
    divided = read_split(read_dataset(cells), "splits", 0, 0)
    train = divided.filter(split="train")
    for seed in range(5):
        fewer = set(training_draw(train, 20, seed)["cell_id"])
        assert fewer < set(training_draw(train, 60, seed)["cell_id"])


def test_equal_epochs_train_larger_arms_once_more_and_longer():
    """As many rounds over the cells as the baseline; arms of its size have one unit for both."""
    plain = ROTATION.model_copy(update={"replicates": 2})
    twice = plain.model_copy(update={"equal_epochs": True})
    assert len(plain.units()) == 10
    assert len(twice.units()) == len(set(twice.units())) == 16
    assert [unit for unit in twice.units() if not unit.equal_epochs] == plain.units()
    for unit in twice.units():
        training = twice.training_of(unit)
        cells = training.train_cells * (1 + training.copies)
        if unit.equal_epochs:
            assert training.updates / cells == ROTATION.training.updates / 1064
            assert training.updates / training.validate_every == 600 / 20
        else:
            assert training.updates == 600


def test_arms_of_more_originals_shrink_all_draws_to_fit_the_pool(cells):
    """Four fifths of the pool for the largest arm; the others keep their share of it."""
    divided = read_split(read_dataset(cells), "splits", 0, 0)
    pool = divided.filter(split="train").height
    arms = yaml.safe_load(STUDY)["arms"] | {"more": {"description": "x", "times_originals": 3}}
    fitted = fitting_the_pool(recipe(arms=arms), divided)
    assert fitted.training.train_cells == int(0.8 * pool / 3)
    largest = fitted.training_of(Unit("more", 0)).train_cells
    assert 3 * fitted.training.train_cells == largest <= 0.8 * pool
    arms["more"]["times_originals"] = 99
    with pytest.raises(DataError, match="too few to draw"):
        fitting_the_pool(recipe(arms=arms), divided)


def test_a_smaller_arm_is_trained_shorter_but_never_not_at_all():
    """Equal epochs of an arm below the baseline: at least one update, scored at least once."""
    arms = yaml.safe_load(STUDY)["arms"]
    arms["none"] |= {k: arms["turned"][k] for k in ("augmentation",)}
    arms["none"] |= {"augmentation_use": "copies", "copies": 9}
    study = recipe(arms=arms, equal_epochs=True)
    assert Unit("turned", 0, equal_epochs=True) in study.units()
    training = study.training_of(Unit("turned", 0, equal_epochs=True))
    assert (training.updates, training.validate_every) == (1, 1)


@pytest.mark.parametrize("name", ["x" * 65, "²²", "Turned", ""])
def test_arm_names_that_make_no_folder_are_refused(name):
    """Too long, not of plain letters, the same but for capitals, nothing."""
    arms = yaml.safe_load(STUDY)["arms"]
    with pytest.raises(RecipeError, match="arm name"):
        recipe(arms=arms | {name: {"description": "x"}})


@pytest.mark.parametrize(
    "fault", [{"copies": 2}, {"augmentation_use": "copies"}, {"times_originals": 0.5}]
)
def test_arms_that_make_no_sense_are_refused_before_anything_runs(fault):
    """Named by what is wrong with them."""
    arms = yaml.safe_load(STUDY)["arms"]
    arms["turned"] |= fault
    with pytest.raises(RecipeError, match=r"copies|times_originals"):
        recipe(arms=arms)
