"""Generators and their critics, written from the papers that proposed their parts."""

from collections.abc import Callable
from math import log2
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import glu, one_hot
from torch.nn.utils.parametrizations import spectral_norm

from leukoscope.models.backbones import seeded
from leukoscope.synthesis.layers import DoublingConvolution
from leukoscope.synthesis.recipe import GeneratorRecipe

_START_PX, _MOST = 4, 8
_SLOPE = 0.2
_GROUP = 4
"""Pictures whose spread the critic is told together: a batch's real and drawn halves stay apart."""


class Latents(NamedTuple):
    """Hold what some pictures are drawn from."""

    noise: Tensor
    """float32, shape (n, latent)."""
    categories: Tensor
    """int64, shape (n,): codes of the categories asked for."""
    codes: Tensor
    """float32, shape (n, n_codes): one-hot categorical code, continuous codes; n_codes may be 0."""


class Networks(NamedTuple):
    """Hold the two networks of a fit."""

    generator: "Generator"
    critic: "Critic"


def build_networks(recipe: GeneratorRecipe, n_categories: int, *, seed: int) -> Networks:
    """Build a generator and its critic with their weights at random.

    Parameters
    ----------
    recipe : GeneratorRecipe
        Kinds, widths, sizes.
    n_categories : int
        How many categories the generator is asked for; with 1 it is not told.
    seed : int
        The weights follow from it; torch's own random state is left as it was.

    Returns
    -------
    Networks
        On the CPU, float32, in training mode.
    """
    with seeded(seed, "generator", "initialisation"):
        built = Networks(Generator(recipe, n_categories), Critic(recipe, n_categories))
        for network in built:
            network.apply(_start_narrow if recipe.critic == "normalised" else _start_wide)
    return built


def code_length(recipe: GeneratorRecipe) -> int:
    """Count the numbers of a picture's codes; 0 without ``information``."""
    return recipe.categorical_codes + recipe.continuous_codes if recipe.information else 0


