import pytest
import yaml
from pydantic import ValidationError
from tests.training.colours import HARDEST, PLAN

from leukoscope.foundation.errors import RecipeError
from leukoscope.training.recipe import Stage, TrainingRecipe

TWO = [{"updates": 200}, {"updates": 400}]
# A recipe as the version before these fields wrote it.
EARLIER = """
model: resnet18
build_arguments: {}
weights: null
preprocessing:
  size_px: 64
  mean: [0.5, 0.5, 0.5]
  std: [0.5, 0.5, 0.5]
  resizer: pillow-bilinear-antialias
augmentation: {name: none, steps: [], probability: 1.0}
augmentation_use: online
copies: 0
train_cells: null
split: splits
repeat: 0
fold: 0
optimiser: sgd
learning_rate: 0.01
weight_decay: 0.05
schedule: plateau
warmup_updates: 20
plateau_patience: 3
batch_size: 64
updates: 600
validate_every: 50
patience: 4
label_smoothing: 0.1
precision: auto
seed: 3
"""

CONTRADICTIONS = {
    "step_every": {"schedule": "step"},
    "and only so": {"schedule": "cosine", "step_every": 9},
    "warmup_updates: 0": {"schedule": "one-cycle"},
    "give focal_gamma: 2": {"loss": "focal"},
    "add loss: focal": {"focal_gamma": 2},
    "leave one of them out": {"loss": "focal", "focal_gamma": 2, "label_smoothing": 0.1},
    "class_weights and sampling: balanced": {
        "class_weights": "inverse-frequency",
        "sampling": "balanced",
    },
    "logit_adjustment and sampling": {"logit_adjustment": 1, "sampling": "balanced"},
    "class_weights and logit_adj": {"class_weights": "effective-number", "logit_adjustment": 1},
    "600 updates together, and updates says 500": {"updates": 500, "stages": TWO},
    "add regions: quadrants-and-rim": {"bagging": True},
    "only make them smaller": {"stages": [{"updates": 600, "size_px": 128}]},
    "lenet is cut to one size": {"model": "lenet", "stages": [{"updates": 600, "size_px": 32}]},
    "the head dense is cut": {"head": "dense", "stages": [{"updates": 600, "size_px": 32}]},
    "background_replacement needs": {
        "stages": [
            {"updates": 600, "augmentation": {"steps": [{"kind": "background_replacement"}]}}
        ]
    },
    "copies made by an augmentation without steps": {
        "augmentation_use": "copies",
        "copies": 1,
        "augmentation": {"steps": [{"kind": "rotation"}]},
        "stages": [{"updates": 600, "augmentation": {"name": "none"}}],
    },
}
OUT_OF_RANGE = {
    "rate_decay": [0, 1.5, -1],
    "rate_factor": [0, 1],
    "step_every": [0],
    "frozen_groups": [-1, "all", 2.5],
    "focal_gamma": [-1, 11],
    "logit_adjustment": [-0.1],
    "average_decay": [0, 1],
    "clip_norm": [0, -1],
    "choose_by": ["f1"],
    "optimiser": ["lion"],
    "sampling": ["random"],
    "stages": [[{"updates": 0}], [{"updates": 600, "batch_size": 3}]],
}


@pytest.mark.parametrize("said", CONTRADICTIONS)
def test_what_contradicts_itself_is_refused_with_what_to_do(said):
    """The sentence says what cannot be together, and how it can."""
    with pytest.raises(RecipeError, match=said):
        TrainingRecipe.from_mapping(CONTRADICTIONS[said], where="a test")


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in OUT_OF_RANGE.items() for value in values]
)
def test_a_value_out_of_range_is_refused_by_name(name, value):
    """With nothing else wrong about the recipe."""
    with pytest.raises(RecipeError, match=name):
        TrainingRecipe.from_mapping({name: value}, where="a test")


def test_each_contradiction_ends_when_one_side_is_given_up():
    """The settings of one alone are taken."""
    taken = [
        {"schedule": "step", "step_every": 9},
        {"schedule": "one-cycle", "warmup_updates": 0},
        {"loss": "focal", "focal_gamma": 2},
        {"label_smoothing": 0.1, "class_weights": "inverse-frequency"},
        {"logit_adjustment": 1},
        {"sampling": "balanced"},
        {"updates": 600, "stages": TWO},
        {"bagging": True, "regions": "quadrants-and-rim"},
        {"stages": [{"updates": 600, "size_px": 32}]},
        {"model": "lenet", "stages": [{"updates": 600, "size_px": 64}]},
        {"frozen_groups": 3, "keep_head": True, "rate_decay": 0.8, "stop_when_worse": True},
    ]
    for settings in taken:
        read = TrainingRecipe.from_mapping(settings, where="a test")
        assert read.model_fields_set >= set(settings)


def test_a_recipe_comes_back_as_it_was_written(tmp_path):
    """Stages, nulls and all, under one id."""
    recipe = TrainingRecipe.from_mapping(PLAN | HARDEST, where="a test")
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    again = TrainingRecipe.from_yaml(tmp_path / "recipe.yaml")
    assert again == recipe
    assert again.recipe_id == recipe.recipe_id
    assert again.stages[0] == Stage(updates=15, learning_rate=0.01, frozen_groups="all-but-head")


def test_a_recipe_of_an_earlier_version_still_loads():
    """What it did not know of stays off."""
    earlier = yaml.safe_load(EARLIER)
    recipe = TrainingRecipe.from_mapping(earlier, where="a test")
    stated = {name: getattr(recipe, name) for name in ("optimiser", "patience", "seed")}
    assert stated == {"optimiser": "sgd", "patience": 4, "seed": 3}
    new = TrainingRecipe()
    for name in set(TrainingRecipe.model_fields) - set(earlier):
        assert getattr(recipe, name) == getattr(new, name)
    assert (new.stages, new.frozen_groups, new.average_decay, new.bagging) == ((), 0, None, False)


def test_a_stage_is_a_value():
    """It cannot be changed, and equal ones are one."""
    stage = Stage(updates=3)
    with pytest.raises(ValidationError, match="frozen"):
        stage.updates = 4
    assert stage == Stage(updates=3)
