"""The page of a comparison of trained models: one HTML file without network and script."""

from typing import Any

from leukoscope.reporting import comparison_answer as answer
from leukoscope.reporting import comparison_tables as shown
from leukoscope.reporting import evaluation_words as words
from leukoscope.reporting import wording
from leukoscope.reporting.documents import document
from leukoscope.reporting.evaluated import (
    ComparisonPage,
    Numbers,
    in_stable_order,
    models_of,
    numbers_of,
    scored_cells,
    views_in,
)
from leukoscope.reporting.page_figures import Figures, comparison_figures, inlined

__all__ = ["ComparisonPage", "comparison_page"]

MOST_OPEN = 2
"""Of more models than these only the baseline's matrices are unfolded."""


def comparison_page(page: ComparisonPage, figures: Figures | None = None) -> str:
    """Write the page of a comparison.

    Parameters
    ----------
    page : ComparisonPage
        All that it shows.
    figures : mapping of str to Drawn, optional
        Its figures, where they are drawn already.

    Returns
    -------
    str
        A whole HTML document. The same tables give the same text, whatever the order of
        their rows; nothing in it refers to another file.

    Raises
    ------
    DataError
        If a number is given twice, or nothing was scored.
    SchemaError
        If a table is not in its shape.
    """
    page = in_stable_order(page)
    numbers = numbers_of(page.results)
    drawn = comparison_figures(page) if figures is None else figures
    content = _words(page, numbers) | {"tables": _tables(page, numbers), "figures": inlined(drawn)}
    return document("comparison.html", content)


def _words(page: ComparisonPage, numbers: Numbers) -> dict[str, Any]:
    """Gather what is told in words."""
    return {
        "baseline": wording.name_of(page.baseline),
        "lead_text": answer.lead(page, numbers),
        "answers": answer.answers(page, numbers),
        "common": answer.common(page, numbers),
        "checks": words.findings(page.guards),
        "facts": _facts(page, numbers),
        "models": list(enumerate(map(wording.name_of, models_of(page)), start=1)),
        "primary": wording.metric_name(page.metric),
        "margin": wording.margin_points(page.margin),
        "two_views": len(views_in(numbers)) > 1,
        "all_open": len(models_of(page)) <= MOST_OPEN,
        "limits": _limits(page, numbers),
        "methods": words.methods(numbers),
    }


def _tables(page: ComparisonPage, numbers: Numbers) -> dict[str, Any]:
    return {
        "differences": shown.differences(page, numbers),
        "not_worse": shown.not_worse(page, numbers),
        "scores": shown.scores(page, numbers),
        "by_category": shown.by_category(page, numbers),
        "probabilities": shown.probabilities(page, numbers),
        "replicas": shown.replicas(page, numbers),
    }


def _facts(page: ComparisonPage, numbers: Numbers) -> list[tuple[str, str]]:
    number = scored_cells(numbers, page.baseline)
    margin = wording.margin_points(page.margin)
    return [
        ("Primary metric, named beforehand", f"{wording.metric_name(page.metric)}, strict"),
        ("Smallest difference that matters, named beforehand", f"{margin} points"),
        ("Baseline", wording.name_of(page.baseline)),
        ("Test cells", wording.count(number.n_cells)),
        ("Cases", "unknown" if number.n_cases is None else wording.count(number.n_cases)),
    ]


def _limits(page: ComparisonPage, numbers: Numbers) -> list[str]:
    return [
        *answer.common(page, numbers)[:1],
        words.estimand(scored_cells(numbers, page.baseline)),
        (
            "Accuracy, macro-F, MCC and kappa depend on how frequent each category is among the "
            "test cells, which need not be its share in blood."
        ),
        (
            "Only the primary difference, neutrophils told apart, carries a verdict; all else is "
            "descriptive."
        ),
        *words.on_neutrophils(numbers),
        words.RESEARCH_ONLY,
    ]
