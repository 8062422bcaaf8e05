"""The rows of a run's history: how validation is scored, and what its scores say to do."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from leukoscope.stats.scores import confusion_matrix, scores

Row = dict[str, Any]
"""What is written of one validation."""


def validation_scores(
    codes: npt.NDArray[np.int64], logits: npt.NDArray[np.float64]
) -> dict[str, float]:
    """Score validation: mean cross-entropy, accuracy, balanced accuracy, macro-F.

    Parameters
    ----------
    codes : numpy.ndarray of int64, shape (n,)
        Codes of the categories.
    logits : numpy.ndarray of float64, shape (n, k)
        What the network answered.
    """
    loss = functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(codes))
    found = scores(confusion_matrix(codes, logits.argmax(axis=1), logits.shape[1]))
    return {
        "validation_loss": float(loss),
        "validation_accuracy": float(found["accuracy"]),
        "validation_balanced_accuracy": float(found["balanced_accuracy"]),
        "validation_macro_f": float(found["macro_f"]),
    }


def merit(row: Row, choose_by: str) -> tuple[float, float]:
    """Say how good a row of the history is: larger is better, the loss decides a tie."""
    loss: float = -row["validation_loss"]
    return (loss if choose_by == "loss" else row[f"validation_{choose_by}"]), loss


def rows_after(rows: Sequence[Row], update: int) -> list[Row]:
    """Take the rows of a history that were written after an update."""
    return [row for row in rows if row["update"] > update]


def without_best(rows: Sequence[Row]) -> int:
    """Count the rows since the last best one; all of them where none is."""
    marks = [row["is_best"] for row in reversed(rows)]
    return marks.index(True) if True in marks else len(marks)


def is_worse(rows: Sequence[Row]) -> bool:
    """Tell whether, at the last row, accuracy fell and loss rose (SR-S10)."""
    if len(rows) < 2:
        return False
    before, now = rows[-2:]
    fell = now["validation_accuracy"] < before["validation_accuracy"]
    return bool(fell and now["validation_loss"] > before["validation_loss"])


def history_csv(rows: Sequence[Row]) -> str:
    """Write a history as CSV, numbers in full and yes or no as ``true`` or ``false``.

    By hand: a table library that is refused memory ends the whole process, and memory is short
    where a batch has just been done in parts.
    """
    names = list(rows[0]) if rows else []
    lines = [",".join(names), *(",".join(_spell(row[name]) for name in names) for row in rows)]
    return "\n".join(lines) + "\n"


def _spell(value: float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
