"""The verb ``replay``."""

from pathlib import Path

from leukoscope.augmentation.replay import replay_copy
from leukoscope.records.dataset import read_dataset


def replay(dataset: Path, cell_id: str, *, out: Path) -> Path:
    """Make one augmented copy again, byte for byte, from what the manifest says of it.

    It is made from the pixels of its origin and from its draw, and held against the stored
    picture and the hash in the manifest.

    Parameters
    ----------
    dataset : Path
        The dataset folder that the copy is in.
    cell_id : str
        The copy, as the manifest names it.
    out : Path
        The picture to write, ending in .png.

    Returns
    -------
    Path
        The picture.

    Raises
    ------
    UsageError
        If no cell is called so, it is no copy, *out* does not end so, or something stands there.
    DataError
        If its lineage cannot be followed; if the replay is not what the manifest says, and
        then nothing is written; or if the stored picture is not, and then the replay is.
    """
    return replay_copy(read_dataset(dataset), cell_id, out=out)
