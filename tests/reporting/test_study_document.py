"""The page as a document: the same bytes, sound and readable HTML, nothing from anywhere else."""

import re
from dataclasses import replace
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reporting.example import example, with_primary
from tests.reporting.reading import read
from tests.reporting.rotation import rotation

from leukoscope.reporting.study_page import StudyPage, study_page

PAGE: StudyPage = example()
HTML = study_page(PAGE)
FULL: StudyPage = rotation(unit="case", n_replicates=2)
FULL_HTML = study_page(FULL)
TABLES = ("results", "confusion", "composition", "curves", "missed", "pictures")
SECTIONS = (
    *("answer", "compared", "seen", "dataset", "curves", "scores", "differences", "categories"),
    *("confusions", "errors", "cases", "epochs", "limits", "provenance"),
)
HOSTILE = (
    '<img src="x" onerror="alert(1)">',
    "<script>alert(1)</script>",
    "{{ 7 * 7 }} {% raw %}",
    '" onmouseover="alert(1)',
    "</style></svg></table><h1>",
)


def shuffled(page: StudyPage, seed: int) -> StudyPage:
    """Put the rows of every table in another order."""
    tables = {name: getattr(page, name) for name in TABLES if getattr(page, name) is not None}
    return replace(
        page,
        **{name: each.sample(fraction=1, shuffle=True, seed=seed) for name, each in tables.items()},
    )


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_rows_has_no_say(seed: int) -> None:
    """The same tables give the same bytes, in whatever order their rows come."""
    assert study_page(shuffled(PAGE, seed)) == HTML
    assert study_page(shuffled(FULL, seed)) == FULL_HTML


def test_nothing_comes_from_elsewhere() -> None:
    """The page refers to no file, no address and no script."""
    lowered = re.sub('base64,[^"]*', "", FULL_HTML).lower()
    for word in ("http", "<script", "@import", "url(", "<iframe", "<link", "javascript"):
        assert word not in lowered
    for each in read(FULL_HTML).everything():
        assert each.attributes.get("src", "data:image/png;base64,").startswith("data:image/png;")
        assert each.attributes.get("href", "#").startswith("#")
    assert not any(
        name.startswith("on") for each in read(HTML).everything() for name in each.attributes
    )


def test_sections_come_in_their_order_and_are_listed() -> None:
    """From the question to the provenance; the list of sections leads to each but the answer."""
    built = read(FULL_HTML)
    assert tuple(each.attributes["id"] for each in built.all("h2")) == SECTIONS
    links = built.all("nav")[0].all("a")
    assert [each.attributes["href"] for each in links] == [f"#{name}" for name in SECTIONS[1:]]
    titles = {each.attributes["id"]: each.words() for each in built.all("h2")}
    assert [each.words() for each in links] == [titles[name] for name in SECTIONS[1:]]


def test_tables_and_figures_are_numbered_in_their_order() -> None:
    """Each number once, from 1 on, as a reader meets them."""
    found = re.findall(r"<b>(Table|Figure) (\d+)\.</b>", FULL_HTML)
    for kind in ("Table", "Figure"):
        numbers = [int(number) for name, number in found if name == kind]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) > 3


def test_only_the_baseline_is_unfolded_of_many_arms() -> None:
    """Its matrices stand open, those of each other arm fold up together."""
    (section,) = read(FULL_HTML).all("section", **{"aria-labelledby": "confusions"})
    folded = section.all("details")
    assert [each.all("summary")[0].words() for each in folded] == [
        f"{name.replace('-', ' ').capitalize()}: strict and merged" for name in [*FULL.arms][1:]
    ]
    assert [len(each.all("table")) for each in folded] == [2] * 4
    assert len(section.all("table")) == 10
    few = read(HTML).all("section", **{"aria-labelledby": "confusions"})[0]
    assert not few.all("details")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_inert_in_every_section(text: str) -> None:
    """An arm and a category with markup in their names, in curves, errors and pictures too."""
    arm = pl.col("arm").replace("rotated-100", text)
    category = pl.col("category").replace("band", text)
    call = pl.col("predicted").replace("band", text)
    arms = {text if name == "rotated-100" else name: words for name, words in FULL.arms.items()}
    page = replace(
        FULL,
        arms=dict.fromkeys([*FULL.arms, text], ""),
        results=FULL.results.with_columns(arm, category),
        confusion=FULL.confusion.with_columns(arm, category, call),
        curves=FULL.curves.with_columns(arm),
        missed=FULL.missed.with_columns(arm, category, call),
        pictures=FULL.pictures.with_columns(arm, category, call),
    )
    built = read(study_page(replace(page, arms=arms)))
    assert len(built.all("img")) == len(read(FULL_HTML).all("img"))
    plain = {each.tag for each in read(FULL_HTML).everything()}
    assert {each.tag for each in built.everything()} == plain
    assert not any(name.startswith("on") for each in built.everything() for name in each.attributes)
    assert " ".join(text.split()) in built.words()


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_inert(text: str) -> None:
    """Names with markup in them show as they are and build no element or attribute."""
    categories = [text, "band", "segmented", "eosinophil"]
    page = example(arms={"none": text, text: "other"}, categories=categories, n_replicates=2)
    results = page.results.with_columns(study=pl.lit(text))
    page = replace(page, name=text, results=results)
    page = replace(page, question=text, provenance=[(text, text)], notes=[text])
    page = with_primary(page, method=text, low=None, high=None)
    built = read(study_page(page))
    tags = {each.tag for each in built.everything()}
    assert not tags & {"img", "script"}
    assert not any("alert" in name for each in built.everything() for name in each.attributes)
    assert not any(name.startswith("on") for each in built.everything() for name in each.attributes)
    (title,) = built.all("h1")
    assert title.words() == " ".join(text.split())
    assert built.all("li")[-2].words() == " ".join(text.split())


