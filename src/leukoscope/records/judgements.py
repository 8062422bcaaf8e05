"""What a judgement of generated cells comes to, as tables: known without any network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from leukoscope.foundation import files
from leukoscope.records import shapes, tables

ALPHA = 0.05
"""Below this p value the test of memorisation counts as an error."""


@dataclass(frozen=True)
class Judgement:
    """Hold a judgement: how like real cells generated ones are, and whether they are copies.

    Attributes
    ----------
    results : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.RESULTS`; arms ``generated``, ``real``
        and, where it was asked for, ``noise``.
    neighbours : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.NEIGHBOURS`.
    findings : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.FINDINGS`.
    about : dict
        What was compared with what, in plain values.
    """

    results: pl.DataFrame
    neighbours: pl.DataFrame
    findings: pl.DataFrame
    about: dict[str, Any]

    @property
    def memorisation_p_value(self) -> float:
        """Give the p value of the test over all cells."""
        asked = (pl.col("metric") == "memorisation") & (pl.col("arm") == "generated")
        return float(self.results.filter(asked)["p_value"][0])

    @property
    def has_errors(self) -> bool:
        """Tell whether a cell is called a copy, or all lie too near to the fitted ones."""
        flagged = bool((self.findings["severity"] == "error").any())
        return flagged or self.memorisation_p_value < ALPHA

    def _repr_html_(self) -> str:
        return self.results._repr_html_()


def write_judgement_tables(folder: Path, judged: Judgement) -> None:
    """Write a judgement's tables, each as Parquet and CSV, and ``judgement.json``."""
    tables.write_both(folder, "results", judged.results, shapes.RESULTS)
    tables.write_both(folder, "neighbours", judged.neighbours, shapes.NEIGHBOURS)
    tables.write_both(folder, "findings", judged.findings, shapes.FINDINGS)
    files.write_json(folder / "judgement.json", judged.about)
