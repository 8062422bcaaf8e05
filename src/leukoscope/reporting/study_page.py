"""The page of a study: one HTML file that opens without network and without script."""

from typing import Any

from leukoscope.reporting import (
    cases,
    contact,
    curves,
    gains,
    gallery,
    generated,
    matrices,
    sections,
    variance,
    wording,
)
from leukoscope.reporting.answer import answer_of, answer_sentence
from leukoscope.reporting.contents import (
    Key,
    Scores,
    StudyPage,
    arm_order,
    equal_epochs_scores,
    scores_of,
)
from leukoscope.reporting.documents import document
from leukoscope.reporting.forest import forest_plot, forest_table
from leukoscope.reporting.limits import limits
from leukoscope.reporting.summary import study_json
from leukoscope.reporting.verdicts import FEWEST_REPLICATES, is_exploratory

__all__ = ["StudyPage", "answer_sentence", "forest_table", "study_json", "study_page"]


def study_page(page: StudyPage) -> str:
    """Write the page of a study.

    Parameters
    ----------
    page : StudyPage
        All that it shows.

    Returns
    -------
    str
        A whole HTML document. The same tables give the same text, whatever the order
        of their rows; nothing in it refers to another file.

    Raises
    ------
    DataError
        If a table is not in its shape or gives a number twice, or a picture is no PNG.
    """
    scores = scores_of(page)
    shown = _words(page, scores) | _tables(page, scores) | _figures(page, scores)
    return document("study.html", shown)


def _words(page: StudyPage, scores: Scores) -> dict[str, Any]:
    """Gather what is told in words."""
    return {
        "page": page,
        "arms": [(name, page.arms[name]) for name in arm_order(page)],
        "answer": answer_of(page, scores),
        "exploratory": is_exploratory(page),
        "fewest": FEWEST_REPLICATES,
        "facts": _facts(page, scores),
        "metrics": [wording.sentence_case(name) for name in wording.METRICS.values()],
        "primary": wording.metric_name(page.metric),
        "margin": wording.margin_points(page.margin),
        "unit": _unit(page)[1],
        "not_merged": sections.why_not_merged(scores),
        "validations": curves.validations(page),
        "limits": limits(page, scores),
        "provenance": [*page.provenance, *_methods(scores)],
    }


def _tables(page: StudyPage, scores: Scores) -> dict[str, Any]:
    """Gather what is shown as tables."""
    return {
        "composition": sections.composition(page),
        "generator_rows": generated.generator_rows(page),
        "convergences": curves.convergences(page, curves.convergence_table(page, scores)),
        "arm_tables": sections.arm_tables(page, scores),
        "difference_rows": sections.difference_rows(page, scores),
        "variance_rows": variance.variance_rows(variance.variance_table(page, scores)),
        "category_tables": sections.category_tables(page, scores),
        "matrix_groups": matrices.matrix_groups(page),
        "errors": gallery.error_counts(page, gallery.error_table(page)),
        "case_rows": cases.case_rows(page, cases.case_table(page)),
        "hard_cases": cases.hard_cases(page, cases.case_table(page)),
        "equal_epochs": sections.difference_rows(page, equal_epochs_scores(page)),
        "quartiles": [wording.sentence_case(name) for name in cases.QUARTILES],
    }


def _figures(page: StudyPage, scores: Scores) -> dict[str, Any]:
    """Gather what is drawn, each from a table of its own."""
    converged = curves.convergence_table(page, scores)
    return {
        "sheet": contact.contact_sheet(page),
        "curve_figures": curves.curve_figures(page, curves.curve_table(page), converged),
        "curve_px": curves,
        "plot": forest_plot(forest_table(page)),
        "gain_tables": gains.gain_tables(page, gains.gain_table(page, scores)),
        "walls": gallery.walls(page),
        "drawings": generated.drawings(page),
        "case_plot": cases.case_plot(page, cases.case_table(page)),
    }


def _facts(page: StudyPage, scores: Scores) -> list[tuple[str, str]]:
    """List what a reader weighs an answer by."""
    margin = wording.margin_points(page.margin)
    return [
        ("Primary metric", f"{wording.metric_name(page.metric)}, {page.view}"),
        ("Smallest difference that matters, named beforehand", f"{margin} points"),
        ("Baseline", wording.name_of(page.baseline)),
        ("Finished replicates", wording.count(page.n_replicates)),
        ("Test set", _test_set(page, scores)),
    ]


def _test_set(page: StudyPage, scores: Scores) -> str:
    scored = scores.get(Key(page.baseline, page.metric, page.view))
    if scored is None or scored.n_cells is None:
        return "unknown"
    cells = wording.counted(scored.n_cells, "cell", "cells")
    number = scored.n_cases if page.unit == "case" else scored.n_families
    return cells if number is None else f"{cells}, {wording.counted(number, *_unit(page))}"


def _unit(page: StudyPage) -> tuple[str, str]:
    return wording.UNITS[page.unit]


def _methods(scores: Scores) -> list[tuple[str, str]]:
    """Name the methods of the intervals shown, apart for scores and for differences."""
    rows = []
    for label, paired in (("Intervals of scores", False), ("Intervals of differences", True)):
        methods = {
            wording.method_in_short(score.method)
            for key, score in scores.items()
            if key.replicate is None and (key.baseline is not None) == paired and score.bounds
        }
        if methods:
            rows.append((label, "; ".join(sorted(methods))))
    return rows
