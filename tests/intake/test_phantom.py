"""Laws of the drawn cells."""

import functools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from leukoscope.foundation.errors import RecipeError, UsageError
from leukoscope.intake import phantom
from leukoscope.intake.phantom import PhantomCell, PhantomRecipe
from leukoscope.records.categories import NOZAKA6

DIRECTIONS = ("any", "by-case", "tells-category", "none")
NEUTROPHILS = {"segmented": 1.0, "band": 1.0}


def recipe(**changes: object) -> PhantomRecipe:
    """Make a small recipe."""
    return PhantomRecipe.from_mapping(
        {"name": "test", "n_cases": 4, "cells_per_case": 6, "size_px": 40, **changes},
        where="test",
    )


def drawn(**changes: object) -> list[PhantomCell]:
    """Draw all cells of a small recipe."""
    return list(phantom.cells(recipe(**changes)))


def same(one: PhantomCell, other: PhantomCell) -> bool:
    """Compare two cells in everything they hold."""
    values, others = vars(one), vars(other)
    return all(np.array_equal(values[key], others[key]) for key in values | others)


def opens_up(image: np.ndarray, cell: PhantomCell, quarters: int = 0) -> float:
    """Measure how far the nucleus lies below the middle of its cell after quarter turns."""
    nucleus, whole = np.rot90(cell.nucleus_mask, quarters), np.rot90(cell.cell_mask, quarters)
    return float(np.argwhere(nucleus).mean(axis=0)[0] - np.argwhere(whole).mean(axis=0)[0])


def numeric_error(overlap: float, share: float) -> float:
    """Integrate the smaller of the two weighted densities of the latent, in plain Python."""
    low, high = 0.0, 20.0
    for _ in range(100):
        middle = (low + high) / 2
        # The overlapping coefficient of two unit normals at this distance.
        covered = math.erfc(middle / 2 / math.sqrt(2))
        low, high = (middle, high) if covered > overlap else (low, middle)
    step, total = 0.002, 0.0
    for number in range(-6000, 6001):
        z = number * step
        one = math.exp(-((z - low / 2) ** 2) / 2) / math.sqrt(2 * math.pi)
        two = math.exp(-((z + low / 2) ** 2) / 2) / math.sqrt(2 * math.pi)
        total += min(share * one, (1 - share) * two) * step
    return total


# Purity


def test_same_recipe_same_bytes() -> None:
    """Two walks over one recipe give equal cells."""
    assert all(same(a, b) for a, b in zip(drawn(), drawn(), strict=True))


