import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import linregress
from scipy.stats import t as student
from tests.reference import differential_reference

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.stats.differential import (
    COUNTING,
    bland_altman,
    counting_limits,
    deming,
    least_squares,
)

SEEDS = st.integers(0, 10**6)
RATIOS = st.floats(0.1, 10)

# Bland and Altman (1986), Lancet i:307-310, table: first reading by each meter, l/min.
WRIGHT = (494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427)
MINI = (512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451)

# NCSS Statistical Software manual, chapter 303 "Deming Regression", example of known error
# variances .032 of X and .008 of Y; the vignette of the R package SimplyAgree prints the same.
NCSS_X = (7, 8.3, 10.5, 9, 5.1, 8.2, 10.2, 10.3, 7.1, 5.9)
NCSS_Y = (7.9, 8.2, 9.6, 9, 6.5, 7.3, 10.2, 10.6, 6.3, 5.2)


def drawn(seed, n_cases=12, *, slope=1.1):
    """Draw two erring methods of the same cases."""
    rng = stream(seed, "methods")
    true = rng.uniform(0, 1, n_cases)
    return true + rng.normal(0, 0.1, n_cases), slope * true + rng.normal(0, 0.1, n_cases)


def numbers(found):
    """List (value, low, high) of each interval."""
    return np.array([(one.value, one.low, one.high) for one in found])


# Counting limits


def test_five_of_a_hundred_cells():
    """5 % of 100 cells is 1.64 to 11.28 %, and so are 95 % mirrored (Clopper and Pearson 1934)."""
    shares, low, high = counting_limits([5, 95])
    np.testing.assert_allclose(shares, [0.05, 0.95])
    np.testing.assert_allclose(low, [0.0164, 0.8872], atol=5e-5)
    np.testing.assert_allclose(high, [0.1128, 0.9836], atol=5e-5)
    assert "misclassification" in COUNTING


@pytest.mark.parametrize(("hits", "printed"), [(5, (1, 12)), (9, (4, 17))])
def test_limits_are_those_of_the_table_of_differential_counts(hits, printed):
    """Rounded outwards to whole percent they are what Rümke (1960) prints for 100 cells."""
    _, low, high = counting_limits([hits, 100 - hits])
    assert (np.floor(100 * low[0]), np.ceil(100 * high[0])) == printed


@settings(max_examples=30)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=4), st.sampled_from([0.8, 0.95]))
def test_limits_agree_with_a_search_of_binomial_tails(counts, level):
    """Each category's limits are where its count, or a rarer one, has half the error's chance."""
    assume(sum(counts) > 0)
    shares, low, high = counting_limits(counts, level)
    for place, hits in enumerate(counts):
        expected = differential_reference.counting_limits(hits, sum(counts), level)
        np.testing.assert_allclose((low[place], high[place]), expected, atol=1e-9)
        assert low[place] <= shares[place] <= high[place]


def test_limits_are_never_too_narrow():
    """Whatever the true share, at least 95 % of counts of 40 cells have limits that hold it."""
    hits = np.arange(41)
    _, low, high = counting_limits(np.stack([hits, 40 - hits], axis=-1))
    limits = list(zip(low[:, 0], high[:, 0], strict=True))
    covered = [differential_reference.coverage(p, limits) for p in np.linspace(0.01, 0.99, 99)]
    assert min(covered) >= 0.95


def test_counts_may_be_stacked_and_empty():
    """A table of counts is worked row by row, and a count without cells has no share."""
    counts = np.array([[[3, 7], [0, 0]], [[10, 0], [1, 1]]])
    stacked = counting_limits(counts)
    for found, alone in zip(stacked, counting_limits(counts[1, 0]), strict=True):
        assert found.shape == counts.shape
        np.testing.assert_array_equal(found[1, 0], alone)
        assert np.isnan(found[0, 1]).all()
        assert np.isfinite(found[[0, 1, 1], [0, 0, 1]]).all()


@pytest.mark.parametrize("counts", [[5.5, 94.5], [-1, 3], [np.nan, 1], 7, [], [["a"]]])
def test_what_are_no_counts_is_refused(counts):
    """Percentages with decimals, negative and missing numbers are no counts."""
    with pytest.raises(DataError, match="differential count"):
        counting_limits(counts)


# Deming's line


def test_the_printed_deming_example():
    """Slope, intercept and their jackknife bounds are those NCSS and SimplyAgree print."""
    found = deming(NCSS_X, NCSS_Y, ratio=0.008 / 0.032)
    printed = [(1.0011942, 0.5695632, 1.4328253), (-0.08974, -4.0607, 3.881)]
    np.testing.assert_allclose(numbers(found), printed, rtol=2e-4)
    np.testing.assert_allclose(numbers(found)[0], printed[0], atol=5e-8)
    assert all("10 cases" in one.method for one in found)


