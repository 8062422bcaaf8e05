import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression as TheirLogistic
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from tests.reference.classical_reference import nearest_votes, svm_values

from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError
from leukoscope.foundation.streams import stream
from leukoscope.models.classical import fit_classifier
from leukoscope.models.classical_arrays import stored_classifier, text_of
from leukoscope.records.classifiers import (
    BoostedTrees,
    LogisticRegression,
    NearestNeighbours,
    SupportVectorMachine,
)

pytestmark = pytest.mark.usefixtures("one_thread")
ALL = (
    LogisticRegression(),
    SupportVectorMachine(),
    NearestNeighbours(neighbours=5),
    BoostedTrees(rounds=5, leaves=4, smallest_leaf=3),
)
BY_KIND = pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.kind)
COUNTS = pytest.mark.parametrize("k", [2, 3, 6])


def clouds(k, n=90, d=7, *, seed=1, spread=1.5):
    """Draw overlapping clouds of k categories, float32, and as many new points."""
    draw = stream(seed, "clouds", k)
    centres = draw.normal(size=(k, d)) * spread
    codes = np.arange(2 * n) % k
    points = (centres[codes] + draw.normal(size=(2 * n, d))).astype(np.float32)
    return points[:n], codes[:n], points[n:]


def ask(classifier, features):
    """Give its logits as an array."""
    with torch.inference_mode():
        return classifier(torch.from_numpy(features)).numpy()


def chances(logits):
    """Turn logits into probabilities."""
    return torch.softmax(torch.from_numpy(logits), dim=1).numpy()


# The libraries' own answers


@COUNTS
@pytest.mark.parametrize("C", [0.1, 1.0, 30.0])
def test_logistic_probabilities_are_scikit_learns(k, C):
    """To 1e-6, of two categories and of more, whatever the penalty."""
    known, codes, new = clouds(k)
    found = chances(ask(fit_classifier(LogisticRegression(C=C), known, codes, k, seed=0), new))
    theirs = TheirLogistic(C=C, max_iter=5000).fit(known.astype(float), codes)
    np.testing.assert_allclose(found, theirs.predict_proba(new.astype(float)), atol=1e-6)


@COUNTS
@pytest.mark.parametrize(("C", "gamma"), [(1.0, "scale"), (10.0, 0.05), (0.2, 2.0)])
def test_svm_decisions_are_scikit_learns(k, C, gamma):
    """Decision values to 1e-5, and the same category called for every cell."""
    known, codes, new = clouds(k)
    recipe = SupportVectorMachine(C=C, gamma=gamma)
    logits = ask(fit_classifier(recipe, known, codes, k, seed=0), new)
    theirs = SVC(C=C, gamma=gamma, break_ties=k > 2).fit(known.astype(float), codes)
    values = theirs.decision_function(new.astype(float))
    if k == 2:
        logits_of_second = logits[:, 1] - logits[:, 0]
        np.testing.assert_allclose(logits_of_second, values, atol=1e-5)
    else:
        np.testing.assert_allclose(logits, values, atol=1e-5)
        slow = [svm_values(theirs, x) for x in new[:5].astype(float).tolist()]
        np.testing.assert_allclose(logits[:5], slow, atol=1e-5)
    np.testing.assert_array_equal(logits.argmax(axis=1), theirs.predict(new.astype(float)))


def test_gammas_scale_is_the_papers():
    """1 / (1875 · Var) of all levels together; 1 where nothing varies."""
    known, codes, new = clouds(3, d=1875)
    found = fit_classifier(SupportVectorMachine(), known, codes, 3, seed=0)
    gamma = float(found.state_dict()["model.gamma"])
    assert gamma == pytest.approx(1 / (1875 * known.astype(float).var()), rel=1e-12)
    flat = np.ones_like(known)
    same = fit_classifier(SupportVectorMachine(), flat, codes, 3, seed=0)
    assert float(same.state_dict()["model.gamma"]) == 1
    assert np.isfinite(ask(same, new)).all()


