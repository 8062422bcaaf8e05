"""Arms that differ in how they are trained: what an arm changes goes before what all share."""

import copy

import pytest
import yaml
from tests.replication.conftest import STUDY

from leukoscope.foundation.errors import RecipeError, UsageError
from leukoscope.replication.arms import Arm, start_of, training_of_arm
from leukoscope.replication.recipe import StudyRecipe, Unit, load_study, refuse_unheard
from leukoscope.training.probe import ProbeRecipe
from leukoscope.training.recipe import TrainingRecipe

PLAIN = yaml.safe_load(STUDY)


def study(arm=None, **changes):
    """Read the short study, the arm ``turned`` with some keys more."""
    value = copy.deepcopy(PLAIN) | changes
    value["arms"]["turned"] |= arm or {}
    return StudyRecipe.from_mapping(value, where="file.yaml")


def trained(own, shared=None):
    """Give the training of an arm that changes the shared one."""
    stated = study({"training": own, "augmentation": {}}, training=shared or PLAIN["training"])
    return stated.training_of(Unit("turned", 0))


CHANGES = {
    "learning_rate": 0.1,
    "batch_size": 2,
    "optimiser": "sgd",
    "model": "lenet",
    "head": "dense",
    "norm": "group",
    "label_smoothing": 0.2,
    "class_weights": "inverse-frequency",
}


@pytest.mark.parametrize("key", CHANGES)
def test_an_arm_changes_what_it_states_and_nothing_else(key):
    """One key of its training: that one differs from the baseline, in every replicate."""
    changed = study({"training": {key: CHANGES[key]}, "augmentation": {}})
    for replicate in range(3):
        own = changed.training_of(Unit("turned", replicate)).model_dump()
        other = changed.training_of(Unit("none", replicate)).model_dump()
        assert own.pop(key) == CHANGES[key] != other.pop(key)
        assert own == other


def test_within_preprocessing_an_arm_changes_key_by_key():
    """Another size leaves the colour statistics as they are shared."""
    shared = PLAIN["training"] | {"preprocessing": {"size_px": 32, "mean": [0.1, 0.2, 0.3]}}
    seen = trained({"preprocessing": {"size_px": 48}}, shared)
    assert seen.preprocessing.size_px == 48
    assert seen.preprocessing.mean == (0.1, 0.2, 0.3)


def test_another_network_leaves_the_shared_ones_arguments_and_weights_behind():
    """They are bound to it; the same network keeps them, and its own go before."""
    weights = {"name": "w", "sha256": "a" * 64, "licence": "mit"}
    shared = PLAIN["training"] | {"build_arguments": {"drop_rate": 0.2}, "weights": weights}
    other = trained({"model": "lenet"}, shared)
    assert (other.build_arguments, other.weights) == ({}, None)
    same = trained({"model": "test_resnet"}, shared)
    assert same.build_arguments == {"drop_rate": 0.2}
    assert same.weights.name == "w"
    own = trained({"model": "lenet", "build_arguments": {"grey": True}}, shared)
    assert own.build_arguments == {"grey": True}


def test_an_arm_with_a_classifier_is_a_classical_model():
    """On the shared network's features, or on pixels, which take nothing of a network."""
    frozen = trained({"classifier": {"kind": "knn"}})
    assert isinstance(frozen, ProbeRecipe)
    assert (frozen.model, frozen.preprocessing.size_px) == ("test_resnet", 32)
    shared = PLAIN["training"] | {"stem": "small", "norm": "group"}
    pixels = trained({"model": "pixels", "classifier": {"kind": "svm"}}, shared)
    assert isinstance(pixels, ProbeRecipe)
    assert (pixels.stem, pixels.norm, pixels.preprocessing.size_px) == ("own", "own", 32)
    assert pixels.preprocessing == ProbeRecipe(preprocessing={"size_px": 32}).preprocessing


