"""The numbers of the pages as JSON, for those who would rather read than look."""

import json
import math
from typing import Any

import polars as pl

from leukoscope.reporting import comparison_answer as answer
from leukoscope.reporting import evaluation_words as words
from leukoscope.reporting.evaluated import (
    ComparisonPage,
    EvaluationPage,
    Kind,
    Name,
    Number,
    Numbers,
    in_stable_order,
    mix_in,
    models_of,
    numbers_of,
    scored_cells,
)


def evaluation_json(page: EvaluationPage) -> str:
    """Write the numbers of an evaluation as JSON.

    Parameters
    ----------
    page : EvaluationPage
        All that its page shows.

    Returns
    -------
    str
        An object with what was scored, ``guards``, and under ``scores`` each metric as
        ``{value, low, high, n, unit, method}`` by view, those of categories one level deeper;
        ``at_mix`` the same at a stated mix; ``readers`` as a list. Fractions, not percent; what
        is undefined is null. The same tables give the same text, whatever the order of their
        rows.

    Raises
    ------
    DataError
        If a number is given twice, or nothing was scored.
    SchemaError
        If a table is not in its shape.
    """
    page = in_stable_order(page)
    numbers = numbers_of(page.results)
    number = scored_cells(numbers)
    content = {
        "evaluation": page.name,
        "scored": words.scored_sentence(numbers),
        "speaks_of": words.estimand(number),
        "n_cells": number.n_cells,
        "n_families": number.n_families,
        "n_cases": number.n_cases,
        "unit": number.unit,
        "guards": rows_of(page.guards.drop("arm")),
        "scores": by_view(numbers, Name("")),
        "as_if_persons": by_view(numbers, Name("", kind="as if")) or None,
        "mix": mix_in(numbers),
        "at_mix": _at_mix(numbers),
        "readers": _readers(numbers),
    }
    return _written(content)


def comparison_json(page: ComparisonPage) -> str:
    """Write the numbers of a comparison as JSON.

    Parameters
    ----------
    page : ComparisonPage
        All that its page shows.

    Returns
    -------
    str
        An object with what was named before, and ``models``: for each its scores and, but
        for the baseline, its verdict and, nested as scores are, ``differences``,
        ``permutation``, ``not_worse`` and ``as_if_persons``. Fractions, not percent; what is
        undefined is null. Replicas of published tests are left to results.csv.

    Raises
    ------
    DataError, SchemaError
        As :func:`evaluation_json`.
    """
    page = in_stable_order(page)
    numbers = numbers_of(page.results)
    content = {
        "baseline": page.baseline,
        "metric": page.metric,
        "view": "strict",
        "margin": page.margin,
        "about": answer.common(page, numbers),
        "guards": rows_of(page.guards),
        "models": {arm: _model(page, numbers, arm) for arm in models_of(page)},
    }
    return _written(content)


def _model(page: ComparisonPage, numbers: Numbers, arm: str) -> dict[str, Any]:
    scores = {"scores": by_view(numbers, Name("", arm=arm))}
    if arm == page.baseline:
        return scores
    kinds: dict[str, Kind] = {
        "differences": "own",
        "permutation": "flip",
        "not_worse": "not worse",
        "as_if_persons": "as if",
    }
    paired = Name("", arm=arm, baseline=page.baseline)
    return {
        "verdict": answer.in_words(page, answer.verdict_of(page, numbers, arm)),
        **scores,
        **{
            key: by_view(numbers, paired._replace(kind=kind)) or None for key, kind in kinds.items()
        },
    }


def _written(content: dict[str, Any]) -> str:
    """Write JSON, keys in their given order."""
    return json.dumps(content, allow_nan=False, ensure_ascii=False, indent=1) + "\n"


def rows_of(table: pl.DataFrame) -> list[dict[str, Any]]:
    """List the rows of a table, what is not finite as null."""
    return [{name: _known(value) for name, value in row.items()} for row in table.to_dicts()]


def by_view(numbers: Numbers, like: Name) -> dict[str, Any]:
    """Nest the numbers of one arm, mix and way by view and metric; categories stand deeper."""
    found: dict[str, Any] = {}
    for name in sorted(numbers, key=lambda name: (name.metric, name.category or "")):
        same = name._replace(metric="", view="strict", category=None) == like
        if not same or name.metric in _OF_READERS:
            continue
        for number in numbers[name]:
            place = found.setdefault(name.view, {})
            if name.category is not None:
                place = place.setdefault("categories", {}).setdefault(name.category, {})
            place.setdefault(name.metric, number_of(number))
    return {view: found[view] for view in sorted(found, reverse=True)}


def number_of(number: Number) -> dict[str, Any]:
    """Write a number with what it rests on."""
    unit = number.unit
    tests = {"p_value": number.p_value, "p_adjusted": number.p_adjusted}
    return {
        "value": number.value,
        "low": number.low,
        "high": number.high,
        "n": number.n_cases if unit == "case" else number.n_families,
        "unit": unit,
        "n_cells": number.n_cells,
        "method": number.method,
    } | {name: p_value for name, p_value in tests.items() if p_value is not None}


_OF_READERS = ("reader_kappa", "fleiss_kappa")


def _at_mix(numbers: Numbers) -> dict[str, Any] | None:
    mix = mix_in(numbers)
    if mix is None:
        return None
    kinds: dict[str, Kind] = {"calls_as_they_are": "own", "re_priored": "repriored"}
    return {
        key: by_view(numbers, Name("", prevalence=mix, kind=kind)) or None
        for key, kind in kinds.items()
    }


def _readers(numbers: Numbers) -> list[dict[str, Any]] | None:
    found = [
        {"metric": name.metric, "view": name.view} | number_of(number)
        for name in sorted(numbers, key=lambda name: (name.metric, name.view))
        if name.metric in _OF_READERS
        for number in numbers[name]
    ]
    return found or None


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
