"""How fast a WGAN-GP is fitted, beside a plain loop of the same networks, and how its memory goes.

Claim: the paper's WGAN-GP at 32 and 64 px sees at least 1.5 times the cells a second of a plain
loop, written as tutorials write it: eager float32, torch's own layers, real and drawn pictures in a
pass each, the generator's graph kept while the critic learns, the critic's gradients computed while
the generator does, the penalty's gradient taken through one graph. Both are the same networks on
the same number of cells, in turns in one process, so that whatever else the machine does meets
both. Anonymous memory is flat over many updates: the second half of them adds less than 20 MB. With
a GPU, its cells a second at 64 and 128 px are given too.
"""

import os
import statistics
from functools import partial
from typing import Any, NamedTuple

import measuring
import numpy as np
import torch
from measuring import CPU, in_fresh_process, rss_anon_mb, seconds, spread
from torch import nn

from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.fitting.machine import choose_precision, keep_memory
from leukoscope.foundation.streams import stream
from leukoscope.intake.store import PixelStore
from leukoscope.synthesis.drawing import draw_latents
from leukoscope.synthesis.layers import DoublingConvolution
from leukoscope.synthesis.loop import Fit, Pool, begin, one_update
from leukoscope.synthesis.networks import build_networks
from leukoscope.synthesis.recipe import GeneratorRecipe
from leukoscope.synthesis.recipes import load_generator

RECIPE, TARGET, GROWTH_MB = "gaur-wgan-gp", 1.5, 20.0


class Plan(NamedTuple):
    """Say how much is measured; ``pairs``: side of the pictures → turns of both loops."""

    n_cells: int
    pairs: dict[int, int]
    memory_updates: int
    gpu_updates: int
    changes: dict[str, int]


FULL = Plan(512, {32: 12, 64: 8}, memory_updates=60, gpu_updates=50, changes={})
SMALL = {"generator_width": 8, "critic_width": 8, "batch_size": 8}
QUICK = Plan(64, {32: 1}, memory_updates=4, gpu_updates=2, changes=SMALL)


def recipe_for(size_px: int, plan: Plan) -> GeneratorRecipe:
    """Take the paper's recipe at a size; its pool is left out, so that networks are compared."""
    alone = {"size_px": size_px, "augmentation": AugmentationRecipe(), "pool": None}
    return load_generator(RECIPE).model_copy(update=alone | plan.changes)


def pool_of(recipe: GeneratorRecipe, n_cells: int) -> Pool:
    """Hold noise in the place of cells: time does not depend on what is seen."""
    side = recipe.size_px
    pixels = stream(0, "benchmark").integers(0, 256, (n_cells, side, side, 3), dtype=np.uint8)
    names = [str(number) for number in range(n_cells)]
    store = PixelStore(pixels, dict(zip(names, range(n_cells), strict=True)))
    codes, rows = np.zeros(n_cells, dtype=np.int64), np.arange(n_cells)
    return Pool("benchmark", 1, names, codes, rows, store)


def plainly(network: nn.Module) -> nn.Module:
    """Put torch's own layers in the place of the house's doubling ones."""
    for name, layer in network.named_children():
        if isinstance(layer, DoublingConvolution):
            convolution = nn.Conv2d(
                layer.in_channels, layer.out_channels, 3, padding=1, bias=layer.bias is not None
            )
            convolution.load_state_dict(layer.state_dict())
            setattr(network, name, nn.Sequential(nn.Upsample(scale_factor=2), convolution))
        else:
            plainly(layer)
    return network


class Plain:
    """Fit the same networks plainly."""

    def __init__(self, recipe: GeneratorRecipe, pool: Pool) -> None:
        self.recipe = recipe
        self.generator, self.critic = map(plainly, build_networks(recipe, 1, seed=recipe.seed))
        adam = partial(torch.optim.Adam, lr=recipe.critic_rate, betas=recipe.betas)
        self.learners = adam(self.generator.parameters()), adam(self.critic.parameters())
        pixels = torch.from_numpy(np.asarray(pool.store.pixels)).permute(0, 3, 1, 2)
        self.cells = pixels.float().div(127.5).sub(1).contiguous()
        self.codes = torch.zeros(recipe.batch_size, dtype=torch.int64)
        self.number = 0

    def update(self) -> None:
        """Do the critic's steps and the generator's."""
        of_generator, of_critic = self.learners
        for _ in range(self.recipe.critic_steps):
            of_critic.zero_grad()
            self.critics_loss().backward()
            of_critic.step()
        of_generator.zero_grad()
        (-self.critic(self.draw(), self.codes).mean()).backward()
        of_generator.step()

    def critics_loss(self) -> torch.Tensor:
        """Score real and drawn pictures apart, and take the slope between them."""
        n = self.recipe.batch_size
        real, drawn = self.cells[torch.randint(len(self.cells), (n,))], self.draw()
        loss = self.critic(drawn, self.codes).mean() - self.critic(real, self.codes).mean()
        shares = torch.rand(n, 1, 1, 1)
        between = (shares * real + (1 - shares) * drawn).detach().requires_grad_(True)
        scores = self.critic(between, self.codes).sum()
        (slope,) = torch.autograd.grad(scores, between, create_graph=True)
        norms = slope.flatten(1).norm(dim=1)
        return loss + self.recipe.penalty * ((norms - 1) ** 2).mean()

    def draw(self) -> torch.Tensor:
        """Draw a batch, its graph kept."""
        self.number += 1
        return self.generator(draw_latents(self.recipe, self.codes, CPU, "plain", self.number))


