"""Recipes of trainings, read: a network's, or a classical model's where they state one."""

from pathlib import Path
from typing import Any

from leukoscope.foundation.errors import unknown_name
from leukoscope.records.catalogue import read_shipped, shipped_names
from leukoscope.records.recipes import read_yaml
from leukoscope.training.probe import ProbeRecipe
from leukoscope.training.recipe import TrainingRecipe

NAMED = ("leukoscope.training", "named")
"""Room and folder of the trainings that come with the package."""


def fit_recipe(value: Any, *, where: str) -> TrainingRecipe | ProbeRecipe:
    """Read a training's recipe from plain values.

    Parameters
    ----------
    value : mapping
        With the key ``classifier`` it is that of a classical model.
    where : str
        What to call it in an error.

    Raises
    ------
    RecipeError
        If a key is unknown or out of range.
    """
    if isinstance(value, dict) and "classifier" in value:
        return ProbeRecipe.from_mapping(value, where=where)
    return TrainingRecipe.from_mapping(value, where=where)


def load_training(name_or_path: str) -> TrainingRecipe | ProbeRecipe:
    """Read a training by name, or from a YAML file.

    Raises
    ------
    UsageError
        If no training has that name.
    RecipeError
        If the file cannot be read as one.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        return fit_recipe(read_yaml(Path(name_or_path)), where=name_or_path)
    if name_or_path not in (names := shipped_names(*NAMED)):
        raise unknown_name("training recipe", name_or_path, names)
    return fit_recipe(read_shipped(*NAMED, name_or_path), where=name_or_path)
