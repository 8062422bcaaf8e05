from collections import Counter

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
from tests.intake.pictures import cells, dataset_of, drawn, encoded

from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.draw import Draw, draw
from leukoscope.augmentation.offline import augment_offline
from leukoscope.augmentation.plan import Amount
from leukoscope.augmentation.recipe import AugmentationRecipe, load_augmentation
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.intake.decode import (
    content_of,
    decode,
    resize,
)
from leukoscope.intake.store import open_store
from leukoscope.records.dataset import read_split
from leukoscope.records.lineage import is_copy


@pytest.fixture
def known(tmp_path):
    return masked_cells(tmp_path)


@pytest.mark.parametrize("factor", [1.0, 1.25, 2.0, 3.0, 2.4])
def test_the_count_is_exact_and_even(known, tmp_path, factor):
    """The training part grows by the factor, and no cell is copied twice more than another."""
    made = augmented(known, tmp_path / "out", factor)
    n_train = split_of(known).filter(split="train").height
    derived = derived_of(made)
    assert n_train + derived.height == round(factor * n_train)
    assert made.manifest.height == known.manifest.height + derived.height
    per_cell = Counter(derived["origin"])
    copies = [per_cell[name] for name in split_of(known).filter(split="train")["cell_id"]]
    assert max(copies) - min(copies) <= 1
    assert sorted(names_below(tmp_path / "out" / "images")) == sorted(
        {path.removeprefix("images/") for path in derived["path"]}
    )


def test_only_training_cells_are_derived_and_sides_are_kept(known, tmp_path):
    """Originals keep their sides; all derived cells stand in training, beside their origins."""
    made = augmented(known, tmp_path / "out", 3.0)
    before, after = split_of(known), read_split(made, "splits", 0, 0)
    originals = after.filter(pl.col("origin").is_null())
    assert_frame_equal(originals.select("cell_id", "split"), before.select("cell_id", "split"))
    derived = after.filter(pl.col("origin").is_not_null())
    assert set(derived["split"]) == {"train"}
    side_of = dict(before.select("cell_id", "split").rows())
    assert {side_of[name] for name in derived["origin"]} == {"train"}


def test_copies_are_the_rows_with_a_number(known, tmp_path):
    """What this verb writes is told apart by its origin just as by its number."""
    made = augmented(known, tmp_path / "out")
    numbered = made.manifest.filter(pl.col("copy").is_not_null())
    assert numbered.height == split_of(known).filter(split="train").height
    assert_frame_equal(made.manifest.filter(is_copy()), numbered)


def test_a_derived_cell_tells_its_lineage(known, tmp_path):
    """Family, category, case and scale are its origin's; how it was made stands beside it."""
    made = augmented(known, tmp_path / "out", 3.0)
    parents = {row["cell_id"]: row for row in known.manifest.to_dicts()}
    for row in derived_of(made).to_dicts():
        parent = parents[row["origin"]]
        for name in ("family", "category", "original_label", "case", "um_per_px", "stain"):
            assert row[name] == parent[name]
        assert row["exif_orientation"] == 1
        assert row["recipe_id"] == RECIPE.recipe_id
        assert row["cell_id"] == f"{row['origin']}+turn-{row['copy']}"
    copies = derived_of(made).group_by("origin").agg(pl.col("copy").sort())
    assert {tuple(numbers) for numbers in copies["copy"].to_list()} == {(1, 2)}
    recipe = {"augmentation": RECIPE.model_dump(mode="json"), "seed": 0, "factor": 3.0}
    assert made.card.recipe == recipe


def test_originals_stay_where_they_are_and_as_they_are(known, tmp_path):
    """Their rows are the same but for the way to the masks, which still leads to the masks."""
    made = augmented(known, tmp_path / "deeper" / "out")
    originals = made.manifest.filter(pl.col("origin").is_null())
    assert_frame_equal(originals.drop("mask_path"), known.manifest.drop("mask_path"))
    for before, after in zip(known.manifest["mask_path"], originals["mask_path"], strict=True):
        assert (known.folder / before).samefile(made.folder / after)
    assert made.image_root == known.image_root


def test_every_derived_picture_can_be_made_again_byte_for_byte(known, tmp_path):
    """The draw in the manifest, applied to the origin, gives the stored picture exactly."""
    made = augmented(known, tmp_path / "out", 3.0, seed=5)
    parents = {row["cell_id"]: row["path"] for row in known.manifest.to_dicts()}
    turned = 0
    for row in derived_of(made).to_dicts():
        origin = decode((known.image_root / parents[row["origin"]]).read_bytes(), name="x").pixels
        stored = decode((made.folder / row["path"]).read_bytes(), name="x").pixels
        again = apply(Draw.from_json(row["draw"]), origin)
        np.testing.assert_array_equal(again, stored)
        assert content_of(again) == row["content"]
        assert stored.shape[:2] == (row["height_px"], row["width_px"])
        assert Draw.from_json(row["draw"]) == draw(RECIPE, 5, row["origin"], row["copy"])
        turned += not np.array_equal(again, origin)
    assert turned > 20


