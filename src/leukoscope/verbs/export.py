"""The verb ``export``."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from leukoscope.evaluation.evaluation import evaluation_of
from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError
from leukoscope.models.folders import load_model
from leukoscope.models.onnx import INPUT, OPSET, OUTPUT, open_onnx, require_packages, to_onnx
from leukoscope.models.parity import N_DRAWN, Parity, decoded, drawn, parity_of, refuse_unlike
from leukoscope.models.predictions import mean_predictions
from leukoscope.models.probes import n_kept_cells
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset
from leukoscope.records.recipes import read_yaml
from leukoscope.records.runs import ModelCard, model_folder_of, read_model_card, replicates_of
from leukoscope.reporting.evaluated import EvaluationPage
from leukoscope.reporting.model_page import ModelPage, keeps_pictures, model_page
from leukoscope.training.probe import ProbeRecipe
from leukoscope.training.recipe import TrainingRecipe

_OWN_WEIGHTS = "weights of an own run"
"""What is told of starting weights that were trained here: a folder's name may be a person's."""
_NO_RUN = "Only the model folder was at hand: it holds no test predictions, so there are no scores."
_NO_TEST = "The run has no test predictions, so there are no scores."
_NOT_SCORED = (
    "The run's test predictions cannot be scored, so there are no scores; `leukoscope evaluate` "
    "says why."
)


def export(model: Path, *, out: Path, dataset: Path | None = None) -> Path:
    """Write a trained model as ONNX with a model card, its answers compared first.

    The graph takes decoded RGB pictures of any size and does all the rest itself. Before anything
    is kept, its answers are compared with those of this tool: they must call 99.9 % of the cells
    alike. A support vector machine and nearest neighbours hold training cells, which leave with
    them: that is noted, and stands on the card.

    Parameters
    ----------
    model : Path
        A finished run or a model folder; or the folder of a study's arm, whose replicates then
        answer together.
    out : Path
        The folder to make, with model.onnx, model.json and README.md; its name is the model's
        title on the card.
    dataset : Path, optional
        The dataset folder on whose cells the answers are compared; on drawn cells of several
        sizes unless given.

    Returns
    -------
    Path
        *out*.

    Raises
    ------
    UsageError
        If something stands at *out*, onnx is not installed, or the model is one that ONNX
        cannot hold: boosted trees, or measures of cells.
    DataError
        If the run or a replicate is unfinished, or a picture of the dataset is gone.
    RunError
        If the answers differ, or torch has no ONNX for a part of the network.
    """
    files.refuse_existing(out)
    require_packages()
    cells = read_dataset(dataset) if dataset is not None else None
    network, card = load_model(model_folder_of(model))
    written = to_onnx(network, card)
    pictures, n_pictures = (decoded(cells), cells.manifest.height) if cells else (drawn(), N_DRAWN)
    found = parity_of(open_onnx(written), network, card, pictures, n_pictures)
    refuse_unlike(found)
    compared = {"cells": f"dataset {cells.card.name}" if cells else "drawn cells"}
    page = _page(
        Path(model).resolve(),
        card,
        name=Path(out).resolve().name,
        parity=compared | found._asdict(),
        written=written,
        n_kept=n_kept_cells(network),
    )

    def build(folder: Path) -> None:
        files.write_bytes(folder / "model.onnx", written)
        files.write_json(folder / "model.json", _facts(page, found))
        files.write_text(folder / "README.md", model_page(page))

    _note_kept_cells(page)
    return files.build_folder(out, build)


def _note_kept_cells(page: ModelPage) -> None:
    """Say at once what its user has to know before the model is given away."""
    if page.n_kept_cells:
        form = "pictures" if keeps_pictures(page) else "features"
        progress.note(
            f"This model holds the {form} of {page.n_kept_cells} training cells, and they leave "
            "with it. Give it away only where you may give the cells away."
        )


def _page(
    path: Path,
    card: ModelCard,
    *,
    name: str,
    parity: dict[str, Any],
    written: bytes,
    n_kept: int,
) -> ModelPage:
    """Gather what the card says from the run's files; from the model folder alone without one."""
    if path.name == "model" and (path.parent / "done.json").is_file():
        path = path.parent
    runs = replicates_of(path) or [path]
    environment = _read(runs[0] / "environment.json")
    recipe = runs[0] / "recipe.yaml"
    changed = _changed(read_yaml(recipe)) if recipe.is_file() else {}
    scored, unscored = _scored(runs, name)
    return ModelPage(
        name=name,
        card=_without_own_name(card),
        n_replicates=len(runs),
        dataset=_read(runs[0] / "dataset.json"),
        changed=changed,
        recipe_id=_read(runs[0] / "done.json").get("recipe_id"),
        versions=_versions(environment),
        parity=parity,
        digests={
            "SHA-256 of model.onnx": sha256(written).hexdigest(),
            "Digest of the dataset's manifest": card.dataset_digest,
            "Digest of the cells seen": card.training_cells_digest,
        },
        scored=scored,
        unscored=unscored,
        members=[read_model_card(model_folder_of(run)) for run in runs],
        n_kept_cells=n_kept,
    )


