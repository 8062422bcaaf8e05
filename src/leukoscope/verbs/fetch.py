"""The verb ``fetch``."""

from pathlib import Path

from leukoscope.foundation.errors import unknown_name
from leukoscope.models.cards import weights_folder
from leukoscope.models.fetching import fetch_weights


def fetch(kind: str, name: str, *, out: Path | None = None) -> Path:
    """Fetch starting weights of a network, the only work that uses the internet.

    They are downloaded as safetensors, checked and put in place with a card that says how to
    build the network, how to feed it, and under which licence the weights are. An
    interrupted download goes on when the same command is given again.

    Parameters
    ----------
    kind : str
        What to fetch: ``weights``.
    name : str
        A timm name with its tag, for example mobilenetv2_100.ra_in1k; `train --weights` takes
        the same name.
    out : Path, optional
        Folder for file and card; leukoscope/weights of the user's data directory unless given.

    Returns
    -------
    Path
        The weights file.

    Raises
    ------
    UsageError
        If there are no such weights, or another file of that name stands there.
    DataError
        If what came is not the published file.
    RunError
        If the server cannot be reached or refuses, or the disk is full.
    """
    if kind != "weights":
        raise unknown_name("thing to fetch", kind, ["weights"])
    return fetch_weights(name, Path(out) if out is not None else weights_folder())
