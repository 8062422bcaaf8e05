"""The tables of an evaluation's page: which numbers stand in which."""

import re

import polars as pl

from leukoscope.reporting import grids, wording
from leukoscope.reporting.contents import VIEWS
from leukoscope.reporting.evaluated import (
    EvaluationPage,
    Kind,
    Name,
    Number,
    Numbers,
    ask,
    categories_in,
    mix_in,
    told_of,
    views_in,
)
from leukoscope.reporting.grids import Grid, Row, Shown, estimate, grid, shown

OVERALL = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f": "Macro-F",
    "mcc": "MCC",
    "kappa": "Cohen’s kappa",
}
"""The scores of all categories together, in their order on the page."""

VIEW_HEADS = {
    "strict": "Band and segmented told apart",
    "merged": "Neutrophils merged",
}
_BOTH = ("recall", "specificity")
_WHO = re.compile(r"(.+?), (?=jackknife|delete|undefined|exact|no )")


def sensitivities(numbers: Numbers) -> Grid | None:
    """List sensitivity and specificity of each category."""
    return grid(
        "table-sensitivity",
        "Sensitivity: the share of a category’s cells that were called so. Specificity: the share "
        "of all other cells that were not called so. In percent, with 95 % intervals below. "
        "Sensitivity does not depend on how frequent the categories are, specificity only through "
        "which other cells there are.",
        ("Category", "True cells", "Sensitivity", "Specificity"),
        [
            (
                "",
                [
                    Row(
                        wording.sentence_case(category),
                        (
                            _support(numbers, category, view),
                            *(_of_category(numbers, metric, category, view) for metric in _BOTH),
                        ),
                        aside(view),
                    )
                    for category, view in categories_in(numbers, "recall")
                ],
            )
        ],
    )


def overall(numbers: Numbers) -> Grid | None:
    """List the scores of all categories together, strict and merged beside each other."""
    views = views_in(numbers)
    heads = [VIEW_HEADS[view] for view in views] if len(views) > 1 else ["Value"]
    rows = [
        Row(label, tuple(_overall(numbers, metric, view) for view in views))
        for metric, label in OVERALL.items()
    ]
    return grid(
        "table-overall",
        "Scores of all categories together, with 95 % intervals below: accuracy, balanced "
        "accuracy (mean sensitivity) and macro-F (mean F) in percent; MCC and Cohen’s kappa are "
        "coefficients, 1 if all calls are right and 0 if they are no better than chance.",
        ("Score", *heads),
        [("", rows)],
    )


def precisions(numbers: Numbers) -> Grid | None:
    """List precision and F of each category; at the stated mix too, where there is one."""
    explained = (
        "Precision: the share of a category’s calls that were right. F: the harmonic mean of "
        "precision and sensitivity. In percent, with 95 % intervals below."
    )
    titles = {"precision": "Precision", "f": "F"}
    if mix_in(numbers) is not None:
        groups = [(title, _at_mixes(numbers, metric)) for metric, title in titles.items()]
        return grid("table-mix", explained, ("Category", *_mix_heads(numbers)), groups)
    rows = [
        Row(
            wording.sentence_case(category),
            tuple(_of_category(numbers, metric, category, view) for metric in titles),
            aside(view),
        )
        for category, view in categories_in(numbers, "precision")
    ]
    return grid("table-mix", explained, ("Category", *titles.values()), [("", rows)])


def others_at_mixes(numbers: Numbers) -> Grid | None:
    """List what else depends on the mix, at the test's and at the stated one."""
    if mix_in(numbers) is None:
        return None
    groups = [
        ("Specificity", _at_mixes(numbers, "specificity")),
        ("All categories together", _overall_at_mixes(numbers)),
    ]
    return grid(
        "table-mix-others",
        "Specificity, and scores of all categories together, at both mixes: in percent, with 95 % "
        "intervals below; MCC and kappa are coefficients.",
        ("Score", *_mix_heads(numbers)),
        groups,
    )


def agreements(numbers: Numbers) -> Grid | None:
    """List how far differential counts by the model and by the reference agree."""
    metrics = ("bias", "limit_low", "limit_high", "slope", "intercept")
    rows = [
        Row(
            wording.sentence_case(category),
            tuple(_agreement(numbers, metric, category, view) for metric in metrics),
            aside(view),
        )
        for category, view in categories_in(numbers, "bias")
    ]
    return grid(
        "table-agreement",
        "Share of each category in a case’s differential count, model less reference, in "
        "percentage points, with 95 % intervals below. Bias: the mean difference. Limits of "
        "agreement: 95 % of cases differ by no more than from the lower to the upper (Bland and "
        "Altman). Slope and intercept of the line through the cases: 1 and "
        "0 if the two agree, of no meaning where the cases hardly differ.",
        ("Category", "Bias", "Lower limit", "Upper limit", "Slope", "Intercept"),
        [("", rows)],
    )


