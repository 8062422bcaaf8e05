import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student

from leukoscope.foundation.errors import UsageError
from leukoscope.foundation.streams import stream
from leukoscope.stats.paired import added_up, paired_difference, variance_parts
from leukoscope.stats.power import (
    Parts,
    assumed_parts,
    pilot_parts,
    scaled_parts,
    smallest_difference,
)

ASSUMED = {"discordance": 0.05, "replicate_sd": 0.01, "common_share": 0.5}
SHARES = st.floats(0.01, 1)


def parts_of(groups, replicates, interaction, n_groups=20, n_replicates=8):
    """Build parts from what is each source's own."""
    return Parts(
        groups + interaction, replicates + interaction, interaction, n_groups, n_replicates
    )


def error_of(parts):
    """Standard error by the sum of what is each source's own."""
    total = parts.variance_groups + parts.variance_replicates - parts.variance_interaction
    return np.sqrt(total)


@pytest.mark.parametrize(("power", "expected"), [(0.8, 2.8016), (0.9, 3.2415), (0.5, 1.9600)])
def test_many_degrees_are_normal_theory(power, expected):
    """z of the level plus z of the power, in standard errors: 2.80 of them for .8."""
    parts = parts_of(1e-4, 2e-4, 1e-5, 10**6, 10**6)
    seen = smallest_difference(parts, power=power) / error_of(parts)
    assert seen == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("n_comparisons", [1, 4, 10])
@pytest.mark.parametrize("n_replicates", [2, 3, 5, 8, 30])
def test_the_power_at_the_answer_is_the_power_asked_for(n_replicates, n_comparisons):
    """By averaging the normal power over the estimated variance, without noncentral t."""
    parts = parts_of(0, 1e-4, 0, 1000, n_replicates)
    shift = smallest_difference(parts, n_comparisons=n_comparisons) / error_of(parts)
    degrees = n_replicates - 1
    critical = student.isf(0.025 / n_comparisons, degrees)
    chances = (np.arange(100_000) + 0.5) / 100_000
    spread = np.sqrt(2 * _gamma_quantiles(degrees / 2, chances) / degrees)
    assert norm.sf(critical * spread - shift).mean() == pytest.approx(0.8, abs=0.004)


def _gamma_quantiles(shape, chances):
    from scipy.special import gammaincinv

    return gammaincinv(shape, chances)


@settings(max_examples=25)
@given(SHARES, SHARES, SHARES, st.floats(0.01, 100))
def test_it_scales_with_the_standard_error(groups, replicates, interaction, factor):
    """Twice the spread everywhere, twice the difference."""
    parts = parts_of(groups, replicates, interaction)
    wide = parts_of(*(factor**2 * part for part in (groups, replicates, interaction)))
    expected = factor * smallest_difference(parts)
    assert smallest_difference(wide) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=25)
@given(SHARES, SHARES, SHARES, st.integers(10, 400), st.integers(2, 30), st.integers(1, 30))
def test_more_groups_or_replicates_are_never_worse(
    groups, replicates, interaction, n_groups, n_replicates, more
):
    """From ten groups on, whichever part dominates."""
    parts = parts_of(groups, replicates, interaction, n_groups, n_replicates)
    there = {"n_groups": n_groups, "n_replicates": n_replicates}
    for name, number in there.items():
        larger = scaled_parts(parts, **there | {name: number + more})
        assert error_of(larger) <= error_of(parts) * (1 + 1e-12)
        if name == "n_replicates":
            assert smallest_difference(larger) <= smallest_difference(parts) * (1 + 1e-6)


def test_four_times_the_replicates_halve_what_replicates_alone_blur():
    """√R, apart from the degrees that come with them."""
    parts = parts_of(0, 1e-4, 0, 50, 500)
    wide = scaled_parts(parts, n_groups=50, n_replicates=2000)
    assert smallest_difference(wide) / smallest_difference(parts) == pytest.approx(0.5, rel=0.01)
    same = scaled_parts(parts, n_groups=5000, n_replicates=500)
    assert smallest_difference(same) == pytest.approx(smallest_difference(parts), rel=1e-3)


@settings(max_examples=25)
@given(st.floats(0.5, 0.98), st.integers(1, 9))
def test_more_power_and_more_comparisons_ask_for_more(power, n_comparisons):
    """Both make the smallest difference larger."""
    parts = parts_of(1e-4, 1e-4, 1e-5)
    here = smallest_difference(parts, power=power, n_comparisons=n_comparisons)
    assert smallest_difference(parts, power=power + 0.01, n_comparisons=n_comparisons) > here
    assert smallest_difference(parts, power=power, n_comparisons=n_comparisons + 1) > here


def test_assumed_parts_by_hand():
    """800 cells in 20 cases, deff 2.95: c = .05 · 2.95 / 800; half of it averages over 8."""
    parts = assumed_parts(n_groups=20, n_replicates=8, cells_per_group=40, icc=0.05, **ASSUMED)
    of_cells = 0.05 * 2.95 / 800
    assert parts.variance_interaction == pytest.approx(of_cells / 16)
    assert parts.variance_groups == pytest.approx(of_cells / 2 + of_cells / 16)
    assert parts.variance_replicates == pytest.approx(0.01**2 / 8 + of_cells / 16)


