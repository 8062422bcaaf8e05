import subprocess
import sys

import pytest
import yaml
from tests.augmentation.kinds import KINDS, NOTHING, STRONG, step_of

from leukoscope.augmentation.policies import STEPS, OneOf, Sequence
from leukoscope.augmentation.ranges import check_levels
from leukoscope.augmentation.recipe import AugmentationRecipe, load_augmentation, needs_masks
from leukoscope.foundation.errors import RecipeError, UsageError

REQUIRED = {
    "flip": {"axis": "vertical"},
    "sequence": STRONG["sequence"],
    "one_of": STRONG["one_of"],
}


def refused(text):
    """Give what is said of a recipe that cannot be read."""
    with pytest.raises(RecipeError) as told:
        AugmentationRecipe.from_mapping(yaml.safe_load(text), where="mine.yaml")
    return str(told.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_written_without_settings_passes_its_own_checks(kind):
    """What stands where nothing is written could be written: each default is read back as such."""
    step = step_of(kind, REQUIRED.get(kind, {}))
    assert type(step).model_validate(step.model_dump(mode="json")) == step


@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_is_the_same_written_and_read(kind, tmp_path):
    """As YAML on disk and as mapping, with any step, and under one id."""
    recipe = AugmentationRecipe(name="mine", steps=(step_of(kind, STRONG[kind]),), lengths_at_px=64)
    path = tmp_path / "mine.yaml"
    path.write_text(recipe.to_yaml())
    for name in (path, str(path)):
        assert load_augmentation(name) == recipe
        assert load_augmentation(name).recipe_id == recipe.recipe_id


def test_every_step_says_in_a_line_what_it_does_and_each_key_what_it_takes():
    """Their docstrings are the vocabulary of recipes: a verb first, a sentence for every key."""
    for kind, step in STEPS.items():
        line = step.__doc__.splitlines()[0]
        assert line.endswith((".", ")")), kind
        for key, field in step.model_fields.items():
            assert key == "kind" or field.description.endswith("."), (kind, key)


def test_a_name_or_file_that_is_none_is_refused(tmp_path):
    """An unknown name tells what is near; a file that is not there says so."""
    with pytest.raises(UsageError, match=r"'rotate'.*rotation"):
        load_augmentation("rotate")
    with pytest.raises(RecipeError, match=r"gone\.yaml cannot be read"):
        load_augmentation(tmp_path / "gone.yaml")


# Bad input


def test_noise_on_the_scale_of_0_to_1_is_refused():
    """A tenth of a grey level is the mistake of SR-20: the refusal says what to write."""
    told = refused("steps: [{kind: gaussian_noise, sd_range_levels: [0, 0.1]}]")
    assert (
        "0.1 grey levels of 255 rounds away to next to nothing; if 0.1 of the full range was "
        "meant, write 25.5" in told
    )
    for share in (0.32, 0.05, 0.499):
        with pytest.raises(ValueError, match=f"write {255 * share:g}"):
            check_levels((0, share))
    for given in ((0.0, 0.0), (0.5, 2.0), (5.1, 25.5)):
        assert check_levels(given) == given


@pytest.mark.parametrize("kind", KINDS)
def test_every_range_is_checked(kind):
    """For each range of each step: turned round, a single number, words and beyond its limits."""
    for key in STEPS[kind].model_fields:
        if "range" not in key:
            continue
        for value, told in {
            "[2, 1]": "from low to high, not from 2 to 1",
            "0.5": "two numbers",
            "[0.5]": "two numbers",
            "[0, 1, 2]": "two numbers",
            "[low, high]": "two numbers",
            "[false, true]": "two numbers",
            "{low: 0, high: 1}": "two numbers",
            "[0, .inf]": "finite number",
        }.items():
            extra = "axis: vertical, " if kind == "flip" else ""
            text = f"steps: [{{kind: {kind}, {extra}{key}: {value}}}]"
            message = refused(text)
            assert told in message
            assert message.startswith(f"mine.yaml: steps.0.{kind}.{key}")
        if kind != "rotation":
            assert "are from" in refused(f"steps: [{{kind: {kind}, {key}: [-1e9, 1e9]}}]")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{kind: brightness, factor_range: [-0.1, 0.1]}", "±10 % is [0.9, 1.1]"),
        ("{kind: erasing, side_range: [20, 20]}", "from 0 to 1, not from 20 to 20; 20 % is 0.2"),
        ("{kind: poisson_noise, photons_range: [0, 9]}", "from 1 to 1,000,000, not from 0 to 9"),
        ("{kind: gaussian_noise, sd_range_levels: [-1, 5]}", "from 0 to 128 of 255"),
        ("{kind: gaussian_blur, sigma_range_px: [-1, 2]}", "from 0 to 100, not from -1 to 2"),
        ("{kind: hue, probability: 1.5}", "less than or equal to 1"),
        ("{kind: hue, probability: -0.5}", "greater than or equal to 0"),
        ("{kind: erasing, fill: red}", "'black', 'white' or 'mean'"),
        ("{kind: blur}", "'blur'; did you mean gaussian_blur or defocus_blur or motion_blur?"),
        ("{kind: brightnes}", "did you mean brightness?"),
        ("{kind: zoom}", "'zoom'; there are rotation, flip,"),
        ("{kind: 3}", "no step is of kind 3"),
        ("{angle_range_deg: [0, 9]}", "a step begins with its kind"),
        ("rotation", "written `kind: rotation`"),
        ("{kind: hue, angle_range: [0, 9]}", "Did you mean angle_range_deg?"),
        ("{kind: one_of, steps: [{kind: hue}]}", "among two steps or more"),
        ("{kind: one_of, steps: []}", "among two steps or more"),
        ("{kind: one_of}", "one_of.steps: Field required"),
        ("{kind: sequence, steps: []}", "one step or more"),
        ("{kind: sequence, steps: hue}", "each beginning with `- kind:`"),
        (
            "{kind: one_of, steps: [{kind: hue}, {kind: gamma, range: [1, 2]}]}",
            (
                "steps.0.one_of.steps.1.gamma.range is not a key of AugmentationRecipe. No key is "
                "called 'range'. Did you mean gamma_range?"
            ),
        ),
    ],
)
def test_a_step_that_cannot_be_is_refused_in_words(text, told):
    """Each planted fault is told with its place and what would do."""
    message = refused(f"steps: [{text}]")
    assert message.startswith("mine.yaml: steps.0")
    assert told in message


