"""Catalogue: what is known by name, listed and printed."""

import json
import subprocess
import sys

import pytest
import yaml
from tests.cli.command import leukoscope as command

import leukoscope
from leukoscope.augmentation.recipe import load_augmentation, named_augmentations
from leukoscope.foundation.errors import LeukoscopeError, UsageError
from leukoscope.intake.phantom import settings
from leukoscope.intake.sources import SOURCES
from leukoscope.models.known import MODELS
from leukoscope.records.catalogue import shipped_names
from leukoscope.replication.recipe import load_study, named_studies
from leukoscope.synthesis.recipes import NAMED as SYNTHESIS
from leukoscope.synthesis.recipes import load_generator
from leukoscope.training.recipes import NAMED, load_training

TRAININGS = shipped_names(*NAMED)
GENERATORS = shipped_names(*SYNTHESIS)

LISTED = {
    "sources": sorted(SOURCES),
    "models": sorted(MODELS),
    "recipes": sorted([*named_augmentations(), *TRAININGS, *GENERATORS]),
    "studies": named_studies(),
}
COLUMNS = {"models": ["name", "id", "what"], "recipes": ["name", "kind", "what"]}


@pytest.mark.parametrize("kind", LISTED)
def test_each_is_listed_once_with_a_line(kind):
    """In the order of names; no line is empty or broken."""
    table = leukoscope.catalogue(kind)
    assert table.columns == COLUMNS.get(kind, ["name", "what"])
    assert table["name"].to_list() == LISTED[kind]
    assert all(what.strip() and "\n" not in what for what in table["what"])


@pytest.mark.parametrize("kind", LISTED)
def test_each_can_be_printed(kind):
    """As text that ends with its line."""
    for name in LISTED[kind]:
        assert leukoscope.catalogue(kind, name).endswith("\n")


@pytest.mark.parametrize(
    ("kind", "load", "names"),
    [
        ("recipes", load_augmentation, named_augmentations()),
        ("recipes", load_training, TRAININGS),
        ("recipes", load_generator, GENERATORS),
        ("studies", load_study, named_studies()),
    ],
)
def test_what_is_printed_can_be_kept_and_given_back(kind, load, names, tmp_path):
    """A recipe's or study's text, saved as a file, is that recipe or study."""
    for name in names:
        path = tmp_path / f"{name}.yaml"
        path.write_text(leukoscope.catalogue(kind, name), encoding="utf-8")
        assert load(str(path)) == load(name)
        assert yaml.safe_load(path.read_text()).get("name", name) == name


def test_recipes_are_told_apart_by_kind():
    """No name is an augmentation's and a training's too."""
    kinds = {name: kind for name, kind, _ in leukoscope.catalogue("recipes").rows()}
    assert {name for name, kind in kinds.items() if kind == "training"} == set(TRAININGS)
    assert {name for name, kind in kinds.items() if kind == "augmentation"} == set(
        named_augmentations()
    )


def test_models_are_told_with_the_ids_of_the_papers_systems():
    """As the checklist has them; rivals have none."""
    rows = {name: (ids, what) for name, ids, what in leukoscope.catalogue("models").rows()}
    assert rows["lenet"][0] == "N20-S5"
    assert rows["logistic"][0] == "G-S15"
    assert rows["test_resnet"][0] == ""
    assert leukoscope.catalogue("models", "lenet") == f"N20-S5: {rows['lenet'][1]}\n"
    assert leukoscope.catalogue("models", "test_resnet") == f"{rows['test_resnet'][1]}\n"


def test_lines_say_what_the_files_say():
    """Of a recipe the first sentence of its comment, of a study its question."""
    recipes = {name: what for name, _, what in leukoscope.catalogue("recipes").rows()}
    assert recipes["gaur-2021-vgg16"] == "G-S14 (Gaur et al. 2021): VGG16, its last layer only."
    assert recipes["nozaka-2022-rotation"] == "N22-S8 (Nozaka et al. 2022): rotated copies."
    studies = dict(leukoscope.catalogue("studies").rows())
    assert studies["augmentations"] == "Which augmentation helps?"


def test_sources_are_those_that_ingest_takes(tmp_path):
    """All of them and no others; the settings of drawn cells are named, the licence of PBC too."""
    for source in SOURCES:
        with pytest.raises(LeukoscopeError) as raised:
            leukoscope.ingest(source, str(tmp_path / "gone"), out=tmp_path / "out")
        assert "No source" not in str(raised.value)
    with pytest.raises(UsageError, match=f"Known: {', '.join(sorted(SOURCES))}."):
        leukoscope.ingest("qqqq", "x", out=tmp_path / "out")
    assert all(name in SOURCES["phantom"] for name in settings())
    assert "CC BY 4.0" in leukoscope.catalogue("sources", "pbc")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("recipe",), "recipes"),
        (("recipes", "nozaka-rotation"), "nozaka-2022-rotation"),
        (("studies", "rotatoin"), "rotation"),
        (("models", "resnet"), "resnet18"),
        (("sources", "pcb"), "pbc"),
    ],
)
def test_unknown_names_offer_near_ones(words, hint):
    """Of kinds as of names."""
    with pytest.raises(UsageError, match=f"Did you mean .*{hint}"):
        leukoscope.catalogue(*words)


def test_the_command_prints_a_recipe_as_it_stands():
    """So that it can be sent to a file; as JSON it is one text."""
    text = leukoscope.catalogue("recipes", "saquib-noise")
    ended = command("catalogue", "recipes", "saquib-noise")
    assert (ended.code, ended.out, ended.err) == (0, text, "")
    as_json = command("catalogue", "recipes", "saquib-noise", "--json")
    assert json.loads(as_json.out) == {"text": text}
    listed = command("catalogue", "recipes", "--json")
    assert [row["name"] for row in json.loads(listed.out)] == LISTED["recipes"]
    assert "saquib-noise" in command("catalogue", "recipes").out


def test_no_list_starts_torch():
    """A list of names is no work for it."""
    script = (
        "import sys, leukoscope\n"
        f"for kind in {list(LISTED)}: leukoscope.catalogue(kind)\n"
        "print({'torch', 'timm', 'matplotlib'} & sys.modules.keys())"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)  # noqa: PLW1510
    assert ended.stdout == "set()\n", ended.stderr
