"""Forward passes through a frozen network at every epoch, against features that are kept.

Claim: over 20 epochs of a head's training, reading kept features is at least 20 times as fast as
running the frozen part again for each. Both see the same batches in the same order; passes and
epochs of reading take turns within one process, so that a busy machine slows both. The cold cache
is given too: what it costs to compute and keep the features once. With it the ratio of 20 epochs
stays below 20 by its nature, for one pass is run.
"""

import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import measuring
import numpy as np
import torch
from measuring import BATCH, CPU, in_fresh_process, seconds, spread
from torch import nn

from leukoscope.fitting.machine import keep_memory
from leukoscope.fitting.orders import batch_places
from leukoscope.intake.ingest import ingest_phantom
from leukoscope.intake.phantom import PhantomRecipe
from leukoscope.intake.store import open_store
from leukoscope.models.backbones import build
from leukoscope.models.features import in_evaluation
from leukoscope.records.dataset import read_dataset
from leukoscope.training.batches import network_input
from leukoscope.training.cells import Cells, gather
from leukoscope.training.frozen import cacheable, frozen_cells
from leukoscope.training.recipe import TrainingRecipe

TARGET, EPOCHS, SIZE_PX, N_CASES = 20, 20, 64, 20


class Plan(NamedTuple):
    """Say how much is measured; of so many epochs all are counted, ``measured`` are run."""

    model: str
    cells_per_case: int
    measured: int


FULL = Plan("mobilenetv2_100", cells_per_case=50, measured=5)
QUICK = Plan("test_resnet", cells_per_case=4, measured=2)


def recipe(model: str) -> TrainingRecipe:
    """State a training of the last layer alone."""
    value = {
        "model": model,
        "preprocessing": {"size_px": SIZE_PX},
        "frozen_groups": "all-but-head",
        "batch_size": BATCH,
        "precision": "float32",
        "updates": 100_000,
    }
    return TrainingRecipe.from_mapping(value, where="the benchmark")


def batches(cells: Cells, wanted: TrainingRecipe, epoch: int) -> list[torch.Tensor]:
    """Read the batches of an epoch as the loop does: pictures, or features as they are kept."""
    n = len(cells.cell_ids)
    per_epoch = -(-n // BATCH)
    numbers = range(epoch * per_epoch, (epoch + 1) * per_epoch)
    orders = [batch_places(update, BATCH, n, wanted.seed) for update in numbers]
    return [network_input(cells, *order, wanted, CPU) for order in orders]


def forward(cells: Cells, wanted: TrainingRecipe, body: nn.Module, epoch: int) -> None:
    """Read an epoch's pictures and run the frozen part on them."""
    with in_evaluation(body), torch.inference_mode():
        for batch in batches(cells, wanted, epoch):
            body(batch)


def same(cells: Cells, kept: Cells, wanted: TrainingRecipe, body: nn.Module) -> float:
    """Give the largest difference of a batch's features, kept against computed again."""
    with in_evaluation(body), torch.inference_mode():
        made = body(batches(cells, wanted, 0)[0])
    return float((made - batches(kept, wanted, 0)[0]).abs().max())


def compare(folder: Path, plan: Plan) -> dict[str, Any]:
    """Let forward passes and reading take turns, epoch by epoch."""
    keep_memory()
    wanted, dataset = recipe(plan.model), read_dataset(folder)
    store = open_store(dataset, dataset.manifest, SIZE_PX)
    cells = gather(dataset.manifest, dataset.card.categories, store)
    # Random weights: how long a pass takes does not depend on what they are.
    network = build(wanted, len(dataset.card.categories), SIZE_PX, seed=0)
    parts = cacheable(network, wanted)
    assert parts is not None
    body = parts[0].to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    freeze = partial(frozen_cells, dataset, cells, wanted, body, device=CPU, augmented=True)
    forward(cells, wanted, body, 0)
    cold_s = seconds(freeze)
    open_s = seconds(freeze)
    kept = freeze()
    passes, reads = [], []
    for epoch in range(plan.measured):
        passes.append(seconds(lambda at=epoch: forward(cells, wanted, body, at)))
        reads.append(seconds(lambda at=epoch: batches(kept, wanted, at)))
    whole_s, warm_s = EPOCHS * median(passes), open_s + EPOCHS * median(reads)
    ratios = {"warm": whole_s / warm_s, "cold": whole_s / (cold_s + EPOCHS * median(reads))}
    return {
        "cells": len(cells.cell_ids),
        "features": int(np.prod(kept.store.take(kept.rows[:1]).shape[1:])),
        "largest_difference": same(cells, kept, wanted, body),
        "epoch_of_passes_s": spread(passes),
        "epoch_of_reading_s": spread(reads),
        "opening_s": open_s,
        "computing_and_keeping_s": cold_s,
        "ratio_of_20_epochs": ratios,
        "target": TARGET,
        "is_reached": ratios["warm"] >= TARGET,
    }


def main() -> None:
    given = measuring.arguments(__doc__)
    plan, facts = QUICK if given.quick else FULL, measuring.machine()
    setting = {"network": plan.model, "size_px": SIZE_PX, "batch": BATCH, "epochs": EPOCHS}
    with tempfile.TemporaryDirectory() as scratch:
        count = plan.cells_per_case
        drawn = PhantomRecipe(name="bench", n_cases=N_CASES, cells_per_case=count, size_px=SIZE_PX)
        folder = ingest_phantom(drawn, out=Path(scratch) / "cells")
        results = {"setting": setting, **in_fresh_process(compare, folder, plan)}
    measuring.write_result(given.out, facts, quick=given.quick, results=results)


if __name__ == "__main__":
    main()
