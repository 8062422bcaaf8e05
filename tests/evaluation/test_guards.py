import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.evaluation.drawn import predictions, shaped

from leukoscope.evaluation.guards import constant_rows, guards_of
from leukoscope.evaluation.predictions import prepare
from leukoscope.evaluation.supports import refuse_other_supports
from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.records import shapes, tables
from leukoscope.records.categories import NOZAKA6, PBC13
from leukoscope.records.mixes import MIXES

CHECKS = {
    "collapse",
    "chance",
    "relabelling",
    "constant",
    "argmax",
    "ties",
    "ruled out",
    "one case",
    "strange",
}


def table_of(truth, called, n_cases=7, **columns):
    """Write a predictions table of true categories and calls, cell by cell."""
    n = len(truth)
    rows = {"cell_id": [f"{i}.bmp" for i in range(n)], "category": truth, "predicted": called}
    case = {"case": [f"case-{i % n_cases}" for i in range(n)]} if n_cases else {}
    return shaped(rows | case | columns)


def model_of(names, n_cells, right, *, seed, mix=None, chances=True, n_cases=7):
    """Draw a model that is right as often as said, with probabilities that fit its calls."""
    rng = stream(seed, "model", len(names), n_cells)
    k = len(names)
    truth = rng.choice(k, n_cells, p=mix)
    truth[:k] = range(k)
    calls = np.where(rng.random(n_cells) < right, truth, rng.integers(0, k, n_cells))
    known = {}
    if chances:
        shares = rng.dirichlet(np.full(k, 0.5), n_cells)
        top = shares.argmax(axis=1)
        rows = np.arange(n_cells)
        swap = shares[rows, top].copy()
        shares[rows, top] = shares[rows, calls]
        shares[rows, calls] = swap
        known = {f"p_{name}": shares[:, c] for c, name in enumerate(names)}
    words = np.array(names)
    return table_of(words[truth].tolist(), words[calls].tolist(), n_cases, **known)


def found(table, severity=("warning", "error"), **options):
    """Name the checks that found something."""
    rows = guards_of(table, **options).filter(pl.col("severity").is_in(severity))
    return {(row["check"], row["severity"]) for row in rows.to_dicts()}


def detail(table, check):
    return guards_of(table).filter(pl.col("check") == check)["detail"][0]


# What is well


def test_every_check_says_something():
    """A good model has a row of each check, none of which warns; so has one without cases."""
    for n_cases in (7, 0):
        table = model_of(NOZAKA6, 120, 0.9, seed=1, n_cases=n_cases)
        rows = guards_of(table)
        assert rows["check"].to_list() == sorted(CHECKS)
        assert set(rows["severity"]) == {"info"}
        assert_frame_equal(rows, tables.check(rows, shapes.GUARDS))


@pytest.mark.parametrize("block", range(4))
def test_good_models_raise_no_alarm(block):
    """None of 200 models of 2 to 13 categories, 30 cells and more, at any mix."""
    for seed in range(block * 50, block * 50 + 50):
        rng = stream(seed, "plan")
        names = list(PBC13.values())[: int(rng.choice([2, 3, 6, 13], p=[0.3, 0.3, 0.3, 0.1]))]
        mix = rng.dirichlet(np.full(len(names), 3.0))
        table = model_of(
            names,
            int(rng.choice([30, 60, 300])),
            float(rng.uniform(0.8, 1)),
            seed=seed,
            mix=mix,
            chances=bool(rng.random() < 0.5),
            n_cases=int(rng.choice([0, 2, 10])),
        )
        assert found(table, seed=seed) == set()


def test_thirteen_categories_and_thirty_cells_raise_no_alarm():
    """The smallest table that was asked for, wholly right and mostly right."""
    for right in (1.0, 0.8):
        assert found(model_of(list(PBC13.values()), 30, right, seed=4)) == set()


def test_order_of_rows_changes_nothing():
    """Shuffled rows give the same guards, whatever they found."""
    table = model_of(NOZAKA6, 90, 0.3, seed=2)
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=5)
    assert_frame_equal(guards_of(table), guards_of(shuffled))


