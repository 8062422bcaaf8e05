"""The verb ``catalogue``."""

from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from leukoscope.foundation.errors import unknown_name
from leukoscope.intake.sources import PBC_CITATION, PBC_LICENCE, SOURCES
from leukoscope.models.known import MODELS
from leukoscope.records.catalogue import first_sentence, shipped
from leukoscope.replication.recipe import load_study


class _Entry(NamedTuple):
    what: str
    text: str


def catalogue(kind: str, name: str | None = None) -> pl.DataFrame | str:
    """List the sources, models, recipes or studies known by name, or print one.

    Parameters
    ----------
    kind : str
        ``sources`` (of pictures, for ingest), ``models`` (networks, for train; any other of
        timm is taken too), ``recipes`` (augmentations) or ``studies``.
    name : str, optional
        One of them: a recipe or a study is given as the YAML it is, to be kept as a file and
        changed; of a source and a model what is known of it.

    Returns
    -------
    polars.DataFrame or str
        Columns ``name`` and ``what``, a line each; with *name* its text.

    Raises
    ------
    UsageError
        If the kind or the name is unknown; near ones are named.
    """
    if kind not in _KINDS:
        raise unknown_name("catalogue", kind, _KINDS)
    one, entries = _KINDS[kind][0], _KINDS[kind][1]()
    if name is None:
        lines = {"name": list(entries), "what": [entry.what for entry in entries.values()]}
        return pl.DataFrame(lines)
    if name not in entries:
        raise unknown_name(f"{one} of this catalogue", name, entries)
    return entries[name].text


def _sources() -> dict[str, _Entry]:
    told = {name: f"{what}\n" for name, what in SOURCES.items()}
    told["pbc"] += f"Licence: {PBC_LICENCE}\nCite: {PBC_CITATION}\n"
    return {name: _Entry(what, told[name]) for name, what in SOURCES.items()}


def _models() -> dict[str, _Entry]:
    return {name: _Entry(what, f"{what}\n") for name, what in MODELS.items()}


def _recipes() -> dict[str, _Entry]:
    texts = shipped("leukoscope.augmentation", "named")
    return {name: _Entry(first_sentence(text), text) for name, text in texts.items()}


def _studies() -> dict[str, _Entry]:
    texts = shipped("leukoscope.replication", "studies")
    return {name: _Entry(load_study(name).question, text) for name, text in texts.items()}


_KINDS: dict[str, tuple[str, Callable[[], dict[str, _Entry]]]] = {
    "sources": ("source", _sources),
    "models": ("model", _models),
    "recipes": ("recipe", _recipes),
    "studies": ("study", _studies),
}
