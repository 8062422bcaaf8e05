"""The fit of one generator, to be read from top to bottom.

An update is some steps of the critic and one of the generator. What it does follows from the
recipe, the cells and the update's number; what it needs of the past is in the checkpoint.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from leukoscope.augmentation.batch import apply_batch
from leukoscope.augmentation.draw import draw
from leukoscope.fitting.averaging import Average, averaged, start_average, update_average
from leukoscope.fitting.checkpoints import read_checkpoint, write_checkpoint
from leukoscope.fitting.memory import memory_errors
from leukoscope.fitting.optimisers import make_optimiser
from leukoscope.fitting.orders import balanced_places
from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import RunError
from leukoscope.intake.store import PixelStore
from leukoscope.models.backbones import seeded
from leukoscope.synthesis.differentiable import changed_alike
from leukoscope.synthesis.drawing import Pixels, draw_latents
from leukoscope.synthesis.looks import Look, collapsed, history_csv
from leukoscope.synthesis.networks import Critic, Latents, Networks, build_networks
from leukoscope.synthesis.objectives import (
    critic_loss,
    generator_loss,
    gradient_penalty,
    information_loss,
    slope_at,
)
from leukoscope.synthesis.recipe import GeneratorRecipe

_CHECKPOINT_EVERY_S = 20.0
_MIXING = ("normalised",)
Numbers = npt.NDArray[np.int64]


class DivergedError(RunError):
    """Report a fit that came to no finite end, or to drawings that are all alike."""


class Pool(NamedTuple):
    """Hold the cells of one member: names, codes of what it is asked for, rows in their store."""

    name: str
    """The member's; all its chance is drawn under it."""
    n_categories: int
    cell_ids: Sequence[str]
    codes: Numbers
    rows: Numbers
    store: PixelStore


@dataclass
class Fit:
    """Hold all that changes while a generator is fitted."""

    networks: Networks
    both: nn.ModuleDict
    optimiser: torch.optim.Optimizer
    update: int = 0
    best: Average = field(default_factory=dict)
    average: Average = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)


def fit_generator(
    pool: Pool,
    recipe: GeneratorRecipe,
    look: Callable[[nn.Module], Look],
    *,
    folder: Path,
    device: torch.device,
    precision: str,
    checkpoint_every_s: float = _CHECKPOINT_EVERY_S,
) -> Fit:
    """Fit a generator, going on from its checkpoint if there is one.

    Parameters
    ----------
    pool : Pool
        The cells it learns from.
    recipe : GeneratorRecipe
        Everything else.
    look : callable
        Draws a grid and holds drawings against the stopping cells; see :func:`looks.look_at`.
    folder : Path
        Checkpoints, ``history.csv`` and ``samples.png`` are kept there.
    device : torch.device
        Where to compute.
    precision : str
        ``"float32"`` or ``"bfloat16"``.
    checkpoint_every_s : float
        A checkpoint is written at each look, and when this time has passed.

    Returns
    -------
    Fit
        At its end, ``best`` holding the generator nearest to the stopping cells.

    Raises
    ------
    DivergedError
        If a loss is not finite, or drawings have become all alike; the last checkpoint stands.
    RunError
        If memory does not hold a batch, or the disk is full; the last checkpoint stands.
    """
    with memory_errors():
        state = begin(pool, recipe, device)
        checkpoint = folder / "checkpoint.safetensors"
        if checkpoint.is_file():
            go_on(state, checkpoint)
        last_written = time.monotonic()
        while state.update < recipe.updates:
            progress.tell(f"fitting {pool.name}", state.update, recipe.updates)
            one_update(state, pool, recipe, device, precision)
            is_due = state.update % recipe.validate_every == 0 or state.update == recipe.updates
            is_time = time.monotonic() - last_written > checkpoint_every_s
            if is_due or is_time:
                _refuse_infinite(state.update, _sum_of_weights(state.both))
            if is_due:
                _look(state, recipe, look, folder)
            if is_due or is_time:
                write_checkpoint(
                    checkpoint, state.both, state.optimiser, _kept(state), _facts(state)
                )
                last_written = time.monotonic()
    progress.tell(f"fitting {pool.name}", recipe.updates, recipe.updates)
    return state


