"""Several arms in one sentence, then a short line an arm, then once what all have in common."""

from collections.abc import Sequence
from typing import NamedTuple

from leukoscope.evaluation.results import ASSUMED_CELLS_PER_CASE
from leukoscope.reporting import wording
from leukoscope.reporting.contents import Score, Scores, StudyPage, arm_order
from leukoscope.reporting.verdicts import (
    assumed_bounds,
    assumed_verdict,
    comparisons,
    interval_says,
    primary_score,
    verdict_of,
    widening,
)
from leukoscope.stats.design import ASSUMED_ICC
from leukoscope.stats.verdicts import LARGEST_P, Verdict

ORDER: tuple[Verdict, ...] = ("helps", "harms", "no difference larger than m", "undecided")
"""In which order a tally tells the verdicts."""


class ArmLine(NamedTuple):
    """Say of one arm what the tally leaves open: its verdict, and what the interval allows."""

    name: str
    verdict: str
    allows: str

    @property
    def text(self) -> str:
        """Join all to a sentence or two."""
        return f"{self.name}: {self.verdict}{self.allows}"


class _Found(NamedTuple):
    arm: str
    score: Score | None
    verdict: Verdict


def lead(page: StudyPage, scores: Scores) -> str:
    """Sum several arms up in one sentence.

    Returns
    -------
    str
        How many help, harm, show no difference larger than m or are undecided; each is
        named with its difference in points and the 95 % interval. That none helps is said.
    """
    found = _found(page, scores)
    groups = [(each, [one for one in found if one.verdict == each]) for each in ORDER]
    parts = [_group(page, each, members) for each, members in groups if members or each == "helps"]
    return (
        f"Of {wording.in_words(len(found))} arms compared with {wording.name_of(page.baseline)} in "
        f"{metric_words(page)} (difference in points, 95 % interval), {'; '.join(parts)}."
    )


def lines(page: StudyPage, scores: Scores) -> tuple[ArmLine, ...]:
    """Say of each arm, in the page's order, what the tally leaves open."""
    return tuple(
        ArmLine(
            wording.sentence_case(wording.name_of(one.arm)),
            verdict_words(page, one.verdict),
            _allows(page, one),
        )
        for one in _found(page, scores)
    )


def behind(page: StudyPage, scores: Scores) -> str:
    """Say what stands behind all differences, and the margin."""
    return (
        f"Behind each difference stand {_all_evidence(page, _found(page, scores))}; the least "
        f"difference that matters, {wording.margin_points(page.margin)} points, was named "
        "beforehand."
    )


def common(page: StudyPage, scores: Scores) -> tuple[str, ...]:
    """Say whom the intervals of all arms speak of and what they leave out, a sentence each."""
    found = _found(page, scores)
    m = wording.in_words(comparisons(page))
    texts = [
        (
            "The intervals are not adjusted for their number; an arm helps or harms only if its "
            f"p value, adjusted for {m} comparisons, is at most {LARGEST_P:g} too."
        ),
    ]
    if any(assumed_bounds(page, one.score) for one in found):
        texts.append(
            "This speaks of other cells of this collection only. For other people no interval can "
            f"be had from these data; assuming an intraclass correlation of {ASSUMED_ICC:.2f} and "
            f"{ASSUMED_CELLS_PER_CASE} cells a person each would be {widening():.2f} times as "
            "wide, before any adjusting; an arm is said to help or harm other people only if "
            f"0 lies outside an interval widened further for {m} comparisons (Bonferroni), too."
        )
    return tuple(texts)


def metric_words(page: StudyPage) -> str:
    """Name the primary metric, and its view where it is not the strict one."""
    merged = " with neutrophils merged" if page.view == "merged" else ""
    return wording.metric_name(page.metric) + merged


def verdict_words(page: StudyPage, found: Verdict) -> str:
    """Write a verdict with the margin in its place: no difference larger than 1.0 points."""
    if found == "no difference larger than m":
        return f"no difference larger than {wording.margin_points(page.margin)} points"
    return found


