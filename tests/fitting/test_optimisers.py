import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from leukoscope.fitting.optimisers import make_optimiser, plateau_factor, rate_at

PLAN = {"rate": 0.1, "updates": 100, "warmup_updates": 10}


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
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
    schedule=st.sampled_from(["constant", "cosine", "plateau"]),
    updates=st.integers(1, 50),
    warmup_updates=st.integers(0, 60),
)
def test_a_rate_is_never_zero_nor_above_the_highest(schedule, updates, warmup_updates):
    """Also where the warm-up is longer than the whole training."""
    for update in range(updates):
        rate = rate_at(schedule, update, rate=0.3, updates=updates, warmup_updates=warmup_updates)
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


# Nesterov's momentum counts a decay of the first update 1.9 times.
@pytest.mark.parametrize(("name", "times"), [("adamw", 1.0), ("sgd", 1.9)])
def test_weight_decay_spares_biases_and_normalisation(name, times):
    """Matrices shrink without a gradient; vectors stay as they are."""
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    optimiser = make_optimiser(name, network.parameters(), rate=0.1, weight_decay=0.5)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    for old, new in zip(before, network.parameters(), strict=True):
        expected = old * (1 - times * 0.1 * 0.5) if old.ndim > 1 else old
        torch.testing.assert_close(new.detach(), expected)


def test_frozen_parameters_are_not_trained():
    """What asks for no gradient is in no group."""
    network = nn.Linear(3, 4)
    network.bias.requires_grad_(False)
    optimiser = make_optimiser("sgd", network.parameters(), rate=0.1, weight_decay=0)
    held = [p for group in optimiser.param_groups for p in group["params"]]
    assert [p is network.weight for p in held] == [True]


def test_schedules_are_finite_at_the_last_update_of_a_short_training():
    """One update, all of it warm-up or none."""
    assert math.isfinite(rate_at("cosine", 0, rate=1.0, updates=1, warmup_updates=0))
    assert math.isfinite(rate_at("cosine", 0, rate=1.0, updates=1, warmup_updates=1))
