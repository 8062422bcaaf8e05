"""The numbers of an evaluation's page as JSON, for those who would rather read than look."""

import json
import math
from typing import Any

import polars as pl

from leukoscope.reporting import evaluation_words as words
from leukoscope.reporting.evaluated import (
    EvaluationPage,
    Kind,
    Name,
    Number,
    Numbers,
    in_stable_order,
    mix_in,
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
    return written(content)


def written(content: dict[str, Any]) -> str:
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
    return {
        "value": number.value,
        "low": number.low,
        "high": number.high,
        "n": number.n_cases if unit == "case" else number.n_families,
        "unit": unit,
        "n_cells": number.n_cells,
        "method": number.method,
    }


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
