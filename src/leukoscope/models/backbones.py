"""Networks by name, built with their weights at random."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from leukoscope.foundation.errors import RecipeError, UsageError, unknown_name
from leukoscope.foundation.streams import key
from leukoscope.models.torchvision_cure import make_importable
from leukoscope.records.runs import Setting

_NOT_SHAPE = (
    *("pretrained", "checkpoint", "cache", "model_name", "num_classes", "in_chans"),
    *("features_only", "out_indices", "scriptable", "exportable", "no_jit"),
)


def check_name(model: str) -> None:
    """Refuse a name timm does not know, with the nearest ones. Raises UsageError."""
    make_importable()
    import timm

    if model not in (names := timm.list_models()):
        raise unknown_name("model", model, names)


def build(
    model: str, build_arguments: Mapping[str, Setting], n_categories: int, *, seed: int
) -> nn.Module:
    """Build a timm network with one output a category.

    Parameters
    ----------
    model : str
        A timm name, for example ``resnet18``.
    build_arguments : mapping
        Further arguments of ``timm.create_model``.
    n_categories : int
        Number of outputs.
    seed : int
        The initial weights follow from it; torch's own random state is left as it was.

    Returns
    -------
    torch.nn.Module
        On the CPU, float32, in training mode.

    Raises
    ------
    UsageError
        If timm has no such network.
    RecipeError
        If the network refuses the arguments.
    """
    check_name(model)
    _refuse_arguments(model, build_arguments)
    import timm

    arguments: dict[str, Any] = dict(build_arguments)
    with seeded(seed, "initialisation"):
        try:
            network = timm.create_model(
                model, pretrained=False, num_classes=n_categories, **arguments
            )
        except (TypeError, AttributeError, RuntimeError, ValueError, AssertionError) as error:
            raise RecipeError(
                f"{model} cannot be built with {arguments}: {error}. Nothing was started."
            ) from None
    assert isinstance(network, nn.Module)
    return network


def _refuse_arguments(model: str, build_arguments: Mapping[str, Setting]) -> None:
    """Keep to arguments that shape a network: others would load files or unmake its ends."""
    odd = [
        name
        for name, value in build_arguments.items()
        if name.startswith(_NOT_SHAPE) or (isinstance(value, str) and set(value) & set("/\\:"))
    ]
    if odd:
        raise RecipeError(
            f"{model} is not built with {', '.join(odd)}: build_arguments only shape a network. "
            "Nothing was started. Starting weights are given by --weights."
        )


def check_size(network: nn.Module, model: str, size_px: int) -> None:
    """Refuse a picture size the network cannot take, by trying it. Raises UsageError."""
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(torch.zeros(1, 3, size_px, size_px))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"{model} cannot take pictures of {size_px} px: {reason}. Nothing was started. "
            "Give another --size-px or another --model."
        ) from None
    finally:
        network.train(was_training)


@contextmanager
def seeded(seed: int, *names: str | int) -> Iterator[None]:
    """Let torch draw from a named stream inside the block; its own state returns afterwards."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(key(seed, *names) % 2**63)
        yield