def begin(pool: Pool, recipe: GeneratorRecipe, device: torch.device) -> Fit:
    """Build the networks of a member at their start, in the layout convolutions like."""
    networks = build_networks(recipe, pool.n_categories, seed=recipe.seed)
    both = nn.ModuleDict({"generator": networks.generator, "critic": networks.critic})
    both.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    # One optimiser for both: it passes over parameters without a gradient.
    share = recipe.generator_rate / recipe.critic_rate
    optimiser = make_optimiser(
        recipe.optimiser,
        both.parameters(),
        rate=recipe.critic_rate,
        weight_decay=0.0,
        factors=dict.fromkeys(networks.generator.parameters(), share),
        betas=recipe.betas,
    )
    state = Fit(networks, both, optimiser)
    if recipe.average_decay is not None:
        state.average = start_average(networks.generator)
    return state


def go_on(state: Fit, checkpoint: Path) -> None:
    """Bring a fit to where its checkpoint was written. Raises DataError if that is broken."""
    kept, facts = read_checkpoint(checkpoint, state.both, state.optimiser)
    for name in ("best", "average"):
        weights = {
            key.removeprefix("generator."): value for key, value in kept.get(name, {}).items()
        }
        setattr(state, name, weights)
    state.update, state.history, state.sums = facts["update"], facts["history"], facts["sums"]


def one_update(
    state: Fit, pool: Pool, recipe: GeneratorRecipe, device: torch.device, precision: str
) -> None:
    """Do the critic's steps and the generator's one.

    Raises RunError if a loss is not finite.
    """
    names = (pool.name, state.update)
    with seeded(recipe.seed, "fit", *names):
        for step in range(recipe.critic_steps):
            batch = state.update * recipe.critic_steps + step
            real, codes = real_batch(pool, recipe, batch, device)
            latents = draw_latents(recipe, codes, device, "critic", pool.name, batch)
            _critic_step(state, real, latents, recipe, precision)
        asked = torch.from_numpy(asked_codes(pool, recipe, state.update)).to(device)
        latents = draw_latents(recipe, asked, device, "generator", *names)
        _generator_step(state, latents, recipe, precision)
    state.update += 1
    if recipe.average_decay is not None:
        generator = state.networks.generator
        update_average(state.average, generator, state.update, decay=recipe.average_decay)


