"""The training loop, to be read from top to bottom.

A run is a chain of optimiser updates. What an update does follows from the recipe,
the data and the update's number; what it needs of the past is in the checkpoint.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from leukoscope.augmentation.batch import apply_on_device
from leukoscope.fitting.checkpoints import read_checkpoint, write_checkpoint
from leukoscope.fitting.optimisers import make_optimiser, plateau_factor, rate_at
from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import RunError
from leukoscope.models.backbones import seeded
from leukoscope.models.prediction import predict_logits, to_tensor
from leukoscope.stats.scores import confusion_matrix, scores
from leukoscope.training.cells import Cells, batch_draws, batch_pixels, batch_places
from leukoscope.training.recipe import TrainingRecipe

_CHECKPOINT_EVERY_S = 20.0


@dataclass
class Fit:
    """Hold all that changes while a network is fitted."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    update: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    loss_sum: float = 0.0
    loss_count: int = 0


def fit(
    network: nn.Module,
    train: Cells,
    validation: Cells,
    recipe: TrainingRecipe,
    *,
    run: Path,
    device: torch.device,
    precision: str,
) -> Fit:
    """Fit a network, going on from the run's checkpoint if there is one.

    Parameters
    ----------
    network : torch.nn.Module
        At its starting weights.
    train, validation : Cells
        What it learns from, and what chooses among its stages.
    recipe : TrainingRecipe
        Everything else.
    run : Path
        The run folder; checkpoints and ``history.csv`` are kept there.
    device : torch.device
        Where to compute.
    precision : str
        ``"float32"`` or ``"bfloat16"``.

    Returns
    -------
    Fit
        At its end, ``best`` holding the weights with the best validation.

    Raises
    ------
    RunError
        If the loss is not finite or the disk is full; the last checkpoint stands.
    """
    state = begin(network, recipe, device)
    checkpoint = run / "checkpoint.safetensors"
    if checkpoint.is_file():
        state.best, facts = read_checkpoint(checkpoint, network, state.optimiser)
        state.update, state.history = facts["update"], facts["history"]
        state.loss_sum, state.loss_count = facts["loss_sum"], facts["loss_count"]
    last_written = time.monotonic()
    while not is_over(state, recipe):
        progress.tell("training", state.update, recipe.updates)
        one_update(state, train, recipe, device, precision)
        is_due = state.update % recipe.validate_every == 0 or state.update == recipe.updates
        if is_due:
            validate(state, train, validation, recipe, device)
            _write_history(run, state.history)
        if is_due or time.monotonic() - last_written > _CHECKPOINT_EVERY_S:
            write_checkpoint(checkpoint, network, state.optimiser, state.best, _facts(state))
            last_written = time.monotonic()
    progress.tell("training", recipe.updates, recipe.updates)
    _write_history(run, state.history)
    return state


def begin(network: nn.Module, recipe: TrainingRecipe, device: torch.device) -> Fit:
    """Bring a network to a device, in the layout convolutions like, and give it an optimiser."""
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train()
    optimiser = make_optimiser(
        recipe.optimiser,
        network.parameters(),
        rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
    )
    return Fit(network, optimiser)


def one_update(
    state: Fit, train: Cells, recipe: TrainingRecipe, device: torch.device, precision: str
) -> None:
    """Do one optimiser update. Raises RunError if the loss is not finite."""
    _set_rate(state, recipe)
    places, visits = batch_places(state.update, recipe.batch_size, len(train.cell_ids), recipe.seed)
    batch = network_input(train, places, visits, recipe, device)
    target = torch.from_numpy(train.codes[places]).to(device)
    with seeded(recipe.seed, "update", state.update):
        enabled = precision == "bfloat16"
        with torch.autocast(device.type, torch.bfloat16, enabled=enabled):
            logits = state.network(batch)
        if logits.ndim == 3:
            # Several networks in one: each answers for itself and learns by itself.
            target = target.repeat_interleave(logits.shape[1])
            logits = logits.flatten(0, 1)
        loss = functional.cross_entropy(
            logits.float(), target, label_smoothing=recipe.label_smoothing
        )
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimiser.step()
    value = float(loss.detach())
    _refuse_infinite("training", value, state.update + 1)
    state.loss_sum, state.loss_count = state.loss_sum + value, state.loss_count + 1
    state.update += 1


