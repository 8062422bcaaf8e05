import math
from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference.plan_reference import dealt, dealt_by_category

from leukoscope.augmentation.plan import Amount, check_amount, plan_copies, refuse_empty
from leukoscope.foundation.errors import DataError, UsageError

SIZES = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9), min_size=1)
SEEDS = st.integers(0, 99)


def cells_of(sizes):
    """Name so many cells of each category."""
    return [(f"{category}{i}", category) for category, n in sizes.items() for i in range(n)]


def train_of(sizes):
    return pl.DataFrame(cells_of(sizes), schema=["cell_id", "category"], orient="row")


def copies_of(train, seed=0, **amount):
    planned = plan_copies(train, Amount(**amount), seed)
    return dict(planned.select("cell_id", "n_copies").rows())


# Exact counts, even shares


@given(sizes=SIZES, more=st.integers(0, 60), seed=SEEDS)
def test_a_number_of_cells_is_met_as_if_copies_were_dealt_like_cards(sizes, more, seed):
    """To the last cell, and each cell gets what dealing one at a time gives it."""
    train = train_of(sizes)
    copies = copies_of(train, seed, to=train.height + more)
    assert train.height + sum(copies.values()) == train.height + more
    assert copies == dealt(cells_of(sizes), train.height + more, seed)


@given(sizes=SIZES, more=st.integers(0, 9), seed=SEEDS)
def test_each_category_has_the_number_as_if_dealt_by_itself(sizes, more, seed):
    """All of them the same, whatever they had."""
    train, each = train_of(sizes), max(sizes.values()) + more
    copies = copies_of(train, seed, per_category=each)
    counts = Counter(sizes)
    for cell, n in copies.items():
        counts[cell[0]] += n
    assert set(counts.values()) == {each}
    assert copies == dealt_by_category(cells_of(sizes), each, seed)


@given(sizes=SIZES, seed=SEEDS)
def test_balance_is_the_size_of_the_largest_for_each(sizes, seed):
    """The largest gets no copy, the others what they lack."""
    train, largest = train_of(sizes), max(sizes.values())
    assert copies_of(train, seed, balance=True) == copies_of(train, seed, per_category=largest)
    assert copies_of(train, seed, balance=True) == dealt_by_category(cells_of(sizes), largest, seed)


@given(sizes=SIZES, factor=st.floats(1, 20), seed=SEEDS)
def test_a_factor_is_the_rounded_number(sizes, factor, seed):
    """2 is twice the originals, 1 the originals alone."""
    train = train_of(sizes)
    asked = round(factor * train.height)
    assert copies_of(train, seed, factor=factor) == copies_of(train, seed, to=asked)


def test_nothing_said_is_twice_the_originals():
    """One copy of each cell; the dataset's card says so."""
    assert set(copies_of(train_of({"a": 3, "b": 2})).values()) == {1}
    assert Amount().in_words() == {"factor": 2.0}
    assert Amount(originals=4).in_words() == {"originals": 4, "factor": 2.0}
    assert Amount(balance=True, originals=4).in_words() == {"balance": True, "originals": 4}
    assert Amount(to=9).in_words() == {"to": 9}


@given(sizes=SIZES, more=st.integers(0, 60), seed=SEEDS)
def test_no_cell_is_copied_again_before_all_have_their_copy(sizes, more, seed):
    """Numbers of copies differ by one at most, and each category has its share of the odd ones."""
    train = train_of(sizes)
    copies = copies_of(train, seed, to=train.height + more)
    least = min(copies.values())
    assert max(copies.values()) - least <= 1
    n_odd = sum(n - least for n in copies.values())
    for category, size in sizes.items():
        odd = sum(n - least for cell, n in copies.items() if cell[0] == category)
        assert abs(odd - n_odd * size / train.height) < 1.5


# Nested, and independent of everything else


@given(sizes=SIZES, more=st.integers(0, 40), further=st.integers(0, 40), seed=SEEDS)
def test_a_larger_plan_holds_the_smaller(sizes, more, further, seed):
    """No cell has fewer copies for there being more in all."""
    train = train_of(sizes)
    small = copies_of(train, seed, to=train.height + more)
    large = copies_of(train, seed, to=train.height + more + further)
    assert all(small[cell] <= large[cell] for cell in small)
    each = max(sizes.values()) + more
    small = copies_of(train, seed, per_category=each)
    large = copies_of(train, seed, per_category=each + further)
    assert all(small[cell] <= large[cell] for cell in small)


