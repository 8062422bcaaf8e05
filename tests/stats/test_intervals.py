import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from tests.reference import jackknife_reference

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.stats import jackknife
from leukoscope.stats.binomial import clopper_pearson, wilson
from leukoscope.stats.design import EXACT, exact_method
from leukoscope.stats.intervals import (
    WILSON,
    grouped_intervals,
    jackknife_agreement,
    jackknife_logit,
)
from leukoscope.stats.scores import AGREEMENT_METRICS, scores

COUNTS = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def flat(intervals):
    """List every interval with its metric and category."""
    for name, found in intervals.items():
        for category, interval in enumerate(found if isinstance(found, list) else [found]):
            yield name, category, interval


def two_by_two(right, cells):
    """Build one matrix a group whose accuracy is right / cells, all truth in one category."""
    matrices = np.zeros((len(right), 2, 2), dtype=np.int64)
    matrices[:, 0, 0], matrices[:, 0, 1] = right, np.asarray(cells) - right
    return matrices


@given(COUNTS, st.sampled_from([0.8, 0.95, 0.99]))
def test_binomial_intervals_agree_with_scipy(counts, level):
    """Wilson and Clopper-Pearson equal an independent implementation."""
    trial = binomtest(*counts)
    for ours, name in ((wilson, "wilson"), (clopper_pearson, "exact")):
        theirs = trial.proportion_ci(confidence_level=level, method=name)
        np.testing.assert_allclose(ours(*counts, level), theirs, atol=1e-9)


@given(COUNTS)
def test_binomial_intervals_mirror(counts):
    """Counting failures instead of successes mirrors the interval."""
    successes, trials = counts
    for method in (wilson, clopper_pearson):
        low, high = method(successes, trials)
        assert 0 <= low <= successes / trials <= high <= 1
        np.testing.assert_allclose(
            method(trials - successes, trials), (1 - high, 1 - low), atol=1e-9
        )


def test_five_cells_of_a_hundred():
    """Textbook limits of a 5 % eosinophil count: 1.6 to 11.3 %."""
    np.testing.assert_allclose(clopper_pearson(5, 100), (0.016, 0.113), atol=5e-4)


@pytest.mark.parametrize("method", [wilson, clopper_pearson])
def test_no_trials_give_no_interval(method):
    """Nothing seen, nothing said."""
    assert np.isnan(method(0, 0)).all()


@pytest.mark.parametrize("method", [wilson, clopper_pearson])
@pytest.mark.parametrize("counts", [(-1, 5), (6, 5), (np.nan, 5), (1, np.inf)])
def test_impossible_counts_are_refused(method, counts):
    """More successes than trials is an error of the caller."""
    with pytest.raises(DataError, match="0 ≤ successes ≤ trials"):
        method(*counts)


@pytest.mark.parametrize("level", [0, 1, 95, -0.5])
def test_impossible_levels_are_refused(level):
    """A level of 95 means .95, and is not guessed to."""
    calls = [
        lambda: wilson(1, 2, level),
        lambda: clopper_pearson(1, 2, level),
        lambda: jackknife_logit(0.5, [0.4, 0.6], level),
        lambda: grouped_intervals(two_by_two([1, 2], [2, 3]), level),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="between 0 and 1"):
            call()


def test_jackknife_of_three_groups_by_hand():
    """Leave-one-out logits ln 3, 0, ln 3: standard error 2/3 ln 3 about ln 2, t of 2 degrees."""
    seen = jackknife_logit(2 / 3, [3 / 4, 1 / 2, 3 / 4])
    half = 4.302652730 * 2 / 3 * np.log(3)
    expected = 1 / (1 + np.exp(-(np.log(2) + np.array([-half, half]))))
    np.testing.assert_allclose((seen.low, seen.high), expected, rtol=1e-8)
    assert seen.method == "jackknife t on the logit scale, 3 groups"


