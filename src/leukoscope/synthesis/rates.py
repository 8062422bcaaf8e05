"""The search for learning rates: short fits with rates drawn at random, the best of them taken."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import RunError
from leukoscope.foundation.streams import uniform
from leukoscope.synthesis.looks import Look
from leukoscope.synthesis.loop import DivergedError, Pool, best_row, fit_generator
from leukoscope.synthesis.recipe import GeneratorRecipe

GENERATOR_RANGE, CRITIC_RANGE = (1e-5, 1e-3), (1e-5, 1e-2)
"""As Gaur et al. 2021 give them; the critic's lower end is not in the paper."""


def trial_recipe(recipe: GeneratorRecipe, trial: int) -> GeneratorRecipe:
    """Draw the rates of one trial, each evenly over its range of magnitudes."""
    drawn = uniform(2, recipe.seed, "rates", trial)
    low, high = np.log([GENERATOR_RANGE, CRITIC_RANGE]).T
    generator, critic = np.exp(low + drawn * (high - low)).tolist()
    return recipe.model_copy(
        update={
            "generator_rate": generator,
            "critic_rate": critic,
            "updates": recipe.trial_updates,
            "validate_every": recipe.trial_updates,
        }
    )


def searched(
    pool: Pool,
    recipe: GeneratorRecipe,
    look: Callable[[nn.Module], Look],
    *,
    folder: Path,
    device: torch.device,
    precision: str,
) -> GeneratorRecipe:
    """Try the recipe's trials, those not tried yet, and take the rates of the best.

    Parameters
    ----------
    pool, recipe, look, device, precision
        As :func:`loop.fit_generator` takes them.
    folder : Path
        The member's; ``rates.csv`` lists the trials. A trial that came to no finite end has no
        distance and is not taken.

    Returns
    -------
    GeneratorRecipe
        *recipe* with the rates found; as it is without trials.

    Raises
    ------
    RunError
        If no trial ended; or the disk is full, which is no trial's fault.
    """
    if not recipe.rate_trials:
        return recipe
    tried = []
    for trial in range(recipe.rate_trials):
        progress.tell("searching rates", trial, recipe.rate_trials)
        wanted = trial_recipe(recipe, trial)
        place = folder / "trials" / f"{trial:03d}"
        tried.append((wanted, _kid_of(pool, wanted, look, place, device, precision)))
        files.write_text(folder / "rates.csv", _csv(tried))
    progress.tell("searching rates", recipe.rate_trials, recipe.rate_trials)
    ended = [(kid, wanted) for wanted, kid in tried if kid is not None]
    if not ended:
        raise RunError(
            f"None of the {recipe.rate_trials} trials came to a finite end; {folder / 'rates.csv'} "
            "lists them. Start a new run with more trials, or state the rates."
        )
    best = min(ended, key=lambda each: each[0])[1]
    rates = {"generator_rate": best.generator_rate, "critic_rate": best.critic_rate}
    return recipe.model_copy(update=rates)


def _kid_of(
    pool: Pool,
    wanted: GeneratorRecipe,
    look: Callable[[nn.Module], Look],
    place: Path,
    device: torch.device,
    precision: str,
) -> float | None:
    if (place / "ended.json").is_file():
        found: float | None = files.read_json(place / "ended.json")["kid"]
        return found
    place.mkdir(parents=True, exist_ok=True)
    try:
        state = fit_generator(pool, wanted, look, folder=place, device=device, precision=precision)
        kid: float | None = best_row(state.history)["kid"]
    except DivergedError:
        kid = None
    files.write_json(place / "ended.json", {"kid": kid})
    (place / "checkpoint.safetensors").unlink(missing_ok=True)
    return kid


def _csv(tried: list[tuple[GeneratorRecipe, float | None]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "generator_rate", "critic_rate", "updates", "kid"])
    for trial, (wanted, kid) in enumerate(tried):
        rates = (wanted.generator_rate, wanted.critic_rate)
        writer.writerow([trial, *rates, wanted.updates, kid])
    return text.getvalue()
