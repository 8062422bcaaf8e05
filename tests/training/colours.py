"""Cells whose category is their colour, and short trainings on them, for tests of the loop."""

from pathlib import Path

import numpy as np
import torch

from leukoscope.foundation.streams import stream
from leukoscope.intake.store import PixelStore
from leukoscope.models.backbones import build
from leukoscope.training.cells import Cells
from leukoscope.training.loop import Fit, fit
from leukoscope.training.recipe import TrainingRecipe

COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])
PLAN = {
    "model": "test_resnet",
    "batch_size": 8,
    "updates": 12,
    "validate_every": 3,
    "learning_rate": 3e-3,
    "warmup_updates": 0,
    "preprocessing": {"size_px": 24},
}
HARDEST = {
    "optimiser": "amsgrad",
    "weight_decay": 1e-4,
    "schedule": "plateau",
    "plateau_patience": 1,
    "sampling": "balanced",
    "average_decay": 0.9,
    "clip_norm": 0.5,
    "rate_decay": 0.7,
    "build_arguments": {"drop_rate": 0.2},
    "stages": [
        {"updates": 15, "learning_rate": 0.01, "frozen_groups": "all-but-head"},
        {"updates": 25, "frozen_groups": 2, "size_px": 16},
        {"updates": 20, "learning_rate": 0.003},
    ],
    "updates": 60,
    "validate_every": 7,
}
"""All at once that a resumed run could forget."""


def coloured(n: int, purpose: str, *, size_px: int = 24, shares: tuple[float, ...] = ()) -> Cells:
    """Draw cells whose category is their colour, under noise; equal shares unless given."""
    rng = stream(1, purpose)
    codes = rng.choice(3, n, p=shares) if shares else rng.integers(0, 3, n)
    pixels = COLOURS[codes][:, None, None] + rng.integers(-30, 31, (n, size_px, size_px, 3))
    names = [f"{purpose}-{i}" for i in range(n)]
    store = PixelStore(pixels.astype(np.uint8), {name: i for i, name in enumerate(names)})
    return Cells(names, codes, np.arange(n), store, np.zeros(n, np.int64))


def recipe_of(**settings: object) -> TrainingRecipe:
    """State the short plan with some settings changed."""
    return TrainingRecipe.from_mapping(PLAN | settings, where="a test")


def run(
    folder: Path, *, checkpoint_every_s: float = 20.0, shares: tuple[float, ...] = (), **settings
) -> Fit:
    """Fit on colours, with settings beside the short plan."""
    recipe = recipe_of(**settings)
    size_px = recipe.preprocessing.size_px
    network = build(recipe, 3, size_px, seed=recipe.seed)
    folder.mkdir(exist_ok=True)
    return fit(
        network,
        coloured(48, "train", size_px=size_px, shares=shares),
        coloured(24, "validation", size_px=size_px),
        recipe,
        run=folder,
        device=torch.device("cpu"),
        precision="float32",
        checkpoint_every_s=checkpoint_every_s,
    )