@COUNTS
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("neighbours", [1, 4, 11])
def test_neighbours_votes_are_scikit_learns(k, metric, neighbours):
    """Shares of votes and categories called, and the plain count beside them."""
    known, codes, new = clouds(k, d=3)
    recipe = NearestNeighbours(neighbours=neighbours, metric=metric)
    classifier = fit_classifier(recipe, known, codes, k, seed=0)
    votes = classifier.model.votes(torch.from_numpy(new)).numpy()
    theirs = KNeighborsClassifier(neighbours, metric=metric, algorithm="brute")
    theirs.fit(known.astype(float), codes)
    np.testing.assert_allclose(votes / neighbours, theirs.predict_proba(new.astype(float)))
    np.testing.assert_array_equal(ask(classifier, new).argmax(1), theirs.predict(new.astype(float)))
    slow = [
        nearest_votes(known.tolist(), codes.tolist(), x, neighbours, metric, k)
        for x in new[:8].tolist()
    ]
    np.testing.assert_array_equal(votes[:8], slow)


def test_equal_votes_go_to_the_first_category_and_equal_distances_to_the_earlier_cell():
    """On a grid, where distances are equal exactly: as scikit-learn and the plain count do."""
    grid = np.array([[0, 1], [1, 0], [0, -1], [-1, 0], [3, 3], [-3, 3]], np.float32)
    codes = np.array([2, 1, 0, 2, 1, 0])
    origin = np.zeros((1, 2), np.float32)
    recipe = NearestNeighbours(neighbours=3)
    classifier = fit_classifier(recipe, grid, codes, 3, seed=0)
    assert classifier.model.votes(torch.from_numpy(origin)).tolist() == [[1, 1, 1]]
    assert nearest_votes(grid.tolist(), codes.tolist(), [0, 0], 3, "euclidean", 3) == [1, 1, 1]
    theirs = KNeighborsClassifier(3, algorithm="brute").fit(grid, codes)
    assert ask(classifier, origin).argmax() == theirs.predict(origin)[0] == 0


def test_neighbours_chances_are_their_share_of_votes_and_never_0():
    """Eleven voices and one more spread over all: (votes + 1 / k) / 12."""
    known, codes, new = clouds(4)
    classifier = fit_classifier(NearestNeighbours(), known, codes, 4, seed=0)
    votes = classifier.model.votes(torch.from_numpy(new)).numpy()
    found = chances(ask(classifier, new))
    np.testing.assert_allclose(found, (votes + 1 / 4) / 12, atol=1e-12)
    assert (found > 0).all()


def test_a_cell_without_length_has_neighbours_by_cosine():
    """All zeros point nowhere: every training cell is equally far, the first vote."""
    known, codes, _ = clouds(3)
    recipe = NearestNeighbours(neighbours=5, metric="cosine")
    classifier = fit_classifier(recipe, known, codes, 3, seed=0)
    votes = classifier.model.votes(torch.zeros(1, 7)).numpy()[0]
    np.testing.assert_array_equal(votes, np.bincount(codes[:5], minlength=3))


# What holds for all


@BY_KIND
def test_an_answer_does_not_depend_on_the_batch(recipe):
    """One by one as all at once."""
    known, codes, new = clouds(3)
    classifier = fit_classifier(recipe, known, codes, 3, seed=0)
    alone = np.concatenate([ask(classifier, new[i : i + 1]) for i in range(len(new))])
    np.testing.assert_allclose(alone, ask(classifier, new), atol=1e-10)


