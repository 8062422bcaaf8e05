"""True labels brought to predictions by cell_id: a dataset's own, or those of several readers."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from leukoscope.evaluation.predictions import views_of
from leukoscope.foundation import progress
from leukoscope.foundation.errors import DataError
from leukoscope.records import categories, shapes, tables
from leukoscope.records.dataset import Dataset, read_split, splits_path
from leukoscope.records.groups import groups_of, unit_of
from leukoscope.records.lineage import is_copy
from leukoscope.stats.intervals import Interval
from leukoscope.stats.readers import cohen_kappa_interval, fleiss_kappa_interval, majority

Codes = npt.NDArray[np.int64]
FIRST_SPLIT = "splits"
"""The name of the split that a dataset gets unless another is given."""
LEARNED = ("train", "validation")
"""Splits whose cells a model was trained or chosen on."""


def with_truth(
    predictions: pl.DataFrame,
    dataset: Dataset,
    split: str | None,
    *,
    repeat: int = 0,
    fold: int = 0,
) -> pl.DataFrame:
    """Join category, case and family from a dataset's manifest, by cell_id only.

    Parameters
    ----------
    predictions : polars.DataFrame
        A predictions table, in any order; its own case and family are replaced.
    dataset : Dataset
        The dataset whose cells they are.
    split : str or None
        The split that says which of its cells are for the test; with None no cell is
        taken for one of training. See :func:`split_for`.
    repeat, fold : int
        Which of the split's divisions.

    Returns
    -------
    polars.DataFrame
        The same predictions, labelled.

    Raises
    ------
    DataError
        If a prediction is of a cell the dataset has not, of a copy, or of a cell
        that is in training or validation or stands in one group with such a cell (a case,
        a family or equal pixels, directly or through others); if a stated category
        contradicts the dataset's; if the split is not there.
    UsageError
        If there is no such division.
    """
    table = tables.check(predictions, shapes.PREDICTIONS)
    known = table.join(
        dataset.manifest.select("cell_id", "origin", truth="category", true_case="case"),
        on="cell_id",
        how="left",
        maintain_order="left",
    )
    _refuse_other_images(known, dataset)
    _refuse_copies(known)
    _refuse_contradictions(known)
    _refuse_other_people(known)
    if split is not None:
        _refuse_learned(table, dataset, split, read_split(dataset, split, repeat, fold))
    facts = dataset.manifest.select("cell_id", "category", "case", "family")
    bare = table.drop("category", "case", "family")
    return tables.check(bare.join(facts, on="cell_id", how="left"), shapes.PREDICTIONS)


def split_for(predictions: pl.DataFrame, dataset: Dataset, named: str | None) -> str | None:
    """Choose the split by which cells of the training are found among the predictions.

    Parameters
    ----------
    predictions : polars.DataFrame
        A predictions table.
    dataset : Dataset
        The dataset whose cells they are.
    named : str or None
        The split a person named.

    Returns
    -------
    str or None
        The one named; else the dataset's first. None where it has none of that name,
        which a note says if there are others, and where the model itself says of every
        cell that it is new to it.
    """
    if named is not None or (predictions["role"] == "new").fill_null(value=False).all():
        return named
    if splits_path(dataset.folder, FIRST_SPLIT).is_file():
        return FIRST_SPLIT
    if next(dataset.folder.glob("splits-*.parquet"), None) is not None:
        progress.note(
            f"{dataset.folder} has splits and none was named: whether cells of a training stand "
            "among the predictions was not checked."
        )
    return None


def missing_cells(
    predictions: pl.DataFrame,
    dataset: Dataset,
    split: str | None,
    *,
    repeat: int = 0,
    fold: int = 0,
) -> int:
    """Count the cells of a split's test, or with None of the dataset, that no prediction is of.

    Copies do not count. Raises DataError or UsageError if there is no such split.
    """
    cells = dataset.manifest.filter(~is_copy())
    if split is not None:
        cells = read_split(dataset, split, repeat, fold).filter(pl.col("split") == "test")
    return cells.join(predictions.select("cell_id"), on="cell_id", how="anti").height


def labelled_from(
    predictions: pl.DataFrame, dataset: Dataset, named: str | None
) -> tuple[pl.DataFrame, int]:
    """Label predictions as :func:`with_truth` does, and count test cells that none is of.

    The split is :func:`split_for`'s; a whole dataset may be predicted in part, its test may not.
    """
    split = split_for(predictions, dataset, named)
    table = with_truth(predictions, dataset, split)
    return table, missing_cells(table, dataset, split) if split is not None else 0


def with_readers(predictions: pl.DataFrame, readers: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Take what more than half of the readers say for the truth.

    Parameters
    ----------
    predictions : polars.DataFrame
        A predictions table of one run; its own labels are replaced.
    readers : polars.DataFrame
        A readers table: cell_id, reader, category. Readings of other cells are left
        aside. Where the model answers the parent of a reader's word and not the word
        itself, the parent is counted, so that two readers may agree on it.

    Returns
    -------
    polars.DataFrame
        The predictions of the cells that have a majority.
    int
        How many cells have none and were left out.

    Raises
    ------
    DataError
        If a cell stands in the table twice or was read by nobody, or if no cell has a majority.
    SchemaError
        If a table breaks its shape.
    """
    seen = _readings(predictions, readers)
    codes = majority(seen.labels).tolist()
    truth = [seen.words[code] if code >= 0 else None for code in codes]
    labelled = seen.table.with_columns(category=pl.Series(truth, dtype=pl.String))
    kept = labelled.filter(pl.col("category").is_not_null())
    if kept.is_empty():
        raise DataError(
            f"In none of the {labelled.height} cells do more than half of the readers agree. "
            "Nothing was scored. Ask a further reader."
        )
    return kept, labelled.height - kept.height


