import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import t as student
from tests.reference import jackknife_reference

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.stats.paired import NO_DIFFERENCE, paired_by_category, paired_difference
from leukoscope.stats.scores import CATEGORY_METRICS, SCALAR_METRICS, scores

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)
HALF_BY_HAND = student.ppf(0.975, 169 / 89) * 13**0.5 / 12
SEEDS = (0, 1, 5, 10, 15, 20)


def arms_of(seed, *, n_replicates=3, n_groups=4, k=3):
    """Draw two arms tested on the same cells: each true row's calls are drawn anew."""
    rng = stream(seed, "arms")
    support = rng.integers(4, 9, size=(n_groups, k))
    shares = np.full((k, k), 0.2 / (k - 1)) + np.eye(k) * (0.8 - 0.2 / (k - 1))
    shape = (n_replicates, n_groups, k)
    return tuple(rng.multinomial(np.broadcast_to(support, shape), shares) for _ in range(2))


def from_right_calls(right, cells):
    """Build matrices of shape (..., 2, 2) with *right* of *cells* called rightly."""
    matrices = np.zeros((*np.shape(right), 2, 2), dtype=np.int64)
    matrices[..., 0, 0], matrices[..., 0, 1] = right, cells - np.asarray(right)
    return matrices


def drawn_arm(rng, base, cells, *, groups, replicates):
    """Draw an arm whose logits differ from *base* by group and by replicate, 8 × 20."""
    logits = base + rng.normal(0, groups, 20) + rng.normal(0, replicates, (8, 1))
    return from_right_calls(rng.binomial(cells, expit(logits)), cells)


def test_two_replicates_and_three_groups_by_hand():
    """Gains (1, ½, ½) and (½, 0, 0): S_G = 4/144, S_R = 9/144, S_GR = 0, 169/89 degrees."""
    before = from_right_calls(np.zeros((2, 3), dtype=int), 2)
    after = from_right_calls([[2, 1, 1], [1, 0, 0]], 2)
    seen = paired_difference(before, after, "accuracy")
    assert seen.value == pytest.approx(5 / 12)
    assert seen.variance_groups == pytest.approx(4 / 144)
    assert seen.variance_replicates == pytest.approx(9 / 144)
    assert seen.degrees == pytest.approx(169 / 89)
    assert (seen.n_groups, seen.n_replicates) == (3, 2)
    assert (seen.low, seen.high) == (pytest.approx(5 / 12 - HALF_BY_HAND), 1)


@pytest.mark.parametrize("metric", SCALAR_METRICS)
@pytest.mark.parametrize("seed", SEEDS)
def test_agrees_with_plain_sums(metric, seed):
    """Value, bounds, p, degrees and parts equal those of the loops."""
    before, after = arms_of(seed)
    seen = paired_difference(before, after, metric)
    expected = jackknife_reference.two_way(before.tolist(), after.tolist(), metric)
    ours = (seen.value, seen.low, seen.high, seen.p_value, seen.degrees)
    np.testing.assert_allclose(ours, expected[:5], rtol=1e-7)
    parts = (seen.variance_groups, seen.variance_replicates)
    np.testing.assert_allclose(parts, expected[5:7], rtol=1e-7)


def test_the_seeds_above_meet_every_way_of_adding_up():
    """Both parts together, groups alone and replicates alone are all compared with the loops."""
    ways = {paired_difference(*arms_of(s), "accuracy").method.split(", ")[-1] for s in SEEDS}
    assert ways == {"Satterthwaite degrees", "spread of groups alone", "spread of replicates alone"}


@given(st.integers(0, 10**6), st.sampled_from(SCALAR_METRICS))
def test_swapping_the_arms_turns_the_sign(seed, metric):
    """Value and bounds negate; p, degrees and parts stay."""
    before, after = arms_of(seed)
    there, back = (
        paired_difference(before, after, metric),
        paired_difference(after, before, metric),
    )
    np.testing.assert_allclose(
        (back.value, back.low, back.high), (-there.value, -there.high, -there.low)
    )
    assert back.p_value == pytest.approx(there.p_value)
    assert back.degrees == pytest.approx(there.degrees)


