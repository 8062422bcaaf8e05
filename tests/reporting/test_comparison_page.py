"""The page of a comparison: one of four words a model, and every number the tables' own."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selenium.webdriver import Chrome
from tests.reporting.reading import Element, read, rows, table
from tests.reporting.scored import SURNAME, comparison, planted, predictions, shuffled
from tests.reporting.test_browser import PAPER_PX, look, written
from tests.reporting.test_evaluation_page import assert_sound
from tests.reporting.test_study_document import HOSTILE

from leukoscope.evaluation.fixed_models import comparison_of
from leukoscope.evaluation.results import AS_IF_CASES
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.reporting.comparison_page import ComparisonPage, comparison_page
from leukoscope.reporting.evaluated_json import comparison_json
from leukoscope.reporting.page_figures import comparison_figures

PAGES = {
    "two": comparison(2),
    "three": comparison(3),
    "families": comparison(2, unit="family"),
}
HTML = {name: comparison_page(page, {}) for name, page in PAGES.items()}
"""Every kind of page, without its figures."""

WORDS = {
    "helps": "better",
    "harms": "worse",
    "same": "no difference larger than 2.0 points",
    "undecided": "undecided",
}


def signed(value: float) -> str:
    """Write a difference in points with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")


def words_of(built: Element) -> dict[str, str]:
    """List the word that stands behind each model's name at the top."""
    (listed,) = built.all("ul", **{"class": "verdicts models"})
    return {
        each.all("b")[0].words().rstrip(":"): each.all("strong")[0].words()
        for each in listed.all("li")
    }


def row_of(page: ComparisonPage, metric: str, method: str, **named: str | None) -> dict:
    """Find the one row of a difference whose method begins so; what is not named is null."""
    wanted = {"arm": "model-2", "baseline": "model-1", "view": "strict", "category": None} | named
    found = page.results.filter(
        pl.col("metric") == metric,
        pl.col("method").str.starts_with(method),
        pl.col("unit") != AS_IF_CASES,
    )
    for name, value in wanted.items():
        found = found.filter(pl.col(name).eq_missing(pl.lit(value, dtype=pl.String)))
    assert found.height == 1
    return found.row(0, named=True)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.001, 0.05, "helps"),
        (0.03, 0.05, "helps"),
        (-0.05, -0.001, "harms"),
        (-0.019, 0.019, "same"),
        (0.001, 0.019, "same"),
        (-0.001, 0.05, "undecided"),
        (-0.05, 0.05, "undecided"),
        (-0.02, 0.0, "undecided"),
        (None, None, "undecided"),
    ],
)
def test_the_word_follows_from_the_interval(
    low: float | None, high: float | None, word: str
) -> None:
    """Planted bounds against the margin of two points give the word, on page and in JSON."""
    value = None if low is None or high is None else (low + high) / 2
    page = planted(PAGES["two"], value=value, low=low, high=high)
    built = read(comparison_page(page, {}))
    assert words_of(built) == {"Model 2": WORDS[word]}
    assert json.loads(comparison_json(page))["models"]["model-2"]["verdict"] == WORDS[word]


@pytest.mark.parametrize(("p_adjusted", "word"), [(0.04, "better"), (0.06, "undecided")])
def test_of_several_models_one_is_better_only_after_adjusting(p_adjusted: float, word: str) -> None:
    """An interval above 0 is not enough where several were planned; that is said."""
    page = planted(PAGES["three"], value=0.04, low=0.01, high=0.07, p_adjusted=p_adjusted)
    built = read(comparison_page(page, {}))
    assert words_of(built) == {"Model 2": word, "Model 3": word}
    text = built.all("ul", **{"class": "verdicts models"})[0].words()
    assert ("after adjusting for several comparisons" in text) == (word == "undecided")
    alone = planted(PAGES["two"], value=0.04, low=0.01, high=0.07, p_adjusted=p_adjusted)
    assert words_of(read(comparison_page(alone, {}))) == {"Model 2": "better"}


