"""The answer of a comparison of trained models: one of four words each, with its uncertainty."""

from typing import NamedTuple

from leukoscope.evaluation.results import ASSUMED_CELLS_PER_CASE
from leukoscope.reporting import wording
from leukoscope.reporting.evaluated import (
    ComparisonPage,
    Name,
    Number,
    Numbers,
    ask,
    models_of,
    scored_cells,
)
from leukoscope.reporting.evaluation_words import groups_of
from leukoscope.reporting.grids import reason
from leukoscope.reporting.tally import gain_or_loss, possible
from leukoscope.stats.design import ASSUMED_ICC
from leukoscope.stats.verdicts import LARGEST_P, Verdict, planned_verdict, verdict


class ModelAnswer(NamedTuple):
    """Answer for one model: its name, one of four words, and what stands behind it."""

    name: str
    word: str
    text: str


def answers(page: ComparisonPage, numbers: Numbers) -> list[ModelAnswer]:
    """Answer for each model but the baseline, in the page's order."""
    return [
        ModelAnswer(
            wording.sentence_case(wording.name_of(arm)),
            in_words(page, verdict_of(page, numbers, arm)),
            _evidence(page, numbers, arm),
        )
        for arm in models_of(page)[1:]
    ]


def lead(page: ComparisonPage, numbers: Numbers) -> str:
    """Say what was compared, in one sentence."""
    number = scored_cells(numbers, page.baseline)
    others = models_of(page)[1:]
    count = wording.sentence_case(wording.in_words(len(others)))
    many = f"{count} model was" if len(others) == 1 else f"{count} models were"
    cells = wording.counted(number.n_cells or 0, "cell", "cells")
    return (
        f"{many} compared with {wording.name_of(page.baseline)} in "
        f"{wording.metric_name(page.metric)}, on the same {cells} of {groups_of(number)}:"
    )


def common(page: ComparisonPage, numbers: Numbers) -> list[str]:
    """Say what holds for all answers, a sentence or two each."""
    number = scored_cells(numbers, page.baseline)
    told = [
        (
            "These words are about these very trained models, not about the ways they were "
            "trained: another training of each would come out otherwise, and a study asks how."
        ),
        (
            "Better and worse mean that the whole 95 % interval lies on that side of 0; the "
            f"margin of {wording.margin_points(page.margin)} points, the least difference that "
            "matters, was named beforehand."
        ),
    ]
    m = len(models_of(page)) - 1
    if m > 1:
        told.append(
            "The intervals are not adjusted for their number; a model is called better or worse "
            f"only if its p value, adjusted by Holm for {wording.in_words(m)} comparisons, is at "
            f"most {LARGEST_P:g} too."
        )
    if number.unit == "family":
        told.append(
            "The persons behind the cells are not known: this speaks of other cells of this "
            "collection only. What is said for other people assumes "
            f"{ASSUMED_CELLS_PER_CASE} cells a person, alike at an intraclass correlation of "
            f"{ASSUMED_ICC:g}."
        )
    return told


def primary(page: ComparisonPage, numbers: Numbers, arm: str) -> Number | None:
    """Look up a model's difference from the baseline in the primary metric, strict."""
    return ask(numbers, Name(page.metric, arm=arm, baseline=page.baseline))


def verdict_of(page: ComparisonPage, numbers: Numbers, arm: str) -> Verdict:
    """Conclude from a model's primary difference.

    Parameters
    ----------
    page : ComparisonPage
        Whose margin and number of models count.
    numbers : mapping
        Its numbers.
    arm : str
        The model.

    Returns
    -------
    str
        What the jackknife t interval says against the margin; undecided without one. Of
        several models one is better or worse only if its adjusted p value is at most
        :data:`~leukoscope.stats.verdicts.LARGEST_P` too.
    """
    number = primary(page, numbers, arm)
    return _verdict(page, number, number.p_adjusted if number else None)


def in_words(page: ComparisonPage, found: Verdict) -> str:
    """Write a verdict about a model."""
    margin = wording.margin_points(page.margin)
    return {
        "helps": "better",
        "harms": "worse",
        "no difference larger than m": f"no difference larger than {margin} points",
        "undecided": "undecided",
    }[found]


def _interval_says(page: ComparisonPage, number: Number | None) -> Verdict:
    bounds = number.bounds if number else None
    return verdict(*bounds[1:], page.margin) if bounds else "undecided"


def _verdict(page: ComparisonPage, number: Number | None, p_adjusted: float | None) -> Verdict:
    bounds = number.bounds if number else None
    within = bounds[1:] if bounds else None
    return planned_verdict(within, page.margin, p_adjusted, len(models_of(page)) - 1)


def _evidence(page: ComparisonPage, numbers: Numbers, arm: str) -> str:
    number = primary(page, numbers, arm)
    if number is None:
        return "the difference was not measured."
    if number.value is None:
        return f"the difference is undefined ({reason(number.method)})."
    shown = (
        f"difference in {wording.metric_name(page.metric)} {wording.signed(number.value)} points"
    )
    if number.bounds is None:
        return f"{shown}, no interval ({reason(number.method)})."
    _, low, high = number.bounds
    text = f"{shown} (95 % interval {wording.signed_span(low, high)})"
    text += _against_margin(page, number, verdict_of(page, numbers, arm))
    assumed = ask(numbers, Name(page.metric, arm=arm, baseline=page.baseline, kind="as if"))
    return text + _for_others(page, assumed)


def _against_margin(page: ComparisonPage, number: Number, found: Verdict) -> str:
    assert number.bounds is not None
    _, low, high = number.bounds
    if found == "no difference larger than m":
        return "; the interval excludes a gain as well as a loss of that size."
    if found == "undecided":
        if _interval_says(page, number) == "undecided":
            return f"; {possible(low, high, page.margin)}."
        p_value = number.p_adjusted
        with_p = "" if p_value is None else f", p {wording.compared(p_value)}"
        return f"; after adjusting for several comparisons it may be chance{with_p}."
    word, reached = gain_or_loss(found, low, high, page.margin)
    margin = f"{wording.margin_points(page.margin)} points"
    if reached:
        return f"; the whole interval is a {word} of at least {margin}."
    return f"; whether the {word} reaches {margin} is not shown."


def _for_others(page: ComparisonPage, assumed: Number | None) -> str:
    if assumed is None or assumed.bounds is None:
        return ""
    span = wording.signed_span(*assumed.bounds[1:])
    word = in_words(page, _verdict(page, assumed, assumed.p_adjusted))
    return f" For other people, as assumed below: {span}, {word}."
