"""The page of a judgement: the verdict follows its numbers, and no real cell leaves unasked."""

import io
import json
from base64 import b64decode
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from selenium.webdriver import Chrome
from tests.reporting import judged
from tests.reporting.judged import COPIES, about, copying, honest, neighbours, results
from tests.reporting.reading import read, rows, table
from tests.reporting.test_browser import PAPER_PX, look, written
from tests.reporting.test_evaluation_page import assert_sound
from tests.reporting.test_study_document import HOSTILE

from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.intake.decode import encode_png
from leukoscope.reporting import judgement_words as words
from leukoscope.reporting.judgement_distances import HONEST, MOST_DOTS, drawn_distances
from leukoscope.reporting.judgement_folder import judgement_json, write_judgement
from leukoscope.reporting.judgement_grid import drawn_cells
from leukoscope.reporting.judgement_page import JudgementPage, judgement_page
from leukoscope.reporting.judgement_pictures import closest, held_out, in_pose, pairs, walls

HONEST_PAGE, COPYING_PAGE = honest(), copying()
HTML = judgement_page(HONEST_PAGE, {})
WITH_REAL = judgement_page(COPYING_PAGE, {})
REAL_NAMES = "folder/"
"""What the name of every real cell of these judgements begins with."""


@cache
def whole() -> str:
    """Write the fullest page with its figures, once."""
    return judgement_page(COPYING_PAGE)


def page_of(**numbers: float) -> JudgementPage:
    """Judge a set with these numbers, nothing flagged."""
    return JudgementPage(results(**numbers), neighbours(), about(), {})


# The verdict


@pytest.mark.parametrize(
    ("kid", "expected"), [(-0.001, "alike"), (0.001, "alike"), (0.0062, "alike"), (0.007, "near")]
)
def test_likeness_follows_the_floor(kid: float, expected: str) -> None:
    """Cells are alike as long as the lowest KID reaches the highest of two halves of real ones."""
    # The floor's upper bound is 0.0023, and KID's lower one 0.004 below its value.
    assert words.likeness_of(page_of(kid=kid, precision=0.84, recall=0.8)) == expected


def few_cells(n_held_out: int) -> list[dict[str, object]]:
    """Count cells of one category, so many of them held out."""
    return [{"category": "segmented", "n_fit": 200, "n_held_out": n_held_out, "n_generated": 90}]


@pytest.mark.parametrize(
    ("facts", "expected", "why"),
    [
        ({"cells": few_cells(100)}, "alike", None),
        ({"cells": few_cells(99)}, "unknown", "99 held-out cells cannot tell (100 are needed)"),
        ({"features": "a network at random (seed 0), 64 px"}, "unknown", "at random cannot tell"),
    ],
)
def test_what_kid_cannot_tell_is_alike_only_where_it_could(
    facts: dict[str, object], expected: str, why: str | None
) -> None:
    """Of few cells, or by features at random, no difference is no likeness, and that is said."""
    numbers = results(kid=0.001, precision=0.84, recall=0.8)
    page = JudgementPage(numbers, neighbours(), about(**facts), {})
    told = json.loads(judgement_json(page))["verdict"]
    assert told["likeness"] == words.likeness_of(page) == expected
    for text in (told["lead"], told["answers"]["Do they look like the cells?"]):
        assert ("cannot tell" in text) == (why is not None)
        assert why is None or why in text
    worse = replace(page, results=results(kid=0.1, precision=0.84, recall=0.8))
    assert words.likeness_of(worse) == "near"


@pytest.mark.parametrize("metric", ["precision", "recall"])
def test_cells_are_alike_only_where_precision_and_recall_reach_real_ones(metric: str) -> None:
    """Short of what real cells reach they can be told, whatever KID says; under half are far."""
    # What real cells reach ends 0.05 below 0.86 and 0.84; an interval reaches 0.05 up.
    for share, expected in ((0.78, "alike"), (0.73, "near"), (0.44, "near"), (0.4, "far")):
        numbers = {"precision": 0.84, "recall": 0.8} | {metric: share}
        page = page_of(kid=0.001, **numbers)
        assert words.likeness_of(page) == expected
        assert ("can still be told" in words.lead(page)) == (expected == "near")


