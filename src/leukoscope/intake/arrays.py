"""Pictures that come as arrays, brought into the one form everything else takes: a dataset."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError
from leukoscope.intake.decode import content_of, encode_png
from leukoscope.intake.ingest import write_folder
from leukoscope.intake.splits import hold_out
from leukoscope.records import categories, shapes, tables
from leukoscope.records.dataset import DatasetCard, read_dataset


def check_pictures(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Refuse an array that is not uint8 of shape (n, h, w, 3). Raises DataError."""
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[-1] != 3:
        raise DataError(
            f"Pictures should be uint8 of shape (n, height, width, 3), RGB from 0 to 255; seen "
            f"{pictures.dtype} of shape {pictures.shape}. Nothing was done."
        )
    return pictures


def dataset_of_arrays(
    pictures: npt.NDArray[np.uint8],
    labels: Sequence[Any],
    cases: Sequence[Any] | None,
    *,
    out: Path,
    seed: int,
) -> Path:
    """Write pictures as a dataset with a split of four fifths training, one fifth validation.

    Parameters
    ----------
    pictures : numpy.ndarray of uint8, shape (n, h, w, 3)
        RGB.
    labels : sequence of str or int, length n
        Their categories.
    cases : sequence of str or int, length n, or None
        Their persons or slides; None, NaN or an empty text where it is not known.
    out : Path
        The dataset folder to make.
    seed : int
        Seed of the division.

    Returns
    -------
    Path
        *out*.

    Raises
    ------
    DataError
        If shapes or lengths do not fit, a picture has no category, or a category has fewer
        than two groups.
    """
    check_pictures(pictures)
    n = len(pictures)
    if len(labels) != n or (cases is not None and len(cases) != n):
        raise DataError(f"{n} pictures need {n} labels and cases, or no cases. Nothing was done.")
    if unlabelled := [i for i, label in enumerate(labels) if _is_unknown(label)]:
        raise DataError(
            f"{len(unlabelled)} of {n} pictures have no category, the first at {unlabelled[0]}. "
            "Nothing was done. Leave them out."
        )
    names = [str(label) for label in labels]

    def build(folder: Path) -> None:
        (folder / "images").mkdir()
        rows = []
        for i, pixels in enumerate(pictures):
            path = f"{i:07d}.png"
            (folder / "images" / path).write_bytes(encode_png(pixels))
            rows.append(
                {
                    "cell_id": f"array:{i:07d}",
                    "path": path,
                    "content": content_of(pixels),
                    "category": names[i],
                    "original_label": names[i],
                    "case": None if cases is None or _is_unknown(cases[i]) else str(cases[i]),
                    "source": "array",
                    "width_px": pixels.shape[1],
                    "height_px": pixels.shape[0],
                    "exif_orientation": 1,
                }
            )
        card = DatasetCard(
            name="array",
            source="array",
            categories=categories.ordered(names),
            image_root="images",
        )
        write_folder(folder, card, rows)
        shares = {"train": 0.8, "validation": 0.2}
        manifest = read_dataset(folder).manifest
        splits = hold_out(manifest, shares=shares, repeats=1, seed=seed)
        tables.write_table(folder / "splits.parquet", splits, shapes.SPLITS)

    return files.build_folder(out, build)


def _is_unknown(value: Any) -> bool:
    """Tell whether a label or case is none: None, an empty text or NaN."""
    if isinstance(value, float | np.floating):
        return bool(np.isnan(value))
    return value is None or (isinstance(value, str) and not value)
