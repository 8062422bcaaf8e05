import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_rel
from tests.reference import replicas_reference

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.stats.binomial import wilson
from leukoscope.stats.replicas import (
    mcnemar_chi_squared,
    mcnemar_exact,
    nadeau_bengio,
    paired_t,
    wald,
)

COUNTS = st.integers(0, 60)
SCORES = st.lists(st.integers(0, 100).map(lambda x: x / 100), min_size=2, max_size=9)

NOZAKA_RECALL = {
    "a": (0.989, 1.000, 0.990, 0.932, 0.826, 0.618),
    "b": (1.000, 1.000, 0.982, 0.943, 0.631, 0.775),
    "c": (1.000, 1.000, 0.987, 0.941, 0.933, 0.724),
    "d": (1.000, 1.000, 0.984, 0.918, 0.910, 0.772),
    "e": (1.000, 1.000, 0.988, 0.905, 0.924, 0.766),
}
"""Table 1 of nozaka-2022: basophil, eosinophil, lymphocyte, monocyte, band, segmented."""


@given(COUNTS, COUNTS)
def test_exact_mcnemar_agrees_with_plain_sums_and_with_scipy(only_baseline, only_other):
    """The p value is that of all splits as uneven, and of scipy's binomial test."""
    seen = mcnemar_exact(only_baseline, only_other)
    assert seen == pytest.approx(replicas_reference.mcnemar_exact(only_baseline, only_other))
    if only_baseline + only_other:
        assert seen == pytest.approx(binomtest(only_other, only_baseline + only_other).pvalue)


@given(COUNTS, COUNTS)
def test_mcnemar_does_not_ask_which_model_comes_first(only_baseline, only_other):
    """Swapped models have the same statistic and p values."""
    assert mcnemar_exact(only_baseline, only_other) == mcnemar_exact(only_other, only_baseline)
    there = mcnemar_chi_squared(only_baseline, only_other)
    assert there == mcnemar_chi_squared(only_other, only_baseline)


def test_mcnemar_of_the_presidents_approval():
    """Agresti (1990), Categorical Data Analysis, page 350: z² = 17.36 of 150 and 86 changes."""
    statistic, p_value = mcnemar_chi_squared(150, 86, corrected=False)
    assert statistic == pytest.approx(17.36, abs=0.005)
    assert p_value == pytest.approx(math.erfc(math.sqrt(17.3559 / 2)), rel=1e-3)
    assert mcnemar_chi_squared(150, 86)[0] == pytest.approx(63**2 / 236)


def test_mcnemar_of_the_cabinets_approval():
    """Aoki's lecture notes (Gunma), 28 and 35 changes: as R's mcnemar.test and binom.test print."""
    plain = mcnemar_chi_squared(28, 35, corrected=False)
    assert plain == (pytest.approx(0.7778, abs=5e-5), pytest.approx(0.3778, abs=5e-5))
    corrected = mcnemar_chi_squared(28, 35)
    assert corrected == (pytest.approx(0.5714, abs=5e-5), pytest.approx(0.4497, abs=5e-5))
    assert mcnemar_exact(28, 35) == pytest.approx(0.45, abs=5e-5)


@given(st.integers(0, 400), st.integers(400, 800))
def test_the_correction_only_takes_away(few, many):
    """The corrected statistic is never larger, and its p value near the exact one."""
    corrected, plain = (
        mcnemar_chi_squared(few, many),
        mcnemar_chi_squared(few, many, corrected=False),
    )
    assert corrected[0] <= plain[0]
    assert corrected[1] == pytest.approx(mcnemar_exact(few, many), abs=0.005)


def test_without_discordant_cells_nothing_differs():
    """p is 1 and the statistic 0."""
    assert mcnemar_exact(0, 0) == 1
    assert mcnemar_chi_squared(0, 0) == (0, 1)


@pytest.mark.parametrize("counts", [(-1, 3), (2.5, 3), (np.nan, 3), (3, np.inf)])
def test_mcnemar_refuses_what_is_no_count(counts):
    """Counts below 0, in parts, undefined or without end."""
    for test in (mcnemar_exact, mcnemar_chi_squared):
        with pytest.raises(DataError, match="two whole counts"):
            test(*counts)


