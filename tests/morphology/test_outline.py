"""Laws of the closed line around a nucleus."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.reference import isolation_reference as reference

from leukoscope.foundation.streams import stream
from leukoscope.morphology import outline as lines
from leukoscope.morphology.masks import dice
from leukoscope.morphology.outline import outline

RULES = {"toll": lines._JUMP_WEIGHT, "most_jump": lines._MOST_JUMP}
# Whole numbers and a few halves: sums of them are exact in float32.
COSTS = st.integers(-20, 20).map(lambda number: number / 2)
FIELD, CYTOPLASM, NUCLEUS = (245, 231, 217), (205, 175, 205), (95, 55, 135)


def found(cost):
    """Run the search; its path as a list."""
    return lines._shortest_closed_path(np.asarray(cost, np.float32)).tolist()


def unrolled(cost):
    """Repeat the rows as the search does: half a round, a round, half a round."""
    half = len(cost) // 2
    return [*cost[half:], *cost, *cost[:half]]


# The path


@settings(max_examples=30)
@given(arrays(float, st.tuples(st.just(4), st.integers(2, 6)), elements=COSTS))
def test_the_oracles_agree(cost):
    """Dynamic programming in plain Python finds what trying every path finds."""
    rows = cost.tolist()
    tried = reference.every_path(rows, closed=True, **RULES)
    assert reference.closed_path(rows, **RULES) == pytest.approx(tried)
    tried = reference.every_path(rows, closed=False, **RULES)
    assert reference.open_path(rows, **RULES) == pytest.approx(tried)


@settings(max_examples=50)
@given(arrays(float, st.tuples(st.sampled_from([4, 6, 10]), st.integers(2, 9)), elements=COSTS))
def test_a_path_never_beats_the_shortest_nor_jumps(cost):
    """One column a row, small jumps, and no less than the least cost of a path with free ends."""
    path, rows = found(cost), cost.tolist()
    assert len(path) == len(rows)
    open_cost = reference.path_cost(rows, path, closed=False, **RULES)
    assert np.isfinite(open_cost)
    assert open_cost >= reference.open_path(rows, **RULES) - 1e-4
    closed_cost = reference.path_cost(rows, path, closed=True, **RULES)
    assert closed_cost >= reference.closed_path(rows, **RULES) - 1e-4


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_a_path_repeated_is_part_of_the_longer_shortest_one(seed):
    """The rows before and after can be added so that the whole costs the least of all."""
    cost = stream(seed, "path").normal(0, 1, (8, 7)).astype(np.float32).astype(float)
    path = found(cost)
    rows = unrolled(cost.tolist())
    # Rows 4 to 11 of the sixteen are held at the path; what is left is free.
    held = [
        [value if not 4 <= i < 12 or c == path[i - 4] else np.inf for c, value in enumerate(row)]
        for i, row in enumerate(rows)
    ]
    least = reference.open_path(rows, **RULES)
    assert reference.open_path(held, **RULES) == pytest.approx(least, abs=1e-4)


def test_ends_meet_nearly_always():
    """On noise, where nothing says where to go, one path in ten ends away from its start.

    Seen: 36 of 40 closed, 35 of them the shortest closed path.
    """
    closed = shortest = 0
    for number in range(40):
        cost = stream(number, "closing").normal(0, 0.3, (24, 12)).astype(np.float32).astype(float)
        path = found(cost)
        length = reference.path_cost(cost.tolist(), path, closed=True, **RULES)
        closed += np.isfinite(length)
        shortest += length <= reference.closed_path(cost.tolist(), **RULES) + 1e-4
    assert closed >= 34
    assert shortest >= 32


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_a_planted_closed_line_is_found_exactly(seed):
    """Where one closed line is plainly best, it is found to the pixel, through any noise."""
    rng = stream(seed, "planted")
    phase, height = rng.uniform(0, 2 * np.pi), rng.uniform(0, 9)
    angle = np.arange(96) * 2 * np.pi / 96
    line = np.rint(30 + height * np.cos(2 * angle + phase)).astype(int)
    cost = rng.uniform(0, 1, (96, 60))
    cost[np.arange(96), line] -= 4
    np.testing.assert_array_equal(found(cost), line)


@settings(max_examples=30)
@given(st.integers(0, 95))
def test_where_the_first_ray_lies_does_not_matter(shift):
    """A planted line found from another ray is the same line."""
    rng = stream(3, "shift")
    line = np.rint(30 + 8 * np.cos(np.arange(96) * 4 * np.pi / 96)).astype(int)
    cost = rng.uniform(0, 1, (96, 60))
    cost[np.arange(96), line] -= 4
    np.testing.assert_array_equal(found(np.roll(cost, shift, axis=0)), np.roll(line, shift))


def test_what_is_forbidden_is_not_entered():
    """Infinite cost keeps the path beyond the nucleus, however cheap it is inside."""
    cost = stream(4, "forbidden").normal(0, 1, (96, 40))
    cost[:, :10] = -50
    least = np.rint(15 + 4 * np.sin(np.arange(96) * 2 * np.pi / 96)).astype(int)
    cost[np.arange(40) < least[:, None]] = np.inf
    assert (np.array(found(cost)) >= least).all()


# The outline


def discs(*centres, side=96, radius=20.0, inner=10.0, seed=0):
    """Draw cells as discs in discs: the picture, the cells' mask, and each nucleus."""
    y, x = np.mgrid[:side, :side]
    away = [np.hypot(y - row, x - column) for row, column in centres]
    image = np.empty((side, side, 3))
    image[:] = FIELD
    for one in away:
        image[one <= radius] = CYTOPLASM
    for one in away:
        image[one <= inner] = NUCLEUS
    image = cv2.GaussianBlur(image, (0, 0), 0.7)
    image += stream(seed, "discs").normal(0, 1.5, image.shape)
    masks = [one <= radius for one in away]
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), masks, [a <= inner for a in away]