def test_the_published_matrix_of_nozaka_passes():
    """The weakest arm of Table 2 calls 2,204 segmented cells bands, and nothing is exchanged."""
    counts = {
        "basophil": {"basophil": 85, "band": 2, "segmented": 1},
        "eosinophil": {"eosinophil": 213},
        "lymphocyte": {"eosinophil": 2, "lymphocyte": 2795, "monocyte": 61},
        "monocyte": {"basophil": 1, "lymphocyte": 26, "monocyte": 533},
        "band": {"band": 465, "segmented": 71},
        "segmented": {"eosinophil": 1, "monocyte": 1, "band": 2204, "segmented": 3335},
    }
    table = spelt_out(counts)
    assert found(table) == set()
    refuse_other_supports(table, MIXES["nozaka-2022"])


def spelt_out(counts):
    """Write a cell for every count of {truth: {call: cells}}."""
    pairs = [(t, c) for t, row in counts.items() for c, n in row.items() for _ in range(n)]
    return table_of([t for t, _ in pairs], [c for _, c in pairs], 51)


# What was published


def all_and_hem(n_cells, right, *, seed, share=0.65):
    """Draw ALL and HEM, and a model that is right as often as said."""
    return model_of(["ALL", "HEM"], n_cells, right, seed=seed, mix=[share, 1 - share])


def test_inverted_polarity_is_named():
    """SR-11: labels read the wrong way round are below chance, and the exchange is named."""
    good = all_and_hem(300, 0.8, seed=11).drop("p_ALL", "p_HEM")
    swapped = good.with_columns(category=pl.col("category").replace({"ALL": "HEM", "HEM": "ALL"}))
    assert found(good) == set()
    assert found(swapped) == {("relabelling", "error"), ("chance", "error")}
    assert "HEM as ALL" in detail(swapped, "relabelling")
    assert "ALL as HEM" in detail(swapped, "relabelling")
    assert "less often than chance" in detail(swapped, "chance")
    accuracy = prepare(good).matrices.trace(axis1=1, axis2=2).sum() / 300
    row = guards_of(swapped).filter(pl.col("check") == "relabelling").row(0, named=True)
    assert (row["value"], row["expected"]) == pytest.approx((1 - accuracy, accuracy))
    assert row["p_value"] < 1e-6


def test_two_exchanged_categories_of_six_are_named_alone():
    """Basophils and eosinophils exchanged, 3 % of the cells: accuracy hardly falls."""
    mix = np.array([MIXES["nozaka-2022"][name] for name in NOZAKA6]) / 9796
    good = model_of(NOZAKA6, 4000, 0.95, seed=12, mix=mix, chances=False)
    other = {"basophil": "eosinophil", "eosinophil": "basophil"}
    swapped = good.with_columns(predicted=pl.col("predicted").replace(other))
    assert found(good) == set()
    assert found(swapped) == {("relabelling", "error")}
    assert "(basophil as eosinophil, eosinophil as basophil)" in detail(swapped, "relabelling")


def test_labels_joined_by_order_are_found():
    """SR-12: labels in the order 1, 2, 3, files in the order 1, 10, 100; nothing else is odd."""
    good = all_and_hem(1867, 0.85, seed=13).with_row_index("number", offset=1)
    in_number_order = good.sort("number")["category"]
    by_text = good.with_columns(text=pl.col("number").cast(pl.String)).sort("text")
    assert (by_text["number"] == good.sort("number")["number"]).sum() < 10
    joined = by_text.with_columns(category=in_number_order).drop("number", "text")
    assert found(good.drop("number")) == set()
    assert found(joined) == {("chance", "error")}
    assert "joined wrongly" in detail(joined, "chance")


