import dataclasses
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import t as student
from scipy.stats import ttest_rel
from tests.reference import fixed_reference

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.stats.fixed import (
    NO_DIFFERENCE,
    difference_interval,
    error_ratio,
    fixed_by_category,
    fixed_difference,
    non_inferiority,
)
from leukoscope.stats.scores import AGREEMENT_METRICS, CATEGORY_METRICS, SCALAR_METRICS
from leukoscope.stats.verdicts import verdict

METRICS = (*SCALAR_METRICS, *AGREEMENT_METRICS)
LEVELS = st.floats(0.6, 0.99)
MIX = np.array([88, 213, 2858, 560, 536, 5541]) / 9796
"""The shares of nozaka-2022's clinical cells."""


def models_of(seed, *, n_groups=6, k=3):
    """Draw two models' calls of the same cells: each true row's calls are drawn anew."""
    rng = stream(seed, "models")
    support = rng.integers(3, 9, size=(n_groups, k))
    shares = np.full((k, k), 0.3 / (k - 1)) + np.eye(k) * (0.7 - 0.3 / (k - 1))
    return tuple(rng.multinomial(support, shares) for _ in range(2))


def cases_of(rng, *, n_cases, cells=60, spread=0.5):
    """Draw two equally good models whose calls go together within a case, at Nozaka's mix.

    Of a case both models share a normal effect on the logit of being right, and each has one of
    its own besides, all of standard deviation *spread*; wrong calls go anywhere else.
    """
    support = rng.multinomial(cells, MIX, size=n_cases)
    logits = 1.5 + spread * (rng.normal(size=(n_cases, 1)) + rng.normal(size=(2, n_cases, 1)))
    right = np.broadcast_to(expit(logits), (2, n_cases, 6))[..., None]
    shares = np.where(np.eye(6, dtype=bool), right, (1 - right) / 5)
    return tuple(rng.multinomial(support, share) for share in shares)


def from_right_calls(right, cells):
    """Build (g, 2, 2) matrices with *right* of *cells* called rightly."""
    matrices = np.zeros((len(right), 2, 2), dtype=np.int64)
    matrices[:, 0, 0], matrices[:, 0, 1] = right, np.asarray(cells) - right
    return matrices


def of_pairs(rows):
    """Build families of one cell of two categories from (truth, baseline, other, how many)."""
    truth, before, after = np.repeat([row[:3] for row in rows], [row[3] for row in rows], axis=0).T
    models = np.zeros((2, truth.size, 2, 2), dtype=np.int64)
    for model, called in zip(models, (before, after), strict=True):
        model[np.arange(truth.size), truth, called] = 1
    return tuple(models)


def numbers(found):
    """Give value, bounds and p value."""
    return found.value, found.low, found.high, found.p_value


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_plain_loops(metric, seed):
    """Value, bounds, p and standard error equal those of the loops, clipped to the bound."""
    before, after = models_of(seed)
    seen = fixed_difference(before, after, metric)
    expected = fixed_reference.difference(before.tolist(), after.tolist(), metric)
    np.testing.assert_allclose((*numbers(seen), seen.standard_error), expected, rtol=1e-7)
    assert (seen.degrees, seen.n_groups) == (5, 6)
    assert seen.method == "paired jackknife t, 6 groups; conditional on the two trained models"