FAULTS = {
    "misspelt": ({"learnin_rate": 1}, "learnin_rate is not a key.*learning_rate"),
    "out of range": ({"batch_size": 0}, "batch_size"),
    "seed": ({"seed": 3}, "seed is the same in all arms"),
    "split": ({"split": "other"}, "split is the same in all arms"),
    "repeat": ({"repeat": 1}, "repeat is the same in all arms"),
    "fold": ({"fold": 1}, "fold is the same in all arms"),
    "cells": ({"train_cells": 9}, "train_cells is the same in all arms"),
    "augmentation": ({"augmentation": {}}, "augmentation stands beside training"),
    "copies": ({"copies": 2}, "copies stands beside training"),
    "weights": ({"weights": {"name": "w"}}, "weights stand by name beside training"),
    "updates": ({"updates": 9}, "updates is the same in all arms of a study of equal updates"),
    "validations": ({"validate_every": 1}, "validate_every is the same in all arms"),
    "patience": ({"patience": 2}, "early stopping"),
    "worse": ({"stop_when_worse": True}, "early stopping"),
    "rate of a classifier": (
        {"classifier": {"kind": "svm"}, "learning_rate": 1},
        "learning_rate is not a key of ProbeRecipe",
    ),
    "no classifier": ({"classifier": {"kind": "forest"}}, "classifier"),
    "online": ({"classifier": {"kind": "svm"}}, "online"),
    "stages": ({"stages": [{"updates": 3}]}, "stages do 3 updates"),
    "no mapping": ({"preprocessing": 3}, "preprocessing"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_an_arm_may_not_change_is_refused_by_name_when_the_study_is_read(fault):
    """File, arm and key are named, once."""
    training, said = FAULTS[fault]
    with pytest.raises(RecipeError, match=f"^file.yaml: .*arm turned: .*{said}") as seen:
        study({"training": training})
    assert str(seen.value).count("Nothing was started") <= 1


def test_equal_updates_are_the_rule_and_equal_time_is_said():
    """Arms state their own updates where the study says so, and then all of them do."""
    arms = copy.deepcopy(PLAIN["arms"])
    arms["turned"]["training"] = {"updates": 9, "validate_every": 3}
    with pytest.raises(RecipeError, match="arm none: states no updates"):
        study(arms=arms, budget="equal-time")
    arms["none"]["training"] = {"updates": 2}
    timed = study(arms=arms, budget="equal-time")
    assert [timed.training_of(Unit(arm, 0)).updates for arm in arms] == [2, 9]
    with pytest.raises(RecipeError, match="equal_epochs goes with"):
        study(arms=arms, budget="equal-time", equal_epochs=True)
    arms["turned"] = {"description": "x", "training": {"classifier": {"kind": "logistic"}}}
    assert study(arms=arms, budget="equal-time").budget == "equal-time"


def test_stages_of_an_arm_do_the_studys_updates():
    """Two stages of two are the four of the others; in equal epochs both grow alike."""
    stages = {"stages": [{"updates": 1, "learning_rate": 0.1}, {"updates": 3}]}
    assert trained(stages).updates == 4
    arm = {"training": stages, "augmentation_use": "copies", "copies": 1}
    twice = study(arm, equal_epochs=True).training_of(Unit("turned", 0, equal_epochs=True))
    assert [stage.updates for stage in twice.stages] == [2, 6]
    assert (twice.updates, twice.validate_every) == (8, 4)


def test_equal_epochs_count_batches_too():
    """Half the batch takes twice the updates for as many rounds; a classical model takes none."""
    halved = study({"training": {"batch_size": 4}}, equal_epochs=True)
    unit = halved.in_equal_epochs("turned", 0)
    assert unit == Unit("turned", 0, equal_epochs=True)
    assert halved.training_of(unit).updates == 8
    assert not halved.in_equal_epochs("none", 0).equal_epochs
    probe = study({"training": {"classifier": {"kind": "svm"}}, "augmentation": {}})
    assert not probe.in_equal_epochs("turned", 0).equal_epochs


def test_starts_are_compared_where_network_weights_and_size_are_one():
    """Rates, losses and batches start alike; networks, sizes and weights do not."""
    shared = TrainingRecipe()
    plain = start_of(shared)

    def of(**training):
        return start_of(training_of_arm(shared, Arm(description="x", training=training)))

    assert of(learning_rate=0.1) == of(batch_size=9) == of(loss="focal", focal_gamma=2) == plain
    others = [of(model="lenet"), of(norm="group"), of(preprocessing={"size_px": 48})]
    origin = {"name": "w", "sha256": "a" * 64, "licence": "mit"}
    weighed = Arm.model_validate({"description": "x", "weights": "w", "origin": origin})
    others.append(start_of(training_of_arm(shared, weighed)))
    assert len({plain, *others}) == 5


def test_an_option_that_no_arm_would_hear_is_refused():
    """Each arm states its own size: --size-px would change nothing; one that does not hears it."""
    sizes = load_study("size-batch")
    with pytest.raises(UsageError, match="--size-px 32 would change nothing"):
        refuse_unheard(sizes, model=None, size_px=32, updates=None)
    refuse_unheard(sizes, model="lenet", size_px=None, updates=9)
    refuse_unheard(load_study("models"), model="lenet", size_px=32, updates=9)


def test_size_and_batch_are_crossed_and_the_papers_three_are_marked():
    """Yin and Xiong, table I: the diagonal of nine."""
    crossed = load_study("size-batch")
    cells = {}
    for arm in crossed.arms:
        training = crossed.training_of(Unit(arm, 0))
        cells[training.preprocessing.size_px, training.batch_size] = crossed.arms[arm].description
    assert set(cells) == {(size, batch) for size in (90, 150, 240) for batch in (20, 50, 100)}
    marked = {cell for cell, text in cells.items() if "paper's diagonal" in text}
    assert marked == {(240, 20), (150, 50), (90, 100)}


def test_pretraining_and_size_are_crossed():
    """Each size once from random and once from the given weights."""
    crossed = load_study("pretraining-size")
    cells = [
        (arm.weights, crossed.training_of(Unit(name, 0)).preprocessing.size_px)
        for name, arm in crossed.arms.items()
    ]
    assert sorted(cells, key=str) == sorted(
        ((weights, size) for weights in (None, "given") for size in (90, 150, 240)), key=str
    )
