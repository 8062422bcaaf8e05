import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from leukoscope.augmentation.batch import apply_batch
from leukoscope.augmentation.draw import Draw, draw
from leukoscope.augmentation.recipe import AugmentationRecipe
from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError
from leukoscope.intake.store import open_store
from leukoscope.models.backbones import build
from leukoscope.models.bodies import split_network
from leukoscope.models.features import (
    feature_keys,
    features_folder,
    features_of,
    in_evaluation,
    open_features,
)
from leukoscope.models.prediction import to_tensor
from leukoscope.records.dataset import Dataset, read_dataset
from leukoscope.records.runs import NetworkRecipe, Preprocessing

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
FEEDING = Preprocessing(size_px=32)
NETWORK = NetworkRecipe(model="test_resnet", build_arguments={"drop_rate": 0.2})
TURNED = AugmentationRecipe.from_mapping({"steps": [{"kind": "rotation"}]}, where="a test")


def body_with(seed=0, network=NETWORK):
    """Build a small network and take its body."""
    return split_network(build(network, 4, 32, seed=seed), "all-but-head")[0]


@pytest.fixture
def known(cells, tmp_path):
    """Give the drawn cells a folder of their own for features; the pictures stay where they are."""
    dataset = read_dataset(cells)
    root = str(dataset.image_root.resolve())
    card = dataset.card.model_copy(update={"image_root": root})
    return Dataset(tmp_path, card, dataset.manifest)


@pytest.fixture
def opened(known):
    """Open features of the first cells, with one told how many were computed."""
    store = open_store(known, known.manifest, 32)
    contents = known.manifest["content"].to_list()

    def ask(n, *, body=None, turned=(), network=NETWORK, preprocessing=FEEDING, told=None):
        draws = [
            draw(TURNED, 1, cell, 1) if i in turned else Draw()
            for i, cell in enumerate(known.manifest["cell_id"][:n])
        ]
        keys = feature_keys(contents[:n], draws)
        with progress.listening(lambda *news: told is None or told.append(news)):
            found = open_features(
                known,
                store,
                contents[:n],
                draws,
                body=body or body_with(),
                network=network,
                preprocessing=preprocessing,
                device=CPU,
            )
        pixels = apply_batch(draws, store.take(store.rows(contents[:n])))
        return found, keys, pixels

    return ask


def expected_of(body, pixels):
    """Run the body on each picture alone, in evaluation mode."""
    body.eval()
    with torch.inference_mode():
        parts = [body(to_tensor(pixels[i : i + 1], FEEDING, CPU)) for i in range(len(pixels))]
    return torch.cat(parts).numpy()


def test_features_are_the_bodys_of_each_picture_and_draw(opened):
    """As it is and augmented, each under its own key: what the body makes of it alone."""
    store, keys, pixels = opened(90, turned=range(40, 90))
    found = store.take(store.rows(keys))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected_of(body_with(), pixels), atol=1e-5)
    turned, own, _ = opened(90)
    assert own[:40] == keys[:40]
    assert set(own[40:]).isdisjoint(keys[40:])
    assert not np.allclose(turned.take(turned.rows(own[40:])), found[40:], atol=1e-5)


def test_what_is_kept_is_not_computed_again(opened):
    """Only what is new: more cells, other draws."""
    told = []
    opened(30, told=told)
    opened(30, told=told)
    opened(50, told=told)
    opened(50, turned=range(10), told=told)
    assert told == [("computing features", n, n) for n in (30, 20, 10)]


def test_a_feature_is_the_same_in_whatever_company_to_the_bit(opened, known):
    """Computed with 29 others in one go, or with 119: a cache that grew is as one made at once."""
    opened(30)
    grown, keys, pixels = opened(120)
    grown = grown.take(grown.rows(keys))
    whole = features_of(body_with(), pixels, FEEDING, CPU)
    np.testing.assert_array_equal(grown, whole)


