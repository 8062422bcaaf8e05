"""Which rows of a manifest are copies, and which are cells of their own."""

import polars as pl


def is_copy() -> pl.Expr:
    """Tell copies, drawn or augmented, by their number in the column ``copy``.

    A copy is training material only: in a test it would count its cell twice. A row with an
    ``origin`` but no ``copy`` is its origin in another rendering, one for one, as a cell without
    its background is; it adds no cell to its dataset, so it goes where its origin goes.
    """
    return pl.col("copy").is_not_null()
