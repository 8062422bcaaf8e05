import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.records import shapes
from leukoscope.records.lineage import ISOLATED, is_copy, is_generated, is_rendering

PARTS = st.lists(st.sampled_from(["a", "b", "generator:run-3", "+", "1", ISOLATED]), max_size=4)
NAMES = PARTS.map("".join)
ROWS = st.lists(st.tuples(NAMES, st.none() | NAMES, st.none() | st.integers(0, 9)), max_size=12)


def told(rows):
    """Ask of rows of cell, origin and copy number whether each is a rendering, or a copy."""
    schema = {name: shapes.MANIFEST.columns[name] for name in ("cell_id", "origin", "copy")}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    return table.select(rendering=is_rendering(), copy=is_copy()).rows()


@given(ROWS)
def test_a_row_is_an_original_a_rendering_or_a_copy(rows):
    """One of the three and never null, against the slow way; the copy's number changes nothing."""
    for (cell_id, origin, _), seen in zip(rows, told(rows), strict=True):
        named_after = origin is not None and cell_id == origin + "+isolated"
        assert seen == (named_after, origin is not None and not named_after)
    assert told([(cell_id, origin, None) for cell_id, origin, _ in rows]) == told(rows)


@given(NAMES, st.integers(1, 99), st.integers(1, 3))
def test_copies_of_renderings_are_copies_and_renderings_of_renderings_none(name, number, times):
    """However often a background was removed, what is made of the cell after is a copy."""
    alone = name + ISOLATED * times
    again, copied = alone + ISOLATED, f"{alone}+flips-{number}"
    assert told([(again, alone, None), (copied, alone, number), (copied, alone, None)]) == [
        (True, False),
        (False, True),
        (False, True),
    ]


def test_rows_of_a_generator_are_copies():
    """With a number or without, and under any name but the one of a rendering."""
    made = [("g1", "generator:run-3", None), ("g2", "generator:run-3", 7)]
    near = [("a+isolated ", "a", None), ("b+isolated", "a", None), ("a", "a+isolated", None)]
    assert told(made + near) == [(False, True)] * 5


@given(ROWS)
def test_a_generated_row_is_a_copy_whose_origin_is_a_generator(rows):
    """Never null, against the slow way; no rendering but one that is named after a generator."""
    schema = {name: shapes.MANIFEST.columns[name] for name in ("cell_id", "origin", "copy")}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    seen = table.select(is_generated()).to_series().to_list()
    assert seen == [(origin or "").startswith("generator:") for _, origin, _ in rows]
