import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)
from tests.reference import ranking_reference

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.stats import concordance as of_groups
from leukoscope.stats import ranking
from leukoscope.stats.intervals import jackknife_logit
from leukoscope.stats.ranking import (
    accuracy_over,
    auroc,
    average_precision,
    average_precision_interval,
    precision_recall,
    roc,
    steps,
    threshold_for,
)

# Few distinct scores, so that ties are common.
CELLS = st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=40)
BOTH_KINDS = CELLS.filter(lambda cells: len({positive for _, positive in cells}) == 2)


def columns(cells):
    """Part cells into scores and whether they are positive."""
    if not cells:
        return np.empty(0), np.empty(0, dtype=bool)
    scores, positive = zip(*cells, strict=True)
    return np.array(scores) / 9, np.array(positive)


@given(CELLS)
def test_areas_are_those_of_plain_loops(cells):
    """The AUROC is the share of concordant pairs, the average precision a mean over positives."""
    scores, positive = columns(cells)
    np.testing.assert_allclose(
        auroc(scores, positive), ranking_reference.auroc(scores, positive), rtol=1e-12
    )
    np.testing.assert_allclose(
        average_precision(scores, positive),
        ranking_reference.average_precision(scores, positive),
        rtol=1e-12,
    )


@given(BOTH_KINDS, st.data())
def test_areas_and_curves_agree_with_scikit_learn(cells, data):
    """Weighted and not, points and areas are those of an independent implementation."""
    scores, positive = columns(cells)
    amounts = st.lists(st.integers(1, 5), min_size=len(cells), max_size=len(cells))
    for weights in (None, np.array(data.draw(amounts), dtype=float)):
        counts = steps(scores, positive, weights)
        false_positive, sensitivity, _ = roc_curve(
            positive, scores, sample_weight=weights, drop_intermediate=False
        )
        np.testing.assert_allclose(roc(counts), (false_positive, sensitivity), atol=1e-12)
        # Theirs run from the lowest threshold up and add a point at a recall of 0.
        precision, recall, thresholds = precision_recall_curve(
            positive, scores, sample_weight=weights
        )
        seen = precision_recall(counts)
        np.testing.assert_allclose(seen[0][::-1], recall[:-1], atol=1e-12)
        np.testing.assert_allclose(seen[1][::-1], precision[:-1], atol=1e-12)
        np.testing.assert_array_equal(counts.thresholds[::-1], thresholds)
        np.testing.assert_allclose(
            auroc(scores, positive, weights), roc_auc_score(positive, scores, sample_weight=weights)
        )
        np.testing.assert_allclose(
            average_precision(scores, positive, weights),
            average_precision_score(positive, scores, sample_weight=weights),
        )


@given(CELLS)
def test_weights_are_numbers_of_copies(cells):
    """A weight of 2 is the row twice, a weight of 0 is no row."""
    scores, positive = columns(cells)
    times = np.arange(len(cells)) % 3
    copied = scores.repeat(times), positive.repeat(times)
    for seen, expected in zip(steps(scores, positive, times), steps(*copied), strict=True):
        np.testing.assert_array_equal(seen, expected)
    asked = [-1, 0.2, 0.5, 2]
    np.testing.assert_allclose(auroc(scores, positive, times), auroc(*copied))
    np.testing.assert_allclose(
        average_precision(scores, positive, times), average_precision(*copied)
    )
    np.testing.assert_allclose(
        accuracy_over(scores, positive, asked, times), accuracy_over(*copied, asked)
    )


@given(BOTH_KINDS)
def test_monotone_maps_change_nothing_and_negation_mirrors(cells):
    """Only the order counts; turned round, every pair won is lost."""
    scores, positive = columns(cells)
    area = auroc(scores, positive)
    bent = np.exp(5 * scores) - 100
    np.testing.assert_allclose(auroc(bent, positive), area, rtol=1e-12)
    np.testing.assert_allclose(
        average_precision(bent, positive), average_precision(scores, positive)
    )
    np.testing.assert_allclose(auroc(-scores, positive), 1 - area, atol=1e-12)
    np.testing.assert_allclose(auroc(scores, ~positive), 1 - area, atol=1e-12)


@given(st.integers(1, 30), st.integers(1, 30))
def test_a_constant_score_says_nothing(n_positive, n_negative):
    """Ties everywhere: AUROC one half, and the precision of calling everything."""
    positive = np.arange(n_positive + n_negative) < n_positive
    scores = np.full(positive.size, 0.3)
    assert auroc(scores, positive) == 0.5
    np.testing.assert_allclose(average_precision(scores, positive), positive.mean())
    np.testing.assert_array_equal(roc(steps(scores, positive)), [[0, 1], [0, 1]])


