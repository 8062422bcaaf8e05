import csv

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.records.tabling import filled, manifest_of

from leukoscope.foundation.errors import SchemaError, UsageError
from leukoscope.records import shapes, tables

SHAPES = [value for value in vars(shapes).values() if isinstance(value, shapes.Shape)]
SHAPE_AND_TABLE = st.sampled_from(SHAPES).flatmap(lambda s: st.tuples(st.just(s), filled(s)))
SPLITS = [{"repeat": 0, "fold": 0, "cell_id": name, "split": "train"} for name in "abc"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


def test_every_kind_of_table_is_tested():
    """All shapes of the module are drawn from here, the manifest among them."""
    assert len(SHAPES) >= 7
    assert shapes.MANIFEST in SHAPES


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
@settings(max_examples=60)
@given(drawn=SHAPE_AND_TABLE)
def test_what_is_written_is_read(folder, ending, drawn):
    """Reading gives what was written: nulls, signs, quotes, line ends, digits, boxes and all."""
    shape, table = drawn
    path = folder / f"x{ending}"
    written = tables.write_table(path, table, shape)
    assert_frame_equal(tables.read_table(path, shape), written, check_exact=True)
    assert_frame_equal(
        written, table.select(written.columns), check_exact=True, check_row_order=not shape.ordered
    )


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
@settings(max_examples=30)
@given(drawn=SHAPE_AND_TABLE, data=st.data())
def test_order_of_rows_and_columns_does_not_show(folder, ending, drawn, data):
    """However rows and columns stood, an ordered table gives the same file, byte for byte."""
    shape, table = drawn
    order = data.draw(st.permutations(range(table.height)))
    names = data.draw(st.permutations([name for name in table.columns if name[:2] != "p_"]))
    names += [name for name in table.columns if name[:2] == "p_"]
    one, other = folder / f"one{ending}", folder / f"other{ending}"
    tables.write_table(one, table, shape)
    shuffled = table.select(names)[list(order)] if table.height else table.select(names)
    written = tables.write_table(other, shuffled, shape)
    if shape.ordered:
        assert one.read_bytes() == other.read_bytes()
    else:
        assert_frame_equal(written, table[list(order)] if table.height else table)


@settings(max_examples=40)
@given(drawn=SHAPE_AND_TABLE)
def test_nothing_in_a_csv_is_computed_by_a_spreadsheet(folder, drawn):
    """No text cell of a CSV begins as a formula does."""
    shape, table = drawn
    tables.write_table(folder / "x.csv", table, shape)
    texts = [name for name, dtype in table.schema.items() if dtype == shapes.TEXT]
    with (folder / "x.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == table.height
    assert not [row for row in rows for name in texts if row[name][:1] in {*"=+-@\t\r\n"} - {""}]


def test_optional_columns_may_be_missing(tmp_path):
    """Columns that may be absent come back as nulls of their type."""
    (tmp_path / "x.csv").write_text("predicted,cell_id,p_band\nband,7,0.5\n")
    table = tables.read_table(tmp_path / "x.csv", shapes.PREDICTIONS)
    assert table.schema == {**shapes.PREDICTIONS.columns, "p_band": pl.Float64}
    assert table.row(0, named=True)["cell_id"] == "7"
    assert table["case"].to_list() == [None]


def test_a_csv_of_another_tool_is_read(tmp_path):
    """A byte order mark, Windows line ends and quoted numbers change nothing."""
    text = '\ufeff"cell_id","predicted","p_a"\r\n"1","a, b","0.5"\r\n'
    (tmp_path / "x.csv").write_text(text, encoding="utf-8", newline="")
    row = tables.read_table(tmp_path / "x.csv", shapes.PREDICTIONS).row(0, named=True)
    assert (row["cell_id"], row["predicted"], row["p_a"]) == ("1", "a, b", 0.5)


FAULTS = {
    "unknown column": ({"clas": ["x"] * 3}, (), ["unknown columns clas", "repeat, fold"]),
    "missing columns": ({}, ("fold", "split"), ["lacks fold, split"]),
    "null": ({"split": ["train", None, "test"]}, (), ["empty values in split"]),
    "repeated key": ({"cell_id": ["a", "b", "a"]}, (), ["2 rows more than once", "0 0 a"]),
    "bad word": ({"split": ["train", "tests", "test"]}, (), ["'tests' as split", "calibration"]),
    "text for number": ({"fold": ["0", "one", "2"]}, (), ["wrong type", "one"]),
    "fraction for whole": ({"fold": [0.0, 1.5, 2.0]}, (), ["wrong type in fold (Float64)"]),
    "not a number": ({"fold": [0.0, float("nan"), 2.0]}, (), ["wrong type in fold"]),
    "too large": ({"fold": [0, 2**40, 2]}, (), ["wrong type"]),
    "truth for number": ({"repeat": [True, False, True]}, (), ["wrong type in repeat (Boolean)"]),
    "number for text": ({"cell_id": [1.0, 2.0, 3.0]}, (), ["wrong type in cell_id (Float64)"]),
    "list for text": ({"cell_id": [["a"], ["b"], ["c"]]}, (), ["wrong type"]),
}


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_table_is_refused_by_name_and_not_written(tmp_path, fault, ending):
    """Each planted fault is named; the old file stands and no other appears."""
    columns, dropped, told = FAULTS[fault]
    path = tmp_path / f"splits{ending}"
    path.write_text("old")
    table = pl.DataFrame(SPLITS).drop(dropped)
    table = table.with_columns(pl.Series(name, values) for name, values in columns.items())
    with pytest.raises(SchemaError) as caught:
        tables.write_table(path, table, shapes.SPLITS)
    assert [part for part in told if part not in str(caught.value)] == []
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("fault", [name for name, (_, _, told) in FAULTS.items()])
def test_a_faulty_file_is_refused_with_its_name(tmp_path, fault):
    """What is refused on writing is refused on reading, and the file is named."""
    columns, dropped, _ = FAULTS[fault]
    table = pl.DataFrame(SPLITS).drop(dropped)
    table = table.with_columns(pl.Series(name, values) for name, values in columns.items())
    table.write_parquet(tmp_path / "faulty.parquet")
    with pytest.raises(SchemaError, match=r"faulty\.parquet: The splits"):
        tables.read_table(tmp_path / "faulty.parquet", shapes.SPLITS)


def test_whole_numbers_may_come_as_floats_and_ids_as_numbers():
    """What loses nothing is taken: 2.0 as 2, the number 7 as the name "7", a column of nulls."""
    table = pl.DataFrame(
        {"cell_id": [7], "predicted": ["a"], "case": [None], "family": [None]},
        schema_overrides={"family": pl.Float64},
    )
    seen = tables.check(table, shapes.PREDICTIONS)
    assert seen["cell_id"].to_list() == ["7"]
    splits = pl.DataFrame(SPLITS).with_columns(pl.col("fold").cast(pl.Float64))
    assert tables.check(splits, shapes.SPLITS)["fold"].dtype == pl.Int32


@pytest.mark.parametrize("box", ["1 2 3", "1 2 3 4 5", "1 2 3 x", "1,2,3,4", "1.5 2 3 4"])
def test_a_box_is_four_whole_numbers(tmp_path, box):
    """Anything else under box_px in a CSV is refused."""
    path = tmp_path / "m.csv"
    tables.write_table(path, manifest_of([{"box_px": [1, 2, 3, 4]}]), shapes.MANIFEST)
    assert path.read_text().count("1 2 3 4") == 1
    path.write_text(path.read_text().replace("1 2 3 4", f'"{box}"'))
    with pytest.raises(SchemaError, match=r"m\.csv"):
        tables.read_table(path, shapes.MANIFEST)


BROKEN = [b"", b"\n", b"cell_id,predicted\na,b,c\n", b"cell_id,predicted\n\xff,b\n", b"PAR1"]
BROKEN += [b"cell_id;predicted\na;b\n", b"cell_id,cell_id,predicted\na,b,c\n", b"\x00" * 40]


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
@pytest.mark.parametrize("data", BROKEN)
def test_what_is_no_table_is_refused(tmp_path, ending, data):
    """Empty, ragged, foreign and binary files are refused with their name."""
    path = tmp_path / f"x{ending}"
    path.write_bytes(data)
    with pytest.raises(SchemaError, match=rf"x\{ending}"):
        tables.read_table(path, shapes.PREDICTIONS)


def test_a_table_cut_short_is_refused_wherever_it_is_cut(tmp_path):
    """No beginning of a Parquet file passes for a table."""
    path = tmp_path / "x.parquet"
    tables.write_table(path, pl.DataFrame(SPLITS), shapes.SPLITS)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(SchemaError):
            tables.read_table(path, shapes.SPLITS)


def test_a_missing_table_and_an_unknown_ending_are_told(tmp_path):
    """A missing file is a data error; an ending that is neither is a usage error."""
    with pytest.raises(SchemaError, match=r"x\.csv is missing; it should hold a splits"):
        tables.read_table(tmp_path / "x.csv", shapes.SPLITS)
    for path in (tmp_path / "x.xlsx", tmp_path / "x"):
        with pytest.raises(UsageError, match="should end in"):
            tables.check_ending(path)
        with pytest.raises(UsageError, match="should end in"):
            tables.write_table(path, pl.DataFrame(SPLITS), shapes.SPLITS)
    assert list(tmp_path.iterdir()) == []
