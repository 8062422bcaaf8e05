"""The gate for copies: planted ones are caught one by one, honest cells are not."""

import itertools

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, rotate, shift
from tests.reference import memorisation_reference

from leukoscope.foundation.errors import DataError
from leukoscope.stats.memorisation import (
    LARGEST_RATIO,
    are_near_copies,
    expected_by,
    gate_of,
    memorisation_test,
    merged,
    n_neighbours_needed,
    nearest_over_poses,
    ratios,
)
from leukoscope.stats.poses import oblique, turned

N_FIT, N_HELD = 300, 60


def pictures(rng, n, style=0.0):
    """Draw soft pictures that differ in few ways, as cells do."""
    basis = gaussian_filter(np.random.default_rng(99).normal(size=(24, 12, 12, 3)), (0, 2, 2, 0))
    basis /= basis.std(axis=(1, 2, 3), keepdims=True)
    weights = rng.normal(size=(n, 24)) + style
    levels = 128 + 9 * np.tensordot(weights, basis, 1) + rng.normal(0, 2, (n, 12, 12, 3))
    return np.clip(levels, 0, 255).round().astype(np.uint8)


def copied(rng, pixels):
    """Turn each picture, and add noise and light."""
    poses = rng.integers(0, 8, len(pixels))
    moved = np.stack([turned(one[None], p)[0] for one, p in zip(pixels, poses, strict=True)])
    return (
        np.clip(moved.astype(float) + 6 + rng.normal(0, 4, moved.shape), 0, 255)
        .round()
        .astype(np.uint8)
    )


def looked_at(drawn, fit, held):
    """Give the corrected ratios of drawn pictures, and the gate."""
    own = np.eye(len(held), dtype=bool)
    honest = ratios(
        nearest_over_poses(held, fit).distance[:, 0],
        nearest_over_poses(held, held, apart=own).distance[:, 0],
    )
    gate = gate_of(honest, len(drawn))
    near = [nearest_over_poses(drawn, pool).distance[:, 0] for pool in (fit, held)]
    return ratios(*near) / gate.expected, gate


def look_for_closeness(drawn, fit, held, groups, seed, **more):
    k = n_neighbours_needed(len(fit), len(held))
    near = [nearest_over_poses(drawn, pool, k) for pool in (fit, held)]
    is_fit = np.arange(len(fit) + len(held)) < len(fit)
    rng = np.random.default_rng(seed)
    joined = merged(*near, len(fit))
    return memorisation_test(joined, is_fit, groups, rng, n_permutations=99, **more)


def test_poses_are_eight_and_those_of_plain_lists():
    """Each pose is that of turning rows by hand."""
    one = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    wanted = memorisation_reference.poses(one.tolist())
    found = [turned(one[None], pose)[0].tolist() for pose in range(8)]
    assert found == wanted
    assert len({str(each) for each in found}) == 8


def test_the_other_eight_poses_are_turned_by_45_degrees():
    """They are those of another library's rotation, and two such turns are nearly a quarter."""
    soft = pictures(np.random.default_rng(20), 5)
    wanted = rotate(soft.astype(float), 45, (2, 1), reshape=False, order=1, mode="mirror")
    found = oblique(soft)
    assert np.abs(found - wanted).max() <= 0.51
    other = rotate(soft.astype(float), -45, (2, 1), reshape=False, order=1, mode="mirror")
    assert np.abs(found - other).max() > 5
    assert len({turned(soft, pose).tobytes() for pose in range(16)}) == 16
    for pose in range(8):
        assert (turned(soft, pose + 8) == turned(found, pose)).all()


def test_a_picture_turned_by_45_degrees_is_found_in_its_pose():
    """With the pool's oblique pictures all sixteen poses are told, the eight as without them."""
    pool = pictures(np.random.default_rng(21), 20)
    for pose in range(16):
        found = nearest_over_poses(turned(pool[7:8], pose), pool, oblique_pool=oblique(pool))
        assert (found.place[0, 0], found.pose[0, 0]) == (7, pose)
        assert found.distance[0, 0] == pytest.approx(0, abs=1e-4)


def test_nearest_is_that_of_plain_loops():
    """Distance, place and pose are those of looking at all pairs and poses."""
    rng = np.random.default_rng(1)
    queries, pool = rng.integers(0, 256, (2, 5, 4, 4, 3), dtype=np.uint8)
    found = nearest_over_poses(queries, pool)
    for row, query in enumerate(queries.tolist()):
        distance, place, pose = memorisation_reference.nearest(query, pool.tolist())
        assert found.distance[row, 0] == pytest.approx(distance, rel=1e-6)
        assert (found.place[row, 0], found.pose[row, 0]) == (place, pose)


