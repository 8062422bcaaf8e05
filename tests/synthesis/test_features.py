"""Features of stated networks: by weights, by run, at random."""

import numpy as np
import pytest
import torch
from tests.models.carded import carded, weights_of

from leukoscope.foundation.errors import DataError, LicenceError, UsageError
from leukoscope.intake.decode import resize
from leukoscope.models.bodies import split_network
from leukoscope.models.folders import load_model
from leukoscope.models.prediction import to_tensor
from leukoscope.synthesis.features import open_judge_features


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 24, 24, 3), dtype=np.uint8)


def test_a_network_at_random_is_one_network_and_says_so(pixels, one_thread):
    """Opened twice it gives equal bytes, and its name hides nothing."""
    first, second = open_judge_features(None, size_px=32), open_judge_features(None, size_px=32)
    assert "random" in first.name
    assert first.digest == second.digest
    assert (first.of(pixels) == second.of(pixels)).all()
    assert first.digest != open_judge_features(None, size_px=24).digest


def test_features_of_a_cell_hang_on_the_cell_alone(pixels, one_thread):
    """A picture by itself, in a crowd, or already brought to size gives the same bytes."""
    features = open_judge_features(None, size_px=32)
    found = features.of(pixels)
    assert found.dtype == np.float32
    assert (features.of(pixels[3:4]) == found[3:4]).all()
    assert (features.of(np.tile(pixels, (60, 1, 1, 1)))[295:] == found).all()
    sized = np.stack([resize(one, 32) for one in pixels])
    assert (features.of(sized) == found).all()


def test_weights_come_with_their_card(tmp_path, pixels, one_thread):
    """A weights file's network is cut before its head and fed as its card says."""
    path = carded(tmp_path / "one.safetensors", weights_of("test_resnet"))
    features = open_judge_features(path, size_px=32)
    assert features.name == "one, 32 px"
    assert features.preprocessing.mean == (0.1, 0.2, 0.3)
    found = features.of(pixels)
    assert found.shape == (5, features.body(torch.zeros(1, 3, 32, 32)).shape[1])
    other = carded(tmp_path / "two.safetensors", weights_of("test_resnet"))
    assert open_judge_features(other, size_px=32).digest == features.digest
    with pytest.raises(UsageError, match="calls no categories"):
        features.calls(pixels)


def test_a_run_gives_what_stands_before_its_head(finished, pixels, one_thread):
    """Its own size, its body's numbers, and its calls."""
    features = open_judge_features(finished, size_px=99)
    network, card = load_model(finished)
    assert features.size_px == card.preprocessing.size_px == 32
    sized = np.stack([resize(one, 32) for one in pixels])
    body, head = split_network(network, "all-but-head")
    with torch.inference_mode():
        inputs = to_tensor(sized, card.preprocessing, torch.device("cpu"))
        wanted, logits = body(inputs).numpy(), head(body(inputs))
    assert features.of(pixels) == pytest.approx(wanted, abs=1e-4)
    called = [card.categories[place] for place in logits.argmax(dim=1)]
    assert features.calls(pixels) == called
    assert features.seen.contents == card.seen.contents


def test_restricted_weights_ask_for_their_licence(tmp_path):
    """A non-commercial licence is accepted by name or not at all."""
    data = weights_of("test_resnet")
    path = carded(tmp_path / "one.safetensors", data, licence="CC BY-NC 4.0")
    with pytest.raises(LicenceError, match=r"cc-by-nc-4\.0"):
        open_judge_features(path, size_px=32)
    assert open_judge_features(path, size_px=32, accept_licence="cc-by-nc-4.0").size_px == 32


def test_refuses_what_has_no_features(tmp_path, finished):
    """No such file, a folder that is no run, several runs, no pictures."""
    with pytest.raises(UsageError, match="no weights"):
        open_judge_features(tmp_path / "none.safetensors")
    with pytest.raises(DataError, match="neither a run"):
        open_judge_features(tmp_path)
    (tmp_path / "arm").mkdir()
    for name in ("00", "01"):
        (tmp_path / "arm" / name).symlink_to(finished)
    with pytest.raises(DataError, match="several runs"):
        open_judge_features(tmp_path / "arm")
    with pytest.raises(DataError, match="no pictures"):
        open_judge_features(None).of(np.zeros((0, 8, 8, 3), np.uint8))
