"""Isolating and measuring phantom cells: cells a second, and memory over few and many cells.

Claim: the anonymous memory of `isolate` and of `measure` is flat from 500 to 5,000 cells: the peaks
differ by less than 5 % or by less than 20 MB; both run from the command line, watched from outside.
Speed is given in cells a second at 128 and 224 px, by one worker and by two, and as a multiple of
what plain Otsu thresholds of the same pictures take: blocks of the three take turns in one process,
OpenCV kept to one thread. Measuring is timed by itself, for masks of phantom cells are known.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache, partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import cv2
import measuring
from measuring import in_fresh_process, rss_anon_mb, spread

from leukoscope.intake.ingest import ingest_phantom
from leukoscope.intake.phantom import PhantomRecipe, draw_cell
from leukoscope.morphology.isolation import isolate_cell
from leukoscope.morphology.masks import Masks, Pixels
from leukoscope.morphology.measures import measure_cell

SIZES_PX = (128, 224)
CASES = 10
MEMORY_PX = 128
EVERY_S = 0.02
WORKERS = 2


class Plan(NamedTuple):
    """Say how much is measured."""

    cells: int
    rounds: int
    memory_cells: tuple[int, int]


FULL, QUICK = Plan(120, 7, (500, 5_000)), Plan(20, 1, (20, 60))


class Drawn(NamedTuple):
    """Hold a picture and its true masks."""

    image: Pixels
    masks: Masks


@cache
def drawn(size_px: int, n_cells: int) -> list[Drawn]:
    """Draw cells of all categories and several cases, once in each process."""
    per_case = -(-n_cells // CASES)
    recipe = PhantomRecipe(name="bench", n_cases=CASES, cells_per_case=per_case, size_px=size_px)
    cells = [draw_cell(recipe, i % CASES, i // CASES) for i in range(n_cells)]
    return [Drawn(one.image, Masks(one.nucleus_mask, one.cell_mask)) for one in cells]


def by_otsu(cell: Drawn) -> Any:
    """Threshold saturation and green by Otsu and keep the largest piece: the yardstick."""
    saturation = cv2.cvtColor(cell.image, cv2.COLOR_RGB2HSV)[..., 1]
    _, whole = cv2.threshold(saturation, 0, 1, cv2.THRESH_OTSU)
    _, nucleus = cv2.threshold(cell.image[..., 1], 0, 1, cv2.THRESH_OTSU | cv2.THRESH_BINARY_INV)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(whole)
    largest = labels == 1 + facts[1:, cv2.CC_STAT_AREA].argmax()
    return largest, largest & (nucleus > 0)


def by_isolating(cell: Drawn) -> Any:
    return isolate_cell(cell.image)


def by_measuring(cell: Drawn) -> Any:
    return measure_cell(cell.image, cell.masks, None)


WORK: dict[str, Callable[[Drawn], Any]] = {
    "otsu": by_otsu,
    "isolate_cell": by_isolating,
    "measure_cell": by_measuring,
}


def work_through(name: str, size_px: int, n_cells: int, start: int, step: int) -> int:
    """Do one kind of work on every so many-th cell and say on how many."""
    some = drawn(size_px, n_cells)[start::step]
    for cell in some:
        WORK[name](cell)
    return len(some)


def on_one_core(size_px: int, plan: Plan) -> dict[str, Any]:
    """Let blocks of each kind of work take turns; milliseconds a cell, and ratios to plain Otsu."""
    cv2.setNumThreads(1)
    took: dict[str, list[float]] = {name: [] for name in WORK}
    for name in WORK:
        work_through(name, size_px, plan.cells, 0, 8)
    for _ in range(plan.rounds):
        for name, times in took.items():
            block = partial(work_through, name, size_px, plan.cells, 0, 1)
            times.append(measuring.seconds(block) / plan.cells)
    in_turn = zip(took["isolate_cell"], took["measure_cell"], strict=True)
    both = [isolate_s + measure_s for isolate_s, measure_s in in_turn]
    times_otsu = {
        name: spread([a / b for a, b in zip(times, took["otsu"], strict=True)])
        for name, times in took.items()
        if name != "otsu"
    }
    return {
        "cells_per_s": {name: 1 / median(times) for name, times in took.items()},
        "isolate_and_measure_cells_per_s": 1 / median(both),
        "ms_per_cell": {name: spread([1e3 * t for t in times]) for name, times in took.items()},
        "times_otsu": times_otsu,
    }


def kept_to_one_thread(size_px: int, n_cells: int) -> None:
    """Make a worker ready: one thread, cells drawn."""
    cv2.setNumThreads(1)
    drawn(size_px, n_cells)


def with_workers(pool: Executor, n_workers: int, size_px: int, plan: Plan) -> dict[str, Any]:
    """Share the cells between workers: cells a second of each kind of work."""
    found = {}
    for name in ("isolate_cell", "measure_cell"):
        speeds = []
        for round_ in range(plan.rounds + 1):
            begun = time.perf_counter()
            jobs = [
                pool.submit(work_through, name, size_px, plan.cells, start, n_workers)
                for start in range(n_workers)
            ]
            n_done = sum(job.result() for job in jobs)
            # The first round starts workers and draws their cells.
            if round_:
                speeds.append(n_done / (time.perf_counter() - begun))
        found[name] = spread(speeds)
    return found


def in_threads(n_workers: int, size_px: int, plan: Plan) -> dict[str, Any]:
    kept_to_one_thread(size_px, plan.cells)
    with ThreadPoolExecutor(n_workers) as pool:
        return with_workers(pool, n_workers, size_px, plan)


def in_processes(n_workers: int, size_px: int, plan: Plan) -> dict[str, Any]:
    ready = {"initializer": kept_to_one_thread, "initargs": (size_px, plan.cells)}
    with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn"), **ready) as pool:
        return with_workers(pool, n_workers, size_px, plan)


def speed(size_px: int, plan: Plan) -> dict[str, Any]:
    """Measure one size on one core, then one and two workers of both kinds."""
    found: dict[str, Any] = {"one_core": in_fresh_process(on_one_core, size_px, plan)}
    for kind, run in (("threads", in_threads), ("processes", in_processes)):
        alone, shared = (in_fresh_process(run, n, size_px, plan) for n in (1, WORKERS))
        found[kind] = {"cells_per_s": {"1": alone, str(WORKERS): shared}} | {
            "gain": {name: shared[name]["median"] / alone[name]["median"] for name in alone}
        }
    return found


def draw_dataset(folder: Path, n_cells: int) -> Path:
    """Write phantom cells as a dataset, all different."""
    per_case = n_cells // CASES
    recipe = PhantomRecipe(name="bench", n_cases=CASES, cells_per_case=per_case, size_px=MEMORY_PX)
    return ingest_phantom(recipe, out=folder)


def watch(*words: str) -> dict[str, float]:
    """Run a command of the package: peak and median of its memory in megabytes, and its time."""
    begun = time.monotonic()
    held = []
    with subprocess.Popen([sys.executable, "-m", "leukoscope", *words], stdout=sys.stderr) as run:
        while run.poll() is None:
            held.append(rss_anon_mb(run.pid))
            time.sleep(EVERY_S)
    # Code 1 says that a check found something, and what was written stands.
    if run.returncode > 1 or not Path(words[-1]).exists():
        sys.exit(f"`leukoscope {words[0]}` failed; see above. Nothing was written.")
    return {"peak_mb": max(held), "median_mb": median(held), "s": time.monotonic() - begun}


def memory(plan: Plan) -> dict[str, Any]:
    """Watch both verbs over few and many cells; what is measured are the isolated ones."""
    found: dict[str, Any] = {"isolate": {}, "measure": {}}
    with tempfile.TemporaryDirectory() as scratch:
        for n_cells in plan.memory_cells:
            cells, alone = (str(Path(scratch) / f"{name}-{n_cells}") for name in ("cells", "alone"))
            table = f"{alone}.parquet"
            in_fresh_process(draw_dataset, Path(cells), n_cells)
            for words in (("isolate", cells, "--out", alone), ("measure", alone, "--out", table)):
                seen = watch(*words)
                found[words[0]][n_cells] = seen | {"cells_per_s": n_cells / seen["s"]}
    return {name: runs | flatness(list(runs.values())) for name, runs in found.items()}


def flatness(runs: list[dict[str, float]]) -> dict[str, Any]:
    few, many = (run["peak_mb"] for run in runs)
    return {
        "peak_ratio": many / few,
        "peak_difference_mb": many - few,
        "is_flat": {"below_5_percent": many / few < 1.05, "below_20_mb": many - few < 20},
    }


def main() -> None:
    given = measuring.arguments(__doc__)
    plan, facts = QUICK if given.quick else FULL, measuring.machine()
    results = {
        "setting": {"cells": plan.cells, "rounds": plan.rounds, "memory_size_px": MEMORY_PX},
        "speed": {f"{size_px}_px": speed(size_px, plan) for size_px in SIZES_PX},
        "memory": memory(plan),
    }
    versions = {name: version(name) for name in ("scikit-image", "scipy")}
    measuring.write_result(given.out, facts | versions, quick=given.quick, results=results)


if __name__ == "__main__":
    main()
