import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import slopes_reference
from tests.synthesis.tiny import parameters_of, recipe_of
from torch import nn

from leukoscope.foundation.streams import stream
from leukoscope.models.backbones import seeded
from leukoscope.synthesis.networks import build_networks
from leukoscope.synthesis.objectives import (
    critic_loss,
    generator_loss,
    gradient_penalty,
    information_loss,
    slope_at,
)

pytestmark = pytest.mark.usefixtures("one_thread")
OBJECTIVES = ("hinge", "wasserstein", "non-saturating")
SCORES = st.lists(st.floats(-20, 20), min_size=1, max_size=8)
NONE = torch.zeros(3, dtype=torch.int64)


class Linear(nn.Module):
    """Score a picture by a weight a number: its slope is these weights, everywhere."""

    def __init__(self, weights):
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, pictures, _):
        return (pictures * self.weights).sum(dim=(1, 2, 3)) + 7


class Smooth(nn.Module):
    """Score a picture by a convolution, a tangent and a sum: differentiable without kinks."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 5, stride=2), nn.Linear(64, 1)

    def forward(self, pictures, _):
        return self.last(torch.tanh(self.first(pictures)).flatten(1)).squeeze(1)


def pictures(n, size_px, seed):
    return torch.from_numpy(stream(seed, "pictures").uniform(-1, 1, (n, 3, size_px, size_px)))


def tiny_critic():
    """Build the plain critic at its smallest, in float64."""
    return build_networks(recipe_of("wgan-gp", critic_dropout=0), 2, seed=1).critic.double()


# Losses


@given(real=SCORES, drawn=SCORES, objective=st.sampled_from(OBJECTIVES))
def test_losses_are_those_computed_number_by_number(real, drawn, objective):
    """Of any scores, to rounding."""
    recipe = recipe_of(objective=objective)
    scores = [torch.tensor(each, dtype=torch.float64) for each in (real, drawn)]
    assert float(critic_loss(*scores, recipe)) == pytest.approx(
        slopes_reference.critic_loss(real, drawn, objective), abs=1e-9
    )
    assert float(generator_loss(scores[1], recipe)) == pytest.approx(
        slopes_reference.generator_loss(drawn, objective), abs=1e-9
    )


@given(real=SCORES, drawn=SCORES)
def test_the_printed_signs_are_those_of_a_critic_that_scores_the_other_way(real, drawn):
    """Negated scores under the printed signs give the losses of the usual ones, to the bit."""
    usual, printed = (recipe_of(objective="wasserstein", sign=s) for s in ("usual", "as-printed"))
    a, b = torch.tensor(real), torch.tensor(drawn)
    assert torch.equal(critic_loss(-a, -b, printed), critic_loss(a, b, usual))
    assert torch.equal(generator_loss(-b, printed), generator_loss(b, usual))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_two_pull_at_the_score_of_a_drawing_from_opposite_sides(objective):
    """A critic gains by a lower score of drawings and a higher one of cells; a generator by a
    higher one of drawings."""
    recipe = recipe_of(objective=objective)
    real, drawn = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    critic_loss(real, drawn, recipe).backward()
    assert (real.grad < 0).all()
    assert (drawn.grad > 0).all()
    drawn.grad = None
    generator_loss(drawn, recipe).backward()
    assert (drawn.grad < 0).all()


# Slopes


def test_the_penalty_is_that_of_finite_differences():
    """A critic of two layers in float64, three pairs of pictures, shares of 0, .3 and 1."""
    critic, shares = tiny_critic(), torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    real, drawn = pictures(3, 16, 1), pictures(3, 16, 2)
    with torch.no_grad():
        expected = slopes_reference.penalty(
            lambda one: critic(one[None], NONE[:1]), real, drawn, shares.tolist()
        )
    found = gradient_penalty(critic, real, drawn, NONE, shares)
    # The slope is taken in float32 from here on.
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_the_slope_at_real_cells_is_that_of_finite_differences():
    critic, real = tiny_critic(), pictures(3, 16, 1)
    with torch.no_grad():
        expected = slopes_reference.at_real(lambda one: critic(one[None], NONE[:1]), real)
    assert slope_at(critic, real, NONE).item() == pytest.approx(expected, rel=1e-5)


@given(scale=st.floats(0.05, 20), seed=st.integers(0, 50))
def test_of_a_linear_critic_both_are_known(scale, seed):
    """Its slope is its weights: (norm - 1)² wherever it is taken, 0 at a norm of 1; R1 is the
    squared norm."""
    weights = pictures(1, 4, seed)[0]
    critic = Linear(weights / weights.norm() * scale)
    real, drawn = pictures(3, 4, seed + 100), pictures(3, 4, seed + 200)
    shares = torch.rand(3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = gradient_penalty(critic, real, drawn, NONE, shares)
    assert found.item() == pytest.approx((scale - 1) ** 2, rel=1e-4, abs=1e-9)
    assert slope_at(critic, real, NONE).item() == pytest.approx(scale**2, rel=1e-5)


def test_a_linear_critic_of_slope_one_has_no_penalty():
    weights = torch.zeros(3, 4, 4)
    weights[1, 2, 3] = 1
    real, drawn = pictures(3, 4, 1).float(), pictures(3, 4, 2).float()
    found = gradient_penalty(Linear(weights), real, drawn, NONE, torch.tensor([0.1, 0.5, 0.9]))
    assert found.item() == pytest.approx(0, abs=1e-12)


def test_a_critic_that_is_flat_has_a_finite_gradient():
    """A slope of 0 has a penalty of 1, and its root no infinite gradient."""
    critic = Linear(torch.zeros(3, 4, 4))
    found = gradient_penalty(
        critic, pictures(3, 4, 1).float(), pictures(3, 4, 2).float(), NONE, torch.rand(3)
    )
    found.backward()
    assert found.item() == pytest.approx(1, abs=1e-5)
    assert critic.weights.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["between", "real"])
def test_a_penaltys_gradient_is_that_of_finite_differences(kind):
    """Towards a weight of each layer of a critic without kinks."""
    with seeded(0, "smooth"):
        critic = Smooth().double()
    real, drawn = pictures(3, 11, 1), pictures(3, 11, 2)
    shares = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)

    def pulled():
        if kind == "real":
            return slope_at(critic, real, NONE)
        return gradient_penalty(critic, real, drawn, NONE, shares)

    pulled().backward()
    for weights in (critic.first.weight, critic.last.weight):
        gradient = weights.grad.flatten()
        place = int(gradient.abs().argmax())
        ends = []
        for step in (1e-2, -2e-2):
            with torch.no_grad():
                weights.view(-1)[place] += step
            ends.append(pulled().item())
        assert gradient[place].item() == pytest.approx((ends[0] - ends[1]) / 2e-2, rel=1e-2)
        with torch.no_grad():
            weights.view(-1)[place] += 1e-2


def test_neither_penalty_reaches_the_pictures():
    """The generator learns by scores alone."""
    critic, real = tiny_critic(), pictures(3, 16, 1).requires_grad_(True)
    slope_at(critic, real, NONE).backward()
    assert real.grad is None
    assert all(value.isfinite().all() for value in parameters_of(critic).values())


# Information


@given(seed=st.integers(0, 99), continuous=st.integers(0, 3))
def test_missing_information_is_that_computed_number_by_number(seed, continuous):
    """Cross-entropy of the categorical code, squared error of the others."""
    recipe = recipe_of("infogan", continuous_codes=continuous)
    rng = stream(seed, "codes")
    guessed = rng.normal(0, 3, (5, 4 + continuous))
    codes = np.concatenate(
        [np.eye(4)[rng.integers(0, 4, 5)], rng.uniform(-1, 1, (5, continuous))], axis=1
    )
    found = information_loss(torch.from_numpy(guessed), torch.from_numpy(codes), recipe)
    expected = slopes_reference.information(guessed.tolist(), codes.tolist(), 4)
    assert found.item() == pytest.approx(expected, rel=1e-9)


def test_nothing_is_missing_where_codes_are_read_without_fault():
    """Sure and right: 0; sure and wrong: much; knowing nothing: the logarithm of the values."""
    recipe = recipe_of("infogan")
    codes = torch.tensor([[0.0, 1, 0, 0, 0.5, -0.25]])
    right = torch.cat([codes[:, :4] * 100, codes[:, 4:]], dim=1)
    assert information_loss(right, codes, recipe).item() == pytest.approx(0, abs=1e-6)
    wrong = torch.cat([codes[:, :4].roll(1, 1) * 100, codes[:, 4:]], dim=1)
    assert information_loss(wrong, codes, recipe).item() == pytest.approx(100)
    blank = torch.cat([torch.zeros(1, 4), codes[:, 4:]], dim=1)
    assert information_loss(blank, codes, recipe).item() == pytest.approx(np.log(4))
