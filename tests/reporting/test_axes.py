"""Ticks are round, few, evenly apart and inside their range."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.reporting import axes

VALUE = st.floats(-1e4, 1e4)
WIDTH = st.floats(1e-4, 1e4)
MOST = st.integers(2, 12)


@given(VALUE, WIDTH, MOST)
def test_ticks_are_few_and_inside(low: float, wide: float, most: int) -> None:
    """No tick lies beyond the range, and there is one more than steps at most."""
    found = axes.ticks(low, low + wide, most=most)
    slack = 1e-6 * max(wide, abs(low))
    assert all(low - slack <= at <= low + wide + slack for at in found)
    assert len(found) <= most + 1


@given(VALUE, WIDTH, MOST)
def test_ticks_are_evenly_apart_by_a_round_step(low: float, wide: float, most: int) -> None:
    """The step is 1, 2 or 5 times a power of ten."""
    found = axes.ticks(low, low + wide, most=most)
    steps = [after - before for before, after in pairwise(found)]
    for step in steps:
        assert step == pytest.approx(steps[0], rel=1e-5)
        digit = step / 10 ** math.floor(math.log10(step) + 1e-6)
        assert min(abs(digit - each) for each in (1, 2, 5, 10)) < 1e-3


@given(st.lists(VALUE, min_size=1, max_size=20), st.integers(3, 12))
def test_the_range_holds_every_value(values: list[float], most: int) -> None:
    """Rounded outwards, the range has a width and leaves nothing out."""
    low, high = axes.rounded_range(values, most=most)
    slack = 1e-6 * max(1.0, *map(abs, values))
    assert low < high
    assert low - slack <= min(values)
    assert max(values) <= high + slack
    assert len(axes.ticks(low, high, most=most)) >= 2
