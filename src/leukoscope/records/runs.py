"""Run folders and model folders: what a training leaves behind, and who may use it."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError, LicenceError
from leukoscope.records import shapes
from leukoscope.records.classifiers import ClassifierRecipe
from leukoscope.records.groups import groups_of
from leukoscope.records.recipes import Recipe

Above0 = Annotated[float, Field(gt=0)]
Setting = str | int | float | bool | None

FREE_LICENCES = ("own", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "mit", "cc0-1.0", "cc-by-4.0")
"""Licences of weights that ask for nothing but attribution; ``own``: trained here from random."""


class Preprocessing(Recipe):
    """State how pixels become a network's input: one statement for training and prediction."""

    size_px: int = Field(default=64, ge=8, le=2048)
    """Side of the square the picture's central square is resized to."""
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Subtracted from red, green, blue after division by 255."""
    std: tuple[Above0, Above0, Above0] = (0.5, 0.5, 0.5)
    """What the difference is divided by."""
    resizer: Literal["pillow-bilinear-antialias"] = "pillow-bilinear-antialias"
    """The one resizer of the house, named so that a model cannot be fed by another."""


class WeightsOrigin(Recipe):
    """Say where starting weights come from and under which licence."""

    name: str
    """The file's or model folder's name."""
    sha256: str
    """Digest of the file."""
    licence: str
    """Licence in SPDX form, lower case; ``unknown`` where the card names none."""
    interpolation: str | None = None
    """How pictures were resized for them, where their card says; ours is the house's resizer."""


class SeenCells(Recipe):
    """Name the cells a model was trained or chosen on, so that none is taken for a new one."""

    contents: tuple[str, ...] = ()
    """Their pixel hashes."""
    families: tuple[str, ...] = ()
    """Their families."""
    cases: tuple[str, ...] = ()
    """Digests of the names of their cases, not the names."""


class NetworkRecipe(Recipe):
    """State how a network is built; its weights come apart from it."""

    model: str = "resnet18"
    """Name of a network: one of the papers' own, or any of timm."""
    build_arguments: dict[str, Setting] = Field(default={})
    """Arguments beside the name that the network is built with."""
    stem: Literal["own", "small"] = "own"
    """``small``: the first convolution becomes 3 × 3 at full resolution and no pooling follows
    it, for pictures of 28 to 64 px."""
    norm: Literal["own", "group"] = "own"
    """``group``: group normalisation in place of each batch normalisation."""
    head: Literal["linear", "dense", "convolution"] = "linear"
    """What follows the last maps. ``linear``: the network's own pooling and one layer. ``dense``:
    two layers of 1024 and 512 (Saquib and Rodriguez). ``convolution``: 3 × 3 convolution, batch
    normalisation, pooling, one layer (Yin and Xiong)."""
    regions: Literal["whole", "quadrants-and-rim"] = "whole"
    """``quadrants-and-rim``: five networks of this kind, one for each quarter of the picture and
    one for what lies outside its inner disc; the answer is the mean of their logits."""


class ModelCard(NetworkRecipe):
    """Describe a trained network: everything needed to use ``model.safetensors`` rightly."""

    categories: tuple[str, ...]
    """What each output means, in order."""
    preprocessing: Preprocessing
    """How pixels become its input."""
    weights: WeightsOrigin | None = None
    """Where it started from; nothing where it started at random."""
    temperature: float = Field(default=1.0, gt=0)
    """Logits are divided by it: fitted on calibration cells, 1 where there were none."""
    test_views: Literal[1, 8] = 1
    """8: its answer is the mean over the eight orientations of a picture."""
    classifier: ClassifierRecipe | None = None
    """The classical model that answers from features; nothing where the network does itself."""
    measures: tuple[str, ...] = ()
    """The measures of each cell that it takes beside its picture, in order."""
    dataset_digest: str
    """Digest of the manifest it was trained on."""
    training_cells_digest: str
    """Digest of the sorted contents of the cells it has seen."""
    seen: SeenCells = Field(default=SeenCells(), repr=False)
    """The cells of its training and validation, of those of the model it started from, and of
    those that the generators saw whose cells it learnt from."""


def seen_of(manifest: pl.DataFrame, before: SeenCells | None = None) -> SeenCells:
    """Name the cells of a manifest as seen, beside those seen *before*."""
    before = before or SeenCells()
    cases = [_case_digest(case) for case in manifest["case"].drop_nulls().unique()]
    return SeenCells(
        contents=tuple(sorted({*before.contents, *manifest["content"]})),
        families=tuple(sorted({*before.families, *manifest["family"]})),
        cases=tuple(sorted({*before.cases, *cases})),
    )


def joined_seen(*several: SeenCells) -> SeenCells:
    """Join cells that were seen by several models or generators, each named once."""
    return SeenCells(
        contents=tuple(sorted({name for one in several for name in one.contents})),
        families=tuple(sorted({name for one in several for name in one.families})),
        cases=tuple(sorted({name for one in several for name in one.cases})),
    )


