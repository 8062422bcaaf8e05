import numpy as np
import pytest
import torch

from leukoscope.foundation.errors import DataError, RecipeError
from leukoscope.foundation.streams import stream
from leukoscope.models.backbones import build
from leukoscope.models.classical import fit_classifier
from leukoscope.models.folders import write_model
from leukoscope.models.measured import fit_measured, left_as_it_is, standardised_by
from leukoscope.models.prediction import to_tensor
from leukoscope.models.probes import Pixels, Probe, body_of, joined, load_probe
from leukoscope.records.classifiers import (
    BoostedTrees,
    LogisticRegression,
    NearestNeighbours,
    SupportVectorMachine,
)
from leukoscope.records.runs import ModelCard, NetworkRecipe, Preprocessing

pytestmark = pytest.mark.usefixtures("one_thread")
LEVELS = Preprocessing(size_px=16, mean=(0, 0, 0), std=(1, 1, 1))
ALL = (
    LogisticRegression(),
    SupportVectorMachine(),
    NearestNeighbours(neighbours=5),
    BoostedTrees(rounds=3, leaves=3, smallest_leaf=3),
)
BY_KIND = pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.kind)
MODELS = pytest.mark.parametrize("model", ["pixels", "lenet", "test_resnet", "measures"])
K, N = 3, 40
CODES = np.arange(N) % K
PIXELS = stream(1, "pictures").integers(0, 256, (N, 16, 16, 3), dtype=np.uint8)
PICTURES = to_tensor(PIXELS, LEVELS, torch.device("cpu"))
GIVEN = stream(1, "measures").normal(size=(N, 4)).astype(np.float32)
GIVEN[::7, 2] = np.nan
NAMES = ("focus", "lobe_count", "bridge_width_px", "colour_contrast")


def probe_of(model, recipe, *, measures=False):
    """Fit a probe on noise."""
    network = NetworkRecipe(model=model)
    built = None if model in ("pixels", "measures") else build(network, K, 16, seed=0)
    body = body_of(network, built)
    takes = measures or model == "measures"
    features = standardised = measured = None
    if body is not None:
        with torch.inference_mode():
            features = body.eval()(PICTURES).flatten(1).clone()
        width = features.shape[1]
        standardised = left_as_it_is(width) if model == "pixels" else standardised_by(features)
    if takes:
        measured = fit_measured(GIVEN)
    whole = joined(standardised, features, measured, torch.from_numpy(GIVEN) if takes else None)
    classifier = fit_classifier(recipe, whole.numpy(), CODES, K, seed=0)
    return Probe(body, standardised, measured, classifier, NAMES if takes else ())


def card_of(model, recipe, names=()):
    """Write the card of such a probe."""
    return ModelCard(
        model=model,
        categories=("a", "b", "c"),
        preprocessing=LEVELS,
        classifier=recipe,
        measures=names,
        dataset_digest="",
        training_cells_digest="",
    )


def kept(folder, model, recipe, *, measures=False):
    """Write a probe and its card as a run does; give the probe."""
    probe = probe_of(model, recipe, measures=measures)
    write_model(folder, probe, card_of(model, recipe, probe.measure_names))
    return probe


def ask(probe):
    """Give its logits."""
    with torch.inference_mode():
        if probe.measured is None:
            return probe(PICTURES)
        return probe.forward_with(PICTURES, torch.from_numpy(GIVEN))


def test_pixels_are_laid_out_as_numpy_does():
    """Row by row, the three colours of a pixel together, from 0 to 1; 25 px make 1,875."""
    expected = PIXELS.reshape(N, -1) / 255
    np.testing.assert_allclose(Pixels()(PICTURES).numpy(), expected, atol=1e-7)
    assert Pixels()(torch.zeros(2, 3, 25, 25)).shape == (2, 1875)


@BY_KIND
@MODELS
def test_a_probe_comes_back_from_its_folder(tmp_path, model, recipe):
    """Bit for bit the same answers; trees keep their text beside the arrays, others do not."""
    probe = kept(tmp_path, model, recipe, measures=True)
    again = load_probe(tmp_path, card_of(model, recipe, NAMES))
    assert torch.equal(ask(again), ask(probe))
    assert (tmp_path / "model.txt").exists() == (recipe.kind == "trees")
    assert not again.training


