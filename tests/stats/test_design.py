import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.stats.binomial import clopper_pearson, wilson
from leukoscope.stats.design import (
    EXACT,
    design_effect,
    effective_cells,
    exact_in_groups,
    widen,
    with_unseen_kinds,
)
from leukoscope.stats.intervals import WILSON, Interval

SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=12)


@given(SIZES, st.floats(0, 1), st.integers(0, 60))
def test_the_exact_interval_is_that_of_the_effective_cells(sizes, icc, failures):
    """Groups of one cell, or no correlation, give the plain interval; others hold it."""
    trials = sum(sizes)
    right = max(trials - failures, 0)
    plain = clopper_pearson(right, trials)
    seen = exact_in_groups(right, sizes, assumed_icc=icc)
    assert seen.value == right / trials
    assert seen.low <= plain[0] + 1e-9
    assert seen.high >= plain[1] - 1e-9
    alone = exact_in_groups(right, [1] * trials, assumed_icc=icc)
    independent = exact_in_groups(right, sizes, assumed_icc=0)
    for one in (alone, independent):
        np.testing.assert_allclose((one.low, one.high), plain)


@given(SIZES, st.floats(0, 1))
def test_the_variance_of_a_share_is_that_of_the_effective_cells(sizes, icc):
    """Correlations of pairs of cells of one group added up, as the slow sum over all pairs."""
    total = sum(m + m * (m - 1) * icc for m in sizes)
    assert effective_cells(sizes, icc) == pytest.approx(sum(sizes) ** 2 / total)
    assert effective_cells([*sizes, 0, 0], icc) == effective_cells(sizes, icc)


def test_copies_count_as_their_families():
    """At a correlation of 1, groups of one size are so many cells."""
    assert effective_cells([10] * 7, 1) == pytest.approx(7)
    assert exact_in_groups(70, [10] * 7, assumed_icc=1).low == pytest.approx(0.025 ** (1 / 7))


def test_one_large_group_is_not_averaged_away():
    """991 cells of one case and one of each of nine are worth 20 cells, not 168."""
    sizes = [991] + [1] * 9
    assert effective_cells(sizes) == pytest.approx(1000 / (1 + (991**2 + 9 - 1000) / 1000 * 0.05))
    assert exact_in_groups(1000, sizes).low == pytest.approx(0.832, abs=1e-3)


def test_the_method_names_the_correlation():
    """A twentieth is assumed unless another is stated."""
    assert exact_in_groups(3, [3, 3]).method == EXACT
    assert EXACT.endswith("assuming an intraclass correlation of .05")
    assert exact_in_groups(3, [3], assumed_icc=1).method.endswith("correlation of 1")
    assert exact_in_groups(3, [3], assumed_icc=0).method.endswith("correlation of 0")


def test_no_cells_have_no_share():
    """Nothing seen, nothing said."""
    seen = exact_in_groups(0, [0, 0])
    assert np.isnan([seen.value, seen.low, seen.high]).all()


@pytest.mark.parametrize("sizes", [[1, -1], [np.nan], [[1, 2]], [np.inf]])
def test_impossible_sizes_are_refused(sizes):
    """A group has a count of cells."""
    with pytest.raises(DataError, match="Cells of groups"):
        effective_cells(sizes)
    with pytest.raises(UsageError, match="design effect"):
        effective_cells([2, 3], 1.5)


def test_unseen_kinds_get_the_upper_limit_of_their_rate():
    """Rows keep their sum; a kind takes from right calls what they have, or all others alike."""
    rates = np.array([[0.9, 0.1, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    truth = np.array([[1, 1, 0]] * 10)
    seen = with_unseen_kinds(rates, truth)
    limit = 1 - 0.025 ** (1 / 10)
    expected = [
        [[0.9 - limit, 0.1, limit], rates[1], rates[2]],
        rates,
        [rates[0], [0, limit, 1 - limit], rates[2]],
    ]
    np.testing.assert_allclose(seen, np.array([np.array(one) for one in expected]))


def test_design_effect_of_fifty_cells():
    """Intraclass correlation .05 and 50 cells a case: 3.45 times the variance."""
    assert design_effect(0.05, 50) == pytest.approx(3.45)
    assert design_effect(0, 50) == design_effect(0.3, 1) == 1


@pytest.mark.parametrize(("icc", "cells"), [(-0.1, 5), (1.1, 5), (0.1, 0.5), (np.nan, 5)])
def test_impossible_design_effects_are_refused(icc, cells):
    """A correlation above 1 is a slip, not a wide interval."""
    with pytest.raises(UsageError, match="design effect"):
        design_effect(icc, cells)


def test_widening_multiplies_half_widths_on_the_logit_scale():
    """An effect of 4 doubles both half widths; two steps multiply."""
    before = Interval(0.8, *wilson(80, 100), WILSON)
    after = widen(before, 4)

    def logit(share):
        return np.log(share / (1 - share))

    assert logit(0.8) - logit(after.low) == pytest.approx(2 * (logit(0.8) - logit(before.low)))
    assert logit(after.high) - logit(0.8) == pytest.approx(2 * (logit(before.high) - logit(0.8)))
    twice = widen(widen(before, 2), 2)
    np.testing.assert_allclose((twice.low, twice.high), (after.low, after.high))
    assert "design effect of 4" in after.method


@pytest.mark.parametrize("successes", [0, 60])
def test_widening_an_exact_interval_is_having_fewer_cells(successes):
    """60 of 60 at a design effect of 3 is 20 of 20."""
    wide = widen(Interval(successes / 60, *clopper_pearson(successes, 60), EXACT), 3)
    np.testing.assert_allclose((wide.low, wide.high), clopper_pearson(successes / 3, 20))


def test_widening_by_nothing_or_of_nothing_keeps_the_bounds():
    """An effect of 1 changes no bound, a missing bound stays missing, a clipped one clipped."""
    interval = Interval(0.8, 0.7, 0.9, "x")
    same = widen(interval, 1)
    np.testing.assert_allclose((same.low, same.high), (0.7, 0.9))
    missing = Interval(0.8, np.nan, np.nan, "undefined: fewer than 2 groups")
    assert widen(missing, 3) is missing
    clipped = widen(Interval(0.9, 0.7, 1.0, "x"), 3)
    assert clipped.low < 0.7
    assert clipped.high == 1
    with pytest.raises(UsageError, match="at least 1"):
        widen(interval, 0.5)
