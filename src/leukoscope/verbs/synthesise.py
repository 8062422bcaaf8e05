"""The verb ``synthesise``."""

from pathlib import Path

from leukoscope.foundation import files, progress
from leukoscope.records.dataset import read_dataset
from leukoscope.synthesis.cells import foreseen
from leukoscope.synthesis.features import open_judge_features
from leukoscope.synthesis.pace import generator_pace, in_words
from leukoscope.synthesis.recipe import GeneratorRecipe
from leukoscope.synthesis.recipes import (
    changed,
    check_minutes,
    fitting_time,
    load_generator,
    searching_updates,
    settled_by_time,
)
from leukoscope.synthesis.run import begun_recipe, synthesise_run


def synthesise(
    dataset: Path,
    *,
    out: Path,
    recipe: str = "small",
    minutes: float | None = None,
    size_px: int | None = None,
    updates: int | None = None,
    train_cells: int | None = None,
    features: Path | None = None,
    split: str | None = None,
    repeat: int | None = None,
    fold: int | None = None,
    seed: int | None = None,
    device: str = "auto",
    accept_licence: str | None = None,
) -> Path:
    """Fit a network that draws cells, inside the training split only.

    Its time is told before it starts. While it is fitted, a grid of its drawings is written to
    ``generators/NAME/samples.png``. Half the validation cells choose among its stages, the other
    half are left for ``leukoscope judge``. An unfinished run goes on where it stopped when the
    same command is given again.

    Parameters
    ----------
    dataset : Path
        The dataset folder of real cells, already split.
    out : Path
        The run folder.
    recipe : str
        Name of a generator (``leukoscope catalogue recipes`` lists them) or a YAML file.
    minutes : float, optional
        The time there is: the number of updates and of looks at them follows, and of the recipe
        small how wide it is.
        Give the same command again to go on; what was chosen stays.
    size_px : int, optional
        Side of the pictures: 16, 32, 64, 128 or 256; 32 unless the recipe says otherwise.
    updates : int, optional
        Updates of the generator, instead of minutes.
    train_cells : int, optional
        How many training cells are drawn, as a training of the same seed draws them.
    features : Path, optional
        Weights with their card, or a run, whose features compare drawings with cells; without
        them a network at random does, which sees colour and coarse texture only.
    split : str, optional
        Name of the dataset's split.
    repeat : int, optional
        Which of its repeats.
    fold : int, optional
        Which of its folds.
    seed : int, optional
        Draw, start, order and latents follow from it.
    device : str
        auto, cpu, cuda, cuda:1 or mps.
    accept_licence : str, optional
        Licence of the features' weights that you accept, where it restricts their use.

    Returns
    -------
    Path
        The finished run folder.

    Raises
    ------
    UsageError
        If a name is unknown, there is no time, both minutes and updates are given, or another run
        stands at *out*.
    DataError
        If the dataset holds drawn cells or copies, a category has fewer than 16 training cells,
        there are no cells to stop by, or a picture is gone or too small.
    LicenceError
        If the licence of the features' weights was not accepted.
    RunError
        If a loss is not finite, the drawings become all alike, or the disk is full.
    """
    if minutes is not None:
        check_minutes(minutes, updates)
    if not (Path(out) / "recipe.yaml").is_file():
        files.refuse_existing(Path(out))
    judge = open_judge_features(features, device=device, accept_licence=accept_licence)
    known = read_dataset(dataset)
    asked = {
        "size_px": size_px,
        "updates": updates,
        "train_cells": train_cells,
        "split": split,
        "repeat": repeat,
        "fold": fold,
        "seed": seed,
    }
    wanted = changed(load_generator(str(recipe)), asked)
    cells, members = foreseen(known, wanted)
    n_categories = max(len(member.categories) for member in members)
    stopping = cells.filter(part="stop")["category"]
    n_stopping = max(int(stopping.is_in(each.categories).sum()) for each in members)
    if minutes is not None:
        wanted = _settled(wanted, Path(out)) or fitting_time(
            wanted,
            minutes,
            n_members=len(members),
            n_categories=n_categories,
            device=device,
            features=judge,
            n_stopping=n_stopping,
        )
    pace = generator_pace(wanted, n_categories, device, features=judge, n_stopping=n_stopping)
    n_updates = wanted.updates + searching_updates(wanted)
    progress.note(
        f"{len(members)} generator{'s' * (len(members) > 1)}, {n_updates} updates of "
        f"{pace.update_s:.2g} s each, looked at every {wanted.validate_every}: some "
        f"{in_words(len(members) * pace.of(wanted))} on this machine, if it is left alone."
    )
    return synthesise_run(known, wanted, features=judge, out=Path(out), device=device)


def _settled(wanted: GeneratorRecipe, out: Path) -> GeneratorRecipe | None:
    """Take over what a run was begun with for its time, which passes differently each time."""
    if not (out / "recipe.yaml").is_file():
        return None
    begun = begun_recipe(out)
    return changed(wanted, {name: getattr(begun, name) for name in settled_by_time(wanted)})