@settings(max_examples=15)
@given(SEEDS, RATIOS)
def test_the_line_agrees_with_a_search_of_angles(seed, ratio):
    """Slope and intercept, and bounds by leaving out, are those of a plain search."""
    x, y = drawn(seed, 6)
    expected = np.array(differential_reference.line_interval(x.tolist(), y.tolist(), ratio))
    assume(np.abs(expected).max() < 100)
    np.testing.assert_allclose(numbers(deming(x, y, ratio)), expected, rtol=1e-5, atol=1e-6)


@given(SEEDS)
def test_equal_errors_give_total_least_squares(seed):
    """Of ratio 1 the line runs along the first singular vector."""
    x, y = drawn(seed)
    centred = np.stack([x - x.mean(), y - y.mean()], axis=1)
    along = np.linalg.svd(centred)[2][0]
    assert deming(x, y).slope.value == pytest.approx(along[1] / along[0])


@given(SEEDS, RATIOS)
def test_swapping_the_methods_inverts_the_line(seed, ratio):
    """The same line is found from either axis, the ratio inverted."""
    x, y = drawn(seed)
    there, back = deming(x, y, ratio), deming(y, x, 1 / ratio)
    assert back.slope.value == pytest.approx(1 / there.slope.value)
    expected = -there.intercept.value / there.slope.value
    assert back.intercept.value == pytest.approx(expected, abs=1e-9)


@given(SEEDS)
def test_errors_of_one_method_alone_give_its_regression(seed):
    """With next to no error in one of the two, least squares on it is the limit."""
    x, y = drawn(seed)
    product = ((x - x.mean()) * (y - y.mean())).sum()
    assert deming(x, y, 1e9).slope.value == pytest.approx(product / ((x - x.mean()) ** 2).sum())
    assert deming(x, y, 1e-9).slope.value == pytest.approx(((y - y.mean()) ** 2).sum() / product)


@given(SEEDS, RATIOS, st.floats(0.1, 10), st.floats(-5, 5))
def test_the_line_follows_units_and_offsets(seed, ratio, factor, offset):
    """Another unit and zero of one method change slope and intercept, and bounds, likewise."""
    x, y = drawn(seed)
    before = numbers(deming(x, y, ratio))
    after = numbers(deming(x, factor * y + offset, ratio * factor**2))
    np.testing.assert_allclose(after[0], factor * before[0], rtol=1e-6)
    np.testing.assert_allclose(after[1], factor * before[1] + offset, rtol=1e-6, atol=1e-6)


def test_the_order_of_cases_says_nothing():
    """Cases turned round give the same line and the same limits."""
    x, y = drawn(4)
    for method in (deming, bland_altman):
        expected = numbers(method(x, y))
        np.testing.assert_allclose(numbers(method(x[::-1], y[::-1])), expected, rtol=1e-9)


@given(st.integers(-30, 30), st.integers(-10, 10), RATIOS)
def test_cases_on_a_line_give_it_back(tenths, offset, ratio):
    """An exact line is found, and said to leave no spread to judge it by."""
    slope, intercept = tenths / 10, offset / 10
    x = np.array([0.02, 0.31, 0.4, 0.77, 0.9])
    found = deming(x, intercept + slope * x, ratio)
    assert found.slope.value == pytest.approx(slope, abs=1e-9)
    assert found.intercept.value == pytest.approx(intercept, abs=1e-9)
    assert np.isnan(numbers(found)[:, 1:]).all()
    assert all("on one line" in one.method for one in found)


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ([], [], "fewer than 3 cases"),
        ([1, 2], [1, 3], "fewer than 3 cases"),
        ([0.1, 0.1, 0.1], [0.1, 0.2, 0.4], "does not vary"),
        ([-1, -1, 1, 1], [-1, 1, -1, 1], "do not vary together"),
        ([1, 1, 2, 2], [0, 9, 0, 9], "do not vary together"),
        ([0.1] * 3 + [0.2] * 3 + [0.4] * 3, [0.2, 0.7, 1.7] * 3, "do not vary together"),
    ],
)
def test_lines_that_are_none_are_said_to_be_none(x, y, reason):
    """Too few cases, a constant reference and two unrelated methods have no line."""
    found = deming(x, y)
    assert np.isnan(numbers(found)).all()
    assert all(one.method == f"undefined: {reason}" or reason in one.method for one in found)


