"""Which figures stand on the pages of an evaluation and of a comparison, and what each draws."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from leukoscope.reporting.evaluated import ComparisonPage, EvaluationPage, models_of
from leukoscope.reporting.plot_agreement import bland_altman_figure, drawn_agreement
from leukoscope.reporting.plot_calibration import coverage_risk_figure, reliability_figure
from leukoscope.reporting.plot_confusion import confusion_figure, drawn_confusion
from leukoscope.reporting.plot_errors import drawn_errors, errors_figure
from leukoscope.reporting.plot_forest import difference_figure, forest_figure
from leukoscope.reporting.plot_learning import drawn_history, learning_figure
from leukoscope.reporting.plot_ranking import (
    precision_recall_figure,
    roc_figure,
    threshold_figure,
)
from leukoscope.reporting.plot_results import drawn_differences, drawn_scores
from leukoscope.reporting.plot_selection import drawn_points
from leukoscope.reporting.plotting import LINES, inline_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_VIEWS = (("strict", ""), ("merged", "-merged"))
_CURVES: Mapping[str, tuple[str, Callable[..., "Figure"]]] = {
    "roc": ("roc", roc_figure),
    "precision-recall": ("precision_recall", precision_recall_figure),
    "thresholds": ("threshold", threshold_figure),
    "reliability": ("reliability", reliability_figure),
    "coverage-risk": ("coverage_risk", coverage_risk_figure),
}
"""Name of a figure's files → which points it draws, and how."""


class Drawn(NamedTuple):
    """Hold a figure and the numbers it draws."""

    figure: "Figure"
    table: pl.DataFrame


Figures = Mapping[str, Drawn]


def evaluation_figures(page: EvaluationPage) -> dict[str, Drawn]:
    """Draw what an evaluation has numbers for, by the name of its files.

    Parameters
    ----------
    page : EvaluationPage
        What was evaluated.

    Returns
    -------
    dict of str to Drawn
        ``scores``, ``confusion``, ``agreement`` and each with ``-merged``; ``roc``,
        ``precision-recall``, ``thresholds``, ``reliability``, ``coverage-risk``;
        ``learning``; ``errors``. What has no numbers is not there.
    """
    found: dict[str, Drawn] = {}
    results, calls, counts = page.results, page.confusion, page.differential
    for view, end in _VIEWS:
        scores, matrix = drawn_scores(results, view=view), drawn_confusion(calls, view)
        agreement = drawn_agreement(counts, results, view)
        found |= _if_any(f"scores{end}", scores, partial(forest_figure, results, view=view))
        found |= _if_any(f"confusion{end}", matrix, partial(confusion_figure, calls, view))
        drawing = partial(bland_altman_figure, counts, results, view)
        found |= _if_any(f"agreement{end}", agreement, drawing)
    found |= _curves(page.points)
    if page.curves is not None:
        history = drawn_history(page.curves)
        found |= _if_any("learning", history, partial(learning_figure, page.curves))
    return found | _errors(page)


def comparison_figures(page: ComparisonPage) -> dict[str, Drawn]:
    """Draw what a comparison has numbers for, by the name of its files.

    Returns
    -------
    dict of str to Drawn
        ``differences``, also ``-merged``, of the primary metric; ``confusion-1`` and so on,
        also ``-merged``, of the models in the page's order; the curves of probabilities
        where models are few enough for their lines to be told apart.
    """
    found: dict[str, Drawn] = {}
    results, calls = page.results, page.confusion
    for view, end in _VIEWS:
        table = drawn_differences(results, page.metric, view)
        draw = partial(difference_figure, results, page.metric, margin=page.margin, view=view)
        found |= _if_any(f"differences{end}", table, draw)
        for number, arm in enumerate(models_of(page), start=1):
            matrix = drawn_confusion(calls, view, arm)
            draw = partial(confusion_figure, calls, view, arm)
            found |= _if_any(f"confusion-{number}{end}", matrix, draw)
    arms = page.points["arm"].n_unique()
    return found | (_curves(page.points) if 0 < arms <= len(LINES) else {})


def inlined(figures: Figures) -> dict[str, str]:
    """Write each figure as an SVG element of a page."""
    return {name: inline_svg(drawn.figure, name) for name, drawn in figures.items()}


def _curves(points: pl.DataFrame) -> dict[str, Drawn]:
    found: dict[str, Drawn] = {}
    for name, (kind, draw) in _CURVES.items():
        found |= _if_any(name, drawn_points(points, kind), partial(draw, points))
    return found


def _errors(page: EvaluationPage) -> dict[str, Drawn]:
    if page.pictures is None:
        return {}
    table = drawn_errors(page.pictures, page.errors)
    return _if_any("errors", table, partial(errors_figure, page.pictures, page.errors))


def _if_any(name: str, table: pl.DataFrame, draw: Callable[[], "Figure"]) -> dict[str, Drawn]:
    """Draw a figure unless there is nothing to draw."""
    return {} if table.is_empty() else {name: Drawn(draw(), table)}
