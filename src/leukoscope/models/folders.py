"""Model folders: two files, of trees three; nothing in them runs when they are read."""

from pathlib import Path

from safetensors.torch import save
from torch import nn

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError
from leukoscope.models.backbones import build
from leukoscope.models.ensembles import joined
from leukoscope.models.probes import files_of, load_probe
from leukoscope.models.weights import read_tensors
from leukoscope.records.runs import ModelCard, model_folder_of, read_model_card, replicates_of


def write_model(folder: Path, network: nn.Module, card: ModelCard) -> None:
    """Write ``model.safetensors``, of trees their text, then ``model.json``, each in one step."""
    tensors = {name: value.contiguous().cpu() for name, value in network.state_dict().items()}
    # By way of memory: the library's own writing hides which error the disk gave.
    files.write_bytes(folder / "model.safetensors", save(tensors))
    for name, data in files_of(network).items():
        files.write_bytes(folder / name, data)
    files.write_json(folder / "model.json", card.model_dump(mode="json"))


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
        If a file is missing or the tensors are not the network's, a run is unfinished, or
        replicates do not answer the same categories or are not fed alike.
    """
    folder = Path(folder)
    runs = replicates_of(folder)
    if not runs:
        return _load_one(model_folder_of(folder))
    return joined([_load_one(model_folder_of(run)) for run in runs], runs)


def _load_one(folder: Path) -> tuple[nn.Module, ModelCard]:
    card = read_model_card(folder)
    if card.classifier is not None:
        return load_probe(folder, card), card
    network = build(card, len(card.categories), card.preprocessing.size_px, seed=0)
    try:
        network.load_state_dict(read_tensors(folder / "model.safetensors"), strict=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{folder / 'model.safetensors'} does not fit its card: {reason}") from None
    return network.eval(), card
