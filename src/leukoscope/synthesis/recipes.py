"""Recipes of generators by name or from a file, and one that fits the time there is."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leukoscope.foundation import progress
from leukoscope.foundation.errors import UsageError, unknown_name
from leukoscope.records.catalogue import read_shipped, shipped_names
from leukoscope.synthesis.features import JudgeFeatures
from leukoscope.synthesis.pace import Pace, generator_pace
from leukoscope.synthesis.recipe import MOST_UPDATES, GeneratorRecipe

NAMED = ("leukoscope.synthesis", "named")
"""Room and folder of the generators that come with the package."""

_WIDTHS = (16, 24, 32, 48, 64)
_ENOUGH = 4000
"""Updates below which a wider generator is no better."""
_LOOKS = 8
"""A fit too short for this many looks as the recipe spaces them is looked at so often at most."""


def load_generator(name_or_path: str) -> GeneratorRecipe:
    """Read a generator's recipe by name, or from a YAML file.

    Raises
    ------
    UsageError
        If no generator has that name.
    RecipeError
        If the file cannot be read as one.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        return GeneratorRecipe.from_yaml(Path(name_or_path))
    if name_or_path not in (names := shipped_names(*NAMED)):
        raise unknown_name("generator recipe", name_or_path, names)
    value = read_shipped(*NAMED, name_or_path)
    return GeneratorRecipe.from_mapping(value, where=name_or_path)


def changed(recipe: GeneratorRecipe, asked: Mapping[str, Any]) -> GeneratorRecipe:
    """Give a recipe what a person asked for beside it; what is None stays. Raises RecipeError."""
    value = recipe.model_dump(mode="json")
    value |= {name: new for name, new in asked.items() if new is not None}
    return GeneratorRecipe.from_mapping(value, where="the generator's recipe")


def settled_by_time(recipe: GeneratorRecipe) -> tuple[str, ...]:
    """Name what :func:`fitting_time` chooses of a recipe."""
    widths = ("generator_width", "critic_width") if recipe.name == "small" else ()
    return ("updates", "validate_every", *widths)


def searching_updates(recipe: GeneratorRecipe) -> int:
    """Count the updates that a search for rates takes before the fit."""
    return recipe.rate_trials * recipe.trial_updates


def check_minutes(minutes: float, updates: int | None) -> None:
    """Refuse a time that is none, or one beside a number of updates. Raises UsageError."""
    if not 0 < minutes < 1e6:
        raise UsageError(f"--minutes is {minutes:g}; it should be above 0. Nothing was started.")
    if updates is not None:
        raise UsageError(
            f"--minutes {minutes:g} and --updates {updates} say the same thing twice. Nothing was "
            "started. Give one of them."
        )


def fitting_time(
    recipe: GeneratorRecipe,
    minutes: float,
    *,
    n_members: int,
    n_categories: int,
    device: str,
    features: JudgeFeatures | None = None,
    n_stopping: int = 64,
) -> GeneratorRecipe:
    """Choose how much is done in a time, and of the house's own recipe how wide it is.

    Parameters
    ----------
    recipe : GeneratorRecipe
        Any; of ``small`` the widths are chosen too: the largest that leaves 4,000 updates.
    minutes : float
        The time there is.
    n_members : int
        Generators that share it.
    n_categories : int
        What one draws.
    device : str
        ``auto``, ``cpu`` …
    features : JudgeFeatures, optional
        What describes drawings at each look; without them looks are not counted.
    n_stopping : int
        Cells that drawings are held against at a look.

    Returns
    -------
    GeneratorRecipe
        With ``updates`` and ``validate_every``; they are fixed from here on, so that a run goes on
        to the same end.

    Raises
    ------
    UsageError
        If there is no time at all, or the search for rates alone takes it.
    """
    check_minutes(minutes, None)
    widths = _WIDTHS if recipe.name == "small" else (None,)
    fitting: list[GeneratorRecipe] = []
    for width in widths:
        wide = changed(recipe, {"generator_width": width, "critic_width": width and 2 * width})
        pace = generator_pace(wide, n_categories, device, features=features, n_stopping=n_stopping)
        try:
            timed = filling(minutes * 60 / n_members, wide, pace)
        except UsageError:
            # A narrower one has time for its search; the narrowest of all says so if it has none.
            if fitting:
                break
            raise
        if fitting and timed.updates < _ENOUGH:
            break
        fitting.append(timed)
    chosen = fitting[-1]
    progress.note(
        f"In {minutes:g} minutes there is time for {chosen.updates} updates of {n_members} "
        f"generator{'s' * (n_members > 1)} of width {chosen.generator_width}."
    )
    return chosen


def filling(seconds: float, recipe: GeneratorRecipe, pace: Pace) -> GeneratorRecipe:
    """Give a recipe the updates that one generator has time for, looked at often enough."""
    left = seconds - recipe.rate_trials * (pace.look_s + recipe.trial_updates * pace.update_s)
    if recipe.rate_trials and left <= 0:
        raise UsageError(
            f"There are {seconds:.0f} seconds for a generator, and the search for rates takes "
            f"{searching_updates(recipe)} updates of {pace.update_s:.2g} s and "
            f"{recipe.rate_trials} looks of {pace.look_s:.2g} s. Nothing was started. "
            "Give more --minutes, or a recipe with fewer rate_trials."
        )
    often = int(left / (pace.update_s + pace.look_s / recipe.validate_every))
    if often >= _LOOKS * recipe.validate_every:
        return changed(recipe, {"updates": min(MOST_UPDATES, often)})
    # Looks have half the time at most, but for one that is always taken.
    affordable = left / 2 / pace.look_s if pace.look_s else _LOOKS
    looks = max(1, min(_LOOKS, int(affordable)))
    updates = max(1, int((left - looks * pace.look_s) / pace.update_s))
    every = math.ceil(updates / looks)
    return changed(recipe, {"updates": updates, "validate_every": every})
