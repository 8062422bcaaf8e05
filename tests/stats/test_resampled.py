import numpy as np
import pytest
from scipy.stats import bootstrap
from tests.reference import resampled_reference

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.stats.ranking import auroc, auroc_of, concordance
from leukoscope.stats.resampled import (
    bca_bounds,
    percentile_bounds,
    resampled_auroc,
    resampled_scores,
    times_taken,
)
from leukoscope.stats.scores import scores


def groups_of(seed, *, n_groups=6, k=3):
    """Draw groups of up to 5 cells a category, most of them called rightly."""
    rng = stream(seed, "groups")
    support = rng.integers(0, 6, size=(n_groups, k))
    shares = np.full((k, k), 0.3 / (k - 1)) + np.eye(k) * (0.7 - 0.3 / (k - 1))
    return rng.multinomial(support, shares)


def ranked_cells(seed, *, n_cells=80, n_groups=6):
    """Draw scores with many ties, higher for positive cells, and whose group a cell is."""
    rng = stream(seed, "cells")
    positive = rng.random(n_cells) < 0.4
    scores_of = np.round(rng.normal(positive, 1.0), 1)
    return scores_of, positive, rng.integers(0, n_groups, n_cells)


def test_times_are_those_of_drawing_one_by_one():
    """The same stream gives the same counts, and every draw takes as many as there are."""
    seen = times_taken(stream(1, "draws"), 40, 7)
    expected = resampled_reference.times_taken(stream(1, "draws"), 40, 7)
    np.testing.assert_array_equal(seen, expected)
    assert set(seen.sum(axis=1)) == {7.0}


def test_each_is_taken_once_on_average():
    """Over many draws the counts have the mean 1 and the variance 1 − 1/n."""
    seen = times_taken(stream(2, "draws"), 20_000, 5)
    np.testing.assert_allclose(seen.mean(axis=0), 1, atol=0.04)
    np.testing.assert_allclose(seen.var(axis=0), 0.8, atol=0.05)


def test_taking_every_group_once_gives_the_pooled_scores():
    """A draw of ones is the data."""
    matrices = groups_of(3)
    pooled = scores(matrices.sum(axis=0))
    seen = resampled_scores(matrices, np.ones((1, len(matrices))))
    assert seen.keys() == pooled.keys() - {"support"}
    for metric, values in seen.items():
        np.testing.assert_allclose(values[0], pooled[metric], rtol=1e-14)


@pytest.mark.parametrize("seed", range(4))
def test_whole_times_equal_repeated_cells(seed):
    """A draw scores as its groups' cells laid out again, also where it loses a category."""
    matrices = groups_of(seed, n_groups=4)
    times = times_taken(stream(seed, "draws"), 60, 4)
    times[0] = [0, 0, 0, 4]
    seen = resampled_scores(matrices, times)
    for d, taken in enumerate(times.astype(int).tolist()):
        expected = resampled_reference.scores(matrices.tolist(), taken)
        for metric, values in seen.items():
            np.testing.assert_allclose(values[d], expected[metric], atol=1e-12, err_msg=metric)


def test_a_lost_category_has_no_mean():
    """Means over categories are undefined in exactly the draws without one of them."""
    matrices = np.array([np.diag([3, 2, 0]), np.diag([2, 2, 4]), np.diag([2, 1, 0])])
    times = np.array([[1, 1, 1], [2, 0, 1], [0, 3, 0], [0, 0, 3]])
    seen = resampled_scores(matrices, times)
    for metric in ("macro_f", "balanced_accuracy"):
        np.testing.assert_array_equal(np.isnan(seen[metric]), [False, True, False, True])
    np.testing.assert_array_equal(seen["accuracy"], 1.0)