@pytest.mark.parametrize("y", [[0, 0.02, 0, 0, 0.1], [0, 0, 0, 0, 0.12]])
def test_a_line_that_hangs_on_one_case_has_no_bounds(y):
    """Where one case alone has basophils the slope is known from it, and how well is not."""
    found = deming([0, 0, 0, 0, 0.1], y)
    assert np.isfinite([one.value for one in found]).all()
    assert np.isnan(numbers(found)[:, 1:]).all()
    assert all("without one of the cases" in one.method for one in found)


@pytest.mark.parametrize("share", [0.02, 0.1, 1 / 3])
@pytest.mark.parametrize("n_cases", [4, 7, 11])
def test_an_unvarying_other_method_has_a_slope_of_zero(share, n_cases):
    """Who finds 2 % in every case follows the reference not at all."""
    found = deming(stream(3, "varies").random(n_cases), [share] * n_cases)
    assert (found.slope.value, found.intercept.value) == (0.0, pytest.approx(share))
    assert np.isnan(numbers(found)[:, 1:]).all()


def test_intervals_of_line_and_limits_cover():
    """Of 400 drawn sets of 20 cases the true value lies within in .95, less what is known.

    The limits of agreement take an approximate variance, so that theirs may be .93.
    """
    n_sets, n_cases, rng = 400, 20, stream(1, "coverage")
    true = np.array([1, 0, 0, -1.959964 * 2**0.5, 1.959964 * 2**0.5])
    held = np.zeros(5)
    for _ in range(n_sets):
        cases = rng.normal(0, 3, n_cases)
        x, y = cases + rng.normal(size=(2, n_cases))
        found = numbers([*deming(x, y), *bland_altman(x, y)])
        held += (found[:, 1] <= true) & (true <= found[:, 2])
    share = held / n_sets
    error = np.sqrt(0.95 * 0.05 / n_sets)
    assert (share > 0.93 - 3 * error).all()
    assert (share < 0.95 + 3 * error).all()


@pytest.mark.parametrize(("share", "spread", "least"), [(0.55, 0.1, 0.94), (0.05, 0.03, 0.91)])
def test_lines_through_counted_shares_cover(share, spread, least):
    """Two counts of 200 cells of each of 20 cases: slope 1 lies within in .91 to .95 of 300 sets.

    A counting error grows with the share, which the line does not know: rare categories
    are covered less.
    """
    n_sets, rng = 300, stream(2, "coverage")
    size = share * (1 - share) / spread**2 - 1
    cases = rng.beta(share * size, (1 - share) * size, (n_sets, 20))
    counts = rng.binomial(200, cases, (2, n_sets, 20)) / 200
    slopes = [deming(x, y).slope for x, y in zip(*counts, strict=True)]
    held = np.mean([one.low <= 1 <= one.high for one in slopes])
    assert abs(held - (least + 0.95) / 2) < (0.95 - least) / 2 + 3 * np.sqrt(0.05 / n_sets)


# Limits of agreement


def test_the_peak_flow_meters():
    """Bias −2.1 l/min and sd 38.8, as printed; of the two sd of 1986 1.96 are taken.

    The printed intervals: −22.0 to 17.8 of the bias, −114.3 to −45.1 and 40.9 to 110.1 of
    the limits, by the variance 3 s²/n, which is near the one of 1999.
    """
    found = bland_altman(MINI, WRIGHT)
    assert found.bias.value == pytest.approx(-2.1, abs=0.05)
    s = (found.high.value - found.low.value) / (2 * 1.959964)
    assert s == pytest.approx(38.8, abs=0.05)
    assert found.bias.value - 2 * s == pytest.approx(-79.7, abs=0.1)
    assert found.bias.value + 2 * s == pytest.approx(75.5, abs=0.1)
    assert (found.bias.low, found.bias.high) == pytest.approx((-22.0, 17.8), abs=0.06)
    assert found.low.high - found.low.low == pytest.approx(114.3 - 45.1, rel=0.01)
    assert found.high.high - found.high.low == pytest.approx(110.1 - 40.9, rel=0.01)


@given(SEEDS, st.integers(3, 30), st.sampled_from([0.8, 0.95]))
def test_limits_agree_with_the_formulas(seed, n_cases, level):
    """Bias, limits and intervals are those of plain sums."""
    x, y = drawn(seed, n_cases)
    expected = differential_reference.agreement_limits(x.tolist(), y.tolist(), level)
    np.testing.assert_allclose(numbers(bland_altman(x, y, level)), expected, rtol=1e-6)


