"""Changes to a built network: a stem for small pictures, another normalisation."""

import math
from collections.abc import Callable

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from leukoscope.foundation.errors import RecipeError

_MOST_GROUPS = 32


def give_small_stem(network: nn.Module, model: str) -> None:
    """Let the first convolution see every pixel, and drop the pooling that follows it.

    Parameters
    ----------
    network : torch.nn.Module
        A timm network; changed in place. A first convolution larger than 3 × 3 is drawn
        anew from torch's stream, one of 3 × 3 keeps its weights.
    model : str
        Its name, for the error.

    Raises
    ------
    RecipeError
        If it does not begin with a convolution of the kind. Source: He et al. 2016 (CIFAR form).
    """
    name = getattr(network, "default_cfg", {}).get("first_conv")
    first = _find(network, name) if isinstance(name, str) else None
    if not isinstance(first, nn.Conv2d) or first.stride != (2, 2):
        raise RecipeError(
            f"{model} has no strided first convolution that a small stem could replace. "
            "Nothing was started. Leave stem: own."
        )
    assert isinstance(name, str)
    _put(network, name, _at_full_resolution(first))
    if isinstance(getattr(network, "maxpool", None), nn.Module):
        network.maxpool = nn.Identity()


def _at_full_resolution(first: nn.Conv2d) -> nn.Conv2d:
    has_bias = first.bias is not None
    new = nn.Conv2d(first.in_channels, first.out_channels, 3, padding=1, bias=has_bias)
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    if first.kernel_size == (3, 3):
        new.load_state_dict(first.state_dict())
    return new


def give_group_norm(network: nn.Module, model: str) -> None:
    """Put group normalisation in the place of each batch normalisation (Wu and He 2018).

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place. Groups: the most, up to 32, that divide the channels.
    model : str
        Its name, for the error.

    Raises
    ------
    RecipeError
        If it has no batch normalisation.
    """
    found = [(name, part) for name, part in network.named_modules() if isinstance(part, _BatchNorm)]
    if not found:
        raise RecipeError(
            f"{model} has no batch normalisation to replace. Nothing was started. Leave norm: own."
        )
    for name, batch_norm in found:
        _put(network, name, _grouped(batch_norm))


def _grouped(batch_norm: _BatchNorm) -> nn.Module:
    n_channels = batch_norm.num_features
    norm = nn.GroupNorm(math.gcd(_MOST_GROUPS, n_channels), n_channels, eps=batch_norm.eps)
    # timm's normalisation carries the dropout and activation that follow it.
    rest = [getattr(batch_norm, name, None) for name in ("drop", "act")]
    parts = [part for part in rest if isinstance(part, nn.Module)]
    return nn.Sequential(norm, *parts) if parts else norm


def _find(network: nn.Module, name: str) -> nn.Module | None:
    return dict(network.named_modules()).get(name)


def _put(network: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    owner = network.get_submodule(parent)
    setter: Callable[[str, nn.Module], None] = owner.add_module
    setter(last, part)
