"""Features whose network has seen cells that are to be tested on: refused, and carried along."""

from dataclasses import replace

import polars as pl
import pytest

from leukoscope.foundation.errors import DataError
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.records.runs import is_seen, seen_of
from leukoscope.synthesis.cells import refuse_seen_tests
from leukoscope.synthesis.recipe import GeneratorRecipe
from leukoscope.synthesis.run import synthesise_run


@pytest.fixture
def divided(phantoms):
    """Hold the cells of the drawn dataset with their sides."""
    return read_split(read_dataset(phantoms), "splits", 0, 0)


def of_side(divided, side):
    """Take the cells of one side."""
    return divided.filter(pl.col("split") == side)


@pytest.mark.parametrize("n_known", [1, 3])
def test_a_network_that_knows_test_cells_chooses_no_generator(
    phantoms, divided, features, tmp_path, n_known
):
    """One known test cell is enough; all that belongs to it counts, and nothing is left behind."""
    known = replace(features, seen=seen_of(of_side(divided, "test").head(n_known)))
    out = tmp_path / "run"
    recipe = GeneratorRecipe(size_px=16)
    with pytest.raises(DataError, match="test and calibration cells were seen by"):
        synthesise_run(read_dataset(phantoms), recipe, features=known, out=out, device="cpu")
    assert not out.exists()


@pytest.mark.parametrize("side", ["train", "validation"])
def test_a_network_that_knows_other_sides_may_choose(phantoms, divided, features, side):
    """What it learnt from training or validation carries no test cell."""
    known = replace(features, seen=seen_of(of_side(divided, side)))
    assert not is_seen(of_side(divided, "test"), known.seen).any()
    refuse_seen_tests(read_dataset(phantoms), GeneratorRecipe(size_px=16), known)
