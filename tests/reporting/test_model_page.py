import re

import numpy as np
import polars as pl
import pytest
import yaml

from leukoscope.evaluation.evaluation import evaluation_of
from leukoscope.foundation.streams import stream
from leukoscope.records import shapes, tables
from leukoscope.records.runs import ModelCard, Preprocessing, WeightsOrigin
from leukoscope.reporting.evaluated import EvaluationPage
from leukoscope.reporting.model_page import ModelPage, keeps_pictures, model_page, plain

CATEGORIES = ("segmented", "band", "lymphocyte")
HOSTILE = (
    "a | pipe",
    "`code` *bold* _it_ [link](http://x)",
    "<script>alert(1)</script> & more",
    "quotes \" and ' and: colons, # hash",
    "new\nline\r\nand\ttab\u2028and\u0085",
    "--- \n...",
    "- item",
    "1. item",
    "# heading",
    "{{ 7 * 7 }} {% raise %}",
    "null",
    "yes",
    "白血球 😀 \u202e turned",
    "\x00\x1b[31m",
    "@mention !image ~~no~~",
)


def card_of(categories=CATEGORIES, **facts):
    """Describe a small network."""
    shape = {"model": "test_resnet", "preprocessing": Preprocessing(size_px=32)}
    digests = {"dataset_digest": "d" * 64, "training_cells_digest": "t" * 64}
    return ModelCard(**(shape | digests | {"categories": categories} | facts))


def predictions(categories=CATEGORIES, *, cases=True, n=90):
    """Make a predictions table of a model that is mostly right."""
    random = stream(4, "predictions")
    truth = np.arange(n) % len(categories)
    logits = random.normal(size=(n, len(categories))) + 2 * np.eye(len(categories))[truth]
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = {
        "cell_id": [f"secret-cell-{place}" for place in range(n)],
        "case": [f"secret-case-{place % 9}" if cases else None for place in range(n)],
        "family": [f"secret-family-{place}" for place in range(n)],
        "category": [categories[code] for code in truth],
        "predicted": [categories[code] for code in chances.argmax(axis=1)],
        "run_id": ["r"] * n,
        "role": ["new"] * n,
        **{f"p_{name}": chances[:, code] for code, name in enumerate(categories)},
    }
    schema = {"case": pl.String, "family": pl.String}
    return tables.check(pl.DataFrame(table, schema_overrides=schema), shapes.PREDICTIONS)


def scored(name, table):
    """Evaluate predictions as the verb does."""
    found = evaluation_of(table)
    kinds = ("results", "confusion", "points", "differential", "guards", "errors")
    return EvaluationPage(name, **{kind: getattr(found, kind) for kind in kinds})


def page_of(**facts):
    """Gather a page, of a run with a dataset unless told otherwise."""
    usual = {
        "name": "a run",
        "card": card_of(),
        "n_replicates": 1,
        "dataset": {
            "name": "cells of ours",
            "source": "folder",
            "licence": "cc-by-4.0",
            "citation": "Nobody 2020",
            "n_cells": {"train": 1200, "validation": 300, "test": 90},
            "n_families": {"train": 1100, "validation": 290, "test": 90},
            "n_cases": {"train": 12, "validation": 3, "test": 9},
        },
        "changed": {"updates": 20, "build_arguments": {"drop_rate": 0.2}},
        "recipe_id": "0123456789abcdef",
        "versions": {"torch": "2.13.0"},
        "parity": {
            "n_cells": 128,
            "cells": "drawn cells",
            "agreement": 1.0,
            "largest_difference": 2e-5,
            "mean_difference": 1e-6,
        },
        "digests": {"SHA-256 of model.onnx": "f" * 64},
        "unscored": "No scores here.",
    }
    return ModelPage(**(usual | facts))


def head_of(text):
    """Read the YAML head as a hub does."""
    assert text.startswith("---\n")
    head, body = text[4:].split("\n---\n", 1)
    return yaml.safe_load(head), body


@pytest.fixture(scope="module")
def full():
    """Write the card of a run that was tested."""
    return model_page(page_of(scored=scored("a run", predictions())))


