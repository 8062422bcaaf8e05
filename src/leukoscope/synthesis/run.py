"""A run of generators: each fitted inside the training split, its folder left finished."""

import hashlib
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from safetensors.torch import save

from leukoscope.fitting.averaging import Average
from leukoscope.fitting.life import (
    begin_run,
    finish_run,
    other_settings,
    refuse_other_run,
    working,
)
from leukoscope.fitting.machine import choose_device, choose_precision
from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import RecipeError, UsageError
from leukoscope.intake.store import PixelStore, open_store
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset, manifest_digest, mark_used
from leukoscope.records.generators import GeneratorCard
from leukoscope.records.lineage import GENERATED
from leukoscope.records.recipes import write_recipe
from leukoscope.records.runs import SeenCells, is_finished, joined_seen, seen_of
from leukoscope.synthesis.cells import PARTS, Member, members_of, parted, refuse_seen_tests
from leukoscope.synthesis.features import JudgeFeatures
from leukoscope.synthesis.looks import Stopping, look_at
from leukoscope.synthesis.loop import Fit, Pool, best_row, fit_generator
from leukoscope.synthesis.rates import searched
from leukoscope.synthesis.recipe import GeneratorRecipe

WEIGHTS = "generator.safetensors"


def synthesise_run(
    dataset: Dataset, recipe: GeneratorRecipe, *, features: JudgeFeatures, out: Path, device: str
) -> Path:
    """Fit the generators of a recipe inside the training split, and leave a finished run folder.

    Parameters
    ----------
    dataset : Dataset
        Real cells, with a split of the recipe's name.
    recipe : GeneratorRecipe
        What to do.
    features : JudgeFeatures
        The network by which the stopping cells choose among the stages of the fit.
    out : Path
        The run folder. An unfinished run of the same recipe, cells and features goes on where it
        stopped; a finished one is left as it is.
    device : str
        ``auto``, ``cpu``, ``cuda`` …

    Returns
    -------
    Path
        *out*, with ``done.json``.

    Raises
    ------
    UsageError
        If another run or anything else stands at *out*.
    DataError
        If the dataset holds drawn cells or copies, a category has fewer than 16 training cells,
        there are no cells to stop by, or a picture is gone or too small.
    RunError
        If a loss is not finite, the drawings become all alike, or the disk is full.
    """
    cells = parted(dataset, recipe)
    refuse_seen_tests(dataset, recipe, features)
    members = members_of(cells, recipe, dataset)
    facts = _facts(dataset, cells, members, features)
    chosen = choose_device(device)
    refuse_other_run(out, partial(_differing, out, recipe, facts))
    if is_finished(out):
        return out
    begun = _begin(dataset, recipe, facts, cells, out, chosen)
    # Another process may have begun another run here since it was asked.
    refuse_other_run(out, partial(_differing, out, recipe, facts))
    started = time.monotonic()
    with working(out, begun["threads"]):
        if is_finished(out):
            return out
        store = open_store(dataset, cells, recipe.size_px)
        for member in members:
            _fit_member(member, cells, store, recipe, features, out, chosen, begun["precision"])
        card = _card(dataset, recipe, cells, members, features.seen, out)
        files.write_json(out / "generator.json", card.model_dump(mode="json"))
        _finish(recipe, members, out, time.monotonic() - started)
    return out


def member_folder(run: Path, member: str) -> Path:
    """Name where a run keeps one of its generators."""
    return run / "generators" / member


def begun_recipe(out: Path) -> GeneratorRecipe:
    """Read the recipe of a run that was begun. Raises UsageError if it is no generator's."""
    try:
        return GeneratorRecipe.from_yaml(out / "recipe.yaml")
    except RecipeError:
        raise UsageError(
            f"{out} holds another run, which is no generator's. It was left untouched. Give --out "
            "a new name."
        ) from None


def _fit_member(
    member: Member,
    cells: pl.DataFrame,
    store: PixelStore,
    recipe: GeneratorRecipe,
    features: JudgeFeatures,
    out: Path,
    device: torch.device,
    precision: str,
) -> None:
    folder = member_folder(out, member.name)
    if _is_fitted(folder):
        (folder / "checkpoint.safetensors").unlink(missing_ok=True)
        return
    folder.mkdir(parents=True, exist_ok=True)
    pool = _pool(member, cells, store)
    look = partial(
        look_at,
        stopping=_stopping(member, cells, store, features),
        recipe=recipe,
        features=features,
        member=member.name,
        n_categories=pool.n_categories,
        device=device,
    )
    settled = searched(pool, recipe, look, folder=folder, device=device, precision=precision)
    state = fit_generator(pool, settled, look, folder=folder, device=device, precision=precision)
    weights = _packed(state.best)
    _write_ending(folder, settled, state, weights)
    # Last: weights that are not those of the ending are fitted again.
    files.write_bytes(folder / WEIGHTS, weights)
    (folder / "checkpoint.safetensors").unlink()


def _is_fitted(folder: Path) -> bool:
    """Tell whether a member has come to its end, and its weights are those it wrote."""
    if not ((folder / WEIGHTS).is_file() and (folder / "ended.json").is_file()):
        return False
    return bool(
        files.read_json(folder / "ended.json")["sha256"] == files.digest_of(folder / WEIGHTS)
    )


