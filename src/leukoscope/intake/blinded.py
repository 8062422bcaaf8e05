"""A blinded sheet: which real and which drawn cells it shows, in which order, betraying neither."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from PIL import Image

from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.intake.decode import Pixels, decode
from leukoscope.intake.thumbnails import thumbnails
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset, read_split
from leukoscope.records.generators import generators_in
from leukoscope.records.judged import MEMORISED, refuse_real
from leukoscope.records.lineage import is_copy, is_generated

FEWEST, MOST = 2, 400
"""How many pictures a sheet may have."""


@dataclass(frozen=True)
class Blinded:
    """Hold a blinded sheet: its key, and its pictures in the order of their numbers."""

    key: pl.DataFrame
    """In the shape of :data:`leukoscope.records.shapes.SHEET_KEY`."""
    pictures: tuple[bytes, ...]
    """PNG of each: all of one size, and of one number of bytes."""
    size_px: int
    categories: tuple[str, ...]
    """Those that may be named, in the dataset's order."""


def blinded(dataset: Dataset, generated: Dataset, *, n: int, seed: int) -> Blinded:
    """Draw the pictures of a blinded sheet: half real, half drawn, alike in every other way.

    Parameters
    ----------
    dataset : Dataset
        Whose real cells are shown: those that the generator's card names as judging, or of a
        set without a card the validation split.
    generated : Dataset
        Whose cells are shown as drawn; flagged copies are left out.
    n : int
        How many pictures, even. Each category has as many real ones as drawn ones, and as
        many as another where there are enough.
    seed : int
        Choice and order follow from it.

    Returns
    -------
    Blinded
        Real cells are brought to the generated size by the house's resizer, and all are written
        alike, so that neither resolution nor the size of a file tells.

    Raises
    ------
    UsageError
        If *n* is odd or out of range.
    DataError
        If *dataset* holds none of those cells, *generated* holds real ones, or there are too few.
    """
    if n % 2 or not FEWEST <= n <= MOST:
        raise UsageError(
            f"--n is {n}; a sheet has an even number of pictures, {FEWEST} to {MOST}: half are "
            "real. Nothing was written."
        )
    drawn = _drawn(dataset, generated)
    real = _real(dataset, generated)
    chosen = _chosen(dataset, {"real": real, "drawn": drawn}, n // 2, seed)
    size_px = int(min(drawn["width_px"].min(), drawn["height_px"].min()))  # type: ignore[type-var, arg-type]
    ids = {made: chosen.filter(made=made)["cell_id"] for made in ("real", "drawn")}
    pngs = {
        "real": thumbnails(dataset, ids["real"], size_px),
        "drawn": thumbnails(generated, ids["drawn"], size_px),
    }
    pictures = tuple(_plain(pngs[row["made"]][row["cell_id"]]) for row in chosen.to_dicts())
    return Blinded(chosen, pictures, size_px, tuple(dataset.card.categories))


def plain_png(pixels: Pixels) -> bytes:
    """Write pixels as a PNG that is not compressed and says nothing beside them.

    How far a picture can be compressed depends on what made it; so of one size all have one
    number of bytes.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=0)
    return buffer.getvalue()


def _plain(png: bytes) -> bytes:
    return plain_png(decode(png, name="A picture of the sheet").pixels)


def _drawn(dataset: Dataset, generated: Dataset) -> pl.DataFrame:
    """List the generated cells that may be shown."""
    rows = generated.manifest
    made = rows.filter(is_generated())
    if 0 < made.height < rows.height:
        raise DataError(
            f"{generated.folder} holds {rows.height - made.height} real cells beside its "
            f"{made.height} generated ones. No sheet was made. Name the folder that sample wrote."
        )
    refuse_real(dataset, generated)
    return rows.filter(~pl.col("cell_id").is_in(_memorised(generated))).unique(
        "content", keep="first", maintain_order=True
    )


def _memorised(generated: Dataset) -> list[str]:
    """List the cells flagged as copies: none is shown, for none is used."""
    path = generated.folder / "findings.parquet"
    if not path.is_file():
        progress.note(
            f"{generated.folder} was not judged: copies of training cells may be on the sheet. "
            "`leukoscope judge` finds them."
        )
        return []
    found = tables.read_table(path, shapes.FINDINGS)
    return found.filter(check=MEMORISED)["cell_id"].to_list()


def _real(dataset: Dataset, generated: Dataset) -> pl.DataFrame:
    """List the real cells that may be shown: no generator was fitted to them or chosen by them."""
    cards = generators_in(generated.folder)
    origins = generated.manifest.filter(is_generated())["origin"].unique().sort().to_list()
    lacking = [origin for origin in origins if origin not in cards]
    if lacking:
        raise DataError(
            f"{generated.folder} has no card of {lacking[0]}, so that nobody knows which cells it "
            "saw. No sheet was made. Sample it again from its run."
        )
    if not origins:
        divided = read_split(dataset, "splits", 0, 0).filter(split="validation")
        return divided.filter(~is_copy()).drop("split").unique("content", maintain_order=True)
    wanted = set.intersection(*(set(cards[origin].judge.contents) for origin in origins))
    rows = dataset.manifest.filter(~is_copy() & pl.col("content").is_in(list(wanted)))
    if rows.is_empty():
        raise DataError(
            f"{dataset.folder} holds none of the {len(wanted)} cells that {generated.folder} is "
            f"judged by. No sheet was made. Name the dataset that its generator was fitted in: "
            f"{cards[origins[0]].dataset_name}."
        )
    return rows.unique("content", keep="first", maintain_order=True)


def _chosen(
    dataset: Dataset, pools: Mapping[str, pl.DataFrame], n_each: int, seed: int
) -> pl.DataFrame:
    """Draw as many of either kind in each category, and number all by a common shuffle."""
    names = list(dataset.card.categories)
    supply = [min(rows.filter(category=name).height for rows in pools.values()) for name in names]
    if sum(supply) < n_each:
        counts = ", ".join(f"{name} {most}" for name, most in zip(names, supply, strict=True))
        raise DataError(
            f"A sheet of {2 * n_each} pictures needs {n_each} real and {n_each} drawn cells of "
            f"equal categories; both kinds are there {sum(supply)} times ({counts}). No sheet was "
            f"made. Ask for --n {2 * sum(supply)} or fewer."
        )
    parts = [
        _some(rows.filter(category=name), number, seed, made, name)
        for name, number in zip(names, _shares(supply, n_each), strict=True)
        for made, rows in pools.items()
    ]
    together = pl.concat(parts)
    shuffled = together[stream(seed, "sheet", "order").permutation(together.height)]
    numbered = shuffled.with_columns(
        number=pl.Series(range(1, shuffled.height + 1), dtype=pl.Int32), seed=pl.lit(str(seed))
    )
    return tables.check(numbered, shapes.SHEET_KEY)


def _some(rows: pl.DataFrame, number: int, seed: int, made: str, category: str) -> pl.DataFrame:
    ordered = rows.sort("cell_id")
    places = stream(seed, "sheet", made, category).permutation(ordered.height)[:number]
    return ordered[places].select("category", "cell_id", "content", made=pl.lit(made))


def _shares(supply: Sequence[int], wanted: int) -> list[int]:
    """Part *wanted* over categories by turns, as far as each has cells; sum(supply) ≥ wanted."""
    shares = [0] * len(supply)
    left = wanted
    while left:
        for place, most in enumerate(supply):
            if left and shares[place] < most:
                shares[place] += 1
                left -= 1
    return shares
