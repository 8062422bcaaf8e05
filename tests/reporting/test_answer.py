"""The answer says the verdict, its uncertainty and whom it speaks of, and no more."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reporting.example import example, with_primary

from leukoscope.evaluation.results import AS_IF_CASES
from leukoscope.reporting.answer import answer_sentence
from leukoscope.reporting.contents import StudyPage
from leukoscope.reporting.verdicts import widened


def answer(low: float | None, high: float | None, **changes: object) -> str:
    """Answer for an interval whose middle is the difference; the margin is 1 point."""
    page = replace(PAGE, **changes)
    value = 0.012 if low is None or high is None else (low + high) / 2
    return answer_sentence(with_primary(page, value=value, low=low, high=high))


PAGE: StudyPage = example(n_replicates=2)
PAGE = replace(PAGE, n_replicates=8)


def test_a_gain_helps() -> None:
    """A gain is told in points, with its interval and what stands behind it."""
    assert answer(0.004, 0.038) == (
        "Online rotation raised macro-F by 2.1 points "
        "(95 % interval 0.4 to 3.8; 8 replicates, 51 cases): it helps."
    )


def test_a_loss_harms() -> None:
    """A loss is told with its sign wherever the sign could be mistaken."""
    assert answer(-0.038, -0.004) == (
        "Online rotation lowered macro-F by 2.1 points (difference −2.1, "
        "95 % interval −3.8 to −0.4; 8 replicates, 51 cases): it harms."
    )


@pytest.mark.parametrize(("low", "high"), [(-0.004, 0.006), (0.001, 0.009), (-0.009, -0.001)])
def test_no_difference_that_matters(low: float, high: float) -> None:
    """Within the margin there is no help and no harm, even where 0 is excluded."""
    text = answer(low, high)
    assert text.endswith(": no difference larger than 1.0 points.")
    assert "Online rotation changed macro-F by" in text
    assert "helps" not in text
    assert "harms" not in text


@pytest.mark.parametrize(
    ("low", "high", "allowed", "possible"),
    [
        (
            *(-0.02, 0.03, "from a loss of 2.0 points to a gain of 3.0 points"),
            "a gain and a loss that matter are both possible",
        ),
        (
            *(-0.006, 0.022, "from a loss of 0.6 points to a gain of 2.2 points"),
            "a gain that matters is possible, a loss that matters is not",
        ),
        (
            *(-0.022, 0.006, "from a loss of 2.2 points to a gain of 0.6 points"),
            "a loss that matters is possible, a gain that matters is not",
        ),
        (
            *(0.0, 0.02, "from no difference to a gain of 2.0 points"),
            "a gain that matters is possible, a loss that matters is not",
        ),
    ],
)
def test_undecided_says_what_is_allowed(
    low: float, high: float, allowed: str, possible: str
) -> None:
    """An undecided answer names both ends, and measures them against the margin."""
    text = answer(low, high)
    assert "): undecided. The interval allows anything " + allowed in text
    assert text.endswith(
        f"measured against the 1.0 points named beforehand as the least that matters, {possible}."
    )


@pytest.mark.parametrize("bounds", [(None, None), (0.004, None), (math.nan, math.nan)])
def test_without_an_interval_nothing_is_decided(bounds: tuple[float | None, float | None]) -> None:
    """A missing bound, null or NaN, leaves the answer undecided and is explained."""
    page = with_primary(
        PAGE, value=0.012, low=bounds[0], high=bounds[1], method="undefined: fewer than 2 groups"
    )
    assert answer_sentence(page) == (
        "Online rotation changed macro-F by +1.2 points (8 replicates, 51 cases); "
        "no interval (fewer than 2 groups): undecided."
    )


def test_an_undefined_difference_is_called_so() -> None:
    """A null difference is never told as 0."""
    page = with_primary(PAGE, value=None, low=None, high=None, method="undefined: no cells")
    text = answer_sentence(page)
    assert text == "Online rotation: the difference in macro-F is undefined (no cells): undecided."


def test_an_arm_without_a_result_is_named() -> None:
    """An arm that has no pair of replicates yet is not passed over."""
    page = replace(PAGE, results=PAGE.results.filter(PAGE.results["baseline"].is_null()))
    assert answer_sentence(page) == (
        "Online rotation has no finished pair of replicates yet: undecided."
    )


def test_families_speak_of_this_collection_only() -> None:
    """Where no case is known the sentence says so and gives the wider interval beside it."""
    text = answer(0.004, 0.038, unit="family")
    assert "8 replicates, 880 families): it helps; this speaks of other cells of this" in text
    assert "collection only." in text
    # ±1.7 points × √(1 + 49 × 0.05) = ±3.16 around 2.1.
    assert "correlation of 0.05 and 50 cells a person it would be −1.1 to +5.3 points" in text
    assert text.endswith("and the answer: undecided.")
    assert "collection" not in answer(0.004, 0.038)


def test_few_replicates_are_exploratory() -> None:
    """Under five replicates the first word is a warning."""
    assert answer(0.004, 0.038, n_replicates=4).startswith("Exploratory: online rotation raised")
    assert "xploratory" not in answer(0.004, 0.038, n_replicates=5)


def test_the_merged_view_is_named() -> None:
    """An answer about merged neutrophils says so."""
    page = replace(PAGE, view="merged")
    assert "macro-F with neutrophils merged by" in answer_sentence(page)


def test_one_comparison_needs_no_adjusting() -> None:
    """With two arms the interval decides alone."""
    page = with_primary(PAGE, value=0.021, low=0.004, high=0.038, p_value=0.06, p_adjusted=0.06)
    assert answer_sentence(page).endswith(": it helps.")


def test_the_assumption_is_that_of_the_results() -> None:
    """The sentence names the numbers the results' own wider rows name."""
    numbers = re.findall(r"[\d.]+", AS_IF_CASES)
    text = answer(0.004, 0.038, unit="family")
    assert f"correlation of {numbers[1]} and {numbers[0]} cells a person" in text


def test_the_answer_obeys_no_control_character() -> None:
    """A terminal is told words only."""
    arms = {"none": "", "a\x1b[31mb\x07": ""}
    text = answer_sentence(example(arms=arms, n_replicates=2))
    assert text.isprintable()
    assert "a[31mb" in text


@given(
    value=st.floats(-1, 1), below=st.floats(0, 1), above=st.floats(0, 1), scale=st.floats(0.1, 1)
)
def test_widening_stretches_about_the_value(
    value: float, below: float, above: float, scale: float
) -> None:
    """Each half width grows by √3.45, on its own side, in proportion."""
    low, high = widened(value, value - below, value + above)
    assert value - low == pytest.approx(math.sqrt(3.45) * below, abs=1e-12)
    assert high - value == pytest.approx(math.sqrt(3.45) * above, abs=1e-12)
    less, more = widened(value, value - scale * below, value + scale * above)
    assert low - 1e-12 <= less <= more <= high + 1e-12
