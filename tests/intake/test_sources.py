import random
import struct
import warnings
import zipfile
from pathlib import Path

import pytest
from tests.intake.pictures import lay_out

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.intake import sources as room

ODD = ("<img onerror=alert(1)>", "=cmd|' /C calc'!A0", " two  spaces", "血液 ä", "a,b;c", "it's")


def packed(path, names, *, method=zipfile.ZIP_STORED):
    """Write a zip that holds something under each name."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        # Python itself doubts a name given twice, which is what some tests are about.
        warnings.simplefilter("ignore", UserWarning)
        for name in names:
            archive.writestr(name, b"something")
    return path


def paths_of(listing):
    return [picture.path for picture in listing.pictures]


def labels_of(listing):
    return {picture.path: picture.category for picture in listing.pictures}


# A folder a category


def test_the_first_folder_names_the_category(tmp_path):
    """Deeper folders do not count; every kind of picture is found, whatever its case."""
    names = ["band/1.png", "band/deep/er/2.JPG", "monocyte/3.tif", "monocyte/4.bmp"]
    root = lay_out(tmp_path / "c", dict.fromkeys([*names, "readme.txt", "band/notes.csv"], b"x"))
    listing = room.list_folder(root, None)
    assert labels_of(listing) == dict(
        zip(names, ["band", "band", "monocyte", "monocyte"], strict=True)
    )
    assert paths_of(listing) == sorted(names)
    assert all(p.original_label == p.category and p.case is None for p in listing.pictures)


def test_the_order_of_making_does_not_show(tmp_path):
    """However the files came to be, they are listed in the order of their paths."""
    names = [f"{label}/{i}.png" for label in ("b", "a") for i in range(30)]
    chance = random.Random(0)
    listings = []
    for place in ("one", "other"):
        chance.shuffle(names)
        listings.append(
            room.list_folder(lay_out(tmp_path / place, dict.fromkeys(names, b"x")), None)
        )
    assert listings[0] == listings[1]
    assert paths_of(listings[0]) == sorted(names)


@pytest.mark.parametrize("wrapper", ["", "cells/", "other/"])
def test_a_zip_is_read_as_its_folder(tmp_path, wrapper):
    """A zip, or one that wraps all in a folder of its own name, gives the folder's labels."""
    names = [f"{wrapper}{label}/{i}.png" for label in ("band", "monocyte") for i in range(2)]
    path = packed(tmp_path / "cells.zip", [*names, f"{wrapper}readme.txt", "__MACOSX/x/y.png"])
    if wrapper == "other/":
        with pytest.raises(DataError, match=r"1 category \(other\)"):
            room.list_folder(path, None)
        return
    listing = room.list_folder(path, None)
    assert paths_of(listing) == sorted(names)
    assert set(labels_of(listing).values()) == {"band", "monocyte"}


def test_a_category_called_like_the_zip_is_no_wrapper(tmp_path):
    """A folder of the zip's own name is a category where it does not hold everything."""
    path = packed(tmp_path / "band.zip", ["band/1.png", "monocyte/2.png"])
    assert labels_of(room.list_folder(path, None)) == {
        "band/1.png": "band",
        "monocyte/2.png": "monocyte",
    }


def test_odd_names_are_only_names(tmp_path):
    """Markup, formulas, spaces and any script pass through unchanged."""
    names = [f"{label}/{odd}.png" for label in ODD for odd in ODD if "/" not in label + odd]
    root = lay_out(tmp_path / "c", dict.fromkeys(names, b"x"))
    assert len(names) > 20
    assert paths_of(room.list_folder(root, None)) == sorted(names)
    path = packed(tmp_path / "c.zip", names)
    assert labels_of(room.list_folder(path, None)) == labels_of(room.list_folder(root, None))


def test_a_name_that_is_no_text_is_told(tmp_path):
    """Bytes that are no Unicode cannot stand in a table: the file is named, escaped."""
    root = lay_out(tmp_path / "c", {"a/1.png": b"x", "b/2.png": b"x"})
    try:
        (root / "a" / "\udcff.png").write_bytes(b"x")
    except (OSError, UnicodeError):
        pytest.skip("this file system takes only names that are Unicode")
    with pytest.raises(DataError, match=r"'a/\\udcff\.png', whose name is not Unicode text"):
        room.list_folder(root, None)


