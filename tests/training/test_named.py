"""The trainings that come by name: the papers' numbers, and what each needs before it starts."""

import pytest
import yaml

from leukoscope.foundation.errors import DataError, RecipeError, UsageError
from leukoscope.models.cards import WeightsCard
from leukoscope.records.catalogue import shipped, shipped_names
from leukoscope.records.runs import NetworkRecipe, WeightsOrigin
from leukoscope.training.probe import ProbeRecipe
from leukoscope.training.recipe import TrainingRecipe
from leukoscope.training.recipes import NAMED, load_training
from leukoscope.training.settings import changed, check_start, freezes, frozen_in, with_weights

NAMES = shipped_names(*NAMED)
NEED_WEIGHTS = {
    *("frozen-linear", "gaur-2021-vgg16", "nozaka-2022", "yin-xiong"),
    *("saquib-rodriguez-inception", "saquib-rodriguez-resnet50"),
}
ORIGIN = WeightsOrigin(name="theirs", sha256="a" * 64, licence="mit")


def card(tmp_path, model):
    """State weights without a file: nothing here opens it."""
    return WeightsCard(tmp_path / "w", ORIGIN, model, {}, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


@pytest.mark.parametrize("name", NAMES)
def test_each_says_what_is_the_papers_and_what_is_ours(name):
    """In the comment it begins with; whether it needs weights stands there too."""
    words = " ".join(shipped(*NAMED)[name].split("\nmodel:")[0].replace("# ", "").split())
    assert name == "frozen-linear" or "Given:" in words
    assert name == "gaur-2021-svm" or "Ours" in words
    assert ("eeds --weights" in words) == (name in NEED_WEIGHTS)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_frozen_is_refused_without_weights_and_taken_with_them(name, tmp_path):
    """Exactly those that keep a part of a network as it started."""
    recipe = load_training(name)
    if name not in NEED_WEIGHTS:
        assert recipe.model == "pixels" or not freezes(recipe)
        check_start(recipe)
        return
    assert freezes(recipe)
    with pytest.raises(DataError, match=r"frozen at random.* Nothing was started.*--weights"):
        check_start(recipe)
    check_start(with_weights(recipe, card(tmp_path, recipe.model), None, None))


def test_the_head_alone_and_then_all_of_it():
    """Nozaka et al. (2022): 5 of 1,000 epochs of their 1,064 cells at 1e-3, the rest at 1e-4."""
    recipe = load_training("nozaka-2022")
    epoch = 1064 / recipe.batch_size
    assert recipe.updates == round(1000 * epoch)
    head, whole = recipe.stages
    assert (head.frozen_groups, whole.frozen_groups) == ("all-but-head", 0)
    assert (head.learning_rate, whole.learning_rate) == (1e-3, 1e-4)
    assert head.updates == round(5 * epoch)
    assert frozen_in(recipe) == ["all-but-head", 0]


def test_saquib_and_rodriguez_search_their_epochs_by_fives():
    """Validation each 5 epochs of 8,531 cells, and an end when it got worse (SR-S10)."""
    recipe = load_training("saquib-rodriguez")
    assert recipe.stop_when_worse
    assert recipe.validate_every == pytest.approx(5 * 8531 / recipe.batch_size, abs=1)
    assert (recipe.optimiser, recipe.learning_rate, recipe.batch_size) == ("amsgrad", 1e-4, 16)
    assert recipe.class_weights == "inverse-frequency"


def test_the_exact_settings_of_gaurs_classical_models():
    """1,875 numbers from 0 to 1; C is the inverse of λ = 1."""
    logistic, svm = (load_training(f"gaur-2021-{name}") for name in ("logistic", "svm"))
    for recipe in (logistic, svm):
        assert isinstance(recipe, ProbeRecipe)
        assert recipe.preprocessing.size_px**2 * 3 == 1875
        assert (recipe.preprocessing.mean, recipe.preprocessing.std) == ((0, 0, 0), (1, 1, 1))
        assert recipe.classifier.C == 1
    assert logistic.classifier.max_iterations == 5000
    assert svm.classifier.gamma == "scale"


def test_a_stand_in_keeps_the_recipes_head_stem_and_norm(tmp_path):
    """Other weights change the network, its arguments and its colours, and nothing else."""
    stated = load_training("saquib-rodriguez-resnet50").model_dump(mode="json")
    own = TrainingRecipe.from_mapping(stated | {"stem": "small", "norm": "group"}, where="x")
    seen = with_weights(own, card(tmp_path, "mobilenetv2_100"), None, None)
    assert seen.model == "mobilenetv2_100"
    kept = [name for name in NetworkRecipe.model_fields if name not in ("model", "build_arguments")]
    assert all(getattr(seen, name) == getattr(own, name) for name in kept)
    assert seen.frozen_groups == "all-but-head"


def test_stages_keep_their_shares_of_other_updates():
    """Whatever the number, none is left without one; fewer than there are stages is refused."""
    recipe = load_training("nozaka-2022")
    assert changed(recipe, updates=recipe.updates) == recipe
    for updates in (2, 3, 600, 66_500):
        seen = changed(recipe, updates=updates)
        lengths = [stage.updates for stage in seen.stages]
        assert sum(lengths) == updates == seen.updates
        assert abs(lengths[0] - max(1, updates * 166 / 33250)) <= 1
    with pytest.raises(RecipeError, match="stages"):
        changed(recipe, updates=1)


def test_a_classical_model_does_no_updates_and_pixels_take_no_weights(tmp_path):
    """Said, rather than let pass."""
    pixels = load_training("gaur-2021-svm")
    with pytest.raises(UsageError, match="does no updates"):
        changed(pixels, updates=9)
    with pytest.raises(DataError, match="fitted on pixels, without a network"):
        with_weights(pixels, card(tmp_path, "vgg16"), None, None)
    assert changed(pixels, size_px=32, seed=4).preprocessing.size_px == 32


def test_a_recipe_is_a_name_or_a_file(tmp_path):
    """A slip of the finger names the near one; a file with a classifier is a probe."""
    with pytest.raises(UsageError, match="Did you mean nozaka-2022"):
        load_training("nozaka2022")
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump({"model": "pixels", "classifier": {"kind": "knn"}}))
    assert isinstance(load_training(str(file)), ProbeRecipe)
    file.write_text("updates: 3")
    assert load_training(str(file)) == TrainingRecipe(updates=3)