@given(BOTH_KINDS)
def test_curves_run_from_corner_to_corner(cells):
    """No rate ever falls, and precision ends at the share of positive cells."""
    counts = steps(*columns(cells))
    for rates in roc(counts):
        assert (rates[0], rates[-1]) == (0, 1)
        assert (np.diff(rates) >= 0).all()
    recall, precision = precision_recall(counts)
    assert recall[-1] == 1
    np.testing.assert_allclose(precision[-1], columns(cells)[1].mean())
    assert (np.diff(counts.thresholds) < 0).all()


def test_perfect_and_infinite_scores():
    """Scores may be infinite, as the logit of a certain forecast is."""
    positive = np.array([True, True, False])
    scores = np.array([np.inf, 2.0, -np.inf])
    assert auroc(scores, positive) == average_precision(scores, positive) == 1
    np.testing.assert_array_equal(steps(scores, positive).thresholds, scores)


@given(CELLS.filter(bool), st.lists(st.integers(-1, 10), max_size=8))
def test_accuracy_over_thresholds_is_that_of_the_calls(cells, asked):
    """Whatever the order of the thresholds, each is what calling by it gives."""
    scores, positive = columns(cells)
    thresholds = np.array(asked) / 9
    expected = [ranking_reference.accuracy_at(scores, positive, one) for one in thresholds]
    np.testing.assert_allclose(accuracy_over(scores, positive, thresholds), expected, rtol=1e-12)


@given(CELLS, st.integers(1, 20))
def test_threshold_is_the_largest_that_reaches_the_sensitivity(cells, twentieths):
    """The next higher score misses it."""
    scores, positive = columns(cells)
    wanted = twentieths / 20
    threshold = threshold_for(scores, positive, wanted)
    if not positive.any():
        assert np.isnan(threshold)
        return
    assert threshold in scores[positive]
    assert (scores[positive] >= threshold).mean() >= wanted
    assert (scores[positive] > threshold).mean() < wanted


