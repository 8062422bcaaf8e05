import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm
from tests.reference import jackknife_reference, prevalence_reference

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.stats.design import effective_cells
from leukoscope.stats.intervals import Interval, jackknife_agreement, jackknife_logit
from leukoscope.stats.prevalence import prevalence_intervals, repriored, reweighted
from leukoscope.stats.scores import (
    AGREEMENT_METRICS,
    CATEGORY_METRICS,
    SCALAR_METRICS,
    merge,
    scores,
)

COUNTS = arrays(np.int64, (3, 4, 4), elements=st.integers(1, 30))
MIX = arrays(np.float64, 4, elements=st.floats(0.01, 100))
BY_CATEGORY = ("specificity", "precision", "f")
WHOLE = ("accuracy", "macro_f", "mcc", "kappa")

# nozaka-2022, Table 2, A-1, left: basophil, eosinophil, lymphocyte, monocyte, band, segmented.
PANEL = np.array(
    [
        [85, 0, 0, 0, 2, 1],
        [0, 213, 0, 0, 0, 0],
        [0, 2, 2795, 61, 0, 0],
        [1, 0, 26, 533, 0, 0],
        [0, 0, 0, 0, 465, 71],
        [0, 1, 0, 1, 2204, 3335],
    ]
)
# Altman and Bland 1994: 258 livers with and 86 without a disease, by a scan.
LIVERS = np.array([[231, 27], [32, 54]])


def flat(intervals):
    """List every interval with its metric and category."""
    for name, found in intervals.items():
        for category, interval in enumerate(found if isinstance(found, list) else [found]):
            yield name, category, interval


def test_predictive_values_of_a_published_scan():
    """Altman and Bland 1994, BMJ 309:102: .88 and .67 of the own mix, .45 and .95 at .25."""
    own = scores(LIVERS)["precision"]
    np.testing.assert_allclose(own, [0.88, 0.67], atol=5e-3)
    rare = scores(reweighted(LIVERS, [0.25, 0.75]))["precision"]
    np.testing.assert_allclose(rare, [0.45, 0.95], atol=5e-3)


@pytest.mark.parametrize(("ratio", "f"), [(1, 0.765), (2, 0.651), (5, 0.449), (15, 0.221)])
def test_band_f_of_one_model_by_the_mix(ratio, f):
    """One panel of nozaka-2022: F of bands falls from .765 to .221 as segmented cells gather."""
    mix = PANEL.sum(axis=1)
    mix[5] = ratio * mix[4]
    assert scores(reweighted(PANEL, mix))["f"][4] == pytest.approx(f, abs=5e-4)


def test_band_precision_at_equal_shares():
    """The .174 printed is the mix of that test set; with equal shares it would be .674."""
    equal = prevalence_intervals(PANEL[None], np.ones(6))["precision"][4]
    assert equal.value == pytest.approx(0.674, abs=5e-4)
    assert equal.method == "undefined: fewer than 2 groups"


@given(COUNTS)
def test_the_own_mix_changes_nothing(matrices):
    """At the test set's counts every matrix and every score is the same, to the bit."""
    own = matrices.sum(axis=(0, 2))
    np.testing.assert_array_equal(reweighted(matrices, own), matrices)
    expected = scores(matrices.sum(axis=0))
    for name, category, interval in flat(prevalence_intervals(matrices, own)):
        assert interval.value == pytest.approx(np.atleast_1d(expected[name])[category], abs=1e-12)


@given(COUNTS, MIX, st.floats(0.001, 1000))
def test_only_proportions_of_the_mix_matter(matrices, mix, scale):
    """Shares, percentages and counts of one mix are one."""
    np.testing.assert_allclose(reweighted(matrices, mix * scale), reweighted(matrices, mix))
    first, second = (flat(prevalence_intervals(matrices, mix * by)) for by in (1, scale))
    for (_, _, one), (_, _, other) in zip(first, second, strict=True):
        bounds = (one.value, one.low, one.high), (other.value, other.low, other.high)
        np.testing.assert_allclose(*bounds, rtol=1e-6, atol=1e-9)