def _pool(member: Member, cells: pl.DataFrame, store: PixelStore) -> Pool:
    own = cells.filter((pl.col("part") == "fit") & pl.col("category").is_in(member.categories))
    codes = np.array([member.categories.index(name) for name in own["category"]], dtype=np.int64)
    rows = store.rows(own["content"].to_list())
    return Pool(member.name, len(member.categories), own["cell_id"].to_list(), codes, rows, store)


def _stopping(
    member: Member, cells: pl.DataFrame, store: PixelStore, features: JudgeFeatures
) -> Stopping:
    own = cells.filter((pl.col("part") == "stop") & pl.col("category").is_in(member.categories))
    codes = np.array([member.categories.index(name) for name in own["category"]], dtype=np.int64)
    pixels = store.take(store.rows(own["content"].to_list()))
    return Stopping(pixels, codes, features.of(pixels))


def _packed(weights: Average) -> bytes:
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    packed: bytes = save(plain)
    return packed


def _write_ending(folder: Path, recipe: GeneratorRecipe, state: Fit, weights: bytes) -> None:
    best = best_row(state.history)
    names = ("update", "kid", "diversity")
    rates = {"generator_rate": recipe.generator_rate, "critic_rate": recipe.critic_rate}
    ended = {"updates": state.update, "best": {name: best[name] for name in names}} | rates
    ended["sha256"] = hashlib.sha256(weights).hexdigest()
    files.write_json(folder / "ended.json", ended)


def _facts(
    dataset: Dataset, cells: pl.DataFrame, members: Sequence[Member], features: JudgeFeatures
) -> dict[str, Any]:
    """Say of which cells the run is, and by which features its stages are chosen."""
    counts = cells.group_by("part").len()
    return {
        "name": dataset.card.name,
        "manifest_digest": manifest_digest(dataset.manifest),
        "cells_digest": _cells_digest(cells),
        "source": dataset.card.source,
        "licence": dataset.card.licence,
        "citation": dataset.card.citation,
        "members": {member.name: list(member.categories) for member in members},
        "features": {"name": features.name, "digest": features.digest},
        "n_cells": {part: int(n) for part, n in sorted(counts.iter_rows())},
    }


def _cells_digest(cells: pl.DataFrame) -> str:
    text = cells.sort("part", "cell_id").select("part", "cell_id", "content").write_csv()
    return hashlib.sha256(text.encode()).hexdigest()


def _begin(
    dataset: Dataset,
    recipe: GeneratorRecipe,
    facts: dict[str, Any],
    cells: pl.DataFrame,
    out: Path,
    device: torch.device,
) -> dict[str, Any]:
    def lay_down(folder: Path) -> None:
        mark_used(dataset, recipe.split, out)
        write_recipe(folder / "recipe.yaml", recipe)
        files.write_json(folder / "dataset.json", facts)
        tables.write_both(folder, "cells", cells.select(*shapes.FITTED.columns), shapes.FITTED)

    return begin_run(out, device, choose_precision(device), lay_down)


def _differing(out: Path, recipe: GeneratorRecipe, facts: dict[str, Any]) -> list[str]:
    """Name what differs between the fit that was begun in a folder and one asked for."""
    other = other_settings(begun_recipe(out), recipe)
    begun = files.read_json(out / "dataset.json")
    said = {"cells_digest": "the cells", "features": "the features that choose among its stages"}
    return other + [word for name, word in said.items() if begun.get(name) != facts[name]]


def _card(
    dataset: Dataset,
    recipe: GeneratorRecipe,
    cells: pl.DataFrame,
    members: Sequence[Member],
    before: SeenCells,
    out: Path,
) -> GeneratorCard:
    paths = [member_folder(out, member.name) / WEIGHTS for member in members]
    digests = {path.relative_to(out).as_posix(): files.digest_of(path) for path in paths}
    made_of = "\n".join((recipe.recipe_id, _cells_digest(cells), *sorted(digests.values())))
    seen = {part: seen_of(cells.filter(pl.col("part") == part)) for part in PARTS}
    # What the features' network learnt from chooses among the stages of the fit, too.
    seen["stop"] = joined_seen(seen["stop"], before)
    drawn = {name for member in members for name in member.categories}
    return GeneratorCard(
        generator_id=GENERATED + hashlib.sha256(made_of.encode()).hexdigest()[:16],
        name=out.resolve().name,
        recipe_id=recipe.recipe_id,
        categories=tuple(name for name in dataset.card.categories if name in drawn),
        size_px=recipe.size_px,
        files=digests,
        **seen,
        dataset_digest=manifest_digest(dataset.manifest),
        dataset_name=dataset.card.name,
        licence=dataset.card.licence,
        citation=dataset.card.citation,
    )


def _finish(recipe: GeneratorRecipe, members: Sequence[Member], out: Path, seconds: float) -> None:
    ended = {
        member.name: files.read_json(member_folder(out, member.name) / "ended.json")
        for member in members
    }
    finish_run(out, {"recipe_id": recipe.recipe_id, "members": ended}, seconds)
    for name, each in ended.items():
        progress.note(
            f"{name}: the generator of update {each['best']['update']} of {each['updates']} is "
            f"nearest to the stopping cells (KID {each['best']['kid']:.4f})."
        )