def test_scores_cut_to_whole_numbers_are_a_collapse():
    """SR-14: int(sigmoid) calls everything HEM but a score of exactly 1; only that is found."""
    good = all_and_hem(600, 0.85, seed=14)
    cut = good.with_columns(predicted=pl.lit("HEM")).drop("p_ALL", "p_HEM")
    nearly = cut.with_columns(
        predicted=pl.when(pl.int_range(pl.len()) < 6)
        .then(pl.col("category"))
        .otherwise("predicted")
    )
    for table in (cut, nearly):
        assert found(table) == {("collapse", "error")}
        assert "HEM" in detail(table, "collapse")
    row = guards_of(cut).filter(pl.col("check") == "collapse").row(0, named=True)
    assert (row["category"], row["value"]) == ("HEM", 1.0)
    assert row["expected"] == (cut["category"] == "HEM").mean()


SR_TABLES = {
    "flipped": (237, 139, 509, 982),
    "blur, transfer": (55, 27, 621, 1164),
    "none": (39, 14, 634, 1180),
    "flip-rotate": (133, 77, 571, 1086),
    "noise": (188, 102, 546, 1031),
    "blur": (182, 106, 542, 1037),
}


@pytest.mark.parametrize("arm", SR_TABLES)
def test_the_published_tables_of_chance_are_found(arm):
    """SR-4: six tables of Saquib and Rodriguez (ALL positive) agree with the labels by chance."""
    hits, alarms, rejections, misses = SR_TABLES[arm]
    table = spelt_out(
        {"ALL": {"ALL": hits, "HEM": misses}, "HEM": {"ALL": alarms, "HEM": rejections}}
    )
    assert table.height == 1867
    assert found(table) == {("chance", "error")}


def test_the_seventh_published_table_is_a_collapse():
    """SR-4: 17 of 1,867 calls are ALL; whether those are chance, so few could hardly show."""
    table = spelt_out({"ALL": {"ALL": 13, "HEM": 1206}, "HEM": {"ALL": 4, "HEM": 644}})
    assert found(table) == {("collapse", "error")}
    assert "tells nothing" in detail(table, "chance")


def test_supports_other_than_stated_are_refused():
    """N22-1: 9,796 cells where 9,756 are stated; the category that differs is named, no other."""
    counts = MIXES["nozaka-2022"]
    table = spelt_out({name: {name: n} for name, n in counts.items()})
    assert table.height == 9796
    refuse_other_supports(table, counts)
    with pytest.raises(DataError) as seen:
        refuse_other_supports(table, {**counts, "segmented": 5501})
    assert "segmented 5,541 against 5,501; in all 9,796 against 9,756" in str(seen.value)
    assert "band" not in str(seen.value)


def test_every_support_that_differs_is_listed():
    """One too many, one not stated, one not seen."""
    table = spelt_out({"band": {"band": 3}, "monocyte": {"monocyte": 2}})
    with pytest.raises(DataError) as seen:
        refuse_other_supports(table, {"band": 2, "basophil": 1})
    for said in ("band 3 against 2", "basophil 0 against 1", "monocyte 2 against 0"):
        assert said in str(seen.value)


def test_finer_stated_supports_are_read_as_the_answers():
    """Bands and segmented cells stated apart are the neutrophils of a coarser model."""
    table = spelt_out({"neutrophil": {"neutrophil": 5}, "monocyte": {"monocyte": 2}})
    refuse_other_supports(table, {"band": 2, "segmented": 3, "monocyte": 2})
    with pytest.raises(DataError, match="neutrophil 5 against 6"):
        refuse_other_supports(table, {"band": 3, "segmented": 3, "monocyte": 2})


# Collapse


def test_a_share_of_exactly_98_percent_is_no_collapse():
    """More than 98 %, and more than the true share: both are needed."""
    truth = ["a"] * 50 + ["b"] * 50
    assert found(table_of(truth, ["a"] * 98 + ["b"] * 2)) == set()
    assert ("collapse", "error") in found(table_of(truth, ["a"] * 99 + ["b"]))
    assert found(table_of(["a"] * 100, ["a"] * 99 + ["b"])) == set()


def test_a_collection_of_nearly_one_category_is_not_called_a_collapse():
    """Of 1,000 cells 20 are others and 15 are told: said, but no error."""
    table = table_of(["a"] * 980 + ["b"] * 20, ["a"] * 985 + ["b"] * 15)
    assert found(table) == {("collapse", "warning")}


# Chance


