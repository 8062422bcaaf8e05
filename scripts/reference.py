"""Writes docs/reference.md from the verbs, and docs/measures.md from the measures' definitions.

``--check`` writes nothing and exits with 1 where a page is stale.
"""

import importlib
import inspect
import json
import re
import sys
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from docstring_parser import Docstring, DocstringStyle
from docstring_parser import parse as parse_docstring

DOCS = Path(__file__).resolve().parents[1] / "docs"
HEAD = """\
<!-- Made by scripts/reference.py from the docstrings of the verbs. Change those, not this page. -->
# Reference

Each verb is one command and one Python function with the same parameters and defaults.
`leukoscope VERB --help` shows the same text in a terminal.
"""
MEASURES_HEAD = """\
<!-- Made by scripts/reference.py from morphology/definitions.py. Change that, not this page. -->
# Measures of a cell

The columns of the table that [`measure`](reference.md#measure) writes. Each says what lies within
the masks of nucleus and cell alone: what surrounds the cell changes nothing. Lengths and areas have
a twin in micrometres (`_um`, `_um2`), empty where the scale is not known. A measure that does not
exist (a bridge of a nucleus with one lobe) is empty.

| column | unit | what it is | source |
|---|---|---|---|
"""
WORDS = {
    Path: "path",
    str: "text",
    int: "whole number",
    float: "number",
    bool: "yes or no",
    Any: "anything",
}
MANY = {1: "one", 2: "two", 3: "three", 4: "four"}


def in_words(annotation: Any) -> str:
    """Say in plain words which values an annotation admits."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is None:
        return WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))
    if origin is Literal:
        return alternatives([f"`{part}`" for part in parts])
    inner = [in_words(part) for part in parts if part not in (type(None), Ellipsis)]
    if origin in (Union, types.UnionType):
        return alternatives(inner)
    if origin is tuple and Ellipsis not in parts:
        alike = f"{MANY[len(parts)]} {inner[0]}s"
        return alike if len(set(inner)) == 1 else " and ".join(inner)
    return inner[0] if origin is Annotated else f"{inner[0]}, any number of them"


def alternatives(words: list[str]) -> str:
    """Join words with commas and a last *or*, each once."""
    once = list(dict.fromkeys(words))
    return " or ".join([", ".join(once[:-1]), once[-1]]) if len(once) > 1 else once[0]


def as_markdown(text: str | None) -> str:
    """Turn the docstring's code marks and roles into Markdown's; ``<`` begins no tag there."""
    marked = re.sub(r"(?::\w+:)?`+~?([^`]+)`+", r"`\1`", (text or "").strip())
    parts = marked.split("`")
    parts[::2] = [part.replace("<", "\\<") for part in parts[::2]]
    return "`".join(parts)


def on_one_line(text: str | None) -> str:
    """Fit a text into a table's cell or a list's entry."""
    return " ".join(as_markdown(text).split()).replace("|", "\\|")


def option(parameter: inspect.Parameter) -> str:
    """Name a parameter as the command line does."""
    if parameter.kind is not parameter.KEYWORD_ONLY:
        return parameter.name.upper()
    name = parameter.name.replace("_", "-")
    return f"--no-{name}" if parameter.default is True else f"--{name}"


def default(parameter: inspect.Parameter) -> str:
    """Show a default as it would be written in Python."""
    value = parameter.default
    is_text = isinstance(value, str | Path)
    return json.dumps(str(value), ensure_ascii=False) if is_text else repr(value)


def is_required(parameter: inspect.Parameter) -> bool:
    """Tell whether a parameter must be given."""
    return parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL


def command_line(verb: str, parameters: list[inspect.Parameter]) -> str:
    """Write how the command is used, in one line."""
    words = ["leukoscope", verb.replace("_", "-")]
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            words.append(f"{option(parameter)}…")
        elif parameter.kind is not parameter.KEYWORD_ONLY:
            word = option(parameter)
            words.append(word if is_required(parameter) else f"[{word}]")
        elif is_required(parameter):
            words += [option(parameter), parameter.name.upper()]
    if any(not is_required(p) and p.kind is p.KEYWORD_ONLY for p in parameters):
        words.append("[options]")
    return " ".join(words)


def python_call(verb: str, parameters: list[inspect.Parameter]) -> str:
    """Write the function's signature, over several lines where one is too long."""
    words = []
    for parameter in parameters:
        many = parameter.kind is parameter.VAR_POSITIONAL
        if parameter.kind is parameter.KEYWORD_ONLY and not any(w.startswith("*") for w in words):
            words.append("*")
        given = f"={default(parameter)}" if parameter.default is not parameter.empty else ""
        words.append("*" * many + parameter.name + given)
    line = f"leukoscope.{verb}({', '.join(words)})"
    if len(line) <= 88:
        return line
    return f"leukoscope.{verb}(\n" + "".join(f"    {word},\n" for word in words) + ")"


