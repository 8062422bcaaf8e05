"""The answer of a study in words: one of four verdicts an arm, with its uncertainty."""

import math
from dataclasses import dataclass

from leukoscope.evaluation.results import ASSUMED_CELLS_PER_CASE
from leukoscope.reporting import wording
from leukoscope.reporting.contents import (
    Key,
    Score,
    Scores,
    StudyPage,
    arm_order,
    index_scores,
)
from leukoscope.stats.intervals import ASSUMED_ICC, design_effect
from leukoscope.stats.paired import Verdict, verdict

LARGEST_P = 0.05
"""Of several comparisons, one helps or harms only up to this p value, adjusted for their number."""

FEWEST_REPLICATES = 5
"""A study of fewer replicates is called exploratory."""


@dataclass(frozen=True)
class ArmAnswer:
    """Hold what a study says of one arm.

    Attributes
    ----------
    arm : str
        Its name.
    score : Score or None
        Its difference from the baseline; None while no pair of replicates is finished.
    verdict : str
        One of four, of the primary metric against the margin; see :func:`verdict_of`.
    sentence : str
        The verdict with its uncertainty.
    allows : str
        What the interval allows and excludes, against the margin; empty without one.
    elsewhere : str
        What the interval would be for other people, and on which assumption; empty
        where cases are known or there is no interval.
    """

    arm: str
    score: Score | None
    verdict: Verdict
    sentence: str
    allows: str
    elsewhere: str


def answer_sentence(page: StudyPage) -> str:
    """Answer a study's question in plain text, a sentence an arm.

    Parameters
    ----------
    page : StudyPage
        The study.

    Returns
    -------
    str
        The verdict of each arm on the primary metric, its difference from the baseline
        in percentage points with the 95 % interval, and what the interval speaks of.

    Raises
    ------
    DataError
        If the results are not in their shape or give a number twice.
    """
    answers = arm_answers(page, index_scores(page.results))
    text = " ".join(part for answer in answers for part in _parts(answer))
    return wording.without_controls(text)


def arm_answers(page: StudyPage, scores: Scores) -> list[ArmAnswer]:
    """Answer for each arm but the baseline, in the page's order."""
    return [_arm_answer(page, scores, arm) for arm in arm_order(page)[1:]]


def verdict_of(page: StudyPage, score: Score | None) -> Verdict:
    """Conclude from an arm's primary difference.

    Parameters
    ----------
    page : StudyPage
        Whose margin and number of comparisons count.
    score : Score or None
        The difference.

    Returns
    -------
    str
        What its interval says against the margin; undecided without an interval. Of
        several comparisons one helps or harms only if its adjusted p value (where none
        was planned, its p value) is at most :data:`LARGEST_P` too: the intervals are
        not adjusted.
    """
    found = _interval_says(page, score)
    return "undecided" if _is_lost_by_adjusting(page, score, found) else found


def is_exploratory(page: StudyPage) -> bool:
    """Say whether a study has too few replicates for more than a first look."""
    return page.n_replicates < FEWEST_REPLICATES


def widened(value: float, low: float, high: float) -> tuple[float, float]:
    """Widen an interval over cells as if they came from people, at the assumed correlation.

    Parameters
    ----------
    value, low, high : float
        A difference and its interval.

    Returns
    -------
    tuple of float
        Low and high with half widths times √(design effect), some 1.857.
    """
    factor = math.sqrt(design_effect(ASSUMED_ICC, ASSUMED_CELLS_PER_CASE))
    return value - factor * (value - low), value + factor * (high - value)


def assumed_bounds(page: StudyPage, score: Score | None) -> tuple[float, float] | None:
    """Widen the interval over families for other people; None where cases are known or none is."""
    if page.unit != "family" or score is None or score.bounds is None:
        return None
    return widened(*score.bounds)


def _interval_says(page: StudyPage, score: Score | None) -> Verdict:
    bounds = score and score.bounds
    return verdict(*bounds[1:], page.margin) if bounds else "undecided"


def _is_lost_by_adjusting(page: StudyPage, score: Score | None, found: Verdict) -> bool:
    if score is None or found not in ("helps", "harms") or _comparisons(page) < 2:
        return False
    p_value = score.p_value if score.p_adjusted is None else score.p_adjusted
    return p_value is None or p_value > LARGEST_P


def _comparisons(page: StudyPage) -> int:
    return len(page.arms) - 1


def _parts(answer: ArmAnswer) -> list[str]:
    plain = answer.allows if answer.verdict == "undecided" else ""
    return [part for part in (answer.sentence, plain, answer.elsewhere) if part]