def test_order_and_size_of_the_times_change_nothing():
    """Groups may stand in any order, and all weigh twice as much."""
    matrices = groups_of(5)
    times = times_taken(stream(5, "draws"), 30, 6)
    order = stream(5, "order").permutation(6)
    seen = resampled_scores(matrices, times)
    for other in (
        resampled_scores(matrices[order], times[:, order]),
        resampled_scores(matrices, 2 * times),
    ):
        for metric, values in seen.items():
            np.testing.assert_allclose(other[metric], values, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_areas_equal_those_of_repeated_cells(seed):
    """Every draw's area is that of its groups' cells laid out again, pair by pair."""
    values, positive, groups = ranked_cells(seed)
    counted = concordance(values, positive, groups, 6)
    times = times_taken(stream(seed, "draws"), 12, 6)
    seen = resampled_auroc(counted, times)
    for d, taken in enumerate(times.astype(int).tolist()):
        expected = resampled_reference.auroc(
            values.tolist(), positive.tolist(), groups.tolist(), taken
        )
        assert seen[d] == pytest.approx(expected, abs=1e-12)
        assert seen[d] == pytest.approx(auroc(values, positive, times[d][groups]), abs=1e-12)
    assert resampled_auroc(counted, np.ones((1, 6)))[0] == pytest.approx(auroc_of(counted))


def test_a_draw_of_one_kind_has_no_area():
    """Without positive or without negative cells there are no pairs."""
    values, positive, _ = ranked_cells(4)
    counted = concordance(values, positive, np.where(positive, 0, 1), 2)
    seen = resampled_auroc(counted, [[1, 1], [2, 0], [0, 2]])
    np.testing.assert_array_equal(np.isnan(seen), [False, True, True])


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_bounds_are_those_of_scipy(method, level):
    """From the same draws SciPy reads the same bounds, on a skewed sample."""
    data = stream(6, "sample").exponential(size=25)
    result = bootstrap(
        (data,), np.mean, n_resamples=999, confidence_level=level, method=method, rng=1
    )
    draws = result.bootstrap_distribution
    without = (data.sum() - data) / (data.size - 1)
    seen = {
        "percentile": percentile_bounds(draws, level),
        "BCa": bca_bounds(data.mean(), draws, without, level),
    }
    assert seen[method] == pytest.approx(tuple(result.confidence_interval), rel=1e-12)
    assert seen["BCa"][0] > seen["percentile"][0]


def test_bca_without_bias_or_skew_is_percentile():
    """Draws and left-out scores that lie alike on both sides need no correction."""
    draws, without = np.linspace(-1, 1, 401), np.array([-0.2, -0.1, 0.1, 0.2])
    assert bca_bounds(0.0, draws, without) == pytest.approx(percentile_bounds(draws))


def test_turning_the_sign_mirrors_the_bounds():
    """What is low of a score is high of its negative."""
    rng = stream(7, "draws")
    draws, without = rng.gamma(2.0, size=500), rng.gamma(2.0, size=12)
    low, high = bca_bounds(1.5, draws, without)
    assert bca_bounds(-1.5, -draws, -without) == pytest.approx((-high, -low))
    assert low < high


def test_undefined_draws_are_left_out():
    """Bounds are those of the draws that have a value; without any there are none."""
    draws = stream(8, "draws").normal(size=200)
    holed = np.insert(draws, [0, 50, 200], np.nan)
    without = draws[:9]
    assert percentile_bounds(holed) == percentile_bounds(draws)
    assert bca_bounds(0.0, holed, without) == bca_bounds(0.0, draws, without)
    assert np.isnan(percentile_bounds([np.nan, np.nan])).all()
    assert np.isnan(bca_bounds(0.0, [np.nan, np.nan], without)).all()


@pytest.mark.parametrize(
    ("value", "without"),
    [(2.0, [0.1, 0.2, 0.4]), (0.5, [0.1, np.nan, 0.4]), (0.5, [0.3, 0.1 + 0.2, 0.3])],
    ids=["all draws on one side", "undefined without a group", "no spread"],
)
def test_bca_without_a_correction_has_no_bounds(value, without):
    """Where bias or acceleration cannot be had, nothing is bounded."""
    assert np.isnan(bca_bounds(value, np.linspace(0, 1, 99), without)).all()


def test_what_is_no_draw_is_refused():
    """Times that do not fit, are negative or undefined, and tables of draws, are refused."""
    matrices = groups_of(9)
    values, positive, groups = ranked_cells(9)
    counted = concordance(values, positive, groups, 6)
    for times in (np.ones(6), np.ones((2, 5)), -np.ones((2, 6)), np.full((2, 6), np.nan)):
        with pytest.raises(DataError, match="Draws of 6 groups"):
            resampled_scores(matrices, times)
        with pytest.raises(DataError, match="Draws of 6 groups"):
            resampled_auroc(counted, times)
    with pytest.raises(DataError, match="one value a draw"):
        percentile_bounds(np.ones((3, 2)))
    with pytest.raises(DataError, match="whole counts"):
        resampled_scores(matrices * 0.5, np.ones((1, 6)))
    with pytest.raises(UsageError, match="confidence level"):
        bca_bounds(0.5, [0.4, 0.6], [0.4, 0.6], level=95)
