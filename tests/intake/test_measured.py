import math
import shutil

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.intake.pictures import encoded, lay_out

from leukoscope.augmentation.offline import augment_offline
from leukoscope.augmentation.plan import Amount
from leukoscope.augmentation.recipe import load_augmentation
from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError
from leukoscope.intake.decode import decode
from leukoscope.intake.ingest import ingest_listing, ingest_phantom
from leukoscope.intake.isolated import isolate_dataset
from leukoscope.intake.measured import measure_dataset
from leukoscope.intake.phantom import PhantomRecipe, draw_cell
from leukoscope.intake.phantom import cells as phantoms
from leukoscope.intake.sources import list_folder
from leukoscope.morphology.definitions import COLUMNS
from leukoscope.morphology.isolation import isolate_cell
from leukoscope.morphology.masks import Masks
from leukoscope.morphology.measures import measure_cell
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset, read_dataset
from leukoscope.records.lineage import ISOLATED, is_copy

RECIPE = PhantomRecipe(
    name="few",
    seed=5,
    n_cases=3,
    cells_per_case=4,
    mix={"segmented": 1, "lymphocyte": 1},
    case_spread=0.3,
    overlap=0.0,
)
SCALED = [name for name in COLUMNS if name.endswith(("_um", "_um2"))]


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Draw phantom cells with masks, cases and a scale."""
    return read_dataset(ingest_phantom(RECIPE, out=tmp_path_factory.mktemp("given") / "d"))


@pytest.fixture(scope="module")
def given(known):
    return measure_dataset(known)


def without_masks(dataset):
    bare = dataset.manifest.with_columns(mask_path=pl.lit(None, pl.String))
    return Dataset(dataset.folder, dataset.card, bare)


def measures_in(row):
    """Give the measures of a table's row, NaN where it is null."""
    return {name: math.nan if row[name] is None else row[name] for name in COLUMNS}


def test_a_table_holds_every_measure(given, known):
    """A row a cell; no measure of the room is dropped on the way, none is NaN."""
    assert given["cell_id"].to_list() == known.manifest["cell_id"].to_list()
    assert set(COLUMNS) < set(given.columns)
    measured = draw_cell(RECIPE, 0, 0)
    found = measure_cell(measured.image, Masks(measured.nucleus_mask, measured.cell_mask), 1.0)
    assert tuple(found) == COLUMNS
    assert not any(given[name].is_nan().any() for name in COLUMNS)
    assert given["cell_area_um2"].null_count() == 0


def test_a_given_mask_is_measured_as_it_is(given):
    """Against the masks that the cells were drawn with, one by one, nothing rounded."""
    rows = {row["cell_id"]: row for row in given.to_dicts()}
    for cell in phantoms(RECIPE):
        row = rows[f"phantom:{cell.category}/{cell.case}-{cell.index:04d}.png"]
        masks = Masks(cell.nucleus_mask, cell.cell_mask)
        expected = measure_cell(cell.image, masks, RECIPE.um_per_px)
        np.testing.assert_equal(measures_in(row), expected)
        assert (row["mask"], row["flags"], row["confidence"]) == ("given", None, None)
        assert (row["category"], row["case"]) == (cell.category, cell.case)


def test_without_a_mask_the_leukocyte_is_found(known):
    """As isolation finds it in the picture, with its confidence and flags."""
    table = measure_dataset(without_masks(known))
    paths = dict(known.manifest.select("cell_id", "path").rows())
    for row in table.to_dicts():
        image = decode((known.image_root / paths[row["cell_id"]]).read_bytes(), name="x").pixels
        found = isolate_cell(image)
        expected = measure_cell(image, found.masks, RECIPE.um_per_px)
        np.testing.assert_equal(measures_in(row), expected)
        assert (row["mask"], row["confidence"]) == ("found", found.confidence)
        assert row["flags"] == ("; ".join(found.flags) or None)


@pytest.mark.parametrize("fill", ["blank", "white", "black"])
def test_a_cell_alone_measures_as_it_did_among_others(known, tmp_path, fill):
    """What was taken away is outside the mask: every measure is the same to the bit.

    So are confidence and flags, which are those that the mask was found with.
    """
    before = measure_dataset(without_masks(known)).drop("origin", "copy", "mask")
    alone = read_dataset(isolate_dataset(known, out=tmp_path / "alone", fill=fill))
    after = measure_dataset(alone)
    assert set(after["mask"]) == {"given"}
    assert (after["cell_id"] == after["origin"] + "+isolated").all()
    assert after["confidence"].null_count() == 0
    after = after.with_columns(cell_id="origin").sort("cell_id")
    assert_frame_equal(after.select(before.columns), before, check_exact=True)


def test_lengths_in_micrometres_are_the_pixels_times_the_scale(given, known):
    """Areas by its square; without a scale they are null, and all else is as before."""
    scale = RECIPE.um_per_px
    np.testing.assert_allclose(given["cell_area_um2"], given["cell_area_px2"] * scale**2)
    np.testing.assert_allclose(given["nucleus_diameter_um"], given["nucleus_diameter_px"] * scale)
    unscaled = known.manifest.with_columns(um_per_px=pl.lit(None, pl.Float64))
    table = measure_dataset(Dataset(known.folder, known.card, unscaled))
    assert all(table[name].null_count() == table.height for name in SCALED)
    assert_frame_equal(table.drop(SCALED), given.drop(SCALED))


