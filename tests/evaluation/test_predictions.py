import numpy as np
import polars as pl
import pytest
from tests.evaluation.drawn import NAMES, predictions, shaped

from leukoscope.evaluation.predictions import prepare, prepare_together, views_of
from leukoscope.foundation.errors import DataError


def table(rows, **columns):
    """Write a predictions table from (cell, truth, call)."""
    cells, truth, calls = ([row[place] for row in rows] for place in range(3))
    return shaped({"cell_id": cells, "category": truth, "predicted": calls} | columns)


def test_rows_are_the_truth():
    """Three bands called segmented and one segmented called band stand where they belong."""
    rows = [("a", "band", "segmented"), ("b", "band", "segmented"), ("c", "band", "segmented")]
    rows += [("d", "segmented", "band"), ("e", "segmented", "segmented")]
    seen = prepare(table(rows))
    assert seen.names == ("segmented", "band")
    assert seen.matrices.sum(axis=0).tolist() == [[1, 1], [3, 0]]


def test_merging_adds_up_rows_and_columns():
    """With neutrophils merged, a band called segmented is right and no cell is lost."""
    rows = [("a", "band", "segmented"), ("b", "segmented", "lymphocyte")]
    rows += [("c", "lymphocyte", "band"), ("d", "lymphocyte", "lymphocyte")]
    seen = prepare(table(rows)).view("merged")
    assert seen.names == ("neutrophil", "lymphocyte")
    assert seen.matrices.sum(axis=0).tolist() == [[1, 1], [1, 1]]


def test_finer_truth_is_read_as_the_answers_of_the_model():
    """A model that answers neutrophil is right about bands and segmented cells."""
    rows = [("a", "band", "neutrophil"), ("b", "segmented", "neutrophil")]
    rows += [("c", "lymphocyte", "lymphocyte")]
    known = {"p_neutrophil": [1.0, 1.0, 0.0], "p_lymphocyte": [0.0, 0.0, 1.0]}
    seen = prepare(table(rows, **known))
    assert seen.names == ("lymphocyte", "neutrophil")
    assert seen.matrices.sum(axis=0).tolist() == [[1, 0], [0, 2]]


def test_labels_of_a_coarse_tool_are_as_right_as_its_probabilities():
    """Who answers neutrophil is right about bands, with or without columns p_…."""
    rows = [("a", "band", "neutrophil"), ("b", "segmented", "neutrophil")]
    rows += [("c", "lymphocyte", "lymphocyte"), ("d", "monocyte", "lymphocyte")]
    seen = prepare(table(rows))
    assert seen.names == ("monocyte", "lymphocyte", "neutrophil")
    assert seen.matrices.sum(axis=0).tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 2]]


def test_a_fine_word_that_is_called_stays_fine():
    """Bands are bands for a tool that calls some so, though it calls others neutrophils."""
    rows = [("a", "band", "band"), ("b", "band", "neutrophil"), ("c", "segmented", "neutrophil")]
    seen = prepare(table(rows))
    assert seen.names == ("band", "neutrophil")
    assert seen.matrices.sum(axis=0).tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize(
    "odd",
    [(1.2, -0.2), (0.5, 0.4), (0.998, 0.0), (float("nan"), 1.0), (None, 1.0), (2.0, 0.0)],
    ids=["outside", "sum below 1", "sum just below 1", "nan", "empty", "above 1"],
)
def test_odd_probabilities_are_refused_by_cell(odd):
    """One odd row among good ones, in both entrances, is named with its sum."""
    rows = [(name, "band", "band") for name in ("a", "b", "c")]
    shares = [(1.0, 0.0), odd, (0.3, 0.7)]
    known = {"p_band": [one for one, _ in shares], "p_segmented": [two for _, two in shares]}
    total = float("nan") if odd[0] is None else sum(odd)
    odd_table = table(rows, **known)
    for enter in (prepare, lambda each: prepare_together([each, each])):
        with pytest.raises(DataError, match=r"of cell b .* 1 of 3 cells") as seen:
            enter(odd_table)
        assert f"add up to {total:.6g}" in str(seen.value)


def test_rounded_probabilities_are_probabilities():
    """Few decimals and a rounding below 0 are no fault."""
    known = {"p_band": [0.3333, 1 + 5e-7], "p_segmented": [0.3333, -5e-7], "p_other": [0.333, 0]}
    seen = prepare(table([("a", "band", "band"), ("b", "band", "band")], **known))
    assert seen.n_cells == 2


@pytest.mark.parametrize(
    ("names", "views"),
    [
        (("segmented", "band", "lymphocyte"), ("strict", "merged")),
        (("band", "neutrophil", "lymphocyte"), ("strict", "merged")),
        (("segmented", "band"), ("strict",)),
        (("segmented", "neutrophil"), ("strict",)),
        (("eosinophil", "lymphocyte"), ("strict",)),
        (("neutrophil", "lymphocyte"), ("strict",)),
    ],
)
def test_merging_is_a_view_only_where_it_says_something_else(names, views):
    """Nothing to merge, or nothing but neutrophils: there is one view."""
    assert views_of(names) == views


