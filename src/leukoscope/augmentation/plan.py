"""How many copies each training cell gets: exact counts, shared out evenly, the smaller nested."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import polars as pl

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import key

_FACTOR = 2.0
_MOST = 100
"""Times the originals that a training part may have; more is a slip of the keyboard."""


@dataclass(frozen=True)
class Amount:
    """Say how many training cells there are to be: one of the first four, or twice as many."""

    factor: float | None = None
    """Times the originals, 1 to 100."""
    to: int | None = None
    """Cells in all."""
    per_category: int | None = None
    """Cells of each category."""
    balance: bool = False
    """As many cells of each category as of the largest."""
    originals: int | None = None
    """How many of the training cells are taken before; all if None."""

    def in_words(self) -> dict[str, float]:
        """Give what is settled, by name, as a dataset's card keeps it."""
        settled = {name: value for name, value in asdict(self).items() if value}
        return settled if settled.keys() - {"originals"} else settled | {"factor": _FACTOR}


def check_amount(amount: Amount) -> None:
    """Refuse more than one way of saying how many, and numbers that no dataset could meet.

    Raises
    ------
    UsageError
        Naming the ways that contradict each other, or the number.
    """
    ways = {"--factor": amount.factor, "--to": amount.to, "--per-category": amount.per_category}
    given = [name for name, value in ways.items() if value is not None]
    given += ["--balance"] * amount.balance
    if len(given) > 1:
        raise UsageError(
            f"{', '.join(given[:-1])} and {given[-1]} each say how many training cells there are "
            "to be. Nothing was written. Give one of them."
        )
    if amount.factor is not None and not 1 <= amount.factor <= _MOST:
        raise UsageError(
            f"--factor is {amount.factor:g}; it should be at least 1, which keeps the originals "
            f"alone, and at most {_MOST}. Nothing was written."
        )
    if amount.originals is not None and amount.originals < 1:
        raise UsageError(
            f"--originals is {amount.originals}; at least one cell is needed. Nothing was written."
        )


def plan_copies(train: pl.DataFrame, amount: Amount, seed: int) -> pl.DataFrame:
    """Say how many copies each training cell gets; its copies are then 1, 2, … up to that number.

    Parameters
    ----------
    train : polars.DataFrame
        The training part of a manifest, originals only, as many as are to be taken.
    amount : Amount
        How many cells there are to be with the copies.
    seed : int
        Seed of the order in which cells get a further copy.

    Returns
    -------
    polars.DataFrame
        *train*, sorted by ``cell_id``, with a column ``n_copies``. No two cells, of one category
        where counts are by category, differ by more than one; the cells that have one more are
        drawn at each category's share. With equal seeds a larger plan holds the smaller one.

    Raises
    ------
    UsageError
        If the amount is smaller than the originals or beyond reason.
    """
    check_amount(amount)
    ranked = _ranked(train, seed)
    if amount.per_category is not None or amount.balance:
        return _by_category(ranked, amount.per_category)
    asked = amount.to
    if asked is None:
        asked = round((amount.factor or _FACTOR) * train.height)
    _refuse_fewer(asked, train.height)
    _refuse_many(asked, train.height)
    return _shared_out(ranked, pl.lit(asked) - pl.len(), pl.len(), pl.col("place"))


def _by_category(ranked: pl.DataFrame, per_category: int | None) -> pl.DataFrame:
    counts = ranked["category"].value_counts().sort("category")
    asked = max(counts["count"].to_list()) if per_category is None else per_category
    _refuse_larger(counts, asked)
    _refuse_many(asked * counts.height, ranked.height)
    size = pl.len().over("category")
    return _shared_out(ranked, pl.lit(asked) - size, size, pl.col("rank"))


def refuse_empty(categories: Iterable[str], train: pl.DataFrame) -> None:
    """Refuse to bring a category to a number where none of its cells could be copied.

    Raises
    ------
    DataError
        If the training part has no cell of one of *categories*.
    """
    empty = sorted(set(categories) - set(train["category"]))
    if empty:
        raise DataError(
            f"The training cells hold none of {', '.join(empty)}: there is nothing to copy. "
            "Nothing was written. Take more originals, split anew, or give --factor or --to."
        )


def _ranked(train: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Order cells at random, within their category (rank) and among all at its share (place)."""
    # By a hash of its own name: a cell's turn does not hang on which others there are.
    drawn = [f"{key(seed, 'offline', cell):032x}" for cell in train["cell_id"]]
    ranked = train.sort("cell_id").join(
        pl.DataFrame({"cell_id": train["cell_id"], "drawn": drawn}), on="cell_id"
    )
    rank = pl.col("drawn").rank("ordinal").over("category").cast(pl.Int64) - 1
    share = (pl.col("rank") + 0.5) / pl.len().over("category")
    ranked = ranked.with_columns(rank=rank).with_columns(share=share)
    by_share = ranked.sort("share", "category").select("cell_id").with_row_index("place")
    return ranked.join(by_share.cast({"place": pl.Int64}), on="cell_id").sort("cell_id")


def _shared_out(
    ranked: pl.DataFrame, n_copies: pl.Expr, n_cells: pl.Expr, turn: pl.Expr
) -> pl.DataFrame:
    """Give all cells equally many, and one more to those whose turn comes first."""
    n_copies, n_cells = n_copies.cast(pl.Int64), n_cells.cast(pl.Int64)
    each = n_copies // n_cells + (turn < n_copies % n_cells).cast(pl.Int64)
    return ranked.with_columns(n_copies=each).drop("drawn", "rank", "share", "place")


def _refuse_fewer(to: int, n_originals: int) -> None:
    if to < n_originals:
        raise UsageError(
            f"--to is {to}, but the training part holds {n_originals} originals, and copies only "
            "add to them. Nothing was written. Give a larger number, or take fewer originals "
            "with --originals."
        )


def _refuse_larger(counts: pl.DataFrame, per_category: int) -> None:
    larger = counts.filter(pl.col("count") > per_category)
    if larger.height:
        named = ", ".join(f"{name} ({n})" for name, n in larger.rows())
        raise UsageError(
            f"--per-category is {per_category}, but more originals are there of {named}; none is "
            f"thrown away. Nothing was written. Give at least {max(counts['count'].to_list())}, or "
            "take fewer originals with --originals."
        )


def _refuse_many(asked: int, n_originals: int) -> None:
    if asked > _MOST * n_originals:
        raise UsageError(
            f"{asked} training cells were asked for, of {n_originals} originals; at most "
            f"{_MOST} times as many are made. Nothing was written."
        )