def test_a_picture_without_a_cell_keeps_its_row(tmp_path):
    """Its measures are null, its flag says why, and a note counts it; others are measured."""
    pictures = {f"{cell.category}/{i}.png": cell.image for i, cell in enumerate(phantoms(RECIPE))}
    pictures["segmented/empty.png"] = np.full((50, 60, 3), (231, 226, 219), np.uint8)
    root = lay_out(tmp_path / "pictures", pictures)
    ingest_listing(list_folder(root, None), source="folder", root=root, out=tmp_path / "d")
    noted = []
    with progress.noting(noted.append):
        table = measure_dataset(read_dataset(tmp_path / "d"))
    row = table.filter(pl.col("mask") == "none").to_dicts()[0]
    assert table["mask"].value_counts().sort("mask").rows() == [("found", 12), ("none", 1)]
    assert row["cell_id"] == "folder:segmented/empty.png"
    assert row["flags"] == "blank"
    assert all(row[name] is None for name in COLUMNS)
    assert noted == [
        "12 of 13 cells were measured.",
        "In 1 no leukocyte was found: their measures are empty.",
    ]


def test_copies_are_measured_on_the_masks_that_followed_them(known, given, tmp_path):
    """Mirrored with their pictures, in the new folder; an area has no direction."""
    divided = known.manifest.with_columns(split=pl.lit("train"))
    recipe, amount = load_augmentation("flips"), Amount(factor=1.5)
    augment_offline(known, divided, recipe, out=tmp_path / "more", amount=amount, seed=0)
    more = read_dataset(tmp_path / "more")
    table = measure_dataset(more)
    copies, lineage = more.manifest.filter(is_copy()), ("cell_id", "origin", "copy")
    originals = table.join(copies, on="cell_id", how="anti")
    assert copies.height == 6
    assert_frame_equal(table.filter(is_copy()).select(lineage), copies.select(lineage))
    assert originals["origin"].null_count() == originals["copy"].null_count() == given.height
    assert_frame_equal(originals, given)
    assert set(table["mask"]) == {"given"}
    by_cell = {row["cell_id"]: row for row in given.to_dicts()}
    for row in table.filter(is_copy()).to_dicts():
        for name in ("nucleus_area_px2", "cell_area_px2"):
            assert row[name] == by_cell[row["origin"]][name]


def test_copies_without_masks_are_looked_for_where_they_lie(known, tmp_path):
    """In the new folder's pictures, as in those of any cell without a mask."""
    unmasked = known.manifest.with_columns(mask_path=pl.lit(None, dtype=pl.String))
    bare, recipe = Dataset(known.folder, known.card, unmasked), load_augmentation("flips")
    divided, amount = unmasked.with_columns(split=pl.lit("train")), Amount(factor=1.5)
    augment_offline(bare, divided, recipe, out=tmp_path / "more", amount=amount, seed=0)
    more = read_dataset(tmp_path / "more")
    table = measure_dataset(more)
    assert set(table["mask"]) == {"found"}
    copies = more.manifest.filter(is_copy()).select("cell_id", "path")
    for row in table.join(copies, on="cell_id").to_dicts():
        image = decode((more.folder / row["path"]).read_bytes(), name="x").pixels
        expected = measure_cell(image, isolate_cell(image).masks, RECIPE.um_per_px)
        np.testing.assert_equal(measures_in(row), expected)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_comes_back_as_it_was_written(given, tmp_path, ending):
    """No digit is lost on the disk."""
    tables.write_table(tmp_path / f"m.{ending}", given, shapes.MEASURES)
    assert_frame_equal(tables.read_table(tmp_path / f"m.{ending}", shapes.MEASURES), given)


def as_renderings(dataset, **columns):
    """Pass a dataset's cells off as isolated ones."""
    manifest = dataset.manifest.with_columns(
        cell_id=pl.col("cell_id") + ISOLATED, origin=pl.col("cell_id"), **columns
    )
    return Dataset(dataset.folder, dataset.card, manifest)


DRAW = '{"confidence": 0.5, "flags": ["cut by the border", "unsure"]}'


def test_planted_doubt_of_renderings_reaches_the_table(known, given):
    """Of all renderings, of none whose draw does not tell it, and of no other given mask."""
    table = measure_dataset(as_renderings(known, draw=pl.lit(DRAW)))
    assert set(table.select("mask", "confidence", "flags").rows()) == {
        ("given", 0.5, "cut by the border; unsure")
    }
    silent = measure_dataset(as_renderings(known, draw=pl.lit(None, pl.String)))
    assert set(silent.select("confidence", "flags").rows()) == {(None, None)}
    drawn = known.manifest.with_columns(draw=pl.lit(DRAW))
    assert_frame_equal(measure_dataset(Dataset(known.folder, known.card, drawn)), given)


