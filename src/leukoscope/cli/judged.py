"""What is printed of a judgement: its verdict, its table, and what was flagged."""

from collections.abc import Iterator

import polars as pl
from rich.table import Table

from leukoscope.records.judgements import Judgement
from leukoscope.reporting.judgement_tables import (
    GENERATED,
    METRICS,
    NOISE,
    REAL,
    JudgementPage,
    number_of,
)
from leukoscope.reporting.judgement_words import answers, lead

_MINUS = "\N{MINUS SIGN}"


def judgement_tables(found: Judgement) -> Iterator[Table | str]:
    """Lay a judgement out: the verdict first, as on its page, then numbers beside real cells'."""
    page = JudgementPage(found.results, found.neighbours, found.about, {})
    yield lead(page)
    arms = [arm for arm in (GENERATED, REAL, NOISE) if arm in found.results["arm"]]
    table = Table(title="Generated cells beside real ones", title_justify="left")
    for name in ("", *arms):
        table.add_column(name)
    for metric, known in METRICS.items():
        if (found.results["metric"] == metric).any():
            table.add_row(known.name, *(_cell(page, arm, metric) for arm in arms))
    yield table
    for answer in answers(page):
        yield f"{answer.question} {answer.text}"


def errors_of(found: Judgement) -> Iterator[str]:
    """Say which cells are called copies, in one line."""
    n_flagged = found.findings.filter(pl.col("severity") == "error").height
    if n_flagged:
        yield f"ERROR: {n_flagged} generated cells are called copies; `combine` leaves them out."


def _cell(page: JudgementPage, arm: str, metric: str) -> str:
    number = number_of(page, arm, metric)
    if number is None or number.value is None:
        return ""
    write = METRICS[metric].write
    said = write(number.value)
    if number.low is not None and number.high is not None:
        said += f" ({write(number.low)} to {write(number.high)})"
    return said.replace(_MINUS, "-")