@given(COUNTS, MIX)
def test_the_pooled_cells_get_the_mix_and_keep_their_number(matrices, mix):
    """Row sums of the sum over groups stand as the mix says; so by group and in one matrix."""
    seen = reweighted(matrices, mix)
    assert seen.dtype == np.float64
    total = seen.sum(axis=0)
    np.testing.assert_allclose(total.sum(axis=1), matrices.sum() * mix / mix.sum())
    np.testing.assert_allclose(total, reweighted(matrices.sum(axis=0), mix))
    slow = prevalence_reference.reweighted(matrices.sum(axis=0).tolist(), mix.tolist())
    np.testing.assert_allclose(total, slow)


@given(COUNTS, MIX)
def test_recall_does_not_move(matrices, mix):
    """How the cells of a category are called is no matter of the mix."""
    matrix = matrices[0]
    before, after = scores(matrix), scores(reweighted(matrix, mix))
    for name in ("recall", "balanced_accuracy"):
        np.testing.assert_allclose(after[name], before[name])
    assert set(prevalence_intervals(matrices, mix)) == {
        *SCALAR_METRICS,
        *AGREEMENT_METRICS,
        *CATEGORY_METRICS,
    } - {"recall", "balanced_accuracy"}


@given(COUNTS, MIX)
def test_scores_at_a_mix_are_their_closed_forms(matrices, mix):
    """Precision by Bayes's rule, specificity and accuracy as means weighted by the mix."""
    matrix = matrices.sum(axis=0)
    seen = prevalence_intervals(matrices, mix)
    slow = (matrix.tolist(), mix.tolist())
    for c in range(4):
        precision = prevalence_reference.precision(*slow, c)
        assert seen["precision"][c].value == pytest.approx(precision)
        assert seen["specificity"][c].value == pytest.approx(
            prevalence_reference.specificity(*slow, c), abs=1e-12
        )
    recall = scores(matrix)["recall"]
    assert seen["accuracy"].value == pytest.approx((mix * recall).sum() / mix.sum())


def test_a_rarer_category_has_less_precision():
    """The share of a category going down, its precision and F go down, its specificity stays."""
    values = []
    for share in (0.5, 0.2, 0.05, 0.01):
        rest = (1 - share) / 5
        found = prevalence_intervals(PANEL[None], [rest] * 4 + [share, rest])
        values.append([found[name][4].value for name in BY_CATEGORY])
    specificity, precision, f = np.transpose(values)
    assert (np.diff(precision) < 0).all()
    assert (np.diff(f) < 0).all()
    np.testing.assert_allclose(specificity, specificity[0])


@pytest.mark.parametrize("n_groups", [2, 6])
@pytest.mark.parametrize("mix", [[1, 1, 1, 1], [0.6, 0.3, 0.08, 0.02]])
def test_intervals_agree_with_slow_recomputation(n_groups, mix):
    """Each left-out set is weighted anew; the bounds are those of the plain sums."""
    matrices = stream(0, "prevalence", n_groups).integers(1, 12, size=(n_groups, 4, 4))
    for name, category, seen in flat(prevalence_intervals(matrices, mix)):
        left = prevalence_reference.without_each(matrices.tolist(), mix, name)
        if name in BY_CATEGORY:
            left = [row[category] for row in left]
        agreement = name in AGREEMENT_METRICS
        slow = jackknife_reference.agreement_interval if agreement else None
        bounds = (slow or jackknife_reference.logit_interval)(seen.value, left)
        np.testing.assert_allclose((seen.low, seen.high), bounds, rtol=1e-8)
        scale = "logit scale of (x + 1)/2" if agreement else "logit scale"
        expected = f"jackknife t on the {scale}, {n_groups} groups, each weighted to the stated mix"
        assert seen.method == expected


