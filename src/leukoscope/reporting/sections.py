"""The tables of a study's page, cell by cell as they are shown."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from leukoscope.records import tables
from leukoscope.records.categories import merged, ordered
from leukoscope.reporting import wording
from leukoscope.reporting.contents import (
    VIEWS,
    Key,
    Score,
    Scores,
    StudyPage,
    arm_order,
    replicates_of,
    views_of,
)

VIEW_TITLES = {
    "strict": "Strict: band and segmented neutrophils told apart",
    "merged": "Merged: band and segmented neutrophils counted as one",
}


class Estimate(NamedTuple):
    """Show a value with its interval, or with the reason why there is none."""

    value: str
    interval: str = ""
    reason: str = ""


class ArmRow(NamedTuple):
    """Show an arm's scores, in the order of :data:`leukoscope.reporting.wording.METRICS`."""

    arm: str
    estimates: tuple[Estimate, ...]
    replicates: int


class DifferenceRow(NamedTuple):
    """Show one difference of an arm from the baseline."""

    metric: str
    view: str
    estimate: Estimate
    p_value: str
    p_adjusted: str
    primary: bool


class RecallRow(NamedTuple):
    """Show the recall of one category in each arm."""

    category: str
    merged: bool
    cells: str
    estimates: tuple[Estimate, ...]


class Cell(NamedTuple):
    """Show a cell of a confusion matrix; *shade* is the square root of its share."""

    cells: str
    share: str
    shade: str
    kind: str


class Matrix(NamedTuple):
    """Show a confusion matrix: for each true category its cells and its row."""

    arm: str
    view: str
    categories: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Cell, ...]], ...]


class Composition(NamedTuple):
    """Show what the dataset is made of: for each category the counts in each split."""

    splits: tuple[str, ...]
    counted: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def arm_tables(page: StudyPage, scores: Scores) -> list[tuple[str, list[ArmRow]]]:
    """List, for each view, the scores of every arm, the baseline first."""
    views = views_of(scores)
    titles = VIEW_TITLES if "merged" in views else {"strict": "Categories as they are"}
    return [(titles[view], _arm_rows(page, scores, view)) for view in views if view in titles]


def why_not_merged(scores: Scores) -> str:
    """Say in a sentence why there is no merged view; empty where there is one."""
    if "merged" in views_of(scores):
        return ""
    strict = _categories(scores, "strict")
    left = set(merged(strict))
    if left == set(strict):
        why = "no category here is a band or a segmented neutrophil, so merging changes nothing"
    elif len(left) == 1:
        why = "a single category would be left, with nothing to tell it from"
    else:
        why = "the results hold none"
    return f"Scores with neutrophils merged are left out: {why}."


def has_bands_to_confuse(scores: Scores) -> bool:
    """Tell whether band and segmented neutrophils are both among the categories."""
    return {"band", "segmented"} <= set(_categories(scores, "strict"))


def difference_tables(page: StudyPage, scores: Scores) -> list[tuple[str, list[DifferenceRow]]]:
    """List, for each arm but the baseline, its differences; the primary one comes first."""
    return [(arm, _difference_rows(page, scores, arm)) for arm in arm_order(page)[1:]]


def recall_table(page: StudyPage, scores: Scores) -> list[RecallRow]:
    """List the recall of each category in each arm, then of those that only merging makes."""
    strict = _categories(scores, "strict")
    pooled = {whole for name, whole in zip(strict, merged(strict), strict=True) if name != whole}
    rows = [(name, "strict") for name in strict]
    rows += [(name, "merged") for name in _categories(scores, "merged") if name in pooled]
    return [_recall_row(page, scores, name, view) for name, view in rows]


def matrices(page: StudyPage) -> list[Matrix]:
    """List the confusion matrices, strict and merged, of each arm."""
    table = tables.check(page.confusion, tables.CONFUSION)
    found = {
        (arm, view): {(truth, call): (cells, share) for truth, call, cells, share in rows.rows()}
        for (arm, view), rows in (
            (key, part.select("category", "predicted", "n_cells", "share"))
            for key, part in table.partition_by("arm", "view", as_dict=True).items()
        )
    }
    return [
        _matrix(arm, view, found[arm, view])
        for arm in arm_order(page)
        for view in VIEWS
        if (arm, view) in found
    ]


def composition(page: StudyPage) -> Composition:
    """List the cells of each category in each split; cases only where any is known."""
    table = page.composition
    names = table["split"].unique().to_list()
    splits = [name for name in tables.SPLIT_NAMES if name in names]
    splits += sorted(set(names) - set(splits))
    units = {"n_cells": "cells", "n_families": "families", "n_cases": "cases"}
    counted = [name for name in units if table[name].drop_nulls().len()]
    counts = {(row["split"], row["category"]): row for row in table.iter_rows(named=True)}
    rows = tuple(
        (category, tuple(_in_split(counts, split, category, counted) for split in splits))
        for category in _in_order(table["category"].to_list())
    )
    flat = tuple((name, tuple(text for texts in parts for text in texts)) for name, parts in rows)
    return Composition(tuple(splits), tuple(units[name] for name in counted), flat)


