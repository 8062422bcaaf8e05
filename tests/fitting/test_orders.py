"""The balanced order against one written out round by round; its laws are in training's tests."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.fitting.orders import balanced_places, batch_places
from leukoscope.foundation.streams import stream

CODES = st.lists(st.integers(0, 4), min_size=1, max_size=24).map(np.array)


def written_out(codes, n, seed):
    """String the order together, a round at a time: each category's next cell, in a fresh order."""
    found, turns = [], {}
    number = 0
    while len(found) < n:
        for code in stream(seed, "categories", number).permutation(np.unique(codes)).tolist():
            own = np.flatnonzero(codes == code)
            turn = turns.get(code, 0)
            visit, place = divmod(turn, len(own))
            order = stream(seed, "order", code, visit).permutation(own)
            found.append((int(order[place]), visit))
            turns[code] = turn + 1
        number += 1
    return found[:n]


@given(codes=CODES, batch_size=st.integers(1, 16), seed=st.integers(0, 50))
def test_batches_cut_one_chain(codes, batch_size, seed):
    """Of cells and of visits, to the last."""
    drawn = [balanced_places(update, batch_size, codes, seed) for update in range(6)]
    found = [
        pair
        for places, visits in drawn
        for pair in zip(places.tolist(), visits.tolist(), strict=True)
    ]
    assert found == written_out(codes, 6 * batch_size, seed)


@given(codes=CODES, batch_size=st.integers(1, 16), updates=st.integers(1, 9))
def test_each_category_comes_equally_often(codes, batch_size, updates):
    """From the beginning to any update, to within one."""
    drawn = [balanced_places(update, batch_size, codes, 1)[0] for update in range(updates)]
    counts = np.bincount(codes[np.concatenate(drawn)], minlength=5)[np.unique(codes)]
    assert counts.max() - counts.min() <= 1


@given(batch_size=st.integers(1, 16), n=st.integers(1, 20), update=st.integers(0, 1000))
def test_an_update_needs_none_before_it(batch_size, n, update):
    """Any update's batch follows from its number alone; of one category both orders are chains of
    permutations with equal visits."""
    codes = np.zeros(n, dtype=np.int64)
    places, visits = balanced_places(update, batch_size, codes, 2)
    _, others = batch_places(update, batch_size, n, 2)
    assert (visits == others).all()
    assert ((places >= 0) & (places < n)).all()
    again, _ = balanced_places(update, batch_size, codes, 2)
    assert (places == again).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_of_categories_is_fresh_in_each_round(seed):
    """Of 300 rounds of three categories each of the six orders comes some 50 times."""
    codes = np.array([0, 1, 2])
    rounds = balanced_places(0, 900, codes, seed)[0].reshape(-1, 3)
    _, counts = np.unique(rounds, axis=0, return_counts=True)
    assert len(counts) == 6
    # Chi-squared of 5 degrees is below 20.5 in 999 draws of 1,000.
    assert ((counts - 50) ** 2 / 50).sum() < 20.5
