"""Which cells must stay together: cells of one case, and cells of one family."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.foundation.errors import DataError


def groups_of(manifest: pl.DataFrame) -> npt.NDArray[np.int64]:
    """Number the groups of cells that no split may part.

    Two cells stand in one group if they share a case or a family, directly or
    through others (a duplicate filed under two cases joins the two cases).

    Parameters
    ----------
    manifest : polars.DataFrame
        With columns ``case`` (null if unknown) and ``family``.

    Returns
    -------
    numpy.ndarray of int64, shape (n_cells,)
        Codes 0, 1, … in order of first appearance.
    """
    family = _codes(manifest["family"])
    known = manifest["case"].is_not_null().to_numpy()
    case = _codes(manifest["case"].fill_null(""))
    root = list(range(int(family.max(initial=-1)) + 1))

    def find(node: int) -> int:
        while root[node] != node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    first: dict[int, int] = {}
    for c, f in set(zip(case[known].tolist(), family[known].tolist(), strict=True)):
        joined, seen = find(f), find(first.setdefault(c, f))
        root[max(joined, seen)] = min(joined, seen)
    return _codes(pl.Series([find(f) for f in family.tolist()], dtype=pl.Int64))


def unit_of(table: pl.DataFrame) -> str:
    """Name the unit of inference: ``case`` where every cell's is known, else ``family``."""
    return "case" if table.height and table["case"].null_count() == 0 else "family"


def check_apart(groups: npt.NDArray[np.int64], sides: pl.Series, cell_ids: Sequence[str]) -> None:
    """Refuse a division that parts a group.

    Parameters
    ----------
    groups : numpy.ndarray of int64, shape (n_cells,)
        As :func:`groups_of` gives them.
    sides : polars.Series, length n_cells
        The side each cell is on.
    cell_ids : sequence of str
        Their names, for the error.

    Raises
    ------
    DataError
        If one group stands on two sides; two of its cells are named.
    """
    table = pl.DataFrame({"group": groups, "side": sides, "cell_id": cell_ids})
    torn = table.filter(pl.col("side").n_unique().over("group") > 1)
    if torn.height:
        one = torn.filter(pl.col("group") == torn["group"][0]).unique("side", maintain_order=True)
        raise DataError(
            f"{torn['group'].n_unique()} groups of cells that belong together (one case or one "
            f"family) stand on two sides of the split, for example {one['cell_id'][0]} in "
            f"{one['side'][0]} and {one['cell_id'][1]} in {one['side'][1]}. Nothing was trained or "
            "scored. Make a new split with `leukoscope split`."
        )


def _codes(values: pl.Series) -> npt.NDArray[np.int64]:
    table = pl.DataFrame({"value": values}).with_row_index("place")
    first = table.group_by("value", maintain_order=True).agg(pl.col("place").first())
    first = first.with_row_index("code").select("value", pl.col("code").cast(pl.Int64))
    joined = table.join(first, on="value", how="left", maintain_order="left")
    return joined["code"].to_numpy()
