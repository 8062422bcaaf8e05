"""The page of an evaluation: one HTML file that opens without network and without script."""

from collections.abc import Callable
from typing import Any

from leukoscope.reporting import evaluation_tables as shown
from leukoscope.reporting import evaluation_words as words
from leukoscope.reporting import probability_tables as of_probabilities
from leukoscope.reporting.documents import document
from leukoscope.reporting.evaluated import (
    EvaluationPage,
    Numbers,
    in_stable_order,
    numbers_of,
    scored_cells,
)
from leukoscope.reporting.grids import Grid
from leukoscope.reporting.page_figures import Figures, evaluation_figures, inlined

__all__ = ["EvaluationPage", "evaluation_page"]

_TABLES: tuple[Callable[[Numbers], Grid | None], ...] = (
    *(shown.sensitivities, shown.overall, shown.precisions),
    *(shown.others_at_mixes, shown.agreements, shown.readers),
    *(of_probabilities.rankings, of_probabilities.operating_points, of_probabilities.losses),
    *(of_probabilities.sureness, of_probabilities.biases),
)


def evaluation_page(page: EvaluationPage, figures: Figures | None = None) -> str:
    """Write the page of an evaluation.

    Parameters
    ----------
    page : EvaluationPage
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
    drawn = evaluation_figures(page) if figures is None else figures
    content = _words(page, numbers) | {"tables": _tables(page, numbers), "figures": inlined(drawn)}
    return document("evaluation.html", content)


def _words(page: EvaluationPage, numbers: Numbers) -> dict[str, Any]:
    """Gather what is told in words."""
    return {
        "page": page,
        "scored": words.scored_sentence(numbers),
        "estimand": words.estimand(scored_cells(numbers)),
        "checks": words.findings(page.guards),
        "facts": words.key_facts(page, numbers),
        "not_merged": words.why_not_merged(numbers),
        "mix": words.mix_in_words(numbers),
        "repriored": any(name.kind == "repriored" for name in numbers),
        "counting": words.COUNTING,
        "limits": words.limits(page, numbers),
        "methods": words.methods(numbers),
    }


def _tables(page: EvaluationPage, numbers: Numbers) -> dict[str, Grid | None]:
    found = {make.__name__: make(numbers) for make in _TABLES}
    counted = None if page.differential.is_empty() else shown.case_counts(page)
    return found | {"case_counts": counted}
