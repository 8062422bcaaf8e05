import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.fitting.schedules import plateau_factor, rate_at

PLAN = {"rate": 0.1, "updates": 100, "warmup_updates": 10}


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step", "plateau"])
def test_the_rate_rises_evenly_while_it_warms_up(schedule):
    """Equal steps from above 0 to just below the highest rate."""
    rates = [rate_at(schedule, update, **PLAN) for update in range(11)]
    steps = [b - a for a, b in itertools.pairwise(rates)]
    assert rates[0] == pytest.approx(0.1 / 11)
    assert steps == pytest.approx([0.1 / 11] * 10)
    assert rates[10] == pytest.approx(0.1)


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_a_constant_rate_stays(schedule):
    """After the warm-up there is one rate; validation lowers the other elsewhere."""
    assert {rate_at(schedule, update, **PLAN) for update in range(10, 100)} == {0.1}


def test_cosine_falls_to_almost_nothing():
    """Half way it is at half the rate, it never rises, and it ends within a thousandth of 0."""
    rates = [rate_at("cosine", update, **PLAN) for update in range(10, 100)]
    assert rates[0] == 0.1
    assert rates[45] == pytest.approx(0.05)
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.1 / 1000


@given(
    schedule=st.sampled_from(["constant", "cosine", "step", "plateau", "one-cycle"]),
    updates=st.integers(1, 50),
    warmup_updates=st.integers(0, 60),
)
def test_a_rate_is_never_zero_nor_above_the_highest(schedule, updates, warmup_updates):
    """Also where the warm-up is longer than the whole training."""
    for update in range(updates):
        rate = rate_at(
            schedule,
            update,
            rate=0.3,
            updates=updates,
            warmup_updates=warmup_updates,
            step_every=7,
        )
        assert 0 < rate <= 0.3


def test_a_plateau_lowers_the_rate_by_hand():
    """Two in a row without a new best lower it once; the count begins anew each time."""
    scores = [0.5, 0.6, 0.6, 0.4, 0.7, 0.1, 0.2, 0.3, 0.4]
    factors = [plateau_factor(scores[:n], patience=2, factor=0.5) for n in range(len(scores) + 1)]
    assert factors == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


@given(st.lists(st.floats(0, 1), max_size=20), st.integers(1, 5))
def test_a_plateau_never_raises_the_rate(scores, patience):
    """Each further score leaves the factor or lowers it; ever new bests leave it at 1."""
    factors = [plateau_factor(scores[:n], patience=patience) for n in range(len(scores) + 1)]
    assert factors == sorted(factors, reverse=True)
    assert plateau_factor(sorted(set(scores)), patience=patience) == 1


# Steps and the one cycle


def test_steps_lower_the_rate_by_hand():
    """Four updates a step, the warm-up counted with the first."""
    plan = {"rate": 1.0, "updates": 12, "warmup_updates": 2, "step_every": 4, "factor": 0.5}
    rates = [rate_at("step", update, **plan) for update in range(12)]
    assert rates == pytest.approx([1 / 3, 2 / 3, 1, 1, *[0.5] * 4, *[0.25] * 4])


def test_a_long_training_in_steps_never_stands_still():
    """The rate stays a number above 0."""
    plan = {"rate": 1e-3, "updates": 10**7, "warmup_updates": 0, "step_every": 1, "factor": 0.3}
    assert rate_at("step", 10**7 - 1, **plan) > 0


def test_the_one_cycle_rises_falls_and_ends_low():
    """At a tenth, at the highest at 45 %, at a tenth again at 90 %, at a thousandth at the end."""
    rates = [
        rate_at("one-cycle", update, rate=2.0, updates=101, warmup_updates=0)
        for update in range(101)
    ]
    assert [rates[at] for at in (0, 45, 90, 100)] == pytest.approx([0.2, 2.0, 0.2, 0.002])
    assert rates[:46] == sorted(rates[:46])
    assert rates[45:] == sorted(rates[45:], reverse=True)
    # Up and down take equal steps: the way up is the way down in a mirror.
    assert rates[:46] == pytest.approx(rates[45:91][::-1])


def test_schedules_are_finite_at_the_last_update_of_a_short_training():
    """One update, all of it warm-up or none."""
    assert math.isfinite(rate_at("cosine", 0, rate=1.0, updates=1, warmup_updates=0))
    assert math.isfinite(rate_at("cosine", 0, rate=1.0, updates=1, warmup_updates=1))
