import json
import shutil

import polars as pl
import pytest
import yaml
from tests.training.folders import change_table, contents, state_of

import leukoscope
from leukoscope.foundation.errors import DataError, RecipeError, RunError, UsageError
from leukoscope.records import shapes, tables
from leukoscope.records.dataset import read_dataset, read_split
from leukoscope.records.runs import is_seen, read_model_card

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def own(cells, tmp_path):
    """Copy the drawn cells, to be changed."""
    return shutil.copytree(cells, tmp_path / "cells")


@pytest.fixture
def train(recipe_file, tmp_path):
    """Train on a dataset by the short recipe, with options, into a folder called run."""

    def begin(dataset, **options):
        options = {"recipe": recipe_file, "out": tmp_path / "run", "device": "cpu"} | options
        return leukoscope.train(dataset, **options)

    return begin


def recipe_with(tmp_path, recipe_file, **changes):
    """Write the short recipe with some values changed."""
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(recipe_file.read_text()) | changes))
    return path


def side_of(dataset, side):
    """Give the manifest's rows on one side of the split."""
    divided = read_split(read_dataset(dataset), "splits", 0, 0)
    return divided.filter(pl.col("split") == side)


def test_drawn_cells_are_learned(cells, train, tmp_path, recipe_file):
    """On easy cells a short training makes few errors, on cases it has not seen either."""
    plan = {"updates": 120, "batch_size": 16, "validate_every": 20, "learning_rate": 0.003}
    plan |= {"build_arguments": {}, "augmentation": {"name": "none"}}
    run = train(cells, recipe=recipe_with(tmp_path, recipe_file, **plan))
    history = pl.read_csv(run / "history.csv")
    assert history["train_loss"][-1] < 0.15
    assert history["validation_accuracy"].max() > 0.8
    scores = leukoscope.evaluate(run).results.filter(pl.col("metric") == "accuracy", view="merged")
    assert scores["value"][0] > 0.8


def test_two_runs_of_one_recipe_are_equal_in_bytes(cells, train, finished):
    """Model, history, predictions and all records."""
    assert contents(train(cells)) == contents(finished)


def test_another_seed_gives_another_run(cells, train, finished):
    """Start and order differ, so everything after them does."""
    run = train(cells, seed=1)
    assert (run / "history.csv").read_bytes() != (finished / "history.csv").read_bytes()


def test_a_run_folder_holds_what_the_design_says_and_nothing_else(finished, cells):
    """Files, the cells on each side, predictions of the test split alone."""
    names = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    records = {"recipe.yaml", "environment.json", "dataset.json", "history.csv", "done.json"}
    assert names == records | {
        "model/model.safetensors",
        "model/model.sha256",
        "model/model.json",
        "predictions.parquet",
    }
    predicted = tables.read_table(finished / "predictions.parquet", shapes.PREDICTIONS)
    test = side_of(cells, "test")
    assert predicted["cell_id"].to_list() == test["cell_id"].sort().to_list()
    assert set(predicted["role"]) == {"new"}
    chances = predicted.select(pl.selectors.starts_with("p_"))
    assert chances.sum_horizontal().to_list() == pytest.approx([1.0] * test.height)
    done = json.loads((finished / "done.json").read_text())
    assert (done["n_train"], done["n_validation"], done["n_test"]) == tuple(
        side_of(cells, side).height for side in ("train", "validation", "test")
    )
    assert done["updates"] == 20


def test_a_model_says_what_it_was_made_from(finished, cells):
    """Categories in the dataset's order; the contents it has seen are training and validation."""
    card = read_model_card(finished / "model")
    known = read_dataset(cells)
    assert card.categories == known.card.categories
    seen = pl.concat([side_of(cells, "train"), side_of(cells, "validation")])
    assert set(card.seen.contents) == set(seen["content"])
    assert card.weights is None


def test_a_finished_run_is_left_as_it_is(cells, recipe_file, finished):
    """The same command again: no byte and no time of a file changes."""
    before = state_of(finished)
    assert leukoscope.train(cells, recipe=recipe_file, out=finished, device="cpu") == finished
    assert state_of(finished) == before


@pytest.mark.parametrize("is_finished", [True, False])
def test_another_recipe_on_the_same_folder_is_refused(
    finished, cells, train, tmp_path, is_finished
):
    """What differs is named, and nothing is touched."""
    run = shutil.copytree(finished, tmp_path / "run")
    if not is_finished:
        (run / "done.json").unlink()
    before = state_of(run)
    with pytest.raises(UsageError, match="holds another run: seed, updates differ"):
        train(cells, updates=30, seed=3)
    assert state_of(run) == before


