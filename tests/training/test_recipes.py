"""A recipe that names no classifier there is, is told so in its own words."""

import pytest

from leukoscope.foundation.errors import RecipeError
from leukoscope.records.classifiers import NearestNeighbours
from leukoscope.training.probe import ProbeRecipe
from leukoscope.training.recipes import fit_recipe

ODD = {
    "svm": "It is written `classifier: {kind: svm}`; seen 'svm'",
    "forest": "It is written `classifier: {kind: logistic}`; seen 'forest'",
    None: "seen None",
    ("svm",): "seen ('svm',)",
}
ODD_KINDS = {
    "svn": "No kind of classifier is called 'svn'. Did you mean svm?",
    "perceptron": "Known: knn, logistic, svm, trees.",
    None: "It names no kind. Known: knn",
    ("svm",): "It names no kind.",
}


@pytest.mark.parametrize(
    ("stated", "said"),
    [*ODD.items(), *(({"kind": kind}, said) for kind, said in ODD_KINDS.items()), ({}, "no kind")],
)
def test_a_classifier_of_no_kind_there_is_is_told_how_to_write_one(stated, said):
    """And none of the words of the library that reads recipes."""
    with pytest.raises(RecipeError) as seen:
        fit_recipe({"classifier": stated}, where="own.yaml")
    assert str(seen.value).startswith("own.yaml: classifier: ")
    assert said in str(seen.value)
    assert str(seen.value).endswith("Nothing was started.")
    assert not {"discriminator", "tag", "dictionary"} & {*str(seen.value).replace("'", " ").split()}


def test_a_slip_within_a_classifier_names_the_near_word():
    """As anywhere in a recipe."""
    with pytest.raises(RecipeError, match=r"classifier\.svm\.gama is not a key.*mean gamma"):
        fit_recipe({"classifier": {"kind": "svm", "gama": 1}}, where="own.yaml")


def test_a_classifier_may_be_a_value():
    """As Python states it."""
    stated = NearestNeighbours(neighbours=3)
    assert fit_recipe({"classifier": stated}, where="x") == ProbeRecipe(classifier=stated)
