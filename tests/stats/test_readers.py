from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from tests.reference import readers_reference

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.stats.intervals import grouped_intervals
from leukoscope.stats.readers import (
    cohen_kappa_interval,
    fleiss_kappa,
    fleiss_kappa_interval,
    majority,
)
from leukoscope.stats.scores import grouped_confusion

SEEDS = st.integers(0, 10**6)

# Cohen (1960), Educational and Psychological Measurement 20:37-46, table 2b: kappa .492.
COHEN_1960 = ((88, 14, 18), (10, 40, 10), (2, 6, 12))

# Fleiss (1971), Psychological Bulletin 76:378-382, table 1: 30 patients, 6 diagnoses each, of
# depression, personality disorder, schizophrenia, neurosis or other: kappa .430.
FLEISS_1971 = """
00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031
00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
"""

# The example of fourteen readers and ten cells that textbooks and the encyclopaedia's article
# "Fleiss' kappa" work through: .210.
FOURTEEN_READERS = (
    *((0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1)),
    *((7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7)),
)


def labels_of(counts):
    """Spell out counts of each category as one label a reader."""
    return np.array([np.repeat(np.arange(len(row)), row) for row in counts])


def drawn(seed, *, n_cells=60, n_readers=4, n_categories=3, alike=0.6):
    """Draw readers who see the truth with some chance and else guess."""
    rng = stream(seed, "readers")
    truth = rng.integers(0, n_categories, (n_cells, 1))
    guess = rng.integers(0, n_categories, (n_cells, n_readers))
    return np.where(rng.random((n_cells, n_readers)) < alike, truth, guess)


def bounds(found):
    """Give value, low and high."""
    return found.value, found.low, found.high


# Majority

READ = st.integers(1, 6).flatmap(
    lambda r: st.lists(st.lists(st.integers(-1, 3), min_size=r, max_size=r), min_size=1, max_size=8)
)


@given(READ)
def test_majority_agrees_with_counting_votes(labels):
    """More than half of those who read decide; nobody else does."""
    assert majority(labels).tolist() == readers_reference.majority(labels)


@given(READ, st.randoms(use_true_random=False))
def test_the_order_of_readers_decides_nothing(labels, random):
    """Each cell's readers may be listed in any order."""
    shuffled = [random.sample(row, len(row)) for row in labels]
    assert majority(shuffled).tolist() == majority(labels).tolist()


def test_majority_of_a_few_by_hand():
    """Two of three decide, one of two does not, one alone does, and nobody decides nothing."""
    labels = [[2, 0, 2], [0, 1, -1], [-1, -1, 1], [-1, -1, -1], [0, 1, 2]]
    assert majority(labels).tolist() == [2, -1, 1, -1, -1]
    assert majority(np.empty((2, 0), dtype=int)).tolist() == [-1, -1]
    assert majority(np.empty((0, 3), dtype=int)).tolist() == []


# Two readers


def test_the_printed_example_of_two_readers():
    """Cohen's table of 200 gives .492."""
    rows, columns = np.divmod(np.repeat(np.arange(9), np.ravel(COHEN_1960)), 3)
    found = cohen_kappa_interval(rows, columns, np.arange(200), 3)
    assert found.value == pytest.approx(0.492, abs=5e-4)
    assert found.low < 0.492 < found.high


@given(SEEDS)
def test_kappa_of_two_agrees_with_scikit_learn_and_pairs(seed):
    """Two independent ways give the same kappa, and swapped readers the same interval."""
    first, second = drawn(seed, n_readers=2).T
    groups = np.arange(60) % 7
    found = cohen_kappa_interval(first, second, groups, 3)
    assert found.value == pytest.approx(cohen_kappa_score(first, second))
    assert found.value == pytest.approx(readers_reference.cohen(first, second))
    swapped = cohen_kappa_interval(second, first, groups, 3)
    np.testing.assert_allclose(bounds(swapped), bounds(found))


def test_two_readers_are_scored_as_truth_and_calls_are():
    """The interval is that of the kappa of a confusion matrix, whatever groups are called."""
    first, second = drawn(5, n_readers=2).T
    groups = np.arange(60) % 7
    found = cohen_kappa_interval(first, second, 100 - 10 * groups, 3)
    matrices = grouped_confusion(first, second, groups, 3)
    np.testing.assert_allclose(bounds(found), bounds(grouped_intervals(matrices)["kappa"]))