def reader_rows(predictions: pl.DataFrame, readers: pl.DataFrame) -> list[dict[str, Any]]:
    """Measure how far readers agree with each other, and the model with each of them.

    Parameters
    ----------
    predictions : polars.DataFrame
        As for :func:`with_readers`, before cells without a majority were left out:
        without them readers would seem to agree better than they do.
    readers : polars.DataFrame
        A readers table.

    Returns
    -------
    list of dict
        Rows of a results table, in each view: ``reader_kappa``, Cohen's kappa of each
        pair of readers and of the model and each reader over the cells both called (the
        method names the pair); ``fleiss_kappa`` where two or more readers read all cells.
        What is undefined is NaN, and the method says why.

    Raises
    ------
    DataError, SchemaError
        As :func:`with_readers`.
    """
    seen = _readings(predictions, readers)
    rows = []
    for view in views_of(seen.words):
        merged = seen.words if view == "strict" else categories.merged(seen.words)
        names = list(dict.fromkeys(merged))
        code_of = np.array([names.index(name) for name in merged])
        labels = np.where(seen.labels < 0, -1, code_of[seen.labels])
        calls = code_of[seen.calls]
        for who, first, second in _pairs(seen.names, labels, calls):
            found, both = _cohen(seen.table, first, second, len(names))
            rows.append(_row(both, view, "reader_kappa", f"Cohen's kappa of {who}", found))
        if len(seen.names) > 1 and (labels >= 0).all():
            found = fleiss_kappa_interval(labels, groups_of(seen.table), len(names))
            who = f"Fleiss' kappa of {len(seen.names)} readers"
            rows.append(_row(seen.table, view, "fleiss_kappa", who, found))
    return rows


class _Readings(NamedTuple):
    table: pl.DataFrame
    """The predictions, each cell without a family being its own."""
    names: tuple[str, ...]
    """The readers."""
    words: tuple[str, ...]
    """The categories, of readers and of the model."""
    labels: Codes
    """Shape (n_cells, n_readers); −1 where a reader did not read a cell."""
    calls: Codes
    """Shape (n_cells,)."""


def _readings(predictions: pl.DataFrame, readers: pl.DataFrame) -> _Readings:
    table = tables.check(predictions, shapes.PREDICTIONS)
    table = table.with_columns(family=pl.col("family").fill_null(pl.col("cell_id")))
    if table["cell_id"].is_duplicated().any():
        raise DataError(
            "The predictions name a cell more than once: they are of several runs. Nothing was "
            "scored. Give the predictions of one run at a time."
        )
    places = table.select("cell_id").with_row_index("place")
    read = tables.check(readers, shapes.READERS).join(places, on="cell_id", how="inner")
    _refuse_unread(table, read)
    answers = _answers(table)
    spoken = [categories.answer_for(word, answers) for word in read["category"]]
    words = categories.ordered([*spoken, *table["predicted"]])
    code_of = {word: code for code, word in enumerate(words)}
    names = tuple(read["reader"].unique().sort())
    labels = np.full((table.height, len(names)), -1, dtype=np.int64)
    columns = [names.index(name) for name in read["reader"]]
    labels[read["place"].to_numpy(), columns] = [code_of[word] for word in spoken]
    calls = np.array([code_of[word] for word in table["predicted"]], dtype=np.int64)
    return _Readings(table, names, words, labels, calls)


def _answers(table: pl.DataFrame) -> set[str]:
    stated = {name.removeprefix("p_") for name in table.columns if name.startswith("p_")}
    return stated or set(table["predicted"])


def _pairs(names: Sequence[str], labels: Codes, calls: Codes) -> Iterator[tuple[str, Codes, Codes]]:
    for i, one in enumerate(names):
        for j, other in list(enumerate(names))[i + 1 :]:
            yield f"readers {one} and {other}", labels[:, i], labels[:, j]
    for i, one in enumerate(names):
        yield f"the model and reader {one}", labels[:, i], calls


def _cohen(
    table: pl.DataFrame, first: Codes, second: Codes, n_categories: int
) -> tuple[Interval, pl.DataFrame]:
    used = (first >= 0) & (second >= 0)
    both = table.filter(pl.Series(used))
    if both.is_empty():
        return Interval(np.nan, np.nan, np.nan, "undefined: both called no cell"), both
    groups = groups_of(both)
    return cohen_kappa_interval(first[used], second[used], groups, n_categories), both


