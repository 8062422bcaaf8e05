import hashlib
import io
import random
import shutil
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from polars.testing import assert_frame_equal
from tests.intake.pictures import cells, drawn, encoded, lay_out

from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.intake.decode import content_of
from leukoscope.intake.ingest import ingest_listing, ingest_phantom, repeated_contents
from leukoscope.intake.phantom import PhantomRecipe
from leukoscope.intake.sources import Listing, list_folder, list_pbc
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset


def take_in(root, out, listing=None):
    listing = list_folder(root, None) if listing is None else listing
    return ingest_listing(listing, source="folder", root=root, out=out)


def findings_of(out):
    return tables.read_table(out / "findings.parquet", shapes.FINDINGS)


def names_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_row_says_what_the_picture_is(tmp_path):
    """Name, size, content, label and orientation of each picture stand in the manifest."""
    exif = Image.Exif()
    exif[0x0112] = 6
    upright, turned = drawn(0, 9, 7), encoded(drawn(1, 9, 7), "TIFF", exif=exif)
    root = lay_out(tmp_path / "My cells.v2", {"band/1.png": upright, "monocyte/2.tif": turned})
    out = ingest_listing(
        list_folder(root, None), source="folder", root=root, out=tmp_path / "d", um_per_px=0.1
    )
    assert out == tmp_path / "d"
    known = read_dataset(out)
    assert known.card.name == "My cells"
    assert known.card.categories == ("band", "monocyte")
    assert known.image_root == root
    first, second = known.manifest.to_dicts()
    assert first["cell_id"] == "folder:band/1.png"
    assert first["path"] == "band/1.png"
    assert first["content"] == content_of(upright)
    assert (first["width_px"], first["height_px"], first["exif_orientation"]) == (7, 9, 1)
    assert (first["category"], first["original_label"], first["case"]) == ("band", "band", None)
    assert first["um_per_px"] == 0.1
    assert second["content"] == content_of(np.rot90(drawn(1, 9, 7), -1))
    assert (second["width_px"], second["height_px"], second["exif_orientation"]) == (9, 7, 6)
    assert names_below(out) == [
        *("dataset.json", "findings.csv", "findings.parquet", "manifest.parquet"),
    ]


def test_merges_and_what_is_left_out_are_on_the_card(tmp_path):
    """A map's merges are written down, and so are the prefixes it leaves out, with counts."""
    names = ["SNE_1.png", "BNE_2.png", "BNE_3.png", "LY_4.png"]
    root = lay_out(tmp_path / "c", {name: drawn(i) for i, name in enumerate(names)})
    out = ingest_listing(list_pbc(root, "pbc8"), source="pbc", root=root, out=tmp_path / "d")
    card = read_dataset(out).card
    assert card.merges == {"BNE": "neutrophil", "LY": "lymphocyte", "SNE": "neutrophil"}
    assert card.categories == ("lymphocyte", "neutrophil")
    assert card.licence == "CC BY 4.0"
    lay_out(root, {"IG_5.png": drawn(5), "IG_6.png": drawn(6)})
    out = ingest_listing(list_pbc(root, "nozaka6"), source="pbc", root=root, out=tmp_path / "e")
    assert read_dataset(out).card.left_out == {"IG": 2}


def test_planted_repetitions_are_found_exactly(tmp_path):
    """Copies, in other formats too, share a family and are reported; nothing else does or is."""
    pictures = cells(20)
    pictures |= {
        "band/copy.bmp": encoded(pictures["band/0001.png"], "BMP"),
        "band/third.png": pictures["band/0001.png"],
        "monocyte/two.png": pictures["band/0003.png"],
        "monocyte/transposed.png": drawn(0, 4, 16),
        "monocyte/reshaped.png": drawn(0, 4, 16).reshape(16, 4, 3),
        "monocyte/mirrored.png": pictures["monocyte/0002.png"][:, ::-1],
    }
    root = lay_out(tmp_path / "c", pictures)
    out = take_in(root, tmp_path / "d")
    found = findings_of(out).select("check", "severity", "other_cell_id", "cell_id").rows()
    assert found == [
        ("content-repeated", "warning", "folder:band/0001.png", "folder:band/copy.bmp"),
        ("content-repeated", "warning", "folder:band/0001.png", "folder:band/third.png"),
        ("content-two-categories", "error", "folder:band/0003.png", "folder:monocyte/two.png"),
    ]
    manifest = read_dataset(out).manifest
    families = manifest.group_by("family").agg(pl.col("path").sort()).filter(pl.len() > 0)
    together = {tuple(paths) for paths in families["path"].to_list() if len(paths) > 1}
    assert together == {
        ("band/0001.png", "band/copy.bmp", "band/third.png"),
        ("band/0003.png", "monocyte/two.png"),
    }
    assert manifest["family"].n_unique() == manifest.height - 3


