"""Probes leave the house as their networks do, and refuse what ONNX cannot hold."""

import numpy as np
import pytest
import torch
from tests.models.modelled import CATEGORIES, CPU, modelled, noise

from leukoscope.foundation.errors import UsageError
from leukoscope.foundation.streams import stream
from leukoscope.models.classical import fit_classifier
from leukoscope.models.ensembles import joined
from leukoscope.models.folders import load_model, write_model
from leukoscope.models.measured import left_as_it_is, standardised_by
from leukoscope.models.onnx import open_onnx, to_onnx
from leukoscope.models.prediction import predict_probabilities, to_tensor
from leukoscope.models.probes import Pixels, Probe, body_of
from leukoscope.records.runs import ModelCard, Preprocessing

pytestmark = pytest.mark.usefixtures("one_thread")
LEVELS = Preprocessing(size_px=16, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
KINDS = {
    "logistic": {"kind": "logistic"},
    "svm": {"kind": "svm"},
    "knn": {"kind": "knn", "neighbours": 5},
    "cosine": {"kind": "knn", "neighbours": 5, "metric": "cosine"},
    "trees": {"kind": "trees", "rounds": 3, "smallest_leaf": 2},
}


def coloured(n=60, seed=3):
    """Draw noise whose category tints it, and the codes."""
    pixels = noise(n, 16, seed=seed).astype(np.float64)
    codes = np.arange(n) % len(CATEGORIES)
    tint = stream(1, "tints").uniform(0.3, 1.0, size=(len(CATEGORIES), 3))
    return (pixels * tint[codes][:, None, None]).astype(np.uint8), codes


def probed(kind, network=None):
    """Fit a probe on coloured noise: of pixels, or of a network's features."""
    pixels, codes = coloured()
    facts = {"model": "pixels", "preprocessing": LEVELS}
    body = Pixels()
    if network is not None:
        built, card = modelled(network=network, feeding=LEVELS)
        facts, body = {"model": network, "preprocessing": LEVELS}, body_of(card, built)
    card = ModelCard(
        **facts,
        categories=CATEGORIES,
        classifier=KINDS[kind],
        dataset_digest="d",
        training_cells_digest="t",
        temperature=1.3,
    )
    with torch.inference_mode():
        features = body(to_tensor(pixels, LEVELS, CPU)).flatten(1)
    scale = standardised_by(features) if network else left_as_it_is(features.shape[1])
    classifier = fit_classifier(
        card.classifier, scale(features).numpy(), codes, len(CATEGORIES), seed=0
    )
    return Probe(body, scale, None, classifier).eval(), card


def answers(model, pixels):
    """Give the probabilities that a model and its card answer."""
    network, card = model
    return predict_probabilities(network, card, lambda part: pixels[part], len(pixels), CPU)


@pytest.mark.parametrize("kind", KINDS)
def test_a_probe_is_read_as_it_was_written(tmp_path, kind):
    """From its model folder, answers and card; trees have their text beside."""
    model = probed(kind)
    write_model(tmp_path / "model", *model)
    found = load_model(tmp_path / "model")
    assert found[1] == model[1]
    pixels, _ = coloured(20, seed=4)
    assert np.array_equal(answers(found, pixels), answers(model, pixels))
    names = {path.name for path in (tmp_path / "model").iterdir()}
    files = {"model.json", "model.safetensors", "model.sha256"}
    assert names == files | ({"model.txt"} & {*names})
    assert ("model.txt" in names) == (kind == "trees")


@pytest.mark.parametrize(("kind", "network"), [("logistic", "test_resnet"), ("svm", None)])
def test_an_exported_probe_answers_as_itself(kind, network):
    """Called alike, and to rounding; on features of a network and on pixels."""
    model = probed(kind, network)
    pixels, _ = coloured(40, seed=5)
    theirs, own = open_onnx(to_onnx(*model))(list(pixels)), answers(model, pixels)
    assert np.array_equal(theirs.argmax(axis=1), own.argmax(axis=1))
    np.testing.assert_allclose(theirs, own, atol=1e-4)


def test_exported_neighbours_in_an_ensemble_answer_as_themselves():
    """Two probes together: near by distance and near by angle."""
    model = joined([probed("knn"), probed("cosine")], ["a", "b"])
    pixels, _ = coloured(40, seed=6)
    theirs, own = open_onnx(to_onnx(*model))(list(pixels)), answers(model, pixels)
    np.testing.assert_allclose(theirs, own, atol=1e-4)


def test_trees_are_refused_with_the_reason():
    """Alone or as a member, whatever stands around them."""
    for model in (probed("trees"), joined([probed("logistic"), probed("trees")], ["a", "b"])):
        with pytest.raises(UsageError, match=r"boosted trees.*leukoscope predict"):
            to_onnx(*model)