def _row(table: pl.DataFrame, view: str, metric: str, who: str, found: Interval) -> dict[str, Any]:
    unit = unit_of(table)
    return {
        "view": view,
        "n_cells": table.height,
        "n_families": table["family"].n_unique(),
        "n_cases": table["case"].n_unique() if unit == "case" else None,
        "unit": unit,
        "metric": metric,
        "value": float(found.value),
        "low": float(found.low),
        "high": float(found.high),
        "method": f"{who}, {found.method}",
    }


def _refuse_other_images(known: pl.DataFrame, dataset: Dataset) -> None:
    strange = known.filter(pl.col("truth").is_null())
    if strange.height:
        named = dataset.manifest["cell_id"].to_list()[:1]
        raise DataError(
            f"{strange.height} of {known.height} predictions are of cells that {dataset.folder} "
            f"has not, for example {strange['cell_id'][0]}; its cells are named like "
            f"{', '.join(named)}. Nothing was scored. Name the dataset the "
            "predictions are of, or write its names into the column cell_id."
        )


def _refuse_unread(table: pl.DataFrame, read: pl.DataFrame) -> None:
    unread = table.join(read, on="cell_id", how="anti", maintain_order="left")
    if unread.height:
        raise DataError(
            f"{unread.height} of {table.height} predicted cells were read by nobody, for example "
            f"{unread['cell_id'][0]}. Nothing was scored. Add their readings, or leave those rows "
            "out."
        )


def _refuse_copies(known: pl.DataFrame) -> None:
    copies = known.filter(is_copy())
    if copies.height:
        raise DataError(
            f"{copies.height} of {known.height} predictions are of copies of cells, for example "
            f"{copies['cell_id'][0]}, made from {copies['origin'][0]}. Nothing was scored: a "
            "copy is no new cell. Leave those rows out."
        )


def _refuse_contradictions(known: pl.DataFrame) -> None:
    pairs = known.filter(pl.col("category").is_not_null()).select("category", "truth").unique()
    against = [pair for pair in pairs.iter_rows() if not _agree(*pair)]
    odd = known.join(
        pl.DataFrame(against, schema=["category", "truth"], orient="row").cast(pl.String),
        on=["category", "truth"],
        how="semi",
        maintain_order="left",
    )
    if odd.height:
        raise DataError(
            f"The category of {odd.height} of {known.height} predictions contradicts the "
            f"dataset's, for example of cell {odd['cell_id'][0]}: {odd['category'][0]} against "
            f"{odd['truth'][0]}. Nothing was scored. The labels were joined wrongly or are of "
            "another version; leave the column out to take the dataset's."
        )


def _refuse_other_people(known: pl.DataFrame) -> None:
    odd = known.filter(pl.col("case") != pl.col("true_case"))
    if odd.height:
        raise DataError(
            f"The case of {odd.height} of {known.height} predictions is not the dataset's, for "
            f"example of cell {odd['cell_id'][0]}. Nothing was scored. Leave the column case out "
            "to take the dataset's, or give the dataset of these cells."
        )


def _agree(stated: str, truth: str) -> bool:
    parents = categories.PARENTS
    return stated == truth or parents.get(stated) == truth or parents.get(truth) == stated


def _refuse_learned(
    table: pl.DataFrame, dataset: Dataset, split: str, divided: pl.DataFrame
) -> None:
    manifest = dataset.manifest.sort("cell_id")
    # Cells of equal pixels belong together as cells of a case do, whatever they are filed under.
    persons = groups_of(manifest)
    groups = groups_of(pl.DataFrame({"case": manifest["content"], "family": persons}))
    cells = manifest.select("cell_id").with_columns(group=pl.Series(groups))
    sides = cells.join(divided.select("cell_id", "split"), on="cell_id", maintain_order="left")
    learned = sides.filter(pl.col("split").is_in(LEARNED))
    first = learned.unique("group", keep="first", maintain_order=True)
    met = cells.join(table.select("cell_id").unique(), on="cell_id", maintain_order="left").join(
        first.rename({"cell_id": "other"}), on="group", maintain_order="left"
    )
    if met.is_empty():
        return
    own = met.select("cell_id").join(learned, on="cell_id", maintain_order="left")
    if own.height:
        what = f"{own['cell_id'][0]} is in {own['split'][0]}"
    else:
        what = (
            f"{met['cell_id'][0]} stands in one group (a case, a family or equal pixels) with "
            f"{met['other'][0]} in {met['split'][0]}"
        )
    raise DataError(
        f"{met.height} of {table.height} predictions are of cells, or belong to cells, that the "
        f"split {split!r} of {dataset.folder} gives to training or validation: {what}. Nothing "
        "was scored: such a score says nothing of new cells. Leave those rows out, or name the "
        "split the model was trained by."
    )
