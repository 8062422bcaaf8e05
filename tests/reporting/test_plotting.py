"""Figures as bytes: the same each time, whole in themselves, legible in the light and the dark."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure
from tests.reporting import plot_examples as ex

from leukoscope.foundation.errors import SchemaError, UsageError
from leukoscope.records import shapes, tables
from leukoscope.reporting import plot_confusion, plotting

PAGE_CSS = Path(plotting.__file__).parent / "templates" / "page.css"
# Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
)
PROTANOPIA = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.052]]
)


def small() -> Figure:
    """Draw a small figure."""
    return plot_confusion.confusion_figure(ex.confusion(ex.CATEGORIES[2]), "strict")


def schemes() -> dict[str, dict[str, str]]:
    """Read the colours that a page gives the figures' variables, in light and in dark."""
    css = PAGE_CSS.read_text(encoding="utf-8")
    found = [dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in css.split("@media")[:2]]
    return {"light": found[0] | {"paper": plotting.PAPER}, "dark": found[1]}


def linear(colour: str) -> np.ndarray:
    """Take an sRGB colour to linear light."""
    parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Compute the contrast ratio of WCAG 2."""
    low, high = sorted(float(linear(each) @ [0.2126, 0.7152, 0.0722]) for each in (one, other))
    return (high + 0.05) / (low + 0.05)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Compute the CIE 1976 distance of two colours in linear light."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )

    def lab(light: np.ndarray) -> np.ndarray:
        ratio = to_xyz @ np.clip(light, 0, 1) / [0.95047, 1, 1.08883]
        f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
        return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

    return float(np.linalg.norm(lab(one) - lab(other)))


def line_colours(scheme: dict[str, str]) -> list[str]:
    """List the colours of the lines of one panel as a page shows them."""
    exchanged = {
        plotting.ACCENT: scheme["accent"],
        plotting.WARN: scheme["warn"],
        plotting.INK: scheme["ink"],
    }
    return [exchanged.get(line.colour, line.colour) for line in plotting.LINES]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_stand_out_from_the_paper_and_from_each_other(scheme: str) -> None:
    """WCAG asks 3 to 1 of a mark; 18 apart is far more than the 2.3 an eye can just tell."""
    found = schemes()[scheme]
    colours = line_colours(found)
    assert all(contrast(colour, found["paper"]) >= 3 for colour in colours)
    for eye in (np.eye(3), DEUTERANOPIA, PROTANOPIA):
        for one, other in itertools.combinations(colours, 2):
            assert distance(eye @ linear(one), eye @ linear(other)) >= 18


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_are_legible(scheme: str) -> None:
    """Ink and muted letters have at least 4.5 to 1, on paper and on the soft ground."""
    found = schemes()[scheme]
    for letters, ground in itertools.product(("ink", "muted"), ("paper", "soft")):
        assert contrast(found[letters], found[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_are_legible_on_the_deepest_shade(scheme: str) -> None:
    """A share of 1 shades right and wrong apart for every eye, and ink is read on either."""
    css = PAGE_CSS.read_text(encoding="utf-8").split("@media")[("light", "dark").index(scheme)]
    found = schemes()[scheme]
    shown = []
    for role, deepest in zip(("right", "wrong"), plot_confusion.DEEPEST.values(), strict=True):
        (triple,) = re.findall(rf"--{role}: (\d+) (\d+) (\d+)", css)
        ground = [int(found["soft"][at : at + 2], 16) for at in (1, 3, 5)]
        mixed = deepest * np.array(triple, dtype=float) + (1 - deepest) * np.array(ground)
        shown.append("#" + "".join(f"{round(part):02x}" for part in mixed))
    assert all(contrast(found["ink"], shade) >= 4.5 for shade in shown)
    for eye in (np.eye(3), DEUTERANOPIA, PROTANOPIA):
        assert distance(eye @ linear(shown[0]), eye @ linear(shown[1])) >= 18


def test_lines_differ_by_more_than_colour() -> None:
    """No two lines share dashes or a marker, and no two roles a colour."""
    for part in zip(*plotting.LINES, strict=True):
        assert len(set(part)) == len(plotting.LINES)
    roles = [plotting.PAPER, plotting.INK, plotting.MUTED, plotting.RULE, plotting.SOFT]
    roles += [plotting.ACCENT, plotting.WARN, plotting.GREEN, plotting.PURPLE]
    roles += [plotting.RIGHT, plotting.WRONG]
    assert len(set(roles)) == len(roles)


def test_the_same_figure_gives_the_same_bytes() -> None:
    """Drawn twice, in another process with another hash seed: not a byte differs."""
    figure = small()
    assert plotting.svg_of(figure) == plotting.svg_of(figure) == plotting.svg_of(small())
    assert plotting.png_of(figure) == plotting.png_of(small())
    script = (
        "import sys; from tests.reporting.test_plotting import plotting, small\n"
        "sys.stdout.buffer.write(plotting.svg_of(small()).encode() + plotting.png_of(small()))"
    )
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=root,
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )
    assert run.stdout == plotting.svg_of(figure).encode() + plotting.png_of(figure)


def test_a_persons_own_settings_have_no_say_and_are_left_alone() -> None:
    """Fonts, colours and sizes set elsewhere change nothing and are as before afterwards."""
    expected = plotting.svg_of(small()), plotting.png_of(small())
    odd = {"font.size": 20, "svg.fonttype": "none", "savefig.dpi": 31, "text.color": "#ff0000"}
    odd |= {"savefig.bbox": "tight", "font.weight": "bold", "savefig.facecolor": "#00ff00"}
    with mpl.rc_context(odd):
        before = dict(mpl.rcParams)
        assert (plotting.svg_of(small()), plotting.png_of(small())) == expected
        assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", ex.FIGURES)
def test_nothing_comes_from_outside(name: str) -> None:
    """The SVG is well-formed and refers to its own parts or to data it holds; no script or date."""
    text = ex.svg(name)
    root = ET.fromstring(text)
    parts = {each.get("id") for each in root.iter()}
    for each in root.iter():
        assert each.tag.rpartition("}")[2] not in {"script", "style", "metadata", "foreignObject"}
        for key, value in each.attrib.items():
            if key.rpartition("}")[2] == "href":
                assert value.startswith("data:image/png;base64,") or value[1:] in parts
            for inner in re.findall(r"url\((.*?)\)", value):
                assert inner[:1] == "#"
                assert inner[1:] in parts
    addresses = set(re.findall(r"https?://[^\"' <]+", text))
    assert addresses == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_figures_of_one_page_do_not_borrow_parts() -> None:
    """Every id begins with the figure's name, is there once, and every reference finds its own."""
    page = plotting.inline_svg(small(), "first") + plotting.inline_svg(small(), "second")
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(set(ids)) == len(ids)
    assert {each.split("-")[0] for each in ids} == {"first", "second"}
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(ids)