def widths(width: int, size_px: int) -> list[int]:
    """List the channels at half the size, a quarter and so on, down to 4 px."""
    n_halvings = int(log2(size_px // _START_PX))
    return [width * min(_MOST, 2**step) for step in range(n_halvings)]


class Generator(nn.Module):
    """Draw pictures: float32 (n, 3, size, size) in -1 to 1, from :class:`Latents`."""

    def __init__(self, recipe: GeneratorRecipe, n_categories: int) -> None:
        super().__init__()
        channels = widths(recipe.generator_width, recipe.size_px)[::-1]
        told = recipe.latent if n_categories > 1 else 0
        self.embedding = nn.Embedding(n_categories, told) if told else None
        length = recipe.latent + told + code_length(recipe)
        self.first = nn.Linear(length, channels[0] * _START_PX**2, bias=False)
        self.norm = _Norm(channels[0], n_categories)
        block = {"gated": _Gated, "plain": _Plain, "transposed": _Transposed}[recipe.generator]
        after = [*channels[1:], *([channels[-1] // 2] if recipe.generator == "gated" else [])]
        before = channels[: len(after)]
        self.blocks = nn.ModuleList(
            block(wide, narrow, n_categories) for wide, narrow in zip(before, after, strict=True)
        )
        self.last = _last_layer(recipe.generator, after[-1] if after else channels[-1])

    def forward(self, latents: Latents) -> Tensor:
        """Draw one picture a row of the latents."""
        parts = [latents.noise, latents.codes]
        if self.embedding is not None:
            parts.append(self.embedding(latents.categories))
        maps = self.first(torch.cat(parts, dim=1)).unflatten(1, (-1, _START_PX, _START_PX))
        maps = maps.contiguous(memory_format=torch.channels_last)
        maps = nn.functional.leaky_relu(self.norm(maps, latents.categories), _SLOPE)
        for block in self.blocks:
            maps = block(maps, latents.categories)
        return torch.tanh(self.last(maps))


class Critic(nn.Module):
    """Score pictures (n, 3, size, size): float32 (n,), the higher the more like a real cell."""

    def __init__(self, recipe: GeneratorRecipe, n_categories: int) -> None:
        super().__init__()
        self.body = _critic_body(recipe)
        length = _body_length(self.body, recipe.size_px)
        bound = _bound(recipe)
        self.score = bound(nn.Linear(length, 1))
        # What a critic knows of a category is one more direction (Miyato and Koyama 2018).
        self.asked = bound(nn.Embedding(n_categories, length)) if n_categories > 1 else None
        n_codes = code_length(recipe)
        self.reader = (
            nn.Sequential(nn.Linear(length, 128), nn.LeakyReLU(_SLOPE), nn.Linear(128, n_codes))
            if n_codes
            else None
        )

    def forward(self, pictures: Tensor, categories: Tensor) -> Tensor:
        """Score each picture as one of the category that was asked for."""
        return self.scores(self.features(pictures), categories)

    def features(self, pictures: Tensor) -> Tensor:
        """Describe each picture: shape (n, length)."""
        described: Tensor = self.body(pictures)
        return described

    def scores(self, features: Tensor, categories: Tensor) -> Tensor:
        """Score what :meth:`features` gave."""
        score: Tensor = self.score(features).squeeze(1)
        if self.asked is None:
            return score
        asked: Tensor = (self.asked(categories) * features).sum(dim=1)
        return score + asked

    def read_codes(self, features: Tensor) -> Tensor:
        """Guess the codes that pictures were drawn from: (n, n_codes), logits, then means."""
        assert self.reader is not None
        guessed: Tensor = self.reader(features)
        return guessed


class _Norm(nn.Module):
    """Batch normalisation; of several categories each with a gain and a shift of its own."""

    def __init__(self, channels: int, n_categories: int) -> None:
        super().__init__()
        self.shared = nn.BatchNorm2d(channels, affine=n_categories == 1)
        self.own = nn.Embedding(n_categories, 2 * channels) if n_categories > 1 else None
        if self.own is not None:
            nn.init.zeros_(self.own.weight)

    def forward(self, maps: Tensor, categories: Tensor) -> Tensor:
        normed: Tensor = self.shared(maps)
        if self.own is None:
            return normed
        gain, shift = self.own(categories)[:, :, None, None].chunk(2, dim=1)
        scaled: Tensor = normed * (1 + gain) + shift
        return scaled


class _Gated(nn.Module):
    def __init__(self, wide: int, narrow: int, n_categories: int) -> None:
        super().__init__()
        self.layer = DoublingConvolution(wide, 2 * narrow, bias=False)
        self.norm = _Norm(2 * narrow, n_categories)

    def forward(self, maps: Tensor, categories: Tensor) -> Tensor:
        return glu(self.norm(self.layer(maps), categories), dim=1)


class _Plain(nn.Module):
    def __init__(self, wide: int, narrow: int, n_categories: int) -> None:
        super().__init__()
        self.layer = DoublingConvolution(wide, narrow, bias=False)
        self.norm = _Norm(narrow, n_categories)

    def forward(self, maps: Tensor, categories: Tensor) -> Tensor:
        return nn.functional.leaky_relu(self.norm(self.layer(maps), categories), _SLOPE)


class _Transposed(nn.Module):
    def __init__(self, wide: int, narrow: int, n_categories: int) -> None:
        super().__init__()
        self.layer = nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False)
        self.norm = _Norm(narrow, n_categories)

    def forward(self, maps: Tensor, categories: Tensor) -> Tensor:
        return nn.functional.relu(self.norm(self.layer(maps), categories))


class _Spread(nn.Module):
    """Add one map: how much the pictures of a group of four differ (Karras et al. 2018)."""

    def forward(self, maps: Tensor) -> Tensor:
        groups = maps.reshape(-1, _GROUP, *maps.shape[1:])
        apart = groups - groups.mean(dim=1, keepdim=True)
        spread = (apart.square().mean(dim=1) + 1e-8).sqrt().mean(dim=(1, 2, 3))
        added = spread.repeat_interleave(_GROUP)[:, None, None, None]
        return torch.cat([maps, added.expand(-1, 1, *maps.shape[2:])], dim=1)


def _last_layer(kind: str, channels: int) -> nn.Module:
    if kind == "transposed":
        return nn.ConvTranspose2d(channels, 3, 4, stride=2, padding=1)
    if kind == "gated":
        return nn.Conv2d(channels, 3, 3, padding=1)
    return DoublingConvolution(channels, 3, bias=True)


def _critic_body(recipe: GeneratorRecipe) -> nn.Sequential:
    channels, bound = widths(recipe.critic_width, recipe.size_px), _bound(recipe)
    layers: list[nn.Module] = []
    for place, (before, after) in enumerate(zip([3, *channels], channels, strict=False)):
        if recipe.critic == "plain":
            layers += [nn.Conv2d(before, after, 5, stride=2, padding=2), nn.LeakyReLU(_SLOPE)]
            if recipe.critic_dropout:
                layers.append(nn.Dropout(recipe.critic_dropout))
        elif recipe.critic == "normalised":
            layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=place == 0))
            layers += [nn.BatchNorm2d(after)] if place else []
            layers.append(nn.LeakyReLU(_SLOPE))
        else:
            layers.append(bound(nn.Conv2d(before, after, 4, stride=2, padding=1)))
            layers.append(nn.LeakyReLU(_SLOPE))
    if recipe.critic in ("spectral", "free"):
        last = bound(nn.Conv2d(channels[-1] + 1, channels[-1], 3, padding=1))
        layers += [_Spread(), last, nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*layers, nn.Flatten())


def _body_length(body: nn.Sequential, size_px: int) -> int:
    was_training = body.training
    with torch.no_grad():
        found = body.eval()(torch.zeros(_GROUP, 3, size_px, size_px)).shape[1]
    body.train(was_training)
    return int(found)


def _bound(recipe: GeneratorRecipe) -> Callable[[nn.Module], nn.Module]:
    return spectral_norm if recipe.critic == "spectral" else _unbound


def _unbound(module: nn.Module) -> nn.Module:
    return module


def _start_wide(module: nn.Module) -> None:
    """Start as Keras does, in which the paper's networks are described: Glorot and Bengio 2010."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _start_narrow(module: nn.Module) -> None:
    """Start as Radford et al. 2016: normal of deviation .02."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def one_hot_codes(values: Tensor, recipe: GeneratorRecipe) -> Tensor:
    """Write categorical codes, int64 (n,), as rows of zeros with one 1."""
    return one_hot(values, recipe.categorical_codes).float()
