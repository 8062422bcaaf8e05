"""The verb ``study``."""

from pathlib import Path

import polars as pl

from leukoscope.foundation.errors import UsageError
from leukoscope.records.dataset import read_dataset
from leukoscope.replication.plan import plan_study
from leukoscope.replication.recipe import StudyRecipe, load_study, refuse_unheard, with_training
from leukoscope.replication.starts import with_starts
from leukoscope.replication.study import run_study
from leukoscope.synthesis.features import JudgeFeatures, open_judge_features
from leukoscope.training.settings import changed
from leukoscope.verbs.report import report


def study(
    study: str,
    *,
    data: Path,
    out: Path,
    replicates: int | None = None,
    model: str | None = None,
    weights: Path | None = None,
    size_px: int | None = None,
    updates: int | None = None,
    split: str | None = None,
    test: Path | None = None,
    equal_epochs: bool | None = None,
    seed: int | None = None,
    device: str = "auto",
    accept_licence: str | None = None,
    pictures: bool = True,
    dry_run: bool = False,
    pilot: Path | None = None,
    train_cells: int | None = None,
    generator: str | None = None,
    features: Path | None = None,
) -> Path | pl.DataFrame:
    """Compare ways of training over replicates and report which helps.

    All arms of a replicate share its seed, and the training cells of a smaller arm are part of
    those of a larger. Arms share starting weights and number of updates too, unless the study
    compares networks, weights or sizes of picture. A stopped study goes on when the same
    command is given again; a finished one is only reported.

    Parameters
    ----------
    study : str
        Name of a study (rotation, models) or a YAML file.
    data : Path
        The dataset folder, already split.
    out : Path
        The study folder.
    replicates : int, optional
        How often each arm is trained; under 5 the answer is exploratory.
    model : str, optional
        A paper's network or any of timm, for the arms that state none.
    weights : Path, optional
        Starting weights: a .safetensors file with its card beside it, a model or run folder,
        or the timm name of fetched ones; or a folder of several, where arms name theirs.
    size_px : int, optional
        Side of the pictures the network sees, in the arms that state none.
    updates : int, optional
        Number of optimiser updates of every run, in the arms that state none.
    split : str, optional
        Name of the dataset's split.
    test : Path, optional
        Another dataset folder, for example of a clinic: all arms are tested on its cells
        instead of the split's test.
    equal_epochs : bool, optional
        Train arms of another size a second time, for as many rounds over their cells as
        the baseline, as the papers did: reported apart, without a verdict.
    seed : int, optional
        The replicates' seeds follow from it.
    device : str
        auto, cpu, cuda, cuda:1 or mps.
    accept_licence : str, optional
        Licence of the weights that you accept, by name, where it restricts their use.
    pictures : bool
        Whether the report shows cells; without, it may leave the house.
    dry_run : bool
        Train nothing and write nothing; say what the study would take and the smallest
        difference it could see.
    pilot : Path, optional
        For a dry run: a finished study whose variance (never its effect) is taken instead
        of an assumed one.
    train_cells : int, optional
        How many cells the arms of the usual size draw from the training split.
    generator : str, optional
        Where arms have generated cells: name of a generator, or a YAML file, in place of the
        study's own.
    features : Path, optional
        Where arms have generated cells: weights with their card, a run or a model folder, by
        whose features the generators are stopped and judged; a network at random unless given.

    Returns
    -------
    Path or polars.DataFrame
        The report, one HTML file in the study folder; of a dry run the plan, a table.

    Raises
    ------
    UsageError
        If a name is unknown, another study stands at *out*, every arm states for itself
        what an option would say, a pilot is given to a study that is no dry run, features to
        one without generators, or the folds the study asks for are not those of the split.
    DataError
        If the split is missing, a picture is gone, an arm's weights are not given or do not
        fit, or the other dataset holds cells, families or cases of the training pool.
    LicenceError
        If the licence of any weights was not accepted.
    RunError
        If a run fails; what is finished stands.
    """
    known = read_dataset(data)
    stated = load_study(study)
    refuse_unheard(stated, model=model, size_px=size_px, updates=updates)
    training = changed(stated.training, model=model, size_px=size_px, updates=updates, split=split)
    if train_cells is not None:
        training = training.model_copy(update={"train_cells": train_cells})
    recipe = with_training(
        stated,
        training,
        replicates=replicates,
        seed=seed,
        equal_epochs=equal_epochs,
        generator=generator,
    )
    recipe, cards = with_starts(recipe, weights, model=model, accepted=accept_licence)
    tested = read_dataset(test) if test is not None else None
    judge = _judge_of(recipe, features, device, accept_licence)
    if dry_run:
        return plan_study(
            recipe, known, out=Path(out), device=device, test=tested, pilot=pilot, features=judge
        )
    if pilot is not None:
        raise UsageError("--pilot belongs to --dry-run: a study takes nothing from another one.")
    run_study(
        recipe, known, weights=cards, out=Path(out), device=device, test=tested, features=judge
    )
    return report(Path(out), pictures=pictures)


def _judge_of(
    recipe: StudyRecipe, features: Path | None, device: str, accepted: str | None
) -> JudgeFeatures | None:
    """Open what judges a study's generators; nothing where it has none."""
    if recipe.generator is not None:
        return open_judge_features(features, device=device, accept_licence=accepted)
    if features is not None:
        raise UsageError(
            f"--features belongs to a study with generated cells, and {recipe.name} has none. "
            "Nothing was started. Leave it out."
        )
    return None