def test_a_plan_follows_from_its_seed_and_not_from_the_order_of_rows():
    """Shuffled rows give the same; another seed gives others."""
    train = train_of({"a": 40, "b": 20})
    copies = copies_of(train, 1, to=90)
    assert copies_of(train.sample(fraction=1.0, shuffle=True, seed=8), 1, to=90) == copies
    assert copies_of(train, 2, to=90) != copies


def test_the_turn_of_cells_does_not_hang_on_the_others():
    """Of half the cells those are copied first that are copied first of all."""
    train = train_of({"a": 40})
    half = train.filter(pl.int_range(pl.len()) % 2 == 0)
    for to in range(20, 40):
        copied = {cell for cell, n in copies_of(half, to=to).items() if n}
        n_before = next(
            n
            for n in range(41)
            if len({c for c, k in copies_of(train, to=40 + n).items() if k} & set(half["cell_id"]))
            == len(copied)
        )
        of_all = {cell for cell, n in copies_of(train, to=40 + n_before).items() if n}
        assert copied == of_all & set(half["cell_id"])


def test_a_plan_keeps_the_rows_and_adds_one_column():
    """What else the manifest says of a cell stays with it."""
    train = train_of({"a": 3, "b": 2}).with_columns(case=pl.Series(list("vwxyz")))
    planned = plan_copies(train, Amount(to=7), 0)
    assert planned.drop("n_copies").equals(train.sort("cell_id"))


# Refusals

TWO = {"factor": 2.0, "to": 9, "per_category": 5, "balance": True}


@pytest.mark.parametrize("one", TWO)
@pytest.mark.parametrize("other", TWO)
def test_two_ways_of_saying_how_many_are_refused_by_name(one, other):
    """Each pair; each alone is taken."""
    names = {f"--{name.replace('_', '-')}" for name in (one, other)}
    amount = Amount(**{name: TWO[name] for name in (one, other)})
    if one == other:
        check_amount(amount)
        return
    with pytest.raises(UsageError, match=r"Nothing was written\. Give one of them\.$") as seen:
        check_amount(amount)
    assert {word for word in str(seen.value).split() if word.startswith("--")} == names


@pytest.mark.parametrize("factor", [0.99, 0.0, -1.0, 100.5, math.nan, math.inf])
def test_a_factor_that_cannot_be_is_refused(factor):
    """Below one, beyond reason, infinite or no number."""
    with pytest.raises(UsageError, match=r"--factor is .*at least 1.*at most 100"):
        plan_copies(train_of({"a": 2}), Amount(factor=factor), 0)


@pytest.mark.parametrize("originals", [0, -3])
def test_no_originals_are_refused(originals):
    """At least one cell is needed."""
    with pytest.raises(UsageError, match=rf"--originals is {originals}; at least one"):
        check_amount(Amount(originals=originals))


@pytest.mark.parametrize("to", [4, 0, -1])
def test_fewer_cells_than_originals_are_refused(to):
    """Copies only add; the way to fewer originals is told."""
    with pytest.raises(UsageError, match=rf"--to is {to}, .* holds 5 originals.*--originals"):
        plan_copies(train_of({"a": 3, "b": 2}), Amount(to=to), 0)


def test_a_category_that_has_more_is_refused_by_name():
    """None is thrown away; the least number that would do is told."""
    with pytest.raises(UsageError, match=r"more originals are there of a \(5\), c \(4\)") as seen:
        plan_copies(train_of({"a": 5, "b": 2, "c": 4}), Amount(per_category=3), 0)
    assert "Give at least 5" in str(seen.value)


@pytest.mark.parametrize("amount", [{"to": 501}, {"per_category": 251}])
def test_more_than_a_hundred_times_is_refused(amount):
    """A slip of the keyboard would fill the disk."""
    train = train_of({"a": 3, "b": 2})
    with pytest.raises(UsageError, match=r"of 5 originals; at most 100 times as many"):
        plan_copies(train, Amount(**amount), 0)
    plan_copies(train, Amount(**{name: n - 1 for name, n in amount.items()}), 0)


def test_a_category_without_training_cells_is_named():
    """It could not be brought to any number."""
    train = train_of({"a": 3, "b": 2})
    refuse_empty(["b", "a"], train)
    with pytest.raises(DataError, match=r"hold none of c, d: there is nothing to copy"):
        refuse_empty(["d", "a", "c"], train)
