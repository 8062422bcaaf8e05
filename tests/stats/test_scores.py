import csv
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics
from tests.conftest import ROOT
from tests.reference import scores_reference

from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.stats import scores as room

MATRIX = arrays(np.int64, st.integers(1, 5).map(lambda k: (k, k)), elements=st.integers(0, 6))
CELLS = st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=60)

PRINTED = {"recall": "recall", "precision": "precision", "f-measure": "f", "accuracy": "accuracy"}
"""What the papers call a metric, and what it is here."""

# nozaka-2022, Table 2, A-1, left: 9,796 cells of 51 people and the figures printed beside them.
PANEL = [
    [85, 0, 0, 0, 2, 1],
    [0, 213, 0, 0, 0, 0],
    [0, 2, 2795, 61, 0, 0],
    [1, 0, 26, 533, 0, 0],
    [0, 0, 0, 0, 465, 71],
    [0, 1, 0, 1, 2204, 3335],
]
PANEL_PRINTED = {
    "recall": [0.966, 1.000, 0.978, 0.952, 0.868, 0.602],
    "precision": [0.988, 0.986, 0.991, 0.896, 0.174, 0.979],
    "f": [0.977, 0.993, 0.984, 0.923, 0.290, 0.745],
}

# Errata N22-6: the last digit cut, not rounded. SR-7: drawn matrices that are of other calls than
# the tables beside them.
WRONGLY_PRINTED = {
    ("t2-b1-right", "f", "baso"),
    ("t3-a2-left", "f", "band"),
    ("t3-a2-right", "f", "band"),
    ("resnet", "accuracy", ""),
    ("retrain none", "accuracy", ""),
    ("retrain none", "precision", "all"),
    ("retrain noise", "accuracy", ""),
    ("retrain noise", "precision", "all"),
}


def columns(cells):
    return np.array(cells, dtype=np.int64).reshape(-1, 3).T


def test_three_rows_by_hand():
    """Two lymphocytes, one called monocyte, and a monocyte called rightly."""
    matrix = room.confusion_matrix([0, 0, 1], [0, 1, 1], 3)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    seen = room.scores(matrix)
    assert seen["accuracy"] == pytest.approx(2 / 3)
    assert seen["balanced_accuracy"] == pytest.approx(3 / 4)
    assert seen["macro_f"] == pytest.approx(2 / 3)
    assert seen["mcc"] == pytest.approx(1 / 2)
    assert seen["kappa"] == pytest.approx(2 / 5)
    np.testing.assert_allclose(seen["specificity"], [1, 1 / 2, 1])
    np.testing.assert_allclose(seen["recall"], [1 / 2, 1, np.nan])
    np.testing.assert_allclose(seen["precision"], [1, 1 / 2, np.nan])
    np.testing.assert_allclose(seen["f"], [2 / 3, 2 / 3, np.nan])
    np.testing.assert_array_equal(seen["support"], [2, 1, 0])


def test_rows_are_truth_and_columns_are_calls():
    """A transposed matrix would swap recall and precision."""
    seen = room.scores(room.confusion_matrix([0, 0, 0, 1], [1, 1, 0, 1], 2))
    np.testing.assert_allclose(seen["recall"], [1 / 3, 1])
    np.testing.assert_allclose(seen["precision"], [1, 1 / 3])


@given(CELLS)
def test_counting_agrees_with_two_loops(cells):
    """The counts are those of the plain loops, whole and by group."""
    truth, predicted, groups = columns(cells)
    np.testing.assert_array_equal(
        room.confusion_matrix(truth, predicted, 4), scores_reference.confusion(truth, predicted, 4)
    )
    grouped = room.grouped_confusion(truth, predicted, groups, 4, n_groups=4)
    for group in range(4):
        inside = groups == group
        expected = scores_reference.confusion(truth[inside], predicted[inside], 4)
        np.testing.assert_array_equal(grouped[group], expected)


@given(CELLS, st.randoms(use_true_random=False))
def test_order_of_rows_changes_nothing(cells, shuffler):
    """Shuffled cells give the same grouped counts."""
    before = room.grouped_confusion(*columns(cells), 4, n_groups=4)
    shuffler.shuffle(cells)
    np.testing.assert_array_equal(before, room.grouped_confusion(*columns(cells), 4, n_groups=4))


