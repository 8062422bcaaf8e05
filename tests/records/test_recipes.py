import json
import math
import subprocess
import sys
from typing import Annotated, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from leukoscope.foundation.errors import DataError, RecipeError, SchemaError
from leukoscope.records.recipes import Recipe, canonical_json, read_yaml, write_recipe


class Wash(Recipe):
    kind: Literal["wash"] = "wash"
    minutes_range: tuple[float, float] = (1.0, 2.0)


class Dye(Recipe):
    kind: Literal["dye"] = "dye"
    colour: str
    shares: dict[str, float] = Field(default={})


class Smear(Recipe):
    name: str = "smear"
    steps: tuple[Annotated[Wash | Dye, Field(discriminator="kind")], ...] = ()
    first: Wash = Wash()
    last: Dye | None = None
    seed: int = Field(default=0, ge=0)


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
WASHES = st.builds(Wash, minutes_range=st.tuples(FLOATS, FLOATS))
DYES = st.builds(Dye, colour=st.text(), shares=st.dictionaries(st.text(max_size=3), FLOATS))
SMEARS = st.builds(
    Smear,
    name=st.text(),
    steps=st.lists(WASHES | DYES, max_size=3).map(tuple),
    first=WASHES,
    last=st.none() | DYES,
    seed=st.integers(0, 2**40),
)
GOLDEN = Smear(
    name="ü", steps=(Dye(colour="red", shares={"b": 0.1, "a": 1e-9}), Wash()), seed=2**40
)
GOLDEN_ID = "cc9875f0a4e60729"


def shuffled(value, chance):
    """Put the keys of all mappings of a plain value in another order."""
    if isinstance(value, dict):
        keys = list(value)
        chance.shuffle(keys)
        return {key: shuffled(value[key], chance) for key in keys}
    return [shuffled(each, chance) for each in value] if isinstance(value, list) else value


@given(SMEARS)
def test_a_recipe_survives_yaml_and_json(recipe):
    """Written and read back it is the same value, with the same id."""
    back = Smear.from_mapping(yaml.safe_load(recipe.to_yaml()), where="here")
    assert back == recipe
    assert back.recipe_id == recipe.recipe_id
    assert Smear.from_mapping(json.loads(canonical_json(recipe)), where="here") == recipe


@given(SMEARS, st.randoms(use_true_random=False))
def test_the_id_does_not_hang_on_the_order_of_keys(recipe, chance):
    """However the keys stand in the file, the id is the same."""
    value = shuffled(recipe.model_dump(mode="json"), chance)
    assert Smear.from_mapping(value, where="here").recipe_id == recipe.recipe_id


@given(SMEARS, SMEARS)
def test_two_recipes_share_an_id_only_if_they_are_equal(one, other):
    """The id stands for the value."""
    assert (one.recipe_id == other.recipe_id) == (one == other)


def test_the_id_is_pinned_and_the_same_in_another_process():
    """A change of this id would orphan every run that was made under it."""
    assert GOLDEN.recipe_id == GOLDEN_ID
    script = (
        "from leukoscope.records.runs import Preprocessing; print(Preprocessing().recipe_id)\n"
        "from leukoscope.augmentation.recipe import load_augmentation as load\n"
        "print(load('rotation').recipe_id)"
    )
    for salt in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.split() == ["6f6eca53c09ec492", "eea7edf96632b6f8"]


def test_whole_numbers_and_floats_are_one_value():
    """1 and 1.0 where a real number is meant give one id."""
    one, other = ({"minutes_range": pair} for pair in ([1, 2], [1.0, 2.0]))
    assert (
        Wash.from_mapping(one, where="").recipe_id == Wash.from_mapping(other, where="").recipe_id
    )


MISSPELT = {
    "top": ({"nme": "x"}, "nme", "name"),
    "nested": ({"first": {"minuts_range": [1, 2]}}, "first.minuts_range", "minutes_range"),
    "optional": ({"last": {"color": "red"}}, "last.color", "colour"),
    "in a union": ({"steps": [{"kind": "dye", "color": "x"}]}, "steps.0.dye.color", "colour"),
    "beside a missing one": ({"last": {"colours": "red"}}, "last.colours", "colour"),
}


@pytest.mark.parametrize("place", MISSPELT)
def test_a_misspelt_key_names_its_place_and_the_near_key(place, tmp_path):
    """At the top, nested, optional or in a union: the place and the key that was meant are told."""
    value, where, near = MISSPELT[place]
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(RecipeError) as caught:
        Smear.from_yaml(path)
    assert str(caught.value).startswith(f"{path}: {where} is not a key of Smear.")
    assert f"Did you mean {near}" in str(caught.value)


