"""Laws of cells that touch."""

import numpy as np
import pytest

from leukoscope.morphology.masks import dice
from leukoscope.morphology.touching import part_cells

CYTOPLASM, NUCLEUS, ERYTHROCYTE = (205, 175, 205), (95, 55, 135), (215, 150, 140)


def disc(row, column, radius, side=100):
    """Draw a disc."""
    y, x = np.mgrid[:side, :side]
    return np.hypot(y - row, x - column) <= radius


def painted(cells, nuclei, other=None):
    """Paint a picture of the masks."""
    image = np.full((*cells.shape, 3), (245, 231, 217), np.uint8)
    image[cells] = CYTOPLASM
    if other is not None:
        image[other] = ERYTHROCYTE
    image[nuclei] = NUCLEUS
    return image


def pair(gap, radius=18):
    """Draw two discs side by side, each with a nucleus."""
    right = 50 + radius + gap / 2
    one, other = disc(50, 100 - right, radius), disc(50, right, radius)
    nuclei = disc(50, 100 - right, radius / 2), disc(50, right, radius / 2)
    return one, other, nuclei[0], nuclei[1]


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("gap", [-1, -4, -8])
def test_two_cells_are_parted_at_their_neck(gap, turns):
    """Discs that overlap come apart, each with its nucleus; nothing is lost or had twice."""
    one, other, its, others = (np.rot90(mask, turns) for mask in pair(gap))
    cells, nuclei = one | other, its | others
    parts = part_cells(painted(cells, nuclei), cells, nuclei)
    assert len(parts) == 2
    np.testing.assert_array_equal(parts[0] ^ parts[1], cells)
    for cell, nucleus in ((one & ~other, its), (other & ~one, others)):
        best = max(parts, key=lambda part, cell=cell: dice(part, cell))
        assert dice(best, cell) > 0.95
        assert not (nucleus & ~best).any()


def test_three_cells_in_a_row_are_three():
    """Each neck parts."""
    places = ((50, 20), (50, 49), (50, 78))
    cells = np.any([disc(*place, 16) for place in places], axis=0)
    nuclei = np.any([disc(*place, 8) for place in places], axis=0)
    parts = part_cells(painted(cells, nuclei), cells, nuclei)
    assert len(parts) == 3
    np.testing.assert_array_equal(np.sum(parts, axis=0), cells)


def test_a_round_cell_is_one_however_many_lobes_it_has():
    """Without a neck the lobes of a nucleus are those of one cell."""
    cells = disc(50, 50, 25)
    nuclei = disc(40, 45, 6) | disc(60, 45, 6) | disc(50, 62, 6)
    (part,) = part_cells(painted(cells, nuclei), cells, nuclei)
    np.testing.assert_array_equal(part, cells)


@pytest.mark.parametrize("half_deg", [60, 90, 120, 150])
def test_a_bent_cell_is_one(half_deg):
    """A bow is far from its hull and as wide everywhere: it has no neck."""
    y, x = np.mgrid[:100, :100] - 49.5
    away, angle = np.hypot(y, x), np.degrees(np.abs(np.arctan2(y, x)))
    cells = (np.abs(away - 28) < 11) & (angle < half_deg)
    nuclei = (np.abs(away - 28) < 5) & (angle < half_deg - 25)
    (part,) = part_cells(painted(cells, nuclei), cells, nuclei)
    np.testing.assert_array_equal(part, cells)


def test_a_bulge_of_the_same_colour_is_kept_and_of_another_left_out():
    """Cytoplasm beyond a neck is the cell's; an erythrocyte that touches it is not."""
    one, other, its, _ = pair(-3)
    cells = one | other
    (kept,) = part_cells(painted(cells, its), cells, its)
    np.testing.assert_array_equal(kept, cells)
    (cut,) = part_cells(painted(cells, its, other & ~one), cells, its)
    assert dice(cut, one & ~other) > 0.95
    assert not (cut & ~cells).any()