def _without_own_name(card: ModelCard) -> ModelCard:
    """Leave out what the run was called whose weights are the start of this one."""
    if card.weights is None or card.weights.licence != "own":
        return card
    weights = card.weights.model_copy(update={"name": _OWN_WEIGHTS})
    return card.model_copy(update={"weights": weights})


def _read(path: Path) -> dict[str, Any]:
    return dict(files.read_json(path)) if path.is_file() else {}


def _changed(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the values of a recipe that are not its kind's defaults; what answers is told too."""
    shown_apart, told = ("weights", "preprocessing"), ("classifier",)
    kind = ProbeRecipe if "classifier" in stored else TrainingRecipe
    usual = kind().model_dump(mode="json")
    return {
        name: value
        for name, value in stored.items()
        if name not in shown_apart and (name in told or name not in usual or value != usual[name])
    }


def _versions(environment: Mapping[str, Any]) -> dict[str, str]:
    python = {"python": environment["python"]} if "python" in environment else {}
    return {**python, **environment.get("packages", {}), "ONNX opset": str(OPSET)}


def _scored(runs: list[Path], name: str) -> tuple[EvaluationPage | None, str]:
    """Evaluate the test predictions of a run, or the mean of its replicates'."""
    kept = [run / "predictions.parquet" for run in runs]
    if not all(file.is_file() for file in kept):
        return None, _NO_TEST if (runs[0] / "done.json").is_file() else _NO_RUN
    several = [tables.read_table(file, shapes.PREDICTIONS) for file in kept]
    table = several[0] if len(several) == 1 else mean_predictions(several, name)
    if table is None:
        return None, "The replicates were tested on other cells each, so there are no scores."
    try:
        found = evaluation_of(table)
    except DataError:
        return None, _NOT_SCORED
    kinds = ("results", "confusion", "points", "differential", "guards", "errors")
    return EvaluationPage(name, **{kind: getattr(found, kind) for kind in kinds}), ""


def _facts(page: ModelPage, found: Parity) -> dict[str, Any]:
    """State what a program needs beside the graph; no cell, family or case is named."""
    card = page.card
    return {
        "name": page.name,
        "categories": list(card.categories),
        "input": {"name": INPUT, "type": "uint8", "shape": ["n", "height", "width", 3]},
        "output": {"name": OUTPUT, "type": "float32", "shape": ["n", len(card.categories)]},
        "opset": OPSET,
        "preprocessing": card.preprocessing.model_dump(mode="json") | {"within_graph": True},
        "network": card.model,
        "replicates": page.n_replicates,
        "temperatures": [one.temperature for one in page.members],
        "test_views": [one.test_views for one in page.members],
        "weights": card.weights.model_dump(mode="json") if card.weights else None,
        "data_licence": page.dataset.get("licence"),
        "training_cells_inside": page.n_kept_cells,
        "digests": dict(page.digests),
        "parity": {"cells": page.parity["cells"], **found._asdict()},
    }
