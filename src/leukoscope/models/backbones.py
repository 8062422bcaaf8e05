"""Networks by name, the papers' and timm's, built with their weights at random."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from leukoscope.foundation.errors import RecipeError, UsageError, unknown_name
from leukoscope.foundation.streams import key
from leukoscope.models.changes import give_group_norm, give_small_stem
from leukoscope.models.heads import QuadrantsAndRim, with_head
from leukoscope.models.known import refuse_classical
from leukoscope.models.published import PUBLISHED, build_published
from leukoscope.models.torchvision_cure import make_importable
from leukoscope.records.runs import NetworkRecipe, Setting

_NOT_SHAPE = (
    *("pretrained", "checkpoint", "cache", "model_name", "num_classes", "in_chans"),
    *("features_only", "out_indices", "scriptable", "exportable", "no_jit"),
)


def check_name(model: str) -> None:
    """Refuse a name that neither a paper nor timm gives, with the nearest. Raises UsageError."""
    if model in PUBLISHED:
        return
    refuse_classical(model)
    make_importable()
    import timm

    if model not in (names := timm.list_models()):
        raise unknown_name("model", model, [*names, *PUBLISHED])


def build(network: NetworkRecipe, n_outputs: int, size_px: int, *, seed: int) -> nn.Module:
    """Build a network with one output a category.

    Parameters
    ----------
    network : NetworkRecipe
        Its name and what is changed about it; a training recipe or a model card is one.
    n_outputs : int
        Number of outputs.
    size_px : int
        Side of the pictures it will see: the papers' networks and heads are cut to it.
    seed : int
        The initial weights follow from it; torch's own random state is left as it was.

    Returns
    -------
    torch.nn.Module
        On the CPU, float32, in training mode.

    Raises
    ------
    UsageError
        If there is no such network, or it cannot take pictures of that size.
    RecipeError
        If the network refuses the arguments or the changes.
    """
    check_name(network.model)
    with seeded(seed, "initialisation"):
        if network.regions == "whole":
            return _build_one(network, n_outputs, size_px)
        sizes = [(size_px + 1) // 2] * 4 + [size_px]
        return QuadrantsAndRim([_build_one(network, n_outputs, size) for size in sizes])


def _build_one(network: NetworkRecipe, n_outputs: int, size_px: int) -> nn.Module:
    model = network.model
    if model in PUBLISHED:
        if network.stem != "own" or network.head != "linear":
            raise RecipeError(
                f"{model} is a paper's network, stem and head included. Nothing was started. "
                "Leave stem: own and head: linear, or take another model."
            )
        built: nn.Module = build_published(model, network.build_arguments, n_outputs, size_px)
    elif network.head == "linear":
        built = _build_timm(network, num_classes=n_outputs)
    else:
        body = _build_timm(network, num_classes=0, global_pool="")
        try:
            built = with_head(body, network.head, size_px, n_outputs)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise _cannot_take(model, size_px, error) from None
    if network.norm == "group":
        give_group_norm(built, model)
    return built


def _build_timm(network: NetworkRecipe, **ends: int | str) -> nn.Module:
    _refuse_arguments(network.model, network.build_arguments)
    import timm

    arguments: dict[str, Any] = dict(network.build_arguments) | ends
    try:
        built = timm.create_model(network.model, pretrained=False, **arguments)
    except (TypeError, AttributeError, RuntimeError, ValueError, AssertionError) as error:
        raise RecipeError(
            f"{network.model} cannot be built with {dict(network.build_arguments)}: {error}. "
            "Nothing was started."
        ) from None
    assert isinstance(built, nn.Module)
    if network.stem == "small":
        give_small_stem(built, network.model)
    return built


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
        raise _cannot_take(model, size_px, error) from None
    finally:
        network.train(was_training)


def _cannot_take(model: str, size_px: int, error: Exception) -> UsageError:
    reason = str(error).splitlines()[0]
    return UsageError(
        f"{model} cannot take pictures of {size_px} px: {reason}. Nothing was started. "
        "Give another --size-px or another --model."
    )


@contextmanager
def seeded(seed: int, *names: str | int) -> Iterator[None]:
    """Let torch draw from a named stream inside the block; its own state returns afterwards."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(key(seed, *names) % 2**63)
        yield
