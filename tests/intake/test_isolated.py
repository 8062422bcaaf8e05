import json

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.intake.pictures import drawn, lay_out

from leukoscope.augmentation.offline import augment_offline
from leukoscope.augmentation.plan import Amount
from leukoscope.augmentation.recipe import load_augmentation
from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.intake import isolated as room
from leukoscope.intake.decode import content_of, decode, encode_png, resize
from leukoscope.intake.ingest import ingest_listing, ingest_phantom
from leukoscope.intake.phantom import PhantomRecipe
from leukoscope.intake.phantom import cells as phantoms
from leukoscope.intake.sources import list_folder
from leukoscope.intake.splits import hold_out, k_fold
from leukoscope.intake.store import open_store
from leukoscope.morphology.isolation import FLAGS, Isolation, isolate_cell
from leukoscope.morphology.masks import levels_of
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset, read_dataset, read_split, write_dataset
from leukoscope.records.lineage import is_copy

RECIPE = PhantomRecipe(
    name="few",
    seed=5,
    n_cases=9,
    cells_per_case=4,
    mix={"segmented": 1, "lymphocyte": 1},
    case_spread=0.3,
    overlap=0.0,
)
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
EMPTY = np.full((72, 72, 3), (231, 226, 219), np.uint8)


def with_splits(known):
    """Divide a dataset twice: at once, and in folds under a name of their own."""
    for name, table in (
        ("splits", hold_out(known.manifest, shares=SHARES, repeats=2, seed=0)),
        ("splits-folds", k_fold(known.manifest, folds=3, repeats=1, seed=1)),
    ):
        tables.write_table(known.folder / f"{name}.parquet", table, shapes.SPLITS)
    return known


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Draw phantom cells with masks, cases and a scale; divide them."""
    folder = tmp_path_factory.mktemp("originals")
    return with_splits(read_dataset(ingest_phantom(RECIPE, out=folder / "d")))


@pytest.fixture(scope="module")
def made(known, tmp_path_factory):
    """Isolate them."""
    out = tmp_path_factory.mktemp("isolated") / "alone"
    return read_dataset(room.isolate_dataset(known, out=out, fill="blank"))


@pytest.fixture(scope="module")
def some_empty(tmp_path_factory):
    """Take in phantom cells among which two pictures show no cell; names repeat in all ways."""
    folder = tmp_path_factory.mktemp("some-empty")
    pictures = {
        f"{cell.category}/{i:02d}.png": cell.image for i, cell in enumerate(phantoms(RECIPE))
    }
    first, second = list(pictures.values())[:2]
    pictures |= {"band/a b.png": first, "band/a-b.png": second, "segmented/a b.png": first}
    pictures |= {"band/empty.png": EMPTY, "segmented/empty.png": EMPTY[:60]}
    root = lay_out(folder / "pictures", pictures)
    ingest_listing(list_folder(root, None), source="folder", root=root, out=folder / "d")
    return read_dataset(folder / "d")


def picture_of(dataset, path):
    return decode((dataset.image_root / path).read_bytes(), name=path).pixels


def levels_at(dataset, path):
    from PIL import Image

    with Image.open(dataset.folder / path) as picture:
        return np.asarray(picture)


def pairs(known, made):
    """Give each isolated row beside its parent's."""
    parents = {row["cell_id"]: row for row in known.manifest.to_dicts()}
    return [(parents[row["origin"]], row) for row in made.manifest.to_dicts()]


def names_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("fill", ["blank", "white", "black"])
def test_pixels_of_the_cell_stay_and_all_others_are_one_colour(known, tmp_path, fill):
    """Inside the mask not a bit is changed; outside there is the colour that the draw tells."""
    made = read_dataset(room.isolate_dataset(known, out=tmp_path / "out", fill=fill))
    for parent, row in pairs(known, made):
        before, after = picture_of(known, parent["path"]), picture_of(made, row["path"])
        inside = levels_at(made, row["mask_path"]) > 0
        told = json.loads(row["draw"])
        wanted = {"white": [255] * 3, "black": [0] * 3, "blank": told["blank_rgb"]}[fill]
        assert told["fill_rgb"] == wanted
        assert (after[~inside] == wanted).all()
        np.testing.assert_array_equal(after[inside], before[inside])
        assert 0 < inside.sum() < inside.size


