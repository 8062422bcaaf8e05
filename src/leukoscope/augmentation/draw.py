"""From a recipe to drawn parameters: what will be done to one picture, before it is done."""

import json
from dataclasses import asdict, dataclass, replace

from leukoscope.augmentation.policies import operations_of
from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.augmentation.step import Operation
from leukoscope.foundation.errors import SchemaError
from leukoscope.foundation.streams import uniform


@dataclass(frozen=True)
class Draw:
    """Hold the drawn parameters of one picture; enough to make it again."""

    operations: tuple[Operation, ...] = ()
    """In order: names, with their units, and numbers; angles counter-clockwise."""
    border: str = "reflect"
    """What fills places the picture leaves free."""
    border_rgb: tuple[int, int, int] = (0, 0, 0)
    """The colour of a constant border."""
    interpolation: str = "bilinear"
    """How levels between pixels are found."""
    lengths_at_px: int | None = None
    """The shorter side of the picture whose pixels lengths count; its own if null."""

    def to_json(self) -> str:
        """Write the draw as it stands in a manifest."""
        value = asdict(self) | {"operations": [(name, *given) for name, given in self.operations]}
        return json.dumps(value, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Draw":
        """Read a draw back from a manifest.

        Raises
        ------
        SchemaError
            If the text is no draw, or one of another version.
        """
        try:
            value = json.loads(text)
            operations = tuple((name, tuple(given)) for name, *given in value["operations"])
            border_rgb = tuple(value["border_rgb"])
            return cls(**value | {"operations": operations, "border_rgb": border_rgb})
        except (ValueError, KeyError, TypeError):
            raise SchemaError(
                f"A draw cannot be read: {text[:120]}. It should be JSON as this version writes "
                "it. Nothing was changed. Repeat it with the version that drew it."
            ) from None


def draw(recipe: AugmentationRecipe, seed: int, cell_id: str, copy: int) -> Draw:
    """Draw the parameters of one copy of one cell.

    Parameters
    ----------
    recipe : AugmentationRecipe
        The chain.
    seed : int
        Seed of the run.
    cell_id : str
        The cell.
    copy : int
        Which of its copies: the visit number online, 1, 2, … offline, 0 in place.

    Returns
    -------
    Draw
        The same for the same four arguments, whatever else was drawn before.
    """
    operations: tuple[Operation, ...] = ()
    if recipe.steps:
        n_numbers = 1 + sum(step.count() for step in recipe.steps)
        applied, *numbers = uniform(n_numbers, seed, "augment", cell_id, copy).tolist()
        if applied < recipe.probability:
            operations = operations_of(recipe.steps, numbers)
    return drawn_by(recipe, operations)


def drawn_by(recipe: AugmentationRecipe, operations: tuple[Operation, ...]) -> Draw:
    """Put operations under a recipe's rules of resampling and of lengths."""
    return Draw(
        operations,
        recipe.border,
        recipe.border_rgb,
        recipe.interpolation,
        recipe.lengths_at_px,
    )


def at_size(drawn: Draw, shorter_px: int) -> Draw:
    """Bring lengths to the pixels of a picture whose shorter side is *shorter_px*."""
    if drawn.lengths_at_px is None:
        return drawn
    scale = shorter_px / drawn.lengths_at_px
    operations = tuple(
        (name, (given[0] * scale, *given[1:])) if name.endswith("_px") else (name, given)
        for name, given in drawn.operations
    )
    return replace(drawn, operations=operations, lengths_at_px=None)
