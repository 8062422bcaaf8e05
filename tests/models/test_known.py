"""The networks that are named can be built."""

from leukoscope.models.backbones import check_name
from leukoscope.models.known import MODELS
from leukoscope.replication.recipe import load_study, named_studies
from leukoscope.training.recipe import TrainingRecipe


def test_every_network_is_one_of_timm() -> None:
    """None is only a name, and they stand in order."""
    for name in MODELS:
        check_name(name)
    assert list(MODELS) == sorted(MODELS)


def test_what_the_package_trains_is_named() -> None:
    """The default, and the network of every study that comes with it."""
    used = {load_study(name).training.model for name in named_studies()}
    assert used | {TrainingRecipe().model} <= set(MODELS)
    assert "default" in MODELS[TrainingRecipe().model]