def evidence(page: StudyPage, score: Score) -> str:
    """Say how many replicates and how many independent groups stand behind a difference."""
    return f"{_replicates(page)}, {_groups(page, score)}"


def gain_or_loss(found: Verdict, low: float, high: float, margin: float) -> tuple[str, bool]:
    """Name what helps or harms, and tell whether the whole interval reaches the margin."""
    return ("gain", low >= margin) if found == "helps" else ("loss", high <= -margin)


def possible(low: float, high: float, margin: float) -> str:
    """Say which differences that matter an undecided interval leaves possible."""
    if low <= -margin and high >= margin:
        return "a gain and a loss that matter are both possible"
    if high >= margin:
        return "a gain that matters is possible, a loss that matters is not"
    return "a loss that matters is possible, a gain that matters is not"


def _found(page: StudyPage, scores: Scores) -> list[_Found]:
    arms = [(arm, primary_score(page, scores, arm)) for arm in arm_order(page)[1:]]
    return [_Found(arm, score, verdict_of(page, score)) for arm, score in arms]


def _group(page: StudyPage, found: Verdict, members: Sequence[_Found]) -> str:
    if not members:
        return "none helps"
    n = len(members)
    verb = {
        "helps": "helps" if n == 1 else "help",
        "harms": "harms" if n == 1 else "harm",
        "no difference larger than m": (
            f"{'shows' if n == 1 else 'show'} {verdict_words(page, 'no difference larger than m')}"
        ),
        "undecided": f"{'is' if n == 1 else 'are'} undecided",
    }[found]
    many = wording.in_words(n)
    if n == comparisons(page):
        many = {1: "it", 2: "both"}.get(n, f"all {many}")
    return f"{many} {verb}: " + ", ".join(_named(one) for one in members)


def _named(one: _Found) -> str:
    name, score = wording.name_of(one.arm), one.score
    if score is None:
        return f"{name} (no finished pair of replicates yet)"
    if score.value is None:
        return f"{name} (undefined: {wording.reason(score.method)})"
    shown = f"{name} {wording.signed(score.value)}"
    if score.bounds is None:
        return f"{shown} (no interval: {wording.reason(score.method)})"
    return f"{shown} ({wording.signed_span(*score.bounds[1:])})"


def _allows(page: StudyPage, one: _Found) -> str:
    if one.score is None or one.score.bounds is None:
        return "."
    _, low, high = one.score.bounds
    text = _against_margin(page, one.score, one.verdict, low, high)
    bounds = assumed_bounds(page, one.score)
    if bounds:
        then = verdict_words(page, assumed_verdict(page, one.score))
        text += f" For other people, as assumed below: {wording.signed_span(*bounds)}, {then}."
    return text


def _against_margin(page: StudyPage, score: Score, found: Verdict, low: float, high: float) -> str:
    margin = f"{wording.margin_points(page.margin)} points"
    if found == "no difference larger than m":
        return "; the interval excludes a gain as well as a loss of that size."
    if found == "undecided":
        if interval_says(page, score) == "undecided":
            return f"; {possible(low, high, page.margin)}."
        p_value = score.p_value if score.p_adjusted is None else score.p_adjusted
        shown = "" if p_value is None else f" (p = {wording.p_value(p_value)})"
        return f" after adjusting for {comparisons(page)} comparisons{shown}."
    word, reached = gain_or_loss(found, low, high, page.margin)
    if reached:
        return f"; the whole interval is a {word} of at least {margin}."
    return f"; a {word} is shown, whether it reaches {margin} is not."


def _all_evidence(page: StudyPage, found: Sequence[_Found]) -> str:
    known = dict.fromkeys(_groups(page, one.score) for one in found if one.score)
    return " and ".join([_replicates(page), *([" or ".join(known)] if known else [])])


def _replicates(page: StudyPage) -> str:
    return wording.counted(page.n_replicates, "replicate", "replicates")


def _groups(page: StudyPage, score: Score) -> str:
    one, many = wording.UNITS[page.unit]
    number = score.n_cases if page.unit == "case" else score.n_families
    return f"unknown number of {many}" if number is None else wording.counted(number, one, many)
