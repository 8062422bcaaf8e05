import json
import shutil

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.intake.sampled import NOTHING, card_for, judged, made, names_of, picture, sampled
from tests.training.folders import change_table

from leukoscope.augmentation.offline import augment_offline
from leukoscope.augmentation.plan import Amount
from leukoscope.augmentation.recipe import load_augmentation
from leukoscope.augmentation.replay import replay_copy
from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.intake.combined import combine
from leukoscope.intake.decode import encode_png
from leukoscope.intake.splits import hold_out, k_fold
from leukoscope.intake.store import open_store
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import divisions_of, read_dataset, read_split, write_dataset
from leukoscope.records.generators import generators_in, write_card
from leukoscope.records.lineage import is_copy, is_generated
from leukoscope.records.runs import seen_of

SHARES = {"train": 0.4, "validation": 0.2, "calibration": 0.2, "test": 0.2}


@pytest.fixture
def own(cells, tmp_path):
    """Copy the drawn cells, with a second split of four sides and a third of three folds."""
    folder = shutil.copytree(cells, tmp_path / "cells")
    manifest = read_dataset(folder).manifest
    four = hold_out(manifest, shares=SHARES, repeats=1, seed=1)
    tables.write_table(folder / "splits-four.parquet", four, shapes.SPLITS)
    three = k_fold(manifest, folds=3, repeats=2, seed=1)
    tables.write_table(folder / "splits-three.parquet", three, shapes.SPLITS)
    return folder


@pytest.fixture
def drawn(own, tmp_path):
    """Sample and judge a generator fitted in the first split: 5 cells of each of 4 categories."""
    return made(own, tmp_path / "drawn", n=5)


def taken(folder):
    """Name the generated cells of a dataset, by number."""
    rows = read_dataset(folder).manifest.filter(is_generated()).sort("copy", "category")
    return rows["cell_id"].to_list()


def recorded(folder):
    return read_dataset(folder).card.recipe["combined"][-1]


def side_of(own, split, side):
    return read_split(read_dataset(own), split, 0, 0).filter(split=side)


# What stands in the new dataset


def test_real_cells_stay_and_generated_ones_stand_in_training(own, drawn, tmp_path):
    """Rows, sides and pictures of both; masks lead where they led."""
    out = combine(own, drawn, out=tmp_path / "deeper" / "out")
    before, after = read_dataset(own), read_dataset(out)
    real = after.manifest.filter(~is_generated())
    assert_frame_equal(real.drop("mask_path"), before.manifest.drop("mask_path"))
    for old, new in zip(before.manifest["mask_path"], real["mask_path"], strict=True):
        assert (own / old).samefile(out / new)
    assert after.image_root == before.image_root
    sides = read_split(after, "splits", 0, 0)
    was = read_split(before, "splits", 0, 0).select("cell_id", "split")
    assert_frame_equal(sides.filter(~is_generated()).select("cell_id", "split"), was)
    assert set(sides.filter(is_generated())["split"]) == {"train"}
    rows = read_dataset(drawn).manifest
    kept = after.manifest.filter(is_generated())
    assert_frame_equal(kept.drop("path"), rows.drop("path"))
    for old, new in zip(rows["path"], kept["path"], strict=True):
        assert (drawn / old).read_bytes() == (out / new).read_bytes()
    assert len(list((out / "images").iterdir())) == 20
    assert generators_in(out) == generators_in(drawn)
    assert open_store(after, after.manifest, 16).pixels.shape == (140, 16, 16, 3)
    assert divisions_of(after, "splits") == [(0, 0)]


def test_what_was_taken_is_recorded(own, drawn, tmp_path):
    """Rule and counts stand on the card, and are told."""
    names = names_of(drawn)
    judged(drawn, memorised=names[:2], outside=names[1:5])
    told = []
    with progress.noting(told.append):
        out = combine(own, drawn, out=tmp_path / "out")
    assert recorded(out) == {
        "rule": "unflagged",
        "offered": 20,
        "flagged": 2,
        "outside": 4,
        "passed": 18,
        "rejection_rate": pytest.approx(0.1),
        "n": None,
        "kept": 18,
        "generators": {"generator:0123456789abcdef": "gan"},
    }
    (said,) = told
    assert said.startswith("18 of 20 generated cells stand in training beside 120 cells; 2 flagged")
    assert read_dataset(out).card.recipe["name"] == "tiny"


