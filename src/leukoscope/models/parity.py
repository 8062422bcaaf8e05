"""Whether an exported model answers as this tool does, from decoded pictures on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError, RunError
from leukoscope.foundation.streams import stream
from leukoscope.intake.decode import decode_known, resize
from leukoscope.intake.phantom import PhantomRecipe, draw_cell
from leukoscope.models.prediction import Numbers, Pixels, predict_probabilities
from leukoscope.records.dataset import Dataset, open_pictures
from leukoscope.records.lineage import is_copy
from leukoscope.records.runs import ModelCard

LEAST_AGREEMENT = 0.999
"""The smallest share of cells that must be called alike."""

MOST_DIFFERENCE = 0.005
"""The largest difference of probabilities that cells may have on average: a model that calls most
cells alike whatever it sees would hide a graph that sees them wrongly."""

N_DRAWN = 128
"""How many cells are drawn where no dataset is given."""

_SIZES_PX = (24, 40, 64, 72, 100, 131, 256, 363)
_AT_ONCE = 32


class Parity(NamedTuple):
    """Hold how an exported model's answers compare with this tool's own."""

    n_cells: int
    agreement: float
    """Share of cells called alike."""
    largest_difference: float
    """Of two probabilities of one category of one cell."""
    mean_difference: float
    """The largest difference of each cell, on average."""


def parity_of(
    exported: Callable[[Sequence[Pixels]], Numbers],
    network: nn.Module,
    card: ModelCard,
    pictures: Iterable[Pixels],
    n_pictures: int,
) -> Parity:
    """Compare the answers of an exported model with those of its network.

    Parameters
    ----------
    exported : callable
        As :func:`~leukoscope.models.onnx.open_onnx` gives it.
    network : torch.nn.Module
        On the CPU, and asked there.
    card : ModelCard
        Its card.
    pictures : iterable of numpy.ndarray of uint8, shape (height, width, 3)
        Decoded cells of any sizes; a few of them are in memory at once.
    n_pictures : int
        How many there are.

    Returns
    -------
    Parity

    Raises
    ------
    DataError
        If there is no picture.
    """
    size_px = card.preprocessing.size_px
    alike, differences = 0, list[float]()
    left = iter(pictures)
    while chunk := list(islice(left, _AT_ONCE)):
        squares = np.stack([resize(picture, size_px) for picture in chunk])
        own = predict_probabilities(
            network,
            card,
            lambda part, squares=squares: squares[part],  # type: ignore[misc]
            len(chunk),
            torch.device("cpu"),
        )
        theirs = exported(chunk)
        alike += int((own.argmax(axis=1) == theirs.argmax(axis=1)).sum())
        # What is undefined differs as far as can be.
        differences += np.nan_to_num(np.abs(own - theirs).max(axis=1), nan=1.0).tolist()
        progress.tell("comparing", len(differences), n_pictures)
    if not differences:
        raise DataError("There is no cell to compare the exported model on. Nothing was written.")
    n_cells = len(differences)
    return Parity(n_cells, alike / n_cells, max(differences), float(np.mean(differences)))


def refuse_unlike(found: Parity) -> None:
    """Refuse a model that answers otherwise than this tool does. Raises RunError."""
    if found.agreement < LEAST_AGREEMENT or found.mean_difference > MOST_DIFFERENCE:
        raise RunError(
            f"The exported model calls {found.agreement:.2%} of {found.n_cells} cells as this tool "
            f"does, and its probabilities differ by {found.mean_difference:.2g} on average; "
            f"{LEAST_AGREEMENT:.1%} and at most {MOST_DIFFERENCE:g} are wanted. Nothing was "
            "written. Keep the run and use `leukoscope predict`."
        )


def decoded(dataset: Dataset) -> Iterator[Pixels]:
    """Decode the pictures of a dataset, one after another.

    Raises
    ------
    DataError
        If one is missing, broken, or no longer the one that was ingested.
    """
    read = open_pictures(dataset)
    cells = dataset.manifest.select("path", "content", in_own_folder=is_copy())
    for path, content, in_own_folder in cells.rows():
        yield decode_known(read(path, in_own_folder), name=path, content=content)


def drawn(n_cells: int = N_DRAWN, *, seed: int = 0) -> Iterator[Pixels]:
    """Draw phantom cells of eight sizes; of each size a third is cut to portrait or landscape.

    Parameters
    ----------
    n_cells : int
        How many.
    seed : int
        They follow from it.

    Yields
    ------
    numpy.ndarray of uint8, shape (height, width, 3)
    """
    for place in range(n_cells):
        size_px = _SIZES_PX[place % len(_SIZES_PX)]
        recipe = PhantomRecipe(
            name="parity", seed=seed, n_cases=n_cells, cells_per_case=1, size_px=size_px
        )
        picture = draw_cell(recipe, place, 0).image
        cut = int(stream(seed, "parity", place).integers(0, size_px // 3))
        yield (picture, picture[cut:], picture[:, cut:])[place // len(_SIZES_PX) % 3]
