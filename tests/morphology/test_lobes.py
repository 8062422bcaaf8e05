"""Laws of lobes and bridges."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import shape_reference as reference

from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.intake.phantom import VIEW_UM, PhantomCell, PhantomRecipe, cells
from leukoscope.intake.phantom_lobes import lobe_count
from leukoscope.morphology.definitions import NAMES
from leukoscope.morphology.lobes import BRIDGE_SHARE, LOBE_SHARE, lobe_measures
from leukoscope.morphology.masks import Mask

# Half the width of a lobe in a picture of 72, 128 and 224 px, and how near to a third the share
# of a bridge may come before pixels decide: some three spreads of the measured share.
MARGINS = {4.5: 0.15, 8.0: 0.08, 14.0: 0.05}
# A gap of less than twice this closes in a mask, and so does the tip of the wedge between two lobes
# that touch: lobes that an outline moved out by as much would join can be lost, never others.
RESOLVED_PX = 0.9
OFFSETS = st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))


def chain(
    radii_px: list[float],
    half_bridge_px: float,
    *,
    spacing: float = 2.6,
    turn_deg: float = 0.0,
    bend_deg: float = 0.0,
    offset_px: tuple[float, float] = (0.0, 0.0),
) -> Mask:
    """Draw discs along a bent line, each joined to the next by a straight bridge."""
    lengths = spacing * (np.array(radii_px[1:]) + np.array(radii_px[:-1])) / 2
    headings = np.radians(turn_deg + bend_deg * np.arange(len(lengths)))
    steps = lengths[:, None] * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    way = np.concatenate([np.zeros((1, 2)), steps.cumsum(axis=0)])
    way += offset_px - way.min(axis=0) + max(radii_px) + 4
    size = np.ceil(way.max(axis=0) + max(radii_px) + 4).astype(int)
    y, x = np.mgrid[: size[0], : size[1]]
    mask = np.zeros(size, bool)
    for (row, column), radius in zip(way, radii_px, strict=True):
        mask |= np.hypot(y - row, x - column) <= radius
    for (row, column), end in itertools.pairwise(way):
        length = math.dist((row, column), end)
        down, right = (end - (row, column)) / length
        along = (y - row) * down + (x - column) * right
        across = (x - column) * down - (y - row) * right
        mask |= (along >= 0) & (along <= length) & (np.abs(across) < half_bridge_px)
    return mask


def drawn(**changes: object) -> list[PhantomCell]:
    """Draw some dozens of phantom cells."""
    settled = {"name": "lobes", "seed": 5, "n_cases": 3, "cells_per_case": 12, "size_px": 72}
    return list(cells(PhantomRecipe.from_mapping({**settled, **changes}, where="test")))


def same(one: dict[str, float], other: dict[str, float]) -> bool:
    """Compare measures bit for bit, NaN included."""
    return one.keys() == other.keys() and np.array_equal(
        [*one.values()], [*other.values()], equal_nan=True
    )


# Names and places


def test_every_lobe_measure_is_a_defined_one() -> None:
    """Names stand in the table of definitions, in its order."""
    names = list(lobe_measures(chain([8], 0)))
    assert names == [name for name in NAMES if name in names]
    assert len(names) == 5


def test_views_and_places_of_a_nucleus_give_equal_bits() -> None:
    """Quarter turns, flips and background on any side change nothing, not even the last digit."""
    for number, cell in enumerate(drawn(n_cases=2)):
        expected = lobe_measures(cell.nucleus_mask)
        moved = np.pad(cell.nucleus_mask, ((number, 2), (0, 3 * number)))
        for turns in range(4):
            assert same(lobe_measures(np.rot90(moved, turns)), expected)
            assert same(lobe_measures(np.rot90(moved.T, turns)), expected)


@pytest.mark.parametrize("factor", [2, 3])
def test_finer_pixels_change_no_count(factor: int) -> None:
    """A nucleus of blown-up pixels has as many lobes unless a bridge is close to a third."""
    seen = 0
    for cell in drawn(size_px=128, n_cases=3):
        once = lobe_measures(cell.nucleus_mask)
        if abs(cell.constriction - 2 / 3) < 0.1 or abs(once["neck_ratio"] - 1 / 3) < 0.06:
            continue
        blown = cell.nucleus_mask.repeat(factor, 0).repeat(factor, 1)
        assert lobe_measures(blown)["lobe_count"] == once["lobe_count"]
        seen += 1
    assert seen > 20


# Known shapes


@given(st.data())
@settings(max_examples=40)
def test_lobes_of_a_chain_are_counted_exactly(data: st.DataObject) -> None:
    """Discs joined by bridges count one by one where bridges are narrow, as one where broad."""
    radius = data.draw(st.sampled_from(sorted(MARGINS)))
    count = data.draw(st.integers(1, 5))
    radii = data.draw(st.lists(st.floats(0.9, 1.1), min_size=count, max_size=count))
    narrow = data.draw(st.booleans())
    share = (
        data.draw(st.floats(0.5 / radius, BRIDGE_SHARE - MARGINS[radius]))
        if narrow
        else data.draw(st.floats(BRIDGE_SHARE + MARGINS[radius], 1))
    )
    mask = chain(
        [radius * size for size in radii],
        share * radius * (min(radii) if narrow else max(radii)),
        turn_deg=data.draw(st.floats(0, 360)),
        bend_deg=data.draw(st.floats(-40, 40)),
        offset_px=data.draw(OFFSETS),
    )
    assert lobe_measures(mask)["lobe_count"] == (count if narrow else 1)


@pytest.mark.parametrize("radius", sorted(MARGINS))
@pytest.mark.parametrize("share", [0.15, 0.22])
def test_a_bridge_is_as_wide_as_it_was_drawn(radius: float, share: float) -> None:
    """The width of a bridge is met within 1.5 px at every turn and half a pixel in the mean.

    Along rows of pixels the drawing itself is up to a pixel off.
    """
    off = [
        lobe_measures(chain([radius, radius], share * radius, turn_deg=turn))["bridge_width_px"]
        - 2 * share * radius
        for turn in range(0, 180, 9)
    ]
    assert np.abs(off).max() < 1.5
    assert abs(np.mean(off)) < 0.5


def test_the_neck_narrows_with_the_bridge() -> None:
    """The neck's ratio follows the bridge from 0 to an even sausage's 1."""
    shares = np.array([0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0])
    found = [lobe_measures(chain([14, 14, 14], s * 14, turn_deg=20))["neck_ratio"] for s in shares]
    assert np.abs(found - shares).max() < 0.05


def test_lobes_apart_have_a_bridge_of_no_width() -> None:
    """Lobes that do not touch count, and bridge and neck are 0; one lobe has no bridge."""
    apart, single = lobe_measures(chain([8, 8, 8], 0.0, turn_deg=30)), lobe_measures(chain([8], 0))
    assert (apart["lobe_count"], apart["bridge_width_px"], apart["neck_ratio"]) == (3, 0, 0)
    assert (single["lobe_count"], single["neck_ratio"]) == (1, 1)
    assert math.isnan(single["bridge_width_px"])


@pytest.mark.parametrize("turn_deg", [0, 13, 45, 80])
def test_length_and_width_of_a_sausage(turn_deg: float) -> None:
    """A sausage is as long as from tip to tip and as wide as drawn, within 5 %."""
    found = lobe_measures(chain([9.25] * 3, 9.25, turn_deg=turn_deg))
    assert found["nucleus_length_px"] == pytest.approx(2 * 2.6 * 9.25 + 18.5, rel=0.05)
    assert found["nucleus_width_px"] == pytest.approx(18.5, rel=0.05)


def test_bending_keeps_the_length() -> None:
    """A horseshoe is as long as the line it was bent from, though its ends come close."""
    straight = lobe_measures(chain([6] * 5, 6, spacing=1.5))["nucleus_length_px"]
    bent = lobe_measures(chain([6] * 5, 6, spacing=1.5, bend_deg=50))["nucleus_length_px"]
    assert bent == pytest.approx(straight, rel=0.08)


# What is no lobe


@pytest.mark.parametrize("seed", range(12))
def test_a_rough_outline_has_no_lobes(seed: int) -> None:
    """Bumps, notches and a frayed border make no lobe of a round or a long nucleus."""
    rng = stream(seed, "rough outline")
    angle = np.linspace(0, 2 * np.pi, 360)
    waves = sum(
        rng.normal(0, 0.035) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in range(3, 25)
    )
    y, x = np.mgrid[-40:41, -40:41]
    reach = np.interp(np.arctan2(y, x) % (2 * np.pi), angle, 22 * (1 + waves))
    stretched = np.hypot(y, x / rng.uniform(1, 1.6))
    mask = (stretched <= reach) & ((rng.random(y.shape) > 0.3) | (stretched <= reach - 2))
    found = lobe_measures(mask)
    assert found["lobe_count"] == 1
    assert found["neck_ratio"] > 0.6


@pytest.mark.parametrize("share", [0.6, 1.6])
def test_an_appendage_counts_from_its_size_on(share: float) -> None:
    """A knob on a thread is a lobe exactly if it has a twentieth of the nucleus; so is a crumb."""
    knob = 20 * math.sqrt(share * LOBE_SHARE)
    hanging = lobe_measures(chain([20, knob], 1.0, spacing=2.4))
    loose = lobe_measures(chain([20, knob], 0.0, spacing=2.4))
    assert hanging["lobe_count"] == loose["lobe_count"] == (2 if share > 1 else 1)
    assert math.isnan(hanging["bridge_width_px"]) == (share < 1)
    assert loose["neck_ratio"] == (0 if share > 1 else 1)


# The slow way


@pytest.mark.parametrize("seed", range(10))
def test_lobes_equal_the_slow_way(seed: int) -> None:
    """Count and neck of random chains are those found pixel by pixel, away from the border."""
    rng = stream(seed, "slow lobes")
    radii = rng.uniform(8, 11, int(rng.integers(2, 4))).tolist()
    share = rng.choice([rng.uniform(0.1, 0.25), rng.uniform(0.42, 0.55)])
    mask = chain(
        radii, share * min(radii), turn_deg=rng.uniform(0, 360), bend_deg=rng.uniform(-60, 60)
    )
    pixels = reference.pixels_of(mask.tolist())
    count, neck = reference.lobes(pixels, bridge_share=BRIDGE_SHARE, lobe_share=LOBE_SHARE)
    found = lobe_measures(mask)
    assert found["lobe_count"] == count
    assert found["neck_ratio"] == pytest.approx(neck, abs=0.09)


# Phantom cells


@pytest.mark.parametrize("size_px", [72, 128, 224])
def test_nuclei_drawn_without_lobes_have_one(size_px: int) -> None:
    """No lymphocyte or monocyte is given a second lobe at any size."""
    mix = {"monocyte": 1.0, "lymphocyte": 1.0}
    for cell in drawn(size_px=size_px, mix=mix, n_cases=2):
        assert lobe_measures(cell.nucleus_mask)["lobe_count"] == cell.lobes == 1


def resolved(cell: PhantomCell, um_per_px: float) -> bool:
    """Decide whether a cell's lobes stay as many while the outline moves RESOLVED_PX outwards."""
    moves = np.linspace(0, RESOLVED_PX, 4)[1:, None, None] * (0, 0, um_per_px)
    return all(lobe_count(discs) == cell.lobes for discs in cell.nucleus_um + moves)


