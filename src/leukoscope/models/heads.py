"""What follows the last maps of a network: heads by name, and five networks in one."""

from typing import cast

import torch
from torch import Tensor, nn

INNER_DISC = 0.7
"""Share of the half side that is blanked for the rim's network (SR-S15)."""


class Headed(nn.Module):
    """Join a body that makes maps and a head that makes logits."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, pictures: Tensor) -> Tensor:
        """Turn pictures (n, 3, size, size) into logits (n, k)."""
        logits: Tensor = self.head(self.body(pictures))
        return logits


class QuadrantsAndRim(nn.Module):
    """Hold five networks, each for one region of the picture (SR-S15).

    The rim is what lies outside a disc about the middle of the picture, where cells stand: training
    has no masks. The paper's proposal leaves it open.

    In training it answers with the logits of each, (n, 5, k), so that each learns by itself; in
    evaluation with their mean (SR-S16).
    """

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, pictures: Tensor) -> Tensor:
        """Turn pictures (n, 3, size, size) into logits."""
        regions = quadrants_and_rim(pictures)
        pairs = zip(self.members, regions, strict=True)
        logits = torch.stack([member(region) for member, region in pairs], dim=1)
        return logits if self.training else logits.mean(dim=1)


def quadrants_and_rim(pictures: Tensor) -> list[Tensor]:
    """Take the four quarters of pictures, and the pictures without their inner disc.

    Parameters
    ----------
    pictures : torch.Tensor, shape (n, 3, size, size)
        As the network sees them: zero is their mean colour.

    Returns
    -------
    list of five torch.Tensor
        Top left, top right, bottom left, bottom right, each (n, 3, ceil(size / 2), ceil(size / 2));
        then the rim, (n, 3, size, size), zero within .7 of the half side from the centre.
    """
    size = pictures.shape[-1]
    half = (size + 1) // 2
    near, far = slice(0, half), slice(size - half, size)
    quarters = [pictures[:, :, rows, columns] for rows in (near, far) for columns in (near, far)]
    at = (torch.arange(size, device=pictures.device) + 0.5) / size * 2 - 1
    outside = at[:, None] ** 2 + at[None, :] ** 2 > INNER_DISC**2
    return [*quarters, pictures * outside.to(pictures.dtype)]


def dense_head(n_in: int, n_outputs: int) -> nn.Sequential:
    """Make the head of Saquib and Rodriguez (SR-S3): 1024, 512, dropout .3, ours after the 512."""
    return nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(n_in, 1024), nn.ReLU()),
        *(nn.Linear(1024, 512), nn.ReLU(), nn.Dropout(0.3)),
        nn.Linear(512, n_outputs),
    )


def convolution_head(n_maps: int, height: int, width: int, n_outputs: int) -> nn.Sequential:
    """Make the head of Yin and Xiong (YX-S5): convolution, BN, pooling, dropout, dense.

    The numbers are ours, the paper leaves them open: 256 maps of 3 × 3, pooling by 2, dropout .5;
    so is the rectifier after the normalisation.

    Raises
    ------
    ValueError
        If the maps are smaller than 2 × 2: pooling would leave none.
    """
    if min(height, width) < 2:
        raise ValueError(f"its last maps are {height} x {width}, and the head pools by 2")
    return nn.Sequential(
        *(nn.Conv2d(n_maps, 256, 3, padding=1), nn.BatchNorm2d(256), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Dropout(0.5), nn.Flatten()),
        nn.Linear(256 * (height // 2) * (width // 2), n_outputs),
    )


def with_head(body: nn.Module, head: str, size_px: int, n_outputs: int) -> Headed:
    """Put a head on a body, by the shape of the maps it makes of pictures of this size.

    Raises
    ------
    ValueError
        If the body makes no maps, or too small ones.
    """
    body.eval()
    with torch.no_grad():
        maps = cast("Tensor", body(torch.zeros(1, 3, size_px, size_px)))
    body.train()
    if maps.ndim != 4:
        raise ValueError("it makes no maps that this head could follow; take --head linear")
    _, n_maps, height, width = maps.shape
    if head == "dense":
        return Headed(body, dense_head(n_maps * height * width, n_outputs))
    return Headed(body, convolution_head(n_maps, height, width, n_outputs))
