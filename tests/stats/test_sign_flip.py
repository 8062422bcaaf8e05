import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import fixed_reference

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.stats.fixed import fixed_difference
from leukoscope.stats.replicas import mcnemar_exact
from leukoscope.stats.scores import AGREEMENT_METRICS, SCALAR_METRICS, scores
from leukoscope.stats.sign_flip import sign_flip

METRICS = (*SCALAR_METRICS, *AGREEMENT_METRICS)


def models_of(seed, *, n_groups=6, k=3, spread=0.4):
    """Draw two models' calls of the same cells; how good both are differs by group."""
    rng = stream(seed, "models")
    support = rng.integers(2, 7, size=(n_groups, k))
    right = 0.75 + spread * (rng.random((2, n_groups, 1, 1)) - 0.5)
    shares = np.where(np.eye(k, dtype=bool), right, (1 - right) / (k - 1))
    return tuple(rng.multinomial(support, share) for share in shares)


def of_single_cells(seed, *, n_groups, k, differ=0.1):
    """Draw two models whose groups are one cell each; *differ* of the calls are drawn anew."""
    rng = stream(seed, "cells")
    truth = rng.integers(0, k, n_groups)
    before = np.where(rng.random(n_groups) < 0.9, truth, rng.integers(0, k, n_groups))
    after = np.where(rng.random(n_groups) < differ, rng.integers(0, k, n_groups), before)
    models = np.zeros((2, n_groups, k, k), dtype=np.int64)
    for model, called in zip(models, (before, after), strict=True):
        model[np.arange(n_groups), truth, called] = 1
    return tuple(models)


def p_of(before, after, metric, *, seed=0, n_flips=999):
    """Give the p value alone."""
    return sign_flip(before, after, metric, stream(seed, "flips"), n_flips)[0]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seed", range(3))
def test_enumeration_agrees_with_swapping_one_by_one(metric, seed):
    """The exact p is that of a loop over all sets of swapped groups."""
    before, after = models_of(seed)
    p_value, method = sign_flip(before, after, metric, stream(0, "unused"))
    expected = fixed_reference.sign_flip(before.tolist(), after.tolist(), metric)
    assert p_value == pytest.approx(expected, rel=1e-9)
    assert method.startswith("sign-flip permutation test, exact, ")
    assert method.endswith("conditional on the two trained models")


@pytest.mark.parametrize("metric", METRICS)
def test_enumeration_agrees_where_groups_are_alike(metric):
    """Single cells of few kinds, added up by kind, give the p of the loop over all of them."""
    before, after = of_single_cells(3, n_groups=9, k=2, differ=0.9)
    before[0, 0, 0] += 1
    after[0, 0, 0] += 1
    expected = fixed_reference.sign_flip(before.tolist(), after.tolist(), metric)
    assert p_of(before, after, metric) == pytest.approx(expected, rel=1e-9)
    assert 0 < expected < 1


def test_swaps_that_leave_a_score_undefined_count_as_extreme():
    """A quarter of the ways leave one model with calls of one category; the loop counts them."""
    before = np.array([[[1, 0], [0, 1]], [[0, 2], [0, 2]], [[0, 1], [0, 1]], [[0, 1], [0, 1]]])
    after = np.array([[[0, 1], [0, 1]], [[2, 0], [0, 2]], [[1, 0], [0, 1]], [[0, 1], [0, 1]]])
    expected = fixed_reference.sign_flip(before.tolist(), after.tolist(), "mcc")
    assert p_of(before, after, "mcc") == pytest.approx(expected)
    first_swapped = [
        np.concatenate([one[:1], rest[1:]]) for one, rest in ((after, before), (before, after))
    ]
    assert np.isnan(fixed_difference(*first_swapped, "mcc").value)
    assert expected >= 2 / 8


def enumerated_p(before, after, metric):
    """Go through all swaps with whole matrices at once."""
    ways = np.indices((2,) * len(before)).reshape(len(before), -1).T
    moved = np.tensordot(ways, after - before, axes=1)
    apart = scores(after.sum(axis=0) - moved)[metric] - scores(before.sum(axis=0) + moved)[metric]
    seen = abs(fixed_difference(before, after, metric).value)
    return float((np.abs(apart) >= seen - 1e-12).mean())


@pytest.mark.parametrize("metric", METRICS)
def test_drawing_is_close_to_enumerating(metric):
    """Fifteen groups that all differ are drawn: p within four of its errors of the exact one."""
    before, after = models_of(5, n_groups=15)
    before, after = (
        before * np.arange(1, 16)[:, None, None],
        after * np.arange(1, 16)[:, None, None],
    )
    p_value, method = sign_flip(before, after, metric, stream(0, "flips"), 9999)
    assert "9999 random flips, 15 of 15 groups differ" in method
    exact = enumerated_p(before, after, metric)
    assert 0.01 < exact < 0.99
    assert abs(p_value - exact) < 4 * (exact * (1 - exact) / 9999) ** 0.5


