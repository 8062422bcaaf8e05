"""Light, blurs, noises and occlusion of many pictures at once, on the device they lie on.

Each function takes one run of operations a picture (:func:`apply.runs`), lengths in the pictures'
own pixels, and the pictures, uint8 of shape (n, height, width, 3); it gives them back in the same
form. Stages, kernels and random fields are those that the processor uses.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from leukoscope.augmentation.light import BRIGHTEST, FULL, Linear, Matrix, Power, Stage, stages_of
from leukoscope.augmentation.occlusion import box_px, breadth_px
from leukoscope.augmentation.sensor import (
    blur_kernel,
    check_reach,
    normal_field,
    salt_and_pepper,
)
from leukoscope.augmentation.step import Operation
from leukoscope.augmentation.tensors import filtered_where, in_groups, numbers, rounded

Run = Sequence[Operation]

_PARTS = 1024
_COLOURS = {"black": 0, "white": 255}
_MARKED = 128


def light(runs: Sequence[Run], pixels: Tensor) -> Tensor:
    """Do a run of operations of light to each picture; see :func:`light.light`."""
    means = _sums(pixels).cpu().numpy() / (pixels.shape[1] * pixels.shape[2])
    stages = [
        _as_on_processor(stages_of(run, mean.tolist()))
        for run, mean in zip(runs, means, strict=True)
    ]

    def work(_kind: tuple[type[Stage], ...], places: list[int], chosen: Tensor) -> Tensor:
        levels = chosen.float()
        for column in zip(*(stages[place] for place in places), strict=True):
            levels = _through(column, levels)
        return rounded(levels)

    return in_groups([tuple(map(type, each)) or None for each in stages], pixels, work)


def blur(runs: Sequence[Run], pixels: Tensor) -> Tensor:
    """Blur each picture; see :func:`sensor.blur`. Raises DataError if a kernel reaches too far."""
    kernels = [
        blur_kernel(name, length_px, *angle_deg or (0.0,))
        for ((name, (length_px, *angle_deg)),) in runs
    ]
    for kernel in kernels:
        if kernel is not None:
            check_reach(len(kernel), *pixels.shape[1:3])
    return filtered_where(kernels, pixels)


def gaussian_noise(runs: Sequence[Run], pixels: Tensor) -> Tensor:
    """Add normal noise to each picture, from the generator that its seed names."""
    noise = np.stack([normal_field(sd, seed, pixels.shape[1:]) for ((_, (sd, seed)),) in runs])
    return rounded(pixels.double() + torch.from_numpy(noise).to(pixels.device))


def salt_pepper(runs: Sequence[Run], pixels: Tensor) -> Tensor:
    """Turn a share of each picture's pixels white or black."""
    grey = np.full(pixels.shape[1:], _MARKED, np.uint8)
    marks = [salt_and_pepper(share, seed, grey) for ((_, (share, seed)),) in runs]
    marked = torch.from_numpy(np.stack(marks)).to(pixels.device)
    return torch.where(marked == _MARKED, pixels, marked)


def erasing(runs: Sequence[Run], pixels: Tensor) -> Tensor:
    """Cover a rectangle of each picture."""
    _, height, width, _ = pixels.shape
    boxes = [box_px(given, height, width) for ((_, given),) in runs]
    x, y, x_end, y_end = numbers(boxes, pixels, trailing=2).unbind(1)
    column = torch.arange(width, device=pixels.device)
    row = torch.arange(height, device=pixels.device)[:, None]
    inside = (column >= x) & (column < x_end) & (row >= y) & (row < y_end)
    means = rounded(_sums(pixels).double() / (height * width))[:, None, None]
    return torch.where(inside[..., None], _coloured(runs, means), pixels)


def added_border(runs: Sequence[Run], pixels: Tensor) -> Tensor:
    """Cover the edge of each picture with a border."""
    n, height, width, _ = pixels.shape
    breadths = [breadth_px(given[0], height, width) for ((_, given),) in runs]
    breadth = numbers(breadths, pixels, trailing=1).long()
    rows, row_outside = _folded(breadth, height)
    columns, column_outside = _folded(breadth, width)
    outside = (row_outside[:, :, None] | column_outside[:, None])[..., None]
    which = torch.arange(n, device=pixels.device)[:, None, None]
    reflected = pixels[which, rows[:, :, None], columns[:, None]]
    return torch.where(outside, _coloured(runs, reflected), pixels)


def _coloured(runs: Sequence[Run], otherwise: Tensor) -> Tensor:
    """Give what covers each picture: the colour its operation ends with, or its own levels."""
    named = [_COLOURS.get(name.rpartition("_")[2], -1) for ((name, _),) in runs]
    colours = numbers(named, otherwise, trailing=3)
    return torch.where(colours < 0, otherwise, colours).to(torch.uint8)


def _folded(breadth: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Find, along one axis, what lies mirrored at each place of a border, edges repeated."""
    inner = size - 2 * breadth
    place = torch.arange(size, device=breadth.device) - breadth
    within = place % (2 * inner)
    return torch.minimum(within, 2 * inner - 1 - within) + breadth, (place < 0) | (place >= inner)


def _sums(pixels: Tensor) -> Tensor:
    return pixels.sum(dim=(1, 2), dtype=torch.int64)


def _as_on_processor(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """Round a lone matrix that mixes channels as OpenCV does for 8-bit levels.

    It counts in parts of 1024 and rounds halves up; a quarter of a part brings halves there.
    """
    if len(stages) != 1 or not isinstance(stages[0], Linear):
        return stages
    matrix = stages[0].matrix
    if np.count_nonzero(matrix[:, :3]) <= len(matrix):
        return stages
    coarse = np.rint(matrix * _PARTS) / _PARTS
    coarse[:, 3] += 0.25 / _PARTS
    return (Linear(coarse),)


def _through(column: Sequence[Stage], levels: Tensor) -> Tensor:
    """Take pictures through one stage each, all of one type."""
    powers = [stage.power for stage in column if isinstance(stage, Power)]
    if powers:
        each = numbers(powers, levels, trailing=3).to(levels.dtype)
        return ((levels.clamp(min=0) / FULL) ** each * FULL).clamp(max=FULL * BRIGHTEST)
    matrices = [stage.matrix for stage in column if not isinstance(stage, Power)]
    if isinstance(column[0], Linear):
        return _transformed(matrices, levels)
    # One level is added, so that black has an absorbance.
    dark = -((levels.clamp(min=0) + 1) / (FULL + 1)).log()
    return ((-_transformed(matrices, dark)).exp() * (FULL + 1) - 1).clamp(max=FULL * BRIGHTEST)


def _transformed(each: Sequence[Matrix], levels: Tensor) -> Tensor:
    matrices = numbers(each, levels, trailing=0).to(levels.dtype)
    linear, shift = matrices[:, None, None, :, :3], matrices[:, None, None, :, 3]
    return (linear * levels[..., None, :]).sum(-1) + shift
