import polars as pl
from tests.evaluation.drawn import predictions
from tests.evaluation.forecasting import forecasts

from leukoscope.evaluation.errors import MOST_SHOWN, error_table, shown_errors


def test_errors_are_the_cells_whose_call_is_not_the_truth():
    """Each with the probabilities that its own row states."""
    table = forecasts(1)
    found = error_table(table)
    wrong = table.filter(pl.col("category") != pl.col("predicted"))
    assert found["cell_id"].to_list() == sorted(wrong["cell_id"])
    for row in wrong.iter_rows(named=True):
        one = found.row(by_predicate=pl.col("cell_id") == row["cell_id"], named=True)
        assert one["p_predicted"] == row[f"p_{row['predicted']}"]
        assert one["p_category"] == row[f"p_{row['category']}"]


def test_labels_alone_have_errors_without_probabilities():
    """The columns are there and null."""
    found = error_table(predictions(2))
    assert found.height > 0
    assert found["p_predicted"].null_count() == found.height


def test_a_page_shows_the_surest_error_of_every_kind():
    """However many errors of one kind there are, no kind is crowded out."""
    errors = error_table(forecasts(3, n_cells=2000, sharpness=0.5))
    assert errors.height > MOST_SHOWN
    shown = shown_errors(errors)
    assert shown.height == MOST_SHOWN
    kinds = ("category", "predicted")
    surest = errors.group_by(kinds).agg(pl.col("p_predicted").max()).sort(kinds)
    kept = shown.group_by(kinds).agg(pl.col("p_predicted").max()).sort(kinds)
    assert surest.equals(kept)
