"""The geometry of many draws at once, on the device that the pictures lie on.

Places are computed in the same order of float32 operations as :mod:`positions` and OpenCV do it,
so that a place between two pixels is the same on every device; only what it does by polynomials
(:func:`positions.cubic_positions`), and never for the nearest pixel, is rounded elsewhere.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from leukoscope.augmentation.draw import Draw
from leukoscope.augmentation.maps import (
    IDENTITY,
    LEAST_FACTOR,
    Affine,
    Lens,
    Map,
    compose,
    from_corner,
    is_exact,
    linear_part,
    map_of,
)
from leukoscope.augmentation.positions import LEAST_MIXED, displacement, factor_terms
from leukoscope.augmentation.resampling import fill_of, smoothing_kernel
from leukoscope.augmentation.tensors import filtered_where, in_groups, mirrored, numbers, rounded

Places = tuple[Tensor, Tensor]
"""x and y in the pictures, float32 of shape (n, height, width)."""
Take = Callable[[Tensor, Tensor], Tensor]
"""Rows and columns, int64 of shape (n, height, width), to float32 levels, a channel more."""

_NO_LENS = Lens(0.0, 1.0)
_FARTHEST_PX = 2.0**30
"""Places beyond, from maps that all but vanish, are brought here."""


def move_and_warp(draws: Sequence[Draw], pixels: Tensor) -> Tensor:
    """Do the geometry of a draw to each picture; see :func:`resampling.move_and_warp`.

    Parameters
    ----------
    draws : sequence of Draw, length n
        Operations of light, focus and occlusion are passed over.
    pixels : torch.Tensor of uint8, shape (n, side, side, 3)
        The pictures; left as they are.
    """
    side = pixels.shape[1]
    routes = [map_of(drawn, side, side) for drawn in draws]
    kinds = [_kind(*both) for both in zip(draws, routes, strict=True)]

    def work(kind: tuple[str, str, str], places: list[int], chosen: Tensor) -> Tensor:
        way, border, interpolation = kind
        wanted = [routes[place] for place in places]
        fill = _fills([draws[place] for place in places], chosen)
        if way != "moved":
            chosen = _smoothed(wanted, chosen)
        x, y = _WAYS[way](wanted, side, chosen)
        return _sampled(partial(_taken, chosen, border, fill), x, y, interpolation)

    return in_groups(kinds, pixels, work)


def _kind(drawn: Draw, route: Map) -> tuple[str, str, str] | None:
    """Tell how a picture is resampled: how its places are found, its border, its interpolation."""
    affine = route.affine()
    if not route.fields and not route.stages:
        return None
    if affine is not None and is_exact(affine):
        return "moved", drawn.border, "nearest"
    way = "straight" if affine is not None else "elastic" if route.fields else "bent"
    return way, drawn.border, drawn.interpolation


def _fills(draws: Sequence[Draw], pixels: Tensor) -> Tensor:
    """Give the colours of places left free, shape (n, 1, 1, 3)."""
    if draws[0].border != "background":
        return numbers([drawn.border_rgb for drawn in draws], pixels, trailing=0)[:, None, None]
    # The empty field's colour is found by sorting: on the processor, for its pictures are few.
    pairs = zip(draws, pixels.cpu().numpy(), strict=True)
    return numbers([fill_of(*pair) for pair in pairs], pixels, trailing=0)[:, None, None]


def _smoothed(routes: Sequence[Map], pixels: Tensor) -> Tensor:
    return filtered_where([smoothing_kernel(linear_part(route)) for route in routes], pixels)


# Places


def _straight(routes: Sequence[Map], side: int, like: Tensor) -> Places:
    """Follow affine maps as OpenCV does: rows first, columns added in one rounding."""
    transforms = [from_corner(route.affine() or IDENTITY, side, side) for route in routes]
    a, b, s, c, d, t = _parameters(transforms, like)
    u = torch.arange(side, dtype=torch.float32, device=like.device)
    v = u[:, None]
    return _multiplied_and_added(a, u, b * v + s), _multiplied_and_added(c, u, d * v + t)


def _moved(routes: Sequence[Map], side: int, like: Tensor) -> Places:
    """Follow maps that only move pixels; float32 holds all numbers on the way."""
    affines = [route.affine() or IDENTITY for route in routes]
    return _from_centre(*_linear(_parameters(affines, like), *_offsets(side, like)), side)


def _bent(routes: Sequence[Map], side: int, like: Tensor) -> Places:
    """Follow a chain with lenses from the regular grid, the first one by products of its axes."""
    u, v = _offsets(side, like)
    chains = [_alternating(route) for route in routes]
    pairs = [chain[1] for chain in chains]
    before = [chain[0][1] for chain in chains]
    factor = _lens_factor(before, [lens for lens, _ in pairs], u, v)
    joined = [
        compose((a, b, 0.0, c, d, 0.0), first)
        for (_, (a, b, _, c, d, _)), first in zip(pairs, before, strict=True)
    ]
    x, y = _linear(_parameters(joined, like), u, v)
    _, _, s, _, _, t = _parameters([after for _, after in pairs], like)
    x, y = x * factor + s, y * factor + t
    return _from_centre(*_through([chain[2:] for chain in chains], x, y), side)


def _elastic(routes: Sequence[Map], side: int, like: Tensor) -> Places:
    """Follow a chain from fields made on the processor, by the generators their seeds name."""
    u, v = _offsets(side, like)
    fields = [
        np.sum([displacement(field, side, side) for field in route.fields], 0) for route in routes
    ]
    x, y = torch.from_numpy(np.stack(fields)).to(like.device).unbind(1)
    chains = [_alternating(route) for route in routes]
    return _from_centre(*_through(chains, x + u, y + v[:, None]), side)


_WAYS = {"straight": _straight, "moved": _moved, "bent": _bent, "elastic": _elastic}


def _alternating(route: Map) -> list[tuple[Lens, Affine]]:
    """Write stages as pairs of a lens and what follows it; the first pair's lens does nothing."""
    pairs = [(_NO_LENS, IDENTITY)]
    for stage in route.stages:
        if isinstance(stage, Lens):
            pairs.append((stage, IDENTITY))
        else:
            pairs[-1] = (pairs[-1][0], stage)
    return pairs


