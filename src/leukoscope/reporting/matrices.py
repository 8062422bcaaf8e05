"""Confusion matrices, cell by cell as they are shown: strict and merged, arm by arm."""

import math
from typing import NamedTuple

from leukoscope.records import shapes, tables
from leukoscope.reporting import wording
from leukoscope.reporting.contents import VIEWS, StudyPage, arm_order, in_order

MOST_OPEN = 2
"""Of more arms than these only the baseline's matrices are unfolded."""


class Cell(NamedTuple):
    """Show a cell of a confusion matrix; *shade* is the square root of its share."""

    cells: str
    share: str
    shade: str
    kind: str


class Matrix(NamedTuple):
    """Show a confusion matrix: for each true category its cells and its row."""

    arm: str
    view: str
    categories: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Cell, ...]], ...]


class MatrixGroup(NamedTuple):
    """Hold the matrices of one arm, each with its number on the page."""

    arm: str
    unfolded: bool
    matrices: tuple[tuple[int, Matrix], ...]


def matrix_groups(page: StudyPage) -> list[MatrixGroup]:
    """List the matrices arm by arm, numbered as :func:`matrices` lists them."""
    numbered = list(enumerate(matrices(page), start=1))
    few = len(page.arms) <= MOST_OPEN
    groups = []
    for arm in arm_order(page):
        own = tuple(pair for pair in numbered if pair[1].arm == arm)
        if own:
            groups.append(MatrixGroup(arm, few or arm == page.baseline, own))
    return groups


def matrices(page: StudyPage) -> list[Matrix]:
    """List the confusion matrices, strict and merged, of each arm."""
    table = tables.check(page.confusion, shapes.CONFUSION)
    found = {
        (arm, view): {(truth, call): (cells, share) for truth, call, cells, share in rows.rows()}
        for (arm, view), rows in (
            (key, part.select("category", "predicted", "n_cells", "share"))
            for key, part in table.partition_by("arm", "view", as_dict=True).items()
        )
    }
    return [
        _matrix(arm, view, found[arm, view])
        for arm in arm_order(page)
        for view in VIEWS
        if (arm, view) in found
    ]


def _matrix(
    arm: str, view: str, counts: dict[tuple[str, str], tuple[float, float | None]]
) -> Matrix:
    categories = in_order([name for pair in counts for name in pair])
    # Sums of means are whole but for their last bits.
    whole = all(round(n_cells, 6).is_integer() for n_cells, _ in counts.values())
    decimals = 0 if whole else 1
    rows = []
    for truth in categories:
        row = [counts.get((truth, call), (0.0, None)) for call in categories]
        cells = tuple(
            _cell(n_cells, share, decimals, right=truth == call)
            for call, (n_cells, share) in zip(categories, row, strict=True)
        )
        total = round(sum(n_cells for n_cells, _ in row), 6)
        rows.append((truth, wording.count(total), cells))
    return Matrix(arm, view, categories, tuple(rows))


def _cell(n_cells: float, share: float | None, decimals: int, *, right: bool) -> Cell:
    cells = wording.mean_count(n_cells, decimals)
    if n_cells == 0:
        return Cell(cells, "", "0", "none")
    kind = "right" if right else "wrong"
    if share is None or math.isnan(share):
        return Cell(cells, wording.UNDEFINED, "0", kind)
    return Cell(cells, wording.percent(share) + "%", f"{math.sqrt(share):.3f}", kind)