def test_a_few_cells_are_said_to_tell_nothing():
    """Three right calls of three happen by chance too often to be believed or blamed."""
    table = table_of(["a", "b", "c"], ["a", "b", "c"], 2)
    assert found(table) == set()
    assert "tells nothing" in detail(table, "chance")


def test_calls_in_other_words_than_the_labels_are_found():
    """Calls of 0 and 1 for HEM and ALL have no word in common with the labels."""
    good = all_and_hem(200, 0.9, seed=21).drop("p_ALL", "p_HEM")
    coded = good.with_columns(predicted=pl.col("predicted").replace({"ALL": "1", "HEM": "0"}))
    assert found(coded) == {("chance", "error"), ("strange", "warning")}
    assert "called are 0, 1, true are ALL, HEM" in detail(coded, "chance")


def test_one_category_in_another_word_is_found():
    """Lymphocytes for lymphocyte: the one word is named beside the other."""
    mix = np.array([MIXES["nozaka-2022"][name] for name in NOZAKA6]) / 9796
    good = model_of(NOZAKA6, 400, 0.95, seed=22, mix=mix, chances=False)
    other = good.with_columns(predicted=pl.col("predicted").replace("lymphocyte", "lymphocytes"))
    assert found(good) == set()
    assert found(other) == {("relabelling", "error"), ("strange", "warning")}
    assert "(lymphocytes as lymphocyte)" in detail(other, "relabelling")


def test_chance_is_rejected_as_often_as_said():
    """Labels joined at random pass at most 1 time in 20, up to the error of 150 tables."""
    passed = 0
    for seed in range(150):
        rng = stream(seed, "random")
        truth = rng.choice(["a", "b"], 60, p=[0.6, 0.4]).tolist()
        calls = rng.choice(["a", "b"], 60, p=[0.5, 0.5]).tolist()
        rows = guards_of(table_of(truth, calls), seed=seed)
        passed += rows.filter((pl.col("check") == "chance") & (pl.col("p_value") <= 0.05)).height
    assert passed / 150 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)


# Constant predictors


def test_what_needs_no_skill_is_stated():
    """The largest share, one of k, and the sum of squared shares."""
    truth = ["band"] * 5 + ["monocyte"] * 3 + ["basophil"] * 2
    (row,) = constant_rows(table_of(truth, truth))
    assert (row["severity"], row["category"], row["value"]) == ("info", "band", 0.5)
    for said in ("accuracy of 0.5", "0.3333 (1 of 3)", "0.38"):
        assert said in row["detail"]


def test_finer_labels_are_counted_as_they_are_read():
    """A model that answers neutrophil: always answering so scores bands and segmented cells."""
    truth = ["band"] * 3 + ["segmented"] * 3 + ["monocyte"] * 2
    (row,) = constant_rows(table_of(truth, ["neutrophil"] * 6 + ["monocyte"] * 2))
    assert (row["category"], row["value"]) == ("neutrophil", 0.75)


FAULTY_SCORES = {
    "inverted": lambda table: (table["category"] != table["predicted"]).mean(),
    "one label left out": lambda table: (table["category"] == table["predicted"])[1:].mean(),
    "always right": lambda table: table["predicted"].is_not_null().mean(),
}


@pytest.mark.parametrize("fault", FAULTY_SCORES)
def test_scoring_that_reads_labels_wrongly_is_found(fault):
    """A planted way of scoring gives an error for each category whose share it misses."""
    table = table_of(["a"] * 6 + ["b"] * 2, ["a"] * 8)
    rows = constant_rows(table, lambda one: (FAULTY_SCORES[fault](one), 0.5))
    assert {row["severity"] for row in rows} == {"error"}
    assert {row["category"] for row in rows} == {"a", "b"}
    assert all(row["value"] != row["expected"] for row in rows)


# Probabilities