@given(CELLS)
def test_groups_add_up_to_all_cells(cells):
    """No cell is lost or counted twice."""
    truth, predicted, groups = columns(cells)
    grouped = room.grouped_confusion(truth, predicted, groups, 4, n_groups=4)
    np.testing.assert_array_equal(grouped.sum(0), room.confusion_matrix(truth, predicted, 4))


def test_weights_count_a_cell_more_than_once():
    """A whole weight is the same as that many rows."""
    weighted = room.confusion_matrix([0, 1, 1], [0, 1, 0], 2, weights=[3, 0, 1])
    assert weighted.dtype == np.float64
    np.testing.assert_array_equal(weighted, room.confusion_matrix([0] * 3 + [1], [0] * 4, 2))


@given(MATRIX)
def test_scores_agree_with_the_slow_ones(matrix):
    """Each metric equals the loop's, undefined ones included."""
    expected = scores_reference.scores(matrix.tolist())
    for name, values in room.scores(matrix).items():
        assert values.dtype == np.float64
        np.testing.assert_allclose(values, expected[name], rtol=1e-12, atol=1e-14)


@given(CELLS)
def test_scores_agree_with_scikit_learn(cells):
    """An independent implementation reads the same cells the same way."""
    truth, predicted, _ = columns(cells)
    seen = room.scores(room.confusion_matrix(truth, predicted, 4))
    codes, occurring = list(range(4)), sorted(set(truth.tolist()))
    by_category = {
        "recall": sklearn_metrics.recall_score,
        "precision": sklearn_metrics.precision_score,
        "f": sklearn_metrics.f1_score,
    }
    for name, score in by_category.items():
        theirs = score(truth, predicted, labels=codes, average=None, zero_division=np.nan)
        np.testing.assert_allclose(seen[name], theirs)
    macro_f = sklearn_metrics.f1_score(truth, predicted, labels=occurring, average="macro")
    recalls = sklearn_metrics.recall_score(truth, predicted, labels=occurring, average="macro")
    assert seen["macro_f"] == pytest.approx(macro_f)
    assert seen["balanced_accuracy"] == pytest.approx(recalls)
    assert seen["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truth, predicted))
    _agrees_on_agreement(seen, truth, predicted)
    for c, specificity in enumerate(seen["specificity"]):
        others = sklearn_metrics.recall_score(
            truth != c, predicted != c, pos_label=True, zero_division=np.nan
        )
        np.testing.assert_allclose(specificity, others)


def _agrees_on_agreement(seen, truth, predicted):
    # Where mcc is undefined scikit-learn says 0, and where kappa is it warns.
    defined = np.ptp(truth) > 0 and np.ptp(predicted) > 0
    expected = sklearn_metrics.matthews_corrcoef(truth, predicted) if defined else np.nan
    assert seen["mcc"] == pytest.approx(expected, nan_ok=True, abs=1e-12)
    if np.ptp([truth, predicted]) > 0:
        kappa = sklearn_metrics.cohen_kappa_score(truth, predicted)
        assert seen["kappa"] == pytest.approx(kappa, abs=1e-12)
    else:
        assert np.isnan(seen["kappa"])


def test_leading_axes_are_scored_one_by_one():
    """A stack of matrices gives the stack of their scores."""
    matrices = stream(0, "scores").integers(0, 4, size=(3, 2, 4, 4))
    stacked = room.scores(matrices)
    for place in np.ndindex(3, 2):
        for name, values in room.scores(matrices[place]).items():
            np.testing.assert_array_equal(stacked[name][place], values)


@given(MATRIX, st.randoms(use_true_random=False))
def test_names_of_categories_change_no_mean(matrix, shuffler):
    """Renumbering the categories moves their scores along and leaves the means."""
    order = list(range(len(matrix)))
    shuffler.shuffle(order)
    before, after = room.scores(matrix), room.scores(matrix[np.ix_(order, order)])
    for name in (*room.SCALAR_METRICS, *room.AGREEMENT_METRICS):
        np.testing.assert_allclose(after[name], before[name], atol=1e-15)
    for name in room.CATEGORY_METRICS:
        np.testing.assert_allclose(after[name], before[name][order])


def test_a_published_panel_gives_its_printed_figures():
    """Recall, precision and F of six categories follow from the printed counts."""
    seen = room.scores(PANEL)
    for name, printed in PANEL_PRINTED.items():
        np.testing.assert_allclose(seen[name], printed, atol=5.001e-4)
    assert seen["accuracy"] == 7426 / 9796
    assert seen["support"].sum() == 9796


def test_the_papers_figures_follow_from_their_matrices():
    """Every printed score follows from its matrix but those the errata name, and no more.

    Where the folder of papers does not lie beside the clone nothing is looked for, and the
    panel above stands for them all.
    """
    folder = Path(os.environ.get("LEUKOSCOPE_SHARED", ROOT.parent / "shared")) / "papers"
    if not folder.is_dir():
        return
    matrices = _printed_matrices(folder)
    printed = [
        row
        for row in _rows(folder / "metrics.csv")
        if row["arm"] in matrices and row["quantity"] in PRINTED and row["value"]
    ]
    assert len(matrices) == 17
    assert len(printed) == 12 * 18 + 1 + 6
    wrong = {
        (row["arm"], PRINTED[row["quantity"]], row["class"])
        for row in printed
        if not _follows(row, *matrices[row["arm"]])
    }
    assert wrong == WRONGLY_PRINTED


def _follows(row, names, matrix):
    metric = PRINTED[row["quantity"]]
    values = room.scores(matrix)[metric]
    value = values if metric == "accuracy" else values[names.index(row["class"])]
    digits = len(row["value"].split(".")[1])
    return abs(float(row["value"]) - value) <= 0.5001 * 10**-digits


def _printed_matrices(folder):
    counts = defaultdict(dict)
    for row in _rows(folder / "confusion.csv"):
        counts[row["arm"]][row["class"], row["predicted"]] = int(row["value"])
    for arm, cells in counts.items():
        names = list(dict.fromkeys(true for true, _ in cells))
        counts[arm] = names, [[cells[true, called] for called in names] for true in names]
    return counts


def _rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_kappa_of_two_judges_as_printed():
    """Cohen 1968, Table 1: two judges and 200 diagnoses, kappa .492."""
    matrix = [[88, 14, 18], [10, 40, 10], [2, 6, 12]]
    assert room.scores(matrix)["kappa"] == pytest.approx(0.492, abs=5e-4)


def test_mcc_of_an_unbalanced_set_as_printed():
    """Chicco 2017, Ten quick tips: TP 90, FP 4, TN 1, FN 5 have F 95.24 % and MCC .14.

    And TP 95, FP 5 with all called positive have accuracy 95 %, F 97.44 % and no MCC.
    """
    seen = room.scores([[1, 4], [5, 90]])
    assert seen["accuracy"] == pytest.approx(0.91)
    assert seen["f"][1] == pytest.approx(0.9524, abs=5e-5)
    assert seen["mcc"] == pytest.approx(0.14, abs=5e-3)
    constant = room.scores([[0, 5], [0, 95]])
    assert constant["accuracy"] == pytest.approx(0.95)
    assert constant["f"][1] == pytest.approx(0.9744, abs=5e-5)
    assert np.isnan(constant["mcc"])
    assert constant["kappa"] == 0


def test_specificity_of_a_published_screen():
    """Altman and Bland 1994, BMJ 308:1552: 231 of 258 and 54 of 86 livers, .90 and .63."""
    seen = room.scores([[54, 32], [27, 231]])
    np.testing.assert_allclose(seen["recall"][1], 0.90, atol=5e-3)
    np.testing.assert_allclose(seen["specificity"], [231 / 258, 54 / 86])
    np.testing.assert_allclose(seen["specificity"][1], 0.63, atol=5e-3)


@given(MATRIX.filter(lambda matrix: (matrix.sum(1) > 0).sum() > 1))
def test_perfect_calls_agree_exactly(matrix):
    """All on the diagonal: exactly 1, of counts and of fractions that do not add up evenly."""
    perfect = np.diag(matrix.sum(axis=1))
    for scale in (1, 0.1, 1 / 3):
        seen = room.scores(perfect * scale)
        assert seen["mcc"] == seen["kappa"] == 1


@given(arrays(np.float64, 4, elements=st.floats(0.001, 50)), st.integers(0, 3))
def test_constant_calls_of_weighted_cells_stay_degenerate(counts, called):
    """Rounding turns no undefined mcc into a number, nor a specificity of 0 below it."""
    matrix = np.zeros((4, 4))
    matrix[:, called] = counts
    seen = room.scores(matrix)
    assert np.isnan(seen["mcc"])
    assert seen["kappa"] == pytest.approx(0, abs=1e-12)
    assert 0 <= seen["specificity"][called] < 1e-10


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float32])
def test_narrow_counts_do_not_overflow(dtype):
    """120 cells a place are scored and merged alike in 8 bits and in 64."""
    matrix = np.full((2, 2), 120)
    assert room.scores(matrix.astype(dtype))["macro_f"] == pytest.approx(0.5)
    assert room.merge(matrix.astype(dtype), [0, 0]).tolist() == [[480]]


