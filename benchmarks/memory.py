"""Anonymous memory of a training run over few and over many images of distinct content.

Claim: it stays flat from 3,000 to 100,000 images: the peak during training, after warm-up,
differs by less than 5 % or by less than 20 MB. RssAnon is what a process holds that no file
backs; pages of the mapped pixel store are the system's to take back and are not in it. The
run is a whole one (tables, decoding, training, test), watched from outside.
"""

import json
import math
import os
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import NamedTuple

import measuring
import numpy as np
from measuring import MB, in_fresh_process, rss_anon_mb

from leukoscope.foundation import progress
from leukoscope.foundation.streams import stream
from leukoscope.intake.arrays import dataset_of_arrays
from leukoscope.intake.store import open_store
from leukoscope.records.categories import NOZAKA6
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.training.cells import gather
from leukoscope.training.recipe import TrainingRecipe
from leukoscope.training.run import train_run
from leukoscope.verbs.split import split

SIZE_PX, EVERY_S = 32, 0.04


class Plan(NamedTuple):
    """Say how much is measured."""

    n_images: tuple[int, int]
    updates: int
    warm_up: int


FULL = Plan((3_000, 100_000), updates=160, warm_up=20)
QUICK = Plan((600, 3_000), updates=8, warm_up=2)


def draw_dataset(folder: Path, n_images: int) -> Path:
    """Write pictures of noise, all different, as a dataset with a split of 96, 2 and 2 %."""
    shape = (n_images, SIZE_PX, SIZE_PX, 3)
    pictures = stream(0, "noise", n_images).integers(0, 256, shape, np.uint8)
    labels = [NOZAKA6[i % 6] for i in range(n_images)]
    dataset_of_arrays(pictures, labels, None, out=folder, seed=0)
    assert read_dataset(folder).manifest["content"].n_unique() == n_images
    split(folder, name="measured", validation_share=0.02, test_share=0.02)
    return folder


def recipe_of(updates: int) -> TrainingRecipe:
    """State the run that is watched."""
    value = measuring.recipe_for(SIZE_PX).model_dump(mode="json")
    value |= {"updates": updates, "validate_every": updates // 4, "split": "measured"}
    return TrainingRecipe.from_mapping(value, where="the benchmark")


def train_and_tell(folder: Path, updates: int, marks: Path) -> None:
    """Train, writing down when each update began."""
    out = folder.parent / f"{folder.name}-run"
    with marks.open("w") as file:

        def mark(stage: str, done: int, _total: int) -> None:
            if stage == "training":
                file.write(json.dumps([done, time.monotonic()]) + "\n")

        with progress.listening(mark):
            train_run(read_dataset(folder), recipe_of(updates), weights=None, out=out, device="cpu")


def watch(folder: Path, plan: Plan) -> dict[str, dict[str, float]]:
    """Train in a process of its own; give peak and median of its phases, in megabytes."""
    marks = folder.parent / f"{folder.name}-marks.jsonl"
    run = get_context("spawn").Process(target=train_and_tell, args=(folder, plan.updates, marks))
    run.start()
    samples = []
    while run.is_alive():
        samples.append((time.monotonic(), rss_anon_mb(run.pid or 0)))
        time.sleep(EVERY_S)
    if run.exitcode != 0:
        sys.exit("The watched run failed; see above. Nothing was written.")
    steps = [json.loads(line) for line in marks.read_text().splitlines()]
    begun = {
        "reading_and_decoding": 0.0,
        "warm_up": steps[0][1],
        "training": min(when for done, when in steps if done >= plan.warm_up),
        "ending": steps[-1][1],
    }
    ends = [*begun.values(), math.inf][1:]
    held = {
        phase: [mb for when, mb in samples if start <= when < end]
        for (phase, start), end in zip(begun.items(), ends, strict=True)
    }
    return {phase: {"peak": max(mb), "median": median(mb)} for phase, mb in held.items()}


def holdings(folder: Path, updates: int) -> dict[str, float]:
    """Weigh what a run reads before it trains and holds of every image, in megabytes."""
    before = rss_anon_mb(os.getpid())
    dataset, recipe = read_dataset(folder), recipe_of(updates)
    divided = read_split(dataset, recipe.split, recipe.repeat, recipe.fold)
    store = open_store(dataset, divided, SIZE_PX)
    cells = gather(divided, dataset.card.categories, store)
    sizes = {
        "manifest": dataset.manifest.estimated_size(),
        "manifest_with_split": divided.estimated_size(),
        "store_index": sys.getsizeof(store.row_of) + sum(map(sys.getsizeof, store.row_of)),
        "cell_ids": sys.getsizeof(cells.cell_ids) + sum(map(sys.getsizeof, cells.cell_ids)),
        "arrays": sum(array.nbytes for array in (cells.codes, cells.rows, cells.copies)),
    }
    growth_mb = rss_anon_mb(os.getpid()) - before
    return {"all_as_rss_anon": growth_mb} | {name: n / MB for name, n in sizes.items()}


def main() -> None:
    given = measuring.arguments(__doc__)
    plan, facts = QUICK if given.quick else FULL, measuring.machine()
    runs = {}
    with tempfile.TemporaryDirectory() as scratch:
        for n_images in plan.n_images:
            folder = Path(scratch) / f"cells-{n_images}"
            in_fresh_process(draw_dataset, folder, n_images)
            runs[n_images] = {
                "rss_anon_mb": watch(folder, plan),
                "held_of_all_images_mb": in_fresh_process(holdings, folder, plan.updates),
            }
    few, many = (runs[n]["rss_anon_mb"]["training"]["peak"] for n in plan.n_images)
    results = {
        "setting": {"size_px": SIZE_PX, "updates": plan.updates},
        "runs": runs,
        "peak_ratio": many / few,
        "peak_difference_mb": many - few,
        "is_flat": {"below_5_percent": many / few < 1.05, "below_20_mb": many - few < 20},
    }
    measuring.write_result(given.out, facts, quick=given.quick, results=results)


if __name__ == "__main__":
    main()
