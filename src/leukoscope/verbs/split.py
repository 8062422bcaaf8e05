"""The verb ``split``."""

from pathlib import Path

from leukoscope.foundation import files
from leukoscope.foundation.errors import UsageError
from leukoscope.foundation.streams import check_seed
from leukoscope.intake.splits import check_plan, hold_out, k_fold
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset, splits_path

_SHARE = 0.2


def split(
    dataset: Path,
    *,
    name: str = "splits",
    folds: int | None = None,
    repeats: int = 1,
    validation_share: float = _SHARE,
    calibration_share: float = 0.0,
    test_share: float = _SHARE,
    seed: int = 0,
) -> Path:
    """Divide a dataset into training, validation and test.

    Whole cases where every case is known, else whole families; each category at its
    share on every side.

    Parameters
    ----------
    dataset : Path
        The dataset folder.
    name : str
        Name of the split; a dataset may have several.
    folds : int, optional
        Divide into so many folds instead of one hold-out; at least 3. Fold f tests on
        part f and validates on the next.
    repeats : int
        Number of independent divisions.
    validation_share : float
        Share of validation in a hold-out.
    calibration_share : float
        Share of the cells a model's probabilities are calibrated on; 0 makes no such side.
    test_share : float
        Share of the test in a hold-out.
    seed : int
        Seed of the division.

    Returns
    -------
    Path
        The splits table, beside the manifest.

    Raises
    ------
    UsageError
        If a run used the split of that name already, the shares do not add up or are given
        with folds, or the seed is below 0.
    DataError
        If a category has too few groups for every side, or the dataset holds copies or
        generated cells: the split they were made in stands.
    """
    check_seed(seed)
    asked = (validation_share, calibration_share, test_share)
    if folds is not None and asked != (_SHARE, 0.0, _SHARE):
        raise UsageError(
            "--folds makes parts of equal size: the shares of sides belong to a hold-out. "
            "Nothing was written. Give one or the other."
        )
    known = read_dataset(dataset)
    path = splits_path(known.folder, name)
    shares = {"train": 1 - validation_share - calibration_share - test_share}
    shares["validation"] = validation_share
    shares |= {"calibration": calibration_share} if calibration_share else {}
    shares["test"] = test_share
    check_plan(known.manifest, folds=folds, repeats=repeats, shares=shares)
    used = path.with_suffix(".used.json")
    if used.is_file():
        run = files.read_json(used)[0]
        # A classifier's run, for one, is gone when its fit is over.
        gone = "" if Path(run).exists() else ", which is no longer there,"
        raise UsageError(
            f"{path} was used by run {run}{gone} and was left untouched. "
            "Give the new split another --name."
        )
    if folds is None:
        table = hold_out(known.manifest, shares=shares, repeats=repeats, seed=seed)
    else:
        table = k_fold(known.manifest, folds=folds, repeats=repeats, seed=seed)
    tables.write_table(path, table, shapes.SPLITS)
    return path