@pytest.mark.parametrize(
    ("gain", "printed"), [(0, 1.0), (1, 1.0), (2, 0.5), (3, 0.25), (4, 0.125), (5, 0.0625)]
)
def test_smallest_p_that_the_margins_of_gaur_allow(gain, printed):
    """G-7: a net gain of so many of 52 images, whatever images the two models miss together."""
    pairs = [(worse, worse + gain) for worse in range((52 - gain) // 2 + 1)]
    assert min(mcnemar_exact(*pair) for pair in pairs) == pytest.approx(printed)


def test_gaurs_only_possible_finding_is_against_the_claim():
    """G-8: generated cells alone lose 6 images against the usual augmentation, p at least .031."""
    assert mcnemar_exact(6, 0) == pytest.approx(0.031, abs=5e-4)


def test_overlapping_intervals_of_saquib_hide_a_difference_of_cells():
    """SR-8: none against noise, margins force |z| between 3.29 and 3.96; the intervals overlap."""
    right = {"none": (39, 634), "noise": (188, 546)}
    fewest, most = replicas_reference.discordant_range(right["none"], right["noise"], (1219, 648))
    net = sum(right["noise"]) - sum(right["none"])
    roots = [
        mcnemar_chi_squared((n - net) // 2, (n + net) // 2, corrected=False)[0] ** 0.5
        for n in (most, fewest)
    ]
    assert roots == [pytest.approx(3.29, abs=0.005), pytest.approx(3.96, abs=0.005)]
    intervals = [wald(sum(right[arm]) / 1867, 1867) for arm in ("none", "noise")]
    assert intervals[0][1] > intervals[1][0]


@pytest.mark.parametrize(
    ("right", "printed"),
    [
        (1219, 0.02159),
        (1220, 0.02158),
        (673, 0.02177),
        (704, 0.02198),
        (734, 0.02215),
        (724, 0.02210),
    ],
)
def test_wald_gives_the_half_widths_saquib_prints(right, printed):
    """SR-1, SR-2: of 1,867 cells, to the fifth place, which the paper cuts off."""
    low, high = wald(right / 1867, 1867)
    assert math.floor((high - low) / 2 * 1e5) / 1e5 == pytest.approx(printed)


@pytest.mark.parametrize(("right", "printed"), [(746, 0.02219), (657, 0.02176), (676, 0.02163)])
def test_wald_finds_the_half_widths_that_belong_to_other_runs(right, printed):
    """SR-2: the three transfer arms' printed ± are not those of their accuracies."""
    low, high = wald(right / 1867, 1867)
    assert abs((high - low) / 2 - printed) > 2e-5


@given(st.integers(0, 40), st.integers(1, 40))
def test_wald_is_symmetric_and_centred(hits, misses):
    """Right and wrong turned round mirror the interval about its share."""
    n = hits + misses
    low, high = wald(hits / n, n)
    assert (low + high) / 2 == pytest.approx(hits / n)
    assert wald(misses / n, n) == (pytest.approx(1 - high), pytest.approx(1 - low))


def test_wald_has_the_faults_its_page_names():
    """No width for a share of 1, beyond 1 for 9 of 10, and too seldom right where Wilson holds."""
    assert wald(1.0, 20) == (1, 1)
    assert wald(0.9, 10)[1] > 1
    n, share = 20, 0.95
    chance = [math.comb(n, x) * share**x * (1 - share) ** (n - x) for x in range(n + 1)]
    covered = {
        "wald": sum(c for x, c in enumerate(chance) if _holds(wald(x / n, n), share)),
        "wilson": sum(c for x, c in enumerate(chance) if _holds(wilson(x, n), share)),
    }
    assert covered["wald"] < 0.65
    assert covered["wilson"] > 0.92


def _holds(interval, share):
    return interval[0] <= share <= interval[1]


@pytest.mark.parametrize(("share", "n"), [(1.1, 10), (-0.1, 10), (0.5, 0), (np.nan, 10)])
def test_wald_refuses_what_is_no_share(share, n):
    """A share outside [0, 1], or of nothing."""
    with pytest.raises(DataError, match="A proportion lies in"):
        wald(share, n)


@pytest.mark.parametrize("seed", range(5))
def test_paired_t_agrees_with_scipy(seed):
    """t, degrees and p of drawn pairs."""
    before, after = stream(seed, "pairs").normal(size=(2, 3 + seed))
    expected = ttest_rel(after, before)
    seen = paired_t(before, after)
    np.testing.assert_allclose(seen, (expected.statistic, expected.df, expected.pvalue))


@pytest.mark.parametrize(
    ("arms", "t", "p_value"),
    [("ab", -0.09, 0.934), ("ac", 1.77, 0.137), ("ad", 1.40, 0.221), ("be", 0.83, 0.444)],
)
def test_paired_t_over_nozakas_categories_bears_out_no_verdict(arms, t, p_value):
    """N22-16: the recalls of Table 1 over six categories, none of the pairs significant."""
    seen = paired_t(*(NOZAKA_RECALL[arm] for arm in arms))
    assert seen == (pytest.approx(t, abs=0.005), 5, pytest.approx(p_value, abs=5e-4))


def test_no_pair_of_nozakas_arms_differs_over_categories():
    """N22-16: the smallest p of all ten pairs is that of a against c."""
    pairs = list(itertools.combinations("abcde", 2))
    found = {pair: paired_t(*(NOZAKA_RECALL[arm] for arm in pair))[2] for pair in pairs}
    assert min(found, key=found.get) == ("a", "c")
    assert min(found.values()) > 0.13


@given(st.integers(0, 10**6), st.integers(2, 9))
def test_swapped_or_shuffled_pairs_change_the_sign_alone(seed, n_pairs):
    """Swapping turns t round; the order of pairs changes nothing."""
    rng = stream(seed, "pairs")
    before, after = rng.random((2, n_pairs))
    t, degrees, p_value = paired_t(before, after)
    assert paired_t(after, before) == pytest.approx((-t, degrees, p_value))
    order = rng.permutation(n_pairs)
    assert paired_t(before[order], after[order]) == pytest.approx((t, degrees, p_value))


def test_pairs_without_spread_cannot_be_tested():
    """Alike everywhere: t 0 and p 1. Apart by as much everywhere, or one pair: NaN."""
    assert paired_t([0.1, 0.7, 0.4], [0.1, 0.7, 0.4]) == (0, 2, 1)
    for before, after in (([0.1, 0.7, 0.9], [0.2, 0.8, 1.0]), ([0.1], [0.2])):
        t, degrees, p_value = paired_t(before, after)
        assert (math.isnan(t), degrees, math.isnan(p_value)) == (True, len(before) - 1, True)


def test_pairs_that_are_none_are_refused():
    """Rows of two lengths, undefined scores, a table."""
    with pytest.raises(DataError, match="needs pairs; seen 2 scores"):
        paired_t([0.1, 0.2], [0.1, 0.2, 0.3])
    with pytest.raises(DataError, match="one row of finite numbers"):
        paired_t([0.1, np.nan], [0.1, 0.2])
    with pytest.raises(DataError, match="one row of finite numbers"):
        nadeau_bengio([[0.1, 0.2]], 8, 2)


@pytest.mark.parametrize("seed", range(4))
def test_nadeau_bengio_agrees_with_its_formula(seed):
    """t and p as written out; r − 1 degrees."""
    differences = stream(seed, "splits").normal(0.02, 0.03, size=4 + seed)
    t, degrees, p_value = nadeau_bengio(differences, 80, 20)
    expected = replicas_reference.nadeau_bengio(differences.tolist(), 80, 20)
    assert (t, p_value) == pytest.approx(expected)
    assert degrees == 3 + seed


@given(SCORES, st.integers(1, 1000), st.integers(1, 1000))
def test_nadeau_bengio_is_wider_than_paired_t(scores, n_train, n_test):
    """|t| is never larger, p never smaller; with hardly any test cells they are the same."""
    differences = np.array(scores) - 0.305
    plain = paired_t(np.zeros(len(scores)), differences)
    corrected = nadeau_bengio(differences, n_train, n_test)
    limit = nadeau_bengio(differences, 10**9, 1)
    if math.isnan(plain[0]):
        assert math.isnan(corrected[0])
        return
    assert abs(corrected[0]) < abs(plain[0])
    assert corrected[2] > plain[2]
    assert limit == pytest.approx(plain, rel=1e-6)


def test_nadeau_bengio_needs_sizes():
    """Splits without training or test cells are refused; so are none at all untested."""
    for sizes in ((0, 10), (10, 0), (np.nan, 10)):
        with pytest.raises(UsageError, match="at least 1 training and 1 test cell"):
            nadeau_bengio([0.1, 0.2], *sizes)
    assert np.isnan(nadeau_bengio([0.1], 80, 20)[0])


def test_resampled_splits_fool_the_paired_t_more_than_the_corrected_one():
    """Two rules alike on average, 15 splits of 60 cells: the first errs far above 5 %."""
    rejected = np.zeros(2)
    n_sets = 400
    for i in range(n_sets):
        rng = stream(i, "resampled")
        # Each cell pulls the trained difference; the same 60 cells serve every split.
        cells = rng.normal(size=60)
        kept = np.array([rng.permutation(60) for _ in range(15)])
        differences = cells[kept[:, :12]].mean(axis=1)
        rejected += [
            paired_t(np.zeros(15), differences)[2] < 0.05,
            nadeau_bengio(differences, 48, 12)[2] < 0.05,
        ]
    shares = rejected / n_sets
    assert shares[0] > 0.2
    assert shares[1] < 0.05 + 2 * (0.05 * 0.95 / n_sets) ** 0.5
