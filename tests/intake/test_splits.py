import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.records.tabling import manifest_of
from tests.reference import groups_reference

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.intake import splits as room

SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
SIDES = [
    {"train": 0.8, "test": 0.2},
    SHARES,
    {"train": 0.4, "validation": 0.2, "calibration": 0.2, "test": 0.2},
]
NAMES = ("band", "monocyte", "eosinophil")


@st.composite
def manifests(draw):
    """Draw cells of a few categories, cases known or not, copies within and across cases."""
    n_names = draw(st.integers(2, 3))
    case_known = draw(st.sampled_from(["all", "none", "some"]))
    rows = []
    for i in range(draw(st.integers(8, 40))):
        known = case_known == "all" or (case_known == "some" and draw(st.booleans()))
        rows.append(
            {
                "category": NAMES[draw(st.integers(0, n_names - 1))],
                "case": f"case{draw(st.integers(0, 11))}" if known else None,
                "family": f"f{draw(st.integers(0, i + 10))}",
            }
        )
    assume(len({row["category"] for row in rows}) > 1)
    return manifest_of(rows)


def joined(manifest, table):
    return manifest.join(table, on="cell_id", how="left", maintain_order="left")


def groups_of(manifest):
    return groups_reference.groups(manifest["case"].to_list(), manifest["family"].to_list())


def n_groups_of_rarest(manifest):
    groups = pl.Series("group", groups_of(manifest))
    counts = manifest.with_columns(groups).group_by("category").agg(pl.col("group").n_unique())
    return counts["group"].min()


def check_division(manifest, table, sides):
    """Assert what every division must be: whole groups, every category on every side."""
    divided = joined(manifest, table)
    assert divided["split"].null_count() == 0
    assert groups_reference.torn(groups_of(manifest), divided["split"].to_list()) == []
    seen = divided.group_by("split").agg(pl.col("category").n_unique())
    n_categories = manifest["category"].n_unique()
    assert dict(seen.rows()) == dict.fromkeys(sides, n_categories)


@settings(max_examples=80)
@given(manifest=manifests(), shares=st.sampled_from(SIDES), seed=st.integers(0, 2**31))
def test_no_group_is_parted_and_no_category_missing(manifest, shares, seed):
    """Any collection, any seed: each repeat is a whole division, or there is none at all.

    Where a category has fewer groups than sides it is always refused; where no division was
    found, nothing is returned in its place.
    """
    impossible = n_groups_of_rarest(manifest) < len(shares)
    try:
        table = room.hold_out(manifest, shares=shares, repeats=2, seed=seed)
    except DataError:
        return
    assert not impossible
    assert table.height == 2 * manifest.height
    for repeat in (0, 1):
        check_division(manifest, table.filter(pl.col("repeat") == repeat), shares)


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(4, 30), min_size=2, max_size=3),
    shares=st.sampled_from(SIDES),
    seed=st.integers(0, 2**31),
)
def test_single_cells_are_dealt_to_a_cell(sizes, shares, seed):
    """Where every family is one cell, each category meets each share to within a cell a side."""
    rows = [{"category": NAMES[c]} for c, size in enumerate(sizes) for _ in range(size)]
    manifest = manifest_of(rows)
    table = room.hold_out(manifest, shares=shares, repeats=1, seed=seed)
    check_division(manifest, table, shares)
    divided = joined(manifest, table)
    for c, size in enumerate(sizes):
        for name, share in shares.items():
            here = (pl.col("category") == NAMES[c]) & (pl.col("split") == name)
            n = divided.filter(here).height
            assert share * size - len(shares) < n < share * size + 1


def cases_of_many_cells(seed, n_cases=50):
    """Draw persons with 20 to 60 cells each, whose mixtures of categories differ."""
    rng = stream(seed, "test cases")
    rows = []
    for case in range(n_cases):
        mixture = rng.dirichlet([6, 3, 1])
        names = rng.choice(NAMES, rng.integers(20, 60), p=mixture)
        rows += [{"category": str(name), "case": f"p{case}"} for name in names]
    return manifest_of(rows)


