"""Masks and boxes of copies, and backgrounds that are replaced by them."""

import numpy as np
import polars as pl
import pytest
from tests.augmentation.copied import (
    RECIPE,
    augmented,
    bounds_of,
    derived_of,
    mask_for,
    masked_cells,
    names_below,
    split_of,
)
from tests.intake.pictures import dataset_of, drawn, lay_out

from leukoscope.augmentation.apply import apply, apply_to_mask
from leukoscope.augmentation.draw import Draw
from leukoscope.augmentation.geometry_steps import Rotation
from leukoscope.augmentation.points import map_box
from leukoscope.augmentation.recipe import AugmentationRecipe, load_augmentation
from leukoscope.augmentation.sensor_steps import BackgroundReplacement
from leukoscope.foundation.errors import DataError
from leukoscope.intake.decode import (
    decode,
    decode_levels,
    encode_png,
)
from leukoscope.records import shapes
from leukoscope.records.dataset import read_dataset, write_dataset


@pytest.fixture
def known(tmp_path):
    return masked_cells(tmp_path)


def test_masks_follow_their_pictures(tmp_path):
    """A picture that shows its own mask shows it still, pixel for pixel, after any turn."""
    pictures = {
        f"{'band' if i % 2 else 'monocyte'}/{i}.png": np.dstack([mask_for(i, 30, 31)] * 3)
        for i in range(20)
    }
    made = dataset_of(tmp_path, pictures)
    paths = made.manifest["path"].to_list()
    lay_out(made.folder, {f"masks/{path}": encode_png(pictures[path][..., 0]) for path in paths})
    dressed = made.manifest.with_columns(
        mask_path=pl.format("masks/{}", "path"),
        box_px=pl.Series([bounds_of(pictures[path][..., 0]) for path in paths], dtype=shapes.BOX),
        family=pl.col("cell_id"),
    )
    known = write_dataset(made.folder, made.card, dressed)
    nearest = RECIPE.model_copy(update={"interpolation": "nearest"})
    for name, recipe in (("any", nearest), ("right", load_augmentation("right-angles"))):
        out = augmented(known, tmp_path / name, 4, recipe)
        rows = derived_of(out).to_dicts()
        assert len(rows) == 36
        for row in rows:
            picture = decode((out.folder / row["path"]).read_bytes(), name="x").pixels
            mask = decode_levels(
                (out.folder / row["mask_path"]).read_bytes(), name="x", shape=picture.shape[:2]
            )
            np.testing.assert_array_equal(mask, picture[..., 0])
            assert row["box_px"] == bounds_of(mask)


def test_a_cell_without_mask_or_box_has_copies_without(known, tmp_path):
    """And a box that lies in a field, another picture, is not guessed."""
    odd = known.manifest.with_row_index("i").with_columns(
        mask_path=pl.when(pl.col("i") % 3 > 0).then("mask_path"),
        box_px=pl.when(pl.col("i") % 2 > 0).then("box_px"),
        field=pl.when(pl.col("i") % 5 == 0).then(pl.lit("field-1")),
    )
    write_dataset(known.folder, known.card, odd.drop("i"))
    made = augmented(read_dataset(known.folder), tmp_path / "out")
    parents = {row["cell_id"]: row for row in odd.to_dicts()}
    for row in derived_of(made).to_dicts():
        parent = parents[row["origin"]]
        assert (row["mask_path"] is None) == (parent["mask_path"] is None)
        boxed = parent["box_px"] and not parent["field"]
        assert (row["box_px"] is None) == (not boxed)
        if boxed:
            # No mask's bounds, with a mask or without: the outline is what moves.
            drawn_here = Draw.from_json(row["draw"])
            assert tuple(row["box_px"]) == map_box(drawn_here, parent["box_px"], 9, 11)
    masks = set(derived_of(made)["mask_path"].drop_nulls())
    assert {f"masks/{name}" for name in names_below(made.folder / "masks")} == masks


REPLACED = AugmentationRecipe(name="alone", steps=(Rotation(), BackgroundReplacement(fill="black")))


def test_the_background_is_replaced_outside_the_moved_mask(known, tmp_path):
    """Black there and nowhere else changed."""
    made = augmented(known, tmp_path / "out", recipe=REPLACED)
    parents = {row["cell_id"]: row for row in known.manifest.to_dicts()}
    for row in derived_of(made).to_dicts():
        parent, drawn_here = parents[row["origin"]], Draw.from_json(row["draw"])
        origin = decode((known.image_root / parent["path"]).read_bytes(), name="x").pixels
        levels = (known.folder / parent["mask_path"]).read_bytes()
        mask = apply_to_mask(drawn_here, decode_levels(levels, name="x", shape=(9, 11)))
        turned = apply(Draw(drawn_here.operations[:1]), origin)
        stored = decode((made.folder / row["path"]).read_bytes(), name="x").pixels
        np.testing.assert_array_equal(stored, np.where(mask[..., None] > 0, turned, 0))


def without_mask(known, cell):
    masked = pl.when(pl.col("cell_id") != cell).then("mask_path")
    write_dataset(known.folder, known.card, known.manifest.with_columns(mask_path=masked))
    return read_dataset(known.folder)


@pytest.mark.parametrize("within", [False, True])
def test_a_background_without_masks_is_refused_before_any_work(known, tmp_path, within):
    """Wherever the step stands in the recipe; without a copy no mask is needed."""
    steps = [{"kind": "background_replacement"}, {"kind": "rotation"}]
    if within:
        steps = [{"kind": "sequence", "steps": [{"kind": "one_of", "steps": steps}]}]
    recipe = AugmentationRecipe.model_validate({"name": "alone", "steps": steps})
    cell = split_of(known).filter(split="train")["cell_id"][3]
    other = without_mask(known, cell)
    said = rf"1 of 15 training cells have none, for example {cell}\..*leukoscope isolate"
    with pytest.raises(DataError, match=said):
        augmented(other, tmp_path / "out", recipe=recipe)
    assert names_below(tmp_path) == ["d", "pictures"]
    augmented(other, tmp_path / "out", 1, recipe)


def test_masks_are_asked_of_training_cells_alone(known, tmp_path):
    """A test cell without one is no hindrance."""
    cell = split_of(known).filter(split="test")["cell_id"][0]
    made = augmented(without_mask(known, cell), tmp_path / "out", recipe=REPLACED)
    assert derived_of(made).height == 15


@pytest.mark.parametrize("fault", ["gone", "size", "colour", "broken"])
def test_a_faulty_mask_is_named(known, tmp_path, fault):
    """With its cell; nothing appears at OUT."""
    row = split_of(known).filter(split="train").row(4, named=True)
    path = known.folder / row["mask_path"]
    data = {
        "size": encode_png(mask_for(1, 9, 12)),
        "colour": encode_png(drawn(1, 9, 11)),
        "broken": b"no picture",
    }
    path.unlink()
    if fault != "gone":
        path.write_bytes(data[fault])
    with pytest.raises(DataError, match=rf"Cell {row['cell_id']}: mask {row['mask_path']} of "):
        augmented(known, tmp_path / "out")
    assert not (tmp_path / "out").exists()
