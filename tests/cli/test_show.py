import json

import polars as pl
import pytest
from tests.evaluation.drawn import predictions

from leukoscope.cli.show import show
from leukoscope.evaluation.evaluation import evaluation_of
from leukoscope.evaluation.fixed_models import comparison_of
from leukoscope.records import shapes, tables


def results(*, cases=True, names=("band", "segmented")):
    """Score a small table."""
    first, second = names
    truth = [first, first, second, second, first, second]
    called = [first, second, second, second, first, first]
    columns = {"cell_id": list("abcdef"), "category": truth, "predicted": called}
    columns |= {"case": list("ppqqrr")} if cases else {}
    return evaluation_of(tables.check(pl.DataFrame(columns), shapes.PREDICTIONS))


@pytest.mark.parametrize("cases", [True, False])
def test_every_row_has_a_name_of_its_own_in_json(capsys, cases):
    """No score hides another; numbers are those of the table, what is undefined is null."""
    found_in = results(cases=cases)
    table = found_in.results
    show(found_in, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert len(found) == table.height
    assert sorted(one["value"] for one in found.values() if one["value"] is not None) == sorted(
        table["value"].drop_nulls()
    )
    assert ("accuracy/as-if-cases" in found) is not cases


def test_of_whom_an_interval_speaks_is_said(capsys):
    """Other cases where cases are known, else only other cells of this collection."""
    show(results(), as_json=False)
    assert "3 cases; intervals speak of other cases." in capsys.readouterr().out
    show(results(cases=False), as_json=False)
    assert "other cells of this collection only" in capsys.readouterr().out


def test_a_text_is_printed_as_it_is(capsys):
    """Brackets, colours and line ends are its own; as JSON it is one text."""
    text = "# [red] :smile:\nname: é\n"
    show(text, as_json=False)
    assert capsys.readouterr().out == text
    show(text, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"text": text}


@pytest.mark.parametrize("name", ["[b]bold[/b]", "[/]", ":smile:", "[red]"])
def test_a_category_is_shown_as_it_is_called(capsys, name):
    """Brackets and colons are words of a person, not of a layout."""
    show(results(names=(name, "other")), as_json=False)
    assert name in capsys.readouterr().out


def test_a_comparison_in_json_has_its_verdict(capsys):
    """One of four words at the planned difference, and at no other."""
    arms = {name: predictions(3, purpose=name) for name in ("first", "second")}
    show(comparison_of(arms, "first", "accuracy", 0.01), as_json=True)
    found = json.loads(capsys.readouterr().out)
    told = {name: one["verdict"] for name, one in found.items() if "verdict" in one}
    assert list(told) == ["accuracy/second/less first"]
    words = {"helps", "harms", "no difference larger than m", "undecided"}
    assert set(told.values()) <= words
