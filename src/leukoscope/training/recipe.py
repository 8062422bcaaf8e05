"""What a training is, as a value: everything its result depends on, but for data and machine."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from leukoscope.augmentation.recipe import AugmentationRecipe, needs_masks
from leukoscope.fitting.schedules import Schedule
from leukoscope.records.recipes import Recipe
from leukoscope.records.runs import NetworkRecipe, Preprocessing, WeightsOrigin

AugmentationUse = Literal["online", "in-place", "copies"]
Optimiser = Literal["adamw", "adam", "amsgrad", "sgd", "rmsprop"]
ClassWeights = Literal["none", "inverse-frequency", "effective-number"]


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
    """How many cells are drawn from the training split, whole families, stratified; all if null.
    Generated cells do not count."""
    generated: float | None = Field(default=None, ge=0, le=1000)
    """Generated cells used for each drawn original of a category, the first by number; all there
    are if null, none with 0."""
    originals: bool = True
    """Whether originals and their copies train; without them generated cells alone do."""
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
        if not self.originals and self.generated == 0:
            raise ValueError(
                "generated: 0 with originals: false leaves no cell to train on; leave one out"
            )
        return self


FrozenGroups = Annotated[int, Field(ge=0, strict=True)] | Literal["all-but-head"]


class Stage(Recipe):
    """State one stretch of a training; what it leaves null is as in the recipe around it."""

    updates: int = Field(ge=1, le=10_000_000)
    """Number of optimiser updates of this stage; the schedule runs anew over them."""
    learning_rate: float | None = Field(default=None, gt=0)
    """The highest learning rate of this stage."""
    frozen_groups: FrozenGroups | None = None
    """Which layer groups stay as they are in this stage."""
    size_px: int | None = Field(default=None, ge=8)
    """Side that pictures are made smaller to in this stage, once they are augmented."""
    augmentation: AugmentationRecipe | None = None
    """What is done to training cells in this stage."""


class TrainingRecipe(FitRecipe):
    """State one training of a network."""

    optimiser: Optimiser = "adamw"
    """The optimiser; ``amsgrad`` is Adam with its largest second moment so far."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1e30)
    """The highest learning rate."""
    weight_decay: float = Field(default=0.05, ge=0)
    """Decay of weights; biases and normalisation are spared. With ``adamw`` apart from the
    gradient, elsewhere a part of it (L2), and the papers have none."""
    schedule: Schedule = "cosine"
    """Course of the learning rate."""
    rate_factor: float = Field(default=0.3, gt=0, lt=1)
    """With ``step`` and ``plateau``: what the rate is multiplied by each time."""
    step_every: int | None = Field(default=None, ge=1)
    """With ``step``: the rate is lowered each time so many updates are done."""
    plateau_patience: int = Field(default=3, ge=1)
    """With ``plateau``: lowered after so many validations without a new best."""
    warmup_updates: int = Field(default=20, ge=0)
    """The rate rises evenly over these updates."""
    rate_decay: float = Field(default=1.0, gt=0, le=1)
    """The head learns at the full rate, each layer group below it at this share of the one above;
    1: all at one rate."""
    frozen_groups: FrozenGroups = 0
    """How many layer groups, counted from the input, stay as they are; ``all-but-head``: all of
    them but the last."""
    keep_head: bool = False
    """Whether the starting weights' own head is taken too; their categories must be these."""
    stages: tuple[Stage, ...] = ()
    """Stretches with settings of their own, one after the other; without any it is one stretch."""
    loss: Literal["cross-entropy", "focal"] = "cross-entropy"
    """What is made small; ``focal`` gives cells that are right already less weight."""
    focal_gamma: float = Field(default=0.0, ge=0, le=10)
    """With ``focal``: how much less; 2 in the paper that proposed it (Lin et al. 2017)."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of each label spread evenly over all categories."""
    class_weights: ClassWeights = "none"
    """Whether cells of rare categories count more in the loss: by the inverse of how many there
    are, or of their effective number (Cui et al. 2019)."""
    logit_adjustment: float = Field(default=0.0, ge=0, le=10)
    """Times the logarithm of each category's share that is added to its logit in training alone
    (Menon et al. 2021); 1 in the paper, 0: nothing is added."""
    sampling: Literal["as-they-come", "balanced"] = "as-they-come"
    """``balanced``: each category comes equally often, however many cells it has."""
    bagging: bool = False
    """With regions: whether each of the networks learns from a bootstrap bag of its own."""
    batch_size: int = Field(default=64, ge=2, le=65_536)
    """Cells an update."""
    updates: int = Field(default=600, ge=1, le=10_000_000)
    """Number of optimiser updates, all stages together."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Gradients longer than this are shortened to it; null leaves them."""
    average_decay: float | None = Field(default=None, gt=0, lt=1)
    """Keep a running mean of the weights, each update counting 1 less this share; it is
    validated and saved in their place. Null keeps none."""
    validate_every: int = Field(default=50, ge=1)
    """Validation is scored each time so many updates are done, and after the last."""
    choose_by: Literal["macro_f", "balanced_accuracy", "accuracy", "loss"] = "macro_f"
    """Which score of validation chooses the weights that are kept; the loss decides a tie."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many validations without a new best, counted within the last stage; null never
    stops early."""
    stop_when_worse: bool = False
    """Whether to stop at the first validation of the last stage whose accuracy fell and whose loss
    rose (Saquib and Rodriguez)."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the forward and backward pass; ``auto`` takes what the machine does best."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        _check_rates(self)
        _check_loss(self)
        _check_stages(self)
        if self.bagging and self.regions == "whole":
            raise ValueError(
                "bagging gives each of several networks a bag of its own, and this is one network; "
                "leave bagging out or add regions: quadrants-and-rim"
            )
        return self


def _check_rates(recipe: TrainingRecipe) -> None:
    if (recipe.schedule == "step") != (recipe.step_every is not None):
        raise ValueError("schedule: step goes with step_every, a number of updates, and only so")
    if recipe.schedule == "one-cycle" and recipe.warmup_updates:
        raise ValueError("schedule: one-cycle warms up by itself; give warmup_updates: 0 with it")


def _check_loss(recipe: TrainingRecipe) -> None:
    if recipe.loss == "focal" and not recipe.focal_gamma:
        raise ValueError("loss: focal with focal_gamma: 0 is cross-entropy; give focal_gamma: 2")
    if recipe.loss != "focal" and recipe.focal_gamma:
        raise ValueError("focal_gamma is for the focal loss; add loss: focal or leave it out")
    if recipe.loss == "focal" and recipe.label_smoothing:
        raise ValueError(
            "the focal loss asks for the probability of one label, and label_smoothing makes "
            "several; leave one of them out"
        )
    rivals = {
        "class_weights": recipe.class_weights != "none",
        "logit_adjustment": recipe.logit_adjustment > 0,
        "sampling: balanced": recipe.sampling == "balanced",
    }
    taken = [name for name, is_taken in rivals.items() if is_taken]
    if len(taken) > 1:
        raise ValueError(
            f"{' and '.join(taken)} each make up for rare categories, and together they do it "
            "twice; keep one of them"
        )


def _check_stages(recipe: TrainingRecipe) -> None:
    total = sum(stage.updates for stage in recipe.stages)
    if recipe.stages and total != recipe.updates:
        raise ValueError(
            f"the stages do {total} updates together, and updates says {recipe.updates}; make them "
            "agree"
        )
    for stage in recipe.stages:
        if stage.augmentation is not None:
            check_copies(stage.augmentation, recipe.augmentation_use, recipe.copies)
        if stage.size_px is not None:
            _check_size(recipe, stage.size_px)


def _check_size(recipe: TrainingRecipe, size_px: int) -> None:
    if size_px > recipe.preprocessing.size_px:
        raise ValueError(
            f"a stage asks for {size_px} px, and pictures are kept at preprocessing.size_px = "
            f"{recipe.preprocessing.size_px}; a stage can only make them smaller"
        )
    if size_px == recipe.preprocessing.size_px:
        return
    # The networks of the papers come with torch, which reading a recipe should not wait for.
    from leukoscope.models.published import PUBLISHED

    if recipe.model in PUBLISHED or recipe.head != "linear":
        cut = recipe.model if recipe.model in PUBLISHED else f"the head {recipe.head}"
        raise ValueError(
            f"{cut} is cut to one size of picture, so no stage can have another; leave size_px out "
            "of the stages, or take a network of timm with head: linear"
        )


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
