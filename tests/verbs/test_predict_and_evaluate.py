import shutil

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import leukoscope
from leukoscope.foundation.errors import DataError, SchemaError, UsageError
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset, read_split

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def predicted(finished, cells, tmp_path_factory, one_thread):
    """Predict the whole dataset with the finished run."""
    out = tmp_path_factory.mktemp("predicted") / "all.parquet"
    return leukoscope.predict(finished, cells, out=out, device="cpu")


def scores(table, view="strict"):
    """Give {(metric, category): value}."""
    rows = table.filter(pl.col("view") == view)
    return {(row["metric"], row["category"]): row["value"] for row in rows.to_dicts()}


def test_a_run_predicts_its_test_cells_as_it_did_itself(finished, predicted):
    """Bit for bit, whatever stands around them."""
    own = tables.read_table(finished / "predictions.parquet", shapes.PREDICTIONS)
    again = tables.read_table(predicted, shapes.PREDICTIONS)
    again = again.filter(pl.col("cell_id").is_in(own["cell_id"].to_list()))
    chances = pl.selectors.starts_with("p_")
    assert_frame_equal(again.select(~chances), own.select(~chances))
    assert_frame_equal(again.select(chances), own.select(chances), abs_tol=1e-6)


def test_a_model_folder_predicts_as_its_run(finished, cells, predicted, tmp_path):
    """Only the name of the run differs."""
    out = leukoscope.predict(finished / "model", cells, out=tmp_path / "p.csv", device="cpu")
    of_model = tables.read_table(out, shapes.PREDICTIONS).drop("run_id")
    of_run = tables.read_table(predicted, shapes.PREDICTIONS).drop("run_id")
    assert_frame_equal(of_model, of_run)


def test_cells_the_model_has_seen_are_marked_and_not_scored(cells, predicted, tmp_path):
    """Training and validation are seen, the test is new; a score over both is refused."""
    divided = read_split(read_dataset(cells), "splits", 0, 0).select("cell_id", "split")
    table = tables.read_table(predicted, shapes.PREDICTIONS).join(divided, on="cell_id")
    assert set(table.select("split", "role").unique().rows()) == {
        ("train", "seen"),
        ("validation", "seen"),
        ("test", "new"),
    }
    with pytest.raises(DataError, match="trained or chosen on"):
        leukoscope.evaluate(predicted)


def test_the_table_of_another_tool_scores_as_the_run(finished, tmp_path):
    """A CSV of three columns, rows in any order, gives the same scores; intervals over cells."""
    own = tables.read_table(finished / "predictions.parquet", shapes.PREDICTIONS)
    path = tmp_path / "theirs.csv"
    own.select("predicted", "cell_id", "category").sample(
        fraction=1.0, shuffle=True, seed=1
    ).write_csv(path)
    of_run, of_table = (leukoscope.evaluate(one).results for one in (finished, path))
    for view in ("strict", "merged"):
        theirs, ours = scores(of_table, view), scores(of_run, view)
        # Without probabilities and cases, what rests on them is left out and nothing else changes.
        assert ("macro_f", None) in theirs
        assert theirs == pytest.approx({name: ours[name] for name in theirs}, nan_ok=True)
    assert set(of_run["unit"]) == {"case"}
    assert "family" in set(of_table["unit"])


def test_the_confusion_counts_every_test_cell_once(finished):
    """Rows are the truth: their sums are the supports."""
    found = leukoscope.evaluate(finished)
    rows = found.confusion.filter(view="strict").group_by("category").agg(pl.col("n_cells").sum())
    support = found.results.filter(view="strict", metric="support")
    assert dict(rows.rows()) == dict(support.select("category", "value").rows())


def test_nothing_is_overwritten(finished, cells, predicted, tmp_path):
    """A file of that name stays as it is, for predictions and for scores."""
    for name in ("taken.csv", "taken.parquet"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(UsageError, match="left untouched"):
            leukoscope.predict(finished, cells, out=tmp_path / name)
        with pytest.raises(UsageError, match="left untouched"):
            leukoscope.evaluate(finished, out=tmp_path / name)
        assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("name", ["p.txt", "p", "p.xlsx"])
def test_only_tables_are_written(finished, cells, tmp_path, name):
    """The ending says which kind."""
    with pytest.raises(UsageError, match=r"\.parquet or \.csv"):
        leukoscope.predict(finished, cells, out=tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_an_unfinished_run_neither_predicts_nor_is_scored(finished, cells, tmp_path):
    """The sentence says how to finish it."""
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "done.json").unlink()
    with pytest.raises(DataError, match="not finished"):
        leukoscope.predict(run, cells, out=tmp_path / "p.csv")
    with pytest.raises(DataError, match="not finished"):
        leukoscope.evaluate(run)
    assert not (tmp_path / "p.csv").exists()


def test_an_arms_folder_is_predicted_but_not_scored(finished, cells, tmp_path):
    """Its replicates answer together; scored is one of them, or that answer."""
    for name in ("00", "01"):
        shutil.copytree(finished, tmp_path / "arm" / name)
    for score in (leukoscope.evaluate, lambda arm: leukoscope.compare(finished, arm)):
        with pytest.raises(DataError, match=r"arm holds 2 runs.*predict .*arm DATASET"):
            score(tmp_path / "arm")
    test = read_split(read_dataset(cells), "splits", 0, 0).filter(pl.col("split") == "test")
    out = leukoscope.predict(tmp_path / "arm", cells, out=tmp_path / "p.csv", device="cpu")
    together = tables.read_table(out, shapes.PREDICTIONS)
    kept = together.filter(pl.col("cell_id").is_in(test["cell_id"].to_list()))
    own = tables.read_table(finished / "predictions.parquet", shapes.PREDICTIONS)
    chances = pl.selectors.starts_with("p_")
    assert_frame_equal(
        kept.sort("cell_id").select(chances), own.sort("cell_id").select(chances), abs_tol=1e-6
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cell_id,category\na,band\n", "lacks predicted"),
        ("cell_id,category,predicted,weight\na,band,band,3\n", "unknown columns weight"),
        ("cell_id,predicted\na,band\n", "no true category"),
        ("cell_id,category,predicted\na,band,band\na,band,band\n", "more than once"),
        ("cell_id,category,predicted\n", "no cell"),
        ("", "cannot be read"),
        ("cell_id,category,predicted,p_band\na,band,band,much\n", "wrong type"),
    ],
)
def test_tables_that_are_no_labelled_predictions_are_refused(tmp_path, text, said):
    """What is wrong is named."""
    path = tmp_path / "theirs.csv"
    path.write_text(text)
    with pytest.raises((DataError, SchemaError), match=said):
        leukoscope.evaluate(path)