def test_shares_are_near_where_cases_hold_many_cells():
    """With 50 persons each category's share on each side is within 8 points of its due."""
    off = []
    for seed in range(12):
        manifest = cases_of_many_cells(seed)
        table = room.hold_out(manifest, shares=SHARES, repeats=1, seed=seed)
        divided = joined(manifest, table)
        counts = divided.pivot(
            "split", index="category", values="cell_id", aggregate_function="len"
        )
        total = counts.select(*SHARES).sum_horizontal()
        off += [abs(counts[name] / total - share).max() for name, share in SHARES.items()]
    assert max(off) < 0.08


@settings(max_examples=40)
@given(manifest=manifests(), folds=st.integers(3, 5), seed=st.integers(0, 2**31))
def test_every_cell_is_tested_once_a_repeat(manifest, folds, seed):
    """Each cell is once test, once validation, else training; each fold is a whole division."""
    impossible = n_groups_of_rarest(manifest) < folds
    try:
        table = room.k_fold(manifest, folds=folds, repeats=2, seed=seed)
    except DataError:
        return
    assert not impossible
    counts = table.group_by("cell_id", "repeat", "split").len()
    expected = {"test": 1, "validation": 1, "train": folds - 2}
    assert counts.height == manifest.height * 2 * 3
    assert all(n == expected[split] for split, n in counts.select("split", "len").rows())
    parts = dict(table.group_by("repeat", "fold"))
    assert set(parts) == {(repeat, fold) for repeat in (0, 1) for fold in range(folds)}
    for (repeat, fold), part in parts.items():
        check_division(manifest, part, ("train", "validation", "test"))
        following = parts[repeat, (fold + 1) % folds].filter(split="test")
        assert set(part.filter(split="validation")["cell_id"]) == set(following["cell_id"])


def dealt(manifest, kind, seed, repeats=2):
    if kind == "folds":
        return room.k_fold(manifest, folds=4, repeats=repeats, seed=seed)
    return room.hold_out(manifest, shares=SHARES, repeats=repeats, seed=seed)


@pytest.mark.parametrize("kind", ["folds", "hold-out"])
def test_a_split_follows_from_its_seed_alone(kind):
    """The same seed gives the same split, whatever the order of rows; another seed another."""
    manifest = cases_of_many_cells(1, n_cases=20)
    table = dealt(manifest, kind, 5)
    assert_frame_equal(dealt(manifest, kind, 5), table)
    order = stream(0, "shuffle").permutation(manifest.height)
    assert_frame_equal(dealt(manifest[order], kind, 5), table)
    assert not dealt(manifest, kind, 6).equals(table)


@pytest.mark.parametrize("kind", ["folds", "hold-out"])
def test_repeats_differ_and_more_of_them_change_none(kind):
    """Each repeat is another division; asking for more leaves the first ones as they were."""
    manifest = cases_of_many_cells(1, n_cases=20)
    table = dealt(manifest, kind, 5, repeats=4)
    parts = [table.filter(pl.col("repeat") == repeat)["split"].to_list() for repeat in range(4)]
    assert len({tuple(part) for part in parts}) == 4
    assert_frame_equal(dealt(manifest, kind, 5, repeats=2), table.filter(pl.col("repeat") < 2))


def test_what_is_not_a_group_does_not_weigh():
    """The names of categories and cases may change without changing who goes where."""
    manifest = cases_of_many_cells(2, n_cases=20)
    renamed = manifest.with_columns(case=pl.format("x{}", pl.col("case")))
    assert_frame_equal(dealt(renamed, "hold-out", 1), dealt(manifest, "hold-out", 1))


def test_a_split_is_pinned():
    """A change of this division would be another split under an old seed."""
    rows = [{"category": NAMES[i % 2], "case": f"p{i // 2}"} for i in range(20)]
    table = room.hold_out(manifest_of(rows), shares=SHARES, repeats=1, seed=0)
    assert "".join(side[1] for side in table["split"]) == "rrrreerreeaarrrrrraa"


# Refusals


def few(n_rare, *, case=True, n_cells=6):
    """Lay out 20 groups of one category and *n_rare* groups of another."""
    rows = [{"category": "band", "case": f"p{i}" if case else None} for i in range(20)]
    for i in range(n_cells):
        group = i % n_rare
        name = f"q{group}" if case else None
        rows.append({"category": "monocyte", "case": name, "family": f"m{group}"})
    return manifest_of(rows)


