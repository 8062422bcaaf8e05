"""Pages with invented numbers that fit each other: drawn confusion matrices and their scores."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from leukoscope.foundation.streams import stream
from leukoscope.records import shapes
from leukoscope.records.categories import NOZAKA6, PBC13, merged, ordered
from leukoscope.reporting.study_page import StudyPage
from leukoscope.stats import scores as stats

ARMS = {
    "none": "The training cells as they are.",
    "online-rotation": "Each training cell is turned by an angle drawn anew whenever it is shown.",
}
SCALARS = stats.SCALAR_METRICS
THIRTEEN = ordered([*PBC13.values()])


def support(categories: Sequence[str]) -> list[int]:
    """Say how many test cells each category has."""
    return np.linspace(240, 60, len(categories)).astype(int).tolist()


def matrix(lift: float, replicate: int, categories: Sequence[str]) -> np.ndarray:
    """Draw a confusion matrix: bands and segmented cells are hard, a lift makes all easier."""
    drawing = stream(7, "example", replicate)
    k = len(categories)
    right = np.where(np.isin(categories, ["band", "segmented"]), 0.8, 0.95)
    right = np.minimum(right + lift + drawing.uniform(-0.01, 0.01), 0.995)
    share = np.empty((k, k))
    for row in range(k):
        weight = 1.0 / np.abs(np.arange(k) - row).clip(1) ** 3
        weight[row] = 0
        share[row] = (1 - right[row]) * weight / weight.sum()
        share[row, row] = right[row]
    cells = support(categories)
    return np.array([drawing.multinomial(n, p) for n, p in zip(cells, share, strict=True)])


def in_view(counts: np.ndarray, categories: Sequence[str], view: str) -> tuple[np.ndarray, list]:
    """Read a matrix strictly or with neutrophils merged."""
    if view == "strict":
        return counts, list(categories)
    names = merged(categories)
    fewer = list(dict.fromkeys(names))
    return stats.merge(counts, [fewer.index(name) for name in names]), fewer


def score_rows(arm: str, counts: list[np.ndarray], categories: Sequence[str]) -> Iterator[dict]:
    """List the scores of an arm: one row a replicate, then their mean with an interval."""
    for view in ("strict", "merged"):
        read = [in_view(each, categories, view) for each in counts]
        values = [stats.scores(each) for each, _ in read]
        names = read[0][1]
        common = {"arm": arm, "view": view, "n_cells": 900, "n_families": 880, "n_cases": 51}
        for metric in SCALARS:
            each = [float(value[metric]) for value in values]
            yield from rows_of(each, common | {"metric": metric})
        for place, category in enumerate(names):
            for metric in (*stats.CATEGORY_METRICS, "support"):
                each = [float(value[metric][place]) for value in values]
                yield from rows_of(each, common | {"metric": metric, "category": category})


def rows_of(each: list[float], common: dict) -> Iterator[dict]:
    """Give the row of each replicate, and that of the mean."""
    for number, value in enumerate(each):
        yield common | {"replicate": number, "value": value, "method": "one run"}
    mean = float(np.mean(each))
    bounds = {}
    if common["metric"] != "support":
        half = 0.15 * mean * (1 - mean) ** 0.5
        bounds = {"low": mean - half, "high": min(mean + half, 1.0)}
    yield common | bounds | {"value": mean, "method": "jackknife t on the logit scale, 51 groups"}


def difference_rows(rows: list[dict], arm: str, baseline: str, unit: str) -> Iterator[dict]:
    """List the paired differences of an arm from the baseline."""
    means = {
        (row["arm"], row["metric"], row["view"]): row
        for row in rows
        if "replicate" not in row and row["metric"] in SCALARS
    }
    for metric in SCALARS:
        for view, half in (("strict", 0.017), ("merged", 0.011)):
            ours, theirs = means[arm, metric, view], means[baseline, metric, view]
            value = ours["value"] - theirs["value"]
            yield {name: ours[name] for name in ("metric", "view", "n_cells")} | {
                "arm": arm,
                "baseline": baseline,
                "unit": unit,
                "n_families": 880,
                "n_cases": 51 if unit == "case" else None,
                "value": value,
                "low": value - half,
                "high": value + half,
                "p_value": 0.018,
                "p_adjusted": 0.018 if (metric, view) == ("macro_f", "strict") else None,
                "method": "two-way jackknife t, 51 groups × 8 replicates, Satterthwaite degrees",
            }


def confusion_rows(arm: str, counts: list[np.ndarray], categories: Sequence[str]) -> Iterator[dict]:
    """List the cells of an arm's mean confusion matrix in both views."""
    mean = np.mean(counts, axis=0)
    for view in ("strict", "merged"):
        read, names = in_view(mean, categories, view)
        for row, truth in enumerate(names):
            total = read[row].sum()
            for column, call in enumerate(names):
                cells = float(read[row, column])
                yield {"arm": arm, "view": view, "category": truth, "predicted": call} | {
                    "n_cells": cells,
                    "share": cells / total if total else None,
                }


