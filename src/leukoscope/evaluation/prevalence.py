"""Scores at another mix of categories than that of the test cells."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from leukoscope.evaluation.forecasts import Forecasts
from leukoscope.evaluation.predictions import Scored
from leukoscope.evaluation.results import icc_of
from leukoscope.foundation.errors import DataError
from leukoscope.records import categories
from leukoscope.stats import ranking
from leukoscope.stats.intervals import Interval
from leukoscope.stats.prevalence import prevalence_intervals, repriored
from leukoscope.stats.scores import grouped_confusion

Row = dict[str, Any]

REWEIGHTED = "cells reweighted to the stated mix, calls as they are"
REPRIORED = "probabilities re-priored from the mix of these cells to the stated one, then called"


def mix_for(cells: Mapping[str, int], mix: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """Lay a stated mix out in the order of categories.

    Parameters
    ----------
    cells : mapping of str to int
        Test cells of each category that is true or called.
    mix : mapping of str to float
        Category → its share or count, as stated. A finer category than the cells' is
        added to its parent.

    Returns
    -------
    (k,) float64
        0 for a category that no test cell has.

    Raises
    ------
    DataError
        If a category has a share in the mix and no test cell, or the reverse.
    """
    stated: dict[str, float] = dict.fromkeys(cells, 0.0)
    for name, share in mix.items():
        # A model that answers neutrophil is told how many band and segmented cells there are.
        read = categories.answer_for(name, cells)
        stated[read] = stated.get(read, 0.0) + share
    odd = [
        f"{name} ({cells.get(name, 0)} test cells, {share:g} in the mix)"
        for name, share in stated.items()
        if (cells.get(name, 0) > 0) != (share > 0)
    ]
    if odd:
        raise DataError(
            f"The test cells and the stated mix do not hold the same categories: "
            f"{', '.join(odd)}. Nothing was scored. State the mix in the categories of the test "
            "cells, each with a share."
        )
    return np.array([stated[name] for name in cells])


def prevalence_rows(scored: Scored, view: str, mix: Mapping[str, float], facts: Row) -> list[Row]:
    """Make a results row of each score that depends on the mix, at the stated one.

    Parameters
    ----------
    scored : Scored
        Counts of the strict view; a mix of finer categories holds within merged ones too.
    view : str
        ``strict`` or ``merged``: which view the rows are of.
    mix : mapping of str to float
        Category → its share or count.
    facts : dict
        What all rows say.

    Raises
    ------
    DataError
        If the mix and the test cells do not hold the same categories.
    """
    support = scored.matrices.sum(axis=(0, 2)).tolist()
    stated = mix_for(dict(zip(scored.names, support, strict=True)), mix)
    rows = _rows(scored.matrices, stated, scored.names, view, facts, REWEIGHTED)
    return rows + _shares(scored.names, stated, view, facts)


def _shares(
    names: Sequence[str], stated: npt.NDArray[np.float64], view: str, facts: Row
) -> list[Row]:
    """Say what the stated mix is, so that a page need not be believed."""
    shares: dict[str, float] = {}
    for name, share in zip(
        categories.merged(names) if view == "merged" else names, stated, strict=True
    ):
        shares[name] = shares.get(name, 0.0) + float(share / stated.sum())
    return [
        facts | {"metric": "stated_share", "category": name, "value": share, "method": "as stated"}
        for name, share in shares.items()
        if share > 0
    ]


def repriored_rows(seen: Forecasts, view: str, mix: Mapping[str, float], facts: Row) -> list[Row]:
    """Make the same rows for the calls that follow from probabilities re-priored to the mix.

    Average precision, which depends on the mix too, is given without an interval.

    Parameters
    ----------
    seen : Forecasts
        In the strict view.
    view, mix, facts
        As for :func:`prevalence_rows`.

    Raises
    ------
    DataError
        If the mix and the test cells do not hold the same categories.
    """
    k = len(seen.names)
    counts = np.bincount(seen.truth, minlength=k)
    stated = mix_for(dict(zip(seen.names, counts.tolist(), strict=True)), mix)
    codes = _codes(seen.names, view)
    # Any category within a merged one stands for it: they are counted together in the end.
    first = np.array([codes.tolist().index(code) for code in range(codes.max() + 1)])
    said = replace(seen, probabilities=_repriored(seen, counts, stated))
    called = first[said.view(view).probabilities.argmax(axis=1)]
    matrices = np.asarray(grouped_confusion(seen.truth, called, seen.groups, k), dtype=np.int64)
    rows = _rows(matrices, stated, seen.names, view, facts, REPRIORED)
    share = np.divide(stated, counts, out=np.zeros(k), where=counts > 0)
    return rows + _average_precision(seen.view(view), share[seen.truth], facts)


def _repriored(
    seen: Forecasts, counts: npt.NDArray[np.int64], stated: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Re-prior from the test cells' mix; an answer that no test cell has stays out."""
    occurs = np.flatnonzero(counts > 0)
    kept = seen.probabilities[:, occurs]
    kept = np.where(kept.sum(axis=1, keepdims=True) > 0, kept, 1 / len(occurs))
    kept = kept / kept.sum(axis=1, keepdims=True)
    shares = np.zeros_like(seen.probabilities)
    shares[:, occurs] = repriored(kept, counts[occurs] / counts.sum(), stated[occurs])
    return shares


def _average_precision(seen: Forecasts, weights: npt.NDArray[np.float64], facts: Row) -> list[Row]:
    how = "cells reweighted to the stated mix; no interval is made at it"
    return [
        facts
        | {"metric": "average_precision", "category": name, "method": how}
        | {"value": ranking.average_precision(seen.probabilities[:, c], seen.truth == c, weights)}
        for c, name in enumerate(seen.names)
        if (seen.truth == c).any()
    ]


def _codes(names: Sequence[str], view: str) -> npt.NDArray[np.int64]:
    """Number the categories as a view sees them."""
    shown = categories.merged(names) if view == "merged" else tuple(names)
    order = list(dict.fromkeys(shown))
    return np.array([order.index(name) for name in shown])


def _rows(
    matrices: npt.NDArray[np.int64],
    stated: npt.NDArray[np.float64],
    names: Sequence[str],
    view: str,
    facts: Row,
    how: str,
) -> list[Row]:
    found = prevalence_intervals(
        matrices, stated, labels=_codes(names, view), assumed_icc=icc_of(facts["unit"])
    )
    shown = dict.fromkeys(categories.merged(names) if view == "merged" else names)
    rows = []
    for metric, one in found.items():
        named = [(None, one)] if isinstance(one, Interval) else zip(shown, one, strict=True)
        for name, interval in named:
            rows.append(
                facts
                | {"metric": metric, "category": name, "value": interval.value}
                | {"low": interval.low, "high": interval.high}
                | {"method": f"{interval.method}; {how}"}
            )
    return rows
