from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy.stats import binomtest
from tests.evaluation.drawn import NAMES, predictions, shaped

from leukoscope.evaluation.differential import (
    agreement_rows,
    case_key,
    differential_table,
)
from leukoscope.evaluation.results import score_table, to_table
from leukoscope.foundation.errors import DataError, SchemaError
from leukoscope.foundation.streams import stream
from leukoscope.records import shapes, tables
from leukoscope.stats.differential import bland_altman, deming, least_squares

MERGED = {"segmented": "neutrophil", "band": "neutrophil"}
METRICS = {"slope", "intercept", "bias", "limit_low", "limit_high"}


def counted(seed, cases, *, names=NAMES, n_cells=200):
    """Draw a count by eye of each case: about as many cells of each category."""
    rng = stream(seed, "by eye")
    drawn = rng.multinomial(n_cells, np.full(len(names), 1 / len(names)), len(cases))
    rows = [
        (c, name, int(n))
        for c, row in zip(cases, drawn, strict=True)
        for name, n in zip(names, row, strict=True)
    ]
    return pl.DataFrame(rows, schema=["case", "category", "n_cells"], orient="row")


def plainly(table, truth, view):
    """Count with loops: {(case, category): (cells, called, reference cells, reference)}."""
    read = MERGED if view == "merged" else {}
    called, n_called = Counter(), Counter()
    for case, name in zip(table["case"], table["predicted"], strict=True):
        called[case, read.get(name, name)] += 1
        n_called[case] += 1
    reference, n_reference = Counter(), Counter()
    for case, name, n in truth:
        reference[case, read.get(name, name)] += n
        n_reference[case] += n
    names = {name for _, name in [*called, *reference]}
    return {
        (case, name): (n_called[case], called[case, name], n_reference[case], reference[case, name])
        for case in n_called
        for name in names
    }


def by_name(found, table, view):
    """Give the table's numbers of one view under the cases' own names."""
    key = dict(case_key(table).select("pseudonym", "case").iter_rows())
    columns = ("n_cells", "n_called", "n_reference_cells", "n_reference")
    rows = found.filter(pl.col("view") == view).to_dicts()
    return {(key[r["case"]], r["category"]): tuple(r[c] for c in columns) for r in rows}


def row_of(rows, metric, category, view="strict"):
    """Give the one row of a metric and category."""
    (row,) = (
        row
        for row in rows
        if (row["metric"], row["category"], row["view"]) == (metric, category, view)
    )
    return row


# Counts


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_counts_agree_with_loops(seed, n_cases):
    """Cells, calls and true labels of each case, in both views, are those of plain counting."""
    table = predictions(seed, n_cases=n_cases)
    truth = [(case, name, 1) for case, name in table.select("case", "category").iter_rows()]
    found = differential_table(table)
    assert set(found["view"]) == {"strict", "merged"}
    for view in ("strict", "merged"):
        assert by_name(found, table, view) == plainly(table, truth, view)


def test_shares_and_limits_are_those_of_the_counts():
    """Shares are quotients, limits those of an independent exact method."""
    found = differential_table(predictions(1))
    for row in found.to_dicts():
        trial = binomtest(row["n_called"], row["n_cells"]).proportion_ci(method="exact")
        assert row["share"] == row["n_called"] / row["n_cells"]
        assert (row["low"], row["high"]) == pytest.approx((trial.low, trial.high))
        assert row["reference_share"] == row["n_reference"] / row["n_reference_cells"]


def test_a_case_adds_up_to_one():
    """The shares of a case, by model and by reference, have the sum 1 in each view."""
    table = predictions(2)
    for reference in (None, counted(2, table["case"].unique().to_list())):
        found = differential_table(table, reference)
        sums = found.group_by("case", "view").agg(pl.col("share", "reference_share").sum())
        np.testing.assert_allclose(sums.select("share", "reference_share").to_numpy(), 1)


def test_the_order_of_rows_says_nothing():
    """Shuffled predictions and a shuffled reference give the same table."""
    table = predictions(3)
    reference = counted(3, table["case"].unique().to_list())
    shuffled = [one.sample(fraction=1.0, shuffle=True, seed=1) for one in (table, reference)]
    assert_frame_equal(differential_table(*shuffled), differential_table(table, reference))