def test_published_tests_and_permutation_have_no_say() -> None:
    """Whatever they show, the words stay."""
    page = planted(PAGES["two"], value=0.0, low=-0.01, high=0.01)
    others = pl.col("method").str.starts_with("replica") | pl.col("method").str.starts_with("sign")
    p_value = pl.when(others).then(1e-9).otherwise("p_value").alias("p_value")
    changed = replace(page, results=page.results.with_columns(p_value))
    found = words_of(read(comparison_page(changed, {})))
    assert found == {"Model 2": "no difference larger than 2.0 points"}


def test_the_words_are_about_these_very_models() -> None:
    """What a study would ask is not claimed; margin and metric were named beforehand."""
    for html in HTML.values():
        answer = read(html).all("div", **{"class": "answer"})[0].words()
        assert "about these very trained models, not about the ways they were trained" in answer
        assert "2.0 points, the least difference that matters, was named beforehand" in answer


def test_an_undefined_difference_says_why() -> None:
    """No interval: undecided, with the reason from the method."""
    page = planted(PAGES["two"], value=None, low=None, high=None)
    primary = pl.col("method").str.starts_with("paired jackknife t, ") & pl.col("value").is_null()
    why = pl.when(primary).then(pl.lit("undefined: fewer than 2 groups")).otherwise("method")
    page = replace(page, results=page.results.with_columns(method=why))
    text = read(comparison_page(page, {})).all("ul", **{"class": "verdicts models"})[0].words()
    assert text.endswith("the difference is undefined (fewer than 2 groups).")


def test_the_differences_are_the_results() -> None:
    """The planned one first, with Holm; beside each its permutation test."""
    page = PAGES["two"]
    found = rows(table(read(HTML["two"]), "table-differences").all("tbody")[0])
    assert found[0][0] == "Macro-F strict, primary"
    names = {"Macro-F": "macro_f", "Accuracy": "accuracy", "Balanced accuracy": "balanced_accuracy"}
    assert len(found) == 10
    for label, cell, *tests in found:
        name, _, rest = label.partition(" strict" if " strict" in label else " merged")
        if name not in names:
            continue
        view = "merged" if " merged" in label else "strict"
        own = row_of(page, names[name], "paired jackknife", view=view)
        flip = row_of(page, names[name], "sign-flip", view=view)
        assert cell == f"{signed(own['value'])} {signed(own['low'])} to {signed(own['high'])}"
        for row, (plain, adjusted) in zip((own, flip), (tests[:2], tests[2:]), strict=True):
            assert p_of(plain) == pytest.approx(row["p_value"], abs=6e-3)
            assert (adjusted == "not planned") == ("primary" not in rest)
            assert (row["p_adjusted"] is None) == (adjusted == "not planned")


def p_of(text: str) -> float:
    """Read a p value; one below 0.001 is read as 0."""
    return 0.0 if text.startswith("<") else float(text)


def test_non_inferiority_and_the_ratio_of_errors_are_the_results() -> None:
    """The one-sided bound, its p, whether it is shown, and errors for each of the baseline's."""
    for model in ("model-2", "model-3"):
        page = PAGES["three"]
        own = row_of(page, "macro_f", "non-inferiority", arm=model)
        found = {row[0]: row for row in rows(table(read(HTML["three"]), "table-not-worse"))[1:]}
        _, low, p_value, adjusted, word, strict, merged = found[
            model.replace("-", " ").capitalize()
        ]
        assert low == signed(own["low"])
        assert p_of(p_value) == pytest.approx(own["p_value"], abs=6e-3)
        assert p_of(adjusted) == pytest.approx(own["p_adjusted"], abs=6e-3)
        assert word == ("shown" if own["p_adjusted"] <= 0.05 else "not shown")
        for view, cell in (("strict", strict), ("merged", merged)):
            ratio = row_of(page, "error_ratio", "paired jackknife", arm=model, view=view)
            numbers = (ratio["value"], ratio["low"], ratio["high"])
            assert cell == "{:.3f} {:.3f} to {:.3f}".format(*numbers)