@given(st.lists(st.floats(0.05, 0.95), min_size=2, max_size=12), st.floats(0.05, 0.95))
def test_jackknife_agrees_with_loops_and_mirrors(left, value):
    """The bounds are those of the plain sums; errors mirror right calls."""
    seen = jackknife_logit(value, left)
    if np.ptp(left) <= 1e-12:
        assert seen.method == "undefined: the groups do not differ"
        return
    expected = jackknife_reference.logit_interval(value, left)
    np.testing.assert_allclose((seen.low, seen.high), expected, rtol=1e-6, atol=1e-12)
    mirrored = jackknife_logit(1 - value, 1 - np.array(left))
    np.testing.assert_allclose((1 - mirrored.high, 1 - mirrored.low), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("value", "left", "reason"),
    [
        (np.nan, [0.5, 0.6], "no cells to score"),
        (0.5, [0.5], "fewer than 2 groups"),
        (0.5, [], "fewer than 2 groups"),
        (1.0, [1.0, 1.0], "exactly 1 shows no spread"),
        (0.0, [0.0, 0.0], "exactly 0 shows no spread"),
        (0.5, [0.5, np.nan], "seen in it only"),
        (0.5, [0.5, 0.5], "the groups do not differ"),
    ],
)
def test_degenerate_jackknives_say_why(value, left, reason):
    """No bound is made up: both are NaN and the method carries the reason."""
    seen = jackknife_logit(value, left)
    assert np.isnan([seen.low, seen.high]).all()
    assert seen.method.startswith("undefined: ")
    assert reason in seen.method


def test_all_errors_in_one_group_fall_back_to_the_plain_scale():
    """Leave-one-out scores of exactly 1 have no logit; the method says what was done."""
    left = [1.0, 0.85, 0.85, 0.85]
    seen = jackknife_logit(0.9, left)
    half = 3.182446305 * np.sqrt(3 / 4 * np.sum((np.array(left) - np.mean(left)) ** 2))
    assert seen.low == pytest.approx(0.9 - half)
    assert seen.high == 1
    assert "plain scale, clipped to [0, 1]" in seen.method


@pytest.mark.parametrize(("value", "left"), [(1.2, [0.5, 0.6]), (0.5, [-0.1, 0.6]), (0.5, [[0.5]])])
def test_impossible_scores_are_refused(value, left):
    """A score outside [0, 1] has no logit."""
    with pytest.raises(DataError, match="scores between 0 and 1"):
        jackknife_logit(value, left)


def test_every_metric_has_an_interval_around_its_score():
    """Values equal the scores of the pooled cells, and lie within their bounds."""
    matrices = stream(0, "every").integers(1, 9, size=(7, 4, 4))
    seen, expected = grouped_intervals(matrices), scores(matrices.sum(axis=0))
    assert set(seen) == set(expected) - {"support"}
    for name, category, interval in flat(seen):
        assert interval.value == pytest.approx(np.atleast_1d(expected[name])[category])
        lowest = -1 if name in AGREEMENT_METRICS else 0
        assert lowest < interval.low < interval.value < interval.high < 1
        left = jackknife_reference.without_each(matrices.tolist(), name)
        if isinstance(left[0], list):
            left = [row[category] for row in left]
        agreement = name in AGREEMENT_METRICS
        slow = jackknife_reference.agreement_interval if agreement else None
        bounds = (slow or jackknife_reference.logit_interval)(interval.value, left)
        assert ("(x + 1)/2" in interval.method) == agreement
        np.testing.assert_allclose((interval.low, interval.high), bounds, rtol=1e-9)


def test_names_and_emptiness_of_groups_change_nothing():
    """Groups may be numbered otherwise, and groups without cells are as if not there."""
    matrices = stream(1, "order").integers(0, 5, size=(9, 3, 3))
    before = list(flat(grouped_intervals(matrices)))
    padded = np.concatenate([np.zeros((2, 3, 3), dtype=np.int64), matrices[::-1]])
    for (_, _, old), (_, _, new) in zip(before, flat(grouped_intervals(padded)), strict=True):
        np.testing.assert_allclose((new.low, new.high), (old.low, old.high))
        assert new.method == old.method