@pytest.mark.parametrize("metric", ["precision", "recall"])
def test_cells_that_lack_half_of_a_reference_are_far(metric: str) -> None:
    """Below half of what real cells reach in one of the two, cells are clearly unlike."""
    page = page_of(kid=0.1)
    own = (pl.col("arm") == "generated") & (pl.col("metric") == metric)
    for share, expected in ((0.41, "far"), (0.44, "near")):
        value = pl.when(own).then(share).otherwise(pl.col("value"))
        changed = replace(page, results=page.results.with_columns(value=value))
        assert words.likeness_of(changed) == expected


def test_a_significant_test_says_that_the_generator_copies() -> None:
    """Below .05 the set as a whole copies, whatever is flagged; then it is good for nothing."""
    assert words.copying_of(page_of(p_value=0.049)) == "all over"
    assert words.copying_of(page_of(p_value=0.051)) == "none"
    told = {each.question: each.text for each in words.answers(page_of(p_value=0.0004))}
    assert told["What can they be used for?"].startswith("For nothing yet.")
    assert "(p < 0.001)" in told["Are they copies of training cells?"].replace("\u202f", " ")


def test_flags_that_chance_explains_are_told_from_copies() -> None:
    """A flag or two are chance as long as their share's interval reaches that of honest cells."""
    table = neighbours((4,))
    few = JudgementPage(results(flagged=0.02), table, about(), {})
    assert words.copying_of(few) == "chance"
    many = JudgementPage(results(flagged=0.2), neighbours(range(18)), about(), {})
    assert words.copying_of(many) == "some"


def test_the_lead_stands_first_and_is_the_files_own() -> None:
    """What the page says first is what the file for scripts says."""
    for page, html in ((HONEST_PAGE, HTML), (COPYING_PAGE, WITH_REAL)):
        (lead,) = read(html).all("p", **{"class": "lead"})
        told = json.loads(judgement_json(page))
        assert lead.words() == told["verdict"]["lead"]
        assert told["n_flagged"] == int(page.neighbours["memorised"].sum())


def test_what_was_not_measured_is_said() -> None:
    """Without KID nothing is said to be alike, and nothing fails."""
    left = results().filter(pl.col("metric") == "memorisation")
    page = JudgementPage(left, neighbours(), about(), {})
    assert words.likeness_of(page) == "unknown"
    assert "was not measured" in read(judgement_page(page, {})).words()


def test_undefined_numbers_are_said_with_their_reason() -> None:
    """A number that could not be had says why; it is never shown as 0."""
    table_of = results()
    own = (pl.col("arm") == "generated") & (pl.col("metric") == "kid")
    hidden = [
        pl.when(own).then(None).otherwise(pl.col(name)).alias(name)
        for name in ("value", "low", "high")
    ]
    method = pl.when(own).then(pl.lit("not computed: 5 cells")).otherwise(pl.col("method"))
    page = replace(HONEST_PAGE, results=table_of.with_columns(*hidden, method=method))
    shown = rows(table(read(judgement_page(page, {})), "table-likeness"))
    assert shown[1][1] == "undefined not computed: 5 cells"


# The tables and figures


def test_numbers_stand_beside_their_reference() -> None:
    """Each metric has a row: generated, real against real, noise where it was measured."""
    found = rows(table(read(HTML), "table-likeness"))
    assert found[0] == ["", "Generated", "Real against real", "Noise"]
    by_name = {row[0].split(",")[0].split(" (")[0]: row[1:] for row in found[1:]}
    assert by_name["Distance of features"] == [
        "0.0200 0.0160 to 0.0240",
        "0.0003 −0.0017 to 0.0023",
        "0.7100 0.7000 to 0.7200",
    ]
    assert by_name["Precision"][:2] == ["74.0 69.0 to 79.0", "86.0 81.0 to 91.0"]
    assert "biased with few images (n = 90)" in read(HTML).words()


def test_the_count_of_copies_adds_up() -> None:
    """Categories add up to all; flagged cells are those of the table."""
    found = rows(table(read(WITH_REAL), "table-copies"))[1:]
    assert [row[0] for row in found] == [*judged.CATEGORIES, "all"]
    for column in (1, 2):
        assert sum(int(row[column]) for row in found[:-1]) == int(found[-1][column])
    assert int(found[-1][2]) == len(COPIES)


