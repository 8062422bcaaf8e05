import pytest
from pydantic import TypeAdapter, ValidationError

from leukoscope.records.classifiers import (
    BoostedTrees,
    ClassifierRecipe,
    LogisticRegression,
    NearestNeighbours,
    SupportVectorMachine,
)
from leukoscope.records.runs import ModelCard

READ = TypeAdapter(ClassifierRecipe).validate_python
KINDS = {
    "logistic": LogisticRegression,
    "svm": SupportVectorMachine,
    "knn": NearestNeighbours,
    "trees": BoostedTrees,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_tells_them_apart(kind):
    """And what is written is read back as it was."""
    found = READ({"kind": kind})
    assert found == KINDS[kind]()
    assert READ(found.model_dump(mode="json")) == found


def test_defaults_are_the_papers():
    """λ 1 and 5,000 iterations; C 1 and gamma 1 / (features · variance)."""
    assert (LogisticRegression().C, LogisticRegression().max_iterations) == (1, 5000)
    assert (SupportVectorMachine().C, SupportVectorMachine().gamma) == (1, "scale")


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "forest"},
        {"kind": "logistic", "C": 0},
        {"kind": "logistic", "max_iterations": 0},
        {"kind": "logistic", "gamma": 1},
        {"kind": "svm", "gamma": 0},
        {"kind": "svm", "gamma": "auto"},
        {"kind": "svm", "C": float("inf")},
        {"kind": "knn", "neighbours": 0},
        {"kind": "knn", "metric": "manhattan"},
        {"kind": "trees", "leaves": 1},
        {"kind": "trees", "learning_rate": 1.5},
        {"kind": "trees", "smallest_leaf": 0},
        {},
    ],
)
def test_what_is_out_of_range_is_refused(value):
    """Unknown kinds, another's settings, numbers beyond sense."""
    with pytest.raises(ValidationError):
        READ(value)


def test_a_card_holds_the_classifier_and_the_measures():
    """Written as JSON and read back; a network's card has neither."""
    facts = {"categories": ("a", "b"), "preprocessing": {}, "dataset_digest": "x"}
    facts["training_cells_digest"] = "y"
    plain = ModelCard.model_validate(facts)
    assert (plain.classifier, plain.measures) == (None, ())
    card = ModelCard.model_validate(
        facts | {"classifier": {"kind": "svm", "gamma": 0.5}, "measures": ["cell_area_px2"]}
    )
    assert card.classifier == SupportVectorMachine(gamma=0.5)
    assert ModelCard.model_validate(card.model_dump(mode="json")) == card
