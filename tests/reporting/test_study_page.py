"""The page of a study: each number stands in its place and is the tables' own."""

import re
from dataclasses import replace

import polars as pl
import pytest
from tests.reporting.example import THIRTEEN, example, strict_only, with_primary
from tests.reporting.reading import read, rows, table
from tests.reporting.rotation import rotation

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.reporting.study_page import StudyPage, answer_sentence, study_page

PAGE: StudyPage = example()
HTML = study_page(PAGE)
FULL: StudyPage = rotation(unit="case", n_replicates=2)
FULL_HTML = study_page(FULL)
METRICS = ("macro_f", "balanced_accuracy", "accuracy")


def percent(value: float) -> str:
    """Write a fraction in percent with one decimal, by Python's own rounding."""
    return f"{100 * value:.1f}"


def signed(value: float) -> str:
    """Write a difference in points with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")


def row_of(page: StudyPage, **named: object) -> dict[str, object]:
    """Find the one row of the results with these values; what is not named is null."""
    named = {"baseline": None, "replicate": None, "category": None} | named
    found = page.results
    for name, value in named.items():
        found = found.filter(pl.col(name).is_null() if value is None else pl.col(name) == value)
    assert found.height == 1
    return found.row(0, named=True)


def test_equal_epochs_are_described_and_not_judged() -> None:
    """The second analysis shows its own differences and says that it bears no verdict."""
    (section,) = read(FULL_HTML).all("section", **{"aria-labelledby": "epochs"})
    found = FULL.results.filter(
        *(pl.col(name).is_null() for name in ("category", "case", "replicate")),
        study="rotation-equal-epochs",
        arm="rotated-online",
        metric="macro_f",
        view="strict",
    ).row(0, named=True)
    shown = rows(table(read(FULL_HTML), "table-epochs").all("tbody")[0])
    assert shown[0][3].startswith(
        f"{signed(found['value'])} {signed(found['low'])} to {signed(found['high'])} p "
    )
    assert "bears no verdict" in section.words()
    for word in ("helps", "harms", "undecided", "Holm", "primary"):
        assert word not in section.words()
    second = pl.col("study") == "rotation-equal-epochs"
    without = replace(FULL, results=FULL.results.filter(~second))
    assert "Equal epochs" not in study_page(without)


def test_another_study_is_no_answer() -> None:
    """Results that speak of another study alone make no page."""
    with pytest.raises(DataError, match="no row of the study 'rotation', only of other"):
        replace(PAGE, results=PAGE.results.with_columns(study=pl.lit("other")))


@pytest.mark.parametrize("view", ["strict", "merged"])
def test_the_arms_table_is_the_results(view: str) -> None:
    """Value, interval and replicates of every arm are the results' own, each in its place."""
    bodies = table(read(HTML), "table-arms").all("tbody")
    body = bodies[0 if view == "strict" else 1]
    expected = []
    for arm, label in (("none", "None"), ("online-rotation", "Online rotation")):
        found = [row_of(PAGE, arm=arm, metric=metric, view=view) for metric in METRICS]
        cells = [
            f"{percent(each['value'])} {percent(each['low'])} to {percent(each['high'])}"
            for each in found
        ]
        expected.append([label, *cells, "8"])
    assert rows(body)[1:] == expected


def test_the_differences_are_the_results() -> None:
    """Every difference stands with its interval and p values; the primary one first."""
    shown = rows(table(read(HTML), "table-differences").all("tbody")[0])
    assert shown[0][0] == "Macro-F, strict primary"
    labels = {"Macro-F": "macro_f", "Balanced accuracy": "balanced_accuracy"}
    labels |= {"Accuracy": "accuracy"}
    assert len(shown) == 6
    for place, (label, cell, *p_values) in enumerate(shown):
        name, view = label.removesuffix(" primary").split(", ")
        named = {"arm": "online-rotation", "baseline": "none", "metric": labels[name]}
        found = row_of(PAGE, view=view, **named)
        numbers = f"{signed(found['value'])} {signed(found['low'])} to {signed(found['high'])}"
        assert cell == numbers
        assert p_values == ["0.018", "not planned" if place else "0.018"]


