import numpy as np
import polars as pl
import pytest
import torch
from tests.training.colours import HARDEST, coloured, recipe_of, run

from leukoscope.foundation import progress
from leukoscope.foundation.errors import RunError
from leukoscope.foundation.streams import stream
from leukoscope.models.backbones import build
from leukoscope.training.loop import Fit, begin, best_row, fit, is_over, one_update
from leukoscope.training.recipe import TrainingRecipe

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


def weights_of(state):
    """Give the network's own weights, detached."""
    return {name: value.detach().clone() for name, value in state.network.state_dict().items()}


def equal(one, other):
    """Tell whether two sets of weights are equal bit for bit."""
    assert one.keys() == other.keys()
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_colours_are_learned(tmp_path):
    """The loss falls far and validation is right about nearly all."""
    state = run(tmp_path, updates=40, validate_every=10)
    history = pl.read_csv(tmp_path / "history.csv")
    assert history["update"].to_list() == [10, 20, 30, 40]
    assert history["train_loss"][-1] < 0.2 < history["train_loss"][0]
    assert best_row(state.history)["validation_accuracy"] > 0.9


def test_history_says_what_happened(tmp_path):
    """A row a validation: rounds seen, the rate of the schedule, a mean loss of its updates."""
    run(tmp_path, updates=7, schedule="constant")
    history = pl.read_csv(tmp_path / "history.csv")
    assert history["update"].to_list() == [3, 6, 7]
    assert history["rounds"].to_list() == pytest.approx([0.5, 1.0, 7 / 6])
    assert history["learning_rate"].to_list() == [3e-3] * 3
    assert history["is_best"][0]


def test_the_history_on_disk_is_the_one_in_memory(tmp_path):
    """Every number in full, read back by the table library under its kind."""
    state = run(tmp_path, updates=6)
    assert pl.read_csv(tmp_path / "history.csv").to_dicts() == state.history


def test_the_best_validation_is_kept(tmp_path):
    """A row is marked where macro-F, then loss, is better than ever; its weights are kept."""
    plan = {"schedule": "constant", "validate_every": 1, "learning_rate": 0.02}
    state = run(tmp_path / "whole", updates=8, **plan)
    merits = [(row["validation_macro_f"], -row["validation_loss"]) for row in state.history]
    expected = [all(merit > earlier for earlier in merits[:i]) for i, merit in enumerate(merits)]
    assert [row["is_best"] for row in state.history] == expected
    best = best_row(state.history)
    assert merits[best["update"] - 1] == max(merits)
    until_then = run(tmp_path / "part", updates=best["update"], **plan).network.state_dict()
    assert all(torch.equal(state.best[name], value) for name, value in until_then.items())


def test_patience_stops_early(tmp_path):
    """Under a rate far too high it ends two validations after the best one, and not later."""
    state = run(tmp_path, updates=60, validate_every=2, learning_rate=0.3, patience=2)
    ended = len(state.history)
    best = max(i for i, row in enumerate(state.history) if row["is_best"])
    assert state.update < 60
    assert ended - 1 - best == 2


def test_a_plateau_lowers_the_rate(tmp_path):
    """The history's rates follow from its scores by the rule."""
    state = run(
        tmp_path,
        updates=24,
        validate_every=2,
        schedule="plateau",
        plateau_patience=2,
        learning_rate=0.2,
    )
    rates = [row["learning_rate"] for row in state.history]
    scores = [row["validation_macro_f"] for row in state.history]
    best, since, rate = -1.0, 0, 0.2
    for score, seen in zip(scores, rates, strict=True):
        assert seen == pytest.approx(rate)
        since = 0 if score > best else since + 1
        best = max(best, score)
        if since == 2:
            since, rate = 0, rate * 0.3
    assert rates[-1] < 0.2


def test_is_over_counts_updates_and_validations_without_a_best():
    """By hand: three validations, the first the best."""
    recipe = TrainingRecipe(updates=10, patience=2)
    marks = (True, False, False)
    rows = [{"update": i + 1, "is_best": mark} for i, mark in enumerate(marks)]

    def at(update, n):
        return is_over(Fit(None, None, update=update, history=rows[:n]), recipe)

    assert [at(4, n) for n in range(4)] == [False, False, False, True]
    assert at(10, 1)


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path):
    """At once, with the number of the update, and without a checkpoint of its weights."""
    with pytest.raises(RunError, match=r"training loss became (nan|inf) at update \d"):
        run(tmp_path, learning_rate=1e30, optimiser="sgd", updates=6, validate_every=6)
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_a_validation_that_is_not_finite_ends_the_run(tmp_path):
    """One update that ruins the weights is noticed even where it is the last one."""
    with pytest.raises(RunError, match=r"validation loss became (nan|inf) at update 1"):
        run(tmp_path, learning_rate=1e30, optimiser="sgd", updates=1)
    assert not (tmp_path / "history.csv").exists()


