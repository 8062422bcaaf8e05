"""Augmenting on two cores: draws and pixels, beside what others would use.

Claims, at 128 and 224 px, uint8, parameters drawn anew for each picture: the papers' chain
(flips, rotation, scaling, lens) is at least 3 times as fast as albumentations and at least as
fast as OpenCV by hand with one map; elastic distortion at least 3 times as fast as
albumentations; light at least 1.5 times as fast as the fastest of the others. Affine maps,
rotation and flips are measured without a claim.

Ours draws from a recipe and applies the draw, picture by picture. Each side has both cores as
its users would have them: two processes or two threads (OpenCV itself kept to one), for torch's
libraries also one process with torch on two threads; a short trial chooses what is fastest for
each. Sides take turns, each round begins with another one, and ratios are those of one round.
Elastic fields have the same displacement and smoothness with all but ``approximate`` (whose
kernel ends at 17 pixels); torchvision fills what is left free with black and kornia's rotation
too, which costs less than a mirrored edge; kornia's fisheye has no strength, its result is left
in float32.

The rivals are no part of the project: make a virtual environment with the package's ``train``
extra and ``albumentations==2.0.8``, ``kornia`` and this package, and run the script with its
Python. Those that are absent are named in the result. albumentations runs with OpenCV 5 as well.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import get_context
from statistics import median
from typing import Any, NamedTuple

import augmenting_sides as sides
import cv2
import measuring
import numpy as np
from measuring import spread

from leukoscope.intake.phantom import PhantomRecipe, cells

CHAINS = ("papers", "elastic", "light", "affine", "rotate", "flips")
SIDES = (
    "ours",
    "opencv",
    "albumentations",
    "albumentations_approximate",
    "kornia",
    "torchvision",
)
PEERS = {"albumentations", "kornia", "torchvision"}
FASTEST = "fastest"
TARGETS: dict[str, dict[str, float]] = {
    "papers": {"albumentations": 3.0, "opencv": 1.0},
    "elastic": {"albumentations": 3.0},
    "light": {FASTEST: 1.5},
}
CORES = 2
CASES = 8
SHOWN = 16
LEAST_PER_S = 10.0
"""Sides slower than this in their trial are not raced: a round would take too long."""


class Plan(NamedTuple):
    """Say how much is measured."""

    sizes_px: tuple[int, ...]
    rounds: int
    trial_s: float
    block_s: float


FULL, QUICK = Plan((128, 224), 7, 0.08, 0.2), Plan((32,), 1, 0.001, 0.001)


class Mode(NamedTuple):
    """Say how two cores are used."""

    name: str
    processes: int = 1
    threads: int = 1
    torch_threads: int = 1


PROCESSES = Mode("two processes", processes=CORES)
THREADS = Mode("two threads", threads=CORES)
TORCH = Mode("torch on two threads", torch_threads=CORES)


class Job(NamedTuple):
    """Name what one worker does."""

    side: str
    chain: str
    size_px: int
    way: int


@cache
def pictures(size_px: int) -> list[sides.Pixels]:
    """Draw a batch of phantom cells of all categories, once in each process."""
    recipe = PhantomRecipe(
        name="bench", n_cases=CASES, cells_per_case=sides.BATCH // CASES, size_px=size_px
    )
    return [cell.image for cell in cells(recipe)]


def way_of(job: Job) -> sides.Way:
    return sides.ways(job.side, job.chain)[job.way]


@cache
def ready(job: Job, seed: int) -> sides.Do:
    """Make a side ready, once in each process and thread, and warm it up."""
    do = way_of(job).make(pictures(job.size_px), seed)
    do(way_of(job).unit)
    return do


def one_thread() -> None:
    cv2.setNumThreads(1)


def prepare(job: Job, worker: int, mode: Mode) -> None:
    """Warm up what a worker is going to do."""
    for thread in range(mode.threads):
        ready(job, CORES * worker + thread)


def work(job: Job, worker: int, mode: Mode, n: int) -> None:
    """Do so many pictures in this process."""
    if way_of(job).is_torch:
        import torch

        torch.set_num_threads(mode.torch_threads)
    if mode.threads == 1:
        ready(job, CORES * worker)(n)
        return
    each = [ready(job, CORES * worker + thread) for thread in range(mode.threads)]
    with ThreadPoolExecutor(mode.threads) as pool:
        list(pool.map(lambda do: do(n // mode.threads), each))


def changed(job: Job) -> float:
    """Tell by how many levels pictures change in the mean: whether sides do alike."""
    way = way_of(job)
    shown = pictures(job.size_px)[: max(way.unit, SHOWN)]
    do = way.make(shown, CORES)
    if way.unit > 1:
        results = [sides.as_pixels(one) for one in do(way.unit)]
    else:
        results = [sides.as_pixels(do(1)) for _ in shown]
    return float(np.abs(np.stack(results).astype(np.float32) - np.stack(shown)).mean())


Workers = Sequence[ProcessPoolExecutor]


def block_s(workers: Workers, job: Job, mode: Mode, n: int) -> float:
    """Time so many pictures on both cores."""
    some = list(enumerate(workers))[: mode.processes]

    def run() -> None:
        jobs = [pool.submit(work, job, i, mode, n // mode.processes) for i, pool in some]
        for each in jobs:
            each.result()

    return measuring.seconds(run)


class Chosen(NamedTuple):
    """Hold a side's fastest way and how many pictures make a block."""

    job: Job
    mode: Mode
    n: int
    trials: dict[str, float]