def _lens_factor(before: Sequence[Affine], lenses: Sequence[Lens], u: Tensor, v: Tensor) -> Tensor:
    terms = [factor_terms(*each) for each in zip(before, lenses, strict=True)]
    # A mixed part that is rounding alone is left out, as on the processor.
    terms = [
        (one, u1, uu, v1, uv if abs(uv) > LEAST_MIXED else 0.0, vv)
        for one, u1, uu, v1, uv, vv in terms
    ]
    one, u1, uu, v1, uv, vv = _parameters(terms, u)
    v = v[:, None]
    along, down = uu * u * u + u1 * u, vv * v * v + v1 * v
    return _not_folded(down + one + along + uv * v * u, lenses)


def _not_folded(factor: Tensor, lenses: Sequence[Lens]) -> Tensor:
    least = [LEAST_FACTOR if lens.strength < 0 else -math.inf for lens in lenses]
    return torch.maximum(factor, numbers(least, factor, trailing=2).float())


def _through(chains: Sequence[Sequence[tuple[Lens, Affine]]], x: Tensor, y: Tensor) -> Places:
    """Follow chains of different lengths; what is missing does nothing, exactly."""
    for turn in range(max(map(len, chains))):
        now = [chain[turn] if turn < len(chain) else (_NO_LENS, IDENTITY) for chain in chains]
        bend = numbers([lens.strength / lens.radius_px**2 for lens, _ in now], x, trailing=2)
        factor = _not_folded(1 + bend.float() * (x * x + y * y), [lens for lens, _ in now])
        x, y = x * factor, y * factor
        a, b, s, c, d, t = _parameters([affine for _, affine in now], x)
        x, y = a * x + b * y + s, c * x + d * y + t
    return x, y