def test_progress_is_told(tmp_path):
    """Each update once, to its end."""
    told = []
    with progress.listening(lambda *step: told.append(step)):
        run(tmp_path, updates=4)
    assert [step for step in told if step[0] == "training"] == [
        ("training", done, 4) for done in range(5)
    ]


def test_torchs_random_state_outside_is_left_alone(tmp_path):
    """Dropout and all else that torch draws come from the run's own streams."""
    before = torch.random.get_rng_state()
    run(tmp_path, updates=2)
    assert torch.equal(torch.random.get_rng_state(), before)


# One recipe, one result


def test_one_recipe_twice_gives_equal_bytes(tmp_path):
    """With averages, stages, frozen groups and all: weights, checkpoint, history."""
    plan = HARDEST | {"updates": 12, "validate_every": 3}
    plan["stages"] = [stage | {"updates": 4} for stage in HARDEST["stages"]]
    one, other = (run(tmp_path / name, **plan) for name in ("one", "other"))
    assert equal(one.best, other.best)
    assert equal(weights_of(one), weights_of(other))
    for name in ("history.csv", "checkpoint.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@pytest.mark.parametrize(
    "settings",
    [
        {"optimiser": "adam", "weight_decay": 0},
        {"optimiser": "amsgrad", "weight_decay": 0},
        {"optimiser": "rmsprop", "weight_decay": 0, "learning_rate": 1e-3},
        {"optimiser": "sgd", "schedule": "one-cycle", "learning_rate": 0.07, "updates": 150},
        {"schedule": "step", "step_every": 15},
        {"loss": "focal", "focal_gamma": 2},
        {"class_weights": "inverse-frequency", "label_smoothing": 0.05},
        {"class_weights": "effective-number"},
        {"logit_adjustment": 1},
        {"sampling": "balanced", "average_decay": 0.9, "clip_norm": 1},
        {"rate_decay": 0.8, "choose_by": "balanced_accuracy"},
        {"regions": "quadrants-and-rim", "bagging": True, "preprocessing": {"size_px": 32}},
    ],
    ids=lambda settings: " ".join(map(str, settings)),
)
def test_rare_colours_are_learned_by_every_means(tmp_path, settings):
    """Of categories 10 : 4 : 1 nearly all validation cells, which are of equal shares, are told."""
    plan = {"model": "lenet", "updates": 60, "validate_every": 30} | settings
    state = run(tmp_path, shares=(0.66, 0.27, 0.07), **plan)
    assert best_row(state.history)["validation_balanced_accuracy"] > 0.9


# What chooses and what stops


@pytest.mark.parametrize("choose_by", ["macro_f", "balanced_accuracy", "accuracy", "loss"])
def test_the_score_that_was_named_chooses(tmp_path, choose_by):
    """The row that is kept is the first with the best of that score; the loss decides a tie."""
    state = run(tmp_path, updates=12, validate_every=1, learning_rate=0.02, choose_by=choose_by)
    loss = [-row["validation_loss"] for row in state.history]
    named = [row.get(f"validation_{choose_by}") for row in state.history]
    merits = list(zip(loss if choose_by == "loss" else named, loss, strict=True))
    assert best_row(state.history)["update"] - 1 == merits.index(max(merits))


def test_a_run_that_grew_worse_is_stopped():
    """By hand: the first row where accuracy fell and loss rose; one of them alone is not enough."""
    recipe = TrainingRecipe(updates=10, stop_when_worse=True)
    pairs = [(0.5, 1.0), (0.4, 0.9), (0.6, 1.1), (0.6, 1.2), (0.5, 1.3)]
    rows = [
        {"update": i, "is_best": True, "validation_accuracy": right, "validation_loss": loss}
        for i, (right, loss) in enumerate(pairs, start=1)
    ]

    def over(n, recipe=recipe):
        return is_over(Fit(None, None, update=n, history=rows[:n]), recipe)

    assert [over(n) for n in range(6)] == [False] * 5 + [True]
    assert not over(5, TrainingRecipe(updates=10))


