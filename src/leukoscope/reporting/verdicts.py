"""One of four verdicts an arm: what its interval says, against the margin and the comparisons."""

import math

from leukoscope.evaluation.results import ASSUMED_CELLS_PER_CASE
from leukoscope.reporting.contents import Key, Score, Scores, StudyPage
from leukoscope.stats.design import ASSUMED_ICC, design_effect
from leukoscope.stats.verdicts import Verdict, outlasts_adjusting, verdict

FEWEST_REPLICATES = 5
"""A study of fewer replicates is called exploratory."""


def primary_score(page: StudyPage, scores: Scores, arm: str) -> Score | None:
    """Look up an arm's difference from the baseline in the primary metric and view."""
    return scores.get(Key(arm, page.metric, page.view, baseline=page.baseline))


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
    found = interval_says(page, score)
    return "undecided" if is_lost_by_adjusting(page, score, found) else found


def interval_says(page: StudyPage, score: Score | None) -> Verdict:
    """Conclude from an interval alone, whatever the number of comparisons."""
    bounds = score and score.bounds
    return verdict(*bounds[1:], page.margin) if bounds else "undecided"


def is_lost_by_adjusting(page: StudyPage, score: Score | None, found: Verdict) -> bool:
    """Tell whether a help or harm does not outlast the adjusting for several comparisons."""
    if score is None or found not in ("helps", "harms"):
        return False
    p_value = score.p_value if score.p_adjusted is None else score.p_adjusted
    return not outlasts_adjusting(p_value, comparisons(page))


def comparisons(page: StudyPage) -> int:
    """Count the planned comparisons: every arm but the baseline."""
    return len(page.arms) - 1


def is_exploratory(page: StudyPage) -> bool:
    """Say whether a study has too few replicates for more than a first look."""
    return page.n_replicates < FEWEST_REPLICATES


def widening() -> float:
    """Give the factor by which intervals over cells grow for other people, √(design effect)."""
    return math.sqrt(design_effect(ASSUMED_ICC, ASSUMED_CELLS_PER_CASE))


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
    return value - widening() * (value - low), value + widening() * (high - value)


def assumed_bounds(page: StudyPage, score: Score | None) -> tuple[float, float] | None:
    """Widen the interval over families for other people; None where cases are known or none is."""
    if page.unit != "family" or score is None or score.bounds is None:
        return None
    return widened(*score.bounds)


def assumed_verdict(page: StudyPage, score: Score | None) -> Verdict:
    """Conclude from the widened interval.

    Returns
    -------
    str
        Undecided without one. Of several comparisons an arm helps or harms other people only
        if what adjusting asks of the first interval holds, and 0 lies outside the widened one
        made wider still, by :func:`adjusting`.
    """
    bounds = assumed_bounds(page, score)
    if bounds is None or score is None or score.value is None:
        return "undecided"
    found: Verdict = verdict(*bounds, page.margin)
    if found not in ("helps", "harms"):
        return found
    low, high = (score.value + adjusting(page) * (bound - score.value) for bound in bounds)
    lost = low <= 0 <= high or is_lost_by_adjusting(page, score, found)
    return "undecided" if lost else found


def adjusting(page: StudyPage) -> float:
    """Give the factor by which an interval grows for the number of comparisons (Bonferroni).

    The ratio of the normal quantiles at 1 − .025/m and .975; 1 of one comparison.
    """
    from scipy.special import ndtri

    # The results hold no p value of a widened interval that Holm could adjust. Bonferroni needs
    # none and asks for no less than Holm; of few degrees t's ratio would be somewhat larger.
    return float(ndtri(1 - 0.025 / max(comparisons(page), 1)) / ndtri(0.975))