def choose(workers: Workers, side: str, chain: str, size_px: int, plan: Plan) -> Chosen:
    """Try all ways of a side to do a chain."""
    tried = []
    for number, way in enumerate(sides.ways(side, chain)):
        job = Job(side, chain, size_px, number)
        for mode in (PROCESSES, TORCH) if way.is_torch else (PROCESSES, THREADS):
            for i, pool in list(enumerate(workers))[: mode.processes]:
                pool.submit(prepare, job, i, mode).result()
            n = CORES * way.unit
            while (took := block_s(workers, job, mode, n)) < plan.trial_s:
                n *= 2
            name = ", ".join(word for word in (way.variant, mode.name) if word)
            tried.append((n / took, job, mode, name))
    speed, job, mode, _ = max(tried, key=lambda each: each[0])
    least = CORES * way_of(job).unit
    n = least * max(1, round(speed * plan.block_s / least))
    return Chosen(job, mode, n, {name: speed for speed, _, _, name in tried})


def race(workers: Workers, chain: str, size_px: int, plan: Plan) -> dict[str, Any]:
    """Let all sides that can do a chain take turns at it."""
    able = [side for side in present() if sides.ways(side, chain)]
    chosen = {side: choose(workers, side, chain, size_px, plan) for side in able}
    slow = {side: one for side, one in chosen.items() if max(one.trials.values()) < LEAST_PER_S}
    chosen = {side: one for side, one in chosen.items() if side not in slow}
    there = list(chosen)
    speeds: dict[str, list[float]] = {side: [] for side in there}
    for round_ in range(plan.rounds):
        first = round_ % len(there)
        for side in there[first:] + there[:first]:
            one = chosen[side]
            speeds[side].append(one.n / block_s(workers, one.job, one.mode, one.n))
    facts = {
        side: {
            "way": max(one.trials, key=lambda name: one.trials[name]),
            "images_per_s": spread(speeds[side]),
            "changed_levels": workers[0].submit(changed, one.job).result(),
            "trials_images_per_s": one.trials,
        }
        for side, one in chosen.items()
    }
    too_slow = {"too_slow_images_per_s": {side: one.trials for side, one in slow.items()}}
    return {"sides": facts} | too_slow | against(chain, speeds)


def against(chain: str, speeds: dict[str, list[float]]) -> dict[str, Any]:
    """Give ratios to each other side round by round, and to the fastest of each round."""
    others = {side: values for side, values in speeds.items() if side != "ours"}
    others |= {FASTEST: [max(values) for values in zip(*others.values(), strict=True)]}
    ratios = {
        side: [mine / theirs for mine, theirs in zip(speeds["ours"], values, strict=True)]
        for side, values in others.items()
    }
    targets = TARGETS.get(chain, {})
    return {
        "ours_over": {side: spread(values) for side, values in ratios.items()},
        "targets": targets,
        # Nothing is said of a side that is absent.
        "is_reached": {
            side: median(ratios[side]) >= least for side, least in targets.items() if side in ratios
        },
    }


def package_of(side: str) -> str:
    return {"opencv": "cv2", "albumentations_approximate": "albumentations"}.get(side, side)


def present() -> list[str]:
    return [side for side in SIDES if side == "ours" or find_spec(package_of(side))]


def main() -> None:
    given = measuring.arguments(__doc__)
    plan, facts = QUICK if given.quick else FULL, measuring.machine()
    # Workers inherit these: two processes of one thread each, and nobody asks the network.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    results: dict[str, Any] = {
        "absent": sorted(
            {package_of(side) for side in SIDES[1:]} - set(map(package_of, present()))
        ),
        "versions": {name: version(name) for name in sorted(set(present()) & PEERS)},
        "cores": CORES,
        **plan._asdict(),
    }
    with ExitStack() as stack:
        pool = partial(ProcessPoolExecutor, 1, get_context("spawn"), one_thread)
        workers = [stack.enter_context(pool()) for _ in range(CORES)]
        for size_px in plan.sizes_px:
            results[f"{size_px}px"] = {
                chain: race(workers, chain, size_px, plan) for chain in CHAINS
            }
    measuring.write_result(given.out, facts, quick=given.quick, results=results)


if __name__ == "__main__":
    main()
