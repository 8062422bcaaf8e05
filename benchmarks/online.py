"""What augmenting at each visit costs a training step, batch by batch.

Claim: the papers' chain (rotation, scaling, lens distortion, flips; other parameters for each
picture) costs under 3 % of a training step of ResNet-18 at 128 px, on two threads. Steps on a
batch that stays in memory and augmenting the batch that is next take turns in one process, so
that a busy machine slows both, and each finds the caches as the other left them.
"""

import tempfile
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import measuring
import torch
from measuring import CPU, in_fresh_process, seconds, spread
from training import bare_step

from leukoscope.augmentation.batch import apply_batch
from leukoscope.augmentation.draw import Draw
from leukoscope.fitting.machine import keep_memory
from leukoscope.fitting.orders import batch_places
from leukoscope.intake.ingest import ingest_phantom
from leukoscope.intake.phantom import PhantomRecipe
from leukoscope.models.prediction import to_tensor
from leukoscope.training.cells import Cells, batch_draws
from leukoscope.training.recipe import TrainingRecipe

TARGET, SIZE_PX, BATCH, THREADS = 0.03, 128, 32, 2
CHAIN = (
    {"kind": "rotation", "angle_range_deg": [0, 360]},
    {"kind": "scaling", "factor_range": [0.8, 1.2]},
    {"kind": "lens_distortion", "strength_range": [-0.2, 0.2]},
    {"kind": "flip", "axis": "horizontal"},
    {"kind": "flip", "axis": "vertical"},
)


class Plan(NamedTuple):
    """Say how much is measured; ``pairs``: times that a step and a batch take turns."""

    cells_per_case: int
    warm_up: int
    pairs: int


FULL = Plan(cells_per_case=32, warm_up=3, pairs=60)
QUICK = Plan(cells_per_case=6, warm_up=1, pairs=2)


def recipe() -> TrainingRecipe:
    """State a training as a user would: ResNet-18, random weights, the papers' chain."""
    value = {
        "preprocessing": {"size_px": SIZE_PX},
        "augmentation": {"name": "papers", "steps": list(CHAIN)},
        "batch_size": BATCH,
        "updates": 100_000,
    }
    return TrainingRecipe.from_mapping(value, where="the benchmark")


def augment(cells: Cells, plan: TrainingRecipe, update: int) -> dict[str, float]:
    """Time drawing and applying for the batch of an update; reading it is not part of that."""
    places, visits = batch_places(update, BATCH, len(cells.cell_ids), plan.seed)
    pixels = cells.store.take(cells.rows[places])
    draws: list[Draw] = []
    draw_s = seconds(lambda: draws.extend(batch_draws(cells, places, visits, plan)))
    return {"draw": draw_s, "apply": seconds(lambda: apply_batch(draws, pixels))}


def compare(folder: Path, plan: Plan) -> dict[str, Any]:
    """Let bare steps and augmented batches take turns."""
    torch.set_num_threads(THREADS)
    keep_memory()
    wanted = recipe()
    state, cells, precision = measuring.ready(folder, wanted)
    batch = to_tensor(cells.store.take(cells.rows[:BATCH]), wanted.preprocessing, CPU)
    target = torch.from_numpy(cells.codes[:BATCH])
    steps, parts = [], []
    for turn in range(plan.warm_up + plan.pairs):
        steps.append(seconds(lambda: bare_step(state, batch, target, precision)))
        parts.append(augment(cells, wanted, turn))
    steps, parts = steps[plan.warm_up :], parts[plan.warm_up :]
    whole = [part["draw"] + part["apply"] for part in parts]
    share = median(whole) / median(steps)
    return {
        "precision": precision,
        "step_s": spread(steps),
        "augment_s": spread(whole),
        "draw_s": median(part["draw"] for part in parts),
        "apply_s": median(part["apply"] for part in parts),
        "augmented_images_per_s": BATCH / median(whole),
        "share_of_step": share,
        "share_of_pairs": spread([a / b for a, b in zip(whole, steps, strict=True)]),
        "target": TARGET,
        "is_reached": share < TARGET,
    }


def main() -> None:
    given = measuring.arguments(__doc__)
    plan, facts = QUICK if given.quick else FULL, measuring.machine()
    setting = {
        "network": "resnet18",
        "size_px": SIZE_PX,
        "batch": BATCH,
        "threads": THREADS,
        "chain": list(CHAIN),
    }
    with tempfile.TemporaryDirectory() as scratch:
        count = plan.cells_per_case
        drawn = PhantomRecipe(name="bench", n_cases=12, cells_per_case=count, size_px=SIZE_PX)
        folder = ingest_phantom(drawn, out=Path(scratch) / "cells")
        results = {"setting": setting, **in_fresh_process(compare, folder, plan)}
    measuring.write_result(given.out, facts, quick=given.quick, results=results)


if __name__ == "__main__":
    main()