def test_two_generators_and_copies_stand_side_by_side(own, drawn, tmp_path):
    """Pictures called alike are kept apart; copies come along and can be made again."""
    known = read_dataset(own)
    copies = augment_offline(
        known,
        read_split(known, "splits", 0, 0),
        load_augmentation("flips"),
        out=tmp_path / "copies",
        amount=Amount(factor=1.2),
        seed=0,
    )
    first = combine(copies, drawn, out=tmp_path / "first")
    other = made(own, tmp_path / "other", n=3, name="other", digits="f" * 16)
    both = combine(first, other, out=tmp_path / "both", n=8)
    found = read_dataset(both)
    n_copies = found.manifest.filter(is_copy() & ~is_generated()).height
    assert n_copies == read_dataset(copies).manifest.filter(is_copy()).height > 10
    assert found.manifest.filter(is_generated())["origin"].value_counts().sort("count").rows() == [
        ("generator:" + "f" * 16, 8),
        ("generator:0123456789abcdef", 20),
    ]
    assert len(generators_in(both)) == len(found.card.recipe["combined"]) == 2
    open_store(found, found.manifest, 16)
    for row in found.manifest.filter(is_copy() & ~is_generated()).to_dicts()[:3]:
        again = replay_copy(found, row["cell_id"], out=tmp_path / f"{row['content']}.png")
        assert again.read_bytes() == (both / row["path"]).read_bytes()


def test_only_divisions_that_the_generator_may_be_used_in_are_carried(own, tmp_path):
    """Of six, the one it was fitted in, under its own number; the others are told."""
    drawn = made(own, tmp_path / "drawn", split="three", repeat=1, fold=2)
    told = []
    with progress.noting(told.append):
        out = combine(own, drawn, out=tmp_path / "out", split="three")
    known = read_dataset(out)
    assert divisions_of(known, "three") == [(1, 2)]
    assert read_split(known, "three", 1, 2).filter(is_generated()).height == 16
    assert any("5 divisions of the split were left out" in note for note in told)
    with pytest.raises(UsageError, match=r"The first it holds is repeat 1, fold 2"):
        read_split(known, "three", 0, 0)


# Which are taken


def test_flagged_cells_are_never_taken_and_those_outside_by_one_rule(own, drawn, tmp_path):
    """By the rules, and by a hand that picked a flagged one."""
    names = names_of(drawn)
    judged(drawn, memorised=names[:3], outside=names[2:6])
    assert taken(combine(own, drawn, out=tmp_path / "a")) == names[3:]
    assert taken(combine(own, drawn, out=tmp_path / "b", select="in-manifold")) == names[6:]
    (tmp_path / "picked.csv").write_text("cell_id\n" + "\n".join(names[1:9]) + "\n")
    by_hand = {"picked": tmp_path / "picked.csv", "picked_by": "AB"}
    assert taken(combine(own, drawn, out=tmp_path / "c", **by_hand)) == names[3:9]
    strict = combine(own, drawn, out=tmp_path / "d", select="in-manifold", **by_hand)
    assert taken(strict) == names[6:9]


def test_a_hand_is_recorded_and_said_not_to_be_comparable(own, drawn, tmp_path):
    """Who, how many, and the share rejected."""
    names = names_of(drawn)
    judged(drawn, memorised=names[:1])
    (tmp_path / "picked.csv").write_text("note,cell_id\n" + "\n".join(f"x,{n}" for n in names[:5]))
    told = []
    with progress.noting(told.append):
        out = combine(
            own, drawn, out=tmp_path / "out", picked=tmp_path / "picked.csv", picked_by="ÄB"
        )
    found = recorded(out)
    assert found["rule"] == "hand-picked, unflagged"
    assert (found["picked"], found["picked_and_flagged"], found["kept"]) == (5, 1, 4)
    assert found["picked_by"] == "ÄB"
    assert found["rejection_rate"] == pytest.approx(0.8)
    assert "not comparable" in found["note"]
    assert found["note"] in told
    assert "1 of those that were picked by hand are among them." in told


@pytest.mark.parametrize("n", [1, 6, 8, 13])
def test_n_is_shared_out_evenly_the_first_by_number(own, drawn, tmp_path, n):
    """Exact; no category has two more than another; the smaller is part of the larger."""
    judged(drawn, memorised=names_of(drawn, "band")[:1])
    out = combine(own, drawn, out=tmp_path / "out", n=n)
    rows = read_dataset(out).manifest.filter(is_generated())
    assert rows.height == n
    counts = rows["category"].value_counts()["count"].to_list()
    counts += [0] * (4 - len(counts))
    assert max(counts) - min(counts) <= 1
    for category, part in rows.group_by("category"):
        first = 2 if category[0] == "band" else 1
        assert sorted(part["copy"]) == list(range(first, first + part.height))
    larger = combine(own, drawn, out=tmp_path / "larger", n=n + 3)
    assert set(taken(out)) < set(taken(larger))


