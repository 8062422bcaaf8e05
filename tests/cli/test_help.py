"""What a person reads who asks a command for help."""

import inspect
import re

import pytest
from docstring_parser import DocstringStyle
from docstring_parser import parse as parse_docstring

from leukoscope import verbs
from leukoscope.cli.app import app, main


def words_of(text):
    """Split a text into words, whatever frames, marks and breaks stand between them."""
    return re.sub(r"[│╭╮╰╯─]", " ", text.replace("`", "")).split()


def asked(capsys, monkeypatch, *words):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert not ended.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", verbs.__all__)
def test_the_help_of_a_verb_holds_its_docstring(verb, capsys, monkeypatch):
    """Every word of summary, description and parameters is there: none is lost as markup."""
    typed = verb.replace("_", "-")
    monkeypatch.setattr(app[typed], "_help", verbs.SUMMARIES[verb])
    shown = asked(capsys, monkeypatch, typed, "--help")
    doc = parse_docstring(
        inspect.getdoc(app[typed].default_command) or "",
        style=DocstringStyle.NUMPYDOC,
    )
    described = " ".join(words_of(f"{doc.short_description} {doc.long_description or ''}"))
    assert described in " ".join(words_of(shown))
    for parameter in doc.params:
        lost = set(words_of(parameter.description)) - set(words_of(shown))
        assert lost == set(), parameter.arg_name


def test_the_help_of_all_holds_the_summaries(capsys, monkeypatch):
    """One line a verb, without its description."""
    shown = " ".join(words_of(asked(capsys, monkeypatch, "--help")))
    for verb, summary in verbs.SUMMARIES.items():
        assert f"{verb.replace('_', '-')} {summary}" in shown
    assert "Whole cases where every case is known" not in shown
