"""What augmenting tensors is made of: groups of pictures, mirrored edges, filters, rounding."""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fft

Kernel = npt.NDArray[np.float32]
Kind = TypeVar("Kind", bound=Hashable)


def in_groups(
    kinds: Sequence[Kind | None], pixels: Tensor, work: Callable[[Kind, list[int], Tensor], Tensor]
) -> Tensor:
    """Do pictures of one kind together, kind by kind.

    Parameters
    ----------
    kinds : sequence of length n
        What each picture needs; None where it stays as it is.
    pixels : torch.Tensor of uint8, shape (n, height, width, 3)
        The pictures; left as they are.
    work : callable
        Takes a kind, the places of its pictures in the batch, and the pictures.

    Returns
    -------
    torch.Tensor of uint8, shape (n, height, width, 3)
        In the same order.
    """
    first = kinds[0] if kinds else None
    if first is not None and all(kind == first for kind in kinds):
        return work(first, list(range(len(kinds))), pixels)
    done = pixels.clone()
    for kind in dict.fromkeys(kinds):
        if kind is None:
            continue
        places = [place for place, each in enumerate(kinds) if each == kind]
        chosen = torch.tensor(places, device=pixels.device)
        done[chosen] = work(kind, places, pixels[chosen])
    return done


def numbers(values: Sequence[object], like: Tensor, *, trailing: int) -> Tensor:
    """Bring one number or array a picture to a tensor's device, float64.

    Shape (n, …), and *trailing* axes of length 1 behind, so that it spreads over pixels.
    """
    found = torch.from_numpy(np.array(values, np.float64)).to(like.device)
    return found.reshape(*found.shape, *(1,) * trailing)


def rounded(levels: Tensor) -> Tensor:
    """Cut levels to 0 to 255 and round them, halves to even, as OpenCV does."""
    return levels.round().clamp(0, 255).to(torch.uint8)


def mirrored(places: Tensor, size: int) -> Tensor:
    """Bring places outside an axis back into it, mirrored at the middle of its outermost pixel."""
    if size == 1:
        return torch.zeros_like(places)
    within = places.abs() % (2 * (size - 1))
    return torch.minimum(within, 2 * (size - 1) - within)


def filtered_where(kernels: Sequence[Kernel | None], pixels: Tensor) -> Tensor:
    """Correlate those pictures that have a kernel with it; see :func:`filtered`."""

    def work(_has: bool, places: list[int], chosen: Tensor) -> Tensor:
        return filtered(
            [kernel for place in places if (kernel := kernels[place]) is not None], chosen
        )

    return in_groups([kernel is not None or None for kernel in kernels], pixels, work)


def filtered(kernels: Sequence[Kernel], pixels: Tensor) -> Tensor:
    """Correlate each picture with its own kernel; its edge is mirrored.

    By fast Fourier transforms: kernels of one batch differ in size, and may reach far.

    Parameters
    ----------
    kernels : sequence of numpy.ndarray of float32, shape (k, k) or (k, 1)
        Each k odd; a kernel of shape (k, 1) works along both axes.
    pixels : torch.Tensor of uint8, shape (n, height, width, 3)
        The pictures.

    Returns
    -------
    torch.Tensor of uint8, shape (n, height, width, 3)
        Rounded once.
    """
    _, height, width, _ = pixels.shape
    reach = max(len(kernel) for kernel in kernels) // 2
    weights = numbers([_framed(kernel, reach) for kernel in kernels], pixels, trailing=0)
    rows = mirrored(torch.arange(-reach, height + reach, device=pixels.device), height)
    columns = mirrored(torch.arange(-reach, width + reach, device=pixels.device), width)
    levels = pixels[:, rows][:, :, columns].permute(0, 3, 1, 2).double()
    size = levels.shape[2], levels.shape[3]
    product = fft.rfft2(levels) * fft.rfft2(weights, s=size).conj()[:, None]
    found = fft.irfft2(product, s=size)[..., :height, :width]
    # float32 takes back what the transforms lost, so that a half is one in whatever company.
    return rounded(found.permute(0, 2, 3, 1).float())


def _framed(kernel: Kernel, reach: int) -> npt.NDArray[np.float64]:
    """Put a kernel, spread over both axes, into the middle of one that reaches farther."""
    whole = kernel.astype(np.float64)
    whole = whole @ whole.T if whole.shape[1] == 1 else whole
    return np.pad(whole, reach - len(kernel) // 2)