def test_cases_that_differ_in_their_mix_alone_do_not_differ_at_a_stated_one():
    """The same rates in every case: weighted anew, what is left scores the same without any."""
    rates = np.array([[8, 2], [5, 5]])
    matrices = np.array([rates * [[a], [b]] for a, b in ((1, 9), (5, 1), (2, 2), (7, 3))])
    seen = prevalence_intervals(matrices, [0.7, 0.3])
    for _, _, one in flat(seen):
        assert one.method == "undefined: the groups do not differ"
    assert seen["accuracy"].value == pytest.approx(0.7 * 0.8 + 0.3 * 0.5)
    # Weighted once, a case would take its share of the mix away with it.
    once = reweighted(matrices, [0.7, 0.3])
    assert np.ptp(scores(once.sum(axis=0) - once)["accuracy"]) > 0.05


def test_order_and_emptiness_of_groups_change_nothing():
    """Groups may be numbered otherwise, and groups without cells are as if not there."""
    matrices = stream(2, "order").integers(1, 9, size=(7, 3, 3))
    padded = np.concatenate([np.zeros((2, 3, 3), dtype=np.int64), matrices[::-1]])
    mix = [5, 2, 1]
    before, after = (flat(prevalence_intervals(each, mix)) for each in (matrices, padded))
    for (_, _, old), (_, _, new) in zip(before, after, strict=True):
        np.testing.assert_allclose((new.low, new.high), (old.low, old.high))
        assert new.method == old.method


def test_narrow_counts_do_not_overflow():
    """Counts kept in 8 bits are taken for what they are."""
    matrices = stream(3, "narrow").integers(60, 120, size=(4, 3, 3))
    before, after = (
        flat(prevalence_intervals(matrices.astype(dtype), [1, 2, 3]))
        for dtype in (np.int64, np.uint8)
    )
    assert [one[2] for one in before] == [other[2] for other in after]


def test_a_merged_view_is_weighted_first():
    """A mix of bands and segmented cells holds within the neutrophils of the merged view."""
    matrices = stream(4, "merged").integers(1, 12, size=(6, 4, 4))
    mix, labels = [0.3, 0.1, 0.1, 0.5], [0, 1, 2, 2]
    merged = merge(reweighted(matrices, mix), labels)
    np.testing.assert_allclose(merged.sum(axis=(0, 2)) / merged.sum(), [0.3, 0.1, 0.6], rtol=1e-12)
    expected = scores(merged.sum(axis=0))
    seen = prevalence_intervals(matrices, mix, labels=labels)
    for name, category, interval in flat(seen):
        assert interval.value == pytest.approx(np.atleast_1d(expected[name])[category])
        assert interval.low < interval.value < interval.high


def test_merging_first_is_the_same_where_the_merged_keep_their_proportions():
    """As common to each other as in the test set, bands and segmented cells may be added up."""
    matrices = stream(5, "merged").integers(1, 12, size=(6, 4, 4))
    counts, labels = matrices.sum(axis=(0, 2)), [0, 1, 2, 2]
    mix = [0.3 * counts.sum(), 0.1 * counts.sum(), counts[2], counts[3]]
    coarse = [mix[0], mix[1], mix[2] + mix[3]]
    first = prevalence_intervals(merge(matrices, labels), coarse)
    second = prevalence_intervals(matrices, mix, labels=labels)
    assert set(second) - set(first) == {"recall", "balanced_accuracy"}
    both = flat(first), flat({name: second[name] for name in first})
    for (_, _, one), (_, _, other) in zip(*both, strict=True):
        assert one.value == pytest.approx(other.value)
    fine = merge(reweighted(matrices, mix), labels)
    np.testing.assert_allclose(fine, merge(reweighted(fine, coarse), range(3)))


