"""The page of a preview shows pictures in their place, says what was done, and stays small."""

import io
import re
from base64 import b64decode
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from PIL import Image
from selenium.webdriver import Chrome
from tests.reporting.reading import Element, read, rows, table
from tests.reporting.test_browser import PAPER_PX, look, written
from tests.reporting.test_study_document import HOSTILE

from leukoscope.augmentation.draw import Draw
from leukoscope.augmentation.step import Operation
from leukoscope.foundation.errors import DataError, SchemaError
from leukoscope.foundation.streams import stream
from leukoscope.records import shapes
from leukoscope.reporting import sheet
from leukoscope.reporting.draws import drawn_in_words
from leukoscope.reporting.sheet import SheetPage, sheet_page

CATEGORIES = (
    *("segmented", "band", "eosinophil", "basophil"),
    *("monocyte", "lymphocyte", "metamyelocyte", "erythroblast"),
)
STEPS: dict[str, tuple[Operation, ...]] = {
    "rotation": tuple(("rotation_deg", (angle,)) for angle in (-20.0, 0.0, 20.0)),
    "jpeg_compression": tuple(("jpeg", (quality,)) for quality in (60.0, 78.0, 95.0)),
    "flip": (("flip_vertical", ()),),
    "gaussian_noise": tuple(("gaussian_noise_levels", (sd, 1.0)) for sd in (0.0, 6.0, 12.0)),
}
ENDS = ("low", "middle", "high")


