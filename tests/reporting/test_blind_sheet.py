"""The blinded sheet and its scores as pages: boxes to tick, equal pictures, plain answers."""

from pathlib import Path

import polars as pl
import pytest
from selenium.webdriver import Chrome
from tests.reporting.judged import CATEGORIES, cell
from tests.reporting.reading import read, rows, table
from tests.reporting.test_browser import PAPER_PX, look, written
from tests.reporting.test_evaluation_page import assert_sound
from tests.reporting.test_study_document import HOSTILE

from leukoscope.foundation.errors import DataError
from leukoscope.intake.blinded import plain_png
from leukoscope.records import shapes, tables
from leukoscope.reporting.blind_scores import answer, blind_scores_page
from leukoscope.reporting.blind_sheet import MOST_BOXES, BlindSheet, blind_sheet

MANY = tuple(f"category {number}" for number in range(MOST_BOXES + 1))
ABOUT = {"dataset": "slides", "generated": "drawn", "n": 12, "size_px": 24}


def page(categories: tuple[str, ...] = CATEGORIES, n: int = 12) -> BlindSheet:
    """Give a sheet some pictures."""
    pngs = [plain_png(cell("sheet", number)) for number in range(n)]
    return BlindSheet("slides", "drawn", categories, pngs, "CC BY 4.0", "Nobody 2020")


def scored(right: float, low: float, high: float, p_value: float) -> pl.DataFrame:
    """Score one reader so."""
    named = {"arm": "AB", "metric": "told_right", "view": "strict", "method": "exact"}
    numbers = {"value": right, "low": low, "high": high, "p_value": p_value, "n_cells": 12}
    return tables.check(pl.DataFrame([named | numbers]), shapes.RESULTS)


def test_each_picture_has_its_boxes() -> None:
    """Every picture has real, drawn and a box a category, whose letters are explained above."""
    built = read(blind_sheet(page()))
    assert_sound(built)
    (listed,) = built.all("ol")
    assert len(listed.all("li")) == 12
    for number, item in enumerate(listed.all("li"), start=1):
        assert item.words() == f"{number} real drawn A B C"
        assert len(item.all("i")) == 2 + len(CATEGORIES)
    assert "A segmented B lymphocyte C basophil" in built.words()


def test_many_categories_have_a_line_to_write_on() -> None:
    """With more categories than fit below a picture, their letter is written."""
    built = read(blind_sheet(page(MANY)))
    assert built.all("ol")[0].all("li")[0].words() == "1 real drawn Category"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_inert(text: str) -> None:
    """Markup in a category or a dataset builds no element."""
    named = BlindSheet(text, text, (text,), page().pictures)
    results = scored(0.5, 0.2, 0.8, 1.0).with_columns(arm=pl.lit(text))
    for html in (blind_sheet(named), blind_scores_page(results, ABOUT | {"generated": text})):
        built = read(html)
        assert text in built.text()
        assert not [each for each in built.everything() if "onerror" in each.attributes]
        assert not built.all("script")


def test_what_is_no_png_is_refused() -> None:
    """A picture must be one."""
    with pytest.raises(DataError, match="not a PNG"):
        blind_sheet(BlindSheet("a", "b", ("c",), [b"GIF89a"]))


def test_answers_follow_the_test() -> None:
    """Better than guessing, worse, or neither: what is said follows p and side."""
    assert answer(scored(0.9, 0.7, 0.98, 1e-4), "AB").startswith("told real from drawn")
    assert answer(scored(0.1, 0.02, 0.3, 1e-4), "AB").startswith("was wrong more often")
    undecided = answer(scored(0.6, 0.3, 0.85, 0.6), "AB")
    assert undecided.startswith("did not tell")
    assert "up to 85.0 % cannot be ruled out" in undecided
    assert answer(scored(0.6, 0.3, 0.85, 0.6), "CD") == "answered nothing."


def test_the_table_shows_the_results() -> None:
    """The page's numbers are the table's, in percent with their interval."""
    built = read(blind_scores_page(scored(0.75, 0.428, 0.945, 0.15), ABOUT))
    assert_sound(built)
    found = rows(table(built, "table-readers"))
    assert found[1][:2] == ["AB", "75.0 42.8 to 94.5"]
    assert found[1][-2:] == ["0.15", "0"]


@pytest.mark.parametrize(
    ("width_px", "media"), [(390, "screen"), (1100, "screen"), (PAPER_PX, "print")]
)
def test_the_sheet_fits_screen_and_paper(
    browser: Chrome, tmp_path: Path, width_px: int, media: str
) -> None:
    """Nothing is wider than the window or the paper, and all pictures are of one size."""
    look(browser, written(tmp_path, blind_sheet(page())), width_px, media, "dark")
    # The sheet's own margins on paper are narrower than other pages': 14 mm.
    limit = width_px + 15 if media == "print" else width_px
    assert browser.execute_script("return document.documentElement.scrollWidth") <= limit
    sizes = browser.execute_script(
        "return [...document.images].map(e => e.getBoundingClientRect().width)"
    )
    assert len(sizes) == 12
    assert max(sizes) - min(sizes) < 1
    assert browser.get_log("browser") == []
