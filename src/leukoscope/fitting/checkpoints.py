"""Step checkpoints in safetensors: everything a fit needs to go on as if nothing had happened."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError

Kept = dict[str, dict[str, Tensor]]
"""What weights are kept for → their names and values."""


def write_checkpoint(
    path: Path,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    kept: Kept,
    facts: dict[str, Any],
) -> None:
    """Write the state of a fit in one step.

    Parameters
    ----------
    path : Path
        The checkpoint file; the one before is replaced when this one is whole.
    network, optimiser
        Their state is written.
    kept : dict of str to dict of str to Tensor
        Weights kept beside the network's own, by what they are: the best so far, their mean.
    facts : dict
        JSON values: the update reached, the history.
    """
    tensors = {f"network/{name}": value for name, value in network.state_dict().items()}
    for part, weights in kept.items():
        tensors |= {f"{part}/{name}": value for name, value in weights.items()}
    state = optimiser.state_dict()
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if value is not None:
                tensors[f"optimiser/{index}/{name}"] = torch.as_tensor(value)
    # Parameters may share memory with each other or be strided; files want plain copies.
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    # By way of memory: the library's own writing hides which error the disk gave.
    files.write_bytes(path, save(plain, metadata={"facts": json.dumps(facts)}))


def read_facts(path: Path) -> dict[str, Any]:
    """Read what a checkpoint says of its fit, before there is a network to put it into.

    Raises
    ------
    DataError
        If the file is broken.
    """
    with _refused(path), safe_open(path, framework="pt") as file:
        return _facts_in(file)


def read_checkpoint(
    path: Path, network: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[Kept, dict[str, Any]]:
    """Put a fit back into the state a checkpoint holds.

    Returns
    -------
    dict of str to dict of str to Tensor
        The weights kept beside the network's own; a part that was empty is not there.
    dict
        The facts as they were written.

    Raises
    ------
    DataError
        If the file is broken, or of another network.
    """
    parts: Kept = {"network": {}, "optimiser": {}}
    with _refused(path):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  safe_open is no mapping
                part, _, rest = name.partition("/")
                parts.setdefault(part, {})[rest] = file.get_tensor(name)
            facts = _facts_in(file)
        network.load_state_dict(parts.pop("network"), strict=True)
        state = optimiser.state_dict()
        state["state"] = _nested(parts.pop("optimiser"))
        optimiser.load_state_dict(state)
        _lay_out(optimiser)
        _lay_beside(parts, network)
    return parts, facts


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"The checkpoint {path} cannot be read: {reason}. Remove it to start this run afresh."
        ) from None


def _facts_in(file: Any) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((file.metadata() or {})["facts"])
    return facts


def _lay_beside(parts: Kept, network: nn.Module) -> None:
    """Bring kept weights to where the network's are. Raises ValueError if they are another's."""
    own = network.state_dict()
    for part, weights in parts.items():
        # A generator's mean is kept without its critic.
        if not weights.keys() <= own.keys():
            raise ValueError(f"its {part} is not of this network")
        for name, value in weights.items():
            weights[name] = torch.empty_like(own[name]).copy_(value)


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
