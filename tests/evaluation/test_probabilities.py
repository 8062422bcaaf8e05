import numpy as np
import polars as pl
import pytest
from sklearn import metrics
from tests.evaluation.drawn import NAMES
from tests.evaluation.forecasting import forecasts

from leukoscope.evaluation.forecasts import forecasts_of
from leukoscope.evaluation.guards import guards_of
from leukoscope.evaluation.points import MOST_POINTS, points_table
from leukoscope.evaluation.probabilities import BORDER, probability_rows


def rows_of(table, sensitivity=0.9):
    """Give {(metric, category): row}."""
    found = probability_rows(forecasts_of(table), {"view": "strict", "unit": "case"}, sensitivity)
    return {(row["metric"], row.get("category")): row for row in found}


def test_scores_are_those_of_scikit_learn():
    """AUROC, average precision, Brier score and log loss, from the table's own columns."""
    table = forecasts(1, n_cells=400)
    found = rows_of(table)
    shares = table.select(f"p_{name}" for name in NAMES).to_numpy()
    truth = table["category"].to_numpy()
    is_one = truth[:, None] == np.array(NAMES)
    each = [metrics.roc_auc_score(is_one[:, c], shares[:, c]) for c in range(len(NAMES))]
    assert found["auroc", None]["value"] == pytest.approx(np.mean(each))
    for c, name in enumerate(NAMES):
        assert found["auroc", name]["value"] == pytest.approx(each[c])
        precise = metrics.average_precision_score(is_one[:, c], shares[:, c])
        assert found["average_precision", name]["value"] == pytest.approx(precise)
    assert found["brier", None]["value"] == pytest.approx(((shares - is_one) ** 2).sum(1).mean())
    codes = is_one.argmax(axis=1)
    loss = metrics.log_loss(codes, shares, labels=range(len(NAMES)))
    assert found["log_loss", None]["value"] == pytest.approx(loss)
    counts = np.bincount(codes) / len(codes)
    entropy = -(counts * np.log(counts)).sum()
    assert found["log_loss_constant", None]["value"] == pytest.approx(entropy)


def test_the_border_is_judged_among_bands_and_segmented_cells_alone():
    """Its AUROC is that of p(band) of both, on true bands and segmented cells."""
    table = forecasts(2, n_cells=300)
    part = table.filter(pl.col("category").is_in(["band", "segmented"]))
    score = part["p_band"] / (part["p_band"] + part["p_segmented"])
    expected = metrics.roc_auc_score(part["category"] == "band", score)
    assert rows_of(table)["auroc", BORDER]["value"] == pytest.approx(expected)


@pytest.mark.parametrize("sensitivity", [0.5, 0.9, 1.0])
def test_an_operating_point_reaches_its_sensitivity_and_no_higher_threshold_does(sensitivity):
    """Counted over from the table."""
    table = forecasts(3, n_cells=300)
    found = rows_of(table, sensitivity)
    for name in NAMES:
        threshold = found["operating_threshold", name]["value"]
        own = table.filter(pl.col("category") == name)[f"p_{name}"]
        rest = table.filter(pl.col("category") != name)[f"p_{name}"]
        reached = (own >= threshold).mean()
        assert reached >= sensitivity > (own > threshold).mean()
        assert found["operating_sensitivity", name]["value"] == pytest.approx(reached)
        assert found["operating_specificity", name]["value"] == pytest.approx(
            (rest < threshold).mean()
        )


def test_a_constant_forecast_knows_nothing():
    """Ranking by chance, no operating point but all, and the losses of the constant forecast."""
    table = forecasts(4, n_cells=200)
    shares = {f"p_{n}": pl.lit((table["category"] == n).mean()) for n in NAMES}
    table = table.with_columns(**shares, predicted=pl.lit("segmented"))
    found = rows_of(table)
    for name in (*NAMES, BORDER, None):
        assert found["auroc", name]["value"] == pytest.approx(0.5)
    for loss in ("brier", "log_loss"):
        assert found[loss, None]["value"] == pytest.approx(found[f"{loss}_constant", None]["value"])
    assert found["operating_sensitivity", "band"]["value"] == 1
    assert found["operating_specificity", "band"]["value"] == 0
    assert found["calibration_bias", "band"]["value"] == pytest.approx(0)


def test_curves_run_from_end_to_end_and_are_thinned_for_drawing_only():
    """ROC from corner to corner, never down; recall to 1; all cells kept at the end."""
    table = forecasts(5, n_cells=3000)
    points = points_table({"strict": forecasts_of(table)})
    for _, curve in points.group_by("figure", "category", maintain_order=True):
        assert curve.height <= MOST_POINTS
    for name in NAMES:
        curve = points.filter(pl.col("figure") == "roc", pl.col("category") == name)
        assert (curve["x"][0], curve["y"][0]) == (0, 0)
        assert (curve["x"][-1], curve["y"][-1]) == (1, 1)
        assert curve["x"].is_sorted()
        assert curve["y"].is_sorted()
        recall = points.filter(pl.col("figure") == "precision_recall", pl.col("category") == name)
        assert recall["x"][-1] == 1
    kept = points.filter(pl.col("figure") == "coverage_risk")
    assert kept["x"][-1] == 1
    wrong = (table["category"] != table["predicted"]).mean()
    assert kept["y"][-1] == pytest.approx(wrong)
    bins = points.filter(pl.col("figure") == "reliability")
    assert bins["n_cells"].sum() == table.height


def test_accuracy_over_the_threshold_is_counted_at_each():
    """At 0 every cell is called the category: its share; above 1 none would be."""
    table = forecasts(6, n_cells=300)
    points = points_table({"strict": forecasts_of(table)})
    for name in NAMES:
        curve = points.filter(pl.col("figure") == "threshold", pl.col("category") == name)
        for row in curve.iter_rows(named=True):
            called = table[f"p_{name}"] >= row["threshold"]
            assert row["y"] == pytest.approx((called == (table["category"] == name)).mean())


def test_a_true_category_that_was_ruled_out_is_counted_beside_the_log_loss():
    """One of 200 cells: the method says so, and a check does."""
    table = forecasts(7, n_cells=200)
    first = table["category"][0]
    ruled = {f"p_{n}": 0.0 if n == first else 1 / 3 for n in NAMES}
    rows = pl.int_range(pl.len()) < 1
    table = table.with_columns(
        **{name: pl.when(rows).then(share).otherwise(name) for name, share in ruled.items()}
    )
    assert "in 1 cells the truth had less than 1e-15" in rows_of(table)["log_loss", None]["method"]
    guards = guards_of(table)
    assert guards.filter(pl.col("check") == "ruled out")["value"].item() == 1
