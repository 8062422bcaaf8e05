"""The page of an evaluation: each number is the tables' own, and what is odd is said first."""

import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selenium.webdriver import Chrome
from tests.reporting.reading import Element, read, rows, table
from tests.reporting.scored import EVALUATIONS, SURNAME, evaluation, shuffled
from tests.reporting.test_browser import PAPER_PX, look, written
from tests.reporting.test_study_document import HOSTILE

from leukoscope.evaluation.results import AS_IF_CASES
from leukoscope.foundation.errors import DataError, SchemaError
from leukoscope.records.categories import NOZAKA6
from leukoscope.reporting.evaluated_json import evaluation_json
from leukoscope.reporting.evaluation_page import EvaluationPage, evaluation_page
from leukoscope.reporting.page_figures import evaluation_figures

HTML = {kind: evaluation_page(evaluation(kind), {}) for kind in EVALUATIONS}
"""Every kind of page, without its figures."""

NUMBER = re.compile(r"[+−]?\d[\d\N{NARROW NO-BREAK SPACE}]*(?:\.\d+)?")
COEFFICIENTS = ("mcc", "kappa", "auroc", "average_precision", "brier", "log_loss", "slope")


def percent(value: float) -> str:
    """Write a share in percent with one decimal."""
    return f"{100 * value:.1f}"


def row_of(page: EvaluationPage, metric: str, **named: str | None) -> dict[str, object]:
    """Find the one row with these values at the test's mix; what is not named is null."""
    wanted = {"view": "strict", "category": None, "prevalence": None, "unit": None} | named
    found = page.results.filter(pl.col("metric") == metric)
    for name, value in wanted.items():
        if name == "unit" and value is None:
            found = found.filter(pl.col("unit") != AS_IF_CASES)
        else:
            found = found.filter(pl.col(name).eq_missing(pl.lit(value, dtype=pl.String)))
    assert found.height == 1
    return found.row(0, named=True)


def shown(row: dict[str, object]) -> str:
    """Write a row as a cell of a table does, but for notes."""
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    return f"{percent(value)} {percent(low)} to {percent(high)}"


def plain(cell: str) -> str:
    """Leave out the letter of a note, and what stands below the interval."""
    return re.sub(r"^([\d.]+) ?[a-z]+ (?=\d)", r"\1 ", cell).split(" as if")[0]


def test_sensitivity_and_specificity_lead_and_are_the_results() -> None:
    """The first table gives both of each category with its interval, merged ones last."""
    page = evaluation()
    first = read(HTML["full"]).all("table")[0]
    assert first.all("caption", id="table-sensitivity")
    found = rows(first.all("tbody")[0])
    assert [row[0] for row in found] == [*map(str.capitalize, NOZAKA6), "Neutrophil merged"]
    for label, support, *cells in found:
        view = "merged" if label.endswith(" merged") else "strict"
        named = {"category": label.removesuffix(" merged").lower(), "view": view}
        assert support == f"{row_of(page, 'support', **named)['value']:.0f}"
        expected = [shown(row_of(page, metric, **named)) for metric in ("recall", "specificity")]
        assert [plain(cell) for cell in cells] == expected


def test_what_depends_on_the_mix_stands_at_both() -> None:
    """Precision and F at the test's mix, at the stated one, and with calls made anew."""
    page = evaluation()
    bodies = table(read(HTML["full"]), "table-mix").all("tbody")
    for metric, body in zip(("precision", "f"), bodies, strict=True):
        heading, *found = rows(body)
        assert heading == [metric.capitalize()]
        for label, *cells in found[: len(NOZAKA6)]:
            own = row_of(page, metric, category=label.lower())
            at = page.results.filter(
                pl.col("prevalence") == "nozaka-2022",
                pl.col("metric") == metric,
                pl.col("view") == "strict",
                pl.col("category") == label.lower(),
            )
            calls, anew = at.sort(pl.col("method").str.ends_with("then called")).to_dicts()
            assert plain(cells[0]) == shown(own)
            for cell, row in zip(cells[1:], (calls, anew), strict=True):
                assert cell.startswith(percent(row["value"]))


def test_without_a_stated_mix_there_is_none_beside() -> None:
    """Precision and F stand side by side, and nothing is said of another mix."""
    built = read(HTML["families"])
    (head,) = rows(table(built, "table-mix").all("thead")[0])
    assert head == ["Category", "Precision", "F"]
    assert "no other mix was stated" in built.words()
    assert not [
        each for each in built.all("caption") if each.attributes["id"] == "table-mix-others"
    ]


