"""Several arms are summed up in one sentence; what they share is said once."""

import re
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reporting.example import example, with_primary
from tests.reporting.reading import read
from tests.reporting.rotation import rotation

from leukoscope.reporting.answer import answer_of, answer_sentence
from leukoscope.reporting.contents import StudyPage, scores_of
from leukoscope.reporting.study_page import study_page
from leukoscope.reporting.verdicts import (
    assumed_verdict,
    primary_score,
    verdict_of,
    widening,
)

NAMES = ("none", "c", "a", "b")
PAGE: StudyPage = example(arms=dict.fromkeys(NAMES, ""), n_replicates=2)
PAGE = replace(PAGE, n_replicates=8)
WORDS = {"helps": "help", "harms": "harm", "undecided": "undecided"}


def with_bounds(page: StudyPage, bounds: dict[str, tuple[float, float]]) -> StudyPage:
    """Plant the interval of each arm's primary difference; p values are small."""
    rows = page.results.to_dicts()
    for row in rows:
        planted = (row["metric"], row["view"]) == ("macro_f", "strict")
        if planted and row["baseline"] is not None:
            low, high = bounds[row["arm"]]
            row |= {"low": low, "high": high, "value": (low + high) / 2, "p_adjusted": 0.01}
    return replace(page, results=pl.DataFrame(rows, schema=page.results.schema))


def lead(page: StudyPage) -> str:
    """Give the leading sentence."""
    return answer_of(page, scores_of(page)).lead


def test_the_lead_sums_up_by_verdict() -> None:
    """Each arm stands under its verdict with its difference and interval."""
    page = with_bounds(PAGE, {"c": (0.004, 0.038), "a": (-0.038, -0.004), "b": (-0.02, 0.03)})
    assert lead(page) == (
        "Of three arms compared with none in macro-F (difference in points, 95 % interval), "
        "one helps: c +2.1 (+0.4 to +3.8); one harms: a −2.1 (−3.8 to −0.4); "
        "one is undecided: b +0.5 (−2.0 to +3.0)."
    )


def test_that_none_helps_is_said() -> None:
    """The question was whether any helps; its no stands first."""
    page = with_bounds(PAGE, dict.fromkeys("cab", (-0.004, 0.006)))
    assert ", none helps; all three show no difference larger than 1.0 points: c " in lead(page)
    two = example(arms=dict.fromkeys(("none", "a", "b"), ""), n_replicates=2)
    two = with_bounds(two, dict.fromkeys("ab", (0.004, 0.038)))
    assert "both help: a +2.1" in lead(replace(two, n_replicates=8))


BOUNDS = st.tuples(st.integers(-60, 60), st.integers(1, 40)).map(
    lambda pair: (pair[0] / 1000, (pair[0] + pair[1]) / 1000)
)


@given(st.tuples(BOUNDS, BOUNDS, BOUNDS))
def test_every_arm_is_named_once_with_its_verdict(each: tuple[tuple[float, float], ...]) -> None:
    """In lead and lines each arm has the one verdict that its interval gives."""
    page = with_bounds(PAGE, dict(zip("cab", each, strict=True)))
    scores = scores_of(page)
    answer = answer_of(page, scores)
    assert [line.name for line in answer.arms] == ["C", "A", "B"]
    for arm, line in zip("cab", answer.arms, strict=True):
        found = verdict_of(page, primary_score(page, scores, arm))
        (part,) = [
            part for part in answer.lead.split("; ") if re.search(rf"[:,] {arm} [+−]?\d", part)
        ]
        assert WORDS.get(found, "no difference larger than 1.0 points") in part
        assert line.verdict == found.replace("than m", "than 1.0 points")


def test_what_is_common_is_said_once() -> None:
    """Collection, other people, adjusting, margin, replicates and families: one place each."""
    text = answer_sentence(rotation())
    for words in (
        *("other cells of this collection only", "intraclass", "50 cells a person", "1.86 times"),
        *("8 replicates", "880 families", "named beforehand", "not adjusted"),
    ):
        assert text.count(words) == 1, words
    assert text.count("For other people, as assumed below: ") == 4
    assert "collection" not in answer_sentence(rotation(unit="case"))


def test_few_replicates_are_exploratory() -> None:
    """The warning comes before the tally."""
    page = replace(PAGE, n_replicates=4)
    assert answer_sentence(page).startswith("Exploratory: of three arms compared with none")


def test_the_page_says_what_the_command_line_says() -> None:
    """All sentences but what the facts tell stand on the page as they are."""
    page = rotation()
    shown = read(study_page(page)).all("div", **{"class": "answer"})[0].words()
    shown = shown.replace(" ;", ";").replace(" .", ".")
    answer = answer_of(page, scores_of(page))
    for text in (answer.lead, *(line.text for line in answer.arms), *answer.common):
        assert text in shown