def test_an_empty_matrix_has_no_scores():
    """Nothing is 0 that is not known."""
    seen = room.scores(np.zeros((3, 3), dtype=np.int64))
    assert all(np.isnan(seen[name]).all() for name in seen if name != "support")


def test_a_category_only_called_has_an_f_of_zero_outside_the_mean():
    """False calls of a category without truth do not enter macro-F by themselves."""
    seen = room.scores([[3, 1], [0, 0]])
    np.testing.assert_allclose(seen["f"], [6 / 7, 0])
    assert seen["macro_f"] == pytest.approx(6 / 7)


def test_merging_counts_cells_as_if_labelled_coarsely():
    """Merged counts equal the counts of merged labels, group by group."""
    labels = np.array([0, 0, 1, 2])
    truth, predicted, groups = stream(1, "merge").integers(0, 4, size=(3, 200))
    fine = room.grouped_confusion(truth, predicted, groups, 4)
    coarse = room.grouped_confusion(labels[truth], labels[predicted], groups, 3)
    np.testing.assert_array_equal(room.merge(fine, labels), coarse)


@given(MATRIX)
def test_merging_nothing_keeps_the_matrix(matrix):
    """New codes equal to the old ones are the identity; one code keeps the total."""
    np.testing.assert_array_equal(room.merge(matrix, np.arange(len(matrix))), matrix)
    assert room.merge(matrix, [0] * len(matrix)).tolist() == [[matrix.sum()]]


