"""Division of cells into training, validation and test: by case where known, else by family.

Groups are dealt out one by one, the largest first, each to the side that is
furthest below its share of the group's categories; the last groups of a category
go to sides that have none of it yet. No group is ever parted.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.records import shapes, tables
from leukoscope.records.groups import check_apart, groups_of, unit_of
from leukoscope.records.lineage import is_copy, is_generated

Counts = npt.NDArray[np.int64]
_TRIES = 50


def hold_out(
    manifest: pl.DataFrame, *, shares: Mapping[str, float], repeats: int, seed: int
) -> pl.DataFrame:
    """Divide cells into sides of given shares, once or several times.

    Parameters
    ----------
    manifest : polars.DataFrame
        A dataset's manifest, without copies.
    shares : mapping of str to float
        Side → share of the cells; the shares sum to 1.
    repeats : int
        Number of independent divisions.
    seed : int
        Seed of the division.

    Returns
    -------
    polars.DataFrame
        A splits table with ``fold`` 0 throughout.

    Raises
    ------
    DataError
        If a category has fewer groups than there are sides.
    """
    manifest = manifest.sort("cell_id")
    sides = [name for name, share in shares.items() if share > 0]
    target = np.array([shares[name] for name in sides])
    parts = []
    for repeat in range(repeats):
        side = _deal(manifest, target, seed, repeat, what=f"a hold-out of {len(sides)} sides")
        parts.append(_table(manifest, np.array(sides)[side], repeat=repeat, fold=0))
    return tables.check(pl.concat(parts), shapes.SPLITS)


def k_fold(manifest: pl.DataFrame, *, folds: int, repeats: int, seed: int) -> pl.DataFrame:
    """Divide cells into folds: each is the test once, the next one validation, the rest training.

    Parameters
    ----------
    manifest : polars.DataFrame
        A dataset's manifest, without copies.
    folds : int
        At least 3.
    repeats : int
        Number of independent divisions.
    seed : int
        Seed of the division.

    Returns
    -------
    polars.DataFrame
        A splits table; within a repeat every cell is in the test exactly once.

    Raises
    ------
    DataError
        If a category has fewer groups than there are folds.
    """
    manifest = manifest.sort("cell_id")
    parts = []
    for repeat in range(repeats):
        share = np.full(folds, 1 / folds)
        part = _deal(manifest, share, seed, repeat, what=f"{folds} folds")
        for fold in range(folds):
            turn = (part - fold) % folds
            names = np.where(turn == 0, "test", np.where(turn == 1, "validation", "train"))
            parts.append(_table(manifest, names, repeat=repeat, fold=fold))
    return tables.check(pl.concat(parts), shapes.SPLITS)


def check_plan(
    manifest: pl.DataFrame, *, folds: int | None, repeats: int, shares: Mapping[str, float]
) -> None:
    """Refuse a plan that cannot be dealt. Raises UsageError or DataError."""
    if repeats < 1:
        raise UsageError(f"--repeats is {repeats}; at least 1 is needed. Nothing was written.")
    if folds is not None and folds < 3:
        raise UsageError(
            f"--folds is {folds}; at least 3 are needed: training, validation and test. "
            "Nothing was written."
        )
    if any(not 0 < share < 1 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-9:
        seen = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise UsageError(
            f"Shares are {seen}; each must lie between 0 and 1 and all sum to 1. "
            "Nothing was written."
        )
    made = manifest.filter(is_generated())
    if made.height:
        raise DataError(
            f"This dataset holds {made.height} generated cells, for example {made['cell_id'][0]}: "
            "their generator saw cells that a new split would test on. Nothing was written. Split "
            "the dataset of real cells, then synthesise, sample, judge and combine in that split."
        )
    if not manifest.filter(is_copy()).is_empty():
        raise DataError(
            "This dataset holds copies of cells: it was split before they were made, and that "
            "split stands. Split the dataset it was made from."
        )


def _deal(
    manifest: pl.DataFrame, share: npt.NDArray[np.float64], seed: int, repeat: int, *, what: str
) -> npt.NDArray[np.int64]:
    groups = groups_of(manifest)
    counts = _counts(groups, manifest["category"])
    names = manifest["category"].unique().sort().to_list()
    _refuse_few_groups(counts, names, len(share), what, unit_of(manifest))
    for attempt in range(_TRIES):
        side = _deal_once(counts, share, seed, repeat, attempt)
        filled = [(counts[side == s].sum(axis=0) > 0).all() for s in range(len(share))]
        if all(filled):
            check_apart(groups, pl.Series(side[groups]), manifest["cell_id"].to_list())
            return side[groups]
    raise DataError(
        f"No division into {what} was found in {_TRIES} tries in which every side holds every "
        "category: too few groups carry the rare ones. Nothing was written. Ask for fewer sides, "
        "or add cases of the rare categories."
    )


def _deal_once(
    counts: Counts, share: npt.NDArray[np.float64], seed: int, repeat: int, attempt: int
) -> npt.NDArray[np.int64]:
    rng = stream(seed, "split", repeat, attempt)
    order = rng.permutation(len(counts))
    # Large groups first: small ones then even out what the large ones left uneven.
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    total = counts.sum(axis=0)
    room = share[:, None] * total
    scale = 1 / total
    side = np.empty(len(counts), dtype=np.int64)
    lacks = np.ones(room.shape, dtype=bool)
    n_left = (counts > 0).sum(axis=0)
    for group in order.tolist():
        present = counts[group] > 0
        # Room left, in shares of each category, where this group has cells.
        left = (room[:, present] * scale[present]).sum(axis=1)
        # Where no more groups are left than sides that lack the category, only those may have it.
        scarce = present & (n_left <= lacks.sum(axis=0))
        served = lacks[:, scarce].sum(axis=1)
        side[group] = choice = int(np.argmax(np.where(served == served.max(), left, -np.inf)))
        room[choice] -= counts[group]
        lacks[choice, present] = False
        n_left[present] -= 1
    return side


def _counts(groups: npt.NDArray[np.int64], category: pl.Series) -> Counts:
    codes = (category.rank("dense").cast(pl.Int64) - 1).to_numpy()
    counts = np.zeros((groups.max() + 1, codes.max() + 1), dtype=np.int64)
    np.add.at(counts, (groups, codes), 1)
    return counts


def _refuse_few_groups(
    counts: Counts, names: Sequence[str], n_sides: int, what: str, unit: str
) -> None:
    n_groups = (counts > 0).sum(axis=0)
    few = [f"{name} ({n})" for name, n in zip(names, n_groups.tolist(), strict=True) if n < n_sides]
    if few:
        raise DataError(
            f"{what[0].upper()}{what[1:]} cannot be dealt: every side needs every category, and "
            f"these have fewer than {n_sides} {unit} groups: {', '.join(few)}. Nothing was written."
            " Add cells of other persons, or leave the category out."
        )


def _table(
    manifest: pl.DataFrame, split: npt.NDArray[np.str_], *, repeat: int, fold: int
) -> pl.DataFrame:
    return pl.DataFrame({"cell_id": manifest["cell_id"], "split": split.tolist()}).with_columns(
        repeat=pl.lit(repeat, dtype=pl.Int32), fold=pl.lit(fold, dtype=pl.Int32)
    )