def test_the_figure_draws_every_cell_and_the_honest_ones() -> None:
    """A dot a cell at its ratio, the flagged ones told; honest cells by the same threshold."""
    table_of = drawn_distances(COPYING_PAGE)
    for name in judged.CATEGORIES:
        own = COPYING_PAGE.neighbours.filter(category=name)
        drawn = table_of.filter(row=name)
        assert sorted(own["ratio"]) == drawn["ratio"].to_list()
        assert (drawn["flagged"] == "yes").sum() == own["memorised"].sum()
    kept = table_of.filter(row=HONEST)
    assert kept["ratio"].to_list() == sorted(COPYING_PAGE.about["honest_ratios"])


def test_crowded_rows_are_thinned_and_lose_no_flag() -> None:
    """Of thousands of cells some hundred are drawn, over their whole range, flags all."""
    table_of = neighbours(range(0, 3000, 100), each=1000)
    page = JudgementPage(results(), table_of, about(honest_ratios=[]), {})
    for name in judged.CATEGORIES:
        own, drawn = table_of.filter(category=name), drawn_distances(page).filter(row=name)
        kept, others = drawn.filter(flagged="no"), own.filter(~pl.col("memorised"))
        assert MOST_DOTS - 1 <= kept.height <= MOST_DOTS
        assert (drawn["flagged"] == "yes").sum() == own["memorised"].sum()
        assert kept["ratio"][0] == others["ratio"].min()
        middle, true = kept["ratio"].median(), others["ratio"].median()
        assert abs(middle - true) < 0.01  # type: ignore[operator]


# The pictures


def test_poses_are_sixteen_and_the_square_ones_come_back() -> None:
    """All sixteen differ; the first eight move pixels alone, and each is undone by one of them."""
    pixels = judged.cell("pose")
    shown = [in_pose(pixels, pose) for pose in range(16)]
    assert np.array_equal(shown[0], pixels)
    assert len({one.tobytes() for one in shown}) == 16
    for one in shown[:8]:
        assert any(np.array_equal(in_pose(one, pose), pixels) for pose in range(8))
    with pytest.raises(DataError, match="poses 0 to 15"):
        in_pose(pixels, 16)


def test_a_copy_lies_on_its_training_cell() -> None:
    """A flagged copy stands beside the same cell in its pose, and they differ nowhere."""
    found = pairs(COPYING_PAGE)
    assert len(found) == 20
    assert [pair.memorised for pair in found] == [True] * len(COPIES) + [False] * 15
    for pair in found:
        own, fit, apart = (_pixels(each.data) for each in pair.shown)
        assert np.array_equal(own, fit) == pair.memorised
        assert (apart == 255).all() == pair.memorised
        gap = np.abs(own.astype(int) - fit.astype(int))
        assert np.array_equal(255 - apart.astype(int), gap)


def test_pairs_come_nearest_first() -> None:
    """The twenty smallest ratios, smallest first, ties by name."""
    names = [row["cell_id"] for row in closest(COPYING_PAGE.neighbours)]
    ordered = sorted(COPYING_PAGE.neighbours.select("ratio", "cell_id").rows())
    assert names == [name for _, name in ordered[:20]]


def test_no_real_cell_is_shown_unasked() -> None:
    """Without their pictures the page holds generated cells alone."""
    drawn = {encode_png(judged.cell(name)) for name in HONEST_PAGE.neighbours["cell_id"]}
    sources = [each.attributes["src"] for each in read(HTML).all("img")]
    assert sources
    assert {b64decode(source.split(",")[1]) for source in sources} <= drawn
    assert "stays in the house" not in HTML
    assert "stays in the house" in WITH_REAL


@pytest.mark.parametrize("html", [HTML, WITH_REAL], ids=["without", "with"])
def test_no_real_cell_is_named(html: str) -> None:
    """A real cell's name may be a person's: it is nowhere, not even in the file for scripts."""
    told = judgement_json(COPYING_PAGE)
    csv = drawn_distances(COPYING_PAGE).write_csv() + drawn_cells(COPYING_PAGE).write_csv()
    assert not any(REAL_NAMES in text for text in (html, told, csv))


def test_the_grid_shows_what_was_drawn_at_random() -> None:
    """Where the facts tell which cells were drawn at random, no near pair stands among them."""
    shown = HONEST_PAGE.neighbours["cell_id"].to_list()[::9]
    page = replace(HONEST_PAGE, about=about(shown=shown))
    assert sum(len(wall.shown) for wall in walls(page)) == len(shown)
    assert len(pairs(page)) == 20


