"""A recipe and what was asked for beside it, brought together before anything starts."""

from typing import Any

from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.foundation.errors import DataError
from leukoscope.models.weights import WeightsCard
from leukoscope.records.runs import check_licence
from leukoscope.training.recipe import TrainingRecipe


def changed(
    recipe: TrainingRecipe,
    *,
    model: str | None = None,
    augmentation: AugmentationRecipe | None = None,
    size_px: int | None = None,
    updates: int | None = None,
    split: str | None = None,
    repeat: int | None = None,
    fold: int | None = None,
    seed: int | None = None,
) -> TrainingRecipe:
    """Change those values of a recipe that are given.

    Raises
    ------
    RecipeError
        If a value is out of range.
    """
    asked: dict[str, Any] = {
        "model": model,
        "augmentation": augmentation and augmentation.model_dump(mode="json"),
        "updates": updates,
        "split": split,
        "repeat": repeat,
        "fold": fold,
        "seed": seed,
    }
    value = recipe.model_dump(mode="json")
    value |= {name: new for name, new in asked.items() if new is not None}
    if size_px is not None:
        value["preprocessing"]["size_px"] = size_px
    return TrainingRecipe.from_mapping(value, where="the training's options")


def with_weights(
    recipe: TrainingRecipe, card: WeightsCard | None, model: str | None, accepted: str | None
) -> TrainingRecipe:
    """Take from a weights card what must agree with it: network, arguments, colour statistics.

    Parameters
    ----------
    recipe : TrainingRecipe
        What is to be trained.
    card : WeightsCard or None
        The starting weights.
    model : str or None
        The network a person asked for by name; without one the card's is taken.
    accepted : str or None
        The licence a person accepted.

    Raises
    ------
    DataError
        If the weights are another network's, or the recipe names weights that are not given.
    LicenceError
        If their licence was not accepted.
    """
    if card is None:
        if recipe.weights is not None:
            raise DataError(
                f"The recipe starts from the weights {recipe.weights.name}; none were given. "
                "Nothing was started. Add --weights with their path."
            )
        return recipe
    if model is not None and model != card.model:
        raise DataError(
            f"The weights {card.origin.name} are those of {card.model}, not of {model}. "
            f"Nothing was started. Give --model {card.model}, or other weights."
        )
    if recipe.weights is not None and recipe.weights.sha256 != card.origin.sha256:
        raise DataError(
            f"The recipe starts from {recipe.weights.name} ({recipe.weights.sha256[:12]}…), "
            f"--weights holds {card.origin.name} ({card.origin.sha256[:12]}…). "
            "Nothing was started."
        )
    check_licence(card.origin, accepted)
    value = recipe.model_dump(mode="json") | {
        "model": card.model,
        "build_arguments": card.build_arguments,
        "weights": card.origin.model_dump(mode="json"),
    }
    value["preprocessing"] |= {"mean": list(card.mean), "std": list(card.std)}
    return TrainingRecipe.from_mapping(value, where="the weights' card")
