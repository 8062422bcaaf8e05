"""The cells a judgement compares: generated ones, those that were fitted, and held-out ones."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.foundation.errors import DataError
from leukoscope.intake.decode import resize
from leukoscope.intake.store import open_store
from leukoscope.records.dataset import Dataset, read_split
from leukoscope.records.generators import GeneratorCard, generators_in
from leukoscope.records.groups import groups_of
from leukoscope.records.lineage import GENERATED, is_copy, is_generated

Pixels = npt.NDArray[np.uint8]

FEWEST = 16
"""Held-out cells below which nothing is judged, and cells of a category below which that is not
judged by itself."""


class Pool(NamedTuple):
    """Hold cells and their pixels, in one order."""

    cells: pl.DataFrame
    """cell_id, content, category and group of each."""
    pixels: Pixels
    """uint8, shape (n, size, size, 3)."""

    @property
    def categories(self) -> npt.NDArray[np.str_]:
        """Name the category of each cell."""
        return self.cells["category"].to_numpy().astype(str)


class Pools(NamedTuple):
    """Hold the three pools of a judgement, all at the generated size."""

    generated: Pool
    fit: Pool
    held_out: Pool
    size_px: int
    cards: tuple[GeneratorCard, ...]
    """Of the generators the cells come from; none of another tool's pictures."""


def pools_of(dataset: Dataset, generated: Dataset) -> Pools:
    """Gather what a generated set is compared with.

    Parameters
    ----------
    dataset : Dataset
        The real cells.
    generated : Dataset
        The generated ones. With cards of generators, the cells those were fitted to and are
        judged by are taken; of a set without any, the cells of the dataset's first split:
        training was fitted, validation judges.

    Returns
    -------
    Pools
        Real cells come to the generated size by the house's resizer: a set of 32 px that was
        learnt from pictures of 64 px is compared at 32 px.

    Raises
    ------
    DataError
        If there are no generated cells, a generator's card or its cells are not there, or
        fewer than 16 held-out cells would judge.
    """
    cards = _cards_of(generated)
    drawn = generated.manifest.filter(is_generated()) if cards else generated.manifest
    if drawn.is_empty():
        raise DataError(f"{generated.folder} holds no generated cells. Nothing was judged.")
    fit, held_out = _stated(dataset, cards) if cards else _of_split(dataset)
    if held_out.height < FEWEST:
        raise DataError(
            f"Only {held_out.height} held-out cells would judge, at least {FEWEST} are needed: "
            "fewer cannot tell a good generator from a bad one. Nothing was judged. Split with a "
            "larger --validation-share before the generator is fitted."
        )
    if fit.is_empty():
        raise DataError("There are no cells that were fitted. Nothing was judged.")
    size_px = cards[0].size_px if cards else _size_of(drawn)
    group = pl.Series("group", np.arange(drawn.height))
    return Pools(
        _opened(generated, drawn.with_columns(group), size_px),
        _opened(dataset, fit, size_px),
        _opened(dataset, held_out, size_px),
        size_px,
        cards,
    )


def shrunk(pixels: Pixels, size_px: int) -> Pixels:
    """Bring pictures, uint8 (n, s, s, 3), to a size by the house's resizer."""
    return np.stack([resize(one, size_px) for one in pixels])


def _cards_of(generated: Dataset) -> tuple[GeneratorCard, ...]:
    """Read the cards of the generators a set comes from; refuse one whose card is gone."""
    known = generators_in(generated.folder)
    origins = generated.manifest.filter(is_generated())["origin"].unique().sort().to_list()
    lost = [origin for origin in origins if origin not in known]
    if lost:
        raise DataError(
            f"{generated.folder} holds cells of {lost[0]} without its card in generators/"
            f"{lost[0].removeprefix(GENERATED)}.json: which cells it learnt from is unknown. "
            "Nothing was judged. Sample them again."
        )
    return tuple(known[origin] for origin in origins)


def _stated(
    dataset: Dataset, cards: tuple[GeneratorCard, ...]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Find the cells that the cards name in a dataset."""
    fitted = {content for card in cards for content in card.fit.contents}
    used = fitted | {content for card in cards for content in card.stop.contents}
    judging = {content for card in cards for content in card.judge.contents} - used
    manifest = _grouped(dataset)
    missing = (fitted | judging) - set(manifest["content"])
    if missing:
        raise DataError(
            f"{len(missing)} of {len(fitted | judging)} cells that the generator was fitted to or "
            f"is judged by are not in {dataset.folder}. Nothing was judged. Name the dataset it "
            f"was fitted on, {cards[0].dataset_name}."
        )
    return _among(manifest, fitted), _among(manifest, judging)


def _of_split(dataset: Dataset) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Take training and validation of a dataset's first split."""
    sides = read_split(dataset, "splits", 0, 0).select("cell_id", "split")
    manifest = _grouped(dataset).join(sides, on="cell_id", maintain_order="left")
    fit = manifest.filter(pl.col("split") == "train").unique("content", maintain_order=True)
    held_out = manifest.filter(pl.col("split") == "validation")
    held_out = held_out.unique("content", maintain_order=True)
    return fit, held_out.join(fit, on="content", how="anti", maintain_order="left")


def _among(manifest: pl.DataFrame, contents: set[str]) -> pl.DataFrame:
    found = manifest.filter(pl.col("content").is_in(list(contents)))
    return found.unique("content", maintain_order=True)


def _grouped(dataset: Dataset) -> pl.DataFrame:
    """Give the cells of their own with the group each stands in."""
    groups = pl.Series("group", groups_of(dataset.manifest))
    return dataset.manifest.with_columns(groups).filter(~is_copy())


def _size_of(drawn: pl.DataFrame) -> int:
    """Take the commonest shorter side of pictures of another tool; of two as common the smaller."""
    shorter = drawn.select(pl.min_horizontal("width_px", "height_px")).to_series()
    sides: Counter[int] = Counter(shorter.to_list())
    return max(sides, key=lambda side: (sides[side], -side))


def _opened(dataset: Dataset, cells: pl.DataFrame, size_px: int) -> Pool:
    store = open_store(dataset, cells, size_px)
    pixels = store.take(store.rows(cells["content"].to_list()))
    return Pool(cells.select("cell_id", "content", "category", "family", "case", "group"), pixels)
