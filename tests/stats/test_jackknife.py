import tracemalloc

import numpy as np
import pytest
from tests.reference import jackknife_reference

from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.stats.intervals import grouped_intervals
from leukoscope.stats.jackknife import cells_behind, group_margins, leave_one_out, satterthwaite
from leukoscope.stats.scores import AGREEMENT_METRICS, CATEGORY_METRICS, SCALAR_METRICS, scores


@pytest.mark.parametrize("n_groups", [2, 5])
def test_leaving_out_agrees_with_scoring_the_rest(n_groups):
    """Total minus group is the same as adding up the other groups."""
    matrices = stream(0, "leave", n_groups).integers(1, 6, size=(n_groups, 3, 3))
    left = leave_one_out(group_margins(matrices))
    assert set(left) == {*SCALAR_METRICS, *AGREEMENT_METRICS, *CATEGORY_METRICS}
    for name, values in left.items():
        expected = jackknife_reference.without_each(matrices.tolist(), name)
        np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-14)


def test_means_over_categories_are_undefined_without_the_only_group_of_one():
    """A mean over two categories is not compared with a mean over three."""
    matrices = stream(1, "leave").integers(1, 6, size=(4, 3, 3))
    matrices[1:, 2, :] = 0
    left = leave_one_out(group_margins(matrices))
    for name in ("balanced_accuracy", "macro_f"):
        assert np.isnan(left[name]).tolist() == [True, False, False, False]
    assert np.isnan(left["recall"][:, 2]).tolist() == [True, False, False, False]
    for name in ("accuracy", *AGREEMENT_METRICS):
        assert not np.isnan(left[name]).any()


def test_agreement_is_undefined_without_the_only_group_called_otherwise():
    """What is left is all called one category: mcc says nothing, kappa that it is chance."""
    matrices = np.array([[[3, 1], [1, 3]], [[4, 0], [2, 0]], [[5, 0], [1, 0]]])
    left = leave_one_out(group_margins(matrices))
    assert np.isnan(left["mcc"]).tolist() == [True, False, False]
    assert left["kappa"][0] == 0


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", [6, 6]),
        ("mcc", [6, 6]),
        ("kappa", [6, 6]),
        ("recall", [[2, 4, 0], [0, 6, 0]]),
        ("specificity", [[4, 2, 6], [6, 0, 6]]),
        ("precision", [[1, 4, 1], [0, 6, 0]]),
        ("f", [[3, 8, 1], [0, 12, 0]]),
    ],
)
def test_cells_behind_a_score_by_hand(metric, expected):
    """Specificity speaks of the cells of other categories; an agreement of all cells."""
    matrices = np.array([[[1, 0, 1], [0, 4, 0], [0, 0, 0]], [[0, 0, 0], [0, 6, 0], [0, 0, 0]]])
    assert cells_behind(group_margins(matrices), metric).tolist() == expected


def test_degrees_of_a_sum_by_hand():
    """Equal variances of 3 and 5 groups: 4 / (1/2 + 1/4); one part alone has its own degrees."""
    assert satterthwaite([1, 1], [3, 5], 50) == pytest.approx(16 / 3)
    assert satterthwaite([0, 2], [3, 5], 50) == 4
    assert satterthwaite([1, 1], [3, 5], 4.5) == 4.5
    assert satterthwaite([0, 0.3], [2, 51], 50) == satterthwaite([0, 0], [2, 2], 50) == 50
    assert satterthwaite([1, 1], [1, 5], 50) == 0


def test_many_groups_need_little_memory():
    """100,000 families at 13 categories are left out, and given intervals, within 150 MB."""
    n_groups, k = 100_000, 13
    matrices = np.zeros((n_groups, k, k), dtype=np.int64)
    truth, calls = stream(2, "many").integers(0, k, size=(2, n_groups))
    matrices[np.arange(n_groups), truth, calls] = 1
    tracemalloc.start()
    grouped_intervals(matrices)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6
    last = scores(matrices[:-1].sum(axis=0))
    for name, values in leave_one_out(group_margins(matrices)).items():
        np.testing.assert_allclose(values[-1], last[name])


@pytest.mark.parametrize("matrices", [np.zeros((2, 2), dtype=int), np.zeros((3, 2, 2)), [[["a"]]]])
def test_what_are_no_grouped_counts_is_refused(matrices):
    """Grouped matrices are whole counts with three axes."""
    with pytest.raises(DataError, match="Grouped confusion matrices"):
        group_margins(matrices)
