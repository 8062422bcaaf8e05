import numpy as np
import polars as pl
import pytest
import torch
from tests.synthesis.tiny import (
    CPU,
    KINDS,
    equal,
    parameters_of,
    pool_of,
    recipe_of,
    weights_of,
)

from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError
from leukoscope.models.backbones import seeded
from leukoscope.synthesis.drawing import draw_latents
from leukoscope.synthesis.looks import Look
from leukoscope.synthesis.loop import (
    DivergedError,
    _critic_step,
    _generator_step,
    asked_codes,
    begin,
    best_row,
    fit_generator,
    go_on,
    one_update,
    real_batch,
    to_network,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def steady(_):
    """Look without looking: the first stage stays the best."""
    return Look(b"png", 1.0, 1.0)


def by_brightness(generator):
    """Look at the first bias alone: a distance that differs from stage to stage."""
    last = [p for p in generator.parameters() if p.shape == (3,)][-1]
    return Look(b"png", float(last.detach().double().sum()), 1.0)


def fitted(folder, recipe, *, look=steady, pool=None, **more):
    folder.mkdir(exist_ok=True)
    return fit_generator(
        pool or pool_of(), recipe, look, folder=folder, device=CPU, precision="float32", **more
    )


def updated(recipe, n=1, pool=None):
    """Begin and do some updates."""
    pool = pool or pool_of()
    state = begin(pool, recipe, CPU)
    for _ in range(n):
        one_update(state, pool, recipe, CPU, "float32")
    return state


def half_step(state, recipe, which, pool=None):
    """Do one step of the critic or of the generator."""
    pool = pool or pool_of()
    real, codes = real_batch(pool, recipe, 0, CPU)
    latents = draw_latents(recipe, codes, CPU, "test")
    with seeded(0, "test"):
        if which == "critic":
            _critic_step(state, real, latents, recipe, "float32")
        else:
            _generator_step(state, latents, recipe, "float32")


# Who learns when


@pytest.mark.parametrize("kind", KINDS)
def test_in_the_critics_step_the_generator_stands_still(kind):
    """Its parameters and its statistics; all of the critic learns but the reader of codes."""
    recipe = recipe_of(kind)
    state = begin(pool_of(), recipe, CPU)
    generator, critic = weights_of(state.networks.generator), parameters_of(state.networks.critic)
    half_step(state, recipe, "critic")
    after = parameters_of(state.networks.critic)
    parameters = set(parameters_of(state.networks.generator))
    kept = weights_of(state.networks.generator)
    assert all(torch.equal(kept[name], generator[name]) for name in parameters)
    still = {name for name, value in after.items() if torch.equal(value, critic[name])}
    # A difference of means does not see what is added to all scores.
    assert still - {"score.bias"} == {name for name in after if name.startswith("reader.")}


@pytest.mark.parametrize("kind", KINDS)
def test_in_the_generators_step_the_critic_stands_still(kind):
    """All of the generator learns, and of the critic the reader of codes alone; afterwards the
    critic asks for gradients again."""
    recipe = recipe_of(kind, differentiable=[])
    state = begin(pool_of(), recipe, CPU)
    generator, critic = (parameters_of(each) for each in state.networks)
    half_step(state, recipe, "generator")
    after = parameters_of(state.networks.critic)
    moved = {name for name, value in after.items() if not torch.equal(value, critic[name])}
    assert moved == {name for name in after if name.startswith("reader.")}
    assert bool(moved) == bool(recipe.information)
    drawing = parameters_of(state.networks.generator)
    assert not any(torch.equal(value, generator[name]) for name, value in drawing.items())
    assert all(p.requires_grad for p in state.networks.critic.parameters())


@pytest.mark.parametrize("steps", [1, 3, 5, 8])
def test_the_critic_learns_so_many_times_an_update(steps):
    """Adam counts: the critic's weights have been moved that often, the generator's once; cells
    are read in one chain, none left out."""
    recipe = recipe_of("wgan-gp", critic_steps=steps, penalty=1)
    state = updated(recipe, 2)
    counts = {
        part: {
            int(state.optimiser.state[p]["step"])
            for p in getattr(state.networks, part).parameters()
        }
        for part in ("generator", "critic")
    }
    assert counts == {"generator": {2}, "critic": {2 * steps}}


def test_batches_are_one_chain_of_rounds_over_the_cells():
    """Two updates of three steps see the batches 0 to 5; each cell of a category comes once
    before any comes again, each category equally often."""
    pool, recipe = pool_of(3), recipe_of("infogan", critic_steps=3)
    seen = [real_batch(pool, recipe, batch, CPU) for batch in range(6)]
    codes = torch.cat([codes for _, codes in seen])
    assert codes.bincount().tolist() == [16, 16, 16]
    pixels = torch.cat([pictures for pictures, _ in seen]).flatten(1)
    cells = to_network(pool.store.pixels, CPU).flatten(1)
    for code in range(3):
        own = pixels[codes == code]
        members = {tuple(each.tolist()) for each in cells[pool.codes == code]}
        assert {tuple(each.tolist()) for each in own[:8]} == members
        assert {tuple(each.tolist()) for each in own[8:]} == members


def test_pixels_go_from_minus_one_to_one():
    """Level by level, in the networks' order."""
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    found = to_network(levels, CPU)
    assert found.shape == (1, 3, 16, 16)
    expected = torch.arange(256).double().reshape(16, 16) / 127.5 - 1
    torch.testing.assert_close(found[0, 1].double(), expected, rtol=0, atol=1e-6)
    assert (found.min(), found.max()) == (-1, 1)


def test_a_pool_holds_so_many_versions_of_a_cell():
    """In its fourth round a pool of three shows the first versions again; without a pool each
    visit is drawn anew."""
    turned = {"name": "any", "steps": [{"kind": "rotation"}]}
    pool = pool_of(1, n=8)

    def rounds(size):
        recipe = recipe_of("wgan-gp", augmentation=turned, pool=size)
        found = []
        for batch in range(6):
            # Told apart by their place in the chain: the order is drawn anew each round.
            pictures, _ = real_batch(pool, recipe, batch, CPU)
            found.append({tuple(each.flatten().tolist()) for each in pictures})
        return found

    kept = rounds(3)
    assert kept[:3] == kept[3:]
    assert not kept[0] & kept[1]
    anew = rounds(None)
    assert not anew[0] & anew[3]
    assert anew[:3] == kept[:3]


def test_the_generator_is_asked_for_each_category_equally_often():
    """However many cells each has."""
    pool = pool_of(2)
    pool = pool._replace(codes=np.repeat([0, 1], [20, 4]))
    asked = np.concatenate([asked_codes(pool, recipe_of(), update) for update in range(6)])
    assert np.bincount(asked).tolist() == [24, 24]


def test_adam_and_rmsprop_and_both_rates_are_used():
    """Each optimiser's own state; a rate of the generator's own moves it as far as its share."""
    states = {name: updated(recipe_of("wgan-gp", optimiser=name)) for name in ("adam", "rmsprop")}
    for name, state in states.items():
        kept = state.optimiser.state[next(state.networks.generator.parameters())]
        assert ("exp_avg" in kept) == (name == "adam")
    # A first step of Adam moves each number by its rate.
    plan = {"generator_rate": 1e-3, "critic_rate": 1e-4, "penalty": 0, "critic_steps": 1}
    recipe = recipe_of("wgan-gp", **plan)
    state = begin(pool_of(), recipe, CPU)
    before = [parameters_of(each) for each in state.networks]
    one_update(state, pool_of(), recipe, CPU, "float32")
    for network, old, rate in zip(state.networks, before, (1e-3, 1e-4), strict=True):
        far = max((v - old[n]).abs().max().item() for n, v in parameters_of(network).items())
        assert far == pytest.approx(rate, rel=1e-2)


# Both signs


@pytest.mark.parametrize("kind", ["wgan-gp", "infogan-wgan-gp"])
def test_both_sign_conventions_give_the_same_generator_to_the_bit(kind):
    """G-S4: with the critic's last layers negated at the start and both signs as printed, every
    update's generator is equal in bytes, its critic's scores are negated, its losses equal."""
    pool = pool_of()
    usual, printed = (recipe_of(kind, sign=sign) for sign in ("usual", "as-printed"))
    one, other = begin(pool, usual, CPU), begin(pool, printed, CPU)
    with torch.no_grad():
        critic = other.networks.critic
        for weights in (*critic.score.parameters(), *critic.asked.parameters()):
            weights.neg_()
    pictures, codes = real_batch(pool, usual, 0, CPU)
    for _ in range(3):
        for state, recipe in ((one, usual), (other, printed)):
            one_update(state, pool, recipe, CPU, "float32")
        assert equal(*(weights_of(state.networks.generator) for state in (one, other)))
        scores = []
        for state in (one, other):
            with torch.no_grad():
                scores.append(state.networks.critic.eval()(pictures, codes))
            state.networks.critic.train()
        assert torch.equal(scores[0], -scores[1])
    assert one.sums == other.sums


def test_without_the_critic_turned_the_printed_signs_are_another_fit():
    """The same start, other signs: the generators part at the first update."""
    ends = [
        weights_of(updated(recipe_of("wgan-gp", sign=s)).networks.generator)
        for s in ("usual", "as-printed")
    ]
    assert not equal(*ends)


# What follows from the recipe alone


@pytest.mark.parametrize("kind", KINDS)
def test_one_recipe_twice_gives_equal_bytes(kind, tmp_path):
    """Checkpoint and history; torch's own random state outside is left alone."""
    before = torch.random.get_rng_state()
    for name in ("one", "other"):
        fitted(tmp_path / name, recipe_of(kind), look=by_brightness)
    assert torch.equal(torch.random.get_rng_state(), before)
    for name in ("history.csv", "checkpoint.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@pytest.mark.parametrize(
    "settings", [{"seed": 1}, {"critic_steps": 3}, {"penalty": 1}, {"penalty_at": "real"}]
)
def test_what_a_recipe_says_matters(settings):
    """Each changes the generator after two updates."""
    recipes = (recipe_of("wgan-gp"), recipe_of("wgan-gp", **settings))
    assert not equal(*(weights_of(updated(each, 2).networks.generator) for each in recipes))


@pytest.mark.parametrize("kind", KINDS)
def test_gone_on_with_after_each_update_a_fit_ends_the_same(kind, tmp_path):
    """Its networks, optimiser, mean and best are all in the checkpoint: brought to a new process's
    start at every update, it ends equal to the bit."""
    recipe, pool = recipe_of(kind, validate_every=1), pool_of()
    whole = fitted(tmp_path / "whole", recipe, look=by_brightness)
    for update in range(1, 5):
        part = recipe.model_copy(update={"updates": update})
        state = fitted(tmp_path / "parts", part, look=by_brightness, pool=pool)
    assert equal(weights_of(state.both), weights_of(whole.both))
    assert equal(state.best, whole.best)
    assert equal(state.average, whole.average)
    assert state.history == whole.history
    names = ("history.csv", "checkpoint.safetensors")
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_a_checkpoint_of_another_generator_is_refused(tmp_path):
    """With the sentence what to do."""
    fitted(tmp_path, recipe_of())
    other = begin(pool_of(), recipe_of(generator_width=8), CPU)
    with pytest.raises(DataError, match="Remove it to start this run afresh"):
        go_on(other, tmp_path / "checkpoint.safetensors")


# Looks


def test_the_nearest_generator_is_kept(tmp_path):
    """A row is marked where it is nearer than all before; what is kept is that stage's mean, as a
    fit of so many updates ends with it."""
    near = iter([0.5, 0.2, 0.3, 0.1, 0.15])
    recipe = recipe_of(updates=5, validate_every=1)
    state = fitted(tmp_path / "whole", recipe, look=lambda _: Look(b"", next(near), 1.0))
    assert [row["is_best"] for row in state.history] == [True, True, False, True, False]
    assert best_row(state.history)["update"] == 4
    until_then = fitted(tmp_path / "part", recipe.model_copy(update={"updates": 4}))
    assert equal(state.best, until_then.average)


def test_the_mean_draws_where_there_is_one(tmp_path):
    """A look meets the mean weights, and the fit's own go on afterwards."""
    met = []

    def look(generator):
        met.append(weights_of(generator))
        return steady(generator)

    state = fitted(tmp_path, recipe_of(updates=2), look=look)
    assert equal(met[0], state.average)
    assert not equal(met[0], weights_of(state.networks.generator))
    fitted(tmp_path / "last", recipe_of(updates=2, average_decay=None), look=look)
    assert not equal(met[1], met[0])


def test_looks_change_nothing_of_the_fit(tmp_path):
    """Looked at after every update or at the end alone, the weights are equal."""
    ends = [fitted(tmp_path / str(every), recipe_of(validate_every=every)).both for every in (1, 4)]
    assert equal(*map(weights_of, ends))


def test_history_says_what_happened(tmp_path):
    """A row a look: mean losses of its updates and steps, by the sums kept between looks; the file
    is the history in memory."""
    recipe, pool = recipe_of("infogan-wgan-gp", updates=3, critic_steps=2), pool_of()
    state = fitted(tmp_path, recipe)
    assert pl.read_csv(tmp_path / "history.csv").to_dicts() == state.history
    assert [row["update"] for row in state.history] == [2, 3]
    own = begin(pool, recipe, CPU)
    sums = []
    for _ in range(3):
        one_update(own, pool, recipe, CPU, "float32")
        sums.append(dict(own.sums))
    for name, steps in {"critic_loss": 2, "penalty": 2, "generator_loss": 1}.items():
        first, second = state.history
        assert first[name] == pytest.approx(sums[1][name] / 2 / steps)
        assert second[name] == pytest.approx((sums[2][name] - sums[1][name]) / steps, rel=1e-4)


def test_samples_and_history_are_there_while_it_is_fitted(tmp_path):
    """At each look the grid is that look's."""
    grids = iter([b"one", b"two"])
    seen = []

    def look(_):
        if (tmp_path / "samples.png").exists():
            seen.append((tmp_path / "samples.png").read_bytes())
        return Look(next(grids), 1.0, 1.0)

    fitted(tmp_path, recipe_of(), look=look)
    assert seen == [b"one"]
    assert (tmp_path / "samples.png").read_bytes() == b"two"


def test_progress_is_told(tmp_path):
    """Each update once, to its end, under the member's name."""
    told = []
    with progress.listening(lambda *step: told.append(step)):
        fitted(tmp_path, recipe_of())
    assert told == [("fitting noise", done, 4) for done in range(5)]


# Ends that are none


@pytest.mark.parametrize("kind", ["hinge", "slope", "wgan-gp", "infogan"])
def test_a_fit_that_comes_to_no_finite_end_stops_with_a_word(kind, tmp_path):
    """Weights are ruined before the third update: it is named, and checkpoint, history and what
    was kept are those of the second."""
    recipe = recipe_of(kind, updates=6, validate_every=1, average_decay=None)
    held = []

    def look(generator):
        held.append(generator)
        return steady(generator)

    def ruin(_, done, total):
        if done == 2:
            for weights in held[0].parameters():
                weights.data.fill_(float("nan"))

    with (
        progress.listening(ruin),
        pytest.raises(DivergedError, match=r"came to nan at update 3\. The last checkpoint is"),
    ):
        fitted(tmp_path / "ruined", recipe, look=look)
    two = fitted(tmp_path / "two", recipe.model_copy(update={"updates": 2}))
    for name in ("checkpoint.safetensors", "history.csv"):
        one, other = ((tmp_path / folder / name).read_bytes() for folder in ("ruined", "two"))
        assert one == other
    assert two.update == 2


def test_weights_that_are_not_finite_are_not_looked_at(tmp_path):
    """A gradient that is none ruins weights without an infinite loss: neither a look nor a
    checkpoint is made of them."""
    looked = []

    def look(generator):
        looked.append(1)
        generator.first.weight.register_hook(lambda gradient: gradient * float("nan"))
        return steady(generator)

    recipe = recipe_of(updates=6, validate_every=1)
    with pytest.raises(DivergedError, match=r"came to nan at update 2\. The last checkpoint is"):
        fitted(tmp_path, recipe, look=look)
    assert looked == [1]
    assert len(pl.read_csv(tmp_path / "history.csv")) == 1
    state = begin(pool_of(), recipe, CPU)
    go_on(state, tmp_path / "checkpoint.safetensors")
    assert state.update == 1


def test_drawings_that_are_all_alike_stop_the_fit_and_the_best_is_kept(tmp_path):
    """Three looks past a quarter of the fit at a twentieth of real diversity: the sentence names
    the best generator, and the checkpoint holds it."""
    seen = iter([(0.5, 1.0), (0.3, 0.9), (0.6, 0.01), (0.7, 0.02), (0.1, 0.03), (0.1, 0.5)])
    recipe = recipe_of(updates=6, validate_every=1)
    with pytest.raises(DivergedError, match=r"all alike: at update 5 .* 3\.0%.* of update 2,"):
        fitted(tmp_path, recipe, look=lambda _: Look(b"", *next(seen)))
    state = begin(pool_of(), recipe, CPU)
    go_on(state, tmp_path / "checkpoint.safetensors")
    assert best_row(state.history)["update"] == 2
    two = fitted(tmp_path / "two", recipe.model_copy(update={"updates": 2}))
    assert equal(state.best, two.average)
    assert len(pl.read_csv(tmp_path / "history.csv")) == 5


# What is learnt


def test_the_colour_of_cells_is_learnt(tmp_path):
    """Cells of one colour: after 150 updates the drawings are nearer to it than at the start."""
    pool = pool_of(1)
    recipe = recipe_of(
        updates=150, generator_rate=2e-3, critic_rate=2e-3, differentiable=[], batch_size=8
    )
    state = begin(pool, recipe, CPU)
    colour = torch.from_numpy(pool.store.pixels).float().mean(dim=(0, 1, 2)) / 127.5 - 1
    latents = draw_latents(recipe, torch.zeros(64, dtype=torch.int64), CPU, "test")

    def far():
        with torch.no_grad():
            drawn = state.networks.generator(latents).mean(dim=(0, 2, 3))
        return (drawn - colour).abs().mean().item()

    before = far()
    for _ in range(150):
        one_update(state, pool, recipe, CPU, "float32")
    assert far() < before / 2


def test_codes_are_read_from_a_generator_that_shows_them():
    """A generator is planted that paints its code: the reader learns it, and a generator that
    paints nothing of it stays unread."""
    recipe = recipe_of("infogan-wgan-gp", continuous_codes=0, critic_rate=5e-3)
    missing = {}
    for name, shows in (("shown", 1.0), ("hidden", 0.0)):
        state = begin(pool_of(1), recipe, CPU)
        reader, critic = state.networks.critic.reader, state.networks.critic
        optimiser = torch.optim.Adam(reader.parameters(), lr=5e-3)
        from leukoscope.synthesis.objectives import information_loss

        for step in range(150):
            latents = draw_latents(recipe, torch.zeros(32, dtype=torch.int64), CPU, "plant", step)
            painted = latents.codes[:, :, None, None].expand(-1, -1, 16, 16) * 2 - 1
            with torch.no_grad():
                features = critic.features(shows * painted)
            loss = information_loss(reader(features), latents.codes, recipe)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        missing[name] = loss.item()
    assert missing["shown"] < 0.1
    assert missing["hidden"] > 0.9


def test_in_bfloat16_a_fit_goes_the_same_way():
    """Where the processor holds it: finite, and after two updates near the float32 weights."""
    pool, recipe = pool_of(), recipe_of(critic_steps=1)
    ends = []
    for precision in ("float32", "bfloat16"):
        state = begin(pool, recipe, CPU)
        for _ in range(2):
            one_update(state, pool, recipe, CPU, precision)
        ends.append(weights_of(state.networks.generator))
    for name, value in ends[0].items():
        other = ends[1][name]
        assert other.dtype == value.dtype
        assert other.isfinite().all()
        torch.testing.assert_close(other.float(), value.float(), rtol=0.1, atol=5e-3)