def test_differences_of_each_category_are_folded() -> None:
    """Four tables, a row a category, folded and the results' own."""
    (section,) = read(HTML["two"]).all("section", **{"aria-labelledby": "categories"})
    folds = section.all("details")
    assert [each.all("summary")[0].words() for each in folds] == [
        f"{name} of each category" for name in ("Sensitivity", "Specificity", "Precision", "F")
    ]
    band = row_of(PAGES["two"], "recall", "paired jackknife", category="band")
    cell = rows(folds[0].all("tbody")[0])[1]
    assert cell[0] == "Band"
    assert cell[1] == f"{signed(band['value'])} {signed(band['low'])} to {signed(band['high'])}"


def test_probabilities_are_compared_where_two_models_have_them() -> None:
    """Of three models the last has calls alone: it has no row there."""
    found = rows(table(read(HTML["three"]), "table-probabilities").all("tbody")[0])
    assert [row[0] for row in found] == ["Model 2", "Model 2 merged"]
    brier = row_of(PAGES["three"], "brier", "")
    assert found[0][2].split()[0] == f"{brier['value']:+.3f}".replace("-", "−")
    alone = PAGES["two"]
    metrics = pl.col("metric").is_in(["auroc", "brier", "log_loss"])
    alone = replace(alone, results=alone.results.filter(~metrics), points=alone.points.head(0))
    (section,) = read(comparison_page(alone, {})).all(
        "section", **{"aria-labelledby": "probabilities"}
    )
    assert "cannot be compared" in section.words()


def test_published_tests_are_folded_under_a_warning() -> None:
    """They stand in one folded table whose heading says what they are; each has its row."""
    page, built = PAGES["two"], read(HTML["two"])
    (section,) = built.all("section", **{"aria-labelledby": "replicas"})
    assert section.all("h2")[0].words() == "What published papers did, and why not to rely on it"
    (folded,) = section.all("details")
    assert len(section.all("table")) == len(folded.all("table")) == 1
    found = [row for body in folded.all("tbody") for row in rows(body)]
    replicas = page.results.filter(pl.col("method").str.starts_with("replica"))
    assert len(found) == replicas.height
    outside = built.words().replace(section.words(), "")
    assert "McNemar" in section.words()
    assert "McNemar" not in outside
    mcnemar = row_of(page, "accuracy", "replica: McNemar")
    (cells,) = [row for row in found if row[0].startswith("McNemar")]
    assert cells[1] == signed(mcnemar["value"])
    assert p_of(cells[2]) == pytest.approx(mcnemar["p_value"], abs=6e-3)
    alone = [row for row in found if row[0].startswith("Wald")]
    models = [row[0].split("independent ")[1] for row in alone]
    assert models == [f"model {n}, accuracy{end}" for n in (1, 2) for end in ("", ", merged")]
    wald = row_of(page, "accuracy", "replica: Wald", arm="model-1", baseline=None)
    texts = [f"{100 * wald[name]:.1f}" for name in ("value", "low", "high")]
    assert alone[0][1] == f"{texts[0]} {texts[1]} to {texts[2]}"


def test_each_model_stands_by_itself_too() -> None:
    """Scores of every model, the baseline first and named as such."""
    bodies = table(read(HTML["three"]), "table-models").all("tbody")
    assert len(bodies) == 2
    assert [row[0] for row in rows(bodies[0])[1:]] == ["Model 1 baseline", "Model 2", "Model 3"]
    own = row_of(PAGES["three"], "accuracy", "jackknife", arm="model-3", baseline=None)
    texts = [f"{100 * own[name]:.1f}" for name in ("value", "low", "high")]
    assert rows(bodies[0])[3][1] == f"{texts[0]} {texts[1]} to {texts[2]}"