def test_drawing_kinds_is_close_to_the_exact_answer():
    """4,000 single cells: accuracy is enumerated; other scores, drawn, are near the t test."""
    before, after = of_single_cells(8, n_groups=4000, k=2, differ=0.2)
    right = [np.trace(model, axis1=1, axis2=2) > 0 for model in (before, after)]
    exact = mcnemar_exact(int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum()))
    assert p_of(before, after, "accuracy") == pytest.approx(exact, rel=1e-9)
    for metric in ("balanced_accuracy", "macro_f", "mcc"):
        p_value, method = sign_flip(before, after, metric, stream(0, "flips"), 9999)
        assert "random flips" in method
        t_test = fixed_difference(before, after, metric).p_value
        assert p_value == pytest.approx(t_test, abs=0.03)


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(2, 4))
def test_of_single_cells_it_is_mcnemars_exact_test(seed, n_groups, k):
    """Accuracy over families of one: the binomial p of the discordant cells."""
    before, after = of_single_cells(seed, n_groups=n_groups, k=k, differ=0.8)
    right = [np.trace(model, axis1=1, axis2=2) > 0 for model in (before, after)]
    lost, won = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    assert p_of(before, after, "accuracy") == pytest.approx(mcnemar_exact(lost, won), rel=1e-9)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n_groups", [6, 30])
def test_swapping_the_models_or_permuting_groups_changes_nothing(metric, n_groups):
    """Enumerated or drawn, p is the same to the last draw; so with empty groups between."""
    before, after = models_of(4, n_groups=n_groups)
    p_value = p_of(before, after, metric)
    assert p_of(after, before, metric) == pytest.approx(p_value, rel=1e-12)
    order = stream(0, "order").permutation(n_groups)
    assert p_of(before[order], after[order], metric) == pytest.approx(p_value, rel=1e-12)
    padded = [np.pad(model, ((2, 1), (0, 0), (0, 0))) for model in (before, after)]
    assert p_of(*padded, metric) == pytest.approx(p_value, rel=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_a_model_against_itself_differs_by_nothing(metric):
    """p is 1, and the method says that no group differs."""
    before, _ = models_of(1)
    p_value, method = sign_flip(before, before, metric, stream(0, "unused"))
    assert p_value == 1
    assert method.startswith("sign-flip permutation test: no group differs")


def test_five_groups_show_nothing_and_six_a_difference():
    """Better in all of m groups: p is 2/2^m."""
    for m in (1, 5, 6, 12):
        before = np.tile([[5, 5], [5, 5]], (m, 1, 1))
        after = np.tile([[10, 0], [0, 10]], (m, 1, 1))
        assert p_of(before, after, "accuracy") == pytest.approx(2 / 2**m)


@pytest.mark.parametrize("n_groups", [6, 10, 20])
def test_level_under_the_null(n_groups):
    """Exchangeable models: P(p ≤ a) is at most a, and near it where ways are many."""
    n_sets = 400
    found = np.empty((n_sets, 2))
    for i in range(n_sets):
        before, after = models_of(10**6 * n_groups + i, n_groups=n_groups, spread=0.4)
        found[i] = [p_of(before, after, m, seed=i, n_flips=199) for m in ("accuracy", "macro_f")]
    for a in (0.05, 0.1, 0.25, 0.5):
        error = (a * (1 - a) / n_sets) ** 0.5
        shares = (found <= a).mean(axis=0)
        assert (shares < a + 3 * error).all()
        # Of macro-F hardly two ways tie, but the steps of p are 2/2^groups wide.
        assert shares[1] > a - 3 * error - 2 / 2**n_groups


def test_it_finds_a_difference_that_is_there():
    """Twelve cases, one model right 3 of 4 times, the other 9 of 10."""
    rng = stream(0, "power")
    support = np.full((12, 3), 20)
    models = [
        rng.multinomial(support, np.full((3, 3), (1 - p) / 2) + np.eye(3) * (1.5 * p - 0.5))
        for p in (0.75, 0.9)
    ]
    for metric in METRICS:
        assert p_of(*models, metric) < 0.005


def test_an_undefined_difference_is_not_tested():
    """The mcc of a model that calls everything alike, and scores of no cells: NaN, with words."""
    after = np.array([[[1, 2], [1, 5]], [[2, 0], [0, 3]]])
    before = np.zeros_like(after)
    before[:, :, 0] = after.sum(axis=2)
    for pair, metric in (((before, after), "mcc"), ((after * 0, after * 0), "accuracy")):
        p_value, method = sign_flip(*pair, metric, stream(0, "unused"))
        assert np.isnan(p_value)
        assert method.startswith("undefined: the score of a model")


def test_what_cannot_be_tested_is_refused():
    """An unknown metric, no flips, other cells, other shapes, fractions."""
    before, after = models_of(0)
    rng = stream(0, "unused")
    with pytest.raises(UsageError, match="metric of a comparison of two models"):
        sign_flip(before, after, "recall", rng)
    with pytest.raises(UsageError, match="at least 1 flip"):
        sign_flip(before, after, "accuracy", rng, 0)
    with pytest.raises(DataError, match="true cells of 6 groups"):
        sign_flip(before, after + 1, "accuracy", rng)
    with pytest.raises(DataError, match="as many groups"):
        sign_flip(before, after[1:], "accuracy", rng)
    with pytest.raises(DataError, match="whole counts"):
        sign_flip(before / 2, after / 2, "accuracy", rng)


def test_a_hundred_thousand_single_cells_fit():
    """Memory stays within a few times the margins of the cells, not cells by flips."""
    before, after = of_single_cells(1, n_groups=100_000, k=6, differ=0.05)
    tracemalloc.start()
    for metric in ("accuracy", "macro_f"):
        sign_flip(before, after, metric, stream(0, "flips"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
