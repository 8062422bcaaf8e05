"""Recipes of generators by name or from a file, and one that fits the time there is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leukoscope.foundation import progress
from leukoscope.foundation.errors import UsageError, unknown_name
from leukoscope.records.catalogue import read_shipped, shipped_names
from leukoscope.synthesis.pace import generator_pace
from leukoscope.synthesis.recipe import MOST_UPDATES, GeneratorRecipe

NAMED = ("leukoscope.synthesis", "named")
"""Room and folder of the generators that come with the package."""

_WIDTHS = (16, 24, 32, 48, 64)
_ENOUGH = 4000
"""Updates below which a wider generator is no better."""


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
    recipe: GeneratorRecipe, minutes: float, *, n_members: int, n_categories: int, device: str
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

    Returns
    -------
    GeneratorRecipe
        With ``updates``; they are fixed from here on, so that a run goes on to the same end.

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
        pace_s = generator_pace(wide, n_categories, device)
        updates = _updates_in(minutes * 60 / n_members / pace_s, wide)
        if fitting and updates < _ENOUGH:
            break
        every = max(1, min(recipe.validate_every, updates // 8))
        fitting.append(changed(wide, {"updates": updates, "validate_every": every}))
    chosen = fitting[-1]
    progress.note(
        f"In {minutes:g} minutes there is time for {chosen.updates} updates of {n_members} "
        f"generator{'s' * (n_members > 1)} of width {chosen.generator_width}."
    )
    return chosen


def _updates_in(room: float, recipe: GeneratorRecipe) -> int:
    """Count the updates left in a room of so many when rates have been searched."""
    searching = searching_updates(recipe)
    if searching and searching >= room:
        raise UsageError(
            f"In this time there is room for {room:.0f} updates of a generator, and the search for "
            f"rates takes {searching}. Nothing was started. Give more --minutes, or a recipe with "
            "fewer rate_trials."
        )
    return max(1, min(MOST_UPDATES, int(room - searching)))
