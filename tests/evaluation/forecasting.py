"""Predictions with probabilities, drawn at random, for the tests of this room."""

import numpy as np
import polars as pl
from tests.evaluation.drawn import NAMES, predictions

from leukoscope.foundation.streams import stream
from leukoscope.records import shapes, tables


def forecasts(seed, *, sharpness=2.0, purpose="forecasts", names=NAMES, **drawn):
    """Draw a table whose probabilities lean to the truth; its calls are the largest of them."""
    table = predictions(seed, names=names, **drawn)
    chance = stream(seed, purpose)
    logits = chance.normal(size=(table.height, len(names)))
    truth = np.array([names.index(name) for name in table["category"]])
    logits[np.arange(table.height), truth] += sharpness
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    called = [names[c] for c in shares.argmax(axis=1)]
    columns = {f"p_{name}": shares[:, c] for c, name in enumerate(names)}
    table = table.with_columns(pl.Series("predicted", called), **columns)
    return tables.check(table, shapes.PREDICTIONS)
