"""Tables to test with: any table of a shape, and plain manifests."""

import polars as pl
from hypothesis import strategies as st

from leukoscope.records import shapes, tables

AWKWARD = (
    *("", " ", "007", "1e5", "NA", "null", "NaN", "true", "1 2 3 4", "a,b", 'a"b', '""', "a\nb"),
    *("=1+1", "+1", "-1", "@x", "'", "''", "'=1", "\tx", "\r", "\n", "'\n", "ä,ü", "血", "a;b"),
)
TEXT = st.one_of(st.sampled_from(AWKWARD), st.text(max_size=8))
WHOLE = st.integers(-(2**31), 2**31 - 1)
VALUES = {
    shapes.TEXT: TEXT,
    shapes.WHOLE: WHOLE,
    shapes.REAL: st.floats(),
    shapes.BOX: st.lists(WHOLE, min_size=4, max_size=4),
    shapes.BYTES: st.binary(max_size=8),
    shapes.FLAG: st.booleans(),
}


def values_of(shape, name, dtype):
    if name in shape.allowed:
        return st.sampled_from(shape.allowed[name])
    return VALUES[dtype]


def filled(shape):
    """Draw tables of a shape, with every column there and nulls where they may be."""
    columns = {
        name: values_of(shape, name, dtype)
        if name in shape.required
        else st.none() | values_of(shape, name, dtype)
        for name, dtype in shape.columns.items()
    }
    schema = shape.columns
    if shape.open_prefix:
        further = {shape.open_prefix + end: st.none() | st.floats() for end in ("a", 'b, "c"')}
        columns |= further
        schema = schema | dict.fromkeys(further, shapes.REAL)

    def name_of(row):
        return tuple(row[name] for name in shape.key)

    rows = st.lists(st.fixed_dictionaries(columns), max_size=5, unique_by=name_of)
    return rows.map(lambda drawn: pl.DataFrame(drawn, schema=schema))


def manifest_of(rows):
    """Fill up rows that name only what a test is about to a whole manifest."""
    whole = [
        {
            "cell_id": f"c{i:03d}",
            "path": f"{i}.png",
            "content": f"{i:032x}",
            "category": "band",
            "original_label": row.get("category", "band"),
            "family": f"f{i}",
            "source": "folder",
            "width_px": 8,
            "height_px": 8,
            **row,
        }
        for i, row in enumerate(rows)
    ]
    return tables.check(pl.DataFrame(whole, infer_schema_length=None), shapes.MANIFEST)
