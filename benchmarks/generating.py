"""How fast a WGAN-GP is fitted: the house's loop against a plain one of the same networks.

The plain loop is written as tutorials write it: eager float32, real and drawn pictures in a pass
each, the generator's graph kept while the critic learns, the critic's gradients computed while the
generator does. Both do the same arithmetic on the same number of cells, in turns, so that whatever
else the machine does meets both.

    python benchmarks/generating.py --out results/benchmarks/generating.json
"""

import argparse
import json
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from leukoscope.fitting.machine import choose_device, choose_precision, describe, keep_memory
from leukoscope.foundation.streams import stream
from leukoscope.intake.store import PixelStore
from leukoscope.synthesis.drawing import draw_latents
from leukoscope.synthesis.loop import Pool, begin, one_update
from leukoscope.synthesis.networks import build_networks
from leukoscope.synthesis.recipe import GeneratorRecipe
from leukoscope.synthesis.recipes import changed, load_generator

N_CELLS = 512


def pool_of(recipe: GeneratorRecipe) -> Pool:
    """Hold noise in the place of cells: time does not depend on what is seen."""
    side = recipe.size_px
    pixels = stream(0, "benchmark").integers(0, 256, (N_CELLS, side, side, 3), dtype=np.uint8)
    names = [str(number) for number in range(N_CELLS)]
    store = PixelStore(pixels, dict(zip(names, range(N_CELLS), strict=True)))
    codes, rows = np.zeros(N_CELLS, dtype=np.int64), np.arange(N_CELLS)
    return Pool("benchmark", 1, names, codes, rows, store)


class Plain:
    """Fit the same networks plainly."""

    def __init__(self, recipe: GeneratorRecipe, pool: Pool, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        built = build_networks(recipe, 1, seed=recipe.seed)
        self.generator, self.critic = (each.to(device) for each in built)
        rates = {"lr": recipe.critic_rate, "betas": recipe.betas}
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), **rates)
        self.generator_optimiser = torch.optim.Adam(self.generator.parameters(), **rates)
        pixels = torch.from_numpy(np.asarray(pool.store.pixels)).permute(0, 3, 1, 2)
        self.cells = pixels.float().div(127.5).sub(1).contiguous().to(device)
        self.codes = torch.zeros(recipe.batch_size, dtype=torch.int64, device=device)
        self.number = 0

    def update(self) -> None:
        """Do the critic's steps and the generator's."""
        n = self.recipe.batch_size
        for _ in range(self.recipe.critic_steps):
            self.number += 1
            real = self.cells[torch.randint(len(self.cells), (n,))]
            drawn = self.draw()
            self.critic_optimiser.zero_grad()
            loss = self.critic(drawn, self.codes).mean() - self.critic(real, self.codes).mean()
            shares = torch.rand(n, 1, 1, 1, device=self.device)
            between = (shares * real + (1 - shares) * drawn).detach().requires_grad_(True)
            (slope,) = torch.autograd.grad(
                self.critic(between, self.codes).sum(), between, create_graph=True
            )
            norms = slope.flatten(1).norm(dim=1)
            loss = loss + self.recipe.penalty * ((norms - 1) ** 2).mean()
            loss.backward()
            self.critic_optimiser.step()
        self.generator_optimiser.zero_grad()
        (-self.critic(self.draw(), self.codes).mean()).backward()
        self.generator_optimiser.step()

    def draw(self) -> torch.Tensor:
        """Draw a batch, its graph kept."""
        latents = draw_latents(self.recipe, self.codes, self.device, "plain", self.number)
        return self.generator(latents)


def timed(work: object) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(size_px: int, pairs: int, device: torch.device) -> dict[str, object]:
    """Time both in turns at one size."""
    recipe = changed(load_generator("gaur-wgan-gp"), size_px=size_px)
    recipe = recipe.model_copy(update={"augmentation": GeneratorRecipe().augmentation, "pool": None})
    pool, precision = pool_of(recipe), choose_precision(device)
    state, plain = begin(pool, recipe, device), Plain(recipe, pool, device)

    def ours() -> None:
        one_update(state, pool, recipe, device, precision)

    ours(), plain.update()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = []
    for turn in range(pairs):
        both = {"ours": ours, "plain": plain.update}
        order = list(both)[:: 1 if turn % 2 else -1]
        rows.append({name: timed(both[name]) for name in order})
    ratios = sorted(row["plain"] / row["ours"] for row in rows)
    cells = recipe.batch_size * recipe.critic_steps
    return {
        "size_px": size_px,
        "batch_size": recipe.batch_size,
        "critic_steps": recipe.critic_steps,
        "ours_cells_a_second": cells / statistics.median(row["ours"] for row in rows),
        "plain_cells_a_second": cells / statistics.median(row["plain"] for row in rows),
        "ratio": statistics.median(ratios),
        "ratio_range": [ratios[0], ratios[-1]],
        "pairs": pairs,
        "memory_growth_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }


def main() -> None:
    """Measure and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    device = choose_device(asked.device)
    keep_memory()
    found = [measure(size, asked.pairs, device) for size in asked.sizes]
    about = describe(device, choose_precision(device))
    asked.out.write_text(json.dumps({"measured": found, "machine": about}, indent=2) + "\n")


if __name__ == "__main__":
    main()
