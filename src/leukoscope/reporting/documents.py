"""From a template and what it shows to an HTML document."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from leukoscope.reporting import wording


def document(template: str, content: Mapping[str, Any]) -> str:
    """Fill a template of this room; what it shows is escaped, control characters are left out."""
    return wording.without_controls(_environment().get_template(template).render(content))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("leukoscope.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"words": wording.name_of, "heading": wording.sentence_case}
    environment.filters["unbroken"] = wording.unbroken
    return environment