def _arm_answer(page: StudyPage, scores: Scores, arm: str) -> ArmAnswer:
    score = scores.get(Key(arm, page.metric, page.view, baseline=page.baseline))
    found = verdict_of(page, score)
    first = "Exploratory: " if is_exploratory(page) else ""
    name = wording.name_of(arm)
    words = (name if first else wording.sentence_case(name)) + _sentence(page, score, found)
    return ArmAnswer(
        arm, score, found, first + words, _allows(page, score, found), _elsewhere(page, score)
    )


def _sentence(page: StudyPage, score: Score | None, found: Verdict) -> str:
    metric = _metric(page)
    if score is None:
        return " has no finished pair of replicates yet: undecided."
    if score.value is None:
        why = wording.reason(score.method)
        return f": the difference in {metric} is undefined ({why}): undecided."
    evidence = _evidence(page, score)
    if score.bounds is None:
        why = wording.reason(score.method)
        by = f"{wording.signed(score.value)} points"
        return f" changed {metric} by {by} ({evidence}); no interval ({why}): undecided."
    verb, amount, interval = _difference(*score.bounds, found)
    only = "; this speaks of other cells of this collection only" if page.unit == "family" else ""
    end = _ending(page, found)
    if found != _interval_says(page, score):
        end += f" after adjusting for {_comparisons(page)} comparisons"
    return f" {verb} {metric} by {amount} points ({interval}; {evidence}): {end}{only}."


def _metric(page: StudyPage) -> str:
    merged = " with neutrophils merged" if page.view == "merged" else ""
    return wording.metric_name(page.metric) + merged


def _difference(value: float, low: float, high: float, found: Verdict) -> tuple[str, str, str]:
    """Choose verb, amount and interval; signs are left out only where all of it is a gain."""
    level = "95 % interval "
    if found == "helps":
        return "raised", wording.points(value), level + wording.span(low, high)
    signs = level + wording.signed_span(low, high)
    if found == "harms":
        return "lowered", wording.points(-value), f"difference {wording.signed(value)}, {signs}"
    return "changed", wording.signed(value), signs


def _evidence(page: StudyPage, score: Score) -> str:
    one, many = wording.UNITS[page.unit]
    number = score.n_cases if page.unit == "case" else score.n_families
    groups = f"unknown number of {many}" if number is None else wording.counted(number, one, many)
    return f"{wording.counted(page.n_replicates, 'replicate', 'replicates')}, {groups}"


def _ending(page: StudyPage, found: Verdict) -> str:
    endings: dict[Verdict, str] = {
        "helps": "it helps",
        "harms": "it harms",
        "no difference larger than m": f"no difference larger than {_margin(page)} points",
        "undecided": "undecided",
    }
    return endings[found]


def _margin(page: StudyPage) -> str:
    return wording.margin_points(page.margin)


def _allows(page: StudyPage, score: Score | None, found: Verdict) -> str:
    if score is None or score.bounds is None:
        return ""
    _, low, high = score.bounds
    far = f"the {_margin(page)} points named beforehand as the least that matters"
    if found == "no difference larger than m":
        return f"The interval excludes a gain as well as a loss of {far}."
    if found == "undecided":
        lost = found != _interval_says(page, score)
        which = "The interval, which is not adjusted," if lost else "The interval"
        allowed = f"{which} allows anything from {_side(low)} to {_side(high)}"
        return f"{allowed}; measured against {far}, {_possible(low, high, page.margin)}."
    reached, word = (
        (low >= page.margin, "gain")
        if found == "helps"
        else (
            high <= -page.margin,
            "loss",
        )
    )
    if reached:
        return f"The whole interval is a {word} of at least {far}."
    return f"A {word} is shown; whether it reaches {far} is not."


def _possible(low: float, high: float, margin: float) -> str:
    if low <= -margin and high >= margin:
        return "a gain and a loss that matter are both possible"
    if high >= margin:
        return "a gain that matters is possible, a loss that matters is not"
    return "a loss that matters is possible, a gain that matters is not"


def _side(bound: float) -> str:
    if bound == 0:
        return "no difference"
    return f"a {'gain' if bound > 0 else 'loss'} of {wording.points(abs(bound))} points"


def _elsewhere(page: StudyPage, score: Score | None) -> str:
    bounds = assumed_bounds(page, score)
    if bounds is None:
        return ""
    low, high = bounds
    found = verdict(low, high, page.margin)
    if _is_lost_by_adjusting(page, score, found):
        found = "undecided"
    then = _ending(page, found).removeprefix("it ")
    if found in ("helps", "harms") and _comparisons(page) > 1:
        then += f", before adjusting for {_comparisons(page)} comparisons"
    return (
        "For other people no interval can be had from these data; assuming an intraclass "
        f"correlation of {ASSUMED_ICC:.2f} and {ASSUMED_CELLS_PER_CASE} cells a person it would be "
        f"{wording.signed_span(low, high)} points, and the answer: {then}."
    )
