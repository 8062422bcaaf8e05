"""What is said on the pages of an evaluation and of a comparison: scope, checks, limits."""

import re
from typing import NamedTuple

import polars as pl

from leukoscope.evaluation.results import ASSUMED_CELLS_PER_CASE
from leukoscope.records.categories import merged
from leukoscope.reporting import wording
from leukoscope.reporting.contents import in_order
from leukoscope.reporting.evaluated import (
    EvaluationPage,
    Name,
    Number,
    Numbers,
    categories_in,
    mix_in,
    scored_cells,
    views_in,
)
from leukoscope.stats.design import ASSUMED_ICC

CHECKS = {
    "collapse": ("Calls of one category", "Nearly all calls are one category"),
    "chance": ("Better than chance", "Calls and labels do not seem to belong together"),
    "relabelling": ("Names of categories", "Names of categories seem to be exchanged"),
    "constant": ("What needs no skill", "Scoring reads the labels wrongly"),
    "argmax": ("Calls and probabilities", "Calls are not the most probable categories"),
    "ties": ("Ties", "Probabilities rank little or nothing"),
    "ruled out": ("Probabilities of 0", "Some true categories were ruled out"),
    "strange": ("Categories called", "Categories are called that no cell is of"),
    "left out": ("Cells left out", "Cells of the test were left out"),
    "one case": ("Number of cases", "All cells are of one case"),
}
"""What each check is called where it found nothing, and where it did."""

RESEARCH_ONLY = (
    "For research use. This is not a medical device, and no finding here is a diagnosis."
)


class Finding(NamedTuple):
    """Show what one check showed; *whose* names the model where there are several."""

    title: str
    detail: str
    whose: str = ""


class Findings(NamedTuple):
    """Hold what was checked, by what it means; *summary* says it in a sentence."""

    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    usual: tuple[Finding, ...]
    summary: str


def findings(guards: pl.DataFrame) -> Findings:
    """Sort what was checked by what it means for the scores."""
    by_severity: dict[str, list[Finding]] = {"error": [], "warning": [], "info": []}
    for row in guards.iter_rows(named=True):
        titles = CHECKS.get(row["check"], (wording.sentence_case(wording.name_of(row["check"])),))
        title = titles[0] if row["severity"] == "info" else titles[-1]
        whose = wording.name_of(row["arm"]) if row["arm"] else ""
        by_severity[row["severity"]].append(Finding(title, row["detail"], whose))
    errors, warnings, usual = map(tuple, by_severity.values())
    return Findings(errors, warnings, usual, _summary(len(errors), len(warnings), len(usual)))


def scored_sentence(numbers: Numbers) -> str:
    """Say what was scored: cells, cases or families, categories."""
    number = scored_cells(numbers)
    cells = wording.counted(number.n_cells or 0, "cell", "cells")
    n = sum(view == "strict" for _, view in categories_in(numbers, "recall"))
    categories = "category" if n == 1 else "categories"
    return f"{cells} of {groups_of(number)} were scored, in {wording.in_words(n)} {categories}."


def groups_of(number: Number) -> str:
    """Write how many cases or families a number rests on."""
    unit = number.unit or ""
    n = number.n_cases if unit == "case" else number.n_families
    one, many = wording.UNITS[unit]
    return f"an unknown number of {many}" if n is None else wording.counted(n, one, many)


def estimand(number: Number) -> str:
    """Say whom scores and intervals speak of."""
    if number.unit == "case":
        return (
            "Each score is that of all cells pooled, so that a case with more cells weighs more. "
            "Intervals take cases as independent: they speak of other cases like these, and 95 of "
            "100 such intervals are to hold the truth."
        )
    return (
        "The persons behind the cells are not known, so that intervals take families of images as "
        "independent and speak of other cells of this collection only, not of other people. Lines "
        "marked “as if persons” give the width an interval would have with "
        f"{ASSUMED_CELLS_PER_CASE} cells a person, alike at an intraclass correlation of "
        f"{ASSUMED_ICC:g}."
    )


def key_facts(page: EvaluationPage, numbers: Numbers) -> list[tuple[str, str]]:
    """List what a reader weighs the scores by."""
    number = scored_cells(numbers)
    facts = [
        ("Test cells", wording.count(number.n_cells)),
        ("Families of images", wording.count(number.n_families)),
        ("Cases", "unknown" if number.n_cases is None else wording.count(number.n_cases)),
        ("Probabilities", "given" if not page.points.is_empty() else "none, calls alone"),
    ]
    mix = mix_in(numbers)
    return [*facts, ("Stated mix", mix)] if mix else facts