def real_batch(
    pool: Pool, recipe: GeneratorRecipe, batch: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Read and turn the real cells of a batch: float32 (n, 3, size, size) in -1 to 1, and codes.

    Categories come equally often; a cell comes again when all of its category have.
    """
    places, visits = balanced_places(batch, recipe.batch_size, pool.codes, recipe.seed)
    pixels = pool.store.take(pool.rows[places])
    if recipe.augmentation.steps:
        copies = visits if recipe.pool is None else visits % recipe.pool
        drawn = [
            draw(recipe.augmentation, recipe.seed, pool.cell_ids[place], copy)
            for place, copy in zip(places.tolist(), copies.tolist(), strict=True)
        ]
        pixels = apply_batch(drawn, pixels)
    return to_network(pixels, device), torch.from_numpy(pool.codes[places]).to(device)


def asked_codes(pool: Pool, recipe: GeneratorRecipe, update: int) -> Numbers:
    """Say which categories the generator draws in an update: each equally often."""
    places, _ = balanced_places(update, recipe.batch_size, pool.codes, recipe.seed)
    return pool.codes[places]


def to_network(pixels: Pixels, device: torch.device) -> Tensor:
    """Bring pixels, uint8 (n, size, size, 3), to -1 to 1 in the networks' layout."""
    tensor = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float()
    return tensor.div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


def _critic_step(
    state: Fit, real: Tensor, latents: Latents, recipe: GeneratorRecipe, precision: str
) -> None:
    generator, critic = state.networks
    state.both.zero_grad(set_to_none=True)
    n, codes = len(real), latents.categories
    with _autocast(real.device, precision):
        # The generator only draws here: no gradient of its own is kept.
        with torch.no_grad():
            drawn = generator(latents)
        seen = changed_alike(torch.cat([real, drawn.float()]), recipe.differentiable)
        scores = _scores(critic, seen, codes, recipe).float()
    loss = critic_loss(scores[:n], scores[n:], recipe)
    if recipe.penalty:
        if recipe.penalty_at == "real":
            pulled = slope_at(critic, seen[:n], codes)
        else:
            shares = torch.rand(n, device=real.device)
            pulled = gradient_penalty(critic, seen[:n], seen[n:], codes, shares)
        loss = loss + recipe.penalty * pulled
        _add(state, "penalty", float(pulled.detach()))
    loss.backward()  # type: ignore[no-untyped-call]
    _refuse_infinite(state.update + 1, _add(state, "critic_loss", float(loss.detach())))
    state.optimiser.step()


def _scores(critic: Critic, seen: Tensor, codes: Tensor, recipe: GeneratorRecipe) -> Tensor:
    """Score real and drawn pictures in one pass, unless a layer mixes those of a batch."""
    if recipe.critic in _MIXING:
        return torch.cat([critic(half, codes) for half in seen.chunk(2)])
    scores: Tensor = critic(seen, torch.cat([codes, codes]))
    return scores


def _generator_step(state: Fit, latents: Latents, recipe: GeneratorRecipe, precision: str) -> None:
    generator, critic = state.networks
    state.both.zero_grad(set_to_none=True)
    # Of the critic only the reader of codes learns here.
    critic.requires_grad_(False)
    if critic.reader is not None:
        critic.reader.requires_grad_(True)
    with _autocast(latents.noise.device, precision):
        drawn = changed_alike(generator(latents), recipe.differentiable)
        features = critic.features(drawn)
        scores = critic.scores(features, latents.categories).float()
        guessed = critic.read_codes(features).float() if recipe.information else None
    loss = generator_loss(scores, recipe)
    if guessed is not None:
        missing = information_loss(guessed, latents.codes, recipe)
        loss = loss + recipe.information * missing
        _add(state, "information", float(missing.detach()))
    loss.backward()  # type: ignore[no-untyped-call]
    critic.requires_grad_(True)
    _refuse_infinite(state.update + 1, _add(state, "generator_loss", float(loss.detach())))
    state.optimiser.step()


def _look(
    state: Fit, recipe: GeneratorRecipe, look: Callable[[nn.Module], Look], folder: Path
) -> None:
    """Look at what is drawn now, keep the generator if it is the best, and tell a collapse."""
    generator = state.networks.generator
    with averaged(generator, state.average):
        seen = look(generator)
        row = _row(state, recipe, seen)
        row["is_best"] = all(row["kid"] < each["kid"] for each in state.history)
        if row["is_best"]:
            state.best = start_average(generator)
    state.history.append(row)
    state.sums = {}
    files.write_bytes(folder / "samples.png", seen.grid)
    files.write_text(folder / "history.csv", history_csv(state.history))
    if collapsed(state.history, recipe.updates):
        # The checkpoint is of the look before: this one's drawings are not worth keeping.
        raise DivergedError(
            f"The drawings have become all alike: at update {state.update} they differ by "
            f"{row['diversity']:.1%} of what real cells do. The best generator so far, of update "
            f"{best_row(state.history[:-1])['update']}, is in the checkpoint. Start a new run with "
            "lower rates, a recipe with `differentiable`, or more cells."
        )


def best_row(history: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Find the history's row whose generator was kept."""
    return [row for row in history if row["is_best"]][-1]


def _row(state: Fit, recipe: GeneratorRecipe, seen: Look) -> dict[str, Any]:
    def mean(name: str, steps: int = 1) -> float:
        before = state.history[-1]["update"] if state.history else 0
        return state.sums.get(name, 0.0) / max(1, (state.update - before) * steps)

    steps = recipe.critic_steps
    return {
        "update": state.update,
        "critic_loss": mean("critic_loss", steps),
        "penalty": mean("penalty", steps),
        "generator_loss": mean("generator_loss"),
        "information": mean("information"),
        "kid": seen.kid,
        "diversity": seen.diversity,
    }


def _add(state: Fit, name: str, value: float) -> float:
    state.sums[name] = state.sums.get(name, 0.0) + value
    return value


def _refuse_infinite(update: int, value: float) -> None:
    if not math.isfinite(value):
        raise DivergedError(
            f"The fit of the generator came to {value} at update {update}. The last checkpoint is "
            "untouched. Start a new run with lower rates."
        )


def _sum_of_weights(network: nn.Module) -> float:
    return float(nn.utils.get_total_norm([weight.detach() for weight in network.parameters()]))


def _autocast(device: torch.device, precision: str) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def _kept(state: Fit) -> dict[str, dict[str, Tensor]]:
    return {
        part: {f"generator.{name}": value for name, value in weights.items()}
        for part, weights in (("best", state.best), ("average", state.average))
    }


def _facts(state: Fit) -> dict[str, Any]:
    return {"update": state.update, "history": state.history, "sums": state.sums}
