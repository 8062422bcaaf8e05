import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.intake.phantom import PhantomRecipe, draw_cell
from leukoscope.morphology.definitions import (
    AREAS,
    COLUMNS,
    LENGTHS,
    MEASURES,
    N_RADII,
    NAMES,
    TWINS,
)
from leukoscope.morphology.masks import Masks, diameter_of, without_background
from leukoscope.morphology.measures import measure_cell
from leukoscope.morphology.texture import darkness_of, focus, granularity

N_CELLS = 12
# Names of what only a nucleus of several lobes has.
OF_BRIDGES = {"bridge_width_px", "bridge_width_um"}


def cell(index=0, size_px=72):
    """Draw a phantom cell: its picture, its masks and its category."""
    recipe = PhantomRecipe(
        name="measured", seed=5, n_cases=1, cells_per_case=N_CELLS, size_px=size_px
    )
    drawn = draw_cell(recipe, 0, index)
    return drawn.image, Masks(drawn.nucleus_mask, drawn.cell_mask), drawn.category


def assert_same(seen, expected):
    """Demand equality to the last bit, where NaN equals NaN."""
    assert list(seen) == list(expected)
    np.testing.assert_array_equal(list(seen.values()), list(expected.values()))


# The table


def test_every_defined_measure_is_taken_in_order():
    """The names are those defined, measures first, then the twins of lengths and areas."""
    image, masks, _ = cell()
    for um_per_px in (None, 0.3):
        seen = measure_cell(image, masks, um_per_px)
        assert tuple(seen) == COLUMNS
        assert all(type(value) is float for value in seen.values())
    assert COLUMNS[: len(NAMES)] == NAMES
    assert len(set(COLUMNS)) == len(NAMES) + len(LENGTHS) + len(AREAS)


def test_definitions_are_whole_and_units_stand_in_names():
    """Each measure has a unit, a meaning and a source; a name ends as its unit says."""
    for measure in MEASURES:
        assert all(measure)
        assert measure.name.endswith("_px") == (measure.unit == "px")
        assert measure.name.endswith("_px2") == (measure.unit == "px²")


def test_twins_are_in_micrometres():
    """A length takes the scale once, an area twice; without a scale both are unknown."""
    image, masks, _ = cell()
    seen, unknown = measure_cell(image, masks, 0.25), measure_cell(image, masks)
    assert seen["cell_area_um2"] == pytest.approx(masks.cell.sum() / 16)
    for name, twin in TWINS.items():
        factor = 0.25**2 if name in AREAS else 0.25
        assert seen[twin] == pytest.approx(factor * seen[name], nan_ok=True)
        assert np.isnan(unknown[twin])
        assert twin == name.replace("_px", "_um")


@pytest.mark.parametrize("index", range(N_CELLS))
def test_a_whole_cell_is_measured_whole(index):
    """Of a cell with cytoplasm everything is a finite number but the bridge of a single lobe."""
    image, masks, _ = cell(index)
    unknown = {name for name, value in measure_cell(image, masks, 0.36).items() if np.isnan(value)}
    assert unknown <= OF_BRIDGES


def test_a_cell_without_cytoplasm_lacks_its_measures_alone():
    """What is of the cytoplasm, or relates to it, is unknown; nothing else is."""
    image, masks, _ = cell()
    seen = measure_cell(image, Masks(masks.cell, masks.cell), 0.36)
    unknown = {name for name, value in seen.items() if np.isnan(value)} - OF_BRIDGES
    of_cytoplasm = {
        name for name in COLUMNS if name.startswith("cytoplasm_") and "area" not in name
    }
    assert unknown == of_cytoplasm | {"nucleus_to_cytoplasm", "colour_contrast"}


def test_both_parts_are_brought_to_the_scale_of_the_cell():
    """The spectra are those of nucleus and cytoplasm at 64 px to the diameter of the whole cell."""
    image, masks, _ = cell(1)
    seen, diameter_px = measure_cell(image, masks), diameter_of(masks.cell)
    parts = {"nucleus": masks.nucleus, "cytoplasm": masks.cell & ~masks.nucleus}
    for part, mask in parts.items():
        expected = granularity(darkness_of(image), mask, diameter_px)
        assert tuple(seen[f"{part}_granularity_{r}"] for r in range(1, N_RADII + 1)) == expected
    assert seen["focus"] == focus(image, masks.cell)


