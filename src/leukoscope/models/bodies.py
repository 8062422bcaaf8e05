"""Which parameters of a network belong together, and where it can be cut in two."""

import copy
from collections.abc import Iterable
from typing import Literal, cast

from torch import nn

from leukoscope.foundation.errors import RecipeError
from leukoscope.models.heads import Headed, QuadrantsAndRim

Frozen = int | Literal["all-but-head"]


def layer_groups(network: nn.Module) -> list[list[str]]:
    """Group a network's parameters from its input to its head.

    Parameters
    ----------
    network : torch.nn.Module
        As :func:`leukoscope.models.backbones.build` gives it.

    Returns
    -------
    list of list of str
        Names of parameters, each in one group; the last group is the head. Of the papers'
        networks a group is a layer, and may be empty; of a timm network it is a stage or block,
        as timm groups them. Of five networks in one, group k holds the k-th of each.

    Raises
    ------
    RecipeError
        If timm names no groups for it.
    """
    if isinstance(network, QuadrantsAndRim):
        of_members = [layer_groups(member) for member in network.members]
        return [
            [f"members.{i}.{name}" for i, names in enumerate(level) for name in names]
            for level in zip(*of_members, strict=True)
        ]
    if isinstance(network, Headed):
        body = [[f"body.{name}" for name in group] for group in _grouped(network.body)]
        return [*body, [f"head.{name}" for name, _ in network.head.named_parameters()]]
    if isinstance(network, nn.Sequential):
        layers = network.named_children()
        return [[f"{at}.{name}" for name, _ in layer.named_parameters()] for at, layer in layers]
    names = {name for name, _ in network.named_parameters()}
    head = names_under(classifiers_of(network), names)
    return [*_grouped(network), [name for name, _ in network.named_parameters() if name in head]]


def frozen_count(network: nn.Module, frozen: Frozen) -> int:
    """Count the layer groups that stay as they are.

    Raises
    ------
    RecipeError
        If there are not so many groups below the head, which always learns.
    """
    if frozen == 0:
        return 0
    most = len(layer_groups(network)) - 1
    if frozen == "all-but-head":
        return most
    if not 0 <= frozen <= most:
        raise RecipeError(
            f"frozen_groups is {frozen}, and this network has {most} groups of layers below its "
            f"head. Nothing was started. Give 0 to {most}, or all-but-head."
        )
    return frozen


def split_network(network: nn.Module, frozen: Frozen) -> tuple[nn.Module, nn.Module] | None:
    """Cut a network where its frozen layers end.

    Parameters
    ----------
    network : torch.nn.Module
        As :func:`leukoscope.models.backbones.build` gives it.
    frozen : int or "all-but-head"
        How many layer groups stay as they are.

    Returns
    -------
    (torch.nn.Module, torch.nn.Module) or None
        Body and head, which share the network's own layers: in evaluation ``head(body(x))``
        is ``network(x)``. The body is to be used in evaluation mode, as what is frozen is; dropout
        between the last frozen parameters and the head belongs to the head and works
        when that learns. None where the frozen layers do not end at a clean seam: within a timm
        network, and where five networks are one.

    Raises
    ------
    RecipeError
        If there are not so many groups.
    """
    n_frozen = frozen_count(network, frozen)
    if n_frozen == 0 or isinstance(network, QuadrantsAndRim):
        return None
    if isinstance(network, nn.Sequential):
        seam = _before_dropout(network, n_frozen)
        return (network[:seam], network[seam:]) if seam else None
    if n_frozen < len(layer_groups(network)) - 1:
        return None
    if isinstance(network, Headed):
        return network.body, network.head
    return _cut_classifier_off(network)


def classifiers_of(network: nn.Module) -> tuple[str, ...]:
    """Name the modules that make the logits of a network, as its parameters name them.

    Returns
    -------
    tuple of str
        One name; two of a few networks of timm; of five networks in one, those of each.
    """
    if isinstance(network, QuadrantsAndRim):
        members = enumerate(network.members)
        return tuple(f"members.{i}.{name}" for i, one in members for name in classifiers_of(one))
    if isinstance(network, Headed):
        return ("head",)
    if isinstance(network, nn.Sequential):
        return (str(len(network) - 1),)
    # A few networks of timm are encoders and name none.
    stated = getattr(network, "default_cfg", {}).get("classifier") or ()
    return (stated,) if isinstance(stated, str) else tuple(stated)


def names_under(modules: Iterable[str], names: Iterable[str]) -> set[str]:
    """Take those names of parameters that belong to modules."""
    prefixes = tuple(f"{module}." for module in modules)
    return {name for name in names if name.startswith(prefixes)}


def _grouped(network: nn.Module) -> list[list[str]]:
    """Group the parameters of a timm network below its classifier."""
    from timm.models._manipulate import group_parameters

    matcher = getattr(network, "group_matcher", None)
    if matcher is None:
        raise RecipeError(
            f"timm names no groups of layers for {type(network).__name__}, so none can be frozen "
            "or slowed. Nothing was started. Take another model, or frozen_groups: 0."
        )
    groups: dict[int, list[str]] = group_parameters(network, matcher(coarse=False))
    head = names_under(
        classifiers_of(network), (name for names in groups.values() for name in names)
    )
    below = [[name for name in groups[at] if name not in head] for at in sorted(groups)]
    return [group for group in below if group]


def _before_dropout(layers: nn.Sequential, seam: int) -> int:
    """Move a seam before the dropout that follows the last parameters below it."""
    first = seam
    while first > 0 and not list(layers[first - 1].parameters()):
        first -= 1
    between = range(first, seam)
    return next((at for at in between if isinstance(layers[at], nn.Dropout)), seam)


def _cut_classifier_off(network: nn.Module) -> tuple[nn.Module, nn.Module] | None:
    names = classifiers_of(network)
    classifier = dict(network.named_modules()).get(names[0]) if len(names) == 1 else None
    if not isinstance(classifier, nn.Linear):
        return None
    body = _with_identity(network, names[0])
    if not (share := _dropout_share(network)):
        return body, classifier
    dropout = nn.Dropout(share).train(network.training)
    head = nn.Sequential(dropout, classifier)
    head.training = network.training
    return body, head


def _with_identity(module: nn.Module, name: str) -> nn.Module:
    """Copy a module's shell, its parts shared, with nothing done in the place of one of them."""
    first, _, rest = name.partition(".")
    twin = copy.copy(module)
    part = _with_identity(module.get_submodule(first), rest) if rest else nn.Identity()
    # A new mapping: the copy still shares the module's own, which must not change.
    twin._modules = {**module._modules, first: part}
    return twin


def _dropout_share(network: nn.Module) -> float:
    """Find the share that timm drops before the classifier: by a layer of its own, or a number."""
    modules = dict(network.named_modules())
    layers = [modules[name] for name in ("head_drop", "head.drop") if name in modules]
    shares = [layer.p for layer in layers if isinstance(layer, nn.Dropout)]
    stated = cast("float | None", getattr(network, "drop_rate", None))
    return max([*shares, stated or 0.0])
