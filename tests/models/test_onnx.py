import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.modelled import CPU, FEEDING, modelled, noise

from leukoscope.foundation.errors import RunError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.intake.decode import resize
from leukoscope.models.ensembles import joined
from leukoscope.models.onnx import (
    OPSET,
    open_onnx,
    preparation,
    refuse_unexportable,
    require_packages,
    to_onnx,
)
from leukoscope.models.prediction import predict_probabilities
from leukoscope.records.runs import Preprocessing

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = FEEDING.model_copy(update={"size_px": 16})


def ensemble():
    """Join two small models that differ in all they may."""
    several = [modelled(0, network="lenet", feeding=SMALL, temperature=2.0)]
    several.append(modelled(1, network="mooney", feeding=SMALL, test_views=8))
    return joined(several, ["a", "b"])


MODELS = {
    "timm, head and views": lambda: modelled(
        head="convolution", test_views=8, temperature=0.7, feeding=Preprocessing(size_px=64)
    ),
    "regions": lambda: modelled(network="lenet", regions="quadrants-and-rim"),
    "grey": lambda: modelled(network="lenet", build_arguments={"grey": True}, feeding=SMALL),
    "ensemble": ensemble,
}


@pytest.fixture(scope="module")
def exports(one_thread):
    """Export each kind of model: tracing one takes seconds."""
    models = {kind: model() for kind, model in MODELS.items()}
    return {kind: (to_onnx(*model), *model) for kind, model in models.items()}


@pytest.fixture(params=MODELS)
def exported(request, exports):
    """Give one of the kinds."""
    return exports[request.param]


@pytest.fixture(scope="module")
def small(exports):
    """Give one that answers quickly."""
    return exports["grey"]


def own_answers(pictures, network, card):
    """Resize and answer as this tool does."""
    squares = np.stack([resize(picture, card.preprocessing.size_px) for picture in pictures])
    return predict_probabilities(network, card, lambda part: squares[part], len(squares), CPU)


def test_a_graph_answers_as_its_network(exported):
    """Pictures of several sizes, upright and lying, end to end."""
    model, network, card = exported
    pictures = [noise(1, side, seed=side)[0] for side in (24, 32, 48, 64, 96)]
    pictures += [pictures[-1][:50], pictures[-1][:, :41]]
    theirs, own = open_onnx(model)(pictures), own_answers(pictures, network, card)
    # A level here and there differs in the resizing.
    np.testing.assert_allclose(theirs, own, atol=2e-3)
    np.testing.assert_allclose(theirs[1:2], own[1:2], atol=2e-3)
    np.testing.assert_allclose(theirs.sum(axis=1), 1, atol=1e-6)


def test_a_graph_is_onnx_and_nothing_else(exported):
    """Its own operators at a fixed version, one input, one output, all weights within."""
    model = onnx.load_from_string(exported[0])
    onnx.checker.check_model(model, full_check=True)
    assert {each.domain: each.version for each in model.opset_import} == {"": OPSET}
    assert {node.domain for node in model.graph.node} == {""}
    assert not model.functions
    (given,), (told,) = model.graph.input, model.graph.output
    assert (given.name, told.name) == ("pictures", "probabilities")
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert told.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    sides = [side.dim_param or side.dim_value for side in given.type.tensor_type.shape.dim]
    assert sides[0]
    assert sides[1:] == ["height", "width", 3]
    assert not any(each.external_data for each in model.graph.initializer)


def test_a_graph_says_nothing_of_the_machine_that_made_it(exported):
    """No place in a file system, no trace of the code."""
    for word in (b"site-packages", b".py", b"/home", b"torch.nn"):
        assert word not in exported[0], word


def test_the_same_model_is_the_same_bytes(small):
    """Nothing but the model has a say."""
    model, network, card = small
    assert to_onnx(network, card) == model


def test_several_pictures_of_one_size_go_in_at_once(small):
    """A batch is its pictures, one by one."""
    model, _, _ = small
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    pictures = noise(5, 33)
    (together,) = session.run(None, {"pictures": pictures})
    np.testing.assert_allclose(together, open_onnx(model)(list(pictures)), atol=1e-6)


@settings(max_examples=40)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 9))
def test_any_height_and_width_is_taken(small, height, width, seed):
    """From one pixel on; the answer is that of the central square."""
    model, _, _ = small
    pixels = stream(seed, "any size").integers(0, 256, (height, width, 3), dtype=np.uint8)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    theirs = open_onnx(model)([pixels, square])
    assert theirs.shape == (2, 4)
    assert np.array_equal(theirs[0], theirs[1])


@pytest.fixture(scope="module")
def squares():
    """Run the preparing part alone: size → what it makes of pictures."""
    sessions = {}
    for size_px in (16, 32, 64, 224):
        opset = onnx.helper.make_opsetid("", OPSET)
        model = onnx.helper.make_model(preparation(size_px), opset_imports=[opset], ir_version=10)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        sessions[size_px] = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    return sessions


@given(
    st.sampled_from([16, 32, 64, 224]), st.integers(2, 300), st.integers(2, 300), st.integers(0, 99)
)
def test_resizing_is_the_houses_but_for_a_level(squares, size_px, height, width, seed):
    """On noise, the hardest picture there is: two levels at most, hardly any pixel by more than 1.

    A crop off by a pixel, other weights or an edge handled otherwise differ by far more.
    """
    pixels = stream(seed, "resized").integers(0, 256, (height, width, 3), dtype=np.uint8)
    (found,) = squares[size_px].run(None, {"pictures": pixels[None]})
    own = resize(pixels, size_px).transpose(2, 0, 1)
    far = np.abs(found[0].astype(int) - own.astype(int))
    assert far.max() <= 2
    assert (far > 1).mean() < 0.01


def test_a_picture_of_the_right_size_is_not_touched(squares):
    """Nor is its central square."""
    pixels = noise(1, 64)[0]
    (found,) = squares[64].run(None, {"pictures": pixels[None]})
    assert np.array_equal(found[0].transpose(1, 2, 0), pixels)
    wide = np.concatenate([pixels[:, :5], pixels, pixels[:, :6]], axis=1)
    (found,) = squares[64].run(None, {"pictures": wide[None]})
    assert np.array_equal(found[0].transpose(1, 2, 0), pixels)


def test_measures_are_refused_with_the_reason():
    """And with what to do instead; the same model without them is not."""
    network, card = modelled(network="lenet", feeding=SMALL)
    refuse_unexportable(network, card)
    with pytest.raises(UsageError, match=r"2 measures.*train a logistic probe"):
        refuse_unexportable(network, card.model_copy(update={"measures": ("area", "lobes")}))


def test_missing_packages_are_named(monkeypatch):
    """The sentence says how to install them."""
    # What Python itself takes for a module that is not there.
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UsageError, match=r"needs onnxscript,.*pip install 'leukoscope\[export\]'"):
        require_packages()


class Unheard(torch.nn.Module):
    """Answer by what no exporter can follow."""

    def forward(self, pictures):
        """Decide in Python, by a pixel's value."""
        return pictures.flatten(1)[:, : 4 if float(pictures.sum()) > 0 else 3]


def test_what_torch_cannot_write_is_refused():
    """In a sentence, without its pages of advice."""
    _, card = modelled(network="lenet", feeding=SMALL)
    with pytest.raises(RunError, match="no ONNX for a part of lenet") as refused:
        to_onnx(Unheard(), card)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600
