"""The test of a reader is exact: over all keys there could have been, whatever the calls."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference.blind_reference import mixed_p

from leukoscope.foundation.errors import DataError
from leukoscope.stats.blind import chance_p

answers = st.integers(1, 9).flatmap(
    lambda n: st.tuples(*(st.lists(st.booleans(), min_size=n, max_size=n) for _ in range(2)))
)
many = st.integers(1, 80).flatmap(
    lambda n: st.tuples(*(st.lists(st.booleans(), min_size=n, max_size=n) for _ in range(2)))
)


@given(answers)
def test_it_equals_going_through_all_keys(seen: tuple[list[bool], list[bool]]) -> None:
    """The p value is what trying every key gives."""
    assert chance_p(*seen) == pytest.approx(mixed_p(*seen), rel=1e-12)


@given(many)
def test_names_and_order_say_nothing(seen: tuple[list[bool], list[bool]]) -> None:
    """Wrong throughout tells as much as right throughout, and the order of pictures nothing."""
    drawn, called = (np.array(part) for part in seen)
    value = chance_p(drawn, called)
    assert 0 < value <= 1
    assert chance_p(drawn, ~called) == value
    assert chance_p(~drawn, called) == value
    assert chance_p(called, drawn) == value
    assert chance_p(drawn[::-1], called[::-1]) == value


@pytest.mark.parametrize("n_called", range(9))
def test_guessing_is_found_to_see_one_time_in_twenty_at_most(n_called: int) -> None:
    """However many are called drawn, of all keys at most 5 % give a p value below .05."""
    called = np.arange(8) < n_called
    p_values = [chance_p(np.isin(np.arange(8), key), called) for key in combinations(range(8), 4)]
    assert sum(value < 0.05 for value in p_values) <= 0.05 * len(p_values)


def test_a_perfect_reader_is_one_key_of_all() -> None:
    """Right or wrong throughout: two of all keys."""
    drawn = np.arange(60) % 2 == 0
    assert chance_p(drawn, drawn) == pytest.approx(2 / math.comb(60, 30))
    assert chance_p(drawn, np.ones(60)) == 1


def test_nothing_answered_has_no_p() -> None:
    """Of no answers there is no p value, and a key of another length is refused."""
    assert math.isnan(chance_p([], []))
    with pytest.raises(DataError, match="equal length"):
        chance_p([True], [True, False])
