"""The life of a run folder: begun, gone on with, finished; never overwritten."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn

from leukoscope.fitting.machine import choose_device, choose_precision, describe, keep_memory
from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.intake.store import open_store
from leukoscope.intake.stratified import training_draw
from leukoscope.models.backbones import build, check_size
from leukoscope.models.folders import write_model
from leukoscope.models.predictions import prediction_table
from leukoscope.models.weights import WeightsCard, load_weights
from leukoscope.records import shapes, tables
from leukoscope.records.categories import read_as
from leukoscope.records.dataset import Dataset, manifest_digest, read_split, splits_path
from leukoscope.records.lineage import is_copy
from leukoscope.records.recipes import write_recipe
from leukoscope.records.runs import (
    ModelCard,
    NetworkRecipe,
    SeenCells,
    is_finished,
    is_seen,
    seen_of,
)
from leukoscope.training.cells import gather
from leukoscope.training.loop import Fit, best_row, fit
from leukoscope.training.recipe import TrainingRecipe

_USED = ("cell_id", "path", "content", "category", "case", "family", "origin")


def train_run(
    dataset: Dataset,
    recipe: TrainingRecipe,
    *,
    weights: WeightsCard | None,
    out: Path,
    device: str,
    run_id: str | None = None,
    test: Dataset | None = None,
) -> Path:
    """Train, predict the test split once, and leave a finished run folder.

    Parameters
    ----------
    dataset : Dataset
        With a split of the recipe's name.
    recipe : TrainingRecipe
        What to do.
    weights : WeightsCard or None
        The starting weights the recipe names.
    out : Path
        The run folder. An unfinished run of the same recipe and data goes on where it
        stopped; a finished one is left as it is.
    device : str
        ``auto``, ``cpu``, ``cuda`` …
    run_id : str, optional
        What its predictions call the run; the folder's name unless given.
    test : Dataset, optional
        A separate collection to predict instead of the split's test.

    Returns
    -------
    Path
        *out*, with ``done.json``.

    Raises
    ------
    UsageError
        If another run or anything else stands at *out*.
    DataError
        If the split is missing or parts a group, training holds one category only, a
        picture is gone, or the test collection holds cells of the training pool.
    RunError
        If the loss is not finite or the disk is full; the run can go on.
    """
    divided = read_split(dataset, recipe.split, recipe.repeat, recipe.fold)
    if test is not None:
        apart = test_cells(test, divided, dataset.card.categories)
        divided = pl.concat([divided.filter(pl.col("split") != "test"), apart])
    sides = sides_for(divided, recipe, weights)
    # What grows with the number of cells is let go before the long part begins.
    del divided
    facts = _facts(dataset, sides)
    chosen = choose_device(device)
    _refuse_other_run(out, recipe, facts)
    if is_finished(out):
        return out
    # Built before anything is written: weights or a size that do not fit leave nothing behind.
    network, digest = _starting_network(dataset, recipe, weights)
    begun = _begin(dataset, recipe, facts, out, chosen)
    started = time.monotonic()
    with files.locked(out / "lock", wait=False):
        if is_finished(out):
            # Another process ended it after the question above was asked.
            return out
        _sweep(out)
        torch.set_num_threads(begun["threads"])
        keep_memory()
        categories = dataset.card.categories
        seen = pl.concat([sides["train"], sides["validation"]])
        store = open_store(dataset, seen, recipe.preprocessing.size_px)
        state = fit(
            network,
            gather(sides["train"], categories, store, copies=recipe.copies),
            gather(sides["validation"], categories, store),
            recipe,
            run=out,
            device=chosen,
            precision=begun["precision"],
        )
        network.load_state_dict(state.best)
        card = _card(dataset, recipe, seen_of(seen, weights.seen if weights else None))
        write_model(out / "model", network, card)
        if not sides["test"].is_empty():
            # Of a collection of its own, that its people are others is for its owner to say.
            asked = sides["test"] if test else of_people(sides["test"], seen)
            table = prediction_table(
                test or dataset, asked, network, card, run_id=run_id or out.name, device=chosen
            )
            tables.write_table(out / "predictions.parquet", table, shapes.PREDICTIONS)
        _finish(out, state, recipe, sides, digest, time.monotonic() - started)
    return out


def test_cells(test: Dataset, divided: pl.DataFrame, categories: Sequence[str]) -> pl.DataFrame:
    """Take the original cells of a separate collection as test cells.

    Parameters
    ----------
    test : Dataset
        The collection.
    divided : polars.DataFrame
        The manifest that is trained on, with its sides.
    categories : sequence of str
        What the model will answer.

    Returns
    -------
    polars.DataFrame
        Rows of its manifest with ``split`` test.

    Raises
    ------
    DataError
        If it holds a cell, family or case of the training pool, no cell, or a category
        that no answer covers.
    """
    cells = test.manifest.filter(~is_copy())
    cells = cells.with_columns(split=pl.lit("test")).select(divided.columns)
    try:
        read_as(cells["category"].to_list(), categories)
    except DataError as error:
        raise DataError(f"The test collection {test.folder} does not fit: {error}") from None
    pool = divided.filter(pl.col("split").is_in(["train", "validation"]))
    met = cells.filter(is_seen(cells, seen_of(pool)))
    if met.height or cells.is_empty():
        raise DataError(
            f"{met.height} of {cells.height} cells of the test collection {test.folder} belong to "
            "cells, families or cases of training and validation"
            + (f", for example {met['cell_id'][0]}" if met.height else "")
            + ". Nothing was started. Leave them out; cases that only happen to share a name need "
            "other names."
        )
    return cells


def sides_for(
    divided: pl.DataFrame, recipe: TrainingRecipe, weights: WeightsCard | None
) -> dict[str, pl.DataFrame]:
    """Take what a run trains on, is chosen by and is tested on, and refuse what would leak.

    Raises
    ------
    DataError
        If a side is empty, training holds one category only, or the test holds what the run or
        the model behind its weights has seen.
    """
    sides = {
        name: divided.filter(pl.col("split") == name).select(_USED)
        for name in ("train", "validation", "test")
    }
    empty = [name for name in ("train", "validation") if sides[name].is_empty()]
    if empty:
        raise DataError(
            f"The split {recipe.split!r} has no cells in {', '.join(empty)}. Nothing was started."
        )
    sides["train"] = training_draw(sides["train"], recipe.train_cells, recipe.seed)
    if sides["train"]["category"].n_unique() < 2:
        raise DataError(
            f"All {sides['train'].height} training cells are filed as "
            f"{sides['train']['category'][0]}; telling apart takes at least two categories. "
            "Nothing was started."
        )
    _refuse_leak(sides, weights)
    return sides


def _refuse_leak(sides: dict[str, pl.DataFrame], weights: WeightsCard | None) -> None:
    test = sides["test"]
    leaked = test.join(pl.concat([sides["train"], sides["validation"]]), on="content", how="semi")
    if leaked.height:
        raise DataError(
            f"{leaked.height} test pictures are also in training or validation, for example "
            f"{leaked['cell_id'][0]}. Nothing was started. Make a new split."
        )
    known = test.filter(is_seen(test, weights.seen)) if weights else test.clear()
    if weights and known.height:
        raise DataError(
            f"{known.height} of {test.height} test cells were seen by the model that the weights "
            f"{weights.origin.name} come from, for example {known['cell_id'][0]}. Nothing was "
            "started. Use the split that model was trained with, or other weights."
        )


def of_people(test: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """Forget cases where a training cell's is unknown: it may be one of the test's people."""
    if seen["case"].null_count():
        return test.with_columns(case=pl.lit(None, dtype=pl.String))
    return test


def _facts(dataset: Dataset, sides: dict[str, pl.DataFrame]) -> dict[str, Any]:
    return {
        "name": dataset.card.name,
        "manifest_digest": manifest_digest(dataset.manifest),
        "split_digest": split_digest(sides),
        "categories": list(dataset.card.categories),
        "licence": dataset.card.licence,
        "citation": dataset.card.citation,
        "n_cells": {name: part.height for name, part in sides.items()},
        "n_families": {name: part["family"].n_unique() for name, part in sides.items()},
    }


def _begin(
    dataset: Dataset,
    recipe: TrainingRecipe,
    facts: dict[str, Any],
    out: Path,
    device: torch.device,
) -> dict[str, Any]:
    """Lay the run folder down, or read what was fixed when it was."""
    if (out / "environment.json").is_file():
        environment: dict[str, Any] = files.read_json(out / "environment.json")
        return environment
    precision = recipe.precision if recipe.precision != "auto" else choose_precision(device)
    environment = describe(device, precision)
    _mark_used(dataset, recipe, out)

    def build(folder: Path) -> None:
        write_recipe(folder / "recipe.yaml", recipe)
        files.write_json(folder / "dataset.json", facts)
        files.write_json(folder / "environment.json", environment)

    files.build_folder(out, build)
    return environment


def _refuse_other_run(out: Path, recipe: TrainingRecipe, facts: dict[str, Any]) -> None:
    if not (out / "environment.json").is_file():
        files.refuse_existing(out)
        return
    stored = TrainingRecipe.from_yaml(out / "recipe.yaml")
    other = [
        name
        for name in TrainingRecipe.model_fields
        if getattr(stored, name) != getattr(recipe, name)
    ]
    begun = files.read_json(out / "dataset.json")
    if begun["manifest_digest"] != facts["manifest_digest"]:
        other.append("the dataset's cells")
    elif begun["split_digest"] != facts["split_digest"]:
        other.append("the cells of its split")
    if other:
        raise UsageError(
            f"{out} holds another run: {', '.join(other)} differ. It was left untouched. "
            "Give --out a new name, or the options it was started with."
        )


def split_digest(sides: dict[str, pl.DataFrame]) -> str:
    """Hash which cells stand on which side."""
    digest = hashlib.sha256()
    for name, part in sorted(sides.items()):
        digest.update("\n".join((name, *part["cell_id"].sort(), "")).encode())
    return digest.hexdigest()


def _sweep(out: Path) -> None:
    """Remove what a killed process was writing; the lock says that nobody writes now."""
    for folder in (out, out / "model"):
        for left in folder.glob(".*.part"):
            left.unlink()


def _mark_used(dataset: Dataset, recipe: TrainingRecipe, out: Path) -> None:
    path = splits_path(dataset.folder, recipe.split).with_suffix(".used.json")
    used = files.read_json(path) if path.is_file() else []
    files.write_json(path, sorted({*used, str(out.resolve())}))


def _starting_network(
    dataset: Dataset, recipe: TrainingRecipe, weights: WeightsCard | None
) -> tuple[nn.Module, str]:
    size_px = recipe.preprocessing.size_px
    network = build(recipe, len(dataset.card.categories), size_px, seed=recipe.seed)
    if weights is not None:
        load_weights(network, weights, recipe.model)
    check_size(network, recipe.model, size_px)
    return network, weights_digest(network)


def weights_digest(network: nn.Module) -> str:
    """Hash all weights of a network: equal starts have equal digests."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(value.detach().cpu().numpy()).data)
    return digest.hexdigest()


