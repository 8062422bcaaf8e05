"""Which generated cells are taken: by a rule, or by hand as a replica that says so."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from leukoscope.foundation import files
from leukoscope.foundation.errors import DataError, UsageError, unknown_name
from leukoscope.records.dataset import Dataset
from leukoscope.records.judged import MEMORISED, OUTSIDE

RULES = ("unflagged", "in-manifold")
"""``unflagged``: all but what was flagged as memorised. ``in-manifold``: of these, what lies among
real cells."""
NOT_COMPARABLE = (
    "Generated cells were picked by hand: scores of what is trained on them are not comparable "
    "with those of a rule."
)


@dataclass(frozen=True)
class Choice:
    """Say which generated cells are asked for."""

    n: int | None = None
    """How many in all, evenly over categories, the first by number; all if None."""
    select: str = "unflagged"
    """One of :data:`RULES`."""
    picked: Path | None = None
    """A CSV file whose column ``cell_id`` names those that a person kept."""
    picked_by: str | None = None
    """That person's initials."""


def check_choice(choice: Choice) -> None:
    """Refuse a rule that is not known, a number that no one could mean, and a nameless hand.

    Raises
    ------
    UsageError
        Naming the option.
    """
    if choice.select not in RULES:
        raise UsageError(f"{unknown_name('rule', choice.select, RULES)} Nothing was written.")
    if choice.n is not None and choice.n < 1:
        raise UsageError(
            f"--n is {choice.n}; at least one generated cell is needed. Nothing was written."
        )
    if (choice.picked is None) != (choice.picked_by is None):
        raise UsageError(
            "--picked and --picked-by go together: what a person kept, and who. Nothing was "
            "written. Give both, or leave the choice to the rule."
        )
    if choice.picked_by is not None and not re.fullmatch(r"[^\W\d_]{1,4}", choice.picked_by):
        raise UsageError(
            f"--picked-by is {choice.picked_by!r}; initials of one to four letters are expected, "
            "for names do not leave the house. Nothing was written."
        )


def chosen_rows(
    generated: Dataset, findings: pl.DataFrame, choice: Choice, categories: Sequence[str]
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Choose generated cells, and say by which rule and how many it rejected.

    Parameters
    ----------
    generated : Dataset
        Generated cells alone.
    findings : polars.DataFrame
        What their judgement found.
    choice : Choice
        What is asked for.
    categories : sequence of str
        The categories in their order: where *n* cannot be shared out evenly, the first have one
        more.

    Returns
    -------
    polars.DataFrame
        Rows of the manifest, by number; those of a smaller *n* are part of those of a larger.
    dict
        ``rule``, ``offered``, ``flagged``, ``outside``, ``passed`` (what rule and hand let through
        before *n*), ``rejection_rate`` (1 less passed over offered), ``kept``; of a hand also
        ``picked_by``, ``picked_sha256``, ``picked``, ``picked_and_flagged`` and a ``note``.

    Raises
    ------
    DataError
        If a picked cell is not there, nothing is left, or a category has too few.
    """
    rows = generated.manifest.sort("copy", "category", "cell_id", nulls_last=True)
    flagged, outside = _found(findings, MEMORISED), _found(findings, OUTSIDE)
    facts: dict[str, Any] = {
        "rule": choice.select,
        "offered": rows.height,
        "flagged": rows.filter(pl.col("cell_id").is_in(flagged)).height,
        "outside": rows.filter(pl.col("cell_id").is_in(outside)).height,
    }
    passed = rows.filter(~pl.col("cell_id").is_in(flagged))
    if choice.select == "in-manifold":
        passed = passed.filter(~pl.col("cell_id").is_in(outside))
    if choice.picked is not None:
        picked = read_picked(choice.picked, generated)
        passed = passed.filter(pl.col("cell_id").is_in(picked))
        facts |= _hand(choice, picked, flagged)
    if passed.is_empty():
        raise DataError(
            f"Of the {rows.height} generated cells in {generated.folder} none is left: "
            f"{facts['flagged']} are flagged as memorised, {facts['outside']} lie outside real "
            f"cells, and the rule is {facts['rule']}. Nothing was written. Draw more with "
            "`leukoscope sample`, or fit another generator."
        )
    kept = passed if choice.n is None else _first(passed, choice.n, categories, generated)
    facts |= {"passed": passed.height, "rejection_rate": 1 - passed.height / rows.height}
    return kept, facts | {"n": choice.n, "kept": kept.height}


def read_picked(path: Path, generated: Dataset) -> list[str]:
    """Read the cells that a person kept, each named once.

    Raises
    ------
    DataError
        If the file cannot be read, has no column ``cell_id``, or names a cell twice or one that
        the generated dataset has not.
    """
    try:
        table = pl.read_csv(path.read_bytes(), infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = getattr(error, "strerror", None) or "it is no table"
        raise DataError(f"{path} cannot be read: {reason}. Nothing was written.") from None
    if "cell_id" not in table.columns:
        raise DataError(
            f"{path} has no column cell_id; it has {', '.join(table.columns)}. Nothing was "
            "written. Name the cells that were kept in that column."
        )
    named = table["cell_id"].drop_nulls()
    strange = named.filter(~named.is_in(generated.manifest["cell_id"].to_list()))
    if len(strange) or named.is_duplicated().any() or named.is_empty():
        what = (
            f"{len(strange)} cells that {generated.folder} has not, for example {strange[0]}"
            if len(strange)
            else "no cell"
            if named.is_empty()
            else f"a cell twice, {named.filter(named.is_duplicated())[0]}"
        )
        raise DataError(f"{path} names {what}. Nothing was written. Correct the file.")
    return named.to_list()


def _hand(choice: Choice, picked: list[str], flagged: list[str]) -> dict[str, Any]:
    assert choice.picked is not None
    return {
        "rule": f"hand-picked, {choice.select}",
        "picked_by": choice.picked_by,
        "picked_sha256": files.digest_of(choice.picked),
        "picked": len(picked),
        "picked_and_flagged": len(set(picked) & set(flagged)),
        "note": NOT_COMPARABLE,
    }


def _found(findings: pl.DataFrame, check: str) -> list[str]:
    return findings.filter(pl.col("check") == check)["cell_id"].unique().to_list()


def _first(
    passed: pl.DataFrame, n: int, categories: Sequence[str], generated: Dataset
) -> pl.DataFrame:
    """Take the first by number of each category, as evenly as *n* allows."""
    drawn = set(generated.manifest["category"])
    names = [name for name in categories if name in drawn]
    wanted = {name: n // len(names) + (i < n % len(names)) for i, name in enumerate(names)}
    there = dict(passed["category"].value_counts().rows())
    few = [
        f"{name} ({want} wanted, {there.get(name, 0)} left)"
        for name, want in wanted.items()
        if there.get(name, 0) < want
    ]
    if few:
        raise DataError(
            f"--n {n} asks for as many generated cells of each category, and after what was left "
            f"out too few are there of {', '.join(few)}. Nothing was written. Draw more with "
            "`leukoscope sample`, or ask for fewer."
        )
    number = pl.int_range(pl.len()).over("category")
    return passed.filter(
        number < pl.col("category").replace_strict(wanted, default=0, return_dtype=pl.Int64)
    )
