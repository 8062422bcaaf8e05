import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.evaluation.drawn import predictions
from tests.evaluation.forecasting import forecasts

from leukoscope.evaluation.fixed_models import NON_INFERIORITY, REPLICA, comparison_of
from leukoscope.evaluation.results import AS_IF_CASES
from leukoscope.foundation.errors import DataError, UsageError

KEY = ("metric", "view", "category", "method")


def compared(arms, **named):
    """Compare with the first arm."""
    asked = {"primary": "macro_f", "margin": 0.01} | named
    return comparison_of(arms, next(iter(arms)), **asked)


def differences(found, arm):
    """Give the differences of an arm by the jackknife: no replica, no widened row."""
    rows = found.results.filter(pl.col("arm") == arm, pl.col("baseline").is_not_null())
    rows = rows.filter(pl.col("method").str.starts_with("paired jackknife t,"))
    return rows.filter(pl.col("unit") != AS_IF_CASES)


def test_a_model_against_its_copy_differs_by_nothing():
    """Every difference is 0 with p = 1, and the ratio of errors 1."""
    table = forecasts(1)
    found = compared({"one": table, "copy": table})
    rows = found.results.filter(pl.col("arm") == "copy", pl.col("baseline") == "one")
    rows = rows.filter(~pl.col("method").str.contains(REPLICA))
    ratio = rows.filter(pl.col("metric") == "error_ratio")["value"]
    assert (ratio == 1).all()
    zero = rows.filter(pl.col("metric") != "error_ratio")
    assert (zero["value"] == 0).all()
    tested = zero.filter(pl.col("p_value").is_not_null())
    tested = tested.filter(~pl.col("method").str.starts_with(NON_INFERIORITY))
    assert (tested["p_value"] == 1).all()


def test_exchanging_the_models_turns_every_difference_round():
    """Value and bounds change sign, p values stay."""
    arms = {"a": forecasts(2), "b": forecasts(2, purpose="other", sharpness=1.5)}
    one = differences(compared(arms), "b").sort(KEY)
    two = differences(compared(dict(reversed(arms.items()))), "a").sort(KEY)
    np.testing.assert_allclose(one["value"], -two["value"], atol=1e-12)
    np.testing.assert_allclose(one["low"].to_numpy(), -two["high"].to_numpy(), atol=1e-12)
    np.testing.assert_allclose(one["p_value"].to_numpy(), two["p_value"].to_numpy(), atol=1e-9)


def test_the_order_of_rows_says_nothing():
    """Joined by cell, never by order."""
    arms = {"a": forecasts(3), "b": forecasts(3, purpose="other")}
    mixed = {name: table.sample(fraction=1.0, shuffle=True, seed=7) for name, table in arms.items()}
    assert_frame_equal(compared(arms).results, compared(mixed).results, check_exact=True)


def test_only_the_planned_metric_is_adjusted_and_each_kind_of_test_by_itself():
    """Holm over the models in the strict view of the primary metric, nowhere else."""
    arms = {name: forecasts(4, purpose=name) for name in ("a", "b", "c")}
    rows = compared(arms, primary="accuracy").results
    adjusted = rows.filter(pl.col("p_adjusted").is_not_null())
    assert set(adjusted.select("metric", "view").rows()) == {("accuracy", "strict")}
    for _, kind in adjusted.group_by(pl.col("method").str.slice(0, 12)):
        assert kind.height == 2
        smaller = kind.sort("p_value").row(0, named=True)
        assert smaller["p_adjusted"] == pytest.approx(min(1, 2 * smaller["p_value"]))


def test_a_better_model_is_found_and_a_little_worse_one_is_not_inferior():
    """A planted gain has an interval above 0; a copy with two cells wrong passes a margin of .1."""
    good = forecasts(5, n_cells=600, n_cases=30, sharpness=6)
    poor = forecasts(5, n_cells=600, n_cases=30, sharpness=1)
    found = compared({"poor": poor, "good": good}, primary="accuracy")
    gain = differences(found, "good").filter(metric="accuracy", view="strict")
    expected = (good["predicted"] == good["category"]).mean() - (
        poor["predicted"] == poor["category"]
    ).mean()
    assert gain["value"].item() == pytest.approx(expected)
    assert gain["low"].item() > 0
    spoilt = good.with_row_index().with_columns(
        predicted=pl.when(pl.col("index") < 2).then(pl.lit("band")).otherwise("predicted")
    )
    near = compared({"good": good, "near": spoilt.drop("index")}, primary="accuracy", margin=0.1)
    passed = near.results.filter(pl.col("method").str.starts_with(NON_INFERIORITY))
    assert (passed["p_value"] < 0.001).all()
    assert (passed["low"] > -0.1).all()


def test_without_cases_each_difference_has_a_second_wider_interval():
    """As if 50 cells came from a person; the value stays."""
    arms = {"a": predictions(6, n_cases=0), "b": predictions(6, n_cases=0, purpose="other")}
    rows = compared(arms).results.filter(pl.col("baseline").is_not_null())
    wide = rows.filter(pl.col("unit") == AS_IF_CASES).filter(metric="accuracy", view="strict")
    plain = differences(compared(arms), "b").filter(metric="accuracy", view="strict")
    assert wide["value"].item() == plain["value"].item()
    ratio = (wide["high"] - wide["low"]).item() / (plain["high"] - plain["low"]).item()
    assert ratio == pytest.approx(np.sqrt(1 + 49 * 0.05))


def test_models_of_other_cells_or_labels_are_not_compared():
    """The cell that differs is named."""
    table = predictions(7)
    other = table.filter(pl.col("cell_id") != "cell-0005")
    with pytest.raises(DataError, match="cell-0005 is in one of them only"):
        compared({"a": table, "b": other})


def test_an_unknown_metric_is_refused():
    """With the known ones in the sentence."""
    table = predictions(8)
    with pytest.raises(UsageError, match="accuracy, balanced_accuracy, macro_f"):
        compared({"a": table, "b": table}, primary="auc")