def test_categories_of_no_cells_and_no_share_stay_out():
    """A category the mix leaves out and the test set lacks changes no score of the others."""
    matrices = stream(6, "absent").integers(1, 9, size=(5, 4, 4))
    matrices[:, 3] = matrices[:, :, 3] = 0
    seen = prevalence_intervals(matrices, [3, 2, 1, 0])
    alone = prevalence_intervals(matrices[:, :3, :3], [3, 2, 1])
    for name in WHOLE:
        assert seen[name].low == pytest.approx(alone[name].low)
    for name in BY_CATEGORY:
        for one, other in zip(seen[name], alone[name], strict=False):
            assert (one.low, one.high) == pytest.approx((other.low, other.high))
    assert np.isnan(seen["precision"][3].value)
    assert seen["precision"][3].method == "undefined: never called"


def test_perfect_scores_reach_to_the_worst_kind_of_call_not_seen():
    """Nothing wrong: accuracy may lack what the most weighted category's limit leaves open."""
    matrices = np.array([np.diag([3, 7, 11]), np.diag([5, 1, 13]), np.diag([2, 9, 49])])
    mix = np.array([0.5, 0.3, 0.2])
    seen = prevalence_intervals(matrices, mix)
    for name, _, one in flat(seen):
        assert one.value == one.high == 1
        assert 0 < one.low < 1, name
        assert "low: no call of a kind that was not seen is taken for impossible" in one.method
        assert one.method.endswith("intraclass correlation of .05")
    sizes = np.array([[3, 5, 2], [7, 1, 9], [11, 13, 49]])
    limits = 1 - 0.025 ** (1 / np.array([effective_cells(row) for row in sizes]))
    assert seen["accuracy"].low == pytest.approx(1 - (mix * limits).max())
    wrong = max(mix[1] * limits[1], mix[2] * limits[2])
    assert seen["precision"][0].low == pytest.approx(mix[0] / (mix[0] + wrong))
    copies = prevalence_intervals(matrices, mix, assumed_icc=1)
    assert copies["accuracy"].low < seen["accuracy"].low
    assert copies["accuracy"].method.endswith("correlation of 1")


def test_a_kind_of_call_seen_once_is_left_to_the_jackknife():
    """With every kind seen, no bound is moved; without one, none is drawn in."""
    matrices = stream(14, "kinds").integers(1, 9, size=(6, 3, 3))
    before = prevalence_intervals(matrices, [500, 1, 3])
    assert not any("not seen" in one.method for _, _, one in flat(before))
    matrices[:, 0, 1] = 0
    left = {name: [] for name in (*WHOLE, *BY_CATEGORY)}
    for g in range(6):
        rest = scores(reweighted(np.delete(matrices, g, axis=0).sum(axis=0), [500, 1, 3]))
        for name, found in left.items():
            found.append(rest[name])
    moved = 0
    for name, c, one in flat(prevalence_intervals(matrices, [500, 1, 3])):
        values = [np.atleast_1d(value)[c] for value in left[name]]
        plain = (jackknife_agreement if name in AGREEMENT_METRICS else jackknife_logit)(
            one.value, values
        )
        assert one.low <= plain.low + 1e-9
        assert one.high >= plain.high - 1e-9
        moved += (one.low < plain.low - 1e-9) | (one.high > plain.high + 1e-9)
        assert ("not seen" in one.method) == (
            (one.low < plain.low - 1e-9) | (one.high > plain.high + 1e-9)
        )
    assert moved


def few_segmented(number, cells):
    """Draw 20 cases with one or two segmented cells, a twentieth of which are called band."""
    rng = stream(15, "segmented", number)
    matrices = np.zeros((20, 3, 3), dtype=np.int64)
    for c, other, total, share in ((0, 1, cells, 0.95), (1, 0, 10, 0.85), (2, 1, 10, 0.99)):
        matrices[:, c, c] = rng.binomial(total, share, 20)
        matrices[:, c, other] = total - matrices[:, c, c]
    return matrices