def test_cases_appear_under_numbers_in_the_order_of_their_names():
    """No name is in the table; the key finds them, sorted as text."""
    table = predictions(4, n_cases=11)
    names = sorted({f"case-{i}" for i in range(11)})
    renamed = table.with_columns(case=pl.lit("Ward ") + pl.col("case"))
    key = case_key(renamed)
    assert key["case"].to_list() == [f"Ward {name}" for name in names]
    assert key["pseudonym"].to_list() == [f"case-{i:03d}" for i in range(1, 12)]
    assert set(differential_table(renamed)["case"]) == set(key["pseudonym"])
    assert_frame_equal(tables.check(key, shapes.CASES), key)


@pytest.mark.parametrize("known", [0, 60])
def test_without_cases_there_is_no_count(known):
    """Where no case, or not every case, is known, table, key and rows are empty."""
    table = predictions(5)
    some = pl.when(pl.int_range(pl.len()) < known).then("case")
    table = table.with_columns(case=some)
    found = differential_table(table)
    assert found.is_empty()
    assert found.schema == pl.Schema(shapes.DIFFERENTIAL.columns)
    assert case_key(table).is_empty()
    assert agreement_rows(table, found, counted_apart=False) == []
    with pytest.raises(DataError, match=rf"joined .* by case.*{120 - known} of 120"):
        differential_table(table, counted(5, ["case-0"]))


def test_finer_truth_is_read_as_the_models_categories():
    """A model that answers neutrophil is counted against bands and segmented cells as one."""
    table = predictions(6).with_columns(pl.col("predicted").replace(MERGED))
    found = differential_table(table)
    truth = [
        (case, MERGED.get(name, name), 1) for case, name in table.select("case", "category").rows()
    ]
    assert by_name(found, table, "strict") == plainly(table, truth, "strict")
    assert set(found["view"]) == {"strict"}


# A reference counted apart


def test_a_reference_is_joined_by_case_and_category():
    """Its counts stand beside the calls; a category it does not name was not seen."""
    table = predictions(7, n_cases=3)
    rows = [
        *[("case-0", "band", 30), ("case-0", "segmented", 170), ("case-1", "lymphocyte", 100)],
        *[("case-2", "eosinophil", 0), ("case-2", "segmented", 50)],
    ]
    reference = pl.DataFrame(rows, schema=["case", "category", "n_cells"], orient="row")
    found = differential_table(table, reference)
    for view in ("strict", "merged"):
        assert by_name(found, table, view) == plainly(table, rows, view)


def test_a_reference_needs_no_labels():
    """Unlabelled cells are counted against a reference and refused without one."""
    table = predictions(8)
    reference = counted(8, table["case"].unique().to_list())
    bare = table.with_columns(category=pl.lit(None, pl.String))
    assert_frame_equal(differential_table(bare, reference), differential_table(table, reference))
    assert agreement_rows(bare, differential_table(bare, reference), counted_apart=True)
    with pytest.raises(DataError, match="no true category"):
        differential_table(bare)


def test_a_reference_without_bands_is_compared_merged():
    """A count of neutrophils as ICSH advises says nothing of bands, and is not made to."""
    table = predictions(9)
    fine = counted(9, table["case"].unique().to_list())
    coarse = (
        fine.with_columns(pl.col("category").replace(MERGED))
        .group_by("case", "category")
        .agg(pl.col("n_cells").sum())
    )
    found = differential_table(table, coarse)
    expected = differential_table(table, fine).filter(pl.col("view") == "merged")
    assert_frame_equal(found, expected)
    rows = agreement_rows(table, found, counted_apart=True)
    assert {row["view"] for row in rows} == {"merged"}


def test_a_finer_reference_is_read_as_the_models_categories():
    """Bands counted by eye are neutrophils to a model that answers so."""
    table = predictions(10).with_columns(pl.col("category", "predicted").replace(MERGED))
    fine = counted(10, table["case"].unique().to_list())
    found = differential_table(table, fine)
    assert set(found["view"]) == {"strict"}
    assert by_name(found, table, "strict") == plainly(table, fine.rows(), "merged")