@BY_KIND
@pytest.mark.parametrize("held", [(1, 3), (0, 2, 4)])
def test_a_category_that_training_lacks_is_never_called(recipe, held):
    """The others are answered as if there were no more; its chance is 0."""
    known, codes, new = clouds(len(held))
    spread = np.array(held)[codes]
    found = chances(ask(fit_classifier(recipe, known, spread, 5, seed=0), new))
    without = chances(ask(fit_classifier(recipe, known, codes, len(held), seed=0), new))
    np.testing.assert_allclose(found[:, list(held)], without, atol=1e-12)
    assert (np.delete(found, held, axis=1) == 0).all()
    assert np.isfinite(ask(fit_classifier(recipe, known, spread, 5, seed=0), new)).all()


@BY_KIND
def test_threads_change_nothing(recipe):
    """Fitted with one thread and with two: every array and the text are equal."""
    known, codes, _ = clouds(3, n=400, d=40)
    found = []
    for threads in (1, 2, 1):
        torch.set_num_threads(threads)
        one = fit_classifier(recipe, known, codes, 3, seed=0)
        found.append(one.state_dict() | {"text": text_of(one)})
    torch.set_num_threads(1)
    for other in found[1:]:
        assert other.keys() == found[0].keys()
        assert other["text"] == found[0]["text"]
        assert all(torch.equal(other[n], v) for n, v in found[0].items() if n != "text")


@BY_KIND
def test_what_is_kept_is_the_model(recipe):
    """Built again from its arrays (and text), it answers the same to the bit."""
    known, codes, new = clouds(4)
    classifier = fit_classifier(recipe, known, codes, 5, seed=0)
    kept = {name: value.clone() for name, value in classifier.state_dict().items()}
    again = stored_classifier(recipe, kept, 7, 5, text=text_of(classifier))
    np.testing.assert_array_equal(ask(again, new), ask(classifier, new))


@BY_KIND
def test_broken_arrays_are_told(recipe):
    """Each array missing, too many, of another shape or type; another number of features."""
    known, codes, _ = clouds(3)
    classifier = fit_classifier(recipe, known, codes, 3, seed=0)
    kept, text = dict(classifier.state_dict()), text_of(classifier)
    broken = [kept | {"model.more": torch.zeros(1)}]
    for name, value in kept.items():
        broken.append({other: kept[other] for other in kept if other != name})
        broken.append(kept | {name: value.to(torch.float16)})
        broken.append(kept | {name: value[None]})
        broken.append(kept | {name: value.flatten()[:0]})
    broken.append(kept | {"present": torch.tensor([0, 1, 3])})
    broken.append(kept | {"present": torch.tensor([1, 0, 2])})
    for each in broken:
        with pytest.raises(DataError, match=f"arrays of the {recipe.kind} model do not fit"):
            stored_classifier(recipe, each, 7, 3, text=text)
    with pytest.raises(DataError, match="do not fit its card"):
        stored_classifier(recipe, kept, 8, 3, text=text)


@BY_KIND
def test_training_cells_nothing_can_be_learned_from_are_told(recipe):
    """Of one category alone, or with features that are not finite."""
    known, codes, _ = clouds(3)
    with pytest.raises(DataError, match="All 90 training cells are of one category"):
        fit_classifier(recipe, known, np.ones_like(codes), 3, seed=0)
    known[4, 2] = np.nan
    with pytest.raises(DataError, match="features of 1 of 90 training cells are not finite"):
        fit_classifier(recipe, known, codes, 3, seed=0)


def test_more_neighbours_than_cells_are_told():
    """Before anything is asked."""
    known, codes, _ = clouds(3, n=6)
    with pytest.raises(DataError, match="11 neighbours cannot vote among 6"):
        fit_classifier(NearestNeighbours(), known, codes, 3, seed=0)


def test_a_regression_that_stops_unfinished_says_so():
    """After two iterations it is not done, and is used all the same."""
    known, codes, new = clouds(3)
    told = []
    with progress.noting(told.append):
        found = fit_classifier(LogisticRegression(max_iterations=2), known, codes, 3, seed=0)
    assert told == ["The logistic regression stopped unfinished after 2 iterations."]
    assert np.isfinite(ask(found, new)).all()
