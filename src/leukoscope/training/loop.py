"""The training loop, to be read from top to bottom.

A run is a chain of optimiser updates. What an update does follows from the recipe,
the data and the update's number; what it needs of the past is in the checkpoint.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from leukoscope.fitting.averaging import Average, averaged, start_average, update_average
from leukoscope.fitting.checkpoints import read_checkpoint, read_facts, write_checkpoint
from leukoscope.fitting.memory import in_parts, memory_errors
from leukoscope.fitting.optimisers import make_optimiser, set_rate
from leukoscope.fitting.schedules import plateau_factor, rate_at
from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import RunError
from leukoscope.models.backbones import seeded
from leukoscope.models.prediction import predict_logits
from leukoscope.training.batches import cells_loss, network_input
from leukoscope.training.cells import Cells, holds_features, order_of
from leukoscope.training.history import (
    history_csv,
    is_worse,
    merit,
    rows_after,
    validation_scores,
    without_best,
)
from leukoscope.training.recipe import TrainingRecipe
from leukoscope.training.stages import (
    check_stages,
    first_update,
    freeze,
    rate_factors,
    recipe_of,
    stage_at,
    without_frozen,
)

Numbers = npt.NDArray[np.int64]
_CHECKPOINT_EVERY_S = 20.0
_VALIDATED_AT_ONCE = 128


@dataclass
class Fit:
    """Hold all that changes while a network is fitted."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    trainable: frozenset[str] = frozenset()
    """Parameters that learn where nothing is frozen."""
    resting: list[nn.Module] = field(default_factory=list)
    """Frozen modules, which stay in evaluation mode."""
    stage: int = 0
    update: int = 0
    parts: int = 1
    """In how many parts memory makes us do each batch."""
    best: dict[str, Tensor] = field(default_factory=dict)
    average: Average = field(default_factory=dict)
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
    checkpoint_every_s: float = _CHECKPOINT_EVERY_S,
) -> Fit:
    """Fit a network, going on from the run's checkpoint if there is one.

    Parameters
    ----------
    network : torch.nn.Module
        At its starting weights; where the cells' store gives features, what is left of it.
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
    checkpoint_every_s : float
        A checkpoint is written at each validation, and when this time has passed.

    Returns
    -------
    Fit
        At its end, ``best`` holding the weights with the best validation.

    Raises
    ------
    RecipeError, UsageError
        If the network cannot go through the recipe's stages.
    RunError
        If the loss or its gradient is not finite, memory does not hold a few cells, or the disk
        is full; the last checkpoint stands.
    """
    if holds_features(train):
        recipe = without_frozen(recipe)
    with memory_errors():
        state = begin(network, recipe, device)
        checkpoint = run / "checkpoint.safetensors"
        if checkpoint.is_file():
            go_on(state, recipe, checkpoint)
        last_written = time.monotonic()
        while not is_over(state, recipe):
            progress.tell("training", state.update, recipe.updates)
            one_update(state, train, recipe, device, precision)
            is_due = state.update % recipe.validate_every == 0 or state.update == recipe.updates
            if is_due:
                validate(state, train, validation, recipe, device)
                _write_history(run, state.history)
            if is_due or time.monotonic() - last_written > checkpoint_every_s:
                # A step may be finite and too large for the weights: no checkpoint keeps such.
                weights = [parameter.detach() for parameter in network.parameters()]
                norm = float(nn.utils.get_total_norm(weights))
                _refuse_infinite("norm of the weights", norm, state.update)
                write_checkpoint(checkpoint, network, state.optimiser, _kept(state), _facts(state))
                last_written = time.monotonic()
    progress.tell("training", recipe.updates, recipe.updates)
    _write_history(run, state.history)
    return state


def begin(network: nn.Module, recipe: TrainingRecipe, device: torch.device) -> Fit:
    """Bring a network to a device, in the layout convolutions like, and to its first stage.

    Raises RecipeError or UsageError if it cannot go through the recipe's stages.
    """
    check_stages(network, recipe)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainable = frozenset(name for name, p in network.named_parameters() if p.requires_grad)
    state = Fit(network, _optimiser(network, recipe_of(recipe, 0)), trainable)
    enter(state, recipe, 0)
    if recipe.average_decay is not None:
        state.average = start_average(network)
    return state


