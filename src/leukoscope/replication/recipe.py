"""What a study is, as a value: its question, its arms, what all of them share."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.foundation.errors import RecipeError, UsageError, unknown_name
from leukoscope.foundation.streams import key
from leukoscope.records.catalogue import read_shipped, shipped_names
from leukoscope.records.recipes import Recipe
from leukoscope.replication.arms import Arm, Budget, check_budget, longer, training_of_arm
from leukoscope.synthesis.recipe import GeneratorRecipe
from leukoscope.synthesis.recipes import load_generator
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
    fold: int | None = None
    """Of a study over folds: the one it is tested on."""


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
    folds: bool = False
    """Repeated cross-validation: replicate r is repeat r of the split, trained once for each of
    its folds, and answers with the folds' tests joined, each cell once. Without ``train_cells``
    it trains on the whole training side, for repeats and folds differ in their cells."""
    generator: GeneratorRecipe | None = None
    """What draws the arms' generated cells, fitted anew in every replicate (and fold) to the cells
    that arms of the usual size are trained on. A name of ``catalogue generators`` will do, and
    ``recipe`` with such a name beside what is changed of it."""

    @field_validator("generator", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            return load_generator(value)
        if isinstance(value, dict) and "recipe" in value:
            own = {name: new for name, new in value.items() if name != "recipe"}
            return load_generator(str(value["recipe"])).model_dump(mode="json") | own
        return value

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
        if self.folds and (self.training.repeat or self.training.fold):
            raise ValueError("folds: true takes every fold; leave repeat and fold out of training")
        self._check_generator()
        return self

    def _check_generator(self) -> None:
        shared = self.training
        if shared.generated is not None or not shared.originals:
            raise ValueError("generated and originals belong to the arms, not to training")
        users = [name for name, arm in self.arms.items() if arm.generated]
        if users and self.generator is None:
            raise ValueError(
                f"arm {users[0]} asks for generated cells, and the study states no generator"
            )
        if self.generator is None:
            return
        if not users:
            raise ValueError("no arm asks for cells of the generator; leave it out")
        own = ("train_cells", "split", "repeat", "fold", "seed")
        plain = GeneratorRecipe.model_fields
        odd = [name for name in own if getattr(self.generator, name) != plain[name].default]
        if odd:
            raise ValueError(f"{odd[0]} of the generator is the replicate's; leave it out")

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

    def units(self, folds: Sequence[int | None] = (None,)) -> list[Unit]:
        """List what is to be trained: all arms of a replicate, and fold, before the next."""
        units = [
            unit
            for replicate in range(self.replicates)
            for fold in folds
            for arm in self.arms
            for unit in (
                Unit(arm, replicate, fold=fold),
                self.in_equal_epochs(arm, replicate, fold),
            )
            if self.equal_epochs or not unit.equal_epochs
        ]
        return list(dict.fromkeys(units))

    def in_equal_epochs(self, arm: str, replicate: int, fold: int | None = None) -> Unit:
        """Name an arm's training for the second analysis; its first one where both agree."""
        return Unit(arm, replicate, self._times_updates(arm) != 1, fold)

    def training_of(self, unit: Unit) -> AnyTraining:
        """Say what one unit trains: the arm's cells and training, the replicate's seed."""
        special = self.arms[unit.arm]
        cells = self.training.train_cells
        stated = training_of_arm(self.training, special)
        update: dict[str, Any] = {
            "train_cells": cells and round(cells * special.times_originals),
            **self._place(unit.replicate, unit.fold),
        }
        if self.generator is not None:
            update |= {"generated": special.generated, "originals": special.originals}
        if unit.equal_epochs and isinstance(stated, TrainingRecipe):
            stated = longer(stated, self._times_updates(unit.arm))
        return stated.model_copy(update=update)

    def generator_of(self, replicate: int, fold: int | None) -> GeneratorRecipe:
        """Say what a replicate's generator fits: the cells of an arm of the usual size."""
        assert self.generator is not None
        update = {"train_cells": self.training.train_cells, "split": self.training.split}
        return self.generator.model_copy(update=update | self._place(replicate, fold))

    def _place(self, replicate: int, fold: int | None) -> dict[str, int]:
        """Give the seed of a replicate and, over folds, the division it is trained in."""
        place = {"seed": key(self.seed, "replicate", replicate) % 2**31}
        return place | ({"repeat": replicate, "fold": fold or 0} if self.folds else {})

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
        cells = (special.originals + special.generated) * (1 + special.copies)
        return special.times_originals * cells / training.batch_size


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
    generator: str | None = None,
) -> StudyRecipe:
    """Give a study another training, replicates, seed, second analysis or generator, where given.

    Raises
    ------
    UsageError
        If a generator is given to a study without generated cells, or no generator has that name.
    RecipeError
        If a value is out of range.
    """
    if generator is not None and study.generator is None:
        raise UsageError(
            f"No arm of the study {study.name} has generated cells, so --generator {generator} "
            "would change nothing. Nothing was started. Leave it out."
        )
    value = study.model_dump(mode="json") | {"training": training.model_dump(mode="json")}
    asked = {"replicates": replicates, "seed": seed, "equal_epochs": equal_epochs}
    value |= {name: new for name, new in asked.items() if new is not None}
    if generator is not None:
        value["generator"] = load_generator(generator).model_dump(mode="json")
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
