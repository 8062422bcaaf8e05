import numpy as np
import pytest
from scipy.special import expit

from leukoscope.foundation.streams import stream
from leukoscope.stats.binomial import clopper_pearson
from leukoscope.stats.design import exact_in_groups
from leukoscope.stats.replicated import replicated_intervals
from leukoscope.stats.scores import SCALAR_METRICS, scores


def rare(right, cells, *, others=20):
    """Build (r, g, 3, 3): a category held by the first cases, *right* of *cells*, others apart.

    The second category is in every case and never confused with the first; what is
    missed of the first is called the third.
    """
    right = np.asarray(right)
    matrices = np.zeros((right.shape[0], others, 3, 3), dtype=np.int64)
    matrices[:, : right.shape[1], 0, 0] = right
    matrices[:, : right.shape[1], 0, 2] = cells - right
    matrices[:, :, 1, 1], matrices[:, :, 1, 2] = 20, 5
    return matrices


def test_every_score_lies_between_its_bounds():
    """The value is the mean over replicates; order of replicates and groups changes nothing."""
    rng = stream(0, "replicated")
    shares = np.full((3, 3), 0.15) + 0.55 * np.eye(3)
    support = np.broadcast_to(rng.integers(10, 30, size=(6, 3)), (4, 6, 3))
    matrices = rng.multinomial(support, shares)
    seen, turned = replicated_intervals(matrices), replicated_intervals(matrices[::-1, ::-1])
    expected = scores(matrices.sum(axis=1))
    for metric in (*SCALAR_METRICS, "recall", "precision", "f"):
        mean = np.atleast_1d(expected[metric].mean(axis=0))
        for c, value in enumerate(mean):
            one, other = (
                table[metric][c] if isinstance(table[metric], list) else table[metric]
                for table in (seen, turned)
            )
            assert one.value == pytest.approx(value)
            assert 0 < one.low < one.value < one.high < 1
            assert (other.low, other.high) == pytest.approx((one.low, one.high))


def test_cases_without_the_category_change_nothing():
    """Seventeen cases without basophils lend no degrees: three groups, not twenty."""
    right = [[9, 7, 8], [8, 7, 9], [7, 6, 9], [9, 5, 8]]
    alone, among = (replicated_intervals(rare(right, 10, others=n)) for n in (3, 20))
    for metric in ("recall", "f"):
        one, other = alone[metric][0], among[metric][0]
        assert (one.low, one.high, one.method) == (other.low, other.high, other.method)
        assert "3 groups × 4 replicates" in one.method


def test_calls_in_any_replicate_make_a_group_of_precision():
    """A case whose cells are called a category in one replicate only counts for its precision."""
    matrices = rare([[9, 7, 8], [8, 7, 9], [7, 6, 9]], 10)
    matrices[:, :3, 1, 0], matrices[:, :3, 1, 1] = [[1, 2, 3], [2, 1, 1], [3, 1, 2]], 15
    matrices[1, 5, 1] = [4, 16, 5]
    seen = replicated_intervals(matrices)
    assert "4 groups × 3 replicates" in seen["precision"][0].method
    assert "3 groups × 3 replicates" in seen["recall"][0].method


@pytest.mark.parametrize("perfect", [10, 0])
def test_a_perfect_replicate_falls_back_to_the_plain_scale(perfect):
    """Recall of exactly 0 or 1 in one replicate still has an interval, clipped, and said."""
    right = [[perfect] * 3, [8, 5, 6], [4, 3, 7], [6, 5, 5]]
    seen = replicated_intervals(rare(right, 10))["recall"][0]
    assert seen.value == pytest.approx(np.mean(right) / 10)
    assert 0 <= seen.low < seen.value < seen.high <= 1
    assert "plain scale, clipped to 0-1" in seen.method


def test_the_plain_scale_is_the_two_way_variance_by_hand():
    """Recalls (1, 1) and (½, ½) over two cases: S_G = S_GR = 0, S_R = 1/16, one degree."""
    seen = replicated_intervals(rare([[4, 4], [2, 2]], 4))["recall"][0]
    assert seen.value == 0.75
    assert (seen.low, seen.high) == (0, 1)
    wide = replicated_intervals(rare([[4, 4], [2, 2]], 4), level=0.2)["recall"][0]
    half = np.tan(np.pi / 2 * 0.2) / 4
    assert (wide.low, wide.high) == (pytest.approx(0.75 - half), pytest.approx(0.75 + half))


@pytest.mark.parametrize("right", [0, 10, 5])
def test_no_spread_at_all_is_exact_on_the_cells_of_one_replicate(right):
    """More replicates of the same answers are no more cells."""
    two, five = (
        replicated_intervals(rare(np.full((r, 3), right), 10))["recall"][0] for r in (2, 5)
    )
    expected = exact_in_groups(3 * right, [10] * 3)
    assert (two.low, two.high) == (five.low, five.high) == (expected.low, expected.high)
    assert five.method == f"{expected.method}; cells of one replicate"
    close = clopper_pearson(3 * right, 30)
    assert five.low <= close[0]
    assert five.high >= close[1]
    assert five.high - five.low > close[1] - close[0]


def test_spread_that_cancels_is_no_certainty():
    """Cases that change places between replicates leave no variance, and no width of 0."""
    seen = replicated_intervals(rare([[4, 6], [6, 4]], 10))["recall"][0]
    assert seen.low < 0.4
    assert seen.high > 0.6


@pytest.mark.parametrize(
    ("shape", "reason"), [((1, 3), "fewer than 2 replicates"), ((3, 1), "fewer than 2 groups")]
)
def test_one_replicate_or_group_has_no_interval(shape, reason):
    """What cannot be told is not told, and the method says why."""
    seen = replicated_intervals(rare(np.full(shape, 7), 10))["recall"][0]
    assert seen.value == pytest.approx(0.7)
    assert np.isnan([seen.low, seen.high]).all()
    assert seen.method == f"undefined: {reason}"


def test_recall_of_a_category_of_few_cases_is_covered():
    """Three of twenty cases hold it, 5 replicates, 300 sets: covered in 95 % at least."""
    n_sets, covered = 300, 0
    truth = expit(stream(9, "truth").normal(1.5, np.hypot(0.5, 0.3), 10**6)).mean()
    for number in range(n_sets):
        rng = stream(9, "coverage", number)
        logits = 1.5 + rng.normal(0, 0.5, 3) + rng.normal(0, 0.3, (5, 1))
        seen = replicated_intervals(rare(rng.binomial(30, expit(logits)), 30))["recall"][0]
        covered += seen.low <= truth <= seen.high
    assert covered / n_sets > 0.95 - 3 * np.sqrt(0.05 * 0.95 / n_sets)
