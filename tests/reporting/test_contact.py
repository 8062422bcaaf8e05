"""The contact sheet shows the given pictures in their place, with what was drawn for them."""

import json
from base64 import b64decode
from dataclasses import replace

import polars as pl
from tests.reporting.reading import read, rows, table
from tests.reporting.rotation import ARMS, rotation

from leukoscope.reporting import contact
from leukoscope.reporting.contents import StudyPage
from leukoscope.reporting.study_page import study_page

PAGE: StudyPage = rotation(n_replicates=1)
SEEN = PAGE.pictures.filter(pl.col("kind") == "seen")
HTML = study_page(PAGE)


def test_every_picture_stands_in_its_place() -> None:
    """Row is the arm, column the cell, order the copies; the bytes are the given ones."""
    shown = table(read(HTML), "sheet-cells")
    names = [text.lower() for text in rows(shown.all("thead")[0])[0][1:]]
    assert names == ["segmented", "band", "eosinophil", "lymphocyte"]
    for arm, row in zip(ARMS, shown.all("tbody")[0].all("tr"), strict=True):
        for name, cell in zip(names, row.all("td"), strict=True):
            expected = SEEN.filter(pl.col("arm") == arm, pl.col("category") == name).sort("copy")
            images = cell.all("img")
            assert [b64decode(each.attributes["src"].split(",")[1]) for each in images] == list(
                expected["png"]
            )
            assert {each.attributes["width"] for each in images} == {"64"}


def test_captions_are_the_draws() -> None:
    """Below each picture stands the drawn angle, or that it is as taken."""
    captions = [each.words() for each in table(read(HTML), "sheet-cells").all("figcaption")]
    expected = []
    found = contact.contact_table(PAGE).rows(named=True)
    for row in found:
        (given,) = SEEN.filter(
            arm=row["arm"], category=row["category"], copy=row["copy"]
        ).to_dicts()
        done = json.loads(given["draw"])["operations"]
        angle = done[0][1] if done else 0
        degrees = f"{angle:.0f}°" if angle >= 10 else f"{angle:.2g}°"
        expected.append(degrees if done else "as taken")
    assert captions == expected


def test_a_hostile_draw_is_inert() -> None:
    """The name of an operation is text like any other."""
    draw = json.dumps({"operations": [["<script>alert(1)</script>", 2]]})
    pictures = PAGE.pictures.with_columns(draw=pl.lit(draw))
    built = read(study_page(replace(PAGE, pictures=pictures)))
    assert not built.all("script")
    assert "<script>alert(1)</script> 2" in built.words()


def test_few_cells_are_chosen_and_all_arms_share_them() -> None:
    """Of many cells those that most arms saw are shown, no category twice before all once."""
    rare = SEEN.filter(pl.col("arm") == "originals").with_columns(
        cell_id=pl.lit("aaa-") + pl.col("cell_id")
    )
    many = pl.concat(
        [
            SEEN.with_columns(cell_id=pl.col("cell_id") + f"-{n}", copy=pl.col("copy") + 10 * n)
            for n in range(3)
        ]
    )
    page = replace(PAGE, pictures=pl.concat([rare, many]))
    found = contact.contact_table(page)
    cells = found.select("cell", "category").unique().sort("cell")
    assert cells.height == contact.MOST_CELLS
    assert cells["category"].n_unique() == contact.MOST_CELLS
    assert found["arm"].n_unique() == len(ARMS)
    assert found.group_by("arm", "cell").len()["len"].max() <= contact.MOST_TIMES


def test_a_cell_an_arm_never_saw_is_left_empty() -> None:
    """The place stays, with a word in it."""
    gone = (pl.col("arm") == "rotated-100") & (pl.col("category") == "band")
    page = replace(PAGE, pictures=PAGE.pictures.filter(~gone))
    shown = rows(table(read(study_page(page)), "sheet-cells").all("tbody")[0])
    assert shown[1][2] == "not shown"


def test_no_pictures_given_differs_from_left_out() -> None:
    """An empty table is told as it is; only None was on purpose."""
    empty = read(study_page(replace(PAGE, pictures=PAGE.pictures.head(0)))).words()
    assert "The study keeps no pictures of what its arms saw." in empty
    assert "on purpose" not in empty
    without = read(study_page(replace(PAGE, pictures=None))).words()
    assert "left out of this page on purpose" in without
