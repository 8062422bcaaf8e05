import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from leukoscope.foundation.streams import stream
from leukoscope.models.backbones import build
from leukoscope.models.prediction import predict_logits, probabilities, to_tensor
from leukoscope.records.runs import Preprocessing

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
FEEDING = Preprocessing(size_px=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def pictures(n, size_px=32):
    """Draw noise."""
    return stream(1, "pictures").integers(0, 256, (n, size_px, size_px, 3), dtype=np.uint8)


def test_a_tensor_is_the_plain_formula():
    """(pixels / 255 - mean) / std, channel by channel, in float64 beside it."""
    pixels = pictures(3, 5)
    seen = to_tensor(pixels, FEEDING, CPU)
    assert seen.dtype == torch.float32
    assert seen.is_contiguous(memory_format=torch.channels_last)
    for channel in range(3):
        expected = (pixels[..., channel] / 255 - FEEDING.mean[channel]) / FEEDING.std[channel]
        np.testing.assert_allclose(seen[:, channel].numpy(), expected, atol=2e-6)


def test_a_cells_answer_does_not_depend_on_its_batch():
    """One by one or 200 at once (more than one batch), up to rounding; the mode is put back."""
    network = build("test_resnet", {"drop_rate": 0.5}, 4, seed=0).train()
    pixels = pictures(200)
    whole = predict_logits(network, lambda part: pixels[part], 200, FEEDING, CPU)
    assert network.training
    assert whole.shape == (200, 4)
    assert whole.dtype == np.float64
    for i in (0, 63, 127, 128, 199):
        one = pixels[i : i + 1]
        alone = predict_logits(network, lambda part, one=one: one[part], 1, FEEDING, CPU)
        np.testing.assert_allclose(alone[0], whole[i], atol=1e-5)


@given(arrays.arrays(np.float64, (3, 5), elements=st.integers(-10_000, 10_000).map(float)))
def test_probabilities_sum_to_one_and_keep_the_order(logits):
    """Whatever the logits, even far apart; and a shift of a row changes nothing."""
    seen = probabilities(logits)
    np.testing.assert_allclose(seen.sum(axis=1), 1)
    assert (seen.argmax(axis=1) == logits.argmax(axis=1)).all()
    np.testing.assert_allclose(probabilities(logits - logits[:, :1]), seen, atol=1e-9)


def test_probabilities_are_torchs_softmax():
    """An implementation of others agrees."""
    logits = stream(2, "logits").normal(size=(7, 4)) * 5
    expected = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    np.testing.assert_allclose(probabilities(logits), expected, atol=1e-12)
