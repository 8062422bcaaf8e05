"""The verb ``replay``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leukoscope.augmentation.replay import replay_copy
from leukoscope.records.dataset import read_dataset


def replay(dataset: Path, cell_id: str, *, out: Path, run: Path | None = None) -> Path:
    """Make one copy or generated cell again, byte for byte, from its row of the manifest.

    A copy is made from the pixels of its origin and from its draw, a generated cell by its
    generator from its latents; it is held against the stored picture and the hash in the manifest.

    Parameters
    ----------
    dataset : Path
        The dataset folder that the copy is in.
    cell_id : str
        The copy or generated cell, as the manifest names it.
    out : Path
        The picture to write, ending in .png.
    run : Path, optional
        The run folder of the generator, for a generated cell.

    Returns
    -------
    Path
        The picture.

    Raises
    ------
    UsageError
        If no cell is called so, it is no copy, *out* does not end so, something stands there, or
        a generated cell is named without its generator's run.
    DataError
        If its lineage cannot be followed, or the run is another generator's; if the replay is
        not what the manifest says, and then nothing is written; or if the stored picture is not,
        and then the replay is.
    """
    again = None if run is None else _drawer(Path(run))
    return replay_copy(read_dataset(dataset), cell_id, out=out, drawn_again=again)


def _drawer(run: Path) -> Callable[[dict[str, Any]], npt.NDArray[np.uint8]]:
    def drawn(row: dict[str, Any]) -> npt.NDArray[np.uint8]:
        # Copies of cells are made again without torch, which this brings.
        from leukoscope.synthesis.sampling import replayed_cell

        return replayed_cell(run, row)

    return drawn
