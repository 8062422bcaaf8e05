import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from tests.training.folders import state_of

import leukoscope
from leukoscope import LeukocyteClassifier
from leukoscope.foundation.errors import DataError, RecipeError, UsageError
from leukoscope.intake.arrays import dataset_of_arrays
from leukoscope.intake.decode import decode
from leukoscope.records.dataset import Dataset, read_dataset, read_split
from leukoscope.records.recipes import write_recipe
from leukoscope.training.recipe import TrainingRecipe
from leukoscope.verbs import classifier

pytestmark = pytest.mark.usefixtures("one_thread")
PLAN = {"model": "test_resnet", "size_px": 32, "updates": 6, "device": "cpu", "seed": 2}


@pytest.fixture(scope="module")
def arrays(cells):
    """Read the drawn cells as arrays: pictures, categories, cases."""
    manifest = read_dataset(cells).manifest
    paths = [cells / "images" / path for path in manifest["path"]]
    pictures = np.stack([decode(path.read_bytes(), name=path.name).pixels for path in paths])
    return pictures, manifest["category"].to_numpy(), manifest["case"].to_numpy()


@pytest.fixture(scope="module")
def on_dataset(cells, one_thread):
    """Fit on a dataset."""
    return LeukocyteClassifier(**PLAN).fit(cells)


@pytest.fixture(scope="module")
def on_arrays(arrays, one_thread):
    """Fit on arrays."""
    pictures, labels, cases = arrays
    return LeukocyteClassifier(**PLAN).fit(pictures, labels, cases=cases)


def test_arrays_are_predicted_as_the_same_pictures_of_a_dataset(on_dataset, cells, arrays):
    """Row by row in the manifest's order, up to rounding; the path does as well as the dataset."""
    of_dataset = on_dataset.predict_proba(read_dataset(cells))
    assert np.array_equal(on_dataset.predict_proba(str(cells)), of_dataset)
    np.testing.assert_allclose(on_dataset.predict_proba(arrays[0]), of_dataset, atol=1e-5)
    assert (on_dataset.predict(arrays[0]) == on_dataset.predict(cells)).all()


def test_rows_sum_to_one_and_columns_follow_the_classes(on_arrays, arrays):
    """The call is the class of the largest column."""
    chances = on_arrays.predict_proba(arrays[0])
    assert chances.shape == (120, 4)
    assert chances.dtype == np.float64
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert on_arrays.classes_.tolist() == ["segmented", "band", "eosinophil", "lymphocyte"]
    assert (on_arrays.predict(arrays[0]) == on_arrays.classes_[chances.argmax(axis=1)]).all()


def test_a_fit_on_a_dataset_is_the_training_of_the_command(on_dataset, cells, tmp_path):
    """Same options, same model: the probabilities of the run's own predictions."""
    run = leukoscope.train(cells, out=tmp_path / "run", **PLAN)
    stated = pl.read_parquet(run / "predictions.parquet").sort("cell_id")
    manifest = read_dataset(cells).manifest
    rows = manifest.with_row_index().join(stated, on="cell_id", how="semi").sort("cell_id")
    mine = on_dataset.predict_proba(cells)[rows["index"].to_numpy()]
    theirs = stated.select(f"p_{name}" for name in on_dataset.card_.categories).to_numpy()
    np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_two_fits_with_one_seed_are_equal(on_arrays, arrays):
    """Nothing is left to luck."""
    pictures, labels, cases = arrays
    again = LeukocyteClassifier(**PLAN).fit(pictures, labels, cases=cases)
    assert np.array_equal(again.predict_proba(pictures), on_arrays.predict_proba(pictures))


def test_it_keeps_scikit_learns_manners(on_arrays, arrays):
    """Parameters in and out, a clone without what was learned, a score that is the accuracy."""
    assert on_arrays.get_params()["updates"] == 6
    fresh = clone(on_arrays)
    assert fresh.get_params() == on_arrays.get_params()
    assert not hasattr(fresh, "classes_")
    assert fresh.set_params(updates=9).updates == 9
    assert is_classifier(fresh)
    with pytest.raises(NotFittedError):
        fresh.predict(arrays[0])
    turned, labels = arrays[0][:, ::-1], arrays[1]
    share = (on_arrays.predict(turned) == labels).mean()
    assert on_arrays.score(turned, labels) == pytest.approx(share)


def test_fitting_leaves_the_dataset_and_the_arrays_as_they_are(cells, arrays, tmp_path):
    """Only the store of pixels and the note that the split was used are kept beside a dataset."""
    own = shutil.copytree(cells, tmp_path / "cells")
    before = state_of(own)
    pictures = arrays[0].copy()
    LeukocyteClassifier(**PLAN).set_params(updates=1).fit(own)
    LeukocyteClassifier(**PLAN).set_params(updates=1).fit(pictures, arrays[1])
    after = state_of(own)
    for name in before:
        assert after[name] == before[name] or name == "splits.used.json"
    assert all(name.startswith("pixels/") for name in after.keys() - before.keys())
    assert np.array_equal(pictures, arrays[0])


