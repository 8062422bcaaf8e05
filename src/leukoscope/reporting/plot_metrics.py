"""How the figures name and write each metric: in percent, or as the coefficient it is."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from leukoscope.foundation.errors import unknown_name
from leukoscope.reporting import wording
from leukoscope.reporting.contents import PIGEONHOLE

OVERALL = ("accuracy", "balanced_accuracy", "macro_f", "mcc", "kappa", "auroc")
"""The metrics of all categories together that a figure of scores shows unless told."""

BY_CATEGORY = ("recall", "specificity", "precision", "f")
"""The metrics of each category that it shows unless told."""

LESS_IS_BETTER = ("brier", "log_loss")

_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f": "macro-F",
    "recall": "recall",
    "specificity": "specificity",
    "precision": "precision",
    "f": "F",
    "operating_sensitivity": "sensitivity at the threshold",
    "operating_specificity": "specificity at the threshold",
    "mcc": "MCC",
    "kappa": "Cohen's kappa",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "brier": "Brier score",
    "log_loss": "log loss",
}
_COEFFICIENTS = {"mcc", "kappa", "auroc", "average_precision", *LESS_IS_BETTER}
_AS_IF = "as if"
_REPRIORED = "re-priored"
"""What a method says where calls were made anew for the mix they are scored at."""
_NOT_INTERVALS = ("replica", "non-inferiority")
"""How the method of a row begins that is a test to be told of, and no interval to be drawn."""


class Estimate(NamedTuple):
    """Hold one score and its bounds as they are drawn, and further intervals of the same."""

    value: float | None
    low: float | None
    high: float | None
    others: tuple[tuple[float, float, float], ...]
    """Value and bounds each, by another method or for another unit."""


def check_metrics(metrics: Sequence[str]) -> None:
    """Refuse a metric that no figure can write. Raises UsageError."""
    for metric in metrics:
        if metric not in _NAMES:
            raise unknown_name("metric of a figure", metric, _NAMES)


def name_of(metric: str) -> str:
    """Write a metric's name in the middle of a sentence."""
    return _NAMES[metric]


def factor_of(metric: str) -> float:
    """Give what a fraction is multiplied by when it is drawn: 100 for percent."""
    return 1.0 if metric in _COEFFICIENTS else 100.0


def is_interval(method: str) -> bool:
    """Tell the rows that may be drawn from replicas of published tests and from one-sided ones."""
    return not method.lower().startswith(_NOT_INTERVALS)


def estimate(metric: str, rows: Sequence[dict[str, Any]]) -> Estimate:
    """Choose which of the rows about one number leads; the others are drawn thin below it.

    Parameters
    ----------
    metric : str
        Whose scale is used.
    rows : sequence of dict
        Rows of a results table, at least one.

    Returns
    -------
    Estimate
        The row of the cells' own unit and of the planned method leads; rows without bounds
        are shown only where no other is there.
    """
    factor = factor_of(metric)
    known = [{name: _known(row[name], factor) for name in ("value", "low", "high")} for row in rows]
    ranked = sorted(range(len(rows)), key=lambda i: (*_rank(rows[i]), known[i]["low"] is None))
    bounded = [i for i in ranked if known[i]["low"] is not None and known[i]["high"] is not None]
    first = known[bounded[0] if bounded else ranked[0]]
    others = [known[i] for i in bounded[1:] if known[i]["value"] is not None]
    drawn = tuple((each["value"], each["low"], each["high"]) for each in others)
    return Estimate(first["value"], first["low"], first["high"], drawn)  # type: ignore[arg-type]


def second_text(rows: Sequence[dict[str, Any]]) -> str:
    """Say what the thin lines are of a figure that draws these rows of a results table."""
    methods = [row["method"].lower() for row in rows]
    kinds = {
        "as if the cells came from persons": any(
            (row["unit"] or "").startswith(_AS_IF) for row in rows
        ),
        "calls made anew for the mix": any(_REPRIORED in method for method in methods),
        "by the pigeonhole bootstrap": any(method.startswith(PIGEONHOLE) for method in methods),
    }
    known = [text for text, is_there in kinds.items() if is_there]
    return f"thin: {' or '.join(known) or 'by another method'}"


def score_text(metric: str, one: Estimate) -> str:
    """Write a score and its interval: ``87.4 (82.1–91.0)``."""
    if one.value is None:
        return wording.UNDEFINED
    decimals = 1 if factor_of(metric) > 1 else 3
    value = _signless(one.value, decimals)
    if one.low is None or one.high is None:
        return f"{value} (no interval)"
    return f"{value} ({_signless(one.low, decimals)}–{_signless(one.high, decimals)})"


def difference_text(metric: str, one: Estimate) -> str:
    """Write a difference and its interval with their signs: ``+2.1 (−0.4 to +4.6)``."""
    if one.value is None:
        return wording.UNDEFINED
    value = _signed(metric, one.value)
    if one.low is None or one.high is None:
        return f"{value} (no interval)"
    return f"{value} ({_signed(metric, one.low)} to {_signed(metric, one.high)})"


def _rank(row: dict[str, Any]) -> tuple[bool, bool, bool, str, str]:
    unit, method = row["unit"] or "", row["method"].lower()
    second = (method.startswith(PIGEONHOLE), _REPRIORED in method)
    return unit.startswith(_AS_IF), *second, method, unit


def _known(value: float | None, factor: float) -> float | None:
    return None if value is None or not math.isfinite(value) else factor * value


def _signless(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return text.replace("-", wording.MINUS) if float(text) else text.lstrip("-")


def _signed(metric: str, value: float) -> str:
    if factor_of(metric) > 1:
        return wording.signed(value / factor_of(metric))
    text = f"{value:+.3f}"
    return text.replace("-", wording.MINUS) if float(text) else text.lstrip("+-")