def nothing(side=96):
    return np.zeros((side, side), bool)


@pytest.mark.parametrize("radius", [13.0, 18.0, 24.0])
def test_a_disc_is_outlined(radius):
    """A round cell is found from its nucleus, its radius within a pixel and a half, and surely.

    Seen: 1.1 px too far round scant cytoplasm, .5 px too near round plenty.
    """
    image, cells, nuclei = discs((47.5, 47.5), radius=radius)
    seen = outline(image, nuclei[0], nothing())
    assert np.sqrt(seen.cell.sum() / np.pi) == pytest.approx(radius, abs=1.5)
    assert dice(seen.cell, cells[0]) > 0.91
    assert 0.8 < seen.stability <= 1
    assert not (nuclei[0] & ~seen.cell).any()


def test_where_the_cell_lies_changes_little():
    """Moved by whole pixels, the outline moves with it."""
    image, _, nuclei = discs((47.5, 47.5))
    expected = outline(image, nuclei[0], nothing()).cell
    for down, right in ((0, 5), (-7, 0), (9, -11)):
        image, _, nuclei = discs((47.5 + down, 47.5 + right))
        seen = outline(image, nuclei[0], nothing()).cell
        assert dice(np.roll(expected, (down, right), axis=(0, 1)), seen) > 0.96


def test_what_is_nearer_to_a_rival_is_its_own():
    """Of two cells in touch, alike in every colour, the line keeps to its half."""
    image, cells, nuclei = discs((47.5, 28.0), (47.5, 66.0))
    seen = outline(image, nuclei[0], nuclei[1]).cell
    assert dice(seen, cells[0]) > 0.93
    assert not (seen & nuclei[1]).any()
    assert (seen & cells[1]).sum() < 0.05 * cells[1].sum()


def test_a_cell_cut_by_the_frame_is_outlined_up_to_it():
    """The line ends at the frame, and not before it."""
    image, cells, nuclei = discs((47.5, 8.0))
    seen = outline(image, nuclei[0], nothing()).cell
    assert dice(seen, cells[0]) > 0.9
    assert seen[:, 0].sum() > 20