# What is refused


def rewritten(folder, *changes, **rows):
    """Write a generated dataset's manifest again with columns changed, and judge it anew."""
    known = read_dataset(folder)
    write_dataset(folder, known.card, known.manifest.with_columns(*changes, **rows))
    return judged(folder)


def with_card(folder, **changes):
    """Change what the card of a generated dataset says its generator saw."""
    (card,) = generators_in(folder).values()
    write_card(folder, card.model_copy(update=changes))


def moved(own, cell, side):
    """Move a cell with all of its case to another side of the first split."""
    known = read_dataset(own)
    case = known.manifest.filter(cell_id=cell)["case"][0]
    names = known.manifest.filter(case=case)["cell_id"].to_list()
    other = pl.when(pl.col("cell_id").is_in(names)).then(pl.lit(side)).otherwise("split")
    change_table(own / "splits.parquet", shapes.SPLITS, other.alias("split"))


def first_of(own, side):
    return side_of(own, "splits", side)["cell_id"][0]


FAULTS = {
    "not judged": (
        lambda _own, drawn: (drawn / "findings.parquet").unlink(),
        "was not judged.*leukoscope judge",
    ),
    "findings without what they are of": (
        lambda _own, drawn: (drawn / "judged.json").unlink(),
        "was not judged",
    ),
    "findings of another set": (
        lambda _own, drawn: (
            judged(drawn)
            and (drawn / "judged.json").write_text(json.dumps({"manifest_digest": "0"}))
        ),
        "findings in .* are of another manifest.*Judge it first",
    ),
    "real rows": (
        lambda _own, drawn: rewritten(
            drawn,
            origin=pl.when(pl.col("copy") > 1).then("origin"),
            copy=pl.when(pl.col("copy") > 1).then("copy"),
        ),
        "holds 4 cells that no generator drew, for example generated-",
    ),
    "no card": (
        lambda _own, drawn: shutil.rmtree(drawn / "generators"),
        "no card of it in generators/: nobody knows which cells it saw",
    ),
    "another dataset's generator": (
        lambda _own, drawn: with_card(drawn, fit=NOTHING.model_copy(update={"contents": ("x",)})),
        "was fitted on tiny, and 1 of the 1 cells it learnt from are not in",
    ),
    "a generator that says nothing": (
        lambda _own, drawn: with_card(drawn, fit=NOTHING),
        "0 of the 0 cells it learnt from",
    ),
    "all flagged": (
        lambda _own, drawn: judged(drawn, memorised=names_of(drawn)),
        "none is left: 20 are flagged as memorised",
    ),
    "a broken picture": (
        lambda _own, drawn: (drawn / "images/band-000000.png").write_bytes(b"x"),
        "band-000000.png",
    ),
    "fit cell in the test": (
        lambda own, _drawn: moved(own, first_of(own, "train"), "test"),
        r"8 of the \d+ cells that the generator gan learnt from stand outside training, .* in test",
    ),
    "fit cell in validation": (
        lambda own, _drawn: moved(own, first_of(own, "train"), "validation"),
        "learnt from stand outside training, for example .* in validation",
    ),
    "fit cell in calibration": (
        lambda own, _drawn: moved(own, first_of(own, "train"), "calibration"),
        "learnt from stand outside training, for example .* in calibration",
    ),
    "stop and judge cells in the test": (
        lambda own, _drawn: moved(own, first_of(own, "validation"), "test"),
        "8 cells outside training are cells that the generator gan was chosen or judged by",
    ),
    "stop and judge cells in calibration": (
        lambda own, _drawn: moved(own, first_of(own, "validation"), "calibration"),
        "was chosen or judged by, or belong to such cells, for example .* in calibration",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_generated_cells_that_must_not_be_used_are_refused(own, drawn, tmp_path, fault):
    """Nothing is written, and the dataset is as it was."""
    plant, told = FAULTS[fault]
    plant(own, drawn)
    before = (own / "manifest.parquet").read_bytes()
    with pytest.raises(DataError, match=told) as seen:
        combine(own, drawn, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert (own / "manifest.parquet").read_bytes() == before
    assert str(seen.value).count(". ") <= 5


def test_other_categories_are_refused(own, tmp_path):
    """They are named."""
    card = card_for(own, categories=("band", "monocyte"))
    drawn = judged(sampled(tmp_path / "drawn", card))
    with pytest.raises(DataError, match="generated cells of monocyte, and the categories of"):
        combine(own, drawn, out=tmp_path / "out")


def test_a_set_is_combined_once(own, drawn, tmp_path):
    """A second time its cells would count double; a larger set is combined anew."""
    once = combine(own, drawn, out=tmp_path / "once")
    with pytest.raises(DataError, match="holds cells of generator:0123456789abcdef already"):
        combine(once, drawn, out=tmp_path / "twice")


def test_a_generator_of_another_fold_or_split_is_refused(own, tmp_path):
    """Its cells stand on other sides there, and of several divisions none will do."""
    drawn = made(own, tmp_path / "drawn", split="three", repeat=0, fold=1)
    with pytest.raises(DataError, match=r"8 cells outside training are cells that the generator"):
        combine(own, drawn, out=tmp_path / "out")
    four = made(own, tmp_path / "four", split="four", digits="e" * 16)
    with pytest.raises(DataError, match=r"^None of 6 divisions will do\. .* learnt from"):
        combine(own, four, out=tmp_path / "out", split="three")
    with pytest.raises(UsageError, match="No split of this dataset is called 'fuor'"):
        combine(own, drawn, out=tmp_path / "out", split="fuor")


def test_a_draw_of_training_may_be_used_where_its_stopping_cells_allow(own, tmp_path):
    """A generator of 30 cells; where calibration holds cells that stopped it, it will not do."""
    fine = made(own, tmp_path / "fine", split="four", train_cells=30, seed=4)
    out = combine(own, fine, out=tmp_path / "out", split="four")
    assert len(generators_in(out)["generator:0123456789abcdef"].fit.contents) == 30
    known = read_dataset(own)
    calibration = side_of(own, "four", "calibration")
    (card,) = generators_in(fine).values()
    assert known.manifest.height == 120
    write_card(fine, card.model_copy(update={"stop": seen_of(calibration.head(1))}))
    with pytest.raises(DataError, match=r"was chosen or judged by.* in calibration"):
        combine(own, fine, out=tmp_path / "not", split="four")


OPTIONS = {
    "unknown rule": ({"select": "unflaged"}, "No rule is called 'unflaged'. Did you mean"),
    "none": ({"n": 0}, "--n is 0"),
    "hand without a name": ({"picked": "p.csv"}, "--picked and --picked-by go together"),
    "name without a hand": ({"picked_by": "AB"}, "--picked and --picked-by go together"),
    "a whole name": ({"picked": "p.csv", "picked_by": "A. Bee"}, "initials of one to four"),
}


@pytest.mark.parametrize("fault", OPTIONS)
def test_options_at_odds_are_refused(own, drawn, tmp_path, fault):
    """Before anything is read of the pictures."""
    options, told = OPTIONS[fault]
    with pytest.raises(UsageError, match=told):
        combine(own, drawn, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


PICKED = {
    "no such file": (None, "cannot be read: No such file"),
    "another column": ("cell\na\n", "has no column cell_id; it has cell"),
    "a stranger": ("cell_id\nzz\n", "names 1 cells that .* has not, for example zz"),
    "nobody": ("cell_id\n", "names no cell"),
    "twice": ("cell_id\n{0}\n{0}\n", "names a cell twice, generated-"),
}


@pytest.mark.parametrize("fault", PICKED)
def test_a_list_of_picked_cells_that_is_wrong_is_refused(own, drawn, tmp_path, fault):
    """Each fault by its name."""
    text, told = PICKED[fault]
    if text is not None:
        (tmp_path / "p.csv").write_text(text.format(names_of(drawn)[0]))
    with pytest.raises(DataError, match=told):
        combine(own, drawn, out=tmp_path / "out", picked=tmp_path / "p.csv", picked_by="AB")


def test_too_few_of_a_category_is_told_with_numbers(own, drawn, tmp_path):
    """Flagged ones are not made up for from another category."""
    judged(drawn, memorised=names_of(drawn, "band")[:2])
    with pytest.raises(DataError, match=r"too few are there of band \(4 wanted, 3 left\)"):
        combine(own, drawn, out=tmp_path / "out", n=16)


def test_a_stopped_command_goes_on_and_ends_the_same(own, drawn, tmp_path):
    """It stops at a picture that is not the judged one, and goes on when that is mended."""
    whole = combine(own, drawn, out=tmp_path / "whole")
    (card,) = generators_in(drawn).values()
    last = sorted((drawn / "images").iterdir())[-1]
    bytes_before = last.read_bytes()
    last.write_bytes(encode_png(picture(card, 0, 99, 7)))
    with pytest.raises(DataError, match="is no longer the picture"):
        combine(own, drawn, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    last.write_bytes(bytes_before)
    combine(own, drawn, out=tmp_path / "out")
    found, wanted = (
        {str(p.relative_to(f)): p.read_bytes() for p in f.rglob("*") if p.is_file()}
        for f in (tmp_path / "out", whole)
    )
    assert found == wanted
