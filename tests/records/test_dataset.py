import shutil
import zipfile

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.records.tabling import manifest_of

from leukoscope.foundation.errors import DataError, SchemaError, UsageError
from leukoscope.records import dataset as room
from leukoscope.records import shapes, tables
from leukoscope.records.lineage import is_copy

CARD = room.DatasetCard(
    name="drawn", source="folder", categories=("band", "monocyte"), image_root="images"
)
ROWS = [
    {"category": "band", "case": "a", "family": "1"},
    {"category": "band", "case": "b", "family": "2"},
    {"category": "monocyte", "case": "b", "family": "3"},
    {"category": "monocyte", "case": None, "family": "3"},
]
SIDES = ["train", "test", "test", "test"]


GENERATOR = "generator:0123456789abcdef"


def derived(**changes):
    row = {"cell_id": "d", "origin": "c000", "family": "1", "category": "band", "copy": 1}
    return row | changes


def written(folder, rows=ROWS, sides=SIDES, name="splits"):
    """Write a dataset with one split, cell by cell in the order of its rows."""
    manifest = manifest_of(rows)
    known = room.write_dataset(folder, CARD, manifest)
    ids = [row.get("cell_id", f"c{i:03d}") for i, row in enumerate(rows)]
    splits = pl.DataFrame({"repeat": 0, "fold": 0, "cell_id": ids, "split": sides})
    tables.write_table(room.splits_path(folder, name), splits, shapes.SPLITS)
    return known


# Card and manifest


def test_a_dataset_is_read_as_it_was_written(tmp_path):
    """Card and manifest come back; the root of the pictures is found from the folder."""
    known = written(tmp_path / "d", [*ROWS, derived()], [*SIDES, "train"])
    back = room.read_dataset(tmp_path / "d")
    assert back.card == known.card == CARD
    assert_frame_equal(back.manifest, known.manifest)
    assert back.image_root == tmp_path / "d" / "images"
    assert "band" in back._repr_html_()


def test_a_folder_that_is_no_dataset_is_told(tmp_path):
    """Without a card, or with a card but no manifest, the missing piece is named."""
    with pytest.raises(DataError, match=r"not a dataset folder.*leukoscope ingest"):
        room.read_dataset(tmp_path)
    written(tmp_path)
    (tmp_path / "manifest.parquet").unlink()
    with pytest.raises(DataError, match=r"manifest\.parquet is missing"):
        room.read_dataset(tmp_path)


def test_a_card_with_an_unknown_key_is_told(tmp_path):
    """A card from another version is a data error that names the key."""
    written(tmp_path)
    path = tmp_path / "dataset.json"
    path.write_text(path.read_text().replace('"licence"', '"license"'))
    with pytest.raises(SchemaError, match=r"license is not a key.*licence"):
        room.read_dataset(tmp_path)


