"""A trained model as one ONNX graph: from decoded pictures of any size to probabilities.

The graph's first part cuts and resizes as the house does, with ONNX's own ``Resize`` on whole
levels. With ``exclude_outside`` it takes the weights of Pillow, which the house resizes with; the
two differ by a level here and there (docs/export.md says how often).
"""

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from leukoscope.foundation.errors import RunError, UsageError
from leukoscope.models.prediction import Numbers, Pixels, logits_of, normalised
from leukoscope.models.trees import Trees
from leukoscope.records.runs import ModelCard

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

OPSET = 20
"""The version of ONNX's operators that the graph keeps to."""

INPUT, OUTPUT = "pictures", "probabilities"
_SQUARES = "squares"
_LARGEST_BYTES = 2_000_000_000
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


class Answer(nn.Module):
    """Turn levels into probabilities: everything a card says after the resizing."""

    def __init__(self, network: nn.Module, card: ModelCard) -> None:
        super().__init__()
        self.network = network
        self.card = card

    def forward(self, levels: Tensor) -> Tensor:
        """Turn levels, uint8 (n, 3, size, size), into probabilities, float32 (n, k)."""
        pictures = normalised(levels, self.card.preprocessing)
        logits = logits_of(self.network, pictures, test_views=self.card.test_views)
        return torch.softmax(logits / self.card.temperature, dim=1).float()


def require_packages() -> None:
    """Refuse where what writes and runs ONNX is not installed. Raises UsageError."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"export needs {', '.join(missing)}, not installed here. Nothing was written. "
            "Install it with `pip install 'leukoscope[export]'`."
        )


def refuse_unexportable(network: nn.Module, card: ModelCard) -> None:
    """Refuse what ONNX cannot hold: trees, also as a member, and measures of cells.

    Raises
    ------
    UsageError
        With what to do.
    """
    if card.measures:
        reason = (
            f"it takes {len(card.measures)} measures of each cell beside its picture, and "
            "outlining a cell is no work for ONNX"
        )
    elif any(isinstance(part, Trees) for part in network.modules()):
        reason = "ONNX's own operators have none for boosted trees"
    else:
        return
    raise UsageError(
        f"This model cannot be exported: {reason}. Nothing was written. Keep the run and use "
        "`leukoscope predict`, or train a logistic probe on the pictures alone and export that."
    )


def to_onnx(network: nn.Module, card: ModelCard) -> bytes:
    """Write a model as ONNX.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode, on the CPU.
    card : ModelCard
        Its preprocessing, test views and temperature.

    Returns
    -------
    bytes
        A model of ONNX's own operators alone. It takes ``pictures``, uint8 (n, height, width,
        3), RGB, of any height and width, and gives ``probabilities``, float32 (n, k).

    Raises
    ------
    UsageError
        If it cannot be exported, is of 2 GB or more, or a package is missing.
    RunError
        If torch has no ONNX for one of its parts.
    """
    require_packages()
    refuse_unexportable(network, card)
    n_bytes = sum(value.nbytes for value in network.state_dict().values())
    if n_bytes >= _LARGEST_BYTES:
        raise UsageError(
            f"The model holds {n_bytes / 1e9:.1f} GB of weights; one ONNX file holds less than 2 "
            "GB. Nothing was written. Export fewer replicates, or a smaller network."
        )
    import onnx

    model = _traced(Answer(network, card).eval(), card.preprocessing.size_px)
    _put_before(model.graph, preparation(card.preprocessing.size_px))
    _clean(model, card)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def preparation(size_px: int) -> "GraphProto":
    """Make the graph that cuts the central square of pictures and resizes it.

    Parameters
    ----------
    size_px : int
        Side of the result.

    Returns
    -------
    onnx.GraphProto
        From ``pictures``, uint8 (n, height, width, 3), to ``squares``, uint8 (n, 3, size_px,
        size_px): bilinear, antialiased where it shrinks.
    """
    from onnx import TensorProto, helper

    numbers: dict[str, list[int]] = {
        "prepare.two": [2],
        "prepare.axes": [1, 2],
        "prepare.channels_and_size": [3, size_px, size_px],
    }
    node = helper.make_node
    resize: dict[str, Any] = {
        "mode": "linear",
        "antialias": 1,
        "exclude_outside": 1,
        "coordinate_transformation_mode": "half_pixel",
    }
    nodes = [
        node("Shape", [INPUT], ["prepare.count"], start=0, end=1),
        node("Shape", [INPUT], ["prepare.sides"], start=1, end=3),
        node("ReduceMin", ["prepare.sides"], ["prepare.side"], keepdims=1),
        node("Sub", ["prepare.sides", "prepare.side"], ["prepare.spare"]),
        node("Div", ["prepare.spare", "prepare.two"], ["prepare.start"]),
        node("Add", ["prepare.start", "prepare.side"], ["prepare.end"]),
        node("Slice", [INPUT, "prepare.start", "prepare.end", "prepare.axes"], ["prepare.square"]),
        node("Transpose", ["prepare.square"], ["prepare.planes"], perm=[0, 3, 1, 2]),
        node("Concat", ["prepare.count", "prepare.channels_and_size"], ["prepare.sizes"], axis=0),
        node("Resize", ["prepare.planes", "", "", "prepare.sizes"], [_SQUARES], **resize),
    ]
    for place, each in enumerate(nodes):
        each.name = f"prepare.{place}"
    value, levels = helper.make_tensor_value_info, TensorProto.UINT8
    return helper.make_graph(
        nodes,
        "prepare",
        [value(INPUT, levels, ["n", "height", "width", 3])],
        [value(_SQUARES, levels, ["n", 3, size_px, size_px])],
        [
            helper.make_tensor(name, TensorProto.INT64, [len(several)], several)
            for name, several in numbers.items()
        ],
    )


def _traced(answer: Answer, size_px: int) -> "ModelProto":
    example = torch.zeros(2, 3, size_px, size_px, dtype=torch.uint8)
    try:
        with warnings.catch_warnings():
            # torch's exporter uses what torch itself has deprecated, and tells of its own parts.
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                answer,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[_SQUARES],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("n")},),
                custom_translation_table={torch.ops.aten.sort.stable: _stable_sort},
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise _unwritten(answer.card, reason) from None
    assert program is not None
    model: ModelProto = program.model_proto
    if not model.graph.output[0].type.tensor_type.shape.dim[0].dim_param:
        raise _unwritten(answer.card, "it would take so many pictures at once and no others")
    return model


def _unwritten(card: ModelCard, reason: str) -> RunError:
    return RunError(
        f"torch has no ONNX for a part of {card.model}: {reason}. Nothing was written. "
        "Keep the run and use `leukoscope predict`, or train another model."
    )


def _stable_sort(values: Any, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:
    """Sort as torch does: ONNX's TopK gives equal values in the order in which they stand."""
    import onnxscript

    assert stable
    # Its functions are typed for tensors that are there, and these are only described.
    op: Any = onnxscript.opset20
    size = op.Gather(op.Shape(values), op.Constant(value_ints=[dim]))
    return op.TopK(values, size, axis=dim, largest=int(descending), sorted=1)


