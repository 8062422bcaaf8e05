"""In what an arm differs from the others, and the training that comes of it."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.models.probes import WITHOUT_NETWORK
from leukoscope.records.recipes import Recipe
from leukoscope.records.runs import NetworkRecipe, WeightsOrigin
from leukoscope.training.probe import ProbeRecipe
from leukoscope.training.recipe import AugmentationUse, FitRecipe, TrainingRecipe, check_copies
from leukoscope.training.recipes import fit_recipe
from leukoscope.training.settings import AnyTraining, changed

Budget = Literal["equal-updates", "equal-time"]
GIVEN = "given"
"""As an arm's ``weights``: those that --weights gives, whichever they are."""

_OF_THE_ARM = ("augmentation", "augmentation_use", "copies", "generated", "originals")
_OF_THE_STUDY = ("seed", "split", "repeat", "fold", "train_cells")
_OF_A_NETWORK = ("build_arguments", "weights")
_OF_THE_BUDGET = ("updates", "validate_every")


class Arm(Recipe):
    """State in what one arm differs from the others."""

    description: str
    """What a reader should know of it."""
    augmentation: AugmentationRecipe = AugmentationRecipe()
    """What is done to its training cells."""
    augmentation_use: AugmentationUse = "online"
    """How; see TrainingRecipe."""
    copies: int = Field(default=0, ge=0, le=100)
    """With ``copies``: how many of each cell; see TrainingRecipe."""
    times_originals: float = Field(default=1.0, ge=1, le=100)
    """Size of its draw, in times the study's ``train_cells``; the smaller is part of the larger."""
    generated: float = Field(default=0.0, ge=0, le=100)
    """Cells of the study's generator beside the drawn ones: so many a drawn cell of a category."""
    originals: bool = True
    """Whether the drawn cells are trained on; false: generated cells alone, as many as said."""
    training: dict[str, Any] = Field(default={})
    """What it changes of the study's shared training, by the keys of a training recipe; with
    ``classifier`` it is a classical one on frozen features. Another ``model`` than the shared one
    leaves its build arguments and starting weights behind."""
    weights: str | None = None
    """Name of its starting weights among those that --weights gives: a file's name without ending,
    or its part before the first dot. ``given``: the only ones there are. Null: as the study's."""
    origin: WeightsOrigin | None = None
    """Where they come from; written when the study begins."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_copies(self.augmentation, self.augmentation_use, self.copies)
        if not self.originals and not self.generated:
            raise ValueError("without originals there must be generated cells; say how many")
        if self.origin is not None and self.weights is None:
            raise ValueError("origin is written when a study begins; state the name in weights")
        return self


def training_of_arm(shared: TrainingRecipe, arm: Arm) -> AnyTraining:
    """Merge what an arm changes over what all arms share.

    Parameters
    ----------
    shared : TrainingRecipe
        The study's training.
    arm : Arm
        Its ``training`` goes before; within ``preprocessing`` key by key.

    Returns
    -------
    TrainingRecipe or ProbeRecipe
        With the arm's augmentation; cells and seed are still the shared ones.

    Raises
    ------
    ValueError
        If a key belongs to the arm or the study.
    RecipeError
        If a key is unknown or a value out of range.
    """
    special = arm.training
    _refuse_keys(special)
    value = _left_by(shared, special)
    own = special.get("preprocessing", {})
    if isinstance(own, Mapping):
        own = value["preprocessing"] | dict(own)
    value |= special | {"preprocessing": own}
    value |= {name: getattr(arm, name) for name in ("augmentation_use", "copies")}
    value["augmentation"] = arm.augmentation.model_dump(mode="json")
    if arm.origin is not None:
        value["weights"] = arm.origin.model_dump(mode="json")
    return fit_recipe(value, where="its training")


def _left_by(shared: TrainingRecipe, special: Mapping[str, Any]) -> dict[str, Any]:
    """Give what of the shared training holds for an arm's network and kind."""
    value = shared.model_dump(mode="json")
    model = special.get("model", shared.model)
    bound: tuple[str, ...] = _OF_A_NETWORK if model != shared.model else ()
    if model in WITHOUT_NETWORK:
        bound = (*NetworkRecipe.model_fields, "weights")
        value["preprocessing"] = {"size_px": shared.preprocessing.size_px}
    value |= {name: FitRecipe.model_fields[name].get_default() for name in bound}
    if "classifier" in special:
        value = {name: value[name] for name in FitRecipe.model_fields}
    return value


def check_budget(shared: TrainingRecipe, arm: Arm, training: AnyTraining, budget: Budget) -> None:
    """Refuse an arm that would spend another share than the study says.

    Raises
    ------
    ValueError
        If it stops early, states updates where all arms have equal ones, or none where each
        states its own.
    """
    if isinstance(training, ProbeRecipe):
        return
    if training.patience is not None or training.stop_when_worse:
        raise ValueError("early stopping (patience, stop_when_worse) must be off inside a study")
    stated = [name for name in _OF_THE_BUDGET if name in arm.training]
    if budget == "equal-updates" and stated:
        raise ValueError(
            f"{stated[0]} is the same in all arms of a study of equal updates. State budget: "
            "equal-time if its arms are meant to take equal time"
        )
    if budget == "equal-updates" and training.updates != shared.updates:
        raise ValueError(f"does {training.updates} updates, the study {shared.updates}")
    if budget == "equal-time" and "updates" not in arm.training:
        raise ValueError("states no updates; with budget: equal-time each arm states its own")


def start_of(training: AnyTraining) -> str:
    """Name the start of a training: equal where network, size and weights before it are equal."""
    own = (*NetworkRecipe.model_fields, "weights", "keep_head")
    value = {name: getattr(training, name, None) for name in own}
    kind = type(training).__name__
    return repr((kind, training.preprocessing.size_px, sorted(value.items())))


def longer(training: TrainingRecipe, times: float) -> TrainingRecipe:
    """Stretch a training: its updates, those of its stages, and what is counted in them."""

    def scaled(updates: int) -> int:
        return max(1, round(updates * times)) if updates else 0

    counted = ("validate_every", "warmup_updates", "step_every")
    own = {name: scaled(getattr(training, name) or 0) or None for name in counted}
    own["warmup_updates"] = own["warmup_updates"] or 0
    return changed(training, updates=scaled(training.updates)).model_copy(update=own)


def _refuse_keys(special: Mapping[str, Any]) -> None:
    for name in special:
        if name in _OF_THE_ARM:
            raise ValueError(f"{name} stands beside training in an arm, not within it")
        if name in _OF_THE_STUDY:
            raise ValueError(f"{name} is the same in all arms; it belongs to the study")
        if name == "weights":
            raise ValueError("weights stand by name beside training in an arm, not within it")