def test_a_guard_names_its_model() -> None:
    """An error of one model stands in the box at the top with that model's name."""
    page = PAGES["two"]
    its = (pl.col("arm") == "model-2") & (pl.col("check") == "chance")
    severity = pl.when(its).then(pl.lit("error")).otherwise("severity")
    html = comparison_page(replace(page, guards=page.guards.with_columns(severity=severity)), {})
    (box,) = read(html).all("div", **{"class": "alarm"})
    assert "Calls and labels do not seem to belong together (model 2)." in box.words()
    assert html.index('class="alarm"') < html.index("<table")


def test_without_cases_the_answer_is_of_this_collection() -> None:
    """Families alone: what other people would ask is told with its wider interval."""
    page, built = PAGES["families"], read(HTML["families"])
    wide = page.results.filter(
        pl.col("unit") == AS_IF_CASES,
        pl.col("metric") == "macro_f",
        pl.col("view") == "strict",
        pl.col("baseline") == "model-1",
    ).row(0, named=True)
    answer = built.all("div", **{"class": "answer"})[0].words()
    span = f"{signed(wide['low'])} to {signed(wide['high'])}"
    assert f"For other people, as assumed below: {span}" in answer
    assert "other cells of this collection only" in answer
    cell = rows(table(built, "table-differences").all("tbody")[0])[0][1]
    assert cell.endswith(f"as if persons {span}")
    assert "collection" not in HTML["two"]


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_rows_has_no_say(seed: int) -> None:
    """The same tables give the same bytes, in whatever order their rows come."""
    page = PAGES["three"]
    assert comparison_page(shuffled(page, seed), {}) == HTML["three"]
    assert comparison_json(shuffled(page, seed)) == comparison_json(page)


def test_a_whole_page_is_the_same_twice_and_refers_to_nothing() -> None:
    """With its figures, from shuffled tables too; no file, address or script."""
    page = PAGES["two"]
    html = comparison_page(page)
    assert comparison_page(shuffled(page, 1)) == html
    for word in ("http", "<script", "@import", "<iframe", "<link", "javascript", SURNAME.lower()):
        assert word not in html.lower()
    built = read(html)
    assert all(each.attributes.get("href", "#").startswith("#") for each in built.everything())
    assert len(built.all("svg")) == len(comparison_figures(page)) == 11
    assert_sound(built)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_sound_html(name: str) -> None:
    """Headings in order, captions, scopes, ids once, all sections listed."""
    assert_sound(read(HTML[name]))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_inert(text: str) -> None:
    """Markup in the name of a model or a category builds no element."""
    page = PAGES["two"]
    arm, category = pl.col("arm").replace("model-2", text), pl.col("category").replace("band", text)
    page = replace(
        page,
        results=page.results.with_columns(arm, category),
        confusion=page.confusion.with_columns(
            arm, category, pl.col("predicted").replace("band", text)
        ),
        guards=page.guards.with_columns(arm, detail=pl.lit(text)),
        points=page.points.with_columns(arm, category),
    )
    built = read(comparison_page(page, {}))
    assert {each.tag for each in built.everything()} <= {
        each.tag for each in read(HTML["three"]).everything()
    }
    assert not any(name.startswith("on") for each in built.everything() for name in each.attributes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"baseline": "model-9"}, "baseline"),
        ({"metric": "beauty"}, "primary metric"),
        ({"margin": 0.0}, "between 0 and 1"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict, words: str) -> None:
    """An unknown baseline or metric, or no margin, makes no page."""
    with pytest.raises(UsageError, match=words):
        replace(PAGES["two"], **changes)


