import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.stats.verdicts import holm, planned_verdict, verdict

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.02, 0.05, "helps"),
        (-0.05, -0.02, "harms"),
        (-0.005, 0.005, "no difference larger than m"),
        (0.001, 0.009, "no difference larger than m"),
        (-0.009, -0.001, "no difference larger than m"),
        (0.001, 0.011, "helps"),
        (0.0, 0.0, "no difference larger than m"),
        (-0.005, 0.02, "undecided"),
        (0.0, 0.02, "undecided"),
        (-0.01, 0.005, "undecided"),
        (np.nan, np.nan, "undecided"),
    ],
)
def test_verdicts(low, high, expected):
    """Inside the margin first, then the side of 0, else undecided; m is .01."""
    assert verdict(low, high, 0.01) == expected


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0.001, 0.5))
def test_verdicts_mirror(low, width, margin):
    """Swapping the arms swaps helps and harms and nothing else."""
    swapped = {"helps": "harms", "harms": "helps"}
    answer = verdict(low, low + width, margin)
    assert verdict(-low - width, -low, margin) == swapped.get(answer, answer)


@pytest.mark.parametrize(
    ("low", "high", "margin"), [(0, 1, 0), (0, 1, -1), (1, 0, 0.1), (0, 1, np.nan)]
)
def test_impossible_verdicts_are_refused(low, high, margin):
    """A margin of nothing would never end the question."""
    with pytest.raises(UsageError, match="margin above 0"):
        verdict(low, high, margin)


def test_holm_by_hand():
    """.01 × 4, then .03 × 3 raised to the running maximum, order kept."""
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])
    assert holm([]).size == 0


@given(P_VALUES, st.randoms(use_true_random=False))
def test_holm_is_monotone_and_blind_to_order(values, shuffler):
    """Between p and n p, in the order of p, whatever order they come in."""
    adjusted = holm(values)
    assert (adjusted >= values).all()
    assert (adjusted <= np.minimum(1, len(values) * np.array(values))).all()
    assert (np.diff(adjusted[np.argsort(values)]) >= 0).all()
    order = list(range(len(values)))
    shuffler.shuffle(order)
    np.testing.assert_array_equal(holm(np.array(values)[order]), adjusted[order])


@pytest.mark.parametrize("values", [[-0.1], [1.2], [[0.1, 0.2]]])
def test_holm_refuses_what_are_no_p_values(values):
    """A p value above 1 is something else."""
    with pytest.raises(DataError, match="p values"):
        holm(values)


@pytest.mark.parametrize("bounds", [(0.02, 0.05), (-0.05, -0.02)])
def test_of_several_comparisons_one_must_outlast_the_adjusting(bounds):
    """Alone the interval decides; among two an adjusted p above .05, or none, undoes it."""
    said = verdict(*bounds, 0.01)
    assert planned_verdict(bounds, 0.01, None, 1) == said
    assert planned_verdict(bounds, 0.01, 0.05, 2) == said
    for p_value in (0.051, None, np.nan):
        assert planned_verdict(bounds, 0.01, p_value, 2) == "undecided"


def test_no_difference_needs_no_adjusting():
    """An interval within the margin stays, whatever the p value; without one all is undecided."""
    assert planned_verdict((-0.005, 0.005), 0.01, 1.0, 4) == "no difference larger than m"
    assert planned_verdict(None, 0.01, 0.001, 1) == "undecided"