def enter(state: Fit, recipe: TrainingRecipe, stage: int) -> None:
    """Bring a fit to the beginning of a stage: other layers learn, by a fresh optimiser."""
    own = recipe_of(recipe, stage)
    state.stage = stage
    state.network.zero_grad(set_to_none=True)
    state.resting = freeze(state.network, own.frozen_groups, state.trainable)
    _wake(state)
    state.optimiser = _optimiser(state.network, own)


def go_on(state: Fit, recipe: TrainingRecipe, checkpoint: Path) -> None:
    """Bring a fit to where its checkpoint was written. Raises DataError if that is broken."""
    # The optimiser a checkpoint fills is that of the stage it was written in.
    enter(state, recipe, read_facts(checkpoint).get("stage", 0))
    kept, facts = read_checkpoint(checkpoint, state.network, state.optimiser)
    state.best, state.average = kept.get("best", {}), kept.get("average", {})
    state.update, state.history = facts["update"], facts["history"]
    state.parts = facts.get("parts", 1)
    state.loss_sum, state.loss_count = facts["loss_sum"], facts["loss_count"]


def one_update(
    state: Fit, train: Cells, recipe: TrainingRecipe, device: torch.device, precision: str
) -> None:
    """Do one optimiser update.

    Raises RunError if the loss or its gradient is not finite, or memory does not hold two cells;
    weights and optimiser are then as they were.
    """
    stage = stage_at(recipe, state.update)
    if stage != state.stage:
        enter(state, recipe, stage)
    own = recipe_of(recipe, stage)
    set_rate(state.optimiser, _rate(state, recipe, own))
    places, visits = order_of(train, state.update, own)
    statistics = [value.clone() for value in state.network.buffers()]

    def gradient(parts: int) -> float:
        # A try that ran out of memory half way may have changed the statistics.
        for value, before in zip(state.network.buffers(), statistics, strict=True):
            value.copy_(before)
        batches = zip(np.array_split(places, parts), np.array_split(visits, parts), strict=True)
        return mean_gradient(state, train, list(batches), own, device, precision)

    value, parts = in_parts(gradient, parts=state.parts, most=max(1, len(places) // 2))
    _tell_parts(state, parts, len(places))
    _refuse_infinite("training loss", value, state.update + 1)
    _clip(state, recipe.clip_norm)
    state.optimiser.step()
    state.update += 1
    if recipe.average_decay is not None:
        update_average(state.average, state.network, state.update, decay=recipe.average_decay)
    state.loss_sum, state.loss_count = state.loss_sum + value, state.loss_count + 1


def mean_gradient(
    state: Fit,
    train: Cells,
    batches: Sequence[tuple[Numbers, Numbers]],
    recipe: TrainingRecipe,
    device: torch.device,
    precision: str,
) -> float:
    """Compute the gradient of the mean loss of a batch that comes in parts.

    Returns
    -------
    float
        The mean loss; the gradient is left with the parameters.
    """
    state.network.zero_grad(set_to_none=True)
    n_cells = sum(len(places) for places, _ in batches)
    total = torch.zeros((), device=device)
    with seeded(recipe.seed, "update", state.update):
        for places, visits in batches:
            batch = network_input(train, places, visits, recipe, device)
            enabled = precision == "bfloat16"
            with torch.autocast(device.type, torch.bfloat16, enabled=enabled):
                logits = state.network(batch)
            mean = cells_loss(logits.float(), train, places, recipe) / n_cells
            mean.backward()  # type: ignore[no-untyped-call]
            total += mean.detach()
    return float(total)


def validate(
    state: Fit,
    train: Cells,
    validation: Cells,
    recipe: TrainingRecipe,
    device: torch.device,
) -> None:
    """Score validation, add a row to the history, and keep the weights if they are the best.

    Scored is the mean of the weights where one is kept. Raises RunError if the loss is not finite.
    """
    with averaged(state.network, state.average):
        logits = _validation_logits(state, validation, recipe, device)
        row = {
            "update": state.update,
            "stage": state.stage,
            "rounds": state.update * recipe.batch_size / len(train.cell_ids),
            "learning_rate": state.optimiser.param_groups[0]["lr"],
            "parts": state.parts,
            "train_loss": state.loss_sum / max(1, state.loss_count),
            **validation_scores(validation.codes, logits),
        }
        _refuse_infinite("validation loss", row["validation_loss"], state.update)
        worth = merit(row, recipe.choose_by)
        row["is_best"] = all(worth > merit(each, recipe.choose_by) for each in state.history)
        if row["is_best"]:
            state.best = start_average(state.network)
    _wake(state)
    state.history.append(row)
    state.loss_sum, state.loss_count = 0.0, 0


def is_over(state: Fit, recipe: TrainingRecipe) -> bool:
    """Tell whether all updates are done, or the last stage's validation bids us stop."""
    if state.update >= recipe.updates:
        return True
    last = max(0, len(recipe.stages) - 1)
    rows = rows_after(state.history, first_update(recipe, last))
    if recipe.patience is not None and without_best(rows) >= recipe.patience:
        return True
    return recipe.stop_when_worse and is_worse(rows)


def best_row(history: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Find the history's row whose weights were kept."""
    return [row for row in history if row["is_best"]][-1]


def _validation_logits(
    state: Fit, validation: Cells, recipe: TrainingRecipe, device: torch.device
) -> npt.NDArray[np.float64]:
    n_cells = len(validation.rows)

    def logits(parts: int) -> npt.NDArray[np.float64]:
        at_once = _VALIDATED_AT_ONCE // parts
        chunks = [validation.rows[at : at + at_once] for at in range(0, n_cells, at_once)]
        found = [
            predict_logits(
                state.network,
                lambda part, rows=rows: validation.store.take(rows[part]),  # type: ignore[misc]
                len(rows),
                recipe.preprocessing,
                device,
            )
            for rows in chunks
        ]
        return np.concatenate(found)

    most = _VALIDATED_AT_ONCE // 2
    return in_parts(logits, parts=min(state.parts, most), most=most)[0]


def _optimiser(network: nn.Module, own: TrainingRecipe) -> torch.optim.Optimizer:
    return make_optimiser(
        own.optimiser,
        network.parameters(),
        rate=own.learning_rate,
        weight_decay=own.weight_decay,
        factors=rate_factors(network, own.rate_decay),
    )


def _rate(state: Fit, recipe: TrainingRecipe, own: TrainingRecipe) -> float:
    rate = rate_at(
        own.schedule,
        state.update - first_update(recipe, state.stage),
        rate=own.learning_rate,
        updates=own.updates,
        warmup_updates=own.warmup_updates,
        step_every=own.step_every,
        factor=own.rate_factor,
    )
    if own.schedule != "plateau":
        return rate
    rows = rows_after(state.history, first_update(recipe, state.stage))
    merits = [merit(row, own.choose_by)[0] for row in rows]
    return rate * plateau_factor(merits, patience=own.plateau_patience, factor=own.rate_factor)


def _clip(state: Fit, clip_norm: float | None) -> None:
    learning = [p for p in state.network.parameters() if p.grad is not None]
    norm = nn.utils.get_total_norm([cast("Tensor", p.grad) for p in learning])
    _refuse_infinite("gradient's norm", float(norm), state.update + 1)
    if clip_norm is not None:
        nn.utils.clip_grads_with_norm_(learning, clip_norm, norm)


def _refuse_infinite(what: str, value: float, update: int) -> None:
    if not math.isfinite(value):
        raise RunError(
            f"The {what} became {value} at update {update}. The last checkpoint is untouched. "
            "Start a new run with a lower learning_rate, or with clip_norm: 1."
        )


def _tell_parts(state: Fit, parts: int, n_cells: int) -> None:
    if parts == state.parts:
        return
    state.parts = parts
    batch_norms = (nn.modules.batchnorm._BatchNorm, nn.SyncBatchNorm)
    has_statistics = any(isinstance(m, batch_norms) and m.training for m in state.network.modules())
    progress.note(
        f"Memory does not hold {n_cells} cells at once: from update {state.update + 1} on each "
        f"batch is done in {parts} parts, whose gradients add up to the same"
        + (", but batch normalisation sees a part at a time." if has_statistics else ".")
    )


def _wake(state: Fit) -> None:
    state.network.train()
    for module in state.resting:
        module.eval()


def _kept(state: Fit) -> dict[str, dict[str, Tensor]]:
    return {"best": state.best, "average": state.average}


def _facts(state: Fit) -> dict[str, Any]:
    names = ("stage", "update", "parts", "history", "loss_sum", "loss_count")
    return {name: getattr(state, name) for name in names}


def _write_history(run: Path, history: Sequence[dict[str, Any]]) -> None:
    files.write_text(run / "history.csv", history_csv(history))
