"""Frozen parts computed once: the loop trains the head on features that are kept on disk."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from leukoscope.augmentation.draw import Draw
from leukoscope.foundation.errors import RecipeError
from leukoscope.intake.store import PixelStore
from leukoscope.models.bodies import split_network
from leukoscope.models.features import feature_keys, open_features
from leukoscope.records.dataset import Dataset
from leukoscope.training.cells import Cells, batch_draws
from leukoscope.training.recipe import FitRecipe, TrainingRecipe
from leukoscope.training.stages import stretches


def cacheable(network: nn.Module, recipe: TrainingRecipe) -> tuple[nn.Module, nn.Module] | None:
    """Cut a network where its frozen part ends, if training on kept features is the same.

    Parameters
    ----------
    network : torch.nn.Module
        At its starting weights.
    recipe : TrainingRecipe
        Its training.

    Returns
    -------
    (torch.nn.Module, torch.nn.Module) or None
        Body and head, see :func:`leukoscope.models.bodies.split_network`. None where nothing is
        frozen, or the loop must run the frozen part itself: every visit is augmented anew, the
        stages differ in what is frozen, in size or in augmentation, layers learn at rates of
        their own, or the frozen layers do not end at a clean seam.
    """
    stages = stretches(recipe)
    first = stages[0]
    differ = any(
        getattr(stage, name) != getattr(recipe if name in _OF_ALL else first, name)
        for stage in stages
        for name in ("frozen_groups", "preprocessing", "augmentation")
    )
    if differ or first.frozen_groups == 0 or recipe.rate_decay != 1 or is_new_each_visit(recipe):
        return None
    return split_network(network, first.frozen_groups)


_OF_ALL = ("preprocessing", "augmentation")


def is_new_each_visit(recipe: FitRecipe) -> bool:
    """Tell whether a cell is augmented anew at each visit, so that no feature is of use twice."""
    return recipe.augmentation_use == "online" and bool(recipe.augmentation.steps)


def frozen_cells(
    dataset: Dataset,
    cells: Cells,
    recipe: FitRecipe,
    body: nn.Module,
    *,
    device: torch.device,
    augmented: bool,
) -> Cells:
    """Put the features of a frozen part in the place of cells' pixels.

    Parameters
    ----------
    dataset : Dataset
        Whose folder keeps the features.
    cells : Cells
        With a pixel store of the recipe's size.
    recipe : FitRecipe
        How the network is built and fed, and cells augmented.
    body : torch.nn.Module
        The frozen part.
    device : torch.device
        Where to compute.
    augmented : bool
        Whether the recipe's augmentation is done to them: training cells, not validation's.

    Returns
    -------
    Cells
        The same cells and copies, each with the row of its features in a feature store.

    Raises
    ------
    RecipeError
        If every visit is augmented anew.
    DataError, RunError
        As :func:`leukoscope.models.features.open_features` does.
    """
    assert isinstance(cells.store, PixelStore)
    content_of = {row: content for content, row in cells.store.row_of.items()}
    contents = [content_of[row] for row in cells.rows.tolist()]
    draws = settled_draws(cells, recipe) if augmented else [Draw()] * len(contents)
    kept = open_features(
        dataset,
        cells.store,
        contents,
        draws,
        body=body,
        network=recipe,
        preprocessing=recipe.preprocessing,
        device=device,
    )
    return replace(cells, rows=kept.rows(feature_keys(contents, draws)), store=kept)


def settled_draws(cells: Cells, recipe: FitRecipe) -> list[Draw]:
    """Draw what is done to each cell and copy once for all.

    Raises
    ------
    RecipeError
        If every visit is augmented anew.
    """
    if is_new_each_visit(recipe):
        raise RecipeError(
            "Features are kept once for each cell, and augmentation_use: online augments each "
            "visit anew. Nothing was started. Use augmentation_use: copies or in-place."
        )
    every = np.arange(len(cells.cell_ids))
    # It asks for nothing that a training's recipe alone has.
    return batch_draws(cells, every, np.zeros_like(every), recipe)  # type: ignore[arg-type]
