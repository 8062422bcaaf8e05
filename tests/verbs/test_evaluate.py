"""What else evaluate takes: other tools' tables, labels of a dataset, mixes, readers, counts."""

import json
import shutil

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.evaluation.drawn import NAMES
from tests.evaluation.forecasting import forecasts

import leukoscope
from leukoscope.foundation.errors import DataError, UsageError
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset, read_split

pytestmark = pytest.mark.usefixtures("one_thread")


def write_theirs(folder):
    """Write another tool's predictions: 200 cells of ten cases, with probabilities."""
    table = forecasts(1, n_cells=200, sharpness=3.0)
    table.drop("run_id", "family", "role").write_csv(folder / "theirs.csv")
    return folder / "theirs.csv"


@pytest.fixture
def theirs(tmp_path):
    """Write them anew."""
    return write_theirs(tmp_path)


def bare(finished, path, columns=("cell_id", "predicted")):
    """Write a run's test predictions as a tool that knows no labels would, the last first."""
    own = tables.read_table(finished / "predictions.parquet", shapes.PREDICTIONS)
    stated = [name for name in own.columns if name.startswith("p_")]
    own.select(*columns, *stated).reverse().write_csv(path)
    return path


def test_labels_are_joined_from_a_dataset_by_cell(finished, cells, tmp_path):
    """A table without labels scores as the run itself, in any order of its rows."""
    found = leukoscope.evaluate(bare(finished, tmp_path / "p.csv"), dataset=cells)
    own = leukoscope.evaluate(finished)
    numbers = ("metric", "view", "category", "value", "low", "high", "unit")
    assert_frame_equal(
        found.results.select(numbers), own.results.select(numbers), check_exact=False
    )


@pytest.mark.parametrize("side", ["train", "validation"])
def test_a_cell_of_the_training_is_refused(finished, cells, tmp_path, side):
    """Whatever tool it was: the dataset's split knows, and the cell is named."""
    divided = read_split(read_dataset(cells), "splits", 0, 0)
    seen = divided.filter(split=side).sort("cell_id")["cell_id"][0]
    path = bare(finished, tmp_path / "p.csv", columns=("cell_id", "predicted"))
    table = pl.read_csv(path)
    table = table.with_columns(
        cell_id=pl.when(pl.int_range(pl.len()) == 2).then(pl.lit(seen)).otherwise("cell_id")
    )
    table.write_csv(path)
    with pytest.raises(DataError, match=seen):
        leukoscope.evaluate(path, dataset=cells)


def test_predictions_for_other_images_are_refused(theirs, cells):
    """None of the cells is in the dataset, and the first is named."""
    with pytest.raises(DataError, match="cell-0000"):
        leukoscope.evaluate(theirs, dataset=cells)


def test_a_stated_mix_adds_rows_and_changes_none(theirs):
    """Those at the mix stand beside those at the mix of the cells."""
    mix = theirs.with_name("mix.yaml")
    mix.write_text("segmented: 55\nband: 5\neosinophil: 2\nlymphocyte: 38\n")
    plain = leukoscope.evaluate(theirs).results
    found = leukoscope.evaluate(theirs, prevalence=str(mix)).results
    assert_frame_equal(found.filter(pl.col("prevalence").is_null()), plain)
    at = found.filter(pl.col("prevalence").is_not_null())
    assert {"precision", "f", "accuracy", "macro_f", "average_precision"} <= set(at["metric"])
    assert set(at["prevalence"]) == {"mix"}
    stated = at.filter(metric="stated_share")
    assert dict(stated.select("category", "value").rows())["band"] == pytest.approx(0.05)


def test_the_named_mix_lacks_no_category_in_silence(theirs):
    """Nozaka's has basophils and monocytes; these cells have none."""
    with pytest.raises(DataError, match="basophil"):
        leukoscope.evaluate(theirs, prevalence="nozaka-2022")
    with pytest.raises(UsageError, match="nozaka-2022"):
        leukoscope.evaluate(theirs, prevalence="nozaka-2021")


def test_other_supports_than_stated_are_refused(theirs):
    """Right ones pass; one cell more in a category does not, and it is named."""
    counts = dict(pl.read_csv(theirs)["category"].value_counts().rows())
    stated = theirs.with_name("supports.csv")

    def state(numbers):
        rows = [f"{name},{n}" for name, n in numbers.items()]
        stated.write_text("category,n_cells\n" + "\n".join(rows) + "\n")

    state(counts)
    leukoscope.evaluate(theirs, supports=str(stated))
    state(counts | {"band": counts["band"] + 1})
    with pytest.raises(DataError, match="band"):
        leukoscope.evaluate(theirs, supports=str(stated))


def test_the_majority_of_readers_is_the_truth(theirs):
    """Two of three readers outvote the table; cells without a majority are left out and counted."""
    table = pl.read_csv(theirs)
    rows = []
    for i, (cell, truth) in enumerate(table.select("cell_id", "category").rows()):
        other, third = (NAMES[(NAMES.index(truth) + step) % 4] for step in (1, 2))
        said = (truth, other, third) if i < 5 else (other, other, truth)
        rows += [(cell, reader, word) for reader, word in zip("ABC", said, strict=True)]
    schema = ["cell_id", "reader", "category"]
    readings = pl.DataFrame(rows, schema=schema, orient="row")
    readings.write_csv(theirs.with_name("readings.csv"))
    found = leukoscope.evaluate(theirs, readers=theirs.with_name("readings.csv"))
    left = found.guards.filter(check="left out")
    assert (left["severity"].item(), left["value"].item()) == ("warning", 5)
    shifted = {name: NAMES[(i + 1) % 4] for i, name in enumerate(NAMES)}
    support = found.results.filter(metric="support", view="strict")
    expected = table[5:]["category"].replace_strict(shifted).value_counts()
    assert dict(support.select("category", "value").rows()) == dict(expected.rows())
    agreed = found.results.filter(metric="fleiss_kappa", view="strict")
    assert agreed["n_cells"].item() == 200


