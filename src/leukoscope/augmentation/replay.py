"""One copy made again, from its lineage alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from leukoscope.augmentation.apply import Pixels, apply
from leukoscope.augmentation.copies import open_parents
from leukoscope.augmentation.draw import Draw
from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError, LeukoscopeError, UsageError, unknown_name
from leukoscope.intake.decode import content_of, decode, encode_png
from leukoscope.records.dataset import Dataset
from leukoscope.records.lineage import GENERATED, is_copy

Row = dict[str, Any]


def replay_copy(
    dataset: Dataset,
    cell_id: str,
    *,
    out: Path,
    drawn_again: Callable[[Row], Pixels] | None = None,
) -> Path:
    """Make one copy again from its origin and its draw, and hold it against what is stored.

    Parameters
    ----------
    dataset : Dataset
        The dataset that the copy is in.
    cell_id : str
        The copy.
    out : Path
        The PNG file to write: the same bytes as the stored one.
    drawn_again : callable, optional
        Draws a generated cell again from its row of the manifest; needed for one, and only so.

    Returns
    -------
    Path
        *out*.

    Raises
    ------
    UsageError
        If no cell is called so, it is no copy, *out* is no .png, something stands there, or a
        generated cell comes without its generator.
    DataError
        If its lineage cannot be followed; if the replay is not what the manifest says, and
        then nothing is written; or if the stored picture is not, and then the replay is.
    """
    out = Path(out)
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out} should end in .png. Nothing was written.")
    row = _copy_of(dataset, cell_id)
    make = _maker(dataset, row, drawn_again)
    files.refuse_unwritable(out)
    pixels = make(row)
    stored = _stored_content(dataset, row)
    if content_of(pixels) != row["content"]:
        raise DataError(_said_of_replay(row, stored))
    files.write_bytes(out, encode_png(pixels))
    if stored != row["content"]:
        raise DataError(
            f"{row['path']} of {dataset.folder} is {_how(stored)}; its replay is the picture that "
            f"the manifest names. It was written to {out}, the dataset was left untouched. Put it "
            "in the other's place."
        )
    return out


def _copy_of(dataset: Dataset, cell_id: str) -> Row:
    found = dataset.manifest.filter(pl.col("cell_id") == cell_id)
    copies = dataset.manifest.filter(is_copy())
    if copies.is_empty():
        raise UsageError(
            f"{dataset.folder} holds no copies: there is nothing to make again. Nothing was "
            "written. Give the dataset that `leukoscope augment` made."
        )
    if found.is_empty():
        near = unknown_name("copy in this dataset", cell_id, copies["cell_id"])
        raise UsageError(f"{near} Nothing was written.")
    if found.filter(is_copy()).is_empty():
        raise UsageError(
            f"{cell_id} is no copy but a cell of its own: there is nothing to make again. Nothing "
            f"was written. Name one of the {copies.height} copies, for example "
            f"{copies['cell_id'][0]}."
        )
    return found.row(0, named=True)


def _maker(
    dataset: Dataset, row: Row, drawn_again: Callable[[Row], Pixels] | None
) -> Callable[[Row], Pixels]:
    """Choose by its lineage how a copy is made again."""
    if not row["origin"].startswith(GENERATED):
        if drawn_again is not None:
            raise UsageError(
                f"{row['cell_id']} is a copy of {row['origin']}: no generator drew it. Nothing was "
                "written. Leave --run out."
            )
        return lambda row: _replayed(dataset, row)
    if drawn_again is None:
        raise UsageError(
            f"{row['cell_id']} was drawn by {row['origin']}. Nothing was written. Add --run with "
            "the folder that `leukoscope synthesise` made."
        )
    return drawn_again


def _replayed(dataset: Dataset, row: Row) -> Pixels:
    parents = dataset.manifest.filter(pl.col("cell_id") == row["origin"])
    if parents.is_empty():
        raise DataError(
            f"{row['cell_id']} was made from {row['origin']}, which is no cell of this dataset. "
            "Nothing was written. Only copies that augment made can be made again."
        )
    parent = open_parents(dataset)(parents.row(0, named=True))
    try:
        return apply(Draw.from_json(row["draw"] or ""), parent.pixels, parent.mask)
    except LeukoscopeError as error:
        raise DataError(f"{row['cell_id']} cannot be made again. {error}") from None
    # What numbers of another shape, or a rule that is not known here, let out.
    except (ValueError, TypeError, LookupError):
        raise DataError(
            f"{row['cell_id']} cannot be made again. Its draw cannot be followed: "
            f"{row['draw'][:120]}. Nothing was written. It was changed, or made by another version."
        ) from None


def _stored_content(dataset: Dataset, row: Row) -> str | None:
    """Hash the stored picture; None if it is gone or broken."""
    try:
        data = files.open_collection(dataset.folder)(row["path"])
        return content_of(decode(data, name=row["path"]).pixels)
    except DataError:
        return None


def _said_of_replay(row: Row, stored: str | None) -> str:
    stands = (
        "the stored picture is the one that the manifest names"
        if stored == row["content"]
        else f"the stored picture is {_how(stored)} as well"
    )
    return (
        f"The replay of {row['cell_id']} is not the picture that the manifest names; {stands}. "
        "Nothing was written. Its draw was changed, or another version or processor made it."
    )


def _how(stored: str | None) -> str:
    return "gone or broken" if stored is None else "another one"
