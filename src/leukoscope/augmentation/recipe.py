"""What an augmentation is, as a value: its steps, its border rule, how often it is applied."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from leukoscope.foundation.errors import unknown_name
from leukoscope.records.recipes import Recipe, read_yaml


class Rotation(Recipe):
    """Turn about the centre by a drawn angle."""

    kind: Literal["rotation"] = "rotation"
    angle_range_deg: tuple[float, float] = (0.0, 360.0)
    """Angles are drawn evenly from here, counter-clockwise."""
    step_deg: float | None = Field(default=None, gt=0, le=360)
    """If given, only the lower end plus whole multiples of it are drawn, up to the upper end."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.angle_range_deg
        if not low <= high:
            raise ValueError(f"angle_range_deg should go from low to high, not {low} to {high}")
        if self.step_deg and low + self.step_deg > high:
            raise ValueError(f"step_deg {self.step_deg} leaves one angle in {low} to {high}")
        return self


class Flip(Recipe):
    """Mirror the picture, with a probability."""

    kind: Literal["flip"] = "flip"
    axis: Literal["horizontal", "vertical"]
    """``horizontal`` exchanges left and right, ``vertical`` top and bottom."""
    probability: float = Field(default=0.5, ge=0, le=1)
    """How often it is done."""


Step = Annotated[Rotation | Flip, Field(discriminator="kind")]


class AugmentationRecipe(Recipe):
    """State a chain of steps; without steps it is provably nothing."""

    name: str = "none"
    """What reports call it."""
    steps: tuple[Step, ...] = ()
    """Done in this order; all geometry of the chain is one resampling."""
    probability: float = Field(default=1.0, ge=0, le=1)
    """How often a picture goes through the chain at all."""
    border: Literal["reflect", "edge", "constant"] = "reflect"
    """What fills the corners a turned picture leaves free; ``constant`` is black."""


def named_augmentations() -> list[str]:
    """List the names of the augmentation recipes that come with the package."""
    folder = resources.files("leukoscope.augmentation") / "named"
    names = (entry.name for entry in folder.iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


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
    with resources.as_file(
        resources.files("leukoscope.augmentation") / "named" / f"{name}.yaml"
    ) as path:
        return AugmentationRecipe.from_mapping(read_yaml(path), where=name)