# Laws


@given(st.integers(0, N_CELLS - 1), st.integers(0, 99), st.tuples(*[st.integers(0, 255)] * 3))
@settings(max_examples=15)
def test_the_background_has_no_say(index, seed, fill):
    """With any colour, or noise, for a background every measure is the same to the last bit."""
    image, masks, _ = cell(index)
    seen = measure_cell(image, masks, 0.36)
    assert_same(measure_cell(without_background(image, masks.cell, fill), masks, 0.36), seen)
    noise = stream(seed, "test", "background").integers(0, 256, image.shape, np.uint8)
    noise[masks.cell] = image[masks.cell]
    assert_same(measure_cell(noise, masks, 0.36), seen)


@given(st.integers(0, N_CELLS - 1), st.integers(1, 7))
@settings(max_examples=15)
def test_direction_has_no_say(index, turn):
    """Turned by right angles or flipped, a cell measures the same but for rounding."""
    image, masks, _ = cell(index)

    def turned(array):
        array = np.rot90(array, turn)
        return np.ascontiguousarray(array[::-1] if turn > 3 else array)

    seen = measure_cell(turned(image), Masks(*map(turned, masks)))
    assert seen == pytest.approx(measure_cell(image, masks), rel=1e-3, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("index", range(3))
def test_blur_lowers_focus_of_a_cell_on_its_field(index):
    """A cell blurred with what lies around it is less in focus, step by step."""
    image, masks, _ = cell(index, 128)
    blurred = [image, *(cv2.GaussianBlur(image, (0, 0), sigma) for sigma in (1.0, 2.0, 4.0))]
    seen = [measure_cell(picture, masks)["focus"] for picture in blurred]
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] < seen[0] / 2


def test_measuring_leaves_picture_and_masks_as_they_are():
    """Nothing that is given is written to: read-only arrays are measured."""
    image, masks, _ = cell()
    for array in (image, *masks):
        array.flags.writeable = False
    assert measure_cell(image, masks)["nucleus_area_px2"] == masks.nucleus.sum()


# What cannot be measured


@pytest.mark.parametrize("part", ["nucleus", "cell"])
def test_masks_of_another_size_are_refused(part):
    """The error names the mask and both sizes."""
    image, masks, _ = cell()
    wrong = masks._replace(**{part: getattr(masks, part)[:-1, :-2]})
    with pytest.raises(DataError, match=rf"mask of the {part} is 70 × 71 px, its picture 72 × 72"):
        measure_cell(image, wrong)


def test_masks_that_are_no_cell_are_refused():
    """No nucleus, or one that reaches out of the cell, is refused with what was seen."""
    image, masks, _ = cell()
    nothing = np.zeros_like(masks.cell)
    with pytest.raises(DataError, match="nucleus is empty"):
        measure_cell(image, masks._replace(nucleus=nothing))
    with pytest.raises(DataError, match="nucleus is empty"):
        measure_cell(image, Masks(nothing, nothing))
    with pytest.raises(DataError, match=rf"^{masks.nucleus.sum()} pixels of the nucleus lie out"):
        measure_cell(image, masks._replace(cell=nothing))


@pytest.mark.parametrize("um_per_px", [0.0, -0.1, float("nan"), float("inf")])
def test_a_scale_that_is_none_is_refused(um_per_px):
    """A pixel's width is a number above 0, or left out."""
    image, masks, _ = cell()
    with pytest.raises(DataError, match=r"µm wide"):
        measure_cell(image, masks, um_per_px)


@pytest.mark.parametrize("side_px", [1, 2, 5])
def test_the_smallest_cells_are_measured_without_a_warning(side_px):
    """A cell of a few pixels gives its area, and unknown rather than an error for what it lacks."""
    image = np.full((9, 9, 3), 90, np.uint8)
    mask = np.zeros((9, 9), bool)
    mask[2 : 2 + side_px, 3 : 3 + side_px] = True
    seen = measure_cell(image, Masks(mask, mask))
    assert seen["cell_area_px2"] == side_px**2
    assert seen["nucleus_lightness_spread"] == pytest.approx(0, abs=1e-9)
