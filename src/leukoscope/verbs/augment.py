"""The verb ``augment``."""

from pathlib import Path

from leukoscope.augmentation.offline import augment_offline
from leukoscope.augmentation.recipe import load_augmentation
from leukoscope.foundation.streams import check_seed
from leukoscope.records.dataset import read_dataset, read_split


def augment(
    dataset: Path,
    recipe: str,
    *,
    out: Path,
    factor: float = 2.0,
    split: str = "splits",
    repeat: int = 0,
    fold: int = 0,
    seed: int = 0,
) -> Path:
    """Write a dataset with augmented copies of its training cells.

    Validation and test stay as they are; every copy says what it was made from and how.

    Parameters
    ----------
    dataset : Path
        The dataset folder, already split.
    recipe : str
        Name of an augmentation (none, flips, right-angles, rotation, rotation-flips) or a
        YAML file.
    out : Path
        The dataset folder to make.
    factor : float
        Size of the training part afterwards, in times the originals, 1 to 100: 2 adds 100 %.
    split : str
        Name of the split.
    repeat : int
        Which of its repeats.
    fold : int
        Which of its folds.
    seed : int
        Seed of the draws.

    Returns
    -------
    Path
        The new dataset folder, with its one split.

    Raises
    ------
    UsageError
        If the recipe is unknown, the factor not from 1 to 100 or the seed below 0.
    DataError
        If there is no split, or the dataset holds derived cells already.
    """
    check_seed(seed)
    known = read_dataset(dataset)
    divided = read_split(known, split, repeat, fold)
    return augment_offline(
        known, divided, load_augmentation(recipe), out=out, factor=factor, seed=seed
    )
