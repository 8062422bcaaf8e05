"""How many copies there are, and of which cells."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.augmentation.copied import (
    RECIPE,
    augmented,
    derived_of,
    masked_cells,
    names_below,
    split_of,
    train_of,
)
from tests.intake.pictures import dataset_of

from leukoscope.augmentation.offline import augment_offline
from leukoscope.augmentation.plan import Amount, plan_copies
from leukoscope.augmentation.recipe import load_augmentation
from leukoscope.foundation import progress
from leukoscope.foundation.streams import stream
from leukoscope.intake.stratified import training_draw
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.records.lineage import is_copy


@pytest.fixture
def known(tmp_path):
    return masked_cells(tmp_path)


@pytest.fixture(scope="module")
def nozaka(tmp_path_factory):
    """Draw 1,400 training cells of six unequal categories and a few to test on."""
    shares = {"band": 5, "segmented": 8, "lymphocyte": 5, "monocyte": 4, "eosinophil": 4}
    turns = [name for name, share in (shares | {"basophil": 2}).items() for _ in range(share)]
    noise = stream(0, "tiny").integers(0, 256, (1436, 4, 4, 3), dtype=np.uint8)
    pictures = {f"{turns[i % len(turns)]}/{i:04d}.png": noise[i] for i in range(len(noise))}
    known = dataset_of(tmp_path_factory.mktemp("nozaka"), pictures)
    number = pl.col("cell_id").str.slice(-8, 4).cast(pl.Int64)
    side = pl.when(number < 1400).then(pl.lit("train"))
    side = side.when(number < 1418).then(pl.lit("validation")).otherwise(pl.lit("test"))
    return known, known.manifest.with_columns(split=side)


@pytest.fixture(scope="module")
def nozaka_sets(nozaka, tmp_path_factory):
    """Make the five sets of the paper."""
    known, divided = nozaka
    recipe, folder = load_augmentation("nozaka-2022-rotation"), tmp_path_factory.mktemp("sets")
    amounts = {
        "a": Amount(originals=1064, factor=1),
        "b": Amount(originals=1302, factor=1),
        "c": Amount(originals=1302, to=2385),
        "d": Amount(originals=1302, to=3284),
        "e": Amount(originals=1302, to=4106),
    }
    for name, amount in amounts.items():
        augment_offline(known, divided, recipe, out=folder / name, amount=amount, seed=0)
    return {name: read_dataset(folder / name) for name in amounts}


NOZAKA = {"a": 1064, "b": 1302, "c": 2385, "d": 3284, "e": 4106}


@pytest.mark.parametrize("name", NOZAKA)
def test_the_sets_of_nozaka_come_out_with_their_counts(nozaka_sets, name):
    """To the cell: originals alone, originals with turned copies, the files of all."""
    made, train = nozaka_sets[name], train_of(nozaka_sets[name])
    originals = train.filter(~is_copy())
    assert train.height == NOZAKA[name]
    assert originals.height == (1064 if name == "a" else 1302)
    assert made.manifest.height == NOZAKA[name] + 36
    named = {path.removeprefix("images/") for path in derived_of(made)["path"]}
    assert set(names_below(made.folder / "images")) == named
    assert len(named) == train.height - originals.height
    shares = originals["category"].value_counts(normalize=True).sort("category")
    assert shares["proportion"].to_list() == pytest.approx(
        [share / 28 for share in (5, 2, 4, 5, 4, 8)], abs=0.002
    )


def test_the_sets_of_nozaka_lie_in_each_other(nozaka_sets):
    """Each in the next: the same rows, pixels and draws, and one category's share throughout."""
    sets = [nozaka_sets[name].manifest.drop("mask_path") for name in NOZAKA]
    for smaller, larger in pairwise(sets):
        assert_frame_equal(larger.join(smaller, on="cell_id", how="semi"), smaller)
    counts = [train_of(nozaka_sets[name])["category"].value_counts() for name in "bcde"]
    for count in counts[1:]:
        both = counts[0].join(count, on="category")
        size, all_cells = both["count_right"].sum(), both["count"].sum()
        share = both["count"] / all_cells - both["count_right"] / size
        assert share.abs().max() < 2 / size