@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(2, 4))
def test_degrees_and_bounds_stay_within_reason(seed, n_replicates, n_groups):
    """At least the degrees of the poorer part, and no bound beyond a whole score."""
    seen = paired_difference(
        *arms_of(seed, n_replicates=n_replicates, n_groups=n_groups), "macro_f"
    )
    if np.isnan(seen.degrees):
        assert seen.method.startswith("undefined")
        return
    assert seen.degrees >= min(n_replicates, n_groups) - 1
    assert -1 <= seen.low <= seen.value <= seen.high <= 1


def test_parts_of_one_size_do_not_take_the_degrees_below_one():
    """Gains (1, 0) and (0, 0): S_G = S_R = S_GR, where the bare formula gives a third."""
    before = from_right_calls(np.zeros((2, 2), dtype=int), 8)
    after = from_right_calls([[1, 0], [0, 0]], 8)
    seen = paired_difference(before, after, "accuracy")
    assert seen.variance_groups == pytest.approx(seen.variance_replicates)
    assert seen.degrees == pytest.approx(1)
    half = student.ppf(0.975, 1) * np.sqrt(seen.variance_groups)
    assert (seen.low, seen.high) == (pytest.approx(1 / 32 - half), pytest.approx(1 / 32 + half))


def test_order_of_replicates_and_groups_changes_nothing():
    """Renumbered pairs, cases and an empty case give the same answer."""
    before, after = arms_of(7)
    seen = paired_difference(before, after, "macro_f")
    turned = [arm[::-1][:, [2, 0, 3, 1]] for arm in (before, after)]
    padded = [np.pad(arm, ((0, 0), (1, 0), (0, 0), (0, 0))) for arm in turned]
    again = paired_difference(*padded, "macro_f")
    for field in dataclasses.fields(seen):
        ours, theirs = getattr(seen, field.name), getattr(again, field.name)
        assert theirs == (ours if isinstance(ours, (str, int)) else pytest.approx(ours))


@given(st.integers(0, 10**6))
def test_interval_and_p_value_agree(seed):
    """p is below .05 exactly when the 95 % interval excludes 0."""
    seen = paired_difference(*arms_of(seed), "accuracy")
    assert (seen.p_value < 0.05) == (seen.low > 0 or seen.high < 0)


@pytest.mark.parametrize("metric", SCALAR_METRICS)
def test_an_arm_against_itself_differs_by_nothing(metric):
    """No difference and p of 1, but no bounds: nothing tells how far other groups would differ."""
    before, _ = arms_of(8)
    seen = paired_difference(before, before, metric)
    assert (seen.value, seen.p_value) == (0, 1)
    assert np.isnan([seen.low, seen.high, seen.degrees]).all()
    assert seen.method == f"undefined: {NO_DIFFERENCE}"


def test_the_same_gain_everywhere_cannot_be_judged():
    """Without any spread a difference has no interval, and is not called certain."""
    before = from_right_calls(np.full((3, 4), 5), 10)
    after = from_right_calls(np.full((3, 4), 6), 10)
    seen = paired_difference(before, after, "accuracy")
    assert seen.value == pytest.approx(0.1)
    assert np.isnan([seen.low, seen.high, seen.p_value]).all()
    assert seen.method == "undefined: the difference is the same in every group and replicate"


def test_one_replicate_gives_a_value_without_an_interval():
    """Spread over training runs cannot be had from one run."""
    before, after = arms_of(9, n_replicates=1)
    seen = paired_difference(before, after, "accuracy")
    gain = scores(after.sum((0, 1)))["accuracy"] - scores(before.sum((0, 1)))["accuracy"]
    assert seen.value == pytest.approx(gain)
    assert np.isnan([seen.low, seen.high, seen.p_value, seen.variance_replicates]).all()
    assert seen.variance_groups > 0
    assert seen.method == "undefined: fewer than 2 replicates"