def test_the_head_says_what_hubs_ask_for(full):
    """Licence, tags, task, and each score with its dataset and split."""
    head, _ = head_of(full)
    assert head["pipeline_tag"] == "image-classification"
    assert (head["license"], head["license_name"]) == ("other", "see-licences-below")
    assert head["license_of_data"] == "cc-by-4.0"
    assert "leukocyte" in head["tags"]
    ((model),) = head["model-index"]
    (result,) = model["results"]
    assert result["dataset"] == {"name": "cells of ours", "type": "images", "split": "test"}
    assert {metric["type"] for metric in result["metrics"]} == {
        "accuracy",
        "balanced_accuracy",
        "f1",
    }


def test_the_scores_are_those_of_the_evaluation(full):
    """In the head as fractions, in the text in percent with their intervals, both views."""
    results = scored("a run", predictions()).results
    head, body = head_of(full)
    metrics = {m["name"]: m["value"] for m in head["model-index"][0]["results"][0]["metrics"]}
    for view, words in (
        ("strict", "Band and segmented told apart"),
        ("merged", "Neutrophils merged"),
    ):
        row = results.filter(metric="macro_f", view=view).row(0, named=True)
        assert metrics[f"macro-F, {words}"] == pytest.approx(row["value"], abs=1e-4)
        assert (
            f"{100 * row['value']:.1f} ({100 * row['low']:.1f} to {100 * row['high']:.1f})" in body
        )
    assert "Intervals take cases as independent" in body


def test_the_confusion_counts_all_cells(full):
    """Strict, the numbers of the table are those of the calls."""
    _, body = head_of(full)
    part = body.split("### Calls by true category")[1].split("###")[0]
    strict = part.split("Neutrophils merged")[0]
    numbers = [int(found) for found in re.findall(r"(?<=\| )\d+(?= \|)", strict)]
    assert sum(numbers) == 90
    assert len(numbers) == 9


def test_no_cell_family_or_case_is_named(full):
    """The tables it was made of name them; the card does not."""
    assert "secret" not in full


def test_what_has_to_be_said_is_said(full):
    """What it is not, what it is for, how it is run, on what it was trained."""
    for said in (
        "not a medical device",
        "## Intended use",
        "## Out of scope",
        "onnxruntime.InferenceSession",
        "1200 cells, 1100 families, 12 cases".replace("1200", "1 200").replace("1100", "1 100"),
        "Nobody 2020",
        "| updates | 20 |",
        "None: started at random.",
        "0123456789abcdef",
        "100.00 % are called alike",
    ):
        assert said in full, said


def test_where_no_case_is_known_the_wider_interval_stands_beside():
    """As if persons, and the sentence that says what the interval speaks of."""
    text = model_page(page_of(scored=scored("a run", predictions(cases=False))))
    assert "as if persons" in text
    assert "intraclass correlation of 0.05" in text
    assert "of this collection only" in text


def test_a_card_without_scores_says_so():
    """No number, no index of results in the head."""
    head, body = head_of(model_page(page_of()))
    assert "No scores here." in body
    assert "model-index" not in head
    assert "Nothing is known here of how well it does" in body


def test_a_model_folder_alone_makes_a_card():
    """Without dataset, recipe or run."""
    text = model_page(page_of(dataset={}, changed={}, recipe_id=None, versions={}))
    assert "Only the model folder was at hand" in text
    assert "Not at hand" in text


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        ("cc-by-nc-4.0", "cc-by-nc-4.0"),
        ("apache-2.0", "apache-2.0"),
        ("own", "other"),
        ("unknown", "other"),
        ("Evil: yes", "other"),
    ],
)
def test_the_licence_of_weights_is_the_models(licence, said):
    """One that hubs know stands in the head; a restriction is said in words too."""
    origin = WeightsOrigin(name="theirs", sha256="0" * 64, licence=licence)
    text = model_page(page_of(card=card_of(weights=origin)))
    head, body = head_of(text)
    assert head["license"] == said
    assert head["license_of_starting_weights"] == licence
    assert ("restricts the use" in body) == (licence not in ("own", "apache-2.0"))


def test_own_weights_are_called_that():
    """Their folder's name may be a person's; the digest says which they were."""
    origin = WeightsOrigin(name="weights of an own run", sha256="0" * 64, licence="own")
    _, body = head_of(model_page(page_of(card=card_of(weights=origin))))
    assert "Weights of an own run, which itself began at random (SHA-256 0000" in body
    assert "under own" not in body


