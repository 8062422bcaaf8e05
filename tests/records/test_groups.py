import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import groups_reference

from leukoscope.foundation.errors import DataError
from leukoscope.records.groups import check_apart, groups_of, unit_of

CASES = st.none() | st.sampled_from(["", "a", "b", "c", "d", "e", "f"])
CELLS = st.lists(st.tuples(CASES, st.sampled_from("pqrstuvw")), max_size=14)
SCHEMA = {"case": pl.String, "family": pl.String}


def table_of(cells):
    return pl.DataFrame(cells, schema=SCHEMA, orient="row")


@given(CELLS)
def test_groups_agree_with_walking_from_cell_to_cell(cells):
    """Cells joined by a case or a family, directly or through others, and no more, are together."""
    expected = groups_reference.groups([c for c, _ in cells], [f for _, f in cells])
    found = groups_of(table_of(cells))
    assert found.dtype == np.int64
    assert found.tolist() == expected


def test_a_chain_of_shared_families_joins_all_its_cases():
    """A duplicate filed under two cases joins them, and theirs, into one group."""
    cells = [("a", "1"), ("b", "1"), ("b", "2"), ("c", "2"), ("d", "3"), (None, "3"), (None, "4")]
    assert groups_of(table_of(cells)).tolist() == [0, 0, 0, 0, 1, 1, 2]


def test_unknown_cases_join_nobody():
    """Cells whose case is not known are not taken for one person's."""
    assert groups_of(table_of([(None, "1"), (None, "2"), ("", "3"), ("", "4")])).tolist() == [
        *(0, 1),
        *(2, 2),
    ]


def test_a_long_chain_is_followed_to_its_end():
    """Ten thousand cases joined link by link are one group."""
    cells = [(f"c{i // 2}", f"f{(i + 1) // 2}") for i in range(20_000)]
    assert set(groups_of(table_of(cells)).tolist()) == {0}


@given(CELLS, st.data())
def test_torn_groups_are_found_exactly(cells, data):
    """A division is refused just when a group is torn; the count and two torn cells are named."""
    numbers = groups_of(table_of(cells))
    n = len(cells)
    sides = data.draw(st.lists(st.sampled_from(["train", "test"]), min_size=n, max_size=n))
    ids = [f"<{i}>" for i in range(n)]
    torn = groups_reference.torn(numbers.tolist(), sides)
    series = pl.Series(sides, dtype=pl.String)
    if not torn:
        check_apart(numbers, series, ids)
        return
    with pytest.raises(DataError, match=rf"^{len(torn)} groups") as caught:
        check_apart(numbers, series, ids)
    one, other = (int(place) for place in re.findall(r"<(\d+)> in", str(caught.value)))
    assert numbers[one] == numbers[other]
    assert numbers[one] in torn
    assert sides[one] != sides[other]


def test_one_planted_cell_is_enough():
    """Of a thousand groups rightly divided, the one with a single cell astray is named."""
    numbers = np.repeat(np.arange(1000), 3)
    sides = np.where(numbers % 5 == 0, "test", "train")
    ids = [f"cell{i}" for i in range(3000)]
    check_apart(numbers, pl.Series(sides), ids)
    sides[1504] = "test"
    with pytest.raises(DataError, match=r"^1 groups.*cell1503 in train and cell1504 in test"):
        check_apart(numbers, pl.Series(sides), ids)


def test_the_unit_is_the_case_only_where_all_are_known():
    """One unknown case makes families the unit; so does a table without cells."""
    assert unit_of(table_of([("a", "1"), ("b", "2")])) == "case"
    assert unit_of(table_of([("a", "1"), (None, "2")])) == "family"
    assert unit_of(table_of([])) == "family"
