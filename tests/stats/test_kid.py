"""The kernel distance: unbiased, symmetric, and the one of the literature."""

import numpy as np
import pytest
from tests.reference import kid_reference

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.stats.kid import MOST_IN_SUBSET, kid, kid_over_subsets


def drawn(seed, n=40, m=30, width=6, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, width)), rng.normal(size=(m, width)) + shift


@pytest.fixture(scope="module")
def fidelity():
    """Import torch-fidelity, the oracle, where it is installed."""
    from leukoscope.models.torchvision_cure import make_importable

    make_importable()
    return pytest.importorskip("torch_fidelity.metric_kid")


def test_is_the_mean_over_pairs():
    """It is what plain loops over pairs give."""
    a, b = drawn(0, 9, 7)
    assert kid(a, b) == pytest.approx(kid_reference.kid(a.tolist(), b.tolist()), rel=1e-12)


def test_has_no_order_and_no_side():
    """Neither the order of rows nor which set comes first matters."""
    a, b = drawn(1)
    assert kid(a, b) == pytest.approx(kid(b[::-1], a[::-1]), rel=1e-12)


def test_is_unbiased_whatever_the_sizes():
    """Over many draws of one population its mean is 0, at 4 cells as at 60."""
    for n, m in ((4, 4), (5, 60)):
        values = [kid(*drawn(seed, n, m)) for seed in range(400)]
        assert abs(np.mean(values)) < 3 * np.std(values) / 20


def test_grows_with_the_distance():
    """Sets further apart are further apart."""
    values = [kid(*drawn(2, shift=shift)) for shift in (0.0, 0.5, 1.0, 2.0)]
    assert values == sorted(values)


def test_many_rows_are_taken_in_parts():
    """Parts of the rows add up to the whole: a set of copies keeps its mean kernel."""
    a, b = drawn(3, 1100, 1030, width=3)
    whole = (a @ b.T / 3 + 1) ** 3
    own = [(x @ x.T / 3 + 1) ** 3 for x in (a, b)]
    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in own]
    assert kid(a, b) == pytest.approx(sum(within) - 2 * whole.mean(), abs=1e-12)


def test_two_halves_cover_zero():
    """Of sets of one population, the bounds hold 0 at least as often as they say."""
    found = [
        kid_over_subsets(*drawn(seed, 40, 40), np.random.default_rng(seed)) for seed in range(150)
    ]
    assert np.mean([one.low <= 0 <= one.high for one in found]) > 0.95


def test_bounds_hold_the_true_distance():
    """Bounds of sets that differ hold the distance of the populations."""
    truth = np.mean([kid(*drawn(seed, 300, 300, shift=0.7)) for seed in range(40)])
    found = [
        kid_over_subsets(*drawn(1000 + seed, 40, 40, shift=0.7), np.random.default_rng(seed))
        for seed in range(100)
    ]
    assert np.mean([one.low <= truth <= one.high for one in found]) > 0.86


def test_subsets_are_half_at_most():
    """A subset holds half of the smaller set, and never more than a thousand."""
    rng = np.random.default_rng(0)
    assert kid_over_subsets(*drawn(0, 40, 21), rng).n_subset == 10
    many = np.zeros((2 * MOST_IN_SUBSET + 10, 1))
    assert kid_over_subsets(many, many, rng, n_subsets=2).n_subset == MOST_IN_SUBSET


def test_the_mean_over_subsets_is_near_the_whole():
    """Subsets scatter round the distance of all pairs."""
    a, b = drawn(4, 100, 80, shift=0.5)
    found = kid_over_subsets(a, b, np.random.default_rng(1), n_subsets=400)
    assert found.value == pytest.approx(kid(a, b), abs=4 * found.spread / 20)


def test_is_that_of_torch_fidelity(fidelity):
    """The oracle gives the same of one subset that is the whole set."""
    import torch

    a, b = drawn(5, 50, 50, width=16, shift=0.3)
    told = fidelity.kid_features_to_metric(
        torch.from_numpy(a), torch.from_numpy(b), kid_subsets=1, kid_subset_size=50, verbose=False
    )
    assert kid(a, b) == pytest.approx(told[fidelity.KEY_METRIC_KID_MEAN], rel=1e-9)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.zeros((1, 3)), np.zeros((5, 3))),
        (np.zeros((5, 3)), np.zeros((5, 4))),
        (np.zeros(5), np.zeros(5)),
        (np.full((5, 3), np.nan), np.zeros((5, 3))),
        (np.zeros((5, 0)), np.zeros((5, 0))),
    ],
)
def test_refuses_what_are_no_features(a, b):
    """Single rows, other widths, numbers that are none."""
    with pytest.raises(DataError):
        kid(a, b)


def test_refuses_a_level_that_is_none():
    """A confidence lies between 0 and 1."""
    with pytest.raises(UsageError):
        kid_over_subsets(*drawn(0), np.random.default_rng(0), level=95)
