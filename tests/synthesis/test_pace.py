import pytest
import torch
from tests.synthesis.tiny import recipe_of

from leukoscope.foundation.errors import UsageError
from leukoscope.synthesis.features import open_judge_features
from leukoscope.synthesis.pace import Pace, generator_pace, in_words

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", ["hinge", "slope", "wgan-gp", "infogan"])
def test_the_time_of_an_update_is_found_for_every_kind(kind):
    """Above 0, and torch's own random state is left alone."""
    before = torch.random.get_rng_state()
    assert 0 < generator_pace(recipe_of(kind), 3, "cpu").update_s < 60
    assert torch.equal(torch.random.get_rng_state(), before)


def test_many_steps_of_the_critic_take_longer_than_one():
    """Thirty against one."""
    few, many = (
        generator_pace(recipe_of("wgan-gp", critic_steps=n, batch_size=16), 1, "cpu").update_s
        for n in (1, 30)
    )
    assert many > 2 * few


def test_a_look_is_timed_where_its_features_are_known():
    """Nothing without them; with them torch's random state stays as it was too."""
    features = open_judge_features(None, size_px=32)
    assert generator_pace(recipe_of(), 3, "cpu").look_s == 0
    before = torch.random.get_rng_state()
    assert 0 < generator_pace(recipe_of(), 3, "cpu", features=features).look_s < 60
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({"updates": 100, "validate_every": 10}, 100 * 2 + 10 * 3),
        ({"updates": 101, "validate_every": 10}, 101 * 2 + 11 * 3),
        ({"updates": 1, "validate_every": 10}, 2 + 3),
        (
            {"updates": 10, "validate_every": 10, "rate_trials": 4, "trial_updates": 5},
            4 * (5 * 2 + 3) + 10 * 2 + 3,
        ),
    ],
)
def test_a_fit_takes_its_updates_its_looks_and_its_trials(changes, seconds):
    """Two seconds an update, three a look."""
    assert Pace(2.0, 3.0).of(recipe_of(**changes)) == seconds


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="no device 'cuda:77' here"):
        generator_pace(recipe_of(), 1, "cuda:77")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 seconds"),
        (89, "89 seconds"),
        (90, "2 minutes"),
        (300, "5 minutes"),
        (5399, "90 minutes"),
        (5400, "1.5 hours"),
        (360_000, "100.0 hours"),
    ],
)
def test_times_are_said_as_people_do(seconds, words):
    assert in_words(seconds) == words
