"""A training run: fitted, its test split predicted once, its folder left finished."""

import hashlib
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from torch import nn

from leukoscope.fitting.life import (
    begin_run,
    finish_run,
    other_settings,
    refuse_other_run,
    working,
)
from leukoscope.fitting.machine import choose_device, choose_precision
from leukoscope.foundation import files
from leukoscope.intake.store import open_store
from leukoscope.models.backbones import build, check_size
from leukoscope.models.cards import WeightsCard, refuse_other_categories
from leukoscope.models.folders import write_model
from leukoscope.models.predictions import prediction_table
from leukoscope.models.probes import WITHOUT_NETWORK
from leukoscope.models.weights import load_weights
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import Dataset, manifest_digest, mark_used, read_split
from leukoscope.records.generators import GeneratorCard, generators_in
from leukoscope.records.leaks import generator_ids
from leukoscope.records.lineage import is_generated
from leukoscope.records.recipes import write_recipe
from leukoscope.records.runs import ModelCard, NetworkRecipe, SeenCells, is_finished
from leukoscope.stats.temperature import fit_temperature
from leukoscope.training.cells import gather
from leukoscope.training.frozen import cacheable, frozen_cells
from leukoscope.training.loop import best_row, fit
from leukoscope.training.probe import ProbeRecipe, fit_probe
from leukoscope.training.recipe import FitRecipe, TrainingRecipe
from leukoscope.training.recipes import load_training
from leukoscope.training.settings import check_start
from leukoscope.training.sides import (
    of_people,
    people_in,
    seen_in,
    seen_sides,
    sides_for,
    split_digest,
    test_cells,
)