@pytest.mark.parametrize("cells", [1, 2])
def test_precision_of_bands_is_covered_though_few_segmented_cells_were_tested(cells):
    """Weighted to ten segmented cells a band, 200 sets, the false calls often not seen at all."""
    mix = np.array([5541, 536, 3719])
    called = mix * [0.05, 0.85, 0.01]
    truth, n_sets, covered = called[1] / called.sum(), 200, 0
    for number in range(n_sets):
        seen = prevalence_intervals(few_segmented(number, cells), mix)["precision"][1]
        covered += seen.low <= truth <= seen.high
    assert covered / n_sets >= 0.93


def test_a_rare_category_lends_its_degrees_to_scores_at_a_mix():
    """Accuracy at a mix is a sum of recalls: its degrees are theirs, weighted by the mix."""
    matrices = stream(16, "degrees").integers(1, 12, size=(9, 3, 3))
    mix = np.array([0.1, 0.1, 0.8])
    full = prevalence_intervals(matrices, mix)
    assert not any("degrees" in one.method for _, _, one in flat(full))
    matrices[4:, 2] = 0
    recall = np.array(jackknife_reference.without_each(matrices.tolist(), "recall"))
    variances = ((mix * (recall - recall.mean(axis=0))) ** 2).sum(axis=0)
    degrees = variances.sum() ** 2 / (variances**2 / [8, 8, 3]).sum()
    seen = prevalence_intervals(matrices, mix)["accuracy"]
    assert degrees < 8
    assert f"; t of {degrees:.3g} degrees: not every group holds every category" in seen.method


def test_merged_categories_have_a_recall_that_moves_with_the_mix():
    """Bands called neutrophil less often than segmented cells: the mix tells how often in all."""
    matrices = stream(17, "recall").integers(1, 12, size=(6, 4, 4))
    labels, pooled = [0, 1, 2, 2], matrices.sum(axis=0)
    assert "recall" not in prevalence_intervals(matrices, [1, 1, 1, 1], labels=[2, 0, 1, 3])
    for mix in ([1, 1, 1, 9], [1, 1, 9, 1]):
        seen = prevalence_intervals(matrices, mix, labels=labels)
        within = pooled[2:, 2:].sum(axis=1) / pooled[2:].sum(axis=1)
        assert seen["recall"][2].value == pytest.approx(within @ mix[2:] / 10)
        recalls = [one.value for one in seen["recall"]]
        assert seen["balanced_accuracy"].value == pytest.approx(np.mean(recalls))
        assert seen["recall"][2].low < seen["recall"][2].value < seen["recall"][2].high


def test_a_constant_model_is_undefined_and_not_rounded_to_a_number():
    """All called one category: specificity of exactly 0, no mcc, kappa of 0 in every group."""
    matrices = np.zeros((4, 3, 3), dtype=np.int64)
    matrices[:, :, 0] = stream(7, "constant").integers(1, 50, size=(4, 3))
    seen = prevalence_intervals(matrices, [1 / 3, 0.15, 0.7e-4])
    assert seen["specificity"][0].value == 0
    assert seen["specificity"][0].low == 0 < seen["specificity"][0].high < 0.5
    assert "high: no call of a kind that was not seen" in seen["specificity"][0].method
    assert np.isnan(seen["mcc"].value)
    assert seen["kappa"].value == pytest.approx(0, abs=1e-12)
    assert all(np.isnan(seen[name].low) for name in ("accuracy", "mcc", "kappa"))
    assert seen["accuracy"].method == "undefined: the groups do not differ"


def test_inverted_calls_are_exactly_minus_one():
    """Two categories always called each other: no logit of rounding."""
    matrices = np.array([[[0, 3], [7, 0]], [[0, 5], [11, 0]], [[0, 2], [49, 0]]])
    seen = prevalence_intervals(matrices, [0.1, 0.7])["mcc"]
    assert seen.value == -1
    assert np.isnan([seen.low, seen.high]).all()
    assert "exactly -1 shows no spread" in seen.method


