import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.models.modelled import CPU, FEEDING, modelled, noise

from leukoscope.foundation.streams import stream
from leukoscope.models.prediction import (
    logits_of,
    oriented,
    predict_logits,
    predict_probabilities,
    probabilities,
    to_tensor,
)

pytestmark = pytest.mark.usefixtures("one_thread")
LOGITS = arrays.arrays(np.float64, (3, 5), elements=st.integers(-10_000, 10_000).map(float))
MOVES = {
    "turned": lambda pixels: np.rot90(pixels, axes=(1, 2)),
    "turned thrice": lambda pixels: np.rot90(pixels, 3, axes=(1, 2)),
    "mirrored": lambda pixels: pixels[:, :, ::-1],
    "upside down": lambda pixels: pixels[:, ::-1],
    "transposed": lambda pixels: pixels.transpose(0, 2, 1, 3),
}


def answers(pixels, network, card):
    """Give the probabilities of pictures at the network's size."""
    return predict_probabilities(network, card, lambda part: pixels[part], len(pixels), CPU)


def test_a_tensor_is_the_plain_formula():
    """(pixels / 255 - mean) / std, channel by channel, in float64 beside it."""
    pixels = noise(3, 5)
    seen = to_tensor(pixels, FEEDING, CPU)
    assert seen.dtype == torch.float32
    assert seen.is_contiguous(memory_format=torch.channels_last)
    for channel in range(3):
        expected = (pixels[..., channel] / 255 - FEEDING.mean[channel]) / FEEDING.std[channel]
        np.testing.assert_allclose(seen[:, channel].numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("test_views", [1, 8])
def test_a_cells_answer_does_not_depend_on_its_batch(test_views):
    """One by one or 200 at once (more than one batch), up to rounding; the mode is put back."""
    network, _ = modelled(build_arguments={"drop_rate": 0.5})
    network.train()
    pixels = noise(200)

    def predict(chosen):
        read, n = lambda part: chosen[part], len(chosen)
        return predict_logits(network, read, n, FEEDING, CPU, test_views=test_views)

    whole = predict(pixels)
    assert network.training
    assert whole.shape == (200, 4)
    assert whole.dtype == np.float64
    for i in (0, 15, 16, 127, 128, 199):
        np.testing.assert_allclose(predict(pixels[i : i + 1])[0], whole[i], atol=1e-5)


def test_features_go_to_the_network_as_they_are():
    """What is float32 is no picture: a layer that sums shows what it was given."""
    features = stream(1, "features").normal(size=(150, 6)).astype(np.float32)
    network = torch.nn.Linear(6, 2, bias=False)
    seen = predict_logits(network, lambda part: features[part], 150, FEEDING, CPU)
    expected = features @ network.weight.detach().numpy().T
    np.testing.assert_allclose(seen, expected, atol=1e-5)


def test_the_eight_orientations_are_all_there():
    """Each is a different one of the eight that turning and mirroring make, pixels unchanged."""
    picture = np.arange(75).reshape(1, 3, 5, 5)
    seen = {each.tobytes() for each in oriented(torch.from_numpy(picture)).numpy()}
    expected = set()
    for turns in range(4):
        turned = np.rot90(picture[0], turns, axes=(1, 2))
        expected |= {turned.tobytes(), turned[:, :, ::-1].tobytes()}
    assert seen == expected
    assert len(seen) == 8


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("facts", [{}, {"network": "lenet"}, {"regions": "quadrants-and-rim"}])
def test_eight_views_see_no_direction(move, facts):
    """However a picture lies, the answer is the same up to rounding, for any network."""
    network, card = modelled(test_views=8, temperature=0.8, **facts)
    pixels = noise(6)
    moved = np.ascontiguousarray(MOVES[move](pixels))
    np.testing.assert_allclose(
        answers(moved, network, card), answers(pixels, network, card), atol=1e-5
    )


def test_one_view_sees_direction():
    """The same network without the mean answers otherwise of a mirrored picture."""
    network, card = modelled(network="lenet")
    pixels = noise(6)
    mirrored = np.ascontiguousarray(pixels[:, :, ::-1])
    assert np.abs(answers(mirrored, network, card) - answers(pixels, network, card)).max() > 1e-3


def test_the_answer_of_eight_views_is_the_mean_of_their_logits():
    """One by one, in float64."""
    network, _ = modelled(network="lenet")
    pictures = to_tensor(noise(3), FEEDING, CPU)
    with torch.inference_mode():
        seen = logits_of(network, pictures, test_views=8)
        each = [network(view).double() for view in oriented(pictures).split(3)]
    np.testing.assert_allclose(seen, torch.stack(each).mean(dim=0), atol=1e-5)


class WithMeasures(torch.nn.Module):
    """Answer with a measure beside the mean level of a picture."""

    def forward_with(self, pictures, measures):
        """Give (mean level, measure)."""
        return torch.stack([pictures.mean(dim=(1, 2, 3)), measures[:, 0]], dim=1)


@pytest.mark.parametrize("test_views", [1, 8])
def test_measures_stay_with_their_cell(test_views):
    """In every batch and every view each cell has its own."""
    pixels, measures = noise(150), np.arange(150, dtype=np.float32)[:, None]
    seen = predict_logits(
        WithMeasures(),
        lambda part: pixels[part],
        150,
        FEEDING,
        CPU,
        test_views=test_views,
        measures=measures,
    )
    np.testing.assert_allclose(seen[:, 1], measures[:, 0])
    np.testing.assert_allclose(
        seen[:, 0], to_tensor(pixels, FEEDING, CPU).mean(dim=(1, 2, 3)), atol=1e-5
    )


@given(LOGITS)
def test_probabilities_sum_to_one_and_keep_the_order(logits):
    """Whatever the logits, even far apart; and a shift of a row changes nothing."""
    seen = probabilities(logits)
    np.testing.assert_allclose(seen.sum(axis=1), 1)
    assert (seen.argmax(axis=1) == logits.argmax(axis=1)).all()
    np.testing.assert_allclose(probabilities(logits - logits[:, :1]), seen, atol=1e-9)


@given(LOGITS, st.floats(1e-2, 1e2))
def test_a_temperature_never_changes_what_is_called(logits, temperature):
    """Probabilities become surer or less so; the largest stays where it was."""
    seen = probabilities(logits, temperature)
    np.testing.assert_allclose(seen.sum(axis=1), 1)
    assert (seen.argmax(axis=1) == logits.argmax(axis=1)).all()
    np.testing.assert_allclose(seen, probabilities(logits / temperature), atol=1e-9)


def test_probabilities_are_torchs_softmax():
    """An implementation of others agrees."""
    logits = stream(2, "logits").normal(size=(7, 4)) * 5
    expected = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    np.testing.assert_allclose(probabilities(logits), expected, atol=1e-12)
