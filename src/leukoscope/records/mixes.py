"""How many cells of each category there are somewhere: named mixes, and those of a file."""

from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from leukoscope.foundation.errors import DataError, UsageError, unknown_name
from leukoscope.records import shapes, tables
from leukoscope.records.recipes import read_yaml

MIXES: Mapping[str, Mapping[str, int]] = {
    "nozaka-2022": {
        "segmented": 5541,
        "band": 536,
        "eosinophil": 213,
        "basophil": 88,
        "monocyte": 560,
        "lymphocyte": 2858,
    },
}
"""Name → cells of each category.

``nozaka-2022``: the clinical test set of Nozaka and others (2022), 51 healthy people: the row sums
that all confusion matrices of its Tables 2 and 3 share. They come to 9,796 where the text says
9,756."""

_ENDINGS = (".yaml", ".yml", ".csv", ".parquet")


def read_counts(source: str | Path) -> dict[str, float]:
    """Read how many cells of each category there are, as counts or as shares.

    Parameters
    ----------
    source : str or Path
        The name of one of :data:`MIXES`, or a file: YAML lines ``category: number``, or a
        table (.csv, .parquet) with the columns category and n_cells.

    Returns
    -------
    dict of str to float
        The numbers as they stand, at least 0, not all 0, in the order of the source.

    Raises
    ------
    UsageError
        If there is neither a mix of that name nor a file.
    RecipeError
        If the file is not YAML.
    DataError
        If it is not such a mapping or table, names a category twice, or holds what is no
        finite number of at least 0.
    """
    if isinstance(source, str) and source in MIXES:
        return {name: float(number) for name, number in MIXES[source].items()}
    path = Path(source)
    if not path.is_file():
        hint = unknown_name("mix", str(source), MIXES)
        raise UsageError(
            f"{hint} Nor is there a file of that name (.yaml, .csv). Nothing was read."
        )
    if path.suffix.lower() not in _ENDINGS:
        raise DataError(
            f"{path} should end in {', '.join(_ENDINGS)} to be read as counts of cells; it was "
            "not read."
        )
    pairs = _of_table(path) if path.suffix.lower() in {".csv", ".parquet"} else _of_yaml(path)
    return _checked(path, pairs)


def _of_table(path: Path) -> list[tuple[Any, Any]]:
    table = tables.read_table(path, shapes.COUNTS)
    return list(table.select("category", "n_cells").iter_rows())


def _of_yaml(path: Path) -> list[tuple[Any, Any]]:
    value = read_yaml(path)
    if not isinstance(value, dict):
        raise DataError(
            f"{path} should hold lines `category: number`, not {type(value).__name__}. Nothing "
            "was scored."
        )
    return list(value.items())


def _checked(path: Path, pairs: Iterable[tuple[Any, Any]]) -> dict[str, float]:
    counts = {}
    for name, number in pairs:
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if not isinstance(name, str) or not name.strip():
            raise DataError(
                f"{path} names a category {name!r}, which is no word (quote words that YAML "
                "reads as something else). Nothing was scored."
            )
        if not is_number or not isfinite(number) or number < 0:
            raise DataError(
                f"{path} says {number!r} of {name}; a number of cells is finite and at least 0. "
                "Nothing was scored."
            )
        counts[name] = float(number)
    if not sum(counts.values()) > 0:
        raise DataError(f"{path} counts no cell of any category. Nothing was scored.")
    return counts