def noise(size_px: int, *names: str | int) -> bytes:
    """Draw a picture that hardly can be compressed: a disc under noise."""
    drawing = stream(5, "sheet", *names)
    away = np.hypot(*np.mgrid[-1 : 1 : size_px * 1j, -1 : 1 : size_px * 1j])
    levels = np.where(away < 0.6, 90, 220)[..., None] + drawing.normal(0, 6, (size_px, size_px, 3))
    buffer = io.BytesIO()
    Image.fromarray(levels.clip(0, 255).astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def table_of(
    n_cells: int = 6,
    size_px: int = 24,
    steps: dict[str, tuple[Operation, ...]] | None = None,
    chain: tuple[Operation, ...] = (("rotation_deg", (33.0,)), ("flip_vertical", ())),
) -> pl.DataFrame:
    """Draw a preview's table, without any recipe."""
    found: list[dict[str, object]] = []

    def add(section: int, kind: str, row: int, operations: tuple[Operation, ...] | None) -> None:
        one = {"section": section, "kind": kind, "row": row, "chance": 0.125}
        one |= {"width_px": size_px, "height_px": size_px, "strength": None}
        one |= {"draw": None if operations is None else Draw(operations).to_json()}
        for number in range(1, n_cells + 1):
            png = noise(size_px, section, row, number)
            found.append(one | {"cell": number, "category": CATEGORIES[number - 1], "png": png})
            if kind not in {"untouched", "chain", "flip"}:
                found[-1]["strength"] = ENDS[row - 1]

    add(0, "untouched", 1, None)
    chosen = STEPS if steps is None else steps
    for section, (kind, operations) in enumerate(chosen.items(), start=1):
        for row, operation in enumerate(operations, start=1):
            add(section, kind, row, (operation,))
    for copy in range(1, 5):
        add(len(chosen) + 1, "chain", copy, chain)
    return pl.DataFrame(found, schema=shapes.PREVIEW.columns)


RECIPE = {
    "name": "my-recipe",
    "probability": 1.0,
    "border": "constant",
    "border_rgb": [1, 2, 3],
    "interpolation": "bicubic",
    "lengths_at_px": 128,
}
PAGE = SheetPage(
    dataset="drawn",
    source="phantom",
    licence=None,
    citation="Nobody (2020)",
    part="the training cells",
    recipe=RECIPE,
    recipe_id="0123456789abcdef",
    yaml="name: my-recipe\nsteps:\n- kind: rotation\n",
    seed=7,
    table=table_of(),
)
HTML = sheet_page(PAGE)
BUILT = read(HTML)


def sections(built: Element) -> list[Element]:
    """List the tables of pictures in their order."""
    return [each for each in built.all("table") if "preview" in each.attributes.get("class", "")]


def test_every_picture_stands_in_its_place() -> None:
    """Section, row and column are the table's, and the bytes are the given ones."""
    found = sections(BUILT)
    assert len(found) == PAGE.table["section"].n_unique()
    for section, shown in enumerate(found):
        heads = rows(shown.all("thead")[0])[0]
        expected = [f"{name.capitalize()} cell {n}" for n, name in enumerate(CATEGORIES[:6], 1)]
        assert heads == ["", *expected]
        for number, row in enumerate(shown.all("tbody")[0].all("tr"), start=1):
            data = [each.attributes["src"].split(",")[1] for each in row.all("img")]
            given = PAGE.table.filter(section=section, row=number).sort("cell")
            assert [b64decode(each) for each in data] == given["png"].to_list()


def test_rows_say_what_was_done_and_how_strongly() -> None:
    """Beside the row its words and its end of the range; below chained pictures their own."""
    labels = [rows(shown.all("tbody")[0]) for shown in sections(BUILT)]
    assert [row[0] for row in labels[1]] == [
        "Turned by −20° low end",
        "Turned by 0° middle",
        "Turned by 20° high end",
    ]
    assert [row[0] for row in labels[3]] == ["Mirrored top to bottom"]
    assert [row[0] for row in labels[5]] == [f"Copy {copy}" for copy in (1, 2, 3, 4)]
    captions = {each.words() for each in sections(BUILT)[5].all("figcaption")}
    assert captions == {"turned by 33°, mirrored top to bottom"}
    titles = [each.words() for each in BUILT.all("h2")]
    assert titles == [
        *("What is shown", "As taken", "1. Rotation", "2. JPEG compression", "3. Flip"),
        *("4. Gaussian noise", "The whole chain", "Recipe and provenance"),
    ]
    assert "In the recipe it is done to 12 % of the pictures" in BUILT.words()


def test_every_picture_has_words_of_its_own() -> None:
    """A reader who sees no picture hears category, number and what was done."""
    alts = [each.attributes["alt"] for each in BUILT.all("img")]
    expected = [
        f"{row['category']} cell {row['cell']}, {drawn_in_words(row['draw'])}"
        for row in PAGE.table.sort("section", "row", "cell").to_dicts()
    ]
    assert alts == expected
    for box in (each for each in BUILT.everything() if each.attributes.get("class") == "scroll"):
        assert box.attributes["tabindex"] == "0"
        assert box.attributes["role"] == "region"
        assert {"aria-labelledby", "aria-label"} & set(box.attributes)


def test_long_chains_are_told_in_a_list() -> None:
    """What would stand tall below each picture stands in a table of its own."""
    chain = (
        *(("scaling", (0.92, 1.05)), ("shear_deg", (3.0, 4.0))),
        *(("shift", (0.1, 0.2)), ("gaussian_noise_levels", (12.0, 3.0))),
    )
    built = read(sheet_page(replace(PAGE, table=table_of(2, chain=chain))))
    assert not sections(built)[5].all("figcaption")
    listed = rows(table(built, "table-drawn").all("tbody")[0])
    told = drawn_in_words(Draw(chain).to_json())
    assert len(told) > sheet.LONGEST
    assert [row[0] for row in listed] == ["Segmented cell 1", "Band cell 2"] * 4
    assert {row[2] for row in listed} == {told}


def test_provenance_is_complete() -> None:
    """Whose pictures these are, under which licence, from which recipe and seed."""
    told = dict(row for row in rows(table(BUILT, "table-provenance")))
    assert told["Dataset"] == "drawn (source phantom)"
    assert told["Licence of the pictures"] == "not stated"
    assert told["Cite"] == "Nobody (2020)"
    assert told["Cells"] == "one of each category, drawn from the training cells"
    assert told["Recipe"] == "my-recipe, 0123456789abcdef"
    assert told["Places left free"] == "the colour (1, 2, 3)"
    assert told["Lengths in px"] == "of a picture whose shorter side has 128"
    assert told["Pictures"] == "each augmented at its own size, 24 × 24 px"
    assert told["Seed"] == "7"
    assert BUILT.all("pre")[0].text() == PAGE.yaml.strip()


def test_lengths_of_no_stated_size_are_warned_of() -> None:
    """Only where a step has a length, and nobody said of which picture."""
    blurred = table_of(steps={"gaussian_blur": (("gaussian_blur_px", (2.0,)),)})
    assert "lengths_at_px" not in HTML
    assert "lengths_at_px" in sheet_page(replace(PAGE, table=blurred))
    stated = blurred.with_columns(
        draw=pl.col("draw").str.replace('"lengths_at_px":null', '"lengths_at_px":128')
    )
    assert "lengths_at_px" not in sheet_page(replace(PAGE, table=stated))


@pytest.mark.parametrize(
    ("lacking", "words"), [((1,), "one of these cells have no mask"), (range(1, 7), "these cells")]
)
def test_an_empty_place_says_why(lacking: tuple[int, ...], words: str) -> None:
    """The place has a word in it, the section a sentence with what to do."""
    gone = (pl.col("section") == 2) & pl.col("cell").is_in(list(lacking))
    changed = PAGE.table.with_columns(
        png=pl.when(gone).then(None).otherwise("png"),
        lacks=pl.when(gone).then(pl.lit("mask")).otherwise(None),
    )
    built = read(sheet_page(replace(PAGE, table=changed)))
    shown = rows(sections(built)[2].all("tbody")[0])
    assert [text == "no mask" for text in shown[0][1:]] == [n in lacking for n in range(1, 7)]
    assert words in built.words()
    assert "Run isolate" in built.words()
    assert "no mask" not in BUILT.words()


def test_nothing_comes_from_elsewhere() -> None:
    """The page refers to no file, no address and no script; names cannot smuggle one in."""
    recipe = RECIPE | {"name": HOSTILE[0]}
    hostile = replace(
        PAGE, dataset=HOSTILE[1], citation=HOSTILE[4], licence=HOSTILE[3], yaml=HOSTILE[1],
        recipe=recipe, table=PAGE.table.with_columns(category=pl.lit(HOSTILE[2])),
    )  # fmt: skip
    for html in (HTML, sheet_page(hostile)):
        built = read(html)
        assert not built.all("script")
        assert len(built.all("img")) == PAGE.table.height
        for each in built.everything():
            assert each.attributes.get("src", "data:image/png").startswith("data:image/png")
            assert each.attributes.get("href", "#").startswith("#")
            assert not any(name.startswith("on") for name in each.attributes)
    for word in ("http", "@import", "url(", "<link"):
        assert word not in re.sub('base64,[^"]*', "", HTML).lower()


def test_the_order_of_rows_has_no_say() -> None:
    """The same table gives the same bytes."""
    mixed = PAGE.table.sample(fraction=1, shuffle=True, seed=3)
    assert sheet_page(replace(PAGE, table=mixed)) == HTML


def test_ten_steps_of_eight_cells_are_small() -> None:
    """At 160 px the pictures are compressed, and only so far that the page has two megabytes."""
    many = {f"step {n}": STEPS["gaussian_noise"] for n in range(10)}
    one = table_of(8, 160, steps={})
    pngs = {row["cell"]: row["png"] for row in one.filter(section=0).to_dicts()}
    large = table_of(8, 8, steps=many).with_columns(
        png=pl.col("cell").replace_strict(pngs, return_dtype=pl.Binary)
    )
    html = sheet_page(replace(PAGE, table=large))
    assert len(html) < 2_000_000
    images = read(html).all("img")
    assert len(images) == sheet.MOST_PICTURES
    assert {each.attributes["width"] for each in images} == {"160"}
    quality = int(re.findall(r"WebP, quality (\d+)", html)[0])
    assert quality in sheet.QUALITIES
    kind, data = images[0].attributes["src"].split(",")
    assert kind == "data:image/webp;base64"
    shown = np.asarray(Image.open(io.BytesIO(b64decode(data))).convert("RGB"), float)
    given = np.asarray(Image.open(io.BytesIO(pngs[1])), float)
    assert np.abs(shown - given).mean() < 10


def test_what_is_no_picture_is_refused() -> None:
    """So is a table that is not in its shape."""
    with pytest.raises(DataError, match="not a PNG"):
        sheet_page(replace(PAGE, table=PAGE.table.with_columns(png=pl.lit(b"GIF89a"))))
    with pytest.raises(SchemaError):
        sheet_page(replace(PAGE, table=PAGE.table.drop("category")))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [390, 1100])