def test_other_cells_or_another_split_on_the_same_folder_are_refused(
    finished, own, train, tmp_path
):
    """A run goes on with the cells it began with, or not at all."""
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "done.json").unlink()
    before = state_of(run)
    kept = change_table(
        own / "splits.parquet",
        shapes.SPLITS,
        pl.col("split").replace({"validation": "test", "test": "validation"}),
    )
    with pytest.raises(UsageError, match="the cells of its split differ"):
        train(own)
    tables.write_table(own / "splits.parquet", kept, shapes.SPLITS)
    change_table(own / "manifest.parquet", shapes.MANIFEST, pl.col("case") + "x")
    with pytest.raises(UsageError, match="the dataset's cells differ"):
        train(own)
    assert state_of(run) == before


def test_a_folder_that_holds_anything_else_is_refused(cells, train, tmp_path):
    """Neither files in it nor a file in its place are touched."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letter.txt").write_text("mine")
    (tmp_path / "file").write_text("mine too")
    for out in ("run", "file"):
        with pytest.raises(UsageError, match="left untouched"):
            train(cells, out=tmp_path / out)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["letter.txt"]
    assert (tmp_path / "file").read_text() == "mine too"


def test_the_test_split_is_not_opened_before_training_is_over(own, train, finished, tmp_path):
    """With its pictures spoilt all updates are done; mended, the run ends as if undisturbed."""
    shutil.rmtree(own / "pixels", ignore_errors=True)
    pictures = [own / "images" / path for path in side_of(own, "test")["path"]]
    kept = {path: path.read_bytes() for path in pictures}
    for path in pictures:
        path.write_bytes(b"spoilt")
    with pytest.raises(DataError, match="not a PNG"):
        train(own)
    run = tmp_path / "run"
    history = pl.read_csv(run / "history.csv")
    assert history["update"][-1] == 20
    assert not (run / "done.json").exists()
    assert not (run / "predictions.parquet").exists()
    for path, data in kept.items():
        path.write_bytes(data)
    assert contents(train(own)) == contents(finished)


def test_a_missing_training_picture_stops_before_the_first_update(own, train, tmp_path):
    """It is named; the run can go on once it is back."""
    shutil.rmtree(own / "pixels", ignore_errors=True)
    path = side_of(own, "train")["path"][0]
    (own / "images" / path).unlink()
    with pytest.raises(DataError, match=path):
        train(own)
    assert not (tmp_path / "run" / "history.csv").exists()


def test_a_split_that_parts_a_case_is_refused(own, train, tmp_path):
    """One cell of a training case moved to the test is found, and nothing is begun."""
    moved = side_of(own, "train")["cell_id"][0]
    is_it = pl.col("cell_id") == moved
    split = pl.when(is_it).then(pl.lit("test")).otherwise("split").alias("split")
    change_table(own / "splits.parquet", shapes.SPLITS, split)
    with pytest.raises(DataError, match="stand on two sides"):
        train(own)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("side", ["train", "validation"])
def test_a_test_picture_that_training_holds_is_refused(own, train, tmp_path, side):
    """The same pixels under another family and case are still the same pixels."""
    copied, target = side_of(own, side).row(0, named=True), side_of(own, "test").row(0, named=True)
    is_it = pl.col("cell_id") == target["cell_id"]
    content = pl.when(is_it).then(pl.lit(copied["content"])).otherwise("content").alias("content")
    change_table(own / "manifest.parquet", shapes.MANIFEST, content)
    with pytest.raises(DataError, match=f"1 test pictures are also in.*{target['cell_id']}"):
        train(own)
    assert not (tmp_path / "run").exists()


def test_a_split_without_validation_is_refused(own, train, tmp_path):
    """There would be nothing to choose by."""
    column = pl.col("split").replace({"validation": "test"})
    change_table(own / "splits.parquet", shapes.SPLITS, column)
    with pytest.raises(DataError, match="no cells in validation"):
        train(own)
    assert not (tmp_path / "run").exists()


def test_a_split_without_test_gives_a_model_and_no_predictions(own, train):
    """The run is finished; scoring it says what is missing."""
    column = pl.col("split").replace({"test": "validation"})
    change_table(own / "splits.parquet", shapes.SPLITS, column)
    run = train(own, updates=2)
    assert (run / "done.json").exists()
    assert not (run / "predictions.parquet").exists()
    with pytest.raises(DataError, match="holds no predictions"):
        leukoscope.evaluate(run)


def test_derived_cells_are_trained_on(cells, train, tmp_path):
    """A dataset with turned copies: twice the training cells, the same validation and test."""
    twice = leukoscope.augment(cells, "right-angles", out=tmp_path / "twice", factor=2.0)
    done = json.loads((train(twice, updates=2) / "done.json").read_text())
    assert done["n_train"] == 2 * side_of(cells, "train").height
    assert done["n_validation"] == side_of(cells, "validation").height
    assert done["n_test"] == side_of(cells, "test").height


def test_a_drawn_part_of_the_derived_cells_follows_its_originals(
    cells, train, tmp_path, recipe_file
):
    """Twenty originals and a copy of each."""
    twice = leukoscope.augment(cells, "flips", out=tmp_path / "twice", factor=2.0)
    recipe = recipe_with(tmp_path, recipe_file, train_cells=20, updates=2)
    done = json.loads((train(twice, recipe=recipe) / "done.json").read_text())
    assert done["n_train"] == 40


def test_a_split_that_a_run_used_is_never_overwritten(own, train):
    """Another name is free; the used one keeps its bytes."""
    (own / "splits.used.json").unlink(missing_ok=True)
    leukoscope.split(own, seed=1)
    train(own, updates=1)
    before = (own / "splits.parquet").read_bytes()
    with pytest.raises(UsageError, match=r"was used by run .*run"):
        leukoscope.split(own, seed=2)
    assert (own / "splits.parquet").read_bytes() == before
    assert leukoscope.split(own, name="second", seed=2).is_file()


def test_what_a_killed_process_was_writing_is_swept_away(finished, cells, train, tmp_path):
    """Leftovers go; what is not ours stays."""
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "done.json").unlink()
    (run / ".checkpoint.safetensors.abc.part").write_bytes(b"half")
    (run / "model" / ".model.json.abc.part").write_bytes(b"half")
    (run / "notes.txt").write_text("mine")
    train(cells)
    assert not list(run.rglob("*.part"))
    assert (run / "notes.txt").read_text() == "mine"


def test_a_rate_that_ruins_the_weights_ends_as_a_failed_run(cells, train, tmp_path, recipe_file):
    """One sentence; the folder stays unfinished."""
    recipe = recipe_with(tmp_path, recipe_file, learning_rate=1e30, optimiser="sgd")
    with pytest.raises(RunError, match="lower learning_rate"):
        train(cells, recipe=recipe)
    assert not (tmp_path / "run" / "done.json").exists()


def test_a_misspelt_key_names_the_near_one(cells, train, tmp_path, recipe_file):
    """Nothing is begun."""
    with pytest.raises(RecipeError, match="learning_rate"):
        train(cells, recipe=recipe_with(tmp_path, recipe_file, learning_rte=0.1))
    assert not (tmp_path / "run").exists()


def test_the_number_format_is_fixed_at_the_start_and_written_down(
    cells, train, tmp_path, recipe_file, finished
):
    """Asked for bfloat16 the run computes in it; the small network still learns finite numbers."""
    run = train(cells, recipe=recipe_with(tmp_path, recipe_file, precision="bfloat16", updates=5))
    assert json.loads((run / "environment.json").read_text())["precision"] == "bfloat16"
    loss = pl.read_csv(run / "history.csv")["train_loss"][0]
    exact = pl.read_csv(finished / "history.csv")["train_loss"][0]
    assert loss == pytest.approx(exact, rel=0.05)
    assert loss != exact


def test_cells_seen_by_the_weights_are_no_test_cells(own, train, tmp_path):
    """Going on from a run under another split is refused; under its own split the seen add up."""
    first = train(own)
    leukoscope.split(own, name="second", seed=5)
    options = {"weights": first, "out": tmp_path / "again"}
    with pytest.raises(DataError, match="were seen by the model"):
        train(own, split="second", **options)
    assert not (tmp_path / "again").exists()
    assert not (own / "splits-second.used.json").exists()
    again = train(own, **options, seed=4)
    before, after = (read_model_card(run / "model").seen for run in (first, again))
    assert set(before.contents) <= set(after.contents)


def test_what_does_not_fit_leaves_nothing_behind(own, train, tmp_path, recipe_file):
    """The corrected command can use the same place, and the split is still free."""
    (own / "splits.used.json").unlink(missing_ok=True)
    wrong = recipe_with(tmp_path, recipe_file, build_arguments={"no_such_word": 1})
    with pytest.raises(RecipeError, match="cannot be built"):
        train(own, recipe=wrong)
    assert not (tmp_path / "run").exists()
    assert not (own / "splits.used.json").exists()
    assert (train(own) / "done.json").is_file()


def test_other_cells_of_a_person_that_was_seen_are_seen(own, train):
    """In a dataset of its own too: the case's name is known to the model, though not told."""
    run = train(own)
    manifest = read_dataset(own).manifest
    fresh = manifest.with_columns(
        content=pl.format("new{}", "content"), family=pl.format("new{}", "family")
    )
    roles = is_seen(fresh, read_model_card(run / "model").seen)
    trained = pl.concat([side_of(own, side)["case"] for side in ("train", "validation")])
    assert roles.to_list() == manifest["case"].is_in(trained.to_list()).to_list()
    assert not is_seen(fresh.with_columns(case=None), read_model_card(run / "model").seen).any()
    assert not any(case in (run / "model/model.json").read_text() for case in trained.unique())


def test_cases_are_forgotten_where_a_training_case_is_unknown(own, train):
    """A training cell of nobody known may be of one of the test's people."""
    one = side_of(own, "train")["cell_id"][0]
    unknown = pl.when(pl.col("cell_id") == one).then(None).otherwise(pl.col("case")).alias("case")
    change_table(own / "manifest.parquet", shapes.MANIFEST, unknown)
    predictions = tables.read_table(train(own) / "predictions.parquet", shapes.PREDICTIONS)
    assert predictions["case"].null_count() == predictions.height
