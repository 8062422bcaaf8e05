"""What a study is, as a value: its question, its arms, what all of them share."""

import re
from pathlib import Path
from typing import Literal, NamedTuple, Self

from pydantic import Field, model_validator

from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.foundation.errors import unknown_name
from leukoscope.foundation.streams import key
from leukoscope.records.catalogue import read_shipped, shipped_names
from leukoscope.records.recipes import Recipe
from leukoscope.training.recipe import AugmentationUse, TrainingRecipe, check_copies

_STUDIES = ("leukoscope.replication", "studies")
_ARM_NAME = r"[A-Za-z0-9_-]{1,64}"


class Unit(NamedTuple):
    """Name one training of a study."""

    arm: str
    replicate: int
    equal_epochs: bool = False
    """Whether it belongs to the second analysis only."""


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

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_copies(self.augmentation, self.augmentation_use, self.copies)
        return self


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
    training: TrainingRecipe = TrainingRecipe()
    """What all arms share; early stopping is off, so that all do the same number of updates."""

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
        return self

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
        return Unit(arm, replicate, self._times_cells(arm) != self._times_cells(self.baseline))

    def training_of(self, unit: Unit) -> TrainingRecipe:
        """Say what one unit trains: the arm's cells and augmentation, the replicate's seed."""
        special, shared = self.arms[unit.arm], self.training
        cells = shared.train_cells
        times = self._times_cells(unit.arm) / self._times_cells(self.baseline)
        times = times if unit.equal_epochs else 1.0

        def scaled(updates: int) -> int:
            return max(1, round(updates * times)) if updates else 0

        return shared.model_copy(
            update={
                "augmentation": special.augmentation,
                "augmentation_use": special.augmentation_use,
                "copies": special.copies,
                "train_cells": cells and round(cells * special.times_originals),
                "updates": scaled(shared.updates),
                "validate_every": scaled(shared.validate_every),
                "warmup_updates": scaled(shared.warmup_updates),
                "seed": key(self.seed, "replicate", unit.replicate) % 2**31,
            }
        )

    def _times_cells(self, arm: str) -> float:
        special = self.arms[arm]
        return special.times_originals * (1 + special.copies)


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
