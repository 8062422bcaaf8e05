"""Measured cell features as a model takes them: looked up, filled where empty, standardised."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor, nn

from leukoscope.foundation.errors import DataError
from leukoscope.intake.measured import measure_dataset
from leukoscope.models.classical import part_of
from leukoscope.morphology.definitions import COLUMNS, TWINS
from leukoscope.records.dataset import Dataset

Measures = npt.NDArray[np.float32]
_SCALED = {twin: name for name, twin in TWINS.items()}


class Standardised(nn.Module):
    """Subtract ``shift`` and divide by ``scale``, both float64 (d,)."""

    def __init__(self, arrays: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.register_buffer("shift", arrays["shift"])
        self.register_buffer("scale", arrays["scale"])

    def forward(self, features: Tensor) -> Tensor:
        """Turn features (n, d) into float32 (n, d)."""
        return ((features.double() - part_of(self, "shift")) / part_of(self, "scale")).float()


def standardised_by(features: Tensor) -> Standardised:
    """Take mean and standard deviation of training cells; what does not vary is only shifted."""
    wide = features.double()
    spread = wide.std(dim=0, correction=0)
    return Standardised({"shift": wide.mean(dim=0), "scale": torch.where(spread > 0, spread, 1.0)})


def left_as_it_is(n_features: int) -> Standardised:
    """Shift by nothing and divide by one."""
    zeros = torch.zeros(n_features, dtype=torch.float64)
    return Standardised({"shift": zeros, "scale": torch.ones_like(zeros)})


class Measured(nn.Module):
    """Fill empty measures by the median of training, say which were empty, and standardise.

    ``median`` float64 (m,); ``flagged`` bool (m,): which have a column of their own that tells
    empty from measured, because some training cell lacked them.
    """

    def __init__(self, median: Tensor, flagged: Tensor, standardised: Standardised) -> None:
        super().__init__()
        self.register_buffer("median", median)
        self.register_buffer("flagged", flagged)
        self.standardised = standardised

    def forward(self, measures: Tensor) -> Tensor:
        """Turn measures (n, m), NaN where empty, into float32 (n, m + number of flags)."""
        filled = _filled(measures, part_of(self, "median"), part_of(self, "flagged"))
        done: Tensor = self.standardised(filled)
        return done


def _filled(measures: Tensor, median: Tensor, flagged: Tensor) -> Tensor:
    empty = measures.isnan()
    filled = torch.where(empty, median, measures.double())
    return torch.cat([filled, empty[:, flagged].double()], dim=1)


def fit_measured(measures: Measures) -> Measured:
    """Take medians, means and standard deviations from training cells.

    Parameters
    ----------
    measures : numpy.ndarray of float32, shape (n, m)
        NaN where empty; each measure has some.
    """
    rows = torch.from_numpy(measures)
    median = torch.from_numpy(np.nanmedian(measures.astype(np.float64), axis=0))
    flagged = rows.isnan().any(dim=0)
    return Measured(median, flagged, standardised_by(_filled(rows, median, flagged)))


def usable_measures(table: pl.DataFrame) -> tuple[str, ...]:
    """Name the measures that training can use.

    Parameters
    ----------
    table : polars.DataFrame
        A measures table of the training cells.

    Returns
    -------
    tuple of str
        Those that some cell has; lengths and areas in micrometres only where every
        measured cell's scale is known.

    Raises
    ------
    DataError
        If there is none: no leukocyte was found.
    """
    has_all = {
        twin: table.filter(pl.col(name).is_not_null() & pl.col(twin).is_null()).is_empty()
        for twin, name in _SCALED.items()
    }
    names = tuple(
        name
        for name in COLUMNS
        if table[name].null_count() < table.height and has_all.get(name, True)
    )
    if not names:
        raise DataError(
            f"None of {table.height} training cells could be measured: no leukocyte was found. "
            "Nothing was fitted. Look at the pictures, or train without measures."
        )
    return names


def measure_cells(dataset: Dataset, cells: pl.DataFrame) -> pl.DataFrame:
    """Measure some cells of a dataset: a measures table, see ``measure_dataset``."""
    asked = dataset.manifest.filter(pl.col("cell_id").is_in(cells["cell_id"].to_list()))
    return measure_dataset(Dataset(dataset.folder, dataset.card, asked))


def measured_rows(table: pl.DataFrame, cell_ids: Sequence[str], names: Sequence[str]) -> Measures:
    """Look up measures of cells.

    Parameters
    ----------
    table : polars.DataFrame
        A measures table that holds the cells.
    cell_ids : sequence of str, length n
        The cells, in any order; one may come several times.
    names : sequence of str, length m
        The measures.

    Returns
    -------
    numpy.ndarray of float32, shape (n, m)
        NaN where a cell has none.

    Raises
    ------
    DataError
        If the table lacks a measure or a cell, or the scale of a measured cell is not known
        where a measure in micrometres is asked for.
    """
    if lacking := [name for name in names if name not in table.columns]:
        raise DataError(
            f"The model takes {lacking[0]} of each cell"
            + (f" and {len(lacking) - 1} more measures" if len(lacking) > 1 else "")
            + ", which the measures at hand do not hold. Nothing was predicted. Measure the cells "
            "with the version the model was trained with."
        )
    for name in names:
        _refuse_no_scale(table, name)
    row_of = {cell_id: row for row, cell_id in enumerate(table["cell_id"])}
    if unknown := [cell_id for cell_id in cell_ids if cell_id not in row_of]:
        raise DataError(f"Cell {unknown[0]} has no measures. Nothing was predicted.")
    every = table.select(names).cast(pl.Float32).to_numpy()
    return np.ascontiguousarray(every[[row_of[cell_id] for cell_id in cell_ids]])


def _refuse_no_scale(table: pl.DataFrame, name: str) -> None:
    in_px = _SCALED.get(name)
    if in_px is None or in_px not in table.columns:
        return
    lost = table.filter(pl.col(in_px).is_not_null() & pl.col(name).is_null())
    if lost.height:
        raise DataError(
            f"The model takes {name}, and the scale of {lost.height} cells is not known, for "
            f"example of {lost['cell_id'][0]}. Nothing was predicted. Ingest them with their width "
            "of a pixel in micrometres."
        )
