"""The page of a judgement: one HTML file that opens without network and without script."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from leukoscope.reporting import judgement_tables as shown
from leukoscope.reporting import judgement_words as words
from leukoscope.reporting.documents import document
from leukoscope.reporting.judgement_distances import distances_figure, drawn_distances
from leukoscope.reporting.judgement_grid import drawn_cells, generated_figure
from leukoscope.reporting.judgement_pictures import held_out, pairs, walls
from leukoscope.reporting.judgement_tables import JudgementPage
from leukoscope.reporting.page_figures import Drawn, Figures, inlined

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["JudgementPage", "judgement_figures", "judgement_page"]

_ON_PAGE = ("distances",)


def judgement_page(page: JudgementPage, figures: Figures | None = None) -> str:
    """Write the page of a judgement.

    Parameters
    ----------
    page : JudgementPage
        All that it shows.
    figures : mapping of str to Drawn, optional
        Its figures, where they are drawn already.

    Returns
    -------
    str
        A whole HTML document that refers to no other file. The same tables give the same text,
        whatever the order of their rows. Real cells are on it only where their pictures are in
        *page*, and never by name.

    Raises
    ------
    DataError
        If a number is given twice, or a picture is no PNG.
    """
    drawn = judgement_figures(page) if figures is None else figures
    on_page = {name: drawn[name] for name in _ON_PAGE if name in drawn}
    together = pairs(page)
    content = {
        "page": page,
        "lead_text": words.lead(page),
        "answers": words.answers(page),
        "alarm": words.copying_of(page) in {"some", "all over"},
        "facts": words.facts(page),
        "provenance": words.provenance(page),
        "limits": words.limits(page),
        "methods": shown.methods(page),
        "tables": {make.__name__: make(page) for make in _TABLES},
        "figures": inlined(on_page),
        "pairs": together,
        "with_real": any(len(pair.shown) > 1 for pair in together),
        "walls": walls(page),
        "held_out": held_out(page),
    }
    return document("judgement.html", content)


def judgement_figures(page: JudgementPage) -> dict[str, Drawn]:
    """Draw what a judgement has numbers for, by the name of its files.

    Returns
    -------
    dict of str to Drawn
        ``distances``, and ``generated``, the sheet of generated cells, where their pictures are.
    """
    found: dict[str, Drawn] = {}
    makers: tuple[tuple[str, pl.DataFrame, Callable[[], Figure]], ...] = (
        ("distances", drawn_distances(page), partial(distances_figure, page)),
        ("generated", drawn_cells(page), partial(generated_figure, page)),
    )
    for name, table, draw in makers:
        if not table.is_empty():
            found[name] = Drawn(draw(), table)
    return found


_TABLES = (shown.likeness, shown.by_category, shown.copies, shown.cells)