KINDS = {
    "logistic": "a logistic regression on the levels of 25 × 25 pixels,",
    "svm": "a support vector machine on the levels of 25 × 25 pixels,",
    "knn": "a vote of the nearest training cells on the levels of 25 × 25 pixels,",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", ["pixels", "lenet"])
def test_training_cells_inside_are_said_to_be_there(kind, model):
    """How many, and in which form: pictures or features; nothing where there are none."""
    facts = {"model": model, "preprocessing": Preprocessing(size_px=25)}
    card = card_of(**facts, classifier={"kind": kind})
    held = 0 if kind == "logistic" else 37
    page = page_of(card=card, n_kept_cells=held)
    _, body = head_of(model_page(page))
    of_features = KINDS[kind].replace("the levels of 25 × 25 pixels", "features of lenet at 25 px")
    assert f"It is {KINDS[kind] if model == 'pixels' else of_features} trained" in body
    assert ("### Training cells inside" in body) == bool(held)
    assert ("**This model holds the pictures of 37 training cells**, at 25 px" in body) == (
        bool(held) and model == "pixels"
    )
    assert ("**This model holds the features of 37" in body) == (bool(held) and model == "lenet")
    assert ("None: it holds no network." in body) == (model == "pixels")
    assert keeps_pictures(page) == (bool(held) and model == "pixels")
    assert ("may give the cells away (licence of the pictures: cc-by-4.0)" in body) == bool(held)


def test_one_member_that_holds_pictures_is_enough():
    """Of an ensemble whose other members hold none."""
    cards = [card_of(classifier={"kind": kind}, model="pixels") for kind in ("logistic", "knn")]
    page = page_of(card=cards[0], members=cards, n_replicates=2, n_kept_cells=5)
    assert keeps_pictures(page)
    assert "holds the pictures of 5 training cells" in model_page(page)


def test_an_ensemble_says_how_many_answer():
    """And the temperature of each."""
    cards = [card_of(temperature=1.25), card_of(temperature=0.5, test_views=8)]
    text = model_page(page_of(n_replicates=2, members=cards))
    assert "2 replicates that answer together" in text
    assert "Temperature: 1.25, 0.5." in text
    assert "mean over the eight orientations" in text


@pytest.mark.parametrize("name", HOSTILE)
def test_odd_names_break_neither_head_nor_text(name):
    """As a run's, a dataset's, a category's, a licence's, a recipe's name."""
    categories = ("segmented", name.strip(), "lymphocyte")
    dataset = {
        "name": name,
        "source": name,
        "licence": name,
        "citation": name,
        "n_cells": {name: 3, "test": 90},
    }
    page = page_of(
        name=name,
        dataset=dataset,
        changed={name: {name: [name]}},
        card=card_of(categories),
        scored=scored(name, predictions(categories)),
    )
    text = model_page(page)
    plainly = model_page(
        page_of(
            name="x",
            dataset=dataset | dict.fromkeys(dataset, "x") | {"n_cells": {"x": 3, "test": 90}},
            changed={"x": {"x": ["x"]}},
            card=card_of(("segmented", "x", "lymphocyte")),
            scored=scored("x", predictions(("segmented", "x", "lymphocyte"))),
        )
    )
    head, body = head_of(text)
    assert head["license_of_data"] == name
    assert head["model-index"][0]["name"] == name
    assert head["model-index"][0]["results"][0]["dataset"]["name"] == name
    assert "<script" not in body
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)

    def shape(markdown):
        """Count what gives a page its form: headings, rows and their cells."""
        lines = markdown.split("\n")
        return [
            len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else line[:2] == "##"
            for line in lines
            if line.startswith(("|", "#"))
        ]

    assert shape(body) == shape(head_of(plainly)[1])


@pytest.mark.parametrize("name", HOSTILE)
def test_plain_is_one_line_that_shows_the_name(name):
    """Taking the escapes back gives the words."""
    seen = str(plain(name))
    assert "\n" not in seen
    assert "<" not in seen
    back = re.sub(r"\\(.)", r"\1", seen)
    back = back.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    clean = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", name)
    assert back.split() == clean.split()
