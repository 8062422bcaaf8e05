"""Changes of real and drawn pictures alike, through which gradients pass (Zhao et al. 2020).

In front of the critic they keep it from learning few cells by heart; because drawn pictures go
through them too, the generator does not learn the changes.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from leukoscope.synthesis.recipe import Differentiable

_SHIFT, _HOLE = 0.125, 0.5
"""Largest shift and side of the hole, as shares of the picture's side."""


def changed_alike(pictures: Tensor, kinds: Sequence[Differentiable]) -> Tensor:
    """Change each picture at random; numbers come from torch's own stream.

    Parameters
    ----------
    pictures : torch.Tensor of float32, shape (n, 3, side, side)
        In -1 to 1.
    kinds : sequence of {"colour", "translation", "cutout"}
        What is done, in this order.

    Returns
    -------
    torch.Tensor
        The same shape; differentiable in *pictures*.
    """
    for kind in kinds:
        pictures = _CHANGES[kind](pictures)
    return pictures


def _colour(pictures: Tensor) -> Tensor:
    """Change brightness by up to .5, saturation to 0 to 2 times, contrast to .5 to 1.5 times."""
    brightness, saturation, contrast = _numbers(3, pictures)
    pictures = pictures + (brightness - 0.5)
    grey = pictures.mean(dim=1, keepdim=True)
    pictures = (pictures - grey) * (2 * saturation) + grey
    middle = pictures.mean(dim=(1, 2, 3), keepdim=True)
    changed: Tensor = (pictures - middle) * (contrast + 0.5) + middle
    return changed


def _translation(pictures: Tensor) -> Tensor:
    """Shift by up to an eighth of the side; what comes in is mirrored, as smear goes on there.

    The paper fills with grey, whose edge every critic of pale smear learns before it learns cells.
    """
    side = pictures.shape[-1]
    most = int(side * _SHIFT + 0.5)
    shifts = (torch.floor(_numbers(2, pictures) * (2 * most + 1)) - most).long()
    places = torch.arange(side, device=pictures.device)
    rows, columns = (_mirrored(places + each.flatten()[:, None], side) for each in shifts)
    chosen = torch.arange(len(pictures), device=pictures.device)[:, None, None]
    taken = pictures.permute(0, 2, 3, 1)[chosen, rows[:, :, None], columns[:, None, :]]
    return taken.permute(0, 3, 1, 2)


def _mirrored(places: Tensor, side: int) -> Tensor:
    """Bring places outside a picture back into it, as in a mirror at its last pixel."""
    return side - 1 - (places.abs() - (side - 1)).abs()


def _cutout(pictures: Tensor) -> Tensor:
    """Grey out a square of half the side, which may reach over the border."""
    side = pictures.shape[-1]
    hole = int(side * _HOLE + 0.5)
    middle = torch.floor(_numbers(2, pictures) * (side + 1 - hole % 2))
    places = torch.arange(side, device=pictures.device)
    row, column = (
        ((places - each.flatten()[:, None] + hole // 2).clamp(0, hole - 1))
        == (places - each.flatten()[:, None] + hole // 2)
        for each in middle
    )
    inside = (row[:, :, None] & column[:, None, :])[:, None]
    changed: Tensor = pictures * (~inside).to(pictures.dtype)
    return changed


def _numbers(n: int, pictures: Tensor) -> Tensor:
    # In float32 whatever the pictures are in: bfloat16 would draw 256 shares, and round places.
    return torch.rand(n, len(pictures), 1, 1, 1, device=pictures.device)


_CHANGES: dict[Differentiable, Callable[[Tensor], Tensor]] = {
    "colour": _colour,
    "translation": _translation,
    "cutout": _cutout,
}