def test_the_recalls_are_the_results() -> None:
    """Each category has its recall and support, and merged neutrophils follow."""
    shown = rows(table(read(HTML), "table-recall").all("tbody")[0])
    assert [row[0] for row in shown][-1] == "Neutrophil merged"
    for label, support, *cells in shown:
        name = label.removesuffix(" merged").lower()
        view = "merged" if label.endswith("merged") else "strict"
        named = {"view": view, "category": name}
        assert support == f"{row_of(PAGE, arm='none', metric='support', **named)['value']:.0f}"
        for arm, cell in zip(PAGE.arms, cells, strict=True):
            found = row_of(PAGE, arm=arm, metric="recall", **named)
            assert cell.split()[0] == percent(found["value"])
            assert cell.split()[1::2] == [percent(found["low"]), percent(found["high"])]


@pytest.mark.parametrize("categories", [None, THIRTEEN])
def test_matrices_are_the_confusion_table(categories: tuple[str, ...] | None) -> None:
    """Counts and shares stand in the row of their truth and the column of their call."""
    page = PAGE if categories is None else example(categories=categories, n_replicates=5)
    built = read(study_page(page))
    counts = {
        (row["arm"], row["view"], row["category"], row["predicted"]): row
        for row in page.confusion.to_dicts()
    }
    order = [(arm, view) for arm in page.arms for view in ("strict", "merged")]
    for number, (arm, view) in enumerate(order, start=1):
        matrix = table(built, f"matrix-{number}")
        assert view in matrix.all("caption")[0].words()
        calls = rows(matrix.all("thead")[0])[1][1:]
        assert len(calls) == len(set(calls))
        for truth, *cells in rows(matrix.all("tbody")[0]):
            name, total = re.fullmatch(r"(.+?) (\d+) cells", truth).groups()
            found = [counts.pop((arm, view, name, call)) for call in calls]
            assert float(total) == pytest.approx(sum(row["n_cells"] for row in found))
            for cell, row in zip(cells, found, strict=True):
                expected = [f"{row['n_cells']:.1f}", percent(row["share"]) + "%"]
                assert cell.split() == (expected if row["n_cells"] else ["0"])
    assert counts == {}


def test_a_pair_never_seen_is_none_and_an_empty_row_has_no_share() -> None:
    """Absent pairs count 0; a category without true cells shows no share of nothing."""
    rows_ = [
        {"arm": "none", "view": "strict", "category": "band", "predicted": "band"}
        | {"n_cells": 3.0, "share": 0.75},
        {"arm": "none", "view": "strict", "category": "band", "predicted": "monocyte"}
        | {"n_cells": 1.0, "share": 0.25},
    ]
    page = replace(PAGE, confusion=pl.DataFrame(rows_))
    (body,) = table(read(study_page(page)), "matrix-1").all("tbody")
    assert rows(body) == [["band 4 cells", "3 75.0%", "1 25.0%"], ["monocyte 0 cells", "0", "0"]]


def test_the_composition_is_shown_and_unknown_cases_are_named() -> None:
    """Every count stands under its split; without cases there is no such column."""
    shown = table(read(HTML), "table-dataset")
    expected = {
        (row["split"], row["category"]): [str(row[name]) for name in row if name.startswith("n_")]
        for row in PAGE.composition.to_dicts()
    }
    for name, *cells in rows(shown.all("tbody")[0]):
        parts = [expected[split, name.lower()] for split in ("train", "validation", "test")]
        assert cells == [text for part in parts for text in part]
    other = table(read(study_page(example(unit="family", n_replicates=1))), "table-dataset")
    assert "Cases are not known." in other.all("caption")[0].words()
    assert "Cases" not in [cell for row in rows(other.all("thead")[0]) for cell in row]


def test_undefined_is_said_with_its_reason() -> None:
    """A null score shows the word and the reason from the method, never a 0."""
    planted = (pl.col("metric") == "recall") & (pl.col("category") == "band")
    planted = planted & pl.col("replicate").is_null() & (pl.col("arm") == "none")
    nothing = [pl.when(planted).then(None).otherwise(pl.col(n)).alias(n) for n in ("value", "low")]
    why = pl.when(planted).then(pl.lit("undefined: no cells to score")).otherwise("method")
    page = replace(PAGE, results=PAGE.results.with_columns(*nothing, why.alias("method")))
    shown = rows(table(read(study_page(page)), "table-recall").all("tbody")[0])
    assert shown[1][2] == "undefined no cells to score"