def test_families_of_one_are_given_wilson():
    """Accuracy, recall and precision of cells that all stand alone are plain proportions."""
    matrices = np.zeros((30, 2, 2), dtype=np.int64)
    truth, calls = stream(2, "alone").integers(0, 2, size=(2, 30))
    matrices[np.arange(30), truth, calls] = 1
    seen, total = grouped_intervals(matrices), matrices.sum(axis=0)
    assert (seen["accuracy"].low, seen["accuracy"].high) == wilson(np.trace(total), 30)
    for c in range(2):
        recall, precision = seen["recall"][c], seen["precision"][c]
        # Of two categories the specificity of one is the recall of the other.
        assert seen["specificity"][1 - c] == recall
        assert (recall.low, recall.high) == wilson(total[c, c], total[c].sum())
        assert (precision.low, precision.high) == wilson(total[c, c], total[:, c].sum())
        assert recall.method == precision.method == WILSON
    assert seen["macro_f"].method.startswith("jackknife")


@pytest.mark.parametrize("right", [[4, 6], [0, 0], [2, 3]])
def test_proportions_without_spread_are_exact_on_fewer_cells(right):
    """All right, all wrong, or the same share in each group: a cell's group has 5.2 cells."""
    cells = [4, 6]
    seen = grouped_intervals(two_by_two(right, cells))["accuracy"]
    expected = clopper_pearson(sum(right) / 1.21, sum(cells) / 1.21)
    np.testing.assert_allclose((seen.low, seen.high), expected)
    assert seen.method == EXACT
    assert "n/deff cells, assuming an intraclass correlation of .05" in seen.method


def test_cells_do_not_pretend_to_be_people():
    """Two cases of 200 cells, all right, leave a tenth open; 400 cases of one cell do not."""
    few = grouped_intervals(two_by_two([200, 200], [200, 200]))["accuracy"]
    many = grouped_intervals(two_by_two([1] * 400, [1] * 400))["accuracy"]
    assert few.high == many.high == 1
    assert few.low == pytest.approx(0.025 ** (10.95 / 400))
    assert 0.89 < few.low < 0.91
    assert (many.low, many.method) == (wilson(400, 400)[0], WILSON)


def test_another_correlation_may_be_assumed():
    """Fifty families of ten copies each are fifty cells, in every proportion."""
    matrices = np.array([[[10, 0], [0, 0]], [[0, 0], [0, 10]]] * 25)
    seen = grouped_intervals(matrices, assumed_icc=1)
    assert seen["accuracy"].low == pytest.approx(clopper_pearson(50, 50)[0])
    assert seen["accuracy"].method == exact_method(1) != EXACT
    for name in ("recall", "precision", "specificity"):
        assert seen[name][0].low == pytest.approx(clopper_pearson(25, 25)[0])
    with pytest.raises(UsageError, match="design effect"):
        grouped_intervals(matrices, assumed_icc=-1)


def test_exact_bounds_know_that_one_case_holds_nearly_all_cells():
    """A thousand right calls, 991 of one case: worth 20 cells, and no more."""
    seen = grouped_intervals(two_by_two([991] + [1] * 9, [991] + [1] * 9))["accuracy"]
    assert seen.low == pytest.approx(0.832, abs=1e-3)


def test_all_wrong_calls_have_no_interval_of_agreement():
    """Mcc and kappa of three categories called each other come of the margins alone."""
    matrices = stream(12, "wrong").integers(1, 9, size=(8, 3, 3)) * (1 - np.eye(3, dtype=int))
    seen, expected = grouped_intervals(matrices), scores(matrices.sum(axis=0))
    for name in AGREEMENT_METRICS:
        assert seen[name].value == pytest.approx(float(expected[name]))
        assert np.isnan([seen[name].low, seen[name].high]).all()
        assert seen[name].method.startswith("undefined: every call is wrong")
    matrices[0, 0, 0] = 1
    assert grouped_intervals(matrices)["kappa"].low < seen["kappa"].value


