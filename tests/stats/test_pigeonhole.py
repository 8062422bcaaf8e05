import tracemalloc

import numpy as np
import pytest
from tests.reference import pigeonhole_reference

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.stats.paired import paired_difference
from leukoscope.stats.pigeonhole import pigeonhole_differences
from leukoscope.stats.scores import SCALAR_METRICS


def arms_of(seed, *, n_replicates=3, n_groups=5, k=3):
    """Draw two arms tested on the same cells: each true row's calls are drawn anew."""
    rng = stream(seed, "arms")
    support = rng.integers(0, 6, size=(n_groups, k)) + np.eye(n_groups, k, dtype=int)
    shares = np.full((k, k), 0.2 / (k - 1)) + np.eye(k) * (0.8 - 0.2 / (k - 1))
    shape = (n_replicates, n_groups, k)
    return tuple(rng.multinomial(np.broadcast_to(support, shape), shares) for _ in range(2))


def of_single_cells(seed, *, n_groups, n_replicates, k=6):
    """Draw two arms whose groups are one cell each, right nine times of ten."""
    rng = stream(seed, "cells")
    truth = rng.integers(0, k, n_groups)
    matrices = np.zeros((2, n_replicates, n_groups, k, k), dtype=np.int64)
    for arm in range(2):
        for replicate in range(n_replicates):
            wrong = rng.random(n_groups) < 0.1
            called = np.where(wrong, rng.integers(0, k, n_groups), truth)
            matrices[arm, replicate, np.arange(n_groups), truth, called] = 1
    return matrices


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_plain_loops(seed):
    """The same draws give the same bounds, also where a draw loses a category."""
    before, after = arms_of(seed)
    seen = pigeonhole_differences(before, after, rng=stream(seed, "draws"), n_draws=300)
    for metric in SCALAR_METRICS:
        expected = pigeonhole_reference.draws(
            before.tolist(), after.tolist(), metric, stream(seed, "draws"), 300
        )
        bounds = (seen[metric].low, seen[metric].high)
        np.testing.assert_allclose(bounds, pigeonhole_reference.interval(expected), atol=1e-12)
        lost = int(np.isnan(expected).sum())
        assert (f"; {lost} draws without" in seen[metric].method) == (lost > 0)
    assert seen["accuracy"].method == (
        "pigeonhole bootstrap percentile (Owen 2007), 300 draws, 5 groups × 3 replicates"
    )


def test_working_in_chunks_changes_nothing():
    """Draws that do not fit one chunk equal those of plain loops."""
    before, after = of_single_cells(1, n_groups=3000, n_replicates=2, k=2)
    seen = pigeonhole_differences(before, after, rng=stream(1, "draws"), n_draws=200)
    rng = stream(1, "draws")
    picks = rng.integers(2, size=(200, 2))
    right = np.trace(after - before, axis1=2, axis2=3)
    values = [right[taken][:, rng.integers(3000, size=3000)].mean() for taken in picks]
    expected = np.quantile(values, [0.025, 0.975])
    np.testing.assert_allclose((seen["accuracy"].low, seen["accuracy"].high), expected)


def test_values_are_those_of_the_paired_comparison():
    """Both intervals stand beside one number."""
    before, after = arms_of(5)
    seen = pigeonhole_differences(before, after, rng=stream(5, "draws"), n_draws=50)
    for metric in SCALAR_METRICS:
        expected = paired_difference(before, after, metric).value
        assert seen[metric].value == pytest.approx(expected)
        assert seen[metric].low <= seen[metric].value <= seen[metric].high


def test_swapping_the_arms_turns_the_sign():
    """The same draws, the other way round."""
    before, after = arms_of(6)
    there = pigeonhole_differences(before, after, rng=stream(6, "draws"), n_draws=200)
    back = pigeonhole_differences(after, before, rng=stream(6, "draws"), n_draws=200)
    for metric in SCALAR_METRICS:
        expected = (-there[metric].high, -there[metric].low)
        assert (back[metric].low, back[metric].high) == pytest.approx(expected)


def test_an_arm_against_itself_differs_by_nothing():
    """Every draw gives 0, in every metric."""
    before, _ = arms_of(7)
    seen = pigeonhole_differences(before, before, rng=stream(7, "draws"), n_draws=100)
    assert {(one.value, one.low, one.high) for one in seen.values()} == {(0, 0, 0)}


def test_cells_without_groups_or_replicates_spread_three_times_over():
    """Where cells are all the noise the variance is that of the t three times (Owen 2007)."""
    before, after = of_single_cells(8, n_groups=600, n_replicates=12)
    seen = pigeonhole_differences(before, after, rng=stream(8, "draws"), n_draws=1000)["accuracy"]
    error = np.sqrt(paired_difference(before, after, "accuracy").variance_interaction)
    assert (seen.high - seen.low) / (2 * 1.96 * error) == pytest.approx(np.sqrt(3), rel=0.15)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((1, 4), "fewer than 2 replicates"), ((3, 1), "fewer than 2 groups")],
)
def test_one_replicate_or_group_has_no_interval(shape, reason):
    """The value stands, the bounds do not, and the method says why."""
    before, after = arms_of(9, n_replicates=shape[0], n_groups=shape[1])
    for metric, one in pigeonhole_differences(before, after, rng=stream(9, "draws")).items():
        assert one.value == pytest.approx(paired_difference(before, after, metric).value)
        assert np.isnan([one.low, one.high]).all()
        assert one.method.startswith("pigeonhole bootstrap percentile (Owen 2007), 2000 draws")
        assert one.method.endswith(f"undefined: {reason}")


def test_a_category_of_one_group_stops_the_means_only():
    """Macro-F has no interval with one case of basophils; accuracy has."""
    before, after = arms_of(10)
    for arm in (before, after):
        arm[:, [0, 1, 3, 4], 2] = 0
    seen = pigeonhole_differences(before, after, rng=stream(10, "draws"), n_draws=100)
    assert seen["macro_f"].method.endswith("undefined: a category is seen in one group only")
    assert np.isnan(seen["balanced_accuracy"].low)
    assert seen["accuracy"].low < seen["accuracy"].high


def test_a_category_no_cell_has_changes_nothing():
    """A column of calls alone is lost by no draw."""
    before, after = arms_of(11, n_groups=30)
    padded = [np.pad(arm, ((0, 0), (0, 0), (0, 1), (0, 1))) for arm in (before, after)]
    seen = pigeonhole_differences(before, after, rng=stream(11, "draws"), n_draws=100)
    assert seen == pigeonhole_differences(*padded, rng=stream(11, "draws"), n_draws=100)


def test_many_families_need_little_memory():
    """2,500 families × 8 replicates × 6 categories: within 60 MB beside the counts."""
    before, after = of_single_cells(12, n_groups=2500, n_replicates=8)
    tracemalloc.start()
    pigeonhole_differences(before, after, rng=stream(12, "draws"), n_draws=400)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


def test_draws_levels_and_counts_are_checked():
    """No draw, a level of 95 and half a cell are refused."""
    before, after = arms_of(13)
    rng = stream(13, "draws")
    with pytest.raises(UsageError, match="at least 1 draw"):
        pigeonhole_differences(before, after, rng=rng, n_draws=0)
    with pytest.raises(UsageError, match="confidence level"):
        pigeonhole_differences(before, after, rng=rng, level=95)
    with pytest.raises(DataError, match="whole counts"):
        pigeonhole_differences(before * 0.5, after * 0.5, rng=rng)
