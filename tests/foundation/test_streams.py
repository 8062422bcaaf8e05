import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from leukoscope.foundation.errors import UsageError
from leukoscope.foundation.streams import check_seed, key, stream, uniform

NAMES = st.lists(st.one_of(st.integers(-3, 30), st.text("ab1:\x1fstrin", max_size=6)), max_size=4)
GOLDEN_KEYS = (
    311195031918712201969326211500009392862,
    30357769535806071298462856375859340210,
)
GOLDEN_NUMBERS = [0.39090621918091406, 0.4785664883464711]
GOLDEN_ORDER = [0, 4, 6, 3, 1, 7, 2, 5]


def test_the_numbers_are_pinned():
    """A change of these values would change every split, draw and run that was ever made."""
    assert key(0) == GOLDEN_KEYS[0]
    assert key(7, "augment", "pbc:BA/BA_1.jpg", 3) == GOLDEN_KEYS[1]
    drawn = stream(7, "augment", "pbc:BA/BA_1.jpg", 3)
    assert drawn.random(2).tolist() == GOLDEN_NUMBERS
    assert drawn.permutation(8).tolist() == GOLDEN_ORDER


def test_another_process_draws_the_same():
    """Nothing of the process, its string hashing included, enters a key."""
    script = "from leukoscope.foundation.streams import key; print(key(5, 'split', 'ä', 2))"
    for salt in ("0", "1"):
        found = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        )
        assert int(found.stdout) == key(5, "split", "ä", 2)


def test_order_of_opening_and_other_streams_change_nothing():
    """A stream gives the same numbers first or last, alone or between draws of others."""
    alone = stream(1, "a").random(5)
    other, late = stream(1, "b"), stream(1, "a")
    woven = []
    for _ in range(5):
        other.random(3)
        stream(2, "a").normal()
        woven.append(late.random())
    np.testing.assert_array_equal(alone, woven)


@given(st.integers(0, 5), NAMES, st.integers(0, 5), NAMES)
def test_different_names_give_different_keys(seed, names, other_seed, other_names):
    """Two keys are equal only if seed and every name are, in kind and in order."""

    def kinds(number, parts):
        return [number, *((type(part), part) for part in parts)]

    is_same = kinds(seed, names) == kinds(other_seed, other_names)
    assert (key(seed, *names) == key(other_seed, *other_names)) == is_same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1,), ("1",)),
        (("a", "bc"), ("ab", "c")),
        (("a", "b"), ("a\x1fstr:b",)),
        (("a\x1f", "b"), ("a", "\x1fb")),
        (("a", "b"), ("b", "a")),
        (("a",), ("a", "")),
    ],
)
def test_names_that_look_alike_are_told_apart(one, other):
    """Neither kind, nor place, nor a separator inside a name lets two names run together."""
    assert key(0, *one) != key(0, *other)


def test_numbers_of_numpy_are_numbers():
    """An index taken from an array names the same stream as the plain number."""
    assert key(np.int64(3), "a", np.int32(4)) == key(3, "a", 4)
    assert key(3, np.str_("a")) == key(3, "a")


def test_a_fraction_is_no_name():
    """A float is refused instead of being rounded to its neighbour's stream."""
    with pytest.raises(TypeError):
        key(0, 1.5)


def test_neighbouring_streams_are_even_together():
    """First numbers of streams that differ in the last name alone fill the interval evenly."""
    first = [stream(3, "augment", "cell", copy).random() for copy in range(4000)]
    counts, _ = np.histogram(first, bins=20, range=(0, 1))
    assert stats.chisquare(counts).pvalue > 0.001
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.05


@pytest.mark.parametrize("seed", [-1, 1.7, 2.0, "3", None])
def test_what_is_no_seed_is_refused(seed):
    """Nothing is rounded, read or turned round."""
    with pytest.raises(UsageError, match=r"--seed is .*whole number of at least 0"):
        check_seed(seed)


@pytest.mark.parametrize("seed", [0, 7, np.int64(3), 2**70])
def test_whole_numbers_are_seeds(seed):
    """Of any size, numpy's too."""
    check_seed(seed)


@given(st.integers(0, 9), st.integers(0, 2**70), NAMES)
def test_the_first_numbers_of_a_stream_need_not_open_it(n, seed, names):
    """Drawn fast or from an opened stream: the same numbers, whatever was drawn before."""
    np.testing.assert_array_equal(uniform(n, seed, *names), stream(seed, *names).random(n))


def test_threads_do_not_draw_from_each_others_streams():
    """Many threads at once draw what one draws alone."""
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda i: uniform(5, 1, "thread", i).tolist(), range(2000)))
    assert drawn == [stream(1, "thread", i).random(5).tolist() for i in range(2000)]