def test_masks_are_those_found_in_the_picture_one_by_one(known, made):
    """The slow way, a cell at a time: the same masks, confidence and flags."""
    for parent, row in pairs(known, made):
        found = isolate_cell(picture_of(known, parent["path"]))
        np.testing.assert_array_equal(levels_at(made, row["mask_path"]), levels_of(found.masks))
        told = json.loads(row["draw"])
        assert told["confidence"] == found.confidence
        assert tuple(told["flags"]) == found.flags
        assert tuple(told["blank_rgb"]) == found.blank_rgb


def test_an_isolated_cell_tells_its_lineage(known, made):
    """All that is known of a cell is kept; what became another picture is told anew."""
    kept = ("category", "original_label", "case", "family", "source", "um_per_px", "field", "stain")
    for parent, row in pairs(known, made):
        assert all(row[name] == parent[name] for name in kept)
        assert row["cell_id"] == parent["cell_id"] + "+isolated"
        assert row["copy"] is None
        assert row["exif_orientation"] == 1
        assert row["recipe_id"] == room.IsolationRecipe(fill="blank").recipe_id
        picture = picture_of(made, row["path"])
        assert row["content"] == content_of(picture) != parent["content"]
        assert picture.shape[:2] == (row["height_px"], row["width_px"])
        left, top, right, bottom = row["box_px"]
        inside = levels_at(made, row["mask_path"]) > 0
        assert inside[top:bottom, left:right].sum() == inside.sum()
        assert inside[[top, bottom - 1]].any(axis=1).all()
        assert inside[:, [left, right - 1]].any(axis=0).all()


def test_the_card_says_what_was_done_and_keeps_what_was_known(known, made):
    """Categories, licence and citation are the original's; the recipe is the isolation's."""
    assert made.card.categories == known.card.categories
    assert made.card.licence == known.card.licence
    assert made.card.recipe == {"isolation": {"fill": "blank", "version": room.VERSION}}
    assert made.image_root == made.folder.resolve()


def test_recipes_of_another_fill_have_another_id():
    """So that sets told apart by their fill are told apart by name."""
    ids = {room.IsolationRecipe(fill=fill).recipe_id for fill in ("blank", "white", "black")}
    assert len(ids) == 3


def test_masks_that_came_with_the_dataset_are_not_used(known, made, tmp_path):
    """Without them the same comes out: what is found is found in the picture."""
    bare = known.manifest.with_columns(mask_path=pl.lit(None, pl.String))
    (tmp_path / "d").mkdir()
    card = known.card.model_copy(update={"image_root": str(known.image_root)})
    unmasked = write_dataset(tmp_path / "d", card, bare)
    again = read_dataset(room.isolate_dataset(unmasked, out=tmp_path / "out", fill="blank"))
    assert_frame_equal(again.manifest, made.manifest)


def test_the_same_dataset_gives_the_same_files(known, made, tmp_path):
    """Byte for byte, in whatever order threads come to the cells."""
    again = room.isolate_dataset(known, out=tmp_path / "again", fill="blank")
    names = names_below(made.folder)
    assert names_below(again) == names
    files = [name for name in names if (again / name).is_file()]
    assert all((again / n).read_bytes() == (made.folder / n).read_bytes() for n in files)


# Splits


@pytest.mark.parametrize(
    ("name", "repeat", "fold"), [("splits", 0, 0), ("splits", 1, 0), ("folds", 0, 2)]
)
def test_both_sets_are_divided_alike(known, made, name, repeat, fold):
    """In every split, repeat and fold a cell stands where its origin stands."""
    before, after = (read_split(each, name, repeat, fold) for each in (known, made))
    sides = dict(before.select("cell_id", "split").rows())
    assert {sides[origin] == side for origin, side in after.select("origin", "split").rows()} == {
        True
    }
    assert set(after["split"]) == set(SHARES)


