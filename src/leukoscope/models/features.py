"""Features of a network's frozen part, computed once and kept beside the pixels.

One file for each frozen part, size and preprocessing, under ``<dataset>/features/<key>/``; a row
for each picture as it is and for each way it was augmented. The key is a digest of all that a
feature follows from, weights included, so that features of other weights are never taken. How the
file grows and survives: :mod:`leukoscope.intake.rows`.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leukoscope.augmentation.batch import apply_batch
from leukoscope.augmentation.draw import Draw
from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError
from leukoscope.intake.rows import RowFile, open_rows
from leukoscope.intake.store import PixelStore
from leukoscope.models.prediction import to_tensor
from leukoscope.records.dataset import Dataset
from leukoscope.records.recipes import canonical_json
from leukoscope.records.runs import NetworkRecipe, Preprocessing

_BATCH = 64
Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FeatureStore:
    """Give features by content and draw from a memory-mapped file."""

    features: Features
    """Shape (n_stored, ...), as the frozen part gives them; mapped read-only."""
    row_of: dict[str, int]
    """Key of content and draw → row."""

    def rows(self, keys: Sequence[str]) -> npt.NDArray[np.int64]:
        """Look up the rows of keys, shape (n,); see :func:`feature_keys`."""
        return np.array([self.row_of[key] for key in keys], dtype=np.int64)

    def take(self, rows: npt.NDArray[np.int64]) -> Features:
        """Copy some rows into memory: float32, shape (n, ...)."""
        return np.asarray(self.features[rows])


def feature_keys(contents: Sequence[str], draws: Sequence[Draw]) -> list[str]:
    """Name what each feature is of: a content, and what was drawn for it where anything was."""
    return [
        f"{content}-{hashlib.sha256(drawn.to_json().encode()).hexdigest()[:16]}"
        if drawn.operations
        else content
        for content, drawn in zip(contents, draws, strict=True)
    ]


def open_features(
    dataset: Dataset,
    store: PixelStore,
    contents: Sequence[str],
    draws: Sequence[Draw],
    *,
    body: nn.Module,
    network: NetworkRecipe,
    preprocessing: Preprocessing,
    device: torch.device,
) -> FeatureStore:
    """Open the features of some pictures, computing what is not stored yet.

    Parameters
    ----------
    dataset : Dataset
        Whose folder keeps them.
    store : PixelStore
        Pixels at the size of *preprocessing*.
    contents : sequence of str, length n
        The pictures.
    draws : sequence of Draw, length n
        What is done to each.
    body : torch.nn.Module
        The frozen part. It works in evaluation mode and float32; its modes are put back.
    network : NetworkRecipe
        How it was built.
    preprocessing : Preprocessing
        How pixels become its input.
    device : torch.device
        Where to compute.

    Returns
    -------
    FeatureStore
        With a row for each of :func:`feature_keys`. Those of one picture are equal in bits,
        whatever was computed with it.

    Raises
    ------
    DataError
        If the file is shorter than its index, or a feature is not finite.
    RunError
        If the disk is full.
    """
    body.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    about = _about(body, network, preprocessing, device)
    folder = features_folder(dataset, body, network, preprocessing, device)
    if not (folder / "about.json").is_file():
        files.write_json(folder / "about.json", about)
    rows = store.rows(contents)

    def compute(places: Sequence[int]) -> Features:
        pixels = apply_batch([draws[place] for place in places], store.take(rows[list(places)]))
        return features_of(body, pixels, preprocessing, device)

    stored = RowFile(
        folder,
        "features.f32",
        kind="feature store",
        stage="computing features",
        shape=_row_shape(body, preprocessing, device),
        dtype=np.float32,
    )
    keys = feature_keys(contents, draws)
    return FeatureStore(*open_rows(stored, keys, compute))


def features_folder(
    dataset: Dataset,
    body: nn.Module,
    network: NetworkRecipe,
    preprocessing: Preprocessing,
    device: torch.device,
) -> Path:
    """Name the folder that keeps the features of a frozen part."""
    text = repr(sorted(_about(body, network, preprocessing, device).items()))
    return dataset.folder / "features" / hashlib.sha256(text.encode()).hexdigest()[:16]


def features_of(
    body: nn.Module,
    pixels: npt.NDArray[np.uint8],
    preprocessing: Preprocessing,
    device: torch.device,
) -> Features:
    """Compute features of pictures, uint8 (n, size, size, 3), in batches of one size.

    The last batch is filled up: libraries sum in another order for another number of pictures.

    Raises
    ------
    DataError
        If a feature is not finite.
    """
    parts = []
    with in_evaluation(body), torch.inference_mode():
        for start in range(0, len(pixels), _BATCH):
            part = pixels[start : start + _BATCH]
            whole = np.concatenate([part, np.repeat(part[:1], _BATCH - len(part), axis=0)])
            made = body(to_tensor(whole, preprocessing, device)).float().cpu().numpy()
            parts.append(made[: len(part)])
    found = np.concatenate(parts)
    if not np.isfinite(found).all():
        raise DataError(
            "The frozen part of the network makes features that are not finite. They were not "
            "kept. Look at its starting weights, and at the mean and std of preprocessing."
        )
    return found


@contextlib.contextmanager
def in_evaluation(body: nn.Module) -> Iterator[None]:
    """Bring a module to evaluation mode inside the block, and each of its parts back after."""
    modes = [(part, part.training) for part in body.modules()]
    body.eval()
    try:
        yield
    finally:
        for part, was_training in modes:
            part.training = was_training


def _row_shape(
    body: nn.Module, preprocessing: Preprocessing, device: torch.device
) -> tuple[int, ...]:
    size = preprocessing.size_px
    with in_evaluation(body), torch.inference_mode():
        made = body(torch.zeros(1, 3, size, size, device=device))
    return tuple(made.shape[1:])


def _about(
    body: nn.Module, network: NetworkRecipe, preprocessing: Preprocessing, device: torch.device
) -> dict[str, str]:
    """Write down all that a feature follows from but its picture."""
    shape = {name: getattr(network, name) for name in NetworkRecipe.model_fields}
    return {
        "network": canonical_json(NetworkRecipe(**shape)),
        "preprocessing": canonical_json(preprocessing),
        # What numbers and names of tensors do not tell: strides, activations, where it ends.
        "layers": _digest(lambda add: add(repr(body).encode())),
        "weights": weights_digest(body),
        "device": device.type,
    }


def weights_digest(body: nn.Module) -> str:
    """Hash names, types, shapes and numbers of all tensors of a module."""

    def tell(add: Callable[[bytes], None]) -> None:
        for name, value in sorted(body.state_dict().items()):
            array = value.detach().cpu().contiguous().numpy()
            add(f"{name} {array.dtype} {array.shape}\n".encode())
            add(np.ascontiguousarray(array).tobytes())

    return _digest(tell)


def _digest(tell: Callable[[Callable[[bytes], None]], None]) -> str:
    digest = hashlib.sha256()
    tell(digest.update)
    return digest.hexdigest()