def table(function: Any, parameters: list[inspect.Parameter], doc: Docstring) -> str:
    """Lay out what each parameter is called, admits, defaults to and means."""
    hints = get_type_hints(function, include_extras=True)
    meanings = {entry.arg_name: entry.description for entry in doc.params}
    rows = [
        "| Python | command | type | default | meaning |",
        "|---|---|---|---|---|",
    ]
    for parameter in parameters:
        fallback = "one or more"
        if parameter.kind is not parameter.VAR_POSITIONAL:
            fallback = "required" if is_required(parameter) else f"`{default(parameter)}`"
        cells = (
            f"`{parameter.name}`",
            f"`{option(parameter)}`",
            in_words(hints[parameter.name]).replace("|", "\\|"),
            fallback.replace("`None`", "none").replace("|", "\\|"),
            on_one_line(meanings[parameter.name]),
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def outcome(doc: Docstring) -> str:
    """Say what comes back and which errors a caller can meet."""
    lines = []
    if doc.returns:
        kind = f"`{doc.returns.type_name}`: " if doc.returns.type_name else ""
        lines.append(f"**Returns** {kind}{on_one_line(doc.returns.description)}")
    if doc.raises:
        entries = (f"- `{e.type_name}`: {on_one_line(e.description)}" for e in doc.raises)
        lines.append("**Raises**\n\n" + "\n".join(entries))
    return "\n\n".join(lines)


def section(verb: str) -> str:
    """Write one verb's part of the page."""
    function = getattr(importlib.import_module(f"leukoscope.verbs.{verb}"), verb)
    parameters = list(inspect.signature(function).parameters.values())
    doc = parse_docstring(inspect.getdoc(function) or "", style=DocstringStyle.NUMPYDOC)
    parts = [
        f"## {verb}",
        as_markdown(doc.short_description),
        f"```sh\n{command_line(verb, parameters)}\n```",
        f"```python\n{python_call(verb, parameters)}\n```",
        as_markdown(doc.long_description),
        table(function, parameters, doc) if parameters else "",
        outcome(doc),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def reference_page() -> str:
    """Write the whole page, one level-2 heading a verb."""
    verbs = importlib.import_module("leukoscope.verbs").__all__
    return "\n".join([HEAD, *(section(verb) for verb in sorted(verbs))])


def measures_page() -> str:
    """Write the table of measures."""
    definitions = importlib.import_module("leukoscope.morphology.definitions")
    rows = (
        f"| `{measure.name}` | {measure.unit} | {measure.meaning} | {measure.source} |\n"
        for measure in definitions.MEASURES
    )
    return MEASURES_HEAD + "".join(rows)


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` compare them."""
    if arguments not in ([], ["--check"]):
        print("usage: scripts/reference.py [--check]", file=sys.stderr)
        return 2
    is_stale = False
    for name, text in (("reference.md", reference_page()), ("measures.md", measures_page())):
        page = DOCS / name
        if not arguments:
            page.write_text(text, encoding="utf-8")
        elif not page.exists() or page.read_text(encoding="utf-8") != text:
            print(f"docs/{name} is stale: run scripts/reference.py.", file=sys.stderr)
            is_stale = True
    return int(is_stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