def test_isolated_cells_can_be_augmented(known, made, tmp_path):
    """They are no copies; their copies are made of training cells and lie in the new folder."""
    divided = read_split(made, "splits", 0, 0)
    recipe = load_augmentation("flips")
    augment_offline(made, divided, recipe, out=tmp_path / "more", amount=Amount(), seed=0)
    more = read_dataset(tmp_path / "more")
    copies = more.manifest.filter(is_copy())
    train = divided.filter(pl.col("split") == "train")
    assert set(copies["origin"]) == set(train["cell_id"])
    assert_frame_equal(more.manifest.filter(pl.col("copy").is_not_null()), copies)
    assert set(read_split(more, "splits", 0, 0).filter(is_copy())["split"]) == {"train"}
    store = open_store(more, more.manifest, 16)
    for row in more.manifest.to_dicts():
        root = more.image_root if row["copy"] is None else more.folder
        expected = resize(decode((root / row["path"]).read_bytes(), name="x").pixels, 16)
        np.testing.assert_array_equal(store.take(store.rows([row["content"]]))[0], expected)
    masks = more.manifest.filter(~is_copy())["mask_path"]
    assert all((more.folder / path).is_file() for path in masks)


# Cells that are not there, or odd


@pytest.fixture(scope="module")
def part(some_empty, tmp_path_factory):
    """Isolate a set with empty pictures; give it with what was noted."""
    divided = some_empty.manifest.select("cell_id", split=pl.lit("train"))
    divided = divided.with_columns(repeat=pl.lit(0), fold=pl.lit(0))
    tables.write_table(some_empty.folder / "splits-all.parquet", divided, shapes.SPLITS)
    noted = []
    out = tmp_path_factory.mktemp("part") / "out"
    with progress.noting(noted.append):
        room.isolate_dataset(some_empty, out=out, fill="white")
    return read_dataset(out), noted


def test_a_picture_without_a_cell_is_left_out_and_named(some_empty, part):
    """Exactly the empty ones are missing from manifest, files and splits, and are findings."""
    made, noted = part
    empty = {"folder:band/empty.png", "folder:segmented/empty.png"}
    assert set(some_empty.manifest["cell_id"]) - set(made.manifest["origin"]) == empty
    for folder in ("images", "masks"):
        assert len(names_below(made.folder / folder)) == made.manifest.height
    named = tables.read_table(made.folder / "splits-all.parquet", shapes.SPLITS)["cell_id"]
    assert set(named) == set(made.manifest["cell_id"])
    findings = tables.read_table(made.folder / "findings.csv", shapes.FINDINGS)
    left_out = findings.filter(pl.col("detail").str.contains("left out"))
    assert set(left_out["cell_id"]) == empty
    assert set(left_out["severity"]) == {"warning"}
    assert all(detail.startswith(f"blank: {FLAGS['blank']}; ") for detail in left_out["detail"])
    n = some_empty.manifest.height
    assert noted[0] == f"{n - 2} of {n} cells were isolated."
    assert noted[1].startswith("Left out, no leukocyte found: 2 (blank 2)")
    assert noted[1].endswith("out/findings.csv.")
    assert not any("No cell is left" in note for note in noted)


def test_every_flag_becomes_a_finding(some_empty, part):
    """A kept cell has one finding if it is flagged, in the words of its flags, and none if not."""
    made, _ = part
    findings = tables.read_table(made.folder / "findings.parquet", shapes.FINDINGS)
    details = dict(findings.filter(pl.col("check") == "isolate").select("cell_id", "detail").rows())
    for row in made.manifest.to_dicts():
        told = "; ".join(f"{flag}: {FLAGS[flag]}" for flag in json.loads(row["draw"])["flags"])
        assert details.get(row["cell_id"], "") == told


