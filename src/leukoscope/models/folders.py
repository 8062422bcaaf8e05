"""Model folders: arrays, card and digests, of trees a text too; none runs when it is read."""

from pathlib import Path

from safetensors.torch import save
from torch import nn

from leukoscope.foundation import files
from leukoscope.models.backbones import build
from leukoscope.models.ensembles import joined
from leukoscope.models.model_files import (
    CARD_FILE,
    WEIGHTS_FILE,
    read_bound_card,
    refuse_mismatch,
    write_digests,
)
from leukoscope.models.probes import files_of, load_probe
from leukoscope.models.weights import read_tensors
from leukoscope.records.runs import ModelCard, model_folder_of, replicates_of


def write_model(folder: Path, network: nn.Module, card: ModelCard) -> None:
    """Write arrays, of trees their text, the card and the digests of these, each in one step."""
    tensors = {name: value.contiguous().cpu() for name, value in network.state_dict().items()}
    # By way of memory: the library's own writing hides which error the disk gave.
    files.write_bytes(folder / WEIGHTS_FILE, save(tensors))
    beside = files_of(network)
    for name, data in beside.items():
        files.write_bytes(folder / name, data)
    files.write_json(folder / CARD_FILE, card.model_dump(mode="json"))
    write_digests(folder, (WEIGHTS_FILE, *beside, CARD_FILE))


def load_model(folder: Path) -> tuple[nn.Module, ModelCard]:
    """Read a model folder, a finished run, or the replicates of a study's arm.

    Parameters
    ----------
    folder : Path
        A model folder or a run; or an arm's folder, which holds finished runs named 00, 01
        and so on: they answer with the mean of their probabilities.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, on the CPU.
    ModelCard
        Its categories, preprocessing and origin.

    Raises
    ------
    DataError
        If a file is missing or not the one that was written with the others, the tensors are not
        the network's, a run is unfinished, or replicates do not answer the same categories or
        are not fed alike.
    """
    folder = Path(folder)
    runs = replicates_of(folder)
    if not runs:
        return _load_one(model_folder_of(folder))
    return joined([_load_one(model_folder_of(run)) for run in runs], runs)


def _load_one(folder: Path) -> tuple[nn.Module, ModelCard]:
    card = read_bound_card(folder)
    if card.classifier is not None:
        return load_probe(folder, card), card
    network = build(card, len(card.categories), card.preprocessing.size_px, seed=0)
    tensors = read_tensors(folder / WEIGHTS_FILE)
    refuse_mismatch(network.state_dict(), tensors, folder / WEIGHTS_FILE)
    network.load_state_dict(tensors, strict=True)
    return network.eval(), card
