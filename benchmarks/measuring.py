"""What the measurements share: the project's loop ready to run, fresh processes, the machine."""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from leukoscope.augmentation.recipe import load_augmentation
from leukoscope.fitting.machine import choose_precision, describe
from leukoscope.foundation import files
from leukoscope.intake.store import open_store
from leukoscope.models.backbones import build
from leukoscope.records.dataset import read_dataset
from leukoscope.records.runs import Preprocessing
from leukoscope.training.cells import Cells, gather
from leukoscope.training.loop import Fit, begin
from leukoscope.training.recipe import TrainingRecipe

CPU = torch.device("cpu")
BATCH = 64
MB = 1e6


def arguments(description: str | None) -> argparse.Namespace:
    """Read ``--out`` and ``--quick``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--quick", action="store_true", help="smoke run: its numbers mean nothing")
    return parser.parse_args()


def in_fresh_process(function: Callable[..., Any], *values: Any) -> Any:
    """Call a function of the script in an interpreter of its own and give back its result."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *values).result()


def recipe_for(size_px: int, precision: str = "auto") -> TrainingRecipe:
    """State a training as a user would: ResNet-18, random weights, rotation at each visit."""
    value = {
        "preprocessing": Preprocessing(size_px=size_px).model_dump(mode="json"),
        "augmentation": load_augmentation("rotation").model_dump(mode="json"),
        "batch_size": BATCH,
        "precision": precision,
        "updates": 100_000,
    }
    return TrainingRecipe.from_mapping(value, where="the benchmark")


def ready(folder: Path, recipe: TrainingRecipe) -> tuple[Fit, Cells, str]:
    """Make network, optimiser and cells as a run does: fit, training cells, precision."""
    dataset = read_dataset(folder)
    categories = dataset.card.categories
    store = open_store(dataset, dataset.manifest, recipe.preprocessing.size_px)
    size_px = recipe.preprocessing.size_px
    network = build(recipe, len(categories), size_px, seed=recipe.seed)
    precision = choose_precision(CPU) if recipe.precision == "auto" else recipe.precision
    return begin(network, recipe, CPU), gather(dataset.manifest, categories, store), precision


def seconds(function: Callable[[], object], times: int = 1) -> float:
    """Time some calls of a function, all together."""
    start = time.perf_counter()
    for _ in range(times):
        function()
    return time.perf_counter() - start


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Give the least, the middle and the greatest of some values, and the values in order."""
    middle = statistics.median(values)
    return {"min": min(values), "median": middle, "max": max(values), "all": list(values)}


def rss_anon_mb(root: int) -> float:
    """Sum RssAnon of a process and all below it, in megabytes."""
    texts = [_text(path) for path in Path("/proc").glob("[0-9]*/status")]
    facts = [dict(line.split(":\t", 1) for line in text.splitlines()) for text in texts if text]
    parent_of = {int(each["Pid"]): int(each["PPid"]) for each in facts}
    family, found = {root}, {root}
    while found:
        found = {pid for pid, parent in parent_of.items() if parent in found} - family
        family |= found
    held = [each["RssAnon"] for each in facts if int(each["Pid"]) in family and "RssAnon" in each]
    return sum(int(text.split()[0]) for text in held) * 1024 / MB


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has ended meanwhile
        return ""


def machine() -> dict[str, Any]:
    """Say what was measured on, and how busy it was before."""
    able = torch.cpu.get_capabilities()
    return {
        **describe(CPU, choose_precision(CPU)),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "bfloat16_instructions": choose_precision(CPU) == "bfloat16",
        "instructions": sorted(name for name, value in able.items() if value is True),
        "cores": len(os.sched_getaffinity(0)),
        "load_average_before": os.getloadavg(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def write_result(out: Path, facts: dict[str, Any], *, quick: bool, results: dict[str, Any]) -> None:
    """Write a measurement as JSON and say where."""
    load = {"load_average_after": os.getloadavg()}
    files.write_json(out, {"quick": quick, "machine": facts | load, **results})
    print(out)