@pytest.mark.parametrize("name", ex.FIGURES)
def test_every_colour_of_a_page_is_the_pages(name: str) -> None:
    """Inside a page no colour is fixed but the two that stand out from any paper."""
    text = plotting.inline_svg(ex.example_figure(name, ex.CATEGORIES[6]).figure(), "one")
    fixed = set(re.findall(r"(?<!, )#[0-9a-f]{6}\b", re.sub(r'href="[^"]*"', "", text)))
    assert fixed <= {plotting.GREEN, plotting.PURPLE}
    declared = {*re.findall(r"--([\w-]+):", PAGE_CSS.read_text(encoding="utf-8"))}
    assert set(re.findall(r"var\(--([\w-]+)", text)) <= declared
    assert not re.search(r"<\?xml|<!DOCTYPE|xmlns|xlink|<style", text)


def test_an_inline_figure_says_what_it_is() -> None:
    """It is an image with a title and a description, as wide as its place."""
    root = ET.fromstring(plotting.inline_svg(small(), "calls"))
    assert (root.get("role"), root.get("width")) == ("img", "100%")
    assert root.get("aria-labelledby") == "calls-title calls-text"
    title, text = root[0], root[1]
    assert (title.get("id"), title.text) == ("calls-title", "Confusion matrix")
    assert text.get("id") == "calls-text"
    assert "95.8 % called healthy" in str(text.text)
    _, _, wide, high = (float(each) for each in str(root.get("viewBox")).split())
    assert (wide, high) == pytest.approx(72 * small().get_size_inches())


