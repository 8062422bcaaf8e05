import numpy as np
import polars as pl
import pytest
import torch

from leukoscope.foundation.errors import DataError
from leukoscope.models.measured import (
    fit_measured,
    left_as_it_is,
    measured_rows,
    standardised_by,
    usable_measures,
)
from leukoscope.morphology.definitions import COLUMNS


def table_of(**columns):
    """Make a measures table of three cells, empty but for some columns."""
    empty = {name: [None, None, None] for name in COLUMNS}
    whole = {"cell_id": ["a", "b", "c"], **empty, **columns}
    return pl.DataFrame(whole, schema_overrides=dict.fromkeys(COLUMNS, pl.Float64))


def test_standardised_training_cells_have_mean_0_and_deviation_1():
    """A feature that does not vary becomes 0; doing nothing gives the numbers back."""
    torch.manual_seed(0)
    rows = torch.randn(50, 4) * 3 + 7
    rows[:, 2] = 5
    done = standardised_by(rows)(rows)
    torch.testing.assert_close(done.mean(dim=0), torch.zeros(4), atol=1e-6, rtol=0)
    expected = torch.tensor([1.0, 1, 0, 1])
    torch.testing.assert_close(done.std(dim=0, correction=0), expected, atol=1e-6, rtol=0)
    assert torch.equal(left_as_it_is(4)(rows), rows)


def test_empty_measures_are_the_median_and_say_so():
    """One column more for each measure that some training cell lacks, and for no other."""
    rows = np.array([[1, 10], [2, np.nan], [9, 30], [4, 50]], np.float32)
    measured = fit_measured(rows)
    assert measured.median.tolist() == [3, 30]
    assert measured.flagged.tolist() == [False, True]
    done = measured(torch.from_numpy(rows))
    assert done.shape == (4, 3)
    back = done.double() * measured.standardised.scale + measured.standardised.shift
    expected = [[1, 10, 0], [2, 30, 1], [9, 30, 0], [4, 50, 0]]
    np.testing.assert_allclose(back.numpy(), expected, atol=1e-5)


def test_a_measure_that_training_never_lacked_may_be_empty_later():
    """It is the median then, and no column tells."""
    measured = fit_measured(np.array([[1], [2], [9]], np.float32))
    lost = measured(torch.tensor([[float("nan")]]))
    assert torch.equal(lost, measured(torch.tensor([[2.0]])))


def test_measures_in_micrometres_need_every_scale():
    """Used where all measured cells have one, left out where one has none; empty ones are out."""
    area, twin = "cell_area_px2", "cell_area_um2"
    known = table_of(**{area: [1.0, 2.0, None], twin: [1.0, 2.0, None]})
    assert usable_measures(known) == (area, twin)
    assert usable_measures(table_of(**{area: [1.0, 2.0, 3.0], twin: [1.0, None, 3.0]})) == (area,)
    with pytest.raises(DataError, match="None of 3 training cells could be measured"):
        usable_measures(table_of())


def test_measures_are_joined_by_cell():
    """In the order asked for, repeated where asked for, NaN where empty."""
    table = table_of(focus=[1.0, None, 3.0], lobe_count=[4.0, 5.0, 6.0])
    rows = measured_rows(table, ["c", "a", "b", "c"], ("lobe_count", "focus"))
    np.testing.assert_array_equal(rows, [[6, 3], [4, 1], [5, np.nan], [6, 3]])
    assert rows.dtype == np.float32


def test_measures_that_are_not_there_are_told():
    """A column of another version, a cell without a row, a scale that is not known."""
    table = table_of(cell_area_px2=[1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="takes roundness of each cell and 1 more measures"):
        measured_rows(table, ["a"], ("focus", "roundness", "beauty"))
    with pytest.raises(DataError, match="Cell z has no measures"):
        measured_rows(table, ["a", "z"], ("focus",))
    with pytest.raises(DataError, match="takes cell_area_um2, and the scale of 3 cells"):
        measured_rows(table, ["a"], ("cell_area_um2",))
