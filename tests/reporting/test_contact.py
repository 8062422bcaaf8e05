"""The contact sheet shows the given pictures in their place, with what was drawn for them."""

import json
from base64 import b64decode
from dataclasses import replace

import polars as pl
import pytest
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
    """Below each picture stands the drawn angle to a degree, or that it is as taken."""
    captions = [each.words() for each in table(read(HTML), "sheet-cells").all("figcaption")]
    expected = []
    found = contact.contact_table(PAGE).rows(named=True)
    for row in found:
        (given,) = SEEN.filter(
            arm=row["arm"], category=row["category"], copy=row["copy"]
        ).to_dicts()
        moves = json.loads(given["draw"])["moves"]
        expected.append(f"{moves[0][1]:.0f}°" if moves else "as taken")
    assert captions == expected


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (None, "as taken"),
        ('{"moves": [], "border": "reflect"}', "as taken"),
        ('{"moves": [["rotation_deg", 89.6]]}', "turned 90°"),
        (
            '{"moves": [["rotation_deg", -12.0], ["flip_vertical", 1.0]]}',
            "turned −12°, mirrored top to bottom",
        ),
        ('{"moves": [["blur_px", 1.25]]}', "blur px 1.25"),
        ("not JSON", "drawn otherwise"),
        ('["a"]', "drawn otherwise"),
        ('{"moves": [["rotation_deg"]]}', "drawn otherwise"),
    ],
)
def test_draws_are_told_in_words(draw: str | None, words: str) -> None:
    """Known moves have names, unknown ones their own; what cannot be read is no error."""
    assert contact.drawn_in_words(draw) == words


def test_a_hostile_draw_is_inert() -> None:
    """The name of a move is text like any other."""
    draw = json.dumps({"moves": [["<script>alert(1)</script>", 2]]})
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