def test_all_rotated_cells_of_nozaka_are_met_as_well(nozaka_sets):
    """5,340 of the same originals: each cell of the largest set has its copies, and more."""
    train = train_of(nozaka_sets["b"]).drop("split")
    planned = plan_copies(train, Amount(to=5340), 0)
    assert planned.height + planned["n_copies"].sum() == 5340
    largest = derived_of(nozaka_sets["e"]).group_by("origin").len("n_written")
    both = planned.join(largest, left_on="cell_id", right_on="origin")
    assert both.height == 1302
    assert (both["n_written"] <= both["n_copies"]).all()


def test_originals_are_those_a_training_draws(nozaka, nozaka_sets):
    """The same rule and seed: on disk or in a study, the same cells."""
    _, divided = nozaka
    train = divided.filter(pl.col("split") == "train")
    for name, n in (("a", 1064), ("b", 1302)):
        drawn_here = training_draw(train, n, 0)["cell_id"]
        assert train_of(nozaka_sets[name])["cell_id"].to_list() == drawn_here.to_list()


@pytest.mark.parametrize("name", NOZAKA)
def test_what_is_not_taken_is_left_out_of_the_new_dataset(nozaka, nozaka_sets, name):
    """Of manifest and split; validation and test are untouched, and no copy is of their cells."""
    _, divided = nozaka
    made = nozaka_sets[name]
    after = read_split(made, "splits", 0, 0)
    assert after.height == made.manifest.height
    others = pl.col("split") != "train"
    assert_frame_equal(after.filter(others), divided.filter(others))
    assert set(derived_of(made)["origin"]) <= set(after.filter(~others)["cell_id"])


@pytest.mark.parametrize("amount", [{"per_category": 12}, {"balance": True}, {"to": 29}])
def test_each_way_of_saying_how_many_is_met(known, tmp_path, amount):
    """In the new dataset's training split, by category or in all."""
    made = augmented(known, tmp_path / "out", **amount)
    counts = dict(train_of(made)["category"].value_counts().rows())
    before = split_of(known).filter(split="train")["category"].value_counts()["count"]
    expected = {
        "per_category": {"band": 12, "monocyte": 12},
        "balance": dict.fromkeys(("band", "monocyte"), before.max()),
    }
    way = next(iter(amount))
    assert sum(counts.values()) == 29 if way == "to" else counts == expected[way]
    assert (
        made.card.recipe
        == {
            "augmentation": RECIPE.model_dump(mode="json"),
            "seed": 0,
        }
        | amount
    )


def test_families_are_taken_whole(known, tmp_path):
    """The picture that is there twice comes with its twin, or neither comes."""
    divided, twins = split_of(known), {"folder:band/0001.png", "folder:band/again.png"}
    assert twins <= set(divided.filter(split="train")["cell_id"])
    for n in range(1, 16):
        made = augmented(known, tmp_path / str(n), 1, originals=n)
        taken = set(train_of(made)["cell_id"])
        assert len(twins & taken) in (0, 2)
        assert n <= len(taken) <= n + 1


def test_what_there_is_now_is_told(known, tmp_path):
    """How many cells, of which kinds, how many were left out, and why there is one more."""
    noted = []
    with progress.noting(noted.append):
        augmented(known, tmp_path / "one", to=20)
        augmented(known, tmp_path / "two", originals=4, factor=3)
    assert noted == [
        "20 training cells: 15 originals, 5 copies.",
        "12 training cells: 4 originals, 8 copies; 11 more originals were left out.",
    ]
    family = known.manifest.filter(pl.col("family").is_duplicated())["family"][0]
    for n in range(1, 15):
        noted.clear()
        with progress.noting(noted.append):
            made = augmented(known, tmp_path / str(n), 1, originals=n)
        said = f"; {n} were asked for, and the last family was taken whole." in noted[0]
        assert said == (train_of(made).height == n + 1)
        if said:
            assert family in set(train_of(made)["family"])
            break
    assert said