def case_counts(page: EvaluationPage) -> Grid | None:
    """List the differential count of each case with its counting limits, and the reference's."""
    table = page.differential
    columns = _counted_categories(table)
    by_place = {
        (row["case"], row["view"], row["category"]): row for row in table.iter_rows(named=True)
    }
    rows = []
    for case in table["case"].unique().sort():
        own = [by_place[key] for key in sorted(by_place) if key[0] == case]
        cells = (wording.count(own[0]["n_cells"]), wording.count(own[0]["n_reference_cells"]))
        counted = [by_place.get((case, view, category)) for category, view in columns]
        rows.append(Row(case, (*map(grids.plain, cells), *map(_counted, counted))))
    heads = [
        wording.sentence_case(category) + (", merged" if view == "merged" else "")
        for category, view in columns
    ]
    return grid(
        "table-counts",
        "Differential count of each case by the model in percent, with exact 95 % counting limits "
        "below, then the share in the reference’s count (ref.).",
        ("Case", "Cells", "Reference cells", *heads),
        [("", rows)],
    )


def readers(numbers: Numbers) -> Grid | None:
    """List how far readers agree with each other, and the model with each of them."""
    views = views_in(numbers)
    by_who: dict[str, dict[str, Number]] = {}
    for metric in ("fleiss_kappa", "reader_kappa"):
        for view in views:
            for number in numbers.get(Name(metric, view), ()):
                by_who.setdefault(_who(number.method), {})[view] = number
    rows = [
        Row(
            wording.sentence_case(who),
            (
                grids.plain(wording.count(next(iter(found.values())).n_cells)),
                *(estimate(found.get(view), grids.coefficient) for view in views),
            ),
        )
        for who, found in sorted(by_who.items())
    ]
    heads = [VIEW_HEADS[view] for view in views] if len(views) > 1 else ["Kappa"]
    return grid(
        "table-readers",
        "Agreement beyond chance, with 95 % intervals below: 1 is always, 0 is what chance gives.",
        ("Kappa", "Cells", *heads),
        [("", rows)],
    )


def _support(numbers: Numbers, category: str, view: str) -> Shown:
    found = ask(numbers, Name("support", view, category))
    return Shown(wording.count(found.value if found else None))


def _of_category(numbers: Numbers, metric: str, category: str, view: str) -> Shown:
    number = ask(numbers, Name(metric, view, category))
    return grids.with_reached(shown(metric, number), number)


def _overall(numbers: Numbers, metric: str, view: str) -> Shown:
    number = ask(numbers, Name(metric, view))
    cell = grids.with_reached(shown(metric, number), number)
    assumed = ask(numbers, Name(metric, view, kind="as if"))
    return grids.with_assumed(cell, assumed, grids.writer(metric))


def _ways(numbers: Numbers) -> list[Name]:
    """List by which ways a score is had: at the test's mix, at the stated one, re-priored."""
    mix = mix_in(numbers)
    ways: list[tuple[str | None, Kind]] = [(None, "own"), (mix, "own")]
    if any(name.kind == "repriored" for name in numbers):
        ways.append((mix, "repriored"))
    return [Name("", prevalence=prevalence, kind=kind) for prevalence, kind in ways]


def _mix_heads(numbers: Numbers) -> list[str]:
    mix = mix_in(numbers)
    heads = ["Mix of the test cells", f"Mix {mix}, same calls", f"Mix {mix}, calls made anew"]
    return heads[: len(_ways(numbers))]


def _at_mixes(numbers: Numbers, metric: str) -> list[Row]:
    rows = []
    for category, view in categories_in(numbers, metric):
        first = _of_category(numbers, metric, category, view)
        like = Name(metric, view, category)
        others = [_at(like, way) for way in _ways(numbers)[1:]]
        cells = (first, *(shown(metric, ask(numbers, name)) for name in others))
        rows.append(Row(wording.sentence_case(category), cells, aside(view)))
    return rows


def _overall_at_mixes(numbers: Numbers) -> list[Row]:
    return [
        Row(
            label,
            tuple(
                shown(metric, ask(numbers, _at(Name(metric, view), way))) for way in _ways(numbers)
            ),
            aside(view),
        )
        for metric, label in OVERALL.items()
        for view in views_in(numbers)
        if metric != "balanced_accuracy"
    ]


def _at(name: Name, way: Name) -> Name:
    return name._replace(prevalence=way.prevalence, kind=way.kind)


def _agreement(numbers: Numbers, metric: str, category: str, view: str) -> Shown:
    write = grids.coefficient if metric == "slope" else wording.signed
    return estimate(ask(numbers, Name(metric, view, category)), write)


def _counted_categories(table: pl.DataFrame) -> tuple[tuple[str, str], ...]:
    return told_of(*(table.filter(pl.col("view") == view)["category"].to_list() for view in VIEWS))


def _counted(row: dict[str, object] | None) -> Shown:
    if row is None:
        return Shown("not counted")
    share, low, high, other = (row[name] for name in ("share", "low", "high", "reference_share"))
    texts = [wording.percent(value) for value in (share, low, high, other)]  # type: ignore[arg-type]
    return Shown(texts[0], f"{texts[1]} to {texts[2]}", further=(f"ref. {texts[3]}",))


def _who(method: str) -> str:
    found = _WHO.match(method)
    return (found[1] if found else method).replace("'", "’")


def aside(view: str) -> str:
    """Give the word in grey beside what is of the merged view."""
    return "merged" if view == "merged" else ""
