import numpy as np
import polars as pl
import pytest
from tests.evaluation.drawn import NAMES, predictions
from tests.evaluation.forecasting import forecasts

from leukoscope.evaluation.forecasts import forecasts_of
from leukoscope.foundation.errors import DataError


def test_each_row_keeps_its_cell_whatever_the_order_of_rows_and_columns():
    """Shuffled rows and columns give the same forecasts: cells are sorted by name."""
    table = forecasts(1)
    stated = [name for name in table.columns if name.startswith("p_")]
    other = [name for name in table.columns if not name.startswith("p_")]
    shuffled = table.select(*other, *reversed(stated)).sample(fraction=1.0, shuffle=True, seed=3)
    one, two = forecasts_of(table), forecasts_of(shuffled)
    assert one.names == two.names == NAMES
    for first, second in (
        (one.probabilities, two.probabilities),
        (one.truth, two.truth),
        (one.groups, two.groups),
    ):
        np.testing.assert_array_equal(first, second)


def test_merging_adds_the_probabilities_of_neutrophils_up():
    """What is merged has the sum, rows still add up to one, and truth follows."""
    strict = forecasts_of(forecasts(2))
    merged = strict.view("merged")
    assert merged.names == ("neutrophil", "eosinophil", "lymphocyte")
    np.testing.assert_allclose(merged.probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(merged.probabilities[:, 0], strict.probabilities[:, :2].sum(axis=1))
    np.testing.assert_array_equal(merged.truth, np.maximum(strict.truth - 1, 0))
    assert strict.view("strict") is strict


def test_labels_alone_forecast_nothing():
    """A table without probabilities has none to score."""
    assert forecasts_of(predictions(3)) is None


@pytest.mark.parametrize("odd", [float("nan"), -0.2, 1.7])
def test_odd_probabilities_are_refused_by_cell(odd):
    """One that is missing, negative or above one is named with its cell; nothing is scored."""
    table = forecasts(4)
    cell = pl.col("cell_id") == "cell-0007"
    table = table.with_columns(p_band=pl.when(cell).then(odd).otherwise(pl.col("p_band")))
    with pytest.raises(
        DataError, match=r"Those of cell cell-0007 .* 1 of 120 .*Nothing was scored"
    ):
        forecasts_of(table)
