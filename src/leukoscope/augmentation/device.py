"""Draws done to a tensor: pictures that need the same thing next are done together.

Runs and their order are those of :mod:`apply`, and what is computed is what it computes.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from leukoscope.augmentation import device_levels
from leukoscope.augmentation.apply import apply, runs
from leukoscope.augmentation.device_geometry import move_and_warp
from leukoscope.augmentation.device_levels import Run
from leukoscope.augmentation.draw import Draw, at_size
from leukoscope.augmentation.light import LIGHT
from leukoscope.augmentation.maps import GEOMETRY
from leukoscope.augmentation.sensor import BLURS
from leukoscope.augmentation.tensors import in_groups

Work = Callable[[Sequence[Run], Tensor], Tensor]
"""From one run a picture, and the pictures, to the pictures after it."""

_WORK: dict[str, Work] = {
    **dict.fromkeys(LIGHT, device_levels.light),
    **dict.fromkeys(BLURS, device_levels.blur),
    "gaussian_noise_levels": device_levels.gaussian_noise,
    "salt_and_pepper": device_levels.salt_pepper,
    **{f"erasing_{fill}": device_levels.erasing for fill in ("black", "white", "mean")},
    **{
        f"added_border_{fill}": device_levels.added_border for fill in ("black", "white", "reflect")
    },
}
"""What has a form in tensors. JPEG has none beside its encoder, counting photons none that takes
the same random numbers. Both make much of a single level, so that a picture with one of them is
done on the processor from its beginning; so is one with anything else that is not named here."""


def apply_to_tensor(draws: Sequence[Draw], pixels: Tensor) -> Tensor:
    """Do to each picture what was drawn for it; see :func:`batch.apply_on_device`."""

    def work(kind: str, places: list[int], chosen: Tensor) -> Tensor:
        wanted = [draws[place] for place in places]
        return _together(wanted, chosen) if kind == "tensor" else _one_by_one(wanted, chosen)

    return in_groups([_kind(drawn) for drawn in draws], pixels, work)


def _kind(drawn: Draw) -> str | None:
    if not drawn.operations:
        return None
    named = all(name in GEOMETRY or name in _WORK for name, _ in drawn.operations)
    return "tensor" if named else "array"


def _one_by_one(draws: Sequence[Draw], pixels: Tensor) -> Tensor:
    pictures = zip(draws, pixels.cpu().numpy(), strict=True)
    done = [torch.from_numpy(apply(drawn, picture)) for drawn, picture in pictures]
    return torch.stack(done).to(pixels.device)


def _together(draws: Sequence[Draw], pixels: Tensor) -> Tensor:
    pixels = move_and_warp(draws, pixels)
    chains = [list(runs(at_size(drawn, pixels.shape[1]))) for drawn in draws]
    for turn in range(max(map(len, chains))):
        pixels = _one_turn([chain[turn] if turn < len(chain) else None for chain in chains], pixels)
    return pixels


def _one_turn(now: Sequence[Run | None], pixels: Tensor) -> Tensor:
    """Do the run that is next for each picture, if one is left."""

    def work(do: Work, places: list[int], chosen: Tensor) -> Tensor:
        return do([run for place in places if (run := now[place])], chosen)

    return in_groups([_WORK[run[0][0]] if run else None for run in now], pixels, work)