WRONG = {
    "float": lambda pictures: pictures / 255,
    "grey": lambda pictures: pictures[..., 0],
    "one picture": lambda pictures: pictures[0],
    "four channels": lambda pictures: np.concatenate([pictures, pictures[..., :1]], axis=-1),
    "a list": list,
    "none at all": lambda pictures: pictures[:0],
    "words": lambda pictures: pictures.astype(str),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_array_of_pictures_is_refused(on_arrays, arrays, kind):
    """When fitting and when predicting; what was seen is named."""
    wrong = WRONG[kind](arrays[0])
    with pytest.raises(DataError, match=r"[Pp]icture.* Nothing was done"):
        LeukocyteClassifier(**PLAN).fit(wrong, arrays[1][: len(wrong)])
    with pytest.raises(DataError, match=r"[Pp]icture.* Nothing was done"):
        on_arrays.predict(wrong)


def test_labels_must_be_as_many_as_pictures(arrays):
    """And cases too."""
    pictures, labels, cases = arrays
    with pytest.raises(DataError, match="120 pictures need 120 labels"):
        LeukocyteClassifier(**PLAN).fit(pictures, labels[:-1])
    with pytest.raises(DataError, match="120 pictures need 120 labels"):
        LeukocyteClassifier(**PLAN).fit(pictures, labels, cases=cases[:-1])


def test_labels_belong_to_arrays_and_only_to_them(cells, arrays):
    """An array without, or a dataset with, is refused."""
    with pytest.raises(UsageError, match="need their categories"):
        LeukocyteClassifier(**PLAN).fit(arrays[0])
    with pytest.raises(UsageError, match="knows its categories"):
        LeukocyteClassifier(**PLAN).fit(cells, arrays[1])


def test_one_category_or_one_picture_of_a_category_is_refused(arrays):
    """There must be something to tell apart, and something to choose by."""
    pictures, labels, _ = arrays
    one = labels == "band"
    with pytest.raises(DataError, match=r"All \d+ training cells are filed as band"):
        LeukocyteClassifier(**PLAN).fit(pictures[one], labels[one])
    few = one | (np.cumsum(labels == "segmented") == 1) & (labels == "segmented")
    with pytest.raises(DataError, match="segmented"):
        LeukocyteClassifier(**PLAN).fit(pictures[few], labels[few])


def part(cells, split):
    """Give the cells of one side of the split as a dataset."""
    whole = read_dataset(cells)
    divided = read_split(whole, "splits", 0, 0)
    return Dataset(whole.folder, whole.card, divided.filter(pl.col("split") == split).drop("split"))


def test_the_test_cells_of_a_dataset_are_scored(on_dataset, cells):
    """Without labels: the dataset knows them."""
    test = part(cells, "test")
    share = (on_dataset.predict(test) == test.manifest["category"].to_numpy()).mean()
    assert on_dataset.score(test) == pytest.approx(share)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_cells_the_model_has_seen_are_not_scored(on_dataset, cells, split):
    """Neither as a dataset nor as its path."""
    with pytest.raises(DataError, match=r"the model was trained or chosen on.* Nothing was scored"):
        on_dataset.score(part(cells, split))
    with pytest.raises(DataError, match=r"the model was trained or chosen on.* Nothing was scored"):
        on_dataset.score(str(cells))


def test_pictures_the_model_has_seen_are_not_scored(on_dataset, on_arrays, arrays):
    """One is enough, wherever it stands and however the model came to see it."""
    pictures, labels, _ = arrays
    new = pictures[:, ::-1].copy()
    new[7] = pictures[7]
    with pytest.raises(DataError, match="on 1 of 120 pictures, the first at 7"):
        on_arrays.score(new, labels)
    with pytest.raises(DataError, match="trained or chosen on"):
        on_dataset.score(pictures, labels)


def test_scoring_needs_the_labels_of_arrays_and_only_those(on_dataset, on_arrays, arrays, cells):
    """As fitting does; as many labels as pictures."""
    new = arrays[0][:, ::-1]
    with pytest.raises(UsageError, match="need their categories"):
        on_arrays.score(new)
    with pytest.raises(UsageError, match="knows its categories"):
        on_dataset.score(part(cells, "test"), arrays[1])
    with pytest.raises(DataError, match="120 pictures need 120 labels, not 119"):
        on_arrays.score(new, arrays[1][:-1])


def test_a_dataset_that_is_not_its_folders_is_not_fitted(cells):
    """A filter in memory would not be heard, so it is refused; so is another card."""
    whole = read_dataset(cells)
    wrong = (
        part(cells, "train"),
        replace(whole, manifest=whole.manifest.with_columns(case=pl.lit("one"))),
        replace(whole, card=whole.card.model_copy(update={"name": "other"})),
    )
    for dataset in wrong:
        with pytest.raises(DataError, match=r"is not the one in .* Nothing was trained"):
            LeukocyteClassifier(**PLAN).fit(dataset)


def test_classes_have_the_type_of_the_labels(on_arrays, arrays):
    """Numbers in, numbers out: predictions, classes and score; the network is the same."""
    pictures, labels, cases = arrays
    numbers = np.unique(labels, return_inverse=True)[1] * 5
    fitted = LeukocyteClassifier(**PLAN).fit(pictures, numbers, cases=cases)
    assert fitted.classes_.dtype == numbers.dtype
    assert sorted(fitted.classes_) == [0, 5, 10, 15]
    assert fitted.classes_.astype(str).tolist() == list(fitted.card_.categories)
    turned = pictures[:, ::-1]
    called = fitted.predict(turned)
    assert called.dtype == numbers.dtype
    assert fitted.score(turned, numbers) == pytest.approx((called == numbers).mean())
    assert fitted.score(turned, list(called)) == 1.0


@pytest.mark.parametrize("nothing", [None, "", float("nan")])
def test_a_picture_without_a_category_is_refused(arrays, nothing):
    """It is no category of its own."""
    pictures, labels, _ = arrays
    holey = labels.astype(object)
    holey[[3, 5]] = nothing
    with pytest.raises(DataError, match="2 of 120 pictures have no category, the first at 3"):
        LeukocyteClassifier(**PLAN).fit(pictures, holey)


@pytest.mark.parametrize("nothing", [None, "", float("nan")])
def test_an_unknown_case_is_no_person(arrays, nothing, tmp_path):
    """A picture without a case has none; the others keep theirs."""
    pictures, labels, cases = arrays
    holey = cases.astype(object)
    holey[::2] = nothing
    folder = dataset_of_arrays(pictures, labels, list(holey), out=tmp_path / "cells", seed=0)
    found = read_dataset(folder).manifest["case"].to_list()
    assert found[::2] == [None] * 60
    assert found[1::2] == cases[1::2].tolist()


def test_a_recipe_may_be_a_value_a_file_or_a_name(arrays, tmp_path):
    """A value, its file and what the file holds train the same; what is given beside it goes
    before it."""
    pictures, labels, cases = arrays
    stated = {"model": "test_resnet", "batch_size": 8, "preprocessing": {"size_px": 32}}
    value = TrainingRecipe(**stated)
    write_recipe(tmp_path / "own.yaml", value)
    plan = {"updates": 4, "device": "cpu"}
    fits = [
        LeukocyteClassifier(recipe=recipe, **plan).fit(pictures, labels, cases=cases)
        for recipe in (value, tmp_path / "own.yaml", stated)
    ]
    first, *others = (fitted.predict_proba(pictures) for fitted in fits)
    assert all(np.array_equal(other, first) for other in others)
    assert [clone(fitted).recipe for fitted in fits[::2]] == [value, stated]
    with pytest.raises(RecipeError, match="recipe: batchsize is not a key"):
        LeukocyteClassifier(recipe={"batchsize": 8}).fit(pictures, labels)
    named = LeukocyteClassifier(recipe="gaur-2021-logistic").fit(pictures, labels, cases=cases)
    assert named.card_.classifier.kind == "logistic"
    assert named.score(pictures[:, ::-1], labels) > 0.25


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"calibrate": True}, "calibrate: true"),
        ({"classifier": {"kind": "knn"}, "measures": True}, "takes measures"),
        ({"classifier": {"kind": "knn"}, "model": "measures"}, "takes measures"),
    ],
)
def test_what_arrays_cannot_give_is_refused_before_the_fit(arrays, recipe, said, monkeypatch):
    """Before a picture is written."""
    pictures, labels, _ = arrays
    monkeypatch.setattr(classifier, "dataset_of_arrays", lambda *_, **__: 1 / 0)
    with pytest.raises(UsageError, match=rf"{said}.* Nothing was trained"):
        LeukocyteClassifier(recipe=recipe).fit(pictures, labels)


def test_a_classical_model_answers_arrays_as_the_same_pictures_of_a_dataset(cells, arrays):
    """On pixels; updates are none of its business."""
    fitted = LeukocyteClassifier(recipe="gaur-2021-svm").fit(cells)
    of_dataset = fitted.predict_proba(read_dataset(cells))
    np.testing.assert_allclose(fitted.predict_proba(arrays[0]), of_dataset, atol=1e-5)
    with pytest.raises(UsageError, match="does no updates"):
        LeukocyteClassifier(recipe="gaur-2021-svm", updates=9).fit(cells)
