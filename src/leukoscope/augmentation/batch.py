"""Many pictures at once, each after its own draw: as arrays, or as tensors on any device.

What a picture becomes follows from its draw alone, whatever comes with it in the batch.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from leukoscope.augmentation.apply import apply
from leukoscope.augmentation.draw import Draw
from leukoscope.foundation.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

Batch = npt.NDArray[np.uint8]
"""Shape (n, side, side, 3)."""


def apply_batch(draws: Sequence[Draw], pixels: Batch) -> Batch:
    """Do to each picture of a batch what was drawn for it.

    Parameters
    ----------
    draws : sequence of Draw, length n
        One a picture.
    pixels : numpy.ndarray of uint8, shape (n, side, side, 3)
        The pictures; left as they are.

    Returns
    -------
    numpy.ndarray of uint8, shape (n, side, side, 3)
        Equal to :func:`apply.apply` one by one.

    Raises
    ------
    DataError
        If the batch is not square 8-bit RGB pictures, one a draw, or a picture is smaller
        than a blur.
    UsageError
        If a draw replaces backgrounds: there are no masks here.
    """
    check_batch(draws, pixels.shape, str(pixels.dtype))
    done = pixels.copy()
    # One after the other: a pool of threads was no faster, and training's own threads need room.
    for place, drawn in enumerate(draws):
        if drawn.operations:
            done[place] = apply(drawn, pixels[place])
    return done


def apply_on_device(draws: Sequence[Draw], pixels: "Tensor") -> "Tensor":
    """Do to each picture of a batch what was drawn for it, where the batch lies.

    Parameters
    ----------
    draws : sequence of Draw, length n
        One a picture.
    pixels : torch.Tensor of uint8, shape (n, side, side, 3)
        The pictures, on any device that knows float64; left as they are.

    Returns
    -------
    torch.Tensor of uint8, shape (n, side, side, 3)
        On the same device. What moves pixels alone, and every picture whose draw is empty, is
        equal to :func:`apply_batch` bit for bit. Elsewhere a level near a half may be rounded to
        its other side, seen in fewer than 1 of 5,000: one level, wider only where steps after a
        rounding steepen levels.

    Raises
    ------
    DataError, UsageError
        As :func:`apply_batch` does.
    """
    # Augmenting without training does not wait for torch, nor need it.
    from leukoscope.augmentation.device import apply_to_tensor

    check_batch(draws, tuple(pixels.shape), str(pixels.dtype).removeprefix("torch."))
    return apply_to_tensor(draws, pixels)


def check_batch(draws: Sequence[Draw], shape: tuple[int, ...], dtype: str) -> None:
    """Refuse what is not a batch of square pictures with a draw each. Raises DataError."""
    if dtype != "uint8" or len(shape) != 4 or shape[3] != 3:
        raise DataError(
            f"A batch of {dtype} and shape {shape} cannot be augmented; it should be uint8 RGB, "
            "n × side × side × 3, levels 0 to 255. Nothing was changed."
        )
    if shape[1] != shape[2]:
        raise DataError(
            f"The pictures of a batch are {shape[2]} × {shape[1]} px; they should be square, for a "
            "right angle exchanges width and height. Nothing was changed. Cut them square, or "
            "augment them one by one."
        )
    if len(draws) != shape[0]:
        raise DataError(
            f"{shape[0]} pictures need as many draws, not {len(draws)}. Nothing was changed."
        )