def noted(work):
    """Do some work; give the notes and the progress it told."""
    notes, told = [], []
    with progress.noting(notes.append), progress.listening(lambda *news: told.append(news)):
        work()
    return notes, told


def test_a_person_is_told_what_was_found(tmp_path):
    """Cells, repetitions, labels left out and files passed over: a line each, with examples."""
    pictures = {f"{label}_{i}.png": drawn(i) for i, label in enumerate(["BNE", "EO", "LY"])}
    pictures |= {"EO_8.png": drawn(0), "LY_9.png": drawn(2), "IG_5.png": drawn(5)}
    pictures |= {f"notes {i}\n.txt": b"" for i in range(5)}
    root, out = lay_out(tmp_path / "c", pictures), tmp_path / "d"
    listing = list_pbc(root, "nozaka6")
    notes, told = noted(lambda: ingest_listing(listing, source="pbc", root=root, out=out))
    repeated = "2 pictures repeat another; 1 of them is filed under two categories: "
    passed_over = "5 files are no pictures and were passed over: notes 0 .txt, notes 1 .txt, "
    assert notes == [
        "5 cells of 3 categories, no case known.",
        f"{repeated}pbc:EO_8.png and pbc:BNE_0.png; see {out / 'findings.csv'}.",
        "The category map leaves out (label, pictures): IG 1.",
        f"{passed_over}notes 2 .txt and 2 more.",
    ]
    assert told == [("reading", i, 5) for i in range(1, 6)]
    findings = tables.read_table(out / "findings.csv", shapes.FINDINGS)
    assert_frame_equal(findings, findings_of(out))


def test_drawn_cells_know_their_scale_and_are_counted(tmp_path):
    """The manifest holds the recipe's micrometres a pixel; cases are in the note."""
    mix = {"band": 1.0, "segmented": 1.0}
    recipe = PhantomRecipe(name="few", n_cases=2, cells_per_case=3, mix=mix, size_px=30)
    notes, told = noted(lambda: ingest_phantom(recipe, out=tmp_path / "d"))
    assert notes == ["6 cells of 2 categories, 2 cases."]
    assert told[-1] == ("drawing", 6, 6)
    assert set(read_dataset(tmp_path / "d").manifest["um_per_px"]) == {recipe.um_per_px}


def test_no_repetition_is_no_finding(tmp_path):
    """A clean collection has an empty table of findings."""
    out = take_in(lay_out(tmp_path / "c", cells(6)), tmp_path / "d")
    assert findings_of(out).is_empty()
    assert repeated_contents(read_dataset(out).manifest).is_empty()


