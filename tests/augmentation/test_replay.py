import json

import numpy as np
import polars as pl
import pytest
from tests.intake.pictures import cells, dataset_of, drawn, lay_out

from leukoscope.augmentation.offline import augment_offline
from leukoscope.augmentation.plan import Amount
from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.augmentation.replay import replay_copy
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.intake.decode import encode_png
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset, read_dataset, write_dataset
from leukoscope.records.lineage import is_copy

CHAIN = AugmentationRecipe.model_validate(
    {
        "name": "chain",
        "steps": [
            {"kind": "one_of", "steps": [{"kind": "rotation"}, {"kind": "lens_distortion"}]},
            {"kind": "elastic_distortion", "probability": 0.5},
            {"kind": "brightness", "factor_range": [0.8, 1.2]},
            {"kind": "gaussian_noise"},
            {"kind": "background_replacement", "probability": 0.3},
        ],
        "border": "background",
    }
)


@pytest.fixture
def made(tmp_path):
    """Augment 12 cells with masks by a chain that has a bit of everything."""
    known = dataset_of(tmp_path, cells(12, 20, 17))
    mask = np.zeros((20, 17), np.uint8)
    mask[4:15, 3:12] = 255
    lay_out(known.folder, {"masks/m.png": encode_png(mask)})
    masked = known.manifest.with_columns(mask_path=pl.lit("masks/m.png"))
    known = write_dataset(known.folder, known.card, masked)
    divided = masked.with_columns(split=pl.lit("train"))
    augment_offline(known, divided, CHAIN, out=tmp_path / "out", amount=Amount(factor=4), seed=3)
    return read_dataset(tmp_path / "out")


def copies_of(made):
    return made.manifest.filter(is_copy()).to_dicts()


def changed(made, cell_id, **values):
    """Give the dataset with other values in one cell's row."""
    here = pl.col("cell_id") == cell_id
    return Dataset(
        made.folder,
        made.card,
        made.manifest.with_columns(
            pl.when(here).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
            for name, value in values.items()
        ),
    )


def test_every_copy_is_made_again_byte_for_byte(made, tmp_path):
    """From its origin and draw alone: the seed and the recipe are not asked."""
    forgetful = Dataset(
        made.folder,
        made.card.model_copy(update={"recipe": {}}),
        made.manifest.with_columns(recipe_id=None),
    )
    for i, row in enumerate(copies_of(made)):
        out = tmp_path / f"{i}.png"
        assert replay_copy(forgetful, row["cell_id"], out=out) == out
        assert out.read_bytes() == (made.folder / row["path"]).read_bytes()
    assert i == 35


def test_a_stored_picture_that_was_changed_is_told_and_can_be_mended(made, tmp_path):
    """Its replay is right and is written; put in the other's place, all is well again."""
    row = copies_of(made)[4]
    stored, out = made.folder / row["path"], tmp_path / "again.png"
    whole = stored.read_bytes()
    faults = {"another one": encode_png(drawn(1, 20, 17)), "gone or broken": whole[:50]}
    for how, data in faults.items():
        stored.write_bytes(data)
        with pytest.raises(DataError, match=rf"{row['path']} of .* is {how}; its replay is"):
            replay_copy(made, row["cell_id"], out=out)
        assert out.read_bytes() == whole
        assert stored.read_bytes() == data
        out.unlink()
    stored.unlink()
    with pytest.raises(DataError, match="is gone or broken; its replay is the picture"):
        replay_copy(made, row["cell_id"], out=out)
    out.rename(stored)
    assert replay_copy(made, row["cell_id"], out=out) == out


def test_a_replay_that_differs_is_told_and_not_written(made, tmp_path):
    """A draw that was changed; whether the stored picture is right is said."""
    row, other = copies_of(made)[4], copies_of(made)[9]
    out = tmp_path / "again.png"
    astray = changed(made, row["cell_id"], draw=other["draw"])
    with pytest.raises(DataError, match=r"replay of .* is not .*; the stored picture is the one"):
        replay_copy(astray, row["cell_id"], out=out)
    (made.folder / row["path"]).unlink()
    with pytest.raises(DataError, match=r"the stored picture is gone or broken as well"):
        replay_copy(astray, row["cell_id"], out=out)
    assert not out.exists()


