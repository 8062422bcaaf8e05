import json
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
import torch
import yaml
from tests.models.modelled import CPU, modelled, write_run
from tests.models.test_exported_probes import coloured, probed

from leukoscope.foundation import files, progress
from leukoscope.foundation.errors import DataError, RunError, UsageError
from leukoscope.intake.decode import encode_png
from leukoscope.models.parity import decoded
from leukoscope.models.predictions import mean_predictions, prediction_table
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.records.runs import Preprocessing, WeightsOrigin, seen_of
from leukoscope.verbs.export import export
from leukoscope.verbs.predict import predict

pytestmark = pytest.mark.usefixtures("one_thread")
FEEDING = Preprocessing(size_px=16)
FIRST = WeightsOrigin(name="anna-b", sha256="0" * 64, licence="own")


def run_of(folder, cells, seed, name="run"):
    """Write a run with test predictions, of an untrained network that says it began as another."""
    dataset = read_dataset(cells)
    divided = read_split(dataset, "splits", 0, 0)
    seen = divided.filter(pl.col("split") != "test")
    facts = {"network": "lenet", "feeding": FEEDING, "seen": seen_of(seen), "test_views": 8}
    facts |= {"weights": FIRST}
    network, card = modelled(seed, categories=dataset.card.categories, **facts)
    write_run(folder, network, card, updates=7)
    test = divided.filter(pl.col("split") == "test").drop("split")
    table = prediction_table(dataset, test, network, card, run_id=name, device=CPU)
    tables.write_table(folder / "predictions.parquet", table, shapes.PREDICTIONS)
    n_cells = dict(divided.group_by("split").len().rows())
    files.write_json(folder / "dataset.json", {"name": dataset.card.name, "n_cells": n_cells})
    return folder


@pytest.fixture(scope="module")
def run(cells, tmp_path_factory, one_thread):
    """Write one finished run."""
    return run_of(tmp_path_factory.mktemp("runs") / "jane-doe", cells, 0)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """Export it on drawn cells."""
    return export(run, out=tmp_path_factory.mktemp("out") / "model")


def answers(folder, pictures):
    """Ask an exported model, as its card tells."""
    session = onnxruntime.InferenceSession(
        folder / "model.onnx", providers=["CPUExecutionProvider"]
    )
    return np.concatenate(
        [session.run(["probabilities"], {"pictures": each[None]})[0] for each in pictures]
    )


def test_an_export_is_three_files(exported, run, cells):
    """The graph, what a program needs beside it, and the card; all agree."""
    assert sorted(path.name for path in exported.iterdir()) == [
        "README.md",
        "model.json",
        "model.onnx",
    ]
    facts = json.loads((exported / "model.json").read_text())
    assert tuple(facts["categories"]) == read_dataset(cells).card.categories
    assert facts["digests"]["SHA-256 of model.onnx"] == files.digest_of(exported / "model.onnx")
    assert facts["parity"]["agreement"] == 1
    assert facts["parity"]["n_cells"] == 128
    assert facts["test_views"] == [8]
    assert facts["preprocessing"]["size_px"] == 16


def test_an_exported_model_predicts_what_predict_does(exported, run, cells, tmp_path):
    """From decoded pictures on, cell by cell."""
    dataset = read_dataset(cells)
    out = predict(run, cells, out=tmp_path / "p.parquet", device="cpu")
    own = tables.read_table(out, shapes.PREDICTIONS)
    own = dataset.manifest.select("cell_id").join(own, on="cell_id", maintain_order="left")
    chances = own.select(f"p_{name}" for name in dataset.card.categories).to_numpy()
    theirs = answers(exported, decoded(dataset))
    np.testing.assert_allclose(theirs, chances, atol=1e-3)
    assert (theirs.argmax(axis=1) == chances.argmax(axis=1)).mean() > 0.99


def test_the_cards_ten_lines_run(exported, tmp_path, cells):
    """As they stand, beside the two files and a picture."""
    text = (exported / "README.md").read_text()
    script = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    pixels = next(decoded(read_dataset(cells)))
    (tmp_path / "cell.png").write_bytes(encode_png(pixels))
    for name in ("model.onnx", "model.json"):
        shutil.copy(exported / name, tmp_path / name)
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    called, chance = ran.stdout.split()
    expected = answers(exported, [pixels])[0]
    categories = read_dataset(cells).card.categories
    assert called == categories[int(expected.argmax())]
    assert float(chance) == pytest.approx(expected.max(), abs=1e-6)


def test_the_card_is_the_runs(exported, run, cells):
    """Its scores, its recipe, no cell, family or case, and no place on this machine."""
    text = (exported / "README.md").read_text()
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["model-index"][0]["name"] == "model"
    assert "| updates | 7 |" in text
    manifest = read_dataset(cells).manifest
    both = text + (exported / "model.json").read_text()
    for column in ("cell_id", "family", "case", "content", "path"):
        named = [name for name in manifest[column].unique() if name in both]
        assert named == [], column
    assert str(run.parent) not in both
    assert str(cells.parent) not in both


