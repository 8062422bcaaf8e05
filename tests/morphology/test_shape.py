"""Laws of size and shape."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.reference import shape_reference as reference

from leukoscope.foundation.errors import DataError
from leukoscope.intake.phantom import PhantomRecipe, cells
from leukoscope.morphology.definitions import NAMES
from leukoscope.morphology.masks import Mask, Masks
from leukoscope.morphology.shape import perimeter, shape_measures

LENGTHS = ("cell_diameter_px", "nucleus_diameter_px")
AREAS = ("cell_area_px2", "nucleus_area_px2", "cytoplasm_area_px2")
SMALL = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))).filter(np.any)
OFFSETS = st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))


def disc(radius_px: float, offset_px: tuple[float, float] = (0.0, 0.0), half_px: int = 30) -> Mask:
    """Draw a disc that lies off the middle of its picture."""
    y, x = np.mgrid[-half_px : half_px + 1, -half_px : half_px + 1]
    return np.hypot(y - offset_px[0], x - offset_px[1]) <= radius_px


def alone(mask: Mask) -> dict[str, float]:
    """Measure a mask that is all nucleus."""
    return shape_measures(Masks(mask, mask))


@functools.cache
def drawn() -> list[Masks]:
    """Draw two dozen phantom cells of all categories."""
    recipe = PhantomRecipe(name="shapes", seed=4, n_cases=4, cells_per_case=6, size_px=72)
    return [Masks(cell.nucleus_mask, cell.cell_mask) for cell in cells(recipe)]


# Names and places


def test_every_shape_measure_is_a_defined_one() -> None:
    """Names stand in the table of definitions, in its order."""
    names = list(shape_measures(drawn()[0]))
    assert names == [name for name in NAMES if name in names]
    assert len(names) == 15


@pytest.mark.parametrize("turns", range(4))
def test_turning_and_flipping_change_nothing(turns: int) -> None:
    """All eight views of a cell have its measures."""
    for nucleus, cell in drawn():
        expected = shape_measures(Masks(nucleus, cell))
        for one, other in ((nucleus, cell), (nucleus.T, cell.T)):
            view = Masks(np.rot90(one, turns), np.rot90(other, turns))
            assert shape_measures(view) == pytest.approx(expected, rel=1e-12)


@given(st.lists(st.integers(0, 9), min_size=4, max_size=4))
def test_where_a_cell_lies_changes_nothing(margins: list[int]) -> None:
    """Rows and columns of background on any side leave every measure as it is."""
    masks = drawn()[0]
    padded = (np.pad(mask, (margins[:2], margins[2:])) for mask in masks)
    assert shape_measures(Masks(*padded)) == pytest.approx(shape_measures(masks), rel=1e-12)


def test_pixels_cut_in_four_double_lengths_and_keep_ratios() -> None:
    """Areas grow fourfold, diameters twofold; ratios, offset and pieces stay.

    Circularity and solidity do not: the corners of a larger pixel are real corners.
    """
    kept = ("nucleus_to_cytoplasm", "nucleus_share", "nucleus_parts", "nucleus_offset")
    factors = dict.fromkeys(AREAS, 4) | dict.fromkeys(LENGTHS, 2) | dict.fromkeys(kept, 1)
    for masks in drawn():
        once = shape_measures(masks)
        twice = shape_measures(Masks(*(mask.repeat(2, 0).repeat(2, 1) for mask in masks)))
        for name, factor in factors.items():
            assert twice[name] == pytest.approx(factor * once[name]), name


# Known shapes


def test_areas_add_up() -> None:
    """Nucleus and cytoplasm make the cell; both ratios say so too."""
    for masks in drawn():
        found = shape_measures(masks)
        assert found["nucleus_area_px2"] + found["cytoplasm_area_px2"] == found["cell_area_px2"]
        ratio = found["nucleus_to_cytoplasm"]
        assert found["nucleus_share"] == pytest.approx(ratio / (1 + ratio))


def test_without_cytoplasm_there_is_no_ratio_to_it() -> None:
    """A naked nucleus has NaN for it and fills all of its cell."""
    found = alone(disc(9))
    assert math.isnan(found["nucleus_to_cytoplasm"])
    assert found["nucleus_share"] == 1
    assert found["cytoplasm_area_px2"] == 0


@given(st.floats(12, 25), OFFSETS)
def test_a_disc_is_round(radius_px: float, offset_px: tuple[float, float]) -> None:
    """Circularity and elongation are 1 within 7 %, solidity is 1 exactly, the diameter is known."""
    found = alone(disc(radius_px, offset_px))
    assert found["cell_circularity"] == pytest.approx(1, abs=0.07)
    assert found["cell_elongation"] == pytest.approx(1, abs=0.07)
    assert found["cell_solidity"] == 1
    assert found["cell_diameter_px"] == pytest.approx(2 * radius_px, rel=0.02)


def test_a_deeper_notch_is_less_round_and_less_solid() -> None:
    """Circularity and solidity fall with every pixel that a notch goes deeper."""
    series = []
    for depth in range(0, 24, 3):
        mask = disc(20)
        mask[28:33, 50 - depth :] = False
        found = alone(mask)
        series.append((found["cell_circularity"], found["cell_solidity"]))
    assert all(np.diff(np.array(series), axis=0).max(axis=0) < 0)


@given(st.integers(1, 20), st.integers(1, 20))
def test_a_rectangle_is_as_long_as_its_sides(height: int, width: int) -> None:
    """Elongation is the ratio of the sides exactly, down to one pixel; a rectangle is solid."""
    found = alone(np.ones((height, width), bool))
    assert found["cell_elongation"] == pytest.approx(max(height, width) / min(height, width))
    assert found["cell_solidity"] == 1


@given(st.integers(0, 9), st.integers(0, 9))
def test_the_offset_is_the_way_between_the_middles(down: int, right: int) -> None:
    """A nucleus moved by whole pixels lies as far off as it was moved."""
    masks = Masks(disc(10, (down, right)), disc(25))
    half = math.sqrt(masks.cell.sum() / math.pi)
    expected = math.hypot(down, right) / half
    assert shape_measures(masks)["nucleus_offset"] == pytest.approx(expected, abs=1e-12)


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    """Two pixels at a corner count once, with a pixel between them twice."""
    assert alone(np.eye(2, dtype=bool))["nucleus_parts"] == 1
    assert alone(np.array([[True, False, True]]))["nucleus_parts"] == 2


# The slow way


@given(SMALL)
def test_measures_equal_the_slow_way(mask: Mask) -> None:
    """Perimeter, hull, moments and pieces of any mask are those counted pixel by pixel."""
    pixels, found = reference.pixels_of(mask.tolist()), alone(mask)
    length = reference.perimeter(pixels)
    assert perimeter(mask) == pytest.approx(length)
    assert found["nucleus_circularity"] == pytest.approx(4 * math.pi * len(pixels) / length**2)
    assert found["nucleus_elongation"] == pytest.approx(reference.elongation(pixels))
    assert found["nucleus_parts"] == len(reference.pieces(pixels))


@given(arrays(bool, (5, 5)).filter(lambda mask: mask.any(axis=0).all() and mask.any(axis=1).all()))
def test_solidity_equals_the_slow_way(mask: Mask) -> None:
    """The hull holds the points that no line through two pixels parts off, and never fewer."""
    pixels, found = reference.pixels_of(mask.tolist()), alone(mask)["nucleus_solidity"]
    assert found == pytest.approx(len(pixels) / reference.hull_size(pixels))
    assert found <= 1


# Bad input


def test_masks_that_do_not_belong_together_are_refused() -> None:
    """Empty, unequal and strayed masks each get their own sentence."""
    whole, none = np.ones((4, 5), bool), np.zeros((4, 5), bool)
    left = whole.copy()
    left[:, 3:] = False
    with pytest.raises(DataError, match="mask of the nucleus, 5 x 4 px, is empty"):
        shape_measures(Masks(none, whole))
    with pytest.raises(DataError, match="mask of the cell, 5 x 4 px, is empty"):
        shape_measures(Masks(whole, none))
    with pytest.raises(DataError, match="nucleus is 5 x 4 px and that of its cell 4 x 5"):
        shape_measures(Masks(whole, whole.T))
    with pytest.raises(DataError, match="8 pixels of the nucleus lie outside"):
        shape_measures(Masks(whole, left))