def _put_before(graph: "GraphProto", first: "GraphProto") -> None:
    """Let the first graph make what the second one takes."""
    own = list(graph.node)
    del graph.node[:]
    graph.node.extend([*first.node, *own])
    graph.initializer.extend(first.initializer)
    del graph.input[:]
    graph.input.extend(first.input)
    graph.value_info.extend(first.output)


def _clean(model: "ModelProto", card: ModelCard) -> None:
    """Leave out where on this machine each node comes from; say what made the file."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
        value.doc_string = ""
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    model.graph.name, model.graph.doc_string = "leukoscope", ""
    model.producer_name, model.producer_version, model.doc_string = "leukoscope", "", ""
    model.metadata_props.add(key="categories", value="\n".join(card.categories))


def open_onnx(model: bytes) -> Callable[[Sequence[Pixels]], Numbers]:
    """Open an ONNX model for answering, as any other program would.

    Parameters
    ----------
    model : bytes
        As :func:`to_onnx` writes it.

    Returns
    -------
    callable
        Takes pictures, uint8 (height, width, 3) of any size each; gives probabilities,
        float64 (n, k). Raises RunError if the graph cannot answer for one.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Errors are raised; nothing is to be written past the progress bar.
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def answer(pictures: Sequence[Pixels]) -> Numbers:
        given: list[Any] = []
        for picture in pictures:
            try:
                given += session.run([OUTPUT], {INPUT: np.ascontiguousarray(picture)[None]})
            except (RuntimeError, ValueError, state.Fail, state.InvalidArgument) as error:
                reason = str(error).splitlines()[0]
                raise RunError(
                    f"The exported model cannot answer for a picture of {picture.shape[1]} × "
                    f"{picture.shape[0]} px: {reason}. Nothing was written."
                ) from None
        return np.concatenate(given).astype(np.float64)

    return answer
