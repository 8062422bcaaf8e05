"""What critic and generator make small."""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, relu, softplus

from leukoscope.synthesis.layers import is_piecewise_linear, slope_of
from leukoscope.synthesis.networks import Critic
from leukoscope.synthesis.recipe import GeneratorRecipe


def critic_loss(real: Tensor, drawn: Tensor, recipe: GeneratorRecipe) -> Tensor:
    """Compute the critic's loss from its scores of real and of drawn pictures, each (n,).

    ``wasserstein`` (Arjovsky et al. 2017), ``hinge`` (Lim and Ye 2017), ``non-saturating``
    (Goodfellow et al. 2014).
    """
    if recipe.objective == "hinge":
        return relu(1 - real).mean() + relu(1 + drawn).mean()
    if recipe.objective == "non-saturating":
        return softplus(-real).mean() + softplus(drawn).mean()
    difference = drawn.mean() - real.mean()
    return -difference if recipe.sign == "as-printed" else difference


def generator_loss(drawn: Tensor, recipe: GeneratorRecipe) -> Tensor:
    """Compute the generator's loss from the critic's scores of drawn pictures, (n,)."""
    if recipe.objective == "non-saturating":
        return softplus(-drawn).mean()
    return drawn.mean() if recipe.sign == "as-printed" else -drawn.mean()


def gradient_penalty(
    critic: Critic, real: Tensor, drawn: Tensor, categories: Tensor, shares: Tensor
) -> Tensor:
    """Compute how far the critic's slope is from 1 between real and drawn pictures.

    Parameters
    ----------
    critic : Critic
        Without batch normalisation: a picture's slope must not hang on the whole batch. (A spread
        channel joins groups of four.)
    real, drawn : torch.Tensor, shape (n, 3, side, side)
        Pictures.
    categories : torch.Tensor of int64, shape (n,)
        What was asked for.
    shares : torch.Tensor, shape (n,)
        Where between them the slope is taken, 0 to 1.

    Returns
    -------
    torch.Tensor
        The mean of (norm of the slope - 1)² (Gulrajani et al. 2017); its gradient reaches the
        critic's weights.
    """
    between = torch.lerp(drawn, real, shares[:, None, None, None])
    return ((_squares(critic, between, categories) + 1e-12).sqrt() - 1).square().mean()


def slope_at(critic: Critic, real: Tensor, categories: Tensor) -> Tensor:
    """Compute the mean squared norm of the critic's slope at real pictures (R1).

    Its gradient reaches the critic's weights (Mescheder et al. 2018).
    """
    return _squares(critic, real, categories).mean()


def _squares(critic: Critic, pictures: Tensor, categories: Tensor) -> Tensor:
    if isinstance(critic, Critic) and is_piecewise_linear(critic.body):
        slope = slope_of(critic.body, partial(critic.scores, categories=categories), pictures)
    else:
        pictures = pictures.detach().requires_grad_(True)
        scores = critic(pictures, categories).sum()
        (slope,) = torch.autograd.grad(scores, pictures, create_graph=True)
    return slope.float().square().sum(dim=(1, 2, 3))


def information_loss(guessed: Tensor, codes: Tensor, recipe: GeneratorRecipe) -> Tensor:
    """Compute how badly codes are read from pictures (Chen et al. 2016).

    Parameters
    ----------
    guessed, codes : torch.Tensor, shape (n, n_codes)
        What :meth:`Critic.read_codes` says, and what the pictures were drawn from.
    recipe : GeneratorRecipe
        Says which of them are the categorical code.

    Returns
    -------
    torch.Tensor
        Cross-entropy of the categorical code and mean squared error of the continuous ones: an
        upper bound of the information missing, up to a constant.
    """
    n = recipe.categorical_codes
    loss = cross_entropy(guessed[:, :n], codes[:, :n].argmax(dim=1))
    if recipe.continuous_codes:
        loss = loss + mse_loss(guessed[:, n:], codes[:, n:])
    return loss
