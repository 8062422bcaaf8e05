import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import brier_score_loss, log_loss
from tests.reference import forecasts_reference

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.stats import calibration, forecasts
from leukoscope.stats.forecasts import (
    area_under_risk,
    brier_losses,
    constant_forecast,
    coverage_risk,
    log_losses,
    mean_interval,
    mean_without_each,
)

# Few distinct confidences, so that ties are common.
CALLS = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=40)
LOSSES = st.lists(st.tuples(st.floats(-2, 2), st.integers(0, 5)), min_size=1, max_size=40)


def columns(cells):
    """Part cells into their two columns."""
    first, second = zip(*cells, strict=True)
    return np.array(first), np.array(second)


def forecast(seed, n=200, k=5):
    """Draw probabilities and true categories, all of which occur."""
    rng = stream(seed, "forecast")
    probabilities = rng.dirichlet(np.ones(k), n)
    return probabilities, np.append(rng.integers(0, k, n - k), np.arange(k))


@pytest.mark.parametrize("k", [2, 5])
def test_losses_agree_with_scikit_learn(k):
    """Mean Brier and log losses are an independent implementation's, cell losses a loop's."""
    probabilities, truth = forecast(1, k=k)
    seen = brier_losses(probabilities, truth)
    of_pairs = brier_score_loss(truth, probabilities, labels=range(k), scale_by_half=False)
    np.testing.assert_allclose(seen.mean(), of_pairs)
    by_hand = [forecasts_reference.brier(*cell) for cell in zip(probabilities, truth, strict=True)]
    np.testing.assert_allclose(seen, by_hand)
    np.testing.assert_allclose(
        log_losses(probabilities, truth).mean(), log_loss(truth, probabilities)
    )


def test_published_score_of_ten_rain_forecasts():
    """The worked example of Brier (1950), table 1: P = .19."""
    rain = np.array([0.7, 0.9, 0.8, 0.4, 0.2, 0, 0, 0, 0, 0.1])
    observed = np.array([0, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    seen = brier_losses(np.stack([1 - rain, rain], axis=1), observed)
    np.testing.assert_allclose(seen.mean(), 0.19)


@given(st.integers(2, 6), st.data())
def test_losses_have_known_ends(k, data):
    """A certain forecast costs nothing if right, and 2 or 34.5 if wrong; all alike cost ln k."""
    truth, said = (data.draw(st.integers(0, k - 1)) for _ in range(2))
    certain = np.eye(k)[[said]]
    right = said == truth
    assert brier_losses(certain, [truth])[0] == (0 if right else 2)
    expected = 0 if right else 15 * np.log(10)
    np.testing.assert_allclose(log_losses(certain, [truth])[0], expected, atol=1e-12)
    flat = np.full((1, k), 1 / k)
    np.testing.assert_allclose(log_losses(flat, [truth]), np.log(k))
    np.testing.assert_allclose(brier_losses(flat, [truth]), 1 - 1 / k)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_log_loss_of_the_constant_forecast_is_the_entropy(truth):
    """And its Brier loss the chance that two cells drawn are of different categories."""
    shares = constant_forecast(truth, 5)
    said = np.tile(shares, (len(truth), 1))
    np.testing.assert_allclose(log_losses(said, truth).mean(), stats.entropy(shares), atol=1e-12)
    np.testing.assert_allclose(brier_losses(said, truth).mean(), 1 - (shares**2).sum(), atol=1e-12)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 2**32))
def test_no_other_constant_has_less_log_loss(truth, seed):
    """Both losses are least for the shares themselves."""
    shares = constant_forecast(truth, 4)
    other = stream(seed, "other").dirichlet(np.ones(4))
    for loss in (log_losses, brier_losses):
        ours, theirs = (loss(np.tile(p, (len(truth), 1)), truth).mean() for p in (shares, other))
        assert ours <= theirs + 1e-12


def test_order_of_categories_changes_no_loss():
    """Columns and codes renamed together say the same."""
    probabilities, truth = forecast(2)
    order = np.array([3, 0, 4, 1, 2])
    renamed = np.argsort(order)[truth]
    for loss in (brier_losses, log_losses):
        np.testing.assert_allclose(
            loss(probabilities[:, order], renamed), loss(probabilities, truth)
        )


