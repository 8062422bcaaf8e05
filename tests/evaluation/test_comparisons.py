"""A study's table: arms over replicates, differences, their parts, categories and cases."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.evaluation.drawn import predictions

from leukoscope.evaluation.comparisons import PARTS, study_table
from leukoscope.foundation.errors import DataError
from leukoscope.stats.scores import SCALAR_METRICS as SCALARS
from leukoscope.stats.verdicts import holm


def study(*names, n_replicates=4, seed=8, **purposes):
    """Draw arms of a study: replicates of predictions of the same cells."""
    return {
        arm: {
            r: predictions(seed, purpose=f"{purposes.get(arm, arm)} {r}")
            for r in range(n_replicates)
        }
        for arm in names
    }


def differences(table, **where):
    """Give the rows that compare an arm with the baseline."""
    beside = pl.col("method").str.starts_with("pigeonhole") | ~pl.col("metric").is_in(SCALARS)
    rows = table.filter(pl.col("baseline").is_not_null(), ~beside)
    for name, wanted in where.items():
        rows = rows.filter(pl.col(name) == wanted)
    return rows


def test_an_arm_against_itself_differs_by_nothing():
    """Equal predictions: difference 0, p 1, in every metric and view."""
    arms = study("none", "twin", twin="none")
    rows = differences(study_table("s", arms, "none", "macro_f"))
    assert rows.height == 2 * len(SCALARS)
    assert rows["value"].to_list() == [0.0] * rows.height
    assert rows["p_value"].to_list() == [1.0] * rows.height
    assert rows["low"].null_count() == rows["high"].null_count() == rows.height
    beside = study_table("s", arms, "none", "macro_f").filter(
        pl.col("method").str.starts_with("pigeonhole")
    )
    assert beside["low"].null_count() == beside.height


def test_exchanging_the_arms_turns_the_sign():
    """Differences and bounds are mirrored; p values stay."""
    arms = study("one", "two")
    there = differences(study_table("s", arms, "one", "macro_f"))
    back = differences(study_table("s", arms, "two", "macro_f"))
    for name, mirrored in (("value", "value"), ("low", "high"), ("high", "low")):
        assert there[name].to_list() == pytest.approx((-back[mirrored]).to_list())
    assert there["p_value"].to_list() == pytest.approx(back["p_value"].to_list())


def test_only_the_planned_comparisons_are_adjusted_and_together():
    """Holm over the arms for the primary metric, strict; everything else is descriptive."""
    arms = study("none", "one", "two", "three")
    rows = differences(study_table("s", arms, "none", "accuracy"))
    planned = (pl.col("metric") == "accuracy") & (pl.col("view") == "strict")
    adjusted = rows.filter(planned)
    assert adjusted["arm"].to_list() == ["one", "two", "three"]
    assert adjusted["p_adjusted"].to_list() == pytest.approx(holm(adjusted["p_value"]).tolist())
    assert rows.filter(~planned)["p_adjusted"].null_count() == rows.height - 3


def test_only_replicates_that_all_arms_finished_are_compared():
    """A replicate one arm lacks changes nothing, whatever it holds."""
    arms = study("none", "one")
    short = {"none": arms["none"], "one": {r: arms["one"][r] for r in (0, 2)}}
    even = {arm: {r: runs[r] for r in (0, 2)} for arm, runs in arms.items()}
    seen = study_table("s", short, "none", "macro_f")
    assert_frame_equal(seen, study_table("s", even, "none", "macro_f"), check_exact=True)
    assert set(seen["replicate"].drop_nulls()) == {0, 2}


def test_arms_without_a_common_replicate_are_refused():
    """There is nothing to compare, and that is said."""
    arms = study("none", "one")
    torn = {"none": {0: arms["none"][0]}, "one": {1: arms["one"][1]}}
    with pytest.raises(DataError, match="No replicate was finished by all arms"):
        study_table("s", torn, "none", "macro_f")


def test_a_studys_means_and_single_runs_are_both_in_the_table():
    """The mean over replicates is the mean of the runs' own values, for each arm."""
    arms = study("none", "one")
    seen = study_table("s", arms, "none", "macro_f").filter(
        pl.col("baseline").is_null(), pl.col("view") == "strict", pl.col("metric") == "accuracy"
    )
    seen = seen.filter(pl.col("case").is_null())
    for arm, runs in arms.items():
        own = seen.filter(pl.col("arm") == arm)
        single = own.filter(pl.col("replicate").is_not_null())
        truth = [(run["category"] == run["predicted"]).mean() for run in runs.values()]
        assert single["value"].to_list() == pytest.approx(truth)
        mean = own.filter(pl.col("replicate").is_null())
        assert mean["value"].to_list() == pytest.approx([np.mean(truth)])
        assert mean["low"][0] < mean["value"][0] < mean["high"][0]


