"""A model's answers for some cells of a dataset, as a predictions table."""

from collections.abc import Sequence

import polars as pl
import torch
from torch import nn

from leukoscope.foundation.errors import DataError
from leukoscope.intake.store import open_store
from leukoscope.models.measured import measure_cells, measured_rows
from leukoscope.models.prediction import Features, Numbers, predict_probabilities
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset
from leukoscope.records.runs import ModelCard, is_seen


def prediction_table(
    dataset: Dataset,
    manifest: pl.DataFrame,
    network: nn.Module,
    card: ModelCard,
    *,
    run_id: str,
    device: torch.device,
) -> pl.DataFrame:
    """Predict some cells of a dataset.

    Parameters
    ----------
    dataset : Dataset
        Whose pictures are read.
    manifest : polars.DataFrame
        The cells to predict.
    network : torch.nn.Module
        The model.
    card : ModelCard
        Its categories, preprocessing, test views and temperature.
    run_id : str
        Named in every row.
    device : torch.device
        Where to compute.

    Returns
    -------
    polars.DataFrame
        A predictions table, one row a cell, with a column ``p_<category>`` each. Its
        ``role`` is ``seen`` where the model was trained or chosen on the cell itself,
        its case or its family, else ``new``.

    Raises
    ------
    DataError
        If there is no cell to predict, a picture is gone, or a measure that the model takes
        cannot be had.
    """
    if manifest.is_empty():
        raise DataError(f"{dataset.folder} has no cell to predict. Nothing was written.")
    store = open_store(dataset, manifest, card.preprocessing.size_px)
    rows = store.rows(manifest["content"].to_list())
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    chances = predict_probabilities(
        network,
        card,
        lambda part: store.take(rows[part]),
        len(rows),
        device,
        measures=_measures(dataset, manifest, card),
    )
    return _table(manifest, card, chances, run_id)


def _measures(dataset: Dataset, manifest: pl.DataFrame, card: ModelCard) -> Features | None:
    """Measure the cells, where the model takes measures beside their pictures."""
    if not card.measures:
        return None
    table = measure_cells(dataset, manifest)
    return measured_rows(table, manifest["cell_id"].to_list(), card.measures)


def _table(manifest: pl.DataFrame, card: ModelCard, chances: Numbers, run_id: str) -> pl.DataFrame:
    called = [card.categories[code] for code in chances.argmax(axis=1).tolist()]
    table = manifest.select("cell_id", "case", "family", "category").with_columns(
        pl.Series("predicted", called),
        run_id=pl.lit(run_id),
        role=_roles(manifest, card),
        **{f"p_{name}": pl.Series(chances[:, i]) for i, name in enumerate(card.categories)},
    )
    return tables.check(table, shapes.PREDICTIONS)


def _roles(manifest: pl.DataFrame, card: ModelCard) -> pl.Series:
    seen = is_seen(manifest, card.seen)
    return seen.replace_strict({True: "seen", False: "new"}, return_dtype=pl.String)


def mean_predictions(several: Sequence[pl.DataFrame], run_id: str) -> pl.DataFrame | None:
    """Average the predictions of replicates: what their ensemble answers of the same cells.

    Parameters
    ----------
    several : sequence of polars.DataFrame
        Predictions tables with probabilities of the same categories.
    run_id : str
        Named in every row.

    Returns
    -------
    polars.DataFrame or None
        A predictions table of the same cells; a cell that one replicate has seen is
        ``seen``. None where there is none, or they are not of the same cells.
    """
    if not several or any(
        set(one["cell_id"]) != set(several[0]["cell_id"]) or one.columns != several[0].columns
        for one in several
    ):
        return None
    stated = [name for name in several[0].columns if name.startswith("p_")]
    by_cell = (
        pl.concat(several)
        .group_by("cell_id")
        .agg(
            *(pl.col(name).mean() for name in stated),
            # Of "new" and "seen" the later word wins.
            role=pl.col("role").max(),
        )
    )
    facts = several[0].select("cell_id", "case", "family", "category")
    table = facts.join(by_cell, on="cell_id", how="left", maintain_order="left")
    largest = table.select(stated).to_numpy().argmax(axis=1).tolist()
    called = pl.Series("predicted", [stated[code].removeprefix("p_") for code in largest])
    told = table.with_columns(called, run_id=pl.lit(run_id)).select(several[0].columns)
    return tables.check(told, shapes.PREDICTIONS)