def test_every_misspelt_key_is_told_at_once():
    """So that a person mends them in one go."""
    with pytest.raises(RecipeError) as caught:
        Smear.from_mapping({"nme": "x", "last": {"color": "red"}, "wrd": 1}, where="r.yaml")
    assert str(caught.value).count("is not a key") == 1
    assert all(name in str(caught.value) for name in ("nme", "last.color", "wrd"))


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf"])
def test_a_number_that_is_none_is_refused(tmp_path, number):
    """NaN and infinity have no place in a recipe, wherever they stand."""
    (tmp_path / "r.yaml").write_text(f"first:\n  minutes_range: [1, {number}]\n")
    with pytest.raises(RecipeError, match=r"first\.minutes_range\.1: .*finite"):
        Smear.from_yaml(tmp_path / "r.yaml")
    (tmp_path / "r.yaml").write_text(f"last:\n  colour: red\n  shares: {{a: {number}}}\n")
    with pytest.raises(RecipeError, match=r"last\.shares\.a"):
        Smear.from_yaml(tmp_path / "r.yaml")
    with pytest.raises(ValidationError):
        Wash(minutes_range=(math.nan, 1))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed: -1", r"seed: .*seen -1\. Nothing was started"),
        ("seed: x", r"seed: .*seen 'x'"),
        ("last: {kind: dye}", r"last\.colour: Field required\. Nothing"),
        ("steps: [{kind: rinse}]", r"steps\.0: .*'rinse'.*'wash', 'dye'"),
        ("- a", r"should hold `key: value` lines, not list"),
        ("", r"should hold `key: value` lines, not NoneType"),
        ("a: [", r"is not YAML at line 1"),
        ("a: 2020-13-45", r"is not YAML"),
        ("[" * 5000, r"is not YAML"),
        ("a: !!python/object/apply:os.getcwd []", r"is not YAML at line 1"),
        ("a: \x01", r"is not YAML"),
    ],
)
def test_a_faulty_file_is_told_with_its_name(tmp_path, text, told):
    """Values out of range, missing keys and what is no YAML: one sentence with the file's name."""
    path = tmp_path / "faulty.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=rf"faulty\.yaml.*{told}"):
        Smear.from_yaml(path)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    """A missing file, a folder and bytes that are no text are recipe errors."""
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xff")
    for path in (tmp_path / "gone.yaml", tmp_path, tmp_path / "bytes.yaml"):
        with pytest.raises(RecipeError, match="cannot be read"):
            read_yaml(path)


def test_a_recipe_cannot_be_changed_and_reads_from_what_it_wrote(tmp_path):
    """It is frozen; its file holds its fields in their order and text as it is spelt."""
    with pytest.raises(ValidationError):
        GOLDEN.name = "other"
    write_recipe(tmp_path / "r.yaml", GOLDEN)
    assert Smear.from_yaml(tmp_path / "r.yaml") == GOLDEN
    assert (tmp_path / "r.yaml").read_text(encoding="utf-8").startswith("name: ü\nsteps:\n")


def test_a_record_that_a_tool_wrote_is_data(tmp_path):
    """What breaks a JSON record's shape is a data error, not a mistake in a command."""
    path = tmp_path / "r.json"
    path.write_text(canonical_json(GOLDEN))
    assert Smear.from_json(path) == GOLDEN
    path.write_text('{"nme": "x"}')
    with pytest.raises(SchemaError, match=r"r\.json: nme .*name"):
        Smear.from_json(path)
    path.write_text("{")
    with pytest.raises(DataError, match=r"r\.json"):
        Smear.from_json(path)


def test_a_key_that_stands_twice_is_refused_where_it_stands(tmp_path):
    """YAML would keep the last one, and what the first said would be lost without a word."""
    path = tmp_path / "twice.yaml"
    path.write_text(
        "name: a\nsteps:\n  - kind: rotation\nsteps:\n  - kind: flip\n    axis: vertical\n"
    )
    with pytest.raises(RecipeError, match=r"twice\.yaml: The key steps stands twice.* line 4"):
        read_yaml(path)
    path.write_text("base: &b {x: 1}\nmore: {<<: *b, x: 2}\n")
    assert read_yaml(path)["more"] == {"x": 2}
