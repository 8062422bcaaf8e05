"""Policies: nothing, several steps, one of several; and the union of all steps."""

from collections.abc import Sequence as Numbers
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from leukoscope.augmentation.geometry_steps import (
    ElasticDistortion,
    Flip,
    LensDistortion,
    Rotation,
    Scaling,
    Shear,
    Shift,
    Transposition,
)
from leukoscope.augmentation.light_steps import (
    Brightness,
    Contrast,
    Gamma,
    Hue,
    JpegCompression,
    Saturation,
    StainJitter,
    WhiteBalance,
)
from leukoscope.augmentation.sensor_steps import (
    AddedBorder,
    BackgroundReplacement,
    DefocusBlur,
    Erasing,
    GaussianBlur,
    GaussianNoise,
    MotionBlur,
    PoissonNoise,
    SaltAndPepper,
)
from leukoscope.augmentation.step import DrawnStep, Operation


class Identity(DrawnStep):
    """Do nothing: for one choice among others."""

    kind: Literal["identity"] = "identity"
    n_numbers: ClassVar[int] = 0

    def drawn(self, _numbers: Numbers[float]) -> tuple[Operation, ...]:
        """Draw nothing."""
        return ()


class Sequence(DrawnStep):
    """Do several steps, one after the other, or none of them."""

    kind: Literal["sequence"] = "sequence"
    steps: tuple["Step", ...] = Field(min_length=1)
    """Done in this order."""

    def count(self) -> int:
        """Count the numbers of all steps."""
        return sum(step.count() for step in self.steps) + (self.probability < 1)

    def operations(self, numbers: Numbers[float]) -> tuple[Operation, ...]:
        """Turn numbers into the operations of all steps."""
        if self.probability < 1 and numbers[self.count() - 1] >= self.probability:
            return ()
        return operations_of(self.steps, numbers)


class OneOf(DrawnStep):
    """Do one of several steps, each equally often.

    With wide ranges and one step a picture this is TrivialAugment (Müller and Hutter 2021).
    """

    kind: Literal["one_of"] = "one_of"
    steps: tuple["Step", ...] = Field(min_length=2)
    """The choices."""

    def count(self) -> int:
        """Count the numbers of all choices, and the choice's."""
        return 1 + sum(step.count() for step in self.steps) + (self.probability < 1)

    def operations(self, numbers: Numbers[float]) -> tuple[Operation, ...]:
        """Turn numbers into the operations of the chosen step."""
        if self.probability < 1 and numbers[self.count() - 1] >= self.probability:
            return ()
        chosen = int(numbers[0] * len(self.steps))
        before = 1 + sum(step.count() for step in self.steps[:chosen])
        return self.steps[chosen].operations(numbers[before:])


Step = Annotated[
    Rotation
    | Flip
    | Transposition
    | Scaling
    | Shift
    | Shear
    | LensDistortion
    | ElasticDistortion
    | Brightness
    | Contrast
    | Gamma
    | Hue
    | Saturation
    | WhiteBalance
    | StainJitter
    | JpegCompression
    | GaussianBlur
    | DefocusBlur
    | MotionBlur
    | GaussianNoise
    | PoissonNoise
    | SaltAndPepper
    | Erasing
    | AddedBorder
    | BackgroundReplacement
    | Identity
    | Sequence
    | OneOf,
    Field(discriminator="kind"),
]


def operations_of(steps: Numbers[Step], numbers: Numbers[float]) -> tuple[Operation, ...]:
    """Turn numbers into the operations of steps in their order.

    Each step takes its own numbers, always as many: its draw does not hang on another's outcome.
    """
    done: list[Operation] = []
    start = 0
    for step in steps:
        done.extend(step.operations(numbers[start:]))
        start += step.count()
    return tuple(done)
