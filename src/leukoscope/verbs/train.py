"""The verb ``train``."""

from pathlib import Path

from leukoscope.augmentation.recipe import load_augmentation
from leukoscope.models.cards import read_card
from leukoscope.records.dataset import read_dataset
from leukoscope.training.recipe import TrainingRecipe
from leukoscope.training.recipes import load_training
from leukoscope.training.run import train_run
from leukoscope.training.settings import changed, check_start, with_weights


def train(
    dataset: Path,
    *,
    out: Path,
    model: str | None = None,
    recipe: str | None = None,
    weights: Path | None = None,
    augmentation: str | None = None,
    size_px: int | None = None,
    updates: int | None = None,
    split: str | None = None,
    repeat: int | None = None,
    fold: int | None = None,
    seed: int | None = None,
    device: str = "auto",
    accept_licence: str | None = None,
) -> Path:
    """Train a classifier and leave a run folder.

    An unfinished run goes on where it stopped when the same command is given again.

    Parameters
    ----------
    dataset : Path
        The dataset folder, already split.
    out : Path
        The run folder.
    model : str, optional
        A paper's network (lenet) or any of timm; resnet18 unless the recipe says otherwise.
    recipe : str, optional
        Name of a training recipe (nozaka-2022, frozen-linear) or a YAML file; the options
        here go before it.
    weights : Path, optional
        Starting weights: a .safetensors file with its card beside it, a model or run
        folder, or the timm name of fetched ones. Without them the network starts at random.
    augmentation : str, optional
        Name of an augmentation done online, or a YAML file.
    size_px : int, optional
        Side of the pictures the network sees; 64 unless the recipe says otherwise.
    updates : int, optional
        Number of optimiser updates; 600 unless the recipe says otherwise. Stages of a recipe
        keep their shares of them.
    split : str, optional
        Name of the dataset's split.
    repeat : int, optional
        Which of its repeats.
    fold : int, optional
        Which of its folds.
    seed : int, optional
        Draw, start, order and augmentation follow from it.
    device : str
        auto, cpu, cuda, cuda:1 or mps.
    accept_licence : str, optional
        Licence of the weights that you accept, by name, where it restricts their use.

    Returns
    -------
    Path
        The finished run folder.

    Raises
    ------
    UsageError
        If a name is unknown, or another run stands at *out*.
    DataError
        If the split is missing, a picture is gone, the weights do not fit, or the recipe
        freezes a network that would start at random.
    LicenceError
        If the licence of the weights was not accepted.
    RunError
        If the loss is not finite or the disk is full; the run can go on.
    """
    known = read_dataset(dataset)
    card = read_card(weights) if weights is not None else None
    stated = load_training(str(recipe)) if recipe is not None else TrainingRecipe()
    wanted = changed(
        stated,
        model=model,
        augmentation=load_augmentation(augmentation) if augmentation is not None else None,
        size_px=size_px,
        updates=updates,
        split=split,
        repeat=repeat,
        fold=fold,
        seed=seed,
    )
    wanted = with_weights(wanted, card, model, accept_licence)
    check_start(wanted)
    return train_run(known, wanted, weights=card, out=Path(out), device=device)
