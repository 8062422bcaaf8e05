"""From a recipe to drawn parameters: what will be done to one picture, before it is done."""

import json
from dataclasses import dataclass

from leukoscope.augmentation.recipe import AugmentationRecipe, Flip, Rotation, Step
from leukoscope.foundation.streams import stream


@dataclass(frozen=True)
class Draw:
    """Hold the drawn parameters of one picture; enough to make it again."""

    moves: tuple[tuple[str, float], ...] = ()
    """In order: ``("rotation_deg", angle)``, ``("flip_horizontal", 1)``, ``("flip_vertical", 1)``,
    angles counter-clockwise."""
    border: str = "reflect"
    """What fills the corners a turned picture leaves free."""

    def to_json(self) -> str:
        """Write the draw as it stands in a manifest."""
        return json.dumps({"moves": self.moves, "border": self.border}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Draw":
        """Read a draw back from a manifest."""
        value = json.loads(text)
        return cls(tuple((name, number) for name, number in value["moves"]), value["border"])


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
    if not recipe.steps:
        return Draw(border=recipe.border)
    rng = stream(seed, "augment", cell_id, copy)
    # One number per step is always taken, so that a step's draw does not hang on another's outcome.
    applied, *numbers = rng.random(1 + len(recipe.steps)).tolist()
    if applied >= recipe.probability:
        return Draw(border=recipe.border)
    moves = (_move(step, u) for step, u in zip(recipe.steps, numbers, strict=True))
    return Draw(tuple(move for move in moves if move), recipe.border)


def _move(step: Step, number: float) -> tuple[str, float] | None:
    match step:
        case Rotation():
            return ("rotation_deg", _angle(step, number))
        case Flip():
            return (f"flip_{step.axis}", 1.0) if number < step.probability else None


def _angle(step: Rotation, number: float) -> float:
    low, high = step.angle_range_deg
    if step.step_deg is None:
        return low + number * (high - low)
    n_steps = int((high - low) / step.step_deg + 1e-9) + 1
    # The upper end of a full turn is left out: it would be the lower end twice.
    if (high - low) % 360 == 0 and (high - low) % step.step_deg == 0:
        n_steps -= 1
    return low + int(number * n_steps) * step.step_deg
