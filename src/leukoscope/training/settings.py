"""A recipe and what was asked for beside it, brought together before anything starts."""

from typing import Any, TypeVar, cast

import numpy as np

from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.models.backbones import check_name
from leukoscope.models.cards import WeightsCard
from leukoscope.models.probes import WITHOUT_NETWORK
from leukoscope.records.runs import NetworkRecipe, Setting, check_licence
from leukoscope.training.probe import ProbeRecipe
from leukoscope.training.recipe import FitRecipe, TrainingRecipe
from leukoscope.training.stages import stretches

AnyTraining = TrainingRecipe | ProbeRecipe
"""A training of a network, or of a classical model on frozen features."""
Stated = TypeVar("Stated", bound=AnyTraining)


def changed(
    recipe: Stated,
    *,
    model: str | None = None,
    augmentation: AugmentationRecipe | None = None,
    size_px: int | None = None,
    updates: int | None = None,
    split: str | None = None,
    repeat: int | None = None,
    fold: int | None = None,
    seed: int | None = None,
) -> Stated:
    """Change those values of a recipe that are given.

    Raises
    ------
    RecipeError
        If a value is out of range.
    UsageError
        If updates are asked of a classical model, which does none.
    """
    if updates is not None and isinstance(recipe, ProbeRecipe):
        raise UsageError(
            f"This recipe fits a classifier ({recipe.classifier.kind}) in one go: it does no "
            "updates. Nothing was started. Leave --updates out."
        )
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
    if updates is not None and value["stages"]:
        value["stages"] = _shared_out(value["stages"], updates)
    if size_px is not None:
        value["preprocessing"]["size_px"] = size_px
    where = "the training's options"
    return cast("Stated", type(recipe).from_mapping(value, where=where))


def _shared_out(stages: list[dict[str, Any]], updates: int) -> list[dict[str, Any]]:
    """Give stages other updates in all, each its share of them and none fewer than one."""
    lengths = np.array([stage["updates"] for stage in stages])
    ends = np.rint(np.cumsum(lengths) * (updates / lengths.sum())).astype(int)
    own = np.maximum(1, np.diff(ends, prepend=0))
    own[own.argmax()] += updates - own.sum()
    return [stage | {"updates": int(n)} for stage, n in zip(stages, own, strict=True)]


def with_weights(
    recipe: Stated, card: WeightsCard | None, model: str | None, accepted: str | None
) -> Stated:
    """Take from a weights card what must agree with it: network, arguments, colour statistics.

    Of a run's or model's weights head, stem, norm and regions are taken too, where the recipe does
    not ask for others; a file knows of none.

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
    if recipe.model in WITHOUT_NETWORK:
        raise DataError(
            f"The recipe is fitted on {recipe.model}, without a network that could start from "
            f"{card.origin.name}. Nothing was started. Leave --weights out."
        )
    check_licence(card.origin, accepted)
    value = recipe.model_dump(mode="json") | {
        "model": card.model,
        "build_arguments": _joined_arguments(recipe, card),
        "weights": card.origin.model_dump(mode="json"),
    }
    plain = NetworkRecipe()
    if card.trained_as is not None:
        for name in ("head", "stem", "norm", "regions"):
            if getattr(recipe, name) == getattr(plain, name):
                value[name] = getattr(card.trained_as, name)
    value["preprocessing"] |= {"mean": list(card.mean), "std": list(card.std)}
    return cast("Stated", type(recipe).from_mapping(value, where="the weights' card"))


def _joined_arguments(recipe: FitRecipe, card: WeightsCard) -> dict[str, Setting]:
    """Join what a recipe and its weights' card build the network with; those of another go."""
    if recipe.model != card.model:
        progress.note(
            f"The weights {card.origin.name} are those of {card.model}: that network is trained, "
            f"not {recipe.model}."
        )
        return dict(card.build_arguments)
    asked, needed = recipe.build_arguments, card.build_arguments
    odd = [name for name in asked if name in needed and asked[name] != needed[name]]
    if odd:
        raise DataError(
            f"The recipe builds {recipe.model} with {odd[0]}={asked[odd[0]]!r}, the weights "
            f"{card.origin.name} need {odd[0]}={needed[odd[0]]!r}. Nothing was started. Leave it "
            "out of the recipe."
        )
    return {**asked, **needed}


def check_start(recipe: FitRecipe) -> None:
    """Refuse a network that is not known, and one that is frozen with random weights.

    Raises
    ------
    UsageError
        If neither a paper nor timm gives its name.
    DataError
        If parts stay as they start and nothing says from which weights.
    """
    if recipe.model in WITHOUT_NETWORK and isinstance(recipe, ProbeRecipe):
        return
    check_name(recipe.model)
    if recipe.weights is None and freezes(recipe):
        raise DataError(
            f"The recipe keeps parts of {recipe.model} frozen, and names no weights for them: "
            "frozen at random they would see nothing. Nothing was started. Give --weights a file "
            "with its card, a finished run, or the name of fetched ones"
            + (
                ", or set frozen_groups: 0 to train it whole."
                if isinstance(recipe, TrainingRecipe)
                else ", or take model: pixels."
            )
        )


def freezes(recipe: FitRecipe) -> bool:
    """Tell whether any stage of a training keeps a part of its network as it started."""
    if isinstance(recipe, TrainingRecipe):
        return any(frozen != 0 for frozen in frozen_in(recipe))
    return True


def frozen_in(recipe: TrainingRecipe) -> list[int | str]:
    """List what each stage of a training freezes."""
    return [stage.frozen_groups for stage in stretches(recipe)]