def test_the_order_of_listing_does_not_show(tmp_path):
    """Whatever order pictures are listed in, the manifest and findings are the same bytes."""
    pictures = cells(12) | {"monocyte/two.png": drawn(1)}
    root = lay_out(tmp_path / "c", pictures)
    listing = list_folder(root, None)
    shuffled = list(listing.pictures)
    random.Random(3).shuffle(shuffled)
    one = take_in(root, tmp_path / "one", listing)
    other = take_in(root, tmp_path / "other", Listing(tuple(shuffled)))
    for name in ("manifest.parquet", "findings.parquet", "dataset.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_a_zip_and_its_folder_give_the_same_manifest(tmp_path):
    """Packed or not, cells, contents and findings are the same."""
    root = lay_out(tmp_path / "c", cells(8) | {"band/again.png": drawn(1)})
    archive = Path(shutil.make_archive(str(tmp_path / "z"), "zip", root))
    one, other = take_in(root, tmp_path / "one"), take_in(archive, tmp_path / "other")
    assert_frame_equal(read_dataset(one).manifest, read_dataset(other).manifest)
    assert_frame_equal(findings_of(one), findings_of(other))


def test_the_sources_are_left_untouched(tmp_path):
    """Taking in writes nothing among the pictures."""
    root = lay_out(tmp_path / "c", cells(6))
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    take_in(root, tmp_path / "d")
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


BAD = {
    "monocyte/empty.png": (b"", "is empty"),
    "band/text.jpg": (b"text", "is not a PNG"),
    "band/grey.png": (encoded(drawn(0)[..., 0], "PNG"), "is grey"),
    "band/short.png": (encoded(drawn(0, 40, 40), "PNG")[:900], "broken or cut short"),
}


def test_bad_files_are_all_named_and_nothing_is_written(tmp_path):
    """Every bad file is told with its reason, in one go; no folder is left behind."""
    pictures = cells(10) | {name: data for name, (data, _) in BAD.items()}
    root = lay_out(tmp_path / "c", pictures)
    with pytest.raises(DataError, match=r"^4 of 14 pictures cannot be taken") as caught:
        take_in(root, tmp_path / "d")
    for name, (_, told) in BAD.items():
        assert f"{name} " in str(caught.value)
        assert told in str(caught.value)
    assert "Nothing was written." in str(caught.value)
    assert names_below(tmp_path)[0] == "c"
    assert {name.split("/")[0] for name in names_below(tmp_path)} == {"c"}


def test_of_many_bad_files_ten_are_shown(tmp_path):
    """A thousand faults do not flood the screen; the rest are counted."""
    pictures = cells(4) | {f"band/x{i:02d}.png": b"" for i in range(25)}
    with pytest.raises(DataError) as caught:
        take_in(lay_out(tmp_path / "c", pictures), tmp_path / "d")
    assert str(caught.value).count("is empty") == 10
    assert "… and 15 more" in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path):
    """A file that vanished after listing, or is broken in its zip, is a bad file like others."""
    root = lay_out(tmp_path / "c", cells(6))
    listing = list_folder(root, None)
    (root / "band" / "0003.png").unlink()
    with pytest.raises(DataError, match=r"1 of 6 pictures(.|\n)*band/0003\.png of .* cannot be"):
        take_in(root, tmp_path / "d", listing)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, pixels in cells(6).items():
            archive.writestr(name, encoded(pixels, "BMP"))
    data = bytearray(buffer.getvalue())
    data[data.index(b"BM") + 60] ^= 1
    (tmp_path / "z.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"1 of 6 pictures(.|\n)*monocyte/0000\.png of .*CRC"):
        take_in(tmp_path / "z.zip", tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_what_stands_at_out_is_refused_before_any_work(tmp_path):
    """An existing dataset is untouched, even if the pictures could not be taken anyway."""
    root = lay_out(tmp_path / "c", cells(4) | {"band/bad.png": b""})
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "mine").write_text("old")
    with pytest.raises(UsageError, match="untouched"):
        take_in(root, tmp_path / "d")
    assert names_below(tmp_path / "d") == ["mine"]
    assert (tmp_path / "d" / "mine").read_text() == "old"


def test_odd_names_reach_the_manifest_unchanged(tmp_path):
    """Markup, formulas and spaces in names come back from Parquet and from CSV."""
    names = ["<img onerror=x>", "=cmd", "@at", "it's", "a,b", "血液", "x\ny"]
    pictures = {f"{name}/{name}.png": drawn(i) for i, name in enumerate(names)}
    out = take_in(lay_out(tmp_path / "c", pictures), tmp_path / "d")
    manifest = read_dataset(out).manifest
    assert sorted(manifest["path"]) == sorted(pictures)
    tables.write_table(tmp_path / "m.csv", manifest, shapes.MANIFEST)
    assert_frame_equal(tables.read_table(tmp_path / "m.csv", shapes.MANIFEST), manifest)


def test_repetitions_among_real_cells_are_those_of_an_independent_hash(shared, tmp_path):
    """Of thirteen thousand real cells, the findings name just the pictures whose pixels repeat."""
    path = shared / "data" / "pbc64" / "pbc64.zip"
    if not path.is_file():
        pytest.skip("the packed cells are not among the shared pictures")
    firsts, repeated = {}, {}
    with zipfile.ZipFile(path) as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith(".jpg")):
            with Image.open(io.BytesIO(archive.read(name))) as image:
                seen = (image.size, hashlib.sha1(image.convert("RGB").tobytes()).hexdigest())
            if firsts.setdefault(seen, name) != name:
                repeated[f"pbc:{name}"] = f"pbc:{firsts[seen]}"
    out = ingest_listing(list_pbc(path, None), source="pbc", root=path, out=tmp_path / "d")
    found = findings_of(out)
    assert dict(found.select("cell_id", "other_cell_id").rows()) == repeated
    assert found.height == len(repeated) > 0
    crossing = found.filter(pl.col("check") == "content-two-categories")
    pair = {(Path(a).stem, Path(b).stem) for a, b in crossing["other_cell_id", "cell_id"].rows()}
    assert pair == {("BNE_191112", "EO_225902")}