def test_merging_a_band_with_a_segmented_cell_lifts_accuracy():
    """Errors inside a merged category are none."""
    matrix = np.array([[5, 5, 0], [5, 5, 0], [0, 0, 10]])
    assert room.scores(matrix)["accuracy"] == pytest.approx(20 / 30)
    assert room.scores(room.merge(matrix, [0, 0, 1]))["accuracy"] == 1


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([0, 3], [0, 1], "row 1 says 3"),
        ([0, -1], [0, 1], "row 1 says -1"),
        ([0, 1], [0, 7], "call lies between 0 and 2"),
        ([0, 1, 1], [0, 1], "predicted has 2 rows where truth has 3"),
        ([0.0, 1.0], [0, 1], "integer code"),
    ],
)
def test_wrong_codes_are_refused(truth, predicted, message):
    """The row that breaks the rule is named."""
    with pytest.raises(DataError, match=message):
        room.confusion_matrix(truth, predicted, 3)


@pytest.mark.parametrize(
    ("groups", "n_groups", "message"),
    [
        ([0, 0, 2], None, "1 is missing"),
        ([0, 0, 10**12], None, "group lies between"),
        ([0, 0, 2], 2, "group lies between 0 and 1"),
        ([0, 0], None, "groups has 2 rows"),
    ],
)
def test_wrong_groups_are_refused(groups, n_groups, message):
    """Case numbers used as codes would ask for memory or invent empty groups."""
    with pytest.raises(DataError, match=message):
        room.grouped_confusion([0, 1, 1], [0, 1, 1], groups, 2, n_groups=n_groups)


@pytest.mark.parametrize("weights", [[1, -1], [1, np.nan], [1]])
def test_wrong_weights_are_refused(weights):
    """Weights are counts: finite, not negative, one a cell."""
    with pytest.raises(DataError, match="Weights are 2 finite numbers"):
        room.confusion_matrix([0, 1], [0, 1], 2, weights=weights)


@pytest.mark.parametrize(
    "matrix", [[[1, 2]], [1, 2], [[1, -1], [0, 1]], [[np.nan]], [[np.inf]], [["a"]], np.eye(0)]
)
def test_what_is_no_confusion_matrix_is_refused(matrix):
    """Shapes and negative or missing counts are found before anything is scored."""
    with pytest.raises(DataError, match="confusion matrix"):
        room.scores(matrix)


@pytest.mark.parametrize("labels", [[0, 1], [0, 0, 2], [-1, 0, 1], [0, 1, 2, 3]])
def test_wrong_merges_are_refused(labels):
    """A new code for each category, none left out."""
    with pytest.raises(DataError, match="Merging 3 categories"):
        room.merge(np.eye(3, dtype=np.int64), labels)