def test_findings_name_planted_oddities_and_no_others():
    """Left out, odd and plain cells: two findings, the names of their flags first."""
    planted = [
        ("none", None, 0.0, ["no leukocyte"]),
        ("odd", "images/1.png", 0.4, ["cut by the border", "unsure"]),
        ("plain", "images/2.png", 0.9, []),
    ]
    rows = [
        dict(zip(("cell_id", "path", "confidence", "flags"), row, strict=True)) for row in planted
    ]
    found = room._findings(pl.DataFrame(rows, schema=room._OUTCOME))
    seen = {row["cell_id"]: (row["severity"], row["score"]) for row in found.to_dicts()}
    assert seen == {"none": ("warning", 0.0), "odd+isolated": ("warning", 0.4)}
    details = dict(found.select("cell_id", "detail").rows())
    assert details["odd+isolated"] == (
        f"cut by the border: {FLAGS['cut by the border']}; unsure: {FLAGS['unsure']}"
    )
    assert details["none"].startswith(f"no leukocyte: {FLAGS['no leukocyte']}; left out")


@pytest.mark.parametrize("flags", [[], ["unsure"], ["cut by the border", "unsure"]])
def test_a_draw_tells_the_doubt_that_was_written_into_it(flags):
    """Writing and reading are inverses."""
    draw = room._draw(Isolation(None, 0.25, tuple(flags), (1, 2, 3)), (0, 0, 0))
    assert room.doubt_of(draw) == {"confidence": 0.25, "flags": flags}


@pytest.mark.parametrize(
    "draw",
    [
        *(None, "", "null", "[1]", "unsure", "{}", '{"confidence": NaN}'),
        *('{"confidence": "0.5"}', '{"confidence": 7, "flags": "unsure"}'),
    ],
)
def test_a_draw_that_tells_no_doubt_gives_none(draw):
    """What another program wrote there is neither sure nor unsure."""
    assert room.doubt_of(draw) == {"confidence": None, "flags": None}


def test_a_category_that_lost_all_its_cells_is_noted(tmp_path):
    """By its name, and last; the others are not named."""
    pictures = {
        f"{cell.category}/{i:02d}.png": cell.image for i, cell in enumerate(phantoms(RECIPE))
    }
    pictures |= {f"band/{i}.png": EMPTY - np.uint8(i) for i in range(2)}
    noted = []
    with progress.noting(noted.append):
        room.isolate_dataset(collection(tmp_path, pictures), out=tmp_path / "out", fill="blank")
    assert noted[-1] == "No cell is left of band; the dataset keeps the name."
    made = read_dataset(tmp_path / "out")
    assert "band" in made.card.categories
    assert "band" not in set(made.manifest["category"])


def test_cells_of_one_name_have_files_of_their_own(some_empty, part):
    """Same stem in two folders, or two names that become one: each cell's own picture is kept."""
    made, _ = part
    paths = made.manifest["path"]
    assert paths.n_unique() == made.manifest.height
    assert len({path.lower() for path in paths}) == len(paths)
    for parent, row in pairs(some_empty, made):
        masked = levels_at(made, row["mask_path"]) > 0
        before, after = picture_of(some_empty, parent["path"]), picture_of(made, row["path"])
        np.testing.assert_array_equal(after[masked], before[masked])


def test_equal_pictures_become_equal_pictures_and_are_told(some_empty, part):
    """One picture filed three times is one content, of one family, and is in the findings."""
    made, _ = part
    families = dict(some_empty.manifest.select("cell_id", "family").rows())
    twins = made.manifest.filter(pl.len().over("content") > 1)
    assert set(twins["origin"]) == {
        name
        for name, family in families.items()
        if list(families.values()).count(family) > 1 and "empty" not in name
    }
    assert (twins.group_by("content").agg(pl.col("family").n_unique())["family"] == 1).all()
    findings = tables.read_table(made.folder / "findings.parquet", shapes.FINDINGS)
    assert {"content-repeated", "content-two-categories"} & set(findings["check"])


# Refusals


def test_a_dataset_with_copies_is_refused(known, tmp_path):
    """Isolate first, augment after."""
    divided = read_split(known, "splits", 0, 0)
    recipe = load_augmentation("flips")
    augment_offline(
        known, divided, recipe, out=tmp_path / "more", amount=Amount(factor=1.2), seed=0
    )
    more = read_dataset(tmp_path / "more")
    with pytest.raises(DataError, match=r"holds \d+ copies of cells.*augment after"):
        room.isolate_dataset(more, out=tmp_path / "out", fill="blank")
    unnumbered = Dataset(more.folder, more.card, more.manifest.with_columns(copy=None))
    with pytest.raises(DataError, match=r"holds \d+ copies of cells"):
        room.isolate_dataset(unnumbered, out=tmp_path / "out", fill="blank")
    assert not (tmp_path / "out").exists()


