"""A model's answers for some cells of a dataset, as a predictions table."""

import polars as pl
import torch
from torch import nn

from leukoscope.foundation.errors import DataError
from leukoscope.intake.store import open_store
from leukoscope.models.prediction import predict_logits, probabilities
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
        Its categories and preprocessing.
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
        If there is no cell to predict, or a picture is gone.
    """
    if manifest.is_empty():
        raise DataError(f"{dataset.folder} has no cell to predict. Nothing was written.")
    store = open_store(dataset, manifest, card.preprocessing.size_px)
    rows = store.rows(manifest["content"].to_list())
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    logits = predict_logits(
        network, lambda part: store.take(rows[part]), len(rows), card.preprocessing, device
    )
    chances = probabilities(logits)
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
