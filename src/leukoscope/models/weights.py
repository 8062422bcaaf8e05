"""Starting weights: tensors read from a file, and put into a network; every mismatch named."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError
from leukoscope.models.bodies import classifiers_of, names_under
from leukoscope.models.cards import WeightsCard
from leukoscope.models.heads import Headed, QuadrantsAndRim
from leukoscope.records.runs import NetworkRecipe

_LONGEST_HEADER = 32_000_000
"""Bytes; that of a network of ten thousand tensors has some million."""
_OURS = "bilinear"
"""How the house's resizer interpolates."""


def load_weights(
    network: nn.Module, card: WeightsCard, recipe: NetworkRecipe, *, keep_head: bool = False
) -> None:
    """Load starting weights into a network, its head left at random unless it is kept.

    Weights of a file go into the body of a network with another head, and into each of five
    networks in one; what a small stem makes anew stays at random. Position embeddings of
    another picture size are resized, and that is noted.

    Parameters
    ----------
    network : torch.nn.Module
        Built from *recipe*; changed only if everything fits.
    card : WeightsCard
        The weights.
    recipe : NetworkRecipe
        How the network was built.
    keep_head : bool
        Take the weights' own head too. That its outputs mean the same is for
        :func:`leukoscope.models.cards.refuse_other_categories` to say.

    Raises
    ------
    DataError
        If a tensor is missing, too many, of another shape or kind: all are named; or if the
        weights come from a run whose network was built in another way.
    """
    _refuse_other_network(card, recipe)
    tensors = read_tensors(card.path)
    if card.trained_as is None and recipe.norm == "group":
        _refuse_batch_norm(tensors, card)
    whole = card.trained_as is not None
    members = list(network.members) if isinstance(network, QuadrantsAndRim) else [network]
    parts = [network] if whole else [_body(member, card, keep_head) for member in members]
    small_stem = recipe.stem == "small" and not whole
    states = [
        _fitted(part, tensors, card, recipe, keep_head=keep_head, small_stem=small_stem)
        for part in parts
    ]
    for part, state in zip(parts, states, strict=True):
        part.load_state_dict(state, strict=True)
    _note_interpolation(card)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file, half precision widened.

    Raises
    ------
    DataError
        If it is broken or hostile, or holds numbers that are not finite, or complex ones.
    """
    try:
        _check_header(path)
        tensors = {name: _widened(value) for name, value in load_file(path).items()}
    # The library lets KeyError and AttributeError out for kinds of numbers torch lacks.
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError) as error:
        raise DataError(f"{path} cannot be read as safetensors: {error}.") from None
    except RecursionError:
        raise DataError(f"{path} cannot be read as safetensors: its header is no table.") from None
    odd = [name for name, value in tensors.items() if not _is_usable(value)]
    if odd:
        raise DataError(
            f"{path} holds numbers that are not finite, or complex, in {_some(odd)}: no network "
            "can be made of them. Nothing was started."
        )
    return tensors


def _check_header(path: Path) -> None:
    """Refuse what the library would take: a header of any length, and names that stand twice."""
    with Path(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _LONGEST_HEADER:
            raise ValueError(f"its header would be {length} bytes long")
        json.loads(file.read(length), object_pairs_hook=_once)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice} stands twice in its header")
    return found


def _widened(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() and value.itemsize < 4 else value


def _is_usable(value: Tensor) -> bool:
    return not value.is_complex() and bool(
        not value.is_floating_point() or torch.isfinite(value).all()
    )


def _refuse_other_network(card: WeightsCard, recipe: NetworkRecipe) -> None:
    """Refuse weights of a run whose network was changed in another way than this one."""
    before = card.trained_as
    odd = [
        f"{name}: {getattr(before, name)} there and {getattr(recipe, name)} here"
        for name in ("model", "head", "stem", "norm", "regions")
        if before is not None and getattr(before, name) != getattr(recipe, name)
    ]
    if odd:
        raise DataError(
            f"The weights {card.origin.name} come from another network than the recipe's: "
            + "; ".join(odd)
            + ". Nothing was started. Build it as it was there, or take other weights."
        )


def _refuse_batch_norm(tensors: Mapping[str, Tensor], card: WeightsCard) -> None:
    found = [name for name in tensors if name.endswith(".running_mean")]
    if found:
        raise DataError(
            f"The weights {card.origin.name} were made with batch normalisation "
            f"({len(found)} layers), and the recipe puts group normalisation in its place (norm: "
            "group): they do not fit. Nothing was started. Leave norm: own, or start at random."
        )


def _body(member: nn.Module, card: WeightsCard, keep_head: bool) -> nn.Module:
    """Take what a file's weights go into: of a network with another head, what is below it."""
    if not isinstance(member, Headed):
        return member
    if keep_head:
        raise DataError(
            f"The head of the weights {card.origin.name} cannot be kept (keep_head): it is the one "
            f"{card.model} has of itself, and the recipe puts another in its place. Nothing was "
            "started. Leave head: linear, or keep_head: false."
        )
    return member.body