def test_agreement_of_all_wrong_calls_has_no_interval():
    """Three categories called each other: mcc and kappa come of the margins alone."""
    matrices = stream(18, "wrong").integers(1, 9, size=(8, 3, 3)) * (1 - np.eye(3, dtype=int))
    seen = prevalence_intervals(matrices, [5, 2, 1])
    for name in AGREEMENT_METRICS:
        assert -1 < seen[name].value < 0
        assert np.isnan([seen[name].low, seen[name].high]).all()
        assert seen[name].method.startswith("undefined: every call is wrong")
    assert seen["accuracy"].low == 0 < seen["accuracy"].high < 1


def test_a_category_of_one_group_leaves_no_interval():
    """Without that group the mix cannot be had at all, and nothing is said of any score."""
    matrices = stream(8, "one").integers(1, 9, size=(5, 3, 3))
    matrices[1:, 2] = 0
    for _, _, seen in flat(prevalence_intervals(matrices, [1, 1, 1])):
        assert -1 < seen.value < 1
        assert np.isnan([seen.low, seen.high]).all()
        assert "a category is seen in it only" in seen.method


def test_jackknife_covers_precision_at_a_mix():
    """20 cases of 60 cells, confusion differing between cases, 300 sets: 95 % at a fifth."""
    rates, mix = np.array([[0.85, 0.15], [0.2, 0.8]]), np.array([0.2, 0.8])
    truth = mix[0] * rates[0, 0] / (mix @ rates[:, 0])
    n_sets, covered = 300, 0
    for number in range(n_sets):
        rng = stream(9, "coverage", number)
        common = rng.binomial(60, rng.beta(6, 3, 20))
        right = rng.binomial(common, rng.beta(8.5, 1.5, 20))
        wrong = rng.binomial(60 - common, rng.beta(2, 8, 20))
        rows = [[right, common - right], [wrong, 60 - common - wrong]]
        seen = prevalence_intervals(np.moveaxis(np.array(rows), 2, 0), mix)["precision"][0]
        covered += seen.low <= truth <= seen.high
    assert abs(covered / n_sets - 0.95) < 4 * np.sqrt(0.95 * 0.05 / n_sets)


def test_many_groups_need_little_memory():
    """100,000 families at 13 categories are given intervals at a mix within 150 MB."""
    n_groups, k = 100_000, 13
    matrices = np.zeros((n_groups, k, k), dtype=np.int64)
    truth, calls = stream(10, "many").integers(0, k, size=(2, n_groups))
    matrices[np.arange(n_groups), truth, calls] = 1
    mix = np.arange(1, k + 1)
    tracemalloc.start()
    seen = prevalence_intervals(matrices, mix)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6
    expected = prevalence_reference.precision(matrices.sum(axis=0).tolist(), mix.tolist(), 12)
    assert seen["precision"][12].value == pytest.approx(expected)
    assert f"{n_groups} groups" in seen["precision"][12].method


@pytest.mark.parametrize("at_mix", [reweighted, prevalence_intervals])
@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ([1, 1, 1, 0.5], "The mix holds category 3, of which the test set has no cell"),
        ([1, 0, 1, 0], r"The test set has \d+ cells of category 1, to which the mix gives no"),
        ([1, 1, 1], "A mix is 4 shares"),
        ([1, 1, np.nan, 0], "A mix is 4 shares"),
        ([1, 1, np.inf, 0], "A mix is 4 shares"),
        ([1, 2, -1, 0], "A mix is 4 shares"),
        ([0, 0, 0, 0], "not all 0"),
    ],
)
def test_a_mix_that_does_not_fit_is_refused(at_mix, mix, message):
    """A share without cells cannot be weighted to, and cells without a share are not dropped."""
    matrices = stream(11, "refused").integers(1, 9, size=(3, 4, 4))
    matrices[:, 3] = 0
    with pytest.raises(DataError, match=message):
        at_mix(matrices, mix)