def is_seen(manifest: pl.DataFrame, seen: SeenCells) -> pl.Series:
    """Tell of each cell of a manifest whether a model has seen it or what belongs to it.

    Parameters
    ----------
    manifest : polars.DataFrame
        Cells of any dataset.
    seen : SeenCells
        What a model was trained or chosen on.

    Returns
    -------
    polars.Series of bool
        True for a cell whose pixels, family or case was seen, and for all that stand in
        one group with it. A case counts as seen if one of its name was: two datasets
        may name two people alike, but that is for a person to say.
    """
    cases = {case: _case_digest(case) for case in manifest["case"].drop_nulls().unique()}
    met = (
        manifest["content"].is_in(list(seen.contents))
        | manifest["family"].is_in(list(seen.families))
        | manifest["case"]
        .replace_strict(cases, default=None)
        .is_in(list(seen.cases))
        .fill_null(False)
    )
    table = pl.DataFrame({"group": groups_of(manifest), "met": met})
    return table.select(seen=pl.col("met").any().over("group"))["seen"]


def _case_digest(case: str) -> str:
    return hashlib.sha256(f"case:{case}".encode()).hexdigest()[:16]


def read_model_card(folder: Path) -> ModelCard:
    """Read ``model.json`` of a model folder. Raises DataError if it is none."""
    return ModelCard.from_json(folder / "model.json")


def model_folder_of(path: Path) -> Path:
    """Find the model folder of a run, or take a model folder or an arm's folder itself.

    Raises
    ------
    DataError
        If the run or a replicate of the arm is unfinished, or the path is none of them.
    """
    path = Path(path)
    if (path / "model.onnx").is_file():
        raise DataError(
            f"{path} is an exported model, which other tools run. Nothing was done. Name the run "
            "it was exported from."
        )
    if (path / "model.json").is_file():
        return path
    if (path / "recipe.yaml").is_file() and not is_finished(path):
        raise DataError(
            f"Run {path} is not finished: it holds no done.json. "
            "Give its `leukoscope train` command again; it goes on where it stopped."
        )
    if (path / "model" / "model.json").is_file():
        return path / "model"
    if replicates_of(path):
        for run in replicates_of(path):
            model_folder_of(run)
        return path
    raise DataError(f"{path} is neither a run nor a model folder: it holds no model.json.")


def replicates_of(path: Path) -> list[Path]:
    """List the runs of a study's arm, whose folders are named 00, 01 and so on, in order.

    Over folds each replicate holds its folds' runs, named alike; all are listed.
    """
    path = Path(path)
    found = [file.parent for depth in ("*", "*/*") for file in path.glob(f"{depth}/recipe.yaml")]
    names = {run: run.relative_to(path).parts for run in found}
    numbered = [run for run in found if all(re.fullmatch("[0-9]+", part) for part in names[run])]
    return sorted(numbered, key=lambda run: [int(part) for part in names[run]])


def predictions_of(source: Path) -> Path:
    """Find the predictions of a finished run, or take a table itself.

    Raises
    ------
    DataError
        If the run is unfinished, or there is nothing of that name.
    """
    source = Path(source)
    if source.is_dir():
        model_folder_of(source)
        if not (source / "predictions.parquet").is_file():
            raise DataError(
                f"{source} holds no predictions: it is a model folder, or its split had no test. "
                "Make some with `leukoscope predict` and score those."
            )
        return source / "predictions.parquet"
    if not source.exists():
        raise DataError(f"There is no run and no predictions table at {source}.")
    return source


def refuse_equal_models(sources: Mapping[str, Path]) -> None:
    """Refuse runs that hold the same weights: two names for one network are no comparison.

    Raises
    ------
    DataError
        If two of the sources are runs whose model files are equal in bytes.
    """
    owner: dict[str, str] = {}
    for name, source in sources.items():
        file = Path(source) / "model" / "model.safetensors"
        if not file.is_file():
            continue
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if digest in owner:
            raise DataError(
                f"The runs {owner[digest]} and {name} hold the same weights, byte for byte: they "
                "are one network under two names. Nothing was compared."
            )
        owner[digest] = name


def is_finished(run: Path) -> bool:
    """Tell whether a run folder is whole: ``done.json`` is written last."""
    return (run / "done.json").is_file()


def read_done(run: Path) -> dict[str, Any]:
    """Read what a finished run says of itself. Raises DataError if it is not finished."""
    done = files.read_json(run / "done.json")
    return dict(done)


def history_of(run: Path) -> pl.DataFrame:
    """Read how a run's training went: a row each time validation was scored."""
    columns = [name for name in shapes.CURVES.columns if name not in ("study", "arm", "replicate")]
    return pl.read_csv(run / "history.csv").select(columns)


def check_licence(origin: WeightsOrigin, accepted: str | None) -> None:
    """Refuse weights whose licence asks for more than attribution, unless it was accepted.

    Parameters
    ----------
    origin : WeightsOrigin
        The weights and their licence.
    accepted : str or None
        The licence the person accepted by name.

    Raises
    ------
    LicenceError
        If it is not free and not the accepted one.
    """
    if origin.licence in FREE_LICENCES or origin.licence == (accepted or "").lower():
        return
    raise LicenceError(
        f"The weights {origin.name} are under {origin.licence}, which restricts their use. Nothing "
        f"was started. If your use is allowed, add --accept-licence {origin.licence}."
    )