@pytest.mark.parametrize("direction", ["any", "none"])
@pytest.mark.parametrize(("size_px", "least"), [(72, 0.7), (128, 0.9), (224, 0.9)])
def test_lobes_are_counted_exactly_if_pixels_resolve_them(
    size_px: int, least: float, direction: str
) -> None:
    """Every resolved nucleus has exactly its lobes, most are resolved, and none has more."""
    within = []
    for cell in drawn(size_px=size_px, direction=direction, n_cases=3, seed=6):
        found = lobe_measures(cell.nucleus_mask)["lobe_count"]
        within.append(resolved(cell, VIEW_UM / size_px))
        assert found == cell.lobes if within[-1] else found <= cell.lobes
    assert np.mean(within) >= least


# Bad input


def test_an_empty_mask_is_refused() -> None:
    """There is no count of lobes where there is no nucleus."""
    with pytest.raises(DataError, match="7 x 5 px, is empty"):
        lobe_measures(np.zeros((5, 7), bool))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6))
def test_a_nucleus_of_a_few_pixels_is_measured(height: int, width: int, seed: int) -> None:
    """Any mask with a pixel has finite measures and at least one lobe."""
    mask = stream(seed, "crumbs").random((height, width)) < 0.5
    mask[0, 0] = True
    found = lobe_measures(mask)
    assert found["lobe_count"] >= 1
    assert 0 <= found["neck_ratio"] <= 1
    assert math.isfinite(found["nucleus_length_px"] + found["nucleus_width_px"])
