"""The answer of a study in words: one of four verdicts an arm, with its uncertainty."""

from dataclasses import dataclass

from leukoscope.evaluation.results import ASSUMED_CELLS_PER_CASE
from leukoscope.reporting import tally, wording
from leukoscope.reporting.contents import Score, Scores, StudyPage, arm_order, scores_of
from leukoscope.reporting.verdicts import (
    assumed_bounds,
    assumed_verdict,
    comparisons,
    is_exploratory,
    primary_score,
    verdict_of,
)
from leukoscope.stats.design import ASSUMED_ICC
from leukoscope.stats.verdicts import Verdict


@dataclass(frozen=True)
class Answer:
    """Hold what a study says, in plain text.

    Attributes
    ----------
    lead : str
        One sentence: of one comparison its verdict and interval, of several their tally.
    arms : tuple of ArmLine
        A short line an arm, where there are several.
    allows : str
        What the interval of one comparison allows and excludes; empty for several.
    behind : str
        What stands behind the differences of several arms; empty for one, whose lead says it.
    common : tuple of str
        What holds for all arms: whom the intervals speak of, adjusting.
    """

    lead: str
    arms: tuple[tally.ArmLine, ...]
    allows: str
    behind: str
    common: tuple[str, ...]


def answer_sentence(page: StudyPage) -> str:
    """Answer a study's question in plain text.

    Parameters
    ----------
    page : StudyPage
        The study.

    Returns
    -------
    str
        The verdict of each arm on the primary metric, its difference from the baseline
        in percentage points with the 95 % interval, and what the intervals speak of. Of
        several arms first their tally in one sentence, then a line an arm, then once
        what is common to all.

    Raises
    ------
    DataError
        If the results are not in their shape or give a number twice.
    """
    answer = answer_of(page, scores_of(page))
    score = None if answer.arms else _only_score(page)
    undecided = bool(answer.allows) and verdict_of(page, score) == "undecided"
    parts = [answer.lead, *(arm.text for arm in answer.arms)]
    parts += [answer.allows] if undecided else []
    parts += [answer.behind] if answer.behind else []
    return wording.without_controls(" ".join([*parts, *answer.common]))


def answer_of(page: StudyPage, scores: Scores) -> Answer:
    """Answer from the scores of a study; see :class:`Answer`."""
    first = "Exploratory: " if is_exploratory(page) else ""
    if comparisons(page) > 1:
        lead = tally.lead(page, scores)
        lead = first + lead[0].lower() + lead[1:] if first else lead
        lines, behind = tally.lines(page, scores), tally.behind(page, scores)
        return Answer(lead, lines, "", behind, tally.common(page, scores))
    if comparisons(page) < 1:
        return Answer("No other arm was compared with the baseline.", (), "", "", ())
    (arm,) = arm_order(page)[1:]
    score = primary_score(page, scores, arm)
    found = verdict_of(page, score)
    name = wording.name_of(arm)
    words = (name if first else wording.sentence_case(name)) + _sentence(page, score, found)
    elsewhere = tuple(text for text in (_elsewhere(page, score),) if text)
    return Answer(first + words, (), _allows(page, score, found), "", elsewhere)


def _only_score(page: StudyPage) -> Score | None:
    others = arm_order(page)[1:]
    return primary_score(page, scores_of(page), others[0]) if others else None


def _sentence(page: StudyPage, score: Score | None, found: Verdict) -> str:
    metric = tally.metric_words(page)
    if score is None:
        return " has no finished pair of replicates yet: undecided."
    if score.value is None:
        why = wording.reason(score.method)
        return f": the difference in {metric} is undefined ({why}): undecided."
    evidence = tally.evidence(page, score)
    if score.bounds is None:
        why = wording.reason(score.method)
        by = f"{wording.signed(score.value)} points"
        return f" changed {metric} by {by} ({evidence}); no interval ({why}): undecided."
    verb, amount, interval = _difference(*score.bounds, found)
    only = "; this speaks of other cells of this collection only" if page.unit == "family" else ""
    end = _ending(page, found)
    return f" {verb} {metric} by {amount} points ({interval}; {evidence}): {end}{only}."


def _difference(value: float, low: float, high: float, found: Verdict) -> tuple[str, str, str]:
    """Choose verb, amount and interval; signs are left out only where all of it is a gain."""
    level = "95 % interval "
    if found == "helps":
        return "raised", wording.points(value), level + wording.span(low, high)
    signs = level + wording.signed_span(low, high)
    if found == "harms":
        return "lowered", wording.points(-value), f"difference {wording.signed(value)}, {signs}"
    return "changed", wording.signed(value), signs


def _ending(page: StudyPage, found: Verdict) -> str:
    text = tally.verdict_words(page, found)
    return f"it {text}" if found in ("helps", "harms") else text


def _allows(page: StudyPage, score: Score | None, found: Verdict) -> str:
    if score is None or score.bounds is None:
        return ""
    _, low, high = score.bounds
    margin = wording.margin_points(page.margin)
    far = f"the {margin} points named beforehand as the least that matters"
    if found == "no difference larger than m":
        return f"The interval excludes a gain as well as a loss of {far}."
    if found == "undecided":
        allowed = f"The interval allows anything from {_side(low)} to {_side(high)}"
        return f"{allowed}; measured against {far}, {tally.possible(low, high, page.margin)}."
    word, reached = tally.gain_or_loss(found, low, high, page.margin)
    if reached:
        return f"The whole interval is a {word} of at least {far}."
    return f"A {word} is shown; whether it reaches {far} is not."


def _side(bound: float) -> str:
    if bound == 0:
        return "no difference"
    return f"a {'gain' if bound > 0 else 'loss'} of {wording.points(abs(bound))} points"


def _elsewhere(page: StudyPage, score: Score | None) -> str:
    bounds = assumed_bounds(page, score)
    if bounds is None:
        return ""
    then = tally.verdict_words(page, assumed_verdict(page, score))
    return (
        "For other people no interval can be had from these data; assuming an intraclass "
        f"correlation of {ASSUMED_ICC:.2f} and {ASSUMED_CELLS_PER_CASE} cells a person it would be "
        f"{wording.signed_span(*bounds)} points, and the answer: {then}."
    )