def test_a_reference_may_hold_what_labels_alone_never_called():
    """A basophil counted by eye is a missed one; with probabilities the model must know it."""
    table = predictions(11, n_cases=2)
    rows = [("case-0", "basophil", 2), ("case-0", "band", 98), ("case-1", "band", 100)]
    # None of the others was seen by eye, which a row says.
    rows += [("case-0", name, 0) for name in NAMES if name != "band"]
    reference = pl.DataFrame(rows, schema=["case", "category", "n_cells"], orient="row")
    found = differential_table(table, reference)
    assert by_name(found, table, "strict")["case-0", "basophil"][1:] == (0, 100, 2)
    answers = table.with_columns(
        (pl.col("predicted") == name).cast(pl.Float64).alias(f"p_{name}") for name in NAMES
    )
    with pytest.raises(DataError, match="names 'basophil', which no category"):
        differential_table(answers, reference)


def test_a_reference_that_never_tells_of_a_category_is_refused():
    """No row of bands is not a count of no bands."""
    table = predictions(11)
    reference = counted(11, table["case"].unique().to_list())
    with pytest.raises(DataError, match="names band in no case"):
        differential_table(table, reference.filter(pl.col("category") != "band"))


def test_planted_faults_of_a_reference_are_named():
    """Cases on one side alone, unknown categories, negative and empty counts are refused."""
    table = predictions(12, n_cases=4)
    good = counted(12, [f"case-{i}" for i in range(4)])
    other = good.with_columns(pl.col("case").replace({"case-2": "case-7", "case-3": "case-8"}))
    odd = good.with_columns(pl.col("category").replace({"band": "stab", "lymphocyte": "lympho"}))
    here = pl.col("case") == "case-1"
    negative = good.with_columns(n_cells=pl.when(here).then(-3).otherwise("n_cells"))
    empty = good.with_columns(n_cells=pl.when(here).then(0).otherwise("n_cells"))
    faults = {
        r"2 cases \(case-2, case-3\) without a reference count and "
        r"2 cases \(case-7, case-8\) without predictions": other,
        r"1 case \(case-0\) without a reference count": good.filter(pl.col("case") != "case-0"),
        "'lympho', 'stab'": odd,
        "case case-1 has -3 cells of band": negative,
        r"no cell of 1 case \(case-1\)": empty,
    }
    assert differential_table(table, good).height
    for said, reference in faults.items():
        with pytest.raises(DataError, match=said):
            differential_table(table, reference)


@pytest.mark.parametrize(
    "change",
    [
        lambda good: good.drop("n_cells"),
        lambda good: pl.concat([good, good[:1]]),
        lambda good: good.with_columns(n_cells=pl.col("n_cells") / 7),
        lambda good: good.with_columns(n_cells=pl.lit(None, pl.Int64)),
        lambda good: good.rename({"category": "cell type"}),
    ],
)
def test_a_reference_has_its_shape(change):
    """A missing or other column, a row named twice, a fraction and a gap are refused."""
    table = predictions(13, n_cases=2)
    with pytest.raises(SchemaError, match=shapes.REFERENCE.name):
        differential_table(table, change(counted(13, ["case-0", "case-1"])))


@pytest.mark.parametrize("fault", ["role", "twice"])
def test_predictions_that_cannot_be_scored_are_not_counted(fault):
    """Cells seen in training and cells named twice are refused, with a reference too."""
    table = predictions(14, n_cases=2)
    faulty = {
        "role": table.with_columns(role=pl.lit("seen")),
        "twice": pl.concat([table, table]),
    }[fault]
    for reference in (None, counted(14, ["case-0", "case-1"])):
        with pytest.raises(DataError, match="Nothing was scored"):
            differential_table(faulty, reference)


# Agreement


@pytest.mark.parametrize("apart", [False, True])
def test_rows_are_those_of_the_shares_by_case(apart):
    """Line and limits are computed over cases from the shares of the table, in both views.

    Labels of the same cells are exact; of a count made apart (here as many cells) both err.
    """
    table = predictions(15)
    found = differential_table(table)
    rows = agreement_rows(table, found, counted_apart=apart)
    assert {row["metric"] for row in rows} == METRICS
    for (view, name), cases in found.group_by("view", "category"):
        shares = cases["reference_share"].to_numpy(), cases["share"].to_numpy()
        line = deming(*shares) if apart else least_squares(*shares)
        limits = bland_altman(*shares)
        expected = {
            "slope": line.slope,
            "intercept": line.intercept,
            "bias": limits.bias,
            "limit_low": limits.low,
            "limit_high": limits.high,
        }
        for metric, one in expected.items():
            row = row_of(rows, metric, name, view)
            assert row["value"] == pytest.approx(one.value)
            assert (row["low"], row["high"]) == pytest.approx((one.low, one.high), nan_ok=True)
            assert row["method"] == one.method


