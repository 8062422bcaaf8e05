"""The tables of a study's page, cell by cell as they are shown."""

from collections.abc import Sequence
from typing import NamedTuple

from leukoscope.records import shapes
from leukoscope.records.categories import merged
from leukoscope.reporting import wording
from leukoscope.reporting.contents import (
    VIEWS,
    Key,
    Score,
    Scores,
    StudyPage,
    arm_order,
    categories_of,
    in_order,
    replicates_of,
    views_of,
)
from leukoscope.reporting.gains import shown_categories

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


class Difference(NamedTuple):
    """Show one difference of an arm from the baseline; *p_values* says both p in words."""

    estimate: Estimate
    p_value: str
    p_adjusted: str
    p_values: tuple[str, ...]


class DifferenceRow(NamedTuple):
    """Show one metric in one view: a difference an arm."""

    metric: str
    view: str
    primary: bool
    arms: tuple[Difference, ...]


class CategoryRow(NamedTuple):
    """Show one score of one category in each arm."""

    category: str
    merged: bool
    cells: str
    estimates: tuple[Estimate, ...]


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
    strict = categories_of(scores, "strict")
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
    return {"band", "segmented"} <= set(categories_of(scores, "strict"))


def difference_rows(page: StudyPage, scores: Scores) -> list[DifferenceRow]:
    """List the differences of all arms from the baseline; the primary ones come first."""
    primary = (page.metric, page.view)
    pairs = [(metric, view) for metric in wording.METRICS for view in VIEWS]
    pairs = [primary, *(pair for pair in pairs if pair != primary)]
    return [row for pair in pairs for row in _difference_row(page, scores, pair)]


def category_tables(page: StudyPage, scores: Scores) -> list[tuple[str, list[CategoryRow]]]:
    """List recall, precision and F of each category in each arm, then of what merging makes."""
    rows = shown_categories(scores)
    return [
        (title, [_category_row(page, scores, metric, *row) for row in rows])
        for metric, title in (("recall", "Recall"), ("precision", "Precision"), ("f", "F"))
    ]


def composition(page: StudyPage) -> Composition:
    """List the cells of each category in each split; cases only where any is known."""
    table = page.composition
    names = table["split"].unique().to_list()
    splits = [name for name in shapes.SPLIT_NAMES if name in names]
    splits += sorted(set(names) - set(splits))
    units = {"n_cells": "cells", "n_families": "families", "n_cases": "cases"}
    counted = [name for name in units if table[name].drop_nulls().len()]
    counts = {(row["split"], row["category"]): row for row in table.iter_rows(named=True)}
    rows = tuple(
        (category, tuple(_in_split(counts, split, category, counted) for split in splits))
        for category in in_order(table["category"].to_list())
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


def _difference_row(page: StudyPage, scores: Scores, pair: tuple[str, str]) -> list[DifferenceRow]:
    others = arm_order(page)[1:]
    found = [scores.get(Key(arm, *pair, baseline=page.baseline)) for arm in others]
    if not any(found):
        return []
    primary = pair == (page.metric, page.view)
    shown = tuple(_difference(score, primary=primary) for score in found)
    return [DifferenceRow(wording.metric_name(pair[0]), pair[1], primary, shown)]


def _difference(score: Score | None, *, primary: bool) -> Difference:
    if score is None:
        return Difference(Estimate("not measured"), "", "", ())
    if score.value is None:
        shown = Estimate(wording.UNDEFINED, reason=wording.reason(score.method))
    elif score.bounds is None:
        shown = Estimate(wording.signed(score.value), reason=_no_interval(score))
    else:
        shown = Estimate(wording.signed(score.value), wording.signed_span(*score.bounds[1:]))
    found = (("p", score.p_value), ("Holm p", score.p_adjusted))
    return Difference(
        shown,
        wording.p_value(score.p_value),
        wording.p_value(score.p_adjusted, wording.UNDEFINED if primary else "not planned"),
        tuple(f"{name} {wording.compared(p)}" for name, p in found if p is not None),
    )


def _category_row(
    page: StudyPage, scores: Scores, metric: str, category: str, view: str
) -> CategoryRow:
    arms = arm_order(page)
    support = [scores.get(Key(arm, "support", view, category)) for arm in arms]
    known = [score.value for score in support if score and score.value is not None]
    return CategoryRow(
        category,
        view == "merged",
        wording.count(known[0] if known else None),
        tuple(_estimate(scores.get(Key(arm, metric, view, category))) for arm in arms),
    )


def _in_split(
    counts: dict[tuple[str, str], dict[str, int | None]],
    split: str,
    category: str,
    counted: Sequence[str],
) -> tuple[str, ...]:
    row = counts.get((split, category))
    return tuple(wording.count(row[name] if row else 0) for name in counted)
