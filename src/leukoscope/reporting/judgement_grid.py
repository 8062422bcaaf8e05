"""Generated cells as one figure, by category: for a paper, or a page of documentation."""

import math
from typing import TYPE_CHECKING

import polars as pl

from leukoscope.intake.decode import decode
from leukoscope.reporting import plot_layout as layout
from leukoscope.reporting import plotting, wording
from leukoscope.reporting.judgement_tables import JudgementPage
from leukoscope.reporting.plot_layout import LINE_IN, SIDE_IN
from leukoscope.reporting.plotting import WIDTH_IN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 12
"""How many cells stand beside each other."""

CELLS: dict[str, pl.DataType] = {
    "number": pl.Int32(),
    "category": pl.String(),
    "cell_id": pl.String(),
    "ratio": pl.Float64(),
    "flagged": pl.String(),
}
"""The columns of the table of generated cells shown, left to right, top to bottom."""

TITLE = "Generated cells"
_GAP_IN = 0.05


def drawn_cells(page: JudgementPage) -> pl.DataFrame:
    """List the generated cells that the figure shows, by category and name.

    Returns
    -------
    polars.DataFrame
        The columns of :data:`CELLS`. A generated cell's name holds no person's.
    """
    chosen = set(page.about.get("shown") or page.neighbours["cell_id"]) & set(page.pictures)
    order = {str(name): place for place, name in enumerate(page.about["categories"])}
    rows = page.neighbours.filter(pl.col("cell_id").is_in(list(chosen))).to_dicts()
    rows.sort(key=lambda row: (order.get(row["category"], len(order)), row["cell_id"]))
    found = [
        (number, row["category"], row["cell_id"], row["ratio"], "yes" if row["memorised"] else "no")
        for number, row in enumerate(rows, start=1)
    ]
    return pl.DataFrame(found, schema=CELLS, orient="row")


def generated_figure(page: JudgementPage) -> "Figure":
    """Draw the generated cells, a block a category.

    Raises
    ------
    DataError
        If a picture cannot be read.
    """
    table = drawn_cells(page)
    if table.is_empty():
        return layout.said(TITLE, "No picture of a generated cell was given.")
    with plotting.style():
        return _figure(page, table)


def _figure(page: JudgementPage, table: pl.DataFrame) -> "Figure":
    side_in = (WIDTH_IN - 2 * SIDE_IN + _GAP_IN) / ACROSS
    parts = table.partition_by("category", maintain_order=True)
    rows = sum(math.ceil(part.height / ACROSS) for part in parts)
    height_in = rows * side_in + len(parts) * (LINE_IN + 0.14)
    counts = ", ".join(f"{part['category'][0]} {part.height}" for part in parts)
    made = layout.sheet(f"{TITLE}: {wording.count(table.height)}", f"{counts}.", height_in)
    top_in = made.top_in
    for part in parts:
        layout.write(made.figure, layout.drawable(part["category"][0]), SIDE_IN, top_in)
        top_in += LINE_IN + 0.04
        for place, name in enumerate(part["cell_id"]):
            down, across = divmod(place, ACROSS)
            left_in, at_in = SIDE_IN + across * side_in, top_in + down * side_in
            pixels = decode(page.pictures[name], name="A generated cell").pixels
            axes = layout.axes_at(made.figure, left_in, at_in, side_in - _GAP_IN, side_in - _GAP_IN)
            axes.imshow(pixels, interpolation="none", aspect="auto")
            axes.set_axis_off()
        top_in += math.ceil(part.height / ACROSS) * side_in + 0.1
    return made.figure