def house_update(state: Fit, pool: Pool, recipe: GeneratorRecipe) -> None:
    """Do an update as a run does."""
    device = next(state.both.parameters()).device
    one_update(state, pool, recipe, device, choose_precision(device))
    if device.type == "cuda":
        torch.cuda.synchronize()


def compare(size_px: int, plan: Plan) -> dict[str, Any]:
    """Let the house's update and the plain one take turns, each first as often."""
    keep_memory()
    recipe = recipe_for(size_px, plan)
    pool = pool_of(recipe, plan.n_cells)
    state, plain = begin(pool, recipe, CPU), Plain(recipe, pool)
    both = {"house": partial(house_update, state, pool, recipe), "plain": plain.update}
    took: dict[str, list[float]] = {"house": [], "plain": []}
    for turn in range(plan.pairs[size_px] + 1):
        for name in list(both)[:: 1 if turn % 2 else -1]:
            took[name].append(seconds(both[name]))
    # The first turn warms both up.
    house, bare = took["house"][1:], took["plain"][1:]
    cells = recipe.batch_size * recipe.critic_steps
    ratios = [b / a for a, b in zip(house, bare, strict=True)]
    return {
        "batch_size": recipe.batch_size,
        "critic_steps": recipe.critic_steps,
        "precision": choose_precision(CPU),
        "house_cells_per_s": spread([cells / each for each in house]),
        "plain_cells_per_s": spread([cells / each for each in bare]),
        "ratio_of_medians": statistics.median(bare) / statistics.median(house),
        "ratio_of_pairs": spread(ratios),
        "target": TARGET,
        "is_reached": statistics.median(ratios) >= TARGET,
    }


def memory(size_px: int, plan: Plan) -> dict[str, Any]:
    """Take anonymous memory twenty times over the updates."""
    keep_memory()
    recipe = recipe_for(size_px, plan)
    pool = pool_of(recipe, plan.n_cells)
    state = begin(pool, recipe, CPU)
    every = max(1, plan.memory_updates // 20)
    held = []
    for update in range(plan.memory_updates):
        house_update(state, pool, recipe)
        if (update + 1) % every == 0:
            held.append(rss_anon_mb(os.getpid()))
    half = len(held) // 2
    growth = max(held[half:]) - max(held[:half])
    return {
        "updates": plan.memory_updates,
        "rss_anon_mb": spread(held),
        "second_half_adds_mb": growth,
        "target_mb": GROWTH_MB,
        "is_reached": growth < GROWTH_MB,
    }


def on_gpu(size_px: int, plan: Plan) -> dict[str, Any] | None:
    """Time updates on the GPU; None without one."""
    if not torch.cuda.is_available():
        return None
    device = torch.device("cuda")
    recipe = recipe_for(size_px, plan)
    pool = pool_of(recipe, plan.n_cells)
    state = begin(pool, recipe, device)
    update = partial(house_update, state, pool, recipe)
    seconds(update, min(10, plan.gpu_updates))
    took = [seconds(update) for _ in range(plan.gpu_updates)]
    cells = recipe.batch_size * recipe.critic_steps
    return {
        "name": torch.cuda.get_device_name(device),
        "precision": choose_precision(device),
        "cells_per_s": spread([cells / each for each in took]),
        "peak_mb": torch.cuda.max_memory_allocated(device) / measuring.MB,
    }


def main() -> None:
    given = measuring.arguments(__doc__)
    plan, facts = QUICK if given.quick else FULL, measuring.machine()
    results: dict[str, Any] = {"house_over_plain": {}, "memory": {}, "gpu": {}}
    for px in plan.pairs:
        results["house_over_plain"][f"{px}px"] = in_fresh_process(compare, px, plan)
        results["memory"][f"{px}px"] = in_fresh_process(memory, px, plan)
    for px in (64, 128):
        results["gpu"][f"{px}px"] = on_gpu(px, plan)
    measuring.write_result(given.out, facts, quick=given.quick, results=results)


if __name__ == "__main__":
    main()
