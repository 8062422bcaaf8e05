"""The page's numbers as JSON: the results' own, readable by a strict parser, always the same."""

import json
import math
from dataclasses import replace

import polars as pl
import pytest
from tests.reporting.example import example
from tests.reporting.rotation import ARMS, EFFECTS, rotation

from leukoscope.reporting.answer import answer_sentence
from leukoscope.reporting.contents import StudyPage
from leukoscope.reporting.forest import forest_table
from leukoscope.reporting.study_page import study_json

PAGE: StudyPage = rotation(unit="case", n_replicates=5)


def strictly(text: str) -> dict:
    """Parse JSON and refuse what only some parsers read."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    return json.loads(text, parse_constant=refuse)


def found(**named: object) -> dict:
    """Find the one row of the study's own results; what is not named is null."""
    named = dict.fromkeys(("baseline", "replicate", "category", "case")) | named
    chosen = PAGE.results.filter(
        pl.col("study") == PAGE.name,
        ~pl.col("method").str.starts_with("pigeonhole"),
        *(
            pl.col(name).is_null() if value is None else pl.col(name) == value
            for name, value in named.items()
        ),
    )
    (row,) = chosen.to_dicts()
    return row


CONTENT = strictly(study_json(PAGE))


def test_question_answer_and_margin() -> None:
    """What the page says first stands first here too."""
    assert CONTENT["question"] == PAGE.question
    assert CONTENT["answer"] == answer_sentence(PAGE)
    assert (CONTENT["metric"], CONTENT["view"], CONTENT["margin"]) == ("macro_f", "strict", 0.01)
    assert CONTENT["exploratory"] is False


def test_verdicts_are_those_of_the_figure() -> None:
    """Each arm has the verdict and the numbers of the forest plot."""
    summaries = forest_table(PAGE).filter(pl.col("verdict").is_not_null())
    assert [*CONTENT["arms"]] == [*EFFECTS] == summaries["arm"].to_list()
    for row in summaries.to_dicts():
        arm = CONTENT["arms"][row["arm"]]
        for name in ("verdict", "value", "low", "high", "method"):
            assert arm[name] == row[name]
        given = found(arm=row["arm"], baseline="originals", metric="macro_f", view="strict")
        assert (arm["p_value"], arm["p_adjusted"]) == (given["p_value"], given["p_adjusted"])
        assert (arm["n"], arm["unit"]) == (51, "case")


@pytest.mark.parametrize("view", ["strict", "merged"])
@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f"])
def test_scores_and_differences_are_the_results(metric: str, view: str) -> None:
    """Every metric of every arm and view is given with interval, count and method."""
    for arm in ARMS:
        pairs = [("scores", None)] if arm == "originals" else [("scores", None)] * 1
        pairs += [] if arm == "originals" else [("differences", "originals")]
        for name, baseline in pairs:
            number = CONTENT[name][arm][view][metric]
            given = found(arm=arm, view=view, metric=metric, baseline=baseline)
            assert {key: number[key] for key in ("value", "low", "high", "method")} == {
                key: given[key] for key in ("value", "low", "high", "method")
            }
            assert number["n"] == given["n_cases"]


def test_categories_and_second_intervals_are_there() -> None:
    """Recall of a category and its gain; the pigeonhole interval beside the t interval."""
    number = CONTENT["scores"]["originals"]["strict"]["categories"]["band"]["recall"]
    assert (
        number["value"]
        == found(arm="originals", view="strict", metric="recall", category="band")["value"]
    )
    gain = CONTENT["differences"]["rotated-online"]["merged"]["categories"]["neutrophil"]["f"]
    named = {"baseline": "originals", "metric": "f", "category": "neutrophil"}
    assert gain["low"] == found(arm="rotated-online", view="merged", **named)["low"]
    second = CONTENT["differences"]["rotated-100"]["strict"]["macro_f"]["pigeonhole"]
    assert second["method"].startswith("pigeonhole")


def test_convergence_spread_and_errors_are_there() -> None:
    """A run that never converged is null; quartiles ascend; errors are counted, not named."""
    online = CONTENT["convergence"]["rotated-online"]["convergence_train_loss"]
    assert online["updates"]["1"] is None
    assert (online["n"], online["median"]) == (4, 155.0)
    spread = CONTENT["spread"]["originals"]["strict"]
    order = ["lowest", "lower_quartile", "median", "upper_quartile", "highest"]
    assert [spread[name] for name in order] == sorted(spread[name] for name in order)
    assert sum(row["n_cells"] for row in CONTENT["missed"]["originals"]) == 43
    assert "by-name" not in study_json(PAGE)


def test_the_second_analysis_stands_apart() -> None:
    """Equal epochs have their own numbers and no verdict."""
    number = CONTENT["equal_epochs"]["rotated-100"]["strict"]["macro_f"]
    own = CONTENT["differences"]["rotated-100"]["strict"]["macro_f"]
    assert number["value"] == pytest.approx(own["value"] + 0.003)
    assert number["p_adjusted"] is None


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_of_rows_has_no_say(seed: int) -> None:
    """The same tables give the same text, in whatever order their rows come."""
    names = ("results", "confusion", "composition", "curves", "missed", "pictures")
    mixed = {
        name: getattr(PAGE, name).sample(fraction=1, shuffle=True, seed=seed) for name in names
    }
    assert study_json(replace(PAGE, **mixed)) == study_json(PAGE)


def test_what_is_undefined_is_null() -> None:
    """NaN and null are null, and a page without extras still has every field."""
    page = example(n_replicates=2)
    results = page.results.with_columns(
        low=pl.when(pl.col("baseline").is_null()).then(math.nan).otherwise(pl.col("low"))
    )
    content = strictly(study_json(replace(page, results=results)))
    assert set(content) == set(CONTENT)
    assert content["scores"]["none"]["strict"]["macro_f"]["low"] is None
    assert (content["convergence"], content["spread"]) == ({}, {})
    assert (content["missed"], content["equal_epochs"]) == (None, None)


def test_an_arm_without_a_result_has_every_field() -> None:
    """Undecided, with nulls where numbers would be."""
    page = replace(PAGE, results=PAGE.results.filter(pl.col("baseline").is_null()))
    arm = strictly(study_json(page))["arms"]["rotated-100"]
    assert arm.pop("verdict") == "undecided"
    assert set(arm) >= {"value", "low", "high", "n", "unit", "method", "p_value", "p_adjusted"}
    assert set(arm.values()) == {None}
