"""The tables of a comparison's page: which numbers stand in which."""

from collections.abc import Sequence

from leukoscope.evaluation.fixed_models import REPLICA
from leukoscope.reporting import grids, wording
from leukoscope.reporting.evaluated import (
    EACH,
    ComparisonPage,
    Name,
    Number,
    Numbers,
    ask,
    categories_in,
    models_of,
    views_in,
)
from leukoscope.reporting.evaluation_tables import OVERALL, VIEW_HEADS
from leukoscope.reporting.grids import Grid, Row, Shown, estimate, grid, plain, shown
from leukoscope.stats.verdicts import LARGEST_P

EACH_TITLES = {
    "recall": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "f": "F",
}
_PROBABILITIES = {"auroc": "AUROC", "brier": "Brier score", "log_loss": "Log loss"}


def differences(page: ComparisonPage, numbers: Numbers) -> Grid | None:
    """List all overall differences from the baseline; the primary one of each model leads."""
    pairs = [(metric, view) for metric in OVERALL for view in views_in(numbers)]
    first = (page.metric, "strict")
    pairs = [first, *(pair for pair in pairs if pair != first)]
    groups = [
        (_title(page, arm), [_difference(page, numbers, arm, *pair) for pair in pairs])
        for arm in models_of(page)[1:]
    ]
    return grid(
        "table-differences",
        "Differences from the baseline, the higher the better: percentage points, of MCC and "
        "kappa units of the coefficient, with 95 % intervals below. Beside them p by the same "
        "interval and p by permutation, which swaps the two models’ calls of whole cases or "
        "families. The primary difference is planned, and adjusted by Holm for all models; the "
        "others are descriptive.",
        ("Score", "Difference", "p", "p (Holm)", "p, permutation", "The same (Holm)"),
        groups,
    )


def not_worse(page: ComparisonPage, numbers: Numbers) -> Grid | None:
    """List the tests that each model is not worse by the margin, and the ratios of errors."""
    margin = wording.margin_points(page.margin)
    rows = [_not_worse(page, numbers, arm) for arm in models_of(page)[1:]]
    heads = [f"Errors for each of the baseline’s{end}" for end in _view_ends(numbers)]
    return grid(
        "table-not-worse",
        f"Whether a model is worse than the baseline by less than {margin} points of "
        f"{wording.metric_name(page.metric)} (non-inferiority, one-sided, Holm for all models), "
        "and how many errors it makes for each of the baseline’s: below 1 fewer, with 95 % "
        "intervals below.",
        ("Model", "Difference above", "p", "p (Holm)", f"Not worse by {margin}", *heads),
        [("", rows)],
    )


def scores(page: ComparisonPage, numbers: Numbers) -> Grid | None:
    """List the scores of every model in each view."""
    views = views_in(numbers)
    groups = [
        (
            VIEW_HEADS[view] if len(views) > 1 else "",
            [
                Row(
                    _called(arm),
                    tuple(
                        shown(metric, ask(numbers, Name(metric, view, arm=arm)))
                        for metric in OVERALL
                    ),
                    "baseline" if arm == page.baseline else "",
                )
                for arm in models_of(page)
            ],
        )
        for view in views
    ]
    return grid(
        "table-models",
        "Scores of each model by itself, with 95 % intervals below. Whether two models differ is "
        "not to be read from these, but from the paired differences above.",
        ("Model", *OVERALL.values()),
        groups,
    )


def by_category(page: ComparisonPage, numbers: Numbers) -> list[tuple[str, Grid]]:
    """List the differences of each category, a table a metric."""
    others = models_of(page)[1:]
    found = []
    for metric in EACH:
        rows = [
            Row(
                wording.sentence_case(category),
                tuple(
                    estimate(
                        ask(numbers, Name(metric, view, category, arm, page.baseline)),
                        wording.signed,
                    )
                    for arm in others
                ),
                "merged" if view == "merged" else "",
            )
            for category, view in categories_in(numbers, metric)
        ]
        title = EACH_TITLES[metric]
        table = grid(
            f"table-{metric}",
            f"{title} of each category: difference from the baseline in percentage points, with "
            "95 % intervals below. All of it is descriptive.",
            ("Category", *map(_called, others)),
            [("", rows)],
        )
        if table:
            found.append((title, table))
    return found


def probabilities(page: ComparisonPage, numbers: Numbers) -> Grid | None:
    """List the differences in the scores of the probabilities."""
    views = views_in(numbers)
    rows = [
        Row(
            _called(arm),
            tuple(
                estimate(
                    ask(numbers, Name(metric, view, arm=arm, baseline=page.baseline)),
                    grids.signed_coefficient,
                )
                for metric in _PROBABILITIES
            ),
            "merged" if view == "merged" else "",
        )
        for arm in models_of(page)[1:]
        for view in views
        if ask(numbers, Name("brier", view, arm=arm, baseline=page.baseline))
    ]
    return grid(
        "table-probabilities",
        "Differences from the baseline in the scores of the probabilities, with 95 % intervals "
        "below. AUROC (mean of the categories): above 0 is better. Brier score and log loss: below "
        "0 is better. All of it is descriptive.",
        ("Model", *_PROBABILITIES.values()),
        [("", rows)],
    )