def test_held_out_cells_are_no_training_cells() -> None:
    """Beside the generated cells stand held-out ones: neither training cells nor near pairs."""
    shown = {each.data for each in held_out(COPYING_PAGE)}
    wanted = {png for name, png in COPYING_PAGE.pictures.items() if name.startswith("folder/cleo")}
    assert {b64decode(each.split(",")[1]) for each in shown} == wanted
    assert held_out(HONEST_PAGE) == ()


# Files


def test_order_says_nothing() -> None:
    """The same tables give the same page, whatever the order of their rows."""
    rng = stream(3, "shuffled")
    mixed = {
        name: (of := getattr(COPYING_PAGE, name))[rng.permutation(of.height)]
        for name in ("results", "neighbours")
    }
    pictures = dict(reversed(COPYING_PAGE.pictures.items()))
    again = replace(COPYING_PAGE, pictures=pictures, **mixed)
    assert judgement_page(again, {}) == WITH_REAL
    assert drawn_distances(again).equals(drawn_distances(COPYING_PAGE))
    assert drawn_cells(again).equals(drawn_cells(COPYING_PAGE))


def test_the_folder_is_whole_and_the_same_again(tmp_path: Path) -> None:
    """Page, file for scripts, and each figure three times; the same bytes when written again."""
    facts = {name: getattr(COPYING_PAGE, name) for name in ("results", "neighbours", "about")}
    for name in ("one", "two"):
        path = write_judgement(tmp_path / name, **facts, pictures=COPYING_PAGE.pictures)
        assert path == tmp_path / name / "report.html"
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    figures = [f"figures/{name}.{end}" for name in ("distances", "generated")
               for end in ("csv", "png", "svg")]  # fmt: skip
    assert [path.as_posix() for path in files] == [*figures, "report.html", "report.json"]
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


def test_the_page_is_sound() -> None:
    """Tables have heads, pictures have words, nothing comes from outside."""
    for html in (HTML, WITH_REAL, whole()):
        assert_sound(read(html))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_inert(text: str) -> None:
    """Markup in the name of a category, a dataset or a network builds no element."""
    table_of = neighbours(each=10).with_columns(category=pl.lit(text))
    facts = about(categories=[text], generated=text, dataset=text, features=text)
    page = JudgementPage(results(), table_of, facts, judged.pictures(table_of, real=False))
    built = read(judgement_page(page, {}))
    assert text in built.text()
    assert not [each for each in built.everything() if "onerror" in each.attributes]
    assert not built.all("script")
    assert len(built.all("h1")) == 1


def test_what_is_lacking_or_twice_is_refused() -> None:
    """A fact that lacks and a number that stands twice are named; no page is made."""
    with pytest.raises(DataError, match="nobody told threshold"):
        replace(HONEST_PAGE, about=about(threshold=None))
    twice = pl.concat([results(), results().with_columns(method=pl.lit("another way"))])
    with pytest.raises(DataError, match="2 times"):
        judgement_page(replace(HONEST_PAGE, results=twice), {})
    odd = {**COPYING_PAGE.pictures}
    first = closest(COPYING_PAGE.neighbours)[0]["nearest_fit"]
    odd[first] = encode_png(np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(DataError, match="one size is expected"):
        judgement_page(replace(COPYING_PAGE, pictures=odd), {})


@pytest.mark.parametrize("width_px", [390, 1100])
def test_the_page_fits_the_screen(browser: Chrome, tmp_path: Path, width_px: int) -> None:
    """The page is never wider than the window, in dark as in light."""
    for scheme in ("light", "dark"):
        look(browser, written(tmp_path, whole()), width_px, "screen", scheme)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width_px
        assert browser.get_log("browser") == []


def test_the_page_fits_the_paper(browser: Chrome, tmp_path: Path) -> None:
    """On paper nothing is wider than the sheet."""
    look(browser, written(tmp_path, whole()), PAPER_PX, "print", "dark")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PAPER_PX


def _pixels(data: str) -> np.ndarray:
    with Image.open(io.BytesIO(b64decode(data.split(",")[1]))) as image:
        return np.array(image)