def test_the_same_seed_makes_the_same_dataset(known, tmp_path):
    """Twice made, manifests, splits and pictures are equal; another seed draws anew."""
    one = augmented(known, tmp_path / "one", 1.5, seed=1)
    same = augmented(known, tmp_path / "same", 1.5, seed=1)
    other = augmented(known, tmp_path / "other", 1.5, seed=2)
    assert_frame_equal(one.manifest, same.manifest)
    for path in derived_of(one)["path"]:
        assert (one.folder / path).read_bytes() == (same.folder / path).read_bytes()
    assert derived_of(one)["draw"].to_list() != derived_of(other)["draw"].to_list()


def test_right_angles_exchange_the_sides_of_a_picture(known, tmp_path):
    """A quarter turn of a picture that is not square is recorded with its own size."""
    made = augmented(known, tmp_path / "out", recipe=load_augmentation("right-angles"))
    sizes = Counter(derived_of(made).select("height_px", "width_px").rows())
    assert set(sizes) == {(9, 11), (11, 9)}


def test_pixels_of_originals_and_derived_cells_are_stored_together(known, tmp_path):
    """The pixel store of the new dataset finds both kinds where they lie."""
    made = augmented(known, tmp_path / "out")
    store = open_store(made, made.manifest, 8)
    for row in made.manifest.to_dicts():
        root = made.image_root if row["origin"] is None else made.folder
        expected = resize(decode((root / row["path"]).read_bytes(), name="x").pixels, 8)
        np.testing.assert_array_equal(store.take(store.rows([row["content"]]))[0], expected)


def test_a_probability_of_a_third_leaves_two_thirds_as_they_are(tmp_path):
    """Copies that drew nothing are copies of their origin, and share its content."""
    known = dataset_of(tmp_path, cells(200))
    recipe = AugmentationRecipe(name="third", steps=RECIPE.steps, probability=1 / 3)
    made = augmented(known, tmp_path / "out", 2.0, recipe)
    content_of_parent = dict(known.manifest.select("cell_id", "content").rows())
    derived = derived_of(made)
    changed = sum(
        content_of_parent[origin] != content
        for origin, content in derived.select("origin", "content").rows()
    )
    assert derived.height == 120
    assert 25 <= changed <= 55


# Refusals


def test_a_recipe_that_does_nothing_is_refused_where_copies_are_asked_for(known, tmp_path):
    """Its copies would be the cells; of originals alone none is made."""
    none = load_augmentation("none")
    with pytest.raises(UsageError, match=r"'none' has no steps.*Nothing was written"):
        augmented(known, tmp_path / "out", recipe=none)
    assert not (tmp_path / "out").exists()
    made = augmented(known, tmp_path / "out", 1, recipe=none, originals=5)
    assert train_of(made).height == 5


def test_an_augmented_dataset_is_not_augmented_again(known, tmp_path):
    """Copies of copies would be resampled twice: the way to do it in one chain is told."""
    made = augmented(known, tmp_path / "out")
    divided = read_split(made, "splits", 0, 0)
    with pytest.raises(DataError, match=r"copies of cells already.*all steps in one recipe"):
        augment_offline(made, divided, RECIPE, out=tmp_path / "twice", amount=Amount(), seed=0)
    assert not (tmp_path / "twice").exists()


def test_without_a_split_nothing_is_augmented(known):
    """Split first: a dataset without one says how to make it."""
    with pytest.raises(DataError, match=r"has no split yet.*leukoscope split"):
        read_split(known, "splits", 0, 0)


@pytest.mark.parametrize("side", ["validation", "test"])
def test_a_split_without_training_cells_is_refused(known, tmp_path, side):
    """There is nothing to copy."""
    divided = known.manifest.with_columns(split=pl.lit(side))
    with pytest.raises(DataError, match="no training cells to copy"):
        augment_offline(known, divided, RECIPE, out=tmp_path / "out", amount=Amount(), seed=0)


@pytest.mark.parametrize("amount", [Amount(balance=True), Amount(per_category=30)])
def test_a_category_that_cannot_be_brought_to_a_number_is_refused(known, tmp_path, amount):
    """It is on other sides only; in all, cells can still be copied."""
    side = pl.when(pl.col("category") == "band").then(pl.lit("test")).otherwise(pl.lit("train"))
    divided = known.manifest.with_columns(split=side)
    with pytest.raises(DataError, match="hold none of band"):
        augment_offline(known, divided, RECIPE, out=tmp_path / "out", amount=amount, seed=0)
    amount = Amount(to=30)
    augment_offline(known, divided, RECIPE, out=tmp_path / "out", amount=amount, seed=0)


@pytest.mark.parametrize("amount", [{"to": 3}, {"originals": 99}, {"to": 30, "balance": True}])
def test_an_amount_that_cannot_be_leaves_nothing(known, tmp_path, amount):
    """Told before any work."""
    with pytest.raises((UsageError, DataError), match="Nothing was"):
        augmented(known, tmp_path / "out", **amount)
    assert names_below(tmp_path) == ["d", "pictures"]


def test_what_stands_at_out_is_untouched_and_a_changed_picture_named(known, tmp_path):
    """A full folder stays; of a fault on the way no folder appears."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("old")
    with pytest.raises(UsageError, match="untouched"):
        augmented(known, tmp_path / "full")
    assert names_below(tmp_path / "full") == ["mine"]
    name = split_of(known).filter(split="train")["path"][2]
    (known.image_root / name).write_bytes(encoded(drawn(77, 9, 11), "PNG"))
    with pytest.raises(DataError, match=rf"{name} is no longer the picture"):
        augmented(known, tmp_path / "out")
    assert not (tmp_path / "out").exists()