def rare_in(number, n_holding, n_groups=51):
    """Draw recalls .95, .9 and .8 at a correlation of .2, the last of few groups."""
    rng = stream(13, "rare", number)
    matrices = np.zeros((n_groups, 3, 3), dtype=np.int64)
    for c, (share, cells) in enumerate(((0.95, 100), (0.9, 40), (0.8, 10))):
        holding = n_holding if c == 2 else n_groups
        right = rng.binomial(cells, rng.beta(4 * share, 4 * (1 - share), holding))
        matrices[:holding, c, c] = right
        matrices[:holding, c, (c + 1) % 3] = cells - right
    return matrices


def test_a_rare_category_lends_its_degrees_to_the_means():
    """Three of 51 cases hold it, 300 sets: t with 50 degrees falls short, said and mended."""
    n_sets, covered, without, share = 300, 0, 0, (0.95 + 0.9 + 0.8) / 3
    for number in range(n_sets):
        matrices = rare_in(number, 3)
        seen = grouped_intervals(matrices)["balanced_accuracy"]
        left = jackknife.leave_one_out(jackknife.group_margins(matrices))["balanced_accuracy"]
        plain = jackknife_logit(seen.value, left)
        assert seen.low <= plain.low < plain.high <= seen.high
        covered += seen.low <= share <= seen.high
        without += plain.low <= share <= plain.high
    assert without / n_sets < 0.88
    assert covered / n_sets > 0.92


def test_degrees_of_a_mean_are_those_of_satterthwaite():
    """Recomputed with loops from recalls without each group; no word where all groups hold all."""
    matrices = rare_in(0, 4, 9)
    variances, holding = [], []
    for c in range(3):
        left = [row[c] for row in jackknife_reference.without_each(matrices.tolist(), "recall")]
        mean = sum(left) / 9
        variances.append(8 / 9 * sum((one - mean) ** 2 for one in left) / 9)
        holding.append(sum(matrix[c].sum() > 0 for matrix in matrices))
    parts = [v**2 / (n - 1) for v, n in zip(variances, holding, strict=True)]
    degrees = sum(variances) ** 2 / sum(parts)
    for name in ("balanced_accuracy", "macro_f"):
        method = grouped_intervals(matrices)[name].method
        assert method.endswith("degrees: not every group holds every category")
        if name == "balanced_accuracy":
            assert f"; t of {degrees:.3g} degrees" in method
        full = grouped_intervals(rare_in(0, 9, 9))[name].method
        assert full == "jackknife t on the logit scale, 9 groups"


def test_a_category_in_one_group_only_has_no_interval():
    """Recall of a category of one case, and the means it enters, are values without bounds."""
    matrices = stream(3, "one group").integers(1, 6, size=(5, 3, 3))
    matrices[1:, 2, :] = 0
    seen = grouped_intervals(matrices)
    assert seen["recall"][2].method == "undefined: fewer than 2 groups"
    for name in ("macro_f", "balanced_accuracy"):
        assert "a category is seen in it only" in seen[name].method
        assert np.isnan([seen[name].low, seen[name].high]).all()
        assert seen[name].value > 0
    assert seen["accuracy"].low > 0


def test_absent_categories_and_empty_tables_are_undefined():
    """Nothing to divide by gives NaN, for the value as for the bounds."""
    matrices = stream(4, "absent").integers(1, 6, size=(5, 3, 3))
    matrices[:, 2, :] = matrices[:, :, 2] = 0
    seen = grouped_intervals(matrices)
    for name in ("recall", "precision", "f"):
        assert np.isnan([seen[name][2].value, seen[name][2].low, seen[name][2].high]).all()
        reason = "never called" if name == "precision" else "no cells to score"
        assert seen[name][2].method == f"undefined: {reason}"
    assert seen["specificity"][2].value == 1
    assert seen["specificity"][2].method == EXACT
    for _, _, interval in flat(grouped_intervals(np.zeros((3, 2, 2), dtype=np.int64))):
        assert interval.method.startswith("undefined: no cells")


def test_groups_without_a_category_lend_no_degrees_to_its_recall():
    """Basophils of three cases among fifty are three groups, not fifty."""
    matrices = stream(5, "rare").integers(1, 6, size=(50, 2, 2))
    matrices[3:, 1, :] = 0
    assert grouped_intervals(matrices)["recall"][1].method.endswith("3 groups")
    assert grouped_intervals(matrices)["recall"][0].method.endswith("50 groups")