FAULTS = {
    "strange category": (derived(origin=None, category="blast"), "'blast', which is not among"),
    "left its family": (derived(family="2"), "d left the family or category of its origin c000"),
    "left its category": (derived(category="monocyte"), "d left the family or category"),
    "generated row left its family": (
        derived(family="2", copy=None),
        "d left the family or category",
    ),
    "rendering left its family": (
        derived(cell_id="c000+isolated", family="2", copy=None),
        r"c000\+isolated left the family or category of its origin c000",
    ),
    "rendering beside its original": (
        derived(cell_id="c000+isolated", copy=None),
        r"1 cells stand here twice, for example c000\+isolated beside its original c000; one row a",
    ),
    "numbered rendering beside its original": (
        derived(cell_id="c000+isolated"),
        "1 cells stand here twice",
    ),
    "generated row in a family of cells": (
        derived(origin=GENERATOR),
        "1 generated cells are not in the family of their generator, for example d of generator:01",
    ),
    "copy of nothing": (
        derived(origin=None),
        "1 cells have a copy's number and no origin, for example d, copy 1; .*Write what each",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_manifest_at_odds_with_itself_is_refused(tmp_path, fault):
    """On writing nothing is written; on reading it is found again."""
    row, told = FAULTS[fault]
    manifest = manifest_of([*ROWS, row])
    with pytest.raises(DataError, match=told):
        room.write_dataset(tmp_path / "d", CARD, manifest)
    assert not (tmp_path / "d").exists()
    written(tmp_path / "d")
    tables.write_table(tmp_path / "d" / "manifest.parquet", manifest, shapes.MANIFEST)
    with pytest.raises(DataError, match=told):
        room.read_dataset(tmp_path / "d")


def test_counts_of_cells_families_and_cases(tmp_path):
    """Each is counted once a category; unknown cases are no case."""
    counts = room.count_table(manifest_of(ROWS))
    assert counts.rows() == [("band", 2, 2, 2), ("monocyte", 2, 1, 1)]


# Digest


@given(st.permutations(range(len(ROWS))))
def test_the_digest_does_not_hang_on_the_order_of_rows(order):
    """However the rows stand, the digest is the same."""
    manifest = manifest_of(ROWS)
    assert room.manifest_digest(manifest[list(order)]) == room.manifest_digest(manifest)


@pytest.mark.parametrize("column", ["cell_id", "content", "category", "case", "family"])
def test_the_digest_sees_what_a_training_depends_on(column):
    """A change of one cell's name, pixels, category, case or family changes it."""
    manifest = manifest_of(ROWS)
    changed = manifest.with_columns(
        pl.when(pl.col("cell_id") == "c002").then(pl.lit("x")).otherwise(column).alias(column)
    )
    assert room.manifest_digest(changed) != room.manifest_digest(manifest)


def test_the_digest_tells_an_unknown_case_from_an_empty_one():
    """Null and empty text differ; what a training does not use makes no difference."""
    manifest = manifest_of(ROWS)
    emptied = manifest.with_columns(pl.col("case").fill_null(""))
    assert room.manifest_digest(emptied) != room.manifest_digest(manifest)
    scaled = manifest.with_columns(um_per_px=pl.lit(0.1), path=pl.lit("elsewhere.png"))
    assert room.manifest_digest(scaled) == room.manifest_digest(manifest)


# Pictures


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_pictures_are_opened_where_they_lie(tmp_path, kind):
    """Copies come from the dataset's folder, all others from the folder or zip of the source."""
    known = written(tmp_path / "d")
    (tmp_path / "d" / "images").mkdir()
    (tmp_path / "d" / "images" / "0.png").write_bytes(b"own")
    source = tmp_path / "source"
    source.mkdir()
    (source / "0.png").write_bytes(b"original")
    root = source if kind == "folder" else shutil.make_archive(str(source), "zip", source)
    card = CARD.model_copy(update={"image_root": str(root)})
    read = room.open_pictures(room.Dataset(known.folder, card, known.manifest))
    assert read("0.png", False) == b"original"
    assert read("images/0.png", True) == b"own"
    with pytest.raises(DataError, match=r"gone\.png of .*source.*cannot be read.*untouched"):
        read("gone.png", False)
    with pytest.raises(DataError, match=r"gone\.png of .*/d cannot be read"):
        read("gone.png", True)


def test_pictures_that_were_moved_are_told(tmp_path):
    """A root that is gone is named, with what to do; so is a root that is no zip any more."""
    known = written(tmp_path / "d")
    with pytest.raises(DataError, match=r"should lie in .*images, which is not there.*Move them"):
        room.open_pictures(known)
    (tmp_path / "d" / "images").write_text("no zip")
    with pytest.raises(DataError, match="neither a folder nor a whole zip"):
        room.open_pictures(known)
    with zipfile.ZipFile(tmp_path / "d" / "images", "w") as archive:
        archive.writestr("0.png", b"packed")
    assert room.open_pictures(known)("0.png", False) == b"packed"


# Splits


def test_a_split_is_read_beside_the_cells(tmp_path):
    """Each cell stands in the manifest's order with the side it was dealt to."""
    known = written(tmp_path, sides=["test", "train", "train", "train"])
    divided = room.read_split(known, "splits", 0, 0)
    assert divided["cell_id"].to_list() == known.manifest["cell_id"].to_list()
    assert divided["split"].to_list() == ["test", "train", "train", "train"]


def test_cells_a_split_does_not_name_are_left_out(tmp_path):
    """A split of part of the cells gives that part."""
    known = written(tmp_path)
    part = tables.read_table(tmp_path / "splits.parquet", shapes.SPLITS).head(1)
    tables.write_table(tmp_path / "splits-part.parquet", part, shapes.SPLITS)
    assert room.read_split(known, "part", 0, 0)["cell_id"].to_list() == ["c000"]


SPLIT_FAULTS = {
    "case torn": (ROWS, ["train", "train", "test", "test"], "c001 in train and c002 in test"),
    "family torn": (ROWS, ["train", "test", "test", "train"], "c001 in test and c003 in train"),
    "copy in the test": (
        [{"family": "1"}, derived(origin="c000")],
        ["test", "test"],
        "1 copies of cells stand outside training, for example d in test. Split first",
    ),
    "generated row in the test": (
        [{"family": "1"}, derived(origin=GENERATOR, family=GENERATOR, copy=None)],
        ["train", "test"],
        "1 generated cells stand outside training, for example d in test. Nothing was trained",
    ),
    "generated row in validation": (
        [{"family": "1"}, derived(origin=GENERATOR, family=GENERATOR, copy=None)],
        ["train", "validation"],
        "1 generated cells stand outside training, for example d in validation",
    ),
    "generated row in calibration": (
        [{"family": "1"}, derived(origin=GENERATOR, family=GENERATOR, copy=None)],
        ["train", "calibration"],
        "1 generated cells stand outside training, for example d in calibration",
    ),
    "one of a generator's rows in the test": (
        [
            derived(cell_id="c", origin=GENERATOR, family=GENERATOR),
            derived(origin=GENERATOR, family=GENERATOR),
        ],
        ["train", "test"],
        "1 generated cells stand outside training, for example d in test",
    ),
    "copy of a rendering in the test": (
        [{"cell_id": "c+isolated", "origin": "c", "family": "1"}, derived(origin="c+isolated")],
        ["test", "test"],
        "1 copies of cells stand outside training, for example d in test",
    ),
    "copy from the test": (
        [{"family": "1"}, derived(origin="c000")],
        ["test", "train"],
        "c000 in test and d in train",
    ),
}


@pytest.mark.parametrize("fault", SPLIT_FAULTS)
def test_a_split_that_leaks_is_refused(tmp_path, fault):
    """A torn case, a torn family, a copy outside training: named, not read."""
    rows, sides, told = SPLIT_FAULTS[fault]
    known = written(tmp_path, rows, sides)
    with pytest.raises(DataError, match=told):
        room.read_split(known, "splits", 0, 0)


def test_renderings_stand_where_their_origins_stand(tmp_path):
    """A row named after its origin is a cell of its own set, on any side of a split."""
    rows = [row | {"cell_id": f"r{i}+isolated", "origin": f"r{i}"} for i, row in enumerate(ROWS)]
    known = written(tmp_path, rows)
    assert known.manifest.filter(is_copy()).is_empty()
    assert room.read_split(known, "splits", 0, 0)["split"].to_list() == SIDES
    more = [*rows, derived(origin="r0+isolated")]
    copied = room.write_dataset(tmp_path / "more", CARD, manifest_of(more))
    assert copied.manifest.filter(is_copy())["cell_id"].to_list() == ["d"]


def test_divisions_are_listed(tmp_path):
    """As repeat and fold, in order, whatever numbers they have."""
    known = room.write_dataset(tmp_path, CARD, manifest_of(ROWS))
    numbers = [(2, 1), (0, 1), (2, 0)]
    rows = [(r, f, "c000", "train") for r, f in numbers]
    table = pl.DataFrame(rows, schema=list(shapes.SPLITS.columns), orient="row")
    tables.write_table(tmp_path / "splits-odd.parquet", table, shapes.SPLITS)
    assert room.divisions_of(known, "odd") == sorted(numbers)
    with pytest.raises(UsageError, match=r"fold 0 is not among them.*it holds is repeat 0, fold 1"):
        room.read_split(known, "odd", 0, 0)


def test_work_on_real_cells_alone_is_refused_generated_ones(tmp_path):
    """They are counted, and the advice is given; without them all is well."""
    row = derived(origin=GENERATOR, family=GENERATOR)
    known = room.write_dataset(tmp_path, CARD, manifest_of([*ROWS, row]))
    with pytest.raises(DataError, match=r"holds 1 generated cells, for example d: .* Do this\.$"):
        room.refuse_generated(known, "Do this.")
    room.refuse_generated(room.write_dataset(tmp_path, CARD, manifest_of(ROWS)), "Do this.")


def test_a_split_that_is_not_there_is_told(tmp_path):
    """No split, another name, another division, another dataset's: four sentences."""
    known = room.write_dataset(tmp_path, CARD, manifest_of(ROWS))
    with pytest.raises(DataError, match=r"has no split yet.*leukoscope split"):
        room.read_split(known, "splits", 0, 0)
    written(tmp_path, name="five-fold")
    with pytest.raises(UsageError, match=r"'fivefold'.*Did you mean five-fold"):
        room.read_split(known, "fivefold", 0, 0)
    with pytest.raises(UsageError, match=r"1 repeats of 1 folds.*repeat 1, fold 2 is not among"):
        room.read_split(known, "five-fold", 1, 2)
    stranger = pl.DataFrame({"repeat": 0, "fold": 0, "cell_id": ["zz"], "split": ["train"]})
    tables.write_table(tmp_path / "splits-other.parquet", stranger, shapes.SPLITS)
    with pytest.raises(DataError, match="names 1 cells the manifest lacks, for example zz"):
        room.read_split(known, "other", 0, 0)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "../splits", "a/"])
def test_a_split_has_a_plain_name(tmp_path, name):
    """A name that would lead elsewhere is refused."""
    with pytest.raises(UsageError, match="cannot name a split"):
        room.splits_path(tmp_path, name)