@pytest.mark.parametrize(
    "draw",
    [
        None,
        "",
        "{",
        "[]",
        "7",
        "{}",
        '{"operations":[["rotation_deg"]],"border_rgb":[0,0,0]}',
        '{"operations":[["somersault",1.0]],"border_rgb":[0,0,0]}',
        '{"operations":[["rotation_deg",1.0]],"border_rgb":[0,0,0],"border":"sea"}',
        '{"operations":[["rotation_deg",1.0]],"border_rgb":[0,0,0],"age":3}',
        '{"moves":[["rotation",90.0]],"border":"reflect"}',
    ],
)
def test_a_draw_that_is_none_is_told(made, tmp_path, draw):
    """Of another version, another program, or nothing at all."""
    cell_id = copies_of(made)[0]["cell_id"]
    with pytest.raises(DataError, match=r"^folder:.*chain-1 cannot be made again\. .*Nothing was"):
        replay_copy(changed(made, cell_id, draw=draw), cell_id, out=tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_an_origin_that_is_gone_or_changed_is_told(made, tmp_path):
    """The picture, its pixels, or its row."""
    row, out = copies_of(made)[0], tmp_path / "x.png"
    path = made.image_root / made.manifest.filter(cell_id=row["origin"])["path"][0]
    data = path.read_bytes()
    path.write_bytes(encode_png(drawn(99, 20, 17)))
    with pytest.raises(DataError, match="is no longer the picture"):
        replay_copy(made, row["cell_id"], out=out)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        replay_copy(made, row["cell_id"], out=out)
    path.write_bytes(data)
    generated = changed(made, row["cell_id"], origin="gan-run-3")
    with pytest.raises(DataError, match=r"was made from gan-run-3, which is no cell of this"):
        replay_copy(generated, row["cell_id"], out=out)
    assert not out.exists()


def test_what_is_no_copy_is_refused(made, tmp_path):
    """An original, a misspelt name, a name near none, a dataset without copies."""
    out, first = tmp_path / "deep" / "x.png", copies_of(made)[0]["cell_id"]
    for cell_id, said in (
        ("folder:band/0001.png", "is no copy but a cell of its own.*one of the 36 copies"),
        (first.replace("chain", "chian"), rf"Did you mean .*{first[-12:-2]}"),
        ("x", "No copy in this dataset is called 'x'.*36 known names"),
    ):
        with pytest.raises(UsageError, match=said.replace("+", r"\+")) as seen:
            replay_copy(made, cell_id, out=out)
        assert "Nothing was written." in str(seen.value)
    bare = Dataset(made.folder, made.card, made.manifest.filter(~is_copy()))
    with pytest.raises(UsageError, match=r"holds no copies.*leukoscope augment"):
        replay_copy(bare, first, out=out)
    assert not out.parent.exists()


def test_a_place_that_cannot_be_taken_is_refused(made, tmp_path):
    """A file that stands there, a folder, another ending."""
    cell_id = copies_of(made)[0]["cell_id"]
    (tmp_path / "mine.png").write_text("mine")
    (tmp_path / "folder.png").mkdir()
    for name, said in (
        ("mine.png", "left untouched"),
        ("folder.png", "is a folder"),
        ("x.jpg", r"should end in \.png"),
        ("x", r"should end in \.png"),
    ):
        with pytest.raises(UsageError, match=said):
            replay_copy(made, cell_id, out=tmp_path / name)
    assert (tmp_path / "mine.png").read_text() == "mine"


def test_a_table_written_as_text_replays_as_well(made, tmp_path):
    """The lineage survives CSV: any tool may have carried it."""
    tables.write_table(tmp_path / "m.csv", made.manifest, shapes.MANIFEST)
    carried = tables.read_table(tmp_path / "m.csv", shapes.MANIFEST)
    row = copies_of(made)[7]
    assert json.loads(row["draw"])["operations"]
    out = replay_copy(
        Dataset(made.folder, made.card, carried), row["cell_id"], out=tmp_path / "x.png"
    )
    assert out.read_bytes() == (made.folder / row["path"]).read_bytes()
