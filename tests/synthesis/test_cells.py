import shutil

import polars as pl
import pytest
from tests.synthesis.tiny import recipe_of
from tests.training.folders import state_of

from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError
from leukoscope.intake.stratified import training_draw
from leukoscope.records.dataset import read_dataset, read_split, write_dataset
from leukoscope.records.groups import groups_of
from leukoscope.synthesis.cells import Member, members_of, parted


@pytest.fixture
def dataset(phantoms):
    return read_dataset(phantoms)


@pytest.fixture
def own(phantoms, tmp_path):
    """Copy the drawn cells, to be changed."""
    return shutil.copytree(phantoms, tmp_path / "cells")


def divided(dataset):
    return read_split(dataset, "splits", 0, 0)


def rewritten(folder, change):
    """Write a dataset's manifest again with a change, and read it."""
    known = read_dataset(folder)
    write_dataset(folder, known.card, change(known.manifest))
    return read_dataset(folder)


def refusal(dataset, said, **settings):
    """Ask for the parts, expect that sentence, and that the folder is as it was."""
    before = state_of(dataset.folder)
    with pytest.raises(DataError, match=said):
        parted(dataset, recipe_of(**settings))
    assert state_of(dataset.folder) == before


# Who is where


@pytest.mark.parametrize(("seed", "stop_share"), [(0, 0.5), (1, 0.5), (2, 0.5), (0, 0.7)])
def test_training_cells_fit_and_validation_cells_stop_or_judge(dataset, seed, stop_share):
    """All of training and of validation, once each; nothing of the test."""
    cells = parted(dataset, recipe_of(seed=seed, stop_share=stop_share))
    sides = divided(dataset).select("cell_id", "split")
    joined = cells.select("cell_id", "part").join(sides, on="cell_id", how="full", coalesce=True)
    assert joined["cell_id"].is_unique().all()
    assert set(joined.select("split", "part").unique().rows()) == {
        ("train", "fit"),
        ("validation", "stop"),
        ("validation", "judge"),
        ("test", None),
    }
    stop = joined.filter(part="stop").height / joined.filter(split="validation").height
    assert stop == pytest.approx(stop_share, abs=0.15)


@pytest.mark.parametrize("seed", range(4))
def test_no_group_is_in_two_parts(dataset, seed):
    """Cases are groups: what stops shares none with what judges or fits; every category is in
    each part."""
    cells = parted(dataset, recipe_of(seed=seed))
    counted = (
        cells.with_columns(group=groups_of(cells)).group_by("group").agg(pl.col("part").n_unique())
    )
    assert counted["part"].to_list() == [1] * counted.height
    assert cells.group_by("part", "category").len().height == 9


def test_families_stay_together_where_no_case_is_known(own):
    """Pairs of cells made families: of each both are on one side."""

    def paired(manifest):
        sides = divided(read_dataset(own)).select("cell_id", "split")
        ordered = manifest.join(sides, on="cell_id").sort("split", "category", "cell_id")
        number = pl.int_range(pl.len()).over("split", "category") // 2
        name = pl.format("{}-{}-{}", "split", "category", number)
        families = ordered.select("cell_id", family=name)
        return (
            manifest.drop("family")
            .join(families, on="cell_id")
            .with_columns(case=pl.lit(None, dtype=pl.String))
        )

    cells = parted(rewritten(own, paired), recipe_of())
    assert cells.group_by("family").agg(pl.col("part").n_unique())["part"].max() == 1
    assert cells.group_by("family").len()["len"].max() == 2


def test_the_parts_follow_from_the_seed(dataset):
    """Twice the same; another seed deals the validation cells otherwise."""
    one, same, other = (
        parted(dataset, recipe_of(seed=seed)).sort("cell_id")["part"].to_list()
        for seed in (0, 0, 1)
    )
    assert one == same
    assert one != other


@pytest.mark.parametrize("n_cells", [60, 80, 100])
def test_the_draw_is_that_of_a_training_of_the_same_seed(dataset, n_cells):
    """Cell by cell, so that a study's classifier and its generator see the same ones; what stops
    and judges stays."""
    train = divided(dataset).filter(split="train").drop("split")
    for seed in (0, 3):
        found = parted(dataset, recipe_of(train_cells=n_cells, seed=seed))
        expected = training_draw(train, n_cells, seed)["cell_id"].to_list()
        assert found.filter(part="fit")["cell_id"].to_list() == expected
        assert len(expected) == n_cells
        whole = parted(dataset, recipe_of(seed=seed)).filter(pl.col("part") != "fit")
        assert found.filter(pl.col("part") != "fit").equals(whole)


# Members


@pytest.mark.parametrize(
    ("members", "counts", "expected"),
    [
        ("shared", (35, 20, 16), [("shared", "abc")]),
        ("one-each", (135, 120, 16), [("a", "a"), ("b", "b"), ("c", "c")]),
        ("auto", (135, 100, 99), [("shared", "ab"), ("c", "c")]),
        ("auto", (135, 99, 99), [("a", "a"), ("b", "b"), ("c", "c")]),
        ("auto", (135, 0, 100), [("shared", "ac")]),
        ("shared", (35, 0, 0), [("a", "a")]),
    ],
)
def test_categories_share_a_generator_where_each_has_a_hundred_cells(
    dataset, members, counts, expected
):
    """By hand; in the dataset's order, and a generator of one category is named after it."""
    named = dict(zip(("a", "b", "c"), counts, strict=True))
    cells = pl.DataFrame(
        [(name, "fit") for name, n in named.items() for _ in range(n)] + [("a", "stop")] * 200,
        schema=["category", "part"],
        orient="row",
    )
    card = dataset.card.model_copy(update={"categories": ("a", "b", "c")})
    found = members_of(
        cells, recipe_of(members=members), dataset.__class__(dataset.folder, card, dataset.manifest)
    )
    assert found == [Member(name, tuple(categories)) for name, categories in expected]


