"""The page of a study: one HTML file that opens without network and without script."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from leukoscope.reporting import sections, wording
from leukoscope.reporting.answer import (
    FEWEST_REPLICATES,
    answer_sentence,
    arm_answers,
    is_exploratory,
)
from leukoscope.reporting.contents import Key, Scores, StudyPage, arm_order, index_scores
from leukoscope.reporting.forest import forest_plot, forest_table

__all__ = ["StudyPage", "answer_sentence", "forest_table", "study_page"]


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
        If a table is not in its shape or gives a number twice.
    """
    scores = index_scores(page.results)
    html = (
        _environment()
        .get_template("study.html")
        .render(
            page=page,
            arms=[(name, page.arms[name]) for name in arm_order(page)],
            answers=arm_answers(page, scores),
            exploratory=is_exploratory(page),
            fewest=FEWEST_REPLICATES,
            facts=_facts(page, scores),
            metrics=[wording.sentence_case(name) for name in wording.METRICS.values()],
            primary=wording.metric_name(page.metric),
            margin=wording.margin_points(page.margin),
            arm_tables=sections.arm_tables(page, scores),
            plot=forest_plot(forest_table(page)),
            difference_tables=sections.difference_tables(page, scores),
            recall_table=sections.recall_table(page, scores),
            matrices=sections.matrices(page),
            composition=sections.composition(page),
            not_merged=sections.why_not_merged(scores),
            limits=_limits(page, scores),
            provenance=[*page.provenance, *_methods(scores)],
        )
    )
    return wording.without_controls(html)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("leukoscope.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"words": wording.name_of, "heading": wording.sentence_case}
    return environment


def _facts(page: StudyPage, scores: Scores) -> list[tuple[str, str]]:
    """List what a reader weighs an answer by."""
    return [
        ("Primary metric", f"{wording.metric_name(page.metric)}, {page.view}"),
        ("Smallest difference that matters", f"{wording.margin_points(page.margin)} points"),
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


def _limits(page: StudyPage, scores: Scores) -> list[str]:
    """List what the design of the study cannot say."""
    if page.unit == "case":
        unit = "Intervals take cases as independent: they speak of other cases like these."
    else:
        unit = (
            "The persons behind the cells are not known: intervals take families of images as "
            "independent and speak of other cells of this collection only. How cells differ "
            "from person to person, slide to slide and laboratory to laboratory is not in them."
        )
    return [
        (
            "All training draws come from one pool of cells, so the answer is conditional on this "
            "pool, this model and this recipe."
        ),
        (
            "The validation and test cells are the same in every arm and replicate; the best state "
            "of a run is chosen on validation, and the test cells are scored once."
        ),
        unit,
        *_on_bands(scores),
        (
            "Accuracy and macro-F depend on how often each category occurs in the test set, which "
            "is not its share in blood."
        ),
        (
            "Only the primary metric in its view was named beforehand and carries a verdict; every "
            "other difference is descriptive."
        ),
        *page.notes,
        "For research use. This is not a medical device, and no finding here is a diagnosis.",
    ]


def _on_bands(scores: Scores) -> list[str]:
    icsh = (
        "ICSH counts band neutrophils as segmented ones. The border between them is a matter of "
        "judgement"
    )
    if not sections.why_not_merged(scores):
        return [f"{icsh}, so the merged view stands beside every strict score."]
    return [f"{icsh}."] if sections.has_bands_to_confuse(scores) else []
