import numpy as np
import polars as pl
import pytest
import torch

from leukoscope.foundation import progress
from leukoscope.foundation.errors import RunError
from leukoscope.foundation.streams import stream
from leukoscope.intake.store import PixelStore
from leukoscope.models.backbones import build
from leukoscope.training.cells import Cells
from leukoscope.training.loop import Fit, best_row, fit, is_over
from leukoscope.training.recipe import TrainingRecipe

pytestmark = pytest.mark.usefixtures("one_thread")
COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])


def coloured(n, purpose):
    """Draw cells whose category is their colour, under noise."""
    rng = stream(1, purpose)
    codes = rng.integers(0, 3, n)
    pixels = COLOURS[codes][:, None, None] + rng.integers(-30, 31, (n, 24, 24, 3))
    names = [f"{purpose}-{i}" for i in range(n)]
    store = PixelStore(pixels.astype(np.uint8), {name: i for i, name in enumerate(names)})
    return Cells(names, codes, np.arange(n), store, np.zeros(n, np.int64))


def run(folder, **settings):
    """Fit on colours, with settings beside a short plan."""
    plan = {"model": "test_resnet", "batch_size": 8, "updates": 12, "validate_every": 3}
    plan |= {"learning_rate": 3e-3, "warmup_updates": 0, "preprocessing": {"size_px": 24}}
    recipe = TrainingRecipe.from_mapping(plan | settings, where="a test")
    network = build("test_resnet", {}, 3, seed=recipe.seed)
    folder.mkdir(exist_ok=True)
    return fit(
        network,
        coloured(48, "train"),
        coloured(24, "validation"),
        recipe,
        run=folder,
        device=torch.device("cpu"),
        precision="float32",
    )


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
    rows = [{"is_best": True}, {"is_best": False}, {"is_best": False}]

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
