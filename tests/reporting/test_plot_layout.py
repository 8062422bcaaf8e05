"""Words are measured before they are placed, and labels moved no further than they must be."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from leukoscope.reporting.plot_layout import cut, spread, width_pt, wrapped

NUMBERS = st.lists(st.floats(-1, 1), min_size=1, max_size=8)
TEXTS = st.text(alphabet="abc ij W", max_size=40)


@given(NUMBERS, st.floats(0.05, 0.28))
@settings(max_examples=200, deadline=None)
def test_spread_labels_are_apart_and_in_order(values: list[float], apart: float) -> None:
    """Neighbours are at least that far apart, no two change places, and room is kept to."""
    places = spread(values, apart, (-1, 1))
    order = sorted(range(len(values)), key=lambda i: (values[i], i))
    for one, other in itertools.pairwise(order):
        assert places[other] - places[one] >= apart - 1e-9
    assert min(places) >= -1 - 1e-9
    assert max(places) <= 1 + 1e-9


@given(NUMBERS)
@settings(max_examples=40, deadline=None)
def test_labels_that_are_apart_stay(values: list[float]) -> None:
    """Nothing moves that need not."""
    far = [100.0 * place + value / 10 for place, value in enumerate(values)]
    assert spread(far, 20, (-1000, 2000)) == pytest.approx(far)


def test_a_crowded_label_stays_within_its_bounds() -> None:
    """Labels at the edge move inwards."""
    assert spread([1.0, 1.0, 1.0], 0.2, (0, 1)) == pytest.approx([0.6, 0.8, 1.0])


@given(TEXTS, st.floats(5, 120))
@settings(max_examples=60, deadline=None)
def test_a_cut_text_fits(text: str, widest: float) -> None:
    """What fits is whole; what does not ends in an ellipsis and fits then."""
    found = cut(text, widest, 8)
    if width_pt(text, 8) <= widest:
        assert found == text
    else:
        assert found.endswith("…")
        assert text.startswith(found[:-1])
        assert width_pt(found, 8) <= max(widest, width_pt("…", 8))


@given(TEXTS, st.floats(40, 120))
@settings(max_examples=60, deadline=None)
def test_a_wrapped_text_keeps_its_words(text: str, widest: float) -> None:
    """With lines enough, and no word too long, no word is lost."""
    lines = wrapped(text, widest, 8, most=60)
    if not any(line.endswith("…") for line in lines):
        assert " ".join(lines).split() == text.split()
    assert all(width_pt(line, 8) <= widest for line in lines)
    assert len(wrapped(text, widest, 8, most=2)) <= 2


def test_the_measured_width_is_the_drawn_one() -> None:
    """A text is as wide in the figure as it was measured, to a point."""
    figure = Figure(figsize=(7, 1), dpi=72)
    for words in ("metamyelocyte", "99.9 (98.1–100.0)", "i", "immature granulocyte"):
        text = figure.text(0, 0, words, fontsize=8, family="DejaVu Sans")
        figure.draw_without_rendering()
        assert text.get_window_extent().width == pytest.approx(width_pt(words, 8), abs=2)
