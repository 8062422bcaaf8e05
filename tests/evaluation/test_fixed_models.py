import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy.stats import t as student
from scipy.stats import ttest_rel
from tests.evaluation.drawn import predictions
from tests.evaluation.forecasting import forecasts

from leukoscope.evaluation.fixed_models import NON_INFERIORITY, REPLICA, comparison_of
from leukoscope.evaluation.results import AS_IF_CASES
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.foundation.progress import noting
from leukoscope.stats.verdicts import holm

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
    """Every difference is 0 with p = 1, and the ratio of errors 1; none has bounds."""
    table = forecasts(1)
    found = compared({"one": table, "copy": table})
    rows = found.results.filter(pl.col("arm") == "copy", pl.col("baseline") == "one")
    rows = rows.filter(~pl.col("method").str.contains(REPLICA))
    assert rows["low"].null_count() == rows["high"].null_count() == rows.height
    ratio = rows.filter(pl.col("metric") == "error_ratio")["value"]
    assert (ratio == 1).all()
    zero = rows.filter(pl.col("metric") != "error_ratio")
    assert (zero["value"] == 0).all()
    tested = zero.filter(pl.col("p_value").is_not_null())
    assert (tested["p_value"] == 1).all()
    passed = rows.filter(pl.col("method").str.starts_with(NON_INFERIORITY))
    assert passed["p_value"].to_list() == [None]
    assert "undefined: no group shows a difference" in passed["method"].item()


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


def test_the_wider_interval_has_its_own_p_and_its_own_holm():
    """The standard error grows by the same factor; adjusted over the models by itself."""
    arms = {name: predictions(6, n_cases=0, purpose=name) for name in ("a", "b", "c")}
    rows = compared(arms, primary="accuracy").results.filter(metric="accuracy", view="strict")
    wide = rows.filter(pl.col("unit") == AS_IF_CASES).sort("arm")
    own = rows.filter(
        pl.col("method").str.starts_with("paired jackknife t,"), pl.col("unit") != AS_IF_CASES
    ).sort("arm")
    degrees = 119
    error = (own["high"] - own["value"]).to_numpy() / student.ppf(0.975, degrees)
    t = own["value"].to_numpy() / error / np.sqrt(1 + 49 * 0.05)
    expected = 2 * student.sf(np.abs(t), degrees)
    np.testing.assert_allclose(wide["p_value"].to_numpy(), expected)
    np.testing.assert_allclose(wide["p_adjusted"].to_numpy(), holm(expected))
    assert (wide["p_value"] > own["p_value"]).all()


def test_models_that_read_a_label_differently_are_not_compared():
    """One answers neutrophil, the other band and segmented: both and the way out are named."""
    fine = predictions(9)
    coarse = fine.with_columns(
        predicted=pl.col("predicted").replace({"band": "neutrophil", "segmented": "neutrophil"})
    )
    for arms in ({"fine": fine, "coarse": coarse}, {"coarse": coarse, "fine": fine}):
        with pytest.raises(DataError, match="answer different categories") as caught:
            compared(arms)
        for words in ("fine", "coarse", "neutrophil", "segmented, band", "merge band and"):
            assert words in str(caught.value)
        assert "cell_id" not in str(caught.value)


def test_probabilities_of_other_categories_are_said_to_be_left_out():
    """The losses of 4 categories are not held against those of 5, and that is noted."""
    table = forecasts(10)
    more = forecasts(10, purpose="more").with_columns(p_monocyte=pl.lit(0.0))
    told = []
    with noting(told.append):
        found = compared({"four": table, "five": more})
    metrics = found.results.filter(pl.col("baseline").is_not_null())["metric"]
    assert not set(metrics) & {"auroc", "brier", "log_loss"}
    assert len(told) == 1
    assert "of five are not compared with those of four" in told[0]
    assert "monocyte only in one" in told[0]


def test_models_that_call_all_alike_are_named():
    """Two names for one tool's calls; a third that differs is not named."""
    table, other = predictions(11), predictions(11, purpose="other")
    told = []
    with noting(told.append):
        compared({"one": table, "other": other, "twin": table.sample(fraction=1.0, seed=1)})
    assert told == ["The calls of one and twin are the same in all 120 cells."]


def test_replicas_stand_for_what_they_tested():
    """The paired t has the mean of the groups' differences; Wald's interval is a model's own."""
    arms = {name: predictions(12, n_cells=90, n_cases=7, purpose=name) for name in ("a", "b", "c")}
    rows = compared(arms).results.filter(
        pl.col("method").str.starts_with(REPLICA), metric="accuracy", view="strict"
    )
    right = {
        arm: table.group_by("case")
        .agg(share=(pl.col("predicted") == pl.col("category")).mean())
        .sort("case")["share"]
        for arm, table in arms.items()
    }
    paired = rows.filter(pl.col("method").str.contains("paired t of group"), arm="b")
    assert paired["value"].item() == pytest.approx((right["b"] - right["a"]).mean())
    test = ttest_rel(right["b"].to_numpy(), right["a"].to_numpy())
    assert paired["p_value"].item() == pytest.approx(test.pvalue)
    wald = rows.filter(pl.col("method").str.contains("Wald"))
    assert wald["arm"].sort().to_list() == ["a", "b", "c"]
    assert wald["baseline"].null_count() == 3
    for row in wald.iter_rows(named=True):
        table = arms[row["arm"]]
        assert row["value"] == pytest.approx((table["predicted"] == table["category"]).mean())


def test_no_p_value_is_nothing():
    """Opposite calls of 1,500 cells: p is too small for a number, and yet is not 0."""
    good = predictions(13, n_cells=1500, n_cases=0, right=0.98, names=("band", "segmented"))
    turned = pl.col("predicted").replace({"band": "segmented", "segmented": "band"})
    found = compared({"good": good, "bad": good.with_columns(turned)})
    smallest = found.results["p_value"].min()
    assert smallest == 1e-300
    assert found.results["p_adjusted"].min() > 0


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


def test_a_model_of_one_category_can_be_compared():
    """What is undefined for several tests at once is a row each, and the check speaks."""
    flat = predictions(9).with_columns(predicted=pl.lit("band"))
    found = compared({"good": predictions(9), "flat": flat})
    assert ("flat", "collapse", "error") in set(
        found.guards.select("arm", "check", "severity").rows()
    )