def network_input(
    train: Cells,
    places: npt.NDArray[np.int64],
    visits: npt.NDArray[np.int64],
    recipe: TrainingRecipe,
    device: torch.device,
) -> Tensor:
    """Read a batch, augment it and make it the network's input; a GPU augments it itself.

    Returns
    -------
    torch.Tensor of float32, shape (batch_size, 3, size_px, size_px)
        See :func:`prediction.to_tensor`. Either way the same, but for a level here and there; see
        :func:`batch.apply_on_device`.
    """
    if device.type != "cuda":
        pixels = batch_pixels(train, places, visits, recipe)
        return to_tensor(pixels, recipe.preprocessing, device)
    stored = torch.from_numpy(train.store.take(train.rows[places])).to(device)
    augmented = apply_on_device(batch_draws(train, places, visits, recipe), stored)
    return to_tensor(augmented, recipe.preprocessing, device)


def validate(
    state: Fit,
    train: Cells,
    validation: Cells,
    recipe: TrainingRecipe,
    device: torch.device,
) -> None:
    """Score validation, add a row to the history, and keep the weights if they are the best.

    Raises RunError if the loss is not finite.
    """
    logits = predict_logits(
        state.network,
        lambda part: validation.store.take(validation.rows[part]),
        len(validation.rows),
        recipe.preprocessing,
        device,
    )
    loss = functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(validation.codes))
    _refuse_infinite("validation", float(loss), state.update)
    found = scores(confusion_matrix(validation.codes, logits.argmax(axis=1), logits.shape[1]))
    row = {
        "update": state.update,
        "rounds": state.update * recipe.batch_size / len(train.cell_ids),
        "learning_rate": state.optimiser.param_groups[0]["lr"],
        "train_loss": state.loss_sum / max(1, state.loss_count),
        "validation_loss": float(loss),
        "validation_accuracy": float(found["accuracy"]),
        "validation_balanced_accuracy": float(found["balanced_accuracy"]),
        "validation_macro_f": float(found["macro_f"]),
    }
    row["is_best"] = all(_merit(row) > _merit(earlier) for earlier in state.history)
    state.history.append(row)
    state.loss_sum, state.loss_count = 0.0, 0
    if row["is_best"]:
        state.best = {name: v.detach().clone() for name, v in state.network.state_dict().items()}


def _refuse_infinite(side: str, loss: float, update: int) -> None:
    if not math.isfinite(loss):
        raise RunError(
            f"The {side} loss became {loss} at update {update}. The last checkpoint is untouched. "
            "Start a new run with a lower learning_rate."
        )


def is_over(state: Fit, recipe: TrainingRecipe) -> bool:
    """Tell whether all updates are done, or validation has not improved for too long."""
    if state.update >= recipe.updates:
        return True
    if recipe.patience is None or not state.history:
        return False
    best = max(place for place, row in enumerate(state.history) if row["is_best"])
    return len(state.history) - 1 - best >= recipe.patience


def best_row(history: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Find the history's row whose weights were kept."""
    return [row for row in history if row["is_best"]][-1]


def _merit(row: dict[str, Any]) -> tuple[float, float]:
    return row["validation_macro_f"], -row["validation_loss"]


def _set_rate(state: Fit, recipe: TrainingRecipe) -> None:
    rate = rate_at(
        recipe.schedule,
        state.update,
        rate=recipe.learning_rate,
        updates=recipe.updates,
        warmup_updates=recipe.warmup_updates,
    )
    if recipe.schedule == "plateau":
        merits = [row["validation_macro_f"] for row in state.history]
        rate *= plateau_factor(merits, patience=recipe.plateau_patience)
    for group in state.optimiser.param_groups:
        group["lr"] = rate


def _facts(state: Fit) -> dict[str, Any]:
    return {
        "update": state.update,
        "history": state.history,
        "loss_sum": state.loss_sum,
        "loss_count": state.loss_count,
    }


def _write_history(run: Path, history: Sequence[dict[str, Any]]) -> None:
    files.write_text(run / "history.csv", pl.DataFrame(history).write_csv())
