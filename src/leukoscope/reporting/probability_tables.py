"""The tables of an evaluation's page that speak of probabilities."""

import re

from leukoscope.evaluation.probabilities import BORDER
from leukoscope.reporting import grids, wording
from leukoscope.reporting.evaluated import (
    Name,
    Numbers,
    ask,
    categories_in,
    mix_in,
    views_in,
)
from leukoscope.reporting.evaluation_tables import VIEW_HEADS, aside
from leukoscope.reporting.grids import Grid, Row, Shown, estimate, grid, shown

_LOSSES = {"brier": "Brier score", "log_loss": "Log loss"}


def rankings(numbers: Numbers) -> Grid | None:
    """List how well the probabilities of each category rank the cells."""
    mix = mix_in(numbers)
    categories = categories_in(numbers, "auroc")
    rows = [
        Row(wording.sentence_case(name), _ranked(numbers, name, view, mix), aside(view))
        for name, view in categories
    ]
    means = [
        Row("Mean of the categories", _ranked(numbers, None, view, mix), aside(view))
        for view in views_in(numbers)
        if ask(numbers, Name("auroc", view))
    ]
    border = ask(numbers, Name("auroc", category=BORDER))
    if border:
        rows.append(Row("Band against segmented", _ranked(numbers, BORDER, "strict", mix)))
    heads = ["AUROC", "Average precision"] + ([f"The same at the mix {mix}"] if mix else [])
    return grid(
        "table-ranking",
        "AUROC: how often a cell of the category gets a higher probability of it than another "
        "cell; 1 is always, 0.5 is chance. Average precision: the mean precision over all "
        "thresholds, which depends on the mix. 95 % intervals below"
        + ("; none is made at a stated mix." if mix else "."),
        ("Category", *heads),
        [("", [*rows, *means] if categories else [])],
    )


def operating_points(numbers: Numbers) -> Grid | None:
    """List the threshold of each category at the stated sensitivity, and what it gives."""
    rows = []
    for category, view in categories_in(numbers, "operating_threshold"):
        name = Name("operating_threshold", view, category)
        pair = ("operating_sensitivity", "operating_specificity")
        cells = (
            estimate(ask(numbers, name), grids.threshold),
            *(shown(metric, ask(numbers, name._replace(metric=metric))) for metric in pair),
        )
        missing = ask(numbers, name._replace(metric=pair[0])) is None
        cells = (cells[0], Shown(""), Shown("")) if missing else cells
        rows.append(Row(wording.sentence_case(category), cells, aside(view)))
    return grid(
        "table-operating",
        "Calling a category wherever its probability reaches a threshold: the largest threshold "
        f"that calls {_goal(numbers)} of the category’s cells, and what it gives at that. In "
        "percent, with 95 % intervals below, the threshold held fixed.",
        ("Category", "Threshold", "Sensitivity", "Specificity"),
        [("", rows)],
    )


def losses(numbers: Numbers) -> Grid | None:
    """List the losses of the probabilities beside those of a constant forecast."""
    rows = [
        Row(
            label,
            (
                shown(metric, ask(numbers, Name(metric, view))),
                shown(metric, ask(numbers, Name(f"{metric}_constant", view))),
            ),
            aside(view),
        )
        for metric, label in _LOSSES.items()
        for view in views_in(numbers)
        if ask(numbers, Name(metric, view))
    ]
    return grid(
        "table-losses",
        "Losses of the probabilities; less is better. Brier score: mean squared distance from the "
        "truth, from 0 to 2. Log loss: mean of −log of the probability given to the truth. Beside "
        "them, what one gets without looking at a cell, by always forecasting the shares of these "
        "test cells. 95 % intervals below.",
        ("Loss", "This model", "Constant forecast"),
        [("", rows)],
    )


def sureness(numbers: Numbers) -> Grid | None:
    """List calibration error beside what chance gives, and the risk over coverage."""
    metrics = ("calibration_error", "calibration_error_by_chance", "area_under_risk")
    rows = [
        Row(
            VIEW_HEADS[view] if len(views_in(numbers)) > 1 else "All calls",
            tuple(shown(metric, ask(numbers, Name(metric, view))) for metric in metrics),
        )
        for view in views_in(numbers)
        if ask(numbers, Name("calibration_error", view))
    ]
    return grid(
        "table-sureness",
        "Calibration error: how far the stated probability of the call is from the share that is "
        "right, mean over bins of equal numbers of cells; beside it what a perfectly calibrated "
        "model would show by chance alone. Mean error over coverage: the mean error rate when the "
        "least sure cells are left out, over all shares kept. In percent.",
        ("Calls", "Calibration error", "The same by chance", "Mean error over coverage"),
        [("", rows)],
    )


def biases(numbers: Numbers) -> Grid | None:
    """List by how much the mean probability of each category misses its share."""
    rows = [
        Row(
            wording.sentence_case(category),
            (estimate(ask(numbers, Name("calibration_bias", view, category)), wording.signed),),
            aside(view),
        )
        for category, view in categories_in(numbers, "calibration_bias")
    ]
    return grid(
        "table-bias",
        "Mean probability of each category less its share of these cells, in percentage points, "
        "with 95 % intervals below: above 0 the model expects too many, below 0 too few.",
        ("Category", "Expected too many"),
        [("", rows)],
    )


def _ranked(
    numbers: Numbers, category: str | None, view: str, mix: str | None
) -> tuple[Shown, ...]:
    auroc = shown("auroc", ask(numbers, Name("auroc", view, category)))
    if category in {None, BORDER}:
        return (auroc, *[Shown("")] * (2 if mix else 1))
    name = Name("average_precision", view, category)
    precise = [name, *([name._replace(prevalence=mix)] if mix else [])]
    return (auroc, *(shown(one.metric, ask(numbers, one)) for one in precise))


def _goal(numbers: Numbers) -> str:
    """Read the stated sensitivity off the method of the thresholds."""
    methods = {
        one.method
        for name, several in numbers.items()
        if name.metric == "operating_threshold"
        for one in several
    }
    found = sorted({share for text in methods for share in re.findall(r"calls ([\d.]+) of", text)})
    return " or ".join(f"{wording.margin_points(float(share))} %" for share in found) or "so many"