def test_cells_are_grouped_by_case_else_by_family_else_alone():
    """The unit follows from what is known of all cells, and counts of units are true."""
    rows = [(f"cell-{i}", "band", "band") for i in range(6)]
    family = {"family": ["f0", "f0", "f1", "f2", "f3", "f4"]}
    by_case = prepare(table(rows, case=["p", "p", "p", "q", "q", "q"], **family))
    by_family = prepare(table(rows, case=["p", "p", "p", "q", "q", None], **family))
    alone = prepare(table(rows))
    assert (by_case.unit, len(by_case.matrices), by_case.n_cases) == ("case", 2, 2)
    assert by_family.unit == "family"
    assert by_family.n_cases is None
    assert by_family.n_families == 5
    assert (alone.unit, len(alone.matrices), alone.n_families) == ("family", 6, 6)


def test_a_case_half_known_still_keeps_its_cells_together():
    """Where some cases are unknown, cells of a known one are one group all the same."""
    rows = [(f"cell-{i}", "band", "band") for i in range(4)]
    seen = prepare(table(rows, case=["p", "p", None, None]))
    assert sorted(seen.matrices.sum(axis=(1, 2)).tolist()) == [1, 1, 2]


@pytest.mark.parametrize(
    ("rows", "columns", "said"),
    [
        ([("a", None, "band"), ("b", "band", "band")], {}, "1 of 2 predictions have no true"),
        ([("a", "band", "band")] * 2, {"run_id": ["one", "two"]}, "more than once"),
        ([], {}, "no cell"),
        ([("a", "blast", "band")], {"p_band": [1.0]}, "'blast'"),
        ([("a", "band", "blast")], {"p_band": [1.0]}, "'blast'"),
        ([("a", "band", "band")], {"role": ["seen"]}, "trained or chosen on"),
        ([("a", "band", "band")], {"family": ["generator:0a"]}, "1 of 1 .* are of generated cells"),
    ],
    ids=["unlabelled", "twice", "empty", "uncovered truth", "no column", "seen", "drawn"],
)
def test_what_cannot_be_scored_is_refused(rows, columns, said):
    """Each refusal names what is wrong and says that nothing was scored."""
    with pytest.raises(DataError, match=said) as seen:
        prepare(table(rows, **columns))
    assert "Nothing was scored" in str(seen.value)


def test_arms_are_joined_by_cell_and_never_by_order():
    """Shuffled rows of one arm change nothing; names that one arm lacks are counted as 0."""
    one = predictions(1)
    other = one.with_columns(
        predicted=pl.when(pl.col("predicted") == "band")
        .then(pl.lit("segmented"))
        .otherwise("predicted")
    )
    straight = prepare_together([one, other])
    shuffled = prepare_together([one, other.sample(fraction=1.0, shuffle=True, seed=5)])
    assert {each.names for each in straight} == {NAMES}
    for a, b in zip(straight, shuffled, strict=True):
        assert np.array_equal(a.matrices, b.matrices)
    assert straight[1].matrices[:, :, NAMES.index("band")].sum() == 0


@pytest.mark.parametrize("changed", ["cell_id", "category", "case", "family"])
def test_arms_of_other_cells_are_refused(changed):
    """One cell of another name, label, case or family is enough."""
    one = predictions(1)
    first = pl.int_range(pl.len()) == 0
    moved = pl.when(first).then(pl.lit("band-x")).otherwise(pl.col(changed)).alias(changed)
    cell = one["cell_id"][0]
    said = (
        "cell band-x is in one of them only"
        if changed == "cell_id"
        else rf"the {changed} of cell {cell} is {one[changed][0]} in one, band-x in another"
    )
    with pytest.raises(DataError, match=f"not of the same cells .*: {said}"):
        prepare_together([one, one.with_columns(moved)])


def test_arms_of_fewer_cells_are_refused():
    """An arm that lacks a cell cannot be compared."""
    one = predictions(1)
    for pair in ([one, one.head(119)], [one.head(119), one]):
        with pytest.raises(DataError, match=r"cell cell-0119 is in one of them only \(1"):
            prepare_together(pair)


def test_the_first_of_several_cells_that_differ_is_named():
    """As many cells, other ones: the first by name that one table lacks."""
    one = predictions(1)
    early, late = (one.filter(pl.col("cell_id") != f"cell-{i:04d}") for i in (90, 40))
    with pytest.raises(DataError, match=r"cell cell-0040 is in one .*119 cells against 119"):
        prepare_together([early, late])