def test_the_body_is_frozen_in_every_mode():
    """Training mode changes neither the answer nor the statistics."""
    probe = probe_of("test_resnet", LogisticRegression())
    before = {name: value.clone() for name, value in probe.state_dict().items()}
    first = ask(probe)
    assert torch.equal(ask(probe.train()), first)
    assert all(torch.equal(value, before[name]) for name, value in probe.state_dict().items())


def test_the_answer_is_the_classifiers_on_the_bodys_features():
    """Features, standardised, measures beside them: the parts one by one."""
    probe = probe_of("lenet", LogisticRegression(), measures=True)
    network = build(NetworkRecipe(model="lenet"), K, 16, seed=0).eval()
    with torch.inference_mode():
        deep = network[:-1](PICTURES)
    wide = (deep.double() - deep.double().mean(0)) / deep.double().std(0, correction=0)
    wide = torch.where(wide.isfinite(), wide, 0.0)
    median = np.nanmedian(GIVEN, axis=0)
    filled = np.where(np.isnan(GIVEN), median, GIVEN)
    beside = np.column_stack([filled, np.isnan(GIVEN[:, 2])]).astype(float)
    beside = (beside - beside.mean(0)) / beside.std(0)
    whole = np.concatenate([wide.numpy(), beside], axis=1)
    state = probe.classifier.state_dict()
    weights, intercepts = state["model.weights"].numpy(), state["model.intercepts"].numpy()
    np.testing.assert_allclose(ask(probe).numpy(), whole @ weights.T + intercepts, atol=1e-4)


def test_a_probe_that_takes_measures_says_so():
    """Asked without them it does not guess."""
    with pytest.raises(DataError, match="takes measures of each cell"):
        probe_of("pixels", LogisticRegression(), measures=True)(PICTURES)


def test_a_network_without_a_seam_is_refused():
    """Five networks in one have no one last layer."""
    recipe = NetworkRecipe(model="test_resnet", regions="quadrants-and-rim")
    with pytest.raises(RecipeError, match="no one layer at its end"):
        body_of(recipe, build(recipe, K, 32, seed=0))


# Folders that are not what they were


@pytest.mark.parametrize("fault", ["gone", "cut", "of another model", "not a text"])
def test_a_wrong_text_of_trees_is_told(tmp_path, fault):
    """Missing, truncated, another forest's, bytes that are no text."""
    trees = ALL[3]
    kept(tmp_path, "pixels", trees)
    path = tmp_path / "model.txt"
    text = path.read_text()
    if fault == "gone":
        path.unlink()
    elif fault == "cut":
        path.write_text(text[: len(text) // 2])
    elif fault == "of another model":
        path.write_text(text.replace("leaf_value=", "leaf_value=0", 1))
    else:
        path.write_bytes(b"\xff\xfe\x00tree")
    with pytest.raises(DataError, match=r"trees|model\.txt"):
        load_probe(tmp_path, card_of("pixels", trees))


def test_tensors_of_a_body_that_do_not_fit_are_named(tmp_path):
    """As the file calls them, how many of each kind of fault."""
    kept(tmp_path, "lenet", LogisticRegression())
    small = card_of("lenet", LogisticRegression())
    feeding = LEVELS.model_copy(update={"size_px": 20})
    small = small.model_copy(update={"preprocessing": feeding})
    with pytest.raises(DataError, match=r"does not fit its card: of another shape 1 \(body\.\w+"):
        load_probe(tmp_path, small)


def test_a_card_that_does_not_fit_its_arrays_is_told(tmp_path):
    """Another classifier, size, network or number of measures."""
    kept(tmp_path, "pixels", LogisticRegression(), measures=True)
    card = card_of("pixels", LogisticRegression(), NAMES)
    small = LEVELS.model_copy(update={"size_px": 20})
    for changed in (
        {"classifier": SupportVectorMachine()},
        {"measures": NAMES[:2]},
        {"model": "lenet"},
        {"categories": ("a", "b")},
    ):
        with pytest.raises(DataError, match="fit"):
            load_probe(tmp_path, card.model_copy(update=changed))
    with pytest.raises(DataError, match="fit"):
        load_probe(tmp_path, card.model_copy(update={"preprocessing": small}))