def test_differential_counts_are_held_against_a_reference(theirs):
    """Another count of each case; by default the labels of the same cells."""
    own = leukoscope.evaluate(theirs)
    strict = own.differential.filter(view="strict")
    assert strict["n_called"].sum() == strict["n_reference"].sum() == 200
    table = pl.read_csv(theirs)
    counted = table.group_by("case", "category").agg(n_cells=2 * pl.len())
    counted.write_csv(theirs.with_name("reference.csv"))
    found = leukoscope.evaluate(theirs, reference=theirs.with_name("reference.csv"))
    doubled = found.differential.filter(view="strict")
    assert doubled["n_reference"].to_list() == (2 * strict["n_reference"]).to_list()
    assert {"slope", "bias", "limit_low"} <= set(found.results["metric"])


@pytest.mark.parametrize("sensitivity", [0, -0.1, 1.01, float("nan")])
def test_a_sensitivity_is_a_share(theirs, sensitivity):
    """Above 0 and up to 1."""
    with pytest.raises(UsageError, match="sensitivity"):
        leukoscope.evaluate(theirs, sensitivity=sensitivity)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Keep the scores of another tool's predictions, once: drawing all figures takes seconds."""
    folder = tmp_path_factory.mktemp("kept")
    theirs = write_theirs(folder)
    out = folder / "scores"
    return theirs, out, leukoscope.evaluate(theirs, sensitivity=0.9, out=out)


def test_scores_that_are_kept_are_those_that_are_returned(kept):
    """As Parquet and as CSV."""
    _, out, found = kept
    for suffix in ("parquet", "csv"):
        for name in ("results", "confusion", "points"):
            again = tables.read_table(out / f"{name}.{suffix}", getattr(shapes, name.upper()))
            assert_frame_equal(again, getattr(found, name), check_exact=False)


def test_what_was_asked_is_kept(kept):
    """Names, never places on this machine."""
    theirs, out, _ = kept
    asked = json.loads((out / "evaluation.json").read_text())
    assert (asked["source"], asked["sensitivity"], asked["split"]) == ("theirs", 0.9, None)
    assert str(theirs.parent) not in (out / "evaluation.json").read_text()


def test_a_folder_tells_no_name_of_a_case(kept):
    """Only the table that stays in the house says which case is which."""
    theirs, out, _ = kept
    names = set(pl.read_csv(theirs)["case"])
    key = tables.read_table(out / "cases.parquet", shapes.CASES)
    assert set(key["case"]) == names
    leaving = [path for path in out.rglob("*") if path.suffix in {".csv", ".html", ".json", ".svg"}]
    assert len(leaving) > 10
    for path in leaving:
        text = path.read_text(encoding="utf-8")
        # The pseudonyms are case-001 and on; the table's own are case-0 to case-9.
        assert not [name for name in names if f"{name}," in text or f'"{name}"' in text], path


@pytest.fixture(scope="module")
def shown(finished, cells, tmp_path_factory, one_thread):
    """Evaluate a run with the pictures of its dataset, once."""
    out = tmp_path_factory.mktemp("shown") / "scores"
    found = leukoscope.evaluate(finished, dataset=cells, out=out)
    return out, found


def test_cells_are_shown_where_the_dataset_is_given(shown):
    """Those called wrong, in the page and in a table that stays in the house."""
    out, found = shown
    assert found.errors.height > 0
    pictures = tables.read_table(out / "pictures.parquet", shapes.PICTURES)
    assert set(pictures["cell_id"]) <= set(found.errors["cell_id"])
    assert "data:image/png" in (out / "report.html").read_text()


def test_a_report_can_be_made_again_from_the_tables_alone(shown, tmp_path):
    """The same bytes; --no-pictures leaves the cells out of it."""
    out = shutil.copytree(shown[0], tmp_path / "scores")
    before = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert leukoscope.report(out) == out / "report.html"
    assert (out / "report.html").read_bytes() == before
    leukoscope.report(out, pictures=False)
    assert b"data:image/png" not in (out / "report.html").read_bytes()
    json.loads((out / "report.json").read_text())


def test_no_picture_is_kept_where_none_is_wanted(finished, cells, tmp_path):
    """Neither in the page nor in a table."""
    leukoscope.evaluate(finished, dataset=cells, pictures=False, out=tmp_path / "hidden")
    assert not (tmp_path / "hidden" / "pictures.parquet").exists()
    assert "data:image/png" not in (tmp_path / "hidden" / "report.html").read_text()


def test_words_spelt_in_two_ways_are_refused(theirs):
    """Band and band would count as two categories."""
    table = pl.read_csv(theirs).select("cell_id", "category", "predicted", "case")
    odd = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.col("category").str.to_titlecase())
    table.with_columns(category=odd.otherwise("category")).write_csv(theirs)
    with pytest.raises(DataError, match="spelt in several ways"):
        leukoscope.evaluate(theirs)


def test_a_split_without_its_dataset_is_refused(theirs):
    """The option would be ignored without a word."""
    with pytest.raises(UsageError, match="--split"):
        leukoscope.evaluate(theirs, split="study")
    with pytest.raises(UsageError, match="--split"):
        leukoscope.compare(theirs, theirs, split="study")
