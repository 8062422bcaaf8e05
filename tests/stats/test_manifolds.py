"""Precision, recall, density, coverage: the definitions, and intervals that hold."""

import numpy as np
import pytest
from tests.reference import manifolds_reference

from leukoscope.foundation.errors import DataError
from leukoscope.stats.manifolds import METRICS, overlap, score_intervals, scores


def drawn(seed, n=60, m=50, width=4, shift=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, width)), scale * rng.normal(size=(m, width)) + shift


@pytest.mark.parametrize("k", [1, 3, 5])
def test_are_what_loops_over_points_give(k):
    """All four are those of the plain definitions."""
    a, b = drawn(0, 25, 21, shift=0.5)
    wanted = manifolds_reference.scores(a.tolist(), b.tolist(), k)
    assert scores(overlap(a, b, k)) == pytest.approx(wanted)


@pytest.mark.parametrize("k", [3, 5])
def test_are_those_of_torch_fidelity(k):
    """The oracle gives the same precision and recall."""
    import torch

    from leukoscope.models.torchvision_cure import make_importable

    make_importable()
    oracle = pytest.importorskip("torch_fidelity.metric_prc")
    a, b = drawn(1, 120, 90, width=8, shift=0.4)
    told = oracle.prc_features_to_metric(
        torch.from_numpy(b), torch.from_numpy(a), prc_neighborhood=k, verbose=False
    )
    found = scores(overlap(a, b, k))
    assert found["precision"] == pytest.approx(told["precision"])
    assert found["recall"] == pytest.approx(told["recall"])


def test_one_set_overlaps_itself_whole():
    """Every point lies in its own ball."""
    a, _ = drawn(2)
    found = scores(overlap(a, a))
    assert found["precision"] == found["recall"] == found["coverage"] == 1


def test_sets_far_apart_do_not_overlap():
    """All four are 0, and every generated point lies outside."""
    a, b = drawn(3, shift=100.0)
    found = overlap(a, b)
    assert set(scores(found).values()) == {0.0}
    assert (found.depth > 1).all()


def test_a_generator_of_one_picture_has_precision_without_recall():
    """Points at the middle of the real ones are true, and show little of them."""
    a, b = drawn(4, n=200, m=200, scale=0.05)
    found = scores(overlap(a, b))
    assert found["precision"] > 0.9
    assert found["recall"] < 0.2


def test_coverage_of_one_population_follows_from_the_numbers_alone():
    """Its mean is 1 - (n - 1)…(n - k) / (n + m - 1)…(n + m - k), in any space (Naeem et al.)."""
    n, m, k = 40, 30, 3
    places = np.arange(1, k + 1)
    expected = 1 - np.prod((n - places) / (n + m - places))
    for width in (2, 16):
        values = [scores(overlap(*drawn(s, n, m, width), k))["coverage"] for s in range(200)]
        assert np.mean(values) == pytest.approx(expected, abs=3 * np.std(values) / 200**0.5)


def test_turning_and_scaling_the_space_changes_nothing():
    """Only which points are nearer counts."""
    a, b = drawn(5, shift=0.3)
    turn = np.linalg.qr(np.random.default_rng(6).normal(size=(4, 4)))[0]
    assert scores(overlap(a, b)) == scores(overlap(7 * a @ turn + 3, 7 * b @ turn + 3))


def test_depth_tells_precision():
    """A point is within the real manifold where its depth is up to 1."""
    a, b = drawn(7, shift=1.0)
    found = overlap(a, b)
    assert ((found.depth <= 1) == (found.balls > 0)).all()


def test_intervals_hold_the_expected_scores():
    """Over new draws of both sets, 95 % intervals hold the mean score in most of them."""
    pairs = [drawn(seed, 60, 80, width=8, shift=0.4, scale=0.9) for seed in range(80)]
    truth = {name: np.mean([scores(overlap(*one))[name] for one in pairs]) for name in METRICS}
    held = dict.fromkeys(METRICS, 0)
    for seed, pair in enumerate(pairs):
        found = score_intervals(*pair, np.random.default_rng(seed), n_halves=40)
        for name, one in found.items():
            held[name] += one.low <= truth[name] <= one.high
            assert 0 <= one.low <= one.value <= one.high
    assert min(held.values()) > 0.85 * len(pairs)


def test_shares_of_all_or_none_keep_an_open_side():
    """A precision of 1 of fifty pictures is no certainty."""
    a, b = drawn(8, scale=0.01)
    one = score_intervals(a, b, np.random.default_rng(0))["precision"]
    assert one.value == one.high == 1
    assert one.low < 0.95


def test_refuses_too_few_points():
    """A ball to the fifth neighbour needs six points."""
    a, b = drawn(9, n=5)
    with pytest.raises(DataError, match="6 rows"):
        overlap(a, b)
    with pytest.raises(DataError, match="from 1 on"):
        overlap(*drawn(9), 0)
