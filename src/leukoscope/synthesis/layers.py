"""Layers and gradients of generators and critics that leave out work whose result is known."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, pad

_BENT = (nn.Conv2d, nn.LeakyReLU, nn.Dropout, nn.Flatten)
"""Layers that are linear on each side of their bends: their slope changes nowhere else."""


class DoublingConvolution(nn.Conv2d):
    """Double maps by repeating each pixel, and convolve them with 3 × 3 weights.

    Each output pixel sees four different inputs at most, some of them several times: weights that
    meet the same input are added up first. That is a transposed convolution of stride 2 with 4 × 4
    weights, of 4/9 of the multiplications (Shi et al. 2016 show the like for sub-pixel layers).
    """

    def __init__(self, wide: int, narrow: int, *, bias: bool) -> None:
        super().__init__(wide, narrow, 3, padding=1, bias=bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Turn (n, wide, side, side) into (n, narrow, 2 · side, 2 · side)."""
        turned = self.weight.flip(2, 3).transpose(0, 1)
        summed = sum(
            (pad(turned, (left, 1 - left, top, 1 - top)) for left in (0, 1) for top in (0, 1)),
            start=turned.new_zeros(()),
        )
        return conv_transpose2d(maps, summed, self.bias, stride=2, padding=1)


def is_piecewise_linear(body: nn.Module) -> bool:
    """Tell whether a chain of layers is linear but for bends, so that its slope's slope is 0."""
    return isinstance(body, nn.Sequential) and all(isinstance(layer, _BENT) for layer in body)


def slope_of(body: nn.Sequential, score: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    """Compute the slope of scores with regard to pictures; its own gradient reaches weights alone.

    The chain is taken back layer by layer, each from an input of its own. Of a piecewise linear
    body the slope does not hang on what a layer was given, only on weights: taken through one
    graph, torch computes that as zeros and takes these back through every convolution again. Here
    the zeros end at the layer.

    Parameters
    ----------
    body : torch.nn.Sequential
        Of which :func:`is_piecewise_linear` holds.
    score : callable
        Takes what the body gives to scores, (n,); linear too.
    pictures : torch.Tensor, shape (n, 3, side, side)

    Returns
    -------
    torch.Tensor
        As pictures.
    """
    given, made = [], []
    maps = pictures
    for layer in body:
        given.append(maps.detach().requires_grad_())
        maps = layer(given[-1])
        made.append(maps)
    last = maps.detach().requires_grad_()
    (slope,) = torch.autograd.grad(score(last).sum(), last, create_graph=True)
    for before, after in zip(given[::-1], made[::-1], strict=True):
        (slope,) = torch.autograd.grad(after, before, slope, create_graph=True)
    return slope
