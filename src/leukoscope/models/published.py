"""The papers' own networks, which timm does not have; each ends in logits.

Layers stand one after another, so that "the first 19 layers" of a paper are the first 19 here.
Where a paper leaves a layer open, the choice is ours and the docstring says so.
"""

import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from leukoscope.foundation.errors import RecipeError, UsageError
from leukoscope.records.runs import Setting


class Grey(nn.Module):
    """Weigh the three colours into one channel (ITU-R BT.601 luma)."""

    def __init__(self) -> None:
        super().__init__()
        weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Turn (n, 3, h, w) into (n, 1, h, w)."""
        return (pictures * cast("Tensor", self.weights)).sum(dim=1, keepdim=True)


class Shortcut(nn.Module):
    """Add a block's input, projected by a 1 × 1 convolution, to what the block makes of it."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.projection = nn.Conv2d(n_in, n_out, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Turn (n, n_in, h, w) into (n, n_out, h, w)."""
        joined = self.convolution(maps) + self.projection(maps)
        return nn.functional.selu(joined)


def lenet(n_outputs: int, size_px: int, *, grey: bool = False) -> nn.Sequential:
    """Build LeNet-5 (N20-S5); rectifiers and maximum pooling are our reading.

    Parameters
    ----------
    n_outputs : int
        One a category.
    size_px : int
        Side of the pictures, at least 16; 64 in our reading of the paper, which leaves it open.
    grey : bool
        Whether colours are weighed into one channel first; the paper leaves it open.
    """
    side = ((size_px - 4) // 2 - 4) // 2
    return nn.Sequential(
        *([Grey()] if grey else []),
        nn.Conv2d(1 if grey else 3, 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * side**2, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, n_outputs),
    )


def saquib_rodriguez(n_outputs: int, size_px: int) -> nn.Sequential:
    """Build the 25 layers of Saquib and Rodriguez (SR-S5), at least 72 px.

    At 256 px with one output it has 16,421,185 parameters, as their notebook prints. The first
    19 layers are those they freeze (SR-S6); their sigmoid is part of the loss here. Weights
    start as in the notebook, uniform after LeCun 1998, biases at 0. Where the dropout of .6
    stands is our reading: before the dense layers.
    """
    return _saquib_rodriguez(
        nn.Sequential(
            *(nn.Conv2d(3, 32, 3), nn.SELU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3), nn.SELU(), nn.MaxPool2d(3)),
            *(nn.Conv2d(64, 128, 3), nn.SELU(), nn.MaxPool2d(3)),
            *(nn.Conv2d(128, 256, 3), nn.SELU()),
        ),
        ((((size_px - 2) // 2 - 2) // 3 - 2) // 3) - 2,
        n_outputs,
    )


def saquib_rodriguez_skip(n_outputs: int, size_px: int) -> nn.Sequential:
    """Build the same network with skip layers (SR-S14), at least 18 px.

    The paper proposes skip layers and leaves their form open; ours adds to each convolution,
    now padded, its input through a 1 × 1 projection. Padded maps shrink less, so that it has more
    parameters than the plain network at the same size: the two differ in more than the skips.
    """
    return _saquib_rodriguez(
        nn.Sequential(
            *(Shortcut(3, 32), nn.MaxPool2d(2)),
            *(Shortcut(32, 64), nn.MaxPool2d(3)),
            *(Shortcut(64, 128), nn.MaxPool2d(3)),
            Shortcut(128, 256),
        ),
        size_px // 2 // 3 // 3,
        n_outputs,
    )


def _saquib_rodriguez(maps: nn.Sequential, side: int, n_outputs: int) -> nn.Sequential:
    network = nn.Sequential(
        *maps,
        *(nn.Dropout(0.6), nn.Flatten()),
        *(nn.Linear(256 * side**2, 512), nn.SELU(), nn.Dropout(0.8)),
        *(nn.Linear(512, 256), nn.SELU(), nn.Dropout(0.8)),
        *(nn.Linear(256, 128), nn.SELU(), nn.Dropout(0.7)),
        *(nn.Linear(128, 64), nn.SELU()),
        nn.Linear(64, n_outputs),
    )
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            _start_as_lecun(layer)
    return network


def _start_as_lecun(layer: nn.Conv2d | nn.Linear) -> None:
    """Draw weights of variance 1 / inputs, which self-normalising units (SELU) need."""
    bound = math.sqrt(3 / layer.weight[0].numel())
    nn.init.uniform_(layer.weight, -bound, bound)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def mooney(n_outputs: int, size_px: int) -> nn.Sequential:
    """Build the first comparator of Yin and Xiong (YX-S8): two convolutions and a dense layer.

    Its layers are our reading: the paper names a public kernel and prints none.
    """
    side = (size_px - 4) // 2
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3), nn.ReLU()),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        nn.Flatten(),
        *(nn.Linear(64 * side**2, 128), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(128, n_outputs),
    )


def nh4cl(n_outputs: int, size_px: int) -> nn.Sequential:
    """Build the second comparator (YX-S8): four convolutions, each normalised, and a dense layer.

    Its layers are our reading: the paper names a public kernel and prints none.
    """
    layers: list[nn.Module] = []
    for n_in, n_out in ((3, 32), (32, 64), (64, 128), (128, 128)):
        layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.BatchNorm2d(n_out), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    side = size_px // 16
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        *(nn.Linear(128 * side**2, 256), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(256, n_outputs),
    )


PUBLISHED: dict[str, tuple[Callable[..., nn.Sequential], int, frozenset[str]]] = {
    "lenet": (lenet, 16, frozenset({"grey"})),
    "mooney": (mooney, 6, frozenset()),
    "nh4cl": (nh4cl, 16, frozenset()),
    "saquib_rodriguez": (saquib_rodriguez, 72, frozenset()),
    "saquib_rodriguez_skip": (saquib_rodriguez_skip, 18, frozenset()),
}
"""Name → its builder, the smallest size it takes (px), the arguments it knows."""


def build_published(
    model: str, arguments: Mapping[str, Setting], n_outputs: int, size_px: int
) -> nn.Sequential:
    """Build one of :data:`PUBLISHED`, weights drawn from torch's own stream.

    Raises
    ------
    UsageError
        If it cannot take pictures of that size.
    RecipeError
        If an argument is not one it knows, or not a yes or no.
    """
    builder, smallest, known = PUBLISHED[model]
    odd = [name for name, value in arguments.items() if name not in known or value not in (0, 1)]
    if odd:
        raise RecipeError(
            f"{model} is not built with {odd[0]}={arguments[odd[0]]!r}; "
            + (f"it knows {', '.join(sorted(known))}: true or false" if known else "it knows none")
            + ". Nothing was started."
        )
    if size_px < smallest:
        raise UsageError(
            f"{model} cannot take pictures of {size_px} px: it shrinks them away. The smallest "
            f"are {smallest} px. Nothing was started. Give another --size-px or another --model."
        )
    return builder(n_outputs, size_px, **{name: bool(arguments[name]) for name in arguments})