# Masks that are not what they should be


def grey(shape, level):
    return encoded(np.full(shape, level, np.uint8), "PNG")


def binary(side):
    """Write a square on nothing, 255 on 0."""
    levels = np.zeros((side, side), np.uint8)
    levels[side // 4 : -side // 4, side // 4 : -side // 4] = 255
    return encoded(levels, "PNG")


FAULTS = {
    "gone": (None, r"cannot be read"),
    "no picture": (b"mask", r"is broken or no PNG picture"),
    "no bytes": (b"", r"is broken or no PNG picture\. Nothing"),
    "another size": (grey((72, 71), 255), r"has 71 × 72 pixels, its picture 72 × 72"),
    "empty": (grey((72, 72), 0), r"holds no nucleus: its levels are 0 to 0"),
    "no nucleus": (grey((72, 72), 128), r"holds no nucleus: its levels are 128 to 128"),
    "levels of another house": (grey((72, 72), 1), r"its levels are 1 to 1, where 0 outside"),
    "binary": (binary(72), r"no cytoplasm, .* its nucleus; 0 outside, 128 cytoplasm and 255"),
    "all nucleus": (grey((72, 72), 255), r"no cytoplasm, .* its nucleus; 0 outside, 128 cyto"),
    "in colour": (encoded(np.zeros((72, 72, 3), np.uint8), "PNG"), r"is stored as RGB; a grey"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mask_that_cannot_be_used_is_named(known, tmp_path, fault):
    """Never passed over for one that is found: which cell's, where, what is wrong, what to do."""
    data, told = FAULTS[fault]
    folder = shutil.copytree(known.folder, tmp_path / "d")
    path = folder / known.manifest["mask_path"][3]
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DataError, match=told) as seen:
        measure_dataset(read_dataset(folder))
    cell_id, mask = known.manifest.select("cell_id", "mask_path").row(3)
    said = str(seen.value)
    assert said.startswith(f"Cell {cell_id}: mask {mask} of {folder} ")
    assert "Nothing was written. Mend the mask, or ingest the pictures without masks" in said
    assert "object at" not in said


def test_an_isolated_cell_may_be_all_nucleus(known, tmp_path):
    """It was found so, and is measured so; a mask gone is found again by isolating again."""
    folder = shutil.copytree(known.folder, tmp_path / "d")
    path = folder / known.manifest["mask_path"][3]
    path.write_bytes(binary(72))
    alone = as_renderings(Dataset(folder, known.card, known.manifest[3:4]))
    row = measure_dataset(alone).to_dicts()[0]
    assert row["nucleus_area_px2"] == row["cell_area_px2"] > 0
    path.unlink()
    with pytest.raises(DataError, match=r"or isolate the originals again\.$"):
        measure_dataset(alone)


def test_a_copy_of_an_isolated_cell_may_be_all_nucleus(known, tmp_path):
    """Its mask is that of its origin, mirrored."""
    folder = shutil.copytree(known.folder, tmp_path / "d")
    (folder / known.manifest["mask_path"][3]).write_bytes(binary(72))
    alone = as_renderings(Dataset(folder, known.card, known.manifest[3:4]))
    divided, recipe = alone.manifest.with_columns(split=pl.lit("train")), load_augmentation("flips")
    augment_offline(alone, divided, recipe, out=tmp_path / "more", amount=Amount(), seed=0)
    table = measure_dataset(read_dataset(tmp_path / "more"))
    assert table.height == 2
    assert (table["nucleus_area_px2"] == 36**2).all()
    assert (table["cell_area_px2"] == 36**2).all()


def test_a_mask_cut_short_anywhere_is_named(known, tmp_path):
    """No beginning of its file is taken for a mask of which the rest is empty."""
    folder = shutil.copytree(known.folder, tmp_path / "d")
    first = known.manifest[:1]
    path = folder / first["mask_path"][0]
    data = path.read_bytes()
    one = Dataset(folder, known.card, first)
    # In the last twenty bytes there are checksums and the end; all pixels come before.
    for end in range(0, len(data) - 20, 7):
        path.write_bytes(data[:end])
        with pytest.raises(DataError, match="is broken or no PNG picture"):
            measure_dataset(one)


def test_a_picture_gone_is_named(known, tmp_path):
    """As everywhere: which one, and where it should be."""
    folder = shutil.copytree(known.folder, tmp_path / "d")
    (folder / "images" / known.manifest["path"][2]).unlink()
    with pytest.raises(DataError, match=rf"{known.manifest['path'][2]} of .* cannot be read"):
        measure_dataset(read_dataset(folder))


def test_a_scale_that_is_none_is_told_with_its_cell(known):
    """A table of tens of thousands of cells: the sentence says which one."""
    odd = known.manifest.with_columns(um_per_px=pl.lit(-0.1))
    with pytest.raises(DataError, match=r"^Cell phantom:.*-0\.1 µm wide"):
        measure_dataset(Dataset(known.folder, known.card, odd))
