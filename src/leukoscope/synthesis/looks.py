"""A look at a generator while it is fitted: a grid of drawings, and how near they are to cells."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leukoscope.intake.decode import encode_png
from leukoscope.stats.kid import kid
from leukoscope.synthesis.drawing import Pixels, draw_latents, draw_pixels
from leukoscope.synthesis.features import JudgeFeatures
from leukoscope.synthesis.recipe import GeneratorRecipe

_COLUMNS = 8
_DRAWN = 256
_ALIKE = 0.05
_LOOKS = 3


class Look(NamedTuple):
    """Hold what a look saw."""

    grid: bytes
    """A PNG: a row a category, or eight of one, always of the same latents."""
    kid: float
    """Kernel distance of drawings to the stopping cells; lower is nearer."""
    diversity: float
    """How much drawings of a category differ, as a share of what real cells do."""


class Stopping(NamedTuple):
    """Hold the cells that choose among the stages of a fit."""

    pixels: Pixels
    """uint8, shape (n, size, size, 3)."""
    codes: npt.NDArray[np.int64]
    """The member's code of each one's category."""
    features: npt.NDArray[np.float32]
    """Of each, shape (n, length)."""


def look_at(
    generator: nn.Module,
    stopping: Stopping,
    recipe: GeneratorRecipe,
    features: JudgeFeatures,
    *,
    member: str,
    n_categories: int,
    device: torch.device,
) -> Look:
    """Draw in the stopping cells' mix of categories and hold the drawings against them.

    Parameters
    ----------
    generator : torch.nn.Module
        At any stage of its fit.
    stopping : Stopping
        Cells it has not seen.
    recipe : GeneratorRecipe
        Its recipe.
    features : JudgeFeatures
        The network that describes both.
    member : str
        Its name.
    n_categories : int
        How many it draws.
    device : torch.device
        Where to compute.

    Returns
    -------
    Look
        Of the same latents at every look, so that looks differ in the generator alone.
    """
    repeated = np.resize(stopping.codes, max(_DRAWN, len(stopping.codes)))
    latents = draw_latents(recipe, torch.from_numpy(repeated), device, "look", member)
    drawn = draw_pixels(generator, latents, device)
    rows = n_categories if n_categories > 1 else _COLUMNS
    shown = np.repeat(np.arange(rows) if n_categories > 1 else np.zeros(rows, int), _COLUMNS)
    fixed = draw_latents(recipe, torch.from_numpy(shown), device, "grid", member)
    return Look(
        encode_png(grid_of(draw_pixels(generator, fixed, device), _COLUMNS)),
        kid(features.of(drawn), stopping.features),
        _spread(drawn, repeated) / max(_spread(stopping.pixels, stopping.codes), 1e-6),
    )


def grid_of(pictures: Pixels, columns: int) -> Pixels:
    """Lay pictures, uint8 (n, side, side, 3), out in rows of so many."""
    n, side = pictures.shape[:2]
    rows = -(-n // columns)
    whole = np.full((rows * columns, side, side, 3), 255, dtype=np.uint8)
    whole[:n] = pictures
    laid = whole.reshape(rows, columns, side, side, 3).swapaxes(1, 2)
    return np.ascontiguousarray(laid.reshape(rows * side, columns * side, 3))


def collapsed(history: Sequence[Mapping[str, Any]], updates: int) -> bool:
    """Tell whether drawings have been all alike for three looks, past a quarter of the fit."""
    late = [row["diversity"] for row in history if row["update"] > updates / 4]
    return len(late) >= _LOOKS and max(late[-_LOOKS:]) < _ALIKE


def history_csv(history: Sequence[Mapping[str, Any]]) -> str:
    """Write a history as CSV, a row a look."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def _spread(pixels: Pixels, codes: npt.NDArray[np.int64]) -> float:
    """Compute the mean deviation of a pixel between pictures of one category, in levels."""
    found = [
        float(pixels[codes == code].std(axis=0, dtype=np.float64).mean())
        for code in np.unique(codes)
        if (codes == code).sum() > 1
    ]
    return float(np.mean(found)) if found else 0.0
