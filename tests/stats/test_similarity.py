"""Similarity of random pairs, and an interval that knows shared pictures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.foundation.errors import DataError
from leukoscope.stats.similarity import (
    pairwise_interval,
    random_pairs,
    structural_similarity_of,
)


@given(n=st.integers(2, 30), n_pairs=st.integers(1, 60), seed=st.integers(0, 99))
def test_pairs_are_of_two_and_stand_once(n, n_pairs, seed):
    """So many as asked for, or all there are."""
    pairs = random_pairs(n, np.random.default_rng(seed), n_pairs)
    assert len(pairs) == min(n_pairs, n * (n - 1) // 2)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert len({frozenset(pair) for pair in pairs.tolist()}) == len(pairs)
    assert pairs.min() >= 0
    assert pairs.max() < n


def test_equal_pictures_are_alike_and_noise_is_not():
    """1 of a picture and itself, about 0 of noise, the same both ways round."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    pixels = np.concatenate([pixels, pixels[:1]])
    alike, one, other = structural_similarity_of(pixels, [[0, 3], [0, 1], [1, 0]])
    assert alike == pytest.approx(1)
    assert abs(one) < 0.2
    assert one == pytest.approx(other)


def test_a_generator_of_one_picture_stands_above_variety():
    """Small changes of one picture are more alike than different pictures."""
    rng = np.random.default_rng(1)
    varied = rng.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    one = np.clip(varied[:1] + rng.normal(0, 8, varied.shape), 0, 255).astype(np.uint8)
    pairs = random_pairs(12, rng, 30)
    means = [structural_similarity_of(pixels, pairs).mean() for pixels in (one, varied)]
    assert means[0] > means[1] + 0.5


def test_the_variance_is_that_over_pairs_of_pairs():
    """Products of residuals are summed over all pairs that share a picture, themselves too."""
    rng = np.random.default_rng(2)
    pairs = random_pairs(8, rng, 14)
    base = rng.normal(size=8)
    values = base[pairs].sum(axis=1) + 0.1 * rng.normal(size=len(pairs))
    gap = values - values.mean()
    wanted = sum(
        gap[i] * gap[j]
        for i in range(len(pairs))
        for j in range(len(pairs))
        if set(pairs[i].tolist()) & set(pairs[j].tolist())
    )
    found = pairwise_interval(values, pairs)
    assert wanted > 0
    assert (found.high - found.value) / 1.959964 == pytest.approx(wanted**0.5 / 14, rel=1e-5)


def test_the_interval_holds_the_mean_where_pairs_share_pictures():
    """95 % intervals hold the mean in most draws, though pairs are not independent."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        pairs = random_pairs(40, rng, 60)
        found = pairwise_interval(rng.normal(size=40)[pairs].sum(axis=1), pairs)
        held += found.low <= 0 <= found.high
    assert held > 0.88 * 200


def test_refuses_one_picture_and_small_ones():
    """A pair takes two, a window eleven pixels."""
    with pytest.raises(DataError, match="two pictures"):
        random_pairs(1, np.random.default_rng(0), 3)
    with pytest.raises(DataError, match="11 px"):
        structural_similarity_of(np.zeros((2, 8, 8, 3), np.uint8), [[0, 1]])
    with pytest.raises(DataError, match="One value a pair"):
        pairwise_interval([], np.zeros((0, 2), int))