def _card(dataset: Dataset, recipe: TrainingRecipe, seen: SeenCells) -> ModelCard:
    shape = {name: getattr(recipe, name) for name in NetworkRecipe.model_fields}
    return ModelCard(
        **shape,
        categories=dataset.card.categories,
        preprocessing=recipe.preprocessing,
        weights=recipe.weights,
        dataset_digest=manifest_digest(dataset.manifest),
        training_cells_digest=hashlib.sha256("\n".join(seen.contents).encode()).hexdigest(),
        seen=seen,
    )


def _finish(
    out: Path,
    state: Fit,
    recipe: TrainingRecipe,
    sides: dict[str, pl.DataFrame],
    digest: str,
    seconds: float,
) -> None:
    best = best_row(state.history)
    files.write_json(
        out / "done.json",
        {
            "recipe_id": recipe.recipe_id,
            "updates": state.update,
            "best_update": best["update"],
            "validation_macro_f": best["validation_macro_f"],
            "starting_weights_digest": digest,
            "n_train": sides["train"].height,
            "n_validation": sides["validation"].height,
            "n_test": sides["test"].height,
            "seconds_since_last_start": round(seconds, 1),
        },
    )
    (out / "checkpoint.safetensors").unlink(missing_ok=True)
    (out / "lock").unlink(missing_ok=True)
