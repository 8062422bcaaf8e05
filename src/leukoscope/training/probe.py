"""Probes: classical models fitted at once on frozen features, pixels or measures."""

from typing import Any, Self

import numpy as np
import polars as pl
import torch
from pydantic import Field, model_validator
from torch import nn

from leukoscope.augmentation.batch import apply_batch
from leukoscope.intake.store import open_store
from leukoscope.models.classical import fit_classifier
from leukoscope.models.features import Features, features_of
from leukoscope.models.measured import (
    Measured,
    Measures,
    fit_measured,
    left_as_it_is,
    measure_cells,
    measured_rows,
    standardised_by,
    usable_measures,
)
from leukoscope.models.probes import MEASURES, PIXELS, WITHOUT_NETWORK, Probe, body_of, joined
from leukoscope.records.classifiers import ClassifierRecipe, LogisticRegression
from leukoscope.records.dataset import Dataset
from leukoscope.records.runs import NetworkRecipe, Preprocessing
from leukoscope.training.cells import Cells, gather
from leukoscope.training.frozen import frozen_cells, settled_draws
from leukoscope.training.recipe import FitRecipe

_LEVELS = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


class ProbeRecipe(FitRecipe):
    """State a classical model on features that are computed once."""

    model: str = PIXELS
    """What makes the features: a network by name, whose last layer is left out; ``pixels``: the
    pixels themselves; ``measures``: the measures of each cell alone."""
    preprocessing: Preprocessing = Preprocessing(size_px=25, **_LEVELS)
    """How pixels become features or a network's input. Of pixels, unless mean and std are given:
    levels from 0 to 1; 25 px make the 1,875 numbers of Gaur."""
    classifier: ClassifierRecipe = LogisticRegression()
    """What answers from them."""
    measures: bool = False
    """Whether the measures of each cell stand beside the features."""
    standardise: bool | None = Field(default=None)
    """Whether each feature is brought to mean 0 and standard deviation 1 over the training cells;
    null: those of a network are, pixels are not, as in the paper. Measures always are."""

    @property
    def takes_measures(self) -> bool:
        """Tell whether cells are measured."""
        return self.measures or self.model == MEASURES

    @model_validator(mode="before")
    @classmethod
    def _levels_of_pixels(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if value.get("model", PIXELS) not in WITHOUT_NETWORK:
            return {"preprocessing": Preprocessing(), **value}
        own = value.get("preprocessing")
        return value | {"preprocessing": _LEVELS | own} if isinstance(own, dict) else value

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.augmentation.steps and self.augmentation_use == "online":
            raise ValueError(
                "features are computed once, and augmentation_use: online asks for new ones at "
                "each visit; use augmentation_use: copies"
            )
        if self.model == MEASURES and self.augmentation.steps:
            raise ValueError("measures alone look at no augmented picture; leave augmentation out")
        if self.model in WITHOUT_NETWORK:
            _refuse_network_words(self)
        elif self.regions != "whole":
            raise ValueError("features are those of one network; leave regions: whole")
        return self


def _refuse_network_words(recipe: ProbeRecipe) -> None:
    plain = NetworkRecipe(model=recipe.model)
    odd = [
        name for name in NetworkRecipe.model_fields if getattr(recipe, name) != getattr(plain, name)
    ]
    odd += ["weights"] if recipe.weights is not None else []
    if odd:
        raise ValueError(f"{recipe.model} is no network and takes no {odd[0]}; leave it out")


def fit_probe(
    dataset: Dataset,
    train: pl.DataFrame,
    recipe: ProbeRecipe,
    network: nn.Module | None,
    *,
    device: torch.device,
) -> Probe:
    """Fit a probe.

    Parameters
    ----------
    dataset : Dataset
        Whose pictures are read, and whose folder keeps the features.
    train : polars.DataFrame
        The training cells: rows of its manifest.
    recipe : ProbeRecipe
        What to fit.
    network : torch.nn.Module or None
        Its features are taken, at its starting weights; None for pixels and measures.
    device : torch.device
        Where features are computed; the classical model is fitted on the CPU.

    Returns
    -------
    Probe
        In evaluation mode, on the CPU. Its card needs the recipe's ``classifier`` and, as
        ``measures``, its ``measure_names``.

    Raises
    ------
    RecipeError
        If the network cannot be cut before its last layer.
    DataError
        If training holds fewer than two categories, no cell could be measured, or a
        feature is not finite.
    """
    body = body_of(recipe, network)
    cells = _cells(dataset, train, recipe)
    features = None if body is None else _features(dataset, cells, recipe, body, device)
    measured, measures, names = _measured(dataset, train, recipe, cells)
    given = None if features is None else torch.from_numpy(features).flatten(1)
    standardised = None
    if given is not None:
        wanted = recipe.model != PIXELS if recipe.standardise is None else recipe.standardise
        standardised = standardised_by(given) if wanted else left_as_it_is(given.shape[1])
    beside = None if measures is None else torch.from_numpy(measures)
    classifier = fit_classifier(
        recipe.classifier,
        joined(standardised, given, measured, beside).numpy(),
        cells.codes,
        len(dataset.card.categories),
        seed=recipe.seed,
    )
    kept = None if body is None else body.cpu()
    return Probe(kept, standardised, measured, classifier, names)


def _cells(dataset: Dataset, train: pl.DataFrame, recipe: ProbeRecipe) -> Cells:
    store = open_store(dataset, train, recipe.preprocessing.size_px)
    return gather(train, dataset.card.categories, store, copies=recipe.copies)


def _features(
    dataset: Dataset, cells: Cells, recipe: ProbeRecipe, body: nn.Module, device: torch.device
) -> Features:
    """Take the features of all cells, copies too; those of pixels are not worth keeping."""
    if recipe.model != PIXELS:
        kept = frozen_cells(dataset, cells, recipe, body, device=device, augmented=True)
        return np.asarray(kept.store.take(kept.rows))
    pixels = apply_batch(settled_draws(cells, recipe), cells.store.take(cells.rows))
    return features_of(body, pixels, recipe.preprocessing, device)


def _measured(
    dataset: Dataset, train: pl.DataFrame, recipe: ProbeRecipe, cells: Cells
) -> tuple[Measured | None, Measures | None, tuple[str, ...]]:
    """Measure training cells; a copy has the measures of the cell it is one of."""
    if not recipe.takes_measures:
        return None, None, ()
    table = measure_cells(dataset, train)
    names = usable_measures(table)
    rows = measured_rows(table, cells.cell_ids, names)
    return fit_measured(rows), rows, names
