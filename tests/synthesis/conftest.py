"""Phantom cells and one short run of a generator, shared by the tests of the room."""

import pytest
from tests.synthesis import tiny

from leukoscope.records.dataset import read_dataset
from leukoscope.synthesis.features import open_judge_features
from leukoscope.synthesis.run import synthesise_run


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory):
    """Give the folder of 200 drawn cells; a test that changes them works on a copy."""
    return tiny.drawn_cells(tmp_path_factory.mktemp("phantoms"))


@pytest.fixture(scope="session")
def features():
    return open_judge_features(None, size_px=16)


@pytest.fixture(scope="session")
def finished_run(phantoms, features, one_thread, tmp_path_factory):
    """Fit a shared generator for four updates."""
    out = tmp_path_factory.mktemp("generator") / "run"
    recipe = tiny.recipe_of(members="shared")
    return synthesise_run(read_dataset(phantoms), recipe, features=features, out=out, device="cpu")
