"""Which rows of a table one figure draws: the table that stands beside it as CSV."""

import polars as pl

from leukoscope.foundation.errors import DataError, unknown_name
from leukoscope.records import shapes, tables
from leukoscope.reporting.contents import VIEWS, in_order


def drawn_points(points: pl.DataFrame, figure: str, view: str = "strict") -> pl.DataFrame:
    """Choose the points that one figure draws.

    Parameters
    ----------
    points : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.POINTS`.
    figure : str
        Such as ``roc``.
    view : str
        ``strict`` or ``merged``.

    Returns
    -------
    polars.DataFrame
        Of that shape, sorted by arm, category in the house's order, and place; points that
        are not finite are left out.

    Raises
    ------
    UsageError
        If the view or the figure is unknown.
    SchemaError
        If the table breaks its shape.
    """
    check_view(view)
    if figure not in shapes.POINTS.allowed["figure"]:
        raise unknown_name("figure of points", figure, shapes.POINTS.allowed["figure"])
    table = tables.check(points, shapes.POINTS)
    finite = pl.col("x").is_finite() & pl.col("y").is_finite()
    table = table.filter(pl.col("figure") == figure, pl.col("view") == view, finite)
    return in_category_order(table, "arm", "category", "place")


def in_category_order(table: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Sort by columns, the categories as the house orders them, null first."""
    names = in_order(table["category"].drop_nulls().to_list())
    place = {name: number for number, name in enumerate(names)}
    keys = [
        pl.col(column).replace_strict(place, default=None, return_dtype=pl.Int32)
        if column in {"category", "predicted"}
        else pl.col(column)
        for column in columns
    ]
    return table.sort(keys, nulls_last=False)


def categories_drawn(table: pl.DataFrame) -> tuple[str, ...]:
    """List the categories of a table in the house's order."""
    return in_order(table["category"].drop_nulls().to_list())


def of_one_arm(table: pl.DataFrame, arm: str | None, kind: str) -> pl.DataFrame:
    """Keep the rows of one arm. Raises DataError where several are there and none was chosen."""
    if arm is not None:
        return table.filter(pl.col("arm") == arm)
    arms = table["arm"].unique().sort().to_list()
    if len(arms) > 1:
        raise DataError(
            f"The {kind} table holds the arms {', '.join(map(str, arms))}, and a figure shows one "
            "of them. Nothing was drawn. Say which."
        )
    return table


def check_view(view: str) -> None:
    """Refuse a view no table has. Raises UsageError."""
    if view not in VIEWS:
        raise unknown_name("view", view, VIEWS)


def in_view(title: str, view: str) -> str:
    """Add to a title that neutrophils are merged, where they are."""
    return title if view == "strict" else f"{title}, neutrophils merged"
