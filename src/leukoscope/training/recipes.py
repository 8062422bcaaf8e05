"""Recipes of trainings, read: a network's, or a classical model's where they state one."""

from pathlib import Path
from typing import Any

from leukoscope.foundation.errors import RecipeError, unknown_name
from leukoscope.models.known import CLASSICAL
from leukoscope.records.catalogue import read_shipped, shipped_names
from leukoscope.records.recipes import Recipe, read_yaml
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
        If a key is unknown or out of range, or the classifier is of no kind there is.
    """
    if isinstance(value, dict) and "classifier" in value:
        _refuse_odd_classifier(value["classifier"], where)
        return ProbeRecipe.from_mapping(value, where=where)
    return TrainingRecipe.from_mapping(value, where=where)


def _refuse_odd_classifier(stated: Any, where: str) -> None:
    """Say in the recipe's own words what is wrong with the kind of a classifier."""
    if isinstance(stated, Recipe):
        return
    kind = stated.get("kind") if isinstance(stated, dict) else None
    if isinstance(kind, str) and kind in CLASSICAL:
        return
    if isinstance(kind, str):
        said = str(unknown_name("kind of classifier", kind, CLASSICAL))
    elif isinstance(stated, dict):
        said = f"It names no kind. Known: {', '.join(CLASSICAL)}."
    else:
        word = stated if isinstance(stated, str) and stated in CLASSICAL else "logistic"
        said = f"It is written `classifier: {{kind: {word}}}`; seen {stated!r}."
    raise RecipeError(f"{where}: classifier: {said} Nothing was started.")


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