def test_what_is_no_grouped_count_level_or_merging_is_refused():
    """As everywhere: whole counts with three axes, a level below 1, labels that fit."""
    matrices = np.ones((3, 2, 2), dtype=np.int64)
    with pytest.raises(DataError, match="Grouped confusion matrices"):
        prevalence_intervals(matrices * 0.5, [1, 1])
    with pytest.raises(UsageError, match="between 0 and 1"):
        prevalence_intervals(matrices, [1, 1], 95)
    with pytest.raises(DataError, match="Merging 2 categories"):
        prevalence_intervals(matrices, [1, 1], labels=[0, 2])
    with pytest.raises(DataError, match="confusion matrix"):
        reweighted([[1, 2]], [1, 1])
    assert isinstance(prevalence_intervals(matrices, [1, 1])["accuracy"], Interval)


def rows_of(seed, n=20, k=4):
    return stream(seed, "rows").dirichlet(np.ones(k), size=n)


@given(st.integers(0, 10**6), MIX, MIX, MIX)
def test_repriored_rows_are_bayes_and_compose(seed, assumed, middle, stated):
    """Rows sum to one, equal Bayes's rule, and two turns are one; the same mix changes nothing."""
    rows = rows_of(seed)
    seen = repriored(rows, assumed, stated)
    np.testing.assert_allclose(seen.sum(axis=1), 1, rtol=1e-12)
    slow = [prevalence_reference.repriored(row, assumed.tolist(), stated.tolist()) for row in rows]
    np.testing.assert_allclose(seen, slow, rtol=1e-9)
    twice = repriored(repriored(rows, assumed, middle), middle, stated)
    np.testing.assert_allclose(twice, seen, rtol=1e-9)
    np.testing.assert_allclose(repriored(rows, stated, stated * 3), rows, rtol=1e-12)
    np.testing.assert_allclose(repriored(seen, stated, assumed), rows, rtol=1e-9)


def test_repriored_probabilities_are_those_of_a_model_made_at_the_mix():
    """Two normal densities: what is right at equal shares becomes what is right at 1 to 9."""
    places = stream(12, "normal").normal(size=50)
    densities = np.stack([norm.pdf(places, 0, 1), norm.pdf(places, 1, 1)], axis=1)
    equal, rare = (
        densities * mix / (densities * mix).sum(axis=1, keepdims=True)
        for mix in ([0.5, 0.5], [0.1, 0.9])
    )
    np.testing.assert_allclose(repriored(equal, [1, 1], [1, 9]), rare)


def test_repriored_categories_may_be_ruled_out():
    """A stated share of 0 is a probability of 0; single precision is taken."""
    rows = rows_of(13).astype(np.float32)
    seen = repriored(rows, [1, 1, 1, 1], [1, 1, 0, 2])
    assert seen.dtype == np.float64
    assert (seen[:, 2] == 0).all()
    np.testing.assert_allclose(seen.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0.5, 0.5], [0.9, 0.3]], r"row 1 says \[0.9, 0.3\], and 1 of 2 rows"),
        ([[1.2, -0.2]], "row 0 says"),
        ([[np.nan, 1.0]], "row 0 says"),
        ([0.5, 0.5], "a row a cell"),
        ([[0.2, 0.3, 0.5]], "A mix is 3 shares"),
    ],
)
def test_what_are_no_probabilities_is_refused(rows, message):
    """Logits, gaps and rows that do not sum to one are never turned."""
    with pytest.raises(DataError, match=message):
        repriored(rows, [1, 1], [1, 2])


def test_mixes_that_cannot_be_turned_to_are_refused():
    """No weight makes up for a category never trained, and a row needs something left."""
    with pytest.raises(DataError, match="The stated mix holds category 1"):
        repriored([[0.5, 0.5]], [1, 0], [1, 1])
    with pytest.raises(DataError, match="Row 1 holds only categories possible"):
        repriored([[0.5, 0.5], [0.0, 1.0]], [1, 1], [1, 0])
