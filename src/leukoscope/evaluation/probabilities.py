"""Scores of probabilities: ranking, losses, calibration, and one stated operating point."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from leukoscope.evaluation.forecasts import PAIR, Forecasts
from leukoscope.evaluation.results import icc_of
from leukoscope.foundation.streams import stream
from leukoscope.stats import forecasts as losses
from leukoscope.stats import ranking
from leukoscope.stats.intervals import Interval, grouped_intervals
from leukoscope.stats.scores import grouped_confusion

BINS = 10
"""Bins of equal numbers of cells that calibration is judged by."""

BORDER = "band against segmented"
"""What the border between the two is called where a category's name stands."""

Row = dict[str, Any]


def probability_rows(seen: Forecasts, facts: Mapping[str, Any], sensitivity: float) -> list[Row]:
    """Make a results row of each score of the probabilities.

    Parameters
    ----------
    seen : Forecasts
        In one view.
    facts : mapping
        What all rows say: the view, the numbers of cells, the unit.
    sensitivity : float
        The sensitivity that each category's operating point reaches, in (0, 1].

    Returns
    -------
    list of dict
        ``auroc`` (one against the rest, their mean, and band against segmented),
        ``average_precision``, ``brier`` and ``log_loss`` beside those of a constant forecast,
        ``calibration_error`` beside that of a calibrated model by chance,
        ``calibration_bias``, ``area_under_risk`` and the operating points.
    """
    found = [*_ranking(seen), *_losses(seen), *_calibration(seen)]
    icc = icc_of(facts["unit"])
    found += [row for c in range(len(seen.names)) for row in _operating(seen, c, sensitivity, icc)]
    return [dict(facts) | row for row in found]


def border_of(seen: Forecasts) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]] | None:
    """Mark the true bands and segmented cells, and give all cells p(band) of both.

    Returns
    -------
    mask, score : (n,) bool and (n,) float64, or None
        None where the model does not tell them apart. A cell with neither probability
        scores one half: nothing was said of the border.
    """
    if not set(PAIR) <= set(seen.names):
        return None
    band, segmented = (seen.names.index(name) for name in PAIR)
    either = seen.probabilities[:, [band, segmented]]
    total = either.sum(axis=1)
    score = np.divide(either[:, 0], total, out=np.full(len(total), 0.5), where=total > 0)
    return np.isin(seen.truth, [band, segmented]), score


def _ranking(seen: Forecasts) -> Iterator[Row]:
    overall = ranking.macro_auroc_interval(seen.probabilities, seen.truth, seen.groups)
    yield {"metric": "auroc"} | _numbers(overall)
    for c, name in enumerate(seen.names):
        ranked = (seen.probabilities[:, c], seen.truth == c, seen.groups)
        yield {"metric": "auroc", "category": name} | _numbers(ranking.auroc_interval(*ranked))
        precise = ranking.average_precision_interval(*ranked)
        yield {"metric": "average_precision", "category": name} | _numbers(precise)
    border = border_of(seen)
    if border is not None:
        mask, score = border
        is_band = seen.truth[mask] == seen.names.index(PAIR[0])
        found = ranking.auroc_interval(score[mask], is_band, seen.groups[mask])
        yield {"metric": "auroc", "category": BORDER} | _numbers(found)


def _losses(seen: Forecasts) -> Iterator[Row]:
    n, k = seen.probabilities.shape
    constant = np.broadcast_to(losses.constant_forecast(seen.truth, k), (n, k))
    floored = int((seen.probabilities[np.arange(n), seen.truth] < losses.LEAST_PROBABILITY).sum())
    for name, of_cells in (("brier", losses.brier_losses), ("log_loss", losses.log_losses)):
        each = of_cells(seen.probabilities, seen.truth)
        row = _numbers(losses.mean_interval(each, seen.groups, least=0))
        if name == "log_loss" and floored:
            least = losses.LEAST_PROBABILITY
            row["method"] += f"; in {floored} cells the truth had less than {least:g}, taken for it"
        yield {"metric": name} | row
        value = float(of_cells(constant, seen.truth).mean())
        how = "a constant forecast of the shares of these cells"
        yield {"metric": f"{name}_constant", "value": value, "method": how}


def _calibration(seen: Forecasts) -> Iterator[Row]:
    confidence, right = seen.top
    how = f"{BINS} bins of equal numbers of cells, largest probability"
    error = losses.calibration_error(confidence, right, BINS)
    yield {"metric": "calibration_error", "value": error, "method": how}
    chance = losses.calibration_error_if_calibrated(
        confidence, stream(0, "calibration", *seen.names), BINS
    )
    by_chance = f"{how}; what a calibrated model of these probabilities shows by chance"
    yield {"metric": "calibration_error_by_chance", "value": chance, "method": by_chance}
    area = losses.area_under_risk(confidence, right)
    how = "mean error rate over the shares of cells kept, the least sure left out first"
    yield {"metric": "area_under_risk", "value": area, "method": how}
    for c, name in enumerate(seen.names):
        excess = seen.probabilities[:, c] - (seen.truth == c)
        bias = losses.mean_interval(excess, seen.groups)
        yield {"metric": "calibration_bias", "category": name} | _numbers(bias)


def _operating(seen: Forecasts, c: int, sensitivity: float, icc: float) -> Iterator[Row]:
    score, positive = seen.probabilities[:, c], seen.truth == c
    threshold = ranking.threshold_for(score, positive, sensitivity)
    goal = f"the largest threshold that calls {sensitivity:.4g} of the category's cells"
    row = {"category": seen.names[c]}
    if np.isnan(threshold):
        reason = "undefined: no cells of the category, or none other"
        yield row | {"metric": "operating_threshold", "value": np.nan, "method": reason}
        return
    yield row | {"metric": "operating_threshold", "value": threshold, "method": goal}
    called = (score >= threshold).astype(np.int64)
    matrices = grouped_confusion(positive.astype(np.int64), called, seen.groups, 2)
    rest, own = _pair(grouped_intervals(matrices, assumed_icc=icc)["recall"])
    fixed = "at this threshold held fixed; found on these very cells, so choose it on validation"
    for metric, one in (("operating_sensitivity", own), ("operating_specificity", rest)):
        yield row | {"metric": metric} | _numbers(one) | {"method": f"{one.method}; {fixed}"}


def _pair(found: Interval | list[Interval]) -> tuple[Interval, Interval]:
    assert isinstance(found, list)
    return found[0], found[1]


def _numbers(found: Interval) -> Row:
    return {"value": found.value, "low": found.low, "high": found.high, "method": found.method}
