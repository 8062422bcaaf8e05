"""Training against the bare model step, what a step is made of, and what keeping memory saves.

Claim: with augmentation on, training reaches at least 0.9 of the images a second of the bare
step (same network, optimiser, precision, layout) on a batch that stays in memory. Both
alternate in short blocks within one process, so that a busy machine slows both.
"""

import resource
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import measuring
import torch
from measuring import BATCH, CPU, in_fresh_process, seconds, spread
from torch.nn import functional

from leukoscope.fitting.checkpoints import write_checkpoint
from leukoscope.fitting.machine import keep_memory
from leukoscope.fitting.orders import batch_places
from leukoscope.intake.ingest import ingest_phantom
from leukoscope.intake.phantom import PhantomRecipe
from leukoscope.models.prediction import to_tensor
from leukoscope.training.cells import Cells, batch_pixels
from leukoscope.training.loop import Fit, one_update
from leukoscope.training.recipe import TrainingRecipe

TARGET, CHECKPOINT_EVERY_S = 0.9, 20.0


class Plan(NamedTuple):
    """Say how much is measured; ``pairs``: side of the pictures → pairs of blocks of steps."""

    cells_per_case: int
    pairs: dict[int, int]
    block: int
    warm_up: int
    memory_rounds: int
    memory_steps: int


FULL = Plan(32, {64: 16, 128: 8}, block=2, warm_up=3, memory_rounds=2, memory_steps=5)
QUICK = Plan(8, {64: 2, 128: 1}, block=1, warm_up=1, memory_rounds=1, memory_steps=1)


def bare_step(state: Fit, batch: torch.Tensor, target: torch.Tensor, precision: str) -> None:
    """Do the model's share of an update on a batch that is there already."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        logits = state.network(batch)
    loss = functional.cross_entropy(logits.float(), target)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    state.optimiser.step()


def parts(state: Fit, cells: Cells, recipe: TrainingRecipe) -> dict[str, float]:
    """Time what an update does before the model, piece by piece, for the batch that is next."""
    n = len(cells.cell_ids)
    places, visits = batch_places(state.update, BATCH, n, recipe.seed)
    read = seconds(lambda: cells.store.take(cells.rows[places]))
    pixels = batch_pixels(cells, places, visits, recipe)
    return {
        "order": seconds(lambda: batch_places(state.update, BATCH, n, recipe.seed)),
        "read": read,
        "augment": seconds(lambda: batch_pixels(cells, places, visits, recipe)) - read,
        "to_tensor": seconds(lambda: to_tensor(pixels, recipe.preprocessing, CPU)),
    }


def compare(folder: Path, size_px: int, plan: Plan) -> dict[str, Any]:
    """Alternate the project's update with the bare step."""
    keep_memory()
    recipe = measuring.recipe_for(size_px)
    state, cells, precision = measuring.ready(folder, recipe)
    update = partial(one_update, state, cells, recipe, CPU, precision)
    first = torch.arange(BATCH).numpy()
    batch = to_tensor(cells.store.take(cells.rows[first]), recipe.preprocessing, CPU)
    bare = partial(bare_step, state, batch, torch.from_numpy(cells.codes[first]), precision)
    seconds(update, plan.warm_up)
    seconds(bare, plan.warm_up)
    whole, alone, pieces = [], [], []
    for _ in range(plan.pairs[size_px]):
        whole.append(seconds(update, plan.block) / plan.block)
        alone.append(seconds(bare, plan.block) / plan.block)
        pieces.append(parts(state, cells, recipe))
    step, model = median(whole), median(alone)
    share = {part: median(p[part] for p in pieces) / step for part in pieces[0]}
    share["model"] = model / step
    return {
        "precision": precision,
        "training_images_per_s": BATCH / step,
        "bare_images_per_s": BATCH / model,
        "ratio_of_medians": model / step,
        "ratio_of_pairs": spread([b / a for a, b in zip(whole, alone, strict=True)]),
        "target": TARGET,
        "is_reached": model / step >= TARGET,
        "share_of_step": share | {"rest": 1 - sum(share.values())},
        "checkpoint": checkpoint_cost(folder, state),
    }


def checkpoint_cost(folder: Path, state: Fit) -> dict[str, float]:
    """Time one checkpoint; besides at each validation, a run writes one so often."""
    best = {name: value.detach().clone() for name, value in state.network.state_dict().items()}
    what = (folder / "checkpoint", state.network, state.optimiser, best)
    taken_s = median(seconds(partial(write_checkpoint, *what, {})) for _ in range(3))
    return {"seconds": taken_s, "share_of_time": taken_s / (taken_s + CHECKPOINT_EVERY_S)}


def faults(folder: Path, size_px: int, plan: Plan, memory: str) -> dict[str, float]:
    """Count page faults a step, with the C library's own manner of freeing or with ours."""
    if memory == "kept":
        keep_memory()
    recipe = measuring.recipe_for(size_px)
    state, cells, precision = measuring.ready(folder, recipe)
    update = partial(one_update, state, cells, recipe, CPU, precision)
    seconds(update, plan.warm_up)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    speed = plan.memory_steps * BATCH / seconds(update, plan.memory_steps)
    count = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return {"page_faults_per_step": count / plan.memory_steps, "images_per_s": speed}


def memory_effect(folder: Path, size_px: int, plan: Plan) -> dict[str, Any]:
    """Count with and without, in turn, a process each: the setting cannot be taken back."""
    measure = partial(in_fresh_process, faults, folder, size_px, plan)
    rounds = [{m: measure(m) for m in ("default", "kept")} for _ in range(plan.memory_rounds)]
    gain = [each["kept"]["images_per_s"] / each["default"]["images_per_s"] for each in rounds]
    return {"rounds": rounds, "images_per_s_kept_over_default": spread(gain)}


def main() -> None:
    given = measuring.arguments(__doc__)
    plan, facts = QUICK if given.quick else FULL, measuring.machine()
    results: dict[str, Any] = {"batch": BATCH, "training_over_bare": {}, "keep_memory": {}}
    with tempfile.TemporaryDirectory() as scratch:
        count, px = plan.cells_per_case, max(plan.pairs)
        drawn = PhantomRecipe(name="bench", n_cases=12, cells_per_case=count, size_px=px)
        folder = ingest_phantom(drawn, out=Path(scratch) / "cells")
        for px in plan.pairs:
            found = in_fresh_process(compare, folder, px, plan)
            results["training_over_bare"][f"{px}px"] = found
            results["keep_memory"][f"{px}px"] = memory_effect(folder, px, plan)
    measuring.write_result(given.out, facts, quick=given.quick, results=results)


if __name__ == "__main__":
    main()
