import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.calibration import calibration_curve
from tests.reference import forecasts_reference

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.stats.binomial import wilson
from leukoscope.stats.calibration import (
    calibration_error,
    calibration_error_if_calibrated,
    reliability,
)
from leukoscope.stats.intervals import grouped_intervals

# Few distinct confidences, so that ties are common.
CALLS = st.lists(
    st.tuples(st.integers(0, 8), st.booleans(), st.integers(0, 4)), min_size=1, max_size=40
)


def columns(cells):
    """Part cells into confidence, whether they are right, and groups."""
    confidence, right, groups = zip(*cells, strict=True)
    return np.array(confidence) / 8, np.array(right), np.array(groups)


def calibrated(seed, n):
    """Draw confidences, and calls that are right as often as these say."""
    rng = stream(seed, "calibrated")
    confidence = rng.beta(5, 2, n)
    return confidence, rng.random(n) < confidence


@given(CALLS, st.integers(1, 12))
def test_bins_and_error_are_those_of_plain_loops(cells, n_bins):
    """Ties are never parted, and every cell lies in one bin."""
    confidence, right, groups = columns(cells)
    seen = reliability(confidence, right, groups, n_bins)
    expected = forecasts_reference.bins(confidence.tolist(), n_bins)
    np.testing.assert_array_equal(seen.n_cells, [len(bin_) for bin_ in expected])
    np.testing.assert_allclose(seen.confidence, [confidence[bin_].mean() for bin_ in expected])
    np.testing.assert_allclose(seen.right, [right[bin_].mean() for bin_ in expected])
    assert seen.n_cells.size <= min(n_bins, np.unique(confidence).size)
    np.testing.assert_allclose(
        calibration_error(confidence, right, n_bins),
        forecasts_reference.calibration_error(confidence.tolist(), right.tolist(), n_bins),
        atol=1e-12,
    )


def test_curve_agrees_with_scikit_learn():
    """A thousand distinct confidences in ten bins of a hundred."""
    confidence, right = calibrated(1, 1000)
    seen = reliability(confidence, right, np.arange(1000))
    shares, means = calibration_curve(right, confidence, n_bins=10, strategy="quantile")
    np.testing.assert_array_equal(seen.n_cells, np.full(10, 100))
    np.testing.assert_allclose(seen.confidence, means)
    np.testing.assert_allclose(seen.right, shares)


@given(CALLS, st.integers(1, 12), st.randoms(use_true_random=False))
def test_order_of_rows_changes_nothing(cells, n_bins, random):
    """Cells of one confidence have no order to follow."""
    shuffled = list(cells)
    random.shuffle(shuffled)
    both = (reliability(*columns(rows), n_bins) for rows in (cells, shuffled))
    for seen, again in zip(*both, strict=True):
        np.testing.assert_allclose(seen, again, rtol=1e-12)


@given(CALLS)
def test_bounds_of_one_bin_are_those_of_the_accuracy(cells):
    """All cells in one bin are a table of right and wrong calls by group."""
    confidence, right, groups = columns(cells)
    seen = reliability(confidence, right, groups, n_bins=1)
    matrices = np.zeros((5, 2, 2), dtype=np.int64)
    np.add.at(matrices, (groups, 0, (~right).astype(int)), 1)
    expected = grouped_intervals(matrices)["accuracy"]
    np.testing.assert_allclose(seen.right, [expected.value])
    np.testing.assert_allclose((seen.low[0], seen.high[0]), (expected.low, expected.high))


def test_bounds_of_each_bin_speak_of_its_own_groups():
    """Sure cells of one case each have Wilson's bounds, unsure ones of one case have none."""
    confidence = np.array([0.2] * 10 + [0.9] * 10)
    right = np.arange(20) % 3 > 0
    groups = np.append(np.zeros(10, dtype=int), np.arange(10))
    seen = reliability(confidence, right, groups, n_bins=2)
    assert np.isnan([seen.low[0], seen.high[0]]).all()
    hits = int(right[10:].sum())
    np.testing.assert_allclose((seen.low[1], seen.high[1]), wilson(hits, 10))


