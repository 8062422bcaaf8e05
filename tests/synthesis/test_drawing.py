import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.synthesis.tiny import CPU, equal, recipe_of, weights_of

from leukoscope.foundation.streams import stream
from leukoscope.synthesis.drawing import draw_latents, draw_pixels, latents_of
from leukoscope.synthesis.networks import build_networks

pytestmark = pytest.mark.usefixtures("one_thread")


def several(recipe, numbers, seed=0):
    codes = [number % 2 for number in numbers]
    return latents_of(recipe, seed, numbers, codes, "shared")


def lively(recipe):
    """Build a generator whose pictures fill the range, its statistics moved from their start."""
    generator = build_networks(recipe, 2, seed=0).generator
    latents = draw_latents(recipe, torch.tensor([0, 1] * 16), CPU, "warm")
    with torch.no_grad():
        generator(latents)
        generator.eval()
        while generator(latents).std() < 0.3:
            for weights in generator.last.parameters():
                weights.mul_(2)
    return generator.train()


@pytest.mark.parametrize("kind", ["hinge", "slope", "wgan-gp", "infogan"])
def test_a_cell_is_the_same_alone_and_beside_any_others(kind):
    """Byte for byte: number 5 alone, as one of 3, of 64, of 65 and of 130."""
    recipe = recipe_of(kind)
    generator = lively(recipe)

    def drawn(numbers):
        pixels = draw_pixels(generator, several(recipe, numbers), CPU)
        return pixels[list(numbers).index(5)]

    alone = drawn([5])
    assert alone.std() > 3
    for numbers in ([3, 5, 9], range(64), range(65), range(129, -1, -1)):
        assert (drawn(list(numbers)) == alone).all()


def test_pictures_come_in_the_order_they_were_asked_for():
    """Across batches: each equals the one drawn alone, and no two are equal."""
    recipe = recipe_of()
    generator, numbers = lively(recipe), [70, 2, 64, 0, 63, 65]
    whole = draw_pixels(generator, several(recipe, range(80)), CPU)
    part = draw_pixels(generator, several(recipe, numbers), CPU)
    assert (part == whole[numbers]).all()
    assert len(np.unique(whole.reshape(80, -1), axis=0)) == 80


def test_levels_are_those_of_the_networks_range():
    """-1 is 0, 0 is 127.5 to the even level, 1 is 255; beyond is cut."""

    latents = draw_latents(recipe_of(), torch.zeros(64, dtype=torch.int64), CPU, "test")

    class Painting(torch.nn.Module):
        def forward(self, _):
            levels = torch.tensor([-1.0, 0.0, 1.0, -1.2, 1.2, 1 / 127.5 - 1, -1.0, 1.0])
            return levels.repeat(8)[:, None, None, None].expand(-1, 3, 2, 2)

    found = draw_pixels(Painting(), latents, CPU)
    assert found.shape == (64, 2, 2, 3)
    assert found[:8, 0, 0, 0].tolist() == [0, 128, 255, 0, 255, 1, 0, 255]


def test_drawing_leaves_the_generator_as_it_was():
    """Its weights, statistics and mode."""
    recipe = recipe_of()
    generator = lively(recipe)
    before = weights_of(generator)
    for mode in (True, False):
        generator.train(mode)
        draw_pixels(generator, several(recipe, range(3)), CPU)
        assert generator.training is mode
    assert equal(weights_of(generator), before)


# Latents


@given(seed=st.integers(0, 99), numbers=st.lists(st.integers(0, 10_000), min_size=1, max_size=6))
def test_latents_of_a_cell_are_its_own(seed, numbers):
    """Of its seed, member, category and number, and of nothing beside it."""
    recipe = recipe_of("infogan")
    whole = several(recipe, numbers, seed)
    for place, number in enumerate(numbers):
        alone = several(recipe, [number], seed)
        assert all(torch.equal(a[place], b[0]) for a, b in zip(whole, alone, strict=True))


def test_other_names_are_other_latents():
    """Another seed, number, category or member; and a look's, a critic's and a sample's differ."""
    recipe = recipe_of()
    found = [
        latents_of(recipe, seed, [number], [code], member).noise
        for seed, number, code, member in (
            *((0, 0, 0, "shared"), (1, 0, 0, "shared"), (0, 1, 0, "shared")),
            *((0, 0, 1, "shared"), (0, 0, 0, "band")),
        )
    ]
    none = torch.zeros(1, dtype=torch.int64)
    found += [draw_latents(recipe, none, CPU, purpose).noise for purpose in ("look", "critic")]
    for place, one in enumerate(found):
        assert not any(torch.equal(one, other) for other in found[:place])


def test_latents_are_normal_and_codes_even():
    """Of 4,000: moments of the noise, shares of the categorical code, bounds and mean of the
    continuous ones; noise is the stream's own."""
    recipe = recipe_of("infogan")
    found = draw_latents(recipe, torch.zeros(4000, dtype=torch.int64), CPU, "law")
    noise = found.noise.double()
    assert noise.mean().abs() < 4 / 32_000**0.5
    assert noise.std().item() == pytest.approx(1, abs=0.02)
    assert (
        found.noise.numpy()
        == stream(0, "latents", "law").standard_normal((4000, 8), dtype=np.float32)
    ).all()
    categorical, even = found.codes[:, :4], found.codes[:, 4:]
    assert set(categorical.unique().tolist()) == {0.0, 1.0}
    assert (categorical.sum(dim=1) == 1).all()
    assert (categorical.mean(dim=0) - 0.25).abs().max() < 4 * (0.25 * 0.75 / 4000) ** 0.5
    assert even.abs().max() <= 1
    assert even.mean().abs() < 4 * 0.58 / 8000**0.5
    assert even.std().item() == pytest.approx(1 / 3**0.5, abs=0.02)


def test_without_information_there_are_no_codes():
    assert draw_latents(recipe_of(), torch.zeros(3, dtype=torch.int64), CPU, "a").codes.shape == (
        3,
        0,
    )