def test_a_misspelt_key_deep_down_is_told_in_the_first_recipe_that_is_read():
    """In a fresh process, where no policy was built before."""
    script = (
        "from leukoscope.augmentation.recipe import AugmentationRecipe\n"
        "steps = [{'kind': 'hue'}, {'kind': 'gamma', 'range': [1, 2]}]\n"
        "value = {'steps': [{'kind': 'one_of', 'steps': steps}]}\n"
        "AugmentationRecipe.from_mapping(value, where='mine')"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "Did you mean gamma_range?" in found.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps: rotation", "each beginning with `- kind:`"),
        ("steps: {kind: rotation}", "each beginning with `- kind:`"),
        ("probability: 33", "probability: Input should be less than or equal to 1; seen 33"),
        ("border_rgb: [9, 9, 9]", "border_rgb goes with border: constant, not reflect"),
        ("{border: constant, border_rgb: [256, 0, 0]}", "less than or equal to 255"),
        ("{border: constant, border_rgb: [0.5, 0, 0]}", "valid integer"),
        ("border: mirror", "'reflect', 'edge', 'constant' or 'background'"),
        ("interpolation: linear", "'nearest', 'bilinear' or 'bicubic'"),
        ("lengths_at_px: 0", "greater than 0"),
        ("step: []", "Did you mean steps?"),
        ("- kind: rotation", "should hold `key: value` lines"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_in_words(text, told):
    """Each planted fault is told with its place and what would do."""
    message = refused(text)
    assert message.startswith("mine.yaml")
    assert told in message


def test_a_recipe_needs_masks_if_any_step_in_it_does():
    """However deep it stands, and however seldom it is done."""
    masked, hue = (
        step_of("background_replacement", NOTHING["background_replacement"]),
        step_of("hue", {}),
    )
    for steps in (
        (masked,),
        (hue, Sequence(steps=[hue, masked])),
        (OneOf(steps=[hue, Sequence(steps=[OneOf(steps=[hue, masked])])]),),
    ):
        assert needs_masks(AugmentationRecipe(steps=steps))
    assert not needs_masks(AugmentationRecipe(steps=(hue, OneOf(steps=[hue, hue]))))
    assert not needs_masks(AugmentationRecipe())


def test_only_what_does_nothing_is_called_none():
    """A chain without a name gets one; copies of turned cells never say that nothing was done."""
    turned = [{"kind": "rotation"}]
    assert AugmentationRecipe.from_mapping({"steps": turned}, where="x").name == "unnamed"
    assert AugmentationRecipe().name == "none"
    for name in ("none", "a/b", "a b", "", "+x"):
        with pytest.raises(RecipeError, match="name"):
            AugmentationRecipe.from_mapping({"name": name, "steps": turned}, where="x")


@pytest.mark.parametrize("levels", [[0, 0.1], [0, 1], [0.01, 0.6], [0.1, 12]])
def test_noise_that_looks_like_shares_of_the_range_is_refused(levels):
    """The mistake of a published study: 0 to 1 meant, 0 to 255 written."""
    step = {"kind": "gaussian_noise", "sd_range_levels": levels}
    with pytest.raises(RecipeError, match="of the full range was meant, write"):
        AugmentationRecipe.from_mapping({"name": "x", "steps": [step]}, where="x")
