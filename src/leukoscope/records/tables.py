"""The shape of every table kept on disk, checked on writing and on reading.

A table is Polars in memory, Parquet or CSV on disk, its rows in a stable order.
An unknown column, a wrong type or a repeated key is refused with the offending
names, and nothing is written.
"""

import io
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from leukoscope.foundation import files
from leukoscope.foundation.errors import SchemaError, UsageError
from leukoscope.records import columns
from leukoscope.records.shapes import BOX, BYTES, FLAG, REAL, TEXT, WHOLE, Shape

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


def check(table: pl.DataFrame, shape: Shape) -> pl.DataFrame:
    """Bring a table into its shape.

    Parameters
    ----------
    table : polars.DataFrame
        Columns in any order; optional ones may be missing.
    shape : Shape
        What the table should be.

    Returns
    -------
    polars.DataFrame
        Columns in the shape's order and types, rows in a stable order.

    Raises
    ------
    SchemaError
        If a column is missing, unknown or of another type, a required value is
        null, or a key is repeated.
    """
    open_columns = [
        name for name in table.columns if shape.open_prefix and name.startswith(shape.open_prefix)
    ]
    wanted = shape.columns | dict.fromkeys(open_columns, REAL)
    _refuse_columns(table, shape)
    table = table.with_columns(
        pl.lit(None).alias(name) for name in shape.optional if name not in table.columns
    ).select(list(wanted))
    _refuse_lossy(table, shape, wanted)
    try:
        table = table.cast(pl.Schema(wanted), strict=True)
    except (pl.exceptions.PolarsError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise SchemaError(f"The {shape.name} holds a value of the wrong type: {reason}.") from None
    _refuse_nulls(table, shape)
    _refuse_words(table, shape)
    _refuse_repeats(table, shape)
    return table.sort(list(shape.key), nulls_last=False) if shape.ordered else table


def write_table(path: Path, table: pl.DataFrame, shape: Shape) -> pl.DataFrame:
    """Check a table and write it in one step, as Parquet or CSV after the path's ending.

    Returns
    -------
    polars.DataFrame
        The table as written.

    Raises
    ------
    SchemaError
        If the table breaks its shape; then nothing is written.
    RunError
        If the disk refuses.
    """
    table = check(table, shape)
    # By way of memory: the library's own writing hides which error the disk gave.
    buffer = io.BytesIO()
    if _is_csv(path):
        _for_csv(table).write_csv(buffer)
    else:
        table.write_parquet(buffer, statistics=False)
    files.write_bytes(path, buffer.getvalue())
    return table


def write_both(folder: Path, name: str, table: pl.DataFrame, shape: Shape) -> None:
    """Write a table as NAME.parquet and as NAME.csv; see :func:`write_table`."""
    for suffix in ("parquet", "csv"):
        write_table(folder / f"{name}.{suffix}", table, shape)


def read_table(path: Path, shape: Shape) -> pl.DataFrame:
    """Read a Parquet or CSV file and check it.

    Raises
    ------
    SchemaError
        If the file is missing, cannot be read as a table, or breaks its shape.
    """
    path = Path(path)
    if not path.is_file():
        raise SchemaError(f"{path} is missing; it should hold a {shape.name} table.")
    try:
        table = _from_csv(path, shape) if _is_csv(path) else pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        how = ". As CSV it is UTF-8 text, commas between columns, points in numbers"
        raise SchemaError(
            f"{path} cannot be read as a {shape.name} table: {reason}{how * _is_csv(path)}."
        ) from None
    try:
        return check(table, shape)
    except SchemaError as error:
        raise SchemaError(f"{path}: {error}") from None


def check_ending(path: Path) -> None:
    """Refuse a path that names neither a Parquet nor a CSV file. Raises UsageError."""
    _is_csv(path)


def _is_csv(path: Path) -> bool:
    suffix = Path(path).suffix.lower()
    if suffix not in {".csv", ".parquet"}:
        raise UsageError(f"{path} should end in .parquet or .csv; nothing was read or written.")
    return suffix == ".csv"


def _for_csv(table: pl.DataFrame) -> pl.DataFrame:
    """Make a table plain text: boxes as four numbers, bytes as hexadecimal digits, and nothing a
    spreadsheet would compute.
    """
    boxes = [name for name, dtype in table.schema.items() if dtype == BOX]
    texts = [name for name, dtype in table.schema.items() if dtype == TEXT]
    coded = [
        pl.col(name).bin.encode("hex") for name, dtype in table.schema.items() if dtype == BYTES
    ]
    spelt = [pl.col(name).cast(pl.List(pl.String)).list.join(" ") for name in boxes]
    return table.with_columns(*spelt, *coded).with_columns(
        pl.when(pl.any_horizontal(pl.col(name).str.starts_with(sign) for sign in _FORMULA))
        .then("'" + pl.col(name))
        .otherwise(pl.col(name))
        .alias(name)
        for name in texts
    )


def _from_csv(path: Path, shape: Shape) -> pl.DataFrame:
    # Every column is read as text first: a cell_id of digits must not become a number.
    table = pl.read_csv(path, infer_schema=False)
    # Polars leaves quotes doubled in the head of a table, and only there.
    table = table.rename({name: name.replace('""', '"') for name in table.columns})
    wanted = {name: shape.columns.get(name, REAL) for name in table.columns}
    guarded = r"^'([=+\-@\t\r\n'])"
    table = table.with_columns(
        pl.col(name).str.replace(guarded, "$1") for name, dtype in wanted.items() if dtype == TEXT
    )
    boxes = [
        pl.col(name).str.split(" ").cast(pl.List(pl.Int32)).list.to_array(4)
        for name, dtype in wanted.items()
        if dtype == BOX
    ]
    coded = [pl.col(name).str.decode("hex") for name, dtype in wanted.items() if dtype == BYTES]
    flags = [
        pl.col(name).replace_strict({"true": True, "false": False}, return_dtype=FLAG)
        for name, dtype in wanted.items()
        if dtype == FLAG
    ]
    return table.with_columns(*boxes, *coded, *flags)


def _refuse_columns(table: pl.DataFrame, shape: Shape) -> None:
    known, prefix = shape.columns, shape.open_prefix
    said = columns.complaint(shape.name, table.columns, shape.required, known, prefix)
    if said:
        raise SchemaError(said)


def _refuse_lossy(table: pl.DataFrame, shape: Shape, wanted: Mapping[str, pl.DataType]) -> None:
    """Refuse what a cast would change without a word: 1.5 to 1, case 7.0 to the text 7.0."""

    def is_lossy(name: str) -> bool:
        values, dtype = table[name].drop_nulls(), wanted[name]
        if not values.dtype.is_float():
            return dtype != FLAG and values.dtype == pl.Boolean and not values.is_empty()
        if dtype == TEXT:
            return not values.is_empty()
        return dtype == WHOLE and bool((values % 1 != 0).any())

    lossy = [f"{name} ({table.schema[name]})" for name in wanted if is_lossy(name)]
    if lossy:
        raise SchemaError(
            f"The {shape.name} holds values of the wrong type in {', '.join(lossy)}. "
            "Nothing was written."
        )


def _refuse_nulls(table: pl.DataFrame, shape: Shape) -> None:
    empty = [name for name in shape.required if table[name].null_count()]
    if empty:
        raise SchemaError(f"The {shape.name} has empty values in {', '.join(empty)}.")


def _refuse_words(table: pl.DataFrame, shape: Shape) -> None:
    for name, words in shape.allowed.items():
        odd = table.filter(pl.col(name).is_not_null() & ~pl.col(name).is_in(list(words)))
        if odd.height:
            raise SchemaError(
                f"The {shape.name} holds {odd[name][0]!r} as {name}; known: {', '.join(words)}."
            )


def _refuse_repeats(table: pl.DataFrame, shape: Shape) -> None:
    repeated = table.filter(table.select(shape.key).is_duplicated())
    if repeated.height:
        names = repeated.select(shape.key).unique(maintain_order=True).head(3).rows()
        shown = "; ".join(
            " ".join(str(part) for part in name if part is not None) for name in names
        )
        raise SchemaError(
            f"The {shape.name} names {repeated.height} rows more than once, for example {shown}."
        )