def test_rows_fit_a_results_table_beside_the_scores():
    """They name view, unit, cases and cells, and no row of the scores a second time."""
    table = predictions(16)
    rows = agreement_rows(table, differential_table(table), counted_apart=False)
    beside = pl.concat([score_table(table), to_table(rows)])
    checked = tables.check(beside, shapes.RESULTS)
    mine = checked.filter(pl.col("metric").is_in(METRICS))
    assert mine.height == len(METRICS) * (len(NAMES) + len(NAMES) - 1)
    assert set(mine["unit"]) == {"case"}
    assert set(mine["n_cases"]) == {10}
    assert set(mine["n_cells"]) == {120}
    assert [row["category"] for row in rows[:: len(METRICS)]][: len(NAMES)] == list(NAMES)


def test_the_ratio_of_errors_is_that_of_cells_counted():
    """A reference of 200 cells against a model of 12 a case errs with 12/200 of its variance."""
    table = predictions(17)
    reference = counted(17, table["case"].unique().to_list())
    found = differential_table(table, reference)
    band = found.filter(pl.col("view") == "strict", pl.col("category") == "band")
    expected = deming(band["reference_share"].to_numpy(), band["share"].to_numpy(), 200 / 12)
    row = row_of(agreement_rows(table, found, counted_apart=True), "slope", "band")
    assert row["value"] == pytest.approx(expected.slope.value)
    assert "ratio of error variances 16.67" in row["method"]


def test_a_perfect_model_agrees_without_bounds():
    """Bias 0, slope 1, and no spread to judge them by, which is said."""
    table = predictions(18, right=1.1)
    rows = agreement_rows(table, differential_table(table), counted_apart=False)
    for metric, value in {"bias": 0, "slope": 1, "limit_high": 0}.items():
        row = row_of(rows, metric, "segmented")
        assert row["value"] == pytest.approx(value, abs=1e-9)
        assert np.isnan(row["low"])
        assert row["method"].startswith("undefined")


def test_a_model_that_takes_bands_for_segmented_has_that_bias_and_none_merged():
    """All bands called segmented: the bias is their share, and it vanishes in the merged view."""
    table = predictions(19).with_columns(
        predicted=pl.col("category").replace({"band": "segmented"})
    )
    found = differential_table(table)
    rows = agreement_rows(table, found, counted_apart=False)
    strict = found.filter(pl.col("view") == "strict", pl.col("category") == "band")
    share = strict["reference_share"].mean()
    assert row_of(rows, "bias", "band")["value"] == pytest.approx(-share)
    assert row_of(rows, "bias", "segmented")["value"] == pytest.approx(share)
    assert row_of(rows, "slope", "band")["value"] == 0
    assert row_of(rows, "bias", "neutrophil", "merged")["value"] == pytest.approx(0, abs=1e-12)


def test_agreement_over_two_cases_is_not_judged():
    """Of fewer than 3 cases every row says so and has no bounds."""
    table = predictions(20, n_cases=2)
    rows = agreement_rows(table, differential_table(table), counted_apart=False)
    assert rows
    assert {row["method"] for row in rows} == {"undefined: fewer than 3 cases"}
    assert all(np.isnan([row["low"], row["high"]]).all() for row in rows)
    assert to_table(rows)["low"].null_count() == len(rows)


def test_pseudonyms_of_a_shaped_table_of_one_case():
    """One case is counted, under the first number."""
    table = shaped(
        {
            "cell_id": ["a", "b"],
            "predicted": ["band", "segmented"],
            "category": ["band", "band"],
            "case": ["X", "X"],
            "family": ["a", "b"],
        }
    )
    found = differential_table(table)
    assert set(found["case"]) == {"case-001"}
    assert by_name(found, table, "strict")["X", "band"] == (2, 1, 2, 2)
