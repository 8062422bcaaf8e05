"""What ten minutes give: the house's generator and the paper's WGAN-GP on the same cells.

Claim: at equal time (10 minutes each, three seeds, two cores, 32 px, 500 cells of one category) the
house's drawings are at most half as far from cells neither has seen, by KID, as those of the
paper's WGAN-GP. Both learn from the same cells in turns of some seconds, in one process, so that
whatever else the machine does meets both; their looks are part of their time. The stage nearest to
the stopping cells is kept and measured against the judging cells. The floor is the distance of the
stopping cells, which are real, to the judging ones.

Without ``--data`` cells are drawn, which says that the script works and nothing of real cells.
``--features`` is a weights file with its card or a run; without it a network at random describes
them. Grids of drawings are written beside the JSON.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import measuring
import numpy as np
import polars as pl
import torch
from measuring import CPU, spread

from leukoscope.fitting.averaging import Average, averaged, start_average
from leukoscope.fitting.machine import choose_precision, keep_memory
from leukoscope.foundation import files
from leukoscope.intake.ingest import ingest_phantom
from leukoscope.intake.phantom import PhantomRecipe
from leukoscope.intake.store import open_store
from leukoscope.intake.stratified import training_draw
from leukoscope.records.dataset import Dataset, read_dataset
from leukoscope.stats.kid import kid
from leukoscope.synthesis.cells import parted
from leukoscope.synthesis.drawing import draw_latents, draw_pixels
from leukoscope.synthesis.features import JudgeFeatures, open_judge_features
from leukoscope.synthesis.looks import Look, Stopping, look_at
from leukoscope.synthesis.loop import Fit, Pool, begin, one_update
from leukoscope.synthesis.recipe import GeneratorRecipe
from leukoscope.synthesis.recipes import changed, fitting_time, load_generator
from leukoscope.verbs.split import split

SIDES, TARGET, THREADS = ("small", "gaur-wgan-gp"), 0.5, 2
CELLS = {"name": "bench", "case_spread": 0.3, "size_px": 48, "mix": {"lymphocyte": 1.0}}


class Plan(NamedTuple):
    """Say how much is done; ``turn_s``: how long one side works before the other."""

    minutes: float
    seeds: int
    size_px: int
    n_cells: int
    looks: int
    turn_s: float


FULL = Plan(minutes=10, seeds=3, size_px=32, n_cells=500, looks=20, turn_s=10)
QUICK = Plan(minutes=0.05, seeds=1, size_px=16, n_cells=64, looks=2, turn_s=1)


class Cells(NamedTuple):
    """Hold what both sides learn from and are measured by."""

    pool: Pool
    stopping: Stopping
    judging: Stopping


@dataclass
class Side:
    """Hold one generator on its way."""

    recipe: GeneratorRecipe
    state: Fit
    look: Any
    spent_s: float = 0.0
    best: Average = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)
    grid: bytes = b""


def cells_of(
    dataset: Dataset, category: str, features: JudgeFeatures, plan: Plan, seed: int
) -> Cells:
    """Take cells of one category: of training so many, of validation those that stop and judge."""
    whole = parted(dataset, GeneratorRecipe(size_px=plan.size_px, seed=seed))
    own = whole.filter(category=category)
    fit = training_draw(own.filter(part="fit"), plan.n_cells, seed)
    cells = pl.concat([fit, own.filter(pl.col("part") != "fit")])
    store = open_store(dataset, cells, plan.size_px)

    def held(part: str) -> Stopping:
        rows = store.rows(cells.filter(part=part)["content"].to_list())
        pixels = store.take(rows)
        return Stopping(pixels, np.zeros(len(rows), dtype=np.int64), features.of(pixels))

    none, rows = np.zeros(fit.height, dtype=np.int64), store.rows(fit["content"].to_list())
    pool = Pool(category, 1, fit["cell_id"].to_list(), none, rows, store)
    return Cells(pool, held("stop"), held("judge"))


def begun(name: str, cells: Cells, features: JudgeFeatures, plan: Plan, seed: int) -> Side:
    """Bring one side to its start; the house's widths follow from its time."""
    recipe = changed(load_generator(name), {"size_px": plan.size_px, "seed": seed})
    if name == "small":
        recipe = fitting_time(
            recipe,
            plan.minutes,
            n_members=1,
            n_categories=1,
            device="cpu",
            features=features,
            n_stopping=len(cells.stopping.codes),
        )
    look = partial(
        look_at,
        stopping=cells.stopping,
        recipe=recipe,
        features=features,
        member=cells.pool.name,
        n_categories=1,
        device=CPU,
    )
    return Side(recipe, begin(cells.pool, recipe, CPU), look)