def test_hidden_files_are_passed_over(tmp_path):
    """Dot files, dot folders and what a Mac leaves in a zip are no pictures."""
    hidden = ["a/.x.png", ".hidden/1.png", "__MACOSX/a/._1.png", "a/.git/2.webp"]
    hidden += ["a/Thumbs.db", "desktop.ini"]
    names = ["a/1.png", "b/2.png"]
    root = lay_out(tmp_path / "c", dict.fromkeys([*names, *hidden], b"x"))
    (root / "a" / "folder.png").mkdir()
    assert paths_of(room.list_folder(root, None)) == names
    found = room.list_folder(packed(tmp_path / "c.zip", names + hidden), None)
    assert paths_of(found) == names
    assert found.passed_over == ()


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_every_file_is_taken_named_or_refused(tmp_path, kind):
    """Papers are passed over by name; what may be a picture of another kind stops the work."""
    names = ["BNE/BNE_1.png", "LY/LY_2.JPEG"]
    papers = ["BNE/notes.CSV", "LICENSE", "README", "a.yaml", "all.xlsx"]
    strange = ["LY/3.webp", "LY/4.jfif", "LY/5", "LY/6.png.bak", "x.svs"]

    def laid(place, held):
        if kind == "zip":
            return packed(tmp_path / f"{place}.zip", held)
        return lay_out(tmp_path / place, dict.fromkeys(held, b"x"))

    root = laid("papers", names + papers)
    for list_it in (room.list_folder, room.list_pbc):
        found = list_it(root, "pbc13")
        assert paths_of(found) == names
        assert found.passed_over == tuple(sorted(papers))
    assert room.with_cases(found, r"\d").passed_over == found.passed_over
    for i, one in enumerate(strange):
        with pytest.raises(DataError, match=f"not taken: {one}. Taken are .*Convert or move"):
            room.list_folder(laid(f"one{i}", [*names, *papers, one]), None)
    with pytest.raises(DataError, match=r"LY/3.webp, LY/4.jfif, LY/5 and 2 more\."):
        room.list_pbc(laid("all", [*names, *papers, *strange]), None)


def test_a_linked_folder_is_not_lost_unseen(tmp_path):
    """A link to a file is that file; one to a folder or to nowhere is refused by name."""
    root = lay_out(tmp_path / "c", dict.fromkeys(["a/1.png", "b/2.png"], b"x"))
    (root / "b" / "3.png").symlink_to(root / "a" / "1.png")
    (root / "b" / ".dead.png").symlink_to(root / "gone.png")
    assert paths_of(room.list_folder(root, None)) == ["a/1.png", "b/2.png", "b/3.png"]
    (root / "b" / "dead.png").symlink_to(root / "gone.png")
    with pytest.raises(DataError, match=r"dead\.png is no file .* leads nowhere"):
        room.list_folder(root, None)
    (root / "b" / "dead.png").unlink()
    (root / "c").symlink_to(root)
    with pytest.raises(DataError, match="c is a link to a folder"):
        room.list_folder(root, None)


LACKING = {
    "nothing": ([], "holds no picture"),
    "no pictures": (["a/1.txt", "b/2.xml"], "holds no picture"),
    "one category": (["a/1.png", "a/2.png"], r"holds 2 pictures of 1 category \(a\)"),
    "outside": (["a/1.png", "b/2.png", "3.png"], "1 pictures have no known label, .* 3.png"),
}


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("fault", LACKING)
def test_a_collection_that_cannot_teach_is_refused(tmp_path, fault, kind):
    """Without pictures, without two categories or without a label: a sentence."""
    names, told = LACKING[fault]
    root = lay_out(tmp_path / "c", dict.fromkeys(names, b"x"))
    root.mkdir(exist_ok=True)
    if kind == "zip":
        root = packed(tmp_path / "c.zip", names)
    with pytest.raises(DataError, match=told):
        room.list_folder(root, None)