def test_calls_that_are_not_the_largest_probability_are_counted():
    """Three planted calls are counted, the first is named; equal ones are no fault."""
    good = model_of(NOZAKA6, 80, 0.9, seed=31)
    chances = [f"p_{name}" for name in NOZAKA6]
    least = good.select(pl.concat_list(chances).list.arg_min())["p_segmented"].to_list()
    odd = pl.Series([NOZAKA6[c] if i in (7, 20, 41) else None for i, c in enumerate(least)])
    table = good.with_columns(predicted=odd.fill_null(good["predicted"]))
    assert found(table) == {("argmax", "warning")}
    assert "3 of 80 calls" in detail(table, "argmax")
    assert not any(cell in detail(table, "argmax") for cell in good["cell_id"])
    tied = good.with_columns(p_band=pl.lit(0.5), p_segmented=pl.lit(0.5)).with_columns(
        pl.lit(0.0).alias(name) for name in chances if name not in {"p_band", "p_segmented"}
    )
    for call in ("band", "segmented"):
        rows = guards_of(tied.with_columns(predicted=pl.lit(call)))
        assert rows.filter(pl.col("check") == "argmax")["severity"].to_list() == ["info"]


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0.5, 0.5), "In 100.0% of the cells two or more"),
        ((1.0, 0.0), "All probabilities are 0 or 1"),
        ((0.6, 0.4), "for every cell: a constant forecast"),
    ],
)
def test_probabilities_that_rank_nothing_are_told(shares, said):
    """Tied everywhere, calls dressed as probabilities, and one forecast for every cell."""
    truth = ["a"] * 40 + ["b"] * 40
    known = {"p_a": [shares[0]] * 80, "p_b": [shares[1]] * 80}
    if shares[0] == 1:
        known = {"p_a": [1.0] * 40 + [0.0] * 40, "p_b": [0.0] * 40 + [1.0] * 40}
    table = table_of(truth, truth, **known)
    assert ("ties", "warning") in found(table)
    assert said in detail(table, "ties")


def test_a_category_that_is_never_likely_is_told_by_name():
    """Its probability is 0 for every cell, though cells of it are there."""
    good = model_of(["a", "b"], 60, 0.9, seed=33)
    truth = good["category"].to_list()
    truth[-1] = "c"
    table = good.with_columns(category=pl.Series(truth), p_c=pl.lit(0.0))
    rows = guards_of(table).filter(pl.col("severity") != "info")
    # Its one cell was ruled out with it.
    assert rows.select("check", "category").rows() == [("ruled out", None), ("ties", "c")]


# Cases


def test_one_case_is_told():
    """All cells of one person, or of one family where no person is known."""
    good = model_of(NOZAKA6, 120, 0.9, seed=41, n_cases=1)
    assert found(good) == {("one case", "warning")}
    family = good.with_columns(case=pl.lit(None, dtype=pl.String), family=pl.lit("f"))
    assert found(family) == {("one case", "warning")}
    apart = good.with_columns(case=pl.lit(None, dtype=pl.String))
    assert "Not every cell's case is known" in detail(apart, "one case")


@pytest.mark.parametrize("enter", [guards_of, lambda t: refuse_other_supports(t, {})])
def test_what_cannot_be_scored_is_refused(enter):
    """Unlabelled, doubled and empty tables are refused here as in scoring."""
    table = predictions(1)
    with pytest.raises(DataError, match="no cell"):
        enter(table.head(0))
    with pytest.raises(DataError, match="no true category"):
        enter(table.with_columns(category=pl.lit(None, dtype=pl.String)))
    with pytest.raises(DataError, match="more than once"):
        enter(pl.concat([table, table.with_columns(run_id=pl.lit("other"))]))


def test_words_that_no_cell_is_of_are_told():
    """A third of the calls say x, as no label does: a warning with their number; one does not."""
    table = model_of(["a", "b"], 90, 1.0, seed=77, chances=False)
    index = pl.int_range(pl.len())
    odd = table.with_columns(
        predicted=pl.when(index % 3 == 0).then(pl.lit("x")).otherwise("predicted")
    )
    assert ("strange", "warning") in found(odd)
    assert "(30 x)" in detail(odd, "strange")
    few = table.with_columns(predicted=pl.when(index == 0).then(pl.lit("x")).otherwise("predicted"))
    assert ("strange", "warning") not in found(few)