def mix_in_words(numbers: Numbers) -> str | None:
    """Name the stated mix and its shares; None where none was stated."""
    mix = mix_in(numbers)
    if mix is None:
        return None
    shares = {
        name.category: several[0].value
        for name, several in numbers.items()
        if name.metric == "stated_share" and name.view == "strict" and name.category
    }
    told = [f"{name} {wording.percent(shares[name])} %" for name in in_order(list(shares))]
    return f"{mix} ({', '.join(told)})" if told else mix


def on_neutrophils(numbers: Numbers) -> list[str]:
    """Say what the border between band and segmented cells does to the scores."""
    names = {name for name, _ in categories_in(numbers, "recall")}
    if len(views_in(numbers)) > 1:
        tail = ", so the merged view stands beside the strict one."
    elif {"band", "segmented"} <= names:
        tail = "."
    else:
        return []
    icsh = "ICSH counts band neutrophils as segmented ones"
    return [f"{icsh}. The border between them is a matter of judgement{tail}"]


def why_not_merged(numbers: Numbers) -> str:
    """Say in a sentence why there is no merged view; empty where there is one."""
    if "merged" in views_in(numbers):
        return ""
    strict = [name for name, _ in categories_in(numbers, "recall")]
    if set(merged(strict)) == set(strict):
        why = "no category here is a band or a segmented neutrophil, so merging changes nothing"
    else:
        why = "a single category would be left, with nothing to tell it from"
    return f"Scores with neutrophils merged are left out: {why}."


def limits(page: EvaluationPage, numbers: Numbers) -> list[str]:
    """List what these numbers cannot say, a sentence or two each."""
    told = [
        estimand(scored_cells(numbers)),
        "The scores are of this one trained model; another training of it would score differently.",
        (
            "Precision, F, accuracy, macro-F, MCC and kappa depend on how frequent each category "
            "is among the test cells, which need not be its share in blood."
        ),
    ]
    if not page.points.is_empty():
        told.append(
            "Thresholds and calibration were found on these very cells: choose a threshold on "
            "other cells, and expect a little less on new ones."
        )
    if not page.differential.is_empty():
        told.append(COUNTING)
    return [
        *told,
        *on_neutrophils(numbers),
        "Each interval stands for itself; among many, some miss the truth.",
        RESEARCH_ONLY,
    ]


COUNTING = (
    "Counting limits cover the chance of which cells were counted, not misclassification: a model "
    "that calls cells wrongly is wrong within them, too."
)


def methods(numbers: Numbers) -> list[tuple[str, str]]:
    """Name each method of an interval and what it was used for."""
    used: dict[str, set[str]] = {}
    for name, several in numbers.items():
        for number in several:
            if number.bounds is not None and name.kind != "replica":
                short = _NOT_METHOD.sub("", number.method.split(";")[0])
                used.setdefault(wording.sentence_case(short), set()).add(_spoken(name))
    return [
        (method, ", ".join(sorted(names, key=str.lower))) for method, names in sorted(used.items())
    ]


def _spoken(name: Name) -> str:
    metric = _SPOKEN.get(name.metric, wording.name_of(name.metric))
    return metric + (" at the stated mix" if name.prevalence else "")


_NOT_METHOD = re.compile(r"^.*kappa of .*?, (?=jackknife|delete|exact)|, \d+ (groups|cases)\b")
"""Whose kappa it is, and counts that differ from row to row: the tables keep them."""

_SPOKEN = {
    "recall": "sensitivity",
    "macro_f": "macro-F",
    "f": "F",
    "mcc": "MCC",
    "auroc": "AUROC",
    "brier": "Brier score",
    "calibration_bias": "expected too many",
    "operating_sensitivity": "sensitivity at the threshold",
    "operating_specificity": "specificity at the threshold",
    "limit_low": "lower limit of agreement",
    "limit_high": "upper limit of agreement",
    "slope": "slope",
    "intercept": "intercept",
    "reader_kappa": "kappa of readers",
    "fleiss_kappa": "Fleiss’ kappa",
    "error_ratio": "ratio of errors",
}


def _summary(n_errors: int, n_warnings: int, n_usual: int) -> str:
    checks = wording.counted(n_errors + n_warnings + n_usual, "check", "checks")
    if n_errors:
        many = "one finding that makes" if n_errors == 1 else f"{n_errors} findings that make"
        return f"Do not believe the scores yet: {checks} gave {many} them meaningless."
    if n_warnings:
        many = "one finding" if n_warnings == 1 else f"{n_warnings} findings"
        return f"{checks} gave {many} to keep in mind."
    return f"{checks}: nothing odd was found."