def test_the_page_fits_the_screen(
    browser: Chrome, tmp_path: object, width_px: int, scheme: str
) -> None:
    """No wider than the window, without an error; pictures are drawn, neither tiny nor torn."""
    page = replace(PAGE, table=table_of(8, 64))
    look(browser, written(tmp_path, sheet_page(page)), width_px, "screen", scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width_px
    sizes = browser.execute_script(
        "return [...document.images].map(e => {const box = e.getBoundingClientRect();"
        "return [e.naturalWidth, box.width, box.height]})"
    )
    assert len(sizes) == page.table.height
    assert all(pixels == 64 and 64 <= wide <= 128 for pixels, wide, _ in sizes)
    assert all(abs(wide - tall) < 1 for _, wide, tall in sizes)
    assert browser.get_log("browser") == []


def test_names_of_rows_stay_in_sight(browser: Chrome, tmp_path: object) -> None:
    """On a telephone eight cells are reached by scrolling their box; the row's words stay."""
    page = replace(PAGE, table=table_of(8, 64))
    look(browser, written(tmp_path, sheet_page(page)), 390, "screen", "light")
    script = (
        "const box = document.querySelector('[aria-labelledby=cells-step-1]');"
        "box.scrollLeft = 1e6; const head = box.querySelector('tbody th').getBoundingClientRect();"
        "return [box.scrollLeft > 0, box.tabIndex, head.left]"
    )
    scrolled, reachable, left_px = browser.execute_script(script)
    assert scrolled
    assert reachable == 0
    assert left_px >= 0


def test_the_page_fits_the_paper(browser: Chrome, tmp_path: object) -> None:
    """Eight cells stand beside each other on a sheet, black on white."""
    page = replace(PAGE, table=table_of(8, 64))
    look(browser, written(tmp_path, sheet_page(page)), PAPER_PX, "print", "dark")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PAPER_PX
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
