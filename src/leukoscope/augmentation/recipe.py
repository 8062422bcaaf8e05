"""What an augmentation is, as a value: its steps, its rules of resampling, how often it is done."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from leukoscope.augmentation.policies import Steps, every_step
from leukoscope.augmentation.sensor_steps import BackgroundReplacement
from leukoscope.foundation.errors import unknown_name
from leukoscope.records.catalogue import read_shipped, shipped_names
from leukoscope.records.recipes import Recipe

Border = Literal["reflect", "edge", "constant", "background"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]
Level = Annotated[int, Field(ge=0, le=255)]


_NAMED = ("leukoscope.augmentation", "named")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class AugmentationRecipe(Recipe):
    """State a chain of steps; without steps it is provably nothing."""

    name: str = "none"
    """What reports and copies call it: letters, digits, dots, dashes and underscores. A chain of
    steps without a name is called ``unnamed``; ``none`` is what does nothing."""
    steps: Steps = ()
    """Geometry first, whatever the order: it is one resampling. The rest as it stands here."""
    probability: float = Field(default=1.0, ge=0, le=1)
    """How often a picture goes through the chain at all."""
    border: Border = "reflect"
    """What fills places the picture leaves free; ``background`` is its own empty field's colour."""
    border_rgb: tuple[Level, Level, Level] = (0, 0, 0)
    """The colour of a ``constant`` border, 0 to 255."""
    interpolation: Interpolation = "bilinear"
    """How levels between pixels are found."""
    lengths_at_px: int | None = Field(default=None, gt=0, le=10_000)
    """If given, lengths in ``_px`` are those of a picture whose shorter side is this, and are
    scaled to the one at hand; otherwise they are its own pixels, at whatever size it comes."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """Keep a chain without a name from being called none."""
        if isinstance(value, dict) and value.get("steps") and "name" not in value:
            return value | {"name": "unnamed"}
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"the name {self.name!r} should be up to 64 letters, digits, dots, dashes and "
                "underscores: cells and files are called after it"
            )
        if self.steps and self.name == "none":
            raise ValueError("a recipe called none has no steps; give this one another name")
        if self.border != "constant" and self.border_rgb != (0, 0, 0):
            raise ValueError(f"border_rgb goes with border: constant, not {self.border}")
        return self


def needs_masks(recipe: AugmentationRecipe) -> bool:
    """Tell whether any step, however deep, asks for the cell's mask: training has none."""
    return any(isinstance(step, BackgroundReplacement) for step in every_step(recipe.steps))


def named_augmentations() -> list[str]:
    """List the names of the augmentation recipes that come with the package."""
    return shipped_names(*_NAMED)


def load_augmentation(name_or_path: str | Path) -> AugmentationRecipe:
    """Read an augmentation recipe by name, or from a YAML file.

    Raises
    ------
    UsageError
        If no recipe has that name.
    RecipeError
        If the file cannot be read as a recipe.
    """
    name = str(name_or_path)
    if name.endswith((".yaml", ".yml")):
        return AugmentationRecipe.from_yaml(Path(name))
    if name not in named_augmentations():
        raise unknown_name("augmentation", name, named_augmentations())
    return AugmentationRecipe.from_mapping(read_shipped(*_NAMED, name), where=name)
