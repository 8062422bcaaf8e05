"""The card of a trained model that leaves the house: README.md with a head that programs read.

It names no case and no cell, and no place on the machine it was written on.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from leukoscope.evaluation.results import AS_IF_CASES
from leukoscope.records.runs import FREE_LICENCES, ModelCard
from leukoscope.reporting import evaluation_tables, wording
from leukoscope.reporting import evaluation_words as words
from leukoscope.reporting.contents import VIEWS
from leukoscope.reporting.evaluated import (
    EvaluationPage,
    Name,
    Numbers,
    ask,
    in_stable_order,
    numbers_of,
    scored_cells,
    views_in,
)
from leukoscope.reporting.grids import Grid, Shown

_SPDX = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_MARKS = re.compile(r"([\\`*_\[\]#|~$]|^[-+=])")
_NUMBERED = re.compile(r"^(\d+)([.)])(?=\s|$)")
_HEAD_METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "macro_f": "f1",
}
"""Metric of a results table → the type that model hubs know it by."""
_CLASSIFIERS = {
    "logistic": "a logistic regression",
    "svm": "a support vector machine",
    "knn": "a vote of the nearest training cells",
    "trees": "boosted trees",
}
"""Kind of a classifier → what a reader knows it by."""
_HOLD_CELLS = ("svm", "knn")
_PIXELS = "pixels"
"""What stands in the place of a network's name where the pixels are the features."""


@dataclass(frozen=True)
class ModelPage:
    """Hold all that the card of a model says; the card adds no number of its own."""

    name: str
    """What the model is called: the folder it leaves in."""
    card: ModelCard
    n_replicates: int
    """More than 1: an ensemble, the mean of their probabilities."""
    dataset: Mapping[str, Any]
    """What the run wrote down of its dataset; empty where only a model folder is known."""
    changed: Mapping[str, Any]
    """The recipe's values that differ from the defaults."""
    recipe_id: str | None
    versions: Mapping[str, str]
    """Package → version."""
    parity: Mapping[str, Any]
    """How the exported answers were compared with this tool's."""
    digests: Mapping[str, str]
    """File or record → its SHA-256."""
    scored: EvaluationPage | None = None
    """The run's own test predictions, evaluated; None where it has none."""
    unscored: str = ""
    """Why there are no scores, in a sentence."""
    members: Sequence[ModelCard] = field(default=())
    """The cards of an ensemble's replicates."""
    n_kept_cells: int = 0
    """How many training cells it holds, as features or pictures."""


def model_page(page: ModelPage) -> str:
    """Write the card of a model.

    Parameters
    ----------
    page : ModelPage
        All that it says.

    Returns
    -------
    str
        Markdown with a YAML head. Names are escaped: none can make a table, a heading or HTML.

    Raises
    ------
    DataError
        If a number is given twice, or a table names a case otherwise than by a pseudonym.
    """
    scored = in_stable_order(page.scored) if page.scored else None
    numbers = numbers_of(scored.results) if scored else {}
    content = _words(page) | {
        "head": Markup(_head(page, scored, numbers)),
        "scores": _scores(scored, numbers) if scored else None,
    }
    return wording.without_controls(_environment().get_template("model.md").render(content))


def keeps_pictures(page: ModelPage) -> bool:
    """Tell whether a model holds training cells, and as their very pictures."""
    return any(
        one.model == _PIXELS and one.classifier is not None and one.classifier.kind in _HOLD_CELLS
        for one in (page.members or [page.card])
    )


def plain(text: object) -> Markup:
    """Write a text so that Markdown shows it as it is, on one line."""
    line = " ".join(wording.without_controls(str(text)).split())
    safe = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Markup(_NUMBERED.sub(r"\1\\\2", _MARKS.sub(r"\\\1", safe)))


def markdown_table(table: Grid) -> Markup:
    """Write a table of a page as Markdown, its notes below it."""
    rows = [tuple(map(plain, table.heads)), ("---",) * len(table.heads)]
    for group in table.groups:
        for row in group.rows:
            label = f"{row.label}, {row.aside}" if row.aside else row.label
            rows.append((plain(label), *(_cell(each) for each in row.cells)))
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    notes = [f"{mark}) {plain(text)}." for mark, text in table.notes]
    caption = table.caption.replace("intervals below", "intervals in brackets")
    return Markup("\n".join([*lines, "", plain(caption), *("\n" + note for note in notes)]))


def _cell(shown: Shown) -> str:
    bounds = f" ({shown.interval})" if shown.interval else ""
    mark = f" {shown.mark})" if shown.mark else ""
    further = "".join(f"; {line}" for line in (shown.reason, *shown.further) if line)
    return plain(shown.value + bounds) + mark + plain(further)


def _head(page: ModelPage, scored: EvaluationPage | None, numbers: Numbers) -> str:
    weights = page.card.weights
    licence = weights.licence if weights and weights.licence != "own" else ""
    known = bool(_SPDX.fullmatch(licence)) and licence != "unknown"
    head: dict[str, Any] = {
        "license": licence if known else "other",
        "license_of_starting_weights": weights.licence if weights else _no_weights(page.card),
        "license_of_data": page.dataset.get("licence") or "unknown",
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": ["hematology", "leukocyte", "microscopy", "leukoscope", "onnx"],
        "model-index": [{"name": page.name, "results": _results(page, numbers)}],
    }
    if not known:
        head["license_name"] = "see-licences-below"
    if scored is None:
        del head["model-index"]
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=1000)
    # A few signs (next line, U+0085) come back as others unless they are escaped.
    same = yaml.safe_load(text) == head and wording.without_controls(text) == text
    return text if same else yaml.safe_dump(head, sort_keys=False, width=1000)


