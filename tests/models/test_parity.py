import numpy as np
import onnx
import pytest
from tests.models.modelled import CPU, FEEDING, modelled

from leukoscope.foundation.errors import DataError, RunError
from leukoscope.intake.decode import content_of, resize
from leukoscope.models.onnx import open_onnx, to_onnx
from leukoscope.models.parity import Parity, decoded, drawn, parity_of, refuse_unlike
from leukoscope.models.prediction import predict_probabilities
from leukoscope.records.dataset import read_dataset

pytestmark = pytest.mark.usefixtures("one_thread")
N = 48


@pytest.fixture(scope="module")
def exported(one_thread):
    """Export a small network that looks at every pixel."""
    feeding = FEEDING.model_copy(update={"size_px": 24})
    network, card = modelled(network="mooney", feeding=feeding, temperature=0.1)
    return to_onnx(network, card), network, card


@pytest.fixture(scope="module")
def pictures():
    """Draw some cells."""
    return list(drawn(N))


def faulty(model, fault):
    """Plant a fault into a graph."""
    graph = onnx.load_from_string(model)
    for node in graph.graph.node:
        if node.op_type == "Transpose" and node.name.startswith("prepare"):
            before = node.input[0]
            transpose = node
        if node.op_type == "Slice" and node.name.startswith("prepare"):
            cut = node
    numbers = {each.name: each for each in graph.graph.initializer}
    if fault == "channels swapped":
        numpy_helper = onnx.numpy_helper
        order = numpy_helper.from_array(np.array([2, 1, 0]), "planted")
        graph.graph.initializer.append(order)
        swap = onnx.helper.make_node("Gather", [before, "planted"], ["swapped"], axis=3)
        transpose.input[0] = "swapped"
        graph.graph.node.insert(list(graph.graph.node).index(transpose), swap)
    elif fault == "lying on its side":
        transpose.attribute[0].ints[:] = [0, 3, 2, 1]
    elif fault == "cut at the corner":
        zero = onnx.numpy_helper.from_array(np.array([0, 0]), "planted")
        graph.graph.initializer.append(zero)
        cut.input[1], cut.input[2] = "planted", "prepare.side2"
        double = onnx.helper.make_node("Concat", ["prepare.side"] * 2, ["prepare.side2"], axis=0)
        graph.graph.node.insert(list(graph.graph.node).index(cut), double)
    elif fault == "not a number":
        weights = next(each for name, each in numbers.items() if len(each.dims) > 1)
        wrong = np.full_like(onnx.numpy_helper.to_array(weights), np.nan)
        weights.CopyFrom(onnx.numpy_helper.from_array(wrong, weights.name))
    return graph.SerializeToString()


def test_a_right_graph_agrees(exported, pictures):
    """All cells are called alike, and the largest difference is written down."""
    model, network, card = exported
    found = parity_of(open_onnx(model), network, card, pictures, N)
    assert (found.n_cells, found.agreement) == (N, 1)
    assert 0 < found.largest_difference < 1e-2
    refuse_unlike(found)


@pytest.mark.parametrize(
    "fault", ["channels swapped", "lying on its side", "cut at the corner", "not a number"]
)
def test_a_planted_fault_is_found(exported, pictures, fault):
    """Each is refused, though cells of one colour and kind may be called alike."""
    model, network, card = exported
    found = parity_of(open_onnx(faulty(model, fault)), network, card, pictures, N)
    with pytest.raises(RunError, match="Nothing was written"):
        refuse_unlike(found)


def test_the_numbers_are_those_of_a_plain_count(exported, pictures):
    """Cell by cell, whatever the chunks."""
    _, network, card = exported
    squares = np.stack([resize(picture, 24) for picture in pictures])
    own = predict_probabilities(network, card, lambda part: squares[part], N, CPU)
    other = np.roll(own, 1, axis=1)
    told = iter(other)

    def answer(chunk):
        return np.stack([next(told) for _ in chunk])

    found = parity_of(answer, network, card, iter(pictures), N)
    assert found.n_cells == N
    assert found.agreement == np.mean(own.argmax(axis=1) == other.argmax(axis=1)) == 0
    far = np.abs(own - other).max(axis=1)
    assert found.largest_difference == pytest.approx(far.max(), abs=1e-5)
    assert found.mean_difference == pytest.approx(far.mean(), abs=1e-5)


def test_the_border_of_what_is_taken():
    """999 of 1000 pass and 998 do not, nor a mean difference above the allowed."""
    refuse_unlike(Parity(1000, 0.999, 0.9, 0.005))
    with pytest.raises(RunError, match=r"calls 99.80% of 1000 cells.*99.9% and at most 0.005"):
        refuse_unlike(Parity(1000, 0.998, 0.1, 0.001))
    with pytest.raises(RunError, match=r"differ by 0.006 on average"):
        refuse_unlike(Parity(1000, 1.0, 0.1, 0.006))


def test_nothing_to_compare_is_refused(exported):
    """A model is not passed on no evidence."""
    model, network, card = exported
    with pytest.raises(DataError, match="no cell to compare"):
        parity_of(open_onnx(model), network, card, [], 0)


def test_drawn_cells_are_of_many_sizes(pictures):
    """Small and large, square, portrait and landscape; the same each time."""
    shapes = {picture.shape[:2] for picture in pictures}
    assert min(map(min, shapes)) < 32
    assert max(map(max, shapes)) > 300
    assert any(height > width for height, width in shapes)
    assert any(height < width for height, width in shapes)
    assert any(height == width for height, width in shapes)
    again = list(drawn(8))
    assert all(np.array_equal(one, two) for one, two in zip(again, pictures[:8], strict=True))


def test_a_datasets_pictures_are_decoded_whole(cells):
    """Not resized: the pixels that the manifest knows, in its order."""
    dataset = read_dataset(cells)
    contents = [content_of(pixels) for pixels in decoded(dataset)]
    assert contents == dataset.manifest["content"].to_list()
