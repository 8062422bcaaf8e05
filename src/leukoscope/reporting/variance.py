"""Where the uncertainty of a difference comes from, and what a second method makes of it."""

from typing import NamedTuple

import polars as pl

from leukoscope.reporting import wording
from leukoscope.reporting.contents import (
    VIEWS,
    Key,
    Scores,
    StudyPage,
    arm_order,
    index_pigeonhole,
    own_results,
)

VARIANCE: dict[str, pl.DataType] = {
    **{name: pl.String() for name in ("arm", "metric", "view")},
    **{name: pl.Float64() for name in ("value", "se_groups", "se_replicates", "se_interaction")},
    **{name: pl.Float64() for name in ("low", "high", "pigeonhole_low", "pigeonhole_high")},
}
"""The columns of a variance table; all numbers are fractions."""


class VarianceRow(NamedTuple):
    """Show the parts of one difference's uncertainty in points, and both intervals."""

    arm: str
    view: str
    value: str
    se_groups: str
    se_replicates: str
    se_interaction: str
    interval: str
    pigeonhole: str


def variance_table(page: StudyPage, scores: Scores) -> pl.DataFrame:
    """List the parts of the variance of each arm's difference in the primary metric.

    Returns
    -------
    polars.DataFrame
        The columns of :data:`VARIANCE`, an arm and view a row; what the results do not
        hold is null.
    """
    second = index_pigeonhole(own_results(page))
    rows = []
    for arm in arm_order(page)[1:]:
        for view in VIEWS:
            key = Key(arm, page.metric, view, baseline=page.baseline)
            score, other = scores.get(key), second.get(key)
            parts = [_part(scores, key, name) for name in ("groups", "replicates", "interaction")]
            if score and (other or any(part is not None for part in parts)):
                bounds = (other.low, other.high) if other else (None, None)
                shown = (score.value, *parts, score.low, score.high, *bounds)
                rows.append((arm, page.metric, view, *shown))
    return pl.DataFrame(rows, schema=VARIANCE, orient="row")


def variance_rows(table: pl.DataFrame) -> list[VarianceRow]:
    """Show a variance table."""
    return [
        VarianceRow(
            row["arm"],
            row["view"],
            wording.signed(row["value"]),
            _size(row["se_groups"]),
            _size(row["se_replicates"]),
            _size(row["se_interaction"]),
            _interval(row["low"], row["high"]),
            _interval(row["pigeonhole_low"], row["pigeonhole_high"]),
        )
        for row in table.iter_rows(named=True)
    ]


def _part(scores: Scores, key: Key, name: str) -> float | None:
    found = scores.get(key._replace(metric=f"{key.metric}_se_{name}"))
    return found.value if found else None


def _size(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.2f}"


def _interval(low: float | None, high: float | None) -> str:
    return "none" if low is None or high is None else wording.signed_span(low, high)
