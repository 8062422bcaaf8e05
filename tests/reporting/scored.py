"""Pages of evaluations and comparisons, their predictions drawn at random and truly scored."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
from tests.reporting.example import THIRTEEN

from leukoscope.evaluation.evaluation import Mix, evaluation_of
from leukoscope.evaluation.fixed_models import comparison_of
from leukoscope.evaluation.labels import reader_rows
from leukoscope.foundation.streams import stream
from leukoscope.records import shapes, tables
from leukoscope.records.categories import NOZAKA6
from leukoscope.records.mixes import MIXES
from leukoscope.reporting.comparison_page import ComparisonPage
from leukoscope.reporting.evaluation_page import EvaluationPage

SURNAME = "Somebody"
"""What the drawn cases are called: it must not be found on any page."""

Page = TypeVar("Page", EvaluationPage, ComparisonPage)
EVALUATIONS = ("full", "bare", "families", "thirteen", "exchanged")
TABLES = ("results", "confusion", "points", "differential", "guards", "errors")


def predictions(
    purpose: str,
    *,
    n_cells: int = 360,
    n_cases: int = 12,
    names: tuple[str, ...] = NOZAKA6,
    skill: float = 3.0,
    with_probabilities: bool = True,
) -> pl.DataFrame:
    """Draw a predictions table: the same cells for every purpose, other calls."""
    cells, calls = stream(0, "cells", *names), stream(0, "calls", purpose)
    k = len(names)
    truth = np.concatenate([np.arange(k), cells.choice(k, n_cells - k)])
    scores = calls.normal(0, 1, (n_cells, k))
    scores[np.arange(n_cells), truth] += skill
    scores[truth == 0, 1] += 1.0
    shares = np.exp(scores)
    shares /= shares.sum(axis=1, keepdims=True)
    columns: dict[str, list[object]] = {
        "cell_id": [f"cell-{i:04d}" for i in range(n_cells)],
        "family": [f"family-{i:04d}" for i in range(n_cells)],
        "category": [names[code] for code in truth],
        "predicted": [names[code] for code in shares.argmax(axis=1)],
    }
    if n_cases:
        columns["case"] = [f"{SURNAME} {i % n_cases}" for i in range(n_cells)]
    if with_probabilities:
        columns |= {f"p_{name}": shares[:, code].tolist() for code, name in enumerate(names)}
    return tables.check(pl.DataFrame(columns), shapes.PREDICTIONS)


@cache
def evaluation(kind: str = "full") -> EvaluationPage:
    """Build one of :data:`EVALUATIONS`."""
    if kind == "full":
        table = predictions("calls")
        mix = Mix("nozaka-2022", {name: float(n) for name, n in MIXES["nozaka-2022"].items()})
        readings = reader_rows(table, _readers(table))
        return page_of(table, mix=mix, readings=readings, curves=_history())
    if kind == "bare":
        return page_of(
            predictions(
                "calls",
                n_cells=80,
                n_cases=0,
                names=("healthy", "leukemic"),
                with_probabilities=False,
            )
        )
    if kind == "families":
        return page_of(predictions("calls", n_cases=0))
    if kind == "thirteen":
        return page_of(predictions("calls", n_cases=6, names=THIRTEEN, skill=4.0))
    swapped = pl.col("predicted").replace({"monocyte": "band", "band": "monocyte"})
    return page_of(predictions("calls", skill=5.0).with_columns(swapped))


def page_of(
    table: pl.DataFrame,
    *,
    mix: Mix | None = None,
    readings: list[dict] | None = None,
    curves: pl.DataFrame | None = None,
) -> EvaluationPage:
    """Evaluate predictions and make their page's contents."""
    found = evaluation_of(table, mix=mix, readings=readings or ())
    return EvaluationPage(
        name="run-7", **{name: getattr(found, name) for name in TABLES}, curves=curves
    )


@cache
def comparison(n_models: int = 2, *, unit: str = "case") -> ComparisonPage:
    """Build a comparison of some models with the first; the last one has calls alone."""
    n_cases = 12 if unit == "case" else 0
    names = [f"model-{number}" for number in range(1, n_models + 1)]
    arms = {
        name: predictions(
            name,
            n_cases=n_cases,
            skill=2.5 + 0.5 * place,
            with_probabilities=place < 2,
        )
        for place, name in enumerate(names)
    }
    found = comparison_of(arms, names[0], "macro_f", 0.02)
    kept = {name: getattr(found, name) for name in ("results", "confusion", "points", "guards")}
    return ComparisonPage("model-1", "macro_f", 0.02, **kept)


def planted(page: ComparisonPage, **values: float | None) -> ComparisonPage:
    """Set columns of the primary difference of every model."""
    primary = (
        (pl.col("metric") == page.metric)
        & (pl.col("view") == "strict")
        & pl.col("baseline").is_not_null()
        & pl.col("method").str.contains("jackknife t, ")
        & ~pl.col("method").str.starts_with("non-inferiority")
        & pl.col("unit").is_in(["case", "family"])
    )
    assert page.results.filter(primary).height == page.results["arm"].n_unique() - 1
    changed = [
        pl.when(primary).then(pl.lit(value, dtype=pl.Float64)).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    ]
    return replace(page, results=page.results.with_columns(changed))


def shuffled(page: Page, seed: int) -> Page:
    """Put the rows of every table in another order."""
    names = [
        name for name in (*TABLES, "curves", "pictures") if getattr(page, name, None) is not None
    ]
    mixed = {
        name: getattr(page, name).sample(fraction=1, shuffle=True, seed=seed) for name in names
    }
    return replace(page, **mixed)


def write_tables(folder: Path, page: EvaluationPage | ComparisonPage) -> None:
    """Write a page's tables as the verbs do."""
    known = {name: getattr(shapes, name.upper()) for name in (*TABLES, "curves", "pictures")}
    for name, shape in known.items():
        table = getattr(page, name, None)
        if table is not None:
            tables.write_table(folder / f"{name}.parquet", table, shape)


def _readers(table: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for reader in ("A", "B", "C"):
        drawing = stream(0, "reader", reader)
        for cell, truth in table.select("cell_id", "category").iter_rows():
            read = truth if drawing.random() < 0.9 else NOZAKA6[drawing.integers(len(NOZAKA6))]
            rows.append((cell, reader, read))
    schema = ["cell_id", "reader", "category"]
    return tables.check(pl.DataFrame(rows, schema=schema, orient="row"), shapes.READERS)


def _history() -> pl.DataFrame:
    updates = range(100, 700, 100)
    scores = ("validation_accuracy", "validation_balanced_accuracy", "validation_macro_f")
    columns = {
        "study": ["run-7"] * 6,
        "arm": ["run-7"] * 6,
        "replicate": [0] * 6,
        "update": list(updates),
        "rounds": [update / 100 for update in updates],
        "train_loss": [100 / update for update in updates],
        "validation_loss": [120 / update for update in updates],
        **{name: [0.9 - 30 / update for update in updates] for name in scores},
    }
    return tables.check(pl.DataFrame(columns), shapes.CURVES)