def test_other_weights_have_other_features(opened, known):
    """A cache of other weights, another statistic, stride, size or feeding is never taken."""
    bodies = [body_with(), body_with(seed=1), body_with(), body_with(), body_with()]
    moved = dict(bodies[2].named_buffers())
    moved[next(name for name in moved if name.endswith("running_mean"))].add_(0.5)
    next(part for part in bodies[3].modules() if isinstance(part, nn.BatchNorm2d)).eps = 0.1
    other = {"network": NETWORK.model_copy(update={"build_arguments": {}})}
    told = []
    stores = [opened(5, body=body, told=told) for body in bodies[:4]]
    opened(5, **other, told=told)
    opened(5, preprocessing=Preprocessing(size_px=32, mean=(0.4, 0.5, 0.5)), told=told)
    assert len(told) == 6
    found = [store.take(store.rows(keys)) for store, keys, _ in stores]
    assert all(not np.allclose(found[0], each) for each in found[1:])
    opened(5, body=bodies[4], told=told)
    assert len(told) == 6


def test_a_truncated_file_is_named(opened, known):
    """It is not read with other rows in their place, and what to remove is said."""
    opened(20)
    folder = features_folder(known, body_with(), NETWORK, FEEDING, CPU)
    os.truncate(folder / "features.f32", 100)
    for n in (20, 30):
        with pytest.raises(DataError, match=r"features.f32 is shorter than its index.*remove the"):
            opened(n)


def test_maps_keep_their_shape(opened):
    """A body that ends in maps gives each cell's maps as they are."""
    lenet = NetworkRecipe(model="lenet")
    body = build(lenet, 4, 32, seed=0)[:3]
    store, keys, pixels = opened(8, body=body, network=lenet)
    found = store.take(store.rows(keys))
    assert found.shape == (8, 6, 14, 14)
    np.testing.assert_allclose(found, expected_of(body, pixels), atol=1e-5)


def test_the_body_is_left_in_its_modes(opened):
    """Frozen parts in evaluation, others in training: each as it was."""
    body = body_with().train()
    next(iter(body.children())).eval()
    modes = [part.training for part in body.modules()]
    opened(5, body=body)
    with in_evaluation(body):
        assert not any(part.training for part in body.modules())
    assert [part.training for part in body.modules()] == modes


def test_features_that_are_not_finite_are_not_kept(opened, known):
    """The sentence says where to look; the index stays empty."""
    body = body_with()
    next(body.parameters()).data.fill_(float("nan"))
    with pytest.raises(DataError, match="features that are not finite"):
        opened(5, body=body)


KILLED = """
import sys, time
from pathlib import Path
import torch
from leukoscope.foundation import progress
from leukoscope.augmentation.draw import Draw
from leukoscope.intake.store import open_store
from leukoscope.models.backbones import build
from leukoscope.models.bodies import split_network
from leukoscope.models.features import open_features
from leukoscope.records.dataset import Dataset, read_dataset
from leukoscope.records.runs import NetworkRecipe, Preprocessing
torch.set_num_threads(1)
known = read_dataset(Path(sys.argv[1]))
root = str(known.image_root.resolve())
card = known.card.model_copy(update={"image_root": root})
known = Dataset(Path(sys.argv[2]), card, known.manifest)
network = NetworkRecipe(model="test_resnet", build_arguments={"drop_rate": 0.2})
body = split_network(build(network, 4, 32, seed=0), "all-but-head")[0]
store = open_store(known, known.manifest, 32)
contents = known.manifest["content"].to_list()[:100]
def stop(stage, done, total):
    print(done, flush=True); time.sleep(60)
import leukoscope.intake.rows as rows
rows._CHUNK = 64
with progress.listening(stop):
    open_features(known, store, contents, [Draw()] * 100, body=body, network=network,
        preprocessing=Preprocessing(size_px=32), device=torch.device("cpu"))
"""


def test_a_killed_writer_is_carried_on(opened, cells, tmp_path):
    """What it had stored is kept and not computed again; the rest follows."""
    command = [sys.executable, "-c", KILLED]
    writer = subprocess.Popen(
        [*command, str(cells), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout.readline() == "64\n"
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    told = []
    store, keys, pixels = opened(100, told=told)
    assert told == [("computing features", 36, 36)]
    whole = features_of(body_with(), pixels, FEEDING, CPU)
    np.testing.assert_array_equal(store.take(store.rows(keys)), whole)
