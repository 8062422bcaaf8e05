"""The errors that all replicates of an arm make."""

from itertools import pairwise

import polars as pl
from tests.evaluation.drawn import predictions, shaped

from leukoscope.evaluation.missed import missed_table


def test_exactly_the_planted_errors_are_listed():
    """Wrong in every replicate, wrong in some, right in all: the first alone is listed."""
    truth = {"cell_id": ["always", "often", "never", "torn"], "category": ["band"] * 4}
    runs = [
        ["segmented", "segmented", "band", "segmented"],
        ["segmented", "segmented", "band", "monocyte"],
        ["monocyte", "band", "band", "basophil"],
    ]
    arms = {"arm": [shaped(truth | {"predicted": called}) for called in runs], "other": []}
    arms["other"] = [arms["arm"][2]]
    seen = missed_table(arms).select("arm", "cell_id", "predicted", "n_called", "n_replicates")
    assert seen.rows() == [
        ("arm", "always", "segmented", 2, 3),
        ("arm", "torn", "basophil", 1, 3),
        ("other", "always", "monocyte", 1, 1),
        ("other", "torn", "basophil", 1, 1),
    ]


def test_of_a_single_run_all_errors_are_listed_and_more_runs_only_take_away():
    """The list shrinks with each further replicate."""
    runs = [predictions(4, right=0.2, purpose=f"run {r}") for r in range(5)]
    listed = [set(missed_table({"arm": runs[:n]})["cell_id"]) for n in range(1, 6)]
    wrong = runs[0].filter(pl.col("category") != pl.col("predicted"))
    assert listed[0] == set(wrong["cell_id"])
    assert all(more <= fewer for fewer, more in pairwise(listed))
    assert listed[-1]
