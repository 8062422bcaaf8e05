"""Predictions drawn at random, for the tests of this room."""

import polars as pl

from leukoscope.foundation.streams import stream
from leukoscope.records import shapes, tables

NAMES = ("segmented", "band", "eosinophil", "lymphocyte")


def predictions(seed, *, n_cells=120, n_cases=10, right=0.6, names=NAMES, purpose="calls"):
    """Draw a table: true categories and cases from the seed, calls from seed and purpose."""
    cells = stream(seed, "cells")
    truth = [*names, *cells.choice(names, n_cells - len(names)).tolist()]
    case = [f"case-{i % max(1, n_cases)}" for i in range(n_cells)]
    calls = stream(seed, purpose)
    guess = calls.choice(names, n_cells).tolist()
    keep = (calls.random(n_cells) < right).tolist()
    called = [t if k else g for t, g, k in zip(truth, guess, keep, strict=True)]
    columns = {
        "cell_id": [f"cell-{i:04d}" for i in range(n_cells)],
        "predicted": called,
        "run_id": ["run"] * n_cells,
        "family": [f"family-{i:04d}" for i in range(n_cells)],
        "category": truth,
    }
    return shaped(columns | ({"case": case} if n_cases else {}))


def shaped(columns):
    """Bring columns into the shape of a predictions table, those that are missing as null."""
    return tables.check(pl.DataFrame(columns, strict=False), shapes.PREDICTIONS)


def values(table, **where):
    """Give {(metric, category): value} of the rows that match."""
    for name, wanted in where.items():
        table = table.filter(pl.col(name).eq_missing(pl.lit(wanted)))
    return {(row["metric"], row["category"]): row["value"] for row in table.to_dicts()}