@given(SHARES, st.floats(0, 0.1), st.floats(0, 1), st.integers(2, 40), st.integers(2, 10))
def test_assumed_parts_scale_as_pilots_do(discordance, spread, share, n_groups, n_replicates):
    """Assuming for one design and rescaling is assuming for the other."""
    known = {"discordance": discordance, "replicate_sd": spread, "common_share": share}
    small = assumed_parts(n_groups=7, n_replicates=3, cells_per_group=5, icc=0.1, **known)
    there = {"n_groups": n_groups, "n_replicates": n_replicates}
    expected = assumed_parts(**there, cells_per_group=5, icc=0.1, **known)
    seen = scaled_parts(small, **there)
    np.testing.assert_allclose(
        dataclasses.astuple(seen), dataclasses.astuple(expected), rtol=1e-9, atol=1e-18
    )


def test_what_is_common_to_replicates_does_not_average_out():
    """The share matters with many replicates and not with one."""

    def total(share, n_replicates):
        known = ASSUMED | {"common_share": share}
        return error_of(assumed_parts(n_groups=500, n_replicates=n_replicates, **known))

    assert total(0, 1) == pytest.approx(total(1, 1))
    assert total(0, 8) < total(0.5, 8) < total(1, 8)


@given(*[st.just(0.0) | st.floats(1e-6, 1)] * 3)
def test_a_pilot_scaled_to_its_own_size_has_its_own_variance(groups, replicates, interaction):
    """Also where the interaction estimated exceeds what holds it."""
    assume(max(groups, replicates) > 0)
    pilot = Parts(groups, replicates, interaction, 12, 5)
    same = scaled_parts(pilot, n_groups=12, n_replicates=5)
    seen, expected = (added_up(*dataclasses.astuple(one)[:3], (12, 5))[0] for one in (same, pilot))
    assert seen == pytest.approx(expected, abs=1e-15)


def test_a_pilots_effect_is_left_behind():
    """The parts of a comparison, whatever its difference: swapped arms give the same."""
    rng = stream(0, "pilot")
    support = np.broadcast_to(rng.integers(4, 9, size=(6, 2)), (3, 6, 2))
    before, after = (rng.multinomial(support, [[0.8, 0.2], [0.3, 0.7]]) for _ in range(2))
    there, back = (
        pilot_parts(paired_difference(*arms, "accuracy"))
        for arms in ((before, after), (after, before))
    )
    np.testing.assert_allclose(dataclasses.astuple(there), dataclasses.astuple(back))
    with pytest.raises(UsageError, match="Variances"):
        pilot_parts(paired_difference(before[:1], after[:1], "accuracy"))


def test_a_design_without_a_test_sees_nothing_and_one_without_noise_everything():
    """NaN for one replicate or group, 0 without variance."""
    one = parts_of(1e-4, 1e-4, 0, 20, 1)
    assert np.isnan(smallest_difference(one))
    assert np.isnan(smallest_difference(dataclasses.replace(one, n_groups=1, n_replicates=8)))
    assert smallest_difference(parts_of(0, 0, 0)) == 0


@pytest.mark.parametrize("n_replicates", [2, 3, 8])
def test_the_difference_stated_is_found_four_times_of_five(n_replicates):
    """Drawn two-way effects at the stated difference: .8 of 4,000, as groups and replicates mix."""
    n_sets, n_groups = 4000, 30
    spreads = {"groups": 0.02, "replicates": 0.01, "rest": 0.05}
    parts = parts_of(
        spreads["groups"] ** 2 / n_groups,
        spreads["replicates"] ** 2 / n_replicates,
        spreads["rest"] ** 2 / (n_groups * n_replicates),
        n_groups,
        n_replicates,
    )
    rng = stream(0, "power", n_replicates)
    stated, found = smallest_difference(parts), 0
    for _ in range(n_sets):
        gains = stated + rng.normal(0, spreads["groups"], n_groups)
        gains = gains + rng.normal(0, spreads["replicates"], (n_replicates, 1))
        gains = gains + rng.normal(0, spreads["rest"], (n_replicates, n_groups))
        means = gains.mean(axis=1)
        variance, degrees = added_up(*variance_parts(means, gains), (n_groups, n_replicates))
        found += means.mean() > student.ppf(0.975, degrees) * np.sqrt(variance)
    assert found / n_sets == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(
    "odd", [{"power": 0.01}, {"power": 1}, {"level": 95}, {"n_comparisons": 0}]
)
def test_impossible_questions_are_refused(odd):
    """Certainty, and a power below the level, are no powers."""
    with pytest.raises(UsageError):
        smallest_difference(parts_of(1e-4, 1e-4, 0), **odd)


@pytest.mark.parametrize(
    "odd",
    [
        {"discordance": 1.1},
        {"replicate_sd": -0.1},
        {"common_share": -0.5},
        {"n_groups": 0},
        {"icc": 2},
        {"cells_per_group": 0.5},
    ],
)
def test_impossible_assumptions_are_refused(odd):
    """A share above 1 and a negative spread are refused, and what was seen is named."""
    with pytest.raises(UsageError, match=f"seen .*{next(iter(odd.values()))}"):
        assumed_parts(**{"n_groups": 20, "n_replicates": 5} | ASSUMED | odd)