def _linear(parameters: Sequence[Tensor], u: Tensor, v: Tensor) -> Places:
    a, b, s, c, d, t = parameters
    return (b * v[:, None] + s) + a * u, (d * v[:, None] + t) + c * u


def _parameters(rows: Sequence[Sequence[float]], like: Tensor) -> tuple[Tensor, ...]:
    """Turn six numbers a picture into six tensors of shape (n, 1, 1), rounded to float32 once."""
    return numbers(rows, like, trailing=2).float().unbind(1)


def _offsets(side: int, like: Tensor) -> Places:
    u = torch.arange(side, dtype=torch.float32, device=like.device) - (side - 1) / 2
    return u, u


def _from_centre(x: Tensor, y: Tensor, side: int) -> Places:
    return x + (side - 1) / 2, y + (side - 1) / 2


# Levels


def _taken(pixels: Tensor, border: str, fill: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Take levels at rows and columns, by the border's rule where they lie outside."""
    side = pixels.shape[1]
    which = torch.arange(len(pixels), device=pixels.device)[:, None, None]
    if border == "reflect":
        return pixels[which, mirrored(rows, side), mirrored(columns, side)].float()
    inside = rows.clamp(0, side - 1), columns.clamp(0, side - 1)
    levels = pixels[which, *inside].float()
    if border == "edge":
        return levels
    is_free = (inside[0] != rows) | (inside[1] != columns)
    return torch.where(is_free[..., None], fill.float(), levels)


def _sampled(take: Take, x: Tensor, y: Tensor, interpolation: str) -> Tensor:
    x, y = (places.nan_to_num().clamp(-_FARTHEST_PX, _FARTHEST_PX) for places in (x, y))
    if interpolation == "nearest":
        return take(y.round().long(), x.round().long()).to(torch.uint8)
    left, top = x.floor(), y.floor()
    across, down = (x - left)[..., None], (y - top)[..., None]
    column, row = left.long(), top.long()
    mixed = _bilinear if interpolation == "bilinear" else _bicubic
    return rounded(mixed(take, row, column, across, down))


def _bilinear(take: Take, row: Tensor, column: Tensor, across: Tensor, down: Tensor) -> Tensor:
    def between(row: Tensor) -> Tensor:
        left = take(row, column)
        return _multiplied_and_added(across, take(row, column + 1) - left, left)

    upper = between(row)
    return _multiplied_and_added(down, between(row + 1) - upper, upper)


def _bicubic(take: Take, row: Tensor, column: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Weigh 4 × 4 pixels (Keys 1981, a = -0.75 as in OpenCV)."""
    weights = _cubic_weights(across)
    level = torch.zeros_like(across)
    for i, weight in enumerate(_cubic_weights(down)):
        line = torch.zeros_like(across)
        for j, share in enumerate(weights):
            line = _multiplied_and_added(share, take(row + i - 1, column + j - 1), line)
        level = _multiplied_and_added(weight, line, level)
    return level


def _cubic_weights(share: Tensor) -> tuple[Tensor, ...]:
    a = -0.75
    far, near, rest = share + 1, share, 1 - share
    first = ((a * far - 5 * a) * far + 8 * a) * far - 4 * a
    second = ((a + 2) * near - (a + 3)) * near * near + 1
    third = ((a + 2) * rest - (a + 3)) * rest * rest + 1
    return first, second, third, 1 - first - second - third


def _multiplied_and_added(one: Tensor, other: Tensor, added: Tensor) -> Tensor:
    """Compute one × other + added with a single rounding, as a processor's own operation does.

    float64 holds the product of two float32 exactly.
    """
    return torch.addcmul(added.double(), one.double(), other.double()).float()
