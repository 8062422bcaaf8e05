import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score
from tests.reference import ranking_reference

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.stats.binomial import clopper_pearson
from leukoscope.stats.blocks import blocks
from leukoscope.stats.concordance import (
    SEPARATED,
    auroc_interval,
    auroc_of,
    auroc_without_each,
    concordance,
    macro_auroc_interval,
)
from leukoscope.stats.intervals import jackknife_logit

N_GROUPS = 5
# Few distinct scores, so that ties within and between groups are common.
CELLS = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, N_GROUPS - 1)), max_size=30
)


def columns(cells):
    """Part cells into scores, whether they are positive, and groups."""
    if not cells:
        return np.empty(0), np.empty(0, dtype=bool), np.empty(0, dtype=int)
    scores, positive, groups = zip(*cells, strict=True)
    return np.array(scores) / 7, np.array(positive), np.array(groups)


def correlated_cells(rng, *, n_groups=51, cells=30, share=0.2, icc=0.1, area=0.9):
    """Draw normal scores of a known AUROC, with one shift a group and kind of cell.

    The variance is 1, of which *icc* is the shift's; positive cells lie higher by the shift
    that gives *area* for two cells of different groups.
    """
    groups = np.repeat(np.arange(n_groups), rng.integers(cells // 2, 3 * cells // 2, n_groups))
    positive = rng.random(groups.size) < share
    shift = rng.normal(size=(n_groups, 2))[groups, positive.astype(int)]
    noise = rng.normal(size=groups.size)
    between = np.sqrt(2) * norm.ppf(area) * positive
    return between + np.sqrt(icc) * shift + np.sqrt(1 - icc) * noise, positive, groups


@given(CELLS)
def test_wins_are_those_of_a_double_loop(cells):
    """Every pair of groups has the pairs of cells that two plain loops count."""
    scores, positive, groups = columns(cells)
    counts = concordance(scores, positive, groups, N_GROUPS)
    expected = ranking_reference.wins(scores, positive, groups, N_GROUPS)
    np.testing.assert_array_equal(counts.wins, expected)
    for kind, flags in ((counts.positives, positive), (counts.negatives, ~positive)):
        np.testing.assert_array_equal(kind, np.bincount(groups[flags], minlength=N_GROUPS))
    np.testing.assert_allclose(auroc_of(counts), ranking_reference.auroc(scores, positive))


@given(CELLS)
def test_leaving_a_group_out_is_scoring_the_others(cells):
    """What the table of wins says without a group is what its other cells say."""
    scores, positive, groups = columns(cells)
    seen = auroc_without_each(concordance(scores, positive, groups, N_GROUPS))
    for group, value in enumerate(seen):
        rest = groups != group
        expected = ranking_reference.auroc(scores[rest], positive[rest])
        np.testing.assert_allclose(value, expected, rtol=1e-12)


@given(CELLS, st.randoms(use_true_random=False))
def test_order_of_rows_and_monotone_maps_change_nothing(cells, random):
    """Rows can be shuffled, and scores bent, as long as their order stays."""
    counts = concordance(*columns(cells), N_GROUPS)
    shuffled = list(cells)
    random.shuffle(shuffled)
    scores, positive, groups = columns(shuffled)
    again = concordance(np.exp(3 * scores) - 40, positive, groups, N_GROUPS)
    np.testing.assert_array_equal(again.wins, counts.wins)


@given(CELLS)
def test_negated_scores_lose_what_was_won(cells):
    """Every pair is won once, or shared."""
    scores, positive, groups = columns(cells)
    up, down = (concordance(sign * scores, positive, groups, N_GROUPS) for sign in (1, -1))
    np.testing.assert_array_equal(up.wins + down.wins, np.outer(up.positives, up.negatives))


def test_one_category_against_the_rest_agrees_with_scikit_learn():
    """The value of the macro interval is an independent implementation's, rare categories too."""
    rng = stream(1, "macro")
    truth = np.append(rng.choice(4, 200, p=[0.6, 0.3, 0.08, 0.02]), np.arange(4).repeat(2))
    probabilities = rng.dirichlet(np.ones(4), truth.size)
    groups = np.arange(truth.size) % 30
    seen = macro_auroc_interval(probabilities, truth, groups)
    expected = roc_auc_score(truth, probabilities, multi_class="ovr", average="macro")
    np.testing.assert_allclose(seen.value, expected, rtol=1e-12)
    left = []
    for group in range(30):
        rest = groups != group
        left.append(roc_auc_score(truth[rest], probabilities[rest], multi_class="ovr"))
    by_hand = jackknife_logit(expected, left)
    np.testing.assert_allclose((seen.low, seen.high), (by_hand.low, by_hand.high), rtol=1e-9)
    assert seen.method == "jackknife t on the logit scale, 30 groups"


def test_a_category_without_cells_does_not_enter_the_macro_mean():
    """Its column is there for the other categories' probabilities to add up, and no more."""
    rng = stream(2, "macro")
    truth, groups = rng.integers(0, 3, 120), np.arange(120) % 12
    three = rng.dirichlet(np.ones(3), 120)
    four = np.insert(three, 1, 0.0, axis=1)
    assert macro_auroc_interval(three, truth, groups) == macro_auroc_interval(
        four, np.array([0, 2, 3])[truth], groups
    )


def test_two_categories_have_the_macro_mean_of_either():
    """p and 1 − p rank the same cells in opposite directions."""
    rng = stream(3, "macro")
    p, truth, groups = rng.random(90), rng.integers(0, 2, 90), np.arange(90) % 9
    both = macro_auroc_interval(np.stack([1 - p, p], axis=1), truth, groups)
    one = auroc_interval(p, truth == 1, groups)
    np.testing.assert_allclose((both.value, both.low, both.high), (one.value, one.low, one.high))


def hanley_and_mcneil():
    """Give the ratings of 109 CT images of Hanley and McNeil (1982), table I: 58 normal ones."""
    normal, abnormal = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    ratings = np.repeat(np.tile(np.arange(1, 6), 2), normal + abnormal)
    return ratings, np.arange(109) >= 58


def test_published_area_and_error_of_ct_ratings():
    """The worked example of Hanley and McNeil (1982): area .893, standard error .032.

    Their error is by a formula for exponential ratings; DeLong's, which assumes nothing, is
    .0307, and the jackknife of independent cells agrees with that within two in a hundred.
    """
    ratings, abnormal = hanley_and_mcneil()
    counts = concordance(ratings, abnormal, np.arange(109), 109)
    left = auroc_without_each(counts)
    error = np.sqrt(108 / 109 * ((left - left.mean()) ** 2).sum())
    area, delong = ranking_reference.delong(ratings, abnormal)
    assert round(auroc_of(counts), 3) == round(area, 3) == 0.893
    np.testing.assert_allclose(delong, 0.0307, atol=5e-5)
    np.testing.assert_allclose(error, delong, rtol=0.02)
    np.testing.assert_allclose(error, 0.032, rtol=0.06)


def test_interval_of_ct_ratings_is_delongs_on_the_logit_scale():
    """With t for the fewer kind of images, 51 abnormal ones, as the method says."""
    ratings, abnormal = hanley_and_mcneil()
    seen = auroc_interval(ratings, abnormal, np.arange(109))
    area, delong = ranking_reference.delong(ratings, abnormal)
    half = student.ppf(0.975, 50) * delong / (area * (1 - area))
    np.testing.assert_allclose((logit(seen.high) - logit(seen.low)) / 2, half, rtol=0.05)
    np.testing.assert_allclose((logit(seen.high) + logit(seen.low)) / 2, logit(area))
    assert seen.method == (
        "jackknife t on the logit scale, 109 groups; t of 50 degrees: 51 groups have positive cells"
    )


def test_blocks_of_many_independent_cells_agree_with_delong():
    """Two hundred blocks of 1,500 cells tell the error to within its own noise of one in ten."""
    rng = stream(4, "many")
    positive = rng.random(1500) < 0.3
    scores = rng.normal(size=1500) + 1.2 * positive
    seen = auroc_interval(scores, positive, np.arange(1500))
    area, delong = ranking_reference.delong(scores.tolist(), positive.tolist())
    with_positives = np.unique(blocks(np.arange(1500), 1500)[0][positive]).size
    error = (logit(seen.high) - logit(seen.low)) / 2 / student.ppf(0.975, with_positives - 1)
    np.testing.assert_allclose(error, delong / (area * (1 - area)), rtol=0.12)
    assert seen.method == (
        "delete-a-block jackknife t on the logit scale, 200 blocks of 1500 groups; "
        f"t of {with_positives - 1} degrees: {with_positives} blocks have positive cells"
    )


def test_cells_of_a_case_that_go_together_widen_the_interval():
    """Every cell ten times over in its own family says no more than once."""
    rng = stream(5, "copies")
    positive = rng.random(60) < 0.4
    scores = rng.normal(size=60) + positive
    once = auroc_interval(scores, positive, np.arange(60))
    copied = auroc_interval(scores.repeat(10), positive.repeat(10), np.arange(60).repeat(10))
    np.testing.assert_allclose((copied.low, copied.high), (once.low, once.high), rtol=1e-12)


def test_interval_covers_the_truth_over_correlated_cases():
    """400 sets of 51 cases, intraclass correlation .1: .95 to within 2.5 Monte-Carlo errors."""
    rng = stream(6, "coverage")
    covered = 0
    for _ in range(400):
        seen = auroc_interval(*correlated_cells(rng))
        covered += seen.low <= 0.9 <= seen.high
    assert 0.95 - 0.028 <= covered / 400 <= 0.95 + 0.028


def test_interval_covers_where_four_cases_have_all_positive_cells():
    """Degrees of the groups that have them: without, 300 such sets are covered .9 of the time."""
    rng = stream(7, "coverage")
    covered, without = 0, 0
    wider = student.ppf(0.975, 3) / student.ppf(0.975, 50)
    for _ in range(300):
        scores, positive, groups = correlated_cells(rng, share=0.5)
        kept = (groups < 4) | ~positive
        cells = scores[kept], positive[kept], groups[kept]
        seen = auroc_interval(*cells)
        assert seen.method.endswith("; t of 3 degrees: 4 groups have positive cells")
        covered += seen.low <= 0.9 <= seen.high
        counts = concordance(*cells, 51)
        plain = jackknife_logit(auroc_of(counts), auroc_without_each(counts))
        assert seen.low < plain.low < plain.high < seen.high
        widths = [logit(one.high) - logit(one.low) for one in (seen, plain)]
        np.testing.assert_allclose(widths[0] / widths[1], wider, rtol=1e-6)
        without += plain.low <= 0.9 <= plain.high
    assert without / 300 < 0.93 <= covered / 300


def test_scores_that_part_the_cells_wholly_have_an_exact_bound():
    """Eight positive cells in four cases make eight disjoint pairs, less by the design effect."""
    positive = np.arange(40) % 5 == 0
    groups = np.arange(40) // 10
    effective = 8 / (1 + (2 - 1) * 0.05)
    seen = auroc_interval(positive + 0.1, positive, groups)
    assert (seen.value, seen.high, seen.method) == (1, 1, SEPARATED)
    np.testing.assert_allclose(seen.low, clopper_pearson(effective, effective)[0])
    inverted = auroc_interval(-positive.astype(float), positive, groups)
    assert (inverted.value, inverted.low) == (0, 0)
    np.testing.assert_allclose(inverted.high, 1 - seen.low)


def test_one_case_with_most_of_the_scarcer_cells_is_not_averaged_away():
    """Ten positive cells of one case and one of another: a cell's case has 101/11 of them."""
    positive = np.arange(60) < 11
    groups = np.where(np.arange(60) < 10, 0, np.arange(60) % 6 + 1)
    effective = 11 / (1 + (101 / 11 - 1) * 0.05)
    seen = auroc_interval(positive * 1.0, positive, groups)
    np.testing.assert_allclose(seen.low, clopper_pearson(effective, effective)[0])


def test_the_exact_bound_holds_for_independent_pairs():
    """At the true AUROC it gives, eight of eight disjoint pairs are won 2.5 times in a hundred."""
    positive = np.arange(40) < 8
    seen = auroc_interval(positive * 1.0, positive, np.arange(40))
    np.testing.assert_allclose(seen.low**8, 0.025)


ABC = (np.array([0.1, 0.2, 0.3, 0.4]), np.array([True, False, True, False]))


@pytest.mark.parametrize(
    ("scores", "positive", "groups", "reason"),
    [
        ([], [], [], "no cells to score"),
        ([0.1, 0.2], [False, False], [0, 1], "no positive cells"),
        ([0.1, 0.2], [True, True], [0, 1], "no negative cells"),
        (*ABC, [0, 0, 0, 0], "fewer than 2 groups"),
        (*ABC, [0, 1, 0, 1], "a category is seen in it only"),
        ([0.5] * 8, [True, False] * 4, [0, 0, 1, 1, 2, 2, 3, 3], "the groups do not differ"),
    ],
)
def test_what_has_no_interval_says_why(scores, positive, groups, reason):
    """NaN bounds come with the reason in the method."""
    seen = auroc_interval(np.array(scores), np.array(positive, dtype=bool), np.array(groups, int))
    assert np.isnan([seen.low, seen.high]).all()
    assert seen.method.startswith("undefined: ")
    assert reason in seen.method


@pytest.mark.parametrize(
    ("truth", "groups", "reason"),
    [
        ([], [], "no cells to score"),
        ([1, 1, 1], [0, 1, 2], "all cells are of one category"),
        ([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 2, 2], "a category is seen in it only"),
        ([0, 1, 2], [4, 4, 4], "fewer than 2 groups"),
    ],
)
def test_what_has_no_macro_interval_says_why(truth, groups, reason):
    """A category lost with a group leaves no mean over the same categories."""
    probabilities = np.full((len(truth), 3), 1 / 3)
    seen = macro_auroc_interval(probabilities, np.array(truth, int), np.array(groups, int))
    assert np.isnan([seen.low, seen.high]).all()
    assert reason in seen.method


def test_codes_of_groups_may_leave_some_out():
    """A case without cells does not count as one."""
    scores, positive, groups = correlated_cells(stream(8, "gaps"), n_groups=12)
    assert auroc_interval(scores, positive, groups * 1000) == auroc_interval(
        scores, positive, groups
    )


def test_many_families_need_little_memory():
    """Thirty thousand cells, each its own family: some megabytes, where their square has 7 GB."""
    rng = stream(9, "memory")
    truth = rng.integers(0, 6, 30_000)
    probabilities = rng.dirichlet(np.ones(6), truth.size)
    tracemalloc.start()
    seen = macro_auroc_interval(probabilities, truth, np.arange(truth.size))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen.low < 0.5 < seen.high
    assert peak < 12e6


def test_groups_whose_pairs_do_not_fit_are_refused():
    """A table of all pairs of 100,000 families would take 80 GB."""
    with pytest.raises(DataError, match="blocks"):
        concordance([0.1, 0.2], [True, False], [0, 1], 100_000)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_impossible_levels_are_refused(level):
    """Also where there would be no interval in any case."""
    for call in (
        lambda: auroc_interval([], [], np.empty(0, int), level),
        lambda: macro_auroc_interval(np.empty((0, 2)), np.empty(0, int), np.empty(0, int), level),
    ):
        with pytest.raises(UsageError, match="between 0 and 1"):
            call()