def test_a_difference_given_twice_is_refused() -> None:
    """Two intervals for one difference leave nothing to choose by."""
    page = PAGES["two"]
    again = page.results.filter(
        pl.col("metric") == "accuracy",
        pl.col("view") == "strict",
        pl.col("method").str.starts_with("paired jackknife"),
    ).with_columns(method=pl.lit("bootstrap"))
    with pytest.raises(DataError, match="twice, by 'bootstrap' and 'paired jackknife"):
        comparison_page(replace(page, results=pl.concat([page.results, again])), {})


def test_more_models_than_lines_leave_the_curves_out() -> None:
    """Curves that could not be told apart are not drawn; the rest is."""
    page = PAGES["two"]
    many = pl.concat(
        [page.points.with_columns(arm=pl.lit(f"model-{number}")) for number in range(1, 8)]
    )
    drawn = set(comparison_figures(replace(page, points=many.unique(["arm", *_POINT]))))
    assert "differences" in drawn
    assert not drawn & {"roc", "reliability"}


_POINT = ("figure", "view", "category", "place")


def test_the_page_fits_screen_and_paper(browser: Chrome, tmp_path: Path) -> None:
    """No wider than a telephone, a desk or a sheet, even with a name that cannot be broken."""
    page, long = PAGES["three"], pl.col("arm").replace("model-2", "M" * 60)
    changed = {
        name: getattr(page, name).with_columns(long) for name in ("results", "confusion", "guards")
    }
    html = comparison_page(replace(page, **changed)).replace("<details>", "<details open>")
    address = written(tmp_path, html)
    for width_px, media in ((360, "screen"), (1280, "screen"), (PAPER_PX, "print")):
        look(browser, address, width_px, media, "light")
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width_px


def test_models_alike_everywhere_are_undecided_with_the_reason() -> None:
    """A cell says that there is no interval and why; the figures draw it, too."""
    table_of = predictions("model-1")
    found = comparison_of({"model-1": table_of, "model-2": table_of}, "model-1", "macro_f", 0.02)
    kept = {name: getattr(found, name) for name in ("results", "confusion", "points", "guards")}
    page = ComparisonPage("model-1", "macro_f", 0.02, **kept)
    built = read(comparison_page(page))
    assert words_of(built) == {"Model 2": "undecided"}
    why = "no group shows a difference, and nothing tells how far others would"
    text = built.all("ul", **{"class": "verdicts models"})[0].words()
    assert text.endswith(f"difference in macro-F 0.0 points, no interval ({why}).")
    assert rows(table(built, "table-differences").all("tbody")[0])[0][1] == (
        f"0.0 no interval: {why}"
    )
    assert rows(table(built, "table-not-worse"))[1][1] == f"undefined {why}"
    assert json.loads(comparison_json(page))["models"]["model-2"]["verdict"] == "undecided"


@pytest.mark.parametrize(("p_adjusted", "word"), [(0.04, "better"), (0.06, "undecided")])
def test_for_other_people_the_wider_interval_has_its_own_p(p_adjusted: float, word: str) -> None:
    """Of several models the p value of the widened interval decides, not the narrow one's."""
    page = comparison(3, unit="family")
    wide = (pl.col("unit") == AS_IF_CASES) & (pl.col("metric") == "macro_f")
    wide &= (pl.col("view") == "strict") & pl.col("baseline").is_not_null()
    changed = {"value": 0.06, "low": 0.01, "high": 0.11, "p_adjusted": p_adjusted}
    columns = [
        pl.when(wide).then(pl.lit(number)).otherwise(pl.col(name)).alias(name)
        for name, number in changed.items()
    ]
    page = planted(page, value=0.06, low=0.03, high=0.09, p_adjusted=0.001)
    page = replace(page, results=page.results.with_columns(columns))
    built = read(comparison_page(page, {}))
    text = built.all("ul", **{"class": "verdicts models"})[0].words()
    assert words_of(built) == {"Model 2": "better", "Model 3": "better"}
    assert text.count(f"For other people, as assumed below: +1.0 to +11.0, {word}.") == 2