def work(side: Side, cells: Cells, plan: Plan) -> None:
    """Let a side work for its turn; a look falls due each so-manieth part of its time."""
    whole_s = plan.minutes * 60
    until = min(side.spent_s + plan.turn_s, whole_s)
    while side.spent_s < until:
        start = time.perf_counter()
        one_update(side.state, cells.pool, side.recipe, CPU, choose_precision(CPU))
        side.spent_s += time.perf_counter() - start
        if side.spent_s >= whole_s * (len(side.rows) + 1) / plan.looks:
            start = time.perf_counter()
            see(side)
            side.spent_s += time.perf_counter() - start


def see(side: Side) -> None:
    """Look at what a side draws now, and keep it if it is the nearest so far."""
    generator = side.state.networks.generator
    with averaged(generator, side.state.average):
        seen: Look = side.look(generator)
        if all(seen.kid < row["kid"] for row in side.rows):
            side.best, side.grid = start_average(generator), seen.grid
    row = {"update": side.state.update, "seconds": side.spent_s, "kid": seen.kid}
    side.rows.append(row | {"diversity": seen.diversity})


def measured(side: Side, cells: Cells, features: JudgeFeatures) -> dict[str, Any]:
    """Hold drawings of the kept stage, from latents of their own, against the judging cells."""
    generator = side.state.networks.generator
    n = max(256, len(cells.judging.codes))
    latents = draw_latents(
        side.recipe, torch.zeros(n, dtype=torch.int64), CPU, "equal time", cells.pool.name
    )
    with averaged(generator, side.best):
        drawn = draw_pixels(generator, latents, CPU)
    return {
        "kid": kid(features.of(drawn), cells.judging.features),
        "updates": side.state.update,
        "seconds": side.spent_s,
        "generator_width": side.recipe.generator_width,
        "kept": min(side.rows, key=lambda row: row["kid"]),
        "looks": side.rows,
    }


def race(
    dataset: Dataset, category: str, features: JudgeFeatures, plan: Plan, seed: int, out: Path
) -> dict[str, Any]:
    """Fit both sides in turns and measure them."""
    cells = cells_of(dataset, category, features, plan, seed)
    sides = {name: begun(name, cells, features, plan, seed) for name in SIDES}
    while any(side.spent_s < plan.minutes * 60 for side in sides.values()):
        for side in sides.values():
            work(side, cells, plan)
    found: dict[str, Any] = {}
    for name, side in sides.items():
        if not side.rows:
            see(side)
        found[name] = measured(side, cells, features)
        files.write_bytes(out.with_name(f"{out.stem}-{name}-{seed}.png"), side.grid)
    floor = kid(cells.stopping.features, cells.judging.features)
    numbers = {
        part: len(each.codes)
        for part, each in (("fit", cells.pool), ("stop", cells.stopping), ("judge", cells.judging))
    }
    return {"seed": seed, "floor": floor, "n_cells": numbers, **found}


def drawn_dataset(folder: Path, plan: Plan) -> Path:
    """Draw cells where none are given, and split them."""
    cases = max(40, plan.n_cells // 3)
    recipe = PhantomRecipe(n_cases=cases, cells_per_case=6, **CELLS)
    dataset = ingest_phantom(recipe, out=folder / "cells")
    split(dataset, validation_share=0.25)
    return dataset


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--quick", action="store_true", help="smoke run: its numbers mean nothing")
    parser.add_argument("--data", type=Path, help="dataset of real cells, split")
    parser.add_argument("--minutes", type=float, help="instead of ten a side; fewer looks then")
    parser.add_argument("--category", default="lymphocyte", help="the one that is drawn")
    parser.add_argument("--features", type=Path, help="weights with their card, or a run")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    plan, facts = QUICK if given.quick else FULL, measuring.machine()
    if given.minutes is not None:
        plan = plan._replace(minutes=given.minutes, looks=max(4, round(2 * given.minutes)))
    torch.set_num_threads(THREADS)
    keep_memory()
    features = open_judge_features(given.features, size_px=64)
    with tempfile.TemporaryDirectory() as scratch:
        dataset = read_dataset(given.data or drawn_dataset(Path(scratch), plan))
        races = [
            race(dataset, given.category, features, plan, seed, given.out)
            for seed in range(plan.seeds)
        ]
    middle = {name: statistics.median(each[name]["kid"] for each in races) for name in SIDES}
    house, paper = (middle[name] for name in SIDES)
    results = {
        "setting": plan._asdict() | {"threads": THREADS, "category": given.category},
        "cells": dataset.card.name,
        "features": features.name,
        "kid": {name: spread([each[name]["kid"] for each in races]) for name in SIDES},
        "floor": spread([each["floor"] for each in races]),
        "house_over_floor": house - statistics.median(each["floor"] for each in races),
        "ratio_of_medians": house / paper,
        "target": TARGET,
        "is_reached": house <= TARGET * paper,
        "races": races,
    }
    measuring.write_result(given.out, facts, quick=given.quick, results=results)


if __name__ == "__main__":
    main()