def train_run(
    dataset: Dataset,
    recipe: FitRecipe,
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
    recipe : TrainingRecipe or ProbeRecipe
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
        picture is gone, the test collection holds cells of the training pool, or generated
        cells come from cells that the run must not see.
    RecipeError
        If parts are to be frozen that have no weights but random ones.
    RunError
        If the loss is not finite or the disk is full; the run can go on.
    """
    divided = read_split(dataset, recipe.split, recipe.repeat, recipe.fold)
    if test is not None:
        apart = test_cells(test, divided, dataset.card.categories)
        divided = pl.concat([divided.filter(pl.col("split") != "test"), apart])
    generators = generators_in(dataset.folder)
    sides = sides_for(divided, recipe, weights, generators)
    # What grows with the number of cells is let go before the long part begins.
    del divided
    facts = _facts(dataset, sides, generators)
    chosen = choose_device(device)
    refuse_other_run(out, partial(_differing, out, recipe, facts))
    if is_finished(out):
        return out
    # Built before anything is written: weights or a size that do not fit leave nothing behind.
    network, digest = _starting_network(dataset, recipe, weights)
    begun = _begin(dataset, recipe, facts, out, chosen)
    # Another process may have begun another run here since it was asked.
    refuse_other_run(out, partial(_differing, out, recipe, facts))
    started = time.monotonic()
    with working(out, begun["threads"]):
        if is_finished(out):
            # Another process ended it after the question above was asked.
            return out
        fitted = _fitted(
            dataset, sides, recipe, network, out=out, device=chosen, precision=begun["precision"]
        )
        seen = seen_in(sides, weights, generators)
        card = _card(dataset, recipe, seen, fitted.measures)
        card = _calibrated(dataset, sides, fitted.network, card, chosen)
        write_model(out / "model", fitted.network, card)
        if not sides["test"].is_empty():
            # Of a collection of its own, that its people are others is for its owner to say.
            people = people_in(dataset.manifest, sides, generators)
            asked = sides["test"] if test else of_people(sides["test"], people)
            name = run_id or out.name
            table = prediction_table(
                test or dataset, asked, fitted.network, card, run_id=name, device=chosen
            )
            tables.write_table(out / "predictions.parquet", table, shapes.PREDICTIONS)
        found = fitted.found | {"starting_weights_digest": digest}
        _finish(out, found, recipe, sides, time.monotonic() - started)
    return out


class _Fitted(NamedTuple):
    network: nn.Module
    measures: tuple[str, ...]
    found: dict[str, Any]


def _fitted(
    dataset: Dataset,
    sides: dict[str, pl.DataFrame],
    recipe: FitRecipe,
    network: nn.Module | None,
    *,
    out: Path,
    device: torch.device,
    precision: str,
) -> _Fitted:
    """Fit a network by the loop, or a classical model on features, and say how that ended."""
    if isinstance(recipe, ProbeRecipe):
        probe = fit_probe(dataset, sides["train"], recipe, network, device=device)
        return _Fitted(probe, probe.measure_names, {})
    assert isinstance(recipe, TrainingRecipe)
    assert network is not None
    categories = dataset.card.categories
    store = open_store(dataset, seen_sides(sides), recipe.preprocessing.size_px)
    train = gather(sides["train"], categories, store, copies=recipe.copies)
    validation = gather(sides["validation"], categories, store)
    trained = network
    if (parts := cacheable(network, recipe)) is not None:
        body, trained = parts
        train = frozen_cells(dataset, train, recipe, body, device=device, augmented=True)
        validation = frozen_cells(dataset, validation, recipe, body, device=device, augmented=False)
    state = fit(trained, train, validation, recipe, run=out, device=device, precision=precision)
    # A head is part of its network: where it alone was trained, the network now has it.
    trained.load_state_dict(state.best)
    best = best_row(state.history)
    names = ("validation_macro_f", "validation_loss")
    ended = {"updates": state.update, "best_update": best["update"]}
    return _Fitted(network, (), ended | {name: best[name] for name in names})


def _facts(
    dataset: Dataset, sides: dict[str, pl.DataFrame], generators: Mapping[str, GeneratorCard]
) -> dict[str, Any]:
    names = {name: generators[name].name for name in generator_ids(sides["train"])}
    facts = {
        "name": dataset.card.name,
        "manifest_digest": manifest_digest(dataset.manifest),
        "split_digest": split_digest(sides),
        "categories": list(dataset.card.categories),
        "source": dataset.card.source,
        "licence": dataset.card.licence,
        "citation": dataset.card.citation,
        "n_cells": {name: part.height for name, part in sides.items()},
        "n_families": {name: part["family"].n_unique() for name, part in sides.items()},
        "n_cases": {name: part["case"].drop_nulls().n_unique() for name, part in sides.items()},
    }
    return facts | ({"generators": names} if names else {})


def _begin(
    dataset: Dataset,
    recipe: FitRecipe,
    facts: dict[str, Any],
    out: Path,
    device: torch.device,
) -> dict[str, Any]:
    """Lay the run folder down, or read what was fixed when it was."""
    wanted = recipe.precision if isinstance(recipe, TrainingRecipe) else "float32"
    precision = choose_precision(device) if wanted == "auto" else wanted

    def lay_down(folder: Path) -> None:
        mark_used(dataset, recipe.split, out)
        write_recipe(folder / "recipe.yaml", recipe)
        files.write_json(folder / "dataset.json", facts)

    return begin_run(out, device, precision, lay_down)


def _differing(out: Path, recipe: FitRecipe, facts: dict[str, Any]) -> list[str]:
    """Name what differs between the run that was begun in a folder and one asked for."""
    other = other_settings(load_training(str(out / "recipe.yaml")), recipe)
    begun = files.read_json(out / "dataset.json")
    if begun["manifest_digest"] != facts["manifest_digest"]:
        other.append("the dataset's cells")
    elif begun["split_digest"] != facts["split_digest"]:
        other.append("the cells of its split")
    return other


def _starting_network(
    dataset: Dataset, recipe: FitRecipe, weights: WeightsCard | None
) -> tuple[nn.Module | None, str]:
    """Build what is fitted or asked for features, at its starting weights; none for pixels."""
    if recipe.model in WITHOUT_NETWORK:
        return None, ""
    check_start(recipe)
    size_px = recipe.preprocessing.size_px
    network = build(recipe, len(dataset.card.categories), size_px, seed=recipe.seed)
    if weights is not None:
        keep_head = isinstance(recipe, TrainingRecipe) and recipe.keep_head
        if keep_head:
            refuse_other_categories(weights, dataset.card.categories)
        load_weights(network, weights, recipe, keep_head=keep_head)
    check_size(network, recipe.model, size_px)
    return network, weights_digest(network)


def weights_digest(network: nn.Module) -> str:
    """Hash all weights of a network: equal starts have equal digests."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(value.detach().cpu().numpy()).data)
    return digest.hexdigest()


def _card(
    dataset: Dataset, recipe: FitRecipe, seen: SeenCells, measures: tuple[str, ...]
) -> ModelCard:
    shape = {name: getattr(recipe, name) for name in NetworkRecipe.model_fields}
    return ModelCard(
        **shape,
        categories=dataset.card.categories,
        preprocessing=recipe.preprocessing,
        weights=recipe.weights,
        classifier=recipe.classifier if isinstance(recipe, ProbeRecipe) else None,
        measures=measures,
        test_views=recipe.test_views,
        dataset_digest=manifest_digest(dataset.manifest),
        training_cells_digest=hashlib.sha256("\n".join(seen.contents).encode()).hexdigest(),
        seen=seen,
    )


def _calibrated(
    dataset: Dataset,
    sides: dict[str, pl.DataFrame],
    network: nn.Module,
    card: ModelCard,
    device: torch.device,
) -> ModelCard:
    """Give a card the temperature that fits the split's calibration cells, if it has some."""
    if "calibration" not in sides:
        return card
    # Of a category that training lacked a model knows nothing, nor how sure it should be.
    trained = sides["train"]["category"].unique()
    known = [name for name in card.categories if name in trained]
    cells = sides["calibration"].filter(pl.col("category").is_in(known))
    table = prediction_table(dataset, cells, network, card, run_id="", device=device)
    chances = table.select(f"p_{name}" for name in known).to_numpy()
    codes = [known.index(name) for name in table["category"]]
    # Logarithms of probabilities are logits of the same answer, up to a shift that changes none.
    logits = np.log(np.maximum(chances, np.finfo(np.float64).tiny))
    return card.model_copy(update={"temperature": fit_temperature(logits, codes)})


def _finish(
    out: Path,
    found: dict[str, Any],
    recipe: FitRecipe,
    sides: dict[str, pl.DataFrame],
    seconds: float,
) -> None:
    counts = {f"n_{name}": part.height for name, part in sides.items()}
    if n_generated := sides["train"].filter(is_generated()).height:
        counts["n_generated"] = n_generated
    finish_run(out, {"recipe_id": recipe.recipe_id} | found | counts, seconds)
