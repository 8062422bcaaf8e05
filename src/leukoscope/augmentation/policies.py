"""Policies: nothing, several steps, one of several; and the union of all steps."""

import difflib
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Numbers
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

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
    steps: "Steps"
    """Done in this order."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.steps:
            raise ValueError("a sequence holds one step or more; for doing nothing write identity")
        return self

    def count(self) -> int:
        """Count the numbers of all steps."""
        return sum(step.count() for step in self.steps) + (self.probability < 1)

    def drawn(self, numbers: Numbers[float]) -> tuple[Operation, ...]:
        """Turn numbers into the operations of all steps."""
        return operations_of(self.steps, numbers)


class OneOf(DrawnStep):
    """Do one of several steps, each equally often.

    With wide ranges and one step a picture this is TrivialAugment (Müller and Hutter 2021).
    """

    kind: Literal["one_of"] = "one_of"
    steps: "Steps"
    """The choices."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.steps) < 2:
            raise ValueError("one_of chooses among two steps or more; a single one stands alone")
        return self

    def count(self) -> int:
        """Count the numbers of all choices, and the choice's."""
        return 1 + sum(step.count() for step in self.steps) + (self.probability < 1)

    def drawn(self, numbers: Numbers[float]) -> tuple[Operation, ...]:
        """Turn numbers into the operations of the chosen step."""
        chosen = int(numbers[0] * len(self.steps))
        before = 1 + sum(step.count() for step in self.steps[:chosen])
        return self.steps[chosen].operations(numbers[before:])


_AnyStep = (
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
    | OneOf
)


def _of_known_kind(value: object) -> object:
    """Refuse what names no kind of step, with the kinds that are near."""
    if isinstance(value, DrawnStep):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"a step is written `kind: {value}` and below it what it takes")
    kind = value.get("kind")
    if kind in STEPS:
        return value
    if kind is None:
        raise ValueError("a step begins with its kind, for example `kind: rotation`")
    near = difflib.get_close_matches(str(kind), STEPS, n=3, cutoff=0.6)
    near = near or [each for each in STEPS if str(kind) in each]
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(STEPS)}"
    raise ValueError(f"no step is of kind {kind!r}; {hint}")


def _listed(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return value
    raise ValueError("steps are a list, each beginning with `- kind:`")


Step = Annotated[_AnyStep, Field(discriminator="kind"), BeforeValidator(_of_known_kind)]
Steps = Annotated[tuple[Step, ...], BeforeValidator(_listed)]
STEPS: dict[str, type[DrawnStep]] = {
    each.model_fields["kind"].default: each for each in get_args(_AnyStep)
}
"""All steps by their kind."""

# These two hold steps, and stand above the word for any step: only now are they whole.
Sequence.model_rebuild()
OneOf.model_rebuild()


def every_step(steps: Iterable[Step]) -> Iterator[Step]:
    """Walk through steps and through all those that policies among them hold."""
    for step in steps:
        yield step
        if isinstance(step, Sequence | OneOf):
            yield from every_step(step.steps)


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