def test_a_hostile_name_is_inert() -> None:
    """Marks of a page, of mathematics and control characters in a name are letters or nothing."""
    names = ["<script>alert(1)</script>", '" onload="x', "a $\\frac{1}{2}$ & --> b\x00\x1f"]
    figure = plot_confusion.confusion_figure(ex.confusion(names), "strict")
    assert not any(text.get_parse_math() for text, _ in ex.texts_of(figure))
    text = plotting.inline_svg(figure, "calls")
    root = ET.fromstring(text)
    assert {each.tag for each in root.iter()} <= {"svg", "g", "path", "use", "defs"} | {
        *("title", "desc", "clipPath", "rect")
    }
    assert all(not key.startswith("on") for each in root.iter() for key in each.attrib)
    assert "<script>alert(1)</script>" in str(root[1].text)


def test_letters_the_figures_lack_are_squares_and_no_warning() -> None:
    """A name in another script is drawn as squares and said in full."""
    figure = plot_confusion.confusion_figure(ex.confusion(["好中球", "単球"]), "strict")
    shown = {text.get_text() for text, _ in ex.texts_of(figure)}
    assert {"\N{WHITE SQUARE}" * 3, "\N{WHITE SQUARE}" * 2} <= shown
    assert "好中球" in plotting.svg_of(figure)


@pytest.mark.parametrize("name", ["", "9", "a b", "a/b", 'a"', "é", "../x"])
def test_a_name_that_is_no_id_is_refused(name: str, tmp_path: Path) -> None:
    """Neither an id nor a file is made of it."""
    with pytest.raises(UsageError, match="cannot be called"):
        plotting.inline_svg(small(), name)
    with pytest.raises(UsageError, match="Nothing was written"):
        plotting.write_figure(tmp_path / "new", name, small(), pl.DataFrame())
    assert not (tmp_path / "new").exists()


def test_a_figure_is_written_with_its_numbers(tmp_path: Path) -> None:
    """SVG, PNG and CSV stand beside each other; the CSV reads back as the table."""
    table = plot_confusion.drawn_confusion(ex.confusion(ex.CATEGORIES[2]), "strict")
    plotting.write_figure(tmp_path / "figures", "calls", small(), table)
    written = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    assert set(written) == {"calls.svg", "calls.png", "calls.csv"}
    assert written["calls.svg"].decode() == plotting.svg_of(small())
    assert written["calls.png"] == plotting.png_of(small())
    read = tables.read_table(tmp_path / "figures" / "calls.csv", shapes.CONFUSION)
    assert read.equals(table)


def test_a_broken_table_writes_nothing(tmp_path: Path) -> None:
    """A table with the columns of a shape that breaks it is refused before anything is there."""
    table = pl.concat([ex.confusion(ex.CATEGORIES[2])] * 2)
    with pytest.raises(SchemaError, match="more than once"):
        plotting.write_figure(tmp_path / "new", "calls", small(), table)
    assert not (tmp_path / "new").exists()


def test_no_spreadsheet_computes_a_name(tmp_path: Path) -> None:
    """Text of a table of no known shape is guarded as in any other table."""
    table = pl.DataFrame({"name": ["=1+1", "b"], "value": [0.5, None], "n": [1, 2]})
    plotting.write_figure(tmp_path, "figure", small(), table)
    lines = (tmp_path / "figure.csv").read_text(encoding="utf-8").splitlines()
    assert lines == ["name,value,n", "'=1+1,0.5,1", "b,,2"]


def test_the_picture_has_200_dots_an_inch() -> None:
    """The size in the head of the PNG is the figure's at PNG_DPI."""
    head = plotting.png_of(small())[16:24]
    size = [int.from_bytes(head[at : at + 4], "big") for at in (0, 4)]
    assert size == pytest.approx(plotting.PNG_DPI * small().get_size_inches(), abs=1)


def test_importing_the_figures_is_light() -> None:
    """No module of figures imports the library that draws before a figure is drawn."""
    script = (
        "import sys, pathlib, importlib, leukoscope.reporting as room\n"
        "names = [path.stem for path in pathlib.Path(room.__file__).parent.glob('plot*.py')]\n"
        "[importlib.import_module(f'leukoscope.reporting.{name}') for name in names]\n"
        "print(len(names) > 8, 'matplotlib' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "False"]


def test_a_figures_table_is_checked_as_the_table_it_is():
    """Columns of a kept table are found to be that table's, others make their own shape."""
    for shape in (shapes.RESULTS, shapes.POINTS, shapes.CONFUSION):
        assert plotting.shape_of(pl.DataFrame(schema=shape.columns)) is shape
    assert plotting.shape_of(pl.DataFrame({"x": [1]})).name == "figure's table"