def _fitted(
    part: nn.Module,
    tensors: Mapping[str, Tensor],
    card: WeightsCard,
    recipe: NetworkRecipe,
    *,
    keep_head: bool,
    small_stem: bool,
) -> dict[str, Tensor]:
    """Make a network's whole state of weights and of what stays as it is."""
    own = part.state_dict()
    head = names_under(classifiers_of(part), {*own, *tensors})
    if keep_head:
        _refuse_other_head(own, tensors, head, card)
    left = set() if keep_head else head
    # What helped to train inception_v3 and is no part of its answer.
    left |= names_under(["AuxLogits"], set(tensors) - set(own))
    if small_stem:
        left |= _new_in_stem(part, own, tensors)
    kept = {name: value for name, value in tensors.items() if name not in left}
    kept |= _resized_positions(part, own, kept)
    _refuse_mismatch(own, kept, left, card, recipe)
    return kept | {name: own[name] for name in left if name in own}


def _refuse_other_head(
    own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], head: set[str], card: WeightsCard
) -> None:
    theirs = {name: tuple(tensors[name].shape) for name in sorted(head) if name in tensors}
    ours = {name: tuple(own[name].shape) for name in sorted(head) if name in own}
    if theirs != ours or not ours:
        said = ["; ".join(f"{name} {shape}" for name, shape in x.items()) for x in (theirs, ours)]
        raise DataError(
            f"The head of the weights {card.origin.name} cannot be kept (keep_head): it is "
            f"{said[0] or 'not there'}, and this network's is {said[1] or 'not there'}. Nothing "
            "was started. Leave keep_head: false."
        )


def _new_in_stem(
    part: nn.Module, own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> set[str]:
    """Name the first convolution's weights, where the small stem's have another shape."""
    first = getattr(part, "default_cfg", {}).get("first_conv")
    names = names_under([first], own) if isinstance(first, str) else set()
    return {name for name in names if name in tensors and tensors[name].shape != own[name].shape}


def _resized_positions(
    part: nn.Module, own: Mapping[str, Tensor], kept: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Resize a transformer's position embedding to its grid, as timm does (bicubic)."""
    theirs, ours = kept.get("pos_embed"), own.get("pos_embed")
    grid = getattr(getattr(part, "patch_embed", None), "grid_size", None)
    if theirs is None or ours is None or grid is None or theirs.shape == ours.shape:
        return {}
    n_before = ours.shape[1] - grid[0] * grid[1] if ours.ndim == 3 else -1
    side = round(max(0, theirs.shape[1] - n_before) ** 0.5) if theirs.ndim == 3 else 0
    square = n_before >= 0 and side > 0 and side * side + n_before == theirs.shape[1]
    if not square or theirs.shape[::2] != ours.shape[::2]:
        return {}
    from timm.layers.pos_embed import resample_abs_pos_embed

    progress.note(
        f"The weights' position embedding, for {side} × {side} patches, was resized to the "
        f"{grid[0]} × {grid[1]} of this network."
    )
    return {"pos_embed": resample_abs_pos_embed(theirs, list(grid), num_prefix_tokens=n_before)}


def _refuse_mismatch(
    own: Mapping[str, Tensor],
    kept: Mapping[str, Tensor],
    left: set[str],
    card: WeightsCard,
    recipe: NetworkRecipe,
) -> None:
    shared = sorted(set(own) & set(kept))
    found = {
        "missing": sorted(set(own) - set(kept) - left),
        "unknown": sorted(set(kept) - set(own)),
        "of another shape": [
            f"{name} is {tuple(kept[name].shape)}, not {tuple(own[name].shape)}"
            for name in shared
            if own[name].shape != kept[name].shape
        ],
        "of another kind": [
            f"{name} is {kept[name].dtype}, not {own[name].dtype}"
            for name in shared
            if own[name].is_floating_point() != kept[name].is_floating_point()
        ],
    }
    if any(found.values()):
        said = [f"{what} {len(names)} ({_some(names)})" for what, names in found.items() if names]
        raise DataError(
            f"The weights {card.origin.name} do not fit {recipe.model}: {'; '.join(said)}. Its "
            f"card says it belongs to {card.model}. Nothing was started."
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def _note_interpolation(card: WeightsCard) -> None:
    said = card.origin.interpolation
    if said not in (None, _OURS):
        progress.note(
            f"The weights {card.origin.name} were made with pictures resized by {said} "
            f"interpolation; here every picture is resized by {_OURS} interpolation, in training "
            "and in use."
        )
