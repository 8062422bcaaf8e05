"""Two-stage training as two runs: the second starts from what the first has learned."""

import json
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file

import leukoscope
from leukoscope.intake.decode import decode
from leukoscope.records.dataset import read_dataset

pytestmark = pytest.mark.usefixtures("one_thread")

CELLS = """
name: {name}
seed: {seed}
n_cases: 15
cells_per_case: 8
mix: {{segmented: 1, band: 1, eosinophil: 1, lymphocyte: 1}}
size_px: 40
overlap: 0.0
case_spread: 0.3
direction: none
noise_levels: {noise}
"""
PLAN = {
    "model": "test_resnet",
    "preprocessing": {"size_px": 32},
    "batch_size": 8,
    "updates": 4,
    "validate_every": 4,
    "warmup_updates": 0,
}


def drawn(folder: Path, name: str, *, seed: int, noise: float) -> Path:
    """Draw cells of four categories and split them."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(CELLS.format(name=name, seed=seed, noise=noise))
    cells = leukoscope.ingest("phantom", str(folder / f"{name}.yaml"), out=folder / name)
    leukoscope.split(cells)
    return cells


def recipe(folder: Path, **changes: object) -> Path:
    """Write the plan with some values changed."""
    path = folder / f"recipe-{len(list(folder.iterdir()))}.yaml"
    path.write_text(yaml.safe_dump(PLAN | changes))
    return path


def test_a_second_run_goes_on_from_the_first(tmp_path):
    """As Nozaka 2020: cells with little noise first, then noisy ones. With its head kept the
    second run starts at the first one's very weights; without, at its body's alone."""
    plain = drawn(tmp_path, "plain", seed=3, noise=1.0)
    noisy = drawn(tmp_path, "noisy", seed=4, noise=12.0)
    pictures = [
        decode((Path(known.image_root) / known.manifest["path"][0]).read_bytes(), name="").pixels
        for known in (read_dataset(plain), read_dataset(noisy))
    ]
    assert (pictures[0] != pictures[1]).any()
    how = {"device": "cpu"}
    first = leukoscope.train(plain, recipe=recipe(tmp_path), out=tmp_path / "first", **how)
    learned = load_file(first / "model" / "model.safetensors")
    # A rate too small to move a weight: what is saved is what was begun with.
    still = {"learning_rate": 1e-30, "weight_decay": 0, "optimiser": "sgd"}
    for keep_head in (True, False):
        second = leukoscope.train(
            noisy,
            recipe=recipe(tmp_path, keep_head=keep_head, **still),
            weights=first,
            out=tmp_path / f"second-{keep_head}",
            **how,
        )
        seen = load_file(second / "model" / "model.safetensors")
        equal = {name for name, value in learned.items() if (seen[name] == value).all()}
        weights = {name for name in learned if name.endswith(("weight", "bias"))}
        head = {name for name in weights if name.startswith("fc.")}
        assert weights - equal == (set() if keep_head else head)
    assert json.loads((second / "done.json").read_text())["updates"] == 4
