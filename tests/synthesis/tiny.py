"""Small cells and short fits of generators, for tests of the room."""

from pathlib import Path

import numpy as np
import torch

import leukoscope
from leukoscope.augmentation.recipe import load_augmentation
from leukoscope.foundation.streams import stream
from leukoscope.intake.store import PixelStore
from leukoscope.synthesis.loop import Pool
from leukoscope.synthesis.recipe import GeneratorRecipe

CPU = torch.device("cpu")
PLAN = {
    "size_px": 16,
    "generator_width": 4,
    "critic_width": 4,
    "latent": 8,
    "batch_size": 8,
    "updates": 4,
    "validate_every": 2,
}
TURNS = load_augmentation("right-angles").model_dump(mode="json")
KINDS = {
    "hinge": {
        "critic": "spectral",
        "differentiable": ["colour", "translation", "cutout"],
        "augmentation": TURNS,
        "average_decay": 0.9,
    },
    "slope": {
        "critic": "free",
        "penalty": 0.1,
        "penalty_at": "real",
        "critic_steps": 2,
        "average_decay": 0.9,
        "augmentation": TURNS,
    },
    "wgan-gp": {
        "generator": "plain",
        "critic": "plain",
        "critic_dropout": 0.3,
        "objective": "wasserstein",
        "penalty": 10,
        "critic_steps": 2,
        "average_decay": None,
        "augmentation": TURNS,
        "pool": 3,
    },
    "infogan": {
        "generator": "transposed",
        "critic": "normalised",
        "objective": "non-saturating",
        "information": 1,
        "categorical_codes": 4,
        "continuous_codes": 2,
        "average_decay": None,
    },
    "infogan-wgan-gp": {
        "generator": "plain",
        "critic": "plain",
        "objective": "wasserstein",
        "penalty": 10,
        "information": 0.5,
        "categorical_codes": 3,
        "continuous_codes": 1,
        "optimiser": "rmsprop",
    },
}
"""Settings beside the plan: the house's two ways, and the papers' in small."""
CELLS = """
name: tiny
seed: 4
n_cases: 40
cells_per_case: 5
mix: {segmented: 1, eosinophil: 1, lymphocyte: 1}
size_px: 24
overlap: 0.0
case_spread: 0.3
direction: none
noise_levels: 1.0
"""


def recipe_of(kind: str = "hinge", **settings: object) -> GeneratorRecipe:
    """State a kind of fit at its smallest, with some settings changed."""
    return GeneratorRecipe.from_mapping(PLAN | KINDS[kind] | settings, where="a test")


def recipe_file(folder: Path, kind: str = "hinge", **settings: object) -> Path:
    """Write such a recipe as YAML."""
    from leukoscope.records.recipes import write_recipe

    path = folder / f"{kind}-{len(list(folder.iterdir()))}.yaml"
    write_recipe(path, recipe_of(kind, **settings))
    return path


def drawn_cells(folder: Path) -> Path:
    """Draw 200 cells of three categories and forty cases, and split them."""
    (folder / "tiny.yaml").write_text(CELLS)
    dataset = leukoscope.ingest("phantom", str(folder / "tiny.yaml"), out=folder / "cells")
    leukoscope.split(dataset, validation_share=0.25)
    return dataset


def pool_of(n_categories: int = 2, *, n: int = 24, size_px: int = 16, name: str = "noise") -> Pool:
    """Hold cells of noise round a colour of their category."""
    rng = stream(1, "pool", n_categories)
    codes = np.arange(n) % n_categories
    colours = rng.integers(60, 200, (n_categories, 3))[codes]
    pixels = colours[:, None, None] + rng.integers(-40, 41, (n, size_px, size_px, 3))
    names = [f"cell-{number}" for number in range(n)]
    store = PixelStore(pixels.astype(np.uint8), {each: i for i, each in enumerate(names)})
    return Pool(name, n_categories, names, codes, np.arange(n), store)


def weights_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Give all that a network's state holds, detached and copied."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def parameters_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Give a network's parameters, detached and copied."""
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Tell whether two sets of weights are equal bit for bit."""
    assert one.keys() == other.keys()
    return all(torch.equal(value, other[name]) for name, value in one.items())
