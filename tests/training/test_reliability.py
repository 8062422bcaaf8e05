"""Trainings that are killed, starved of memory or of disk, in real processes."""

import pytest
import torch
from tests.training.colours import HARDEST, coloured, recipe_of, run
from tests.training.lives import live

from leukoscope.fitting.checkpoints import read_facts
from leukoscope.foundation import progress
from leukoscope.foundation.streams import stream
from leukoscope.models.backbones import build
from leukoscope.training.loop import begin, one_update

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
FILES = ("history.csv", "checkpoint.safetensors")


def contents(folder):
    """Read what a training leaves behind."""
    return {name: (folder / name).read_bytes() for name in FILES}


def shortened(updates, *, validate_every):
    """State the hardest training with fewer updates, its stages at their shares of them."""
    lengths = [stage["updates"] * updates // HARDEST["updates"] for stage in HARDEST["stages"]]
    stages = [
        stage | {"updates": length}
        for stage, length in zip(HARDEST["stages"], lengths, strict=True)
    ]
    return HARDEST | {"updates": updates, "validate_every": validate_every, "stages": stages}


def test_killed_twenty_times_a_training_ends_as_if_undisturbed(tmp_path):
    """Averages, stages, frozen groups, plateau, balanced sampling: history, checkpoint and all
    weights in it, byte for byte. Some twenty updates are done by those that are killed."""
    chance = stream(0, "kills")
    kills = [
        {"ticks": int(chance.integers(0, 3)), "then_s": chance.uniform(0, 0.02)} for _ in range(20)
    ]
    settings = shortened(36, validate_every=5)
    ended = live(tmp_path / "killed", settings, [*kills, {}, {"folder": "whole"}])
    assert [life["ended"] for life in ended] == ["killed"] * 20 + ["done"] * 2
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert read_facts(tmp_path / "whole" / FILES[1])["update"] == 36


def test_a_full_disk_keeps_the_checkpoint_before_and_goes_on_after(tmp_path):
    """A file may hold 20 kB, a checkpoint needs more: one error, the old one whole, nothing beside
    it; with room again the end is the same to the byte."""
    settings = shortened(12, validate_every=3)
    folder = tmp_path / "run"
    lives = [{"ticks": 6, "then_s": 0}, {"file_limit": 20_000}, {"folder": "whole"}]
    killed, full, _ = live(folder, settings, lives)
    assert killed["ended"] == "killed"
    assert full["ended"].startswith("RunError: ")
    assert "checkpoint.safetensors could not be written: File too large" in full["ended"]
    assert {path.name for path in folder.iterdir()} - {*FILES} == set()
    # Whole: it is read, and the run goes on from it.
    assert 0 < read_facts(folder / FILES[1])["update"] < 12
    assert live(folder, settings, [{}])[0]["ended"] == "done"
    assert contents(folder) == contents(tmp_path / "whole")


# Memory

LARGE = {"model": "lenet", "preprocessing": {"size_px": 64}, "batch_size": 256, "updates": 4}
LARGE |= {"validate_every": 2, "optimiser": "sgd", "schedule": "constant"}


def test_out_of_memory_the_batch_is_done_in_parts(tmp_path):
    """A process that may take 70 MB more does not hold 256 cells: it says so, goes on in parts to
    equal weights, and a later process goes on in parts too."""
    folder = tmp_path / "run"
    starved = live(folder, LARGE, [{"memory_mb": 70, "ticks": 4, "then_s": 0}])
    assert starved[0]["ended"] == "killed"
    facts = read_facts(folder / FILES[1])
    assert facts["parts"] > 1
    (later,) = live(folder, LARGE, [{}])
    assert later == {"ended": "done", "notes": []}
    after = read_facts(folder / FILES[1])
    assert after["parts"] == after["history"][-1]["parts"] == facts["parts"]
    whole = run(tmp_path / "whole", **LARGE)
    losses = [[row["train_loss"] for row in rows] for rows in (after["history"], whole.history)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_what_memory_refuses_is_said_once(tmp_path):
    """The note names the cells, the update and the parts, and speaks of no batch normalisation."""
    (lean,) = live(tmp_path / "lean", LARGE | {"updates": 2}, [{"memory_mb": 70}])
    assert lean["ended"] == "done"
    heads = [note.split(",")[0] for note in lean["notes"]]
    assert heads[0].startswith("Memory does not hold 256 cells at once: from update 1 on")
    # Said again only where still smaller parts are needed.
    parts = [int(head.split()[-2]) for head in heads]
    assert parts == sorted(set(parts))
    assert "batch normalisation" not in "".join(lean["notes"])


@pytest.mark.parametrize(("model", "is_normed"), [("test_resnet", True), ("lenet", False)])
def test_a_try_that_memory_refused_leaves_no_trace(model, is_normed):
    """A layer late in the network asks for more than there is while more than 4 cells come: the
    update equals, bit for bit, one that was begun in two parts, statistics included; the note
    speaks of batch normalisation where there is some."""
    recipe = recipe_of(model=model, build_arguments={"drop_rate": 0.3} if is_normed else {})
    train, ends, notes = coloured(48, "train"), [], []

    def ask(_, inputs):
        torch.empty(2**46 if len(inputs[0]) > 4 else 1, dtype=torch.uint8)

    for parts in (1, 2):
        network = build(recipe, 3, 24, seed=0)
        [*network.modules()][-1].register_forward_pre_hook(ask)
        state = begin(network, recipe, CPU)
        state.parts = parts
        with progress.noting(notes.append):
            for _ in range(2):
                one_update(state, train, recipe, CPU, "float32")
        ends.append({name: v.clone() for name, v in network.state_dict().items()})
        assert state.parts == 2
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
    assert len(notes) == 1
    assert notes[0].startswith("Memory does not hold 8 cells at once: from update 1 on")
    assert ("batch normalisation sees a part at a time" in notes[0]) == is_normed


def test_where_not_even_two_cells_fit_the_run_ends_with_a_sentence(tmp_path):
    """And the checkpoint of before is whole."""
    folder = tmp_path / "run"
    live(folder, LARGE, [{"ticks": 2, "then_s": 0}])
    before = (folder / FILES[1]).read_bytes()
    (ended,) = live(folder, LARGE, [{"memory_mb": 0}])
    assert ended["ended"].startswith("RunError: Memory does not hold this training")
    assert (folder / FILES[1]).read_bytes() == before


@pytest.mark.parametrize("settings", [{}, {"regions": "quadrants-and-rim", "bagging": True}])
def test_parts_add_up_to_the_batch(settings):
    """Without batch normalisation and dropout 1, 2 and 4 parts give equal weights to rounding."""
    plan = {
        "model": "lenet",
        "preprocessing": {"size_px": 32},
        "class_weights": "inverse-frequency",
    }
    recipe = recipe_of(**plan, optimiser="sgd", clip_norm=1.0, **settings)
    train = coloured(48, "train", size_px=32, shares=(0.6, 0.3, 0.1))
    ends = []
    for parts in (1, 2, 4):
        state = begin(build(recipe, 3, 32, seed=0), recipe, CPU)
        state.parts = parts
        for _ in range(3):
            one_update(state, train, recipe, CPU, "float32")
        ends.append({n: p.detach().clone() for n, p in state.network.named_parameters()})
    start = dict(build(recipe, 3, 32, seed=0).named_parameters())
    for name, whole in ends[0].items():
        assert not torch.equal(whole, start[name])
        for parted in ends[1:]:
            torch.testing.assert_close(parted[name], whole, rtol=1e-4, atol=1e-7)