def test_a_turned_picture_is_found_in_its_pose():
    """Turning the fitted cell as told gives the query back, whatever its light."""
    rng = np.random.default_rng(2)
    pool = rng.integers(0, 200, (20, 6, 6, 3), dtype=np.uint8)
    for pose in range(8):
        query = turned(pool[7:8], pose) + np.array([20, 5, 40], np.uint8)
        found = nearest_over_poses(query, pool, 3)
        assert (found.place[0, 0], found.pose[0, 0]) == (7, pose)
        assert found.distance[0, 0] == pytest.approx(0, abs=1e-4)
        assert (np.diff(found.distance[0]) >= 0).all()


def test_pairs_kept_apart_are_no_neighbours():
    """A cell is not its own neighbour, and where none is left the distance is infinite."""
    pool = pictures(np.random.default_rng(3), 10)
    own = np.eye(10, dtype=bool)
    found = nearest_over_poses(pool, pool, apart=own)
    assert (found.place[:, 0] != np.arange(10)).all()
    assert np.isinf(nearest_over_poses(pool, pool, apart=np.ones((10, 10), bool)).distance).all()


def test_a_larger_pool_alone_makes_no_copies():
    """Neighbours in the larger pool are nearer, and the gate knows it from held-out cells."""
    rng = np.random.default_rng(4)
    fit, held, honest = (pictures(rng, n) for n in (1200, 40, 100))
    found, gate = looked_at(honest, fit, held)
    assert gate.expected < 0.93
    assert np.median(found) == pytest.approx(1, abs=0.05)
    assert not (found < gate.threshold).any()


@pytest.mark.parametrize("seed", range(5))
def test_planted_copies_are_caught_one_by_one(seed):
    """All of the copies are called so and no honest cell is, also where one in ten is a copy."""
    rng = np.random.default_rng(seed)
    fit, held, honest = (pictures(rng, n) for n in (N_FIT, N_HELD, 90))
    drawn = np.concatenate([honest, copied(rng, fit[:10])])
    found, gate = looked_at(drawn, fit, held)
    assert (found < gate.threshold).tolist() == [False] * 90 + [True] * 10


@pytest.mark.parametrize("seed", range(5))
def test_a_whole_memoriser_is_caught(seed):
    """Copies only: every one is called so, and the test is as sure as it can be."""
    rng = np.random.default_rng(100 + seed)
    fit, held = pictures(rng, N_FIT), pictures(rng, N_HELD)
    drawn = copied(rng, fit[:80])
    found, gate = looked_at(drawn, fit, held)
    assert (found < gate.threshold).all()
    told = look_for_closeness(drawn, fit, held, np.arange(N_FIT + N_HELD), seed)
    assert told.p_value == pytest.approx(1 / 100)
    assert told.closeness < 0.6


def test_blurred_honest_cells_are_no_copies():
    """A blurred picture lies near to everything, and no nearer to what was fitted."""
    rng = np.random.default_rng(5)
    fit, held, honest = (pictures(rng, n) for n in (N_FIT, N_HELD, 80))
    blurred = gaussian_filter(honest.astype(float), (0, 2, 2, 0)).round().astype(np.uint8)
    bare = [nearest_over_poses(x, fit).distance.mean() for x in (blurred, honest)]
    assert bare[0] < 0.9 * bare[1]
    found, gate = looked_at(blurred, fit, held)
    assert not (found < gate.threshold).any()
    assert look_for_closeness(blurred, fit, held, np.arange(N_FIT + N_HELD), 5).p_value > 0.05


def test_the_test_is_exact_for_honest_cells():
    """It rejects honest cells about as seldom as it says, though they share neighbours."""
    values = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        fit, held, honest = (pictures(rng, n) for n in (40, 20, 40))
        values.append(look_for_closeness(honest, fit, held, np.arange(60), seed).p_value)
    assert np.mean(np.array(values) <= 0.1) < 0.2
    assert 0.35 < np.mean(values) < 0.65


def test_whole_cases_are_permuted():
    """Cells of new cases are no copies, though they may chance to lie nearer to fitted cases."""
    cases = np.repeat(np.arange(12), 8)
    by_cell, by_case = [], []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        styles = rng.normal(0, 2.5, (15, 24))
        cells = np.concatenate([pictures(rng, 8, style) for style in styles])
        fit, held, honest = cells[:64], cells[64:96], cells[96:]
        for values, groups in ((by_cell, np.arange(96)), (by_case, cases)):
            values.append(look_for_closeness(honest, fit, held, groups, seed).p_value)
    rejected = [np.mean(np.array(values) <= 0.1) for values in (by_case, by_cell)]
    assert rejected[0] <= 0.2 < rejected[1]


