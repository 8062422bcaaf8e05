import pytest
from tests.synthesis.tiny import KINDS, TURNS, recipe_of

from leukoscope.foundation.errors import RecipeError, UsageError
from leukoscope.records.catalogue import shipped_names
from leukoscope.synthesis.pace import Pace
from leukoscope.synthesis.recipe import MOST_UPDATES, GeneratorRecipe
from leukoscope.synthesis.recipes import (
    NAMED,
    changed,
    filling,
    fitting_time,
    load_generator,
    searching_updates,
    settled_by_time,
)

SHIPPED = shipped_names(*NAMED)


@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_recipe_is_read_under_its_own_name(name):
    """And says where its numbers come from."""
    recipe = load_generator(name)
    assert recipe.name == name
    assert recipe.augmentation.steps


def test_the_papers_numbers_are_in_its_recipes():
    """G-S3 to G-S10: what Gaur et al. print, and in each variant that alone differs."""
    paper = load_generator("gaur-wgan-gp")
    assert (paper.objective, paper.penalty, paper.critic_steps) == ("wasserstein", 10, 5)
    assert (paper.critic_dropout, paper.generator_rate, paper.critic_rate) == (0.3, 2e-4, 2e-4)
    assert (paper.optimiser, paper.critic, paper.generator) == ("adam", "plain", "plain")
    assert (paper.pool, paper.members) == (12, "one-each")
    differs = {
        "gaur-wgan-gp-8-steps": {"critic_steps": 8},
        "gaur-wgan-gp-rmsprop": {"optimiser": "rmsprop", "betas": (0.5, 0.999)},
        "gaur-wgan-gp-printed-signs": {"sign": "as-printed"},
        "gaur-wgan-gp-rate-search": {"rate_trials": 20, "trial_updates": 500},
        "gaur-infogan-wgan-gp": {"information": 0.5},
    }
    for name, expected in differs.items():
        other = load_generator(name)
        found = {
            field: getattr(other, field)
            for field in GeneratorRecipe.model_fields
            if field != "name" and getattr(other, field) != getattr(paper, field)
        }
        assert found == expected, name


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"pool": 3, "augmentation": {"name": "none"}}, "pool counts versions"),
        ({"sign": "as-printed"}, "a manner of objective: wasserstein"),
        ({"critic": "normalised", "penalty": 10}, "mixes a batch's pictures"),
        ({"critic_dropout": 0.3}, "belongs to critic: plain"),
        ({"batch_size": 6}, "multiple of 4"),
        ({"size_px": 48}, "16, 32, 64, 128 or 256"),
        ({"generator_rate": 0}, "greater than 0"),
        ({"lambda": 10}, "lambda"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, said):
    """With the reason."""
    with pytest.raises(RecipeError, match=said):
        recipe_of(**settings)


def test_a_step_that_needs_masks_is_refused():
    """A pool has pictures alone."""
    step = {"kind": "background_replacement"}
    with pytest.raises(RecipeError, match="no masks"):
        recipe_of(augmentation={"name": "own", "steps": [step]})


@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_comes_back_from_its_file(kind, tmp_path):
    """Equal in value and in its id; each setting changes the id."""
    from leukoscope.records.recipes import write_recipe

    recipe = recipe_of(kind)
    write_recipe(tmp_path / "own.yaml", recipe)
    assert load_generator(str(tmp_path / "own.yaml")) == recipe
    assert changed(recipe, {"seed": 1}).recipe_id != recipe.recipe_id
    assert changed(recipe, {"seed": None}) == recipe


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(UsageError, match="gaur-wgan-gp"):
        load_generator("gaur-wgan")


# Time


def test_a_hundred_times_the_time_is_far_more_updates(one_thread):
    """A paper's widths stay, and so do its looks where there is room for eight. A machine that is
    shared is not even."""
    recipe = recipe_of("wgan-gp", validate_every=100)
    settled = [
        fitting_time(recipe, minutes, n_members=1, n_categories=1, device="cpu")
        for minutes in (0.1, 10)
    ]
    assert 5 < settled[1].updates / settled[0].updates < 2000
    for each in settled:
        assert each.critic_width == 4
        assert each.validate_every == (100 if each.updates >= 800 else -(-each.updates // 8))


def test_members_share_the_time(one_thread):
    """A hundred generators have about a hundredth each."""
    recipe = recipe_of("wgan-gp")
    alone, shared = (
        fitting_time(recipe, 10, n_members=n, n_categories=1, device="cpu").updates
        for n in (1, 100)
    )
    assert 5 < alone / shared < 2000


def test_the_houses_own_recipe_grows_with_the_time(one_thread):
    """Its widths are chosen too; no fit is longer than the longest."""
    recipe = recipe_of(name="small")
    assert settled_by_time(recipe)[2:] == ("generator_width", "critic_width")
    assert settled_by_time(recipe_of()) == ("updates", "validate_every")
    narrow, wide = (
        fitting_time(recipe, minutes, n_members=1, n_categories=1, device="cpu")
        for minutes in (0.01, 900_000)
    )
    assert narrow.generator_width < wide.generator_width
    assert narrow.critic_width < wide.critic_width
    assert wide.updates == MOST_UPDATES


def test_the_search_for_rates_is_part_of_the_time(one_thread):
    """What it takes is taken off, and a time it does not fit into is refused."""
    plain = recipe_of("wgan-gp")
    searching = changed(plain, {"rate_trials": 1000, "trial_updates": 10_000})
    assert searching_updates(searching) == 10_000_000
    with pytest.raises(UsageError, match="the search for rates takes 10000000"):
        fitting_time(searching, 1, n_members=1, n_categories=1, device="cpu")


@pytest.mark.parametrize("seconds", [1, 10, 100, 1000, 10_000])
@pytest.mark.parametrize("look_s", [0, 0.01, 1, 100])
def test_what_fits_a_time_fills_it_and_no_more(seconds, look_s):
    """Updates and looks together, but for one of each, which are always done; looks that would take
    more than half the time are fewer."""
    pace = Pace(0.1, look_s)
    timed = filling(seconds, recipe_of(validate_every=100), pace)
    looks = -(-timed.updates // timed.validate_every)
    assert pace.of(timed) <= seconds + look_s + pace.update_s
    assert looks == 1 or timed.updates >= 800 or looks * look_s <= seconds / 2
    if look_s <= seconds / 16:
        assert pace.of(timed) >= 0.8 * seconds - 4 * look_s
        assert looks >= min(5, timed.updates)


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_no_time_is_refused(minutes):
    with pytest.raises(UsageError, match="should be above 0"):
        fitting_time(recipe_of(), minutes, n_members=1, n_categories=1, device="cpu")


def test_turns_are_those_the_tests_mean():
    """The augmentation of the short fits changes nearly every picture."""
    assert TURNS["steps"]
