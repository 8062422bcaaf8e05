import pytest

from leukoscope.augmentation.recipe import load_augmentation
from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError, LicenceError, RecipeError
from leukoscope.models.cards import WeightsCard
from leukoscope.records.runs import WeightsOrigin
from leukoscope.training.recipe import TrainingRecipe
from leukoscope.training.settings import changed, with_weights

ORIGIN = WeightsOrigin(name="theirs", sha256="a" * 64, licence="cc-by-nc-4.0")


def card(tmp_path, licence="mit"):
    """State weights without a file: nothing here opens it."""
    origin = ORIGIN.model_copy(update={"licence": licence})
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    return WeightsCard(tmp_path / "w", origin, "test_vit", {"img_size": 64}, mean, std)


def test_what_is_not_given_stays():
    """No option: the recipe itself."""
    recipe = TrainingRecipe(updates=7, split="other", preprocessing={"size_px": 32})
    assert changed(recipe) == recipe


@pytest.mark.parametrize(
    ("option", "value"),
    [("model", "vgg11"), ("updates", 9), ("split", "s"), ("repeat", 2), ("fold", 1), ("seed", 4)],
)
def test_an_option_goes_before_the_recipe(option, value):
    """It alone is changed."""
    recipe = TrainingRecipe()
    seen = changed(recipe, **{option: value})
    assert getattr(seen, option) == value
    assert seen == recipe.model_copy(update={option: value})


def test_size_and_augmentation_find_their_place():
    """One within the preprocessing, the other a recipe of its own."""
    flips = load_augmentation("flips")
    seen = changed(TrainingRecipe(), size_px=96, augmentation=flips)
    assert seen.preprocessing.size_px == 96
    assert seen.preprocessing.mean == TrainingRecipe().preprocessing.mean
    assert seen.augmentation == flips


@pytest.mark.parametrize(("option", "value"), [("updates", 0), ("size_px", 3), ("seed", -1)])
def test_an_option_out_of_range_is_refused(option, value):
    """By name."""
    with pytest.raises(RecipeError, match=option):
        changed(TrainingRecipe(), **{option: value})


def test_weights_decide_what_must_agree_with_them(tmp_path):
    """Network, arguments and colour statistics are theirs; the size stays."""
    recipe = TrainingRecipe(preprocessing={"size_px": 48})
    seen = with_weights(recipe, card(tmp_path), None, None)
    assert seen.model == "test_vit"
    assert seen.build_arguments == {"img_size": 64}
    assert seen.preprocessing.mean == (0.1, 0.2, 0.3)
    assert seen.preprocessing.std == (0.4, 0.5, 0.6)
    assert seen.preprocessing.size_px == 48
    assert seen.weights.name == "theirs"


def test_a_recipes_own_arguments_stay_beside_those_of_the_weights(tmp_path):
    """Dropout that was asked for is kept; what contradicts the weights is refused."""
    own = TrainingRecipe(model="test_vit", build_arguments={"drop_rate": 0.2})
    seen = with_weights(own, card(tmp_path), None, None)
    assert seen.build_arguments == {"img_size": 64, "drop_rate": 0.2}
    other = TrainingRecipe(model="test_vit", build_arguments={"img_size": 32})
    with pytest.raises(DataError, match=r"img_size=32.*img_size=64"):
        with_weights(other, card(tmp_path), None, None)


def test_another_network_than_the_recipes_is_said(tmp_path):
    """Its own arguments go with it."""
    notes = []
    own = TrainingRecipe(build_arguments={"drop_rate": 0.2})
    with progress.noting(notes.append):
        seen = with_weights(own, card(tmp_path), None, None)
    assert seen.build_arguments == {"img_size": 64}
    assert "those of test_vit" in notes[0]


def test_a_licence_that_restricts_must_be_accepted_by_name(tmp_path):
    """Without, and with another one, it is refused; the sentence says what to add."""
    restricted = card(tmp_path, "cc-by-nc-4.0")
    for accepted in (None, "mit", "cc-by-nc-sa-4.0"):
        with pytest.raises(LicenceError, match=r"--accept-licence cc-by-nc-4\.0"):
            with_weights(TrainingRecipe(), restricted, None, accepted)
    seen = with_weights(TrainingRecipe(), restricted, None, "CC-BY-NC-4.0")
    assert seen.weights.licence == "cc-by-nc-4.0"


def test_weights_of_another_network_than_the_one_asked_for_are_refused(tmp_path):
    """Both are named."""
    with pytest.raises(DataError, match=r"those of test_vit, not of resnet18"):
        with_weights(TrainingRecipe(), card(tmp_path), "resnet18", None)


def test_weights_a_recipe_names_must_be_given_and_be_those(tmp_path):
    """A recipe says by digest what it starts from."""
    stated = TrainingRecipe(weights=ORIGIN.model_copy(update={"sha256": "b" * 64}))
    with pytest.raises(DataError, match="none were given"):
        with_weights(stated, None, None, None)
    with pytest.raises(DataError, match=r"bbbbbbbbbbbb….*aaaaaaaaaaaa…"):
        with_weights(stated, card(tmp_path), None, None)
    assert with_weights(TrainingRecipe(), None, None, None) == TrainingRecipe()
