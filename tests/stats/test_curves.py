import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.foundation.errors import UsageError
from leukoscope.foundation.streams import stream
from leukoscope.stats.curves import converged_at

CURVES = st.lists(st.floats(0.01, 10), min_size=2, max_size=60)


def slowly(values, window, tolerance):
    """Apply the rule as it is spelled, with plain sums."""
    width = min(window, len(values) // 2)
    smooth = []
    for i in range(len(values)):
        last = values[max(0, i - width + 1) : i + 1]
        smooth.append(sum(last) / len(last))
    for i, value in enumerate(smooth):
        if abs(value - smooth[-1]) <= tolerance * abs(smooth[-1]):
            return i
    return None


@given(CURVES, st.integers(1, 12), st.sampled_from([0.007, 0.013, 0.05]))
def test_agrees_with_the_rule_in_plain_sums(values, window, tolerance):
    """For curves shorter and longer than the window."""
    seen = converged_at(values, window=window, tolerance=tolerance)
    assert seen == slowly(values, window, tolerance)


@given(st.integers(2, 60), st.floats(-10, 10))
def test_a_constant_curve_has_converged_from_the_start(n, value):
    """Nothing moves, so the first place is the place."""
    assert converged_at([value] * n) == 0


@given(CURVES, st.integers(-6, 6), st.booleans())
def test_the_unit_changes_nothing(values, exponent, turned):
    """Twice the curve, or its negative, converges where the curve does."""
    factor = 2.0**exponent * (-1 if turned else 1)
    assert converged_at([factor * value for value in values]) == converged_at(values)


@given(st.floats(0.01, 0.3), st.integers(60, 200))
def test_a_monotone_curve_stays_where_it_converged(rate, n):
    """All places after the one found are near the final level too; a stricter rule is later."""
    curve = 1 + np.exp(-rate * np.arange(n))
    places = [converged_at(curve, tolerance=tolerance) for tolerance in (0.1, 0.01, 0.001)]
    assert places == sorted(places)
    smooth = np.convolve(curve, np.full(10, 0.1), "valid")
    near = np.abs(smooth - smooth[-1]) <= 0.01 * smooth[-1]
    assert near[max(places[1] - 9, 0) :].all()


@given(st.integers(10, 60), st.integers(1, 10))
def test_a_planted_step_is_found_when_the_window_has_passed_it(step, window):
    """From 0 to 1 at a place: the mean is there when its window holds nothing older."""
    curve = [0.0] * step + [1.0] * 40
    assert converged_at(curve, window=window) == step + window - 1


def test_noise_is_smoothed_before_it_is_judged():
    """Noise about a level crosses it early; the mean of ten of a decay does not."""
    places = np.arange(300)
    noise = stream(0, "noise").normal(0, 0.05, 300)
    curve = 1 + 3 * np.exp(-places / 30) + noise
    smooth, bare = converged_at(curve), converged_at(curve, window=1)
    assert bare < smooth
    assert 90 < smooth < 220


def test_a_curve_shorter_than_its_window_has_a_final_level_of_its_later_half():
    """Four values fall to 1: the mean of all is 3.25, no level of theirs; of the last two, 1."""
    assert converged_at([8.0, 3.0, 1.0, 1.0]) == 3
    assert converged_at([8.0, 3.0, 1.0, 1.0, 1.0, 1.0]) == 4
    assert converged_at([2.0, 1.0]) == 1


@pytest.mark.parametrize("values", [[], [1.0], [1.0, np.nan], [np.inf, 1.0, 1.0]])
def test_the_rule_cannot_be_applied_to_too_little(values):
    """One place, or a loss that is no number, has no convergence."""
    assert converged_at(values) is None


@pytest.mark.parametrize("odd", [{"window": 0}, {"tolerance": -0.1}, {"tolerance": np.nan}])
def test_impossible_rules_are_refused(odd):
    """A window of nothing has no mean."""
    with pytest.raises(UsageError, match="window of at least 1"):
        converged_at([1.0, 2.0], **odd)
