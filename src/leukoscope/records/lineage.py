"""Which rows of a manifest are copies, and which are cells of their own."""

import polars as pl

ISOLATED = "+isolated"
"""What the name of a cell without its background adds to the name of the cell it is."""

GENERATED = "generator:"
"""What the origin of a cell that a generator drew begins with; behind it the generator's id."""


def is_generated() -> pl.Expr:
    """Tell generated cells: rows whose origin is a generator. Needs ``origin``; never null."""
    return pl.col("origin").str.starts_with(GENERATED).fill_null(value=False)


def is_rendering() -> pl.Expr:
    """Tell renderings: rows named exactly after their origin, with :data:`ISOLATED` behind.

    Names are a manifest's key, so an origin has one rendering at most and no cell is added. Needs
    the columns ``cell_id`` and ``origin``; never null.
    """
    named_after = pl.col("cell_id") == pl.col("origin") + ISOLATED
    return named_after.fill_null(value=False)


def is_copy() -> pl.Expr:
    """Tell copies: all rows with an origin, augmented or generated, that are no renderings.

    A copy is training material only: in a test it would count its cell twice. A rendering stands
    for its cell and goes where that goes. The column ``copy`` is not asked: a generator may leave
    it null, and a row of unknown making must not reach a test. Needs ``cell_id`` and ``origin``.
    """
    return pl.col("origin").is_not_null() & ~is_rendering()
