"""Errors that every replicate makes: the planted ones are shown, and nothing else."""

from base64 import b64decode
from collections import Counter
from dataclasses import replace

import polars as pl
import pytest
from tests.reporting.reading import Element, read, rows, table
from tests.reporting.rotation import ARMS, rotation

from leukoscope.foundation.errors import DataError
from leukoscope.reporting import gallery
from leukoscope.reporting.contents import StudyPage
from leukoscope.reporting.study_page import study_page

PAGE: StudyPage = rotation(n_replicates=3)
HTML = study_page(PAGE)
MISSED = PAGE.missed.to_dicts()
MISSED_PICTURES = PAGE.pictures.filter(pl.col("kind") == "missed")


def shared() -> set[tuple[str, str, str]]:
    """Find, one by one, the cells that all arms miss in the same way."""
    kinds = {(row["cell_id"], row["category"], row["predicted"]) for row in MISSED}
    rows_ = {(row["arm"], row["cell_id"], row["category"], row["predicted"]) for row in MISSED}
    return {kind for kind in kinds if all((arm, *kind) in rows_ for arm in ARMS)}


def pngs(element: Element) -> list[bytes]:
    """Read the pictures of an element back."""
    return [b64decode(each.attributes["src"].split(",")[1]) for each in element.all("img")]


def walls(built: Element) -> dict[str, Element]:
    """Find the wall of each arm by its heading, less the counts in it."""
    found = built.all("div", **{"class": "wall"})
    return {wall.all("h3")[0].children[0].strip(): wall for wall in found}


def test_counts_are_those_of_the_planted_errors() -> None:
    """Each kind of error has its count in each arm, and a kind never made has no row."""
    counts = Counter((row["arm"], row["category"], row["predicted"]) for row in MISSED)
    body, foot = table(read(HTML), "table-errors").all("tbody")
    shown = rows(body)
    for truth, call, *cells in shown:
        kind = (truth.lower(), call)
        expected = [counts.pop((arm, *kind), 0) for arm in ARMS]
        everywhere = sum(1 for _, *each in shared() if tuple(each) == kind)
        assert [int(cell) for cell in cells] == [*expected, everywhere]
        assert sum(expected) > 0
    assert not counts
    totals = [sum(int(row[place]) for row in shown) for place in range(2, len(shown[0]))]
    assert [int(cell) for cell in rows(foot)[0][2:]] == totals


def test_unanimous_cells_are_counted() -> None:
    """Where replicates differ in their call the table says how many cells agree."""
    found = gallery.error_table(PAGE)
    for row in found.to_dicts():
        own = [
            each
            for each in MISSED
            if all(each[name] == row[name] for name in ("arm", "category", "predicted"))
        ]
        assert row["n_cells"] == len(own)
        assert row["n_unanimous"] == sum(
            1 for each in own if each["n_called"] == each["n_replicates"]
        )


def test_each_wall_shows_its_own_cells() -> None:
    """What all arms miss is shown once; an arm shows what else it misses, and no more than fits."""
    found = walls(read(HTML))
    common = {cell for cell, *_ in shared()}
    png_of = dict(MISSED_PICTURES.select("cell_id", "png").rows())
    expected = {"In all arms": {png_of[cell] for cell in common if cell in png_of}}
    for arm in ARMS:
        own = MISSED_PICTURES.filter(pl.col("arm") == arm, ~pl.col("cell_id").is_in(list(common)))
        name = arm.replace("-", " ").capitalize() + ", not in all arms"
        expected |= {name: set(own["png"])} if own.height else {}
    assert set(found) == set(expected)
    for name, wall in found.items():
        shown = pngs(wall)
        assert len(shown) == len(set(shown)) == min(len(expected[name]), gallery.MOST_PICTURES)
        assert set(shown) <= expected[name]


def test_pictures_stand_under_their_kind() -> None:
    """A picture's group and words name its true category and its call."""
    kind_of = {
        row["png"]: (row["category"], row["predicted"]) for row in MISSED_PICTURES.to_dicts()
    }
    for wall in walls(read(HTML)).values():
        for figure in wall.all("figure"):
            heading = figure.all("figcaption")[0].words()
            for png, image in zip(pngs(figure), figure.all("img"), strict=True):
                truth, call = kind_of[png]
                assert heading == f"{truth.capitalize()} called {call}"
                assert image.attributes["alt"] == f"{truth} cell called {call}"


def test_a_full_wall_shows_every_kind() -> None:
    """Of more cells than fit, the rarest kind of error is still seen."""
    page = replace(PAGE, missed=None)
    (first, *_) = gallery.walls(page)
    assert first.shown == gallery.MOST_PICTURES < first.of
    kinds = {row[:2] for row in first.kinds}
    own = MISSED_PICTURES.filter(pl.col("arm") == "originals")
    assert kinds == set(own.select("category", "predicted").rows())


def test_no_cell_is_named() -> None:
    """A cell_id may hold a person's name; the page has none of it."""
    assert "by-name" not in HTML
    assert "smears" not in HTML
    assert "seen-" not in HTML


def test_without_pictures_there_is_none() -> None:
    """Left out on purpose: one line says so, and no picture is in the page."""
    html = study_page(replace(PAGE, pictures=None))
    assert "<img" not in html
    assert "data:" not in html
    assert html.count("left out of this page on purpose") == 1
    assert rows(table(read(html), "table-errors")) == rows(table(read(HTML), "table-errors"))


def test_no_error_at_all_is_said() -> None:
    """An empty table is a finding; no table is silence."""
    none = PAGE.missed.head(0)
    pictures = PAGE.pictures.filter(pl.col("kind") == "seen")
    text = read(study_page(replace(PAGE, missed=none, pictures=pictures))).words()
    assert "No test cell is called wrong by every replicate of an arm." in text
    older = read(study_page(replace(PAGE, missed=None, pictures=None))).words()
    assert "Errors that every replicate makes" not in older


def test_what_is_no_picture_is_refused() -> None:
    """Bytes that are no PNG never reach the page."""
    planted = PAGE.pictures.with_columns(png=pl.lit(b"<svg onload=alert(1)>"))
    with pytest.raises(DataError, match="not a PNG"):
        study_page(replace(PAGE, pictures=planted))


def test_rare_kinds_are_added_up() -> None:
    """Of more kinds than a reader takes in, the rarest share a row; no cell is lost."""
    kinds = [f"kind-{n:02d}" for n in range(30)]
    planted = [
        {"arm": arm, "cell_id": f"{kind}-{n}", "category": kind, "predicted": "band"}
        | {"n_called": 3, "n_replicates": 3}
        for arm in ARMS
        for place, kind in enumerate(kinds)
        for n in range(1 + place // 10)
    ]
    page = replace(PAGE, missed=pl.DataFrame(planted, schema=PAGE.missed.schema), pictures=None)
    body, foot = table(read(study_page(page)), "table-errors").all("tbody")
    shown = rows(body)
    assert len(shown) == gallery.MOST_KINDS + 1
    assert shown[-1] == ["Others", "10 kinds", *["10"] * (len(ARMS) + 1)]
    assert rows(foot)[0][2:] == ["60"] * (len(ARMS) + 1)
    assert gallery.error_table(page).height == 30 * len(ARMS)