def _arm_rows(page: StudyPage, scores: Scores, view: str) -> list[ArmRow]:
    return [
        ArmRow(
            arm,
            tuple(_estimate(scores.get(Key(arm, name, view))) for name in wording.METRICS),
            len(replicates_of(scores, arm)),
        )
        for arm in arm_order(page)
    ]


def _estimate(score: Score | None) -> Estimate:
    if score is None:
        return Estimate("not measured")
    if score.value is None:
        return Estimate(wording.UNDEFINED, reason=wording.reason(score.method))
    if score.bounds is None:
        return Estimate(wording.percent(score.value), reason=_no_interval(score))
    _, low, high = score.bounds
    return Estimate(
        wording.percent(score.value), f"{wording.percent(low)} to {wording.percent(high)}"
    )


def _no_interval(score: Score) -> str:
    return f"no interval: {wording.reason(score.method)}"


def _difference_rows(page: StudyPage, scores: Scores, arm: str) -> list[DifferenceRow]:
    primary = (page.metric, page.view)
    pairs = [(metric, view) for metric in wording.METRICS for view in VIEWS]
    pairs = [primary, *(pair for pair in pairs if pair != primary)]
    found = ((pair, scores.get(Key(arm, *pair, baseline=page.baseline))) for pair in pairs)
    return [_difference_row(pair, score, primary=pair == primary) for pair, score in found if score]


def _difference_row(pair: tuple[str, str], score: Score, *, primary: bool) -> DifferenceRow:
    if score.value is None:
        shown = Estimate(wording.UNDEFINED, reason=wording.reason(score.method))
    elif score.bounds is None:
        shown = Estimate(wording.signed(score.value), reason=_no_interval(score))
    else:
        shown = Estimate(wording.signed(score.value), wording.signed_span(*score.bounds[1:]))
    unplanned = wording.UNDEFINED if primary else "not planned"
    return DifferenceRow(
        metric=wording.metric_name(pair[0]),
        view=pair[1],
        estimate=shown,
        p_value=wording.p_value(score.p_value),
        p_adjusted=wording.p_value(score.p_adjusted, unplanned),
        primary=primary,
    )


def _categories(scores: Scores, view: str) -> tuple[str, ...]:
    return _in_order(
        [
            key.category
            for key in scores
            if key.metric == "recall" and key.view == view and key.category is not None
        ]
    )


def _in_order(categories: Sequence[str]) -> tuple[str, ...]:
    """Order categories as the house does, but merged neutrophils where neutrophils stand: first."""
    return tuple(sorted(ordered(categories), key=lambda name: name != "neutrophil"))


def _recall_row(page: StudyPage, scores: Scores, category: str, view: str) -> RecallRow:
    arms = arm_order(page)
    support = [scores.get(Key(arm, "support", view, category)) for arm in arms]
    known = [score.value for score in support if score and score.value is not None]
    return RecallRow(
        category,
        view == "merged",
        wording.count(known[0] if known else None),
        tuple(_estimate(scores.get(Key(arm, "recall", view, category))) for arm in arms),
    )


def _matrix(
    arm: str, view: str, counts: dict[tuple[str, str], tuple[float, float | None]]
) -> Matrix:
    categories = _in_order([name for pair in counts for name in pair])
    # Sums of means are whole but for their last bits.
    whole = all(round(n_cells, 6).is_integer() for n_cells, _ in counts.values())
    decimals = 0 if whole else 1
    rows = []
    for truth in categories:
        row = [counts.get((truth, call), (0.0, None)) for call in categories]
        cells = tuple(
            _cell(n_cells, share, decimals, right=truth == call)
            for call, (n_cells, share) in zip(categories, row, strict=True)
        )
        total = round(sum(n_cells for n_cells, _ in row), 6)
        rows.append((truth, wording.count(total), cells))
    return Matrix(arm, view, categories, tuple(rows))


def _cell(n_cells: float, share: float | None, decimals: int, *, right: bool) -> Cell:
    cells = wording.mean_count(n_cells, decimals)
    if n_cells == 0:
        return Cell(cells, "", "0", "none")
    kind = "right" if right else "wrong"
    if share is None or math.isnan(share):
        return Cell(cells, wording.UNDEFINED, "0", kind)
    return Cell(cells, wording.percent(share) + "%", f"{math.sqrt(share):.3f}", kind)


def _in_split(
    counts: dict[tuple[str, str], dict[str, int | None]],
    split: str,
    category: str,
    counted: Sequence[str],
) -> tuple[str, ...]:
    row = counts.get((split, category))
    return tuple(wording.count(row[name] if row else 0) for name in counted)