def test_patience_counts_within_the_last_stage():
    """Rows without a best before it end nothing; those after it do."""
    stages = [{"updates": 4}, {"updates": 6}]
    recipe = TrainingRecipe(updates=10, patience=2, stages=stages)
    rows = [{"update": i, "is_best": i == 1} for i in range(1, 11)]
    over = [is_over(Fit(None, None, update=n, history=rows[:n]), recipe) for n in range(9)]
    assert over == [False] * 6 + [True] * 3


# What cannot be counted with


def test_a_gradient_that_is_not_finite_leaves_the_weights_alone(tmp_path):
    """A loss within bounds whose gradient is not: named with the update and what to do."""
    recipe, train = recipe_of(optimiser="sgd"), coloured(48, "train")
    state = begin(build(recipe, 3, 24, seed=0), recipe, CPU)
    one_update(state, train, recipe, CPU, "float32")
    before, momenta = weights_of(state), state.optimiser.state_dict()["state"]
    momenta = {i: {k: v.clone() for k, v in one.items()} for i, one in momenta.items()}
    # The derivative of a root at 0: the answer is finite, its slope is not.
    state.network.fc.register_forward_hook(lambda _, __, out: out + (out * 0).sqrt())
    with pytest.raises(RunError, match=r"gradient's norm became (inf|nan) at update 2.*clip_norm"):
        one_update(state, train, recipe, CPU, "float32")
    learned = {name for name, _ in state.network.named_parameters()}
    assert all(torch.equal(before[name], weights_of(state)[name]) for name in learned)
    after = state.optimiser.state_dict()["state"]
    assert all(torch.equal(v, after[i][k]) for i, one in momenta.items() for k, v in one.items())
    assert state.update == 1


def test_gradients_are_shortened_to_the_norm(tmp_path):
    """With plain descent a step is as long as the rate times the norm that was asked for."""
    recipe = recipe_of(optimiser="sgd", clip_norm=1e-3, weight_decay=0, schedule="constant")
    state = begin(build(recipe, 3, 24, seed=0), recipe, CPU)
    before = {name: p.detach().double() for name, p in state.network.named_parameters()}
    before = {name: value.clone() for name, value in before.items()}
    one_update(state, coloured(48, "train"), recipe, CPU, "float32")
    after = dict(state.network.named_parameters())
    moved = sum(((after[name].detach() - value) ** 2).sum() for name, value in before.items())
    # Nesterov's momentum counts the first gradient 1.9 times.
    assert float(moved.sqrt()) == pytest.approx(1.9 * 3e-3 * 1e-3, rel=1e-2)


def test_a_category_without_training_cells_is_never_answered(tmp_path):
    """Four outputs, cells of three: whatever makes up for rare categories, losses are finite."""
    train, validation = coloured(48, "train"), coloured(24, "validation")
    for settings in (
        {"class_weights": "inverse-frequency"},
        {"class_weights": "effective-number"},
        {"logit_adjustment": 1.0},
        {"sampling": "balanced"},
    ):
        recipe = recipe_of(model="lenet", updates=60, validate_every=30, **settings)
        (folder := tmp_path / recipe.recipe_id).mkdir()
        network = build(recipe, 4, 24, seed=0)
        how = {"run": folder, "device": CPU, "precision": "float32"}
        state = fit(network, train, validation, recipe, **how)
        pictures = torch.rand(20, 3, 24, 24) * 2 - 1
        assert best_row(state.history)["validation_accuracy"] > 0.9
        assert 3 not in network.eval()(pictures).argmax(dim=1).tolist()


# Features in the place of pixels


class Rows:
    """Hold features, as a store gives them."""

    def __init__(self, features):
        self.features = features

    def take(self, rows):
        """Copy some rows."""
        return self.features[rows]


def test_a_head_is_fitted_on_features_by_the_same_loop(tmp_path):
    """What stands for the frozen part is not frozen again; features go in as they are."""
    rng = stream(5, "features")
    sides = []
    for n in (60, 30):
        codes = rng.integers(0, 3, n)
        rows = np.eye(3, 8)[codes] + rng.normal(0, 0.2, (n, 8))
        part = coloured(n, "any")
        store = Rows(rows.astype(np.float32))
        sides.append(type(part)(part.cell_ids, codes, part.rows, store, part.copies))
    recipe = recipe_of(
        updates=60,
        validate_every=20,
        learning_rate=0.1,
        frozen_groups="all-but-head",
        rate_decay=0.5,
    )
    how = {"run": tmp_path, "device": CPU, "precision": "float32"}
    state = fit(torch.nn.Linear(8, 3), *sides, recipe, **how)
    assert best_row(state.history)["validation_accuracy"] > 0.9
