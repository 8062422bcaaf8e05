"""The numbers of a study's page as JSON, for those who would rather read than look."""

import json
from collections.abc import Iterable
from statistics import median
from typing import Any

import polars as pl

from leukoscope.reporting import cases, curves, gallery
from leukoscope.reporting.answer import answer_sentence
from leukoscope.reporting.contents import (
    Key,
    Score,
    Scores,
    StudyPage,
    arm_order,
    equal_epochs_scores,
    index_pigeonhole,
    own_results,
    scores_of,
    views_of,
)
from leukoscope.reporting.verdicts import (
    assumed_bounds,
    is_exploratory,
    primary_score,
    verdict_of,
)


def study_json(page: StudyPage) -> str:
    """Write the numbers of a study's page as JSON.

    Parameters
    ----------
    page : StudyPage
        All that the page shows.

    Returns
    -------
    str
        An object with ``question``, ``answer``, ``margin``, ``metric`` and ``view``; under
        ``arms`` for each arm but the baseline its verdict on the primary metric; under
        ``scores`` and ``differences`` every metric as ``{value, low, high, n, unit, method}``
        by arm and view; ``convergence``, ``spread``, ``missed`` and ``equal_epochs``.
        Fractions, not percent; what is undefined is null. The same tables give the same
        text, whatever the order of their rows.

    Raises
    ------
    DataError
        If a table is not in its shape or gives a number twice.
    """
    scores = scores_of(page)
    content = {
        "study": page.name,
        "question": page.question,
        "answer": answer_sentence(page),
        "exploratory": is_exploratory(page),
        "metric": page.metric,
        "view": page.view,
        "margin": page.margin,
        "baseline": page.baseline,
        "unit": page.unit,
        "replicates": page.n_replicates,
        "arms": {arm: _arm(page, scores, arm) for arm in arm_order(page)[1:]},
        "scores": _scores(page, scores),
        "differences": _differences(page, scores, index_pigeonhole(own_results(page))),
        "convergence": _convergence(page, scores),
        "spread": _spread(page),
        "missed": _missed(page),
        "equal_epochs": _differences(page, equal_epochs_scores(page), {}) or None,
    }
    return json.dumps(content, allow_nan=False, ensure_ascii=False, indent=1) + "\n"


def _arm(page: StudyPage, scores: Scores, arm: str) -> dict[str, Any]:
    score = primary_score(page, scores, arm)
    assumed = assumed_bounds(page, score)
    tested = {
        "p_value": score.p_value if score else None,
        "p_adjusted": score.p_adjusted if score else None,
        "assumed_low": assumed[0] if assumed else None,
        "assumed_high": assumed[1] if assumed else None,
    }
    shown = _number(page, score) if score else dict.fromkeys(_number(page, _NOTHING))
    return {"verdict": verdict_of(page, score)} | shown | tested


def _number(page: StudyPage, score: Score) -> dict[str, Any]:
    return {
        "value": score.value,
        "low": score.low,
        "high": score.high,
        "n": score.n_cases if page.unit == "case" else score.n_families,
        "unit": page.unit,
        "n_cells": score.n_cells,
        "method": score.method,
    }


_NOTHING = Score(None, None, None, None, None, None, None, None, "")


def _scores(page: StudyPage, scores: Scores) -> dict[str, Any]:
    return {
        arm: {view: _by_metric(page, scores, arm, view, None) for view in views_of(scores)}
        for arm in arm_order(page)
    }


def _differences(page: StudyPage, scores: Scores, second: Scores) -> dict[str, Any]:
    if not scores:
        return {}
    found: dict[str, Any] = {}
    for arm in arm_order(page)[1:]:
        for view in views_of(scores):
            shown = _by_metric(page, scores, arm, view, page.baseline)
            for metric, number in shown.items():
                other = second.get(Key(arm, metric, view, baseline=page.baseline))
                if other:
                    bounds = {"low": other.low, "high": other.high, "method": other.method}
                    number["pigeonhole"] = bounds
            found.setdefault(arm, {})[view] = shown
    return found


def _by_metric(
    page: StudyPage, scores: Scores, arm: str, view: str, baseline: str | None
) -> dict[str, Any]:
    """List the numbers of an arm in a view by metric; those of categories one level deeper."""
    keys = (key for key in scores if (key.arm, key.view, key.baseline) == (arm, view, baseline))
    found: dict[str, Any] = {}
    for key in sorted(_means(keys), key=lambda key: (key.metric, key.category or "")):
        number = _number(page, scores[key])
        if baseline is not None:
            number |= {"p_value": scores[key].p_value, "p_adjusted": scores[key].p_adjusted}
        if key.category is None:
            found[key.metric] = number
        else:
            found.setdefault("categories", {}).setdefault(key.category, {})[key.metric] = number
    return found


def _means(keys: Iterable[Key]) -> list[Key]:
    return [key for key in keys if key.replicate is None]


def _convergence(page: StudyPage, scores: Scores) -> dict[str, Any]:
    table = curves.convergence_table(page, scores)
    found: dict[str, Any] = {}
    for (arm, metric), rows in table.group_by("arm", "metric", maintain_order=True):
        known = rows["update"].drop_nulls().to_list()
        found.setdefault(str(arm), {})[str(metric)] = {
            "median": median(known) if known else None,
            "low": min(known, default=None),
            "high": max(known, default=None),
            "n": len(known),
            "unit": "replicate",
            "updates": dict(zip(map(str, rows["replicate"]), rows["update"], strict=True)),
        }
    return found


def _spread(page: StudyPage) -> dict[str, Any]:
    table = cases.case_table(page)
    found: dict[str, Any] = {}
    for (arm, view), rows in table.group_by("arm", "view", maintain_order=True):
        quartiles = cases.quartiles_of(table, str(arm), str(view))
        named = {
            name.replace(" ", "_"): value
            for name, value in zip(cases.QUARTILES, quartiles, strict=True)
        }
        found.setdefault(str(arm), {})[str(view)] = named | {"n": rows.height, "unit": "case"}
    return found


def _missed(page: StudyPage) -> dict[str, Any] | None:
    if page.missed is None:
        return None
    table: pl.DataFrame = gallery.error_table(page)
    names = ["category", "predicted", "n_cells", "n_unanimous"]
    return {
        arm: table.filter(pl.col("arm") == arm).select(names).to_dicts() for arm in arm_order(page)
    }
