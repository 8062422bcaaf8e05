"""Training against a plain peer: what most people would write with torch and torchvision.

Claim: ResNet-18 at 128 px learns from at least three times the images a second. The peer
decodes JPEG files of 240 px at each visit (PIL through ImageFolder, two loader workers),
turns, resizes and normalises with torchvision, and computes in float32 in torch's own
layout. Ours runs as ``leukoscope train`` does. Sides alternate, a process each.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import measuring
import torch
from measuring import BATCH, CPU, in_fresh_process, seconds, spread
from PIL import Image
from torch.nn import functional

from leukoscope.fitting.machine import keep_memory
from leukoscope.intake.phantom import PhantomRecipe, cells
from leukoscope.intake.store import open_store
from leukoscope.models.torchvision_cure import make_importable
from leukoscope.records.dataset import read_dataset
from leukoscope.training.loop import one_update
from leukoscope.verbs.ingest import ingest

TARGET = 3.0
SIZE_PX = 128
FILE_PX = 240
LOADER_WORKERS = 2


class Plan(NamedTuple):
    """Say how much is measured."""

    cells_per_case: int
    rounds: int
    warm_up: int
    updates: int


FULL = Plan(cells_per_case=32, rounds=3, warm_up=6, updates=10)
QUICK = Plan(cells_per_case=6, rounds=1, warm_up=1, updates=1)


def draw_files(folder: Path, cells_per_case: int) -> Path:
    """Write phantom cells as people keep theirs: one folder a category, one JPEG a cell."""
    recipe = PhantomRecipe(name="bench", n_cases=12, cells_per_case=cells_per_case, size_px=FILE_PX)
    for cell in cells(recipe):
        path = folder / cell.category / f"{cell.case}-{cell.index:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(cell.image).save(path, quality=95)
    return folder


def ours(dataset: Path, plan: Plan, precision: str) -> float:
    """Give images a second of the project's own updates."""
    keep_memory()
    recipe = measuring.recipe_for(SIZE_PX, precision)
    state, train, chosen = measuring.ready(dataset, recipe)
    return images_per_s(partial(one_update, state, train, recipe, CPU, chosen), plan)


def peer(files: Path, plan: Plan, precision: str) -> float:
    """Give images a second of the plain loop."""
    make_importable()
    import timm
    from torch.utils.data import DataLoader, RandomSampler
    from torchvision import datasets, transforms

    chain = [
        transforms.RandomRotation(180),
        transforms.Resize((SIZE_PX, SIZE_PX)),
        transforms.ToTensor(),
        transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ]
    pictures = datasets.ImageFolder(str(files), transforms.Compose(chain))
    # One long round, as over a large collection: workers start once and never idle at its end.
    sampler = RandomSampler(pictures, num_samples=(plan.warm_up + plan.updates + 8) * BATCH)
    # What Linux starts workers by unless told; this process was told otherwise by its parent.
    workers = partial(DataLoader, num_workers=LOADER_WORKERS, multiprocessing_context="fork")
    batches = iter(workers(pictures, BATCH, sampler=sampler))
    network = timm.create_model("resnet18", num_classes=len(pictures.classes)).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)

    def update() -> None:
        batch, target = next(batches)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = functional.cross_entropy(network(batch), target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return images_per_s(update, plan)


def images_per_s(update: Callable[[], None], plan: Plan) -> float:
    """Time updates after a warm-up that empties what the loader had stocked meanwhile."""
    seconds(update, plan.warm_up)
    return BATCH * plan.updates / seconds(update, plan.updates)


def duel(dataset: Path, files: Path, plan: Plan, precisions: tuple[str, str]) -> dict[str, Any]:
    """Run both sides in turn and give the ratio of their speeds."""
    mine, theirs = [], []
    for _ in range(plan.rounds):
        mine.append(in_fresh_process(ours, dataset, plan, precisions[0]))
        theirs.append(in_fresh_process(peer, files, plan, precisions[1]))
    ratio = median(mine) / median(theirs)
    return {
        "precision": dict(zip(("ours", "peer"), precisions, strict=True)),
        "ours_images_per_s": mine,
        "peer_images_per_s": theirs,
        "ratio_of_medians": ratio,
        "ratio_of_rounds": spread([a / b for a, b in zip(mine, theirs, strict=True)]),
        "target": TARGET,
        "is_reached": ratio >= TARGET,
    }


def main() -> None:
    given = measuring.arguments(__doc__)
    plan, facts = QUICK if given.quick else FULL, measuring.machine()
    setting = {
        "files": f"JPEG, {FILE_PX} px",
        "size_px": SIZE_PX,
        "batch": BATCH,
        "workers": LOADER_WORKERS,
    }
    with tempfile.TemporaryDirectory() as scratch:
        files = draw_files(Path(scratch) / "files", plan.cells_per_case)
        dataset = ingest("folder", str(files), out=Path(scratch) / "cells")
        known = read_dataset(dataset)
        decoding_s = seconds(partial(open_store, known, known.manifest, SIZE_PX))
        fight = partial(duel, dataset, files, plan)
        results = {
            "setting": setting,
            "ours_decoded_once": {"cells": known.manifest.height, "seconds": decoding_s},
            "as_users_get_them": fight((facts["precision"], "float32")),
            "both_bfloat16": fight(("bfloat16",) * 2) if facts["bfloat16_instructions"] else None,
        }
    measuring.write_result(given.out, facts, quick=given.quick, results=results)


if __name__ == "__main__":
    main()