def replicas(page: ComparisonPage, numbers: Numbers) -> Grid | None:
    """List the tests that published papers ran, as they ran them."""
    alone = [pair for arm in models_of(page) for pair in _replicas_of(numbers, arm, None)]
    title = "Each model by itself" if len(models_of(page)) > 2 else ""
    groups = [(title, [_replica(*pair) for pair in alone])]
    groups += [
        (
            _title(page, arm),
            [_replica(*pair) for pair in _replicas_of(numbers, arm, page.baseline)],
        )
        for arm in models_of(page)[1:]
    ]
    return grid(
        "table-replicas",
        "Published tests, run as the papers ran them: of each model by itself in percent, "
        "against the baseline in percentage points.",
        ("Test", "Value", "p"),
        groups,
    )


def _called(arm: str) -> str:
    return wording.sentence_case(wording.name_of(arm))


def _title(page: ComparisonPage, arm: str) -> str:
    return _called(arm) if len(models_of(page)) > 2 else ""


def _difference(page: ComparisonPage, numbers: Numbers, arm: str, metric: str, view: str) -> Row:
    name = Name(metric, view, arm=arm, baseline=page.baseline)
    number, flip = ask(numbers, name), ask(numbers, name._replace(kind="flip"))
    planned = (metric, view) == (page.metric, "strict")
    write = grids.signed_coefficient if metric in grids.COEFFICIENTS else wording.signed
    tests = (*_tested(number, planned=planned), *_tested(flip, planned=planned))
    aside = ", ".join(part for part in (_view_word(numbers, view), "primary" * planned) if part)
    assumed = ask(numbers, name._replace(kind="as if"))
    cell = grids.with_assumed(estimate(number, write), assumed, write)
    return Row(OVERALL[metric], (cell, *tests), aside, planned)


def _tested(number: Number | None, *, planned: bool) -> tuple[Shown, Shown]:
    if number is None or number.p_value is None:
        return plain(wording.UNDEFINED), plain(wording.UNDEFINED if planned else "not planned")
    adjusted = wording.p_value(number.p_adjusted) if planned else "not planned"
    return plain(wording.p_value(number.p_value)), plain(adjusted)


def _not_worse(page: ComparisonPage, numbers: Numbers, arm: str) -> Row:
    name = Name(page.metric, arm=arm, baseline=page.baseline, kind="not worse")
    number = ask(numbers, name)
    low = number.low if number else None
    p_value = number.p_adjusted if number else None
    word = "undefined" if p_value is None else "shown" if p_value <= LARGEST_P else "not shown"
    ratios = [
        shown("error_ratio", ask(numbers, Name("error_ratio", view, None, arm, page.baseline)))
        for view in views_in(numbers)
    ]
    tested = _tested(number, planned=True)
    why = grids.reason(number.method) if number and low is None else ""
    bound = Shown(wording.UNDEFINED if low is None else wording.signed(low), reason=why)
    return Row(_called(arm), (bound, *tested, plain(word), *ratios))


def _view_ends(numbers: Numbers) -> list[str]:
    return [f", {view}" if len(views_in(numbers)) > 1 else "" for view in views_in(numbers)]


def _view_word(numbers: Numbers, view: str) -> str:
    return view if len(views_in(numbers)) > 1 else ""


def _replicas_of(numbers: Numbers, arm: str, baseline: str | None) -> Sequence[tuple[Name, Number]]:
    found = [
        (name, number)
        for name, several in numbers.items()
        if name.kind == "replica" and (name.arm, name.baseline) == (arm, baseline)
        for number in several
    ]
    return sorted(found, key=lambda pair: (pair[0].view != "strict", pair[1].method))


def _replica(name: Name, number: Number) -> Row:
    test = wording.sentence_case(number.method.removeprefix(f"{REPLICA}:").split("; ")[0].strip())
    if number.bounds is not None:
        value = estimate(number, wording.percent)
    else:
        value = estimate(number._replace(method=""), wording.signed)
    tested = plain("" if number.p_value is None else wording.p_value(number.p_value))
    merged = "merged" if name.view == "merged" else ""
    alone = wording.name_of(name.arm) if name.arm and name.baseline is None else ""
    aside = ", ".join(part for part in (alone, wording.name_of(name.metric), merged) if part)
    return Row(test, (value, tested), aside)
