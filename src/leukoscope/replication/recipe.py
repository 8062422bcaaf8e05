"""What a study is, as a value: its question, its arms, what all of them share."""

import re
from pathlib import Path
from typing import Literal, NamedTuple, Self

from pydantic import Field, model_validator

from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.foundation.errors import RecipeError, UsageError, unknown_name
from leukoscope.foundation.streams import key
from leukoscope.records.catalogue import read_shipped, shipped_names
from leukoscope.records.recipes import Recipe
from leukoscope.replication.arms import Arm, Budget, check_budget, longer, training_of_arm
from leukoscope.training.recipe import TrainingRecipe
from leukoscope.training.settings import AnyTraining

_STUDIES = ("leukoscope.replication", "studies")
_ARM_NAME = r"[A-Za-z0-9_-]{1,64}"


class Unit(NamedTuple):
    """Name one training of a study."""

    arm: str
    replicate: int
    equal_epochs: bool = False
    """Whether it belongs to the second analysis only."""


class StudyRecipe(Recipe):
    """State a study: every arm is trained in every replicate."""

    name: str = Field(min_length=1, max_length=64)
    """A short name."""
    question: str
    """The question it answers, as a sentence."""
    metric: Literal["accuracy", "balanced_accuracy", "macro_f"] = "macro_f"
    """The primary metric, named before running."""
    margin: float = Field(default=0.01, gt=0, lt=1)
    """The smallest difference of it that matters, named before running."""
    baseline: str
    """The arm the others are compared with."""
    arms: dict[str, Arm]
    """Name → what is special about it."""
    replicates: int = Field(default=8, ge=1, le=1000)
    """Each is a new draw of training cells, start, order and augmentation stream."""
    seed: int = Field(default=0, ge=0)
    """The replicates' seeds follow from it."""
    equal_epochs: bool = False
    """Whether arms of another size are trained a second time, for as many rounds over their cells
    as the baseline, as the papers did: a descriptive analysis with a name of its own."""
    budget: Budget = "equal-updates"
    """What all arms get. ``equal-updates``: as many optimiser updates, and validation at the same.
    ``equal-time``: each arm states its own ``updates``, chosen so that all take about as long on
    the machine at hand; for arms whose networks differ in size."""
    training: TrainingRecipe = TrainingRecipe()
    """What all arms share, but for what an arm states itself; early stopping is off, so that all
    spend what they are given."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.baseline not in self.arms:
            raise ValueError(f"baseline {self.baseline!r} is not one of the arms")
        if len(self.arms) < 2:
            raise ValueError("a study compares at least two arms")
        if self.training.patience is not None:
            raise ValueError("early stopping (patience) must be off inside a study")
        if self.training.augmentation != AugmentationRecipe() or self.training.seed != 0:
            raise ValueError("augmentation belongs to the arms, seed to the study, not to training")
        odd = [arm for arm in self.arms if not re.fullmatch(_ARM_NAME, arm)]
        if odd:
            raise ValueError(
                f"arm name {odd[0][:80]!r} should be up to 64 letters, digits, - and _"
            )
        if len({arm.casefold() for arm in self.arms}) < len(self.arms):
            raise ValueError("arm names should differ in more than capitals: they name folders")
        self._check_arms()
        return self

    def _check_arms(self) -> None:
        if self.equal_epochs and self.budget == "equal-time":
            raise ValueError("equal_epochs goes with budget: equal-updates; these have equal time")
        for name, arm in self.arms.items():
            try:
                training = training_of_arm(self.training, arm)
                check_budget(self.training, arm, training, self.budget)
            except (RecipeError, ValueError) as error:
                said = str(error).removesuffix(" Nothing was started.").removesuffix(".")
                raise ValueError(f"arm {name}: {said}") from None

    def units(self) -> list[Unit]:
        """List what is to be trained: all arms of a replicate before the next replicate."""
        units = [
            unit
            for replicate in range(self.replicates)
            for arm in self.arms
            for unit in (Unit(arm, replicate), self.in_equal_epochs(arm, replicate))
            if self.equal_epochs or not unit.equal_epochs
        ]
        return list(dict.fromkeys(units))

    def in_equal_epochs(self, arm: str, replicate: int) -> Unit:
        """Name an arm's training for the second analysis; its first one where both agree."""
        return Unit(arm, replicate, self._times_updates(arm) != 1)

    def training_of(self, unit: Unit) -> AnyTraining:
        """Say what one unit trains: the arm's cells and training, the replicate's seed."""
        special = self.arms[unit.arm]
        cells = self.training.train_cells
        stated = training_of_arm(self.training, special)
        update = {
            "train_cells": cells and round(cells * special.times_originals),
            "seed": key(self.seed, "replicate", unit.replicate) % 2**31,
        }
        if unit.equal_epochs and isinstance(stated, TrainingRecipe):
            stated = longer(stated, self._times_updates(unit.arm))
        return stated.model_copy(update=update)

    def _times_updates(self, arm: str) -> float:
        """Say how many times its updates an arm does for as many rounds as the baseline's."""
        own, other = (self._updates_a_round(name) for name in (arm, self.baseline))
        return own / other if own and other else 1

    def _updates_a_round(self, arm: str) -> float | None:
        """Count an arm's updates a round, up to a factor all arms share; none of a classical."""
        special = self.arms[arm]
        training = training_of_arm(self.training, special)
        if not isinstance(training, TrainingRecipe):
            return None
        return special.times_originals * (1 + special.copies) / training.batch_size


def named_studies() -> list[str]:
    """List the names of the studies that come with the package."""
    return shipped_names(*_STUDIES)


def load_study(name_or_path: str) -> StudyRecipe:
    """Read a study by name, or from a YAML file.

    Raises
    ------
    UsageError
        If no study has that name.
    RecipeError
        If the file cannot be read as a study.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        return StudyRecipe.from_yaml(Path(name_or_path))
    if name_or_path not in named_studies():
        raise unknown_name("study", name_or_path, named_studies())
    return StudyRecipe.from_mapping(read_shipped(*_STUDIES, name_or_path), where=name_or_path)


def with_training(
    study: StudyRecipe,
    training: TrainingRecipe,
    *,
    replicates: int | None,
    seed: int | None,
    equal_epochs: bool | None = None,
) -> StudyRecipe:
    """Give a study another shared training, replicates, seed or second analysis, where given.

    Raises
    ------
    RecipeError
        If a value is out of range.
    """
    value = study.model_dump(mode="json") | {"training": training.model_dump(mode="json")}
    asked = {"replicates": replicates, "seed": seed, "equal_epochs": equal_epochs}
    value |= {name: new for name, new in asked.items() if new is not None}
    return StudyRecipe.from_mapping(value, where=f"the study {study.name}")


def refuse_unheard(
    study: StudyRecipe, *, model: str | None, size_px: int | None, updates: int | None
) -> None:
    """Refuse an option that no arm would hear, for each states its own.

    Raises
    ------
    UsageError
        If one is given.
    """
    own = [arm.training for arm in study.arms.values()]
    stated = {
        "--model": (model, ["model" in arm for arm in own]),
        "--size-px": (size_px, ["size_px" in arm.get("preprocessing", {}) for arm in own]),
        "--updates": (updates, ["updates" in arm or "classifier" in arm for arm in own]),
    }
    for option, (value, by_arm) in stated.items():
        if value is not None and all(by_arm):
            raise UsageError(
                f"{option} {value} would change nothing: every arm of the study {study.name} "
                "states its own. Nothing was started. Leave it out, or keep the study as a file "
                f"(`leukoscope catalogue studies {study.name}`) and change it there."
            )
