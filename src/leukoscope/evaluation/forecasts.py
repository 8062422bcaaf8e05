"""Predictions made ready for scores of their probabilities."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.evaluation.predictions import in_order, read_truth
from leukoscope.records import categories, groups

PAIR = ("band", "segmented")
"""The two categories whose border is looked at by itself."""


@dataclass(frozen=True)
class Forecasts:
    """Hold what a model said of each cell, and what is true."""

    names: tuple[str, ...]
    """The model's answers, in order."""
    probabilities: npt.NDArray[np.float64]
    """Shape (n, k), rows add up to 1 but for the decimals a table left out."""
    truth: npt.NDArray[np.int64]
    """Shape (n,): the place of each cell's true category among the names."""
    groups: npt.NDArray[np.int64]
    """Shape (n,): the group, a case or a family, of each cell."""

    def view(self, view: str) -> "Forecasts":
        """Merge neutrophils by adding up their probabilities, or leave everything as it is."""
        if view == "strict":
            return self
        merged = categories.merged(self.names)
        names = tuple(dict.fromkeys(merged))
        codes = np.array([names.index(name) for name in merged])
        summed = np.zeros((len(self.truth), len(names)))
        np.add.at(summed.T, codes, self.probabilities.T)
        return Forecasts(names, summed, codes[self.truth], self.groups)

    @property
    def top(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Give each cell's largest probability, and whether its category is the true one."""
        return self.probabilities.max(axis=1), self.probabilities.argmax(axis=1) == self.truth


def forecasts_of(predictions: pl.DataFrame) -> Forecasts | None:
    """Read probabilities, true categories and groups off a predictions table.

    Parameters
    ----------
    predictions : polars.DataFrame
        A labelled predictions table of one run.

    Returns
    -------
    Forecasts or None
        None where the table holds labels alone, or a single answer. Probabilities are
        as stated, so that a threshold found among them is one of the table's.

    Raises
    ------
    DataError
        As :func:`~leukoscope.evaluation.predictions.prepare`.
    """
    table = in_order(predictions)
    stated = [name.removeprefix("p_") for name in table.columns if name.startswith("p_")]
    truth = read_truth(table)
    if len(stated) < 2:
        return None
    names = categories.ordered(stated)
    code_of = {name: code for code, name in enumerate(names)}
    shares = table.select(f"p_{name}" for name in names).to_numpy().astype(np.float64)
    return Forecasts(
        names,
        np.clip(shares, 0, 1),
        np.array([code_of[name] for name in truth], dtype=np.int64),
        groups.groups_of(table),
    )
