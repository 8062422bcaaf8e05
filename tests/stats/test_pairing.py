import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.reference import guards_reference as reference

from leukoscope.foundation.streams import stream
from leukoscope.stats.pairing import relabellings, right_by_chance
from leukoscope.stats.scores import confusion_matrix

# Pairings at random


@pytest.mark.parametrize(
    ("truth", "calls"),
    [
        ((3, 4), (5, 2)),
        ((2, 2, 3), (3, 3, 1)),
        ((1, 6), (0, 7)),
        ((0, 3, 4), (2, 0, 5)),
        ((1, 1, 1, 1, 1, 1, 1), (1, 1, 1, 1, 1, 1, 1)),
    ],
)
def test_random_pairings_are_shuffles(truth, calls):
    """Each number of right calls comes as often as among all orders of the calls."""
    exact = reference.right_calls_of_all_pairings(truth, calls)
    n_draws = 20_000
    drawn = right_by_chance(np.array(truth), np.array(calls), stream(1, "test"), n_draws)
    values, counts = np.unique(drawn, return_counts=True)
    seen = dict(zip(values.tolist(), counts.tolist(), strict=True))
    assert set(seen) <= set(exact)
    for value, orders in exact.items():
        share = orders / exact.total()
        error = np.sqrt(n_draws * share * (1 - share))
        assert abs(seen.get(value, 0) - n_draws * share) <= 4.5 * error


def test_random_pairings_have_the_known_mean_and_variance():
    """With many cells too: Σ r q / n, and the variance of a sum over a random order."""
    truth, calls = np.array([400, 250, 90, 260]), np.array([300, 500, 10, 190])
    n = truth.sum()
    drawn = right_by_chance(truth, calls, stream(2, "test"), 40_000)
    mean = (truth * calls).sum() / n
    table = np.eye(4)[np.repeat(range(4), truth)][:, np.repeat(range(4), calls)]
    rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    variance = (rest**2).sum() / (n - 1)
    assert abs(drawn.mean() - mean) < 5 * np.sqrt(variance / drawn.size)
    assert abs(drawn.var() / variance - 1) < 5 * np.sqrt(2 / drawn.size)


# Exchanged names

MATRICES = st.integers(2, 5).flatmap(
    lambda k: arrays(np.int64, (k, k), elements=st.integers(0, 6)).filter(lambda m: m.sum() > 0)
)


@given(matrix=MATRICES)
def test_no_relabelling_gains_more(matrix):
    """The circles found gain what the best of all relabellings gains."""
    gain = sum(one.gain * len(one.members) for one in relabellings(matrix))
    assert gain == pytest.approx(reference.best_relabelling_gain(matrix.tolist()), abs=1e-6)


@given(matrix=MATRICES)
def test_circles_are_apart_and_chance_is_a_share(matrix):
    """Each category moves once, to a call of its own circle."""
    found = relabellings(matrix)
    moved = [code for one in found for code in one.members]
    assert len(moved) == len(set(moved))
    for one in found:
        assert sorted(one.called) == sorted(one.members)
        assert one.gain > 0
        assert 0 <= one.p_value <= 1


@given(order=st.permutations(range(5)), n=st.integers(20, 400))
def test_planted_exchanges_are_found_and_nothing_else(order, n):
    """Columns moved about are named back, each circle of them."""
    good = np.full((5, 5), 1) + np.eye(5, dtype=np.int64) * n
    found = relabellings(good[:, np.argsort(order)])
    said = {true: call for one in found for true, call in zip(one.members, one.called, strict=True)}
    assert said == {true: call for true, call in enumerate(order) if true != call}


def test_more_cells_of_the_same_make_it_surer():
    """Ten times the cells take the bound to its tenth power, for a circle of two."""
    matrix = np.array([[1, 9], [8, 2]])
    (few,), (many,) = relabellings(matrix), relabellings(10 * matrix)
    assert few.gain == pytest.approx(0.7)
    assert np.log(many.p_value) == pytest.approx(10 * np.log(few.p_value))
    # Both categories are certain of 10 cells: z² = 1.4² / (1/10 + 1/10).
    assert few.p_value == pytest.approx(np.exp(-(1.4**2) / 0.2 / 2))


@pytest.mark.parametrize(("k", "n"), [(2, 25), (2, 1000), (4, 60), (6, 2000), (13, 300)])
def test_calls_that_say_nothing_are_rarely_renamed(k, n):
    """Whatever the mixes of labels and calls, the bound holds: 1 of 100 at most."""
    rng = stream(3, "nothing", k, n)
    small = 0
    for _ in range(300):
        mixes = rng.dirichlet(np.full(k, 0.7), 2)
        truth, calls = (rng.choice(k, n, p=mix) for mix in mixes)
        found = relabellings(confusion_matrix(truth, calls, k))
        small += any(one.p_value < 0.01 for one in found)
    assert small <= 3


def test_a_lopsided_model_is_not_inverted():
    """Many segmented cells called bands: accuracy would gain from the exchange, recall not."""
    matrix = np.array([[1541, 4000], [36, 500]])
    assert matrix[0, 1] + matrix[1, 0] > np.trace(matrix)
    assert relabellings(matrix) == []