@given(LOSSES)
def test_mean_interval_is_that_of_plain_sums(cells):
    """The bounds are those of recomputed means, whatever the sign of the losses."""
    losses, groups = columns(cells)
    seen = mean_interval(losses, groups)
    np.testing.assert_allclose(seen.value, losses.mean(), atol=1e-12)
    if np.isnan(seen.low):
        alone = np.unique(groups).size == 1
        assert (
            seen.method
            == f"undefined: {'fewer than 2 groups' if alone else 'the groups do not differ'}"
        )
        return
    expected = forecasts_reference.mean_interval(losses.tolist(), groups.tolist())
    np.testing.assert_allclose((seen.low, seen.high), expected, rtol=1e-7, atol=1e-10)


@given(LOSSES)
def test_left_out_means_are_those_of_the_other_cells(cells):
    """Group by group, in the order of their codes."""
    losses, groups = columns(cells)
    value, left = mean_without_each(losses, groups)
    np.testing.assert_allclose(value, losses.mean(), atol=1e-12)
    for group, seen in zip(np.unique(groups), left, strict=True):
        rest = losses[groups != group]
        np.testing.assert_allclose(seen, rest.mean() if rest.size else np.nan, atol=1e-12)


def test_interval_of_independent_cells_is_the_textbook_one():
    """Every cell its own family: mean ± t s / √n, as scipy has it."""
    losses = stream(3, "losses").gamma(0.5, size=400)
    seen = mean_interval(losses, np.arange(400), 0.9, least=0)
    expected = stats.t.interval(0.9, 399, losses.mean(), stats.sem(losses))
    np.testing.assert_allclose((seen.low, seen.high), expected)
    assert seen.method == "jackknife t on the plain scale, 400 groups"


def test_no_bound_is_below_what_a_loss_can_be():
    """Two unlike cases: t with one degree reaches far below 0, where no mean loss is."""
    losses, groups = [0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]
    open_ended = mean_interval(losses, groups)
    seen = mean_interval(losses, groups, least=0)
    assert open_ended.low < 0 == seen.low
    assert seen.high == open_ended.high
    assert seen.method == "jackknife t on the plain scale, 2 groups, cut off at 0"


