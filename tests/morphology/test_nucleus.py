"""Laws of nuclei: found by their stain, outlined within a cell."""

import functools

import numpy as np
import pytest
from tests.reference import shape_reference as reference

from leukoscope.foundation.streams import stream
from leukoscope.intake.phantom import PhantomRecipe, cells
from leukoscope.morphology.field import absorbance, blank_colour
from leukoscope.morphology.masks import dice
from leukoscope.morphology.nucleus import (
    LOBE_SHARE,
    find_nucleus,
    has_another,
    is_stained,
    nucleus_within,
)

# Granules cover the nucleus of a basophil, and are stained as it is.
LOBED_AND_ROUND = {"segmented", "band", "eosinophil", "monocyte", "lymphocyte"}


@functools.cache
def drawn():
    """Draw phantom cells whose nuclei can be seen."""
    mix = dict.fromkeys(LOBED_AND_ROUND, 1.0)
    recipe = PhantomRecipe(name="nuclei", seed=9, n_cases=3, cells_per_case=5, size_px=128, mix=mix)
    return [(cell, density_of(cell.image)) for cell in cells(recipe)]


def density_of(image):
    return absorbance(image, blank_colour(image), blur_px=1.2)


def test_a_nucleus_is_outlined_within_its_cell():
    """Given the true cell, the true nucleus is found: seen .91 in the mean.

    Least, .71, in a lymphocyte whose cytoplasm is nearly as dark as its nucleus.
    """
    scores = []
    for cell, _ in drawn():
        seen = nucleus_within(cell.image, cell.cell_mask)
        assert not (seen.mask & ~cell.cell_mask).any()
        assert 0 <= seen.stability <= 1
        scores.append(dice(seen.mask, cell.nucleus_mask))
    assert np.mean(scores) > 0.89
    assert np.min(scores) > 0.65


@pytest.mark.parametrize("lamp", [(0.8, 0.8, 0.8), (0.85, 1, 1), (1, 0.95, 0.85)])
def test_the_lamp_does_not_matter_to_a_nucleus(lamp):
    """A factor on each channel leaves the outline, but for rounding."""
    for cell, _ in drawn():
        expected = nucleus_within(cell.image, cell.cell_mask).mask
        lit = np.rint(cell.image * np.array(lamp)).astype(np.uint8)
        assert dice(nucleus_within(lit, cell.cell_mask).mask, expected) > 0.97


@pytest.mark.parametrize("fill", ["noise", "black", "white"])
def test_what_lies_outside_the_cell_is_not_seen(fill):
    """Anything planted there changes no byte of the nucleus and nothing of its stability."""
    for number, (cell, _) in enumerate(drawn()):
        noise = stream(number, "outside").integers(0, 256, cell.image.shape).astype(np.uint8)
        outside = {"noise": noise, "black": np.zeros_like(noise), "white": np.full_like(noise, 255)}
        image = np.where(cell.cell_mask[..., None], cell.image, outside[fill])
        seen, expected = (nucleus_within(im, cell.cell_mask) for im in (image, cell.image))
        np.testing.assert_array_equal(seen.mask, expected.mask)
        assert seen.stability == expected.stability


def test_the_number_of_pixels_does_not_matter_to_a_nucleus():
    """Every pixel made four: the outline is that of the smaller picture."""
    for cell, _ in drawn()[:6]:
        image, mask = (np.repeat(np.repeat(a, 2, 0), 2, 1) for a in (cell.image, cell.cell_mask))
        small = nucleus_within(cell.image, cell.cell_mask).mask
        seen = nucleus_within(image, mask).mask
        assert dice(seen, np.repeat(np.repeat(small, 2, 0), 2, 1)) > 0.96


def test_no_piece_of_a_nucleus_is_debris():
    """Every piece has the share of the largest that a lobe has, but for the way back to pixels."""
    for cell, _ in drawn():
        seen = nucleus_within(cell.image, cell.cell_mask).mask
        sizes = [len(piece) for piece in reference.pieces(reference.pixels_of(seen.tolist()))]
        assert min(sizes) > 0.8 * LOBE_SHARE * max(sizes)


def test_a_nucleus_has_no_holes_but_between_its_lobes():
    """A hole drawn into a nucleus is filled."""
    y, x = np.mgrid[:60, :60] - 29.5
    away = np.hypot(y, x)
    image = np.full((60, 60, 3), (205, 175, 205), np.uint8)
    image[away < 15] = (95, 55, 135)
    image[away < 4] = (205, 175, 205)
    seen = nucleus_within(image, away < 25).mask
    assert seen[away < 14].all()
    assert not seen[away > 17].any()


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (95, 55, 135)])
def test_a_cell_of_one_colour_has_no_nucleus(colour):
    """Nothing in it is darker than the rest."""
    image, cell = np.full((30, 30, 3), colour, np.uint8), np.zeros((30, 30), bool)
    cell[5:25, 5:25] = True
    seen = nucleus_within(image, cell)
    assert not seen.mask.any()
    assert seen.stability == 0


@pytest.mark.parametrize("spread", [0.0, 1e-7])
def test_one_stain_is_no_nucleus(spread):
    """Rounding alone makes none."""
    density = np.full((30, 30, 3), 0.7, np.float32)
    density[::2, :, 1] += np.float32(spread)
    assert find_nucleus(density) is None


def test_nuclei_are_stained_and_erythrocytes_are_not():
    """What lies outside a phantom cell and absorbs light is haemoglobin, but for platelets."""
    for cell, density in drawn():
        assert is_stained(density, cell.nucleus_mask)
        red = ~cell.cell_mask & (density[..., 2] > 0.15)
        if red.sum() > 50:
            assert not is_stained(density, red)


def test_the_first_find_is_the_nucleus():
    """It covers the nucleus, and hardly anything outside the cell."""
    for cell, density in drawn():
        found = find_nucleus(density)
        assert found is not None
        assert (found.mask & cell.nucleus_mask).sum() > 0.75 * cell.nucleus_mask.sum()
        assert (found.mask & ~cell.cell_mask).sum() < 0.05 * found.mask.sum()
        assert not (found.mask & found.rivals).any()
        assert not has_another(found, cell.cell_mask)


def test_an_empty_field_holds_no_nucleus():
    """Nothing that absorbs light, nothing found."""
    assert find_nucleus(np.zeros((40, 50, 3), np.float32)) is None


def test_a_nucleus_far_off_is_a_rivals():
    """Of two alike the one in the middle is taken; the other, cut by the frame, is a rival."""
    y, x = np.mgrid[:90, :90] - 44.5
    middle, corner = np.hypot(y, x) < 12, np.hypot(y, x - 40) < 14
    density = np.zeros((90, 90, 3), np.float32)
    density[middle | corner] = (0.9, 1.3, 0.5)
    found = find_nucleus(density)
    assert found is not None
    assert dice(found.mask, middle) > 0.95
    assert dice(found.rivals, corner) > 0.9
    assert has_another(found, middle)
    assert not has_another(found, middle | corner)


@pytest.mark.parametrize(("radius", "another"), [(4, False), (11, True)])
def test_another_nucleus_is_not_much_smaller(radius, another):
    """Something stained alike, away from the cell, counts from two fifths of the nucleus on."""
    y, x = np.mgrid[:120, :120] - 59.5
    middle, beside = np.hypot(y, x) < 12, np.hypot(y, x - 40) < radius
    density = np.zeros((120, 120, 3), np.float32)
    density[middle | beside] = (0.9, 1.3, 0.5)
    found = find_nucleus(density)
    assert found is not None
    assert has_another(found, np.hypot(y, x) < 20) == another
