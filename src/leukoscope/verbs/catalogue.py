"""The verb ``catalogue``."""

from collections.abc import Callable
from typing import NamedTuple

import polars as pl
import yaml

from leukoscope.foundation.errors import unknown_name
from leukoscope.intake.sources import PBC_CITATION, PBC_LICENCE, SOURCES
from leukoscope.models.known import MODELS
from leukoscope.records.catalogue import first_sentence, shipped


class _Entry(NamedTuple):
    what: str
    text: str
    mark: str = ""
    """What a third column says of it."""


def catalogue(kind: str, name: str | None = None) -> pl.DataFrame | str:
    """List the sources, models, recipes or studies known by name, or print one.

    Parameters
    ----------
    kind : str
        ``sources`` (of pictures, for ingest), ``models`` (for train; any other network of
        timm is taken too), ``recipes`` (augmentations, trainings and generators) or ``studies``.
    name : str, optional
        One of them: a recipe or a study is given as the YAML it is, to be kept as a file and
        changed; of a source and a model what is known of it.

    Returns
    -------
    polars.DataFrame or str
        Columns ``name`` and ``what``, a line each; of models also ``id``, the papers' systems
        it belongs to, of recipes ``kind``; with *name* its text.

    Raises
    ------
    UsageError
        If the kind or the name is unknown; near ones are named.
    """
    if kind not in _KINDS:
        raise unknown_name("catalogue", kind, _KINDS)
    one, mark, listed = _KINDS[kind]
    entries = listed()
    if name is None:
        lines = {"name": list(entries), "what": [entry.what for entry in entries.values()]}
        if mark:
            lines[mark] = [entry.mark for entry in entries.values()]
        return pl.DataFrame(lines).select("name", *([mark] if mark else []), "what")
    if name not in entries:
        raise unknown_name(f"{one} of this catalogue", name, entries)
    return entries[name].text


def _sources() -> dict[str, _Entry]:
    told = {name: f"{what}\n" for name, what in SOURCES.items()}
    told["pbc"] += f"Licence: {PBC_LICENCE}\nCite: {PBC_CITATION}\n"
    return {name: _Entry(what, told[name]) for name, what in SOURCES.items()}


def _models() -> dict[str, _Entry]:
    return {
        name: _Entry(known.what, f"{known.id}: {known.what}\n".removeprefix(": "), known.id)
        for name, known in MODELS.items()
    }


def _recipes() -> dict[str, _Entry]:
    kinds = ("augmentation", "training", "synthesis")
    rooms = {kind: f"leukoscope.{kind}" for kind in kinds}
    found = {
        name: _Entry(first_sentence(text), text, _SPOKEN.get(kind, kind))
        for kind, room in rooms.items()
        for name, text in shipped(room, "named").items()
    }
    return dict(sorted(found.items()))


_SPOKEN = {"synthesis": "generator"}


def _studies() -> dict[str, _Entry]:
    # Read as plain text: a list of names is no work for torch, which a study's recipe needs.
    texts = shipped("leukoscope.replication", "studies")
    return {name: _Entry(yaml.safe_load(text)["question"], text) for name, text in texts.items()}


_KINDS: dict[str, tuple[str, str, Callable[[], dict[str, _Entry]]]] = {
    "sources": ("source", "", _sources),
    "models": ("model", "id", _models),
    "recipes": ("recipe", "kind", _recipes),
    "studies": ("study", "", _studies),
}