def test_strata_keep_the_mix_of_both_pools():
    """With a category that was hardly fitted, labels move within categories only."""
    rng = np.random.default_rng(8)
    kinds = np.array([0] * 80 + [1] * 10 + [0] * 10 + [1] * 80)
    pool = np.concatenate([pictures(rng, int(n), 2.0 * kind) for n, kind in _runs(kinds)])
    drawn = pictures(rng, 100)
    fit, held, groups = pool[:90], pool[90:], np.arange(180)
    assert look_for_closeness(drawn, fit, held, groups, 8).p_value < 0.05
    assert look_for_closeness(drawn, fit, held, groups, 8, strata=kinds).p_value > 0.05


def _runs(codes):
    ends = [0, *(np.flatnonzero(np.diff(codes)) + 1), len(codes)]
    return [(end - start, codes[start]) for start, end in itertools.pairwise(ends)]


def test_neighbours_of_two_pools_are_those_of_both_together():
    """Merging what was found apart is looking at once."""
    rng = np.random.default_rng(9)
    queries, one, other = (pictures(rng, n) for n in (7, 12, 9))
    apart = merged(nearest_over_poses(queries, one, 4), nearest_over_poses(queries, other, 4), 12)
    once = nearest_over_poses(queries, np.concatenate([one, other]), 4)
    assert (apart.place == once.place).all()
    assert apart.distance == pytest.approx(once.distance)


def test_the_threshold_spares_honest_cells():
    """It lies below the 1 % quantile and the largest ratio, and falls with the number drawn."""
    honest = np.exp(np.random.default_rng(10).normal(-0.1, 0.12, 500))
    few, many = gate_of(honest, 10), gate_of(honest, 10_000)
    assert many.threshold < few.threshold <= LARGEST_RATIO
    assert few.expected == pytest.approx(np.exp(-0.1), rel=0.02)
    assert many.n_flagged <= few.n_flagged <= 5
    assert few.n_honest + few.n_near_copies == 500


def test_a_near_copy_across_the_split_moves_no_threshold():
    """It is left out and counted; ratios that vary as widely by themselves are not."""
    honest = np.exp(np.random.default_rng(11).normal(0, 0.08, 26))
    clean = gate_of(honest, 60)
    leaky = gate_of(np.append(honest[:-1], 0.2), 60)
    assert (clean.n_near_copies, leaky.n_near_copies) == (0, 1)
    assert leaky.threshold > 0.9 * clean.threshold > 0.5
    assert leaky.n_honest == 25
    wide = np.exp(np.random.default_rng(12).normal(0, 0.3, 300))
    assert (wide < LARGEST_RATIO).sum() > 20
    assert are_near_copies(wide).sum() <= 2
    assert gate_of(wide, 60).n_flagged <= 3


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_caught_though_a_near_copy_is_held_out(seed):
    """Of 26 held-out cells one is a near copy of a fitted one; shifted copies are still caught."""
    rng = np.random.default_rng(200 + seed)
    fit, held = pictures(rng, N_FIT), pictures(rng, 26)
    held[0] = copied(rng, fit[-1:])[0]
    # Of 12 px, as 2 of 64.
    shifted = shift(fit[:40].astype(float), (0, 0, 0.4, 0), order=1, mode="mirror")
    found, gate = looked_at(shifted.round().astype(np.uint8), fit, held)
    # By chance one of the 25 others may lie as low.
    assert 1 <= gate.n_near_copies <= 2
    assert (found < gate.threshold).mean() > 0.9


def test_each_category_has_its_own_expectation_where_it_has_cells():
    """A category of too few takes that of all."""
    honest = np.array([0.5] * 40 + [1.0] * 60 + [3.0] * 3)
    found = expected_by(honest, ["a"] * 40 + ["b"] * 60 + ["c"] * 3)
    assert found == {None: 1.0, "a": 0.5, "b": 1.0, "c": 1.0}


def test_refuses_what_cannot_be_told():
    """Pictures of two sizes, no held-out cells, too few honest ones."""
    with pytest.raises(DataError, match="one size"):
        nearest_over_poses(np.zeros((2, 4, 4, 3)), np.zeros((2, 5, 5, 3)))
    with pytest.raises(DataError, match="Square"):
        nearest_over_poses(np.zeros((2, 4, 5, 3)), np.zeros((2, 4, 5, 3)))
    square = np.zeros((2, 4, 4, 3))
    with pytest.raises(DataError, match="one length"):
        nearest_over_poses(square, square, oblique_pool=square[:1])
    with pytest.raises(DataError, match="8 honest"):
        gate_of([1.0] * 7, 5)
    near = nearest_over_poses(np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4, 3)), 2)
    with pytest.raises(DataError, match="empty"):
        memorisation_test(near, [True, True], [0, 1], np.random.default_rng(0))
