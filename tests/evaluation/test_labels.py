import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sklearn.metrics import cohen_kappa_score
from tests.evaluation.drawn import predictions, shaped
from tests.records.tabling import manifest_of
from tests.reference import guards_reference as reference

from leukoscope.evaluation.labels import (
    labelled_from,
    missing_cells,
    reader_rows,
    split_for,
    with_readers,
    with_truth,
)
from leukoscope.evaluation.predictions import prepare
from leukoscope.evaluation.results import to_table
from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError, SchemaError, UsageError
from leukoscope.foundation.streams import stream
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import DatasetCard, splits_path, write_dataset

CATEGORIES = ("band", "segmented", "monocyte", "neutrophil")
CARD = DatasetCard(name="drawn", source="folder", categories=CATEGORIES, image_root="images")
ROWS = [
    {"cell_id": "a", "category": "band", "case": "p", "family": "1"},
    {"cell_id": "b", "category": "segmented", "case": "p", "family": "2"},
    {"cell_id": "c", "category": "monocyte", "case": "q", "family": "3"},
    {"cell_id": "d", "category": "band", "case": "r", "family": "4"},
    {"cell_id": "e", "category": "band", "case": None, "family": "5"},
]
SIDES = {"a": "test", "b": "test", "c": "train", "d": "validation", "e": "calibration"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Give a new folder each time it is called."""
    root, numbers = tmp_path_factory.mktemp("labels"), itertools.count()
    return lambda: root / str(next(numbers))


def dataset_of(folder, rows=ROWS, sides=SIDES, name="splits"):
    """Write a dataset and, unless there are no sides, one split of it."""
    known = write_dataset(folder, CARD, manifest_of(rows))
    if sides:
        split = pl.DataFrame(list(sides.items()), schema=["cell_id", "split"], orient="row")
        split = split.with_columns(repeat=0, fold=0)
        tables.write_table(splits_path(folder, name), split, shapes.SPLITS)
    return known


def calls_of(cells, **columns):
    """Write a predictions table that calls everything a band."""
    return shaped({"cell_id": cells, "predicted": ["band"] * len(cells)} | columns)


# A dataset's labels


@settings(max_examples=30)
@given(order=st.permutations(range(5)))
def test_labels_are_joined_by_name_and_never_by_order(place, order):
    """However the rows stand, each cell has its own category, case and family."""
    known = dataset_of(place(), sides=None)
    rows = {row["cell_id"]: row for row in ROWS}
    names = [list(rows)[i] for i in order]
    table = calls_of(names, p_band=[0.1 * i for i in order])
    seen = with_truth(table[list(reversed(range(5)))], known, None)
    for row in seen.to_dicts():
        own = rows[row["cell_id"]]
        assert (row["category"], row["case"], row["family"]) == (
            own["category"],
            own["case"],
            own["family"],
        )
        assert row["p_band"] == 0.1 * list(rows).index(row["cell_id"])
    assert_frame_equal(seen, with_truth(table, known, None))


def test_another_case_than_the_datasets_is_refused(place):
    """A person under another name is another person, or the wrong dataset."""
    known = dataset_of(place(), sides=None)
    cells = [row["cell_id"] for row in ROWS if row["case"]]
    with pytest.raises(DataError, match=rf"case of 1 of 1 .* {cells[0]}"):
        with_truth(calls_of(cells[:1], case=["x"]), known, None)
    own = next(row["case"] for row in ROWS if row["case"])
    assert with_truth(calls_of(cells[:1], case=[own]), known, None)["case"].to_list() == [own]


def test_labels_numbered_1_10_100_stay_with_their_cells(place):
    """SR-12: a tool that lists files as text and labels by number changes nothing here."""
    names = [f"{i}.bmp" for i in range(1, 121)]
    truth = [CATEGORIES[i % 3] for i in range(120)]
    rows = [
        {"cell_id": name, "category": one, "case": f"p{i % 9}", "family": name}
        for i, (name, one) in enumerate(zip(names, truth, strict=True))
    ]
    called = dict(zip(names, truth, strict=True))
    listed = sorted(names)
    assert sum(a == b for a, b in zip(listed, names, strict=True)) < 10
    table = shaped({"cell_id": listed, "predicted": [called[name] for name in listed]})
    scored = prepare(with_truth(table, dataset_of(place(), rows, None), None))
    assert np.trace(scored.matrices.sum(axis=0)) == 120


def test_predictions_for_other_images_are_refused(place):
    """How many and which first, and how the dataset's own cells are named."""
    with pytest.raises(DataError) as seen:
        with_truth(calls_of(["a", "z2", "z1"]), dataset_of(place()), None)
    for said in ("2 of 3 predictions", "for example z1", "named like a", "Nothing was scored"):
        assert said in str(seen.value)


def test_labels_that_contradict_the_dataset_are_refused(place):
    """Two of three say otherwise; the first is named with both."""
    known = dataset_of(place(), sides=None)
    table = calls_of(["a", "b", "c"], category=["band", "monocyte", "band"])
    with pytest.raises(DataError) as seen:
        with_truth(table, known, None)
    for said in ("2 of 3 predictions", "of cell b: monocyte against segmented", "Nothing was"):
        assert said in str(seen.value)


def test_a_coarser_label_contradicts_nothing(place):
    """A neutrophil may be a band: the dataset's word is taken."""
    table = calls_of(["a", "b", "c"], category=["neutrophil", None, "monocyte"])
    seen = with_truth(table, dataset_of(place(), sides=None), None)
    assert seen["category"].to_list() == ["band", "segmented", "monocyte"]


def test_copies_are_refused(place):
    """A copy is no new cell."""
    copy = {"cell_id": "a+1", "category": "band", "case": "p", "family": "1", "origin": "a"}
    known = dataset_of(place(), [*ROWS, copy | {"copy": 1}], None)
    with pytest.raises(DataError, match=r"1 of 2 .* copies of cells, for example a\+1, made from"):
        with_truth(calls_of(["a", "a+1"]), known, None)


def test_renderings_are_scored(place):
    """Cells without their background have an origin and are no copies: they may be tested on."""
    rows = [
        row | {"cell_id": f"{row['cell_id']}+isolated", "origin": row["cell_id"]} for row in ROWS
    ]
    known = dataset_of(place(), rows, {f"{cell}+isolated": side for cell, side in SIDES.items()})
    calls = calls_of(["a+isolated", "b+isolated", "e+isolated"])
    assert with_truth(calls, known, "splits").height == 3
    assert missing_cells(calls, known, None) == len(ROWS) - 3


def test_generated_cells_are_no_test_cells(place):
    """With an origin and no copy's number: refused among predictions, not missed without one."""
    made = {
        "cell_id": "g",
        "category": "band",
        "family": "generator:run-3",
        "origin": "generator:run-3",
    }
    known = dataset_of(place(), [*ROWS, made], None)
    with pytest.raises(DataError, match=r"1 of 2 .* for example g, made from generator:run-3"):
        with_truth(calls_of(["a", "g"]), known, None)
    assert missing_cells(calls_of([row["cell_id"] for row in ROWS]), known, None) == 0


@pytest.mark.parametrize(("cell", "side"), [("c", "train"), ("d", "validation")])
def test_a_training_image_in_a_test_table_is_refused(place, cell, side):
    """One cell of training or validation among those of the test is found and named."""
    known = dataset_of(place())
    assert with_truth(calls_of(["a", "b", "e"]), known, "splits").height == 3
    with pytest.raises(DataError) as seen:
        with_truth(calls_of(["a", "b", cell]), known, "splits")
    for said in ("1 of 3 predictions", f"{cell} is in {side}", "Nothing was scored"):
        assert said in str(seen.value)


def test_equal_pixels_of_a_training_cell_are_refused(place):
    """A picture filed twice, in the test under another case and family."""
    rows = [*ROWS, {"cell_id": "f", "category": "band", "case": "s", "family": "6"}]
    rows = [row | ({"content": "same"} if row["cell_id"] in "cf" else {}) for row in rows]
    known = dataset_of(place(), rows, SIDES | {"f": "test"})
    assert with_truth(calls_of(["a"]), known, "splits").height == 1
    with pytest.raises(DataError, match=r"f stands in one group .* with c in train"):
        with_truth(calls_of(["a", "f"]), known, "splits")


FEW = st.integers(0, 5).map(str)
DRAWN = st.lists(
    st.fixed_dictionaries({"case": st.none() | FEW, "family": FEW, "content": FEW}),
    min_size=2,
    max_size=9,
)


@settings(max_examples=40)
@given(drawn=DRAWN, data=st.data())
def test_exactly_what_hangs_together_with_training_is_refused(place, drawn, data):
    """Walking from cell to cell by hand finds the same; cells the split does not name too."""
    rows = [{"cell_id": f"c{i}", "category": "band", **row} for i, row in enumerate(drawn)]
    # A split parts no case and no family, but knows nothing of pixels.
    known = [row | {"content": row["cell_id"]} for row in rows]
    sides = {}
    for row in rows:
        if row["cell_id"] not in sides:
            side = data.draw(st.sampled_from([None, "train", "validation", "calibration", "test"]))
            sides |= dict.fromkeys(reference.linked(known, row["cell_id"]), side)
    named = {name: side for name, side in sides.items() if side} or {"c0": "test"}
    dataset = dataset_of(place(), rows, named)
    learned = {name for name, side in named.items() if side in {"train", "validation"}}
    refused = {row["cell_id"] for row in rows if reference.linked(rows, row["cell_id"]) & learned}
    for row in rows:
        one = calls_of([row["cell_id"]])
        if row["cell_id"] in refused:
            with pytest.raises(DataError, match="training or validation"):
                with_truth(one, dataset, "splits")
        else:
            assert with_truth(one, dataset, "splits").height == 1


def test_a_split_that_is_not_there_is_told(place):
    """By name, by division, and where the dataset has none."""
    known = dataset_of(place(), name="other")
    with pytest.raises(UsageError, match="other"):
        with_truth(calls_of(["a"]), known, "splits")
    with pytest.raises(UsageError, match="fold 3"):
        with_truth(calls_of(["a"]), known, "other", fold=3)
    with pytest.raises(DataError, match="no split yet"):
        with_truth(calls_of(["a"]), dataset_of(place(), sides=None), "splits")


def test_the_first_split_is_taken_unless_the_model_vouches_for_its_cells(place):
    """A named one goes first; of cells that the model says are new to it none is asked for."""
    known, table = dataset_of(place()), calls_of(["a"])
    assert split_for(table, known, None) == "splits"
    assert split_for(table, known, "other") == "other"
    assert split_for(table.with_columns(role=pl.lit("new")), known, None) is None
    assert split_for(table, dataset_of(place(), sides=None), None) is None
    with pytest.raises(DataError, match="training"):
        labelled_from(calls_of(["c"]), known, None)


def test_that_a_split_of_another_name_is_not_looked_at_is_noted(place):
    """The first has another name: which one, a person must say."""
    known = dataset_of(place())
    (known.folder / "splits.parquet").rename(known.folder / "splits-study.parquet")
    said = []
    with progress.noting(said.append):
        labelled_from(calls_of(["c"]), known, None)
    assert len(said) == 1
    assert "not checked" in said[0]


def test_test_cells_without_a_prediction_are_counted(place):
    """A score of half a test can be said to be one."""
    assert labelled_from(calls_of(["a"]), dataset_of(place()), None)[1] == 1


def test_missing_cells_are_counted(place):
    """Of the test where a split is named, else of all that are no copies."""
    copy = {"cell_id": "c+1", "category": "monocyte", "case": "q", "family": "3", "origin": "c"}
    known = dataset_of(place(), [*ROWS, copy | {"copy": 1}], SIDES | {"c+1": "train"})
    assert missing_cells(calls_of(["a"]), known, "splits") == 1
    assert missing_cells(calls_of(["b", "a"]), known, "splits") == 0
    assert missing_cells(calls_of(["a"]), known, None) == 4


# Several readers


def readings(rows):
    """Write a readers table from (cell, reader, category)."""
    return pl.DataFrame(rows, schema=["cell_id", "reader", "category"], orient="row")


def drawn_readings(table, names, right, *, seed, read=1.0):
    """Draw readers who are right as often as said and may pass a cell over, but not all."""
    rng = stream(seed, "readers")
    words = sorted(set(table["category"]))
    rows = []
    for cell, truth in table.select("cell_id", "category").iter_rows():
        skipped = [name for name in names if rng.random() >= read][: len(names) - 1]
        for name in (one for one in names if one not in skipped):
            call = truth if rng.random() < right else str(rng.choice(words))
            rows.append((cell, name, call))
    return readings(rows)


@pytest.mark.parametrize("read", [1.0, 0.7])
def test_the_truth_is_what_more_than_half_say(read):
    """Cell by cell as counted by hand; cells without a majority are left out and counted."""
    table = predictions(3)
    names = ("ann", "bob", "cy", "dee")
    read_by = drawn_readings(table, names, 0.6, seed=4, read=read)
    kept, n_left_out = with_readers(table, read_by.sample(fraction=1.0, shuffle=True, seed=1))
    said = dict(read_by.group_by("cell_id").agg("category").iter_rows())
    expected = {cell: reference.majority(words) for cell, words in said.items()}
    assert 0 < n_left_out == list(expected.values()).count(None)
    assert dict(kept.select("cell_id", "category").iter_rows()) == {
        cell: word for cell, word in expected.items() if word
    }
    assert kept.columns == table.columns


def test_readers_may_agree_on_a_parent():
    """A band and a segmented cell are two neutrophils for a model that answers no finer."""
    calls = {"cell_id": ["x"], "predicted": ["neutrophil"]}
    read_by = readings([("x", "a", "band"), ("x", "b", "segmented"), ("x", "c", "monocyte")])
    kept, n_left_out = with_readers(shaped(calls), read_by)
    assert (kept["category"].to_list(), n_left_out) == (["neutrophil"], 0)
    finer = shaped(calls | {"predicted": ["band"]})
    with pytest.raises(DataError, match="In none of the 1 cells"):
        with_readers(finer, read_by)


def test_cells_that_nobody_read_are_refused():
    """How many and which first; readings of other cells are left aside."""
    read_by = readings([("a", "x", "band"), ("zz", "x", "band")])
    assert with_readers(calls_of(["a"]), read_by)[0].height == 1
    for enter in (with_readers, reader_rows):
        with pytest.raises(DataError, match=r"2 of 3 predicted cells .* for example b"):
            enter(calls_of(["a", "b", "c"]), read_by)


def test_a_cell_read_twice_by_one_reader_is_refused():
    """And one that stands in the predictions twice."""
    read_by = readings([("a", "x", "band"), ("a", "x", "monocyte")])
    with pytest.raises(SchemaError, match="more than once"):
        with_readers(calls_of(["a"]), read_by)
    with pytest.raises(DataError, match="more than once"):
        with_readers(calls_of(["a", "a"], run_id=["1", "2"]), read_by.head(1))


def test_agreement_is_given_for_each_pair_and_view():
    """Each kappa is scikit-learn's of the cells both called; Fleiss where all read all."""
    table = predictions(5, n_cells=90)
    names = ("ann", "bob", "cy")
    read_by = drawn_readings(table, names, 0.7, seed=6)
    rows = to_table(reader_rows(table, read_by))
    assert rows.group_by("metric", "view").len().sort("metric", "view").rows() == [
        ("fleiss_kappa", "merged", 1),
        ("fleiss_kappa", "strict", 1),
        ("reader_kappa", "merged", 6),
        ("reader_kappa", "strict", 6),
    ]
    by_name = {
        name: dict(part.select("cell_id", "category").iter_rows())
        for (name,), part in read_by.group_by("reader")
    }
    calls = dict(table.select("cell_id", "predicted").iter_rows())
    pairs = {f"readers {a} and {b}": (a, b) for a, b in itertools.combinations(names, 2)}
    pairs |= {f"the model and reader {a}": (a, None) for a in names}
    for who, (one, other) in pairs.items():
        second = by_name[other] if other else calls
        row = rows.filter(
            pl.col("method").str.starts_with(f"Cohen's kappa of {who}, ")
            & (pl.col("view") == "strict")
        ).row(0, named=True)
        cells = sorted(calls)
        expected = cohen_kappa_score(
            [by_name[one][cell] for cell in cells], [second[cell] for cell in cells]
        )
        assert row["value"] == pytest.approx(expected)
        assert row["low"] < row["value"] < row["high"]
        assert (row["n_cells"], row["n_cases"], row["unit"]) == (90, 10, "case")
        assert row["category"] is None


def test_cells_that_one_did_not_read_do_not_count_for_the_pair():
    """Each pair rests on the cells both read; without all readings there is no Fleiss."""
    table = predictions(7, n_cells=80, n_cases=0)
    read_by = drawn_readings(table, ("ann", "bob"), 0.8, seed=8, read=0.6)
    rows = [row for row in reader_rows(table, read_by) if row["view"] == "strict"]
    both = read_by.group_by("cell_id").len().filter(pl.col("len") == 2).height
    assert {row["metric"] for row in rows} == {"reader_kappa"}
    assert [row["n_cells"] for row in rows] == [
        both,
        *(read_by.filter(pl.col("reader") == name).height for name in ("ann", "bob")),
    ]
    assert both < 80
    assert {row["unit"] for row in rows} == {"family"}


def test_readers_without_a_common_cell_have_no_kappa():
    """It is undefined, and said so."""
    read_by = readings([("a", "x", "band"), ("b", "y", "band")])
    rows = to_table(reader_rows(calls_of(["a", "b"]), read_by))
    row = rows.filter(pl.col("method").str.contains("readers x and y")).row(0, named=True)
    assert row["value"] is None
    assert "both called no cell" in row["method"]


def test_agreement_counts_cells_without_a_majority():
    """Readers who never agree have no majority and no agreement: both are seen."""
    table = calls_of(["a", "b", "c", "d"], case=["p", "p", "q", "q"])
    words = ["band", "monocyte", "band", "monocyte"]
    other = ["monocyte", "band", "monocyte", "band"]
    rows = [(c, "x", w) for c, w in zip("abcd", words, strict=True)]
    rows += [(c, "y", w) for c, w in zip("abcd", other, strict=True)]
    found = reader_rows(table, readings(rows))
    assert next(row for row in found if "readers x and y" in row["method"])["value"] == -1
    with pytest.raises(DataError, match="Ask a further reader"):
        with_readers(table, readings(rows))