def test_groups_of_one_category_lend_no_degrees_to_its_specificity():
    """Four cases of basophils alone hold nothing that could be called so wrongly."""
    matrices = stream(7, "alone").integers(1, 6, size=(9, 2, 2))
    matrices[5:, 1, :] = 0
    seen = grouped_intervals(matrices)
    assert seen["specificity"][0].method.endswith("5 groups")
    assert seen["specificity"][1].method.endswith("9 groups")
    np.testing.assert_allclose(
        [seen["specificity"][0].low, seen["specificity"][0].high],
        [seen["recall"][1].low, seen["recall"][1].high],
    )


def test_the_agreement_of_a_coin_lies_about_zero():
    """Bounds of mcc and kappa may lie below 0, and mirror when the calls are swapped."""
    matrices = stream(8, "coin").integers(3, 9, size=(8, 2, 2))
    seen, swapped = grouped_intervals(matrices), grouped_intervals(matrices[:, :, ::-1])
    for name in AGREEMENT_METRICS:
        assert seen[name].low < 0 < seen[name].high
    expected = [-swapped["mcc"].high, -swapped["mcc"].value, -swapped["mcc"].low]
    np.testing.assert_allclose([seen["mcc"].low, seen["mcc"].value, seen["mcc"].high], expected)


@pytest.mark.parametrize(
    ("value", "left", "method"),
    [
        (1.0, [1.0, 1.0], "exactly 1 shows no spread"),
        (-1.0, [-1.0, -1.0], "exactly -1 shows no spread"),
        (np.nan, [np.nan, 0.2], "cells or calls of one category only"),
        (0.2, [np.nan, 0.2], "without one of the groups nothing can be said"),
        (0.0, [0.0, 0.0], "the groups do not differ"),
        (0.5, [0.5], "fewer than 2 groups"),
    ],
)
def test_degenerate_agreements_say_why(value, left, method):
    """Both bounds are NaN, and the reason is in words of the score, not of its logit."""
    seen = jackknife_agreement(value, left)
    assert np.isnan([seen.low, seen.high]).all()
    assert seen.method.startswith("undefined: ")
    assert method in seen.method


def test_an_agreement_of_one_without_a_group_is_taken_on_the_plain_scale():
    """Clipped to the range of the score, which the method names."""
    left = np.array([1.0, 0.7, 0.7, 0.7])
    seen = jackknife_agreement(0.8, left)
    half = 3.182446305 * np.sqrt(3 / 4 * np.sum((left - left.mean()) ** 2))
    assert (seen.low, seen.high) == (pytest.approx(0.8 - half), 1)
    assert "plain scale, clipped to [-1, 1]" in seen.method
    assert "exactly -1 or 1" in seen.method


def test_impossible_agreements_are_refused():
    """A kappa of 1.2 is a slip."""
    for value, left in ((1.2, [0.5, 0.6]), (0.5, [-1.1, 0.6])):
        with pytest.raises(DataError, match="scores between 0 and 1"):
            jackknife_agreement(value, left)


def test_jackknife_covers_clustered_cells_where_wilson_does_not():
    """20 cases of 100 cells, beta-binomial with intraclass correlation .1, 400 sets."""
    share, n_sets, covered, naive = 0.85, 400, 0, 0
    alpha = share * (1 / 0.1 - 1)
    beta = (1 - share) * (1 / 0.1 - 1)
    for number in range(n_sets):
        rng = stream(6, "coverage", number)
        right = rng.binomial(100, rng.beta(alpha, beta, 20))
        seen = grouped_intervals(two_by_two(right, [100] * 20))["accuracy"]
        covered += seen.low <= share <= seen.high
        low, high = wilson(right.sum(), 2000)
        naive += low <= share <= high
    error = np.sqrt(0.95 * 0.05 / n_sets)
    assert abs(covered / n_sets - 0.95) < 4 * error
    assert naive / n_sets < 0.6