def test_folders_that_may_be_named_after_people_are_not_on_the_card(exported, run):
    """The title is the name of what was made; a run and its starting weights keep theirs."""
    text = (exported / "README.md").read_text()
    facts = json.loads((exported / "model.json").read_text())
    assert "\n# model\n" in text
    assert facts["name"] == "model"
    assert facts["weights"] == FIRST.model_dump() | {"name": "weights of an own run"}
    assert "Weights of an own run, which itself began at random" in text
    for name in (run.name, FIRST.name):
        assert name not in text
        assert name not in json.dumps(facts)


def test_training_cells_that_leave_are_noted_and_told(tmp_path, cells):
    """Of nearest neighbours on pixels, whose graph holds the pictures themselves."""
    write_run(tmp_path / "run", *probed("knn"))
    notes = []
    with progress.noting(notes.append):
        out = export(tmp_path / "run", out=tmp_path / "out", dataset=cells)
    assert [note for note in notes if "holds the pictures of 60 training cells" in note]
    assert json.loads((out / "model.json").read_text())["training_cells_inside"] == 60
    assert (
        "**This model holds the pictures of 60 training cells**" in (out / "README.md").read_text()
    )
    held = onnx.load(out / "model.onnx").graph.initializer
    known = [each for each in held if list(each.dims) in ([60, 768], [768, 60])]
    seen = onnx.numpy_helper.to_array(known[0]).reshape(known[0].dims)
    rows = seen if seen.shape[0] == 60 else seen.T
    pictures, _ = coloured()
    assert np.allclose(np.rint(rows * 255), pictures.reshape(60, -1))


def test_replicates_leave_as_one(cells, tmp_path):
    """An arm's runs answer together, and are scored together where they had the same test."""
    for seed in range(2):
        run_of(tmp_path / "arm" / f"{seed:02d}", cells, seed)
    out = export(tmp_path / "arm", out=tmp_path / "model", dataset=cells)
    facts = json.loads((out / "model.json").read_text())
    assert facts["replicates"] == 2
    assert facts["parity"]["cells"] == "dataset tiny"
    assert facts["parity"]["n_cells"] == read_dataset(cells).manifest.height
    text = (out / "README.md").read_text()
    assert "2 replicates that answer together" in text
    assert "model-index" in yaml.safe_load(text.split("---\n")[1])
    own = predict(tmp_path / "arm", cells, out=tmp_path / "p.parquet", device="cpu")
    table = tables.read_table(own, shapes.PREDICTIONS)
    kept = [
        tables.read_table(tmp_path / f"arm/{seed:02d}/predictions.parquet", shapes.PREDICTIONS)
        for seed in range(2)
    ]
    mean = mean_predictions(kept, "arm").sort("cell_id")
    same = table.filter(pl.col("cell_id").is_in(mean["cell_id"].to_list())).sort("cell_id")
    for name in (name for name in mean.columns if name.startswith("p_")):
        np.testing.assert_allclose(mean[name], same[name], atol=1e-6)
    assert mean["predicted"].to_list() == same["predicted"].to_list()
    assert mean.select("cell_id", "case", "family", "category", "role").equals(
        same.select("cell_id", "case", "family", "category", "role")
    )


def test_replicates_of_other_cells_have_no_mean(cells, run):
    """Nothing is averaged that is not the same cell; none is none."""
    table = tables.read_table(run / "predictions.parquet", shapes.PREDICTIONS)
    assert mean_predictions([], "x") is None
    assert mean_predictions([table, table[1:]], "x") is None
    assert mean_predictions([table, table.drop(table.columns[-1])], "x") is None


def test_a_model_folder_leaves_without_scores(run, cells, tmp_path):
    """A copy of it, far from its run, says that nothing is known."""
    shutil.copytree(run / "model", tmp_path / "alone")
    out = export(tmp_path / "alone", out=tmp_path / "out", dataset=cells)
    text = (out / "README.md").read_text()
    assert "Only the model folder was at hand: it holds no test predictions" in text
    with pytest.raises(DataError, match="is an exported model"):
        predict(out, tmp_path, out=tmp_path / "p.csv")


def test_a_graph_that_answers_otherwise_leaves_nothing(run, tmp_path, monkeypatch):
    """A fault planted into what is traced, and not into what predicts: red and blue exchanged."""
    from leukoscope.models import onnx as written

    right = written.normalised

    def swapped(levels, preprocessing):
        # Sharper than the network is, so that cells called alike are not all of them.
        return right(levels, preprocessing).flip(1) * 3

    monkeypatch.setattr(written, "normalised", swapped)
    with pytest.raises(RunError, match="Nothing was written"):
        export(run, out=tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_what_stands_there_is_left_untouched(run, tmp_path):
    """Before anything is computed."""
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UsageError, match="left untouched"):
        export(run, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_missing_package_is_named_first(run, tmp_path, monkeypatch):
    """With the command that installs it; nothing is left."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"pip install 'leukoscope\[export\]'"):
        export(run, out=tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_an_unfinished_run_is_not_exported(run, tmp_path):
    """The sentence says how to finish it."""
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "done.json").unlink()
    with pytest.raises(DataError, match="not finished"):
        export(copy, out=tmp_path / "model")
    assert torch.get_num_threads() == 1
