import numpy as np
import polars as pl
import pytest
from tests.synthesis.tiny import CPU, pool_of, recipe_of

from leukoscope.foundation import progress
from leukoscope.foundation.errors import RunError
from leukoscope.synthesis.looks import Look
from leukoscope.synthesis.loop import DivergedError
from leukoscope.synthesis.rates import CRITIC_RANGE, GENERATOR_RANGE, searched, trial_recipe

pytestmark = pytest.mark.usefixtures("one_thread")
RECIPE = recipe_of("wgan-gp", rate_trials=4, trial_updates=1)


def search(folder, near, recipe=RECIPE):
    """Search with distances in turn; give the recipe and what was tried."""
    left = iter(near)

    def look(_):
        found = next(left)
        if found is None:
            raise RunError("the disk is full")
        return Look(b"", found, 1.0)

    found = searched(pool_of(), recipe, look, folder=folder, device=CPU, precision="float32")
    return found, list(left)


def test_rates_are_even_over_the_magnitudes_of_their_ranges():
    """Of 2,000 trials: within bounds, a Kolmogorov distance to the even law below what 999 of
    1,000 draws have, the two independent."""
    recipes = [trial_recipe(RECIPE, trial) for trial in range(2000)]
    places = []
    for name, (low, high) in (
        ("generator_rate", GENERATOR_RANGE),
        ("critic_rate", CRITIC_RANGE),
    ):
        rates = np.array([getattr(recipe, name) for recipe in recipes])
        assert low <= rates.min()
        assert rates.max() <= high
        place = np.sort((np.log(rates) - np.log(low)) / (np.log(high) - np.log(low)))
        assert np.abs(place - (np.arange(2000) + 0.5) / 2000).max() < 1.95 / 2000**0.5
        places.append(np.log(rates))
    assert abs(np.corrcoef(*places)[0, 1]) < 4 / 2000**0.5


def test_trials_follow_from_the_seed_and_change_the_rates_alone():
    """And how long they are, looked at once at their end."""
    one, same = trial_recipe(RECIPE, 1), trial_recipe(RECIPE, 1)
    assert one == same
    other = trial_recipe(RECIPE.model_copy(update={"seed": 1}), 1)
    assert other.generator_rate != one.generator_rate
    changed = {
        name for name in type(one).model_fields if getattr(one, name) != getattr(RECIPE, name)
    }
    assert changed == {"generator_rate", "critic_rate", "updates", "validate_every"}
    assert one.updates == one.validate_every == 1


def test_the_rates_of_the_best_trial_are_taken(tmp_path):
    """The third of four; all else of the recipe stays, and the table says what was tried."""
    found, _ = search(tmp_path, [0.4, 0.3, -0.1, 0.2])
    best = trial_recipe(RECIPE, 2)
    rates = {"generator_rate": best.generator_rate, "critic_rate": best.critic_rate}
    assert found == RECIPE.model_copy(update=rates)
    table = pl.read_csv(tmp_path / "rates.csv")
    assert table["kid"].to_list() == [0.4, 0.3, -0.1, 0.2]
    assert table["critic_rate"].to_list() == [
        trial_recipe(RECIPE, trial).critic_rate for trial in range(4)
    ]
    assert not list(tmp_path.rglob("checkpoint.safetensors"))


def test_of_equal_trials_the_first_is_taken(tmp_path):
    found, _ = search(tmp_path, [0.2, 0.1, 0.1, 0.1])
    assert found.critic_rate == trial_recipe(RECIPE, 1).critic_rate


def test_without_trials_the_recipe_is_taken_as_it_is(tmp_path):
    recipe = recipe_of("wgan-gp")
    found, left = search(tmp_path, [0.5], recipe)
    assert found == recipe
    assert left == [0.5]
    assert not list(tmp_path.iterdir())


def test_trials_that_ended_are_not_run_anew(tmp_path):
    """Stopped in the third: the next time looks at the third and the fourth alone, and ends as
    one that was not stopped."""
    with pytest.raises(RunError, match="the disk is full"):
        search(tmp_path / "run", [0.4, 0.3, None])
    told = []
    with progress.listening(lambda *step: told.append(step)):
        found, left = search(tmp_path / "run", [0.5, 0.6, 0.7])
    assert left == [0.7]
    assert sum(stage.startswith("fitting") for stage, done, _ in told if done == 0) == 2
    whole, _ = search(tmp_path / "whole", [0.4, 0.3, 0.5, 0.6])
    assert found == whole
    assert found.critic_rate == trial_recipe(RECIPE, 1).critic_rate
    one, other = ((tmp_path / name / "rates.csv").read_bytes() for name in ("run", "whole"))
    assert one == other


def test_what_is_no_trials_fault_stops_the_search(tmp_path):
    """A full disk is not taken for rates that diverge: nothing is written of that trial's end."""
    with pytest.raises(RunError, match="the disk is full"):
        search(tmp_path, [None, 0.1, 0.1, 0.1])
    assert not list(tmp_path.rglob("ended.json"))


def test_trials_without_a_finite_end_are_passed_by(tmp_path):
    """Listed without a distance, never taken; where all are,
    the run stops with a word."""
    outcomes = iter([DivergedError("a"), 0.3, DivergedError("b"), 0.4])

    def look(_):
        outcome = next(outcomes)
        if isinstance(outcome, DivergedError):
            raise outcome
        return Look(b"", outcome, 1.0)

    found = searched(pool_of(), RECIPE, look, folder=tmp_path, device=CPU, precision="float32")
    assert found.critic_rate == trial_recipe(RECIPE, 1).critic_rate
    assert pl.read_csv(tmp_path / "rates.csv")["kid"].to_list() == [None, 0.3, None, 0.4]

    def never(_):
        raise DivergedError("none")

    with pytest.raises(RunError, match="None of the 4 trials came to a finite end"):
        searched(
            pool_of(), RECIPE, never, folder=tmp_path / "none", device=CPU, precision="float32"
        )
