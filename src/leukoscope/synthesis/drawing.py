"""Drawings of a generator: latents by name, pixels that follow from them alone."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from leukoscope.foundation.streams import stream
from leukoscope.synthesis.networks import Latents, one_hot_codes
from leukoscope.synthesis.recipe import GeneratorRecipe

Pixels = npt.NDArray[np.uint8]
_AT_ONCE = 64


def draw_latents(
    recipe: GeneratorRecipe, categories: Tensor, device: torch.device, *names: str | int
) -> Latents:
    """Draw latents from the stream of these names, one a category asked for.

    Parameters
    ----------
    recipe : GeneratorRecipe
        Its seed, the lengths of noise and codes.
    categories : torch.Tensor of int64, shape (n,)
        What is asked for.
    device : torch.device
        Where they go.
    *names : str or int
        What the stream is for.

    Returns
    -------
    Latents
    """
    n, generator = len(categories), stream(recipe.seed, "latents", *names)
    noise = torch.from_numpy(generator.standard_normal((n, recipe.latent), dtype=np.float32))
    codes = torch.zeros((n, 0))
    if recipe.information:
        chosen = torch.from_numpy(generator.integers(0, recipe.categorical_codes, n))
        even = generator.uniform(-1, 1, (n, recipe.continuous_codes)).astype(np.float32)
        codes = torch.cat([one_hot_codes(chosen, recipe), torch.from_numpy(even)], dim=1)
    return Latents(noise.to(device), categories, codes.to(device))


def latents_of(
    recipe: GeneratorRecipe,
    seed: int,
    numbers: Sequence[int],
    categories: Sequence[int],
    member: str,
) -> Latents:
    """Draw the latents of sampled cells, each from a stream of its own number.

    Parameters
    ----------
    recipe : GeneratorRecipe
        Lengths of noise and codes.
    seed : int
        Of the sample.
    numbers : sequence of int
        Number of each cell within its category.
    categories : sequence of int
        The member's codes.
    member : str
        The generator that draws.

    Returns
    -------
    Latents
        Those of a cell are the same whatever is drawn beside it.
    """
    own = recipe.model_copy(update={"seed": seed})
    one = [
        draw_latents(own, torch.tensor([code]), torch.device("cpu"), "sample", member, code, number)
        for number, code in zip(numbers, categories, strict=True)
    ]
    return Latents(*(torch.cat(parts) for parts in zip(*one, strict=True)))


def draw_pixels(generator: nn.Module, latents: Latents, device: torch.device) -> Pixels:
    """Draw pictures, uint8 (n, size, size, 3), in batches of one size.

    The last batch is filled up: libraries sum in another order for another number of pictures, and
    a cell is to come out the same, byte for byte, whatever is drawn beside it. The generator works
    in evaluation mode; its mode is put back.
    """
    was_training = generator.training
    generator.eval()
    n, parts = len(latents.noise), []
    with torch.inference_mode():
        for start in range(0, n, _AT_ONCE):
            part = Latents(
                *(_filled(each[start : start + _AT_ONCE]).to(device) for each in latents)
            )
            parts.append(_pixels(generator(part))[: n - start])
    generator.train(was_training)
    return np.concatenate(parts)


def _filled(rows: Tensor) -> Tensor:
    missing = _AT_ONCE - len(rows)
    return torch.cat([rows, rows[:1].expand(missing, *rows.shape[1:])]) if missing else rows


def _pixels(drawn: Tensor) -> Pixels:
    levels = drawn.float().add(1).mul(127.5).round_().clamp_(0, 255).to(torch.uint8)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())
