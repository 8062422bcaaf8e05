"""Settles what every test runs under: threads, drawing, hypothesis, and the shared pictures."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# Read by the libraries when they are first imported, here or in a process a test starts. Tests
# work on small arrays, in as many processes as there are cores: more threads wait for each other.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ["MPLBACKEND"] = "Agg"
# Threads that wait by spinning take the other processes' time where a machine is shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# How long an example takes says more about the machine than about the code; and a submission must
# not fail by the luck of its draw, while a person at work should meet new examples every time.
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("house")


# Rooms whose tests take longest: they are begun first, or one process would end long after others.
LONGEST = ("cli", "verbs", "replication", "synthesis", "training", "reporting", "models")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the rooms that take longest first, in that order; the others follow."""

    def rank(item: pytest.Item) -> int:
        rooms = [
            place
            for place, room in enumerate(LONGEST)
            if ROOT / "tests" / room in item.path.parents
        ]
        return min(rooms, default=len(LONGEST))

    items.sort(key=rank)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Give the folder of real pictures and weights that lies beside the clone, or skip."""
    folder = Path(os.environ.get("LEUKOSCOPE_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(
            f"No folder of shared pictures at {folder}: it lies beside the clone where there is "
            "one; LEUKOSCOPE_SHARED names another place."
        )
    return folder


# Drawn cells, and one short training on them, for the rooms above intake. They are shared by all
# tests of a session: a test that changes them works on a copy.

CELLS = """
name: tiny
seed: 3
n_cases: 15
cells_per_case: 8
mix: {segmented: 1, band: 1, eosinophil: 1, lymphocyte: 1}
size_px: 40
overlap: 0.0
case_spread: 0.3
direction: none
noise_levels: 1.0
"""
TRAINING = """
model: test_resnet
build_arguments: {drop_rate: 0.2}
preprocessing: {size_px: 32}
augmentation:
  name: rotation
  steps:
    - kind: rotation
batch_size: 8
updates: 20
validate_every: 5
warmup_updates: 2
learning_rate: 0.002
"""


@pytest.fixture(scope="session")
def one_thread() -> None:
    """Let torch compute with one thread: on cores shared with others, two wait for each other."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw 120 cells of four categories and fifteen cases, and split them."""
    import leukoscope

    folder = tmp_path_factory.mktemp("drawn")
    (folder / "tiny.yaml").write_text(CELLS)
    dataset = leukoscope.ingest("phantom", str(folder / "tiny.yaml"), out=folder / "cells")
    leukoscope.split(dataset)
    return dataset


@pytest.fixture(scope="session")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the recipe of a training that takes a second."""
    path = tmp_path_factory.mktemp("recipe") / "short.yaml"
    path.write_text(TRAINING)
    return path


@pytest.fixture(scope="session")
def finished(
    cells: Path, recipe_file: Path, one_thread: None, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Train once, undisturbed."""
    import leukoscope

    out = tmp_path_factory.mktemp("undisturbed") / "run"
    return leukoscope.train(cells, recipe=recipe_file, out=out, device="cpu")