def _results(page: ModelPage, numbers: Numbers) -> list[dict[str, Any]]:
    metrics = []
    for view in views_in(numbers):
        for metric, kind in _HEAD_METRICS.items():
            found = ask(numbers, Name(metric, view))
            if found is not None and found.value is not None:
                name = f"{wording.metric_name(metric)}, {evaluation_tables.VIEW_HEADS[view]}"
                metrics.append({"type": kind, "name": name, "value": round(found.value, 4)})
    dataset = {"name": page.dataset.get("name") or "unknown", "type": "images", "split": "test"}
    task = {"type": "image-classification", "name": "Leukocyte classification"}
    return [{"task": task, "dataset": dataset, "metrics": metrics}]


def _scores(page: EvaluationPage, numbers: Numbers) -> dict[str, Any]:
    overall = evaluation_tables.overall(numbers)
    each = evaluation_tables.sensitivities(numbers)
    checks = words.findings(page.guards)
    estimand = words.estimand(scored_cells(numbers))
    told = (estimand, words.RESEARCH_ONLY)
    # Curves and counts of cases are not on the card, nor are their limits.
    bare = replace(page, points=page.points.clear(), differential=page.differential.clear())
    return {
        "sentence": words.scored_sentence(numbers),
        "estimand": estimand,
        "not_merged": words.why_not_merged(numbers),
        "tables": [markdown_table(table) for table in (overall, each) if table],
        "confusion": [_confusion(page.confusion, view) for view in views_in(numbers)],
        "summary": checks.summary,
        "findings": [f"{one.title}: {one.detail}" for one in (*checks.errors, *checks.warnings)],
        "limits": [line for line in words.limits(bare, numbers) if line not in told],
        "as_if": AS_IF_CASES if any(name.kind == "as if" for name in numbers) else "",
    }


def _confusion(table: pl.DataFrame, view: str) -> dict[str, Any]:
    part = table.filter(pl.col("view") == view)
    counts = {(row["category"], row["predicted"]): row["n_cells"] for row in part.to_dicts()}
    names = list(dict.fromkeys(part["category"]))
    heads = ("True", *(f"called {name}" for name in names))
    rows = [tuple(map(plain, heads)), ("---",) * len(heads)]
    for truth in names:
        cells = (wording.count(counts.get((truth, called), 0.0)) for called in names)
        rows.append((plain(truth), *map(plain, cells)))
    text = Markup("\n".join("| " + " | ".join(row) + " |" for row in rows))
    return {"view": evaluation_tables.VIEW_HEADS[view] if view in VIEWS else view, "table": text}


def _words(page: ModelPage) -> dict[str, Any]:
    """Gather what is told of the model itself."""
    card = page.card
    return {
        "page": page,
        "card": card,
        "kind": _kind(page),
        "keeps_pictures": keeps_pictures(page),
        "no_weights": _no_weights(card),
        "sides": _sides(page.dataset),
        "changed": [(name, _value(value)) for name, value in page.changed.items()],
        "colour": [
            ", ".join(f"{value:g}" for value in values)
            for values in (card.preprocessing.mean, card.preprocessing.std)
        ],
        "views": sorted({one.test_views for one in (page.members or [card])}),
        "temperatures": [f"{one.temperature:.4g}" for one in (page.members or [card])],
        "restricted": bool(card.weights and card.weights.licence not in FREE_LICENCES),
        "research_only": words.RESEARCH_ONLY,
    }


def _kind(page: ModelPage) -> str:
    card = page.card
    size_px = card.preprocessing.size_px
    parts = [f"{name} {value}" for name, value in _changes(card).items()]
    told = f"{card.model} at {size_px} px" + (f" ({', '.join(parts)})" if parts else "")
    if card.classifier is not None:
        of_pixels = f"the levels of {size_px} × {size_px} pixels"
        source = of_pixels if card.model == _PIXELS else f"features of {told}"
        told = f"{_CLASSIFIERS[card.classifier.kind]} on {source}"
    if page.n_replicates > 1:
        told = f"{page.n_replicates} replicates that answer together, each {told}"
    return told


def _no_weights(card: ModelCard) -> str:
    return "none: it holds no network" if card.model == _PIXELS else "none: started at random"


def _changes(card: ModelCard) -> dict[str, str]:
    usual = {"stem": "own", "norm": "own", "head": "linear", "regions": "whole"}
    found = {
        name: getattr(card, name) for name, value in usual.items() if getattr(card, name) != value
    }
    return found | {name: str(value) for name, value in card.build_arguments.items()}


def _sides(dataset: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say of each side of the split how much it holds."""
    sides = []
    for side, n_cells in dict(dataset.get("n_cells") or {}).items():
        told = [wording.counted(n_cells, "cell", "cells")]
        for key, (one, many) in (
            ("n_families", wording.UNITS["family"]),
            ("n_cases", wording.UNITS["case"]),
        ):
            number = dict(dataset.get(key) or {}).get(side)
            told += [wording.counted(number, one, many)] if number else []
        sides.append((side, ", ".join(told)))
    return sides


def _value(value: Any) -> str:
    """Write a recipe's value on one line, as YAML does where it is several or none."""
    if value is None:
        return "null"
    if isinstance(value, Mapping | list):
        text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000)
        return text.strip()
    return str(value)


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("leukoscope.reporting", "templates"),
        # Markdown is no HTML: what is shown is escaped by finalize, each value of it.
        autoescape=False,
        finalize=lambda value: value if isinstance(value, Markup) else plain(value),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