def test_a_category_with_too_few_groups_is_named():
    """Copies do not count, nor cells of one person: the category and its groups are told."""
    for case, unit in ((True, "case"), (False, "family")):
        with pytest.raises(DataError, match=rf"fewer than 3 {unit} groups: monocyte \(2\)"):
            dealt(few(2, case=case), "hold-out", 0)
        with pytest.raises(DataError, match=rf"4 folds .*than 4 {unit} groups: monocyte \(3\)"):
            dealt(few(3, case=case), "folds", 0)
        check_division(few(3, case=case), dealt(few(3, case=case), "hold-out", 0, 1), SHARES)


@settings(max_examples=40)
@given(n_rare=st.integers(3, 8), seed=st.integers(0, 2**31))
def test_as_many_groups_as_sides_are_enough(n_rare, seed):
    """A rare category is never refused for want of luck: one group a side suffices."""
    manifest = few(n_rare, case=False, n_cells=n_rare)
    check_division(manifest, dealt(manifest, "hold-out", seed, 1), SHARES)
    if n_rare >= 4:
        check_division(manifest, dealt(manifest, "folds", seed, 1).filter(fold=0), SHARES)


def test_a_category_with_one_picture_is_refused():
    """One picture cannot be on every side."""
    rows = [{"category": "band"} for _ in range(9)] + [{"category": "monocyte"}]
    with pytest.raises(DataError, match=r"monocyte \(1\).*Nothing was written"):
        dealt(manifest_of(rows), "hold-out", 0)


def test_one_chain_of_copies_through_all_cases_is_refused():
    """If duplicates tie all persons together there is one group, and no honest split."""
    rows = [
        {"category": NAMES[i % 2], "case": f"p{i // 2}", "family": f"f{(i + 1) // 2}"}
        for i in range(30)
    ]
    with pytest.raises(DataError, match=r"band \(1\), monocyte \(1\)"):
        dealt(manifest_of(rows), "hold-out", 0)


PLANS = {
    "no repeats": ({"repeats": 0}, "--repeats is 0"),
    "two folds": ({"folds": 2}, "--folds is 2; at least 3"),
    "sum": ({"shares": {"train": 0.5, "test": 0.6}}, "train 0.5, test 0.6; each must lie"),
    "negative": ({"shares": {"train": 1.2, "test": -0.2}}, "each must lie between 0 and 1"),
    "nothing": ({"shares": {"train": 1.0, "test": 0.0}}, "each must lie between 0 and 1"),
    "not a number": ({"shares": {"train": np.nan, "test": 0.5}}, "each must lie"),
}


@pytest.mark.parametrize("fault", PLANS)
def test_a_plan_that_cannot_be_is_refused(fault):
    """Each faulty number of the command is named with what would do."""
    changes, told = PLANS[fault]
    plan = {"folds": None, "repeats": 1, "shares": SHARES}
    room.check_plan(few(3), **plan)
    with pytest.raises(UsageError, match=told):
        room.check_plan(few(3), **(plan | changes))


@pytest.mark.parametrize(
    ("copy", "told"),
    [
        ({"origin": "c000", "family": "f0", "copy": 1}, "holds copies of cells"),
        ({"origin": "generator:run-3"}, "1 generated cells, for example c001: their generator saw"),
    ],
)
def test_copies_are_not_split(copy, told):
    """Split first, augment after: a manifest that holds copies, or made cells, is refused."""
    rows = [{"category": "band"}, {"category": "band"} | copy]
    with pytest.raises(DataError, match=told):
        room.check_plan(manifest_of(rows), folds=None, repeats=1, shares=SHARES)


def test_renderings_are_split_as_any_cells():
    """A cell without its background has an origin elsewhere, and is no copy."""
    known = few(3)
    rendered = known.with_columns(origin=pl.col("cell_id"), cell_id=pl.col("cell_id") + "+isolated")
    room.check_plan(rendered, folds=None, repeats=1, shares=SHARES)
    sides = [room.hold_out(each, shares=SHARES, repeats=1, seed=2) for each in (known, rendered)]
    assert sides[0]["split"].to_list() == sides[1]["split"].to_list()