@pytest.mark.parametrize(
    ("losses", "groups", "reason"),
    [
        ([], [], "no cells to score"),
        ([0.1, 0.2], [7, 7], "fewer than 2 groups"),
        ([0.3] * 10_000, [*range(5000), *[5000] * 5000], "the groups do not differ"),
        ([0.1, 0.2, 0.7, 0.7, 0.1, 0.2] * 9, np.arange(54) // 3, "the groups do not differ"),
    ],
)
def test_what_has_no_interval_says_why(losses, groups, reason):
    """Rounding in sums of many cells is not taken for spread."""
    seen = mean_interval(losses, np.array(groups, int))
    assert np.isnan([seen.low, seen.high]).all()
    assert seen.method == f"undefined: {reason}"


def test_groups_of_the_same_losses_in_another_order_do_not_differ():
    """What sums of the same numbers differ by is rounding, and no spread."""
    rng = stream(5, "order")
    losses = rng.permuted(np.tile(rng.random(400), (3, 1)), axis=1).ravel()
    groups = np.arange(3).repeat(400)
    assert np.ptp(mean_without_each(losses, groups)[1]) > 0
    assert mean_interval(losses, groups).method == "undefined: the groups do not differ"


@given(CALLS)
def test_coverage_and_risk_are_counted_at_each_confidence(cells):
    """Plain loops keep the same cells; at a coverage of 1 the risk is the error rate."""
    confidence, right = columns(cells)
    coverage, risk, threshold = coverage_risk(confidence / 8, right)
    expected = forecasts_reference.coverage_risk((confidence / 8).tolist(), right.tolist())
    np.testing.assert_allclose(np.stack([coverage, risk, threshold], axis=1), expected)
    assert coverage[-1] == 1
    np.testing.assert_allclose(risk[-1], 1 - right.mean())
    area = sum(
        (row[0] - before[0]) * row[1]
        for before, row in zip([(0, 0, 0), *expected], expected, strict=False)
    )
    np.testing.assert_allclose(area_under_risk(confidence / 8, right), area, atol=1e-12)


@given(CALLS, st.integers(0, 2**32))
def test_perfect_order_has_the_least_area(cells, seed):
    """No order of the calls beats right before wrong; none is worse than the reverse."""
    _, right = columns(cells)
    ranks = np.arange(right.size, dtype=float)
    best = np.lexsort((ranks, right)).argsort()
    shuffled = stream(seed, "order").permutation(ranks)
    areas = [area_under_risk(order, right) for order in (best, shuffled, -best)]
    assert areas[0] - 1e-12 <= areas[1] <= areas[2] + 1e-12


def test_confidence_without_meaning_has_flat_risk():
    """Whatever share is kept, as many calls are wrong: .2 to within 4 standard errors of each."""
    rng = stream(4, "risk")
    right = rng.random(20_000) < 0.8
    coverage, risk, _ = coverage_risk(rng.random(20_000), right)
    kept = coverage * 20_000
    assert (np.abs(risk - 0.2)[kept > 100] < 4 * np.sqrt(0.16 / kept[kept > 100])).all()
    np.testing.assert_allclose(
        area_under_risk(rng.random(20_000), right), 1 - right.mean(), atol=0.01
    )
    assert area_under_risk(np.full(20_000, 0.5), right) == pytest.approx(1 - right.mean())


def test_area_of_independent_ranks_is_the_mean_risk():
    """Without ties it is the mean over the numbers of cells kept: four calls by hand."""
    right = np.array([True, False, True, True])
    seen = area_under_risk([0.9, 0.8, 0.7, 0.6], right)
    np.testing.assert_allclose(seen, (0 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_no_cells_have_no_losses():
    """Nothing seen, nothing said."""
    assert (
        brier_losses(np.empty((0, 3)), []).shape == log_losses(np.empty((0, 3)), []).shape == (0,)
    )
    assert np.isnan(constant_forecast([], 3)).all()
    assert np.isnan(area_under_risk([], []))
    assert [part.size for part in coverage_risk([], [])] == [0, 0, 0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([0.5, 0.4, 0.0], "add up to 0.9 "),
        ([0.5, 0.502, 0.0], "add up to 1.002 "),
        ([1.2, -0.2, 0.0], "run from -0.2 to 1.2"),
        ([0.5, np.nan, 0.5], "nan: one is missing"),
        ([np.inf, 0.0, 0.0], "run from 0 to inf"),
    ],
)
def test_rows_that_are_no_probabilities_are_refused(row, said):
    """The first such row is shown, and all are counted."""
    probabilities = np.array([[0.2, 0.3, 0.5], row, [1, 0, 0], row])
    for loss in (brier_losses, log_losses):
        with pytest.raises(DataError, match=r"row 1 .* 2 of 4") as error:
            loss(probabilities, [0, 1, 2, 0])
        assert said in str(error.value)


@pytest.mark.parametrize("row", [[0.3334, 0.3333, 0.3333], [1 + 5e-7, 0, -5e-7], [0.333] * 3])
def test_probabilities_of_few_decimals_are_taken(row):
    """A sum within a thousandth of 1 is rounding, and no loss leaves its range by it."""
    assert 0 <= brier_losses([row], [0])[0] <= 2
    assert log_losses([row], [0])[0] >= 0


@pytest.mark.parametrize(
    ("probabilities", "truth"),
    [
        ([0.5, 0.5], [0, 1]),
        (np.empty((2, 0)), [0, 1]),
        ([["a", "b"]], [0]),
        ([[0.5, 0.5]], [0, 1]),
        ([[0.5, 0.5]], [2]),
        ([[0.5, 0.5]], [-1]),
        ([[0.5, 0.5]], [1.0]),
    ],
)
def test_forecasts_of_the_wrong_shape_are_refused(probabilities, truth):
    """One row a cell, one column a category, one code from 0 on a row."""
    for loss in (brier_losses, log_losses):
        with pytest.raises(DataError, match="Nothing was computed"):
            loss(probabilities, truth)


@pytest.mark.parametrize(
    "call",
    [
        lambda: mean_interval([0.1, np.nan], [0, 1]),
        lambda: mean_interval([0.1, np.inf], [0, 1]),
        lambda: mean_interval([0.1, -0.1], [0, 1], least=0),
        lambda: mean_interval([0.1, 0.2], [0, 1, 2]),
        lambda: mean_without_each([0.1, 0.2], [0.0, 1.0]),
        lambda: coverage_risk([0.1, np.nan], [True, False]),
        lambda: coverage_risk([0.1, 0.2], [1, 0]),
        lambda: area_under_risk([0.1, 0.2], [True]),
        lambda: constant_forecast([0, 3], 3),
    ],
)
def test_other_arrays_that_do_not_fit_are_refused(call):
    """The error says that nothing was computed."""
    with pytest.raises(DataError, match="Nothing was computed"):
        call()


@pytest.mark.parametrize("level", [0, 1, 95])
def test_impossible_levels_are_refused(level):
    """Also where there would be no interval in any case."""
    with pytest.raises(UsageError, match="between 0 and 1"):
        mean_interval([], [], level)


def test_all_of_forecasts_is_found_in_one_place():
    """What speaks of calibration lies in another module, and is named here too."""
    assert forecasts.reliability is calibration.reliability
    assert all(hasattr(forecasts, name) for name in forecasts.__all__)
