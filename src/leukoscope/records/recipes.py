"""The frozen base of all recipes: a value a person can write, and an id that follows from it."""

import hashlib
import json
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from leukoscope.foundation import files
from leukoscope.foundation.errors import RecipeError, unknown_name


class Recipe(BaseModel):
    """Hold the settings of one piece of work: frozen, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    @property
    def recipe_id(self) -> str:
        """Derive 16 hexadecimal digits from the canonical JSON, whatever the order of keys."""
        return hashlib.sha256(canonical_json(self).encode()).hexdigest()[:16]

    def to_yaml(self) -> str:
        """Write the recipe as YAML, keys in the order of the fields."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

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


def read_yaml(path: Path) -> Any:
    """Read a YAML file into plain values. Raises RecipeError if that cannot be done."""
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(f"{path} cannot be read: {reason}.") from None
    except yaml.YAMLError as error:
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
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _fields_at(recipe, first["loc"][:-1])
        hint = unknown_name("key", str(first["loc"][-1]), known) if known else "It is unknown here."
        return f"{place} is not a key of {recipe.__name__}. {hint}"
    seen = "" if first["type"] == "missing" else f"; seen {first['input']!r}"
    return f"{place or recipe.__name__}: {first['msg']}{seen}. Nothing was started."


def _fields_at(recipe: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """List the known keys at a place; empty where a union makes that ambiguous."""
    for part in loc:
        field = recipe.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        recipe = annotation
    return list(recipe.model_fields)
