"""Augment and replay among the other verbs: what a person does with copies on disk."""

import polars as pl
import pytest

import leukoscope
from leukoscope.foundation.errors import UsageError
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.records.lineage import is_copy


def training_of(folder):
    return read_split(read_dataset(folder), "splits", 0, 0).filter(pl.col("split") == "train")


def test_each_option_does_what_its_name_says(cells, tmp_path):
    """Twice, to a number, each category, balanced, of fewer originals: counted in the split."""
    before = training_of(cells)
    sizes = before["category"].value_counts()["count"]
    expected = {
        "plain": ({}, 2 * before.height),
        "factor": ({"factor": 1.5}, round(1.5 * before.height)),
        "to": ({"to": 101}, 101),
        "per-category": ({"per_category": 30}, 30 * len(sizes)),
        "balance": ({"balance": True}, sizes.max() * len(sizes)),
        "originals": ({"originals": 40, "to": 90}, 90),
    }
    for name, (options, n_cells) in expected.items():
        out = leukoscope.augment(cells, "flips", out=tmp_path / name, **options)
        assert training_of(out).height == n_cells
    assert training_of(tmp_path / "originals").filter(~is_copy()).height == 40
    with pytest.raises(UsageError, match="--to and --balance"):
        leukoscope.augment(cells, "flips", out=tmp_path / "two", to=101, balance=True)


def test_a_copy_is_made_again_from_the_new_dataset_alone(cells, tmp_path):
    """Every one of them, whichever recipe and seed made it."""
    out = leukoscope.augment(cells, "trivial-augment", out=tmp_path / "out", seed=5, factor=1.3)
    made = read_dataset(out)
    for row in made.manifest.filter(is_copy()).to_dicts():
        picture = leukoscope.replay(out, row["cell_id"], out=tmp_path / f"{row['content']}.png")
        assert picture.read_bytes() == (out / row["path"]).read_bytes()


def test_drawn_cells_keep_their_masks_through_augment_and_measure(cells, tmp_path):
    """A mirror changes no area: of copies the measures are those of their cells."""
    out = leukoscope.augment(cells, "right-angles", out=tmp_path / "out", originals=12)
    table = pl.read_parquet(leukoscope.measure(out, out=tmp_path / "m.parquet"))
    areas = {row["cell_id"]: row["cell_area_px2"] for row in table.to_dicts()}
    copies = table.filter(is_copy())
    assert copies.height == 12
    for row in copies.to_dicts():
        assert row["mask"] == "given"
        assert row["cell_area_px2"] == areas[row["origin"]]
