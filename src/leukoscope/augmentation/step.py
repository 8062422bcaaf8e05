"""What all steps of an augmentation share: numbers from [0, 1) become operations.

A step is a value. It says how many even numbers it takes and turns them into operations;
nothing here touches a pixel.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from leukoscope.records.recipes import Recipe

Operation = tuple[str, tuple[float, ...]]
"""One thing to do, with its drawn parameters: name (units in it) and numbers."""

_SEEDS = 2**53


class DrawnStep(Recipe):
    """Hold what all steps share."""

    n_numbers: ClassVar[int] = 1
    """How many numbers the parameters take."""
    probability: float = Field(default=1.0, ge=0, le=1)
    """How often it is done."""

    def count(self) -> int:
        """Count the numbers one draw of this step takes, whatever comes of it."""
        return self.n_numbers + (self.probability < 1)

    def operations(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Turn numbers from [0, 1) into what is done; nothing where the last one decides so."""
        if self.probability < 1 and numbers[self.count() - 1] >= self.probability:
            return ()
        return self.drawn(numbers)

    def drawn(self, numbers: Sequence[float]) -> tuple[Operation, ...]:
        """Turn numbers into the operations of this step when it is done."""
        raise NotImplementedError


def seed_of(number: float) -> float:
    """Turn a number from [0, 1) into a whole one that seeds a field and survives JSON."""
    return float(int(number * _SEEDS))