def test_a_cell_does_not_depend_on_the_order_of_drawing() -> None:
    """Cells drawn backwards, one by one, equal those of the walk."""
    walk = drawn()
    backwards = [phantom.draw_cell(recipe(), n // 6, n % 6) for n in reversed(range(24))]
    assert all(same(a, b) for a, b in zip(walk, reversed(backwards), strict=True))


def test_cells_come_case_by_case() -> None:
    """Case names count from 1, indices from 0, and all pictures differ."""
    walk = drawn()
    assert [c.case for c in walk] == [f"case-{n // 6 + 1:03d}" for n in range(24)]
    assert [c.index for c in walk] == [n % 6 for n in range(24)]
    assert len({c.image.tobytes() for c in walk}) == 24


def test_the_seed_changes_every_picture() -> None:
    """No picture survives another seed."""
    assert not any(
        np.array_equal(a.image, b.image) for a, b in zip(drawn(), drawn(seed=1), strict=True)
    )


@pytest.mark.parametrize(("case", "index"), [(-1, 0), (4, 0), (0, -1), (0, 6)])
def test_a_cell_that_is_not_there_is_refused(case: int, index: int) -> None:
    """The error names the numbers that would have worked."""
    with pytest.raises(UsageError, match=r"cases are numbered 0 to 3, cells 0 to 5"):
        phantom.draw_cell(recipe(), case, index)


# Geometry


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("size_px", [24, 41, 72])
def test_masks_are_nested_and_boxed(direction: str, size_px: int) -> None:
    """The nucleus lies in the cell, the cell on the centre and off the rim, the box tight."""
    for cell in drawn(direction=direction, size_px=size_px, n_cases=2):
        assert cell.image.shape == (size_px, size_px, 3)
        assert cell.image.dtype == np.uint8
        assert cell.nucleus_mask.any()
        assert not (cell.nucleus_mask & ~cell.cell_mask).any()
        assert cell.cell_mask[size_px // 2, size_px // 2]
        left, top, right, bottom = cell.box_px
        assert 0 < left < right < size_px
        assert 0 < top < bottom < size_px
        inside = np.zeros_like(cell.cell_mask)
        inside[top:bottom, left:right] = True
        assert not (cell.cell_mask & ~inside).any()
        cut = cell.cell_mask[top:bottom, left:right]
        assert all(edge.any() for edge in (cut[0], cut[-1], cut[:, 0], cut[:, -1]))


def test_the_cell_is_one_piece() -> None:
    """No granule lies loose beside its cell."""
    for cell in drawn(size_px=72):
        assert ndimage.label(cell.cell_mask, np.ones((3, 3)))[1] == 1


def test_lobes_are_the_parts_left_when_bridges_go() -> None:
    """Where bands and segmented cells do not overlap, eroding the mask counts the lobes."""
    disc = np.hypot(*np.mgrid[-5:6, -5:6]) <= 4.2
    agree = []
    for cell in drawn(mix=NEUTROPHILS, overlap=0, size_px=144, n_cases=6, cells_per_case=10):
        parts = ndimage.label(ndimage.binary_erosion(cell.nucleus_mask, disc))[1]
        agree.append(parts == cell.lobes)
        assert cell.lobes == 1 or cell.category == "segmented"
        assert cell.lobes <= 5
    # Necks or lobes about as wide as the disc are few.
    assert np.mean(agree) > 0.85


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_lobes_follow_the_textbook(direction: str) -> None:
    """Broad bridges part no lobes; narrow ones part all but some of those that overlap.

    Lobes differ in size and bridges are uneven, so that a little about a third either may be.
    """
    narrow = []
    for cell in drawn(mix=NEUTROPHILS, overlap=1, n_cases=16, direction=direction):
        if 1 - cell.constriction > 1 / 3 + 0.08:
            assert cell.lobes == 1
        elif 1 - cell.constriction < 1 / 3 - 0.08:
            narrow.append(cell.lobes > 1)
    assert len(narrow) > 20
    # On a ring no lobe overlaps the next.
    assert np.mean(narrow) > 0.8 if direction != "none" else all(narrow)


def test_monocytes_are_large_and_lymphocytes_small() -> None:
    """Sizes order as in a smear, and eosinophils have the reddest cytoplasm."""
    walk = drawn(n_cases=10, cells_per_case=12, case_spread=0)
    area, red = {}, {}
    for category in NOZAKA6:
        own = [cell for cell in walk if cell.category == category]
        area[category] = np.mean([cell.cell_mask.sum() for cell in own])
        body = [cell.image[cell.cell_mask & ~cell.nucleus_mask].mean(axis=0) for cell in own]
        red[category] = np.mean([rgb[0] - (rgb[1] + rgb[2]) / 2 for rgb in body])
    assert max(area, key=area.__getitem__) == "monocyte"
    assert min(area, key=area.__getitem__) == "lymphocyte"
    assert max(red, key=red.__getitem__) == "eosinophil"
    assert max(red.values()) > 25 + max(red[c] for c in NOZAKA6 if c != "eosinophil")


# Counts


@settings(deadline=None, max_examples=40)
@given(
    shares=st.lists(st.floats(0.02, 5), min_size=1, max_size=6),
    n_cases=st.integers(1, 9),
    cells_per_case=st.integers(1, 23),
    seed=st.integers(0, 99),
)
def test_counts_follow_the_mix(
    shares: list[float], n_cases: int, cells_per_case: int, seed: int
) -> None:
    """After every case each category is within one cell of its share."""
    mix = dict(zip(NOZAKA6, shares, strict=False))
    value = recipe(mix=mix, n_cases=n_cases, cells_per_case=cells_per_case, seed=seed)
    seen: Counter[str] = Counter()
    for case in range(n_cases):
        seen.update(phantom._category(value, case, n) for n in range(cells_per_case))
        for category, share in mix.items():
            due = share / sum(shares) * (case + 1) * cells_per_case
            assert abs(seen[category] - due) < 1 + 1e-6
    assert seen.total() == n_cases * cells_per_case


def test_the_order_of_the_mix_does_not_matter() -> None:
    """A mix is a set of shares: its order and unit change no picture."""
    one = drawn(mix={"band": 1, "monocyte": 3})
    other = drawn(mix={"monocyte": 75, "band": 25})
    assert all(same(a, b) for a, b in zip(one, other, strict=True))


# Stain


def between_over_within(walk: list[PhantomCell]) -> float:
    """Divide the mean squares between and within cases of the background's blue minus red."""
    hue: dict[str, list[float]] = {}
    for cell in walk:
        rgb = np.percentile(cell.image[~cell.cell_mask], 90, axis=0)
        hue.setdefault(cell.case, []).append(float(rgb[2] - rgb[0]))
    table = np.array(list(hue.values()))
    between = table.shape[1] * table.mean(axis=1).var(ddof=1)
    return float(between / table.var(axis=1, ddof=1).mean())


def test_stain_differs_more_between_cases_than_within() -> None:
    """The ratio of mean squares is large with spread, and that of chance without."""
    assert between_over_within(drawn(n_cases=10, case_spread=1)) > 10
    # The 99.9 % point of F(9, 50) is 3.8.
    assert between_over_within(drawn(n_cases=10, case_spread=0)) < 3.8


# Overlap


@pytest.mark.parametrize("overlap", [0.05, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_bayes_error_equals_the_integral(overlap: float, share: float) -> None:
    """The formula equals the area under the smaller of the weighted densities."""
    mix = {"segmented": share, "band": 1 - share}
    stated = phantom.bayes_error(recipe(mix=mix, overlap=overlap))
    assert stated == pytest.approx(numeric_error(overlap, share), abs=1e-4)
    if share == 0.5:
        assert stated == pytest.approx(overlap / 2)


def test_bayes_error_is_nothing_where_there_is_nothing_to_confuse() -> None:
    """One of the two alone, or a turn that gives the category away, leaves no error."""
    assert phantom.bayes_error(recipe(mix={"band": 1, "monocyte": 1}, overlap=1)) == 0
    assert phantom.bayes_error(recipe(overlap=1, direction="tells-category")) == 0
    assert phantom.bayes_error(recipe(overlap=0)) < 1e-4


def test_no_threshold_does_better_than_stated() -> None:
    """The best border on the drawn constriction errs as often as the docstring says."""
    value = {"mix": NEUTROPHILS, "overlap": 0.4, "size_px": 24, "n_cases": 10}
    walk = drawn(**value, cells_per_case=60)
    drawn_at = np.array([cell.constriction for cell in walk])
    is_segmented = np.array([cell.category == "segmented" for cell in walk])
    errors = [np.mean((drawn_at >= border) != is_segmented) for border in np.sort(drawn_at)]
    stated = phantom.bayes_error(recipe(**value))
    spread = math.sqrt(stated * (1 - stated) / len(walk))
    assert abs(np.mean((drawn_at >= 2 / 3) != is_segmented) - stated) < 4 * spread
    assert stated - 4 * spread < min(errors) <= stated + 4 * spread
    assert 0.1 < min(errors) < 0.3


def test_bands_and_segmented_cells_differ_in_nothing_but_the_constriction() -> None:
    """With full overlap the size of the nucleus and its distance do not tell them apart."""
    walk = drawn(mix=NEUTROPHILS, overlap=1, n_cases=10, cells_per_case=30)
    for measure in (
        lambda cell: cell.nucleus_mask.sum(),
        lambda cell: cell.cell_mask.sum(),
        lambda cell: cell.lobes,
        lambda cell: cell.image[cell.cell_mask].mean(),
    ):
        one, two = (
            np.array([measure(cell) for cell in walk if cell.category == name], float)
            for name in NEUTROPHILS
        )
        error = math.sqrt(one.var() / len(one) + two.var() / len(two))
        assert abs(one.mean() - two.mean()) < 4 * error


# Direction


def concentration(turns_deg: list[float]) -> float:
    """Measure how far angles agree: 1 all equal, 0 none."""
    return float(abs(np.exp(1j * np.radians(turns_deg)).mean()))


def light_direction(cell: PhantomCell) -> complex:
    """Find where the light grows: the first moment of the brightness around the cell."""
    grey = cell.image.mean(axis=2)
    rows, columns = np.mgrid[-1 : 1 : 1j * len(grey), -1 : 1 : 1j * len(grey)]
    bright = ~cell.cell_mask & (grey > np.median(grey[~cell.cell_mask]))
    design = np.stack([np.ones(bright.sum()), columns[bright], -rows[bright]], axis=1)
    fit = np.linalg.lstsq(design, grey[bright], rcond=None)[0]
    return complex(fit[1], fit[2])


def test_cells_of_a_case_point_one_way_if_the_recipe_says_so() -> None:
    """By case, turns agree in a case's category and light in a case; otherwise neither does."""
    for direction, agree in (("by-case", True), ("any", False)):
        walk = drawn(direction=direction, n_cases=5, cells_per_case=24, mix=NEUTROPHILS)
        for case in {cell.case for cell in walk}:
            own = [cell for cell in walk if cell.case == case]
            for category in NEUTROPHILS:
                turns = [cell.turn_deg for cell in own if cell.category == category]
                assert (concentration(turns) > 0.9) == agree
            light = [float(np.degrees(np.angle(light_direction(cell)))) for cell in own]
            assert (concentration(light) > 0.9) == agree
        # Over all cases together nothing is left of it.
        assert concentration([cell.turn_deg for cell in walk]) < 0.8


def test_turn_is_where_the_nucleus_opens_to() -> None:
    """On average, and nearly always, the nucleus lies to the other side of its cell."""
    missed = []
    for cell in drawn(direction="by-case", n_cases=8, mix={"eosinophil": 1}, size_px=72):
        row, column = np.argwhere(cell.nucleus_mask).mean(axis=0)
        row, column = (row, column) - np.argwhere(cell.cell_mask).mean(axis=0)
        missed.append(math.degrees(math.atan2(row, -column)) - cell.turn_deg)
    assert concentration(missed) > 0.9
    assert abs(np.angle(np.exp(1j * np.radians(missed)).mean(), deg=True)) < 8


def test_a_half_turn_swaps_the_labels_that_direction_tells() -> None:
    """Up against down reads the label off; half turned it reads the other, quarter turned none."""
    mix = {**NEUTROPHILS, "eosinophil": 1, "basophil": 1}
    walk = drawn(direction="tells-category", mix=mix, n_cases=10, cells_per_case=20)
    truth = np.array([cell.category in ("segmented", "eosinophil") for cell in walk])
    right = [
        float(np.mean(np.array([opens_up(c.image, c, turns) > 0 for c in walk]) == truth))
        for turns in range(4)
    ]
    assert right[0] > 0.97
    assert right[2] < 0.03
    assert 0.35 < right[1] < 0.65
    assert 0.35 < right[3] < 0.65


def test_where_direction_tells_nothing_else_does() -> None:
    """Measures that a turn leaves alone are equally distributed within each pair."""
    mix = {**NEUTROPHILS, "eosinophil": 1, "basophil": 1}
    walk = drawn(direction="tells-category", mix=mix, n_cases=10, cells_per_case=40)
    for pair in (("segmented", "band"), ("eosinophil", "basophil")):
        for measure in (
            lambda cell: cell.nucleus_mask.sum(),
            lambda cell: cell.constriction,
            lambda cell: cell.image[cell.cell_mask].mean(),
        ):
            one, two = (
                np.array([measure(cell) for cell in walk if cell.category == name], float)
                for name in pair
            )
            error = math.sqrt(one.var() / len(one) + two.var() / len(two))
            assert abs(one.mean() - two.mean()) < 4 * error


def asymmetry(walk: list[PhantomCell], quarters: int) -> float:
    """Compare a category's mean picture with itself turned, in squared standard errors."""
    pictures = np.array([cell.image.mean(axis=2) for cell in walk])
    differences = pictures - np.rot90(pictures, quarters, axes=(1, 2))
    error = differences.var(axis=0, ddof=1) / len(walk)
    moved = error > 0
    return float((differences.mean(axis=0)[moved] ** 2 / error[moved]).mean())


@functools.cache
def alike(category: str, direction: str) -> list[PhantomCell]:
    """Draw cells of one category, once for every turn they are compared with."""
    size = {"mix": {category: 1}, "n_cases": 1, "cells_per_case": 120, "size_px": 24}
    return drawn(direction=direction, **size)


@pytest.mark.parametrize("category", NOZAKA6)
@pytest.mark.parametrize("quarters", [1, 2])
def test_without_direction_the_mean_picture_is_unchanged_by_a_turn(
    category: str, quarters: int
) -> None:
    """The squared difference is that of chance, 1; where direction tells, it is far more."""
    assert asymmetry(alike(category, "none"), quarters) < 1.8
    if category in ("segmented", "band", "eosinophil", "basophil"):
        assert asymmetry(alike(category, "tells-category"), quarters) > 4


# Recipes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_cases": 0}, "n_cases: Input should be greater than or equal to 1; seen 0"),
        ({"cells_per_case": -3}, "cells_per_case: Input should be greater than or equal to 1"),
        ({"overlap": 1.2}, "overlap: Input should be less than or equal to 1; seen 1.2"),
        ({"case_spread": -1}, "case_spread: Input should be greater than or equal to 0"),
        ({"size_px": 8}, "size_px: Input should be greater than or equal to 24"),
        ({"direction": "up"}, "direction: Input should be 'any'"),
        ({"mix": {"bend": 1}}, "No category is called 'bend'. Did you mean band"),
        ({"mix": {"band": 0}}, "the share of band should be above 0"),
        ({"mix": {}}, "mix should name at least one category"),
        ({"overlapp": 0.3}, "Did you mean overlap"),
    ],
)
def test_a_bad_recipe_is_refused(change: dict[str, object], said: str) -> None:
    """The sentence names the key, what was seen and what would do."""
    with pytest.raises(RecipeError) as caught:
        recipe(**change)
    assert said in str(caught.value)


@pytest.mark.parametrize("name", phantom.settings())
def test_packaged_settings_draw(name: str) -> None:
    """Every packaged setting bears its own name and gives cells."""
    value = phantom.load_setting(name)
    assert value.name == name
    assert phantom.draw_cell(value, value.n_cases - 1, 0).image.shape[0] == value.size_px


def test_settings_say_what_rotation_does() -> None:
    """The settings named after an answer have the direction that makes it true."""
    assert {name: phantom.load_setting(name).direction for name in phantom.settings()} == {
        "plain": "any",
        "rotation-harms": "tells-category",
        "rotation-helps": "by-case",
        "rotation-indifferent": "none",
    }


def test_a_setting_is_found_by_name_or_path(tmp_path) -> None:
    """A path is read as a recipe; an unknown name is refused with the near one."""
    path = tmp_path / "mine.yaml"
    path.write_text(recipe().to_yaml(), encoding="utf-8")
    assert phantom.load_setting(str(path)) == recipe()
    with pytest.raises(
        UsageError, match=r"No phantom setting is called 'plan'\. Did you mean plain"
    ):
        phantom.load_setting("plan")
    with pytest.raises(RecipeError, match=r"absent\.yml cannot be read"):
        phantom.load_setting(str(tmp_path / "absent.yml"))
