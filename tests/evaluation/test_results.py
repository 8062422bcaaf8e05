import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sklearn import metrics
from tests.evaluation.drawn import NAMES, predictions, shaped, values

from leukoscope.evaluation.comparisons import study_table
from leukoscope.evaluation.results import AS_IF_CASES, confusion_table, score_table

MERGED = {"segmented": "neutrophil", "band": "neutrophil"}
SCALARS = ("accuracy", "balanced_accuracy", "macro_f")


def relabelled(table):
    """Call bands and segmented cells neutrophils, in truth and call."""
    return table.with_columns(pl.col("category", "predicted").replace(MERGED))


def expected_scores(table):
    """Let scikit-learn score a table."""
    truth, called = table["category"].to_list(), table["predicted"].to_list()
    names = sorted(set(truth))
    given_names = {"labels": names, "zero_division": np.nan}
    found = {
        ("accuracy", None): metrics.accuracy_score(truth, called),
        ("balanced_accuracy", None): metrics.recall_score(
            truth, called, average="macro", **given_names
        ),
        ("macro_f", None): metrics.f1_score(truth, called, average="macro", **given_names),
        ("mcc", None): metrics.matthews_corrcoef(truth, called),
        ("kappa", None): metrics.cohen_kappa_score(truth, called),
    }
    found |= {
        ("specificity", name): metrics.recall_score(
            [one == name for one in truth],
            [one == name for one in called],
            pos_label=False,
            zero_division=np.nan,
        )
        for name in names
    }
    names_of_scores = ("precision", "recall", "f", "support")
    scored = metrics.precision_recall_fscore_support(truth, called, **given_names)
    by_name = dict(zip(names_of_scores, scored, strict=True))
    return found | {
        (metric, name): float(value)
        for metric, numbers in by_name.items()
        for name, value in zip(names, numbers, strict=True)
    }


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.3, 0.9))
def test_scores_equal_those_of_scikit_learn(seed, right):
    """Every score of the strict view, and of the merged one by calling cells neutrophils first."""
    table = predictions(seed, right=right)
    seen = score_table(table)
    for view, source in (("strict", table), ("merged", relabelled(table))):
        expected = expected_scores(source)
        found = values(seen, view=view, unit="case")
        assert set(found) == set(expected)
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, nan_ok=True), name


def test_the_order_of_rows_says_nothing():
    """Shuffled rows give the same table, to the last bit."""
    table = predictions(3)
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=1)
    assert_frame_equal(score_table(table), score_table(shuffled), check_exact=True)


def test_scores_follow_their_categories_when_names_are_exchanged():
    """A permutation of the names permutes the scores and leaves the averages alone."""
    table = predictions(4)
    turn = dict(zip(NAMES, (*NAMES[1:], NAMES[0]), strict=True))
    turned = table.with_columns(pl.col("category", "predicted").replace_strict(turn))
    before = values(score_table(table), view="strict")
    after = values(score_table(turned), view="strict")
    for (metric, name), value in before.items():
        assert after[metric, turn.get(name)] == pytest.approx(value)


def test_a_constant_answer_scores_its_share():
    """Who calls every cell segmented is right as often as cells are segmented."""
    table = predictions(5).with_columns(predicted=pl.lit("segmented"))
    share = (table["category"] == "segmented").mean()
    seen = values(score_table(table), view="strict")
    assert seen["accuracy", None] == pytest.approx(share)
    assert seen["balanced_accuracy", None] == pytest.approx(1 / len(NAMES))
    assert seen["precision", "segmented"] == pytest.approx(share)
    assert seen["precision", "band"] is None


def test_intervals_hold_their_values_and_say_how_they_were_got():
    """Low, value and high stand in order, and every row names its method and unit."""
    seen = score_table(predictions(6)).filter(pl.col("low").is_not_null())
    assert seen.height > 2 * len(SCALARS)
    assert (seen["low"] <= seen["value"]).all()
    assert (seen["value"] <= seen["high"]).all()
    assert (seen["method"].str.len_chars() > 0).all()
    assert set(seen["unit"]) == {"case"}
    assert set(seen["n_cases"]) == {10}


def test_intervals_over_families_also_say_how_wide_they_would_be_over_persons():
    """The second row of a score is wider, around the same value, and only where no case is."""
    plain = score_table(predictions(7, n_cases=0))
    for view in ("strict", "merged"):
        for metric in SCALARS:
            rows = plain.filter(pl.col("view") == view, pl.col("metric") == metric)
            over = {row["unit"]: row for row in rows.to_dicts()}
            assert set(over) == {"family", AS_IF_CASES}
            near, wide = over["family"], over[AS_IF_CASES]
            assert wide["value"] == near["value"]
            assert wide["low"] < near["low"] < near["high"] < wide["high"]
    known = score_table(predictions(7))
    assert AS_IF_CASES not in set(known["unit"])


def test_confusion_counts_are_means_over_replicates_with_rows_as_truth():
    """An asymmetric toy: two runs, one of which takes every band for a segmented cell."""
    rows = {"cell_id": ["a", "b", "c"], "category": ["band", "band", "segmented"]}
    right = shaped(rows | {"predicted": rows["category"]})
    wrong = right.with_columns(predicted=pl.lit("segmented"))
    seen = confusion_table({"arm": [right, wrong]}).filter(pl.col("view") == "strict")
    counts = {(r["category"], r["predicted"]): (r["n_cells"], r["share"]) for r in seen.to_dicts()}
    assert counts == {
        ("segmented", "segmented"): (1.0, 1.0),
        ("segmented", "band"): (0.0, 0.0),
        ("band", "segmented"): (1.0, 0.5),
        ("band", "band"): (1.0, 0.5),
    }


@pytest.mark.parametrize(
    "names", [("eosinophil", "lymphocyte"), ("segmented", "band"), ("neutrophil", "monocyte")]
)
def test_a_merged_view_without_sense_is_in_no_table(names):
    """Scores, counts and studies have the strict view alone."""
    one, two = (predictions(9, names=names, purpose=purpose) for purpose in ("one", "two"))
    arms = {"none": {0: one, 1: two}, "some": {0: two, 1: one}}
    runs = {arm: list(replicates.values()) for arm, replicates in arms.items()}
    for table in (
        score_table(one),
        confusion_table(runs),
        study_table("s", arms, "none", "macro_f"),
    ):
        assert table["view"].unique().to_list() == ["strict"]


def test_the_views_of_counts_are_those_of_all_arms():
    """An arm that calls no band is counted in the merged view too where another calls one."""
    cells = {"cell_id": ["a", "b", "c"], "category": ["eosinophil", "basophil", "basophil"]}
    plain = shaped(cells | {"predicted": cells["category"]})
    odd = shaped(cells | {"predicted": ["band", "basophil", "basophil"]})
    seen = confusion_table({"plain": [plain], "odd": [odd]})
    pairs = seen.select("arm", "view").unique().sort("arm", "view").rows()
    assert pairs == [(arm, view) for arm in ("odd", "plain") for view in ("merged", "strict")]
