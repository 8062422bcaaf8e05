"""Step checkpoints in safetensors: everything a fit needs to go on as if nothing had happened."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError


def write_checkpoint(
    path: Path,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    best: dict[str, Tensor],
    facts: dict[str, Any],
) -> None:
    """Write the state of a fit in one step.

    Parameters
    ----------
    path : Path
        The checkpoint file; the one before is replaced when this one is whole.
    network, optimiser
        Their state is written.
    best : dict of str to Tensor
        Weights with the best validation so far; empty before the first.
    facts : dict
        JSON values: the update reached, the history.
    """
    tensors = {f"network/{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    state = optimiser.state_dict()
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if value is not None:
                tensors[f"optimiser/{index}/{name}"] = torch.as_tensor(value)
    # Parameters may share memory with each other or be strided; files want plain copies.
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    # By way of memory: the library's own writing hides which error the disk gave.
    files.write_bytes(path, save(plain, metadata={"facts": json.dumps(facts)}))


def read_checkpoint(
    path: Path, network: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Put a fit back into the state a checkpoint holds.

    Returns
    -------
    dict of str to Tensor
        The best weights so far.
    dict
        The facts as they were written.

    Raises
    ------
    DataError
        If the file is broken, or of another network.
    """
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "best": {}, "optimiser": {}}
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  safe_open is no mapping
                part, _, rest = name.partition("/")
                parts[part][rest] = file.get_tensor(name)
            facts = json.loads((file.metadata() or {})["facts"])
        network.load_state_dict(parts["network"], strict=True)
        state = optimiser.state_dict()
        state["state"] = _nested(parts["optimiser"])
        optimiser.load_state_dict(state)
        _lay_out(optimiser)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"The checkpoint {path} cannot be read: {reason}. Remove it to start this run afresh."
        ) from None
    return parts["best"], facts


def _lay_out(optimiser: torch.optim.Optimizer) -> None:
    """Lay the state out in memory as its parameters are: the file holds plain copies."""
    for parameter, entries in optimiser.state.items():
        for name, value in entries.items():
            if value.shape == parameter.shape:
                entries[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _nested(flat: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in flat.items():
        index, _, entry = name.partition("/")
        state.setdefault(int(index), {})[entry] = value
    return state
