import itertools

import pytest
import torch
from tests.synthesis.tiny import CPU, equal, recipe_of, weights_of

from leukoscope.synthesis.drawing import draw_latents
from leukoscope.synthesis.networks import build_networks, code_length, widths

pytestmark = pytest.mark.usefixtures("one_thread")
GENERATORS = ("gated", "plain", "transposed")
CRITICS = ("spectral", "free", "plain", "normalised")


def latents(recipe, codes):
    return draw_latents(recipe, torch.tensor(codes), CPU, "test")


def pictures(n, size_px=16, seed=0):
    return torch.rand(n, 3, size_px, size_px, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("size_px", [16, 32, 64, 128, 256])
@pytest.mark.parametrize("kind", GENERATORS)
def test_every_generator_draws_pictures_of_every_size(kind, size_px):
    """(n, 3, size, size) in -1 to 1, not all one colour, with one category or several."""
    for n_categories in (1, 3):
        recipe = recipe_of(generator=kind, size_px=size_px)
        generator = build_networks(recipe, n_categories, seed=0).generator
        drawn = generator(latents(recipe, [0, n_categories - 1, 0, 0])).detach()
        assert drawn.shape == (4, 3, size_px, size_px)
        assert drawn.abs().max() <= 1
        assert (drawn.std(dim=(1, 2, 3)) > 1e-3).all()


@pytest.mark.parametrize("size_px", [16, 32, 64, 128, 256])
@pytest.mark.parametrize("kind", CRITICS)
def test_every_critic_scores_pictures_of_every_size(kind, size_px):
    """One finite number a picture; pictures are told apart."""
    critic = build_networks(recipe_of(critic=kind, size_px=size_px), 2, seed=0).critic
    scores = critic(pictures(8, size_px), torch.tensor([0, 1] * 4)).detach()
    assert scores.shape == (8,)
    assert scores.isfinite().all()
    assert scores.std() > 0


def test_channels_double_from_half_the_size_down_to_four_pixels():
    """By hand; at most eight times."""
    assert widths(4, 16) == [4, 8]
    assert widths(4, 64) == [4, 8, 16, 32]
    assert widths(4, 256) == [4, 8, 16, 32, 32, 32]


@pytest.mark.parametrize(("kind", "is_training"), [("plain", True), ("normalised", False)])
def test_a_score_does_not_depend_on_the_others_of_the_batch(kind, is_training):
    """No layer of the plain critic mixes pictures; the normalised one mixes them in training
    only."""
    critic = build_networks(recipe_of(critic=kind), 1, seed=0).critic.train(is_training)
    cells, none = pictures(8), torch.zeros(8, dtype=torch.int64)
    whole = critic(cells, none)
    alone = torch.cat([critic(cells[i : i + 1], none[:1]) for i in range(8)])
    torch.testing.assert_close(alone, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["free", "spectral"])
def test_the_spread_is_that_of_four_pictures_and_of_no_others(kind):
    """A score depends on the three others of its group; on no other group, so that the real and
    the drawn half of a batch stay apart."""
    critic = build_networks(recipe_of(critic=kind), 1, seed=0).critic.eval()
    cells, none = pictures(8), torch.zeros(8, dtype=torch.int64)
    before = critic(cells, none)
    cells[7] = pictures(1, seed=5)[0]
    after = critic(cells, none)
    torch.testing.assert_close(after[:4], before[:4], rtol=1e-4, atol=1e-6)
    assert (after[4:7] - before[4:7]).abs().min() > 1e-6


def test_normalisation_mixes_a_batch_in_training():
    """Which is why halves are scored apart and a penalty is refused there."""
    critic = build_networks(recipe_of(critic="normalised"), 1, seed=0).critic
    cells, none = pictures(8), torch.zeros(8, dtype=torch.int64)
    before = critic(cells, none)
    cells[7] = -cells[7]
    assert not torch.allclose(critic(cells, none)[:7], before[:7])


@pytest.mark.parametrize("kind", GENERATORS)
def test_the_generator_ignores_nothing_it_is_told(kind):
    """Other noise, another category, another categorical code, another continuous one: each
    changes every picture."""
    recipe = recipe_of(generator=kind, information=1, categorical_codes=3, continuous_codes=2)
    generator = build_networks(recipe, 2, seed=0).generator.eval()
    asked = latents(recipe, [0] * 4)
    first = generator(asked)
    codes = asked.codes.clone()
    codes[:, -1] += 0.5
    others = (
        asked._replace(noise=-asked.noise),
        asked._replace(categories=1 - asked.categories),
        asked._replace(codes=torch.cat([asked.codes[:, :3].roll(1, 1), asked.codes[:, 3:]], 1)),
        asked._replace(codes=codes),
    )
    for other in others:
        assert ((generator(other) - first).abs().amax(dim=(1, 2, 3)) > 1e-6).all()


def test_the_critic_asks_after_the_category():
    """The same picture scored as another category gets another score, of several; and of one
    category the code says nothing."""
    cells, zeros = pictures(4), torch.zeros(4, dtype=torch.int64)
    several = build_networks(recipe_of(critic="plain"), 2, seed=0).critic
    assert (several(cells, zeros) != several(cells, zeros + 1)).all()
    one = build_networks(recipe_of(critic="plain"), 1, seed=0)
    assert one.critic.asked is None
    assert one.generator.embedding is None


@pytest.mark.parametrize(("generator", "critic"), [*itertools.product(GENERATORS, CRITICS)])
def test_a_seed_gives_equal_weights_and_torchs_own_state_stays(generator, critic):
    """Another seed gives others."""
    recipe = recipe_of(generator=generator, critic=critic)
    before = torch.random.get_rng_state()
    one, same, other = (build_networks(recipe, 2, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    for built, again, different in zip(one, same, other, strict=True):
        assert equal(weights_of(built), weights_of(again))
        assert not equal(weights_of(built), weights_of(different))


def test_spectral_norm_holds_every_layer_of_the_critic_to_one():
    """After a few passes no weight stretches anything more than 1.2 times; without it, some do."""
    critic = build_networks(recipe_of(critic="spectral"), 2, seed=0).critic
    for _ in range(40):
        critic(pictures(8), torch.tensor([0, 1] * 4))
    layers = [m for m in critic.modules() if hasattr(m, "parametrizations")]
    assert len(layers) == len(widths(4, 16)) + 3
    for layer in layers:
        stretch = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert stretch == pytest.approx(1, abs=0.2)


def test_starts_are_those_of_the_papers():
    """Radford's deviation of .02 under a normalised critic; Glorot's bounds elsewhere."""
    narrow = build_networks(recipe_of("infogan", generator_width=32), 1, seed=0)
    weights = torch.cat([block.layer.weight.flatten() for block in narrow.generator.blocks])
    assert weights.std().item() == pytest.approx(0.02, rel=0.05)
    wide = build_networks(recipe_of("wgan-gp", critic_width=32), 1, seed=0).critic.body[0]
    bound = (6 / (25 * 3 + 25 * 32)) ** 0.5
    assert wide.weight.abs().max().item() == pytest.approx(bound, rel=0.02)
    assert (wide.bias == 0).all()


def test_codes_are_read_where_there_are_some():
    """As many numbers as the picture was drawn from; without information there is no reader."""
    recipe = recipe_of("infogan")
    critic = build_networks(recipe, 1, seed=0).critic
    assert critic.read_codes(critic.features(pictures(4))).shape == (4, code_length(recipe))
    assert code_length(recipe) == 6
    assert code_length(recipe_of()) == 0
    assert build_networks(recipe_of(), 1, seed=0).critic.reader is None


def test_the_papers_critic_is_as_it_is_printed():
    """5 x 5, stride 2, LeakyReLU, dropout .3, no normalisation; 64 px in four halvings."""
    from leukoscope.synthesis.recipes import load_generator

    critic = build_networks(load_generator("gaur-wgan-gp"), 1, seed=0).critic
    names = [type(layer).__name__ for layer in critic.body]
    assert names == ["Conv2d", "LeakyReLU", "Dropout"] * 4 + ["Flatten"]
    for layer in list(critic.body)[:-1:3]:
        assert (layer.kernel_size, layer.stride) == ((5, 5), (2, 2))
    assert critic.body[2].p == 0.3
    assert critic.body[1].negative_slope == 0.2
