import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.reference import kid_reference
from tests.synthesis.tiny import CPU, pool_of, recipe_of
from torch import nn

from leukoscope.foundation.streams import stream
from leukoscope.synthesis.looks import Stopping, collapsed, grid_of, history_csv, look_at
from leukoscope.synthesis.networks import build_networks

pytestmark = pytest.mark.usefixtures("one_thread")


class Planted(nn.Module):
    """Draw what the latents' noise says: a picture of its numbers about a colour a category."""

    def __init__(self, spread, colours):
        super().__init__()
        self.spread, self.colours = spread, torch.tensor(colours, dtype=torch.float32)

    def forward(self, latents):
        repeated = latents.noise.repeat(1, 96)[:, :768].reshape(-1, 3, 16, 16)
        levels = self.colours[latents.categories][:, :, None, None] + self.spread * repeated
        return (levels / 127.5 - 1).clamp(-1, 1)


COLOURS = [[100, 130, 160], [180, 90, 60]]


def stopping_of(features, n_categories=2, n=40):
    pool = pool_of(n_categories, n=n)
    return Stopping(pool.store.pixels, pool.codes, features.of(pool.store.pixels))


def look(generator, features, stopping=None, n_categories=2, **settings):
    return look_at(
        generator,
        stopping or stopping_of(features, n_categories),
        recipe_of(**settings),
        features,
        member="shared",
        n_categories=n_categories,
        device=CPU,
    )


def picture(png):
    return np.asarray(Image.open(io.BytesIO(png)))


@given(n=st.integers(1, 30), columns=st.integers(1, 9), side=st.integers(1, 5))
def test_a_grid_holds_each_picture_in_its_place(n, columns, side):
    """Row by row; what is left is white."""
    pictures = stream(n, "grid").integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    grid = grid_of(pictures, columns)
    rows = -(-n // columns)
    assert grid.shape == (rows * side, columns * side, 3)
    for number in range(rows * columns):
        row, column = divmod(number, columns)
        tile = grid[row * side : (row + 1) * side, column * side : (column + 1) * side]
        assert (tile == (pictures[number] if number < n else 255)).all()


def test_the_grid_shows_a_row_a_category_of_the_same_latents_at_every_look(features):
    """Eight columns; of one category eight rows. The latents stay while the generator changes."""
    first = picture(look(Planted(0, COLOURS), features).grid)
    assert first.shape == (32, 128, 3)
    for row, colour in enumerate(COLOURS):
        assert (np.abs(first[row * 16 : (row + 1) * 16].astype(int) - colour) <= 1).all()
    pattern = [
        picture(look(Planted(spread, COLOURS), features).grid).astype(float) - first
        for spread in (5, 10)
    ]
    assert np.corrcoef(pattern[0].ravel(), pattern[1].ravel())[0, 1] > 0.99
    one = picture(look(Planted(5, COLOURS), features, n_categories=1).grid)
    assert one.shape == (128, 128, 3)


def test_a_look_twice_is_the_same(features):
    """Of one generator in bytes and numbers; its mode and torch's state are left alone."""
    generator = build_networks(recipe_of(), 2, seed=0).generator
    before = torch.random.get_rng_state()
    assert look(generator, features) == look(generator, features)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert generator.training


def test_its_distance_is_the_kernel_distance_of_drawings_to_the_stopping_cells(features):
    """By plain loops over the first numbers of the features; and nearer drawings are nearer."""
    stopping = stopping_of(features)
    means = np.stack([stopping.pixels[stopping.codes == c].mean(axis=(0, 1, 2)) for c in (0, 1)])
    near, far = (
        look(Planted(23, colours), features, stopping).kid
        for colours in (means.tolist(), (255 - means).tolist())
    )
    assert near < far
    # A generator that gives the stopping cells themselves: the oracle's own distance to them.

    class Copying(nn.Module):
        at = 0

        def forward(self, _):
            places = np.resize(np.arange(40), 320)[self.at : self.at + 64]
            self.at = self.at + 64
            chosen = torch.from_numpy(stopping.pixels[places])
            return chosen.permute(0, 3, 1, 2) / 127.5 - 1

    found = look(Copying(), features, stopping).kid
    drawn = features.of(stopping.pixels[np.resize(np.arange(len(stopping.codes)), 256)])
    n, m = len(drawn), len(stopping.features)
    products = drawn.astype(float) @ stopping.features.astype(float).T / drawn.shape[1] + 1
    assert products[0, 1] ** 3 == pytest.approx(
        kid_reference.kernel(drawn[0].tolist(), stopping.features[1].tolist()), rel=1e-6
    )
    own, other = (
        each.astype(float) @ each.astype(float).T / each.shape[1] + 1
        for each in (drawn, stopping.features)
    )
    expected = (
        ((own**3).sum() - (np.diag(own) ** 3).sum()) / (n * (n - 1))
        + ((other**3).sum() - (np.diag(other) ** 3).sum()) / (m * (m - 1))
        - 2 * (products**3).mean()
    )
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_diversity_is_a_share_of_what_real_cells_differ_by(features):
    """None where latents are ignored, though categories differ; half the real spread is a half."""
    stopping = stopping_of(features)
    real = np.mean([stopping.pixels[stopping.codes == c].std(axis=0).mean() for c in (0, 1)])
    assert look(Planted(0, COLOURS), features).diversity == pytest.approx(0, abs=1e-9)
    half = look(Planted(real / 2, COLOURS), features).diversity
    assert half == pytest.approx(0.5, abs=0.06)


def test_a_generator_whose_latents_are_zeroed_has_no_diversity(features):
    """Planted in a true network, which before drew more than one picture."""
    generator = build_networks(recipe_of(), 2, seed=0).generator
    before = look(generator, features).diversity
    with torch.no_grad():
        generator.first.weight[:, :8] = 0
    assert look(generator, features).diversity < 1e-6 < before


# Collapse


def rows(*diversities, every=10):
    return [{"update": every * (i + 1), "diversity": d} for i, d in enumerate(diversities)]


@pytest.mark.parametrize(
    ("diversities", "is_collapsed"),
    [
        ((0.01, 0.01, 0.01), True),
        ((0.01, 0.01), False),
        ((1, 0.04, 0.04, 0.04), True),
        ((1, 0.04, 0.06, 0.04), False),
        ((0.01, 0.01, 0.01, 0.5), False),
        ((1, 1, 1), False),
    ],
)
def test_three_looks_in_a_row_are_a_collapse(diversities, is_collapsed):
    """Below a twentieth of real diversity, all of the last three."""
    assert collapsed(rows(*diversities), updates=30) is is_collapsed


def test_the_first_quarter_of_a_fit_is_no_collapse():
    """A generator begins with drawings all alike: of 100 updates the looks up to 25 say nothing."""
    early = rows(0, 0, 0, 0, 0, every=5)
    assert not collapsed(early, updates=100)
    assert collapsed(early, updates=10)
    assert not collapsed(rows(0, 0, 0, 0, 0, 0, 0, every=5), updates=100)
    assert collapsed(rows(0, 0, 0, 0, 0, 0, 0, 0, every=5), updates=100)


def test_history_is_written_as_a_table():
    """Names, then a row a look."""
    history = [{"update": 1, "kid": 0.5}, {"update": 2, "kid": -1e-9}]
    assert history_csv(history) == "update,kid\n1,0.5\n2,-1e-09\n"
