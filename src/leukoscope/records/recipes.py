"""The frozen base of all recipes: a value a person can write, and an id that follows from it."""

import hashlib
import json
from pathlib import Path
from typing import Any, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from leukoscope.foundation import files
from leukoscope.foundation.errors import RecipeError, SchemaError, unknown_name


class Record(BaseModel):
    """Hold a value that is kept on disk: frozen, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    def to_yaml(self) -> str:
        """Write the recipe as YAML, keys in the order of the fields."""
        value = self.model_dump(mode="json")
        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
        # A few signs (next line, U+0085) come back as others unless they are escaped.
        return text if yaml.safe_load(text) == value else yaml.safe_dump(value, sort_keys=False)

    @classmethod
    def from_mapping(cls, value: Any, *, where: str) -> Self:
        """Read the recipe from plain mappings and lists.

        Parameters
        ----------
        value : mapping
            As YAML or JSON gives it.
        where : str
            What to call it in an error, for example the file's path.

        Raises
        ------
        RecipeError
            If a key is unknown (near names are given), missing, or out of range.
        """
        if not isinstance(value, dict):
            raise RecipeError(
                f"{where} should hold `key: value` lines, not {type(value).__name__}."
            )
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise RecipeError(f"{where}: {_describe(error, cls)}") from None

    @classmethod
    def from_yaml(cls, path: Path) -> Self:
        """Read the recipe from a YAML file.

        Raises
        ------
        RecipeError
            If the file is missing, is not YAML, or breaks the recipe's shape.
        """
        return cls.from_mapping(read_yaml(path), where=str(path))

    @classmethod
    def from_json(cls, path: Path) -> Self:
        """Read the record that a tool, not a person, wrote as JSON.

        Raises
        ------
        DataError
            If the file is missing or is not JSON; SchemaError if it breaks the record's shape.
        """
        try:
            return cls.from_mapping(files.read_json(path), where=str(path))
        except RecipeError as error:
            raise SchemaError(str(error)) from None


class Recipe(Record):
    """Hold the settings of one piece of work."""

    @property
    def recipe_id(self) -> str:
        """Derive 16 hexadecimal digits from the canonical JSON, whatever the order of keys."""
        return hashlib.sha256(canonical_json(self).encode()).hexdigest()[:16]


class _OnceLoader(yaml.SafeLoader):
    """Read plain values, and refuse a key that stands twice, of which PyYAML keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping. Raises RecipeError naming key and line."""
        # What << brings in may be written anew: that is what it is for.
        keys = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        seen: set[str] = set()
        for key in keys:
            if key.value in seen:
                raise RecipeError(
                    f"The key {key.value} stands twice, a second time at line "
                    f"{key.start_mark.line + 1}; the first would be lost. Nothing was started."
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> Any:
    """Read a YAML file into plain values. Raises RecipeError if that cannot be done."""
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_OnceLoader)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(f"{path} cannot be read: {reason}.") from None
    # PyYAML lets a ValueError out for an impossible date, and recurses into nested brackets.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark else ""
        raise RecipeError(f"{path} is not YAML{place}; nothing was started.") from None


def canonical_json(recipe: BaseModel) -> str:
    """Write the recipe as JSON with sorted keys and no spaces: equal recipes, equal text."""
    return json.dumps(recipe.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Write a recipe as YAML in one step."""
    files.write_text(path, recipe.to_yaml())


def _describe(error: ValidationError, recipe: type[BaseModel]) -> str:
    errors = error.errors(include_url=False)
    # A misspelt key that is required is also missing: name what was written, not what was not.
    first = min(errors, key=lambda each: each["type"] != "extra_forbidden")
    place = _place(first)
    if first["type"] == "extra_forbidden":
        known = _fields_at(recipe, first["loc"][:-1])
        hint = unknown_name("key", str(first["loc"][-1]), known)
        more = [_place(each) for each in errors if each["type"] == "extra_forbidden"][1:]
        too = f" Nor is {', '.join(more)}." if more else ""
        return f"{place} is not a key of {recipe.__name__}. {hint}{too}"
    seen = f"; seen {first['input']!r}"
    # A whole mapping would bury the sentence.
    if first["type"] == "missing" or isinstance(first["input"], dict | BaseModel):
        seen = ""
    said = first["msg"].removeprefix("Value error, ")
    return f"{place or recipe.__name__}: {said}{seen}. Nothing was started."


def _place(error: ErrorDetails) -> str:
    return ".".join(str(part) for part in error["loc"])


def _fields_at(recipe: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """List the known keys at a place: those of every recipe that may stand there."""
    recipes = [recipe]
    for part in loc:
        fields = [each.model_fields[part] for each in recipes if part in each.model_fields]
        if fields:
            recipes = [each for field in fields for each in _recipes_in(field.annotation)]
        elif isinstance(part, str):
            # In a union the place holds the word that tells its members apart.
            # Below a mapping it is a person's own word, and the recipes stay.
            recipes = [each for each in recipes if part in _defaults(each)] or recipes
    return [name for each in recipes for name in each.model_fields]


def _recipes_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [each for part in get_args(annotation) for each in _recipes_in(part)]


def _defaults(recipe: type[BaseModel]) -> list[Any]:
    return [field.default for field in recipe.model_fields.values()]