def test_one_group_gives_a_value_without_an_interval():
    """Spread over cases cannot be had from one case."""
    seen = paired_difference(*arms_of(10, n_groups=1), "accuracy")
    assert np.isnan([seen.low, seen.high, seen.p_value, seen.variance_groups]).all()
    assert seen.method == "undefined: fewer than 2 groups"


def test_a_category_of_one_group_stops_the_means_only():
    """Macro-F cannot be jackknifed over the one case with basophils; accuracy can."""
    before, after = arms_of(11)
    before[:, 1:, 2] = after[:, 1:, 2] = 0
    assert "seen in it only" in paired_difference(before, after, "macro_f").method
    assert paired_difference(before, after, "accuracy").p_value > 0


def test_no_cells_give_no_value():
    """Empty tables are undefined, not equal."""
    empty = np.zeros((3, 4, 2, 2), dtype=np.int64)
    seen = paired_difference(empty, empty, "accuracy")
    assert np.isnan([seen.value, seen.low, seen.high, seen.p_value]).all()
    assert seen.method == "undefined: no cells to score"


@pytest.mark.parametrize("place", [(0, 0, 0), (2, 3, 1)])
def test_arms_tested_on_other_cells_are_refused(place):
    """One true cell more in one replicate of one arm is found."""
    before, after = arms_of(12)
    after[(*place, 0)] += 1
    with pytest.raises(DataError, match="not tested on the same cells"):
        paired_difference(before, after, "accuracy")


def test_shapes_metrics_and_levels_are_checked():
    """A missing replicate, an unknown metric and a level of 95 are refused by name."""
    before, after = arms_of(13)
    with pytest.raises(DataError, match="one shape"):
        paired_difference(before, after[1:], "accuracy")
    with pytest.raises(DataError, match="whole counts"):
        paired_difference(before * 0.5, after * 0.5, "accuracy")
    with pytest.raises(UsageError, match="macro_f"):
        paired_difference(before, after, "macro_f1")
    with pytest.raises(UsageError, match="confidence level"):
        paired_difference(before, after, "accuracy", 95)


@pytest.mark.parametrize("metric", CATEGORY_METRICS)
@pytest.mark.parametrize("seed", SEEDS)
def test_categories_agree_with_plain_sums(metric, seed):
    """Each category's value, bounds, p, degrees and parts equal those of the loops."""
    before, after = arms_of(seed)
    for c, seen in enumerate(paired_by_category(before, after, metric)):
        expected = jackknife_reference.two_way_of_category(
            before.tolist(), after.tolist(), metric, c
        )
        ours = (seen.value, seen.low, seen.high, seen.p_value, seen.degrees, seen.variance_groups)
        both = (seen.variance_replicates, seen.variance_interaction)
        np.testing.assert_allclose((*ours, *both), expected, rtol=1e-7)


def test_the_recall_of_a_category_is_the_accuracy_on_its_cells():
    """With the other categories' cells taken out, both comparisons are one."""
    before, after = arms_of(16)
    alone = [arm * np.array([0, 1, 0])[:, None] for arm in (before, after)]
    seen, expected = (
        dataclasses.astuple(one)[:9]
        for one in (
            paired_by_category(before, after, "recall")[1],
            paired_difference(*alone, "accuracy"),
        )
    )
    np.testing.assert_allclose(seen, expected, rtol=1e-9)


@pytest.mark.parametrize("metric", ["recall", "precision", "f"])
def test_cases_without_the_category_lend_nothing(metric):
    """Twenty cases that hold and are called two other categories change no number of the third.

    But its specificity, which speaks of the others.
    """
    before, after = arms_of(17)
    others = np.broadcast_to([[5, 1, 0], [2, 4, 0], [0, 0, 0]], (3, 20, 3, 3))
    wide = [np.concatenate([arm, others], axis=1) for arm in (before, after)]
    alone, among = (paired_by_category(*arms, metric)[2] for arms in ((before, after), wide))
    assert among.n_groups == alone.n_groups == 4
    np.testing.assert_allclose(
        dataclasses.astuple(among)[:9], dataclasses.astuple(alone)[:9], rtol=1e-9
    )


