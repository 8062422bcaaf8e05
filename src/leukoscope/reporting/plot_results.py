"""Which rows of a results table a figure of scores, or of differences, draws."""

from collections.abc import Sequence

import polars as pl

from leukoscope.foundation.errors import DataError
from leukoscope.records import shapes, tables
from leukoscope.reporting.plot_metrics import BY_CATEGORY, OVERALL, check_metrics, is_interval
from leukoscope.reporting.plot_selection import check_view, in_category_order, of_one_arm


def drawn_scores(
    results: pl.DataFrame,
    metrics: Sequence[str] | None = None,
    view: str = "strict",
    *,
    prevalence: str | None = None,
    arm: str | None = None,
) -> pl.DataFrame:
    """Choose the rows of a results table that a figure of scores draws.

    Parameters
    ----------
    results : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.RESULTS`.
    metrics : sequence of str, optional
        Which metrics; by default those of :data:`OVERALL` for all categories together and
        of :data:`BY_CATEGORY` for each.
    view : str
        ``strict`` or ``merged``.
    prevalence : str, optional
        The stated mix the scores are at; by default that of the cells scored.
    arm : str, optional
        Which arm; may be left out where the table holds one.

    Returns
    -------
    polars.DataFrame
        Of that shape, in the order drawn, with the number of cells of each category
        (``support``) where the table has it.

    Raises
    ------
    UsageError
        If a metric or the view is unknown.
    DataError
        If the table holds several arms or studies and none was chosen.
    """
    check_view(view)
    check_metrics(metrics or ())
    table = tables.check(results, shapes.RESULTS)
    alone = pl.col("category").is_null()
    if metrics is None:
        asked = pl.when(alone).then(pl.col("metric").is_in(OVERALL))
        wanted = asked.otherwise(pl.col("metric").is_in([*BY_CATEGORY, "support"]))
    else:
        wanted = pl.col("metric").is_in([*metrics, "support"])
    table = _summaries(table, view).filter(pl.col("baseline").is_null(), wanted)
    at_mix = pl.col("prevalence").eq_missing(pl.lit(prevalence, dtype=pl.String))
    table = table.filter(at_mix | (pl.col("metric") == "support"))
    return _in_order(_of_one_study(of_one_arm(table, arm, "results")), metrics)


def drawn_differences(
    results: pl.DataFrame, metric: str, view: str = "strict", *, arm: str | None = None
) -> pl.DataFrame:
    """Choose the rows of a results table that a figure of differences draws.

    Parameters
    ----------
    results : polars.DataFrame
        In the shape of :data:`leukoscope.records.shapes.RESULTS`.
    metric : str
        Which metric's differences.
    view : str
        ``strict`` or ``merged``.
    arm : str, optional
        Which arm; by default all that are compared with the baseline.

    Returns
    -------
    polars.DataFrame
        Of that shape, in the order drawn. Replicas of published tests and one-sided bounds
        are left out.

    Raises
    ------
    UsageError
        If the metric or the view is unknown.
    DataError
        If the table holds several baselines or studies.
    """
    check_view(view)
    check_metrics([metric])
    table = _summaries(tables.check(results, shapes.RESULTS), view)
    table = table.filter(pl.col("baseline").is_not_null(), pl.col("metric") == metric)
    table = table.filter(pl.col("prevalence").is_null())
    table = table if arm is None else table.filter(pl.col("arm") == arm)
    # A row without bounds, such as that of a permutation test, draws nothing beside one with them.
    names = ("arm", "category")
    bounded = pl.col("low").is_finite() & pl.col("high").is_finite()
    alone = ~bounded.fill_null(value=False).any().over(names)
    table = table.filter(bounded.fill_null(value=False) | alone)
    baselines = table["baseline"].unique().sort().to_list()
    if len(baselines) > 1:
        raise DataError(
            f"The results compare with {', '.join(baselines)}; a figure shows differences from "
            "one baseline. Nothing was drawn."
        )
    return _in_order(_of_one_study(table), [metric])


def _summaries(table: pl.DataFrame, view: str) -> pl.DataFrame:
    drawn = pl.col("method").map_elements(is_interval, return_dtype=pl.Boolean)
    return table.filter(
        pl.col("view") == view, pl.col("replicate").is_null(), pl.col("case").is_null()
    ).filter(drawn)


def _of_one_study(table: pl.DataFrame) -> pl.DataFrame:
    studies = table["study"].unique().sort().to_list()
    if len(studies) > 1:
        raise DataError(
            f"The results are of the studies {', '.join(map(str, studies))}; a figure shows one. "
            "Nothing was drawn. Keep the rows of one study."
        )
    return table


def _in_order(table: pl.DataFrame, metrics: Sequence[str] | None) -> pl.DataFrame:
    order = dict.fromkeys((*(metrics or (*OVERALL, *BY_CATEGORY)), "support"))
    place = {name: number for number, name in enumerate(order)}
    table = in_category_order(table, "arm", "category", "method", "unit", "value")
    rank = pl.col("metric").replace_strict(place, return_dtype=pl.Int32)
    return table.sort(rank, maintain_order=True)