@pytest.mark.parametrize("metric", CATEGORY_METRICS)
def test_each_category_agrees_with_plain_loops(metric):
    """All groups have cells of all categories here, so all count."""
    before, after = models_of(3)
    for c, seen in enumerate(fixed_by_category(before, after, metric)):
        expected = fixed_reference.difference(before.tolist(), after.tolist(), metric, c)
        np.testing.assert_allclose((*numbers(seen), seen.standard_error), expected, rtol=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_of_equal_cases_accuracy_is_the_paired_t_test(seed):
    """Ten cells a case: the jackknife t of accuracy is Student's over the cases' accuracies."""
    right = stream(seed, "right").integers(2, 11, size=(2, 12))
    seen = fixed_difference(*(from_right_calls(one, 10) for one in right), "accuracy")
    expected = ttest_rel(right[1] / 10, right[0] / 10)
    assert seen.p_value == pytest.approx(expected.pvalue)
    bounds = expected.confidence_interval()
    assert (seen.low, seen.high) == pytest.approx((bounds.low, bounds.high))


def test_the_presidents_approval():
    """Agresti (1990), page 350: 150 of 1,600 turned away and 86 came: −.04, standard error .0095.

    One person is a family; "right" is to approve, the first survey is the baseline.
    """
    pair = of_pairs([(0, 0, 0, 794), (0, 0, 1, 150), (0, 1, 0, 86), (0, 1, 1, 570)])
    seen = fixed_difference(*pair, "accuracy")
    assert seen.value == pytest.approx(-0.04)
    assert seen.standard_error == pytest.approx(0.0095, abs=6e-5)
    assert (seen.low, seen.high) == pytest.approx((-0.06, -0.02), abs=2e-3)


def test_saquibs_models_differ_in_accuracy_and_not_in_balance():
    """SR-8: none against noise, the fewest discordant cells: .3605 → .3931, but .5052 → .4984."""
    rows = [(0, 0, 0, 39), (0, 1, 0, 149), (0, 1, 1, 1031)]
    rows += [(1, 1, 1, 546), (1, 1, 0, 88), (1, 0, 0, 14)]
    pair = of_pairs(rows)
    accuracy, balanced = (fixed_difference(*pair, m) for m in ("accuracy", "balanced_accuracy"))
    assert accuracy.value == pytest.approx(0.3931 - 0.3605, abs=1e-4)
    assert accuracy.p_value < 1e-4
    assert balanced.value == pytest.approx(0.4984 - 0.5052, abs=1e-4)
    assert balanced.p_value > 0.3


@given(st.integers(0, 10**6), st.sampled_from(METRICS))
def test_swapping_the_models_turns_the_sign(seed, metric):
    """Value and bounds negate; p and standard error stay."""
    before, after = models_of(seed)
    there, back = (
        fixed_difference(before, after, metric),
        fixed_difference(after, before, metric),
    )
    np.testing.assert_allclose(
        numbers(back), (-there.value, -there.high, -there.low, there.p_value)
    )
    assert back.standard_error == pytest.approx(there.standard_error, nan_ok=True)
    assert back.method == there.method


@given(st.integers(0, 10**6), LEVELS, st.sampled_from(METRICS))
def test_interval_and_p_value_agree(seed, level, metric):
    """p is below 1 − level exactly when the interval excludes 0."""
    seen = fixed_difference(*models_of(seed), metric, level)
    assert (seen.p_value < 1 - level) == (seen.low > 0 or seen.high < 0)
    assert -seen.bound <= seen.low <= seen.value <= seen.high <= seen.bound


@pytest.mark.parametrize("metric", METRICS)
def test_order_of_groups_and_empty_groups_change_nothing(metric):
    """Renumbered cases and cases without cells give the same answer."""
    before, after = models_of(7)
    seen = fixed_difference(before, after, metric)
    order = [3, 0, 5, 1, 4, 2]
    padded = [np.pad(model[order], ((1, 2), (0, 0), (0, 0))) for model in (before, after)]
    again = fixed_difference(*padded, metric)
    for field in dataclasses.fields(seen):
        ours, theirs = getattr(seen, field.name), getattr(again, field.name)
        assert theirs == (ours if isinstance(ours, (str, int)) else pytest.approx(ours))


@pytest.mark.parametrize("metric", METRICS)
def test_a_model_against_itself_differs_by_nothing(metric):
    """No difference and p of 1, but no bounds: nothing tells how far other groups would differ."""
    before, _ = models_of(8)
    seen = fixed_difference(before, before, metric)
    assert (seen.value, seen.p_value) == (0, 1)
    assert np.isnan((seen.low, seen.high, seen.standard_error, seen.degrees)).all()
    assert seen.method == f"undefined: {NO_DIFFERENCE}"


def test_luck_in_two_cases_excludes_no_difference():
    """Recalls of .95 and .90, two cases of 20 cells: many pairs are alike, none is called so."""
    alike = 0
    for i in range(300):
        rng = stream(i, "luck")
        pair = (from_right_calls(rng.binomial(20, share, 2), [20, 20]) for share in (0.95, 0.9))
        seen = fixed_difference(*pair, "accuracy")
        if np.isnan(seen.standard_error) and seen.value == 0:
            alike += 1
            assert verdict(seen.low, seen.high, 0.01) == "undecided"
    assert alike > 5


def test_renaming_categories_changes_nothing_but_their_order():
    """The scores of a whole do not ask which category is which; those of each follow it."""
    before, after = models_of(9)
    turn = [2, 0, 1]
    turned = [model[:, turn][:, :, turn] for model in (before, after)]
    for metric in METRICS:
        seen, again = (fixed_difference(*pair, metric) for pair in ((before, after), turned))
        assert numbers(again) == pytest.approx(numbers(seen))
    for metric in CATEGORY_METRICS:
        seen, again = (fixed_by_category(*pair, metric) for pair in ((before, after), turned))
        for new, old in zip(again, [seen[c] for c in turn], strict=True):
            assert numbers(new) == pytest.approx(numbers(old), nan_ok=True)


def test_groups_count_for_a_category_if_its_score_speaks_of_them():
    """Of the second category: a group without it, one with a false call, one with it alone."""
    before = np.array([[[4, 0], [0, 0]], [[4, 0], [0, 0]], [[0, 0], [1, 3]], [[3, 1], [1, 3]]])
    after = np.array([[[4, 0], [0, 0]], [[3, 1], [0, 0]], [[0, 0], [0, 4]], [[4, 0], [2, 2]]])
    counted = {m: fixed_by_category(before, after, m)[1].n_groups for m in CATEGORY_METRICS}
    assert counted == {"recall": 2, "specificity": 3, "precision": 3, "f": 3}


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_f"])
def test_a_category_seen_in_one_group_leaves_no_bounds(metric):
    """The mean over categories is another one without that group: NaN, with the reason."""
    before, after = models_of(1)
    before[1:, 2], after[1:, 2] = 0, 0
    seen = fixed_difference(before, after, metric)
    assert np.isfinite(seen.value)
    assert np.isnan(numbers(seen)[1:]).all()
    assert seen.method.endswith("a category is seen in it only")
    assert np.isfinite(fixed_difference(before, after, "accuracy").low)


def test_what_is_undefined_says_why():
    """One group; no cells; calls of one category; one gain everywhere; calls seen in one group."""
    before, after = models_of(0)
    alike = np.zeros_like(before)
    alike[:, :, 0] = before.sum(axis=2)
    found = {
        "undefined: fewer than 2 groups": fixed_difference(before[:1], after[:1], "kappa"),
        "undefined: the score of a model": fixed_difference(alike, after, "mcc"),
        "undefined: the difference is the same in every group": fixed_difference(
            from_right_calls([4, 4, 4], 8), from_right_calls([5, 5, 5], 8), "accuracy"
        ),
    }
    once = alike.copy()
    once[0] = before[0]
    found["undefined: without one of the groups a"] = fixed_difference(once, after, "mcc")
    for reason, seen in found.items():
        assert seen.method.startswith(reason)
        assert np.isnan((seen.low, seen.high, seen.p_value, seen.standard_error)).all()
    nothing = fixed_difference(before * 0, after * 0, "accuracy")
    assert np.isnan(nothing.value)
    assert nothing.n_groups == 0


def test_what_cannot_be_compared_is_refused():
    """Unknown metrics, other cells, other shapes, fractions, levels and bounds out of range."""
    before, after = models_of(0)
    with pytest.raises(UsageError, match="metric of a comparison of two models"):
        fixed_difference(before, after, "recall")
    with pytest.raises(UsageError, match="metric of a comparison by category"):
        fixed_by_category(before, after, "accuracy")
    with pytest.raises(DataError, match="true cells of 6 groups, the first 0, differ"):
        fixed_difference(before, after + 1, "accuracy")
    with pytest.raises(DataError, match="as many groups and categories"):
        fixed_by_category(before, after[:4], "f")
    with pytest.raises(DataError, match="whole counts"):
        error_ratio(before.tolist(), after / 2)
    with pytest.raises(UsageError, match="level"):
        fixed_difference(before, after, "accuracy", 95)
    with pytest.raises(DataError, match="differences of at most 1"):
        difference_interval(0.5, [0.4, 1.2])
    with pytest.raises(DataError, match="differences of at most 1"):
        difference_interval(0.5, [[0.4, 0.2]])
    with pytest.raises(DataError, match="differences of at most inf"):
        difference_interval(0.5, [0.4, np.inf], bound=np.inf)
    with pytest.raises(UsageError, match="above 0"):
        difference_interval(0.5, [0.4, 0.2], bound=0)


def test_bounds_are_clipped_to_what_two_scores_can_differ_by():
    """1 of scores in [0, 1], 2 of those in [−1, 1], nothing of losses without end."""
    values = [-0.9, 0.9, 0.4]
    clipped = [difference_interval(0.5, values, bound=bound) for bound in (1, 2, np.inf)]
    assert [(one.low, one.high) for one in clipped[:2]] == [(-1, 1), (-2, 2)]
    half = student.ppf(0.975, 2) * clipped[2].standard_error
    assert (clipped[2].low, clipped[2].high) == pytest.approx((0.5 - half, 0.5 + half))
    assert half > 2
    assert {fixed_difference(*models_of(0), m).bound for m in AGREEMENT_METRICS} == {2}


@given(st.integers(0, 10**6), st.floats(0.001, 0.6), LEVELS, st.sampled_from(METRICS))
def test_non_inferiority_and_its_bound_agree(seed, margin, level, metric):
    """p is below 1 − level exactly when the one-sided bound is above −margin."""
    low, p_value = non_inferiority(fixed_difference(*models_of(seed), metric), margin, level)
    assert (p_value < 1 - level) == (low > -margin)


@given(st.integers(0, 10**6), LEVELS)
def test_one_sided_and_two_sided_bounds_agree(seed, level):
    """One-sided at (1 + level)/2 is the lower bound at level, and p at no margin half of p."""
    two_sided = fixed_difference(*models_of(seed), "accuracy", level)
    low, p_value = non_inferiority(two_sided, 1e-12, (1 + level) / 2)
    assert low == pytest.approx(two_sided.low)
    half = two_sided.p_value / 2
    assert p_value == pytest.approx(half if two_sided.value >= 0 else 1 - half, abs=1e-6)


def test_a_larger_margin_is_easier_to_keep():
    """p falls with the margin, from above one half to near 0; the bound does not move."""
    worse = fixed_difference(*models_of(5)[::-1], "accuracy")
    worse = dataclasses.replace(worse, value=-abs(worse.value))
    found = [non_inferiority(worse, margin) for margin in (1e-6, 0.05, 0.2, 0.5, 0.99)]
    p_values = [p for _, p in found]
    assert p_values == sorted(p_values, reverse=True)
    assert p_values[0] > 0.5
    assert p_values[-1] < 0.001
    assert len({low for low, _ in found}) == 1


def test_models_alike_in_every_group_are_not_shown_to_be_no_worse():
    """A category of few cases may be lost in none of those seen: no bound, no p."""
    before = np.tile(np.eye(2, dtype=int), (51, 1, 1))
    alike = fixed_difference(before, before, "balanced_accuracy")
    assert np.isnan(non_inferiority(alike, 0.0999)).all()


def test_level_of_non_inferiority_at_its_margin():
    """Of models truly worse by the margin 5 % pass, within Monte-Carlo error; of 1,200 sets."""
    n_sets, n_cases, margin, passed = 1200, 25, 0.06, 0
    for i in range(n_sets):
        rng = stream(i, "at the margin")
        quality = rng.uniform(0.75, 0.95, n_cases)
        # A model's own luck with a case goes both ways, and its mean is 0.
        own = rng.uniform(-0.05, 0.05, (2, n_cases))
        shares = (quality + own[0], quality + own[1] - margin)
        pair = (from_right_calls(rng.binomial(80, share), [80] * n_cases) for share in shares)
        passed += non_inferiority(fixed_difference(*pair, "accuracy"), margin)[1] <= 0.05
    assert abs(passed / n_sets - 0.05) < 3 * (0.05 * 0.95 / n_sets) ** 0.5


def test_non_inferiority_needs_an_interval_and_a_margin():
    """NaN of what has no bounds; margins of 0 or of all there is are refused."""
    before, after = models_of(0)
    alone = fixed_difference(before[:1], after[:1], "accuracy")
    assert np.isnan(non_inferiority(alone, 0.02)).all()
    seen = fixed_difference(before, after, "accuracy")
    for margin in (0, -0.1, 1, np.nan):
        with pytest.raises(UsageError, match="margin of non-inferiority"):
            non_inferiority(seen, margin)
    with pytest.raises(UsageError, match="level"):
        non_inferiority(seen, 0.02, 1.5)
    assert np.isfinite(non_inferiority(fixed_difference(before, after, "mcc"), 1.5)).all()


@pytest.mark.parametrize("seed", range(3))
def test_error_ratio_agrees_with_plain_loops(seed):
    """Value and bounds equal those of the loops."""
    before, after = models_of(seed)
    seen = error_ratio(before, after)
    expected = fixed_reference.error_ratio(before.tolist(), after.tolist())
    assert (seen.value, seen.low, seen.high) == pytest.approx(expected)
    assert seen.method == (
        "paired jackknife t on the log scale, 6 groups; conditional on the two trained models"
    )


@given(st.integers(0, 10**6))
def test_error_ratio_of_swapped_models_is_its_inverse(seed):
    """So are its bounds, the other way round."""
    before, after = models_of(seed)
    there, back = error_ratio(before, after), error_ratio(after, before)
    assert (back.value, back.low, back.high) == pytest.approx(
        (1 / there.value, 1 / there.high, 1 / there.low)
    )


def test_error_ratio_of_a_model_and_itself_is_one():
    """Without any spread, and so without bounds."""
    before, _ = models_of(0)
    seen = error_ratio(before, before)
    assert seen.value == 1
    assert np.isnan((seen.low, seen.high)).all()
    assert seen.method == f"undefined: {NO_DIFFERENCE}"


@pytest.mark.parametrize(
    ("right", "value", "reason"),
    [
        (([5, 5], [4, 3]), np.nan, "the baseline makes no errors"),
        (([4, 3], [5, 5]), 0, "the other model makes no errors"),
        (([4, 3], [5, 3]), 2 / 3, "all errors of a model lie in one group"),
        (([4], [3]), 2, "fewer than 2 groups"),
        (([4, 3], [3, 1]), 2, "the ratio is the same without any group"),
        (([], []), np.nan, "no cells to score"),
    ],
)
def test_error_ratio_says_why_it_has_no_bounds(right, value, reason):
    """NaN bounds, the value where there is one, and the reason."""
    seen = error_ratio(*(from_right_calls(one, 5) for one in right))
    assert seen.value == pytest.approx(value, nan_ok=True)
    assert np.isnan((seen.low, seen.high)).all()
    assert seen.method.startswith(f"undefined: {reason}")


@pytest.mark.parametrize("n_cases", [8, 20, 51])
def test_level_under_the_null_with_correlated_cells(n_cases):
    """Two equally good models, 500 sets: p ≤ .05 in 5 % of them, within Monte-Carlo error."""
    n_sets = 500
    rejected = {"accuracy": 0, "mcc": 0}
    for i in range(n_sets):
        pair = cases_of(stream(i, "null", n_cases), n_cases=n_cases)
        for metric in rejected:
            rejected[metric] += fixed_difference(*pair, metric).p_value <= 0.05
    error = (0.05 * 0.95 / n_sets) ** 0.5
    for count in rejected.values():
        assert abs(count / n_sets - 0.05) < 3 * error


def test_cells_taken_for_independent_break_that_level():
    """Each cell a family of its own: the same sets are called different far more often."""
    n_sets, rejected = 150, 0
    for i in range(n_sets):
        before, after = cases_of(stream(i, "null", 20), n_cases=20)
        right = [np.trace(model, axis1=1, axis2=2) for model in (before, after)]
        cells = 60 * 20
        share = [one.sum() / cells for one in right]
        variance = sum(p * (1 - p) for p in share) / cells
        rejected += abs(share[1] - share[0]) > 1.96 * variance**0.5
    assert rejected / n_sets > 0.15


def test_a_hundred_thousand_single_cells_fit():
    """All comparisons of 100,000 families of one, within seconds and some hundred megabytes."""
    rng = stream(0, "cells")
    truth = rng.integers(6, size=100_000)
    models = np.zeros((2, truth.size, 6, 6), dtype=np.int64)
    for model in models:
        called = np.where(rng.random(truth.size) < 0.9, truth, rng.integers(6, size=truth.size))
        model[np.arange(truth.size), truth, called] = 1
    started = time.process_time()
    tracemalloc.start()
    fixed_difference(*models, "macro_f")
    fixed_by_category(*models, "f")
    error_ratio(*models)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
    assert time.process_time() - started < 20