def test_a_calibrated_model_shows_what_chance_shows():
    """Its mean error over 40 collections of 2,000 cells is what the draws foretell, to 8 %."""
    errors, foretold = [], []
    for seed in range(40):
        confidence, right = calibrated(seed, 2000)
        errors.append(calibration_error(confidence, right))
        rng = stream(seed, "draws")
        foretold.append(calibration_error_if_calibrated(confidence, rng, n_draws=100))
    np.testing.assert_allclose(np.mean(errors), np.mean(foretold), rtol=0.08)
    # Normal theory: the mean over bins of sqrt(2/pi) standard errors of 200 cells.
    np.testing.assert_allclose(np.mean(foretold), np.sqrt(2 / np.pi * 0.179 / 200), rtol=0.1)


def test_an_overconfident_model_shows_more_than_chance():
    """A model surer by .1 than it should be has an error of .1."""
    confidence, right = calibrated(3, 20_000)
    surer = np.minimum(confidence + 0.1, 1)
    seen = calibration_error(surer, right)
    np.testing.assert_allclose(seen, np.mean(surer - confidence), atol=0.01)
    assert seen > 5 * calibration_error_if_calibrated(surer, stream(3, "draws"), n_draws=50)


def test_error_by_chance_of_one_confidence_is_exact():
    """Twenty cells at .7: the mean distance of a binomial share from .7."""
    hits = np.arange(21)
    expected = (binom.pmf(hits, 20, 0.7) * np.abs(hits / 20 - 0.7)).sum()
    seen = calibration_error_if_calibrated(np.full(20, 0.7), stream(4, "draws"), n_draws=40_000)
    np.testing.assert_allclose(seen, expected, rtol=0.02)


def test_drawing_in_chunks_changes_nothing():
    """Draws of more cells than are held at once equal those of one after another."""
    confidence = stream(5, "confidence").random(300_000)
    rng = stream(5, "draws")
    together = calibration_error_if_calibrated(confidence, rng, n_draws=5)
    rng = stream(5, "draws")
    apart = [calibration_error_if_calibrated(confidence, rng, n_draws=1) for _ in range(5)]
    np.testing.assert_allclose(together, np.mean(apart))


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_certain_and_right_is_without_error(right):
    """Confidences of 0 and 1 that come true leave nothing to chance."""
    confidence = np.array(right, dtype=float)
    assert calibration_error(confidence, np.array(right)) == 0
    assert calibration_error_if_calibrated(confidence, stream(6, "draws"), n_draws=5) == 0


def test_what_rounding_put_outside_is_put_back():
    """A probability stored as a little more than 1 is 1."""
    seen = reliability([1 + 5e-7, -5e-7], np.array([True, False]), [0, 1], n_bins=2)
    np.testing.assert_array_equal(seen.confidence, [0, 1])


def test_no_cells_have_no_bins():
    """Nothing seen, nothing said."""
    assert [part.shape for part in reliability([], [], [])] == [(0,)] * 5
    assert np.isnan(calibration_error([], []))
    assert np.isnan(calibration_error_if_calibrated([], stream(7, "draws")))


@pytest.mark.parametrize(
    "confidence", [[0.5, np.nan], [0.5, 1.1], [-0.1, 0.5], [[0.5, 0.5]], ["a", "b"]]
)
def test_confidences_that_are_none_are_refused(confidence):
    """A logit or a percentage is not taken for a probability."""
    right = np.array([True, False])
    for call in (
        lambda: reliability(confidence, right, [0, 1]),
        lambda: calibration_error(confidence, right),
        lambda: calibration_error_if_calibrated(confidence, stream(8, "draws")),
    ):
        with pytest.raises(DataError, match="confidences"):
            call()


@pytest.mark.parametrize("right", [[1, 0], [True], [[True], [False]]])
def test_right_is_true_or_false(right):
    """One truth value a cell."""
    for call in (
        lambda: reliability([0.5, 0.6], right, [0, 1]),
        lambda: calibration_error([0.5, 0.6], right),
    ):
        with pytest.raises(DataError, match="True or False"):
            call()


def test_impossible_numbers_of_bins_and_draws_are_refused():
    """No bin, no draw and no level are errors of the caller."""
    right = np.array([True, False])
    for call in (
        lambda: reliability([0.5, 0.6], right, [0, 1], 0),
        lambda: reliability([0.5, 0.6], right, [0, 1], level=95),
        lambda: calibration_error([0.5, 0.6], right, 0),
        lambda: calibration_error_if_calibrated([0.5, 0.6], stream(9, "draws"), n_draws=0),
        lambda: calibration_error_if_calibrated([0.5, 0.6], stream(9, "draws"), 0),
    ):
        with pytest.raises(UsageError, match=r"at least 1|between 0 and 1"):
            call()