# What is refused, and what is said


def test_a_category_of_fifteen_cells_is_refused_with_the_reason(own):
    """And one of sixteen is not; a hundred are asked for by a note."""

    def left(n):
        train = divided(read_dataset(own)).filter(split="train", category="segmented")
        gone = train["cell_id"][n:].to_list()
        return lambda manifest: manifest.filter(~pl.col("cell_id").is_in(gone))

    notes = []
    splits = own / "splits.parquet"

    def without(n):
        known = rewritten(own, left(n))
        table = pl.read_parquet(splits)
        table.filter(pl.col("cell_id").is_in(known.manifest["cell_id"].to_list())).write_parquet(
            splits
        )
        return read_dataset(own)

    with progress.noting(notes.append):
        cells = parted(without(16), recipe_of())
    assert cells.filter(part="fit", category="segmented").height == 16
    (note,) = notes
    assert note.startswith("Fewer than 100 training cells: eosinophil (35), lymphocyte (36), ")
    assert "segmented (16)" in note
    refusal(without(15), r"segmented \(15\); at least 16 .* learns fewer by heart")


def test_a_draw_that_leaves_too_few_of_a_category_is_refused(dataset):
    """Of 30 cells each category has some 10; of 4 one may have none, and is not left out."""
    refusal(dataset, r"eosinophil \(1?\d\), lymphocyte \(1?\d\), segmented", train_cells=30)
    few = {seed for seed in range(6) if _lacks_one(dataset, seed)}
    for seed in few:
        refusal(dataset, r"\(0\)", train_cells=2, seed=seed)
    assert few


def _lacks_one(dataset, seed):
    train = divided(dataset).filter(split="train").drop("split")
    return training_draw(train, 2, seed)["category"].n_unique() < 3


def test_without_validation_cells_nothing_is_begun(own):
    """None at all, none of one category, or none but one."""
    splits = own / "splits.parquet"
    whole = pl.read_parquet(splits)
    known = read_dataset(own)
    names = known.manifest.select("cell_id", "category")
    for keep, said in (
        (lambda part, _: part.head(0), "eosinophil, lymphocyte, segmented"),
        (lambda part, _: part.head(1), "eosinophil, lymphocyte, segmented"),
        (lambda part, n: part.head(1 if n == "lymphocyte" else 99), "no two .* of lymphocyte,"),
    ):
        held = whole.filter(split="validation").join(names, on="cell_id")
        kept = [keep(part, name) for (name,), part in held.group_by("category")]
        ids = pl.concat(kept)["cell_id"].to_list()
        pl.concat(
            [
                whole.filter(pl.col("split") != "validation"),
                whole.filter((pl.col("split") == "validation") & pl.col("cell_id").is_in(ids)),
            ]
        ).with_columns(
            split=pl.when(pl.col("split").is_in(["train", "test"]) | pl.col("cell_id").is_in(ids))
            .then("split")
            .otherwise(pl.lit("test"))
        ).write_parquet(splits)
        refusal(known, said)


def test_a_stopping_cell_alone_of_its_category_is_refused(dataset):
    """A distance needs two: a share of a fiftieth leaves one of each category."""
    refusal(dataset, "validation cells would stop the fit, 1 of one category", stop_share=0.02)


def test_copies_and_generated_cells_are_refused(own):
    """Each with its number, an example, and what to give instead."""
    known = read_dataset(own)
    first = known.manifest.head(1)
    copy = first.with_columns(
        cell_id=pl.lit("copy"), origin=pl.col("cell_id"), draw=pl.lit("{}"), copy=pl.lit(1)
    )
    drawn = copy.with_columns(
        cell_id=pl.lit("drawn"), origin=pl.lit("generator:" + "ab" * 8), family=pl.lit("g")
    )
    for row, said in (
        (copy, "1 augmented copies"),
        (drawn, "1 cells that a generator drew, for example drawn"),
    ):
        manifest = pl.concat([known.manifest, row.cast(dict(known.manifest.schema))])
        refusal(known.__class__(known.folder, known.card, manifest), said)


def test_pictures_smaller_than_what_is_drawn_are_refused(dataset):
    """Cells of 24 px and a generator of 32."""
    refusal(dataset, r"200 pictures|160 pictures .* smaller than the 32 px .* 24 x 24", size_px=32)


def test_sizes_that_are_mixed_are_told(own):
    """Cells of 24 and of 30 px: once, with both bounds."""
    known = read_dataset(own)
    every = pl.int_range(pl.len()) % 2 * 6 + 24
    manifest = known.manifest.with_columns(
        width_px=every.cast(known.manifest.schema["width_px"]),
        height_px=every.cast(known.manifest.schema["height_px"]),
    )
    notes = []
    with progress.noting(notes.append):
        parted(known.__class__(known.folder, known.card, manifest), recipe_of())
    assert any(note.startswith("Pictures have sides of 24 to 30 px; each is") for note in notes)
