"""The models that are named can be asked for."""

import pytest

from leukoscope.foundation.errors import UsageError
from leukoscope.models.backbones import build, check_name
from leukoscope.models.known import CLASSICAL, MODELS, NETWORKS
from leukoscope.models.probes import WITHOUT_NETWORK
from leukoscope.records.catalogue import shipped_names
from leukoscope.records.classifiers import ClassifierRecipe
from leukoscope.records.runs import NetworkRecipe
from leukoscope.replication.recipe import Unit, load_study, named_studies
from leukoscope.training.recipe import TrainingRecipe
from leukoscope.training.recipes import NAMED, load_training

TRAININGS = {name: load_training(name) for name in shipped_names(*NAMED)}


def test_every_network_is_a_papers_or_one_of_timm() -> None:
    """None is only a name, and all stand in order."""
    for name in NETWORKS:
        check_name(name)
    assert list(MODELS) == sorted({*NETWORKS, *CLASSICAL})


def test_classical_models_are_those_a_recipe_can_ask_for() -> None:
    """By their kind."""
    union = ClassifierRecipe.__origin__  # type: ignore[attr-defined]
    assert {each.model_fields["kind"].default for each in union.__args__} == set(CLASSICAL)


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_classical_model_asked_for_as_a_network_gets_the_way_to_it(name: str) -> None:
    """The word that a recipe needs is in the sentence."""
    with pytest.raises(UsageError, match=rf"--recipe.*classifier: {{kind: {name}}}"):
        check_name(name)


def test_what_the_package_trains_is_named() -> None:
    """The default, and the network of every arm and recipe that comes with it."""
    studies = map(load_study, named_studies())
    arms = [study.training_of(Unit(arm, 0)) for study in studies for arm in study.arms]
    used = {training.model for training in (*arms, *TRAININGS.values())}
    assert used - set(WITHOUT_NETWORK) <= set(NETWORKS)
    assert "default" in NETWORKS[TrainingRecipe().model].what


def test_recipes_that_lines_speak_of_are_there() -> None:
    """And each paper's network that needs one is told with it."""
    words = " ".join(known.what for known in MODELS.values()).replace(",", " ").replace(".", " ")
    told = {word for word in words.split() if word in TRAININGS}
    assert {name for name in TRAININGS if TRAININGS[name].model != "resnet18"} - told <= {
        "nozaka-2020-lenet",
        "saquib-rodriguez",
    }


def test_the_number_of_parameters_that_is_told_is_true() -> None:
    """Of the one network whose number a paper prints."""
    network = build(NetworkRecipe(model="saquib_rodriguez"), 1, 256, seed=0)
    n_parameters = sum(value.numel() for value in network.parameters())
    assert f"{n_parameters:,} parameters" in MODELS["saquib_rodriguez"].what