@pytest.mark.parametrize("html_text", [HTML, FULL_HTML], ids=["small", "full"])
def test_the_page_is_sound_html(html_text: str) -> None:
    """Language, width, one title, headings in order, captions, scopes, and no id twice."""
    built = read(html_text)
    (html,) = built.all("html")
    assert html.attributes["lang"] == "en"
    assert built.all("meta", name="viewport")
    levels = [int(each.tag[1]) for each in built.everything() if re.fullmatch("h[1-6]", each.tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    assert all(each.all("caption") for each in built.all("table"))
    assert all(each.attributes.get("scope") for each in built.all("th"))
    ids = [each.attributes["id"] for each in built.everything() if "id" in each.attributes]
    assert len(ids) == len(set(ids))
    named = [each.attributes.get("aria-labelledby", "") for each in built.everything()]
    assert {name for text in named for name in text.split()} <= set(ids)


def luminance(color: tuple[float, ...]) -> float:
    """Compute relative luminance, after WCAG 2.1."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Compute the contrast of two colours, from 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def palette(css: str) -> dict[str, tuple[float, ...]]:
    """Read the colours a rule names, channels from 0 to 1; a trailing alpha is left out."""
    found = {}
    for name, text in re.findall(r"--(\w+): (#[0-9a-f]{3,8}|\d+ \d+ \d+);", css):
        digits = text[1:] if len(text) != 4 else "".join(2 * digit for digit in text[1:])
        channels = text.split() if " " in text else [int(digits[i : i + 2], 16) for i in (0, 2, 4)]
        found[name] = tuple(int(channel) / 255 for channel in channels)
    return found


@pytest.mark.parametrize("scheme", [0, 1, 2], ids=["light", "dark", "print"])
def test_text_can_be_read(scheme: int) -> None:
    """Every text colour has a contrast of 4.5 on what it stands on, the deepest shade included."""
    (css,) = read(HTML).all("style")
    colors = palette(re.findall(r":root \{(.*?)\}", css.text(), re.DOTALL)[scheme])
    share = float(re.search(r"var\(--s\) \* (\.\d+)", css.text())[1])
    shades = [
        tuple(share * a + (1 - share) * b for a, b in zip(colors[k], colors["paper"], strict=True))
        for k in ("right", "wrong")
    ]
    for ink in ("ink", "muted", "accent", "warn"):
        assert contrast(colors[ink], colors["paper"]) >= 4.5
        assert contrast(colors[ink], colors["soft"]) >= 4.5
    assert all(contrast(colors["ink"], shade) >= 4.5 for shade in shades)


@pytest.mark.parametrize("code", [0, 7, 8, 11, 12, 13, 27, 31, 127, 0x9B])
def test_control_characters_are_left_out(code: int) -> None:
    """HTML forbids them; what surrounds them, tabs and newlines stay."""
    arms = {"none": "the\tcells\nas they are", f"a{chr(code)}b": "other"}
    page = replace(example(arms=arms, n_replicates=2), question=f"Does{chr(code)} it?")
    html = study_page(page)
    assert chr(code) not in html
    assert "<h1>Does it?</h1>" in html
    assert "the\tcells\nas they are" in html
