"""What a training is, as a value: everything its result depends on, but for data and machine."""

from typing import Literal, Self

from pydantic import Field, model_validator

from leukoscope.augmentation.recipe import AugmentationRecipe, needs_masks
from leukoscope.records.runs import NetworkRecipe, Preprocessing, WeightsOrigin

AugmentationUse = Literal["online", "in-place", "copies"]


class FitRecipe(NetworkRecipe):
    """State what every fit shares, a network's and a classical model's on frozen features."""

    weights: WeightsOrigin | None = None
    """What it starts from; nothing for random weights."""
    preprocessing: Preprocessing = Preprocessing()
    """How pixels become the network's input."""
    augmentation: AugmentationRecipe = AugmentationRecipe()
    """What is done to training cells."""
    augmentation_use: AugmentationUse = "online"
    """``online``: anew at each visit. ``in-place``: once for all, the same at each visit.
    ``copies``: as it was, and beside it *copies* augmented ones, the same at each visit."""
    copies: int = Field(default=0, ge=0, le=100)
    """With ``copies``: augmented copies of each training cell, drawn as ``augment`` draws them."""
    train_cells: int | None = Field(default=None, ge=2)
    """How many cells are drawn from the training split, whole families, stratified; all if null."""
    test_views: Literal[1, 8] = 1
    """8: predictions are the mean over the eight orientations of each picture."""
    calibrate: bool = False
    """Whether a temperature is fitted on the split's calibration cells."""
    split: str = "splits"
    """Name of the dataset's split."""
    repeat: int = Field(default=0, ge=0)
    """Which of its repeats."""
    fold: int = Field(default=0, ge=0)
    """Which of its folds."""
    seed: int = Field(default=0, ge=0)
    """Draw of training cells, initial weights, order and augmentation follow from it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_copies(self.augmentation, self.augmentation_use, self.copies)
        return self


class TrainingRecipe(FitRecipe):
    """State one training of a network."""

    optimiser: Literal["adamw", "sgd"] = "adamw"
    """The optimiser."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """The highest learning rate."""
    weight_decay: float = Field(default=0.05, ge=0)
    """Decay of weights; biases and normalisation are spared."""
    schedule: Literal["constant", "cosine", "plateau"] = "cosine"
    """Course of the learning rate."""
    warmup_updates: int = Field(default=20, ge=0)
    """The rate rises evenly over these updates."""
    plateau_patience: int = Field(default=3, ge=1)
    """With ``plateau``: lowered after so many validations without a new best."""
    batch_size: int = Field(default=64, ge=2)
    """Cells an update."""
    updates: int = Field(default=600, ge=1, le=10_000_000)
    """Number of optimiser updates."""
    validate_every: int = Field(default=50, ge=1)
    """Validation is scored each time so many updates are done, and after the last."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many validations without a new best; null never stops early."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of each label spread evenly over all categories."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the forward and backward pass; ``auto`` takes what the machine does best."""


def check_copies(augmentation: AugmentationRecipe, use: AugmentationUse, copies: int) -> None:
    """Refuse copies of nothing, a number of them where none are made, and steps that need masks.

    Raises
    ------
    ValueError
        As pydantic's validators do.
    """
    if needs_masks(augmentation):
        raise ValueError(
            "background_replacement needs each cell's mask, and training has none. Run isolate, "
            "augment its dataset with this recipe, and train on that without it"
        )
    if (use == "copies") != (copies > 0):
        raise ValueError("augmentation_use: copies goes with copies: 1 or more, and only so")
    if copies and not augmentation.steps:
        raise ValueError("copies made by an augmentation without steps would be the cells again")
