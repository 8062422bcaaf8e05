import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference.temperature_reference import best_temperature, negative_log_likelihood

from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.stats.temperature import FEWEST_CELLS, fit_temperature


def drawn(seed, n=60, k=4, sureness=2.0):
    """Draw logits, and true categories by the probabilities they state."""
    random = stream(seed, "logits")
    logits = random.normal(size=(n, k)) * sureness
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    codes = np.array([random.choice(k, p=row) for row in chances])
    return logits, codes


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sureness", [0.3, 2.0, 9.0])
def test_it_is_the_temperature_of_a_slow_search(seed, sureness):
    """A grid that knows nothing of derivatives finds the same, wherever it is."""
    logits, codes = drawn(seed, sureness=sureness)
    found = fit_temperature(logits * 3, codes)
    slow = best_temperature((logits * 3).tolist(), codes.tolist())
    if slow < 50:
        assert found == pytest.approx(slow, rel=1e-4)
    reached = negative_log_likelihood((logits * 3).tolist(), codes.tolist(), found)
    least = negative_log_likelihood((logits * 3).tolist(), codes.tolist(), slow)
    assert reached <= least + 1e-9


@given(st.integers(0, 50), st.floats(1e-3, 1e3), st.floats(-50, 50))
def test_it_grows_with_the_logits_and_ignores_a_shift(seed, scale, shift):
    """Logits s times as large have a temperature s times as high; a shift of a cell is nothing."""
    logits, codes = drawn(seed)
    found = fit_temperature(logits, codes)
    moved = logits * scale + shift * np.arange(len(logits))[:, None] / len(logits)
    assert fit_temperature(moved, codes) == pytest.approx(scale * found, rel=1e-5)


def test_the_order_of_cells_has_no_say():
    """Cells shuffled, and categories renamed, give the same temperature."""
    logits, codes = drawn(3)
    order = stream(1, "order").permutation(len(codes))
    names = np.array([2, 0, 3, 1])
    found = fit_temperature(logits, codes)
    assert fit_temperature(logits[order], codes[order]) == pytest.approx(found, rel=1e-6)
    renamed = fit_temperature(logits[:, np.argsort(names)], names[codes])
    assert renamed == pytest.approx(found, rel=1e-6)


def test_the_temperature_that_was_used_is_found_again():
    """Of many cells drawn by their own probabilities it is 1, and 2.5 of logits 2.5 too large."""
    logits, codes = drawn(7, n=6000)
    assert fit_temperature(logits, codes) == pytest.approx(1, abs=0.08)
    assert fit_temperature(logits * 2.5, codes) == pytest.approx(2.5, abs=0.2)


def test_probabilities_are_left_alone_where_no_temperature_is_best():
    """All calls right, logits that say nothing, or that are wrong whichever way: 1."""
    logits, _ = drawn(2)
    assert fit_temperature(logits, logits.argmax(axis=1)) == 1
    assert fit_temperature(np.ones((30, 3)), np.arange(30) % 3) == 1
    # Called wrong wherever they are sure: the less sure the better, without end.
    wrong = np.array([[0.0, 5.0], [5.0, 0.0]] * 15)
    assert fit_temperature(wrong, [0, 1] * 15) == 1


def test_too_few_cells_or_categories_are_refused():
    """The sentence counts them; with one cell more it is found."""
    logits, codes = drawn(4)
    codes[:2] = (0, 1)
    with pytest.raises(DataError, match=r"20 calibration cells.*there are 19"):
        fit_temperature(logits[: FEWEST_CELLS - 1], codes[: FEWEST_CELLS - 1])
    assert fit_temperature(logits[:FEWEST_CELLS], codes[:FEWEST_CELLS]) > 0
    with pytest.raises(DataError, match="two categories or more"):
        fit_temperature(logits, np.zeros(len(codes), dtype=int))


@pytest.mark.parametrize(
    ("logits", "codes"),
    [
        (np.ones(30), np.zeros(30, dtype=int)),
        (np.ones((30, 3)), np.zeros(29, dtype=int)),
        (np.full((30, 3), np.nan), np.arange(30) % 3),
        (np.ones((30, 3)), np.arange(30) % 4),
        (np.ones((30, 3)), np.arange(30) % 3 - 1),
        (np.ones((30, 3)), np.arange(30) / 30),
    ],
)
def test_arrays_of_another_kind_are_refused(logits, codes):
    """Wrong shapes, undefined logits, codes outside the categories."""
    with pytest.raises(DataError, match="Nothing was fitted"):
        fit_temperature(logits, codes)