@pytest.mark.parametrize("kind", EVALUATIONS)
def test_every_number_in_a_table_is_one_of_the_tables(kind: str) -> None:
    """Values, bounds, counts and limits of counting are those of the files, as they are written."""
    page = evaluation(kind)
    known = written_forms(page)
    strange = {
        number
        for cell in read(HTML[kind]).all("td")
        for part in cell.everything()
        if part.attributes.get("class") in {"value", "interval", "further"}
        for number in NUMBER.findall("".join(p for p in part.children if isinstance(p, str)))
        if number not in known
    }
    assert strange == set()


def written_forms(page: EvaluationPage) -> set[str]:
    """List each number of the tables in each way that a page may write it."""
    numbers = [
        value
        for name in ("value", "low", "high")
        for value in page.results[name].drop_nulls().to_list()
    ]
    numbers += [
        value
        for name in ("share", "low", "high", "reference_share")
        for value in page.differential[name].to_list()
    ]
    counts = [*page.results["n_cells"].drop_nulls().to_list()]
    counts += [*page.differential["n_cells"], *page.differential["n_reference_cells"]]
    found = {f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") for count in counts}
    for value in numbers:
        texts = {f"{100 * value:.1f}", f"{100 * value:.2f}", f"{value:.3f}", f"{value:,.0f}"}
        texts |= {f"{100 * value:.1g}"} if 0 < abs(value) < 0.0005 else set()
        texts = {text.replace("-", "−").replace(",", "\N{NARROW NO-BREAK SPACE}") for text in texts}
        found |= texts | {f"+{text}" for text in texts} | {text.lstrip("−") for text in texts}
    return found


def test_an_undefined_score_says_why() -> None:
    """A null shows the word and the reason from its method, never a 0."""
    page = evaluation()
    planted = (
        (pl.col("metric") == "recall")
        & (pl.col("category") == "band")
        & (pl.col("view") == "strict")
    )
    nothing = [
        pl.when(planted).then(None).otherwise(pl.col(name)).alias(name)
        for name in ("value", "low", "high")
    ]
    why = pl.when(planted).then(pl.lit("undefined: no cells to score")).otherwise("method")
    page = replace(page, results=page.results.with_columns(*nothing, method=why))
    found = rows(table(read(evaluation_page(page, {})), "table-sensitivity").all("tbody")[0])
    assert found[1][2] == "undefined no cells to score"


def test_a_missing_interval_says_why() -> None:
    """A value whose method could give no interval stands with that reason."""
    page = evaluation()
    planted = (pl.col("metric") == "macro_f") & (pl.col("view") == "strict")
    planted = planted & pl.col("prevalence").is_null()
    nothing = [
        pl.when(planted).then(None).otherwise(pl.col(name)).alias(name) for name in ("low", "high")
    ]
    why = pl.when(planted).then(pl.lit("undefined: fewer than 2 groups")).otherwise("method")
    page = replace(page, results=page.results.with_columns(*nothing, method=why))
    found = rows(table(read(evaluation_page(page, {})), "table-overall").all("tbody")[0])
    value = percent(float(row_of(page, "macro_f")["value"]))
    assert found[2][1] == f"{value} no interval: fewer than 2 groups"


def test_an_error_stands_in_a_box_before_all_scores() -> None:
    """Exchanged names are told in an alarm at the top; the usual checks are folded below it."""
    html = HTML["exchanged"]
    (box,) = read(html).all("div", **{"class": "alarm"})
    assert "Names of categories seem to be exchanged" in box.words()
    assert box.words().startswith("Do not believe the scores yet")
    found = evaluation("exchanged").guards
    for row in found.iter_rows(named=True):
        assert (row["severity"] != "info") == (" ".join(row["detail"].split()) in box.words())
    assert html.index('class="alarm"') < html.index("<table")
    (section,) = read(html).all("section", **{"aria-labelledby": "checks"})
    assert len(section.all("details")) == 1


def test_a_warning_is_told_without_alarm() -> None:
    """What is only to be kept in mind does not call the scores meaningless."""
    page = evaluation("bare")
    severity = pl.when(pl.col("check") == "ties").then(pl.lit("warning")).otherwise("severity")
    built = read(
        evaluation_page(replace(page, guards=page.guards.with_columns(severity=severity)), {})
    )
    assert not built.all("div", **{"class": "alarm"})
    (box,) = built.all("div", **{"class": "mind"})
    assert box.words().startswith("8 checks gave one finding to keep in mind.")


def test_where_nothing_odd_was_found_that_is_said() -> None:
    """One folded list holds every check."""
    (section,) = read(HTML["full"]).all("section", **{"aria-labelledby": "checks"})
    (folded,) = section.all("details")
    n = evaluation().guards.height
    assert folded.all("summary")[0].words() == f"{n} checks: nothing odd was found."
    assert len(folded.all("li")) == n


def test_without_cases_the_page_speaks_of_this_collection_only() -> None:
    """No case is known: the scope says so, and the wider interval stands below its score."""
    page, built = evaluation("families"), read(HTML["families"])
    answer = built.all("div", **{"class": "answer"})[0].words()
    assert "other cells of this collection only" in answer
    wide = row_of(page, "accuracy", unit=AS_IF_CASES)
    (cell, *_) = rows(table(built, "table-overall").all("tbody")[0])[0][1:]
    low, high = (percent(float(wide[name])) for name in ("low", "high"))
    assert cell.endswith(f"as if persons {low} to {high}")
    (section,) = built.all("section", **{"aria-labelledby": "differential"})
    assert "no differential count" in section.words()


def test_with_cases_the_page_speaks_of_other_cases() -> None:
    """Cases, cells and categories are counted in the first sentence."""
    lead = read(HTML["full"]).all("p", **{"class": "lead"})[0].words()
    assert lead == "360 cells of 12 cases were scored, in six categories."
    assert "they speak of other cases like these" in HTML["full"]
    assert "as if persons" not in HTML["full"]


def test_calls_alone_leave_probabilities_undefined() -> None:
    """The page says what is missing and shows no empty table."""
    built = read(HTML["bare"])
    (section,) = built.all("section", **{"aria-labelledby": "ranking"})
    assert "calls alone, no probabilities" in section.words()
    ids = {each.attributes.get("id") for each in built.all("caption")}
    assert ids == {"table-sensitivity", "table-overall", "table-mix", "table-methods"}
    assert set(evaluation_figures(evaluation("bare"))) == {"scores", "confusion"}


@pytest.mark.parametrize(("kind", "n"), [("bare", 2), ("full", 6), ("thirteen", 13)])
def test_each_category_has_its_row(kind: str, n: int) -> None:
    """Two, six and thirteen categories are told one by one, and counted."""
    found = rows(table(read(HTML[kind]), "table-sensitivity").all("tbody")[0])
    strict = [row for row in found if not row[0].endswith("merged")]
    assert len(strict) == len({row[0] for row in strict}) == n


def test_few_cases_say_how_often_such_intervals_covered() -> None:
    """Beside the interval a letter, below the table how often it covered in simulation."""
    built = read(HTML["thirteen"])
    (section,) = built.all("section", **{"aria-labelledby": "sensitivity"})
    letters = {each.words() for each in section.all("td") for each in each.all("sup")}
    notes = section.all("ul", **{"class": "notes"})[0].all("li")
    assert letters == {each.all("sup")[0].words() for each in notes}
    assert all("in simulation (10 cases" in each.words() for each in notes[:1])
    assert not read(HTML["bare"]).all("ul", **{"class": "notes"})


def test_losses_stand_beside_those_of_a_constant_forecast() -> None:
    """Brier score and log loss of the model, and of not looking."""
    page = evaluation()
    found = rows(table(read(HTML["full"]), "table-losses").all("tbody")[0])
    assert len(found) == 4
    for place, metric in ((0, "brier"), (2, "log_loss")):
        own, constant = row_of(page, metric), row_of(page, f"{metric}_constant")
        assert found[place][1].startswith(f"{own['value']:.3f} {own['low']:.3f} to")
        assert found[place][2] == f"{constant['value']:.3f}"


def test_calibration_stands_beside_chance() -> None:
    """The error, and what a calibrated model would show."""
    page = evaluation()
    found = rows(table(read(HTML["full"]), "table-sureness").all("tbody")[0])[0]
    metrics = ("calibration_error", "calibration_error_by_chance", "area_under_risk")
    assert found[1:] == [percent(float(row_of(page, metric)["value"])) for metric in metrics]


def test_operating_points_name_their_sensitivity() -> None:
    """The stated sensitivity is read off the results, and each point is the results' own."""
    page = evaluation()
    shown_table = table(read(HTML["full"]), "table-operating")
    assert "calls 95.0 % of" in shown_table.all("caption")[0].words()
    for label, threshold, own, rest in rows(shown_table.all("tbody")[0])[: len(NOZAKA6)]:
        named = {"category": label.lower()}
        assert threshold == percent(float(row_of(page, "operating_threshold", **named)["value"]))
        assert plain(own) == shown(row_of(page, "operating_sensitivity", **named))
        assert plain(rest) == shown(row_of(page, "operating_specificity", **named))


def test_differential_counts_say_what_their_limits_cover() -> None:
    """Each case goes by its pseudonym, with counting limits and the reference."""
    page, built = evaluation(), read(HTML["full"])
    (section,) = built.all("section", **{"aria-labelledby": "differential"})
    assert "cover the chance of which cells were counted, not misclassification" in section.words()
    found = rows(table(built, "table-counts").all("tbody")[0])
    assert [row[0] for row in found] == [f"case-{number:03d}" for number in range(1, 13)]
    first = page.differential.filter(case="case-001", view="strict", category="segmented")
    row = first.row(0, named=True)
    assert found[0][3] == shown(row | {"value": row["share"]}) + (
        f" ref. {percent(row['reference_share'])}"
    )
    bias = row_of(page, "bias", category="band")
    cells = rows(table(built, "table-agreement").all("tbody")[0])[1]
    assert cells[1].startswith(f"{100 * float(bias['value']):+.1f}".replace("-", "−"))


def test_overall_scores_stand_strict_and_merged() -> None:
    """Both views beside each other, coefficients as such; one view alone says why."""
    page = evaluation()
    found = rows(table(read(HTML["full"]), "table-overall").all("tbody")[0])
    metrics = ("accuracy", "balanced_accuracy", "macro_f", "mcc", "kappa")
    for metric, (_, *cells) in zip(metrics, found, strict=True):
        for view, cell in zip(("strict", "merged"), cells, strict=True):
            row = row_of(page, metric, view=view)
            texts = [f"{row[name]:.3f}" for name in ("value", "low", "high")]
            coefficient = f"{texts[0]} {texts[1]} to {texts[2]}"
            assert plain(cell) == (coefficient if metric in {"mcc", "kappa"} else shown(row))
    bare = read(HTML["bare"])
    assert rows(table(bare, "table-overall").all("thead")[0]) == [["Score", "Value"]]
    assert "no category here is a band or a segmented neutrophil" in bare.words()
    assert "merged are left out" not in HTML["full"]


def test_readers_are_told_where_there_are_any() -> None:
    """Each pair of readers, and the model with each; nothing where nobody read."""
    found = rows(table(read(HTML["full"]), "table-readers").all("tbody")[0])
    assert len(found) == 7
    assert found[0][0] == "Cohen’s kappa of readers A and B"
    kappas = evaluation().results.filter(metric="reader_kappa", view="strict")
    expected = {f"{value:.3f}" for value in kappas["value"]}
    assert {row[2].split()[0] for row in found[:6]} == expected
    assert "Readers" not in HTML["families"]


@pytest.mark.parametrize("kind", EVALUATIONS)
def test_no_case_is_named(kind: str) -> None:
    """What the cases are called stands nowhere in a page or its JSON."""
    assert SURNAME not in HTML[kind]
    assert SURNAME not in evaluation_json(evaluation(kind))


@pytest.mark.parametrize("name", ["results", "differential"])
def test_open_names_of_cases_are_refused(name: str) -> None:
    """A table with a name instead of a pseudonym makes no page."""
    page = evaluation()
    changed = getattr(page, name).with_columns(case=pl.lit("Somebody 3"))
    if name == "differential":
        changed = changed.unique(["view", "category"])
    with pytest.raises(DataError, match=f"{name} table names 1 of 1 cases otherwise"):
        replace(page, **{name: changed})


def test_a_number_given_twice_is_refused() -> None:
    """Two methods for one number leave nothing to choose by."""
    page = evaluation("bare")
    again = page.results.filter(metric="accuracy", unit="family").with_columns(
        method=pl.lit("other")
    )
    with pytest.raises(DataError, match=r"accuracy \(strict\) of all cells twice"):
        evaluation_page(replace(page, results=pl.concat([page.results, again])), {})


def test_a_table_out_of_shape_is_refused() -> None:
    """A missing column is named."""
    page = evaluation("bare")
    with pytest.raises(SchemaError, match="guards lacks detail"):
        replace(page, guards=page.guards.drop("detail"))


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_rows_has_no_say(seed: int) -> None:
    """The same tables give the same bytes, in whatever order their rows come."""
    page = evaluation()
    assert evaluation_page(shuffled(page, seed), {}) == HTML["full"]
    assert evaluation_json(shuffled(page, seed)) == evaluation_json(page)


def test_figures_are_the_same_from_rows_in_another_order() -> None:
    """Drawn anew from shuffled tables a whole page has the same bytes."""
    page = evaluation("bare")
    assert evaluation_page(shuffled(page, 3)) == evaluation_page(page)


def test_nothing_comes_from_elsewhere() -> None:
    """The page with its figures refers to no file, no address and no script."""
    html = evaluation_page(evaluation())
    lowered = re.sub('base64,[^"]*', "", html).lower()
    for word in ("http", "<script", "@import", "<iframe", "<link", "javascript", "<?xml"):
        assert word not in lowered
    built = read(html)
    for each in built.everything():
        assert each.attributes.get("href", "#").startswith(("#", "data:image/png;"))
        assert not any(name.startswith("on") for name in each.attributes)
    assert set(re.findall(r"url\((.)", lowered)) <= {"#"}
    names = {each.attributes["aria-labelledby"] for each in built.all("svg")}
    assert len(names) == len(built.all("figure")) == 12
    assert_sound(built)


@pytest.mark.parametrize("kind", EVALUATIONS)
def test_the_page_is_sound_html(kind: str) -> None:
    """Language, headings in order, captions, scopes, no id twice; sections are listed."""
    assert_sound(read(HTML[kind]))


def assert_sound(built: Element) -> None:
    """Assert what holds for every page."""
    (html,) = built.all("html")
    assert html.attributes["lang"] == "en"
    levels = [int(each.tag[1]) for each in built.everything() if re.fullmatch("h[1-6]", each.tag)]
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    assert all(each.all("caption") for each in built.all("table"))
    assert all(each.attributes.get("scope") for each in built.all("th"))
    ids = [each.attributes["id"] for each in built.everything() if "id" in each.attributes]
    assert len(ids) == len(set(ids))
    named = [each.attributes.get("aria-labelledby", "") for each in built.everything()]
    assert {name for text in named for name in text.split()} <= set(ids)
    links = [each.attributes["href"] for each in built.all("nav")[0].all("a")]
    headings = [each.attributes["id"] for each in built.all("h2")]
    assert links == [f"#{name}" for name in headings if name not in {"answer", "checks"}]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_inert(text: str) -> None:
    """Markup in the name of the run, of a category or in a guard builds no element."""
    page = evaluation()
    category = pl.col("category").replace("band", text)
    page = replace(
        page,
        name=text,
        results=page.results.with_columns(category),
        confusion=page.confusion.with_columns(category, pl.col("predicted").replace("band", text)),
        guards=page.guards.with_columns(detail=pl.lit(text), severity=pl.lit("error")),
    )
    built = read(evaluation_page(page, {}))
    assert {each.tag for each in built.everything()} <= {
        each.tag for each in read(HTML["full"]).everything()
    }
    assert not any(name.startswith("on") for each in built.everything() for name in each.attributes)
    assert " ".join(text.split()) in built.words()


@pytest.mark.parametrize("kind", ["thirteen", "full"])
def test_the_page_fits_screen_and_paper(browser: Chrome, tmp_path: Path, kind: str) -> None:
    """No wider than a telephone, a desk or a sheet; wide tables and figures scroll in a box."""
    address = written(
        tmp_path, evaluation_page(evaluation(kind)).replace("<details>", "<details open>")
    )
    wide = "return document.documentElement.scrollWidth"
    for width_px, media in ((360, "screen"), (1280, "screen"), (PAPER_PX, "print")):
        look(browser, address, width_px, media, "dark")
        assert browser.execute_script(wide) <= width_px
        assert browser.get_log("browser") == []
    look(browser, address, 360, "screen", "light")
    boxes = (
        "return [...document.querySelectorAll('.scroll')].map(e => e.getBoundingClientRect().right)"
    )
    assert max(browser.execute_script(boxes)) <= 360
    smallest = (
        "return Math.min(...[...document.querySelectorAll('svg.plot')].map(e => e.clientWidth))"
    )
    assert math.isclose(browser.execute_script(smallest), 36 * 16, rel_tol=0.05)