def test_expected_agreement_of_two_is_zero():
    """Over all orders of the second reader's calls, kappa is 0 in the mean."""
    first, second = np.array([0, 0, 1, 1, 2, 0]), np.array([0, 1, 1, 2, 2, 0])
    groups = np.arange(6)
    found = [
        cohen_kappa_interval(first, np.array(order), groups, 3).value
        for order in permutations(second.tolist())
    ]
    assert np.mean(found) == pytest.approx(0, abs=1e-12)
    assert np.ptp(found) > 0.5


# Several readers


def test_the_printed_examples_of_several_readers():
    """Fleiss's thirty patients give .430, the fourteen readers .210."""
    counts = [[int(digit) for digit in row] for row in FLEISS_1971.split()]
    assert np.sum(counts, axis=0).tolist() == [26, 26, 30, 55, 43]
    assert fleiss_kappa(labels_of(counts), 5) == pytest.approx(0.430, abs=5e-4)
    assert fleiss_kappa(labels_of(FOURTEEN_READERS), 5) == pytest.approx(0.210, abs=5e-4)


@given(SEEDS, st.integers(2, 6))
def test_kappa_of_several_agrees_with_asking_every_pair(seed, n_readers):
    """Kappa is that of all pairs of readers; unused categories and orders change nothing."""
    labels = drawn(seed, n_cells=12, n_readers=n_readers)
    assume(np.ptp(labels) > 0)
    expected = readers_reference.fleiss(labels.tolist())
    assert fleiss_kappa(labels, 3) == pytest.approx(expected)
    assert fleiss_kappa(labels, 8) == pytest.approx(expected)
    shuffled = stream(seed, "order").permuted(labels, axis=1)
    assert fleiss_kappa(shuffled, 3) == pytest.approx(expected)
    renamed = np.array([2, 0, 1])[labels]
    assert fleiss_kappa(renamed, 3) == pytest.approx(expected)


def test_expected_agreement_of_several_is_zero():
    """Over all orders of each reader's calls, of equal mixes, kappa is 0 in the mean."""
    calls = (0, 0, 1, 2)
    orders = list(permutations(calls))
    found = [
        fleiss_kappa(np.stack([calls, one, other], axis=1), 3) for one in orders for other in orders
    ]
    assert np.mean(found) == pytest.approx(0, abs=1e-12)
    assert np.ptp(found) > 0.5


@pytest.mark.parametrize("n_readers", [2, 3, 7])
def test_equal_readers_agree_wholly_and_opposed_ones_least(n_readers):
    """Kappa is exactly 1 of readers who never differ, −1/(r − 1) of those who always do."""
    truth = np.array([0, 2, 1, 1, 0])
    assert fleiss_kappa(np.repeat(truth[:, None], n_readers, axis=1), 3) == 1
    opposed = np.stack([(np.arange(n_readers) + i) % n_readers for i in range(n_readers)])
    assert fleiss_kappa(opposed, n_readers) == pytest.approx(-1 / (n_readers - 1))


# Intervals


@settings(max_examples=25)
@given(SEEDS)
def test_intervals_agree_with_leaving_groups_out(seed):
    """Both kappas' bounds are those of plainly leaving out each group, of unequal size."""
    labels = drawn(seed)
    groups = stream(seed, "groups").integers(3, 9, 60)
    cells = labels.tolist()
    several = fleiss_kappa_interval(labels, groups, 3)
    expected = readers_reference.interval(readers_reference.fleiss, cells, groups.tolist())
    np.testing.assert_allclose(bounds(several), expected)

    def of_two(rows):
        return readers_reference.cohen(*zip(*rows, strict=True))

    two = cohen_kappa_interval(labels[:, 0], labels[:, 1], groups, 3)
    expected = readers_reference.interval(of_two, labels[:, :2].tolist(), groups.tolist())
    np.testing.assert_allclose(bounds(two), expected)
    assert several.method == two.method
    assert f"{np.unique(groups).size} groups" in several.method


