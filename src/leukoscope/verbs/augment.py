"""The verb ``augment``."""

from pathlib import Path

from leukoscope.augmentation.offline import augment_offline
from leukoscope.augmentation.plan import Amount, check_amount
from leukoscope.augmentation.recipe import load_augmentation
from leukoscope.foundation.streams import check_seed
from leukoscope.records.dataset import read_dataset, read_split


def augment(
    dataset: Path,
    recipe: str,
    *,
    out: Path,
    factor: float | None = None,
    to: int | None = None,
    per_category: int | None = None,
    balance: bool = False,
    originals: int | None = None,
    split: str = "splits",
    repeat: int = 0,
    fold: int = 0,
    seed: int = 0,
) -> Path:
    """Write a dataset with augmented copies of its training cells.

    How many there are to be is said in one way: factor, to, per category or balance. Cells are
    copied evenly, and with equal seeds the copies of a smaller dataset are part of those of a
    larger. Validation, calibration and test stay as they are; every copy says what it was made
    from and how; masks follow. A stopped command goes on when it is given again.

    Parameters
    ----------
    dataset : Path
        The dataset folder, already split.
    recipe : str
        Name of an augmentation (``leukoscope catalogue recipes`` lists them) or a YAML file.
    out : Path
        The dataset folder to make.
    factor : float, optional
        Size of the training part afterwards, in times the originals, 1 to 100: 2 adds 100 %;
        this is done if nothing else is said.
    to : int, optional
        Size of the training part afterwards, in cells.
    per_category : int, optional
        Size of each of its categories afterwards, in cells.
    balance : bool
        Bring each category to the size of the largest.
    originals : int, optional
        Take so many of the training cells before, each category at its share, whole families;
        the others are left out of the new dataset. A smaller number gives part of a larger.
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
        If the recipe is unknown or does nothing, the amounts contradict each other or the
        originals, the seed is below 0, or something stands at *out*.
    DataError
        If there is no split, the dataset holds copies already, a category that is to grow has
        no cell, the recipe needs masks that are missing, or a picture is not what it was.
    RunError
        If the disk refuses, or another process is at work on *out*.
    """
    check_seed(seed)
    amount = Amount(
        factor=factor, to=to, per_category=per_category, balance=balance, originals=originals
    )
    check_amount(amount)
    known = read_dataset(dataset)
    divided = read_split(known, split, repeat, fold)
    return augment_offline(
        known, divided, load_augmentation(recipe), out=out, amount=amount, seed=seed
    )