def test_calls_in_one_replicate_of_one_arm_make_a_group_of_precision():
    """A case without the category whose cells are called it once counts for its precision."""
    before, after = (np.concatenate([arm, arm[:, :1]], axis=1) for arm in arms_of(19))
    for arm in (before, after):
        arm[:, 4] = np.diag([6, 6, 0])
    groups = [paired_by_category(before, after, name)[2].n_groups for name in CATEGORY_METRICS]
    after[1, 4, 0] = [5, 0, 1]
    more = [paired_by_category(before, after, name)[2].n_groups for name in CATEGORY_METRICS]
    # The case holds cells of other categories, of which specificity speaks, in any event.
    few = {"recall": 4, "specificity": 5, "precision": 4, "f": 4}
    assert dict(zip(CATEGORY_METRICS, groups, strict=True)) == few
    assert dict(zip(CATEGORY_METRICS, more, strict=True)) == few | {"precision": 5, "f": 5}


def test_a_category_never_called_in_a_replicate_has_no_precision():
    """What is undefined in one replicate has no mean over them, and the method says where."""
    before, after = arms_of(20)
    after[1, :, :, 0] += after[1, :, :, 2]
    after[1, :, :, 2] = 0
    seen = paired_by_category(before, after, "precision")
    assert np.isnan([seen[2].value, seen[2].low, seen[2].p_value]).all()
    assert seen[2].method == "undefined: no cells to score in one of the replicates"
    assert seen[0].p_value > 0


def test_a_category_of_one_case_or_of_none_has_no_interval():
    """One case of it has a value alone; a category without cells or calls has nothing."""
    before, after = (np.pad(arm, ((0, 0), (0, 0), (0, 1), (0, 1))) for arm in arms_of(21))
    before[:, 1:, 2] = after[:, 1:, 2] = 0
    seen = paired_by_category(before, after, "recall")
    assert seen[2].method == "undefined: fewer than 2 groups"
    assert -1 <= seen[2].value <= 1
    assert [one[3].method for one in (seen, paired_by_category(before, after, "f"))] == [
        "undefined: no cells to score"
    ] * 2


def test_metrics_by_category_are_checked():
    """Accuracy has no category."""
    with pytest.raises(UsageError, match="recall"):
        paired_by_category(*arms_of(22), "accuracy")


@pytest.mark.parametrize(
    ("groups", "replicates"),
    [(0.5, 0.3), (0.5, 0.0), (0.0, 0.5)],
    ids=["both", "groups", "replicates"],
)
def test_level_is_kept_where_arms_do_not_differ(groups, replicates):
    """Arms of one distribution, 20 cases × 8 replicates, 400 sets: rejected in 5 % at most."""
    n_sets, rejected = 400, 0
    for number in range(n_sets):
        rng = stream(14, "null", int(10 * groups), int(10 * replicates), number)
        base, cells = rng.normal(1.5, 0.5, 20), rng.integers(20, 100, 20)
        before, after = (
            drawn_arm(rng, base, cells, groups=groups, replicates=replicates) for _ in range(2)
        )
        rejected += paired_difference(before, after, "accuracy").p_value < 0.05
    error = np.sqrt(0.05 * 0.95 / n_sets)
    assert 0 < rejected / n_sets < 0.05 + 3 * error


def test_a_planted_gain_is_covered_and_found():
    """A shift of one logit is found, and the interval holds the true gain, in 9 sets of 10."""
    found = covered = 0
    truth = stream(15, "truth").normal(1.0, np.sqrt(0.5**2 + 0.2**2 + 0.2**2), 10**6)
    gain = (expit(truth + 1) - expit(truth)).mean()
    for number in range(100):
        rng = stream(15, "planted", number)
        base, cells = rng.normal(1.0, 0.5, 20), np.full(20, 60)
        before = drawn_arm(rng, base, cells, groups=0.2, replicates=0.2)
        after = drawn_arm(rng, base + 1, cells, groups=0.2, replicates=0.2)
        seen = paired_difference(before, after, "accuracy")
        found += seen.low > 0
        covered += seen.low <= gain <= seen.high
    assert found >= 90
    assert covered >= 86
