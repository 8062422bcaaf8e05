"""The tables of the paper beside ours: printed figures come from the print, ours from results."""

import importlib.util
from pathlib import Path

import polars as pl
import pytest

from leukoscope.records import shapes

ROOT = Path(__file__).resolve().parents[2]
STUDY = "gaur-2021-svm"


def script():
    """Load the script as a module."""
    spec = importlib.util.spec_from_file_location("gaur_tables", ROOT / "scripts/gaur_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLES = script()


def row_of(arm, metric, value, **more):
    """Make one row of results over all replicates."""
    plain = {"study": STUDY, "arm": arm, "metric": metric, "view": "strict", "method": "t"}
    return plain | {"value": value, "low": value - 0.05, "high": value + 0.05} | more


ROWS = [
    row_of("real", "accuracy", 0.8, n_cells=260),
    row_of("real", "f", 0.7, category="leukemia"),
    row_of("real", "recall", 0.9, category="leukemia"),
    row_of("real", "recall", 0.6, category="healthy"),
    row_of("generated", "accuracy", 0.75, n_cells=260),
    row_of("generated-alone", "accuracy", 0.55, n_cells=260),
    row_of("generated", "balanced_accuracy", -0.04, baseline="real", p_adjusted=0.03),
    # None of these is a mean over replicates in the strict view of this study.
    row_of("real", "accuracy", 0.11, replicate=0),
    row_of("real", "accuracy", 0.12, case="a"),
    row_of("real", "accuracy", 0.13) | {"view": "merged"},
    row_of("real", "accuracy", 0.14) | {"study": STUDY + "-equal-epochs"},
]
RESULTS = pl.DataFrame(ROWS, schema=shapes.RESULTS.columns)


def test_ours_are_the_means_over_replicates_and_no_other_row():
    ours = TABLES.measured(RESULTS, STUDY, "leukemia")
    assert ours["real"]["accuracy"] == TABLES.Told(0.8, 0.75, pytest.approx(0.85), 260)
    assert {name: told.value for name, told in ours["real"].items()} == {
        "accuracy": 0.8,
        "f1": 0.7,
        "recall": 0.9,
        # Of two categories the other's recall is what the paper calls specificity.
        "specificity": 0.6,
    }


def test_without_a_positive_category_none_is_told_of_one():
    assert set(TABLES.measured(RESULTS, STUDY, None)["real"]) == {"accuracy"}
    turned = TABLES.measured(RESULTS, STUDY, "healthy")["real"]
    assert (turned["recall"].value, turned["specificity"].value) == (0.6, 0.9)


def test_differences_are_those_from_the_baseline():
    found = TABLES.differences(RESULTS, STUDY, "balanced_accuracy")
    assert {arm: (told.value, p) for arm, (told, p) in found.items()} == {
        "generated": (-0.04, 0.03)
    }


def test_a_row_has_the_print_beside_ours_and_a_gap_where_one_lacks():
    theirs = {"real": {"accuracy": TABLES.Told(0.8462, n_cells=52)}}
    ours = {"generated": {"accuracy": TABLES.Told(0.75, 0.7, 0.8, 260)}}
    rows = list(TABLES.side_by_side(theirs, ours))[2:]
    assert rows == [
        "| real | accuracy | 84.62 % (44 of 52) | - |",
        "| real+gen | accuracy | - | 75.0 % (70.0 to 80.0), n = 260 |",
    ]


def test_the_first_table_counts_what_was_called_right():
    theirs = {"real": {"accuracy": TABLES.Told(0.7291, n_cells=203)}}
    ours = TABLES.measured(RESULTS, STUDY, None)
    rows = list(TABLES.first_table(theirs, ours, {"real": (3, 4)}))[2:]
    assert rows == [
        "| real | generated | 72.91 % (148 of 203) | 75.0 % (3 of 4) |",
        "| real+aug | generated | - | not asked for |",
        "| generated alone | real | - | 55.0 % (50.0 to 60.0), n = 260 |",
    ]


@pytest.mark.parametrize(("place", "n"), [("Table 1", 203), ("Table 2", 52)])
def test_every_printed_accuracy_is_a_whole_number_of_the_images_it_implies(shared, place, n):
    """What table 1 and 2 are said to be of (G-1, G-5) is what their own rates say."""
    metrics = pl.read_csv(shared / "papers" / "metrics.csv", infer_schema_length=None)
    names = {"neural network", "logistic regression", "svm"}
    found = {name: TABLES.printed(metrics, place, name) for name in names}
    shares = [told["accuracy"].value for one in found.values() for told in one.values()]
    assert len(shares) >= 6
    for share in shares:
        assert abs(share * n - round(share * n)) < 0.006 * n / 100 + 1e-9


def test_every_erratum_of_the_paper_is_told(shared):
    """As many as the errata hold of it, under their own ids."""
    text = (shared / "papers" / "ERRATA.md").read_text()
    assert all(
        f"{name} " in text or f"{name}:" in text or f"{name}*" in text for name in TABLES.ERRATA
    )