@pytest.mark.parametrize("gap", ["nothing", "value", "bounds"])
def test_an_arm_without_a_result_is_named(gap: str) -> None:
    """No pair of replicates, no value, no interval: undecided, with the reason."""
    if gap == "nothing":
        page = replace(PAGE, results=PAGE.results.filter(PAGE.results["baseline"].is_null()))
        said = "c (no finished pair of replicates yet)"
    elif gap == "value":
        page = with_primary(PAGE, value=None, low=None, high=None, method="undefined: no cells")
        said = "c (undefined: no cells)"
    else:
        page = with_primary(PAGE, value=0.012, low=None, high=None, method="undefined: few groups")
        said = "c +1.2 (no interval: few groups)"
    assert f"all three are undecided: {said}, a " in lead(page)
    assert "C: undecided. A: undecided." in answer_sentence(page)


def three_arms(*, unit: str = "case", **values: float | None) -> str:
    """Answer for two arms against a baseline, both with these values."""
    bounds = {"value": 0.021, "low": 0.004, "high": 0.038}
    page = example(arms=dict.fromkeys(("none", "a", "b"), ""), n_replicates=5, unit=unit)
    return answer_sentence(with_primary(page, **bounds | values))


@pytest.mark.parametrize(
    ("p_value", "p_adjusted", "helps"),
    [
        (0.02, 0.04, True),
        (0.03, 0.05, True),
        (0.03, 0.06, False),
        (0.04, None, True),
        (0.06, None, False),
        (None, None, False),
    ],
)
def test_of_several_arms_one_helps_only_after_adjusting(
    p_value: float | None, p_adjusted: float | None, helps: bool
) -> None:
    """An interval that excludes 0 is not enough; a missing adjusted p value counts as the p."""
    text = three_arms(p_value=p_value, p_adjusted=p_adjusted)
    assert ("both help: a +2.1 (+0.4 to +3.8)" in text) == helps
    assert ("none helps; both are undecided: a +2.1 (+0.4 to +3.8)" in text) == (not helps)
    assert text.count("undecided after adjusting for 2 comparisons") == (0 if helps else 2)


def test_of_several_arms_one_harms_only_after_adjusting() -> None:
    """A loss is held to the same; what is shown too small to matter or open stays as it was."""
    loss = {"value": -0.021, "low": -0.038, "high": -0.004}
    assert "both harm: a" in three_arms(**loss, p_adjusted=0.04)
    lost = three_arms(**loss, p_adjusted=0.06)
    assert "both are undecided" in lost
    assert lost.count("undecided after adjusting for 2 comparisons (p = 0.060)") == 2
    small = three_arms(value=0.005, low=0.001, high=0.009, p_adjusted=0.06)
    assert "both show no difference larger than 1.0 points" in small
    assert "after adjusting" not in three_arms(low=-0.01, p_adjusted=0.6)


def test_other_people_are_not_promised_more_than_these() -> None:
    """Lost by adjusting, the wider interval decides nothing either."""
    clear = {"value": 0.05, "low": 0.045, "high": 0.055, "unit": "family"}
    lost = three_arms(**clear, p_adjusted=0.06)
    assert lost.count("as assumed below: +4.1 to +5.9, undecided.") == 2
    kept = three_arms(**clear, p_adjusted=0.01)
    assert kept.count("as assumed below: +4.1 to +5.9, helps.") == 2


@pytest.mark.parametrize(("n_others", "then"), [(1, "helps"), (4, "undecided")])
def test_for_other_people_the_number_of_comparisons_counts_too(n_others: int, then: str) -> None:
    """The widened interval just excludes 0: enough for one arm, not for one of four."""
    names = ("none", "a", "b", "c", "d")[: n_others + 1]
    page = example(arms=dict.fromkeys(names, ""), n_replicates=5, unit="family")
    half = 0.02 / widening() * 0.99
    planted = {"value": 0.02, "low": 0.02 - half, "high": 0.02 + half, "p_adjusted": 0.001}
    page = with_primary(page, **planted)
    score = primary_score(page, scores_of(page), "a")
    assert verdict_of(page, score) == "helps"
    assert assumed_verdict(page, score) == then


def test_a_small_difference_for_other_people_needs_no_adjusting() -> None:
    """What lies within the margin after widening stays; it is no claim of a difference."""
    text = three_arms(value=0.001, low=0.0, high=0.002, unit="family", p_adjusted=0.6)
    assert text.count("no difference larger than 1.0 points") >= 2
    assert text.count("−0.1 to +0.3, no difference larger than 1.0 points.") == 2