def test_a_sensitivity_met_exactly_is_met():
    """Nineteen of twenty are .95, whatever .95 is in binary."""
    for n in range(1, 200):
        scores = np.arange(n)
        for hits in (1, n // 2 + 1, n):
            threshold = threshold_for(scores, np.ones(n, dtype=bool), hits / n)
            assert threshold == n - hits


@pytest.mark.parametrize("sensitivity", [0, -0.1, 1.1, 95, np.nan])
def test_impossible_sensitivities_are_refused(sensitivity):
    """A sensitivity of 0 is reached by calling nothing, at no score."""
    with pytest.raises(UsageError, match="above 0 and is at most 1"):
        threshold_for([0.5], [True], sensitivity)


def test_left_out_average_precisions_are_those_of_the_other_cells():
    """The interval is the jackknife of recomputed values, ties between groups included."""
    rng = stream(1, "precision")
    scores, positive = rng.integers(0, 40, 300) / 40, rng.random(300) < 0.3
    groups = rng.integers(0, 12, 300)
    seen = average_precision_interval(scores, positive, groups)
    left = []
    for group in range(12):
        rest = groups != group
        left.append(ranking_reference.average_precision(scores[rest], positive[rest]))
    value = ranking_reference.average_precision(scores, positive)
    expected = jackknife_logit(value, left)
    np.testing.assert_allclose(
        (seen.value, seen.low, seen.high), (value, expected.low, expected.high), rtol=1e-9
    )
    assert seen.method == "jackknife t on the logit scale, 12 groups"


def test_average_precision_of_many_families_takes_blocks():
    """The method says so; copies of a cell in its family change nothing."""
    rng = stream(2, "precision")
    positive = rng.random(900) < 0.5
    scores = rng.normal(size=900) + positive
    seen = average_precision_interval(scores, positive, np.arange(900))
    assert "200 blocks of 900 groups" in seen.method
    assert seen.low < seen.value < seen.high
    copied = average_precision_interval(
        scores.repeat(2), positive.repeat(2), np.arange(900).repeat(2)
    )
    np.testing.assert_allclose((copied.low, copied.high), (seen.low, seen.high), rtol=1e-9)


@pytest.mark.parametrize(
    ("scores", "positive", "groups", "value", "reason"),
    [
        ([], [], [], np.nan, "no cells to score"),
        ([0.1, 0.2], [False, False], [0, 1], np.nan, "no positive cells"),
        ([0.1, 0.2], [True, True], [0, 1], 1, "no negative cells"),
        ([0.1, 0.2, 0.3], [False, True, False], [0, 1, 0], 0.5, "a category is seen in it only"),
        ([0.1, 0.9, 0.8], [False, True, True], [0, 1, 2], 1, "exactly 1"),
        ([0.1, 0.9, 0.8], [True, False, True], [3, 3, 3], 0.75 - 1 / 6, "fewer than 2 groups"),
    ],
)
def test_what_has_no_interval_says_why(scores, positive, groups, value, reason):
    """NaN bounds come with the reason in the method."""
    seen = average_precision_interval(
        np.array(scores), np.array(positive, dtype=bool), np.array(groups, int)
    )
    np.testing.assert_allclose(seen.value, value)
    assert np.isnan([seen.low, seen.high]).all()
    assert seen.method.startswith("undefined: ")
    assert reason in seen.method


def test_one_kind_of_cells_cannot_be_ranked():
    """NaN, and the half of the curve that can be told."""
    scores = np.array([0.1, 0.5, 0.5])
    for positive in (np.zeros(3, dtype=bool), np.ones(3, dtype=bool)):
        assert np.isnan(auroc(scores, positive))
        rates = roc(steps(scores, positive))
        undefined = [bool(np.isnan(part).all()) for part in rates]
        assert undefined == [bool(positive.all()), not positive.any()]
    assert np.isnan(average_precision(scores, np.zeros(3, dtype=bool)))
    assert np.isnan(accuracy_over([], [], [0.5])).all()
    assert np.isnan(auroc([], []))


CALLS = {
    "steps": lambda s, p, _: steps(s, p),
    "auroc": lambda s, p, _: auroc(s, p),
    "average_precision": lambda s, p, _: average_precision(s, p),
    "accuracy_over": lambda s, p, _: accuracy_over(s, p, [0.5]),
    "threshold_for": lambda s, p, _: threshold_for(s, p, 0.9),
    "concordance": lambda s, p, g: ranking.concordance(s, p, g, 3),
    "auroc_interval": ranking.auroc_interval,
    "average_precision_interval": average_precision_interval,
}
GROUPED = {"concordance", "auroc_interval", "average_precision_interval"}
GOOD = ([0.1, 0.5, 0.7], [False, True, False], [0, 1, 2])
FAULTS = {
    "undefined score": (([0.1, np.nan, 0.7], *GOOD[1:]), "NaN"),
    "score that is no number": ((["a", "b", "c"], *GOOD[1:]), "one number a cell"),
    "two columns of scores": ((np.ones((3, 2)), *GOOD[1:]), "shape"),
    "category codes for truth values": ((GOOD[0], [0, 2, 0], GOOD[2]), "True or False"),
    "too few truth values": ((GOOD[0], [False, True], GOOD[2]), "True or False"),
}
GROUP_FAULTS = {
    "too few groups": ((*GOOD[:2], [0, 1]), "group"),
    "a negative group": ((*GOOD[:2], [0, -1, 1]), "row 1 says -1"),
    "a fraction of a group": ((*GOOD[:2], [0.0, 1.0, 2.0]), "whole number"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", CALLS)
def test_cells_that_cannot_be_ranked_are_refused(call, fault):
    """Every entrance checks scores and truth values, and says what is wrong with them."""
    arguments, said = FAULTS[fault]
    with pytest.raises(DataError, match=said):
        CALLS[call](*arguments)


@pytest.mark.parametrize("fault", GROUP_FAULTS)
@pytest.mark.parametrize("call", sorted(GROUPED))
def test_groups_that_are_none_are_refused(call, fault):
    """Groups are whole numbers of at least 0, one a cell."""
    arguments, said = GROUP_FAULTS[fault]
    with pytest.raises(DataError, match=said):
        CALLS[call](*arguments)


@pytest.mark.parametrize("weights", [[1, 1], [1, -1, 1], [1, np.nan, 1], [1, np.inf, 1]])
def test_weights_that_weigh_nothing_known_are_refused(weights):
    """One finite number of at least 0 a cell."""
    for call in (steps, auroc, average_precision):
        with pytest.raises(DataError, match="Weights"):
            call(*GOOD[:2], weights)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_impossible_levels_are_refused(level):
    """A level of 95 means .95, and is not guessed to."""
    with pytest.raises(UsageError, match="between 0 and 1"):
        average_precision_interval(*GOOD, level)


def test_all_of_ranking_is_found_in_one_place():
    """What is counted by groups lies in another module, and is named here too."""
    assert ranking.concordance is of_groups.concordance
    assert all(hasattr(ranking, name) for name in ranking.__all__)
