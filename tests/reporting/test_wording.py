"""Numbers are written so that what they say survives the rounding."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.reporting import wording

FRACTION = st.floats(-1, 1).filter(lambda value: value == 0 or abs(value) > 1e-3)


def number(text: str) -> float:
    """Read a written number back."""
    return float(text.replace(wording.MINUS, "-").replace(wording.NARROW_SPACE, ""))


@given(FRACTION)
def test_points_are_true_to_a_decimal(value: float) -> None:
    """What is written differs from the value by half a unit of the last place at most."""
    assert abs(number(wording.points(value)) - 100 * value) <= 0.05 + 1e-9
    assert number(wording.signed(value)) == number(wording.points(value))


@given(FRACTION.filter(bool))
def test_a_difference_is_not_rounded_to_none(value: float) -> None:
    """A difference keeps its sign, however small it is shown."""
    assert number(wording.points(value)) * value > 0
    assert wording.signed(value)[0] == ("+" if value > 0 else wording.MINUS)


@given(FRACTION)
def test_a_loss_mirrors_a_gain(value: float) -> None:
    """Turning the sign turns the sign that is written, and nothing else."""
    assert number(wording.points(-value)) == -number(wording.points(value))
    assert "-" not in wording.points(value)


@pytest.mark.parametrize("write", [wording.percent, wording.points, wording.signed])
def test_undefined_is_a_word(write: object) -> None:
    """What is not known is said, not shown as 0."""
    assert write(None) == "undefined"
    assert "0.0" in write(0.0)


@pytest.mark.parametrize(
    ("margin", "text"), [(0.01, "1.0"), (0.005, "0.5"), (0.0025, "0.25"), (0.1, "10.0")]
)
def test_margins_keep_their_decimals(margin: float, text: str) -> None:
    """A margin is shown as it was named."""
    assert wording.margin_points(margin) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0004, "<\u202f0.001"),
        (0.0123, "0.012"),
        (0.5, "0.50"),
        (1.0, "1.00"),
        (None, "undefined"),
    ],
)
def test_p_values(value: float | None, text: str) -> None:
    """A small p value is bounded, never written as 0."""
    assert wording.p_value(value) == text


@given(st.floats(0, 1e6))
def test_only_no_cell_is_written_as_none(n_cells: float) -> None:
    """A mean count is written as 0 exactly where it is 0."""
    text = wording.mean_count(n_cells, 1)
    assert (text == "0") == (n_cells == 0)
    assert text != "0.0"


@pytest.mark.parametrize(
    ("value", "text"), [(None, "unknown"), (0, "0"), (12345, "12\u202f345"), (2.5, "2.5")]
)
def test_counts(value: float | None, text: str) -> None:
    """Thousands are set apart, and unknown is a word."""
    assert wording.count(value) == text


def test_arm_names_become_words() -> None:
    """Hyphens and underscores become spaces; a name of nothing else stays as it is."""
    assert wording.name_of("online_rotation-200") == "online rotation 200"
    assert wording.name_of("--") == "--"


@given(st.text())
def test_only_control_characters_are_left_out(text: str) -> None:
    """What stays is the text without them, and a second time changes nothing."""
    kept = wording.without_controls(text)
    assert kept == "".join(c for c in text if unicodedata.category(c) != "Cc" or c in "\t\n")
    assert wording.without_controls(kept) == kept


def test_a_method_in_short_has_no_counts():
    """What differs from row to row is left to the tables; the way stays named."""
    for counts in ("51 groups × 8 replicates", "3 groups × 5 replicates"):
        method = f"two-way jackknife t (logit), {counts}, Satterthwaite degrees"
        short = wording.method_in_short(method)
        assert short == "two-way jackknife t (logit), Satterthwaite degrees"


@pytest.mark.parametrize("value", [1e-17, -3e-12])
def test_the_last_bits_of_a_sum_are_no_difference(value: float) -> None:
    """What rounding in the machine makes is written as the 0 that it is."""
    assert wording.signed(value) == wording.points(value) == "0.0"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0004, "< 0.001"), (0.0123, "= 0.012"), (0.5, "= 0.50")]
)
def test_p_values_are_compared(value: float, text: str) -> None:
    """A bounded p value is not called equal."""
    assert wording.compared(value) == text


def test_intervals_do_not_break() -> None:
    """Only the spaces of an interval in brackets are kept together, and no word is changed."""
    text = "raised it (as told) by 2.1 (−0.4 to +3.8; 8 replicates) points (0.1 to 0.2)"
    kept = wording.unbroken(text)
    assert kept.replace(wording.NO_BREAK, " ") == text
    assert "(0.1\u00a0to\u00a00.2)" in kept
    assert "(as told)" in kept


@pytest.mark.parametrize(("number", "text"), [(0, "no"), (4, "four"), (10, "ten"), (11, "11")])
def test_small_counts_are_words(number: int, text: str) -> None:
    """Up to ten a count is a word."""
    assert wording.in_words(number) == text


@given(st.text(), st.integers(1, 30))
def test_shortened_texts_fit(text: str, longest: int) -> None:
    """A text that fits stays; a cut one is as long as allowed and says that it is cut."""
    short = wording.shortened(text, longest)
    assert len(short) <= longest
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))