def composition(categories: Sequence[str], *, cases: int | None) -> pl.DataFrame:
    """Say what an invented dataset is made of."""
    parts = {"train": 4, "validation": 1, "test": 1}
    rows = [
        {"split": split, "category": name, "n_cells": cells * times}
        | {"n_families": (cells * times * 97) // 100}
        | {"n_cases": None if cases is None else cases * times - place}
        for split, times in parts.items()
        for place, (name, cells) in enumerate(zip(categories, support(categories), strict=True))
    ]
    schema = {"split": pl.String, "category": pl.String}
    return pl.DataFrame(
        rows, schema=schema | dict.fromkeys(("n_cells", "n_families", "n_cases"), pl.Int32)
    )


def example(
    *,
    arms: dict[str, str] | None = None,
    categories: Sequence[str] = NOZAKA6,
    n_replicates: int = 8,
    unit: str = "case",
    lifts: dict[str, float] | None = None,
) -> StudyPage:
    """Build a page of invented numbers; by default each arm is 2 points better than the last."""
    arms = ARMS if arms is None else arms
    baseline = next(iter(arms))
    rows: list[dict] = []
    cells: list[dict] = []
    for place, arm in enumerate(arms):
        lift = 0.02 * place if lifts is None else lifts.get(arm, 0.0)
        drawn = [matrix(lift, replicate, categories) for replicate in range(n_replicates)]
        rows += score_rows(arm, drawn, categories)
        cells += confusion_rows(arm, drawn, categories)
    for arm in list(arms)[1:]:
        rows += list(difference_rows(rows, arm, baseline, unit))
    schema = shapes.RESULTS.columns
    results = pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema)
    return StudyPage(
        name="rotation",
        question="Does rotating the training cells help?",
        metric="macro_f",
        view="strict",
        margin=0.01,
        baseline=baseline,
        arms=arms,
        n_replicates=n_replicates,
        unit=unit,
        results=results.with_columns(study=pl.lit("rotation")),
        confusion=pl.DataFrame(cells, shapes.CONFUSION.columns),
        composition=composition(categories, cases=51 if unit == "case" else None),
        provenance=[
            ("Model", "resnet18, weights drawn at random"),
            ("Data", "Invented numbers of an example; no cell was seen"),
            ("Recipe", "study.yaml in the study folder holds every setting"),
        ],
        notes=["The numbers on this page are invented."],
    )


def strict_only(page: StudyPage) -> StudyPage:
    """Leave the merged view out, as results do where there is nothing to merge."""
    strict = pl.col("view") == "strict"
    results, confusion = page.results.filter(strict), page.confusion.filter(strict)
    return replace(page, results=results, confusion=confusion)


def with_primary(page: StudyPage, **values: float | str | None) -> StudyPage:
    """Set columns of the primary difference of every arm."""
    primary = (
        pl.col("baseline").is_not_null()
        & (pl.col("metric") == page.metric)
        & (pl.col("view") == page.view)
    )
    changed = [
        pl.when(primary)
        .then(pl.lit(value, dtype=page.results.schema[name]))
        .otherwise(pl.col(name))
        .alias(name)
        for name, value in values.items()
    ]
    return replace(page, results=page.results.with_columns(changed))