def test_intervals_cover_the_agreement_of_the_population():
    """Of 300 drawn sets of 20 cases, whose readers differ by case, nearly .95 hold it."""
    n_sets, rng, size = 300, stream(2, "coverage"), (20, 15)

    def read(n_cases, n_cells):
        sight = rng.beta(6, 4, (n_cases, 1, 1))
        truth = rng.integers(0, 3, (n_cases, n_cells, 1))
        guess = rng.integers(0, 3, (n_cases, n_cells, 3))
        seen = rng.random((n_cases, n_cells, 3)) < sight
        return np.where(seen, truth, guess).reshape(-1, 3)

    whole = fleiss_kappa(read(20_000, 15), 3)
    groups = np.repeat(np.arange(size[0]), size[1])
    found = [fleiss_kappa_interval(read(*size), groups, 3) for _ in range(n_sets)]
    share = np.mean([one.low <= whole <= one.high for one in found])
    assert abs(share - 0.95) < 3 * np.sqrt(0.95 * 0.05 / n_sets)


@pytest.mark.parametrize(
    ("labels", "groups", "reason"),
    [
        ([[1, 1], [1, 1]], [0, 1], "one category"),
        ([[0, 1], [1, 1]], [0, 0], "fewer than 2 groups"),
        ([[0, 0], [1, 1]], [0, 1], "exactly 1"),
        ([[0, 0], [1, 1], [1, 0]], [0, 1, 1], "without one of the groups"),
    ],
)
def test_what_cannot_be_said_has_its_reason(labels, groups, reason):
    """One category, one group, no difference and a group that cannot be missed have no bounds."""
    first, second = np.transpose(labels)
    for found in (
        fleiss_kappa_interval(labels, groups, 2),
        cohen_kappa_interval(first, second, groups, 2),
    ):
        assert np.isnan(found.low)
        assert np.isnan(found.high)
        assert reason in found.method
        assert found.method.startswith("undefined")


def test_no_cells_have_no_kappa():
    """Of nothing nothing is said."""
    nothing = np.empty((0, 3), dtype=int)
    assert np.isnan(fleiss_kappa(nothing, 3))
    assert np.isnan(fleiss_kappa_interval(nothing, [], 3).value)
    assert np.isnan(cohen_kappa_interval([], [], [], 3).value)


# Bad input


@pytest.mark.parametrize("labels", [[0, 1], [[0.5, 1.0]], [[-2, 1]], [["a", "b"]]])
def test_what_are_no_labels_is_refused(labels):
    """Labels are whole codes, a row a cell."""
    for method in (majority, lambda found: fleiss_kappa(found, 2)):
        with pytest.raises(DataError, match=r"[Rr]eaders"):
            method(labels)


def test_gaps_and_unknown_codes_and_single_readers_have_no_kappa():
    """A gap names its row; a code beyond the categories and one reader alone are refused."""
    with pytest.raises(DataError, match=r"row 1 says -1.*not every reader"):
        fleiss_kappa([[0, 1], [0, -1]], 2)
    for labels in ([[0, 2]], [[0], [1]]):
        with pytest.raises(DataError, match="at least 2 readers and codes from 0 to 1"):
            fleiss_kappa(labels, 2)
    with pytest.raises(DataError, match="row 0 says -1"):
        cohen_kappa_interval([-1, 0], [0, 0], [0, 1], 2)


@pytest.mark.parametrize("groups", [[0, 1], [[0], [1], [2]], [0.5, 1, 2]])
def test_groups_are_one_code_a_cell(groups):
    """Groups of another length or kind are refused."""
    labels = np.array([[0, 1], [1, 1], [0, 0]])
    with pytest.raises(DataError, match="group"):
        fleiss_kappa_interval(labels, groups, 2)
    with pytest.raises(DataError, match="group"):
        cohen_kappa_interval(labels[:, 0], labels[:, 1], groups, 2)


def test_levels_of_kappa_lie_between_0_and_1():
    """A level that is none is refused."""
    labels = drawn(1)
    with pytest.raises(UsageError, match="confidence level"):
        fleiss_kappa_interval(labels, np.arange(60), 3, level=95)