def test_the_pigeonhole_stands_beside_each_difference_with_the_same_value():
    """Two rows a number: the value is one, the intervals are two, only one has a p value."""
    table = study_table("s", study("none", "one"), "none", "macro_f")
    beside = table.filter(pl.col("method").str.starts_with("pigeonhole"))
    assert beside.height == 2 * len(SCALARS)
    assert beside["p_value"].null_count() == beside.height
    plain = differences(table)
    both = plain.join(beside, on=("arm", "metric", "view"), suffix="_beside")
    assert both.height == beside.height
    assert both["value"].to_list() == pytest.approx(both["value_beside"].to_list())
    assert (both["low_beside"] <= both["value"]).all()
    assert (both["value"] <= both["high_beside"]).all()


def test_the_parts_of_the_variance_explain_the_interval():
    """Where no part is lost in noise, groups plus replicates less interaction is the variance."""
    table = study_table("s", study("none", "one", n_replicates=6), "none", "accuracy")
    for view in ("strict", "merged"):
        of_view = table.filter(pl.col("view") == view)
        found = dict(
            of_view.filter(pl.col("metric").str.contains("_se_"))["metric", "value"].rows()
        )
        assert set(found) == {f"{metric}_se_{part}" for metric in SCALARS for part in PARTS}
        for metric in SCALARS:
            groups, replicates, both = (found[f"{metric}_se_{part}"] ** 2 for part in PARTS)
            row = differences(of_view, metric=metric).row(0, named=True)
            half = (row["high"] - row["low"]) / 2
            variance = max(groups + replicates - both, groups, replicates)
            # t quantiles lie between that of very many degrees and that of the fewest here.
            assert 1.959 * variance**0.5 < half < 2.572 * variance**0.5


def test_gains_of_categories_are_the_differences_of_their_own_scores():
    """Recall of each category in one arm less that in the other, replicate means."""
    arms = study("none", "one")
    table = study_table("s", arms, "none", "macro_f").filter(pl.col("view") == "strict")
    gains = table.filter(pl.col("baseline").is_not_null(), pl.col("category").is_not_null())
    assert set(gains["metric"]) == {"recall", "specificity", "precision", "f"}
    own = table.filter(pl.col("baseline").is_null(), pl.col("category").is_not_null())
    own = own.pivot("arm", index=("metric", "category"), values="value")
    both = gains.join(own, on=("metric", "category"))
    assert both.height == 4 * 4
    assert (both["one"] - both["none"]).to_list() == pytest.approx(both["value"].to_list())


def test_each_case_has_its_accuracy_under_a_number():
    """Recounted by hand, without any name of a case; where none is known there is no such row."""
    arms = study("none", "one")
    rows = study_table("s", arms, "none", "macro_f").filter(
        pl.col("case").is_not_null(), pl.col("view") == "strict"
    )
    for arm, runs in arms.items():
        right = [
            run.select("case", hit=pl.col("category") == pl.col("predicted"))
            for run in runs.values()
        ]
        truth = pl.concat(right).group_by("case").agg(pl.col("hit").mean())["hit"].sort().to_list()
        assert sorted(rows.filter(pl.col("arm") == arm)["value"]) == pytest.approx(truth)
    assert set(rows["case"]) == {f"case-{number:03d}" for number in range(1, 11)}
    assert rows.filter(pl.col("arm") == "one")["n_cells"].sum() == 120
    unknown = {
        arm: {r: run.with_columns(case=None) for r, run in runs.items()}
        for arm, runs in arms.items()
    }
    table = study_table("s", unknown, "none", "macro_f")
    assert table["case"].null_count() == table.height


def test_without_a_primary_metric_nothing_is_adjusted():
    """The second analysis is descriptive throughout."""
    table = study_table("s", study("none", "one"), "none", None)
    assert table["p_adjusted"].null_count() == table.height