def test_a_missing_interval_is_explained() -> None:
    """A difference without bounds keeps its value and says why there are none."""
    page = with_primary(PAGE, low=None, high=None, method="undefined: fewer than 2 replicates")
    shown = rows(table(read(study_page(page)), "table-differences").all("tbody")[0])[0]
    assert shown[1].endswith("no interval: fewer than 2 replicates")


def test_the_answer_on_the_page_is_the_answer() -> None:
    """The page says what the command line says."""
    page = example(unit="family", n_replicates=3)
    answer = read(study_page(page)).all("div", **{"class": "answer"})[0].words()
    for sentence in answer_sentence(page).split(". "):
        assert sentence.rstrip(".") in answer


@pytest.mark.parametrize(("n_replicates", "times"), [(4, 1), (5, 0)])
def test_exploratory_stands_out(n_replicates: int, times: int) -> None:
    """Under five replicates the word has a place of its own on the page."""
    built = read(study_page(replace(PAGE, n_replicates=n_replicates)))
    marks = [each for each in built.all("strong") if each.words() == "Exploratory."]
    assert len(marks) == times


def test_limits_and_provenance_are_told() -> None:
    """What the design cannot say stands on the page, with what the study adds to it."""
    text = read(HTML).all("main")[0].words()
    for words in ("conditional on this pool", "ICSH", "not a medical device", PAGE.notes[0]):
        assert words in text
    for label, words in PAGE.provenance:
        assert label in text
        assert words in text


def test_one_number_given_twice_is_refused() -> None:
    """Two methods for one number leave nothing to choose by."""
    again = PAGE.results.head(1).with_columns(method=pl.lit("another"))
    with pytest.raises(DataError, match="twice, by 'one run' and 'another'"):
        study_page(replace(PAGE, results=pl.concat([PAGE.results, again])))


@pytest.mark.parametrize("name", ["results", "confusion"])
def test_strange_arms_are_refused(name: str) -> None:
    """A table that speaks of an arm the study lacks is not shown in part."""
    changed = getattr(PAGE, name).with_columns(arm=pl.lit("elsewhere"))
    with pytest.raises(DataError, match="elsewhere"):
        replace(PAGE, **{name: changed})


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"view": "loose"}, "view"), ({"unit": "cell"}, "unit"), ({"baseline": "nome"}, "none")],
)
def test_words_that_mean_nothing_are_refused(changes: dict[str, str], words: str) -> None:
    """An unknown view, unit or baseline is an error that names the known ones."""
    with pytest.raises(UsageError, match=words):
        replace(PAGE, **changes)


def test_results_of_single_cases_are_passed_over() -> None:
    """Rows of one case or of an assumed prevalence change nothing on the page."""
    extra = PAGE.results.head(2).with_columns(case=pl.Series(["case-1", None], dtype=pl.String))
    extra = extra.with_columns(prevalence=pl.Series([None, "blood"], dtype=pl.String))
    assert study_page(replace(PAGE, results=pl.concat([PAGE.results, extra]))) == HTML


@pytest.mark.parametrize(
    ("categories", "why"),
    [
        (["eosinophil", "monocyte"], "no category here is a band or a segmented neutrophil"),
        (["segmented", "band"], "a single category would be left"),
    ],
)
def test_without_a_merged_view_nothing_of_it_is_shown(categories: list[str], why: str) -> None:
    """Tables, figure and matrices hold the strict view, and one sentence says why."""
    page = strict_only(example(categories=categories, n_replicates=5))
    built = read(study_page(page))
    assert [each.words() for each in built.all("p") if "merged" in each.words()] == [
        next(each.words() for each in built.all("p") if why in each.words())
    ]
    assert built.all("main")[0].words().lower().count("merged") == 1
    assert len(table(built, "table-arms").all("tbody")) == 1
    shown = rows(table(built, "table-differences").all("tbody")[0])
    assert [row[0].split()[-1] for row in shown[1:]] == ["strict"] * 2
    assert len(rows(table(built, "table-recall").all("tbody")[0])) == 2
    matrices = [each for each in built.all("table") if "matrix" in each.attributes.get("class", "")]
    assert len(matrices) == len(page.arms)
    assert ("ICSH" in built.words()) == ("band" in categories)


def test_with_a_merged_view_no_reason_is_given() -> None:
    """The sentence is for its absence only."""
    assert "with neutrophils merged are left out" not in read(HTML).words()
