"""Row sums held against stated supports: a table of other cells than it is said to be of."""

from collections.abc import Mapping

import polars as pl

from leukoscope.evaluation.predictions import prepare
from leukoscope.foundation.errors import DataError
from leukoscope.records import categories

_ROUNDING = 1e-9


def refuse_other_supports(predictions: pl.DataFrame, stated: Mapping[str, float]) -> None:
    """Refuse predictions whose true cells are not as many as stated, category by category.

    Parameters
    ----------
    predictions : polars.DataFrame
        A labelled predictions table.
    stated : mapping of str to float
        Category → true cells. A finer category than the model answers is added to its parent,
        as true labels are.

    Raises
    ------
    DataError
        If a category has another number of cells; each is named, seen against stated.
    """
    scored = prepare(predictions)
    support = scored.matrices.sum(axis=(0, 2)).tolist()
    seen = {name: float(count) for name, count in zip(scored.names, support, strict=True)}
    expected: dict[str, float] = {}
    for name, count in stated.items():
        read = categories.answer_for(name, scored.names)
        expected[read] = expected.get(read, 0.0) + count
    others = [
        f"{name} {seen.get(name, 0.0):,.10g} against {expected.get(name, 0.0):,.10g}"
        for name in categories.ordered([*seen, *expected])
        if abs(seen.get(name, 0.0) - expected.get(name, 0.0)) > _ROUNDING
    ]
    if others:
        raise DataError(
            f"The true cells are not as many as stated: {'; '.join(others)}; in all "
            f"{sum(seen.values()):,.10g} against {sum(expected.values()):,.10g}. Nothing was "
            "scored. Cells were lost, doubled or relabelled, or the statement is wrong."
        )
