"""Model folders: two files, nothing in them runs when they are read."""

from pathlib import Path

from safetensors.torch import save
from torch import nn

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError
from leukoscope.models.backbones import build
from leukoscope.models.weights import read_tensors
from leukoscope.records.runs import ModelCard, read_model_card


def write_model(folder: Path, network: nn.Module, card: ModelCard) -> None:
    """Write ``model.safetensors`` and then ``model.json``, each in one step."""
    tensors = {name: value.contiguous().cpu() for name, value in network.state_dict().items()}
    # By way of memory: the library's own writing hides which error the disk gave.
    files.write_bytes(folder / "model.safetensors", save(tensors))
    files.write_json(folder / "model.json", card.model_dump(mode="json"))


def load_model(folder: Path) -> tuple[nn.Module, ModelCard]:
    """Read a model folder.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, on the CPU.
    ModelCard
        Its categories, preprocessing and origin.

    Raises
    ------
    DataError
        If a file is missing or the tensors are not the network's.
    """
    card = read_model_card(folder)
    network = build(card, len(card.categories), card.preprocessing.size_px, seed=0)
    try:
        network.load_state_dict(read_tensors(folder / "model.safetensors"), strict=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{folder / 'model.safetensors'} does not fit its card: {reason}") from None
    return network.eval(), card
