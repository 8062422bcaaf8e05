"""Laws of the lobes that are counted without a pixel."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukoscope.intake import phantom
from leukoscope.intake.phantom import PhantomCell, PhantomRecipe
from leukoscope.intake.phantom_lobes import BRIDGE_SHARE, lobe_count
from leukoscope.morphology.lobes import lobe_measures


def drawn(**changes: object) -> list[PhantomCell]:
    """Draw all cells of a small recipe."""
    settled = {"name": "lobes", "seed": 2, "n_cases": 2, "cells_per_case": 18, "size_px": 24}
    return list(phantom.cells(PhantomRecipe.from_mapping({**settled, **changes}, where="test")))


@functools.cache
def _lobed() -> list[PhantomCell]:
    return drawn(mix={"segmented": 1.0, "eosinophil": 1.0, "band": 1.0}, n_cases=1)


def circle(count: int, at: float, radius: float) -> np.ndarray:
    """Place equal discs evenly on a circle about the origin."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.column_stack([at * np.cos(turn), at * np.sin(turn), np.full(count, radius)])


def thread(start: float, end: float, radius: float) -> np.ndarray:
    """Lay a dense row of discs along the x axis."""
    x = np.linspace(start, end, 161)
    return np.column_stack([x, np.zeros(161), np.full(161, radius)])


# Known shapes


@given(small=st.floats(0.35, 1), off=st.sampled_from([-1e-6, 1e-6]))
def test_two_discs_part_at_a_third_of_the_smaller(small: float, off: float) -> None:
    """Two discs are one lobe exactly if their common chord is wider than a third of the smaller."""
    half = small * (BRIDGE_SHARE + off)
    apart = math.sqrt(1 - half**2) + math.sqrt(small**2 - half**2)
    assert lobe_count(np.array([[0, 0, 1], [apart, 0, small]])) == (1 if off > 0 else 2)


@given(share=st.sampled_from([0.1, 0.33, 0.34, 0.6]), count=st.integers(2, 5))
def test_a_row_parts_at_its_bridges(share: float, count: int) -> None:
    """Discs on a bridge are counted one by one if it is narrow, as one if it is not."""
    lobes = np.array([[2.7 * n, 0, 1] for n in range(count)])
    row = np.concatenate([lobes, thread(0, 2.7 * (count - 1), share)])
    # The row of discs that makes the bridge is a little narrower between their middles.
    assert lobe_count(row) == (count if share < BRIDGE_SHARE else 1)


@pytest.mark.parametrize("count", [3, 4, 5, 6])
def test_a_ring_parts_all_at_once(count: int) -> None:
    """Equal discs round a hole are all apart or all one, whether or not they touch."""
    half_angle = math.pi / count
    for half_chord, lobes in ((0.34, 1), (0.33, count)):
        at = math.sqrt(1 - half_chord**2) / math.sin(half_angle)
        assert lobe_count(circle(count, at, 1.0)) == lobes
    assert lobe_count(circle(count, 1.1 / math.sin(half_angle), 1.0)) == count


def test_a_neck_between_rows_is_wider_than_any_two_discs_make_it() -> None:
    """Long lobes side by side meet along their length: the neck runs from end to end."""
    x = np.linspace(-1, 1, 9)
    side = np.column_stack([x, np.full(9, 0.98), np.ones(9)])
    both = np.concatenate([side, side * (1, -1, 1)])
    assert lobe_count(np.array([[0, 0.98, 1], [0, -0.98, 1]])) == 2
    assert lobe_count(both) == 1


def test_what_lies_inside_counts_for_nothing() -> None:
    """A disc within another, twice the same, or covered by several adds no lobe."""
    ring = circle(6, 1.0, 0.8)
    assert lobe_count(np.array([[0, 0, 1.0], [0.2, 0.1, 0.3], [0, 0, 1.0]])) == 1
    assert lobe_count(np.concatenate([ring, [[0.01, 0, 0.5]]])) == 1
    assert lobe_count(np.concatenate([circle(4, 0.9, 0.7), [[0.0, 0.01, 0.1]]])) == 1


def test_beads_of_a_thread_are_no_lobes() -> None:
    """Discs strung so loosely that they hardly touch are no lobes, nor loose crumbs."""
    beads = np.array([[1.1 + 0.399 * n, 0, 0.2] for n in range(6)])
    ends = np.array([[0, 0, 1.0], [4.2, 0, 1.0]])
    assert lobe_count(np.concatenate([ends, beads])) == 2
    assert lobe_count(np.concatenate([ends, [[2.1, 3.0, 0.3]]])) == 2
    assert lobe_count(np.concatenate([ends, [[2.1, 3.0, 0.4]]])) == 3


# Views


@settings(max_examples=40)
@given(st.data())
def test_views_do_not_change_a_count(data: st.DataObject) -> None:
    """Turns, flips, shifts, another unit and another order of the discs leave the count."""
    cell = data.draw(st.sampled_from(_lobed()))
    discs = cell.nucleus_um[data.draw(st.permutations(range(len(cell.nucleus_um))))]
    turn = math.radians(data.draw(st.floats(0, 360)))
    place = (discs[:, 0] + 1j * discs[:, 1]) * complex(math.cos(turn), math.sin(turn))
    place += complex(*data.draw(st.tuples(st.floats(-20, 20), st.floats(-20, 20))))
    flip = data.draw(st.sampled_from([-1, 1]))
    view = np.column_stack([place.real, flip * place.imag, discs[:, 2]])
    assert lobe_count(view * data.draw(st.floats(0.1, 50))) == cell.lobes


# Drawn cells


@pytest.mark.parametrize("direction", ["any", "by-case", "none"])
def test_the_size_of_a_picture_does_not_change_its_lobes(direction: str) -> None:
    """A cell has as many lobes at 24 px as at 41."""
    small, large = (drawn(direction=direction, size_px=size, n_cases=1) for size in (24, 41))
    assert [cell.lobes for cell in small] == [cell.lobes for cell in large]


@pytest.mark.parametrize("direction", ["any", "none"])
def test_lobes_are_those_of_masks_drawn_large(direction: str) -> None:
    """In a mask of 400 px the lobes are counted as stated, unless a pixel decides."""
    seen = []
    mix = {"segmented": 2.0, "band": 1.0, "eosinophil": 2.0, "basophil": 1.0}
    for cell in drawn(direction=direction, mix=mix, size_px=400, n_cases=1):
        px = np.array([0, 0, phantom.VIEW_UM / 400])
        counts = {lobe_count(cell.nucleus_um + move * px) for move in (-1, 0, 1)}
        if len(counts) == 1:
            assert lobe_measures(cell.nucleus_mask)["lobe_count"] == cell.lobes
            seen.append(cell.lobes)
    assert len(seen) >= 15
    assert len(set(seen)) >= 3