def test_both_sets_in_one_manifest_are_refused(known, made, tmp_path):
    """The original and itself alone would count as two cells; the first pair is named."""
    both = pl.concat([known.manifest, made.manifest])
    first = known.manifest["cell_id"][0]
    with pytest.raises(DataError, match=rf"^{made.manifest.height} cells stand here twice") as seen:
        write_dataset(tmp_path / "both", known.card, both)
    assert f"{first}+isolated beside its original {first}" in str(seen.value)
    assert names_below(tmp_path) == []


def test_an_unknown_fill_is_refused(known, tmp_path):
    """The near name is given."""
    with pytest.raises(UsageError, match=r"called 'whit'\. Did you mean white\? Nothing was"):
        room.isolate_dataset(known, out=tmp_path / "out", fill="whit")
    assert names_below(tmp_path) == []


def test_what_stands_at_out_is_untouched(known, tmp_path):
    """A folder with something in it, and a file."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("old")
    for name in ("full", "full/mine"):
        with pytest.raises(UsageError, match="left untouched"):
            room.isolate_dataset(known, out=tmp_path / name, fill="blank")
    assert names_below(tmp_path) == ["full", "full/mine"]
    assert (tmp_path / "full" / "mine").read_text() == "old"


def collection(folder, pictures):
    root = lay_out(folder / "pictures", pictures)
    ingest_listing(list_folder(root, None), source="folder", root=root, out=folder / "d")
    return read_dataset(folder / "d")


def test_a_picture_gone_or_changed_is_named_and_nothing_is_left(tmp_path):
    """No folder, half or whole, stands where the new one should."""
    taken = collection(
        tmp_path, {f"{name}/{i}.png": drawn(i, 30, 30) for i in (0, 1) for name in "ab"}
    )
    before = names_below(tmp_path)
    path = taken.image_root / "b/1.png"
    path.write_bytes(encode_png(drawn(9, 30, 30)))
    with pytest.raises(DataError, match=r"b/1\.png is no longer the picture"):
        room.isolate_dataset(taken, out=tmp_path / "out", fill="blank")
    path.rename(tmp_path / "aside.png")
    with pytest.raises(DataError, match=r"b/1\.png of .* cannot be read"):
        room.isolate_dataset(taken, out=tmp_path / "out", fill="blank")
    (tmp_path / "aside.png").rename(path)
    assert names_below(tmp_path) == before


def test_a_set_without_any_leukocyte_is_refused(tmp_path):
    """A dataset of no cells would be no dataset: reasons are counted, nothing is written."""
    shades = {f"{name}/{i}.png": EMPTY - np.uint8(i) for i in (0, 1) for name in "ab"}
    taken = collection(tmp_path, shades)
    with pytest.raises(
        DataError, match=r"In none of the 4 pictures of .*\(blank 4\)\. Nothing was"
    ):
        room.isolate_dataset(taken, out=tmp_path / "out", fill="blank")
    assert not (tmp_path / "out").exists()


def test_a_split_of_another_dataset_is_refused(tmp_path):
    """It is not carried over half: the first cell that is not here is named."""
    taken = collection(
        tmp_path, {f"{name}/{i}.png": drawn(i, 30, 30) for i in (0, 1) for name in "ab"}
    )
    stranger = pl.DataFrame({"repeat": 0, "fold": 0, "cell_id": ["zz"], "split": ["train"]})
    tables.write_table(taken.folder / "splits-other.parquet", stranger, shapes.SPLITS)
    with pytest.raises(DataError, match=r"splits-other.* 1 cells the manifest lacks.* zz"):
        room.isolate_dataset(taken, out=tmp_path / "out", fill="blank")
    assert not (tmp_path / "out").exists()