def test_a_place_that_is_not_there_is_told(tmp_path):
    """A missing path and a file that is no zip are named."""
    with pytest.raises(DataError, match="gone does not exist"):
        room.list_folder(tmp_path / "gone", None)
    (tmp_path / "x.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"x\.zip is neither a folder nor a whole zip"):
        room.list_folder(tmp_path / "x.zip", None)


def test_a_map_takes_folder_names_to_categories(tmp_path):
    """With a map folders bear prefixes; those it lacks are counted, strangers refused."""
    names = ["SNE/1.png", "BNE/2.png", "PLATELET/3.png", "PLATELET/4.png"]
    root = lay_out(tmp_path / "c", dict.fromkeys(names, b"x"))
    listing = room.list_folder(root, "nozaka6")
    assert labels_of(listing) == {"SNE/1.png": "segmented", "BNE/2.png": "band"}
    assert listing.left_out == {"PLATELET": 2}
    lay_out(root, {"xyz/5.png": b"x"})
    with pytest.raises(DataError, match=r"1 pictures have no known label, for example xyz/5\.png"):
        room.list_folder(root, "nozaka6")
    with pytest.raises(UsageError, match="nozaka6"):
        room.list_folder(root, "nozaka")


# PBC


PBC = ["SNE_1.jpg", "x/bne_2.jpg", "x/y/PLATELET_3.jpg", "PMY_4.jpg", "MY_5.jpg", "IG_6_a.jpg"]


@pytest.mark.parametrize(
    ("name", "categories", "left_out"),
    [
        (
            *(None, ["myelocyte", "promyelocyte", "segmented", "band", "platelet"]),
            {},
        ),
        ("pbc8", ["neutrophil", "platelet", "immature granulocyte"], {}),
        ("nozaka6", ["segmented", "band"], {"IG": 1, "MY": 1, "PLATELET": 1, "PMY": 1}),
    ],
)
def test_the_prefix_names_the_category(tmp_path, name, categories, left_out):
    """In any folders and any case of letters; what a map lacks is left out and counted."""
    root = lay_out(tmp_path / "c", dict.fromkeys(PBC, b"x"))
    listing = room.list_pbc(root, name)
    found = set(labels_of(listing).values())
    assert found == set(categories) | ({"immature granulocyte"} if name is None else set())
    assert listing.left_out == left_out
    assert len(listing.pictures) + sum(left_out.values()) == len(PBC)
    assert listing.licence == "CC BY 4.0"
    assert "Acevedo" in (listing.citation or "")
    assert listing == room.list_pbc(packed(tmp_path / "c.zip", PBC), name)


@pytest.mark.parametrize("stranger", ["XYZ_1.jpg", "band.jpg", "_1.jpg"])
def test_an_unknown_prefix_is_refused(tmp_path, stranger):
    """A prefix that no map knows is a mistake, not something to leave out."""
    root = lay_out(tmp_path / "c", dict.fromkeys([*PBC, stranger], b"x"))
    with pytest.raises(DataError, match=f"no known label, for example {stranger}.*Known: BA, BNE"):
        room.list_pbc(root, "nozaka6")


# Cases


NAMES = ["a/case1_x.png", "a/case2_x.png", "b/case1_y.png"]


def cases_of(listing):
    return [picture.case for picture in listing.pictures]


def listing_of():
    return room.Listing(tuple(room.Listed(name, name[0], name[0]) for name in NAMES))


@pytest.mark.parametrize(
    ("expression", "cases"),
    [
        (r"case(\d)", ["1", "2", "1"]),
        (r"case\d", ["case1", "case2", "case1"]),
        (r"(x|y)\.(?P<case>png)", ["png"] * 3),
        (r"(?P<case>\d)", ["1", "2", "1"]),
    ],
)
def test_a_regular_expression_finds_the_case(expression, cases):
    """The group called case, else the first group, else the whole match."""
    assert cases_of(room.with_cases(listing_of(), expression)) == cases


@pytest.mark.parametrize("expression", [r"case(2)", r"case(2)?", r"\d*", r"q(?P<case>x)?"])
def test_an_expression_that_finds_nothing_somewhere_is_refused(expression):
    """Neither no match, nor a group left out, nor an empty match passes for a case."""
    with pytest.raises(DataError, match=r"names no case for \d of 3 pictures, for example a/case1"):
        room.with_cases(listing_of(), expression)


def test_what_is_no_expression_is_a_usage_error():
    """An expression that cannot be compiled is told with what is wrong in it."""
    with pytest.raises(UsageError, match=r"neither a CSV file nor a regular expression: "):
        room.with_cases(listing_of(), "case(")


def test_a_table_gives_the_case(tmp_path):
    """Paths with either slash; an empty case says that it is unknown; more rows do no harm."""
    table = tmp_path / "cases.CSV"
    table.write_text(
        "\ufeffcase,path,more\nP 1,a\\case1_x.png,x\n,a/case2_x.png,\n"
        '"P,2",b/case1_y.png,\nP9,gone.png,\n',
        encoding="utf-8",
    )
    found = room.with_cases(room.Listing(listing_of().pictures, "L", "C", {"z": 1}), str(table))
    assert cases_of(found) == ["P 1", None, "P,2"]
    assert (found.licence, found.citation, found.left_out) == ("L", "C", {"z": 1})


TABLES = {
    "a picture missing": (b"path,case\na/case1_x.png,1\n", "names no case for 2 of 3 pictures"),
    "a path twice": (b"path,case\na,1\na,2\n", "names 1 paths twice"),
    "no such columns": (b"file,case\na,1\n", "should have columns path and case"),
    "other separator": (b"path;case\na;1\n", "should have columns path and case"),
    "empty": (b"", "should have columns path and case"),
    "no text": (b"path,case\n\xff,1\n", "cannot be read as CSV"),
    "short row": (b"case,path\n1\n", "names no case for 3 of 3 pictures"),
}


@pytest.mark.parametrize("fault", TABLES)
def test_a_faulty_table_of_cases_is_told(tmp_path, fault):
    """Each planted fault of the CSV is a sentence that names the file."""
    data, told = TABLES[fault]
    (tmp_path / "cases.csv").write_bytes(data)
    with pytest.raises(DataError, match=rf"cases\.csv'? {told}"):
        room.with_cases(listing_of(), str(tmp_path / "cases.csv"))
    with pytest.raises(DataError, match=r"gone\.csv cannot be read"):
        room.with_cases(listing_of(), str(tmp_path / "gone.csv"))


# Hostile zips


def entry(name, mode):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def with_field(path, offset, data):
    """Change a field of the first entry in a zip's directory."""
    whole = bytearray(path.read_bytes())
    place = whole.index(b"PK\x01\x02") + offset
    whole[place : place + len(data)] = data
    path.write_bytes(whole)
    return path


GOOD = ["a/1.png", "b/2.png"]
HOSTILE = {
    "parent": (lambda p: packed(p, [*GOOD, "a/../../3.png"]), "leaves the archive"),
    "absolute": (lambda p: packed(p, [*GOOD, "/tmp/3.png"]), "leaves the archive"),
    "backslash": (lambda p: packed(p, [*GOOD, "a\\..\\..\\3.png"]), "leaves the archive"),
    "drive": (lambda p: packed(p, [*GOOD, "C:3.png"]), "leaves the archive"),
    "not even a picture": (lambda p: packed(p, [*GOOD, "../x.txt"]), "leaves the archive"),
    "link": (lambda p: packed(p, [*GOOD, entry("a/3.png", 0o120777)]), "a link"),
    "twice": (lambda p: packed(p, [*GOOD, "b/2.png"]), "named twice"),
    "encrypted": (lambda p: with_field(packed(p, GOOD), 8, b"\x01\x00"), "encrypted"),
    "enormous": (
        lambda p: with_field(packed(p, GOOD), 24, struct.pack("<I", 2**31)),
        "larger than 200 MB",
    ),
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_a_hostile_zip_is_refused_before_anything_is_read(tmp_path, fault):
    """Paths that leave it, links, secrets, twins and giants: the entry and the reason are named."""
    make, told = HOSTILE[fault]
    path = make(tmp_path / "c.zip")
    for list_it in (room.list_folder, room.list_pbc):
        with pytest.raises(DataError, match=rf"c\.zip holds .* which is .*{told}"):
            list_it(path, None)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_zip_with_changed_bytes_is_read_or_refused(tmp_path, method):
    """Wherever a byte is changed, listing and reading end well or with a data error."""
    path = packed(tmp_path / "c.zip", [*GOOD, "a/ü.png"], method=method)
    whole = path.read_bytes()
    chance = random.Random(2)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        try:
            read = files.open_collection(Path(path))
            for picture in room.list_folder(path, None).pictures:
                read(picture.path)
        except DataError:
            refused += 1
    assert refused > 100