@given(SEEDS, st.floats(-5, 5))
def test_limits_stand_around_the_bias_and_mirror(seed, offset):
    """They are as far below as above; swapped methods mirror them, an offset moves them."""
    x, y = drawn(seed)
    found, mirrored = bland_altman(x, y), bland_altman(y, x)
    middle = (found.low.value + found.high.value) / 2
    assert middle == pytest.approx(found.bias.value)
    expected = -numbers(found)[[0, 2, 1]][:, [0, 2, 1]]
    np.testing.assert_allclose(numbers(mirrored), expected, atol=1e-12)
    np.testing.assert_allclose(
        numbers(bland_altman(x, y + offset)), numbers(found) + offset, atol=1e-9
    )


def test_the_level_moves_intervals_and_not_limits():
    """The limits are those of 95 % of cases; only how well they are known has a level."""
    x, y = drawn(3)
    sure, less = numbers(bland_altman(x, y, 0.99)), numbers(bland_altman(x, y, 0.5))
    np.testing.assert_array_equal(sure[:, 0], less[:, 0])
    assert (sure[:, 1] < less[:, 1]).all()
    assert (sure[:, 2] > less[:, 2]).all()


def test_equal_differences_leave_no_interval():
    """A constant difference, 0 or not, is given with the reason and without bounds."""
    x = np.array([0.1, 0.3, 0.7])
    for offset in (0.0, 0.2):
        found = bland_altman(x, x + offset)
        np.testing.assert_allclose(numbers(found)[:, 0], offset, atol=1e-12)
        assert np.isnan(numbers(found)[:, 1:]).all()
        assert all("the same in every case" in one.method for one in found)


def test_two_cases_have_a_bias_and_no_limits():
    """Of fewer than 3 cases only the mean difference is given."""
    found = bland_altman([0.1, 0.2], [0.2, 0.5])
    assert found.bias.value == pytest.approx(0.2)
    assert np.isnan(numbers(found)[1:]).all()
    assert np.isnan(numbers(found)[0, 1:]).all()
    assert all(one.method == "undefined: fewer than 3 cases" for one in found)
    assert np.isnan(numbers(bland_altman([], []))).all()


# Bad input


@pytest.mark.parametrize("method", [deming, bland_altman])
@pytest.mark.parametrize(
    ("x", "y"),
    [([1, 2, 3], [1, 2]), ([1, 2, np.nan], [1, 2, 3]), ([1, 2, 3], [1, np.inf, 3]), ([[1]], [[1]])],
)
def test_what_are_no_pairs_is_refused(method, x, y):
    """Rows of other lengths, missing and infinite numbers are refused."""
    with pytest.raises(DataError, match="one finite number a case"):
        method(x, y)


@pytest.mark.parametrize("ratio", [0, -1, np.nan, np.inf])
def test_a_ratio_is_above_zero(ratio):
    """Error variances are divided."""
    with pytest.raises(UsageError, match="ratio of error variances"):
        deming([1, 2, 3], [1, 2, 4], ratio)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_levels_lie_between_0_and_1(level):
    """Each method refuses a level that is none."""
    for method in (deming, bland_altman):
        with pytest.raises(UsageError, match="confidence level"):
            method([1, 2, 3], [1, 2, 4], level=level)
    with pytest.raises(UsageError, match="confidence level"):
        counting_limits([1, 2], level)


def test_least_squares_is_the_ordinary_line():
    """Slope and intercept as scipy's, and each bound by leaving cases out of scipy's."""
    draws = stream(41, "least squares")
    x = draws.normal(50, 10, 12)
    y = 3 + 0.7 * x + draws.normal(0, 2, 12)
    found = least_squares(x, y)
    expected = linregress(x, y)
    assert found.slope.value == pytest.approx(expected.slope, rel=1e-9)
    assert found.intercept.value == pytest.approx(expected.intercept, rel=1e-9)
    left = [linregress(np.delete(x, i), np.delete(y, i)).slope for i in range(12)]
    error = np.sqrt(11 / 12 * ((left - np.mean(left)) ** 2).sum())
    half = student.ppf(0.975, 10) * error
    assert found.slope.low == pytest.approx(expected.slope - half, rel=1e-7)


def test_least_squares_does_not_hide_what_a_model_undercalls():
    """Three of ten cells lost, 2 of 100 others taken: the slope is .68, Deming's is larger."""
    draws = stream(42, "undercalls")
    slopes = []
    for _ in range(60):
        truth = draws.binomial(200, draws.beta(6, 6, 30))
        called = draws.binomial(truth, 0.7) + draws.binomial(200 - truth, 0.02)
        x, y = truth / 200, called / 200
        slopes.append((least_squares(x, y).slope.value, deming(x, y).slope.value))
    ordinary, both = np.mean(slopes, axis=0)
    assert ordinary == pytest.approx(0.68, abs=0.01)
    assert both > ordinary
